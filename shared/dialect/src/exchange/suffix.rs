//! What the end of a model's name asks for, put into a request (conversions.md §7.2).
//!
//! What the request itself says wins, but over `-nothinking`. Where a request is written, the wish is part of what it means, so that all rules
//! of its target hold for it too. OpenAI's dialects pass instead, with the one field set that says it: nothing else in them depends on it.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_domain::suffix::Maker;

use super::passage::Way;
use crate::chat::request::reasoning;
use crate::ir::{Effort, Reasoning, ReasoningMode, Request, Show, Tool};
use crate::json::{Document, Edit};
use crate::loss::{Losses, Unsupported};
use crate::reasoning::Suffix;
use crate::surface::Surface;
use crate::target::{Capabilities, Target, Thinking};

/// The least limit of output that leaves room for thinking, in tokens: four fifths of it are the smallest budget.
const LEAST_OUTPUT: u32 = 1_280;
/// The longest answer that is asked for unasked, in tokens.
const LONGEST_UNASKED: u32 = 32_000;
/// Where a Chat request says whether and how much is to be thought, in OpenAI's form and in those of vendors.
const CHAT_WISHES: [&str; 6] =
    ["reasoning_effort", "reasoning", "thinking", "thinking_budget", "enable_thinking", "chat_template_kwargs"];

/// Whether a suffix asks for something that the request does not say itself.
pub(super) fn acts(suffix: Suffix, wish: &Reasoning) -> bool {
    let is_silent = wish.mode == ReasoningMode::Unset && wish.effort.is_none() && wish.budget.is_none();
    is_silent || matches!(suffix, Suffix::NoThinking | Suffix::Search)
}

/// Makes a suffix part of what a request means.
pub(super) fn put(suffix: Suffix, request: &mut Request, surface: Surface, target: &Target<'_>) {
    if !acts(suffix, &request.reasoning) {
        return;
    }
    match suffix {
        Suffix::None | Suffix::NoThinking | Suffix::Budget(0) => {
            request.reasoning = Reasoning { mode: ReasoningMode::Off, effort: None, budget: None, ..request.reasoning };
        }
        Suffix::Effort(effort) => think(&mut request.reasoning, Some(effort), None),
        Suffix::Budget(budget) => think(&mut request.reasoning, None, Some(budget)),
        Suffix::Thinking => think_as_usual(request, surface, target),
        Suffix::Search => {
            if !request.tools.iter().any(|tool| matches!(tool, Tool::WebSearch { .. })) {
                request.tools.push(Tool::WebSearch { max_uses: None, location: None });
            }
        }
    }
}

fn think(reasoning: &mut Reasoning, effort: Option<Effort>, budget: Option<u32>) {
    let show = reasoning.show.or(Some(Show::Full));
    *reasoning = Reasoning { mode: ReasoningMode::On, effort, budget, show, ..*reasoning };
}

/// Claude that takes a number: four fifths of the whole answer, what is seen within the rest. Gemini: three fifths of a limit that was said.
/// Others: hard.
fn think_as_usual(request: &mut Request, surface: Surface, target: &Target<'_>) {
    let capabilities = target.capabilities;
    match (surface, capabilities.thinking) {
        (Surface::Messages, Thinking::Budget) => {
            let usual = capabilities.max_output.map_or(target.options.default_max_output, |most| most.min(LONGEST_UNASKED));
            let asked = request.max_output.or(target.output_limit).unwrap_or(usual);
            let whole = asked.min(capabilities.max_output.unwrap_or(u32::MAX)).max(LEAST_OUTPUT);
            let budget = whole / 5 * 4;
            request.max_output = Some(whole - budget);
            think(&mut request.reasoning, None, Some(budget));
        }
        (Surface::GenerateContent, Thinking::Level) => think(&mut request.reasoning, None, None),
        (Surface::GenerateContent, _) => {
            let budget = request.max_output.map(|limit| limit / 5 * 3).filter(|budget| *budget > 0);
            think(&mut request.reasoning, None, budget);
        }
        _ => think(&mut request.reasoning, Some(Effort::High), None),
    }
}

/// The switch of models that know no levels, at vendors of OpenAI's dialect: Qwen's own, and the one that most others have.
pub(super) fn switch(model: &str, capabilities: &Capabilities, wish: &Reasoning) -> Option<(&'static str, Value)> {
    let is_on = match wish.mode {
        ReasoningMode::Unset => return None,
        ReasoningMode::On => true,
        ReasoningMode::Off => false,
    };
    if Maker::of(model) != Some(Maker::Switched) {
        return None;
    }
    Some(match capabilities.thinking {
        Thinking::Budget => ("enable_thinking", is_on.into()),
        _ => ("thinking", json!({"type": if is_on { "enabled" } else { "disabled" }})),
    })
}

/// Sets what a suffix asks for in a body that passes: of Chat or Responses.
pub(super) fn edit<'d>(
    edit: &mut Edit<'d>,
    suffix: Suffix,
    way: &Way<'_>,
    (document, target): (&'d Document, &Target<'_>),
) -> Result<(), Unsupported> {
    let says = |names: &[&str]| names.iter().any(|name| document.get_some(name).is_some());
    let (mut meaning, mut own) = (Request::default(), None);
    match way.surface {
        Surface::ChatCompletions if says(&CHAT_WISHES) => meaning.reasoning.mode = ReasoningMode::On,
        Surface::Responses => {
            own = document.get_some("reasoning").and_then(|raw| Document::parse(Bytes::copy_from_slice(raw)).ok());
            if own.as_ref().is_some_and(|own| own.get_some("effort").is_some()) {
                meaning.reasoning.mode = ReasoningMode::On;
            }
        }
        _ => {}
    }
    if !acts(suffix, &meaning.reasoning) {
        return Ok(());
    }
    put(suffix, &mut meaning, way.surface, target);
    if suffix == Suffix::Search {
        if way.surface == Surface::ChatCompletions && !says(&["web_search_options"]) {
            edit.set("web_search_options", "{}");
        }
        return Ok(());
    }
    if let Some((name, value)) = switch(way.model, target.capabilities, &meaning.reasoning) {
        for said in CHAT_WISHES {
            edit.remove(said);
        }
        edit.set(name, value.to_string());
        return Ok(());
    }
    let mut fields = Map::new();
    reasoning(&meaning, target, &mut Losses::new(way.surface.dialect(), way.surface.dialect(), way.losses), &mut fields)?;
    let Some(word) = fields.get("reasoning_effort").map(Value::to_string) else { return Ok(()) };
    match (way.surface, own) {
        (Surface::Responses, Some(own)) => {
            let mut changed = own.edit();
            changed.set("effort", word);
            edit.set("reasoning", changed.finish().to_vec());
        }
        (Surface::Responses, None) => edit.set("reasoning", format!(r#"{{"effort":{word}}}"#)),
        _ => edit.set("reasoning_effort", word),
    }
    Ok(())
}
