//! Tencent's `ChatCompletions`: <https://cloud.tencent.com/document/api/1729/105701>. The action is in a header, and the request is signed.
//!
//! Names of fields begin with a capital. Messages alternate, from the user's to the user's, behind at most one of instructions, and are 40 at
//! most. Whole answers are wrapped in `Response`, events of a stream are not; both tell usage.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::calls::{self, Places};
use super::settings::{Body, one, put, said, text, usage};
use super::shape;
use super::stream::Told;
use super::talk::{self, Images, Line, Takes};
use super::wishes::{self, TOOLS};
use crate::codec::{AnswerError, Reading, Written};
use crate::ir::{Event, Finish, Request, Response, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 7] = [Field::Seed, Field::Temperature, Field::TopP, Field::Stop, Field::Reasoning, Field::ToolChoice, TOOLS];
const TAKES: Takes = Takes { images: Images::Urls, calls: true, thinking: false };
const CALLS: Places = Places { id: "/Id", name: "/Function/Name", arguments: "/Function/Arguments", index: "/Index" };
/// Messages of a request, at most.
const MAX_MESSAGES: usize = 40;
/// The largest seed.
const MAX_SEED: i64 = 10_000;

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let functions = talk::functions(request, &mut written.names, losses)?;
    let (system, lines) = shape::alternating(lines, losses)?;
    let mut messages: Vec<Value> = system.iter().map(|system| json!({"Role": "system", "Content": system})).collect();
    messages.extend(lines.iter().map(message));
    if messages.len() > MAX_MESSAGES {
        losses.reject_because(Field::Native("messages"), "may hold at most 40 turns for the provider of this model")?;
        // the oldest go, a question with its answer each
        let first = usize::from(system.is_some());
        let extra = (messages.len() - MAX_MESSAGES).next_multiple_of(2);
        messages.drain(first..first + extra);
    }
    let body = &mut written.body;
    body.insert("Model".to_owned(), target.model.into());
    body.insert("Messages".to_owned(), messages.into());
    body.insert("Stream".to_owned(), request.stream.into());
    put(body, "Temperature", request.temperature);
    put(body, "TopP", request.top_p);
    put(body, "Seed", request.seed.map(seed));
    put(body, "EnableThinking", wishes::thinks(request));
    let stops: Vec<&str> = wishes::stops(request).collect();
    put(body, "Stop", Some(stops).filter(|stops| !stops.is_empty()));
    if !functions.is_empty() {
        body.insert("Tools".to_owned(), functions.iter().map(tool).collect());
        choose(&request.tool_choice, body, losses)?;
    }
    Ok(written)
}

/// Seeds are 1 to 10,000: another one stands for one of them, always the same.
fn seed(asked: i64) -> i64 {
    if (1..=MAX_SEED).contains(&asked) { asked } else { asked.rem_euclid(MAX_SEED) + 1 }
}

fn message(line: &Line) -> Value {
    let mut message = Body::new();
    message.insert("Role".to_owned(), line.speaker.word().into());
    if line.images.is_empty() {
        message.insert("Content".to_owned(), line.text.as_str().into());
    } else {
        let words = (!line.text.is_empty()).then(|| json!({"Type": "text", "Text": line.text}));
        let images = line.images.iter().map(|url| json!({"Type": "image_url", "ImageUrl": {"Url": url}}));
        message.insert("Contents".to_owned(), words.into_iter().chain(images).collect());
    }
    if let Some((id, _)) = &line.answers {
        message.insert("ToolCallId".to_owned(), id.as_str().into());
    }
    let call =
        |call: &talk::Call| json!({"Id": call.id, "Type": "function", "Function": {"Name": call.name, "Arguments": call.text()}});
    put(&mut message, "ToolCalls", Some(line.calls.iter().map(call).collect::<Vec<_>>()).filter(|calls| !calls.is_empty()));
    Value::Object(message)
}

/// A schema is the text of one.
fn tool(function: &Value) -> Value {
    let mut written = Body::new();
    for (ours, theirs) in [("name", "Name"), ("description", "Description")] {
        put(&mut written, theirs, function.get(ours).cloned());
    }
    put(&mut written, "Parameters", function.get("parameters").map(Value::to_string));
    json!({"Type": "function", "Function": written})
}

fn choose(choice: &ToolChoice, body: &mut Body, losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    let word = match choice {
        ToolChoice::Unset => return Ok(()),
        ToolChoice::None => "none",
        ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => "auto",
        ToolChoice::Named(name) => {
            let wanted = |tool: &&Value| text(tool, "/Function/Name") == name;
            let tool = body.get("Tools").and_then(Value::as_array).and_then(|tools| tools.iter().find(wanted)).cloned();
            put(body, "CustomTool", tool);
            "custom"
        }
        ToolChoice::Any | ToolChoice::Allowed { is_required: true, .. } => {
            losses.reject(Field::ToolChoice)?;
            "auto"
        }
    };
    put(body, "ToolChoice", Some(word));
    Ok(())
}

pub(super) fn read(answer: &Value, reading: &mut Reading) -> Result<Response, AnswerError> {
    let answer = answer.get("Response").unwrap_or(answer);
    let choice = answer.pointer("/Choices/0").ok_or(AnswerError::Without("Choices"))?;
    let mut blocks = said(text(choice, "/Message/ReasoningContent"), text(choice, "/Message/Content"));
    blocks.extend(calls::whole(choice.pointer("/Message/ToolCalls"), CALLS, reading));
    let finish = finish(text(choice, "/FinishReason")).unwrap_or(Finish::Stop);
    let mut response = one(text(answer, "/Id"), "", blocks, finish, answer.get("Usage").and_then(counted));
    response.created = answer.get("Created").and_then(Value::as_i64);
    Ok(response)
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start(text(event, "/Id"), "", event.get("Created").and_then(Value::as_i64), out);
    if let Some(usage) = event.get("Usage").and_then(counted) {
        told.blocks.usage(usage, out);
    }
    let Some(choice) = event.pointer("/Choices/0") else { return };
    told.thinking(text(choice, "/Delta/ReasoningContent"), out);
    told.text(text(choice, "/Delta/Content"), out);
    told.calls.pieces(choice.pointer("/Delta/ToolCalls"), CALLS, &mut told.reading, (&mut told.blocks, out));
    if let Some(finish) = finish(text(choice, "/FinishReason")) {
        told.blocks.finish(0, finish, None, out);
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        "" => None,
        "tool_calls" => Some(Finish::Tool),
        "length" => Some(Finish::Length),
        "sensitive" => Some(Finish::Filter { detail: Some("sensitive".to_owned()) }),
        _ => Some(Finish::Stop),
    }
}

fn counted(report: &Value) -> Option<Usage> {
    usage(report, "/PromptTokens", "/CompletionTokens")
}
