//! A request for an upstream.

use serde_json::{Map, Value, json};

use self::thinking::Plan;
use crate::codec::{ANSWER_TOOL, Written};
use crate::ir::{Modality, OutputFormat, Request, ServiceTier};
use crate::loss::{Field, Losses, Unsupported};
use crate::schema;
use crate::target::{Host, Sampling, Target, Thinking};
use crate::tool_name::ToolNames;

mod cache;
mod content;
mod media;
mod thinking;
mod tools;

#[cfg(test)]
mod tests;

/// Fields of `extra` that are not the caller's to set: they decide price, limits and the way the answer is read.
const OURS: [&str; 4] = ["model", "stream", "max_tokens", "anthropic_version"];
/// The longest name of a user, in characters.
const LONGEST_USER: usize = 256;
/// The least of nucleus sampling that goes with thinking.
const LEAST_TOP_P_THINKING: f64 = 0.95;

/// Writes the body for a target, with neighbouring turns merged and results in order beforehand.
///
/// # Errors
/// When the request says something without which the answer would be wrong, and this target cannot say it.
pub fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    let mut writer = Writer { request, target, losses, names: ToolNames::default(), betas: Vec::new() };
    writer.refuse()?;
    let mut parts = writer.conversation()?;
    let mut choice = writer.tools(&mut parts)?;
    let plan = writer.plan(&mut parts, &mut choice)?;
    let answers_by_tool = writer.output(&mut parts, &mut choice, plan);
    let (max_tokens, plan) = writer.limits(plan)?;
    writer.cache(&mut parts)?;

    let mut body = writer.envelope();
    body.insert("max_tokens".to_owned(), max_tokens.into());
    if !parts.system.is_empty() {
        body.insert("system".to_owned(), parts.system.into());
    }
    body.insert("messages".to_owned(), parts.messages.into());
    if !parts.tools.is_empty() {
        body.insert("tools".to_owned(), parts.tools.into());
    }
    body.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
    writer.thinking(plan, parts.format, &mut body);
    writer.sampling(plan, &mut body)?;
    writer.about_caller(&mut body)?;
    // Google wants to read it in the body, too: https://docs.anthropic.com/en/api/claude-on-vertex-ai
    if request.stream && target.host != Host::Bedrock {
        body.insert("stream".to_owned(), true.into());
    }
    let betas = writer.betas(&mut body);
    let extra = request.extra.get(&target.family).into_iter().flatten();
    body.extend(extra.filter(|(name, _)| !OURS.contains(&name.as_str())).map(|(name, value)| (name.clone(), value.clone())));
    Ok(Written { body, betas, names: writer.names, answers_by_tool, ..Written::default() })
}

/// What is needed all over a request.
struct Writer<'w, 'p> {
    request: &'w Request,
    target: &'w Target<'w>,
    losses: &'w mut Losses<'p>,
    names: ToolNames,
    betas: Vec<&'static str>,
}

/// The large parts of a body.
#[derive(Default)]
struct Parts {
    system: Vec<Value>,
    messages: Vec<Value>,
    tools: Vec<Value>,
    /// `output_config.format`.
    format: Option<Value>,
}

impl Writer<'_, '_> {
    /// What this dialect has no word for.
    fn refuse(&mut self) -> Result<(), Unsupported> {
        let request = self.request;
        let advice = [
            (request.seed.is_some(), Field::Seed),
            (request.frequency_penalty.is_some(), Field::FrequencyPenalty),
            (request.presence_penalty.is_some(), Field::PresencePenalty),
            (request.logit_bias.is_some(), Field::LogitBias),
            (request.verbosity.is_some(), Field::Verbosity),
            (request.metadata.is_some(), Field::Metadata),
            (request.store.is_some(), Field::Store),
            (request.cache_key.is_some(), Field::CacheKey),
        ];
        for (_, field) in advice.into_iter().filter(|(is_said, _)| *is_said) {
            self.losses.drop(field)?;
        }
        let has_more = request.modalities.iter().any(|modality| *modality != Modality::Text) || request.audio.is_some();
        let needs = [
            (request.choices.is_some_and(|choices| choices > 1), Field::Choices),
            (request.logprobs.is_some(), Field::Logprobs),
            (has_more, Field::Modalities),
        ];
        for (_, field) in needs.into_iter().filter(|(is_said, _)| *is_said) {
            self.losses.reject(field)?;
        }
        for native in &request.native {
            let field = Field::Native(native.path);
            if native.is_essential { self.losses.reject(field)? } else { self.losses.drop(field)? }
        }
        Ok(())
    }

    fn envelope(&self) -> Map<String, Value> {
        let (name, value) = match self.target.host {
            Host::Own => ("model", self.target.model),
            Host::Vertex => ("anthropic_version", "vertex-2023-10-16"),
            Host::Bedrock => ("anthropic_version", "bedrock-2023-05-31"),
        };
        Map::from_iter([(name.to_owned(), value.into())])
    }

    /// The form of the answer. Whether it comes as a call of [`ANSWER_TOOL`].
    fn output(&self, parts: &mut Parts, choice: &mut Option<Value>, plan: Plan) -> bool {
        let capabilities = self.target.capabilities;
        let OutputFormat::JsonSchema { schema, description, .. } = &self.request.output else {
            if self.request.output == OutputFormat::JsonObject {
                parts.system.push(content::text("Answer with one JSON object and nothing else: no prose, no code fence."));
            }
            return false;
        };
        let has_tools = !parts.tools.is_empty();
        if capabilities.structured && (capabilities.tools_with_schema || !has_tools) {
            parts.format = Some(json!({"type": "json_schema", "schema": schema::for_anthropic(schema)}));
            return false;
        }
        let is_object = schema.get("type").is_some_and(|kind| kind == "object");
        let thinks = plan.is_on() || capabilities.thinking == Thinking::Always;
        if has_tools || thinks || !is_object {
            let instruction = "Answer with JSON of this schema and nothing else: no prose, no code fence.";
            parts.system.push(content::text(&format!("{instruction}\n{schema}")));
            return false;
        }
        let description = description.as_deref().unwrap_or("Gives the answer.");
        parts.tools.push(json!({"name": ANSWER_TOOL, "description": description, "input_schema": schema}));
        *choice = Some(json!({"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": true}));
        true
    }

    fn sampling(&mut self, plan: Plan, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
        let request = self.request;
        let stops: Vec<Value> =
            request.stop.iter().filter(|stop| !stop.trim().is_empty()).map(|stop| stop.as_str().into()).collect();
        if !stops.is_empty() {
            body.insert("stop_sequences".to_owned(), stops.into());
        }
        let sampling = self.target.capabilities.sampling;
        let (is_none, is_on) = (sampling == Sampling::None, plan.is_on());
        let mut has_temperature = false;
        if let Some(temperature) = request.temperature.map(|temperature| temperature.min(1.0)) {
            // With thinking only 1 is taken, which is the default.
            if is_none || (is_on && temperature < 1.0) {
                self.losses.drop(Field::Temperature)?;
            } else if !is_on {
                has_temperature = true;
                body.insert("temperature".to_owned(), temperature.into());
            }
        }
        if let Some(top_p) = request.top_p {
            let is_second = sampling == Sampling::TemperatureOrTopP && has_temperature;
            if is_none || is_second || (is_on && top_p < LEAST_TOP_P_THINKING) {
                self.losses.drop(Field::TopP)?;
            } else {
                body.insert("top_p".to_owned(), top_p.into());
            }
        }
        if let Some(top_k) = request.top_k {
            if is_none || is_on {
                self.losses.drop(Field::TopK)?;
            } else {
                body.insert("top_k".to_owned(), top_k.into());
            }
        }
        Ok(())
    }

    /// Whose request it is and how urgent. Bedrock knows neither, Vertex no tiers.
    fn about_caller(&mut self, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
        match &self.request.user {
            Some(user) if self.target.host == Host::Bedrock || user.chars().count() > LONGEST_USER => {
                self.losses.drop(Field::User)?;
            }
            Some(user) => {
                body.insert("metadata".to_owned(), json!({"user_id": user}));
            }
            None => {}
        }
        let tier = match self.request.service_tier {
            None => return Ok(()),
            Some(_) if self.target.host != Host::Own => None,
            Some(ServiceTier::Auto | ServiceTier::Priority) => Some("auto"),
            Some(ServiceTier::Default) => Some("standard_only"),
            Some(ServiceTier::Flex | ServiceTier::Other) => None,
        };
        match tier {
            Some(tier) => body.extend([("service_tier".to_owned(), tier.into())]),
            None => self.losses.drop(Field::ServiceTier)?,
        }
        Ok(())
    }

    /// Features still in beta: a header of the provider's own service, a field of the body elsewhere.
    fn betas(&mut self, body: &mut Map<String, Value>) -> Vec<&'static str> {
        let mut betas = std::mem::take(&mut self.betas);
        betas.sort_unstable();
        betas.dedup();
        if self.target.host != Host::Own && !betas.is_empty() {
            body.insert("anthropic_beta".to_owned(), std::mem::take(&mut betas).into());
        }
        betas
    }
}
