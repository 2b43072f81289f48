//! What is checked before a parser sees the text: encoding and depth.

use memchr::memchr2;

use super::{JsonError, MAX_DEPTH};

/// Checks that a body is UTF-8 without a byte order mark, has some text, and nests at most [`MAX_DEPTH`] levels.
///
/// # Errors
/// When it is not; the grammar itself is not checked.
pub fn check(body: &[u8]) -> Result<&str, JsonError> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(body).map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(JsonError::Empty);
    }
    check_depth(body)?;
    Ok(text)
}

/// Counts brackets outside of strings. Wrong text may pass: the parser refuses it, and does not recurse.
fn check_depth(body: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => at = end_of_string(body, at + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::TooDeep { offset: at });
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// The place after the quote that closes a string whose text starts at `at`.
fn end_of_string(body: &[u8], mut at: usize) -> usize {
    while let Some(offset) = body.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += offset;
        if body.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    body.len()
}
