//! Changes of bodies that a channel may ask for (providers.md §13.2).

use serde_json::{Map, Value};
use sluice_providers::ParamOverride;

/// The most operations of a channel.
const MOST_OPERATIONS: usize = 100;

/// The members that a mode needs; `None`: there is no such mode.
fn needs(mode: &str) -> Option<&'static [&'static str]> {
    Some(match mode {
        "set" | "append" | "prepend" | "trim_prefix" | "trim_suffix" | "ensure_prefix" | "ensure_suffix" => &["path", "value"],
        "delete" | "trim_space" | "to_lower" | "to_upper" => &["path"],
        "move" | "copy" => &["from", "to"],
        "replace" | "regex_replace" => &["path", "from", "to"],
        _ => return None,
    })
}

/// The rule that changes of bodies break, with the place that breaks it. Relays follow what passes here.
pub(super) fn broken_rule(overrides: &Map<String, Value>) -> Option<String> {
    broken_form(overrides).or_else(|| ParamOverride::compile(overrides).err().map(|error| error.to_string()))
}

fn broken_form(overrides: &Map<String, Value>) -> Option<String> {
    if overrides.contains_key("stream") {
        return Some("`stream` must not be changed".to_owned());
    }
    let operations = match overrides.get("operations")? {
        Value::Array(operations) if operations.len() <= MOST_OPERATIONS => operations,
        _ => return Some(format!("`operations` must be a list of at most {MOST_OPERATIONS}")),
    };
    operations.iter().enumerate().find_map(|(at, operation)| broken_operation(at, operation))
}

fn broken_operation(at: usize, operation: &Value) -> Option<String> {
    let Some(mode) = operation.get("mode").and_then(Value::as_str) else {
        return Some(format!("`operations.{at}.mode` must be a mode such as set"));
    };
    let Some(needed) = needs(mode) else { return Some(format!("`operations.{at}.mode` is no mode")) };
    if let Some(missing) = needed.iter().find(|member| operation.get(**member).is_none_or(|value| !is_member(member, value))) {
        return Some(format!("`operations.{at}.{missing}` is needed by {mode}"));
    }
    let writes = ["path", "to"].map(|member| operation.get(member).and_then(Value::as_str));
    let is_moved = mode == "move" && operation.get("from").and_then(Value::as_str) == Some("stream");
    // in `replace` the member `to` is a text, not a place
    let is_stream = writes[0] == Some("stream") || (matches!(mode, "move" | "copy") && writes[1] == Some("stream")) || is_moved;
    is_stream.then(|| format!("`operations.{at}` must not change `stream`"))
}

fn is_member(member: &str, value: &Value) -> bool {
    member == "value" || value.is_string()
}
