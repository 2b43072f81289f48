//! What a caller lets the model call.

use serde_json::{Value, json};

use crate::ir::{Family, NativeField, Request, Tool, ToolChoice};
use crate::node::{BodyError, Node};
use crate::responses::{CUSTOM_INPUT, namespace};

/// `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn read(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    if let Some(tools) = root.get("tools") {
        for tool in tools.items()? {
            declare(None, &tool, request)?;
        }
    }
    request.parallel_tools = super::flag(root, "parallel_tool_calls")?;
    let Some(said) = root.get("tool_choice") else { return Ok(()) };
    match choice(&said)? {
        Some(choice) => request.tool_choice = choice,
        None => request.native.push(NativeField { path: "tool_choice", is_essential: false }),
    }
    Ok(())
}

/// A tool, or all of a namespace.
fn declare(namespace: Option<&str>, tool: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    tool.object()?;
    match tool.need("type")?.text()? {
        "namespace" if namespace.is_none() => {
            let name = tool.need("name")?.text()?;
            for inner in tool.need("tools")?.items()? {
                declare(Some(name), &inner, request)?;
            }
        }
        kind if kind.starts_with("web_search") && super::flag(tool, "external_web_access")? == Some(false) => {
            // a search of what the provider has kept: no other has it, and an answer without it is one
            request.native.push(NativeField { path: "tools.web_search", is_essential: false });
        }
        kind => request.tools.push(declaration(namespace, kind, tool)?),
    }
    Ok(())
}

fn declaration(namespace: Option<&str>, kind: &str, tool: &Node<'_>) -> Result<Tool, BodyError> {
    match kind {
        "function" => Ok(Tool::Function {
            name: namespace::joined(namespace, tool.need("name")?.text()?),
            description: super::string(tool, "description")?,
            schema: schema(tool)?,
            strict: super::flag(tool, "strict")?,
            cache: None,
        }),
        "custom" => custom(namespace, tool),
        kind if kind.starts_with("web_search") => web_search(tool),
        kind => Ok(Tool::Native { family: Family::OpenAi, kind: kind.to_owned(), raw: tool.value().clone() }),
    }
}

fn schema(tool: &Node<'_>) -> Result<Option<Value>, BodyError> {
    let Some(parameters) = tool.get("parameters") else { return Ok(None) };
    let schema = parameters.object()?;
    Ok((!schema.is_empty()).then(|| parameters.value().clone()))
}

/// A tool that takes text becomes a function of one text; its grammar is told in words.
fn custom(namespace: Option<&str>, tool: &Node<'_>) -> Result<Tool, BodyError> {
    let format = tool.get("format");
    let definition = format.as_ref().and_then(|format| format.get("definition"));
    let grammar = definition.map(|definition| definition.text()).transpose()?;
    let mut input = json!({"type": "string"});
    if let (Some(grammar), Some(input)) = (grammar, input.as_object_mut()) {
        input.insert("description".to_owned(), format!("Text of this grammar:\n{grammar}").into());
    }
    Ok(Tool::Function {
        name: namespace::joined(namespace, tool.need("name")?.text()?),
        description: super::string(tool, "description")?,
        schema: Some(json!({
            "type": "object", "properties": {(CUSTOM_INPUT): input},
            "required": [CUSTOM_INPUT], "additionalProperties": false
        })),
        strict: None,
        cache: None,
    })
}

fn web_search(tool: &Node<'_>) -> Result<Tool, BodyError> {
    let sizes = [("low", 1), ("medium", 5), ("high", 10)];
    let size = tool.get("search_context_size").map(|size| size.word(&sizes, "low, medium, high")).transpose()?;
    let location = tool.get("user_location").map(|location| location.object().cloned()).transpose()?;
    let location = location.map(|mut location| {
        location.shift_remove("type");
        location.retain(|_, value| !value.is_null());
        location
    });
    Ok(Tool::WebSearch { max_uses: size, location: location.filter(|location| !location.is_empty()) })
}

/// `None`: one of the provider's own tools, which no other has.
fn choice(said: &Node<'_>) -> Result<Option<ToolChoice>, BodyError> {
    const WORDS: &str = "auto, none, required";
    if said.value().is_string() {
        let words = [("auto", 0), ("none", 1), ("required", 2)];
        return Ok(Some(match said.word(&words, WORDS)? {
            0 => ToolChoice::Auto,
            1 => ToolChoice::None,
            _ => ToolChoice::Any,
        }));
    }
    if said.object().is_err() {
        return Err(said.wrong("a string or an object"));
    }
    match said.need("type")?.text()? {
        "function" | "custom" => {
            said.need("name")?.text()?;
            Ok(Some(ToolChoice::Named(namespace::of_call(said.value()))))
        }
        "allowed_tools" => {
            let is_required = said.need("mode")?.word(&[("auto", false), ("required", true)], "auto, required")?;
            let mut names = Vec::new();
            for tool in said.need("tools")?.items()? {
                if let Some(name) = tool.get("name") {
                    name.text()?;
                    names.push(namespace::of_call(tool.value()));
                }
            }
            Ok(Some(ToolChoice::Allowed { names, is_required }))
        }
        _ => Ok(None),
    }
}
