//! What a model's name says about it: its normal form, and the families that count and price differently.

use std::borrow::Cow;

/// Names that stand for many: (prefix, part that must follow, normal form). First match wins.
const FAMILIES: [(&str, &str, &str); 5] = [
    ("gemini-2.5-flash-lite", "-thinking-", "gemini-2.5-flash-lite-thinking-*"),
    ("gemini-2.5-flash", "-thinking-", "gemini-2.5-flash-thinking-*"),
    ("gemini-2.5-pro", "-thinking-", "gemini-2.5-pro-thinking-*"),
    ("gpt-4-gizmo", "", "gpt-4-gizmo-*"),
    ("gpt-4o-gizmo", "", "gpt-4o-gizmo-*"),
];

/// The suffix of models that fall back to one common entry, [`COMPACT_ENTRY`].
pub(crate) const COMPACT_SUFFIX: &str = "-openai-compact";
/// The entry for every model with that suffix.
pub(crate) const COMPACT_ENTRY: &str = "*-openai-compact";

/// The normal form of a model's name: `gemini-2.5-pro-thinking-128` becomes `gemini-2.5-pro-thinking-*`; most names stay as they are.
///
/// Prices, limits and channels are looked up by the exact name first, then by this.
#[must_use]
pub fn normalise(model: &str) -> Cow<'_, str> {
    let family = FAMILIES.iter().find(|(prefix, part, _)| model.strip_prefix(prefix).is_some_and(|rest| rest.contains(part)));
    Cow::Borrowed(family.map_or(model, |(_, _, normal)| normal))
}

/// Whether a name has a part, in any case of ASCII letters. `part` is in lower case.
pub(crate) fn mentions(model: &str, part: &str) -> bool {
    model.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_family_share_a_normal_form() {
        for (name, normal) in [
            ("gemini-2.5-pro-thinking-128", "gemini-2.5-pro-thinking-*"),
            ("gemini-2.5-flash-lite-preview-06-17-thinking-512", "gemini-2.5-flash-lite-thinking-*"),
            ("gemini-2.5-flash-thinking-0", "gemini-2.5-flash-thinking-*"),
            ("gemini-2.5-pro-thinking", "gemini-2.5-pro-thinking"),
            ("gpt-4o-gizmo-abc", "gpt-4o-gizmo-*"),
            ("gpt-4-gizmo-g-1", "gpt-4-gizmo-*"),
            ("gpt-4o", "gpt-4o"),
            ("", ""),
        ] {
            assert_eq!(normalise(name), normal);
            assert_eq!(normalise(&normalise(name)), normal, "the normal form is its own normal form");
        }
    }

    #[test]
    fn parts_are_found_in_any_case() {
        assert!(mentions("Anthropic/Claude-3", "claude"));
        assert!(!mentions("claud", "claude"));
        assert!(!mentions("", "claude"));
    }
}
