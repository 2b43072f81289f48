//! Names of tools that a target does not take: rewritten on the way there, restored on the way back.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sluice_domain::Dialect;

/// Which names were rewritten for one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolNames {
    /// Theirs → the caller's.
    rewritten: BTreeMap<String, String>,
}

impl ToolNames {
    /// The name a target takes: bad characters become `_`, and what was changed ends with six digits of a hash of what it was.
    pub fn for_upstream(&mut self, name: &str, upstream: Dialect) -> String {
        let most = if matches!(upstream, Dialect::Anthropic | Dialect::Gemini) { 128 } else { 64 };
        let is_good = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || (upstream == Dialect::Gemini && matches!(c, '.' | ':'))
        };
        let begins = |c: char| upstream != Dialect::Gemini || c.is_ascii_alphabetic() || c == '_';
        if !name.is_empty() && name.len() <= most && name.chars().all(is_good) && name.starts_with(begins) {
            return name.to_owned();
        }
        let digest = Sha256::digest(name.as_bytes());
        let hash: String = digest
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .take(6)
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        let mut good: String = name.chars().map(|c| if is_good(c) { c } else { '_' }).take(most - 8).collect();
        if !good.starts_with(begins) {
            good.insert(0, '_');
        }
        let theirs = format!("{good}_{hash}");
        self.rewritten.insert(theirs.clone(), name.to_owned());
        theirs
    }

    /// The caller's name of a tool the upstream names.
    #[must_use]
    pub fn restore<'n>(&'n self, theirs: &'n str) -> &'n str {
        self.rewritten.get(theirs).map_or(theirs, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_name_is_taken_and_comes_back() {
        for (name, upstream) in [
            ("get weather", Dialect::OpenAi),
            ("größe", Dialect::Anthropic),
            ("1st", Dialect::Gemini),
            (&*"x".repeat(65), Dialect::Responses),
            (&*"ü".repeat(200), Dialect::Anthropic),
            ("", Dialect::OpenAi),
        ] {
            let mut names = ToolNames::default();
            let theirs = names.for_upstream(name, upstream);
            assert_ne!(theirs, name);
            assert!(theirs.len() <= 128 && theirs.is_ascii(), "{theirs}");
            assert_eq!(names.for_upstream(&theirs, upstream), theirs, "{theirs} is taken");
            assert_eq!(names.restore(&theirs), name);
        }
    }

    #[test]
    fn a_name_that_is_taken_stays() {
        let mut names = ToolNames::default();
        for (name, upstream) in [("get_weather-2", Dialect::OpenAi), ("a.b:c", Dialect::Gemini)] {
            assert_eq!(names.for_upstream(name, upstream), name);
        }
        assert_eq!(names.restore("other"), "other");
    }
}
