//! What the model may call.

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use crate::ir::{Request, Tool, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::schema;
use crate::tool_name::ToolNames;

/// Writes `tools`, and with them `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    names: &mut ToolNames,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    let mut tools = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Function { name, description, schema, strict, .. } => {
                tools.push(function(
                    &names.for_upstream(name, Dialect::Responses),
                    description.as_deref(),
                    schema.as_ref(),
                    *strict,
                ));
            }
            Tool::WebSearch { max_uses, location } => tools.push(web_search(*max_uses, location.as_ref())),
            Tool::Native { .. } => losses.reject(Field::ServerTool)?,
        }
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".to_owned(), Value::from(tools));
    if let Some(choice) = choice(&request.tool_choice, names) {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(parallel) = request.parallel_tools {
        body.insert("parallel_tool_calls".to_owned(), Value::from(parallel));
    }
    Ok(())
}

/// Strictness is always said: it is the default here, and refuses most schemas.
fn function(name: &str, description: Option<&str>, schema: Option<&Value>, strict: Option<bool>) -> Value {
    let is_strict = strict == Some(true) && schema.is_some_and(schema::strict_ready);
    let mut tool = Map::from_iter([("type".to_owned(), Value::from("function")), ("name".to_owned(), Value::from(name))]);
    if let Some(description) = description {
        tool.insert("description".to_owned(), Value::from(description));
    }
    tool.insert("parameters".to_owned(), parameters(schema));
    tool.insert("strict".to_owned(), Value::from(is_strict));
    Value::Object(tool)
}

fn parameters(schema: Option<&Value>) -> Value {
    let mut schema = schema.and_then(Value::as_object).cloned().unwrap_or_default();
    if !schema.contains_key("type") {
        schema.insert("type".to_owned(), Value::from("object"));
    }
    if !schema.contains_key("properties") {
        schema.insert("properties".to_owned(), json!({}));
    }
    Value::Object(schema)
}

fn web_search(max_uses: Option<u32>, location: Option<&Map<String, Value>>) -> Value {
    let mut tool = Map::from_iter([("type".to_owned(), Value::from("web_search"))]);
    if let Some(most) = max_uses {
        let size = match most {
            0..=1 => "low",
            2..=5 => "medium",
            _ => "high",
        };
        tool.insert("search_context_size".to_owned(), Value::from(size));
    }
    if let Some(location) = location {
        let mut said = Map::from_iter([("type".to_owned(), Value::from("approximate"))]);
        said.extend(location.clone());
        tool.insert("user_location".to_owned(), Value::Object(said));
    }
    Value::Object(tool)
}

fn choice(choice: &ToolChoice, names: &mut ToolNames) -> Option<Value> {
    let mut named = |name: &str| json!({"type": "function", "name": names.for_upstream(name, Dialect::Responses)});
    match choice {
        ToolChoice::Unset => None,
        ToolChoice::Auto => Some(Value::from("auto")),
        ToolChoice::None => Some(Value::from("none")),
        ToolChoice::Any => Some(Value::from("required")),
        ToolChoice::Named(name) => Some(named(name)),
        ToolChoice::Allowed { names: allowed, is_required } => {
            let mode = if *is_required { "required" } else { "auto" };
            let tools: Vec<Value> = allowed.iter().map(|name| named(name)).collect();
            Some(json!({"type": "allowed_tools", "mode": mode, "tools": tools}))
        }
    }
}
