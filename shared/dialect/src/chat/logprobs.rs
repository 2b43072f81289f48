//! Log probabilities of a choice.

use serde_json::{Value, json};

use crate::ir::TokenLogprob;

/// Those of a choice's text: `logprobs.content`. Entries without a token are left out.
pub(super) fn read(choice: &Value) -> Vec<TokenLogprob> {
    let content = choice.pointer("/logprobs/content").and_then(Value::as_array);
    content.into_iter().flatten().filter_map(|entry| token(entry, true)).collect()
}

/// The `logprobs` of a choice; null without any.
pub(super) fn write(logprobs: &[TokenLogprob]) -> Value {
    if logprobs.is_empty() {
        return Value::Null;
    }
    let content: Vec<Value> = logprobs.iter().map(TokenLogprob::to_json).collect();
    json!({"content": content, "refusal": null})
}

fn token(entry: &Value, with_top: bool) -> Option<TokenLogprob> {
    let bytes = entry.get("bytes").and_then(Value::as_array);
    let bytes = bytes.and_then(|bytes| bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect());
    let top = entry.get("top_logprobs").and_then(Value::as_array).filter(|_| with_top);
    Some(TokenLogprob {
        token: entry.get("token")?.as_str()?.to_owned(),
        logprob: entry.get("logprob")?.as_f64()?,
        bytes,
        top: top.into_iter().flatten().filter_map(|entry| token(entry, false)).collect(),
    })
}
