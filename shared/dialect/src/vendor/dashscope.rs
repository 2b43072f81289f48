//! Alibaba's own protocol of text generation: <https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope>.
//!
//! Streams are server-sent events where the header `X-DashScope-SSE` asks for them; they are asked to be increments. A reason `null`, as a text,
//! is no end. Models that see (`vl`, `qvq`, `omni`) take messages of parts, at another address; older ones answer with a bare `text`. What only
//! DashScope knows (`enable_search`, `search_options`, …) is taken over from callers of Chat.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::calls::{self, CHAT};
use super::settings::{Body, one, put, put_object, said, text, usage, with_cached, with_reasoning};
use super::stream::Told;
use super::talk::{self, Images, Line, Speaker, Takes};
use super::wishes::{self, LIMIT, TOOLS};
use crate::codec::{AnswerError, Reading, Written};
use crate::ir::{Event, Finish, OutputFormat, Request, Response, Tool, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 12] = [
    Field::Seed,
    Field::PresencePenalty,
    Field::Temperature,
    Field::TopP,
    Field::TopK,
    Field::Stop,
    Field::Reasoning,
    Field::ToolChoice,
    Field::ParallelTools,
    Field::WebSearch,
    LIMIT,
    TOOLS,
];
/// Fields of `parameters` that callers of Chat may write beside Chat's.
const OWN: [&str; 7] = [
    "enable_search",
    "search_options",
    "repetition_penalty",
    "enable_thinking",
    "thinking_budget",
    "vl_high_resolution_images",
    "n",
];
/// Parts of the names of models that take messages of parts.
const SEEING: [&str; 4] = ["-vl", "qvq", "omni", "-ocr"];

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let sees = SEEING.iter().any(|part| target.model.contains(part));
    let takes = Takes { images: if sees { Images::Urls } else { Images::None }, calls: true, thinking: false };
    let instruction = match request.output {
        // the mode has no field for a schema
        OutputFormat::JsonSchema { .. } => wishes::told_format(request),
        OutputFormat::JsonObject | OutputFormat::Text => None,
    };
    let mut written = Written::default();
    let lines = talk::lines(request, takes, instruction.as_deref(), &mut written.names, losses)?;
    let functions = talk::functions(request, &mut written.names, losses)?;
    let mut parameters = Body::from_iter([("result_format".to_owned(), Value::from("message"))]);
    if request.stream {
        parameters.insert("incremental_output".to_owned(), true.into());
    }
    put(&mut parameters, "temperature", request.temperature);
    put(&mut parameters, "top_p", request.top_p);
    put(&mut parameters, "top_k", request.top_k);
    put(&mut parameters, "presence_penalty", request.presence_penalty);
    put(&mut parameters, "seed", request.seed);
    put(&mut parameters, "max_tokens", wishes::limit(request, target));
    let stops: Vec<&str> = wishes::stops(request).collect();
    put(&mut parameters, "stop", Some(stops).filter(|stops| !stops.is_empty()));
    put(&mut parameters, "enable_thinking", wishes::thinks(request));
    put(&mut parameters, "thinking_budget", request.reasoning.budget);
    if request.output != OutputFormat::Text {
        parameters.insert("response_format".to_owned(), json!({"type": "json_object"}));
    }
    if request.tools.iter().any(|tool| matches!(tool, Tool::WebSearch { .. })) {
        parameters.insert("enable_search".to_owned(), true.into());
    }
    if !functions.is_empty() {
        let tools = functions.into_iter().map(|function| json!({"type": "function", "function": function}));
        parameters.insert("tools".to_owned(), tools.collect());
        put(&mut parameters, "tool_choice", choice(&request.tool_choice, losses)?);
        put(&mut parameters, "parallel_tool_calls", request.parallel_tools);
    }
    let messages: Value = lines.iter().map(|line| message(line, sees)).collect();
    let body = &mut written.body;
    body.insert("model".to_owned(), target.model.into());
    body.insert("input".to_owned(), json!({"messages": messages}));
    put_object(body, "parameters", parameters);
    Ok(written)
}

fn message(line: &Line, in_parts: bool) -> Value {
    let mut message = Body::new();
    message.insert("role".to_owned(), line.speaker.word().into());
    if in_parts && line.speaker != Speaker::Tool {
        let images = line.images.iter().map(|url| json!({"image": url}));
        let words = (!line.text.is_empty()).then(|| json!({"text": line.text}));
        message.insert("content".to_owned(), images.chain(words).collect());
    } else {
        message.insert("content".to_owned(), line.text.as_str().into());
    }
    if let Some((id, _)) = &line.answers {
        message.insert("tool_call_id".to_owned(), id.as_str().into());
    }
    let call =
        |call: &talk::Call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text()}});
    put(&mut message, "tool_calls", Some(line.calls.iter().map(call).collect::<Vec<_>>()).filter(|calls| !calls.is_empty()));
    Value::Object(message)
}

fn choice(choice: &ToolChoice, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    match choice {
        ToolChoice::Unset => Ok(None),
        ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => Ok(Some("auto".into())),
        ToolChoice::None => Ok(Some("none".into())),
        ToolChoice::Named(name) => Ok(Some(json!({"type": "function", "function": {"name": name}}))),
        ToolChoice::Any | ToolChoice::Allowed { is_required: true, .. } => {
            losses.reject(Field::ToolChoice).map(|()| Some("auto".into()))
        }
    }
}

pub(super) fn keep_own(caller: &Body, body: &mut Body) {
    let Some(parameters) = body.get_mut("parameters").and_then(Value::as_object_mut) else { return };
    for name in OWN {
        if let Some(value) = caller.get(name).filter(|value| !value.is_null()) {
            parameters.entry(name).or_insert_with(|| value.clone());
        }
    }
}

/// The message of an answer or event, and why it ended, if it did.
fn spoken(answer: &Value) -> Option<(&Value, String, Option<Finish>)> {
    let output = answer.get("output")?;
    let (message, reason) = match output.pointer("/choices/0") {
        Some(choice) => (choice.get("message").unwrap_or(&Value::Null), text(choice, "/finish_reason")),
        None => (output, text(output, "/finish_reason")),
    };
    let words = match message.get("content").or_else(|| message.get("text")) {
        Some(Value::String(words)) => words.clone(),
        Some(Value::Array(parts)) => parts.iter().map(|part| text(part, "/text")).collect(),
        _ => String::new(),
    };
    Some((message, words, finish(reason)))
}

pub(super) fn read(answer: &Value, reading: &mut Reading) -> Result<Response, AnswerError> {
    let (message, words, finish) = spoken(answer).ok_or(AnswerError::Without("output"))?;
    let mut blocks = said(text(message, "/reasoning_content"), &words);
    blocks.extend(calls::whole(message.get("tool_calls"), CHAT, reading));
    Ok(one(text(answer, "/request_id"), "", blocks, finish.unwrap_or(Finish::Stop), answer.get("usage").and_then(counted)))
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start(text(event, "/request_id"), "", None, out);
    let Some((message, words, finish)) = spoken(event) else { return };
    told.thinking(text(message, "/reasoning_content"), out);
    told.text(&words, out);
    told.calls.pieces(message.get("tool_calls"), CHAT, &mut told.reading, (&mut told.blocks, out));
    if let Some(finish) = finish {
        told.blocks.finish(0, finish, None, out);
    }
    if let Some(usage) = event.get("usage").and_then(counted) {
        told.blocks.usage(usage, out);
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        "" | "null" => None,
        "length" => Some(Finish::Length),
        "tool_calls" => Some(Finish::Tool),
        _ => Some(Finish::Stop),
    }
}

fn counted(report: &Value) -> Option<Usage> {
    let counted = usage(report, "/input_tokens", "/output_tokens");
    let counted = with_cached(counted, report.pointer("/prompt_tokens_details/cached_tokens"));
    with_reasoning(counted, report.pointer("/output_tokens_details/reasoning_tokens"))
}
