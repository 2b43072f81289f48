//! Limits, sampling, reasoning, and what is said about a request.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::ir::{Effort, Family, Modality, ReasoningMode, Request, ServiceTier, Verbosity};
use crate::loss::{Field, Losses, Unsupported};
use crate::reasoning;
use crate::target::{Sampling, Target, Thinking};

/// Texts that end an answer, at most.
const MAX_STOPS: usize = 4;
/// Labels, at most, and the longest name and value of one.
const MAX_LABELS: (usize, usize, usize) = (16, 64, 512);

type Body = Map<String, Value>;

fn put(body: &mut Body, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

pub(super) fn limit(request: &Request, target: &Target<'_>, body: &mut Body) {
    let asked = [request.max_output, target.output_limit].into_iter().flatten().min();
    let limit = asked.map(|limit| target.capabilities.max_output.map_or(limit, |most| limit.min(most)));
    put(body, if target.options.limits_completion { "max_completion_tokens" } else { "max_tokens" }, limit);
}

pub(super) fn sampling(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses<'_>,
    body: &mut Body,
) -> Result<(), Unsupported> {
    let taken = target.capabilities.sampling;
    match request.temperature {
        Some(_) if taken == Sampling::None => losses.drop(Field::Temperature)?,
        temperature => put(body, "temperature", temperature),
    }
    match request.top_p {
        Some(_) if taken == Sampling::None => losses.drop(Field::TopP)?,
        Some(_) if taken == Sampling::TemperatureOrTopP && request.temperature.is_some() => losses.drop(Field::TopP)?,
        top_p => put(body, "top_p", top_p),
    }
    if request.top_k.is_some() {
        losses.drop(Field::TopK)?;
    }
    let penalties = [
        ("frequency_penalty", request.frequency_penalty, Field::FrequencyPenalty),
        ("presence_penalty", request.presence_penalty, Field::PresencePenalty),
    ];
    for (name, penalty, field) in penalties {
        match penalty {
            Some(_) if !target.capabilities.penalties => losses.drop(field)?,
            penalty => put(body, name, penalty),
        }
    }
    stop(request, target, losses, body)?;
    put(body, "n", request.choices.filter(|choices| *choices > 1));
    put(body, "seed", request.seed);
    if let Some(alternatives) = request.logprobs {
        put(body, "logprobs", Some(true));
        put(body, "top_logprobs", Some(alternatives.min(20)).filter(|alternatives| *alternatives > 0));
    }
    put(body, "logit_bias", request.logit_bias.clone());
    Ok(())
}

fn stop(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>, body: &mut Body) -> Result<(), Unsupported> {
    let texts: Vec<&str> = request.stop.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    if texts.len() > MAX_STOPS {
        if target.options.cuts_stop {
            losses.drop(Field::Stop)?;
        } else {
            losses.reject_because(Field::Stop, "may hold at most 4 texts at the provider of this model")?;
        }
    }
    let texts: Vec<&str> = texts.into_iter().take(MAX_STOPS).collect();
    put(body, "stop", Some(texts).filter(|texts| !texts.is_empty()));
    Ok(())
}

/// `reasoning_effort` (conversions.md §7.1). What of the reasoning is shown is not asked here: the answer's writer leaves it out.
pub(crate) fn reasoning(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses<'_>,
    body: &mut Body,
) -> Result<(), Unsupported> {
    let capabilities = target.capabilities;
    let wish = &request.reasoning;
    let level = wish.effort.or_else(|| wish.budget.and_then(reasoning::effort_of_budget));
    let nearest = |level| reasoning::nearest(level, &capabilities.efforts);
    let cannot_stop = capabilities.thinking == Thinking::Always || !capabilities.can_stop_thinking;
    if capabilities.thinking == Thinking::None {
        let is_asked = wish.mode == ReasoningMode::On || (wish.mode == ReasoningMode::Unset && level.is_some());
        return if is_asked { losses.drop(Field::Reasoning) } else { Ok(()) };
    }
    let word = match (wish.mode, level) {
        (ReasoningMode::Off, _) if cannot_stop => Some(nearest(Effort::Minimal).as_str()),
        (ReasoningMode::Off, _) => Some("none"),
        (ReasoningMode::Unset | ReasoningMode::On, Some(level)) => Some(nearest(level).as_str()),
        (ReasoningMode::Unset | ReasoningMode::On, None) => None,
    };
    put(body, "reasoning_effort", word);
    Ok(())
}

/// Speech and images as answer.
pub(super) fn media(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>, body: &mut Body) -> Result<(), Unsupported> {
    if request.modalities.iter().all(|modality| *modality == Modality::Text) {
        return Ok(());
    }
    let is_openai = target.family == Family::OpenAi;
    if is_openai && request.modalities.contains(&Modality::Image) {
        return losses.reject(Field::Modalities);
    }
    let words = request.modalities.iter().map(|modality| match modality {
        Modality::Text => "text",
        Modality::Audio => "audio",
        Modality::Image => "image",
    });
    let mut words: Vec<&str> = words.collect();
    if is_openai && !words.contains(&"text") {
        // OpenAI takes speech only together with its transcript
        words.insert(0, "text");
    }
    let speaks = words.contains(&"audio");
    put(body, "modalities", Some(words));
    if speaks {
        let voice = request.audio.as_ref().map_or("alloy", |audio| &audio.voice);
        let asked = request.audio.as_ref().and_then(|audio| audio.format.as_deref());
        let usual = if request.stream { "pcm16" } else { "wav" };
        put(body, "audio", Some(json!({"voice": voice, "format": asked.unwrap_or(usual)})));
    }
    Ok(())
}

/// What advises the provider. Only OpenAI and Azure know most of it; others answer 400 to fields they do not know.
pub(super) fn about(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>, body: &mut Body) -> Result<(), Unsupported> {
    let verbosity = request.verbosity.map(|verbosity| match verbosity {
        Verbosity::Low => "low",
        Verbosity::Medium => "medium",
        Verbosity::High => "high",
    });
    let tier = request.service_tier.map(|tier| match tier {
        ServiceTier::Auto => Some("auto"),
        ServiceTier::Default => Some("default"),
        ServiceTier::Flex => Some("flex"),
        ServiceTier::Priority => Some("priority"),
        ServiceTier::Other => None,
    });
    let cache_key = request.cache_key.clone().or_else(|| derived_key(request, target, body));
    put(body, "user", request.user.clone());
    let fields = [
        ("verbosity", Field::Verbosity, verbosity.map(Value::from)),
        ("metadata", Field::Metadata, request.metadata.as_ref().map(labels)),
        ("store", Field::Store, request.store.map(Value::from)),
        ("service_tier", Field::ServiceTier, tier.map(Value::from)),
        ("prompt_cache_key", Field::CacheKey, cache_key.map(Value::from)),
    ];
    for (name, field, value) in fields {
        match value {
            Some(value) if target.family == Family::OpenAi && !value.is_null() => put(body, name, Some(value)),
            Some(_) => losses.drop(field)?,
            None => {}
        }
    }
    Ok(())
}

/// The labels, if OpenAI takes them; null otherwise.
fn labels(labels: &Map<String, Value>) -> Value {
    let (count, name, text) = MAX_LABELS;
    let fits = |(label, value): (&String, &Value)| {
        label.chars().count() <= name && value.as_str().is_some_and(|value| value.chars().count() <= text)
    };
    if labels.len() <= count && labels.iter().all(fits) { Value::Object(labels.clone()) } else { Value::Null }
}

/// Requests with the same instructions and tools share a prompt cache (conversions.md §15).
fn derived_key(request: &Request, target: &Target<'_>, body: &Body) -> Option<String> {
    let tools = body.get("tools");
    let is_wanted = target.options.derives_cache_key && target.family == Family::OpenAi;
    if !is_wanted || (request.system.is_empty() && tools.is_none()) {
        return None;
    }
    let system = body.get("messages").and_then(|messages| messages.get(0)).filter(|_| !request.system.is_empty());
    let digest = Sha256::new()
        .chain_update(system.map(Value::to_string).unwrap_or_default())
        .chain_update(tools.map(Value::to_string).unwrap_or_default())
        .finalize();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(32);
    Some(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect())
}
