//! OpenRouter's `reasoning`.

use bytes::Bytes;
use sluice_dialect::json::{Fields, Shape};

/// Where Anthropic's own `thinking` is understood.
const ANTHROPIC: &str = "anthropic/";

/// Turns `reasoning_effort`, and for Claude `thinking`, into `reasoning`. What the caller says in `reasoning` itself stays.
pub(super) fn reason(model: &str, body: &mut Fields) {
    let effort =
        body.remove("reasoning_effort").filter(|effort| Shape::of(effort) == Shape::String && effort[..] != *b"\"none\"");
    let thinking = if model.starts_with(ANTHROPIC) { body.remove("thinking") } else { None };
    let budget = thinking.and_then(|thinking| {
        let thinking = Fields::parse(thinking).ok().filter(|thinking| thinking.text("type").as_deref() == Some("enabled"))?;
        thinking.get("budget_tokens").filter(|budget| serde_json::from_slice::<u64>(budget).is_ok()).cloned()
    });
    if effort.is_none() && budget.is_none() {
        return;
    }
    body.set_default("reasoning", Bytes::from_static(b"{}"));
    body.within("reasoning", |reasoning| {
        // one of the two may be given, not both
        if reasoning.contains("effort") || reasoning.contains("max_tokens") {
            return;
        }
        if let Some(budget) = budget {
            reasoning.set("max_tokens", budget);
        } else if let Some(effort) = effort {
            reasoning.set_default("enabled", Bytes::from_static(b"true"));
            reasoning.set("effort", effort);
        }
    });
}
