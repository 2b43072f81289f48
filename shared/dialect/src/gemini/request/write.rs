//! The body for a Gemini upstream. Model and verb are in the address.

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use super::super::spelling::camel;
use crate::call_id;
use crate::codec::Written;
use crate::ir::{Block, Request, Role, ServiceTier, Tool};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::{Host, Target};

mod config;
mod contents;
mod thinking;
mod tools;

/// Categories of harm whose filters are switched off unless the channel says otherwise.
const HARMS: [&str; 5] = [
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
];

/// Writes the body of a `generateContent` call.
///
/// # Errors
/// When the request needs something that Gemini does not have.
pub fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    let mut written = Written::default();
    leave_out(request, target, losses)?;
    let contents = contents::write(request, target, &mut written.names, losses)?;
    let tools = tools::write(&request.tools, target, &mut written.names, losses)?;
    let (config, instruction) = config::write(request, target, !tools.is_empty(), losses)?;

    let body = &mut written.body;
    body.insert("contents".to_owned(), Value::Array(contents));
    let mut system = system_texts(request);
    system.extend(instruction.as_deref());
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": [{"text": system.join("\n\n")}]}));
    }
    let has_functions = request.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    if let Some(choice) = tools::write_choice(&request.tool_choice, &mut written.names).filter(|_| has_functions) {
        body.insert("toolConfig".to_owned(), json!({"functionCallingConfig": choice}));
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    body.insert("safetySettings".to_owned(), safety(target));
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
    if let Some(labels) = request.metadata.as_ref().filter(|_| target.host == Host::Vertex) {
        body.insert("labels".to_owned(), Value::Object(labels.clone()));
    }
    if let Some(tier) = request.service_tier.filter(|_| target.host == Host::Own).and_then(tier_word) {
        body.insert("serviceTier".to_owned(), json!(tier));
    }
    if let Some(extra) = request.extra.get(&target.family) {
        merge_extra(body, extra);
    }
    Ok(written)
}

/// Names everything that Gemini has no place for.
fn leave_out(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    for native in &request.native {
        let field = Field::Native(native.path);
        if native.is_essential { losses.reject(field)? } else { losses.drop(field)? }
    }
    let is_vertex = target.host == Host::Vertex;
    let tier_is_lost = request.service_tier.is_some_and(|tier| tier == ServiceTier::Other || is_vertex);
    for (field, is_lost) in [
        (Field::LogitBias, request.logit_bias.is_some()),
        (Field::ParallelTools, request.parallel_tools == Some(false)),
        (Field::Verbosity, request.verbosity.is_some()),
        (Field::User, request.user.is_some()),
        (Field::Metadata, request.metadata.is_some() && !is_vertex),
        (Field::Store, request.store.is_some()),
        (Field::ServiceTier, tier_is_lost),
        (Field::CacheKey, request.cache_key.is_some()),
        (Field::CacheMarks, has_cache_marks(request)),
    ] {
        if is_lost {
            losses.drop(field)?;
        }
    }
    Ok(())
}

fn has_cache_marks(request: &Request) -> bool {
    let is_marked = |block: &Block| match block {
        Block::Text { cache, .. }
        | Block::Media { cache, .. }
        | Block::ToolCall { cache, .. }
        | Block::ToolResult { cache, .. } => cache.is_some(),
        _ => false,
    };
    let mut blocks = request.system.iter().chain(request.turns.iter().flat_map(|turn| &turn.blocks));
    blocks.any(is_marked) || request.tools.iter().any(|tool| matches!(tool, Tool::Function { cache: Some(_), .. }))
}

/// Instructions, those from the middle of the conversation last.
fn system_texts(request: &Request) -> Vec<&str> {
    let midway = request.turns.iter().filter(|turn| turn.role == Role::System).flat_map(|turn| &turn.blocks);
    let texts = request.system.iter().chain(midway).filter_map(|block| match block {
        Block::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.filter(|text| !text.is_empty()).collect()
}

fn safety(target: &Target<'_>) -> Value {
    match &target.options.safety {
        Some(settings) => Value::Array(settings.clone()),
        None => HARMS.iter().map(|harm| json!({"category": harm, "threshold": "OFF"})).collect(),
    }
}

const fn tier_word(tier: ServiceTier) -> Option<&'static str> {
    match tier {
        ServiceTier::Default => Some("standard"),
        ServiceTier::Flex => Some("flex"),
        ServiceTier::Priority => Some("priority"),
        ServiceTier::Auto | ServiceTier::Other => None,
    }
}

/// An id as the upstream takes it.
fn upstream_id(id: &str) -> String {
    call_id::for_upstream(id, Dialect::Gemini).into_owned()
}

/// Merges what the caller wants in the body as it is. Names are brought into one spelling, so that no field is there twice;
/// `thinking_config` may stand where Google's OpenAI endpoint has it.
fn merge_extra(body: &mut Map<String, Value>, extra: &Map<String, Value>) {
    for (key, value) in extra {
        match (camel(key).as_str(), value) {
            ("thinkingConfig", Value::Object(thinking)) => {
                let thinking = json!({"thinkingConfig": in_camel(thinking)});
                merge_into(body, "generationConfig", thinking);
            }
            (name, Value::Object(fields)) => merge_into(body, name, Value::Object(in_camel(fields))),
            (name, value) => {
                body.insert(name.to_owned(), value.clone());
            }
        }
    }
}

fn in_camel(fields: &Map<String, Value>) -> Map<String, Value> {
    fields.iter().map(|(key, value)| (camel(key), value.clone())).collect()
}

/// Puts fields into the object of a name.
fn merge_into(body: &mut Map<String, Value>, name: &str, fields: Value) {
    match (body.get_mut(name), fields) {
        (Some(Value::Object(object)), Value::Object(fields)) => object.extend(fields),
        (_, fields) => {
            body.insert(name.to_owned(), fields);
        }
    }
}
