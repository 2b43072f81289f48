//! How fast an account is spent on this node: what the size of its leases goes by.

use sluice_domain::Quota;

/// After this many empty steps an average of any size is nothing.
const FORGOTTEN_STEPS: u64 = 64;

/// The least part of a step that a rate is told from.
const LEAST_PART: u64 = 6;

/// An exponentially weighted average of spending per step, a minute unless time is scaled; a step weighs a quarter. Steps are counted from
/// the first spending on. Until the first one is over, what a long time takes is told from the part of it that has passed: a lease that an
/// account begins with must last as long as a later one. Whole units, so that replays agree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpendRate {
    /// Average of the steps that are over.
    average: i64,
    /// Spent in the running step.
    running: i64,
    /// Number of the running step since `began`.
    step: u64,
    /// When the first spending came that is not forgotten.
    began: u64,
}

impl SpendRate {
    pub(super) fn spent(&mut self, amount: Quota, step_millis: u64, now: u64) {
        self.advance(step_millis, now);
        if self.average == 0 && self.running == 0 {
            (self.step, self.began) = (0, now);
        }
        self.running = self.running.saturating_add(amount.get().max(0));
    }

    /// What is likely spent within `horizon_millis`.
    pub(super) fn within(&mut self, horizon_millis: u64, step_millis: u64, now: u64) -> Quota {
        self.advance(step_millis, now);
        let is_long = horizon_millis > step_millis;
        let per_step = if self.step == 0 && is_long { self.first_step(step_millis, now) } else { self.average.max(self.running) };
        let steps = i64::try_from(horizon_millis / step_millis.max(1)).unwrap_or(i64::MAX);
        Quota::clamped(per_step.saturating_mul(steps))
    }

    fn advance(&mut self, step_millis: u64, now: u64) {
        let step = now.saturating_sub(self.began) / step_millis.max(1);
        let passed = step.saturating_sub(self.step);
        if passed == 0 {
            return;
        }
        // before the first step there is nothing to weigh it against
        self.average = if self.step == 0 { self.running } else { fold(self.average, self.running) };
        for _ in 1..passed.min(FORGOTTEN_STEPS) {
            self.average = fold(self.average, 0);
        }
        if passed >= FORGOTTEN_STEPS {
            self.average = 0;
        }
        (self.running, self.step) = (0, step);
    }

    /// What the first step will have brought, by what has come of it.
    fn first_step(&self, step_millis: u64, now: u64) -> i64 {
        let elapsed = now.saturating_sub(self.began).max(step_millis / LEAST_PART).max(1);
        let spent = i128::from(self.running) * i128::from(step_millis) / i128::from(elapsed);
        i64::try_from(spent).unwrap_or(i64::MAX)
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
        assert_eq!(rate.within(10 * MINUTE, MINUTE, 5 * MINUTE).get(), 6_000);
        assert_eq!(rate.within(10 * MINUTE, MINUTE, 5 * MINUTE + 50_000).get(), 1_200, "nothing more came");
        for minute in 6..60 {
            rate.spent(Quota::clamped(100), MINUTE, minute * MINUTE);
        }
        let expected = rate.within(10 * MINUTE, MINUTE, 60 * MINUTE).get();
        assert!((900..=1000).contains(&expected), "{expected}");
    }

    #[test]
    fn spending_that_has_just_begun_is_told_from_its_first_seconds_whenever_a_step_ends() {
        for start in [0, 30_000, 52_000, 57_000, 59_999] {
            let mut rate = SpendRate::default();
            for second in 0..12 {
                rate.spent(Quota::clamped(10), MINUTE, MINUTE + start + second * 1_000);
            }
            let horizon = rate.within(20 * MINUTE, MINUTE, MINUTE + start + 11_000).get();
            assert!((6_000..=14_000).contains(&horizon), "{horizon} of 12,000 in twenty minutes, begun {start} ms into one");
        }
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
