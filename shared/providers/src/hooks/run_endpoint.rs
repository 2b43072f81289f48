//! Completions by Cloudflare's `/ai/run`.

use serde_json::{Map, Value, json};
use sluice_dialect::json::Fields;

use super::dropped::Dropped;

/// What the endpoint takes.
const FIELDS: [&str; 4] = ["prompt", "max_tokens", "stream", "temperature"];

/// Leaves out what the endpoint does not take.
pub(super) fn adjust(body: &mut Fields, dropped: &mut Dropped) {
    // the address names the model
    body.remove("model");
    body.retain(|name| FIELDS.contains(&name), |name, value| dropped.note(name, value));
}

/// Turns `{"result": {"response": ...}}`, or an event's `{"response": ...}`, into a completion.
pub(super) fn amend(model: &str, answer: &mut Map<String, Value>) {
    let mut finish = Value::Null;
    if let Some(Value::Object(result)) = answer.get_mut("result") {
        *answer = std::mem::take(result);
        finish = "stop".into();
    }
    let Some(text) = answer.get("response").filter(|response| response.is_string()) else { return };
    let mut completion = Map::new();
    completion.insert("object".to_owned(), "text_completion".into());
    completion.insert("model".to_owned(), model.into());
    completion.insert("choices".to_owned(), json!([{"index": 0, "text": text, "finish_reason": finish, "logprobs": null}]));
    if let Some(usage) = answer.get("usage") {
        completion.insert("usage".to_owned(), usage.clone());
    }
    *answer = completion;
}
