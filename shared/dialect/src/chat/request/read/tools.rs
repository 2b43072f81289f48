//! Tools, old functions, and which of them are called.

use serde_json::{Map, Value};

use super::{named, text};
use crate::ir::{Family, Request, Tool, ToolChoice};
use crate::node::{BodyError, Node, Rule};

pub(super) fn read(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    if let Some(tools) = root.get("tools") {
        for declared in tools.items()? {
            request.tools.push(tool(&declared)?);
        }
    }
    if let Some(functions) = root.get("functions") {
        for declared in functions.items()? {
            request.tools.push(function(&declared, &declared)?);
        }
    }
    if let Some(options) = root.get("web_search_options") {
        request.tools.push(web_search(&options)?);
    }
    request.tool_choice = match (root.get("tool_choice"), root.get("function_call")) {
        (Some(choice), _) => tool_choice(&choice)?,
        (None, Some(choice)) => function_choice(&choice)?,
        (None, None) => ToolChoice::Unset,
    };
    request.parallel_tools = root.get("parallel_tool_calls").map(|node| node.boolean()).transpose()?;
    Ok(())
}

fn tool(declared: &Node<'_>) -> Result<Tool, BodyError> {
    declared.object()?;
    let kind = match declared.get("type") {
        Some(kind) => kind.text()?.to_owned(),
        None if declared.get("function").is_some() => "function".to_owned(),
        None => return Err(declared.need("type").err().unwrap_or_else(|| declared.broken(Rule::Missing))),
    };
    match &*kind {
        "function" => function(&declared.need("function")?, declared),
        "web_search" | "web_search_preview" => web_search(declared),
        _ => Ok(Tool::Native { family: Family::OpenAi, kind, raw: declared.value().clone() }),
    }
}

/// `outer` is where a mark of the prompt cache may stand beside the function.
fn function(declared: &Node<'_>, outer: &Node<'_>) -> Result<Tool, BodyError> {
    let schema = declared.get("parameters").map(|node| node.object().cloned()).transpose()?;
    Ok(Tool::Function {
        name: named(&declared.need("name")?)?,
        description: text(declared, "description")?,
        schema: schema.filter(|schema| !schema.is_empty()).map(Value::Object),
        strict: declared.get("strict").map(|node| node.boolean()).transpose()?,
        cache: super::content::cache(outer),
    })
}

fn web_search(options: &Node<'_>) -> Result<Tool, BodyError> {
    let words = [("low", 1), ("medium", 5), ("high", 10)];
    let size = options.get("search_context_size");
    let max_uses = size.map(|size| size.word(&words, "low, medium, high")).transpose()?;
    Ok(Tool::WebSearch { max_uses, location: location(options)? })
}

/// The approximate place, which stands in an object of its own here and beside its type elsewhere.
fn location(options: &Node<'_>) -> Result<Option<Map<String, Value>>, BodyError> {
    let Some(place) = options.get("user_location") else { return Ok(None) };
    let mut fields = match place.get("approximate") {
        Some(approximate) => approximate.object()?.clone(),
        None => place.object()?.clone(),
    };
    fields.shift_remove("type");
    Ok(Some(fields))
}

fn tool_choice(choice: &Node<'_>) -> Result<ToolChoice, BodyError> {
    if let Some(word) = choice.value().as_str() {
        return match word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Any),
            _ => Err(choice.broken(Rule::Word("auto, none, required"))),
        };
    }
    if !choice.value().is_object() {
        return Err(choice.wrong("a string or an object"));
    }
    let kind = choice.need("type")?;
    match kind.text()? {
        "function" => Ok(ToolChoice::Named(named(&choice.need("function")?.need("name")?)?)),
        "custom" => Ok(ToolChoice::Named(named(&choice.need("custom")?.need("name")?)?)),
        "allowed_tools" => allowed(&choice.need("allowed_tools")?),
        _ => Err(kind.broken(Rule::Word("function, custom, allowed_tools"))),
    }
}

fn allowed(choice: &Node<'_>) -> Result<ToolChoice, BodyError> {
    let is_required = choice.need("mode")?.word(&[("auto", false), ("required", true)], "auto, required")?;
    let mut names = Vec::new();
    for tool in choice.need("tools")?.items()? {
        names.push(named(&tool.need("function")?.need("name")?)?);
    }
    Ok(ToolChoice::Allowed { names, is_required })
}

/// The form of `function_call` that came before tools.
fn function_choice(choice: &Node<'_>) -> Result<ToolChoice, BodyError> {
    match choice.value().as_str() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some(_) => Err(choice.broken(Rule::Word("auto, none"))),
        None if choice.value().is_object() => Ok(ToolChoice::Named(named(&choice.need("name")?)?)),
        None => Err(choice.wrong("a string or an object")),
    }
}
