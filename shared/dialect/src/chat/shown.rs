//! Media of an answer, as callers get them (conversions.md §6).

use serde_json::{Value, json};

use crate::codec::Asked;
use crate::ir::{Block, MediaKind, Source};
use crate::media;

/// How long speech is said to be kept, in seconds. It is kept by nobody.
const AUDIO_SECS: i64 = 3600;

/// A medium that has a place in a message.
#[derive(Debug)]
pub(super) enum Shown {
    /// An entry of `images`, and its address.
    Image { entry: Value, url: String },
    /// The `audio` of a message.
    Audio(Value),
}

/// `None` for what has no place.
pub(super) fn shown(block: &Block, asked: &mut Asked) -> Option<Shown> {
    let Block::Media { kind, source, .. } = block else { return None };
    match (kind, source) {
        (MediaKind::Image, Source::Inline { mime, data }) => Some(image(media::to_data_url(mime, data))),
        (MediaKind::Image, Source::Url { url, .. }) => Some(image(url.clone())),
        (MediaKind::Audio, Source::Inline { data, .. }) => Some(Shown::Audio(json!({
            "id": asked.ids.make("audio_"),
            "data": media::encode(data),
            "transcript": "",
            "expires_at": asked.created.saturating_add(AUDIO_SECS),
        }))),
        _ => None,
    }
}

fn image(url: String) -> Shown {
    Shown::Image { entry: json!({"type": "image_url", "image_url": {"url": url}}), url }
}

/// An image as Markdown.
pub(super) fn markdown(url: &str) -> String {
    format!("![image]({url})")
}

/// The id of an answer: the provider's own where it is one of this dialect.
pub(super) fn answer_id(own: &str, asked: &mut Asked) -> String {
    if own.starts_with("chatcmpl-") { own.to_owned() } else { asked.ids.make("chatcmpl-") }
}
