//! Tools and which of them are called (conversions.md §4).

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use crate::ir::{Family, Request, Tool, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::schema;
use crate::target::Target;
use crate::tool_name::ToolNames;

/// Without tools neither a choice nor parallel calls may be named.
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses<'_>,
    names: &mut ToolNames,
    body: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    let (allowed, choice) = choice(request, target);
    let mut tools = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Function { name, .. } if allowed.is_some_and(|allowed| !allowed.contains(name)) => {}
            Tool::Function { name, description, schema, strict, cache } => {
                if cache.is_some() {
                    losses.drop(Field::CacheMarks)?;
                }
                let mut function = Map::new();
                function.insert("name".to_owned(), names.for_upstream(name, Dialect::OpenAi).into());
                if let Some(description) = description {
                    function.insert("description".to_owned(), description.as_str().into());
                }
                if let Some(schema) = schema {
                    function.insert("parameters".to_owned(), schema.clone());
                }
                if *strict == Some(true) && schema.as_ref().is_some_and(schema::strict_ready) {
                    function.insert("strict".to_owned(), true.into());
                }
                tools.push(json!({"type": "function", "function": function}));
            }
            Tool::WebSearch { max_uses, location } => {
                body.insert("web_search_options".to_owned(), web_search(*max_uses, location.as_ref()));
            }
            Tool::Native { .. } => losses.reject(Field::ServerTool)?,
        }
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = written(&choice, names) {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(parallel) = request.parallel_tools {
        body.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    Ok(())
}

/// Only OpenAI can be told to use some of the tools; for others the rest is left out.
fn choice<'r>(request: &'r Request, target: &Target<'_>) -> (Option<&'r Vec<String>>, Cow<'r, ToolChoice>) {
    match &request.tool_choice {
        ToolChoice::Allowed { names, is_required } if target.family != Family::OpenAi => {
            (Some(names), Cow::Owned(if *is_required { ToolChoice::Any } else { ToolChoice::Auto }))
        }
        choice => (None, Cow::Borrowed(choice)),
    }
}

fn written(choice: &ToolChoice, names: &mut ToolNames) -> Option<Value> {
    let mut function = |name: &str| json!({"type": "function", "function": {"name": names.for_upstream(name, Dialect::OpenAi)}});
    match choice {
        ToolChoice::Unset => None,
        ToolChoice::Auto => Some("auto".into()),
        ToolChoice::None => Some("none".into()),
        ToolChoice::Any => Some("required".into()),
        ToolChoice::Named(name) => Some(function(name)),
        ToolChoice::Allowed { names, is_required } => {
            let mode = if *is_required { "required" } else { "auto" };
            let tools: Vec<Value> = names.iter().map(|name| function(name)).collect();
            Some(json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}))
        }
    }
}

fn web_search(max_uses: Option<u32>, location: Option<&Map<String, Value>>) -> Value {
    let mut options = Map::new();
    if let Some(max_uses) = max_uses {
        let size = match max_uses {
            0..=1 => "low",
            2..=5 => "medium",
            _ => "high",
        };
        options.insert("search_context_size".to_owned(), size.into());
    }
    if let Some(location) = location {
        options.insert("user_location".to_owned(), json!({"type": "approximate", "approximate": location}));
    }
    Value::Object(options)
}
