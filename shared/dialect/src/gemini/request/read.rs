//! A caller's body. Model and verb come from the address.

use serde_json::Value;

use super::super::spelling::{camel, field, word};
use crate::ir::{NativeField, Request, ServiceTier};
use crate::node::{BodyError, Node};
use crate::signature::Sealer;

mod config;
mod contents;
mod media;
mod pairing;
mod tools;

/// Fields of the body that other dialects have no word for, and whether the answer would be wrong without them.
const NATIVE: [(&str, bool); 2] = [("cachedContent", true), ("safetySettings", false)];

/// Reads the body of a `generateContent` or `streamGenerateContent` call (<https://ai.google.dev/api/generate-content>).
///
/// `model` is what stands in the address before the verb; of its prefixes only `tunedModels/` stays.
///
/// # Errors
/// When a known field holds what cannot stand there; unknown ones are ignored.
pub fn read(body: &Value, model: &str, stream: bool, sealer: &Sealer) -> Result<Request, BodyError> {
    let root = Node::root(body);
    root.object()?;
    let mut request = Request { model: bare_model(model).to_owned(), stream, ..Request::default() };
    let config = field(&root, "generationConfig");
    let detail = match &config {
        Some(config) => config::read(config, &mut request)?,
        None => None,
    };
    contents::read(&root, sealer, detail, &mut request)?;
    if let Some(list) = field(&root, "tools") {
        tools::read(&list, &mut request.tools)?;
    }
    if let Some(choice) = field(&root, "toolConfig") {
        tools::read_choice(&choice, &mut request)?;
    }
    if let Some(labels) = field(&root, "labels") {
        request.metadata = Some(labels.object()?.clone());
    }
    if let Some(store) = field(&root, "store") {
        request.store = Some(store.boolean()?);
    }
    if let Some(tier) = field(&root, "serviceTier") {
        request.service_tier = Some(word(&tier, &TIERS, "standard, flex, priority")?);
    }
    note_native(&root, "", &NATIVE, &mut request);
    Ok(request)
}

const TIERS: [(&str, ServiceTier); 8] = [
    ("standard", ServiceTier::Default),
    ("flex", ServiceTier::Flex),
    ("priority", ServiceTier::Priority),
    ("unspecified", ServiceTier::Auto),
    ("SERVICE_TIER_STANDARD", ServiceTier::Default),
    ("SERVICE_TIER_FLEX", ServiceTier::Flex),
    ("SERVICE_TIER_PRIORITY", ServiceTier::Priority),
    ("SERVICE_TIER_UNSPECIFIED", ServiceTier::Auto),
];

fn bare_model(model: &str) -> &str {
    let model = model.strip_prefix("publishers/google/").unwrap_or(model);
    model.strip_prefix("models/").unwrap_or(model)
}

/// Notes those of the fields that are there. Their paths begin with `prefix`.
fn note_native(node: &Node<'_>, prefix: &str, fields: &[(&'static str, bool)], request: &mut Request) {
    let Some(object) = node.value().as_object() else { return };
    for (path, is_essential) in fields {
        let name = path.strip_prefix(prefix).unwrap_or(path);
        let is_there = object.iter().any(|(key, value)| !value.is_null() && (key == name || camel(key) == name));
        if is_there {
            request.native.push(NativeField { path, is_essential: *is_essential });
        }
    }
}
