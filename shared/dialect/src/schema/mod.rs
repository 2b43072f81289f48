//! JSON Schema as each provider takes it.
//!
//! Callers write JSON Schema. Gemini's older fields take a small part of OpenAPI's and refuse a whole request for one word they do not know;
//! Claude's structured answers want closed objects and no bounds; OpenAI keeps to a schema only where every object is closed and complete.
//! Keys inside `properties` are names of the caller's and never words of the schema.

mod anthropic;
mod flatten;
mod gemini;
mod gemini_caller;
mod kind;
mod strict;

pub use anthropic::for_anthropic;
pub use gemini::for_gemini;
pub use gemini_caller::from_gemini;
pub use strict::strict_ready;

use serde_json::{Map, Value};

/// Whether a schema describes an object with no properties: Gemini refuses one as `parameters` of a function, which then has none.
#[must_use]
pub fn has_no_properties(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return true };
    let has_some = |word: &str| schema.get(word).is_some_and(|value| value.as_object().is_some_and(|names| !names.is_empty()));
    let is_object = schema.get("type").is_none_or(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("object")));
    let refers = ["$ref", "anyOf", "oneOf", "allOf", "items", "prefixItems", "enum", "const"];
    is_object && !has_some("properties") && !refers.iter().any(|word| schema.contains_key(*word))
}

/// Adds a sentence to the description.
fn add_hint(schema: &mut Map<String, Value>, hint: &str, separator: &str) {
    let described = match schema.get("description").and_then(Value::as_str) {
        Some(said) if !said.is_empty() => format!("{said}{separator}{hint}"),
        _ => hint.to_owned(),
    };
    schema.insert("description".to_owned(), Value::String(described));
}

#[cfg(test)]
mod tests;
