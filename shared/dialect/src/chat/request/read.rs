//! A caller's body as a request.

mod content;
mod messages;
mod reasoning;
mod tools;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::ir::{AudioOut, Family, Modality, NativeField, OutputFormat, Request, ServiceTier, Verbosity};
use crate::node::{BodyError, Node, Rule};
use crate::openai::{MAX_CHOICES, MAX_OUTPUT_TOKENS};
use crate::signature::Sealer;

/// Reads a body of `POST /v1/chat/completions`. Fields that the API does not know are ignored.
///
/// # Errors
/// When a field is missing or holds what does not belong there; the error names the place and the kind of value, never the value.
pub fn read(body: &Value, sealer: &Sealer) -> Result<Request, BodyError> {
    let root = Node::root(body);
    root.object()?;
    let mut request = Request {
        model: named(&root.need("model")?)?,
        stream: root.get("stream").map(|node| node.boolean()).transpose()?.unwrap_or(false),
        ..Request::default()
    };
    messages::read(&root, sealer, &mut request)?;
    tools::read(&root, &mut request)?;
    sampling(&root, &mut request)?;
    output(&root, &mut request)?;
    about(&root, &mut request)?;
    request.reasoning = reasoning::read(&root)?;
    request.extra = extra(&root)?;
    if root.get("prediction").is_some() {
        request.native.push(NativeField { path: "prediction", is_essential: false });
    }
    Ok(request)
}

fn named(node: &Node<'_>) -> Result<String, BodyError> {
    let text = node.text()?;
    if text.is_empty() { Err(node.broken(Rule::Empty)) } else { Ok(text.to_owned()) }
}

fn sampling(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let number = |name, least, most| root.get(name).map(|node| node.number(least, most)).transpose();
    let limit = root.any(&["max_completion_tokens", "max_tokens"]);
    request.max_output = limit.map(|node| node.count(1, MAX_OUTPUT_TOKENS)).transpose()?;
    request.temperature = number("temperature", 0.0, 2.0)?;
    request.top_p = number("top_p", 0.0, 1.0)?;
    request.frequency_penalty = number("frequency_penalty", -2.0, 2.0)?;
    request.presence_penalty = number("presence_penalty", -2.0, 2.0)?;
    request.choices = root.get("n").map(|node| node.count(1, MAX_CHOICES)).transpose()?;
    request.seed = root.get("seed").map(|node| node.whole(i64::MIN, i64::MAX)).transpose()?;
    request.stop = stop(root)?;
    let alternatives = root.get("top_logprobs").map(|node| node.count(0, 20)).transpose()?;
    let wants_logprobs = root.get("logprobs").map(|node| node.boolean()).transpose()?.unwrap_or(false);
    request.logprobs = wants_logprobs.then(|| alternatives.unwrap_or(0));
    request.logit_bias = object(root, "logit_bias")?;
    Ok(())
}

fn stop(root: &Node<'_>) -> Result<Vec<String>, BodyError> {
    let Some(stop) = root.get("stop") else { return Ok(Vec::new()) };
    if let Some(text) = stop.value().as_str() {
        return Ok(vec![text.to_owned()]);
    }
    if !stop.value().is_array() {
        return Err(stop.wrong("a string or an array of strings"));
    }
    stop.items()?.map(|text| text.text().map(str::to_owned)).collect()
}

#[derive(Clone, Copy)]
enum Format {
    Text,
    Object,
    Schema,
}

fn output(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    if let Some(format) = root.get("response_format") {
        let words = [("text", Format::Text), ("json_object", Format::Object), ("json_schema", Format::Schema)];
        request.output = match format.need("type")?.word(&words, "text, json_object, json_schema")? {
            Format::Text => OutputFormat::Text,
            Format::Object => OutputFormat::JsonObject,
            Format::Schema => schema(&format.need("json_schema")?)?,
        };
    }
    let words = [("low", Verbosity::Low), ("medium", Verbosity::Medium), ("high", Verbosity::High)];
    request.verbosity = root.get("verbosity").map(|node| node.word(&words, "low, medium, high")).transpose()?;
    if let Some(modalities) = root.get("modalities") {
        let words = [("text", Modality::Text), ("audio", Modality::Audio), ("image", Modality::Image)];
        let modalities = modalities.items()?.map(|node| node.word(&words, "text, audio, image"));
        request.modalities = modalities.collect::<Result<_, _>>()?;
    }
    request.audio = root.get("audio").map(|audio| speech(&audio)).transpose()?;
    Ok(())
}

fn schema(format: &Node<'_>) -> Result<OutputFormat, BodyError> {
    Ok(OutputFormat::JsonSchema {
        name: Some(named(&format.need("name")?)?),
        description: text(format, "description")?,
        schema: Value::Object(format.need("schema")?.object()?.clone()),
        strict: format.get("strict").map(|node| node.boolean()).transpose()?,
    })
}

/// A voice of the caller's own is an object with an id.
fn speech(audio: &Node<'_>) -> Result<AudioOut, BodyError> {
    let voice = audio.need("voice")?;
    let voice = match voice.get("id") {
        Some(id) => named(&id)?,
        None => named(&voice)?,
    };
    Ok(AudioOut { voice, format: text(audio, "format")? })
}

fn about(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let user = root.any(&["user", "safety_identifier"]);
    request.user = user.map(|node| node.text().map(str::to_owned)).transpose()?;
    request.metadata = object(root, "metadata")?;
    request.store = root.get("store").map(|node| node.boolean()).transpose()?;
    request.cache_key = text(root, "prompt_cache_key")?;
    request.service_tier = root.get("service_tier").map(|node| node.text().map(tier)).transpose()?;
    Ok(())
}

fn tier(word: &str) -> ServiceTier {
    match word {
        "auto" => ServiceTier::Auto,
        "default" => ServiceTier::Default,
        "flex" => ServiceTier::Flex,
        "priority" => ServiceTier::Priority,
        _ => ServiceTier::Other,
    }
}

/// What is meant for one family only, beside what [`reasoning`] understands of it.
fn extra(root: &Node<'_>) -> Result<BTreeMap<Family, Map<String, Value>>, BodyError> {
    let mut extra = BTreeMap::new();
    let nested = root.get("extra_body");
    for (name, family) in [("google", Family::Google), ("anthropic", Family::Anthropic)] {
        let Some(fields) = root.get(name).or_else(|| nested.as_ref()?.get(name)) else { continue };
        let mut fields = fields.object()?.clone();
        fields.shift_remove("thinking_config");
        if !fields.is_empty() {
            extra.insert(family, fields);
        }
    }
    Ok(extra)
}

fn text(node: &Node<'_>, name: &str) -> Result<Option<String>, BodyError> {
    node.get(name).map(|node| node.text().map(str::to_owned)).transpose()
}

fn object(node: &Node<'_>, name: &str) -> Result<Option<Map<String, Value>>, BodyError> {
    node.get(name).map(|node| node.object().cloned()).transpose()
}
