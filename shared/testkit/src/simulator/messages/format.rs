//! Structured answers: the schema that is asked for.

use serde_json::{Map, Value};

use super::fields::{given, missing, object, only, path, tag, word, wrong};
use crate::simulator::asked::Form;
use crate::simulator::refusal::Refusal;

/// Reads `output_config`, or the older `output_format`.
pub(super) fn form(body: &Map<String, Value>) -> Result<Form, Refusal> {
    if let Some(config) = given(body, "output_config") {
        let fields = object(config, "output_config")?;
        only(fields, &["effort", "format", "task_budget"], "output_config")?;
        if let Some(effort) = given(fields, "effort") {
            word(effort, "output_config.effort", &["low", "medium", "high", "xhigh", "max"])?;
        }
        if let Some(format) = given(fields, "format") {
            return read(format, "output_config.format");
        }
    }
    given(body, "output_format").map_or(Ok(Form::Text), |format| read(format, "output_format"))
}

fn read(format: &Value, at: &str) -> Result<Form, Refusal> {
    let fields = object(format, at)?;
    tag(fields, at, &["json_schema"])?;
    only(fields, &["type", "schema"], at)?;
    let at = path(at, "schema");
    let schema = given(fields, "schema").ok_or_else(|| missing(&at))?;
    check(schema, &at)?;
    Ok(Form::Schema(schema.clone()))
}

/// Keywords that structured answers do not know, by the type they belong to.
const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("integer", &["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"]),
    ("number", &["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"]),
    ("string", &["maxLength", "minLength"]),
    ("array", &["maxItems", "uniqueItems"]),
    ("object", &["maxProperties", "minProperties", "patternProperties"]),
];

fn check(schema: &Value, at: &str) -> Result<(), Refusal> {
    let kind = schema["type"].as_str().unwrap_or("");
    if kind == "object" && schema["additionalProperties"] != false {
        return Err(wrong(at, "For 'object' type, 'additionalProperties' must be explicitly set to false"));
    }
    if let Some((_, keywords)) = UNSUPPORTED.iter().find(|(of, _)| *of == kind) {
        let found: Vec<&str> = keywords.iter().copied().filter(|keyword| schema.get(keyword).is_some()).collect();
        if !found.is_empty() {
            return Err(wrong(at, &format!("For '{kind}' type, properties {} are not supported", found.join(", "))));
        }
    }
    let named = ["properties", "$defs", "definitions"].iter().filter_map(|step| schema[*step].as_object()).flat_map(Map::values);
    let chosen = ["anyOf", "allOf"].iter().filter_map(|step| schema[*step].as_array()).flatten();
    named.chain(chosen).chain(schema.get("items")).try_for_each(|nested| check(nested, at))
}
