//! How a request ended, and in which protocol it was asked.

use serde::{Deserialize, Serialize};

/// The terminal state of a request that was admitted. Every admitted request has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The caller has the whole answer.
    Completed,
    /// Every attempt failed before the first byte; the caller has an error.
    Failed,
    /// The upstream broke off after the first byte.
    Truncated,
    /// The caller went away before the end.
    Aborted,
    /// The relay died; settled at the last progress point by the next life of the node.
    Orphaned,
}

impl Outcome {
    /// Every outcome, for metrics that start at zero.
    pub const ALL: [Self; 5] = [Self::Completed, Self::Failed, Self::Truncated, Self::Aborted, Self::Orphaned];

    /// The word used in the database, in JSON and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Truncated => "truncated",
            Self::Aborted => "aborted",
            Self::Orphaned => "orphaned",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// The protocol a caller speaks. Errors are always answered in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI Chat Completions and its relatives (completions, embeddings, models).
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Google Gemini.
    Gemini,
}

impl Dialect {
    /// Every dialect, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini];

    /// The word used in the database, in JSON and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        assert!(Outcome::ALL.into_iter().all(|o| Outcome::from_word(o.as_str()) == Some(o)));
        assert!(Dialect::ALL.into_iter().all(|d| Dialect::from_word(d.as_str()) == Some(d)));
        assert_eq!(Outcome::from_word("Completed"), None);
    }
}
