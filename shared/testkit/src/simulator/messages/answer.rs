//! A script as a message.

use serde_json::{Value, json};

use crate::simulator::asked::Asked;
use crate::simulator::content::Call;
use crate::simulator::script::{Finish, Part, Script, Shown, parsed};
use crate::simulator::seal::Seal;
use crate::simulator::stamp::Stamp;
use crate::simulator::usage::UsageFigures;

/// The plain answer.
pub(in crate::simulator) fn whole(stamp: &Stamp, script: &Script) -> Value {
    let content: Vec<Value> = script.parts().map(block).collect();
    let (stop_reason, stop_sequence) = stop(&script.finish);
    let mut message = json!({
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
    });
    if let Some(usage) = script.usage {
        message["usage"] = usage_json(usage);
    }
    message
}

/// The answer to `count_tokens`.
pub(in crate::simulator) fn count(asked: &Asked) -> Value {
    json!({"input_tokens": asked.prompt_tokens})
}

/// A whole block.
fn block(part: Part<'_>) -> Value {
    match part {
        Part::Thought(thought) if thought.shown == Shown::Redacted => redacted(thought.tokens),
        Part::Thought(thought) => {
            let text = thought.content.whole();
            json!({"type": "thinking", "thinking": text, "signature": Seal::Thinking.of(&text)})
        }
        Part::Text(content) => json!({"type": "text", "text": content.whole()}),
        Part::Call(call) => {
            json!({"type": "tool_use", "id": call_id(call), "name": call.name, "input": parsed(&call.arguments)})
        }
    }
}

pub(super) fn redacted(tokens: i64) -> Value {
    json!({"type": "redacted_thinking", "data": Seal::Redacted.of(&tokens.to_string())})
}

pub(super) fn call_id(call: &Call) -> String {
    format!("toolu_01{}", &call.id[..22.min(call.id.len())])
}

/// `stop_reason` and `stop_sequence`.
pub(super) fn stop(finish: &Finish) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(sequence) => ("stop_sequence", Some(sequence)),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
        Finish::Filter | Finish::Blocked => ("refusal", None),
        Finish::Pause => ("pause_turn", None),
    }
}

/// The whole usage, with the prompt counted as Anthropic counts it: without what the cache had or got.
pub(super) fn usage_json(usage: UsageFigures) -> Value {
    let mut figures = input_json(usage);
    figures["output_tokens"] = json!(usage.completion_tokens);
    if usage.reasoning_tokens > 0 {
        figures["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning_tokens});
    }
    figures
}

/// The usage of the prompt alone.
pub(super) fn input_json(usage: UsageFigures) -> Value {
    let outside = usage.cached_tokens.saturating_add(usage.cache_write_tokens);
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(outside),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_tokens, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "service_tier": "standard",
    })
}
