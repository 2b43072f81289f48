//! Zhipu's third interface: <https://open.bigmodel.cn/dev/howuse/model-v3>. The model is in the address.
//!
//! A conversation is a `prompt` of the user's and the model's turns; instructions are the beginning of the first one. Text of whole answers is a
//! JSON string within the string. Streams have plain text as data, which [`Framing::Marked`](crate::frames::Framing::Marked) makes JSON of, and
//! tell usage in the `meta` of their last event.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::settings::{one, put, said, text, usage};
use super::shape;
use super::stream::Told;
use super::talk::{self, Images, Takes};
use super::wishes;
use crate::codec::{AnswerError, Written};
use crate::ir::{Event, Finish, Request, Response};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 2] = [Field::Temperature, Field::TopP];
const TAKES: Takes = Takes { images: Images::None, calls: false, thinking: false };
/// What is taken of temperature and nucleus: both ends are outside.
const OPEN_RANGE: (f64, f64) = (0.01, 0.99);

pub(super) fn write(request: &Request, _: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let (system, mut lines) = shape::alternating(lines, losses)?;
    if let (Some(system), Some(first)) = (system, lines.first_mut()) {
        first.text.insert_str(0, &format!("{system}\n\n"));
    }
    let body = &mut written.body;
    let message = |line: &talk::Line| json!({"role": line.speaker.word(), "content": line.text});
    body.insert("prompt".to_owned(), lines.iter().map(message).collect());
    put(body, "temperature", request.temperature.map(|temperature| temperature.clamp(OPEN_RANGE.0, 1.0)));
    put(body, "top_p", request.top_p.map(|top_p| top_p.clamp(OPEN_RANGE.0, OPEN_RANGE.1)));
    if request.stream {
        body.insert("incremental".to_owned(), true.into());
    }
    Ok(written)
}

pub(super) fn read(answer: &Value) -> Result<Response, AnswerError> {
    let data = answer.get("data").ok_or(AnswerError::Without("data"))?;
    let words = data.pointer("/choices/0/content").and_then(Value::as_str).ok_or(AnswerError::Without("choices"))?;
    let usage = data.get("usage").and_then(counted);
    Ok(one(text(data, "/task_id"), "", said("", &unquoted(words)), Finish::Stop, usage))
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.text(text(event, "/data"), out);
    if text(event, "/event") != "finish" {
        return;
    }
    if let Some(usage) = event.pointer("/meta/usage").and_then(counted) {
        told.blocks.usage(usage, out);
    }
    told.blocks.finish(0, Finish::Stop, None, out);
    told.blocks.end(out);
}

/// The text within a text.
fn unquoted(words: &str) -> String {
    serde_json::from_str::<String>(words).unwrap_or_else(|_| words.to_owned())
}

fn counted(report: &Value) -> Option<Usage> {
    usage(report, "/prompt_tokens", "/completion_tokens")
}
