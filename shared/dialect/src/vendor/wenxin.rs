//! Baidu's first interface: <https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t>. The model is in the address, with a token that the key was
//! exchanged for.
//!
//! Messages alternate, from the user's to the user's; instructions stand beside them. Streams end with `is_end`. What an answer consumed is the
//! total less the prompt: `completion_tokens` of the first models leaves out what plugins made.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::settings::{one, put, said, text, usage};
use super::shape;
use super::stream::Told;
use super::talk::{self, Images, Takes};
use super::wishes::{self, LIMIT};
use crate::codec::{AnswerError, Written};
use crate::ir::{Event, Finish, OutputFormat, Request, Response};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 6] = [Field::FrequencyPenalty, Field::Temperature, Field::TopP, Field::Stop, Field::User, LIMIT];
const TAKES: Takes = Takes { images: Images::None, calls: false, thinking: false };
/// Temperatures that are taken.
const TEMPERATURES: (f64, f64) = (0.01, 1.0);
/// The least limit of output, in tokens.
const LEAST_OUTPUT: u32 = 2;
/// The most that texts of `stop` may be.
const MAX_STOPS: usize = 4;

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let instruction = match request.output {
        OutputFormat::JsonSchema { .. } => wishes::told_format(request),
        OutputFormat::JsonObject | OutputFormat::Text => None,
    };
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, instruction.as_deref(), &mut written.names, losses)?;
    let (system, lines) = shape::alternating(lines, losses)?;
    let body = &mut written.body;
    let message = |line: &talk::Line| json!({"role": line.speaker.word(), "content": line.text});
    body.insert("messages".to_owned(), lines.iter().map(message).collect());
    body.insert("stream".to_owned(), request.stream.into());
    put(body, "system", system);
    put(body, "temperature", request.temperature.map(|temperature| temperature.clamp(TEMPERATURES.0, TEMPERATURES.1)));
    put(body, "top_p", request.top_p);
    // 1 to 2 there, where 1 is none
    put(body, "penalty_score", request.frequency_penalty.map(|penalty| 1.0 + penalty.clamp(0.0, 2.0) / 2.0));
    put(body, "max_output_tokens", wishes::limit(request, target).map(|limit| limit.max(LEAST_OUTPUT)));
    put(body, "user_id", request.user.as_deref());
    if request.output != OutputFormat::Text {
        body.insert("response_format".to_owned(), "json_object".into());
    }
    let stops: Vec<&str> = wishes::stops(request).collect();
    if stops.len() > MAX_STOPS {
        losses.reject_because(Field::Stop, "may hold at most 4 texts for the provider of this model")?;
    }
    put(body, "stop", Some(stops.into_iter().take(MAX_STOPS).collect::<Vec<_>>()).filter(|stops| !stops.is_empty()));
    Ok(written)
}

pub(super) fn read(answer: &Value) -> Result<Response, AnswerError> {
    let result = answer.get("result").and_then(Value::as_str).ok_or(AnswerError::Without("result"))?;
    let usage = answer.get("usage").and_then(counted);
    let mut response = one(text(answer, "/id"), "", said("", result), finish(answer), usage);
    response.created = answer.get("created").and_then(Value::as_i64);
    Ok(response)
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start(text(event, "/id"), "", event.get("created").and_then(Value::as_i64), out);
    told.text(text(event, "/result"), out);
    if let Some(usage) = event.get("usage").and_then(counted) {
        told.blocks.usage(usage, out);
    }
    if event.get("is_end") == Some(&Value::Bool(true)) {
        told.blocks.finish(0, finish(event), None, out);
        told.blocks.end(out);
    }
}

fn finish(answer: &Value) -> Finish {
    match text(answer, "/finish_reason") {
        "length" => Finish::Length,
        word @ "content_filter" => Finish::Filter { detail: Some(word.to_owned()) },
        _ if answer.get("is_truncated") == Some(&Value::Bool(true)) => Finish::Length,
        _ => Finish::Stop,
    }
}

fn counted(report: &Value) -> Option<Usage> {
    let told = usage(report, "/prompt_tokens", "/completion_tokens")?;
    let total = report.get("total_tokens").and_then(Value::as_u64).unwrap_or(0);
    Some(Usage { output: total.saturating_sub(told.input).max(told.output), ..told }).filter(Usage::is_plausible)
}
