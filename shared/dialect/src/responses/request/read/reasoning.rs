//! How much is to be thought, in the words of Responses and of the vendors that borrowed its dialect.

use crate::ir::{Effort, Reasoning, ReasoningMode, Show};
use crate::node::{BodyError, Node};
use crate::openai::MAX_OUTPUT_TOKENS;

/// `reasoning`; where it says nothing about whether to think, the vendors' switches.
pub(super) fn read(root: &Node<'_>) -> Result<Reasoning, BodyError> {
    let mut reasoning = Reasoning::default();
    if let Some(said) = root.get("reasoning") {
        said.object()?;
        own(&said, &mut reasoning)?;
        openrouter(&said, &mut reasoning)?;
    }
    if reasoning.mode == ReasoningMode::Unset {
        vendors(root, &mut reasoning)?;
    }
    Ok(reasoning)
}

fn own(said: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    const EFFORTS: [(&str, Option<Effort>); 7] = [
        ("none", None),
        ("minimal", Some(Effort::Minimal)),
        ("low", Some(Effort::Low)),
        ("medium", Some(Effort::Medium)),
        ("high", Some(Effort::High)),
        ("xhigh", Some(Effort::Xhigh)),
        ("max", Some(Effort::Max)),
    ];
    if let Some(effort) = said.get("effort") {
        reasoning.effort = effort.word(&EFFORTS, "none, minimal, low, medium, high, xhigh, max")?;
        reasoning.mode = if reasoning.effort.is_some() { ReasoningMode::On } else { ReasoningMode::Off };
    }
    if let Some(summary) = said.any(&["summary", "generate_summary"]) {
        let words = [("auto", Show::Full), ("detailed", Show::Full), ("concise", Show::Concise), ("none", Show::Nothing)];
        reasoning.show = Some(summary.word(&words, "auto, concise, detailed")?);
    }
    Ok(())
}

/// `max_tokens`, `enabled` and `exclude` beside the effort.
fn openrouter(said: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    if let Some(budget) = said.get("max_tokens") {
        set_budget(reasoning, budget.count(0, MAX_OUTPUT_TOKENS)?);
    }
    if let Some(enabled) = said.get("enabled") {
        set_mode(reasoning, enabled.boolean()?);
    }
    if let Some(exclude) = said.get("exclude")
        && exclude.boolean()?
    {
        reasoning.show = Some(Show::Nothing);
    }
    Ok(())
}

/// `thinking`, `enable_thinking`, `thinking_budget`, `chat_template_kwargs`.
fn vendors(root: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    if let Some(thinking) = root.get("thinking") {
        thinking.object()?;
        let words = [("enabled", true), ("adaptive", true), ("auto", true), ("disabled", false)];
        if let Some(kind) = thinking.get("type") {
            set_mode(reasoning, kind.word(&words, "enabled, adaptive, auto, disabled")?);
        }
        if let Some(budget) = thinking.get("budget_tokens") {
            set_budget(reasoning, budget.count(0, MAX_OUTPUT_TOKENS)?);
        }
    }
    if let Some(budget) = root.get("thinking_budget") {
        set_budget(reasoning, budget.count(0, MAX_OUTPUT_TOKENS)?);
    }
    let template = root.get("chat_template_kwargs");
    let in_template = template.as_ref().and_then(|template| template.get("enable_thinking"));
    if let Some(enabled) = root.get("enable_thinking").or(in_template) {
        set_mode(reasoning, enabled.boolean()?);
    }
    Ok(())
}

fn set_mode(reasoning: &mut Reasoning, is_on: bool) {
    reasoning.mode = if is_on { ReasoningMode::On } else { ReasoningMode::Off };
}

fn set_budget(reasoning: &mut Reasoning, budget: u32) {
    set_mode(reasoning, budget > 0);
    reasoning.budget = Some(budget).filter(|budget| *budget > 0);
}
