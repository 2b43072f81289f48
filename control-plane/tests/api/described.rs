//! Compares what comes back with the description: every answer of every story.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;
use sluice_control_plane::http::description;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(description()).unwrap());

/// Panics when an answer is not the one that the description promises.
pub(crate) fn check(method: &Method, path: &str, status: u16, body: &Value) {
    let path = path.split('?').next().unwrap();
    let Some(operation) = operation(method, path) else { return };
    let responses = operation["responses"].as_object().unwrap();
    let response = responses.get(&status.to_string()).or_else(|| responses.get("default").filter(|_| status >= 400));
    let response = response.unwrap_or_else(|| panic!("{method} {path} answers {status}, which is not described"));
    let response = response["$ref"].as_str().map_or(response, resolve);
    let Some(media) = response["content"].as_object().and_then(|content| content.values().next()) else { return };
    if let Some(schema) = media.get("schema")
        && let Err(fault) = validate(schema, body, "")
    {
        panic!("{method} {path} answers {status} otherwise than described: {fault}\n{body:#}");
    }
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let steps: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == steps.len() && wanted.iter().zip(&steps).all(|(want, step)| want.starts_with('{') || want == step)
    };
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    // a path without placeholder comes before one with
    let fitting = paths.iter().filter(|(template, _)| fits(template));
    let (_, methods) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    methods.get(method.as_str().to_lowercase())
}

fn resolve(reference: &str) -> &'static Value {
    DESCRIPTION.pointer(reference.trim_start_matches('#')).unwrap()
}

fn validate(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return validate(resolve(reference), value, at);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let faults: Vec<String> = choices.iter().filter_map(|choice| validate(choice, value, at).err()).collect();
            return if faults.len() < choices.len() { Ok(()) } else { Err(faults.join("; ")) };
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_of_type = types.contains(&kind(value)) || (types.contains(&"number") && value.is_number());
    if !types.is_empty() && !is_of_type {
        return Err(format!("{at} is {}, not {}", kind(value), types.join(" or ")));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at} is {value}, which is no choice"));
    }
    match value {
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(place, item)| validate(&schema["items"], item, &format!("{at}[{place}]")))
        }
        Value::Object(fields) => {
            let mut known = BTreeSet::new();
            let is_open = fields_of(schema, value, at, &mut known)?;
            let unknown = fields.keys().find(|name| !is_open && !known.contains(name.as_str()));
            unknown.map_or(Ok(()), |name| Err(format!("{at}.{name} is not described")))
        }
        _ => Ok(()),
    }
}

/// Checks the fields of an object. Answers whether it may have others than those described.
fn fields_of<'s>(schema: &'s Value, value: &Value, at: &str, known: &mut BTreeSet<&'s str>) -> Result<bool, String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fields_of(resolve(reference), value, at, known);
    }
    let mut is_open = schema["properties"].is_null() && schema["allOf"].is_null() || !schema["additionalProperties"].is_null();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        is_open |= fields_of(part, value, at, known)?;
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("{at}.{name} is missing"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(name);
        if let Some(field) = value.get(name) {
            validate(property, field, &format!("{at}.{name}"))?;
        }
    }
    Ok(is_open)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
