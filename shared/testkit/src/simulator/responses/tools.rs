//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::items::unknown_field;
use crate::simulator::asked::{MustCall, Tool};
use crate::simulator::openai::check_parameters;
use crate::simulator::openai::fields::{check_name, given, list, object, text, unsupported};
use crate::simulator::refusal::Refusal;

/// Tools that run elsewhere: accepted, never called.
const HOSTED: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
];

/// The functions among the tools.
pub(super) fn read(body: &Map<String, Value>) -> Result<Vec<Tool>, Refusal> {
    let mut functions = Vec::new();
    for (place, tool) in list(body, "tools")?.iter().enumerate() {
        let at = format!("tools[{place}]");
        let fields = object(tool, &at)?;
        let kind = text(fields, "type")?.ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
        match kind {
            "function" => functions.push(read_function(fields, &at)?),
            hosted if HOSTED.contains(&hosted) => {}
            other => {
                let known: Vec<&str> = ["function"].iter().chain(HOSTED).copied().collect();
                return Err(unsupported(&at, other, &known));
            }
        }
    }
    Ok(functions)
}

fn read_function(fields: &Map<String, Value>, at: &str) -> Result<Tool, Refusal> {
    let name_at = format!("{at}.name");
    let name = text(fields, "name")?.ok_or_else(|| Refusal::missing(&name_at))?;
    check_name(name, &name_at)?;
    let known = ["type", "name", "description", "parameters", "strict", "defer_loading", "allowed_callers", "output_schema"];
    if let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown_field(&format!("{at}.{unknown}")));
    }
    let parameters = given(fields, "parameters").cloned().unwrap_or_default();
    if !parameters.is_null() {
        let at = format!("{at}.parameters");
        object(&parameters, &at)?;
        check_parameters(&parameters, name, &at, fields.get("strict") == Some(&Value::Bool(true)))?;
    }
    Ok(Tool { name: name.to_owned(), parameters })
}

pub(super) fn must_call(body: &Map<String, Value>, tools: &[Tool]) -> Result<MustCall, Refusal> {
    let has_tools = !list(body, "tools")?.is_empty();
    match given(body, "tool_choice") {
        None => Ok(MustCall::No),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(MustCall::No),
            "none" => Ok(MustCall::Never),
            "required" if has_tools => Ok(MustCall::Any),
            "required" => {
                Err(Refusal::bad("Tool choice 'required' must be specified with 'tools' parameter.").param("tool_choice"))
            }
            other => Err(unsupported("tool_choice", other, &["none", "auto", "required"])),
        },
        Some(Value::Object(choice)) => match choice.get("type").and_then(Value::as_str) {
            Some("function") => {
                let name = text(choice, "name")?.ok_or_else(|| Refusal::missing("tool_choice.name"))?;
                if !tools.iter().any(|tool| tool.name == name) {
                    return Err(Refusal::bad("Tool choice 'function' not found in 'tools' parameter.").param("tool_choice"));
                }
                Ok(MustCall::Tool(name.to_owned()))
            }
            Some("allowed_tools") if choice.get("mode").is_some_and(|mode| mode == "required") => Ok(MustCall::Any),
            Some("allowed_tools") => Ok(MustCall::No),
            Some(hosted) if HOSTED.contains(&hosted) => Ok(MustCall::No),
            Some(other) => Err(unsupported("tool_choice.type", other, &["function", "allowed_tools", "mcp", "custom"])),
            None => Err(Refusal::missing("tool_choice.type")),
        },
        Some(other) => Err(Refusal::wrong_type("tool_choice", "one of 'none', 'auto', 'required' or an object", other)),
    }
}

/// The tools as the answer repeats them: functions are strict unless they say otherwise.
pub(super) fn repeated(body: &Map<String, Value>) -> Value {
    let complete = |tool: &Value| {
        if tool["type"] != "function" {
            return tool.clone();
        }
        let strict = tool.get("strict").filter(|strict| !strict.is_null()).cloned().unwrap_or(json!(true));
        json!({
            "type": "function",
            "description": tool["description"],
            "name": tool["name"],
            "parameters": tool["parameters"],
            "strict": strict,
        })
    };
    given(body, "tools").and_then(Value::as_array).map_or(json!([]), |tools| tools.iter().map(complete).collect())
}
