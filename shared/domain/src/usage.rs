//! What one answer consumed, in classes that do not overlap.

use serde::{Deserialize, Serialize};

/// Counters of one request, in tokens (speech models: characters, as their price says).
///
/// The classes are disjoint: their sum is the whole usage, and each is priced once. `reasoning` is the one exception: it is a part of
/// `output` kept for display.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Text input that was neither read from nor written to a cache.
    pub input: u64,
    /// Text and reasoning output.
    pub output: u64,
    /// The part of `output` that was reasoning. Not priced again.
    pub reasoning: u64,
    /// Input read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input written to the prompt cache for 5 minutes.
    pub cache_write_5m: u64,
    /// Input written to the prompt cache for 1 hour.
    pub cache_write_1h: u64,
    /// Image input.
    pub image_input: u64,
    /// Audio input.
    pub audio_input: u64,
    /// Audio output.
    pub audio_output: u64,
}

impl Usage {
    /// The largest counter that is believed, in tokens. A provider that reports more is wrong, and its record is quarantined.
    pub const LIMIT: u64 = 1 << 40;

    /// Everything that went in.
    #[must_use]
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.image_input)
            .saturating_add(self.audio_input)
    }

    /// Everything that came out.
    #[must_use]
    pub const fn total_output(&self) -> u64 {
        self.output.saturating_add(self.audio_output)
    }

    /// Everything.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total_input().saturating_add(self.total_output())
    }

    /// Whether nothing was counted at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Whether every counter is one a provider could honestly report.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        [
            self.input,
            self.output,
            self.reasoning,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.image_input,
            self.audio_input,
            self.audio_output,
        ]
        .iter()
        .all(|counter| *counter <= Self::LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_count_each_class_once_and_reasoning_not_at_all() {
        let usage = Usage {
            input: 1,
            output: 2,
            reasoning: 1,
            cache_read: 4,
            cache_write_5m: 8,
            cache_write_1h: 16,
            image_input: 32,
            audio_input: 64,
            audio_output: 128,
        };
        assert_eq!(usage.total_input(), 1 + 4 + 8 + 16 + 32 + 64);
        assert_eq!(usage.total_output(), 2 + 128);
        assert_eq!(usage.total(), 255);
    }

    #[test]
    fn absurd_counters_are_not_plausible() {
        assert!(Usage { input: Usage::LIMIT, ..Usage::default() }.is_plausible());
        assert!(!Usage { output: Usage::LIMIT + 1, ..Usage::default() }.is_plausible());
    }
}
