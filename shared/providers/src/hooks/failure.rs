//! Errors in answers with status 200.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// The status of a code that no row names.
const OTHER: u16 = 500;

/// An error that an answer with status 200 tells.
#[derive(Clone, PartialEq, Eq)]
pub struct BodyError {
    /// The provider's code.
    pub code: String,
    /// The provider's message. It is not masked: it may repeat what a caller said.
    pub message: String,
    /// The status the code stands for.
    pub status: u16,
}

impl fmt::Debug for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyError").field("code", &self.code).field("status", &self.status).finish_non_exhaustive()
    }
}

/// Reads code and message at their places; `None` where there is no code, or it says that all is well.
pub(super) fn read(
    answer: &Map<String, Value>,
    code: &str,
    message: &str,
    statuses: &BTreeMap<String, u16>,
) -> Option<BodyError> {
    let code = match at(answer, code)? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    if matches!(code.as_str(), "" | "0") {
        return None;
    }
    let message = at(answer, message).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = statuses.get(&code).copied().unwrap_or(OTHER);
    Some(BodyError { code, message, status })
}

/// The value at a JSON pointer of an object.
fn at<'v>(answer: &'v Map<String, Value>, pointer: &str) -> Option<&'v Value> {
    let pointer = pointer.strip_prefix('/')?;
    let (first, rest) = pointer.split_once('/').map_or((pointer, None), |(first, rest)| (first, Some(rest)));
    let value = answer.get(first)?;
    rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
}
