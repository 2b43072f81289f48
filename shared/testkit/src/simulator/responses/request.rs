//! The top level of a request, and what it adds up to.

use serde_json::{Map, Value, json};

use super::items::{Conversation, unknown_field};
use super::tools;
use crate::simulator::asked::{Asked, Form, State, Thinking, Turn};
use crate::simulator::memory::Account;
use crate::simulator::openai::fields::{boolean, check_metadata, decimal, empty_array, given, integer, list, object, text, word};
use crate::simulator::openai::read_schema;
use crate::simulator::refusal::Refusal;

/// Every top-level field the real service knows.
const KNOWN: &[&str] = &[
    "access_programs",
    "background",
    "background_options",
    "client_metadata",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The fields of `/v1/responses/input_tokens`.
const KNOWN_OF_COUNT: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

const INCLUDABLE: &[&str] = &[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

pub(in crate::simulator) fn check(model: &str, body: &Map<String, Value>, memory: Account<'_>) -> Result<Asked, Refusal> {
    check_known(body, KNOWN)?;
    let stream = boolean(body, "stream")?.unwrap_or(false);
    if given(body, "stream_options").is_some() && !stream {
        let text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::bad(text).param("stream_options"));
    }
    check_figures(body)?;
    check_sampling(model, body)?;
    check_metadata(body)?;
    check_absent(body)?;
    let mut asked = conversation(body, memory)?;
    asked.stream = stream;
    asked.include_usage = true;
    asked.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64).and_then(|most| u32::try_from(most).ok());
    asked.state = state(body)?;
    asked.thinking = thinking(model, body)?;
    asked.form = form(body)?;
    asked.repeated = repeated(body);
    if asked.repeated["background"] == true && asked.repeated["store"] == false {
        return Err(Refusal::bad("Background mode requires store=true.").param("background"));
    }
    asked.said = said(body);
    Ok(asked)
}

pub(in crate::simulator) fn check_count(body: &Map<String, Value>, memory: Account<'_>) -> Result<Asked, Refusal> {
    check_known(body, KNOWN_OF_COUNT)?;
    conversation(body, memory)
}

/// The input as items.
fn said(body: &Map<String, Value>) -> Vec<Value> {
    let spoken = |text: &str| json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
    let mut items = match given(body, "input") {
        Some(Value::String(text)) => vec![spoken(text)],
        Some(Value::Array(items)) => items.clone(),
        _ => Vec::new(),
    };
    for (place, item) in items.iter_mut().enumerate() {
        if item.get("id").is_none_or(Value::is_null) {
            item["id"] = json!(format!("msg_in_{place}"));
        }
    }
    items
}

fn check_known(body: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    let unknown = body.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(unknown_field(name)))
}

fn check_figures(body: &Map<String, Value>) -> Result<(), Refusal> {
    decimal(body, "temperature", 0.0, 2.0)?;
    decimal(body, "top_p", 0.0, 1.0)?;
    integer(body, "top_logprobs", 0, 20)?;
    integer(body, "max_tool_calls", 1, u32::MAX)?;
    if let Some(most) = given(body, "max_output_tokens") {
        let Some(figure) = most.as_i64() else { return Err(Refusal::wrong_type("max_output_tokens", "an integer", most)) };
        if figure < 16 {
            let text = format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {figure} instead."
            );
            return Err(Refusal::bad(text).param("max_output_tokens").code("integer_below_min_value"));
        }
    }
    let words: [(&str, &[&str]); 3] = [
        ("truncation", &["auto", "disabled"]),
        ("service_tier", &["auto", "default", "flex", "scale", "priority"]),
        ("prompt_cache_retention", &["in-memory", "in_memory", "24h"]),
    ];
    for (param, words) in words {
        if let Some(value) = given(body, param) {
            word(value, param, words)?;
        }
    }
    for param in ["store", "background", "parallel_tool_calls"] {
        boolean(body, param)?;
    }
    for param in ["instructions", "user", "safety_identifier", "prompt_cache_key"] {
        text(body, param)?;
    }
    Ok(())
}

/// Reasoning models take no sampling parameters.
fn check_sampling(model: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    if !reasons(model) {
        return Ok(());
    }
    for param in ["temperature", "top_p"] {
        if given(body, param).and_then(Value::as_f64).is_some_and(|figure| (figure - 1.0).abs() > f64::EPSILON) {
            let text = format!("Unsupported parameter: '{param}' is not supported with this model.");
            return Err(Refusal::bad(text).param(param));
        }
    }
    Ok(())
}

fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5-", "codex"].iter().any(|name| model.starts_with(name)) || model == "gpt-5"
}

/// What the simulator does not do.
fn check_absent(body: &Map<String, Value>) -> Result<(), Refusal> {
    let absent = ["conversation", "prompt"].into_iter().find(|param| given(body, param).is_some());
    match absent {
        Some(param) => Err(Refusal::bad(format!("simulator: '{param}' is not there")).param(param).code("sim_not_there")),
        None => Ok(()),
    }
}

/// The conversation: instructions, what a previous response left, and the input.
fn conversation(body: &Map<String, Value>, memory: Account<'_>) -> Result<Asked, Refusal> {
    let mut conversation = Conversation::new(memory);
    let mut words = 0;
    let previous = text(body, "previous_response_id")?;
    if let Some(id) = previous {
        let Some(remembered) = memory.recall(id) else {
            let text = format!("Previous response with id '{id}' not found.");
            return Err(Refusal::bad(text).param("previous_response_id").code("previous_response_not_found"));
        };
        words = remembered.words;
        conversation.go_on_after(remembered);
    }
    let mut turns = Vec::new();
    if let Some(instructions) = text(body, "instructions")? {
        turns.push(Turn { role: "system", text: instructions.to_owned(), ..Turn::default() });
    }
    match given(body, "input") {
        Some(Value::String(text)) => turns.push(Turn { role: "user", text: text.clone(), ..Turn::default() }),
        Some(Value::Array(items)) if items.is_empty() && previous.is_none() => return Err(empty_array("input")),
        Some(Value::Array(items)) => turns.extend(conversation.read(items)?),
        Some(other) => return Err(Refusal::wrong_type("input", "a string or an array of objects", other)),
        None if previous.is_some() => {}
        None => {
            let text = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.";
            return Err(Refusal::bad(text).param("input").code("missing_required_parameter"));
        }
    }
    conversation.all_answered()?;
    let tools = tools::read(body)?;
    let must_call = tools::must_call(body, &tools)?;
    let parallel_calls = boolean(body, "parallel_tool_calls")?.unwrap_or(true);
    let mut asked = Asked { prompt_tokens: words, choices: 1, tools, must_call, parallel_calls, ..Asked::default() };
    asked.hear(turns);
    Ok(asked)
}

/// Encrypted reasoning comes with the answer when it is asked for.
fn state(body: &Map<String, Value>) -> Result<State, Refusal> {
    let mut state = State::Kept;
    for (place, item) in list(body, "include")?.iter().enumerate() {
        if word(item, &format!("include[{place}]"), INCLUDABLE)? == "reasoning.encrypted_content" {
            state = State::Sealed;
        }
    }
    Ok(state)
}

fn thinking(model: &str, body: &Map<String, Value>) -> Result<Thinking, Refusal> {
    let Some(reasoning) = given(body, "reasoning") else { return Ok(Thinking::No) };
    let fields = object(reasoning, "reasoning")?;
    if let Some(unknown) =
        fields.keys().find(|name| !["effort", "summary", "generate_summary", "context", "mode"].contains(&name.as_str()))
    {
        return Err(unknown_field(&format!("reasoning.{unknown}")));
    }
    let effort = given(fields, "effort").map(|effort| word(effort, "reasoning.effort", EFFORTS)).transpose()?;
    let summary = given(fields, "summary").or_else(|| given(fields, "generate_summary"));
    let summary = summary.map(|summary| word(summary, "reasoning.summary", &["auto", "concise", "detailed"])).transpose()?;
    if effort.is_some_and(|effort| effort != "none") && (model.starts_with("gpt-4") || model.starts_with("gpt-3")) {
        let text = "Unsupported parameter: 'reasoning.effort' is not supported with this model.";
        return Err(Refusal::bad(text).param("reasoning.effort").code("unsupported_parameter"));
    }
    Ok(match (effort, summary) {
        (Some("none"), _) | (None, None) => Thinking::No,
        (_, Some(_)) => Thinking::Shown,
        (Some(_), None) => Thinking::Hidden,
    })
}

fn form(body: &Map<String, Value>) -> Result<Form, Refusal> {
    let Some(text) = given(body, "text") else { return Ok(Form::Text) };
    let fields = object(text, "text")?;
    if let Some(unknown) = fields.keys().find(|name| !["format", "verbosity"].contains(&name.as_str())) {
        return Err(unknown_field(&format!("text.{unknown}")));
    }
    if let Some(verbosity) = given(fields, "verbosity") {
        word(verbosity, "text.verbosity", &["low", "medium", "high"])?;
    }
    let Some(format) = given(fields, "format") else { return Ok(Form::Text) };
    let format_fields = object(format, "text.format")?;
    let kind = given(format_fields, "type").ok_or_else(|| Refusal::missing("text.format.type"))?;
    match word(kind, "text.format.type", &["text", "json_schema", "json_object"])? {
        "json_object" => Ok(Form::Json),
        "json_schema" => read_schema(format, "text.format", "text.format.schema"),
        _ => Ok(Form::Text),
    }
}

/// The fields of the request that the answer repeats, with their defaults.
fn repeated(body: &Map<String, Value>) -> Map<String, Value> {
    let or = |param: &str, default: Value| given(body, param).cloned().unwrap_or(default);
    let reasoning = given(body, "reasoning");
    let of_reasoning = |name: &str| reasoning.map(|reasoning| reasoning[name].clone()).unwrap_or_default();
    let text = given(body, "text");
    let of_text = |name: &str, default: Value| {
        text.and_then(|text| text.get(name)).filter(|value| !value.is_null()).cloned().unwrap_or(default)
    };
    let fields = json!({
        "background": or("background", json!(false)),
        "instructions": or("instructions", Value::Null),
        "max_output_tokens": or("max_output_tokens", Value::Null),
        "max_tool_calls": or("max_tool_calls", Value::Null),
        "metadata": or("metadata", json!({})),
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": or("previous_response_id", Value::Null),
        "prompt_cache_key": or("prompt_cache_key", Value::Null),
        "reasoning": {"effort": of_reasoning("effort"), "summary": of_reasoning("summary")},
        "safety_identifier": or("safety_identifier", Value::Null),
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": {"format": of_text("format", json!({"type": "text"})), "verbosity": of_text("verbosity", json!("medium"))},
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": tools::repeated(body),
        "top_logprobs": or("top_logprobs", json!(0)),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "user": or("user", Value::Null),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
