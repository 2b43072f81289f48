//! Parts of messages and of tools' answers.

use bytes::Bytes;

use crate::ir::{Block, Detail, Family, MediaKind, Source};
use crate::media;
use crate::node::{BodyError, Node, Rule};

/// Text or a list of parts.
pub(super) fn read(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    if let Some(text) = content.value().as_str() {
        return Ok(vec![Block::text(text)]);
    }
    if !content.value().is_array() {
        return Err(content.wrong("a string or an array"));
    }
    content.items()?.map(|part| read_part(&part)).collect()
}

/// The same of instructions, which are text alone.
pub(super) fn read_text(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    if content.value().is_array() {
        for part in content.items()? {
            part.object()?;
            let kind = part.need("type")?;
            if !matches!(kind.text()?, "input_text" | "output_text" | "text") {
                return Err(kind.broken(Rule::Other(" must be input_text: instructions hold only text")));
            }
        }
    }
    read(content)
}

const KINDS: &str = "input_text, input_image, input_file, input_audio, output_text, refusal";

fn read_part(part: &Node<'_>) -> Result<Block, BodyError> {
    part.object()?;
    let kind = part.need("type")?;
    match kind.text()? {
        "input_text" | "text" => Ok(Block::text(part.need("text")?.text()?)),
        "output_text" => output_text(part),
        "refusal" => Ok(Block::Refusal { text: part.need("refusal")?.text()?.to_owned() }),
        "input_image" | "computer_screenshot" => image(part),
        "input_file" => file(part),
        "input_audio" => audio(part),
        _ => Err(kind.broken(Rule::Word(KINDS))),
    }
}

fn output_text(part: &Node<'_>) -> Result<Block, BodyError> {
    let mut citations = Vec::new();
    if let Some(annotations) = part.get("annotations") {
        citations.extend(annotations.items()?.map(|annotation| annotation.value().clone()));
    }
    Ok(Block::Text { text: part.need("text")?.text()?.to_owned(), cache: None, citations, signature: None })
}

fn image(part: &Node<'_>) -> Result<Block, BodyError> {
    let words = [("low", Detail::Low), ("high", Detail::High), ("auto", Detail::Auto), ("original", Detail::High)];
    let detail = part.get("detail").map(|detail| detail.word(&words, "low, high, auto, original")).transpose()?;
    let source = match part.get("file_id") {
        Some(id) => Source::File { family: Family::OpenAi, id: id.text()?.to_owned() },
        None => address(&part.need("image_url")?)?,
    };
    Ok(Block::Media { kind: MediaKind::Image, source, detail, title: None, cache: None })
}

/// A data URL, or the address of something elsewhere.
fn address(url: &Node<'_>) -> Result<Source, BodyError> {
    let said = url.text()?;
    if said.trim_start().starts_with("data:") {
        let (mime, data) = media::data_url(said).ok_or_else(|| url.broken(Rule::Other(" is no data URL of base64")))?;
        return Ok(Source::Inline { mime, data });
    }
    let is_address = ["https://", "http://", "gs://"].iter().any(|scheme| said.starts_with(scheme));
    if !is_address {
        return Err(url.broken(Rule::Other(" must be an http or https address or a data URL")));
    }
    Ok(Source::Url { url: said.to_owned(), mime: None })
}

fn file(part: &Node<'_>) -> Result<Block, BodyError> {
    let title = super::string(part, "filename")?;
    let source = if let Some(id) = part.get("file_id") {
        Source::File { family: Family::OpenAi, id: id.text()?.to_owned() }
    } else if let Some(url) = part.get("file_url") {
        address(&url)?
    } else {
        let data = part.need("file_data")?;
        let (mime, data) = file_data(data.text()?).ok_or_else(|| data.broken(Rule::Other(" holds no base64")))?;
        plain_text(mime, data)
    };
    let kind = match &source {
        Source::Inline { mime, .. } if mime.starts_with("image/") => MediaKind::Image,
        Source::Inline { mime, .. } if mime.starts_with("audio/") => MediaKind::Audio,
        Source::Inline { mime, .. } if mime.starts_with("video/") => MediaKind::Video,
        _ => MediaKind::Document,
    };
    Ok(Block::Media { kind, source, detail: None, title, cache: None })
}

/// A data URL; bare base64 is taken too.
fn file_data(said: &str) -> Option<(String, Bytes)> {
    if said.trim_start().starts_with("data:") {
        return media::data_url(said);
    }
    let data = media::decode(said)?;
    Some((media::sniff(&data).unwrap_or("application/pdf").to_owned(), data))
}

fn plain_text(mime: String, data: Bytes) -> Source {
    match std::str::from_utf8(&data) {
        Ok(text) if mime.starts_with("text/") => Source::Text(text.to_owned()),
        _ => Source::Inline { mime, data },
    }
}

fn audio(part: &Node<'_>) -> Result<Block, BodyError> {
    let audio = part.need("input_audio")?;
    audio.object()?;
    let data = audio.need("data")?;
    let bytes = media::decode(data.text()?).ok_or_else(|| data.broken(Rule::Other(" holds no base64")))?;
    let mime = match audio.need("format")?.text()? {
        "mp3" => "audio/mpeg".to_owned(),
        format => format!("audio/{format}"),
    };
    let source = Source::Inline { mime, data: bytes };
    Ok(Block::Media { kind: MediaKind::Audio, source, detail: None, title: None, cache: None })
}
