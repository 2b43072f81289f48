//! Parts of a user's message.

use serde_json::{Map, Value, json};

use crate::ir::{Block, Detail, MediaKind, Source};
use crate::loss::{Field, Losses, Unsupported};
use crate::media;
use crate::target::Target;

/// A block as an input part; `None` where a channel wants it left out.
pub(super) fn part(block: &Block, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    match block {
        Block::Text { text, .. } | Block::Refusal { text } => Ok(Some(input_text(text))),
        Block::Media { source: Source::Text(text), title, .. } => Ok(Some(input_text(&titled(title.as_deref(), text)))),
        Block::Media { source: Source::File { family, .. }, .. } if *family != target.family => {
            losses.reject(Field::FileId)?;
            Ok(None)
        }
        Block::Media { kind, source, detail, title, .. } => match kind {
            MediaKind::Image => image(source, *detail, target, losses),
            MediaKind::Document => document(source, title.as_deref(), target, losses),
            MediaKind::Audio => audio(source, target, losses),
            MediaKind::Video => nothing(Field::Video, losses),
        },
        Block::Native { .. } => {
            losses.drop(Field::NativePart)?;
            Ok(None)
        }
        Block::Thinking { .. } | Block::Redacted { .. } | Block::ToolCall { .. } | Block::ToolResult { .. } => Ok(None),
    }
}

/// A part of text.
pub(super) fn input_text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// A document of plain text under its title.
fn titled(title: Option<&str>, text: &str) -> String {
    title.map_or_else(|| text.to_owned(), |title| format!("{title}\n{text}"))
}

fn nothing(field: Field, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    losses.reject(field)?;
    Ok(None)
}

fn image(
    source: &Source,
    detail: Option<Detail>,
    target: &Target<'_>,
    losses: &mut Losses<'_>,
) -> Result<Option<Value>, Unsupported> {
    let capabilities = target.capabilities;
    let detail = match detail {
        Some(Detail::Low) => "low",
        Some(Detail::High) => "high",
        Some(Detail::Auto) | None => "auto",
    };
    let (name, value) = match source {
        _ if !capabilities.images => return nothing(Field::Image, losses),
        Source::Url { .. } if !capabilities.image_urls => return nothing(Field::Image, losses),
        Source::Url { url, .. } => ("image_url", url.clone()),
        Source::Inline { mime, data } => ("image_url", media::to_data_url(mime, data)),
        Source::File { id, .. } => ("file_id", id.clone()),
        Source::Text(text) => return Ok(Some(input_text(text))),
    };
    Ok(Some(json!({"type": "input_image", name: value, "detail": detail})))
}

fn document(
    source: &Source,
    title: Option<&str>,
    target: &Target<'_>,
    losses: &mut Losses<'_>,
) -> Result<Option<Value>, Unsupported> {
    if !target.capabilities.documents {
        return nothing(Field::Document, losses);
    }
    let mut part = Map::from_iter([("type".to_owned(), Value::from("input_file"))]);
    let (name, value) = match source {
        Source::Url { url, .. } => ("file_url", url.clone()),
        Source::File { id, .. } => ("file_id", id.clone()),
        Source::Text(text) => return Ok(Some(input_text(text))),
        Source::Inline { mime, data } => {
            let fallback = if mime == "application/pdf" { "document.pdf" } else { "document" };
            part.insert("filename".to_owned(), Value::from(title.unwrap_or(fallback)));
            ("file_data", media::to_data_url(mime, data))
        }
    };
    part.insert(name.to_owned(), Value::from(value));
    Ok(Some(Value::Object(part)))
}

fn audio(source: &Source, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    let Source::Inline { mime, data } = source else { return nothing(Field::Audio, losses) };
    let format = match mime.as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        _ => return nothing(Field::Audio, losses),
    };
    if !target.capabilities.audio {
        return nothing(Field::Audio, losses);
    }
    Ok(Some(json!({"type": "input_audio", "input_audio": {"data": media::encode(data), "format": format}})))
}
