//! Parts as Gemini takes and gives them, both towards callers and towards the upstream.

use serde_json::{Map, Value, json};

use super::mime;
use crate::ir::{Arguments, Family, Source};
use crate::media;

/// Where what a model wrote instead of arguments is kept.
const RAW: &str = "_raw";

/// A part of text.
pub(super) fn text(text: &str) -> Map<String, Value> {
    one("text", json!(text))
}

/// A part of reasoning.
pub(super) fn thought(text: &str) -> Map<String, Value> {
    let mut part = one("text", json!(text));
    part.insert("thought".to_owned(), json!(true));
    part
}

/// A part with one field.
pub(super) fn one(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// The part with a signature, if there is one.
pub(super) fn signed(mut part: Map<String, Value>, signature: Option<String>) -> Value {
    if let Some(signature) = signature {
        part.insert("thoughtSignature".to_owned(), Value::String(signature));
    }
    Value::Object(part)
}

/// Arguments as an object.
pub(super) fn arguments(arguments: &Arguments) -> Value {
    match arguments {
        Arguments::Object(object) => Value::Object(object.clone()),
        Arguments::Raw(text) => json!({ RAW: text }),
    }
}

/// A medium. `None` where it lies in another provider's store.
pub(super) fn medium(source: &Source) -> Option<Map<String, Value>> {
    match source {
        Source::Inline { mime, data } => Some(one("inlineData", json!({"mimeType": mime, "data": media::encode(data)}))),
        Source::Url { url, mime } => Some(file(url, mime.as_deref())),
        Source::File { family: Family::Google, id } => Some(file(id, None)),
        Source::File { .. } => None,
        Source::Text(words) => Some(text(words)),
    }
}

fn file(uri: &str, said: Option<&str>) -> Map<String, Value> {
    let mut file = Map::new();
    if let Some(mime) = said.or_else(|| mime::of_address(uri)) {
        file.insert("mimeType".to_owned(), json!(mime));
    }
    file.insert("fileUri".to_owned(), json!(uri));
    one("fileData", Value::Object(file))
}
