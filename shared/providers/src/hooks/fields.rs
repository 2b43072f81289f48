//! Edits of single fields.

use bytes::Bytes;
use serde_json::{Map, Number, Value};
use sluice_dialect::json::{self, Fields, Shape};

use super::dropped::Dropped;

/// Moves a number into a range, if it is there.
pub(super) fn clamp(body: &mut Fields, field: &str, min: f64, max: f64) {
    let Some(number) = body.get(field).and_then(|raw| serde_json::from_slice::<f64>(raw).ok()) else { return };
    let is_inside = (min..=max).contains(&number);
    if let Some(number) = Number::from_f64(number.clamp(min, max)).filter(|_| !is_inside) {
        body.set(field, number.to_string());
    }
}

/// Keeps the named fields of the body, and of each message.
pub(super) fn allow(body: &mut Fields, fields: &[String], message_fields: &[String], dropped: &mut Dropped) {
    let is_one = |fields: &[String], name: &str| fields.iter().any(|field| field == name);
    body.retain(|name| is_one(fields, name), |name, value| dropped.note(name, value));
    if !message_fields.is_empty() {
        body.each_object("messages", |message| {
            message.retain(|name| is_one(message_fields, name), |name, value| dropped.note(name, value));
        });
    }
}

/// Takes fields out.
pub(super) fn drop_all(body: &mut Fields, fields: &[String], dropped: &mut Dropped) {
    for field in fields {
        if let Some(value) = body.remove(field) {
            dropped.note(field, &value);
        }
    }
}

/// Gives a field its other name, unless that is taken.
pub(super) fn rename(body: &mut Fields, from: &str, to: &str) {
    if let Some(value) = body.remove(from) {
        body.set_default(to, value);
    }
}

/// Makes a single `stop` a list.
pub(super) fn stop_to_array(body: &mut Fields) {
    let single = body.get("stop").filter(|stop| Shape::of(stop) == Shape::String);
    if let Some(list) = single.map(|stop| [b"[", &stop[..], b"]"].concat()) {
        body.set("stop", list);
    }
}

/// Adds an empty message to a completion in the middle that has none.
pub(super) fn pad_messages(body: &mut Fields) {
    let is_set = |name: &str| body.get(name).is_some_and(|raw| Shape::of(raw) != Shape::Null && raw[..] != *b"\"\"");
    let has_some = |raw: &Bytes| Shape::of(raw) == Shape::Array && !json::is_empty_container(raw);
    if !body.get("messages").is_some_and(has_some) && (is_set("prefix") || is_set("suffix")) {
        body.set("messages", r#"[{"role":"user","content":""}]"#);
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
