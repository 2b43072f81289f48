//! What a request wishes and a vendor cannot be told: left out where it is only advice, and refused where the answer would be wrong without it.

use crate::ir::{Modality, OutputFormat, ReasoningMode, Request, Tool, ToolChoice};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

/// Stands for the limit of output among what a vendor takes.
pub(super) const LIMIT: Field = Field::Native("max_tokens");
/// Stands for tools among what a vendor takes.
pub(super) const TOOLS: Field = Field::ServerTool;

/// Tells `losses` everything that is wished and is not in `taken`. The form of the answer is no loss: [`told_format`] says it in words.
pub(super) fn lose(request: &Request, taken: &[Field], losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    for (_, field) in advice(request).into_iter().filter(|(is_said, field)| *is_said && !taken.contains(field)) {
        losses.drop(field)?;
    }
    for (_, field) in needs(request).into_iter().filter(|(is_said, field)| *is_said && !taken.contains(field)) {
        losses.reject(field)?;
    }
    for native in &request.native {
        let field = Field::Native(native.path);
        if native.is_essential { losses.reject(field)? } else { losses.drop(field)? }
    }
    Ok(())
}

/// What is only advice, and whether it is given.
fn advice(request: &Request) -> [(bool, Field); 18] {
    let reasoning = request.reasoning;
    let thinks = reasoning.mode != ReasoningMode::Unset || reasoning.effort.is_some() || reasoning.budget.is_some();
    [
        (request.seed.is_some(), Field::Seed),
        (request.frequency_penalty.is_some(), Field::FrequencyPenalty),
        (request.presence_penalty.is_some(), Field::PresencePenalty),
        (request.logit_bias.is_some(), Field::LogitBias),
        (request.temperature.is_some(), Field::Temperature),
        (request.top_p.is_some(), Field::TopP),
        (request.top_k.is_some(), Field::TopK),
        (request.parallel_tools.is_some() && !request.tools.is_empty(), Field::ParallelTools),
        (request.verbosity.is_some(), Field::Verbosity),
        (request.user.is_some(), Field::User),
        (request.metadata.is_some(), Field::Metadata),
        (request.store == Some(true), Field::Store),
        (request.service_tier.is_some(), Field::ServiceTier),
        (request.cache_key.is_some(), Field::CacheKey),
        (thinks, Field::Reasoning),
        (request.max_output.is_some(), LIMIT),
        (request.tool_choice == ToolChoice::Auto && !request.tools.is_empty(), Field::ToolChoice),
        (request.logprobs == Some(0), Field::Logprobs),
    ]
}

/// What the answer would be wrong without, and whether it is asked for.
fn needs(request: &Request) -> [(bool, Field); 7] {
    let speaks = request.audio.is_some() || request.modalities.iter().any(|modality| *modality != Modality::Text);
    let has = |wanted: fn(&Tool) -> bool| request.tools.iter().any(wanted);
    let chooses = !matches!(request.tool_choice, ToolChoice::Unset | ToolChoice::Auto);
    [
        (request.choices.is_some_and(|choices| choices > 1), Field::Choices),
        (request.logprobs.is_some_and(|alternatives| alternatives > 0), Field::Logprobs),
        (speaks, Field::Modalities),
        (stops(request).next().is_some(), Field::Stop),
        (has(|tool| !matches!(tool, Tool::WebSearch { .. })), TOOLS),
        (has(|tool| matches!(tool, Tool::WebSearch { .. })), Field::WebSearch),
        (chooses && !request.tools.is_empty(), Field::ToolChoice),
    ]
}

/// Texts that end the answer.
pub(super) fn stops(request: &Request) -> impl Iterator<Item = &str> {
    request.stop.iter().map(String::as_str).filter(|text| !text.is_empty())
}

/// The longest answer that is asked for, in tokens.
pub(super) fn limit(request: &Request, target: &Target<'_>) -> Option<u32> {
    let asked = [request.max_output, target.output_limit].into_iter().flatten().min();
    asked.map(|limit| target.capabilities.max_output.map_or(limit, |most| limit.min(most)))
}

/// The form of the answer in words, for vendors that have no field for it.
pub(super) fn told_format(request: &Request) -> Option<String> {
    match &request.output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some("Answer with one JSON object and nothing else: no prose, no code fence.".to_owned()),
        OutputFormat::JsonSchema { schema, .. } => {
            Some(format!("Answer with JSON of this JSON Schema and nothing else: no prose, no code fence.\n{schema}"))
        }
    }
}

/// Whether thinking is asked for: `None` where nothing is said.
pub(super) fn thinks(request: &Request) -> Option<bool> {
    let reasoning = request.reasoning;
    match reasoning.mode {
        ReasoningMode::On => Some(true),
        ReasoningMode::Off => Some(false),
        ReasoningMode::Unset => (reasoning.effort.is_some() || reasoning.budget.is_some()).then_some(true),
    }
}
