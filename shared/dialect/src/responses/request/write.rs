//! A request for an upstream.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::codec::Written;
use crate::ir::{Block, Effort, Family, Modality, OutputFormat, ReasoningMode, Request, Role, ServiceTier, Show, Verbosity};
use crate::loss::{Field, Losses, Unsupported};
use crate::reasoning;
use crate::schema;
use crate::target::{Sampling, Target, Thinking};

mod content;
mod items;
mod tools;

/// The least output that can be asked for, in tokens.
const MIN_OUTPUT_TOKENS: u32 = 16;
/// The longest `user`, in bytes.
const MAX_USER_BYTES: usize = 64;
/// The most `metadata`: pairs, bytes of a key, bytes of a value.
const MAX_METADATA: (usize, usize, usize) = (16, 64, 512);
/// The longest name of a schema, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Writes a body of `POST /v1/responses`.
///
/// # Errors
/// When the request says something that the answer would be wrong without, and that cannot be said here.
pub fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    let mut written = Written::default();
    foreign_fields(request, losses)?;
    stop(request, target, &mut written, losses)?;
    let mut body = Map::from_iter([("model".to_owned(), Value::from(target.model))]);
    let instructions = instructions(request, target);
    if !instructions.is_empty() {
        body.insert("instructions".to_owned(), Value::from(instructions));
    }
    let mut input = items::write(request, target, &mut written.names, losses)?;
    if request.output == OutputFormat::JsonObject && !says_json(request) {
        input.insert(0, json!({"type": "message", "role": "developer", "content": "Answer in JSON."}));
    }
    body.insert("input".to_owned(), Value::from(input));
    tools::write(request, &mut body, &mut written.names, losses)?;
    text(request, target, &mut body);
    reasoning(request, target, &mut body, losses)?;
    sampling(request, target, &mut body, losses)?;
    labels(request, target, &mut body, losses)?;
    body.insert("store".to_owned(), Value::from(false));
    if request.stream {
        body.insert("stream".to_owned(), Value::from(true));
    }
    if let Some(extra) = request.extra.get(&target.family) {
        body.extend(extra.clone());
    }
    written.body = body;
    Ok(written)
}

/// What has no field here at all.
fn foreign_fields(request: &Request, losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    let dropped = [
        (request.top_k.is_some(), Field::TopK),
        (request.seed.is_some(), Field::Seed),
        (request.frequency_penalty.is_some(), Field::FrequencyPenalty),
        (request.presence_penalty.is_some(), Field::PresencePenalty),
        (request.logit_bias.is_some(), Field::LogitBias),
        (request.store == Some(true), Field::Store),
        (has_cache_marks(request), Field::CacheMarks),
    ];
    for (_, field) in dropped.into_iter().filter(|(is_said, _)| *is_said) {
        losses.drop(field)?;
    }
    if request.choices.is_some_and(|choices| choices > 1) {
        losses.reject(Field::Choices)?;
    }
    if request.audio.is_some() || request.modalities.iter().any(|modality| *modality != Modality::Text) {
        losses.reject(Field::Modalities)?;
    }
    for native in &request.native {
        let field = Field::Native(native.path);
        if native.is_essential { losses.reject(field)? } else { losses.drop(field)? }
    }
    Ok(())
}

fn has_cache_marks(request: &Request) -> bool {
    let marked = |block: &Block| match block {
        Block::Text { cache, .. }
        | Block::Media { cache, .. }
        | Block::ToolCall { cache, .. }
        | Block::ToolResult { cache, .. } => cache.is_some(),
        _ => false,
    };
    let tool = |tool: &crate::ir::Tool| matches!(tool, crate::ir::Tool::Function { cache: Some(_), .. });
    request.system.iter().chain(request.turns.iter().flat_map(|turn| &turn.blocks)).any(marked) || request.tools.iter().any(tool)
}

fn stop(request: &Request, target: &Target<'_>, written: &mut Written, losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    if request.stop.is_empty() {
        return Ok(());
    }
    if target.options.emulates_stop {
        written.stops_here.clone_from(&request.stop);
        return Ok(());
    }
    losses.reject(Field::Stop)
}

fn instructions(request: &Request, target: &Target<'_>) -> String {
    let texts = request.system.iter().filter_map(|block| match block {
        Block::Text { text, .. } if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    let mut instructions = texts.collect::<Vec<_>>().join("\n\n");
    if let OutputFormat::JsonSchema { schema, .. } = &request.output
        && !target.capabilities.structured
    {
        let gap = if instructions.is_empty() { "" } else { "\n\n" };
        instructions.push_str(gap);
        instructions.push_str("Answer with nothing but JSON of this JSON Schema:\n");
        instructions.push_str(&schema.to_string());
    }
    instructions
}

/// OpenAI refuses `json_object` where no message speaks of JSON.
fn says_json(request: &Request) -> bool {
    let said = |block: &Block| matches!(block, Block::Text { text, .. } if text.to_ascii_lowercase().contains("json"));
    request.turns.iter().filter(|turn| turn.role != Role::Assistant).flat_map(|turn| &turn.blocks).any(said)
}

fn text(request: &Request, target: &Target<'_>, body: &mut Map<String, Value>) {
    let mut text = Map::new();
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => drop(text.insert("format".to_owned(), json!({"type": "json_object"}))),
        OutputFormat::JsonSchema { .. } if !target.capabilities.structured => {}
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            let is_strict = *strict != Some(false) && schema::strict_ready(schema);
            let mut format = json!({"type": "json_schema", "name": schema_name(name.as_deref()), "schema": schema});
            if let Some(format) = format.as_object_mut() {
                format.insert("strict".to_owned(), Value::from(is_strict));
                if let Some(description) = description {
                    format.insert("description".to_owned(), Value::from(description.as_str()));
                }
            }
            text.insert("format".to_owned(), format);
        }
    }
    if let Some(verbosity) = request.verbosity {
        let word = match verbosity {
            Verbosity::Low => "low",
            Verbosity::Medium => "medium",
            Verbosity::High => "high",
        };
        text.insert("verbosity".to_owned(), Value::from(word));
    }
    if !text.is_empty() {
        body.insert("text".to_owned(), Value::Object(text));
    }
}

fn schema_name(name: Option<&str>) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = name.unwrap_or_default().chars().take(MAX_NAME_BYTES).map(good).collect();
    if name.is_empty() { "response".to_owned() } else { name }
}

fn reasoning(
    request: &Request,
    target: &Target<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    let asked = &request.reasoning;
    let mut include = Vec::new();
    if target.capabilities.thinking == Thinking::None {
        if asked.mode == ReasoningMode::On || asked.encrypted {
            losses.drop(Field::Reasoning)?;
        }
    } else {
        let effort = effort(request, target);
        let is_wanted = asked.mode == ReasoningMode::On || matches!(asked.show, Some(Show::Concise | Show::Full));
        let summary = match asked.show {
            _ if !is_wanted || effort == Some("none") => None,
            Some(Show::Nothing) => None,
            Some(Show::Concise) => Some("concise"),
            Some(Show::Full) | None => Some("auto"),
        };
        let wishes = [("effort", effort), ("summary", summary)];
        let said: Map<String, Value> =
            wishes.into_iter().filter_map(|(name, wish)| Some((name.to_owned(), Value::from(wish?)))).collect();
        if !said.is_empty() {
            body.insert("reasoning".to_owned(), Value::Object(said));
        }
        if effort != Some("none") {
            include.push("reasoning.encrypted_content");
        }
    }
    if request.logprobs.is_some() {
        include.push("message.output_text.logprobs");
    }
    if !include.is_empty() {
        body.insert("include".to_owned(), Value::from(include));
    }
    Ok(())
}

/// The level that is asked for; `none` to switch thinking off. `None` leaves it to the model.
fn effort(request: &Request, target: &Target<'_>) -> Option<&'static str> {
    let capabilities = target.capabilities;
    let can_stop = capabilities.can_stop_thinking && capabilities.thinking != Thinking::Always;
    let wish = match (request.reasoning.mode, request.reasoning.effort, request.reasoning.budget) {
        (ReasoningMode::Unset | ReasoningMode::On, None, None) => return None,
        (ReasoningMode::Off, ..) => None,
        (_, Some(effort), _) => Some(effort),
        (_, None, Some(budget)) => reasoning::effort_of_budget(budget),
    };
    match wish {
        Some(effort) => Some(reasoning::nearest(effort, &capabilities.efforts).as_str()),
        None if can_stop => Some("none"),
        None => Some(capabilities.efforts.iter().min().copied().unwrap_or(Effort::Minimal).as_str()),
    }
}

fn sampling(
    request: &Request,
    target: &Target<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    let known = target.capabilities.max_output.unwrap_or(u32::MAX);
    let asked = request.max_output.map(|asked| asked.min(known));
    let limit = match (asked, target.output_limit) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    };
    if let Some(limit) = limit {
        body.insert("max_output_tokens".to_owned(), Value::from(limit.max(MIN_OUTPUT_TOKENS)));
    }
    let sampling = target.capabilities.sampling;
    if let Some(temperature) = request.temperature {
        if sampling == Sampling::None {
            losses.drop(Field::Temperature)?;
        } else {
            body.insert("temperature".to_owned(), Value::from(temperature));
        }
    }
    if let Some(top_p) = request.top_p {
        let is_second = sampling == Sampling::TemperatureOrTopP && request.temperature.is_some();
        if sampling == Sampling::None || is_second {
            losses.drop(Field::TopP)?;
        } else {
            body.insert("top_p".to_owned(), Value::from(top_p));
        }
    }
    if let Some(alternatives) = request.logprobs {
        body.insert("top_logprobs".to_owned(), Value::from(alternatives.min(20)));
    }
    Ok(())
}

fn labels(
    request: &Request,
    target: &Target<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    match request.user.as_deref() {
        Some(user) if user.len() <= MAX_USER_BYTES => drop(body.insert("user".to_owned(), Value::from(user))),
        Some(_) => losses.drop(Field::User)?,
        None => {}
    }
    match &request.metadata {
        Some(metadata) if fits(metadata) => drop(body.insert("metadata".to_owned(), Value::Object(metadata.clone()))),
        Some(_) => losses.drop(Field::Metadata)?,
        None => {}
    }
    let tier = match request.service_tier {
        Some(ServiceTier::Auto) => Some("auto"),
        Some(ServiceTier::Default) => Some("default"),
        Some(ServiceTier::Flex) => Some("flex"),
        Some(ServiceTier::Priority) => Some("priority"),
        Some(ServiceTier::Other) => {
            losses.drop(Field::ServiceTier)?;
            None
        }
        None => None,
    };
    if let Some(tier) = tier {
        body.insert("service_tier".to_owned(), Value::from(tier));
    }
    if let Some(key) = request.cache_key.clone().or_else(|| derived_key(target, body)) {
        body.insert("prompt_cache_key".to_owned(), Value::from(key));
    }
    Ok(())
}

fn fits(metadata: &Map<String, Value>) -> bool {
    let (pairs, key_bytes, value_bytes) = MAX_METADATA;
    let fits = |(key, value): (&String, &Value)| {
        key.len() <= key_bytes && value.as_str().is_some_and(|value| value.len() <= value_bytes)
    };
    metadata.len() <= pairs && metadata.iter().all(fits)
}

/// The same for every request that begins alike.
fn derived_key(target: &Target<'_>, body: &Map<String, Value>) -> Option<String> {
    if !target.options.derives_cache_key || target.family != Family::OpenAi {
        return None;
    }
    let prefix = [body.get("instructions"), body.get("tools")];
    let mut digest = Sha256::new();
    for part in prefix.iter().flatten() {
        digest.update(part.to_string().as_bytes());
    }
    let digits = digest.finalize().iter().take(16).fold(String::from("slc-"), |key, byte| format!("{key}{byte:02x}"));
    prefix.iter().any(Option::is_some).then_some(digits)
}
