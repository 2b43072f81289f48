//! The usage figures of an answer.

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::scenario::{Scenario, UsageReport};

/// Usage as an answer reports it. The details are parts of the totals, as OpenAI counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UsageFigures {
    /// All prompt tokens, cached and audio ones included.
    pub prompt_tokens: i64,
    /// All completion tokens, reasoning and audio ones included.
    pub completion_tokens: i64,
    /// The sum of both.
    pub total_tokens: i64,
    /// Prompt tokens read from the cache.
    pub cached_tokens: i64,
    /// Prompt tokens written to the cache. Only Messages reports them.
    #[serde(default)]
    pub cache_write_tokens: i64,
    /// Completion tokens spent on thinking, shown or not.
    pub reasoning_tokens: i64,
    /// Prompt tokens that are audio.
    pub audio_prompt_tokens: i64,
    /// Completion tokens that are audio.
    pub audio_completion_tokens: i64,
}

impl UsageFigures {
    /// The same prompt without any completion.
    pub(super) fn of_prompt(self) -> Self {
        Self { completion_tokens: 0, total_tokens: self.prompt_tokens, reasoning_tokens: 0, audio_completion_tokens: 0, ..self }
    }

    /// The figures of an answer with so many visible and so many thought tokens, if the scenario reports any.
    pub(super) fn of(asked: &Asked, scenario: &Scenario, visible: i64, thought: i64) -> Option<Self> {
        const ABSURD: i64 = 9_000_000_000_000_000;
        let from_cache = scenario.cached_tokens.saturating_add(scenario.cache_write_tokens);
        let counted_prompt = asked.prompt_tokens.max(from_cache).max(scenario.audio_prompt_tokens);
        let choices = i64::from(asked.choices);
        let reasoning = scenario.reasoning_tokens.saturating_add(thought.saturating_mul(choices));
        let hidden = reasoning.saturating_add(scenario.audio_completion_tokens);
        let counted_completion = visible.saturating_mul(choices).saturating_add(hidden);
        let prompt = scenario.prompt_tokens.unwrap_or(counted_prompt);
        let completion = scenario.completion_tokens.unwrap_or(counted_completion);
        let (prompt, completion) = match scenario.usage {
            UsageReport::Missing => return None,
            UsageReport::True => (prompt, completion),
            UsageReport::Negative => (-prompt.abs().max(1), -completion.abs().max(1)),
            UsageReport::Absurd => (ABSURD, ABSURD),
        };
        Some(Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            cached_tokens: scenario.cached_tokens,
            cache_write_tokens: scenario.cache_write_tokens,
            reasoning_tokens: reasoning,
            audio_prompt_tokens: scenario.audio_prompt_tokens,
            audio_completion_tokens: scenario.audio_completion_tokens,
        })
    }
}
