//! Edits of single fields.

use serde_json::{Map, Number, Value, json};

/// Moves a number into a range, if it is there.
pub(super) fn clamp(body: &mut Map<String, Value>, field: &str, min: f64, max: f64) {
    let Some(value) = body.get_mut(field) else { return };
    let Some(number) = value.as_f64() else { return };
    let clamped = number.clamp(min, max);
    let is_inside = (min..=max).contains(&number);
    if let Some(number) = Number::from_f64(clamped).filter(|_| !is_inside) {
        *value = Value::Number(number);
    }
}

/// Keeps the named fields of the body, and of each message.
pub(super) fn allow(body: &mut Map<String, Value>, fields: &[String], message_fields: &[String]) {
    body.retain(|name, _| fields.contains(name));
    if message_fields.is_empty() {
        return;
    }
    for message in messages(body) {
        message.retain(|name, _| message_fields.contains(name));
    }
}

/// Takes fields out.
pub(super) fn drop_all(body: &mut Map<String, Value>, fields: &[String]) {
    for field in fields {
        body.shift_remove(field);
    }
}

/// Gives a field its other name, unless that is taken.
pub(super) fn rename(body: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(value) = body.shift_remove(from) else { return };
    body.entry(to).or_insert(value);
}

/// Sets a field that is not there.
pub(super) fn set_default(body: &mut Map<String, Value>, field: &str, value: &Value) {
    body.entry(field).or_insert_with(|| value.clone());
}

/// Makes a single `stop` a list.
pub(super) fn stop_to_array(body: &mut Map<String, Value>) {
    if let Some(stop) = body.get_mut("stop")
        && stop.is_string()
    {
        *stop = Value::Array(vec![stop.take()]);
    }
}

/// Adds an empty message to a completion in the middle that has none.
pub(super) fn pad_messages(body: &mut Map<String, Value>) {
    let is_set = |name: &str| body.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
    let is_empty = body.get("messages").is_none_or(|messages| messages.as_array().is_none_or(Vec::is_empty));
    if is_empty && (is_set("prefix") || is_set("suffix")) {
        body.insert("messages".to_owned(), json!([{"role": "user", "content": ""}]));
    }
}

/// Takes an answer out of its envelope. What has no envelope stays.
pub(super) fn unwrap(answer: &mut Map<String, Value>, flag: &str, data: &str) {
    if answer.get(flag) == Some(&Value::Bool(true))
        && let Some(Value::Object(inner)) = answer.get_mut(data)
    {
        *answer = std::mem::take(inner);
    }
}

/// The messages of a chat request that are objects.
pub(super) fn messages(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    messages.into_iter().flatten().filter_map(Value::as_object_mut)
}
