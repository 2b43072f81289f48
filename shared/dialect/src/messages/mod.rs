//! Anthropic Messages: `POST /v1/messages`, and the same bodies at Vertex AI and Bedrock.
//!
//! Field names and shapes are those of <https://docs.anthropic.com/en/api/messages>, stream events those of
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.
//!
//! Callers' requests leave behind, knowingly: `context` and `citations` of documents, `allowed_domains` and `blocked_domains` of
//! web searches, `defer_loading`, `input_examples` and other hints of tools, and the fields named in `request/read.rs` that only
//! this dialect has. Upstreams' answers leave behind blocks of server tools in streams, citations of documents, `container`,
//! `stop_details`, and in `usage` all that is no token. What requests to upstreams leave behind is told to
//! [`Losses`](crate::loss::Losses). Callers' answers leave behind every choice but the first, log probabilities, speech, and
//! reasoning where it was not asked for.

mod citation;
mod finish;
pub mod request;
pub mod response;
pub mod stream;
mod usage;

use crate::ir::{CacheMark, Signature};

/// Put into [`Signature::item`] of a `thinking` block whose text the provider keeps to itself: it has to come back as such a
/// block, and not as a `redacted_thinking` one.
const SILENT: &str = "thinking";
/// Put into [`Signature::item`] of the state of a text or call, which here has a block of its own after it.
const OF_BLOCK_BEFORE: &str = "block";

/// A call's arguments that are no object, as the object this dialect demands.
fn raw_arguments(text: &str) -> serde_json::Value {
    serde_json::json!({"_raw": text})
}

/// A mark of the prompt cache as the wire has it. Five minutes are the default and not named.
fn cache_control(mark: CacheMark) -> serde_json::Value {
    match mark {
        CacheMark::FiveMinutes => serde_json::json!({"type": "ephemeral"}),
        CacheMark::OneHour => serde_json::json!({"type": "ephemeral", "ttl": "1h"}),
    }
}

/// A signature for a place that this dialect gives none: it follows its block.
fn of_block_before(signature: &Signature) -> Signature {
    Signature { item: Some(OF_BLOCK_BEFORE.to_owned()), ..signature.clone() }
}

#[cfg(test)]
mod tests;
