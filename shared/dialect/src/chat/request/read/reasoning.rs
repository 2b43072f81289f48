//! The wish for reasoning, in OpenAI's form and in those of vendors that callers use here too (conversions.md §7.1).

use crate::ir::{Effort, Reasoning, ReasoningMode, Show};
use crate::node::{BodyError, Node, Rule};

const EFFORTS: &str = "none, minimal, low, medium, high, xhigh, max";
/// The largest budget that is read, in tokens.
const MAX_BUDGET: i64 = 1 << 30;

pub(super) fn read(root: &Node<'_>) -> Result<Reasoning, BodyError> {
    let mut reasoning = Reasoning::default();
    if let Some(word) = root.get("reasoning_effort") {
        effort(&word, &mut reasoning)?;
    }
    if let Some(wish) = root.get("reasoning") {
        router(&wish, &mut reasoning)?;
    }
    if let Some(wish) = root.get("thinking") {
        switch(&wish, &mut reasoning)?;
    }
    if let Some(budget_node) = root.get("thinking_budget") {
        budget(&budget_node, &mut reasoning)?;
    }
    let template = root.get("chat_template_kwargs");
    let template = template.as_ref().and_then(|template| template.any(&["enable_thinking", "thinking"]));
    if let Some(enabled) = root.get("enable_thinking").or(template) {
        set(if enabled.boolean()? { ReasoningMode::On } else { ReasoningMode::Off }, &mut reasoning);
    }
    google(root, &mut reasoning)?;
    if reasoning.mode == ReasoningMode::On {
        reasoning.show = reasoning.show.or(Some(Show::Full));
    }
    Ok(reasoning)
}

/// What was said first stands.
fn set(mode: ReasoningMode, reasoning: &mut Reasoning) {
    if reasoning.mode == ReasoningMode::Unset {
        reasoning.mode = mode;
    }
}

fn effort(node: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    let word = node.text()?;
    if word == "none" {
        set(ReasoningMode::Off, reasoning);
        return Ok(());
    }
    let level = Effort::parse(word).ok_or_else(|| node.broken(Rule::Word(EFFORTS)))?;
    set(ReasoningMode::On, reasoning);
    reasoning.effort = reasoning.effort.or(Some(level));
    Ok(())
}

/// A number of tokens: 0 is none, −1 as many as the model likes.
fn budget(node: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    let tokens = node.whole(-1, MAX_BUDGET)?;
    set(if tokens == 0 { ReasoningMode::Off } else { ReasoningMode::On }, reasoning);
    if let Ok(tokens) = u32::try_from(tokens)
        && tokens > 0
    {
        reasoning.budget = reasoning.budget.or(Some(tokens));
    }
    Ok(())
}

/// OpenRouter: `reasoning: {effort | max_tokens, enabled, exclude}`.
fn router(wish: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    wish.object()?;
    if let Some(enabled) = wish.get("enabled") {
        set(if enabled.boolean()? { ReasoningMode::On } else { ReasoningMode::Off }, reasoning);
    }
    if let Some(word) = wish.get("effort") {
        effort(&word, reasoning)?;
    }
    if let Some(tokens) = wish.get("max_tokens") {
        budget(&tokens, reasoning)?;
    }
    if let Some(exclude) = wish.get("exclude")
        && exclude.boolean()?
    {
        reasoning.show = Some(Show::Nothing);
    }
    Ok(())
}

/// Anthropic's form, which several vendors took over: `thinking: {type, budget_tokens}`.
fn switch(wish: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    let words = [
        ("enabled", ReasoningMode::On),
        ("adaptive", ReasoningMode::On),
        ("auto", ReasoningMode::On),
        ("disabled", ReasoningMode::Off),
    ];
    let mode = wish.need("type")?.word(&words, "enabled, disabled, adaptive, auto")?;
    set(mode, reasoning);
    if let Some(tokens) = wish.get("budget_tokens")
        && mode == ReasoningMode::On
    {
        budget(&tokens, reasoning)?;
    }
    Ok(())
}

/// Google's Chat endpoint: `google.thinking_config`, at the top or in `extra_body`.
fn google(root: &Node<'_>, reasoning: &mut Reasoning) -> Result<(), BodyError> {
    let nested = root.get("extra_body");
    let Some(google) = root.get("google").or_else(|| nested.as_ref()?.get("google")) else { return Ok(()) };
    let Some(config) = google.get("thinking_config") else { return Ok(()) };
    if let Some(tokens) = config.get("thinking_budget") {
        budget(&tokens, reasoning)?;
    }
    if let Some(level) = config.get("thinking_level") {
        let word = level.text()?.to_ascii_lowercase();
        let level = Effort::parse(&word).ok_or_else(|| level.broken(Rule::Word("minimal, low, medium, high")))?;
        set(ReasoningMode::On, reasoning);
        reasoning.effort = reasoning.effort.or(Some(level));
    }
    if let Some(include) = config.get("include_thoughts") {
        reasoning.show = Some(if include.boolean()? { Show::Full } else { Show::Nothing });
    }
    Ok(())
}
