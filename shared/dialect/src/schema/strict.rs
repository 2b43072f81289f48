//! Whether OpenAI would keep to a schema strictly.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kind::is_object;

/// Words that strict schemas must not have.
const REFUSED: &[&str] = &[
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "unevaluatedProperties",
    "propertyNames",
];

/// Whether a schema may be sent with `strict: true`: an object at the root, every object closed and all of its properties required, and no
/// word that strict schemas must not have. Others are refused as a whole, so what is no clear yes is a no.
#[must_use]
pub fn strict_ready(schema: &Value) -> bool {
    let Some(root) = schema.as_object() else { return false };
    is_object(root) && !root.contains_key("anyOf") && is_ready(schema)
}

fn is_ready(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    if REFUSED.iter().any(|word| schema.contains_key(*word)) || (is_object(schema) && !is_complete(schema)) {
        return false;
    }
    let all = |word: &str| match schema.get(word) {
        None => true,
        Some(Value::Object(named)) => named.values().all(is_ready),
        Some(Value::Array(branches)) => branches.iter().all(is_ready),
        Some(_) => false,
    };
    ["properties", "$defs", "definitions", "anyOf"].into_iter().all(all) && schema.get("items").is_none_or(is_ready)
}

/// Closed, and everything in it required.
fn is_complete(schema: &Map<String, Value>) -> bool {
    let required: BTreeSet<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let has_all = match schema.get("properties") {
        Some(Value::Object(named)) => named.keys().all(|name| required.contains(name.as_str())),
        Some(_) => false,
        None => true,
    };
    schema.get("additionalProperties") == Some(&Value::Bool(false)) && has_all
}
