//! What a provider's message or delta holds beside calls, in the order reasoning, content, refusal, media.

use serde_json::Value;

use super::citations;
use super::details::{self, Detail};
use crate::codec::Reading;
use crate::ir::{Block, MediaKind, Signature, Source};
use crate::media;

/// One thing that was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Reasoning, and what proves it and what came before it. One of both may be missing.
    Thinking { text: String, signature: Option<Signature> },
    /// Reasoning that only its provider can read.
    Redacted(Signature),
    /// Text, as it came: it may begin with reasoning in tags.
    Content(String),
    /// The signature of the text (Google).
    Signed(Signature),
    /// A citation of the text.
    Citation(Value),
    /// A refusal.
    Refusal(String),
    /// An image or speech, whole.
    Media(Block),
}

/// All of a message.
pub(super) fn read(message: &Value, reading: &Reading) -> Vec<Said> {
    let mut said = Vec::new();
    thinking(message, reading, &mut said);
    content(message.get("content"), &mut said);
    let annotations = message.get("annotations").and_then(Value::as_array);
    said.extend(annotations.into_iter().flatten().map(|entry| Said::Citation(citations::read(entry))));
    if let Some(wire) = details::google_signature(message) {
        said.push(Said::Signed(signature(wire, None, reading)));
    }
    if let Some(refusal) = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        said.push(Said::Refusal(refusal.to_owned()));
    }
    let images = message.get("images").and_then(Value::as_array);
    said.extend(images.into_iter().flatten().filter_map(image));
    audio(message.get("audio"), &mut said);
    said
}

/// State of the provider whose answer it is.
pub(super) fn signature(wire: &str, item: Option<&str>, reading: &Reading) -> Signature {
    let (family, account) = (reading.family, reading.account);
    Signature { family, account, item: item.map(str::to_owned), value: wire.to_owned() }
}

fn thinking(message: &Value, reading: &Reading, said: &mut Vec<Said>) {
    let entries = details::read(message);
    if let Some(text) = details::plain(message).filter(|_| !entries.iter().any(Detail::is_readable)) {
        said.push(Said::Thinking { text: text.to_owned(), signature: None });
    }
    for entry in entries {
        match entry {
            Detail::Readable { text, signature: wire, item } => {
                let proof = wire.filter(|wire| !wire.is_empty()).map(|wire| signature(wire, item, reading));
                if !text.is_empty() || proof.is_some() {
                    said.push(Said::Thinking { text: text.to_owned(), signature: proof });
                }
            }
            Detail::Encrypted { data, item } => said.push(Said::Redacted(signature(data, item, reading))),
        }
    }
}

/// A string, or parts as Mistral and some others send them.
fn content(content: Option<&Value>, said: &mut Vec<Said>) {
    match content {
        Some(Value::String(text)) if !text.is_empty() => said.push(Said::Content(text.clone())),
        Some(Value::Array(parts)) => {
            for part in parts {
                let text = |name| part.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                match part.get("type").and_then(Value::as_str) {
                    Some("text" | "output_text") => said.push(Said::Content(text("text"))),
                    Some("refusal") => said.push(Said::Refusal(text("refusal"))),
                    Some("thinking") => said.push(Said::Thinking { text: thoughts(part.get("thinking")), signature: None }),
                    Some("image_url") => said.extend(image(part)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn thoughts(thinking: Option<&Value>) -> String {
    match thinking {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

fn image(entry: &Value) -> Option<Said> {
    let holder = entry.get("image_url")?;
    let url = holder.as_str().or_else(|| holder.get("url")?.as_str())?;
    let source = match media::data_url(url) {
        Some((mime, data)) => Source::Inline { mime, data },
        None if url.starts_with("data:") => return None,
        None => Source::Url { url: url.to_owned(), mime: None },
    };
    Some(Said::Media(Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None }))
}

/// Speech, and its words as text.
fn audio(audio: Option<&Value>, said: &mut Vec<Said>) {
    let text = |name| audio?.get(name)?.as_str().filter(|text| !text.is_empty());
    if let Some(transcript) = text("transcript") {
        said.push(Said::Content(transcript.to_owned()));
    }
    if let Some(data) = text("data").and_then(media::decode) {
        let source = Source::Inline { mime: "audio/wav".to_owned(), data };
        said.push(Said::Media(Block::Media { kind: MediaKind::Audio, source, detail: None, title: None, cache: None }));
    }
}
