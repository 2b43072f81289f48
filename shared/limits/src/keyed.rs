//! One limit per key: per address, per user, per token.

use std::fmt;
use std::hash::Hash;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};
use sluice_domain::Clock;

use crate::bounded::BoundedStore;
use crate::rate::{Rate, RateError};

/// Refused: how long until one more is allowed, if nobody else uses it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rate limit reached, the next is allowed in {} ms", .0.as_millis())]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// The wait in whole seconds, rounded up, at least 1: the value of a `Retry-After` header.
    #[must_use]
    pub fn as_header_secs(&self) -> u64 {
        (self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)).max(1)
    }
}

/// Limits each key to a rate.
///
/// Holds at most a fixed number of keys. When it is full, newcomers share limits until others have been idle long enough to be
/// dropped; nobody goes unlimited.
pub struct KeyedLimiter<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, BoundedStore<K>, SinceStart, NoOpMiddleware<Nanos>>,
    store: BoundedStore<K>,
    clock: SinceStart,
    rate: Rate,
    next_sweep_millis: AtomicU64,
}

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// Keys a limiter holds unless told otherwise.
    pub const CAPACITY: usize = 100_000;
    /// The least time between two sweeps that a full map asks for, in milliseconds. A sweep visits every key.
    const SWEEP_PAUSE_MILLIS: u64 = 1_000;

    /// A limiter that holds at most `capacity` keys.
    ///
    /// # Errors
    /// When the rate cannot be enforced.
    pub fn new(rate: Rate, capacity: usize, clock: Clock) -> Result<Self, RateError> {
        let quota = Quota::with_period(rate.per_cell()).ok_or(RateError::Period)?.allow_burst(rate.burst());
        let store = BoundedStore::new(capacity);
        let clock = SinceStart { clock, origin: OnceLock::new() };
        clock.now(); // fixes the origin for this copy and the limiter's
        let limiter = RateLimiter::new(quota, store.clone(), clock.clone());
        Ok(Self { limiter, store, clock, rate, next_sweep_millis: AtomicU64::new(0) })
    }

    /// Uses one up for this key.
    ///
    /// # Errors
    /// When there is none left: how long to wait. Nothing is used up then.
    pub fn check(&self, key: &K) -> Result<(), RetryAfter> {
        if self.store.take_crowded() {
            self.sweep_if_due();
        }
        self.limiter.check_key(key).map_err(|until| RetryAfter(until.wait_time_from(self.clock.now())))
    }

    /// Tells whether [`KeyedLimiter::check`] would pass, and uses nothing up.
    ///
    /// # Errors
    /// When there is none left: how long to wait.
    pub fn peek(&self, key: &K) -> Result<(), RetryAfter> {
        let arrival = self.store.arrival(key).map_or(Duration::ZERO, Duration::from);
        let tolerance = self.rate.per_cell() * (self.rate.burst().get() - 1);
        let earliest = arrival.saturating_sub(tolerance);
        match earliest.checked_sub(self.clock.now().into()) {
            Some(wait) if !wait.is_zero() => Err(RetryAfter(wait)),
            _ => Ok(()),
        }
    }

    /// Gives a key its whole burst back, as after a successful sign-in.
    pub fn forget(&self, key: &K) {
        self.store.forget(key);
    }

    /// Drops the keys that have their whole burst back. A full limiter does so by itself, at most once a second; call it now and
    /// then to give memory back earlier.
    pub fn sweep(&self) {
        self.limiter.retain_recent();
    }

    /// How many keys are held.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.limiter.len()
    }

    fn sweep_if_due(&self) {
        let now_millis = Nanos::as_u64(self.clock.now()) / NANOS_PER_MILLI;
        let due = self.next_sweep_millis.load(Ordering::Relaxed);
        let next = now_millis + Self::SWEEP_PAUSE_MILLIS;
        let is_ours =
            now_millis >= due && self.next_sweep_millis.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_ours {
            self.sweep();
        }
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for KeyedLimiter<K> {
    /// Keys may be addresses or names of people: they are counted, not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter").field("rate", &self.rate).field("keys", &self.keys()).finish_non_exhaustive()
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Time since the limiter was made, by the clock that never goes back. Starting at zero keeps the limiter's own arithmetic and
/// [`KeyedLimiter::peek`] on the same scale.
#[derive(Clone)]
struct SinceStart {
    clock: Clock,
    origin: OnceLock<u64>,
}

impl governor::clock::Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let millis = self.clock.read().boot_millis;
        let origin = *self.origin.get_or_init(|| millis);
        Nanos::new(millis.saturating_sub(origin).saturating_mul(NANOS_PER_MILLI))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use sluice_domain::{Now, UnixMillis};

    /// A clock that stands still until it is set.
    fn frozen() -> (Clock, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(5_000));
        let read = Arc::clone(&millis);
        (Clock::new(move || Now { wall: UnixMillis(0), boot_millis: read.load(Ordering::Relaxed) }), millis)
    }

    fn limiter(count: u32, secs: u64, capacity: usize) -> (KeyedLimiter<u32>, Arc<AtomicU64>) {
        let (clock, millis) = frozen();
        let rate = Rate::new(count, Duration::from_secs(secs)).unwrap();
        (KeyedLimiter::new(rate, capacity, clock).unwrap(), millis)
    }

    fn passes(limiter: &KeyedLimiter<u32>, key: u32, tries: u32) -> usize {
        (0..tries).filter(|_| limiter.check(&key).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let (limiter, millis) = limiter(5, 10, 100);
        assert_eq!(passes(&limiter, 1, 20), 5);
        assert_eq!(limiter.check(&1), Err(RetryAfter(Duration::from_secs(2))));
        millis.fetch_add(1_999, Ordering::Relaxed);
        assert_eq!(limiter.check(&1), Err(RetryAfter(Duration::from_millis(1))));
        millis.fetch_add(1, Ordering::Relaxed);
        assert_eq!(passes(&limiter, 1, 20), 1);
        millis.fetch_add(60_000, Ordering::Relaxed);
        assert_eq!(passes(&limiter, 1, 20), 5, "a pause never saves up more than the burst");
    }

    #[test]
    fn keys_do_not_share_what_they_have() {
        let (limiter, _) = limiter(2, 10, 100);
        assert_eq!(passes(&limiter, 1, 9), 2);
        assert_eq!(passes(&limiter, 2, 9), 2);
    }

    #[test]
    fn peeking_agrees_with_checking_and_uses_nothing_up() {
        let (limiter, millis) = limiter(3, 7, 100);
        for step in 0..200 {
            let key = step % 3;
            let foreseen = limiter.peek(&key);
            assert_eq!(limiter.peek(&key), foreseen);
            assert_eq!(limiter.check(&key), foreseen, "step {step}");
            millis.fetch_add(u64::from(step * 37 % 900), Ordering::Relaxed);
        }
        let held = limiter.keys();
        assert_eq!(limiter.peek(&999), Ok(()));
        assert_eq!(limiter.keys(), held);
    }

    #[test]
    fn forgetting_gives_the_burst_back() {
        let (limiter, _) = limiter(2, 10, 100);
        assert_eq!(passes(&limiter, 1, 9), 2);
        limiter.forget(&1);
        assert_eq!(passes(&limiter, 1, 9), 2);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_nobody_goes_unlimited() {
        let (limiter, _) = limiter(1, 10, 50);
        let passed: usize = (0..100_000).map(|key| passes(&limiter, key, 1)).sum();
        assert!(limiter.keys() <= 50);
        assert!(passed <= 50 + 4_096, "{passed} passed");
        assert!(limiter.check(&0).is_err(), "a key from before the flood is still limited");
    }

    #[test]
    fn a_full_limiter_makes_room_when_keys_are_idle() {
        let (limiter, millis) = limiter(1, 10, 50);
        for key in 0..60 {
            let _ = limiter.check(&key);
        }
        millis.fetch_add(30_000, Ordering::Relaxed);
        assert_eq!(limiter.check(&1_000), Ok(()));
        limiter.sweep();
        assert_eq!(limiter.keys(), 1);
    }

    #[test]
    fn the_header_never_says_zero() {
        assert_eq!(RetryAfter(Duration::ZERO).as_header_secs(), 1);
        assert_eq!(RetryAfter(Duration::from_millis(1_001)).as_header_secs(), 2);
        assert_eq!(RetryAfter(Duration::from_mins(1)).as_header_secs(), 60);
    }
}
