//! Arguments of calls of custom tools.

use serde_json::{Map, Value};

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
