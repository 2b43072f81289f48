//! Why an answer ended: `status` and `incomplete_details` here.

use serde_json::Value;

use crate::ir::Finish;

/// How an answer ended, as Responses says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    /// `status` of the answer.
    pub(super) status: &'static str,
    /// `incomplete_details.reason`.
    pub(super) reason: Option<&'static str>,
}

impl Ending {
    /// `status` of the item the answer ended in.
    pub(super) const fn item_status(self) -> &'static str {
        if self.reason.is_some() { "incomplete" } else { "completed" }
    }
}

/// The end a `status` tells. One that is absent is a server's that knows no other than `completed`.
pub(super) fn read(answer: &Value, has_refusal: bool) -> Finish {
    let reason = answer.pointer("/incomplete_details/reason").and_then(Value::as_str);
    match (answer.get("status").and_then(Value::as_str), reason) {
        (Some("incomplete"), Some("max_output_tokens")) => Finish::Length,
        (Some("incomplete"), Some("content_filter")) => Finish::Filter { detail: None },
        (Some("incomplete"), reason) => Finish::Other(reason.unwrap_or("incomplete").to_owned()),
        (Some("completed") | None, _) if has_refusal => Finish::Refusal,
        (Some("completed") | None, _) => Finish::Stop,
        (Some(other), _) => Finish::Other(other.to_owned()),
    }
}

/// How an end is told.
pub(super) const fn write(finish: Option<&Finish>, has_refusal: bool) -> Ending {
    match finish {
        Some(Finish::Length | Finish::ContextFull) => Ending { status: "incomplete", reason: Some("max_output_tokens") },
        Some(Finish::Filter { .. }) => Ending { status: "incomplete", reason: Some("content_filter") },
        Some(Finish::Refusal) if !has_refusal => Ending { status: "incomplete", reason: Some("content_filter") },
        Some(Finish::MalformedCall) => Ending { status: "failed", reason: None },
        _ => Ending { status: "completed", reason: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_end_is_read() {
        for (answer, has_refusal, finish) in [
            (json!({"status": "completed"}), false, Finish::Stop),
            (json!({"status": "completed", "incomplete_details": null}), true, Finish::Refusal),
            (json!({}), false, Finish::Stop),
            (json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}), true, Finish::Length),
            (
                json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
                false,
                Finish::Filter { detail: None },
            ),
            (json!({"status": "incomplete"}), false, Finish::Other("incomplete".to_owned())),
            (json!({"status": "cancelled"}), false, Finish::Other("cancelled".to_owned())),
        ] {
            assert_eq!(read(&answer, has_refusal), finish, "{answer}");
        }
    }

    #[test]
    fn every_end_is_written() {
        for (finish, has_refusal, status, reason) in [
            (Some(Finish::Stop), false, "completed", None),
            (Some(Finish::StopSequence), false, "completed", None),
            (Some(Finish::Tool), false, "completed", None),
            (Some(Finish::Length), false, "incomplete", Some("max_output_tokens")),
            (Some(Finish::ContextFull), false, "incomplete", Some("max_output_tokens")),
            (Some(Finish::Filter { detail: Some("SPII".to_owned()) }), false, "incomplete", Some("content_filter")),
            (Some(Finish::Refusal), true, "completed", None),
            (Some(Finish::Refusal), false, "incomplete", Some("content_filter")),
            (Some(Finish::Pause), false, "completed", None),
            (Some(Finish::MalformedCall), false, "failed", None),
            (Some(Finish::Other("x".to_owned())), false, "completed", None),
            (None, false, "completed", None),
        ] {
            assert_eq!(write(finish.as_ref(), has_refusal), Ending { status, reason }, "{finish:?}");
        }
    }
}
