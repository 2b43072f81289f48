//! A caller's request.

use serde_json::Value;

use crate::ir::{Family, Modality, NativeField, OutputFormat, Request, ServiceTier, Verbosity};
use crate::node::{BodyError, Node, Rule};
use crate::openai::MAX_OUTPUT_TOKENS;
use crate::signature::Sealer;

mod content;
mod items;
mod reasoning;
mod tools;

/// Reads the body of `POST /v1/responses`.
///
/// # Errors
/// When a field is missing or wrong; unknown fields are none.
pub fn read(body: &Value, sealer: &Sealer) -> Result<Request, BodyError> {
    let root = Node::root(body);
    root.object()?;
    let model = root.need("model")?;
    let mut request = Request { model: model.text()?.to_owned(), ..Request::default() };
    if request.model.is_empty() {
        return Err(model.broken(Rule::Empty));
    }
    request.stream = flag(&root, "stream")?.unwrap_or(false);
    natives(&root, &mut request)?;
    conversation(&root, sealer, &mut request)?;
    tools::read(&root, &mut request)?;
    request.reasoning = reasoning::read(&root)?;
    output(&root, &mut request)?;
    sampling(&root, &mut request)?;
    include(&root, &mut request)?;
    labels(&root, &mut request)?;
    Ok(request)
}

fn flag(root: &Node<'_>, name: &str) -> Result<Option<bool>, BodyError> {
    root.get(name).map(|node| node.boolean()).transpose()
}

fn string(root: &Node<'_>, name: &str) -> Result<Option<String>, BodyError> {
    root.get(name).map(|node| node.text().map(ToOwned::to_owned)).transpose()
}

/// Fields without which the answer would be another one.
const ESSENTIAL: [&str; 3] = ["previous_response_id", "conversation", "prompt"];
/// Fields that are only advice, or the provider's own bookkeeping.
const ADVICE: [&str; 7] = [
    "max_tool_calls",
    "context_management",
    "moderation",
    "stream_options",
    "prompt_cache_retention",
    "prompt_cache_options",
    "partial_images",
];

fn natives(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let mut note = |path, is_essential| request.native.push(NativeField { path, is_essential });
    for path in ESSENTIAL {
        if root.get(path).is_some() {
            note(path, true);
        }
    }
    if flag(root, "background")? == Some(true) {
        note("background", true);
    }
    if root.get("truncation").is_some_and(|node| node.value().as_str() != Some("disabled")) {
        note("truncation", false);
    }
    for path in ADVICE {
        if root.get(path).is_some() {
            note(path, false);
        }
    }
    Ok(())
}

fn conversation(root: &Node<'_>, sealer: &Sealer, request: &mut Request) -> Result<(), BodyError> {
    if let Some(instructions) = string(root, "instructions")? {
        request.system.push(crate::ir::Block::text(instructions));
    }
    let is_elsewhere = ESSENTIAL.iter().any(|name| root.get(name).is_some());
    match root.get("input") {
        Some(input) => items::read(&input, sealer, request),
        None if is_elsewhere => Ok(()),
        None => root.need("input").map(|_| ()),
    }
}

fn output(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let Some(text) = root.get("text") else { return Ok(()) };
    text.object()?;
    if let Some(verbosity) = text.get("verbosity") {
        let words = [("low", Verbosity::Low), ("medium", Verbosity::Medium), ("high", Verbosity::High)];
        request.verbosity = Some(verbosity.word(&words, "low, medium, high")?);
    }
    let Some(format) = text.get("format") else { return Ok(()) };
    format.object()?;
    let words = [("text", Form::Text), ("json_object", Form::Object), ("json_schema", Form::Schema)];
    request.output = match format.need("type")?.word(&words, "text, json_object, json_schema")? {
        Form::Text => OutputFormat::Text,
        Form::Object => OutputFormat::JsonObject,
        Form::Schema => {
            let schema = format.need("schema")?;
            schema.object()?;
            OutputFormat::JsonSchema {
                name: string(&format, "name")?,
                description: string(&format, "description")?,
                schema: schema.value().clone(),
                strict: flag(&format, "strict")?,
            }
        }
    };
    Ok(())
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Object,
    Schema,
}

fn sampling(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    request.max_output = root.get("max_output_tokens").map(|node| node.count(1, MAX_OUTPUT_TOKENS)).transpose()?;
    request.temperature = root.get("temperature").map(|node| node.number(0.0, 2.0)).transpose()?;
    request.top_p = root.get("top_p").map(|node| node.number(0.0, 1.0)).transpose()?;
    request.logprobs = root.get("top_logprobs").map(|node| node.count(0, 20)).transpose()?.filter(|count| *count > 0);
    let words = [("text", Modality::Text), ("audio", Modality::Audio), ("image", Modality::Image)];
    if let Some(modalities) = root.get("modalities") {
        for modality in modalities.items()? {
            request.modalities.push(modality.word(&words, "text, audio, image")?);
        }
    }
    Ok(())
}

fn include(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let Some(include) = root.get("include") else { return Ok(()) };
    for wish in include.items()? {
        match wish.text()? {
            "reasoning.encrypted_content" => request.reasoning.encrypted = true,
            "message.output_text.logprobs" => request.logprobs = request.logprobs.or(Some(0)),
            _ if request.native.iter().all(|field| field.path != "include") => {
                request.native.push(NativeField { path: "include", is_essential: false });
            }
            _ => {}
        }
    }
    Ok(())
}

fn labels(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    request.user = match string(root, "safety_identifier")? {
        Some(user) => Some(user),
        None => string(root, "user")?,
    };
    request.metadata = root.get("metadata").map(|node| node.object().cloned()).transpose()?;
    request.store = flag(root, "store")?;
    request.cache_key = string(root, "prompt_cache_key")?;
    request.service_tier = match root.get("service_tier") {
        None => None,
        Some(tier) => Some(match tier.text()? {
            "auto" => ServiceTier::Auto,
            "default" => ServiceTier::Default,
            "flex" => ServiceTier::Flex,
            "priority" => ServiceTier::Priority,
            _ => ServiceTier::Other,
        }),
    };
    for (name, family) in [("google", Family::Google), ("anthropic", Family::Anthropic)] {
        if let Some(extra) = root.get(name) {
            request.extra.insert(family, extra.object()?.clone());
        }
    }
    Ok(())
}
