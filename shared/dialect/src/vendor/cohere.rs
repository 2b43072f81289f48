//! Cohere's `POST /v2/chat`: <https://docs.cohere.com/reference/chat>, streams <https://docs.cohere.com/docs/streaming>.
//!
//! The plan before calls (`tool_plan`) and thinking are reasoning. `billed_units` is what is charged where it is told, `tokens` otherwise.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::calls::{self, CHAT};
use super::settings::{Body, one, put, said, text, usage, with_cached};
use super::stream::Told;
use super::talk::{self, Images, Line, Speaker, Takes};
use super::wishes::{self, LIMIT, TOOLS};
use crate::codec::{AnswerError, Reading, Written};
use crate::ir::{Block, Event, Finish, OutputFormat, Request, Response, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
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
    Field::ToolChoice,
    Field::Logprobs,
    LIMIT,
    TOOLS,
];
const TAKES: Takes = Takes { images: Images::Urls, calls: true, thinking: true };

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    if request.logprobs.is_some() {
        // tokens are told as numbers, without alternatives
        losses.reject(Field::Logprobs)?;
    }
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, None, &mut written.names, losses)?;
    let functions = talk::functions(request, &mut written.names, losses)?;
    let body = &mut written.body;
    body.insert("model".to_owned(), target.model.into());
    body.insert("messages".to_owned(), lines.iter().map(message).collect());
    body.insert("stream".to_owned(), request.stream.into());
    if !functions.is_empty() {
        let tools = functions.into_iter().map(|function| json!({"type": "function", "function": function}));
        body.insert("tools".to_owned(), tools.collect());
        put(body, "tool_choice", choice(&request.tool_choice, losses)?);
    }
    put(body, "temperature", request.temperature);
    put(body, "p", request.top_p);
    put(body, "k", request.top_k);
    put(body, "frequency_penalty", request.frequency_penalty);
    put(body, "presence_penalty", request.presence_penalty);
    put(body, "seed", request.seed);
    put(body, "max_tokens", wishes::limit(request, target));
    let stops: Vec<&str> = wishes::stops(request).collect();
    put(body, "stop_sequences", Some(stops).filter(|stops| !stops.is_empty()));
    put(body, "thinking", thinking(request));
    put(body, "response_format", format(&request.output));
    Ok(written)
}

fn message(line: &Line) -> Value {
    let mut message = Body::new();
    message.insert("role".to_owned(), line.speaker.word().into());
    if line.speaker == Speaker::Tool {
        put(&mut message, "tool_call_id", line.answers.as_ref().map(|(id, _)| id.as_str()));
    }
    let plans = !line.calls.is_empty();
    let mut content = Vec::new();
    if !line.thinking.is_empty() && !plans {
        content.push(json!({"type": "thinking", "thinking": line.thinking}));
    }
    if !line.text.is_empty() {
        content.push(json!({"type": "text", "text": line.text}));
    }
    content.extend(line.images.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}})));
    match content.as_slice() {
        [] if plans => {}
        [] => put(&mut message, "content", Some("")),
        [only] if only["type"] == "text" => put(&mut message, "content", Some(line.text.as_str())),
        _ => put(&mut message, "content", Some(content)),
    }
    if plans {
        put(&mut message, "tool_plan", Some(line.thinking.as_str()).filter(|plan| !plan.is_empty()));
        let call = |call: &talk::Call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text()}});
        put(&mut message, "tool_calls", Some(line.calls.iter().map(call).collect::<Vec<_>>()));
    }
    Value::Object(message)
}

/// All or none: a tool cannot be named.
fn choice(choice: &ToolChoice, losses: &mut Losses<'_>) -> Result<Option<&'static str>, Unsupported> {
    match choice {
        ToolChoice::Unset | ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => Ok(None),
        ToolChoice::None => Ok(Some("NONE")),
        ToolChoice::Any | ToolChoice::Allowed { is_required: true, .. } => Ok(Some("REQUIRED")),
        ToolChoice::Named(_) => losses.reject(Field::ToolChoice).map(|()| Some("REQUIRED")),
    }
}

fn thinking(request: &Request) -> Option<Value> {
    if !wishes::thinks(request)? {
        return Some(json!({"type": "disabled"}));
    }
    Some(match request.reasoning.budget {
        Some(budget) => json!({"type": "enabled", "token_budget": budget}),
        None => json!({"type": "enabled"}),
    })
}

fn format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema { schema, .. } => Some(json!({"type": "json_object", "json_schema": schema})),
    }
}

pub(super) fn read(answer: &Value, reading: &mut Reading) -> Result<Response, AnswerError> {
    let message = answer.get("message").filter(|message| message.is_object()).ok_or(AnswerError::Without("message"))?;
    let mut blocks: Vec<Block> = said(text(message, "/tool_plan"), "");
    for part in message.get("content").and_then(Value::as_array).into_iter().flatten() {
        blocks.extend(said(text(part, "/thinking"), text(part, "/text")));
    }
    blocks.extend(calls::whole(message.get("tool_calls"), CHAT, reading));
    let finish = finish(text(answer, "/finish_reason"));
    Ok(one(text(answer, "/id"), "", blocks, finish, answer.get("usage").and_then(counted)))
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    let delta = event.get("delta").unwrap_or(&Value::Null);
    match text(event, "/type") {
        "message-start" => told.blocks.start(text(event, "/id"), "", None, out),
        "content-start" | "content-delta" => {
            told.thinking(text(delta, "/message/content/thinking"), out);
            told.text(text(delta, "/message/content/text"), out);
        }
        "tool-plan-delta" => told.thinking(text(delta, "/message/tool_plan"), out),
        "tool-call-start" | "tool-call-delta" => {
            let Some(mut call) = delta.pointer("/message/tool_calls").cloned() else { return };
            if let (Some(call), Some(index)) = (call.as_object_mut(), event.get("index")) {
                call.insert("index".to_owned(), index.clone());
            }
            let made = Value::Array(vec![call]);
            told.calls.pieces(Some(&made), CHAT, &mut told.reading, (&mut told.blocks, out));
        }
        "tool-call-end" => {
            let key = event.get("index").and_then(Value::as_u64).unwrap_or(0);
            told.blocks.call_stop(0, key, out);
        }
        "message-end" => {
            if let Some(usage) = delta.get("usage").and_then(counted) {
                told.blocks.usage(usage, out);
            }
            match text(delta, "/finish_reason") {
                "ERROR" | "TIMEOUT" => told.fail_because("the upstream failed in the middle of its answer", out),
                reason => {
                    told.blocks.finish(0, finish(reason), None, out);
                    told.blocks.end(out);
                }
            }
        }
        _ => {}
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "COMPLETE" => Finish::Stop,
        "STOP_SEQUENCE" => Finish::StopSequence,
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::Tool,
        other => Finish::Other(other.to_owned()),
    }
}

fn counted(report: &Value) -> Option<Usage> {
    let billed = usage(report, "/billed_units/input_tokens", "/billed_units/output_tokens");
    let counted = billed.or_else(|| usage(report, "/tokens/input_tokens", "/tokens/output_tokens"));
    with_cached(counted, report.get("cached_tokens"))
}
