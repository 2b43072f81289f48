//! Bodies of models that clouds serve.

use serde_json::{Map, Value};

/// Takes out what the address says, and puts in the version.
pub(super) fn claude(body: &mut Map<String, Value>, version: &str, keeps_stream: bool) {
    body.shift_remove("model");
    if !keeps_stream {
        body.shift_remove("stream");
    }
    body.insert("anthropic_version".to_owned(), version.into());
}

/// Takes the ids off Gemini's calls and results.
pub(super) fn drop_call_ids(body: &mut Map<String, Value>) {
    let contents = body.get_mut("contents").and_then(Value::as_array_mut).into_iter().flatten();
    let parts = contents.filter_map(|content| content.get_mut("parts")?.as_array_mut()).flatten();
    for part in parts {
        for call in ["functionCall", "functionResponse"] {
            if let Some(call) = part.get_mut(call).and_then(Value::as_object_mut) {
                call.shift_remove("id");
            }
        }
    }
}
