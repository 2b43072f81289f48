//! Channels that keep failing on this relay are left out for a while.
//!
//! Five failures in a row within half a minute eject a channel for ten seconds. When the time is over it may be tried again: one
//! success forgets everything, one failure ejects it for twice as long, up to five minutes. What never counts: errors of the caller.
//! That the last candidates are kept in any case is `sluice_routing`'s rule.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use sluice_domain::ChannelId;

/// Failures in a row that eject a channel.
const FAILURES: u32 = 5;
/// Failures further apart than this are not in a row, in milliseconds.
const WINDOW_MILLIS: u64 = 30_000;
/// How long the first ejection lasts, in milliseconds.
const FIRST_MILLIS: u64 = 10_000;
/// The longest ejection, in milliseconds.
const LONGEST_MILLIS: u64 = 300_000;

/// What this relay remembers of failing channels. Times are milliseconds of the boot clock.
#[derive(Debug, Default)]
pub struct Ejections {
    /// Entries of `marked`: while nothing fails, nobody takes the lock.
    count: AtomicUsize,
    marked: RwLock<HashMap<ChannelId, Mark>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Failures in a row.
    failures: u32,
    /// When the first of them was.
    since: u64,
    /// How often it was ejected without a success in between.
    ejections: u32,
    /// Until when it is left out.
    until: u64,
}

impl Ejections {
    /// Whether a channel is to be left out.
    #[must_use]
    pub fn is_ejected(&self, channel: ChannelId, now: u64) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.marked.read().get(&channel).is_some_and(|mark| now < mark.until)
    }

    /// A channel answered well.
    pub fn succeeded(&self, channel: ChannelId) {
        if self.count.load(Ordering::Relaxed) == 0 || !self.marked.read().contains_key(&channel) {
            return;
        }
        let mut marked = self.marked.write();
        marked.remove(&channel);
        self.count.store(marked.len(), Ordering::Relaxed);
    }

    /// A channel failed by its own fault. `wait` is what it asked for, if it did. `true` when that ejects it.
    pub fn failed(&self, channel: ChannelId, wait: Option<Duration>, now: u64) -> bool {
        let mut marked = self.marked.write();
        let mark = marked.entry(channel).or_default();
        // Requests that were on their way when it was ejected tell nothing more.
        if now < mark.until {
            return false;
        }
        if mark.failures == 0 || now.saturating_sub(mark.since) > WINDOW_MILLIS {
            (mark.failures, mark.since) = (0, now);
        }
        mark.failures += 1;
        let is_over = mark.failures >= FAILURES || mark.ejections > 0;
        if is_over {
            let doubled = FIRST_MILLIS.saturating_mul(1 << mark.ejections.min(16));
            let asked = wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            mark.until = now.saturating_add(doubled.max(asked).min(LONGEST_MILLIS));
            mark.ejections = mark.ejections.saturating_add(1);
            mark.failures = 0;
        }
        self.count.store(marked.len(), Ordering::Relaxed);
        is_over
    }

    /// How many channels are left out.
    #[must_use]
    pub fn ejected(&self, now: u64) -> usize {
        self.marked.read().values().filter(|mark| now < mark.until).count()
    }

    /// Forgets channels that are not there any more.
    pub fn retain(&self, exists: impl Fn(ChannelId) -> bool) {
        let mut marked = self.marked.write();
        marked.retain(|channel, _| exists(*channel));
        self.count.store(marked.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ChannelId = ChannelId::new(1);

    fn fail(ejections: &Ejections, times: u32, now: u64) -> bool {
        (0..times).map(|_| ejections.failed(A, None, now)).last().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_eject_for_ten_seconds() {
        let ejections = Ejections::default();
        assert!(!fail(&ejections, 4, 0));
        assert!(!ejections.is_ejected(A, 0));
        assert!(fail(&ejections, 1, 1_000));
        assert!(ejections.is_ejected(A, 10_999));
        assert!(!ejections.is_ejected(A, 11_000));
        assert!(!ejections.is_ejected(ChannelId::new(2), 1_000));
        assert_eq!(ejections.ejected(1_000), 1);
    }

    #[test]
    fn a_success_or_a_long_time_in_between_starts_over() {
        let ejections = Ejections::default();
        fail(&ejections, 4, 0);
        ejections.succeeded(A);
        assert!(!fail(&ejections, 4, 0));
        assert!(!fail(&ejections, 4, WINDOW_MILLIS + 1));
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_five_minutes() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        let mut now = FIRST_MILLIS;
        for expected in [20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
            assert!(fail(&ejections, 1, now));
            assert!(ejections.is_ejected(A, now + expected - 1), "{expected}");
            assert!(!ejections.is_ejected(A, now + expected), "{expected}");
            now += expected;
        }
        ejections.succeeded(A);
        assert!(!fail(&ejections, 4, now));
    }

    #[test]
    fn a_channel_that_names_its_wait_gets_it() {
        let ejections = Ejections::default();
        fail(&ejections, 4, 0);
        assert!(ejections.failed(A, Some(Duration::from_mins(1)), 0));
        assert!(ejections.is_ejected(A, 59_999));
    }

    #[test]
    fn late_failures_of_requests_begun_before_do_not_prolong_it() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        assert!(!fail(&ejections, 500, 1_000));
        assert!(!ejections.is_ejected(A, FIRST_MILLIS));
    }

    #[test]
    fn channels_that_are_gone_are_forgotten() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        ejections.retain(|_| false);
        assert!(!ejections.is_ejected(A, 0));
    }
}
