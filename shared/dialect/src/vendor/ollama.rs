//! Ollama's `POST /api/chat`: <https://docs.ollama.com/api/chat>. Streams are lines of JSON.
//!
//! Arguments of calls are objects; calls need no ids, and results name their tool. Images are bytes. What only Ollama knows (`keep_alive`,
//! `think`, `options`) is taken over from callers of Chat. An error may come with status 200, in the middle of a stream too.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::calls::{self, Places};
use super::settings::{Body, one, put, put_object, said, text, usage};
use super::stream::Told;
use super::talk::{self, Images, Line, Speaker, Takes};
use super::wishes::{self, LIMIT, TOOLS};
use crate::codec::{AnswerError, Reading, Written};
use crate::ir::{Effort, Event, Finish, OutputFormat, Request, Response, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::reasoning;
use crate::target::Target;

const TAKEN: [Field; 12] = [
    Field::Seed,
    Field::FrequencyPenalty,
    Field::PresencePenalty,
    Field::Temperature,
    Field::TopP,
    Field::TopK,
    Field::Stop,
    Field::Reasoning,
    LIMIT,
    TOOLS,
    // without a choice the model decides
    Field::ToolChoice,
    Field::ParallelTools,
];
const TAKES: Takes = Takes { images: Images::Bytes, calls: true, thinking: true };
const CALLS: Places = Places { id: "/id", name: "/function/name", arguments: "/function/arguments", index: "/function/index" };

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    if request.parallel_tools == Some(false) && !request.tools.is_empty() {
        losses.drop(Field::ParallelTools)?;
    }
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, None, &mut written.names, losses)?;
    let is_forbidden = request.tool_choice == ToolChoice::None;
    let functions = if is_forbidden { Vec::new() } else { talk::functions(request, &mut written.names, losses)? };
    if matches!(request.tool_choice, ToolChoice::Any | ToolChoice::Named(_) | ToolChoice::Allowed { is_required: true, .. }) {
        losses.reject(Field::ToolChoice)?;
    }
    let body = &mut written.body;
    body.insert("model".to_owned(), target.model.into());
    body.insert("messages".to_owned(), lines.iter().map(message).collect());
    body.insert("stream".to_owned(), request.stream.into());
    if !functions.is_empty() {
        let tools = functions.into_iter().map(|function| json!({"type": "function", "function": function}));
        body.insert("tools".to_owned(), tools.collect());
    }
    put(body, "think", think(request, target));
    put(body, "format", format(&request.output));
    let mut options = Body::new();
    put(&mut options, "temperature", request.temperature);
    put(&mut options, "top_p", request.top_p);
    put(&mut options, "top_k", request.top_k);
    put(&mut options, "frequency_penalty", request.frequency_penalty);
    put(&mut options, "presence_penalty", request.presence_penalty);
    put(&mut options, "seed", request.seed);
    put(&mut options, "num_predict", wishes::limit(request, target));
    let stops: Vec<&str> = wishes::stops(request).collect();
    put(&mut options, "stop", Some(stops).filter(|stops| !stops.is_empty()));
    put_object(body, "options", options);
    Ok(written)
}

fn message(line: &Line) -> Value {
    let mut message = Body::new();
    message.insert("role".to_owned(), line.speaker.word().into());
    message.insert("content".to_owned(), line.text.as_str().into());
    if line.speaker == Speaker::Tool {
        put(&mut message, "tool_name", line.answers.as_ref().map(|(_, name)| name.as_str()));
    }
    put(&mut message, "thinking", Some(line.thinking.as_str()).filter(|thinking| !thinking.is_empty()));
    put(&mut message, "images", Some(line.images.clone()).filter(|images| !images.is_empty()));
    let calls = line.calls.iter().map(|call| json!({"function": {"name": call.name, "arguments": call.object()}}));
    put(&mut message, "tool_calls", Some(calls.collect::<Vec<_>>()).filter(|calls| !calls.is_empty()));
    Value::Object(message)
}

/// On or off; models that know levels (`gpt-oss`) take these alone.
fn think(request: &Request, target: &Target<'_>) -> Option<Value> {
    let wish = request.reasoning;
    let thinks = wishes::thinks(request)?;
    if !target.model.contains("gpt-oss") {
        return Some(thinks.into());
    }
    let asked = wish.effort.or_else(|| wish.budget.and_then(reasoning::effort_of_budget)).filter(|_| thinks);
    let level = match asked {
        Some(effort) => reasoning::nearest(effort, &[Effort::Low, Effort::Medium, Effort::High]),
        None if thinks => return None,
        None => Effort::Low,
    };
    Some(level.as_str().into())
}

fn format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some("json".into()),
        OutputFormat::JsonSchema { schema, .. } => Some(schema.clone()),
    }
}

/// Ollama's own fields of a Chat body. Options that Chat has fields for are those.
pub(super) fn keep_own(caller: &Body, body: &mut Body) {
    for name in ["keep_alive", "think", "truncate", "shift"] {
        if let Some(value) = caller.get(name).filter(|value| !value.is_null()) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let Some(own) = caller.get("options").and_then(Value::as_object).filter(|own| !own.is_empty()) else { return };
    if let Some(options) = body.entry("options").or_insert_with(|| Value::Object(Body::new())).as_object_mut() {
        for (name, value) in own {
            options.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }
}

pub(super) fn read(answer: &Value, reading: &mut Reading) -> Result<Response, AnswerError> {
    let message = answer.get("message").ok_or(AnswerError::Without("message"))?;
    let mut blocks = said(text(message, "/thinking"), text(message, "/content"));
    blocks.extend(calls::whole(message.get("tool_calls"), CALLS, reading));
    Ok(one("", text(answer, "/model"), blocks, finish(text(answer, "/done_reason")), counted(answer)))
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start("", text(event, "/model"), None, out);
    if let Some(message) = event.get("message") {
        told.thinking(text(message, "/thinking"), out);
        told.text(text(message, "/content"), out);
        told.calls.whole(message.get("tool_calls"), CALLS, &mut told.reading, (&mut told.blocks, out));
    }
    if event.get("done") == Some(&Value::Bool(true)) {
        told.blocks.finish(0, finish(text(event, "/done_reason")), None, out);
        if let Some(usage) = counted(event) {
            told.blocks.usage(usage, out);
        }
        told.blocks.end(out);
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "length" => Finish::Length,
        _ => Finish::Stop,
    }
}

/// A prompt that was cached is not counted: without its count the report says too little, and is none.
fn counted(answer: &Value) -> Option<Usage> {
    usage(answer, "/prompt_eval_count", "/eval_count").filter(|usage| usage.input > 0)
}
