//! `finishReason` (conversions.md §10.1).

use crate::ir::Finish;

/// A provider's word.
pub(super) fn read(word: &str) -> Finish {
    match word {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        _ if FILTERS.contains(&word) => Finish::Filter { detail: Some(word.to_owned()) },
        _ if MALFORMED.contains(&word) => Finish::MalformedCall,
        _ => Finish::Other(word.to_owned()),
    }
}

/// The word of a finish. Only words of Google's enumeration: clients fail at others.
pub(super) fn write(finish: Option<&Finish>) -> &'static str {
    let known = |words: &[&'static str], said: &str| words.iter().copied().find(|word| *word == said);
    match finish {
        None => "FINISH_REASON_UNSPECIFIED",
        Some(Finish::Stop | Finish::StopSequence | Finish::Tool | Finish::Pause) => "STOP",
        Some(Finish::Length | Finish::ContextFull) => "MAX_TOKENS",
        Some(Finish::Filter { detail }) => detail.as_deref().and_then(|word| known(&FILTERS, word)).unwrap_or("SAFETY"),
        Some(Finish::Refusal) => "SAFETY",
        Some(Finish::MalformedCall) => "MALFORMED_FUNCTION_CALL",
        Some(Finish::Other(word)) => known(&OTHERS, word).unwrap_or("OTHER"),
    }
}

const FILTERS: [&str; 10] = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "LANGUAGE",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
];
const MALFORMED: [&str; 5] =
    ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"];
const OTHERS: [&str; 4] = ["OTHER", "NO_IMAGE", "IMAGE_OTHER", "FINISH_REASON_UNSPECIFIED"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_understood_and_unknown_ones_are_no_filter() {
        let filter = |word: &str| Finish::Filter { detail: Some(word.to_owned()) };
        for (word, finish) in [
            ("STOP", Finish::Stop),
            ("MAX_TOKENS", Finish::Length),
            ("SAFETY", filter("SAFETY")),
            ("RECITATION", filter("RECITATION")),
            ("MODEL_ARMOR", filter("MODEL_ARMOR")),
            ("MALFORMED_FUNCTION_CALL", Finish::MalformedCall),
            ("MISSING_THOUGHT_SIGNATURE", Finish::MalformedCall),
            ("NO_IMAGE", Finish::Other("NO_IMAGE".to_owned())),
            ("SOMETHING_NEW", Finish::Other("SOMETHING_NEW".to_owned())),
        ] {
            assert_eq!(read(word), finish, "{word}");
        }
        for word in FILTERS.iter().chain(&OTHERS) {
            assert_eq!(write(Some(&read(word))), *word);
        }
    }

    #[test]
    fn every_finish_has_a_word_of_the_enumeration() {
        for (finish, word) in [
            (Finish::Stop, "STOP"),
            (Finish::StopSequence, "STOP"),
            (Finish::Tool, "STOP"),
            (Finish::Length, "MAX_TOKENS"),
            (Finish::ContextFull, "MAX_TOKENS"),
            (Finish::Filter { detail: Some("content_filter".to_owned()) }, "SAFETY"),
            (Finish::Refusal, "SAFETY"),
            (Finish::Pause, "STOP"),
            (Finish::MalformedCall, "MALFORMED_FUNCTION_CALL"),
            (Finish::Other("eos".to_owned()), "OTHER"),
        ] {
            assert_eq!(write(Some(&finish)), word, "{finish:?}");
        }
        assert_eq!(write(None), "FINISH_REASON_UNSPECIFIED");
    }
}
