//! Images, documents and sounds of a request to OpenAI.

use serde_json::{Map, Value};

use super::fields::{given, text};
use crate::simulator::asked::Media;
use crate::simulator::refusal::Refusal;
use crate::simulator::seal::decode_strictly;

/// Reads an image that is a URL or a data URL.
pub(in crate::simulator) fn image(url: &str, at: &str) -> Result<Media, Refusal> {
    if url.starts_with("data:") {
        return media_of_data_url(url, at, "an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=')", |mime| {
            ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"].contains(&mime)
        });
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(Media::Elsewhere(url.to_owned()));
    }
    let text = format!("Invalid '{at}'. Expected a valid URL, but got a value with an invalid format.");
    Err(Refusal::bad(text).param(at).code("invalid_value"))
}

/// Reads a file: a data URL, the id of an uploaded one, or (Responses) a URL.
pub(in crate::simulator) fn file(part: &Map<String, Value>, at: &str) -> Result<Media, Refusal> {
    if let Some(data) = text(part, "file_data")? {
        let at = format!("{at}.file_data");
        return media_of_data_url(data, &at, "a MIME type (e.g. 'data:application/pdf;base64,JVBERi0=')", |_| true);
    }
    for name in ["file_id", "file_url"] {
        if let Some(place) = text(part, name)? {
            return Ok(Media::Elsewhere(place.to_owned()));
        }
    }
    Err(Refusal::missing(&format!("{at}.file_id")))
}

/// Reads `input_audio`: bare base64 and a format.
pub(super) fn audio(part: &Value, at: &str) -> Result<Media, Refusal> {
    let Some(audio) = part["input_audio"].as_object() else { return Err(Refusal::missing(&format!("{at}.input_audio"))) };
    let at = format!("{at}.input_audio");
    let format = given(audio, "format").ok_or_else(|| Refusal::missing(&format!("{at}.format")))?;
    let format = super::fields::word(format, &format!("{at}.format"), &["wav", "mp3"])?;
    let data = text(audio, "data")?.ok_or_else(|| Refusal::missing(&format!("{at}.data")))?;
    let at = format!("{at}.data");
    let bytes = decode_strictly(data).ok_or_else(|| no_base64(&at))?;
    Ok(Media::Inline { mime: format!("audio/{format}"), bytes: bytes.len() })
}

/// Reads a data URL whose media type `fits`.
fn media_of_data_url(url: &str, at: &str, expected: &str, fits: impl Fn(&str) -> bool) -> Result<Media, Refusal> {
    let wrong = |got: &str| {
        let text = format!("Invalid '{at}'. Expected a base64-encoded data URL with {expected}, but got {got}.");
        Refusal::bad(text).param(at).code("invalid_value")
    };
    let Some(rest) = url.strip_prefix("data:") else { return Err(wrong("a value without the 'data:' prefix")) };
    let Some((mime, data)) = rest.split_once(";base64,") else { return Err(wrong("a value without the ';base64,' mark")) };
    if !fits(mime) {
        return Err(wrong(&format!("unsupported MIME type '{mime}'")));
    }
    let bytes = decode_strictly(data).filter(|bytes| !bytes.is_empty()).ok_or_else(|| no_base64(at))?;
    Ok(Media::Inline { mime: mime.to_owned(), bytes: bytes.len() })
}

fn no_base64(at: &str) -> Refusal {
    Refusal::bad(format!("Invalid '{at}': the value is not valid base64.")).param(at).code("invalid_base64")
}
