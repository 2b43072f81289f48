//! Text of models, made readable: what a tokenizer cut in two must not cost an answer.

use std::borrow::Cow;

use memchr::memchr;

/// The text with what no parser takes replaced, byte for byte: halves of escaped surrogate pairs become U+FFFD, bytes that are no
/// UTF-8 question marks. Nothing moves, so a place in the result is the same place in the original.
#[must_use]
pub fn mended(json: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(json).map_or_else(|_| Cow::Owned(without_broken_bytes(json)), Cow::Borrowed);
    match without_lone_surrogates(&text) {
        Some(mended) => Cow::Owned(mended),
        None => text,
    }
}

fn without_broken_bytes(json: &[u8]) -> String {
    let mut text = String::with_capacity(json.len());
    for chunk in json.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// `None` when there are none: the usual case, which costs one search.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut mended = None::<String>;
    let (mut at, mut copied) = (0, 0);
    while let Some(offset) = memchr(b'\\', bytes.get(at..)?) {
        let escape = at + offset;
        at = escape + 2;
        let Some(unit) = unit_at(bytes, escape) else { continue };
        at = escape + UNIT_BYTES;
        match unit {
            0xD800..=0xDBFF if matches!(unit_at(bytes, at), Some(0xDC00..=0xDFFF)) => at += UNIT_BYTES,
            0xD800..=0xDFFF => {
                let out = mended.get_or_insert_with(|| String::with_capacity(text.len()));
                out.push_str(text.get(copied..escape)?);
                out.push_str("\\ufffd");
                copied = at;
            }
            _ => {}
        }
    }
    let mut out = mended?;
    out.push_str(text.get(copied..)?);
    Some(out)
}

/// Bytes of one escape, `\ud83d`.
const UNIT_BYTES: usize = 6;

/// The UTF-16 unit that is escaped at a place.
fn unit_at(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + UNIT_BYTES)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_of_pairs_are_replaced_and_whole_pairs_are_not() {
        for (sent, read) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\ude00b""#, r#""\ufffdb""#),
            (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\u00e9\ud8""#, r#""\u00e9\ud8""#),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(mended(sent.as_bytes()), read);
        }
        assert!(matches!(mended(br#"{"a":"\u00e9\ud83d\ude00"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes_that_are_no_text_become_question_marks() {
        assert_eq!(mended(b"\"a\xF0\x9F\x98b\xFF\""), "\"a???b?\"");
    }

    proptest! {
        #[test]
        fn nothing_moves(text in r#"(\\ud83d|\\ude00|\\u0041|\\|[a-z"]|é){0,20}"#, cut in 0_usize..80) {
            let bytes = &text.as_bytes()[..cut.min(text.len())];
            let mended = mended(bytes);
            prop_assert_eq!(mended.len(), bytes.len());
            prop_assert_eq!(&super::mended(mended.as_bytes()), &mended);
        }
    }
}
