//! Texts and media of a user's message (conversions.md §3, §6).

use serde_json::{Map, Value, json};

use crate::ir::{Block, Detail, Family, MediaKind, Source};
use crate::loss::{Field, Losses, Unsupported};
use crate::media;
use crate::target::Target;

/// A message's content: a string where it is one text, else parts.
pub(super) fn content(mut parts: Vec<Value>) -> Value {
    if let [only] = parts.as_mut_slice()
        && only["type"] == "text"
    {
        return only.get_mut("text").map(Value::take).unwrap_or_default();
    }
    Value::Array(parts)
}

pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// One block as a part; `None` where it was left out.
pub(super) fn part(block: &Block, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    match block {
        Block::Text { text: said, .. } | Block::Refusal { text: said } => Ok(Some(text(said))),
        Block::Media { kind, source, detail, title, .. } => {
            let written = match kind {
                MediaKind::Image => image(source, *detail, target),
                MediaKind::Audio => sound(source, target),
                MediaKind::Video => film(source, target),
                MediaKind::Document => document(source, title.as_deref(), target),
            };
            match written {
                Ok(part) => Ok(Some(part)),
                Err(field) => losses.reject(field).map(|()| None),
            }
        }
        Block::Native { .. } => losses.drop(Field::NativePart).map(|()| None),
        Block::Thinking { .. } | Block::Redacted { .. } | Block::ToolCall { .. } | Block::ToolResult { .. } => Ok(None),
    }
}

/// The kind of a medium, for people, and its field.
pub(super) const fn named(kind: MediaKind) -> (&'static str, Field) {
    match kind {
        MediaKind::Image => ("image", Field::Image),
        MediaKind::Audio => ("audio", Field::Audio),
        MediaKind::Video => ("video", Field::Video),
        MediaKind::Document => ("document", Field::Document),
    }
}

fn image(source: &Source, detail: Option<Detail>, target: &Target<'_>) -> Result<Value, Field> {
    if !target.capabilities.images {
        return Err(Field::Image);
    }
    let url = match source {
        Source::Inline { mime, data } => media::to_data_url(mime, data),
        Source::Url { url, .. } if target.capabilities.image_urls => url.clone(),
        Source::Url { .. } | Source::Text(_) => return Err(Field::Image),
        Source::File { .. } => return Err(Field::FileId),
    };
    let mut image = Map::from_iter([("url".to_owned(), Value::from(url))]);
    if let Some(detail) = detail {
        let word = match detail {
            Detail::Low => "low",
            Detail::High => "high",
            Detail::Auto => "auto",
        };
        image.insert("detail".to_owned(), word.into());
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

fn sound(source: &Source, target: &Target<'_>) -> Result<Value, Field> {
    let Source::Inline { mime, data } = source else { return Err(Field::Audio) };
    let format = match mime.split(';').next().unwrap_or_default().trim() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mp3" | "audio/mpeg" => "mp3",
        _ => return Err(Field::Audio),
    };
    if !target.capabilities.audio {
        return Err(Field::Audio);
    }
    Ok(json!({"type": "input_audio", "input_audio": {"data": media::encode(data), "format": format}}))
}

/// A form of vendors; OpenAI has none.
fn film(source: &Source, target: &Target<'_>) -> Result<Value, Field> {
    let url = match source {
        _ if target.family == Family::OpenAi => return Err(Field::Video),
        Source::Inline { mime, data } => media::to_data_url(mime, data),
        Source::Url { url, .. } => url.clone(),
        Source::File { .. } => return Err(Field::FileId),
        Source::Text(_) => return Err(Field::Video),
    };
    Ok(json!({"type": "video_url", "video_url": {"url": url}}))
}

/// A document of plain text is text, behind its title.
fn titled(title: Option<&str>, said: &str) -> Value {
    match title {
        Some(title) => text(&format!("{title}\n{said}")),
        None => text(said),
    }
}

fn document(source: &Source, title: Option<&str>, target: &Target<'_>) -> Result<Value, Field> {
    let title = title.filter(|title| !title.is_empty());
    if let Source::Inline { mime, data } = source
        && mime.starts_with("text/")
        && let Ok(said) = std::str::from_utf8(data)
    {
        return Ok(titled(title, said));
    }
    match source {
        Source::Text(said) => Ok(titled(title, said)),
        Source::File { family, id } if *family == target.family => Ok(json!({"type": "file", "file": {"file_id": id}})),
        Source::File { .. } => Err(Field::FileId),
        Source::Inline { mime, data } if target.capabilities.documents => {
            let name = title.unwrap_or("document.pdf");
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": media::to_data_url(mime, data)}}))
        }
        Source::Inline { .. } | Source::Url { .. } => Err(Field::Document),
    }
}
