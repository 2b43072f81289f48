//! The top level of a request, and what it adds up to.

use serde_json::{Map, Value};

use super::contents::{content, contents};
use super::fields::{Message, wrong};
use super::{config, pairing, signs_calls, tools};
use crate::simulator::asked::{Asked, State, Thinking, Turn};
use crate::simulator::refusal::Refusal;
use crate::simulator::route::Streaming;

const KNOWN: &[&str] = &[
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "continuationToken",
    "labels",
    "serviceTier",
    "store",
];
const CATEGORIES: [&str; 7] = [
    "HARM_CATEGORY_UNSPECIFIED",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
    "HARM_CATEGORY_DEROGATORY",
];
const THRESHOLDS: [&str; 6] =
    ["HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"];

pub(in crate::simulator) fn check(model: &str, body: &Map<String, Value>, streaming: Streaming) -> Result<Asked, Refusal> {
    let body = Message { fields: body, at: String::new() };
    let mut asked = hear(model, &body)?;
    asked.stream = streaming != Streaming::Unsaid;
    Ok(asked)
}

pub(in crate::simulator) fn check_count(model: &str, body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let body = Message { fields: body, at: String::new() };
    body.only(&["model", "contents", "generateContentRequest"])?;
    match body.message("generateContentRequest", KNOWN)? {
        Some(_) if body.get("contents").is_some() => {
            Err(wrong("contents", "only one of contents and generate_content_request may be set."))
        }
        Some(request) => hear(model, &request),
        None => {
            let mut asked = Asked { choices: 1, ..Asked::default() };
            asked.hear(pairing::turns(contents(&body)?));
            Ok(asked)
        }
    }
}

fn hear(model: &str, body: &Message<'_>) -> Result<Asked, Refusal> {
    body.only(KNOWN)?;
    let contents = contents(body)?;
    let system = system(body)?;
    check_safety(body)?;
    if let Some(cached) = body.text("cachedContent")? {
        return Err(Refusal::new(403, format!("CachedContent not found (or permission denied): {cached}")));
    }
    let tools = tools::read(body)?;
    let must_call = tools::must_call(body, &tools)?;
    let mut asked = Asked { choices: 1, parallel_calls: true, include_usage: true, tools, must_call, ..Asked::default() };
    config::read(model, body, &mut asked)?;
    pairing::check(&contents, signs_calls(model))?;
    if signs_calls(model) || asked.thinking != Thinking::No {
        asked.state = State::Sealed;
    }
    asked.hear(system.into_iter().chain(pairing::turns(contents)).collect());
    Ok(asked)
}

/// The system instruction as a turn. Its role means nothing.
fn system(body: &Message<'_>) -> Result<Option<Turn>, Refusal> {
    let Some(value) = body.get("systemInstruction") else { return Ok(None) };
    let at = body.path("systemInstruction");
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("role");
    }
    Ok(Some(Turn { role: "system", ..pairing::turn(content(&value, at)?) }))
}

fn check_safety(body: &Message<'_>) -> Result<(), Refusal> {
    for (at, setting) in body.list("safetySettings")? {
        let setting = Message::read(setting, at, &["category", "threshold"])?;
        setting.word("category", "HarmCategory", &CATEGORIES)?;
        setting.word("threshold", "SafetySetting.HarmBlockThreshold", &THRESHOLDS)?;
    }
    Ok(())
}
