//! `thinkingConfig` (conversions.md §7.1). Budget and level exclude each other.

use serde_json::{Map, Value, json};

use crate::ir::{Effort, Reasoning, ReasoningMode, Show};
use crate::loss::{Field, Losses, Unsupported};
use crate::reasoning;
use crate::target::{Target, Thinking};

/// Levels that Gemini knows where the model table names none.
const LEVELS: [Effort; 4] = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High];
/// Thinking as long as the model likes.
const DYNAMIC: i64 = -1;

/// The config; `None` when there is nothing to say.
pub(super) fn write(reasoning: &Reasoning, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Option<Value>, Unsupported> {
    let form = target.capabilities.thinking;
    if form == Thinking::None {
        if reasoning.mode == ReasoningMode::On {
            losses.drop(Field::Reasoning)?;
        }
        return Ok(None);
    }
    let mut config = Map::new();
    let by_level = match form {
        Thinking::Level => true,
        Thinking::Both | Thinking::Adaptive | Thinking::Always => reasoning.budget.is_none() && reasoning.effort.is_some(),
        Thinking::Budget | Thinking::None => false,
    };
    let amount = match (reasoning.mode, by_level) {
        (ReasoningMode::Unset, _) => None,
        (_, true) => level(reasoning, target).map(|level| ("thinkingLevel", json!(level.as_str()))),
        (_, false) => budget(reasoning, target).map(|budget| ("thinkingBudget", json!(budget))),
    };
    if let Some((name, amount)) = amount {
        config.insert(name.to_owned(), amount);
    }
    let is_shown = match reasoning.show {
        Some(show) => show != Show::Nothing,
        None => reasoning.mode == ReasoningMode::On,
    };
    if is_shown && reasoning.mode != ReasoningMode::Off {
        config.insert("includeThoughts".to_owned(), json!(true));
    }
    Ok((!config.is_empty()).then_some(Value::Object(config)))
}

/// The level; `None`: as the model likes.
fn level(reasoning: &Reasoning, target: &Target<'_>) -> Option<Effort> {
    let known = match target.capabilities.efforts.as_slice() {
        [] => &LEVELS,
        named => named,
    };
    if reasoning.mode == ReasoningMode::Off {
        return known.first().copied();
    }
    let wanted = reasoning.effort.or_else(|| reasoning.budget.and_then(reasoning::effort_of_budget))?;
    Some(reasoning::nearest(wanted, known))
}

/// The budget in tokens, −1 for as the model likes; `None`: nothing can be said.
fn budget(reasoning: &Reasoning, target: &Target<'_>) -> Option<i64> {
    let capabilities = target.capabilities;
    let tokens = match (reasoning.mode, reasoning.budget, reasoning.effort) {
        (ReasoningMode::Off, ..) if capabilities.thinking == Thinking::Always => return None,
        (ReasoningMode::Off, ..) => reasoning::within_bounds(0, capabilities),
        (_, Some(budget), _) => reasoning::within_bounds(budget, capabilities),
        (_, None, Some(effort)) => reasoning::gemini_budget(effort, capabilities, target.options),
        (_, None, None) => return Some(DYNAMIC),
    };
    Some(i64::from(tokens))
}
