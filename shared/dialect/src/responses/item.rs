//! Items and parts of an answer, as they are written, whole and in streams.

use serde_json::{Map, Value, json};

use super::arguments;
use crate::ir::TokenLogprob;

/// A part of text.
pub(super) fn output_text(text: &str, annotations: &[Value], logprobs: &[TokenLogprob]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": probabilities(logprobs)})
}

/// Log probabilities of tokens.
pub(super) fn probabilities(logprobs: &[TokenLogprob]) -> Vec<Value> {
    logprobs.iter().map(TokenLogprob::to_json).collect()
}

/// A part that declines.
pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// A message of the model's.
pub(super) fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"})
}

/// A part of a summary.
pub(super) fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// Reasoning: what can be read of it, and what the caller sends back.
pub(super) fn reasoning(id: &str, text: &str, encrypted: Option<&str>) -> Value {
    let parts: Vec<Value> = if text.is_empty() { Vec::new() } else { vec![summary(text)] };
    let mut item = Map::from_iter([
        ("id".to_owned(), Value::from(id)),
        ("type".to_owned(), Value::from("reasoning")),
        ("summary".to_owned(), Value::from(parts)),
    ]);
    if let Some(encrypted) = encrypted {
        item.insert("encrypted_content".to_owned(), Value::from(encrypted));
    }
    Value::Object(item)
}

/// A picture.
pub(super) fn image(id: &str, base64: &str) -> Value {
    json!({"id": id, "type": "image_generation_call", "status": "completed", "result": base64})
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// Pairs it with its result.
    pub(super) id: &'a str,
    /// The namespace of the tool.
    pub(super) namespace: Option<&'a str>,
    /// The tool.
    pub(super) name: &'a str,
    /// JSON text.
    pub(super) arguments: &'a str,
    /// The tool takes text, not JSON.
    pub(super) is_custom: bool,
}

impl Call<'_> {
    /// The id of its item: `fc_` and the tail of the call's own.
    pub(super) fn item_id(&self) -> String {
        let tail = ["call_", "toolu_", "fc_"].iter().find_map(|prefix| self.id.strip_prefix(prefix));
        let prefix = if self.is_custom { "ctc_" } else { "fc_" };
        format!("{prefix}{}", tail.filter(|tail| !tail.is_empty()).unwrap_or(self.id))
    }

    /// The item.
    pub(super) fn item(&self, item_id: &str, status: &str) -> Value {
        let Call { id: call_id, name, arguments, .. } = self;
        let mut item = if self.is_custom {
            let input = if arguments.is_empty() { String::new() } else { arguments::custom_input(arguments) };
            json!({
                "id": item_id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input
            })
        } else {
            json!({
                "id": item_id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name
            })
        };
        if let (Some(namespace), Some(fields)) = (self.namespace, item.as_object_mut()) {
            fields.insert("namespace".to_owned(), namespace.into());
        }
        item
    }
}

/// The call whose state an envelope carries: see [`call_state`].
pub(super) fn call_of_state(item: Option<&str>) -> Option<&str> {
    item?.strip_prefix(CALL_STATE)
}

/// The item name under which a call's state travels in an envelope of reasoning: it is attached to the call again when it comes back.
pub(super) fn call_state(call_id: &str) -> String {
    format!("{CALL_STATE}{call_id}")
}

const CALL_STATE: &str = "call:";

/// The item name under which the state of a text travels in an envelope of reasoning right behind it.
pub(super) const TEXT_STATE: &str = "text";
