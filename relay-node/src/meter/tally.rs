//! What an attempt has brought so far.

use sluice_billing::Estimator;
use sluice_billing::estimate::PER_TOOL_CALL;
use sluice_dialect::openai::{OutputCounts, Reported};
use sluice_domain::Usage;

/// The figures of the running attempt. They are good at any moment: whoever ends the request takes them as they are.
#[derive(Debug, Clone)]
pub struct Tally {
    /// What the upstream reported last.
    pub reported: Reported,
    /// That report is of all there is, not of what had come when it was sent.
    pub is_final: bool,
    /// What the output held so far beside its text.
    pub counts: OutputCounts,
    /// A part of a good answer came.
    pub began: bool,
    /// Any output came: text, a call, media, an embedding.
    pub saw_output: bool,
    output: Estimator,
    fresh: Estimator,
}

/// A usage, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The figures.
    pub usage: Usage,
    /// They are ours, at least in part.
    pub is_estimated: bool,
}

impl Tally {
    /// Nothing yet, of a model.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let fresh = Estimator::for_model(model);
        Self {
            reported: Reported::Missing,
            is_final: false,
            counts: OutputCounts::default(),
            began: false,
            saw_output: false,
            output: fresh.clone(),
            fresh,
        }
    }

    /// Starts over: the attempt failed, and what it brought is not paid for.
    pub fn reset(&mut self) {
        self.reported = Reported::Missing;
        self.is_final = false;
        self.counts = OutputCounts::default();
        self.began = false;
        self.saw_output = false;
        self.output = self.fresh.clone();
    }

    /// More generated text came.
    pub fn push(&mut self, text: &str) {
        self.output.push(text);
    }

    /// What has been estimated of the output so far.
    #[must_use]
    pub const fn output(&self) -> &Estimator {
        &self.output
    }

    /// Takes over an estimate that was carried on elsewhere.
    pub fn set_output(&mut self, output: Estimator) {
        self.output = output;
    }

    /// The output so far by weights, in tokens.
    #[must_use]
    pub fn output_estimate(&self) -> u64 {
        self.output.finish().saturating_add(u64::from(self.counts.tool_calls).saturating_mul(PER_TOOL_CALL))
    }

    /// The usage of an answer that came whole: what was reported, else the estimates, if there was any output (billing.md §2).
    #[must_use]
    pub fn whole(&self, prompt: u64, output: u64) -> Measured {
        match self.reported {
            Reported::Counted(usage) => Measured { usage, is_estimated: false },
            _ if !self.saw_output => Measured { usage: Usage::default(), is_estimated: false },
            Reported::Missing | Reported::Implausible(_) => self.estimated(prompt, output),
        }
    }

    /// The usage of an answer that broke off. A final report counts as it is. One from before the break keeps its input and cache
    /// counters, and its output counts for at least what was seen.
    #[must_use]
    pub fn broken(&self, prompt: u64) -> Measured {
        let output = self.output_estimate();
        match self.reported {
            Reported::Counted(usage) if self.is_final || usage.total_output() >= output => {
                Measured { usage, is_estimated: false }
            }
            Reported::Counted(usage) => {
                let missing = output - usage.total_output();
                Measured { usage: Usage { output: usage.output.saturating_add(missing), ..usage }, is_estimated: true }
            }
            Reported::Missing | Reported::Implausible(_) => self.estimated(prompt, output),
        }
    }

    fn estimated(&self, prompt: u64, output: u64) -> Measured {
        let usage = if self.began { Usage { input: prompt, output, ..Usage::default() } } else { Usage::default() };
        Measured { usage, is_estimated: self.began }
    }
}

#[cfg(test)]
mod tests {
    use sluice_dialect::openai::{Fault, Problem};

    use super::*;

    fn tally(reported: Reported, text: &str) -> Tally {
        let mut tally = Tally { reported, began: true, saw_output: true, ..Tally::new("mistral-large") };
        tally.push(text);
        tally
    }

    fn counted(input: u64, cache_read: u64, output: u64) -> Reported {
        Reported::Counted(Usage { input, cache_read, output, ..Usage::default() })
    }

    #[test]
    fn what_was_reported_wins_over_estimates() {
        let measured = tally(counted(7, 3, 1), "one two three four").whole(100, 100);
        assert_eq!(measured.usage, Usage { input: 7, cache_read: 3, output: 1, ..Usage::default() });
        assert!(!measured.is_estimated);
    }

    #[test]
    fn a_missing_or_absurd_report_is_estimated() {
        let absurd = Reported::Implausible(Fault { field: "prompt_tokens", problem: Problem::Negative });
        for reported in [Reported::Missing, absurd] {
            let measured = tally(reported, "one two").whole(100, 5);
            assert_eq!(measured, Measured { usage: Usage { input: 100, output: 5, ..Usage::default() }, is_estimated: true });
        }
    }

    #[test]
    fn a_broken_stream_keeps_reported_input_and_counts_seen_output() {
        let measured = tally(counted(7, 3, 0), "one two three").broken(100);
        assert_eq!(measured.usage, Usage { input: 7, cache_read: 3, output: 4, ..Usage::default() });
        assert!(measured.is_estimated);
        assert_eq!(tally(counted(7, 3, 50), "one").broken(100).usage.output, 50);
        assert_eq!(
            tally(Reported::Missing, "one two three").broken(100).usage,
            Usage { input: 100, output: 4, ..Usage::default() }
        );
    }

    #[test]
    fn a_final_report_is_not_topped_up() {
        let all = Tally { is_final: true, ..tally(counted(7, 3, 1), "one two three") };
        let usage = Usage { input: 7, cache_read: 3, output: 1, ..Usage::default() };
        assert_eq!(all.broken(100), Measured { usage, is_estimated: false });
    }

    #[test]
    fn a_whole_answer_without_output_and_report_is_not_estimated() {
        let empty = Tally { saw_output: false, ..tally(Reported::Missing, "") };
        assert_eq!(empty.whole(100, 0), Measured { usage: Usage::default(), is_estimated: false });
        let vectors = tally(Reported::Missing, "");
        assert_eq!(vectors.whole(100, 0).usage, Usage { input: 100, ..Usage::default() }, "an embedding has no tokens of output");
        let filtered = Tally { saw_output: false, ..tally(counted(7, 0, 0), "") };
        assert_eq!(filtered.whole(100, 0).usage.input, 7, "what is reported is paid for");
    }

    #[test]
    fn an_answer_that_never_began_costs_nothing() {
        let mut never = tally(Reported::Missing, "");
        never.reset();
        assert_eq!(never.broken(100), Measured { usage: Usage::default(), is_estimated: false });
    }

    #[test]
    fn a_failed_attempt_leaves_nothing_behind() {
        let mut tally = tally(counted(1, 1, 1), "one two three");
        tally.counts.tool_calls = 3;
        tally.is_final = true;
        tally.reset();
        assert_eq!((tally.output_estimate(), tally.reported, tally.began), (0, Reported::Missing, false));
        assert!(!tally.is_final && !tally.saw_output);
    }
}
