//! Schemas of answers as Claude takes them: closed objects, and bounds told in words.

use serde_json::{Map, Value};

use super::add_hint;
use super::kind::is_object;

/// Words that stay.
pub(super) const KEPT: &[&str] = &[
    "type",
    "title",
    "description",
    "default",
    "enum",
    "const",
    "format",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "definitions",
];
/// Words that narrow values and have no counterpart: the description tells of them.
const TOLD: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "examples",
];
/// Formats of strings that Claude keeps to.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// A schema as Claude's `output_config.format` takes it. Its own output stays as it is.
///
/// References stay, so a schema that refers to itself does: there is no closed object that stands for it.
#[must_use]
pub fn for_anthropic(schema: &Value) -> Value {
    let Some(words) = schema.as_object() else { return schema.clone() };
    let is_reference = words.contains_key("$ref");
    let mut kept = Map::new();
    let mut told = Vec::new();
    for (word, value) in words {
        let word = if word == "oneOf" && !words.contains_key("anyOf") { "anyOf" } else { word.as_str() };
        if is_reference && !matches!(word, "$ref" | "$defs" | "definitions") {
            continue;
        }
        if is_kept(word, value) {
            kept.insert(word.to_owned(), translated(word, value));
        } else if TOLD.contains(&word) {
            told.push(format!("{word}: {value}"));
        }
    }
    if words.get("nullable").and_then(Value::as_bool) == Some(true)
        && let Some(kind) = kept.get_mut("type").filter(|kind| kind.is_string() && *kind != "null")
    {
        *kind = Value::Array(vec![kind.take(), "null".into()]);
    }
    if is_object(&kept) {
        kept.entry("type").or_insert_with(|| "object".into());
        kept.insert("additionalProperties".to_owned(), false.into());
    }
    if !told.is_empty() {
        add_hint(&mut kept, &format!("{{{}}}", told.join(", ")), "\n\n");
    }
    Value::Object(kept)
}

fn is_kept(word: &str, value: &Value) -> bool {
    match word {
        "format" => value.as_str().is_some_and(|format| FORMATS.contains(&format)),
        "minItems" => matches!(value.as_u64(), Some(0 | 1)),
        "additionalProperties" => false,
        "items" => !value.is_array(),
        _ => KEPT.contains(&word),
    }
}

fn translated(word: &str, value: &Value) -> Value {
    match (word, value) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => {
            named.iter().map(|(name, schema)| (name.clone(), for_anthropic(schema))).collect()
        }
        ("anyOf" | "allOf", Value::Array(branches)) => branches.iter().map(for_anthropic).collect(),
        ("items", _) => for_anthropic(value),
        _ => value.clone(),
    }
}
