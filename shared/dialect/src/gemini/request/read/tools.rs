//! `tools` and `toolConfig`.

use serde_json::{Value, json};

use super::super::super::spelling::{camel, each, field, need, word};
use super::note_native;
use crate::ir::{Family, Request, Tool, ToolChoice};
use crate::node::{BodyError, Node, Rule};
use crate::schema;

/// Searches of the web, by their names in several generations of models.
const SEARCHES: [&str; 3] = ["googleSearch", "googleSearchRetrieval", "enterpriseWebSearch"];
const NATIVE: [(&str, bool); 1] = [("toolConfig.retrievalConfig", false)];

pub(super) fn read(list: &Node<'_>, tools: &mut Vec<Tool>) -> Result<(), BodyError> {
    each(list, |tool| {
        for (key, value) in tool.object()? {
            let kind = camel(key);
            if value.is_null() {
                continue;
            }
            if kind == "functionDeclarations" {
                let Some(declarations) = tool.get(key) else { continue };
                each(&declarations, |declaration| {
                    tools.push(read_function(declaration)?);
                    Ok(())
                })?;
            } else if SEARCHES.contains(&kind.as_str()) {
                tools.push(Tool::WebSearch { max_uses: None, location: None });
            } else {
                tools.push(Tool::Native { family: Family::Google, raw: json!({ kind.as_str(): value }), kind });
            }
        }
        Ok(())
    })
}

fn read_function(declaration: &Node<'_>) -> Result<Tool, BodyError> {
    declaration.object()?;
    let name = need(declaration, "name")?;
    if name.text()?.is_empty() {
        return Err(name.broken(Rule::Empty));
    }
    let description = field(declaration, "description").map(|node| node.text().map(str::to_owned)).transpose()?;
    let schema = match (field(declaration, "parametersJsonSchema"), field(declaration, "parameters")) {
        (Some(schema), _) => Some(schema.object().map(|_| schema.value().clone())?),
        (None, Some(schema)) => Some(schema.object().map(|_| schema::from_gemini(schema.value()))?),
        (None, None) => None,
    };
    let schema = schema.filter(|schema| !is_empty(schema));
    Ok(Tool::Function { name: name.text()?.to_owned(), description, schema, strict: None, cache: None })
}

/// Whether a schema says no more than that there are no arguments.
fn is_empty(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    schema.iter().all(|(key, value)| match key.as_str() {
        "type" => value == "object",
        "properties" => value.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    })
}

/// What `mode` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Unset,
    Auto,
    Any,
    None,
    Validated,
}

const MODES: [(&str, Mode); 5] = [
    ("MODE_UNSPECIFIED", Mode::Unset),
    ("AUTO", Mode::Auto),
    ("ANY", Mode::Any),
    ("NONE", Mode::None),
    ("VALIDATED", Mode::Validated),
];

pub(super) fn read_choice(config: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    config.object()?;
    note_native(config, "toolConfig.", &NATIVE, request);
    let Some(calling) = field(config, "functionCallingConfig") else { return Ok(()) };
    calling.object()?;
    let mode = field(&calling, "mode").map(|mode| word(&mode, &MODES, "AUTO, ANY, NONE, VALIDATED")).transpose()?;
    let mut names = Vec::new();
    if let Some(allowed) = field(&calling, "allowedFunctionNames") {
        for name in allowed.items()? {
            names.push(name.text()?.to_owned());
        }
    }
    request.tool_choice = match mode.unwrap_or(Mode::Unset) {
        Mode::Unset => ToolChoice::Unset,
        Mode::None => ToolChoice::None,
        Mode::Auto => ToolChoice::Auto,
        Mode::Validated if names.is_empty() => ToolChoice::Auto,
        Mode::Validated => ToolChoice::Allowed { names, is_required: false },
        Mode::Any => match <[String; 1]>::try_from(names) {
            Ok([name]) => ToolChoice::Named(name),
            Err(names) if names.is_empty() => ToolChoice::Any,
            Err(names) => ToolChoice::Allowed { names, is_required: true },
        },
    };
    Ok(())
}
