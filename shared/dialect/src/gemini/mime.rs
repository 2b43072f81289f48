//! Media types: what kind of medium they are, and which one an address seems to have.

use crate::ir::MediaKind;
use crate::media;

/// Endings of addresses and the type they stand for.
const ENDINGS: [(&str, &str); 17] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
    ("mpeg", "video/mpeg"),
];

/// What kind of medium a type is. What is no image, sound or film is a document.
pub(super) fn kind_of(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// The type an address ends like.
pub(super) fn of_address(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, mime)| *mime)
}

/// The type of bytes: as it was said, in its usual spelling, unless an image is another image than it was said to be.
pub(super) fn of_bytes(said: Option<&str>, data: &[u8]) -> Option<String> {
    let sniffed = media::sniff(data);
    let Some(said) = said else { return sniffed.map(str::to_owned) };
    let said = said.to_ascii_lowercase();
    match sniffed {
        Some(sniffed) if kind_of(sniffed) == MediaKind::Image && kind_of(&said) == MediaKind::Image => Some(sniffed.to_owned()),
        _ if said == "image/jpg" => Some("image/jpeg".to_owned()),
        _ => Some(said),
    }
}

/// Whether an address lies in Google's storage, where nobody else can read it.
pub(super) fn is_google_file(uri: &str) -> bool {
    uri.starts_with("gs://") || uri.starts_with("files/") || uri.starts_with("https://generativelanguage.googleapis.com/")
}

/// Whether an address is a film that Gemini watches where it is.
pub(super) fn is_youtube(uri: &str) -> bool {
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://")).unwrap_or(uri);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    matches!(host, "youtube.com" | "www.youtube.com" | "m.youtube.com" | "youtu.be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_what_is_known() {
        assert_eq!(of_address("https://a.example/b/photo.JPG?x=.png"), Some("image/jpeg"));
        assert_eq!(of_address("https://a.example/b"), None);
        assert_eq!(of_bytes(Some("image/jpg"), b"?").as_deref(), Some("image/jpeg"));
        assert_eq!(
            of_bytes(Some("image/jpeg"), b"\x89PNG\r\n\x1a\n").as_deref(),
            Some("image/png"),
            "what it is, not what it is called"
        );
        assert_eq!(of_bytes(None, b"%PDF-1.7").as_deref(), Some("application/pdf"));
        assert_eq!(of_bytes(None, b"?"), None);
        assert!(is_youtube("https://www.youtube.com/watch?v=1") && !is_youtube("https://youtube.com.example/"));
        assert!(is_google_file("gs://bucket/a.pdf") && !is_google_file("https://a.example/gs://"));
        assert_eq!(kind_of("application/pdf"), MediaKind::Document);
    }
}
