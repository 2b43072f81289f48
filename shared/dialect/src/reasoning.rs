//! How much is thought, as a level and as a number of tokens, and what the end of a model's name says about it.

use sluice_domain::suffix::{self, Maker};

use crate::ir::Effort;
use crate::target::{Capabilities, Options, Thinking};

/// The level that a number of tokens stands for; `None`: zero, which is none.
#[must_use]
pub const fn effort_of_budget(budget: u32) -> Option<Effort> {
    match budget {
        0 => None,
        1..=1_023 => Some(Effort::Minimal),
        1_024..=2_047 => Some(Effort::Low),
        2_048..=8_191 => Some(Effort::Medium),
        8_192..=24_576 => Some(Effort::High),
        _ => Some(Effort::Xhigh),
    }
}

/// The number of tokens that a level stands for, by the site's table.
#[must_use]
pub const fn budget_of(effort: Effort, options: &Options) -> u32 {
    let [minimal, low, medium, high, xhigh, max] = options.effort_budgets;
    match effort {
        Effort::Minimal => minimal,
        Effort::Low => low,
        Effort::Medium => medium,
        Effort::High => high,
        Effort::Xhigh => xhigh,
        Effort::Max => max,
    }
}

/// The budget of the lowest level at Gemini, in tokens; other families start higher.
const GEMINI_MINIMAL: u32 = 512;

/// The number of tokens that a level stands for at a Gemini model that takes budgets: by the site's table, but high is 80 % of the most it
/// takes, where that is known, and what is above is all of it. Within the model's bounds.
#[must_use]
pub fn gemini_budget(effort: Effort, capabilities: &Capabilities, options: &Options) -> u32 {
    let budget = match (effort, capabilities.max_budget) {
        (Effort::High, Some(most)) => most / 5 * 4,
        (Effort::Xhigh | Effort::Max, Some(most)) => most,
        (Effort::Minimal, _) => budget_of(effort, options).min(GEMINI_MINIMAL),
        _ => budget_of(effort, options),
    };
    within_bounds(budget, capabilities)
}

/// A number of tokens as near as the model takes. Zero stays zero where the model can stop thinking.
#[must_use]
pub fn within_bounds(budget: u32, capabilities: &Capabilities) -> u32 {
    if budget == 0 && capabilities.can_stop_thinking {
        return 0;
    }
    budget.max(capabilities.min_budget).min(capabilities.max_budget.unwrap_or(u32::MAX))
}

/// The level nearest to another one among those a model knows; none known means all are. Of two as near, the higher one up to high (medium
/// becomes high rather than low), and the lower one above it (xhigh becomes high rather than max).
#[must_use]
pub fn nearest(effort: Effort, known: &[Effort]) -> Effort {
    let place = |level: Effort| Effort::ALL.iter().position(|one| *one == level).unwrap_or_default();
    let wanted = place(effort);
    let prefers_higher = effort <= Effort::High;
    let distance = |level: &Effort| (place(*level).abs_diff(wanted), (*level > effort) != prefers_higher);
    known.iter().copied().min_by_key(distance).unwrap_or(effort)
}

/// What the end of a model's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// `-max`, `-xhigh`, `-high`, `-medium`, `-low`, `-minimal`: so much.
    Effort(Effort),
    /// `-none`: no thinking, unless the request says otherwise.
    None,
    /// `-thinking`: thinking, as much as is usual.
    Thinking,
    /// `-thinking-<n>`: so many tokens of it.
    Budget(u32),
    /// `-nothinking`: no thinking, whatever the request says.
    NoThinking,
    /// `-search`: a search of the web.
    Search,
}

impl Suffix {
    /// What a suffix asks for; `None` for a number nobody has so many tokens of.
    fn read(end: &str) -> Option<Self> {
        Some(match end {
            "none" => Self::None,
            "thinking" => Self::Thinking,
            "nothinking" => Self::NoThinking,
            "search" => Self::Search,
            end => match Effort::parse(end) {
                Some(effort) => Self::Effort(effort),
                None => Self::Budget(end.strip_prefix("thinking-")?.parse().ok()?),
            },
        })
    }
}

/// A model's name without its suffix, and the suffix; `None` where it has none (conversions.md §7.2). Only for names that nobody lists as
/// they are: `kimi-k2-thinking` is one. `takes` says what models of a name take: one that cannot be switched keeps its name.
#[must_use]
pub fn suffix(name: &str, takes: impl Fn(&str) -> Capabilities) -> Option<(&str, Suffix)> {
    let (bare, end) = suffix::split(name)?;
    let suffix = Suffix::read(end)?;
    let is_switched = |name: &str| {
        let takes = takes(name);
        takes.can_stop_thinking && matches!(takes.thinking, Thinking::Both | Thinking::Budget)
    };
    // the whole name may be that of a model that always thinks
    let fits =
        Maker::of(bare) != Some(Maker::Switched) || (is_switched(bare) && (suffix == Suffix::NoThinking || is_switched(name)));
    fits.then_some((bare, suffix))
}

#[cfg(test)]
mod tests {
    use sluice_domain::Dialect;

    use super::*;
    use crate::capabilities::Table;
    use Effort::{High, Low, Max, Medium, Minimal, Xhigh};

    #[test]
    fn thresholds_between_levels() {
        for (budget, effort) in [
            (0, None),
            (1, Some(Minimal)),
            (1_023, Some(Minimal)),
            (1_024, Some(Low)),
            (2_047, Some(Low)),
            (2_048, Some(Medium)),
            (8_191, Some(Medium)),
            (8_192, Some(High)),
            (24_576, Some(High)),
            (24_577, Some(Xhigh)),
            (u32::MAX, Some(Xhigh)),
        ] {
            assert_eq!(effort_of_budget(budget), effort, "{budget}");
        }
        let budgets = Effort::ALL.map(|effort| budget_of(effort, &Options::default()));
        assert_eq!(budgets, [1_024, 1_024, 2_048, 4_096, 8_192, 16_384]);
    }

    #[test]
    fn budgets_of_gemini_models() {
        let pro = Capabilities { min_budget: 128, max_budget: Some(32_768), can_stop_thinking: false, ..Capabilities::default() };
        let flash = Capabilities { max_budget: Some(24_576), ..Capabilities::default() };
        let lite = Capabilities { min_budget: 512, max_budget: Some(24_576), ..Capabilities::default() };
        let budgets = |model: &Capabilities| Effort::ALL.map(|effort| gemini_budget(effort, model, &Options::default()));
        assert_eq!(budgets(&pro), [512, 1_024, 2_048, 26_212, 32_768, 32_768]);
        assert_eq!(budgets(&flash), [512, 1_024, 2_048, 19_660, 24_576, 24_576]);
        assert_eq!(budgets(&Capabilities::default()), [512, 1_024, 2_048, 4_096, 8_192, 16_384], "the most is not known");
        assert_eq!([0, 1, 200, 40_000].map(|budget| within_bounds(budget, &pro)), [128, 128, 200, 32_768]);
        assert_eq!([0, 1, 600, 40_000].map(|budget| within_bounds(budget, &lite)), [0, 512, 600, 24_576]);
    }

    #[test]
    fn the_nearest_level_a_model_knows() {
        for (effort, known, nearby) in [
            (Xhigh, &[][..], Xhigh),
            (Minimal, &[Low, High][..], Low),
            (Medium, &[Low, High], High),
            (Xhigh, &[Low, Medium, High], High),
            (Xhigh, &[Low, High, Max], High),
            (Max, &[Minimal, Low, Medium, High, Xhigh], Xhigh),
            (High, &[Low], Low),
            (Low, &[Minimal, Low], Low),
        ] {
            assert_eq!(nearest(effort, known), nearby, "{effort:?} of {known:?}");
        }
    }

    #[test]
    fn names_with_suffixes() {
        for (name, parts) in [
            ("gpt-5-high", Some(("gpt-5", Suffix::Effort(High)))),
            ("o3-none", Some(("o3", Suffix::None))),
            ("claude-opus-4-6-max", Some(("claude-opus-4-6", Suffix::Effort(Max)))),
            ("claude-3-7-sonnet-thinking", Some(("claude-3-7-sonnet", Suffix::Thinking))),
            ("gemini-2.5-flash-thinking-2048", Some(("gemini-2.5-flash", Suffix::Budget(2_048)))),
            ("gemini-2.5-flash-nothinking", Some(("gemini-2.5-flash", Suffix::NoThinking))),
            ("gemini-2.5-pro-search", Some(("gemini-2.5-pro", Suffix::Search))),
            ("gemini-thinking-99999999999", None),
            ("gemini-thinking-+5", None),
            ("mistral-medium", None),
        ] {
            assert_eq!(suffix(name, |_| Capabilities::default()), parts, "{name}");
        }
    }

    #[test]
    fn models_that_cannot_be_switched_keep_their_names() {
        let of = |name| suffix(name, |name| Capabilities::of(&Table::default(), name, Dialect::OpenAi));
        assert_eq!(of("qwen3-32b-nothinking"), Some(("qwen3-32b", Suffix::NoThinking)));
        assert_eq!(of("glm-4.6-thinking"), Some(("glm-4.6", Suffix::Thinking)));
        assert_eq!(of("qwen3-next-80b-a3b-thinking"), None, "a model of its own");
        assert_eq!(of("deepseek-r1-nothinking"), None, "it always thinks");
    }
}
