//! Single content blocks.

use serde_json::{Map, Value};

use super::fields::{CacheMarks, array, boolean, given, missing, object, only, path, tag, text, word, wrong};
use crate::simulator::asked::Media;
use crate::simulator::refusal::Refusal;
use crate::simulator::seal::{Seal, decode_strictly};

/// A block, as far as the rules of a conversation and the answer depend on it.
#[derive(Debug)]
pub(super) enum Block {
    Text(String),
    Media(Media),
    Call {
        id: String,
        name: String,
    },
    Result {
        id: String,
        said: String,
        media: Vec<Media>,
    },
    Thinking,
    Redacted,
    /// A block of a hosted tool.
    Hosted,
}

impl Block {
    /// The block's `type`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Media(_) => "image",
            Self::Call { .. } => "tool_use",
            Self::Result { .. } => "tool_result",
            Self::Thinking => "thinking",
            Self::Redacted => "redacted_thinking",
            Self::Hosted => "server_tool_use",
        }
    }
}

const READ: &[&str] = &["document", "image", "redacted_thinking", "text", "thinking", "tool_result", "tool_use"];
const HOSTED: &[&str] = &[
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "mcp_tool_result",
    "mcp_tool_use",
    "search_result",
    "server_tool_use",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "web_fetch_tool_result",
    "web_search_tool_result",
];

/// Reads one block of a message. `at` is its path without its type.
pub(super) fn read(block: &Value, role: &str, at: &str, marks: &mut CacheMarks) -> Result<Block, Refusal> {
    let fields = object(block, at)?;
    let tags: Vec<&str> = READ.iter().chain(HOSTED).copied().collect();
    let kind = tag(fields, at, &tags)?;
    let belongs = match kind {
        "tool_use" | "thinking" | "redacted_thinking" => "assistant",
        "tool_result" | "image" | "document" => "user",
        _ => role,
    };
    if belongs != role {
        let message = at.split(".content").next().unwrap_or(at);
        return Err(wrong(message, &format!("`{kind}` blocks can only be in `{belongs}` messages")));
    }
    let at = path(at, kind);
    if HOSTED.contains(&kind) {
        marks.see(fields, &at)?;
        return Ok(Block::Hosted);
    }
    match kind {
        "text" => {
            only(fields, &["type", "text", "cache_control", "citations"], &at)?;
            marks.see(fields, &at)?;
            Ok(Block::Text(said(text(fields, "text", &at)?, "messages")?))
        }
        "image" | "document" => {
            marks.see(fields, &at)?;
            media(kind, fields, &at).map(Block::Media)
        }
        "tool_use" => tool_use(fields, &at, marks),
        "tool_result" => tool_result(fields, &at, marks),
        "thinking" => {
            only(fields, &["type", "thinking", "signature"], &at)?;
            let thought = text(fields, "thinking", &at)?;
            if Seal::Thinking.is_of(text(fields, "signature", &at)?, thought) {
                return Ok(Block::Thinking);
            }
            Err(unsealed(&at, "signature", "thinking"))
        }
        _ => {
            only(fields, &["type", "data"], &at)?;
            if Seal::Redacted.is_mine(text(fields, "data", &at)?) {
                return Ok(Block::Redacted);
            }
            Err(unsealed(&at, "data", "redacted_thinking"))
        }
    }
}

fn unsealed(at: &str, name: &str, kind: &str) -> Refusal {
    let at = at.strip_suffix(kind).map_or(at, |at| at.trim_end_matches('.'));
    wrong(at, &format!("Invalid `{name}` in `{kind}` block"))
}

/// Text that says something.
pub(super) fn said(text: &str, at: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(wrong(at, "text content blocks must be non-empty"));
    }
    if text.trim().is_empty() {
        return Err(wrong(at, "text content blocks must contain non-whitespace text"));
    }
    Ok(text.to_owned())
}

fn tool_use(fields: &Map<String, Value>, at: &str, marks: &mut CacheMarks) -> Result<Block, Refusal> {
    only(fields, &["type", "id", "name", "input", "cache_control", "caller", "toolset_name"], at)?;
    marks.see(fields, at)?;
    let id = text(fields, "id", at)?;
    check_id(id, &path(at, "id"))?;
    let name = text(fields, "name", at)?;
    super::tools::check_name(name, &path(at, "name"))?;
    object(given(fields, "input").ok_or_else(|| missing(&path(at, "input")))?, &path(at, "input"))?;
    Ok(Block::Call { id: id.to_owned(), name: name.to_owned() })
}

fn check_id(id: &str, at: &str) -> Result<(), Refusal> {
    if !id.is_empty() && id.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter)) {
        return Ok(());
    }
    Err(wrong(at, "String should match pattern '^[a-zA-Z0-9_-]+$'"))
}

fn tool_result(fields: &Map<String, Value>, at: &str, marks: &mut CacheMarks) -> Result<Block, Refusal> {
    only(fields, &["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"], at)?;
    marks.see(fields, at)?;
    let id = text(fields, "tool_use_id", at)?;
    check_id(id, &path(at, "tool_use_id"))?;
    let is_error = boolean(fields, "is_error", at)?.unwrap_or(false);
    let (mut texts, mut arrived) = (Vec::new(), Vec::new());
    match given(fields, "content") {
        None => {}
        Some(Value::String(text)) => texts.push(text.clone()),
        Some(list) => {
            let at = path(at, "content");
            for (place, part) in array(list, &at)?.iter().enumerate() {
                let at = format!("{at}.{place}");
                let fields = object(part, &at)?;
                let kind = tag(fields, &at, &["document", "image", "search_result", "text", "tool_reference"])?;
                let at = path(&at, kind);
                marks.see(fields, &at)?;
                match kind {
                    "text" => texts.push(said(text(fields, "text", &at)?, "messages")?),
                    "image" | "document" => arrived.push(media(kind, fields, &at)?),
                    _ => {}
                }
            }
        }
    }
    if is_error && !arrived.is_empty() {
        return Err(wrong(at, "all content must be type `text` if `is_error` is true"));
    }
    Ok(Block::Result { id: id.to_owned(), said: texts.join(" "), media: arrived })
}

fn media(kind: &str, fields: &Map<String, Value>, at: &str) -> Result<Media, Refusal> {
    only(fields, if kind == "image" { &["type", "source", "cache_control", "transformations"] } else { DOCUMENT }, at)?;
    let at = path(at, "source");
    let source = object(given(fields, "source").ok_or_else(|| missing(&at))?, &at)?;
    let sources: &[&str] =
        if kind == "image" { &["base64", "file", "url"] } else { &["base64", "content", "file", "text", "url"] };
    let form = tag(source, &at, sources)?;
    let at = path(&at, form);
    match form {
        "url" | "file" => {
            let name = if form == "url" { "url" } else { "file_id" };
            only(source, &["type", name], &at)?;
            Ok(Media::Elsewhere(text(source, name, &at)?.to_owned()))
        }
        "content" => Ok(Media::Inline { mime: "text/plain".to_owned(), bytes: source["content"].to_string().len() }),
        "text" => {
            only(source, &["type", "media_type", "data"], &at)?;
            word(&source["media_type"], &path(&at, "media_type"), &["text/plain"])?;
            Ok(Media::Inline { mime: "text/plain".to_owned(), bytes: text(source, "data", &at)?.len() })
        }
        _ => base64(kind, source, &at),
    }
}

const DOCUMENT: &[&str] = &["type", "source", "title", "context", "citations", "cache_control"];
const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

fn base64(kind: &str, source: &Map<String, Value>, at: &str) -> Result<Media, Refusal> {
    only(source, &["type", "media_type", "data"], at)?;
    let types: &[&str] = if kind == "image" { IMAGES } else { &["application/pdf"] };
    let type_at = path(at, "media_type");
    let mime = word(given(source, "media_type").ok_or_else(|| missing(&type_at))?, &type_at, types)?;
    let data = text(source, "data", at)?;
    let bytes = decode_strictly(data).filter(|bytes| !bytes.is_empty()).ok_or_else(|| wrong(at, "invalid base64 data"))?;
    if let Some(looks) = look(&bytes).filter(|looks| *looks != mime) {
        let text = format!("The image was specified using the {mime} media type, but the image appears to be a {looks} image");
        return Err(wrong(&path(at, "data"), &text));
    }
    Ok(Media::Inline { mime: mime.to_owned(), bytes: bytes.len() })
}

/// The media type these bytes look like.
fn look(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', ..] => Some("application/pdf"),
        _ => None,
    }
}
