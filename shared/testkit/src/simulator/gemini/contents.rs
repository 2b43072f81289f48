//! The contents of a request: what each part says.

use serde_json::Value;

use super::fields::{Message, violation, wrong};
use crate::simulator::asked::Media;
use crate::simulator::refusal::Refusal;

/// A part, as far as the rules of a conversation and the answer depend on it.
#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    Media(Media),
    Call {
        id: Option<String>,
        name: String,
        signature: Option<String>,
    },
    Response {
        id: Option<String>,
        name: String,
        said: String,
        media: Vec<Media>,
    },
    /// A thought, or something hosted tools said.
    Other,
}

/// A content.
#[derive(Debug)]
pub(super) struct Content {
    /// `user` or `assistant`.
    pub(super) role: &'static str,
    pub(super) parts: Vec<Part>,
}

const PART: &[&str] = &[
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
    "audioTranscription",
    "mediaProcessing",
    "speechMetadata",
    "documentMetadata",
    "spreadsheetMetadata",
    "audioMetadata",
];
/// The fields of a part of which exactly one is set.
const DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Reads the contents under this name. There must be some.
pub(super) fn contents(body: &Message<'_>) -> Result<Vec<Content>, Refusal> {
    let list = body.list("contents")?;
    if list.is_empty() {
        return Err(wrong(&body.path("contents"), "contents is not specified"));
    }
    list.into_iter().map(|(at, value)| content(value, at)).collect()
}

/// Reads one content.
pub(super) fn content(value: &Value, at: String) -> Result<Content, Refusal> {
    let content = Message::read(value, at, &["role", "parts"])?;
    let role = match content.text("role")? {
        None | Some("" | "user" | "function") => "user",
        Some("model") => "assistant",
        Some(_) => return Err(Refusal::bad("Please use a valid role: user, model.")),
    };
    let parts = content.list("parts")?;
    if parts.is_empty() {
        return Err(wrong(&content.path("parts"), "contents.parts must not be empty."));
    }
    let parts = parts.into_iter().map(|(at, value)| part(value, at)).collect::<Result<_, _>>()?;
    Ok(Content { role, parts })
}

fn part(value: &Value, at: String) -> Result<Part, Refusal> {
    let part = Message::read(value, at, PART)?;
    let mut set = DATA.iter().filter(|name| part.get(name).is_some());
    let (first, second) = (set.next(), set.next());
    if let Some(second) = second {
        let text = format!("Invalid value at '{}' (oneof), oneof field 'data' is already set. Cannot set '{second}'", part.at);
        return Err(violation(&part.at, text));
    }
    part.bytes("thoughtSignature")?;
    let signature = part.text("thoughtSignature")?;
    let is_thought = part.boolean("thought")?;
    match first.copied() {
        None if signature.is_some() => Ok(Part::Other),
        None => Err(wrong(&part.path("data"), "required oneof field 'data' must have one initialized field")),
        Some("text") => {
            let text = part.text("text")?.unwrap_or_default();
            Ok(if is_thought { Part::Other } else { Part::Text(text.to_owned()) })
        }
        Some("inlineData") => inline_data(&part).map(Part::Media),
        Some("fileData") => {
            let Some(file) = part.message("fileData", &["mimeType", "fileUri", "displayName"])? else { return Ok(Part::Other) };
            let uri = file.text("fileUri")?.ok_or_else(|| wrong(&file.path("fileUri"), "file_uri is not specified"))?;
            Ok(Part::Media(Media::Elsewhere(uri.to_owned())))
        }
        Some("functionCall") => call(&part, signature),
        Some("functionResponse") => response(&part),
        Some(_) => Ok(Part::Other),
    }
}

fn inline_data(part: &Message<'_>) -> Result<Media, Refusal> {
    let Some(data) = part.message("inlineData", &["mimeType", "data", "displayName"])? else {
        return Err(wrong(&part.path("inlineData"), "inline_data is not specified"));
    };
    let mime = data.text("mimeType")?.filter(|mime| !mime.is_empty());
    let mime = mime.ok_or_else(|| wrong(&data.path("mimeType"), "mime_type is not specified"))?;
    let bytes = data.bytes("data")?.filter(|bytes| *bytes > 0);
    let bytes = bytes.ok_or_else(|| wrong(&data.path("data"), "data is not specified"))?;
    if !["image/", "audio/", "video/", "text/", "application/"].iter().any(|kind| mime.starts_with(kind)) {
        return Err(Refusal::bad(format!("Unsupported MIME type: {mime}")));
    }
    Ok(Media::Inline { mime: mime.to_owned(), bytes })
}

fn call(part: &Message<'_>, signature: Option<&str>) -> Result<Part, Refusal> {
    let known = ["id", "name", "args"];
    let Some(call) = part.message("functionCall", &known)? else { return Ok(Part::Other) };
    call.structure("args")?;
    let name = named(&call)?;
    let id = call.text("id")?.map(str::to_owned);
    Ok(Part::Call { id, name, signature: signature.map(str::to_owned) })
}

fn response(part: &Message<'_>) -> Result<Part, Refusal> {
    let known = ["id", "name", "response", "willContinue", "scheduling", "parts"];
    let Some(response) = part.message("functionResponse", &known)? else { return Ok(Part::Other) };
    let name = named(&response)?;
    let Some(said) = response.structure("response")? else {
        return Err(wrong(&response.path("response"), "function_response.response is not specified"));
    };
    let mut media = Vec::new();
    for (at, value) in response.list("parts")? {
        let part = Message::read(value, at, &["inlineData", "fileData"])?;
        if part.get("inlineData").is_some() {
            media.push(inline_data(&part)?);
        }
    }
    let id = response.text("id")?.map(str::to_owned);
    Ok(Part::Response { id, name, said: plainly(said), media })
}

fn named(message: &Message<'_>) -> Result<String, Refusal> {
    let name = message.text("name")?.filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| wrong(&message.path("name"), "Name cannot be empty."))
}

/// What a response says: the text under its one key, or all of it as JSON.
fn plainly(said: &Value) -> String {
    let fields = said.as_object().filter(|fields| fields.len() == 1);
    match fields.and_then(|fields| fields.values().next()).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => said.to_string(),
    }
}
