//! `inlineData` and `fileData`.

use super::super::super::mime;
use super::super::super::spelling::{field, need};
use super::config::read_detail;
use crate::ir::{Block, Detail, Family, MediaKind, Source};
use crate::media;
use crate::node::{BodyError, Node, Rule};

/// The medium of a part, if it holds one. `detail` is for those that say nothing themselves.
pub(super) fn read(part: &Node<'_>, detail: Option<Detail>) -> Result<Option<Block>, BodyError> {
    let (kind, source, data) = if let Some(data) = field(part, "inlineData") {
        let (kind, source) = read_inline(&data)?;
        (kind, source, data)
    } else if let Some(data) = field(part, "fileData") {
        let (kind, source) = read_file(&data)?;
        (kind, source, data)
    } else {
        return Ok(None);
    };
    let title = field(&data, "displayName").map(|name| name.text().map(str::to_owned)).transpose()?;
    let detail = own_detail(part)?.or(detail).filter(|_| kind == MediaKind::Image);
    Ok(Some(Block::Media { kind, source, detail, title, cache: None }))
}

fn read_inline(data: &Node<'_>) -> Result<(MediaKind, Source), BodyError> {
    data.object()?;
    let encoded = need(data, "data")?;
    let Some(bytes) = media::decode(encoded.text()?) else { return Err(encoded.broken(Rule::Other(" holds no base64"))) };
    let said = field(data, "mimeType").map(|node| node.text()).transpose()?;
    let mime = match mime::of_bytes(said, &bytes) {
        Some(mime) => mime,
        None => need(data, "mimeType")?.text()?.to_owned(),
    };
    let kind = mime::kind_of(&mime);
    if mime.starts_with("text/")
        && let Ok(text) = std::str::from_utf8(&bytes)
    {
        return Ok((kind, Source::Text(text.to_owned())));
    }
    Ok((kind, Source::Inline { mime, data: bytes }))
}

fn read_file(data: &Node<'_>) -> Result<(MediaKind, Source), BodyError> {
    data.object()?;
    let uri = need(data, "fileUri")?.text()?.to_owned();
    let said = field(data, "mimeType").map(|node| node.text()).transpose()?;
    let mime = said.or_else(|| mime::of_address(&uri)).map(str::to_ascii_lowercase);
    let kind = match &mime {
        Some(mime) => mime::kind_of(mime),
        None if mime::is_youtube(&uri) => MediaKind::Video,
        None => MediaKind::Document,
    };
    if mime::is_google_file(&uri) {
        return Ok((kind, Source::File { family: Family::Google, id: uri }));
    }
    Ok((kind, Source::Url { url: uri, mime }))
}

/// `mediaResolution` of a part: a level, alone or in an object.
fn own_detail(part: &Node<'_>) -> Result<Option<Detail>, BodyError> {
    let Some(resolution) = field(part, "mediaResolution") else { return Ok(None) };
    match field(&resolution, "level") {
        Some(level) => read_detail(&level),
        None if resolution.value().is_object() => Ok(None),
        None => read_detail(&resolution),
    }
}
