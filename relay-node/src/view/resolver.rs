//! Keys that are not known here: asked once for everyone who waits, and not too often.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use ahash::RandomState;
use parking_lot::Mutex;
use sluice_domain::KeyDigest;
use tokio::sync::{mpsc, watch};

/// Keys that may be asked for per second without being found, and at once after a pause. A flood of invented keys stops here.
const UNKNOWN_PER_SECOND: u64 = 100;
/// As many when every key there is should be held: what is not held is invented, or was made this moment.
const UNLIKELY_PER_SECOND: u64 = 10;
/// Keys that may be asked for at the same time.
const MAX_IN_FLIGHT: usize = 256;

/// What asking led to.
#[derive(Debug)]
pub(super) enum Wait {
    /// It is being asked: wait until the sender goes.
    For(watch::Receiver<()>),
    /// It is not asked: nobody is there, or too many unknown keys were asked for.
    NotNow,
}

/// The questions under way.
#[derive(Debug)]
pub(super) struct Resolver {
    state: Mutex<State>,
    questions: mpsc::Sender<KeyDigest>,
    is_connected: AtomicBool,
}

#[derive(Debug)]
struct State {
    in_flight: HashMap<KeyDigest, watch::Sender<()>, RandomState>,
    /// Questions that may still turn out unknown.
    likely: Allowance,
    unlikely: Allowance,
}

/// How many more questions may turn out unknown.
#[derive(Debug)]
struct Allowance {
    per_second: u64,
    /// In thousandths.
    left: u64,
    earned_at: u64,
}

impl Resolver {
    pub(super) fn new() -> (Self, mpsc::Receiver<KeyDigest>) {
        let (questions, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let (likely, unlikely) = (Allowance::new(UNKNOWN_PER_SECOND), Allowance::new(UNLIKELY_PER_SECOND));
        let state = State { in_flight: HashMap::default(), likely, unlikely };
        (Self { state: Mutex::new(state), questions, is_connected: AtomicBool::new(false) }, receiver)
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
        if !is_connected {
            // whoever waits is told at once that nobody answers
            self.state.lock().in_flight.clear();
        }
    }

    /// Asks for a key. `is_likely`: keys that exist may well not be held here.
    pub(super) fn ask(&self, digest: KeyDigest, is_likely: bool, now: u64) -> Wait {
        if !self.is_connected.load(Ordering::Relaxed) {
            return Wait::NotNow;
        }
        let mut state = self.state.lock();
        if let Some(asked) = state.in_flight.get(&digest) {
            return Wait::For(asked.subscribe());
        }
        let allowance = if is_likely { &mut state.likely } else { &mut state.unlikely };
        let is_allowed = allowance.take(now);
        if !is_allowed || state.in_flight.len() >= MAX_IN_FLIGHT || self.questions.try_send(digest).is_err() {
            return Wait::NotNow;
        }
        let (sender, receiver) = watch::channel(());
        state.in_flight.insert(digest, sender);
        Wait::For(receiver)
    }

    /// Wakes everyone who waits for this key.
    pub(super) fn answered(&self, digest: &KeyDigest, is_found: bool) {
        let mut state = self.state.lock();
        let was_asked = state.in_flight.remove(digest).is_some();
        if is_found && was_asked {
            state.likely.give_back();
            state.unlikely.give_back();
        }
    }
}

impl Allowance {
    const fn new(per_second: u64) -> Self {
        Self { per_second, left: per_second * 1000, earned_at: 0 }
    }

    fn take(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.earned_at).saturating_mul(self.per_second);
        self.earned_at = now;
        self.left = self.left.saturating_add(earned).min(self.per_second * 1000);
        let is_allowed = self.left >= 1000;
        if is_allowed {
            self.left -= 1000;
        }
        is_allowed
    }

    /// What was asked for exists.
    fn give_back(&mut self) {
        self.left = (self.left + 1000).min(self.per_second * 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(wait: &Wait) -> bool {
        matches!(wait, Wait::For(_))
    }

    fn key(number: u32) -> KeyDigest {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        KeyDigest(bytes)
    }

    #[test]
    fn a_key_is_asked_once_for_all_who_wait() {
        let (resolver, mut questions) = Resolver::new();
        resolver.set_connected(true);
        let (one, two) = (resolver.ask(key(1), true, 0), resolver.ask(key(1), true, 0));
        assert!(asked(&one) && asked(&two));
        assert_eq!(questions.try_recv(), Ok(key(1)));
        assert!(questions.try_recv().is_err());
        resolver.answered(&key(1), true);
        for wait in [one, two] {
            let Wait::For(receiver) = wait else { panic!("not asked") };
            assert!(receiver.has_changed().is_err(), "the waiter is not woken");
        }
    }

    #[test]
    fn invented_keys_are_asked_so_many_times_a_second_and_real_ones_do_not_count() {
        let (resolver, mut questions) = Resolver::new();
        resolver.set_connected(true);
        let mut tried = 0;
        let mut flood = |is_likely: bool, now: u64, is_found: bool| {
            (0..20_000_u32)
                .filter(|_| {
                    tried += 1;
                    let was_asked = asked(&resolver.ask(key(tried), is_likely, now));
                    if was_asked {
                        assert_eq!(questions.try_recv(), Ok(key(tried)));
                        resolver.answered(&key(tried), is_found);
                    }
                    was_asked
                })
                .count()
        };
        assert_eq!(flood(true, 0, false), 100);
        assert_eq!(flood(true, 500, false), 50);
        assert_eq!(flood(false, 500, false), 10);
        assert_eq!(flood(false, 1_000, false), 5);
        assert_eq!(flood(true, 1_010, true), 20_000);
        assert_eq!(flood(false, 1_100, true), 20_000);
    }

    #[test]
    fn without_a_connection_nobody_waits() {
        let (resolver, _questions) = Resolver::new();
        assert!(!asked(&resolver.ask(key(1), true, 0)));
        resolver.set_connected(true);
        let Wait::For(receiver) = resolver.ask(key(1), true, 0) else { panic!("not asked") };
        resolver.set_connected(false);
        assert!(receiver.has_changed().is_err());
    }
}
