//! Arguments of calls: JSON text here, objects in the IR.

use serde_json::{Map, Value};

use crate::ir::Arguments;
use crate::json;

/// The arguments a text says: none for an empty one. What a sloppy model wrote is read once more, leniently.
pub(super) fn read(text: &str) -> Arguments {
    if text.trim().is_empty() {
        return Arguments::Object(Map::new());
    }
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    object(text).or_else(|| lenient(text)).map_or_else(|| Arguments::Raw(text.to_owned()), Arguments::Object)
}

/// An object in a code fence, or one written as a JSON string, or one with halves of characters.
fn lenient(text: &str) -> Option<Map<String, Value>> {
    let mended = json::mended(text.as_bytes());
    let bare = mended.trim();
    let bare = bare.strip_prefix("```").map_or(bare, |fenced| fenced.trim_start_matches("json").trim_end_matches("```").trim());
    let value = serde_json::from_str::<Value>(bare).ok()?;
    match value {
        Value::Object(object) => Some(object),
        Value::String(inner) => serde_json::from_str(&inner).ok(),
        _ => None,
    }
}

/// The arguments as JSON text: `{}` for none.
pub(super) fn write(arguments: &Arguments) -> String {
    match arguments {
        Arguments::Object(object) => serde_json::to_string(object).unwrap_or_else(|_| "{}".to_owned()),
        Arguments::Raw(text) if text.is_empty() => "{}".to_owned(),
        Arguments::Raw(text) => text.clone(),
    }
}

/// The text a custom tool was called with, of the arguments of the function it became.
pub(super) fn custom_input(arguments: &str) -> String {
    let object = serde_json::from_str::<Map<String, Value>>(arguments).ok();
    match object.as_ref().and_then(|object| object.get(super::CUSTOM_INPUT)).and_then(Value::as_str) {
        Some(input) => input.to_owned(),
        None => arguments.to_owned(),
    }
}

/// The arguments of the function that a custom tool became, of the text it is called with.
pub(super) fn of_custom(input: &str) -> Map<String, Value> {
    Map::from_iter([(super::CUSTOM_INPUT.to_owned(), Value::from(input))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sloppy_arguments_are_read_and_broken_ones_kept() {
        let object = |value: Value| Arguments::Object(value.as_object().cloned().unwrap());
        for (text, read_as) in [
            ("", object(json!({}))),
            (r#"{"b":1,"a":"ü"}"#, object(json!({"b": 1, "a": "ü"}))),
            ("```json\n{\"a\":1}\n```", object(json!({"a": 1}))),
            (r#""{\"a\":1}""#, object(json!({"a": 1}))),
            (r#"{"a":"\ud83d"}"#, object(json!({"a": "\u{fffd}"}))),
            (r#"{"a":"#, Arguments::Raw(r#"{"a":"#.to_owned())),
            ("[1]", Arguments::Raw("[1]".to_owned())),
        ] {
            assert_eq!(read(text), read_as, "{text}");
        }
        assert_eq!(write(&read(r#"{ "b": 1, "a": "ü" }"#)), r#"{"b":1,"a":"ü"}"#, "compact, in order, not escaped");
        assert_eq!(write(&Arguments::Raw(String::new())), "{}");
    }
}
