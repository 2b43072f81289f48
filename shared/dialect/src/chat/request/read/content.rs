//! What messages are made of: texts and media.

use serde_json::Value;

use super::text;
use crate::ir::{Block, CacheMark, Detail, Family, MediaKind, Source};
use crate::media;
use crate::node::{BodyError, Node, Rule};

const PARTS: &str = "text, image_url, input_audio, file, video_url";

/// The content of a user's or a tool's message.
pub(super) fn any(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    each(content, part)
}

/// Content that may hold nothing but text.
pub(super) fn texts(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    each(content, |part| match part.need("type")?.text()? {
        "text" => words(part),
        _ => Err(part.need("type")?.broken(Rule::Word("text"))),
    })
}

/// The content of a message of the model's.
pub(super) fn spoken(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    each(content, |part| match part.need("type")?.text()? {
        "text" => words(part),
        "refusal" => Ok(Block::Refusal { text: part.need("refusal")?.text()?.to_owned() }),
        _ => Err(part.need("type")?.broken(Rule::Word("text, refusal"))),
    })
}

fn each(content: &Node<'_>, read: impl Fn(&Node<'_>) -> Result<Block, BodyError>) -> Result<Vec<Block>, BodyError> {
    if let Some(text) = content.value().as_str() {
        return Ok(vec![Block::text(text)]);
    }
    if !content.value().is_array() {
        return Err(content.wrong("a string or an array"));
    }
    let mut blocks = Vec::new();
    for part in content.items()? {
        part.object()?;
        blocks.push(read(&part)?);
    }
    Ok(blocks)
}

fn part(part: &Node<'_>) -> Result<Block, BodyError> {
    let kind = part.need("type")?;
    let (kind, source, detail, title) = match kind.text()? {
        "text" => return words(part),
        "image_url" => {
            let image = part.need("image_url")?;
            (MediaKind::Image, address(&image)?, detail(&image)?, None)
        }
        "video_url" => (MediaKind::Video, address(&part.need("video_url")?)?, None, None),
        "input_audio" => (MediaKind::Audio, sound(&part.need("input_audio")?)?, None, None),
        "file" => {
            let file = part.need("file")?;
            (MediaKind::Document, document(&file)?, None, text(&file, "filename")?)
        }
        _ => return Err(kind.broken(Rule::Word(PARTS))),
    };
    Ok(Block::Media { kind, source, detail, title, cache: cache(part) })
}

fn words(part: &Node<'_>) -> Result<Block, BodyError> {
    let text = part.need("text")?.text()?.to_owned();
    Ok(Block::Text { text, cache: cache(part), citations: Vec::new(), signature: None })
}

/// The mark that several gateways take over from Anthropic. One that cannot be read is none.
pub(super) fn cache(part: &Node<'_>) -> Option<CacheMark> {
    let mark = part.get("cache_control")?;
    if mark.value().get("type")? != "ephemeral" {
        return None;
    }
    Some(if mark.value().get("ttl").and_then(Value::as_str) == Some("1h") { CacheMark::OneHour } else { CacheMark::FiveMinutes })
}

/// An address in an object, or alone as some clients write it.
fn address(holder: &Node<'_>) -> Result<Source, BodyError> {
    if holder.value().is_string() { source(holder) } else { source(&holder.need("url")?) }
}

fn source(url: &Node<'_>) -> Result<Source, BodyError> {
    let address = url.text()?;
    if address.is_empty() {
        return Err(url.broken(Rule::Empty));
    }
    if address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        let (mime, data) = media::data_url(address).ok_or_else(|| url.broken(Rule::Other(" is no readable data URL")))?;
        return Ok(Source::Inline { mime, data });
    }
    Ok(Source::Url { url: address.to_owned(), mime: None })
}

fn detail(image: &Node<'_>) -> Result<Option<Detail>, BodyError> {
    let words = [("low", Detail::Low), ("high", Detail::High), ("original", Detail::High), ("auto", Detail::Auto)];
    image.get("detail").map(|node| node.word(&words, "low, high, auto")).transpose()
}

fn sound(audio: &Node<'_>) -> Result<Source, BodyError> {
    let data = audio.need("data")?;
    let format = audio.need("format")?.text()?;
    if let Source::Inline { mime, data } = source(&data)? {
        return Ok(Source::Inline { mime, data });
    }
    let bytes = media::decode(data.text()?).ok_or_else(|| data.broken(Rule::Other(" holds no base64")))?;
    let mime = if format == "mp3" { "audio/mpeg".to_owned() } else { format!("audio/{format}") };
    Ok(Source::Inline { mime, data: bytes })
}

fn document(file: &Node<'_>) -> Result<Source, BodyError> {
    if let Some(id) = file.get("file_id") {
        return Ok(Source::File { family: Family::OpenAi, id: super::named(&id)? });
    }
    let data = file.need("file_data")?;
    match source(&data)? {
        Source::Url { .. } => Err(data.broken(Rule::Other(" must be a data URL"))),
        inline => Ok(inline),
    }
}
