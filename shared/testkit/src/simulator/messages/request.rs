//! The top level of a request, and what it adds up to.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::blocks::said;
use super::conversation::{Message, check_thinking_goes_on, conversation, has_tool_blocks, turns};
use super::fields::{CacheMarks, array, boolean, given, integer, missing, object, only, tag, text, word, wrong};
use super::{format, tools};
use crate::simulator::asked::{Asked, MustCall, Thinking, Turn};
use crate::simulator::refusal::Refusal;

/// Every top-level field the real service knows, betas included.
const KNOWN: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];
/// The fields of `count_tokens`.
const KNOWN_OF_COUNT: &[&str] = &[
    "model",
    "messages",
    "cache_control",
    "context_management",
    "mcp_servers",
    "output_config",
    "output_format",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
];

/// The versions of the protocol there are. What the simulator says is the same in all of them.
const VERSIONS: [&str; 3] = ["2023-01-01", "2023-06-01", "2026-10-21"];

/// The header `anthropic-version` names a version there is.
pub(in crate::simulator) fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("anthropic-version").and_then(|value| value.to_str().ok()) {
        None => Err(wrong("anthropic-version", "header is required")),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(other) => Err(wrong("anthropic-version", &format!("\"{other}\" is not a valid version"))),
    }
}

pub(in crate::simulator) fn model_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    let model = text(body, "model", "")?;
    if model.is_empty() {
        return Err(wrong("model", "String should have at least 1 character"));
    }
    Ok(model.to_owned())
}

pub(in crate::simulator) fn check(model: &str, body: &Map<String, Value>) -> Result<Asked, Refusal> {
    only(body, KNOWN, "")?;
    let stream = boolean(body, "stream", "")?.unwrap_or(false);
    let max_tokens = integer(body, "max_tokens", "", 0)?.ok_or_else(|| missing("max_tokens"))?;
    if let Some(most) = most_tokens(model).filter(|most| max_tokens > *most) {
        let text = format!("{max_tokens} > {most}, which is the maximum allowed number of output tokens for {model}");
        return Err(wrong("max_tokens", &text));
    }
    let plan = Plan::of(body)?;
    plan.check_budget(max_tokens)?;
    plan.check_sampling(model, body)?;
    check_rest(body)?;
    let mut asked = hear(body, &plan)?;
    asked.stream = stream;
    asked.include_usage = true;
    asked.max_tokens = Some(u32::try_from(max_tokens).unwrap_or(u32::MAX));
    asked.stops = stops(body)?;
    Ok(asked)
}

pub(in crate::simulator) fn check_count(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    only(body, KNOWN_OF_COUNT, "")?;
    hear(body, &Plan::of(body)?)
}

/// What both verbs read.
fn hear(body: &Map<String, Value>, plan: &Plan) -> Result<Asked, Refusal> {
    let mut marks = CacheMarks::default();
    marks.see(body, "")?;
    let (tools, has_hosted) = tools::read(body, &mut marks)?;
    let (must_call, parallel_calls) = tools::choice(body, &tools, has_hosted)?;
    if plan.thinks() && matches!(must_call, MustCall::Any | MustCall::Tool(_)) {
        return Err(Refusal::bad("Thinking may not be enabled when tool_choice forces tool use."));
    }
    let system = system(body, &mut marks)?;
    let list = given(body, "messages").ok_or_else(|| missing("messages"))?;
    let messages: Vec<Message> = conversation(array(list, "messages")?, &mut marks)?;
    marks.within_bounds()?;
    if tools.is_empty() && !has_hosted && has_tool_blocks(&messages) {
        return Err(Refusal::bad("Requests which have `tool_use` or `tool_result` blocks must define tools"));
    }
    if plan.budget.is_some() {
        check_thinking_goes_on(&messages)?;
    }
    let thinking = plan.thinking;
    let form = format::form(body)?;
    let mut asked = Asked { choices: 1, tools, must_call, parallel_calls, thinking, form, ..Asked::default() };
    asked.hear(system.into_iter().chain(turns(messages)).collect());
    Ok(asked)
}

/// The system prompt as a turn.
fn system(body: &Map<String, Value>, marks: &mut CacheMarks) -> Result<Option<Turn>, Refusal> {
    let text = match given(body, "system") {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(list) => {
            let mut texts = Vec::new();
            for (place, block) in array(list, "system")?.iter().enumerate() {
                let at = format!("system.{place}");
                let fields = object(block, &at)?;
                tag(fields, &at, &["text"])?;
                only(fields, &["type", "text", "cache_control", "citations"], &at)?;
                marks.see(fields, &at)?;
                texts.push(said(self::text(fields, "text", &at)?, "system")?);
            }
            texts.join(" ")
        }
    };
    Ok(Some(Turn { role: "system", text, ..Turn::default() }))
}

/// How the model is to think.
struct Plan {
    thinking: Thinking,
    budget: Option<u64>,
}

impl Plan {
    fn of(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let Some(thinking) = given(body, "thinking") else { return Ok(Self { thinking: Thinking::No, budget: None }) };
        let fields = object(thinking, "thinking")?;
        let kind = tag(fields, "thinking", &["adaptive", "between_tools", "disabled", "enabled"])?;
        let at = format!("thinking.{kind}");
        let known: &[&str] = match kind {
            "enabled" => &["type", "budget_tokens", "display"],
            "adaptive" => &["type", "display"],
            _ => &["type"],
        };
        only(fields, known, &at)?;
        let display = given(fields, "display").map(|display| word(display, &format!("{at}.display"), &["summarized", "omitted"]));
        let thinking = match (kind, display.transpose()?) {
            ("disabled", _) => Thinking::No,
            (_, Some("omitted")) => Thinking::Hidden,
            _ => Thinking::Shown,
        };
        let budget = match kind {
            "enabled" => {
                let budget = integer(fields, "budget_tokens", &at, 1024)?;
                Some(budget.ok_or_else(|| missing(&format!("{at}.budget_tokens")))?)
            }
            _ => None,
        };
        Ok(Self { thinking, budget })
    }

    fn thinks(&self) -> bool {
        self.thinking != Thinking::No
    }

    fn check_budget(&self, max_tokens: u64) -> Result<(), Refusal> {
        if self.budget.is_some_and(|budget| budget >= max_tokens) {
            return Err(Refusal::bad("`max_tokens` must be greater than `thinking.budget_tokens`."));
        }
        Ok(())
    }

    fn check_sampling(&self, model: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
        let temperature = share(body, "temperature")?;
        let top_p = share(body, "top_p")?;
        let top_k = integer(body, "top_k", "", 0)?;
        if self.thinks() {
            if temperature.is_some_and(|temperature| temperature < 1.0) {
                return Err(Refusal::bad("`temperature` may only be set to 1 when thinking is enabled."));
            }
            if top_p.is_some_and(|top_p| top_p < 0.95) {
                return Err(Refusal::bad("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."));
            }
            if top_k.is_some() {
                return Err(Refusal::bad("`top_k` must be unset when thinking is enabled."));
            }
        }
        let takes_one = ["-4-1", "-4-5", "-4-6", "-4-7", "-4-8"].iter().any(|version| model.contains(version));
        if takes_one && temperature.is_some() && top_p.is_some() {
            let text = "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
            return Err(Refusal::bad(text));
        }
        Ok(())
    }
}

/// A figure from 0 to 1.
fn share(body: &Map<String, Value>, name: &str) -> Result<Option<f64>, Refusal> {
    let Some(value) = given(body, name) else { return Ok(None) };
    let figure = value.as_f64().ok_or_else(|| wrong(name, "Input should be a valid number"))?;
    if (0.0..=1.0).contains(&figure) { Ok(Some(figure)) } else { Err(wrong(name, "range: 0..1")) }
}

fn stops(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let Some(list) = given(body, "stop_sequences") else { return Ok(Vec::new()) };
    let read = |(place, stop): (usize, &Value)| match stop.as_str() {
        None => Err(wrong(&format!("stop_sequences.{place}"), "Input should be a valid string")),
        Some(stop) if stop.trim().is_empty() => Err(wrong("stop_sequences", "each stop sequence must contain non-whitespace")),
        Some(stop) => Ok(stop.to_owned()),
    };
    array(list, "stop_sequences")?.iter().enumerate().map(read).collect()
}

/// Fields on which no answer depends.
fn check_rest(body: &Map<String, Value>) -> Result<(), Refusal> {
    if let Some(metadata) = given(body, "metadata") {
        only(object(metadata, "metadata")?, &["user_id"], "metadata")?;
    }
    if let Some(tier) = given(body, "service_tier") {
        word(tier, "service_tier", &["auto", "standard_only"])?;
    }
    Ok(())
}

/// The longest answer of a model, where it is known.
fn most_tokens(model: &str) -> Option<u64> {
    const MOST: [(&str, u64); 6] = [
        ("claude-3-5-haiku", 8_192),
        ("claude-3-7-sonnet", 128_000),
        ("claude-opus-4-1", 32_000),
        ("claude-opus-4-2", 32_000),
        ("claude-sonnet-4", 64_000),
        ("claude-haiku-4", 64_000),
    ];
    MOST.iter().find(|(name, _)| model.starts_with(name)).map(|(_, most)| *most)
}
