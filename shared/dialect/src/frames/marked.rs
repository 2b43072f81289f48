//! Events with plain text as data and JSON in a field `meta`.
//!
//! <https://open.bigmodel.cn/dev/howuse/model-v3>: the events are `add`, `error`, `interrupted` and `finish`; the last has the `meta`.

use serde_json::{Value, json};

use super::frame_of;
use crate::sse::Frame;

/// The event as JSON. A text of line breaks comes as blank data lines: one alone is one line break.
pub(super) fn told(frame: &Frame) -> Frame {
    let text = String::from_utf8_lossy(frame.bytes());
    let (mut name, mut data, mut meta) = (None, None::<String>, Value::Null);
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = Some(value.trim().to_owned()),
            "meta" => meta = serde_json::from_str(value).unwrap_or(Value::Null),
            "data" => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            _ => {}
        }
    }
    if name.is_none() && data.is_none() && meta.is_null() {
        return frame.clone();
    }
    if name.as_deref() == Some("add") && data.as_deref() == Some("") {
        data = Some("\n".to_owned());
    }
    frame_of(json!({"event": name, "data": data, "meta": meta}).to_string().as_bytes(), true)
}
