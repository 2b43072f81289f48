//! Schemas of `parameters` and `responseSchema`: a part of OpenAPI's, one unknown key of which fails the request.

use serde_json::Value;

use super::fields::{Message, enum_word, invalid, violation, wrong};
use crate::simulator::refusal::Refusal;

const KNOWN: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "minimum",
    "maximum",
];
const TYPES: &[&str] = &["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

/// Checks a schema. `shown` is its path as the errors behind the parser write it, with names instead of numbers.
pub(super) fn check(schema: &Value, at: String, shown: &str) -> Result<(), Refusal> {
    let schema = Message::read(schema, at, KNOWN)?;
    let kind = match schema.get("type") {
        None => "",
        Some(Value::Array(_)) => {
            let text = format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{}': Proto field is not repeating, cannot start list.",
                schema.at
            );
            return Err(violation(&schema.at, text));
        }
        Some(kind) => enum_word(kind, &schema.path("type"), "Type", TYPES)?,
    };
    check_words(&schema, kind, shown)?;
    if let Some(items) = schema.get("items") {
        check(items, schema.path("items"), &format!("{shown}.items"))?;
    } else if kind == "ARRAY" {
        return Err(wrong(&format!("{shown}.items"), "missing field."));
    }
    check_properties(&schema, kind, shown)?;
    for (place, (at, branch)) in schema.list("anyOf")?.into_iter().enumerate() {
        check(branch, at, &format!("{shown}.any_of[{place}]"))?;
    }
    Ok(())
}

fn check_words(schema: &Message<'_>, kind: &str, shown: &str) -> Result<(), Refusal> {
    for (place, word) in schema.get("enum").and_then(Value::as_array).into_iter().flatten().enumerate() {
        match word {
            Value::String(word) if word.is_empty() => return Err(wrong(&format!("{shown}.enum[{place}]"), "cannot be empty")),
            Value::String(_) if kind == "STRING" || kind.is_empty() => {}
            Value::String(_) => return Err(wrong(&format!("{shown}.enum"), "only allowed for STRING type")),
            other => return Err(invalid(&format!("{}[{place}]", schema.path("enum")), "TYPE_STRING", other)),
        }
    }
    if kind == "STRING" && schema.text("format")?.is_some_and(|format| !["enum", "date-time"].contains(&format)) {
        return Err(wrong(&format!("{shown}.format"), "only 'enum' and 'date-time' are supported for STRING type"));
    }
    schema.boolean("nullable")?;
    for name in ["description", "title", "pattern"] {
        schema.text(name)?;
    }
    Ok(())
}

fn check_properties(schema: &Message<'_>, kind: &str, shown: &str) -> Result<(), Refusal> {
    let properties = match schema.get("properties") {
        None => None,
        Some(Value::Object(properties)) => Some(properties),
        Some(other) => return Err(invalid(&schema.path("properties"), "TYPE_MESSAGE", other)),
    };
    if kind == "OBJECT" && properties.is_some_and(serde_json::Map::is_empty) {
        return Err(wrong(&format!("{shown}.properties"), "should be non-empty for OBJECT type"));
    }
    for (place, (name, property)) in properties.into_iter().flatten().enumerate() {
        let at = format!("{}[{place}].value", schema.path("properties"));
        check(property, at, &format!("{shown}.properties[{name}]"))?;
    }
    for (place, name) in schema.get("required").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let Some(name) = name.as_str() else {
            return Err(invalid(&format!("{}[{place}]", schema.path("required")), "TYPE_STRING", name));
        };
        if properties.is_none_or(|properties| !properties.contains_key(name)) {
            return Err(wrong(&format!("{shown}.required[{place}]"), "property is not defined"));
        }
    }
    Ok(())
}
