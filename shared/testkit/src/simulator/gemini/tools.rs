//! Tools and the choice among them.

use super::fields::{Message, wrong};
use super::schema;
use crate::simulator::asked::{MustCall, Tool};
use crate::simulator::refusal::Refusal;

/// A tool; all but the first run elsewhere: accepted, never called.
const TOOL: &[&str] = &[
    "functionDeclarations",
    "codeExecution",
    "computerUse",
    "fileSearch",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "mcpServers",
    "urlContext",
];
const DECLARATION: &[&str] =
    &["name", "description", "behavior", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"];

pub(super) fn read(body: &Message<'_>) -> Result<Vec<Tool>, Refusal> {
    let mut tools: Vec<Tool> = Vec::new();
    for (at, tool) in body.list("tools")? {
        let tool = Message::read(tool, at, TOOL)?;
        for (at, declaration) in tool.list("functionDeclarations")? {
            let declaration = Message::read(declaration, at, DECLARATION)?;
            let tool = read_declaration(&declaration)?;
            if tools.iter().any(|other| other.name == tool.name) {
                return Err(Refusal::bad(format!("Duplicate function declaration found: {}", tool.name)));
            }
            tools.push(tool);
        }
    }
    Ok(tools)
}

fn read_declaration(declaration: &Message<'_>) -> Result<Tool, Refusal> {
    let name = declaration.text("name")?.unwrap_or_default();
    if !is_name(name) {
        let text = "[Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), \
             underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.]";
        return Err(wrong(&declaration.path("name"), text));
    }
    declaration.text("description")?;
    if let Some(parameters) = declaration.get("parameters") {
        if declaration.get("parametersJsonSchema").is_some() {
            return Err(wrong(&declaration.at, "only one of parameters and parameters_json_schema may be set."));
        }
        let at = declaration.path("parameters");
        schema::check(parameters, at.clone(), &at)?;
    }
    let free = declaration.structure("parametersJsonSchema")?;
    let parameters = declaration.get("parameters").or(free).cloned().unwrap_or_default();
    Ok(Tool { name: name.to_owned(), parameters })
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts_well && name.len() <= 128 && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_.:-".contains(&letter))
}

pub(super) fn must_call(body: &Message<'_>, tools: &[Tool]) -> Result<MustCall, Refusal> {
    let known = ["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"];
    let Some(config) = body.message("toolConfig", &known)? else { return Ok(MustCall::No) };
    let known = ["mode", "allowedFunctionNames"];
    let Some(config) = config.message("functionCallingConfig", &known)? else { return Ok(MustCall::No) };
    let modes = ["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"];
    let mode = config.word("mode", "FunctionCallingConfig.Mode", &modes)?.unwrap_or("AUTO");
    if tools.is_empty() {
        return Err(wrong(&config.at, "Function calling config is set without function_declarations."));
    }
    let mut allowed = Vec::new();
    for name in config.get("allowedFunctionNames").and_then(serde_json::Value::as_array).into_iter().flatten() {
        let name = name.as_str().filter(|name| tools.iter().any(|tool| tool.name == *name));
        allowed.push(name.ok_or_else(|| {
            wrong(&config.path("allowedFunctionNames"), "allowed_function_names should be a subset of the declared functions.")
        })?);
    }
    if !allowed.is_empty() && !["ANY", "VALIDATED"].contains(&mode) {
        let text = "allowed_function_names should only be set when the mode is ANY or VALIDATED.";
        return Err(wrong(&config.path("allowedFunctionNames"), text));
    }
    Ok(match (mode, &allowed[..]) {
        ("ANY", [only]) => MustCall::Tool((*only).to_owned()),
        ("ANY", _) => MustCall::Any,
        ("NONE", _) => MustCall::Never,
        _ => MustCall::No,
    })
}
