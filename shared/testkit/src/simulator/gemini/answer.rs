//! A script as a `GenerateContentResponse`.

use serde_json::{Value, json};

use super::signs_calls;
use crate::simulator::asked::{Asked, State};
use crate::simulator::content::Call;
use crate::simulator::script::{Finish, Part, Script, Shown, parsed};
use crate::simulator::seal::Seal;
use crate::simulator::stamp::Stamp;
use crate::simulator::usage::UsageFigures;

/// The plain answer.
pub(in crate::simulator) fn whole(asked: &Asked, stamp: &Stamp, script: &Script) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    for (number, part) in script.parts().enumerate() {
        if let Some(part) = whole_part(asked, stamp, script, number, part) {
            parts.push(part);
        }
    }
    let content = if parts.is_empty() { json!({"role": "model"}) } else { json!({"parts": parts, "role": "model"}) };
    let usage = script.usage.map(usage_json);
    response(
        stamp,
        script,
        asked.choices,
        usage,
        |index| json!({"content": content, "finishReason": finish_reason(&script.finish), "index": index}),
    )
}

/// The answer to `:countTokens`.
pub(in crate::simulator) fn count(asked: &Asked) -> Value {
    let details = json!([{"modality": "TEXT", "tokenCount": asked.prompt_tokens}]);
    json!({"totalTokens": asked.prompt_tokens, "promptTokensDetails": details})
}

/// A response around its candidates. A blocked prompt has none.
pub(super) fn response(
    stamp: &Stamp,
    script: &Script,
    choices: u32,
    usage: Option<Value>,
    candidate: impl Fn(u32) -> Value,
) -> Value {
    let mut response = if script.finish == Finish::Blocked {
        json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    } else {
        json!({"candidates": (0..choices).map(candidate).collect::<Vec<_>>()})
    };
    if let Some(usage) = usage {
        response["usageMetadata"] = usage;
    }
    response["modelVersion"] = json!(stamp.model);
    response["responseId"] = json!(stamp.id);
    response
}

/// A whole part; none for thoughts that are not shown.
fn whole_part(asked: &Asked, stamp: &Stamp, script: &Script, number: usize, part: Part<'_>) -> Option<Value> {
    match part {
        Part::Thought(thought) if thought.shown == Shown::Plainly => Some(thought_part(&thought.content.whole())),
        Part::Thought(_) => None,
        Part::Text(content) => {
            let mut part = json!({"text": content.whole()});
            if let Some(signature) = text_signature(asked, stamp, script) {
                part["thoughtSignature"] = json!(signature);
            }
            Some(part)
        }
        Part::Call(call) => Some(call_part(asked, stamp, script, number, call)),
    }
}

pub(super) fn thought_part(text: &str) -> Value {
    json!({"text": text, "thought": true})
}

/// A call; the first one of an answer carries its signature.
pub(super) fn call_part(asked: &Asked, stamp: &Stamp, script: &Script, number: usize, call: &Call) -> Value {
    let mut function = json!({"name": call.name, "args": parsed(&call.arguments)});
    if signs_calls(&stamp.model) {
        function["id"] = json!(call.id[..8.min(call.id.len())].to_ascii_lowercase());
    }
    let mut part = json!({"functionCall": function});
    let is_first = script.parts().position(|part| matches!(part, Part::Call(_))) == Some(number);
    if asked.state == State::Sealed && is_first {
        part["thoughtSignature"] = json!(Seal::Thought.of(&stamp.id));
    }
    part
}

/// The signature of an answer that is only text.
pub(super) fn text_signature(asked: &Asked, stamp: &Stamp, script: &Script) -> Option<String> {
    let is_signed = asked.state == State::Sealed && script.calls.is_empty() && signs_calls(&stamp.model);
    is_signed.then(|| Seal::Thought.of(&stamp.id))
}

pub(super) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Calls | Finish::Pause => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter | Finish::Blocked => "SAFETY",
    }
}

/// The usage, with thoughts counted beside the candidates, as Google counts them.
pub(super) fn usage_json(usage: UsageFigures) -> Value {
    let mut figures = json!({
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens.saturating_sub(usage.reasoning_tokens),
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt_tokens}],
    });
    if usage.cached_tokens > 0 {
        figures["cachedContentTokenCount"] = json!(usage.cached_tokens);
    }
    if usage.reasoning_tokens > 0 {
        figures["thoughtsTokenCount"] = json!(usage.reasoning_tokens);
    }
    figures
}
