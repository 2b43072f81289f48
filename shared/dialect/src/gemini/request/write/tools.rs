//! `tools` and `functionCallingConfig`.

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use crate::ir::{Tool, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::schema;
use crate::target::Target;
use crate::tool_name::ToolNames;

/// The tools: all functions in one declaration, then each of Google's own.
pub(super) fn write(
    tools: &[Tool],
    target: &Target<'_>,
    names: &mut ToolNames,
    losses: &mut Losses<'_>,
) -> Result<Vec<Value>, Unsupported> {
    let (mut functions, mut others) = (Vec::new(), Vec::new());
    for tool in tools {
        match tool {
            Tool::Function { name, description, schema, .. } => {
                functions.push(function(
                    &names.for_upstream(name, Dialect::Gemini),
                    description.as_deref(),
                    schema.as_ref(),
                    target,
                ));
            }
            Tool::WebSearch { .. } => others.push(json!({"googleSearch": {}})),
            Tool::Native { family, raw, .. } if *family == target.family => others.push(raw.clone()),
            Tool::Native { .. } => losses.reject(Field::ServerTool)?,
        }
    }
    let declared = (!functions.is_empty()).then(|| json!({"functionDeclarations": functions}));
    Ok(declared.into_iter().chain(others).collect())
}

fn function(name: &str, description: Option<&str>, schema: Option<&Value>, target: &Target<'_>) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(name));
    if let Some(description) = description {
        function.insert("description".to_owned(), json!(description));
    }
    match schema {
        Some(schema) if target.capabilities.json_schema => {
            function.insert("parametersJsonSchema".to_owned(), schema.clone());
        }
        Some(schema) => {
            let cleaned = schema::for_gemini(schema);
            if has_properties(&cleaned) {
                function.insert("parameters".to_owned(), cleaned);
            }
        }
        None => {}
    }
    Value::Object(function)
}

/// Whether there are arguments at all: an object without any is refused.
fn has_properties(schema: &Value) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| !properties.is_empty()) || schema.get("anyOf").is_some()
}

/// Whether and which functions are called; names only stand beside `ANY` and `VALIDATED`.
pub(super) fn write_choice(choice: &ToolChoice, names: &mut ToolNames) -> Option<Value> {
    let mut theirs = |name: &String| names.for_upstream(name, Dialect::Gemini);
    match choice {
        ToolChoice::Unset => None,
        ToolChoice::Auto => Some(json!({"mode": "AUTO"})),
        ToolChoice::None => Some(json!({"mode": "NONE"})),
        ToolChoice::Any => Some(json!({"mode": "ANY"})),
        ToolChoice::Named(name) => Some(json!({"mode": "ANY", "allowedFunctionNames": [theirs(name)]})),
        ToolChoice::Allowed { names, is_required } => {
            let mode = if *is_required { "ANY" } else { "VALIDATED" };
            let names: Vec<String> = names.iter().map(theirs).collect();
            Some(json!({"mode": mode, "allowedFunctionNames": names}))
        }
    }
}
