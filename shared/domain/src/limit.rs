//! How much somebody or something may be used in a time, as an administrator says it.

use std::collections::BTreeSet;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Requests, whatever becomes of them.
    Requests,
    /// Requests that are answered with a status below 400. One that is running counts until it is known.
    Successes,
    /// Tokens of prompts and answers: estimated first, corrected at the end.
    Tokens,
    /// Requests that run at the same time.
    Concurrency,
}

impl Counted {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Requests, Self::Successes, Self::Tokens, Self::Concurrency];

    /// The word used in settings, in logs and as label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Successes => "successes",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
        }
    }

    /// Whether it is counted over a time, and not at a moment.
    #[must_use]
    pub const fn has_window(self) -> bool {
        !matches!(self, Self::Concurrency)
    }
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// What is counted.
    pub of: Counted,
    /// The most there may be.
    pub count: u64,
    /// In which time, in seconds; 0 for what is counted at a moment.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub window_secs: u32,
    /// Whether what is beyond the limit is only counted, and let pass.
    #[serde(rename = "shadow", default)]
    pub is_shadow: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why limits were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A count that is nothing, or beyond every use.
    #[error("count must be from 1 to {}", Limit::MAX_COUNT)]
    Count,
    /// A time that is nothing, or beyond every use.
    #[error("window_secs must be from 1 to {}", Limit::MAX_WINDOW_SECS)]
    Window,
    /// A time for what is counted at a moment.
    #[error("concurrency has no window_secs")]
    NoWindow,
    /// Too many limits in one place.
    #[error("must be at most {} limits", Limits::MOST)]
    TooMany,
    /// The same is limited twice.
    #[error("must not limit the same over the same time twice")]
    Twice,
}

impl Limit {
    /// The highest count.
    pub const MAX_COUNT: u64 = 1_000_000_000_000;
    /// The longest time: 31 days, in seconds.
    pub const MAX_WINDOW_SECS: u32 = 31 * 86_400;

    /// The same limit, when it keeps its rules.
    ///
    /// # Errors
    /// With the rule it breaks.
    pub const fn checked(self) -> Result<Self, LimitError> {
        if self.count == 0 || self.count > Self::MAX_COUNT {
            return Err(LimitError::Count);
        }
        match (self.of.has_window(), self.window_secs) {
            (true, 1..=Self::MAX_WINDOW_SECS) | (false, 0) => Ok(self),
            (true, _) => Err(LimitError::Window),
            (false, _) => Err(LimitError::NoWindow),
        }
    }
}

/// The limits of one user, token, group, model or channel, each of which must be kept. Empty: there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Limit>")]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// The most limits in one place.
    pub const MOST: usize = 8;

    /// Limits that keep their rules.
    ///
    /// # Errors
    /// With the rule that is broken.
    pub fn new(limits: Vec<Limit>) -> Result<Self, LimitError> {
        if limits.len() > Self::MOST {
            return Err(LimitError::TooMany);
        }
        let mut seen = BTreeSet::new();
        for limit in &limits {
            limit.checked()?;
            if !seen.insert((limit.of, limit.window_secs)) {
                return Err(LimitError::Twice);
            }
        }
        Ok(Self(limits))
    }
}

impl TryFrom<Vec<Limit>> for Limits {
    type Error = LimitError;

    fn try_from(limits: Vec<Limit>) -> Result<Self, LimitError> {
        Self::new(limits)
    }
}

impl Deref for Limits {
    type Target = [Limit];

    fn deref(&self) -> &[Limit] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limit(of: Counted, count: u64, window_secs: u32) -> Limit {
        Limit { of, count, window_secs, is_shadow: false }
    }

    #[test]
    fn limits_that_cannot_be_kept_are_refused_with_the_rule() {
        for (refused, rule) in [
            (limit(Counted::Requests, 0, 60), LimitError::Count),
            (limit(Counted::Tokens, Limit::MAX_COUNT + 1, 60), LimitError::Count),
            (limit(Counted::Requests, 1, 0), LimitError::Window),
            (limit(Counted::Successes, 1, Limit::MAX_WINDOW_SECS + 1), LimitError::Window),
            (limit(Counted::Concurrency, 1, 60), LimitError::NoWindow),
        ] {
            assert_eq!(Limits::new(vec![refused]), Err(rule));
        }
        let minute = limit(Counted::Requests, 1, 60);
        assert_eq!(Limits::new(vec![minute, Limit { count: 2, ..minute }]), Err(LimitError::Twice));
        assert_eq!(Limits::new(vec![minute; 9]), Err(LimitError::TooMany));
        let day = limit(Counted::Requests, 9, 86_400);
        assert!(Limits::new(vec![minute, day, limit(Counted::Concurrency, 1, 0)]).is_ok());
    }
}
