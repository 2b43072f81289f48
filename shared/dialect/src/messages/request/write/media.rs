//! Images and documents for an upstream.

use serde_json::{Map, Value, json};

use super::Writer;
use super::content::marked;
use crate::ir::{Block, Detail, MediaKind, Source};
use crate::loss::{Field, Unsupported};
use crate::media;
use crate::target::Host;

/// The images the dialect takes.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// The feature that lets a request name uploaded files.
const FILES: &str = "files-api-2025-04-14";
const WRONG_TYPE: &str = "is of a type that the provider of this model does not take";

impl Writer<'_, '_> {
    /// A medium; `None` where the channel wants left out what cannot be sent.
    pub(super) fn media(&mut self, block: &Block) -> Result<Option<Value>, Unsupported> {
        let Block::Media { kind, source, detail, title, cache } = block else { return Ok(None) };
        let capabilities = self.target.capabilities;
        let (field, word, is_taken) = match kind {
            MediaKind::Image => (Field::Image, "image", capabilities.images),
            MediaKind::Document => (Field::Document, "document", capabilities.documents),
            MediaKind::Audio => (Field::Audio, "audio", false),
            MediaKind::Video => (Field::Video, "video", false),
        };
        if !is_taken {
            self.losses.reject(field)?;
            return Ok(None);
        }
        if matches!(detail, Some(Detail::Low | Detail::High)) {
            self.losses.drop(Field::ImageDetail)?;
        }
        let Some(source) = self.source(*kind, source, field)? else { return Ok(None) };
        let mut written = Map::new();
        written.insert("type".to_owned(), word.into());
        written.insert("source".to_owned(), source);
        if let Some(title) = title.as_deref().filter(|_| *kind == MediaKind::Document) {
            written.insert("title".to_owned(), title.into());
        }
        Ok(Some(marked(written, *cache)))
    }

    fn source(&mut self, kind: MediaKind, source: &Source, field: Field) -> Result<Option<Value>, Unsupported> {
        match source {
            Source::Inline { mime, data } => match inline(kind, mime, data) {
                Some(source) => return Ok(Some(source)),
                None => self.losses.reject_because(field, WRONG_TYPE)?,
            },
            Source::Url { url, .. } => {
                let is_taken = self.target.host == Host::Own && self.target.capabilities.image_urls;
                if is_taken && (url.starts_with("https://") || url.starts_with("http://")) {
                    return Ok(Some(json!({"type": "url", "url": url})));
                }
                self.losses.reject_because(field, "cannot be given by this address to the provider of this model")?;
            }
            Source::File { family, id } if *family == self.target.family => {
                self.betas.push(FILES);
                return Ok(Some(json!({"type": "file", "file_id": id})));
            }
            Source::File { .. } => self.losses.reject(Field::FileId)?,
            Source::Text(text) if text.trim().is_empty() => {}
            Source::Text(text) => return Ok(Some(plain(text))),
        }
        Ok(None)
    }
}

/// Bytes as the wire has them. What they are is told by themselves where they contradict their type: the provider looks.
fn inline(kind: MediaKind, mime: &str, data: &[u8]) -> Option<Value> {
    let said = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let seen = media::sniff(data).filter(|seen| seen.starts_with("image/") || *seen == "application/pdf");
    let mime = seen.unwrap_or(if said == "image/jpg" { "image/jpeg" } else { said.as_str() });
    let fits = match kind {
        MediaKind::Image => IMAGES.contains(&mime),
        _ => mime == "application/pdf",
    };
    if fits {
        return Some(json!({"type": "base64", "media_type": mime, "data": media::encode(data)}));
    }
    let is_text = kind == MediaKind::Document && (mime.starts_with("text/") || mime == "application/json");
    is_text.then(|| std::str::from_utf8(data).ok().map(plain)).flatten()
}

fn plain(text: &str) -> Value {
    json!({"type": "text", "media_type": "text/plain", "data": text})
}
