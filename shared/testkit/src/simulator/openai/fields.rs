//! Single fields of a body, checked as OpenAI checks them.

use serde_json::{Map, Value};

use crate::simulator::refusal::Refusal;

/// The model a body names. Azure names it in the path instead.
pub(in crate::simulator) fn model_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    match body.get("model") {
        None | Some(Value::Null) => Err(Refusal::bad("you must provide a model parameter")),
        Some(Value::String(model)) if model.is_empty() => Err(Refusal::bad("you must provide a model parameter")),
        Some(Value::String(model)) => Ok(model.clone()),
        Some(other) => Err(Refusal::wrong_type("model", "a string", other)),
    }
}

/// A field that is there and not `null`.
pub(in crate::simulator) fn given<'a>(body: &'a Map<String, Value>, param: &str) -> Option<&'a Value> {
    body.get(param).filter(|value| !value.is_null())
}

pub(in crate::simulator) fn boolean(body: &Map<String, Value>, param: &str) -> Result<Option<bool>, Refusal> {
    match given(body, param) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(Refusal::wrong_type(param, "a boolean", other)),
    }
}

pub(in crate::simulator) fn integer(
    body: &Map<String, Value>,
    param: &str,
    least: u32,
    most: u32,
) -> Result<Option<u32>, Refusal> {
    match given(body, param) {
        None => Ok(None),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let figure = number.as_u64().and_then(|figure| u32::try_from(figure).ok());
            let fits = figure.filter(|figure| (least..=most).contains(figure));
            fits.map(Some).ok_or_else(|| Refusal::invalid_value(param, &format!("expected an integer from {least} to {most}")))
        }
        Some(other) => Err(Refusal::wrong_type(param, "an integer", other)),
    }
}

/// A figure between these two. It is only checked: nothing here depends on it.
pub(in crate::simulator) fn decimal(body: &Map<String, Value>, param: &str, least: f64, most: f64) -> Result<(), Refusal> {
    let Some(value) = given(body, param) else { return Ok(()) };
    let figure = value.as_f64().ok_or_else(|| Refusal::wrong_type(param, "a decimal", value))?;
    if (least..=most).contains(&figure) {
        return Ok(());
    }
    Err(Refusal::invalid_value(param, &format!("expected a decimal from {least} to {most}")))
}

pub(in crate::simulator) fn text<'a>(body: &'a Map<String, Value>, param: &str) -> Result<Option<&'a str>, Refusal> {
    match given(body, param) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Refusal::wrong_type(param, "a string", other)),
    }
}

/// One of these words. `at` is the field's full path.
pub(in crate::simulator) fn word<'a>(value: &'a Value, at: &str, words: &[&str]) -> Result<&'a str, Refusal> {
    let Some(word) = value.as_str() else { return Err(Refusal::wrong_type(at, "a string", value)) };
    if words.contains(&word) { Ok(word) } else { Err(unsupported(at, word, words)) }
}

/// The refusal of a word that is not one of these.
pub(in crate::simulator) fn unsupported(at: &str, word: &str, words: &[&str]) -> Refusal {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let list = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    Refusal::bad(format!("Invalid value: '{word}'. Supported values are: {list}.")).param(at).code("invalid_value")
}

pub(in crate::simulator) fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| Refusal::wrong_type(at, "an object", value))
}

/// A list that may be absent.
pub(in crate::simulator) fn list<'a>(body: &'a Map<String, Value>, param: &str) -> Result<&'a [Value], Refusal> {
    match given(body, param) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(Refusal::wrong_type(param, "an array of objects", other)),
    }
}

pub(in crate::simulator) fn empty_array(param: &str) -> Refusal {
    Refusal::bad(format!(
        "Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    ))
    .param(param)
    .code("empty_array")
}

/// The name of a tool or a format: letters, digits, `_` and `-`, 64 at most.
pub(in crate::simulator) fn check_name(name: &str, at: &str) -> Result<(), Refusal> {
    if name.is_empty() || !name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter)) {
        let text = format!(
            "Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(Refusal::bad(text).param(at).code("invalid_value"));
    }
    check_length(name, 64, at)
}

pub(in crate::simulator) fn check_length(text: &str, most: usize, at: &str) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length <= most {
        return Ok(());
    }
    let text = format!(
        "Invalid '{at}': string too long. Expected a string with maximum length {most}, but got a string with length {length} instead."
    );
    Err(Refusal::bad(text).param(at).code("string_above_max_length"))
}

/// `metadata`: at most 16 texts of at most 512 characters.
pub(in crate::simulator) fn check_metadata(body: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(metadata) = given(body, "metadata") else { return Ok(()) };
    let pairs = object(metadata, "metadata")?;
    if pairs.len() > 16 {
        let text = format!("Invalid 'metadata': too many properties. Expected at most 16, but got {} instead.", pairs.len());
        return Err(Refusal::bad(text).param("metadata").code("object_above_max_properties"));
    }
    for (name, value) in pairs {
        let at = format!("metadata.{name}");
        check_length(name, 64, &at)?;
        let text = value.as_str().ok_or_else(|| Refusal::wrong_type(&at, "a string", value))?;
        check_length(text, 512, &at)?;
    }
    Ok(())
}

/// What `strict` demands of a schema: every object closed, every property required. `what` names it in the error.
pub(in crate::simulator) fn check_strict_schema(schema: &Value, what: &str, at: &str, code: &str) -> Result<(), Refusal> {
    check_closed(schema, what, at, code, &mut Vec::new())
}

fn check_closed(schema: &Value, what: &str, at: &str, code: &str, context: &mut Vec<String>) -> Result<(), Refusal> {
    let fail = |context: &[String], text: &str| {
        let context: Vec<String> = context.iter().map(|step| format!("'{step}'")).collect();
        let text = format!("Invalid schema for {what}: In context=({}), {text}", context.join(", "));
        Err(Refusal::bad(text).param(at).code(code))
    };
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != Value::Bool(false) {
            return fail(context, "'additionalProperties' is required to be supplied and to be false.");
        }
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(name) = properties.keys().find(|name| !required.iter().any(|one| one == name.as_str())) {
            let text = format!(
                "'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'."
            );
            return fail(context, &text);
        }
        for (name, property) in properties {
            context.extend(["properties".to_owned(), name.clone()]);
            check_closed(property, what, at, code, context)?;
            context.truncate(context.len() - 2);
        }
    }
    for step in ["items", "anyOf", "$defs"] {
        let nested: Vec<&Value> = match &schema[step] {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) if step == "$defs" => map.values().collect(),
            one @ Value::Object(_) => vec![one],
            _ => Vec::new(),
        };
        for schema in nested {
            context.push(step.to_owned());
            check_closed(schema, what, at, code, context)?;
            context.pop();
        }
    }
    Ok(())
}
