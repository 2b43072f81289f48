//! Counters in this process: all there is without Redis, and what a relay remembers of Redis while it answers.
//!
//! A counter holds what was counted here and what Redis last said, on one time scale; the larger of both counts. So a relay that loses
//! Redis goes on from what it knew, and a Redis that lost everything hears from the relays how far its limits were used up. The map has
//! a bound: when it is full, newcomers share counters picked by their hash until others are refilled; nobody goes unlimited.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use sluice_domain::Counted;
use smallvec::SmallVec;

use crate::ask::{Ask, Key, Said};
use crate::gcra::{self, MOST_WINDOWS, Verdict};

/// What several counters said, in the order they were asked.
pub(crate) type Answers = SmallVec<[Said; 4]>;

/// Counters that newcomers share when there is no place for their own.
const SHARED: u64 = 4_096;
/// The least time between two looks for counters to drop, in microseconds. A look visits every counter.
const SWEEP_PAUSE: u64 = 1_000_000;

/// One counter. Moments are microseconds of the clock since boot.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// When everything counted here is refilled.
    own: u64,
    /// When everything Redis knew of is refilled, by what it last said.
    seen: u64,
    /// Requests of this relay that run.
    running: u64,
    /// What was admitted here while Redis did not answer, in microseconds of level: it has to hear of it.
    alone: u64,
}

impl Counter {
    fn is_idle(&self, now: u64) -> bool {
        self.own <= now && self.seen <= now && self.running == 0
    }

    fn level(&self, now: u64) -> u64 {
        self.own.max(self.seen).saturating_sub(now)
    }
}

/// Counters of this process.
#[derive(Debug)]
pub(crate) struct Local {
    counters: Mutex<Counters>,
    capacity: usize,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Counters {
    own: HashMap<Key, Counter>,
    shared: HashMap<u64, Counter>,
    next_sweep: u64,
}

impl Local {
    /// Counters for at most so many keys, beside those of running requests.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { counters: Mutex::default(), capacity, hasher: RandomState::new() }
    }

    /// Takes what all asks want, or nothing. `relays`: among how many each limit is shared out.
    pub(crate) fn take(&self, asks: &[Ask], relays: u64, now: u64) -> (bool, Answers) {
        let mut counters = self.counters.lock();
        let judged: Answers = asks.iter().map(|ask| judge(&self.read(&counters, &ask.key), ask, relays, now)).collect();
        if asks.iter().zip(&judged).any(|(ask, said)| !said.fits && !ask.limit.is_shadow) {
            let untaken = |(ask, said): (&Ask, &Said)| Said { level: at(&self.read(&counters, &ask.key), ask, now), ..*said };
            return (false, asks.iter().zip(&judged).map(untaken).collect());
        }
        for (ask, said) in asks.iter().zip(&judged).filter(|(_, said)| said.fits) {
            let counter = self.counter(&mut counters, &ask.key, now);
            match ask.key.of {
                Counted::Concurrency => counter.running = said.level,
                _ => counter.own = now.saturating_add(said.level),
            }
        }
        (true, judged)
    }

    /// Counts more than was thought, whether it fits or not, up to the highest level there is.
    pub(crate) fn charge(&self, key: &Key, cost: u64, now: u64) {
        let most = u64::from(key.window_secs) * 1_000_000 * MOST_WINDOWS;
        let mut counters = self.counters.lock();
        let counter = self.counter(&mut counters, key, now);
        counter.own = now.saturating_add(counter.level(now).saturating_add(cost).min(most));
    }

    /// Gives back what was not used.
    pub(crate) fn give_back(&self, key: &Key, cost: u64, now: u64) {
        let mut counters = self.counters.lock();
        let counter = self.counter(&mut counters, key, now);
        counter.own = counter.own.saturating_sub(cost);
        counter.seen = counter.seen.saturating_sub(cost);
    }

    /// Remembers the level Redis told.
    pub(crate) fn remember(&self, key: &Key, level: u64, now: u64) {
        let mut counters = self.counters.lock();
        self.counter(&mut counters, key, now).seen = now.saturating_add(level);
    }

    /// The level by what Redis last said.
    pub(crate) fn remembered(&self, key: &Key, now: u64) -> u64 {
        self.read(&self.counters.lock(), key).seen.saturating_sub(now)
    }

    /// Notes that requests were admitted without Redis.
    pub(crate) fn admitted_alone(&self, ask: &Ask, now: u64) {
        let Some(pace) = ask.pace().filter(|_| ask.key.of == Counted::Requests) else { return };
        let mut counters = self.counters.lock();
        let counter = self.counter(&mut counters, &ask.key, now);
        counter.alone = counter.alone.saturating_add(pace.cost(ask.cells));
    }

    /// What was admitted without Redis and it has not heard of.
    pub(crate) fn alone(&self, key: &Key) -> u64 {
        self.read(&self.counters.lock(), key).alone
    }

    /// All of it, by counter.
    pub(crate) fn all_alone(&self) -> Vec<(Key, u64)> {
        let counters = self.counters.lock();
        counters.own.iter().filter(|(_, counter)| counter.alone > 0).map(|(key, counter)| (key.clone(), counter.alone)).collect()
    }

    /// Redis has heard of so much of it.
    pub(crate) fn told_alone(&self, key: &Key, cost: u64, now: u64) {
        let mut counters = self.counters.lock();
        let counter = self.counter(&mut counters, key, now);
        counter.alone = counter.alone.saturating_sub(cost);
    }

    /// One more runs. Gives how many that makes.
    pub(crate) fn begin(&self, key: &Key, now: u64) -> u64 {
        let mut counters = self.counters.lock();
        let counter = self.counter(&mut counters, key, now);
        counter.running += 1;
        counter.running
    }

    /// One of those that ran ended.
    pub(crate) fn end(&self, key: &Key, now: u64) {
        let mut counters = self.counters.lock();
        let Some(counter) = counters.own.get_mut(key) else { return };
        counter.running = counter.running.saturating_sub(1);
        if counter.is_idle(now) {
            counters.own.remove(key);
        }
    }

    /// How many counters have a place of their own.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.counters.lock().own.len()
    }

    fn read(&self, counters: &Counters, key: &Key) -> Counter {
        if let Some(counter) = counters.own.get(key) {
            return *counter;
        }
        let is_full = self.must_share(counters, key);
        let shared = if is_full { counters.shared.get(&self.share_of(key)) } else { None };
        shared.copied().unwrap_or_default()
    }

    fn counter<'c>(&self, counters: &'c mut Counters, key: &Key, now: u64) -> &'c mut Counter {
        if self.must_share(counters, key) && now >= counters.next_sweep && !counters.own.contains_key(key) {
            counters.next_sweep = now.saturating_add(SWEEP_PAUSE);
            counters.own.retain(|_, counter| !counter.is_idle(now));
            counters.shared.retain(|_, counter| !counter.is_idle(now));
        }
        if self.must_share(counters, key) && !counters.own.contains_key(key) {
            return counters.shared.entry(self.share_of(key)).or_default();
        }
        counters.own.entry(key.clone()).or_default()
    }

    /// Whether there is no place for another counter. Those of running requests always have one: requests have a bound of their own,
    /// and one that begins here must find its counter when it ends.
    fn must_share(&self, counters: &Counters, key: &Key) -> bool {
        key.of.has_window() && counters.own.len() >= self.capacity
    }

    fn share_of(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key) % SHARED
    }
}

/// How a counter stands, in what it counts.
fn at(counter: &Counter, ask: &Ask, now: u64) -> u64 {
    if ask.key.of.has_window() { counter.level(now) } else { counter.running }
}

fn judge(counter: &Counter, ask: &Ask, relays: u64, now: u64) -> Said {
    let level = at(counter, ask, now);
    let Verdict { fits, level } = match ask.pace() {
        Some(pace) => {
            let (cost, room) = pace.share(ask.cells, relays);
            gcra::judge(level, cost, room)
        }
        None => gcra::judge(level, 1, gcra::share_of_moment(ask.limit.count, relays)),
    };
    Said { fits, level }
}

#[cfg(test)]
mod tests {
    use sluice_domain::{Limit, ModelName, TokenId, UserId};

    use super::*;
    use crate::ask::Subject;

    const SECOND: u64 = 1_000_000;

    fn ask(token: i64, of: Counted, count: u64, is_shadow: bool) -> Ask {
        let window_secs = if of.has_window() { 60 } else { 0 };
        Ask::new(Subject::Token(UserId::new(1), TokenId::new(token)), &Limit { of, count, window_secs, is_shadow }, 10)
    }

    fn passes(local: &Local, asks: &[Ask], relays: u64, now: u64, tries: u32) -> usize {
        (0..tries).filter(|_| local.take(asks, relays, now).0).count()
    }

    #[test]
    fn all_limits_are_kept_or_nothing_is_taken() {
        let local = Local::new(100);
        let asks =
            [ask(1, Counted::Requests, 5, false), ask(1, Counted::Tokens, 30, false), ask(1, Counted::Concurrency, 9, false)];
        assert_eq!(passes(&local, &asks, 1, 0, 20), 3, "tokens are the scarcest");
        let (_, said) = local.take(&asks, 1, 0);
        assert_eq!(
            said.iter().map(|said| (said.fits, said.level)).collect::<Vec<_>>(),
            [(true, 36 * SECOND), (false, 60 * SECOND), (true, 3)]
        );
    }

    #[test]
    fn a_shadow_limit_says_no_and_lets_pass() {
        let local = Local::new(100);
        let asks = [ask(1, Counted::Requests, 2, true), ask(1, Counted::Successes, 4, false)];
        let said: Vec<bool> = (0..5).map(|_| local.take(&asks, 1, 0).1[0].fits).collect();
        assert_eq!(said, [true, true, false, false, false]);
        assert_eq!(passes(&local, &asks, 1, 30 * SECOND, 9), 2, "the other limit still holds");
    }

    #[test]
    fn what_ran_gives_its_place_back_and_nothing_is_kept_of_it() {
        let local = Local::new(0);
        let asks = [ask(1, Counted::Concurrency, 2, false)];
        assert_eq!(passes(&local, &asks, 1, 0, 9), 2);
        local.end(&asks[0].key, 0);
        assert_eq!(passes(&local, &asks, 1, 0, 9), 1);
        for _ in 0..2 {
            local.end(&asks[0].key, 0);
        }
        local.end(&asks[0].key, 0);
        assert_eq!(local.len(), 0);
    }

    #[test]
    fn a_limit_is_shared_out_among_relays_and_a_place_remains_for_each() {
        let local = Local::new(100);
        assert_eq!(passes(&local, &[ask(1, Counted::Requests, 9, false)], 3, 0, 99), 3);
        assert_eq!(passes(&local, &[ask(2, Counted::Requests, 1, false)], 3, 0, 99), 1);
        assert_eq!(
            passes(&local, &[ask(2, Counted::Requests, 1, false)], 3, 179 * SECOND, 99),
            0,
            "its turn is every third window"
        );
        assert_eq!(passes(&local, &[ask(3, Counted::Concurrency, 2, false)], 3, 0, 99), 1);
    }

    #[test]
    fn what_redis_said_is_where_a_relay_goes_on() {
        let local = Local::new(100);
        let asks = [ask(1, Counted::Requests, 6, false)];
        local.remember(&asks[0].key, 40 * SECOND, 0);
        assert_eq!(local.remembered(&asks[0].key, 10 * SECOND), 30 * SECOND);
        assert_eq!(passes(&local, &asks, 1, 0, 9), 2);
        assert_eq!(local.remembered(&asks[0].key, 0), 40 * SECOND, "what is counted here is not what Redis said");
    }

    #[test]
    fn corrections_move_the_level_and_never_beyond_two_windows() {
        let local = Local::new(100);
        let asks = [ask(1, Counted::Tokens, 60, false)];
        assert!(local.take(&asks, 1, 0).0);
        local.give_back(&asks[0].key, 8 * SECOND, 0);
        assert_eq!(local.take(&asks, 1, 0).1[0].level, 12 * SECOND);
        local.charge(&asks[0].key, u64::MAX, 0);
        assert_eq!(local.take(&asks, 1, 0).1[0].level, 120 * SECOND);
        local.give_back(&asks[0].key, u64::MAX, 0);
        assert!(local.take(&asks, 1, 0).0);
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_nobody_goes_unlimited() {
        let local = Local::new(50);
        let limit = Limit { of: Counted::Requests, count: 1, window_secs: 60, is_shadow: false };
        let by_name = |name: u32| Ask::new(Subject::Model(ModelName::parse(&format!("m{name}")).unwrap()), &limit, 0);
        let passed: usize = (0..30_000).map(|name| passes(&local, &[by_name(name)], 1, 0, 1)).sum();
        assert!(local.len() <= 50);
        assert!(passed <= 50 + 4_096, "{passed} passed");
        assert_eq!(passes(&local, &[by_name(0)], 1, 0, 1), 0, "a counter from before the flood still holds");
        assert_eq!(passes(&local, &[by_name(40_000)], 1, 90 * SECOND, 1), 1);
        assert_eq!(local.len(), 1, "what is refilled made room");
    }
}
