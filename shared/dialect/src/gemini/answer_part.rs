//! A part of an upstream's answer, read leniently: what cannot be understood is no part.

use serde_json::{Map, Value};

use super::{mime, spelling};
use crate::codec::{ANSWER_TOOL, Reading};
use crate::ir::{Block, Family, Signature, Source};
use crate::media;

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AnswerPart {
    /// Text; possibly empty, where only the signature matters.
    Text { text: String, signature: Option<Signature> },
    /// Reasoning; possibly empty, too.
    Thought { text: String, signature: Option<Signature> },
    /// A call, whole.
    Call { id: String, name: String, arguments: Map<String, Value>, signature: Option<Signature> },
    /// An image, sound or file.
    Medium(Block),
}

/// Reads a part, with the id and the caller's name of a call.
pub(super) fn read(part: &Value, reading: &mut Reading) -> Option<AnswerPart> {
    let signature = signature_of(part, reading);
    if let Some(call) = spelling::get(part, "functionCall") {
        return read_call(call, signature, reading);
    }
    if let Some(medium) = read_medium(part) {
        return Some(AnswerPart::Medium(medium));
    }
    let text = match spelling::get(part, "text") {
        Some(text) => text.as_str()?.to_owned(),
        None if signature.is_some() => String::new(),
        None => return None,
    };
    let is_thought = spelling::get(part, "thought").and_then(Value::as_bool).unwrap_or(false);
    Some(if is_thought { AnswerPart::Thought { text, signature } } else { AnswerPart::Text { text, signature } })
}

fn signature_of(part: &Value, reading: &Reading) -> Option<Signature> {
    let value = spelling::get(part, "thoughtSignature")?.as_str()?;
    let value = Some(value).filter(|value| !value.is_empty())?.to_owned();
    Some(Signature { family: reading.family, account: reading.account, item: None, value })
}

fn read_call(call: &Value, signature: Option<Signature>, reading: &mut Reading) -> Option<AnswerPart> {
    let name = spelling::get(call, "name")?.as_str().filter(|name| !name.is_empty())?;
    let arguments = spelling::get(call, "args").and_then(Value::as_object).cloned().unwrap_or_default();
    if reading.answers_by_tool && name == ANSWER_TOOL {
        return Some(AnswerPart::Text { text: Value::Object(arguments).to_string(), signature });
    }
    let own = spelling::get(call, "id").and_then(Value::as_str);
    let id = reading.ids.of_call(own, reading.client);
    Some(AnswerPart::Call { id, name: reading.names.restore(name).to_owned(), arguments, signature })
}

fn read_medium(part: &Value) -> Option<Block> {
    let source = if let Some(inline) = spelling::get(part, "inlineData") {
        let data = media::decode(spelling::get(inline, "data")?.as_str()?)?;
        let said = spelling::get(inline, "mimeType").and_then(Value::as_str);
        let mime = mime::of_bytes(said, &data).unwrap_or_else(|| "application/octet-stream".to_owned());
        Source::Inline { mime, data }
    } else {
        let file = spelling::get(part, "fileData")?;
        let uri = spelling::get(file, "fileUri")?.as_str()?.to_owned();
        let said = spelling::get(file, "mimeType").and_then(Value::as_str);
        let mime = said.or_else(|| mime::of_address(&uri)).map(str::to_owned);
        if mime::is_google_file(&uri) {
            let kind = mime::kind_of(mime.as_deref().unwrap_or_default());
            let source = Source::File { family: Family::Google, id: uri };
            return Some(Block::Media { kind, source, detail: None, title: None, cache: None });
        }
        Source::Url { url: uri, mime }
    };
    let (Source::Inline { mime, .. } | Source::Url { mime: Some(mime), .. }) = &source else { return None };
    Some(Block::Media { kind: mime::kind_of(mime), source, detail: None, title: None, cache: None })
}
