//! How many retries a relay makes: when everything fails, trying everything again only adds to it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// One retry is allowed for so many requests, beside [`EACH_SECOND`].
const REQUESTS_PER_RETRY: u64 = 5;
/// Retries a second that are allowed however few requests there are.
const EACH_SECOND: u64 = 10;
/// Retries that may have been saved up.
const MOST: u64 = 100;
/// Parts of a retry that are counted.
const RETRY: u64 = 1_000;

/// Retries that may be made. Requests earn them, and so does time.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Requests since the last retry.
    requests: AtomicU64,
    saved: Mutex<Saved>,
}

#[derive(Debug)]
struct Saved {
    /// In parts of [`RETRY`].
    parts: u64,
    /// When time was last counted, in milliseconds of the boot clock.
    at: u64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { requests: AtomicU64::new(0), saved: Mutex::new(Saved { parts: MOST * RETRY, at: 0 }) }
    }
}

impl RetryBudget {
    /// A request begins.
    pub(super) fn earn(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry, if there is one.
    #[must_use]
    pub(super) fn take(&self, now: u64) -> bool {
        let mut saved = self.saved.lock();
        let by_requests = self.requests.swap(0, Ordering::Relaxed).saturating_mul(RETRY / REQUESTS_PER_RETRY);
        let by_time = now.saturating_sub(saved.at).saturating_mul(EACH_SECOND * RETRY / 1_000);
        saved.at = now;
        saved.parts = saved.parts.saturating_add(by_requests).saturating_add(by_time).min(MOST * RETRY);
        match saved.parts.checked_sub(RETRY) {
            Some(rest) => {
                saved.parts = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_earned_by_requests_and_by_time() {
        let budget = RetryBudget::default();
        assert_eq!((0..1_000).filter(|_| budget.take(0)).count(), 100);
        for _ in 0..4 {
            budget.earn();
        }
        assert!(!budget.take(0));
        budget.earn();
        assert!(budget.take(0) && !budget.take(0));
        assert_eq!((0..1_000).filter(|_| budget.take(1_000)).count(), 10);
        assert_eq!((0..1_000).filter(|_| budget.take(1_000_000)).count(), 100, "no more than that is saved up");
    }
}
