//! OpenRouter's `reasoning`.

use serde_json::{Map, Value, json};

/// Where Anthropic's own `thinking` is understood.
const ANTHROPIC: &str = "anthropic/";

/// Turns `reasoning_effort`, and for Claude `thinking`, into `reasoning`. What the caller says in `reasoning` itself stays.
pub(super) fn reason(model: &str, body: &mut Map<String, Value>) {
    let effort = body.shift_remove("reasoning_effort");
    let effort = effort.as_ref().and_then(Value::as_str).filter(|effort| *effort != "none");
    let thinking = if model.starts_with(ANTHROPIC) { body.shift_remove("thinking") } else { None };
    let budget = thinking.filter(|thinking| thinking.get("type").and_then(Value::as_str) == Some("enabled"));
    let budget = budget.as_ref().and_then(|thinking| thinking.get("budget_tokens")).filter(|budget| budget.is_u64());
    if effort.is_none() && budget.is_none() {
        return;
    }
    let reasoning = body.entry("reasoning").or_insert_with(|| json!({}));
    let Some(reasoning) = reasoning.as_object_mut() else { return };
    // one of the two may be given, not both
    if reasoning.contains_key("effort") || reasoning.contains_key("max_tokens") {
        return;
    }
    if let Some(budget) = budget {
        reasoning.insert("max_tokens".to_owned(), budget.clone());
    } else if let Some(effort) = effort {
        reasoning.entry("enabled").or_insert(true.into());
        reasoning.insert("effort".to_owned(), effort.into());
    }
}
