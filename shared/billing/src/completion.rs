//! The completion ratio of a model whose entry has none.
//!
//! Facts of the family's built-in tables (New API, 2026-02-08), corrected by the vendors' list prices where those say otherwise
//! (PROMISE-25, checked 2026-11-21): gpt-3.5-turbo, gpt-4-*-preview, gpt-4.1, o4-mini, grok-3-beta. An entry's own ratio always wins.

use crate::naming::normalise;
use crate::ratio::Ratio;

/// How a rule recognises a name.
enum Name {
    Is(&'static [&'static str]),
    Starts(&'static [&'static str]),
    Ends(&'static [&'static str]),
    Has(&'static [&'static str]),
    Between(&'static str, &'static str),
}

use Name::{Between, Ends, Has, Is, Starts};

impl Name {
    fn fits(&self, model: &str) -> bool {
        match self {
            Is(names) => names.contains(&model),
            Starts(prefixes) => prefixes.iter().any(|prefix| model.starts_with(prefix)),
            Ends(suffixes) => suffixes.iter().any(|suffix| model.ends_with(suffix)),
            Has(parts) => parts.iter().any(|part| model.contains(part)),
            Between(prefix, suffix) => model.starts_with(prefix) && model.ends_with(suffix),
        }
    }
}

const fn whole(number: u64) -> Ratio {
    Ratio::of(number, 0)
}

/// 4/3, the last digit rounded up: an exact half of a unit then rounds as it does with 4/3 itself.
const FOUR_THIRDS: Ratio = Ratio::of(1_333_333_333_333_333_334, 18);

/// First match wins; no match is 1.
const RULES: &[(Name, Ratio)] = &[
    (Is(&["gpt-3.5-turbo", "gpt-3.5-turbo-0125"]), whole(3)),
    (Is(&["gpt-3.5-turbo-0613"]), FOUR_THIRDS),
    (Is(&["gpt-4-0125-preview", "gpt-4-1106-preview", "gpt-4-vision-preview"]), whole(3)),
    (Is(&["grok-3-beta"]), whole(5)),
    (Starts(&["gpt-4.1", "o4-mini"]), whole(4)),
    (Is(&["gpt-4o-gizmo-*"]), whole(3)),
    (Is(&["gpt-image-1"]), whole(8)),
    (Ends(&["-all", "-gizmo-*"]), whole(2)),
    (Is(&["gpt-4o-2024-05-13"]), whole(3)),
    (Starts(&["gpt-4o-mini-tts"]), whole(20)),
    (Starts(&["gpt-4o"]), whole(4)),
    (Starts(&["gpt-5"]), whole(8)),
    (Starts(&["gpt-4.5-preview"]), whole(2)),
    (Starts(&["gpt-4-turbo"]), whole(3)),
    (Ends(&["gpt-4-1106", "gpt-4-1105"]), whole(3)),
    (Starts(&["gpt-"]), whole(2)),
    (Starts(&["o1", "o3"]), whole(4)),
    (Is(&["chatgpt-4o-latest"]), whole(3)),
    (Has(&["claude-3", "claude-sonnet-4", "claude-opus-4", "claude-haiku-4"]), whole(5)),
    (Starts(&["mistral-"]), whole(3)),
    (Starts(&["gemini-1.5", "gemini-2.0"]), whole(4)),
    (Starts(&["gemini-2.5-pro"]), whole(8)),
    (Between("gemini-2.5-flash-preview", "-nothinking"), whole(4)),
    (Starts(&["gemini-2.5-flash-preview"]), Ratio::of(23_333_333_333_333_332, 15)),
    (Starts(&["gemini-2.5-flash-lite"]), whole(4)),
    (Starts(&["gemini-2.5-flash", "gemini-robotics-er-1.5"]), Ratio::of(8_333_333_333_333_334, 15)),
    (Starts(&["gemini-3-pro-image"]), whole(60)),
    (Starts(&["gemini-3-pro"]), whole(6)),
    (Starts(&["gemini-"]), whole(4)),
    (Is(&["command-r"]), whole(3)),
    (Is(&["command-r-plus"]), whole(5)),
    (Starts(&["command"]), whole(4)),
    (Starts(&["ERNIE-Speed-", "ERNIE-Lite-", "ERNIE-Character", "ERNIE-Functions"]), whole(2)),
    (Is(&["llama2-70b-4096"]), Ratio::of(125, 2)),
    (Is(&["llama3-8b-8192"]), whole(2)),
    (Is(&["llama3-70b-8192"]), Ratio::of(13_389_830_508_474_576, 16)),
];

/// Output price ÷ input price of a model by its name, for entries that have a model ratio and no completion ratio.
#[must_use]
pub fn default_completion_ratio(model: &str) -> Ratio {
    let normal = normalise(model);
    RULES.iter().find(|(name, _)| name.fits(&normal)).map_or(Ratio::ONE, |(_, ratio)| *ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_the_ratio_of_their_family() {
        for (model, ratio) in [
            ("gpt-4o", "4"),
            ("gpt-4o-2024-05-13", "3"),
            ("gpt-4o-mini-tts", "20"),
            ("gpt-4o-gizmo-abc", "3"),
            ("gpt-4-gizmo-abc", "2"),
            ("gpt-4.1-mini-2025-04-14", "4"),
            ("gpt-5-nano", "8"),
            ("gpt-3.5-turbo-0613", "1.333333333333333334"),
            ("o4-mini-high", "4"),
            ("o3-pro", "4"),
            ("us.anthropic.claude-sonnet-4-5", "5"),
            ("gemini-2.5-flash-preview-05-20-nothinking", "4"),
            ("gemini-2.5-flash-preview-05-20", "23.333333333333332"),
            ("gemini-2.5-flash", "8.333333333333334"),
            ("gemini-2.5-pro-thinking-128", "8"),
            ("command-r-08-2024", "4"),
            ("llama3-70b-8192", "1.3389830508474576"),
            ("deepseek-chat", "1"),
        ] {
            assert_eq!(default_completion_ratio(model).to_string(), ratio, "{model}");
        }
    }
}
