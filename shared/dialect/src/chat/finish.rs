//! Why an answer ended, both ways (conversions.md §10.1).

use crate::ir::Finish;

/// What a provider's `finish_reason` says, whatever its case. Vendors' own words for an ordinary end, and none at all, are a stop.
pub(super) fn read(word: Option<&str>) -> Finish {
    let Some(word) = word else { return Finish::Stop };
    match word.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "tool_call" | "function_call" => Finish::Tool,
        "content_filter" | "sensitive" => Finish::Filter { detail: Some(word.to_owned()) },
        "refusal" => Finish::Refusal,
        _ => Finish::Stop,
    }
}

/// What it is, given what the answer holds: a stop with calls is for them, an end for calls that are none is a stop.
pub(super) fn settle(finish: Finish, has_calls: bool, has_refusal: bool) -> Finish {
    match finish {
        Finish::Stop if has_calls => Finish::Tool,
        Finish::Tool if !has_calls => Finish::Stop,
        Finish::Stop if has_refusal => Finish::Refusal,
        finish => finish,
    }
}

/// The caller's word.
pub(super) const fn write(finish: &Finish, has_refusal: bool) -> &'static str {
    match finish {
        Finish::Tool => "tool_calls",
        Finish::Length | Finish::ContextFull => "length",
        Finish::Filter { .. } => "content_filter",
        Finish::Refusal if !has_refusal => "content_filter",
        Finish::Stop | Finish::StopSequence | Finish::Refusal | Finish::Pause | Finish::MalformedCall | Finish::Other(_) => {
            "stop"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_this_dialect() {
        for (finish, word) in [
            (Finish::Stop, "stop"),
            (Finish::StopSequence, "stop"),
            (Finish::Tool, "tool_calls"),
            (Finish::Length, "length"),
            (Finish::ContextFull, "length"),
            (Finish::Filter { detail: None }, "content_filter"),
            (Finish::Refusal, "content_filter"),
            (Finish::Pause, "stop"),
            (Finish::MalformedCall, "stop"),
            (Finish::Other("OTHER".to_owned()), "stop"),
        ] {
            assert_eq!(write(&finish, false), word, "{finish:?}");
        }
        assert_eq!(write(&Finish::Refusal, true), "stop", "the refusal says it");
    }

    #[test]
    fn words_of_vendors_are_a_stop_and_calls_decide() {
        let filter = |word: &str| Finish::Filter { detail: Some(word.to_owned()) };
        for (word, alone, with_calls) in [
            (Some("stop"), Finish::Stop, Finish::Tool),
            (Some("eos"), Finish::Stop, Finish::Tool),
            (Some("end_turn"), Finish::Stop, Finish::Tool),
            (None, Finish::Stop, Finish::Tool),
            (Some("tool_calls"), Finish::Stop, Finish::Tool),
            (Some("function_call"), Finish::Stop, Finish::Tool),
            (Some("COMPLETE"), Finish::Stop, Finish::Tool),
            (Some("MAX_TOKENS"), Finish::Length, Finish::Length),
            (Some("length"), Finish::Length, Finish::Length),
            (Some("content_filter"), filter("content_filter"), filter("content_filter")),
            (Some("sensitive"), filter("sensitive"), filter("sensitive")),
        ] {
            assert_eq!(settle(read(word), false, false), alone, "{word:?}");
            assert_eq!(settle(read(word), true, false), with_calls, "{word:?}");
        }
        assert_eq!(settle(read(Some("stop")), false, true), Finish::Refusal);
        assert_eq!(settle(read(Some("length")), false, true), Finish::Length);
    }
}
