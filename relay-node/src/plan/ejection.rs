//! Channels and keys that keep failing on this relay are left out for a while; keys that an upstream refuses are tried last.
//!
//! Each (channel, key, model) is watched by itself: one model may be overloaded, one key exhausted, while the rest is well. Five failures
//! in half a minute without a success eject it for ten seconds. When the time is over real traffic finds out: one request may try it;
//! its first output lets the next one try, its success forgets everything, its failure doubles the time, up to five minutes. A busy
//! upstream that says when to come back is left alone for that long at once. What never counts: errors of the caller (ruling R16). That
//! the last candidates are kept in any case is `sluice_routing`'s rule.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_routing::Standing;
use smallvec::SmallVec;

/// Failures within [`WINDOW_MILLIS`] that eject.
const FAILURES: usize = 5;
/// How far apart these may be, in milliseconds.
const WINDOW_MILLIS: u64 = 30_000;
/// How long the first ejection lasts, in milliseconds.
const FIRST_MILLIS: u64 = 10_000;
/// The longest ejection, in milliseconds.
const LONGEST_MILLIS: u64 = 300_000;
/// How long one request may take to find out whether it works again, before another one tries, in milliseconds.
const PROBE_MILLIS: u64 = 30_000;
/// How long a refused key is tried last at first, in milliseconds; it doubles like an ejection.
const SUSPECT_MILLIS: u64 = 60_000;
/// Keys that are remembered. Beyond it, what is over is forgotten.
const MAX_KEYS: usize = 10_000;
/// Models that are remembered of one key.
const MAX_MODELS: usize = 64;

/// A channel and one of its keys.
pub type Way = (ChannelId, ChannelKeyId);

/// What this relay remembers of failing channels. Times are milliseconds of the boot clock.
#[derive(Debug, Default)]
pub struct Ejections {
    /// Entries of `ways`: while nothing fails, nobody takes the lock.
    count: AtomicUsize,
    ways: RwLock<HashMap<Way, Marks>>,
}

/// What is remembered of one channel and key.
#[derive(Debug, Default)]
struct Marks {
    /// Until when the key is tried last.
    suspect_until: u64,
    /// Refusals of the key without a success in between.
    refusals: u32,
    /// When the last of them was.
    refused_at: u64,
    models: Vec<(Box<str>, Mark)>,
}

#[derive(Debug, Default)]
struct Mark {
    /// When the last failures were.
    failures: SmallVec<[u64; FAILURES]>,
    /// How often it was ejected without a success in between.
    ejections: u32,
    /// When it was left out last.
    since: u64,
    /// Until when it is left out.
    until: u64,
    /// Until when a request that finds out may take.
    probed_until: u64,
}

/// What is remembered, looked at once for a whole plan.
#[derive(Debug)]
pub struct Recent<'a> {
    ways: Option<RwLockReadGuard<'a, HashMap<Way, Marks>>>,
    now: u64,
}

impl Recent<'_> {
    /// How a channel and key stand for a model.
    #[must_use]
    pub fn standing(&self, way: Way, model: &str) -> Standing {
        let Some(marks) = self.ways.as_ref().and_then(|ways| ways.get(&way)) else { return Standing::Good };
        match marks.of(model) {
            Some(mark) if mark.is_out(self.now) => Standing::Ejected,
            _ if self.now < marks.suspect_until => Standing::Suspect,
            _ => Standing::Good,
        }
    }
}

impl Marks {
    fn of(&self, model: &str) -> Option<&Mark> {
        self.models.iter().find(|(name, _)| **name == *model).map(|(_, mark)| mark)
    }

    fn of_mut(&mut self, model: &str) -> Option<&mut Mark> {
        self.models.iter_mut().find(|(name, _)| **name == *model).map(|(_, mark)| mark)
    }

    /// Nothing of it matters any more.
    fn is_over(&self, now: u64) -> bool {
        let is_old = |mark: &Mark| mark.until.saturating_add(LONGEST_MILLIS) < now && mark.is_quiet(now);
        self.suspect_until.saturating_add(LONGEST_MILLIS) < now && self.models.iter().all(|(_, mark)| is_old(mark))
    }
}

impl Mark {
    fn is_out(&self, now: u64) -> bool {
        now < self.until || now < self.probed_until
    }

    fn is_quiet(&self, now: u64) -> bool {
        self.failures.last().is_none_or(|last| last.saturating_add(WINDOW_MILLIS) < now)
    }

    /// One more failure. `true` when that ejects it.
    fn failed(&mut self, wait: Option<Duration>, now: u64) -> bool {
        self.probed_until = 0;
        // Requests that were on their way when it was ejected tell nothing more.
        if now < self.until {
            return false;
        }
        self.failures.retain(|at| at.saturating_add(WINDOW_MILLIS) >= now);
        self.failures.push(now);
        let asked = wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let is_over = self.failures.len() >= FAILURES || self.ejections > 0;
        if is_over {
            self.until = now.saturating_add(doubled(FIRST_MILLIS, self.ejections).max(asked).min(LONGEST_MILLIS));
            self.ejections = self.ejections.saturating_add(1);
            self.failures.clear();
        } else if asked > 0 {
            self.until = now.saturating_add(asked.min(LONGEST_MILLIS));
        }
        let is_out = now < self.until;
        if is_out {
            self.since = now;
        }
        is_out
    }
}

fn doubled(first: u64, times: u32) -> u64 {
    first.saturating_mul(1 << times.min(16)).min(LONGEST_MILLIS)
}

impl Ejections {
    /// What is remembered at this moment.
    #[must_use]
    pub fn recent(&self, now: u64) -> Recent<'_> {
        let is_calm = self.count.load(Ordering::Relaxed) == 0;
        Recent { ways: (!is_calm).then(|| self.ways.read()), now }
    }

    /// An attempt begins. Where the time of an ejection is over, it is the one that finds out.
    pub fn begins(&self, way: Way, model: &str, now: u64) {
        self.change(way, |marks| {
            if let Some(mark) = marks.of_mut(model)
                && mark.ejections > 0
                && now >= mark.until
            {
                mark.probed_until = now.saturating_add(PROBE_MILLIS);
            }
        });
    }

    /// An attempt has told nothing about the channel, or not yet all of it: the next one may find out.
    pub fn undecided(&self, way: Way, model: &str) {
        self.change(way, |marks| {
            if let Some(mark) = marks.of_mut(model) {
                mark.probed_until = 0;
            }
        });
    }

    /// A channel answered well. Answers may be long: one that began before the channel was left out says nothing of it since.
    pub fn succeeded(&self, way: Way, model: &str, began: u64) {
        self.change(way, |marks| {
            if began >= marks.refused_at {
                (marks.suspect_until, marks.refusals) = (0, 0);
            }
            marks.models.retain(|(name, mark)| **name != *model || began < mark.since);
        });
    }

    /// A channel failed by its own fault. `wait` is what it asked for, if it did. `true` when that ejects it.
    pub fn failed(&self, way: Way, model: &str, wait: Option<Duration>, now: u64) -> bool {
        let mut ways = self.ways.write();
        let Some(marks) = Self::entry(&mut ways, way, now) else { return false };
        if marks.of(model).is_none() {
            if marks.models.len() >= MAX_MODELS {
                marks.models.retain(|(_, mark)| mark.is_out(now));
                marks.models.truncate(MAX_MODELS - 1);
            }
            marks.models.push((model.into(), Mark::default()));
        }
        let is_out = marks.of_mut(model).is_some_and(|mark| mark.failed(wait, now));
        self.count.store(ways.len(), Ordering::Relaxed);
        is_out
    }

    /// An upstream refused the key itself.
    pub fn refused(&self, way: Way, now: u64) {
        let mut ways = self.ways.write();
        if let Some(marks) = Self::entry(&mut ways, way, now) {
            marks.suspect_until = now.saturating_add(doubled(SUSPECT_MILLIS, marks.refusals));
            marks.refusals = marks.refusals.saturating_add(1);
            marks.refused_at = now;
        }
        self.count.store(ways.len(), Ordering::Relaxed);
    }

    /// How many channels, keys and models are left out.
    #[must_use]
    pub fn ejected(&self, now: u64) -> usize {
        let ways = self.ways.read();
        ways.values().flat_map(|marks| &marks.models).filter(|(_, mark)| mark.is_out(now)).count()
    }

    /// Changes what is remembered, if anything is.
    fn change(&self, way: Way, change: impl FnOnce(&mut Marks)) {
        if self.count.load(Ordering::Relaxed) == 0 || !self.ways.read().contains_key(&way) {
            return;
        }
        let mut ways = self.ways.write();
        if let Some(marks) = ways.get_mut(&way) {
            change(marks);
            if marks.models.is_empty() && marks.suspect_until == 0 {
                ways.remove(&way);
            }
        }
        self.count.store(ways.len(), Ordering::Relaxed);
    }

    fn entry(ways: &mut HashMap<Way, Marks>, way: Way, now: u64) -> Option<&mut Marks> {
        if ways.len() >= MAX_KEYS && !ways.contains_key(&way) {
            ways.retain(|_, marks| !marks.is_over(now));
            if ways.len() >= MAX_KEYS {
                return None;
            }
        }
        Some(ways.entry(way).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Way = (ChannelId::new(1), ChannelKeyId::new(10));
    const B: Way = (ChannelId::new(1), ChannelKeyId::new(11));

    fn fail(ejections: &Ejections, times: u32, now: u64) -> bool {
        (0..times).map(|_| ejections.failed(A, "m", None, now)).last().unwrap()
    }

    fn is_out(ejections: &Ejections, way: Way, model: &str, now: u64) -> bool {
        ejections.recent(now).standing(way, model) == Standing::Ejected
    }

    #[test]
    fn five_failures_in_half_a_minute_eject_for_ten_seconds() {
        let ejections = Ejections::default();
        assert!(!fail(&ejections, 4, 0));
        assert!(!is_out(&ejections, A, "m", 0));
        assert!(fail(&ejections, 1, 1_000));
        assert!(is_out(&ejections, A, "m", 10_999) && !is_out(&ejections, A, "m", 11_000));
        assert_eq!(ejections.ejected(1_000), 1);
    }

    #[test]
    fn another_key_or_model_of_the_channel_is_not_affected() {
        let ejections = Ejections::default();
        assert!(fail(&ejections, 5, 0));
        assert!(!is_out(&ejections, B, "m", 0) && !is_out(&ejections, A, "other", 0));
    }

    #[test]
    fn a_success_starts_over_and_the_window_moves_on() {
        let ejections = Ejections::default();
        fail(&ejections, 4, 0);
        ejections.succeeded(A, "m", 0);
        assert!(!fail(&ejections, 4, 0));
        assert!(!fail(&ejections, 1, WINDOW_MILLIS + 1), "the first four are too long ago");
        assert!(fail(&ejections, 4, WINDOW_MILLIS + 2));
    }

    #[test]
    fn one_request_finds_out_while_the_others_stay_away() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        assert!(!is_out(&ejections, A, "m", FIRST_MILLIS));
        ejections.begins(A, "m", FIRST_MILLIS);
        assert!(is_out(&ejections, A, "m", FIRST_MILLIS + 1), "somebody is finding out");
        assert!(!is_out(&ejections, A, "m", FIRST_MILLIS + PROBE_MILLIS), "who takes too long is not waited for");
        ejections.undecided(A, "m");
        assert!(!is_out(&ejections, A, "m", FIRST_MILLIS + 1));
        ejections.begins(A, "m", FIRST_MILLIS + 1);
        ejections.succeeded(A, "m", FIRST_MILLIS + 1);
        assert!(!is_out(&ejections, A, "m", FIRST_MILLIS + 2) && !fail(&ejections, 4, FIRST_MILLIS + 2));
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_five_minutes() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        let mut now = FIRST_MILLIS;
        for expected in [20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
            ejections.begins(A, "m", now);
            assert!(fail(&ejections, 1, now));
            assert!(is_out(&ejections, A, "m", now + expected - 1) && !is_out(&ejections, A, "m", now + expected), "{expected}");
            now += expected;
        }
    }

    #[test]
    fn a_busy_channel_that_names_its_wait_is_left_alone_for_so_long() {
        let ejections = Ejections::default();
        assert!(ejections.failed(A, "m", Some(Duration::from_secs(7)), 0));
        assert!(is_out(&ejections, A, "m", 6_999) && !is_out(&ejections, A, "m", 7_000));
        assert!(ejections.failed(A, "m", Some(Duration::from_hours(1)), 7_000));
        assert!(!is_out(&ejections, A, "m", 7_000 + LONGEST_MILLIS));
    }

    #[test]
    fn late_failures_of_requests_begun_before_do_not_prolong_it() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 0);
        assert!(!fail(&ejections, 500, 1_000));
        assert!(!is_out(&ejections, A, "m", FIRST_MILLIS));
    }

    #[test]
    fn a_refused_key_is_tried_last_for_every_model_until_it_works() {
        let ejections = Ejections::default();
        ejections.refused(A, 0);
        let standing = |now| ejections.recent(now).standing(A, "any");
        assert_eq!((standing(SUSPECT_MILLIS - 1), standing(SUSPECT_MILLIS)), (Standing::Suspect, Standing::Good));
        ejections.refused(A, SUSPECT_MILLIS);
        assert_eq!(standing(SUSPECT_MILLIS * 3 - 1), Standing::Suspect);
        assert_eq!(ejections.recent(0).standing(B, "any"), Standing::Good);
        ejections.succeeded(A, "any", SUSPECT_MILLIS - 1);
        assert_eq!(standing(SUSPECT_MILLIS), Standing::Suspect, "that began before it was refused");
        ejections.succeeded(A, "any", SUSPECT_MILLIS);
        assert_eq!(standing(SUSPECT_MILLIS), Standing::Good);
    }

    #[test]
    fn an_answer_that_began_before_the_ejection_does_not_end_it() {
        let ejections = Ejections::default();
        fail(&ejections, 5, 1_000);
        ejections.succeeded(A, "m", 999);
        assert!(is_out(&ejections, A, "m", 2_000));
        ejections.succeeded(A, "m", 1_500);
        assert!(!is_out(&ejections, A, "m", 2_000), "the last candidate is asked all the same, and this one does well");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let ejections = Ejections::default();
        for id in 0..i64::try_from(MAX_KEYS).unwrap() + 10 {
            ejections.refused((ChannelId::new(id), ChannelKeyId::new(id)), 0);
        }
        assert_eq!(ejections.ways.read().len(), MAX_KEYS);
        let later = SUSPECT_MILLIS + LONGEST_MILLIS + 1;
        ejections.refused((ChannelId::new(-1), ChannelKeyId::new(-1)), later);
        assert_eq!(ejections.ways.read().len(), 1);
        for model in 0..MAX_MODELS + 10 {
            ejections.failed(A, &model.to_string(), None, later);
        }
        assert!(ejections.ways.read()[&A].models.len() <= MAX_MODELS);
    }
}
