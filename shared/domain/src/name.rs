//! Names given by people: models and groups.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// Why a name was refused. The text shows the rule, never the whole value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no text.
    #[error("must not be empty")]
    Empty,
    /// There is too much text.
    #[error("must have at most {max} characters, has {chars}")]
    TooLong {
        /// The longest that is allowed.
        max: usize,
        /// What was given.
        chars: usize,
    },
    /// One character is not allowed here.
    #[error("must not contain {0:?}")]
    Character(char),
}

pub(crate) fn check(text: &str, max: usize, fits: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let chars = text.chars().count();
    if chars > max {
        return Err(NameError::TooLong { max, chars });
    }
    text.chars().find(|c| !fits(*c)).map_or(Ok(()), |c| Err(NameError::Character(c)))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && c != ',' && c != '"'
}

/// The name of a model as callers say it: 1–191 printable characters without comma or quote (191 is what an index of MySQL 5.7 holds).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 191;

    /// Reads a model name.
    ///
    /// # Errors
    /// When it is empty, too long, or has a control character, a comma or a quote.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_CHARS, is_printable)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a group of users and channels: 1–64 printable characters without comma or quote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;
    /// The group of new users and channels.
    pub const DEFAULT: &'static str = "default";

    /// Reads a group name.
    ///
    /// # Errors
    /// When it is empty, too long, or has a control character, a comma or a quote.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_CHARS, is_printable)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl Borrow<str> for GroupName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl<'de> Deserialize<'de> for ModelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_of_real_providers_are_accepted() {
        for text in ["gpt-4o", "Qwen/Qwen3-235B-A22B", "gpt-4o-gizmo-*", "豆包", "@cf/meta/llama-3 8b"] {
            assert!(ModelName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_that_would_break_a_list_or_a_log_line_are_refused() {
        assert_eq!(ModelName::parse(""), Err(NameError::Empty));
        assert_eq!(ModelName::parse("a,b"), Err(NameError::Character(',')));
        assert_eq!(GroupName::parse("a\nb"), Err(NameError::Character('\n')));
        assert_eq!(GroupName::parse(&"x".repeat(65)), Err(NameError::TooLong { max: 64, chars: 65 }));
    }
}
