//! Schemas of Gemini callers: OpenAPI's words, in proto JSON's spellings, as JSON Schema.

use serde_json::{Map, Value};

/// Words that proto JSON may spell with underscores.
const SPELLINGS: &[(&str, &str)] = &[
    ("any_of", "anyOf"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("property_ordering", "propertyOrdering"),
];

/// The JSON Schema of a Gemini caller's `parameters` or `responseSchema`: types in lower case, `nullable` as a type, no ordering.
#[must_use]
pub fn from_gemini(schema: &Value) -> Value {
    let Some(words) = schema.as_object() else { return schema.clone() };
    let mut standard = Map::new();
    let mut is_nullable = false;
    for (word, value) in words {
        let word = SPELLINGS.iter().find(|(spelt, _)| spelt == word).map_or(word.as_str(), |(_, usual)| usual);
        match word {
            "nullable" => is_nullable = value.as_bool() == Some(true),
            "propertyOrdering" => {}
            "format" if value.as_str() == Some("enum") => {}
            "type" => {
                if let Some(kind) = lower(value) {
                    standard.insert(word.to_owned(), kind);
                }
            }
            "example" => {
                standard.insert("examples".to_owned(), Value::Array(vec![value.clone()]));
            }
            _ => {
                standard.insert(word.to_owned(), translated(word, value));
            }
        }
    }
    if is_nullable {
        allow_null(&mut standard);
    }
    Value::Object(standard)
}

fn translated(word: &str, value: &Value) -> Value {
    match (word, value) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => {
            named.iter().map(|(name, schema)| (name.clone(), from_gemini(schema))).collect()
        }
        ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(branches)) => branches.iter().map(from_gemini).collect(),
        ("items" | "additionalProperties", Value::Object(_)) => from_gemini(value),
        ("minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength", Value::String(count)) => {
            count.parse::<u64>().map_or_else(|_| value.clone(), Value::from)
        }
        _ => value.clone(),
    }
}

fn lower(kind: &Value) -> Option<Value> {
    match kind {
        Value::String(kind) if kind == "TYPE_UNSPECIFIED" => None,
        Value::String(kind) => Some(kind.to_ascii_lowercase().into()),
        Value::Array(kinds) => Some(kinds.iter().filter_map(lower).collect()),
        _ => None,
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    match schema.get_mut("type") {
        Some(Value::Array(kinds)) => {
            if !kinds.iter().any(|kind| kind == "null") {
                kinds.push("null".into());
            }
        }
        Some(kind) if kind != "null" => *kind = Value::Array(vec![kind.take(), "null".into()]),
        Some(_) => {}
        None => {
            if let Some(Value::Array(branches)) = schema.get_mut("anyOf") {
                let null = Value::Object(Map::from_iter([("type".to_owned(), "null".into())]));
                if !branches.contains(&null) {
                    branches.push(null);
                }
            }
        }
    }
}
