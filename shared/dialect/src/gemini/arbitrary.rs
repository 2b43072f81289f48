//! JSON as nobody would write it, made of the words that readers look for.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

const KEYS: [&str; 46] = [
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "function_response",
    "functionResponse",
    "name",
    "id",
    "args",
    "response",
    "inlineData",
    "inline_data",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "systemInstruction",
    "tools",
    "functionDeclarations",
    "parameters",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "allowedFunctionNames",
    "generationConfig",
    "temperature",
    "topK",
    "seed",
    "stopSequences",
    "thinkingConfig",
    "thinkingBudget",
    "candidates",
    "content",
    "index",
    "finishReason",
    "usageMetadata",
    "promptTokenCount",
    "error",
    "promptFeedback",
    "blockReason",
    "groundingMetadata",
    "groundingSupports",
    "logprobsResult",
];
const WORDS: [&str; 8] = ["", "user", "model", "STOP", "AUTO", "aGk=", "image/png", "é"];

/// Any JSON value.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u8..4).prop_map(Value::from),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
        Just(json!({"text": "x"})),
        Just(json!({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "AA=="})),
        Just(json!([{"content": {"parts": [{"text": "x", "thought": true}, {"text": "", "thoughtSignature": "AA=="}]}}])),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        let field = (prop::sample::select(&KEYS[..]), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            prop::collection::vec(field, 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>()
            )),
        ]
    })
}
