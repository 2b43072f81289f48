//! JSON objects as they were written: the top level as an ordered list of fields whose values stay raw bytes.
//!
//! A [`Document`] owns the body and remembers where each field lies, so reading one field or replacing one costs nothing for the
//! others: numbers keep their digits, keys their order, strings their escapes. A key that occurs twice counts with its last value, as
//! in most servers; [`Edit::set`] removes the earlier ones, so that nobody behind us can read another value than we did.

mod document;
mod edit;
mod fields;
mod mended;
mod prescan;

pub use document::Document;
pub use edit::Edit;
pub use fields::Fields;
pub use mended::mended;
pub use prescan::check;

/// The deepest nesting of arrays and objects that is accepted.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not a JSON object we read. It names the place, and shows nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// There is no text.
    #[error("the body is empty")]
    Empty,
    /// The text starts with a byte order mark.
    #[error("the body starts with a byte order mark")]
    ByteOrderMark,
    /// Some bytes are not UTF-8.
    #[error("the body is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// Arrays and objects are nested too deep.
    #[error("the body is nested deeper than {MAX_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// It is JSON of another kind.
    #[error("the body must be a JSON object, got {0}")]
    NotAnObject(Shape),
    /// The text ends inside a value.
    #[error("the body is not valid JSON: it ends too early, at line {line} column {column}")]
    Incomplete {
        /// Counted from one.
        line: usize,
        /// Counted from one, in bytes.
        column: usize,
    },
    /// The text breaks the grammar.
    #[error("the body is not valid JSON at line {line} column {column}")]
    Syntax {
        /// Counted from one.
        line: usize,
        /// Counted from one, in bytes.
        column: usize,
    },
    /// Something follows the object.
    #[error("the body has more text after the JSON value, at line {line} column {column}")]
    Trailing {
        /// Counted from one.
        line: usize,
        /// Counted from one, in bytes.
        column: usize,
    },
}

impl JsonError {
    pub(crate) fn from_parser(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_eof() { Self::Incomplete { line, column } } else { Self::Syntax { line, column } }
    }
}

/// What kind of JSON value something is: all an error may tell about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`
    Null,
}

impl Shape {
    /// The kind of a valid JSON value, told by its first byte.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        match value.first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            _ => Self::Null,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        })
    }
}

/// Whether a JSON array or object has no members.
#[must_use]
pub fn is_empty_container(value: &[u8]) -> bool {
    let is_container = matches!(Shape::of(value), Shape::Array | Shape::Object);
    is_container && value.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b']' | b'}'))
}

/// Where a part that was borrowed from `whole` lies in it; `None` when it is not a part of it.
pub(crate) fn span_in(whole: &[u8], part: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// A text as a JSON string, quotes included.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
