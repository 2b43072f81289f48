//! OpenAI's models that reason: what their names ask for, and what they refuse.

use serde_json::{Map, Value, json};

use crate::Capability;

/// Efforts that may stand at the end of a name.
const EFFORTS: [&str; 6] = ["high", "minimal", "low", "medium", "none", "xhigh"];
/// Names that start like a model that reasons, and are of models that do not.
const NOT_REASONING: &str = "gpt-5-chat";
/// Models that take instructions as `system` alone, or not at all.
const WITHOUT_DEVELOPER: [&str; 2] = ["o1-mini", "o1-preview"];

/// Whether a model reasons, by its name: `o` and a digit, or `gpt-5`.
fn reasons(model: &str) -> bool {
    let is_o = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    is_o || (is_gpt5(model) && !model.starts_with(NOT_REASONING))
}

fn is_gpt5(model: &str) -> bool {
    model.starts_with("gpt-5")
}

/// The name and the effort at its end. In chat requests only models that reason have one.
fn split(capability: Capability, model: &str) -> Option<(&str, &str)> {
    let may = match capability {
        Capability::Chat => reasons(model),
        Capability::Responses => true,
        _ => false,
    };
    let (plain, effort) = model.rsplit_once('-').filter(|(plain, _)| may && !plain.is_empty())?;
    EFFORTS.contains(&effort).then_some((plain, effort))
}

pub(super) fn plain(capability: Capability, model: &str) -> &str {
    split(capability, model).map_or(model, |(plain, _)| plain)
}

pub(super) fn is_for(capability: Capability, model: &str) -> bool {
    match capability {
        Capability::Chat => reasons(model),
        _ => split(capability, model).is_some(),
    }
}

pub(super) fn adjust(capability: Capability, model: &str, body: &mut Map<String, Value>) {
    let effort = split(capability, model).map(|(_, effort)| effort);
    if capability == Capability::Responses {
        if let Some(effort) = effort {
            put_effort(body, effort);
        }
        return;
    }
    if let Some(effort) = effort {
        body.insert("reasoning_effort".to_owned(), effort.into());
    }
    body.shift_remove("temperature");
    if is_gpt5(model) {
        for refused in ["top_p", "logprobs", "top_logprobs"] {
            body.shift_remove(refused);
        }
    }
    if let Some(limit) = body.shift_remove("max_tokens") {
        body.entry("max_completion_tokens").or_insert(limit);
    }
    if !WITHOUT_DEVELOPER.iter().any(|start| model.starts_with(start)) {
        instruct_as_developer(body);
    }
}

/// The name asks for an effort as if the caller had.
fn put_effort(body: &mut Map<String, Value>, effort: &str) {
    let reasoning = body.entry("reasoning").or_insert_with(|| json!({}));
    if !reasoning.is_object() {
        *reasoning = json!({});
    }
    if let Some(reasoning) = reasoning.as_object_mut() {
        reasoning.insert("effort".to_owned(), effort.into());
    }
}

/// The first message, if it is the system's, is the developer's.
fn instruct_as_developer(body: &mut Map<String, Value>) {
    let first = body.get_mut("messages").and_then(|messages| messages.get_mut(0)).and_then(|message| message.get_mut("role"));
    if let Some(role) = first.filter(|role| role.as_str() == Some("system")) {
        *role = "developer".into();
    }
}
