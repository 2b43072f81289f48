//! Replicate's predictions: <https://replicate.com/docs/reference/http#models.predictions.create>. The model is in the address.
//!
//! A prediction is asked for with `Prefer: wait`, so that its creation waits for its end, for a minute at most. One that is not ready then is
//! asked for again ([`super::Vendor::again`]). Its stream has an address of its own that only its answer tells, so callers of a stream are told
//! the answer in one piece. What a model takes is the model's to say; `prompt`, `system_prompt` and the names of Llama are what
//! nearly all of them have.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::settings::{Body, one, put, said, text, usage};
use super::shape;
use super::talk::{self, Images, Line, Speaker, Takes};
use super::wishes::{self, LIMIT};
use crate::codec::{AnswerError, Written};
use crate::ir::{Finish, Request, Response};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 8] = [
    Field::Seed,
    Field::FrequencyPenalty,
    Field::PresencePenalty,
    Field::Temperature,
    Field::TopP,
    Field::TopK,
    Field::Stop,
    LIMIT,
];
const TAKES: Takes = Takes { images: Images::Urls, calls: false, thinking: false };

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let (system, rest): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.speaker == Speaker::System);
    let mut input = Body::new();
    input.insert("prompt".to_owned(), shape::one_text(&rest).into());
    let system = system.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n\n");
    put(&mut input, "system_prompt", Some(system).filter(|system| !system.is_empty()));
    let mut images = shape::images(&rest);
    put(&mut input, "image", images.next());
    if images.next().is_some() {
        losses.reject_because(Field::Image, "may stand once in a request for the provider of this model")?;
    }
    put(&mut input, "temperature", request.temperature);
    put(&mut input, "top_p", request.top_p);
    put(&mut input, "top_k", request.top_k);
    put(&mut input, "frequency_penalty", request.frequency_penalty);
    put(&mut input, "presence_penalty", request.presence_penalty);
    put(&mut input, "seed", request.seed);
    put(&mut input, "max_tokens", wishes::limit(request, target));
    let stops = wishes::stops(request).collect::<Vec<_>>().join(",");
    put(&mut input, "stop_sequences", Some(stops).filter(|stops| !stops.is_empty()));
    written.body = Body::from_iter([("input".to_owned(), json!(input))]);
    Ok(written)
}

pub(super) fn read(answer: &Value) -> Result<Response, AnswerError> {
    let words = match answer.get("output") {
        Some(Value::String(words)) => words.clone(),
        Some(Value::Array(pieces)) => pieces.iter().filter_map(Value::as_str).collect(),
        _ => return Err(AnswerError::Without("output")),
    };
    let usage = answer.get("metrics").and_then(counted);
    Ok(one(text(answer, "/id"), text(answer, "/model"), said("", &words), Finish::Stop, usage))
}

fn counted(report: &Value) -> Option<Usage> {
    usage(report, "/input_token_count", "/output_token_count")
}
