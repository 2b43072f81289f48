//! A script as a response object.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::simulator::asked::{Asked, State};
use crate::simulator::content::Call;
use crate::simulator::memory::{Remembered, Told};
use crate::simulator::script::{Finish, Part, Script, Shown};
use crate::simulator::seal::Seal;
use crate::simulator::stamp::Stamp;
use crate::simulator::usage::UsageFigures;

/// The plain answer. What is made in the background is told as it is then: not begun.
pub(in crate::simulator) fn whole(asked: &Asked, stamp: &Stamp, script: &Script) -> Value {
    if asked.repeated["background"] == true {
        return object(asked, stamp, Status::Queued);
    }
    made(asked, stamp, script)
}

/// The response with all that was made of it.
pub(super) fn made(asked: &Asked, stamp: &Stamp, script: &Script) -> Value {
    let mut response = object(asked, stamp, ending(&script.finish));
    response["output"] = output(asked, stamp, script);
    if let Some(usage) = script.usage {
        response["usage"] = usage_json(usage);
    }
    response
}

/// The answer to `/v1/responses/input_tokens`.
pub(in crate::simulator) fn count(asked: &Asked) -> Value {
    json!({"object": "response.input_tokens", "input_tokens": asked.prompt_tokens})
}

/// What is remembered of a response that is to be stored.
pub(in crate::simulator) fn remembered(asked: &Asked, stamp: &Stamp, script: &Script) -> Remembered {
    let calls = script.calls.iter().map(|call| (call_id(call), call.name.clone())).collect();
    let items = script.parts().enumerate().map(|(number, part)| item_id(stamp, number, part)).collect();
    let told = Told { asked: asked.clone(), stamp: stamp.clone(), script: script.clone() };
    let words = asked.prompt_tokens + script.sent_tokens();
    Remembered { calls, items, words, told: Some(Arc::new(told)), is_cancelled: false }
}

/// How a response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Queued,
    InProgress,
    Completed,
    /// Cut short, for this reason.
    Incomplete(&'static str),
    Failed,
    Cancelled,
}

pub(super) fn ending(finish: &Finish) -> Status {
    match finish {
        Finish::Length => Status::Incomplete("max_output_tokens"),
        Finish::Filter | Finish::Blocked => Status::Incomplete("content_filter"),
        Finish::Stop | Finish::StopSequence(_) | Finish::Calls | Finish::Pause => Status::Completed,
    }
}

/// The response without its output and usage.
pub(super) fn object(asked: &Asked, stamp: &Stamp, status: Status) -> Value {
    let (word, details) = match status {
        Status::Queued => ("queued", Value::Null),
        Status::InProgress => ("in_progress", Value::Null),
        Status::Cancelled => ("cancelled", Value::Null),
        Status::Completed => ("completed", Value::Null),
        Status::Incomplete(reason) => ("incomplete", json!({"reason": reason})),
        Status::Failed => ("failed", Value::Null),
    };
    let mut response = json!({
        "id": stamp.id,
        "object": "response",
        "created_at": stamp.created,
        "status": word,
        "error": null,
        "incomplete_details": details,
        "model": stamp.model,
        "output": [],
        "usage": null,
    });
    for (name, value) in &asked.repeated {
        response[name] = value.clone();
    }
    response
}

pub(super) fn output(asked: &Asked, stamp: &Stamp, script: &Script) -> Value {
    let state = if ending(&script.finish) == Status::Completed { "completed" } else { "incomplete" };
    script.parts().enumerate().map(|(number, part)| item(asked, stamp, number, part, state)).collect()
}

/// A whole item.
pub(super) fn item(asked: &Asked, stamp: &Stamp, number: usize, part: Part<'_>, state: &str) -> Value {
    let id = item_id(stamp, number, part);
    match part {
        Part::Thought(thought) => {
            let summary = match thought.shown {
                Shown::Plainly => json!([{"type": "summary_text", "text": thought.content.whole()}]),
                Shown::Not | Shown::Redacted => json!([]),
            };
            let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
            if asked.state == State::Sealed {
                item["encrypted_content"] = json!(Seal::Reasoning.of(&id));
            }
            item
        }
        Part::Text(content) => {
            let part = text_part(&content.whole());
            json!({"id": id, "type": "message", "status": state, "content": [part], "role": "assistant"})
        }
        Part::Call(call) => json!({
            "id": id,
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments,
            "call_id": call_id(call),
            "name": call.name,
        }),
    }
}

/// An item as it is announced.
pub(super) fn opened(stamp: &Stamp, number: usize, part: Part<'_>) -> Value {
    let id = item_id(stamp, number, part);
    match part {
        Part::Thought(_) => json!({"id": id, "type": "reasoning", "summary": []}),
        Part::Text(_) => json!({"id": id, "type": "message", "status": "in_progress", "content": [], "role": "assistant"}),
        Part::Call(call) => json!({
            "id": id,
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": call_id(call),
            "name": call.name,
        }),
    }
}

pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

pub(super) fn item_id(stamp: &Stamp, number: usize, part: Part<'_>) -> String {
    let prefix = match part {
        Part::Thought(_) => "rs",
        Part::Text(_) => "msg",
        Part::Call(_) => "fc",
    };
    stamp.part_id(prefix, number)
}

fn call_id(call: &Call) -> String {
    format!("call_{}", call.id)
}

pub(super) fn usage_json(usage: UsageFigures) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    })
}
