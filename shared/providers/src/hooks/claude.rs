//! Endings of Claude's names that ask for thinking.

use serde_json::{Map, Value, json};

use crate::Capability;

const THINKING: &str = "-thinking";
/// Efforts that may stand at the end of a name.
const EFFORTS: [&str; 5] = ["max", "high", "medium", "low", "minimal"];
/// The least limit of output that leaves room for thinking, in tokens: four fifths of it are the smallest budget.
const LEAST_OUTPUT: u64 = 1_280;

pub(super) fn plain_thinking(capability: Capability, model: &str) -> &str {
    let plain = model.strip_suffix(THINKING).filter(|plain| capability.is_anthropic() && !plain.is_empty());
    plain.unwrap_or(model)
}

pub(super) fn plain_effort<'m>(capability: Capability, model: &'m str, starts_with: &[String]) -> &'m str {
    split(capability, model, starts_with).map_or(model, |(plain, _)| plain)
}

fn split<'m>(capability: Capability, model: &'m str, starts_with: &[String]) -> Option<(&'m str, &'m str)> {
    let (plain, effort) = model.rsplit_once('-').filter(|_| capability.is_anthropic())?;
    let is_one = EFFORTS.contains(&effort) && starts_with.iter().any(|start| plain.starts_with(start.as_str()));
    is_one.then_some((plain, effort))
}

/// Asks for thinking with four fifths of the output, unless the caller said how. Counting tokens knows nothing of it.
pub(super) fn think(capability: Capability, body: &mut Map<String, Value>) {
    if capability != Capability::Messages || body.contains_key("thinking") {
        return;
    }
    let limit = body.get("max_tokens").and_then(Value::as_u64).unwrap_or_default().max(LEAST_OUTPUT);
    body.insert("max_tokens".to_owned(), limit.into());
    body.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": limit / 5 * 4}));
    sample_as_thinking_wants(body);
}

/// Asks for thinking as the model likes, with an effort at most, unless the caller said how.
pub(super) fn put_effort(capability: Capability, model: &str, starts_with: &[String], body: &mut Map<String, Value>) {
    let Some((_, effort)) = split(capability, model, starts_with) else { return };
    if capability != Capability::Messages || body.contains_key("thinking") {
        return;
    }
    body.insert("thinking".to_owned(), json!({"type": "adaptive"}));
    let output = body.entry("output_config").or_insert_with(|| json!({}));
    if let Some(output) = output.as_object_mut() {
        output.insert("effort".to_owned(), effort.into());
    }
    sample_as_thinking_wants(body);
}

/// Only the default temperature goes with thinking.
fn sample_as_thinking_wants(body: &mut Map<String, Value>) {
    body.insert("temperature".to_owned(), 1.into());
    body.shift_remove("top_p");
}
