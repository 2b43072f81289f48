//! How much an upstream is to think, and how long its answer may be.

use serde_json::{Map, Value, json};

use super::content::{has_role, holds_call, kinds};
use super::{Parts, Writer};
use crate::ir::{Effort, Reasoning, ReasoningMode, Show};
use crate::loss::{Field, Unsupported};
use crate::reasoning;
use crate::target::{Capabilities, Thinking};

/// The least that can be thought, in tokens.
const LEAST_BUDGET: u32 = 1_024;
/// What is thought where nobody says how much and the model wants to hear it, in tokens.
const USUAL_BUDGET: u32 = 4_096;
/// The longest answer that is asked for unasked, in tokens.
const LONGEST_UNASKED: u32 = 32_000;
/// Thinking between the calls of one turn.
const INTERLEAVED: &str = "interleaved-thinking-2025-05-14";

/// What is said about thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Unsaid,
    /// Not to.
    Off,
    /// So many tokens.
    Budget(u32),
    /// As it likes, this hard.
    Adaptive(Option<Effort>),
}

impl Plan {
    /// Whether it thinks.
    pub(super) const fn is_on(self) -> bool {
        matches!(self, Self::Budget(_) | Self::Adaptive(_))
    }
}

impl Writer<'_, '_> {
    /// What can be said of the caller's wish beside the rest of the request.
    pub(super) fn plan(&mut self, parts: &mut Parts, choice: &mut Option<Value>) -> Result<Plan, Unsupported> {
        let capabilities = self.target.capabilities;
        let wish = wish(&self.request.reasoning, capabilities, |effort| reasoning::budget_of(effort, self.target.options));
        let wants = self.request.reasoning;
        let is_unheard = match capabilities.thinking {
            Thinking::None => wants.mode == ReasoningMode::On || wants.effort.is_some() || wants.budget.is_some(),
            _ => wants.mode == ReasoningMode::Off && !can_stop(capabilities),
        };
        if is_unheard {
            self.losses.drop(Field::Reasoning)?;
        }
        let is_forced = choice.as_ref().and_then(|it| it.get("type")?.as_str()).is_some_and(|it| matches!(it, "any" | "tool"));
        if !wish.is_on() && capabilities.thinking != Thinking::Always {
            // The newest models think unasked, and a forced call does not go with it.
            let thinks_unasked = capabilities.thinking == Thinking::Adaptive && wish == Plan::Unsaid;
            return Ok(if is_forced && thinks_unasked { off(capabilities) } else { wish });
        }
        if is_forced && !can_stop(capabilities) {
            self.losses.drop(Field::ToolChoice)?;
            if let Some(choice) = choice.as_mut().and_then(Value::as_object_mut) {
                choice.shift_remove("name");
                choice.insert("type".to_owned(), "auto".into());
            }
            return Ok(wish);
        }
        let is_prefilled = parts.messages.last().is_some_and(|last| has_role(last, "assistant"));
        let lacks_thinking = matches!(wish, Plan::Budget(_)) && calls_without_thinking(&parts.messages);
        let must_stop = is_forced || is_prefilled || (lacks_thinking && capabilities.thinking != Thinking::Both);
        if wish.is_on() && must_stop {
            self.losses.drop(Field::Reasoning)?;
            return Ok(off(capabilities));
        }
        match wish {
            // The adaptive form takes calls without thinking before them.
            Plan::Budget(budget) if lacks_thinking => {
                Ok(Plan::Adaptive(reasoning::effort_of_budget(budget).map(|effort| level(effort, capabilities))))
            }
            wish => Ok(wish),
        }
    }

    /// The longest answer, thinking included, and the plan that fits into it.
    pub(super) fn limits(&mut self, plan: Plan) -> Result<(u32, Plan), Unsupported> {
        let (target, capabilities) = (self.target, self.target.capabilities);
        let limit = [target.output_limit, capabilities.max_output].into_iter().flatten().min();
        let usual = capabilities.max_output.map_or(target.options.default_max_output, |most| most.min(LONGEST_UNASKED));
        let wanted = self.request.max_output.or(target.output_limit).unwrap_or(usual);
        let wanted = limit.map_or(wanted, |limit| wanted.min(limit)).max(1);
        let Plan::Budget(budget) = plan else { return Ok((wanted, plan)) };

        let whole = wanted.saturating_add(budget);
        let Some(limit) = limit.filter(|limit| *limit < whole) else { return Ok((whole, plan)) };
        // What is to be seen comes first; where both cannot be had, each has half.
        let budget = limit.saturating_sub(wanted).max(limit / 2).min(budget);
        if budget >= LEAST_BUDGET.max(capabilities.min_budget) {
            return Ok((limit, Plan::Budget(budget)));
        }
        self.losses.drop(Field::Reasoning)?;
        Ok((wanted, off(capabilities)))
    }

    /// Writes the plan, and the form of the answer beside it.
    pub(super) fn thinking(&mut self, plan: Plan, format: Option<Value>, body: &mut Map<String, Value>) {
        let mut config = Map::new();
        let show = self.request.reasoning.show;
        let thinking = match plan {
            Plan::Unsaid => None,
            Plan::Off => Some(json!({"type": "disabled"})),
            Plan::Budget(budget) if show == Some(Show::Nothing) => {
                Some(json!({"type": "enabled", "budget_tokens": budget, "display": "omitted"}))
            }
            Plan::Budget(budget) => Some(json!({"type": "enabled", "budget_tokens": budget})),
            Plan::Adaptive(effort) => {
                config.extend(effort.map(|effort| ("effort".to_owned(), effort.as_str().into())));
                // The newest models show nothing unless they are told to.
                let display = if show == Some(Show::Nothing) { "omitted" } else { "summarized" };
                Some(json!({"type": "adaptive", "display": display}))
            }
        };
        if matches!(plan, Plan::Budget(_)) && self.target.options.interleaves_thinking && body.contains_key("tools") {
            self.betas.push(INTERLEAVED);
        }
        config.extend(format.map(|format| ("format".to_owned(), format)));
        body.extend(thinking.map(|thinking| ("thinking".to_owned(), thinking)));
        if !config.is_empty() {
            body.insert("output_config".to_owned(), config.into());
        }
    }
}

fn can_stop(capabilities: &Capabilities) -> bool {
    capabilities.can_stop_thinking && capabilities.thinking != Thinking::Always
}

fn off(capabilities: &Capabilities) -> Plan {
    if can_stop(capabilities) && capabilities.thinking != Thinking::None { Plan::Off } else { Plan::Unsaid }
}

/// The caller's wish in the form the model takes.
fn wish(wants: &Reasoning, capabilities: &Capabilities, budget_of: impl Fn(Effort) -> u32) -> Plan {
    let is_silent = wants.mode == ReasoningMode::Unset && wants.effort.is_none() && wants.budget.is_none();
    if is_silent || capabilities.thinking == Thinking::None {
        return Plan::Unsaid;
    }
    if wants.mode == ReasoningMode::Off || wants.budget == Some(0) {
        return off(capabilities);
    }
    let is_budget = match capabilities.thinking {
        Thinking::Budget => true,
        Thinking::Both => wants.budget.is_some(),
        _ => false,
    };
    if !is_budget {
        let effort = wants.effort.or_else(|| wants.budget.and_then(reasoning::effort_of_budget));
        return Plan::Adaptive(effort.map(|effort| level(effort, capabilities)));
    }
    let budget = wants.budget.or_else(|| wants.effort.map(budget_of)).unwrap_or(USUAL_BUDGET);
    let least = LEAST_BUDGET.max(capabilities.min_budget);
    Plan::Budget(budget.min(capabilities.max_budget.unwrap_or(u32::MAX)).max(least))
}

/// The level the dialect has a word for, of those the model knows.
fn level(effort: Effort, capabilities: &Capabilities) -> Effort {
    let effort = effort.max(Effort::Low);
    if capabilities.efforts.is_empty() { effort } else { reasoning::nearest(effort, &capabilities.efforts).max(Effort::Low) }
}

/// Whether the last turn of the model's calls tools and does not begin with thinking, which the provider would not take.
fn calls_without_thinking(messages: &[Value]) -> bool {
    let Some(last) = messages.iter().rev().find(|message| has_role(message, "assistant")) else { return false };
    let begins = kinds(last).next().is_some_and(|kind| matches!(kind, "thinking" | "redacted_thinking"));
    holds_call(last) && !begins
}
