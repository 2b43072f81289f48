//! A caller's request.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ir::{Effort, NativeField, OutputFormat, Reasoning, ReasoningMode, Request, Role, ServiceTier, Show, Turn};
use crate::node::{BodyError, Node, Rule};
use crate::signature::Sealer;

mod content;
mod tools;

#[cfg(test)]
mod tests;

/// Fields without a counterpart elsewhere, and whether the answer would be wrong without them.
const NATIVE: [(&str, bool); 6] = [
    ("container", true),
    ("mcp_servers", true),
    ("context_management", false),
    ("inference_geo", false),
    ("speed", false),
    ("cache_control", false),
];

/// The most tokens that can be asked for.
const MAX_TOKENS: u32 = u32::MAX;

/// Reads the body of a request. `max_tokens` may be absent: counting tokens has none.
///
/// # Errors
/// When a field that is known is missing or wrong; the error names it and tells nothing of its value.
pub fn read(body: &Value, sealer: &Sealer) -> Result<Request, BodyError> {
    let root = Node::root(body);
    root.object()?;
    let mut body = Body { sealer, advice: BTreeSet::new() };
    let mut request = Request { model: root.need("model")?.text()?.to_owned(), ..Request::default() };
    request.stream = root.get("stream").map(|it| it.boolean()).transpose()?.unwrap_or(false);
    request.max_output = root.get("max_tokens").map(|it| it.count(1, MAX_TOKENS)).transpose()?;
    if let Some(system) = root.get("system") {
        request.system = content::instructions(&system)?;
    }
    request.turns = body.turns(&root.need("messages")?)?;
    if let Some(tools) = root.get("tools") {
        request.tools = body.tools(&tools)?;
    }
    if let Some(choice) = root.get("tool_choice") {
        (request.tool_choice, request.parallel_tools) = tools::choice(&choice)?;
    }
    sampling(&root, &mut request)?;
    request.reasoning = reasoning(&root)?;
    request.output = output(&root)?;
    request.user = match root.get("metadata") {
        Some(metadata) => {
            metadata.object()?;
            metadata.get("user_id").map(|it| it.text().map(str::to_owned)).transpose()?
        }
        None => None,
    };
    request.service_tier = root.get("service_tier").map(|it| it.text().map(service_tier)).transpose()?;
    request.native = native(&root, body.advice);
    Ok(request)
}

/// What is needed all over a body, and what is found all over it.
struct Body<'s> {
    sealer: &'s Sealer,
    /// Paths of native fields inside other things, all of them advice.
    advice: BTreeSet<&'static str>,
}

impl Body<'_> {
    fn turns(&mut self, messages: &Node<'_>) -> Result<Vec<Turn>, BodyError> {
        let messages_items = messages.items()?;
        if messages_items.len() == 0 {
            return Err(messages.broken(Rule::Empty));
        }
        let mut turns = Vec::with_capacity(messages_items.len());
        for message in messages_items {
            message.object()?;
            let roles = [("user", Role::User), ("assistant", Role::Assistant), ("system", Role::System)];
            let role = message.need("role")?.word(&roles, "user, assistant, system")?;
            let content = message.need("content")?;
            let blocks = match role {
                Role::System => content::instructions(&content)?,
                Role::User | Role::Assistant => self.blocks(&content, role)?,
            };
            turns.push(Turn { role, blocks });
        }
        Ok(turns)
    }
}

fn sampling(root: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    request.temperature = root.get("temperature").map(|it| it.number(0.0, 1.0)).transpose()?;
    request.top_p = root.get("top_p").map(|it| it.number(0.0, 1.0)).transpose()?;
    request.top_k = root.get("top_k").map(|it| it.count(0, u32::MAX)).transpose()?;
    if let Some(stops) = root.get("stop_sequences") {
        for stop in stops.items()? {
            request.stop.push(stop.text()?.to_owned());
        }
    }
    Ok(())
}

fn reasoning(root: &Node<'_>) -> Result<Reasoning, BodyError> {
    let mut reasoning = Reasoning::default();
    if let Some(effort) = root.get("output_config").as_ref().and_then(|config| config.get("effort")) {
        let words = Effort::ALL.map(|effort| (effort.as_str(), effort));
        let known = words.get(1..).unwrap_or_default();
        reasoning.effort = Some(effort.word(known, "low, medium, high, xhigh, max")?);
    }
    let Some(thinking) = root.get("thinking") else { return Ok(reasoning) };
    thinking.object()?;
    let (on, off) = (ReasoningMode::On, ReasoningMode::Off);
    let modes = [("enabled", on), ("adaptive", on), ("between_tools", on), ("disabled", off)];
    let kind = thinking.need("type")?;
    reasoning.mode = kind.word(&modes, "enabled, disabled, adaptive, between_tools")?;
    if reasoning.mode == off {
        return Ok(reasoning);
    }
    if kind.text()? == "enabled" {
        reasoning.budget = Some(thinking.need("budget_tokens")?.count(1, MAX_TOKENS)?);
    }
    let shows = [("summarized", Show::Full), ("omitted", Show::Nothing), ("updates", Show::Concise)];
    let show = thinking.get("display").map(|it| it.word(&shows, "summarized, omitted, updates")).transpose()?;
    reasoning.show = Some(show.unwrap_or(Show::Full));
    Ok(reasoning)
}

fn output(root: &Node<'_>) -> Result<OutputFormat, BodyError> {
    let config = root.get("output_config");
    if let Some(config) = &config {
        config.object()?;
    }
    // `output_format` is what the beta called it.
    let old = root.get("output_format");
    let Some(format) = config.as_ref().and_then(|config| config.get("format")).or(old) else { return Ok(OutputFormat::Text) };
    format.object()?;
    format.need("type")?.word(&[("json_schema", ())], "json_schema")?;
    let schema = format.need("schema")?;
    schema.object()?;
    Ok(OutputFormat::JsonSchema { name: None, description: None, schema: schema.value().clone(), strict: Some(true) })
}

fn service_tier(word: &str) -> ServiceTier {
    match word {
        "auto" => ServiceTier::Auto,
        "standard_only" => ServiceTier::Default,
        _ => ServiceTier::Other,
    }
}

fn native(root: &Node<'_>, advice: BTreeSet<&'static str>) -> Vec<NativeField> {
    let says = |path: &str| root.get(path).is_some_and(|it| it.value().as_array().is_none_or(|items| !items.is_empty()));
    let fields = NATIVE.into_iter().filter(|(path, _)| says(path));
    let mut native: Vec<_> = fields.map(|(path, is_essential)| NativeField { path, is_essential }).collect();
    native.extend(advice.into_iter().map(|path| NativeField { path, is_essential: false }));
    native
}
