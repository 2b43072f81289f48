//! What a request to Chat Completions asks for, after the checks the real service makes.

mod conversation;

use serde_json::{Map, Value};

use self::conversation::conversation;
use super::fields::{
    boolean, check_metadata, check_name, check_strict_schema, empty_array, given, integer, object, text, unsupported, word,
};
use super::older::generation;
use crate::simulator::asked::{Asked, Form, MustCall, Thinking, Tool};
use crate::simulator::refusal::Refusal;

/// Every top-level field the real service knows.
const KNOWN: &[&str] = &[
    "model",
    "messages",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

pub(in crate::simulator) fn chat(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    if let Some(unknown) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("Unrecognized request argument supplied: {unknown}")));
    }
    let mut asked = generation(body)?;
    check_words(body)?;
    check_metadata(body)?;
    let turns = match body.get("messages") {
        None | Some(Value::Null) => return Err(Refusal::missing("messages")),
        Some(Value::Array(messages)) if messages.is_empty() => {
            return Err(Refusal::bad("Invalid 'messages': empty array. Expected an array with minimum length 1.")
                .param("messages")
                .code("empty_array"));
        }
        Some(Value::Array(messages)) => conversation(messages)?,
        Some(other) => return Err(Refusal::wrong_type("messages", "an array of objects", other)),
    };
    let mentions_json = turns.iter().any(|turn| turn.text.to_ascii_lowercase().contains("json"));
    asked.hear(turns);
    asked.tools = tools(body)?;
    if asked.tools.is_empty() {
        for param in ["tool_choice", "parallel_tool_calls"] {
            if given(body, param).is_some() {
                let text = format!("Invalid value for '{param}': '{param}' is only allowed when 'tools' are specified.");
                return Err(Refusal::bad(text).param(param));
            }
        }
    }
    asked.parallel_calls = boolean(body, "parallel_tool_calls")?.unwrap_or(true);
    asked.must_call = must_call(body, &asked.tools)?;
    asked.form = form(body)?;
    if asked.form == Form::Json && !mentions_json {
        let text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
        return Err(Refusal::bad(text).param("messages"));
    }
    asked.thinking = match text(body, "reasoning_effort")? {
        None | Some("none") => Thinking::No,
        Some(_) => Thinking::Shown,
    };
    Ok(asked)
}

/// Fields that hold one of a few words, and such that need another field.
fn check_words(body: &Map<String, Value>) -> Result<(), Refusal> {
    let known: [(&str, &[&str]); 4] = [
        ("reasoning_effort", &["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        ("verbosity", &["low", "medium", "high"]),
        ("service_tier", &["auto", "default", "flex", "scale", "priority"]),
        ("prompt_cache_retention", &["in-memory", "in_memory", "24h"]),
    ];
    for (param, words) in known {
        if let Some(value) = given(body, param) {
            word(value, param, words)?;
        }
    }
    let wants_logprobs = boolean(body, "logprobs")?.unwrap_or(false);
    if integer(body, "top_logprobs", 0, 20)?.is_some() && !wants_logprobs {
        let text = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(Refusal::bad(text).param("top_logprobs"));
    }
    boolean(body, "store")?;
    text(body, "user")?;
    Ok(())
}

fn tools(body: &Map<String, Value>) -> Result<Vec<Tool>, Refusal> {
    let tools = match given(body, "tools") {
        None => return old_functions(body),
        Some(Value::Array(tools)) if tools.is_empty() => return Err(empty_array("tools")),
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(Refusal::wrong_type("tools", "an array of objects", other)),
    };
    tools.iter().enumerate().map(|(place, tool)| read_tool(tool, &format!("tools[{place}]"))).collect()
}

fn read_tool(tool: &Value, at: &str) -> Result<Tool, Refusal> {
    let fields = object(tool, at)?;
    let kind = given(fields, "type").ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
    let kind = word(kind, &format!("{at}.type"), &["function", "custom"])?;
    let function = given(fields, kind).ok_or_else(|| Refusal::missing(&format!("{at}.{kind}")))?;
    let at = format!("{at}.{kind}");
    read_function(object(function, &at)?, &at)
}

/// Reads the declaration of a function.
fn read_function(function: &Map<String, Value>, at: &str) -> Result<Tool, Refusal> {
    let name_at = format!("{at}.name");
    let name = text(function, "name")?.ok_or_else(|| Refusal::missing(&name_at))?;
    check_name(name, &name_at)?;
    let parameters = given(function, "parameters").cloned().unwrap_or_default();
    if !parameters.is_null() {
        let at = format!("{at}.parameters");
        object(&parameters, &at)?;
        check_parameters(&parameters, name, &at, function.get("strict") == Some(&Value::Bool(true)))?;
    }
    Ok(Tool { name: name.to_owned(), parameters })
}

/// The parameters of a function are a schema of an object; with `strict`, a closed one.
pub(in crate::simulator) fn check_parameters(schema: &Value, name: &str, at: &str, is_strict: bool) -> Result<(), Refusal> {
    let what = format!("function '{name}'");
    if let Some(kind) = schema.get("type").filter(|kind| *kind != "object") {
        let text = format!("Invalid schema for {what}: schema must be a JSON Schema of 'type: \"object\"', got 'type: {kind}'.");
        return Err(Refusal::bad(text).param(at).code("invalid_function_parameters"));
    }
    if is_strict { check_strict_schema(schema, &what, at, "invalid_function_parameters") } else { Ok(()) }
}

/// `functions`, from before there were tools.
fn old_functions(body: &Map<String, Value>) -> Result<Vec<Tool>, Refusal> {
    let functions = super::fields::list(body, "functions")?;
    let read = |(place, function): (usize, &Value)| {
        let at = format!("functions[{place}]");
        read_function(object(function, &at)?, &at)
    };
    functions.iter().enumerate().map(read).collect()
}

fn must_call(body: &Map<String, Value>, tools: &[Tool]) -> Result<MustCall, Refusal> {
    match given(body, "tool_choice") {
        None => Ok(MustCall::No),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(MustCall::No),
            "none" => Ok(MustCall::Never),
            "required" => Ok(MustCall::Any),
            other => Err(unsupported("tool_choice", other, &["none", "auto", "required"])),
        },
        Some(Value::Object(choice)) => match choice.get("type").and_then(Value::as_str) {
            Some("function" | "custom") => {
                let function = choice.get("function").or_else(|| choice.get("custom"));
                let name = function.and_then(|function| function["name"].as_str());
                let name = name.ok_or_else(|| Refusal::missing("tool_choice.function.name"))?;
                if !tools.iter().any(|tool| tool.name == name) {
                    let text = format!(
                        "Invalid value for 'tool_choice': no tool named '{name}' was specified in the 'tools' parameter."
                    );
                    return Err(Refusal::bad(text).param("tool_choice"));
                }
                Ok(MustCall::Tool(name.to_owned()))
            }
            Some("allowed_tools") if choice.get("allowed_tools").is_some_and(|allowed| allowed["mode"] == "required") => {
                Ok(MustCall::Any)
            }
            Some("allowed_tools") => Ok(MustCall::No),
            Some(other) => Err(unsupported("tool_choice.type", other, &["function", "allowed_tools", "custom"])),
            None => Err(Refusal::missing("tool_choice.type")),
        },
        Some(other) => Err(Refusal::wrong_type("tool_choice", "one of 'none', 'auto', 'required' or an object", other)),
    }
}

fn form(body: &Map<String, Value>) -> Result<Form, Refusal> {
    let Some(format) = given(body, "response_format") else { return Ok(Form::Text) };
    let kind = given(object(format, "response_format")?, "type").ok_or_else(|| Refusal::missing("response_format.type"))?;
    match word(kind, "response_format.type", &["json_object", "json_schema", "text"])? {
        "json_object" => Ok(Form::Json),
        "json_schema" => read_schema(&format["json_schema"], "response_format.json_schema", "response_format"),
        _ => Ok(Form::Text),
    }
}

/// Reads name, schema and strictness of a structured answer.
pub(in crate::simulator) fn read_schema(format: &Value, at: &str, param: &str) -> Result<Form, Refusal> {
    let name = format["name"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.name")))?;
    check_name(name, &format!("{at}.name"))?;
    let schema =
        format.get("schema").filter(|schema| !schema.is_null()).ok_or_else(|| Refusal::missing(&format!("{at}.schema")))?;
    let what = format!("response_format '{name}'");
    if schema["type"] != "object" {
        let text = format!(
            "Invalid schema for {what}: schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'.",
            schema["type"]
        );
        return Err(Refusal::bad(text).param(param).code("invalid_json_schema"));
    }
    if format["strict"] == true {
        check_strict_schema(schema, &what, param, "invalid_json_schema")?;
    }
    Ok(Form::Schema(schema.clone()))
}

#[cfg(test)]
mod tests;
