//! Reasons for the end of an answer (`stop_reason`).

use crate::ir::Finish;

/// What an upstream's word means.
pub(super) fn read(word: &str) -> Finish {
    match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "tool_use" => Finish::Tool,
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextFull,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        other => Finish::Other(other.to_owned()),
    }
}

/// The word a caller hears: always one of the dialect's own. Calls turn a plain end, or none, into one for the tools.
pub(super) fn write(finish: Option<&Finish>, has_calls: bool) -> &'static str {
    match finish.cloned().unwrap_or(Finish::Stop).with_calls(has_calls) {
        Finish::Stop | Finish::MalformedCall | Finish::Other(_) => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Tool => "tool_use",
        Finish::Length => "max_tokens",
        Finish::ContextFull => "model_context_window_exceeded",
        Finish::Filter { .. } | Finish::Refusal => "refusal",
        Finish::Pause => "pause_turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_foreign_ones_become_known() {
        for word in
            ["end_turn", "stop_sequence", "tool_use", "max_tokens", "model_context_window_exceeded", "refusal", "pause_turn"]
        {
            assert_eq!(write(Some(&read(word)), false), word);
        }
        assert_eq!(read("compaction"), Finish::Other("compaction".to_owned()));
        for (finish, word) in [
            (Finish::Filter { detail: Some("SAFETY".to_owned()) }, "refusal"),
            (Finish::MalformedCall, "end_turn"),
            (Finish::Other("OTHER".to_owned()), "end_turn"),
        ] {
            assert_eq!(write(Some(&finish), false), word);
        }
    }

    #[test]
    fn calls_decide_a_plain_end_and_no_other() {
        assert_eq!(write(Some(&Finish::Stop), true), "tool_use");
        assert_eq!(write(None, true), "tool_use");
        assert_eq!(write(None, false), "end_turn");
        assert_eq!(write(Some(&Finish::Length), true), "max_tokens", "a cut call must not look complete");
    }
}
