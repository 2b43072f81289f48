//! Why a message could not be turned into a domain value.

use std::fmt::Display;

/// A field of a message breaks its rule. Names the field and the rule, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    /// The field, as in the .proto file.
    pub field: &'static str,
    /// The rule it breaks.
    pub reason: String,
}

impl Malformed {
    /// A field and the rule it breaks.
    pub fn new(field: &'static str, reason: impl Display) -> Self {
        Self { field, reason: reason.to_string() }
    }

    /// For `map_err`: an error of that field.
    pub fn at<E: Display>(field: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::new(field, error)
    }
}
