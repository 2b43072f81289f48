//! OpenAI's models that reason: what they refuse.

use bytes::Bytes;
use sluice_dialect::json::Fields;
use sluice_domain::suffix::reasons;

use super::dropped::Dropped;
use crate::Capability;

/// What models that reason refuse, and `o1` to `o4` of it the first alone.
const SAMPLING: [&str; 4] = ["temperature", "top_p", "logprobs", "top_logprobs"];
/// Models that take instructions as `system` alone, or not at all.
const WITHOUT_DEVELOPER: [&str; 2] = ["o1-mini", "o1-preview"];
/// Where nothing is said, these do not reason.
const SILENT: [&str; 2] = ["gpt-5.1", "gpt-5.2"];
/// Of these, models that always reason have one of these words in their names.
const ALWAYS: [&str; 2] = ["-codex", "-pro"];

pub(super) fn is_for(capability: Capability, model: &str) -> bool {
    capability == Capability::Chat && reasons(model)
}

pub(super) fn adjust(model: &str, body: &mut Fields, dropped: &mut Dropped) {
    if !is_silenced(model, body) {
        let refused = if model.starts_with('o') { SAMPLING.get(..1) } else { Some(&SAMPLING[..]) };
        for name in refused.unwrap_or_default() {
            if let Some(value) = body.remove(name) {
                dropped.note(name, &value);
            }
        }
    }
    if let Some(limit) = body.remove("max_tokens") {
        body.set_default("max_completion_tokens", limit);
    }
    if !WITHOUT_DEVELOPER.iter().any(|start| model.starts_with(start)) {
        instruct_as_developer(body);
    }
}

/// Whether the model is asked not to reason: then it samples as others do.
fn is_silenced(model: &str, body: &Fields) -> bool {
    match body.get("reasoning_effort").filter(|effort| effort[..] != *b"null") {
        Some(effort) => effort[..] == *b"\"none\"",
        None => SILENT.iter().any(|start| model.starts_with(start)) && !ALWAYS.iter().any(|word| model.contains(word)),
    }
}

/// The first message, if it is the system's, is the developer's.
fn instruct_as_developer(body: &mut Fields) {
    let mut is_first = true;
    body.each("messages", |message| {
        if !std::mem::take(&mut is_first) {
            return None;
        }
        let mut message =
            Fields::parse(message.clone()).ok().filter(|message| message.text("role").as_deref() == Some("system"))?;
        message.set("role", Bytes::from_static(b"\"developer\""));
        Some(message.finish())
    });
}
