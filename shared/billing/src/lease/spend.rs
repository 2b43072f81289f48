//! How fast an account is spent on this node: what the size of its leases goes by.

use sluice_domain::Quota;

/// After this many empty steps an average of any size is nothing.
const FORGOTTEN_STEPS: u64 = 64;

/// An exponentially weighted average of spending per step, a minute unless time is scaled; a step weighs a quarter. Whole units, so that
/// replays agree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpendRate {
    /// Average of the steps that are over.
    average: i64,
    /// Spent in the running step.
    running: i64,
    /// Number of the running step since the machine started.
    step: u64,
}

impl SpendRate {
    pub(super) fn spent(&mut self, amount: Quota, step_millis: u64, now: u64) {
        self.advance(step_millis, now);
        self.running = self.running.saturating_add(amount.get().max(0));
    }

    /// What is likely spent within `horizon_millis`.
    pub(super) fn within(&mut self, horizon_millis: u64, step_millis: u64, now: u64) -> Quota {
        self.advance(step_millis, now);
        let per_step = self.average.max(self.running);
        let steps = i64::try_from(horizon_millis / step_millis.max(1)).unwrap_or(i64::MAX);
        Quota::clamped(per_step.saturating_mul(steps))
    }

    fn advance(&mut self, step_millis: u64, now: u64) {
        let step = now / step_millis.max(1);
        let passed = step.saturating_sub(self.step);
        if passed == 0 {
            return;
        }
        self.average = fold(self.average, self.running);
        for _ in 1..passed.min(FORGOTTEN_STEPS) {
            self.average = fold(self.average, 0);
        }
        if passed >= FORGOTTEN_STEPS {
            self.average = 0;
        }
        (self.running, self.step) = (0, step);
    }
}

fn fold(average: i64, step: i64) -> i64 {
    average - average / 4 + step / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_first_burst_counts_at_once_and_steady_spending_settles_at_its_rate() {
        let mut rate = SpendRate::default();
        rate.spent(Quota::clamped(100), MINUTE, 5 * MINUTE);
        assert_eq!(rate.within(10 * MINUTE, MINUTE, 5 * MINUTE).get(), 1000);
        for minute in 6..60 {
            rate.spent(Quota::clamped(100), MINUTE, minute * MINUTE);
        }
        let expected = rate.within(10 * MINUTE, MINUTE, 60 * MINUTE).get();
        assert!((900..=1000).contains(&expected), "{expected}");
    }

    #[test]
    fn an_account_that_is_not_used_is_forgotten() {
        let mut rate = SpendRate::default();
        rate.spent(Quota::MAX, MINUTE, 0);
        assert_eq!(rate.within(10 * MINUTE, MINUTE, 0), Quota::MAX);
        assert!(rate.within(10 * MINUTE, MINUTE, 20 * MINUTE) < Quota::MAX);
        assert_eq!(rate.within(10 * MINUTE, MINUTE, 100 * MINUTE), Quota::ZERO);
    }
}
