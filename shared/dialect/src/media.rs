//! Media as text: base64 in whatever spelling it comes, data URLs, and what bytes really are.
//!
//! Read generously, written in one way: the standard alphabet, padded.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use bytes::Bytes;

/// The largest medium that is decoded, in bytes of base64: bodies are bounded far below it.
pub const MAX_ENCODED_BYTES: usize = 96 << 20;

/// The bytes that base64 stands for: standard or URL-safe alphabet or both, padded or not, with white space anywhere. `None`: it is none, or
/// longer than [`MAX_ENCODED_BYTES`].
#[must_use]
pub fn decode(text: &str) -> Option<Bytes> {
    if text.len() > MAX_ENCODED_BYTES {
        return None;
    }
    let is_odd = |byte: u8| matches!(byte, b'-' | b'_') || byte.is_ascii_whitespace();
    let standard = if text.bytes().any(is_odd) {
        let standard = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        });
        Cow::Owned(standard.collect::<Vec<u8>>())
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    let padding = standard.iter().rev().take_while(|byte| **byte == b'=').count();
    let unpadded = standard.get(..standard.len() - padding)?;
    BASE64_STANDARD_NO_PAD.decode(unpadded).ok().map(Bytes::from)
}

/// Base64 of the standard alphabet, padded.
#[must_use]
pub fn encode(data: &[u8]) -> String {
    BASE64_STANDARD.encode(data)
}

/// The media type and the bytes of a data URL: `data:[<type>][;<parameter>]*[;base64],<data>`. The type is without parameters, as
/// [`media_type`] has it; where the URL has none it is what the bytes look like, or plain text.
#[must_use]
pub fn data_url(url: &str) -> Option<(String, Bytes)> {
    let url = url.trim();
    let scheme = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
    let (head, data) = url.get(scheme.len()..)?.split_once(',')?;
    let mut parameters = head.split(';').map(str::trim);
    let declared = parameters.next().unwrap_or_default();
    let is_base64 = parameters.any(|parameter| parameter.eq_ignore_ascii_case("base64"));
    let data = match (is_base64, data.contains('%')) {
        (true, false) => decode(data)?,
        (true, true) => decode(std::str::from_utf8(&percent_decoded(data)).ok()?)?,
        (false, _) if data.len() > MAX_ENCODED_BYTES => return None,
        (false, _) => Bytes::from(percent_decoded(data).into_owned()),
    };
    Some((media_type(declared, &data), data))
}

/// A data URL of some bytes.
#[must_use]
pub fn to_data_url(mime: &str, data: &[u8]) -> String {
    format!("data:{mime};base64,{}", encode(data))
}

/// The media type of some bytes: the declared one in lower case, without parameters and misspellings. Where none is declared, or an image or
/// PDF is really another one, what the bytes look like; where they look like nothing, plain text.
#[must_use]
pub fn media_type(declared: &str, data: &[u8]) -> String {
    let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let declared = match declared.as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        declared => declared,
    };
    let is_vague = matches!(declared, "" | "application/octet-stream" | "binary/octet-stream");
    let is_checked = |mime: &str| mime.starts_with("image/") || mime == "application/pdf";
    match sniff(data) {
        Some(seen) if is_vague || (is_checked(declared) && is_checked(seen)) => seen.to_owned(),
        _ if declared.is_empty() => "text/plain".to_owned(),
        _ => declared.to_owned(),
    }
}

/// The media type that the first bytes show: PNG, JPEG, GIF, WebP, PDF, WAV, MP3 or MP4.
#[must_use]
pub fn sniff(data: &[u8]) -> Option<&'static str> {
    let at = |place: usize, magic: &[u8]| data.get(place..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if at(0, b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Some("image/gif")
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some("image/webp")
    } else if at(0, b"%PDF-") {
        Some("application/pdf")
    } else if at(0, b"RIFF") && at(8, b"WAVE") {
        Some("audio/wav")
    } else if at(4, b"ftypM4A ") {
        Some("audio/mp4")
    } else if at(4, b"ftyp") {
        Some("video/mp4")
    } else if at(0, b"ID3") || is_mp3_frame(data) {
        Some("audio/mpeg")
    } else {
        None
    }
}

/// A frame header of MPEG audio, layer III, with a bit rate and a sample rate that exist.
fn is_mp3_frame(data: &[u8]) -> bool {
    let Some([0xFF, version, rates]) = data.first_chunk() else { return false };
    let (is_sync, is_known_version, is_layer_three) = (version & 0xE0 == 0xE0, version & 0x18 != 0x08, version & 0x06 == 0x02);
    let (bit_rate, sample_rate) = (rates >> 4, (rates >> 2) & 3);
    is_sync && is_known_version && is_layer_three && !matches!(bit_rate, 0 | 15) && sample_rate != 3
}

/// Text with `%41` as the byte it stands for; a `%` without two digits stays.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let digit = |at: usize| tail.get(at).and_then(|digit| u8::try_from(char::from(*digit).to_digit(16)?).ok());
        match (*byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            (byte, ..) => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_of_every_spelling_is_read() {
        let bytes = [0xfb, 0xff, 0xbe, 0x01];
        for text in ["+/++AQ==", "-_--AQ", "+_-+AQ=", " +/++\r\n AQ == ", "-_--AQ===="] {
            assert_eq!(decode(text).as_deref(), Some(&bytes[..]), "{text}");
        }
        assert_eq!(encode(&bytes), "+/++AQ==");
        assert_eq!(decode("").as_deref(), Some(&b""[..]));
        for text in ["a", "ab!c", "=AQID", "AQ==ID", "ü"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn data_urls_of_every_grammar_are_read() {
        let png = encode(b"\x89PNG\r\n\x1a\nrest");
        for (url, mime) in [
            (format!("data:image/png;base64,{png}"), "image/png"),
            (format!("  DATA:IMAGE/PNG;name=a.png;BASE64,{png}\n"), "image/png"),
            (format!("data:;base64,{png}"), "image/png"),
            (format!("data:image/jpg;base64,{png}"), "image/png"),
            (format!("data:application/octet-stream;base64,{}", png.replace('=', "%3D")), "image/png"),
            (format!("data:video/mp4;base64,{png}"), "video/mp4"),
        ] {
            let (seen, data) = data_url(&url).unwrap();
            assert_eq!((seen.as_str(), &data[..]), (mime, &b"\x89PNG\r\n\x1a\nrest"[..]), "{url}");
        }
        let (mime, data) = data_url("data:,a%20b%zz,c").unwrap();
        assert_eq!((mime.as_str(), &data[..]), ("text/plain", &b"a b%zz,c"[..]));
        assert_eq!(data_url("data:image/jpg;base64,AQID").unwrap().0, "image/jpeg");
        for url in ["", "data", "data:image/png;base64", "https://x/,y", "data:image/png;base64,a", "dätä:,x"] {
            assert_eq!(data_url(url), None, "{url}");
        }
        assert_eq!(to_data_url("image/gif", b"GIF"), "data:image/gif;base64,R0lG");
    }

    #[test]
    fn bytes_show_what_they_are() {
        for (bytes, mime) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBP", Some("image/webp")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"RIFF\0\0\0\0WAVE", Some("audio/wav")),
            (b"ID3\x04", Some("audio/mpeg")),
            (b"\xff\xfb\x90\x00", Some("audio/mpeg")),
            (b"\0\0\0\x18ftypmp42", Some("video/mp4")),
            (b"\0\0\0\x18ftypM4A ", Some("audio/mp4")),
            (b"\xff\xff\xff\xff", None),
            (b"RIFF", None),
            (b"text", None),
            (b"", None),
        ] {
            assert_eq!(sniff(bytes), mime, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            let standard = encode(&bytes);
            let url_safe = standard.replace('+', "-").replace('/', "_").replace('=', "");
            let url = to_data_url("x/y", &bytes);
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(decode(&standard), Some(bytes.clone()));
            prop_assert_eq!(decode(&url_safe), Some(bytes.clone()));
            prop_assert_eq!(data_url(&url), Some(("x/y".to_owned(), bytes)));
        }

        #[test]
        fn nothing_panics(text in "(data:)?[a-z;=,%+/_\\-0-9ü ]{0,40}") {
            let _ = (data_url(&text), decode(&text));
        }
    }
}
