//! The rule itself, without clocks and places: the generic cell rate algorithm over whole microseconds.
//!
//! What was used up is a *level*: the time until everything used is refilled. It falls by itself as time passes. Using something raises
//! it by its cost; what would raise it above the window is refused. So in any time W at most `count · W / window + count` pass. The
//! script that runs in Redis follows the same rule, in the same numbers; a test compares them.

use std::num::NonZeroU64;
use std::time::Duration;

use sluice_domain::Limit;

/// A count in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    count: NonZeroU64,
    window: NonZeroU64,
}

/// What a limit says to something that wants to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it fits.
    pub fits: bool,
    /// The level afterwards when it fits, else as it is, in microseconds.
    pub level: u64,
}

impl Pace {
    /// The pace of a limit over a time; `None` for what is counted at a moment, and for a limit that breaks its rules.
    #[must_use]
    pub fn of(limit: &Limit) -> Option<Self> {
        let micros = u64::from(limit.window_secs) * 1_000_000;
        Some(Self { count: NonZeroU64::new(limit.count)?, window: NonZeroU64::new(micros)? })
    }

    /// The level at which everything is used up, in microseconds.
    #[must_use]
    pub const fn window_micros(self) -> u64 {
        self.window.get()
    }

    /// What using so many raises the level by, in microseconds, rounded up. More than the window for what can never fit.
    #[must_use]
    pub fn cost(self, cells: u64) -> u64 {
        self.cost_of(u128::from(cells)).min(self.window.get().saturating_mul(2))
    }

    /// The cost and the room on one of several relays that each keep their share of a limit: everything costs as many times more. What
    /// fits the limit and not the share passes when nothing is used up, so that a small share is not a refusal for ever.
    #[must_use]
    pub fn share(self, cells: u64, relays: u64) -> (u64, u64) {
        let (whole, window) = (self.cost(cells), self.window.get());
        if whole > window {
            return (whole, window);
        }
        let cost = self.cost_of(u128::from(cells) * u128::from(relays.max(1)));
        (cost, cost.max(window))
    }

    fn cost_of(self, cells: u128) -> u64 {
        let cost = cells.saturating_mul(u128::from(self.window.get())).div_ceil(u128::from(self.count.get()));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// How many more fit at a level.
    #[must_use]
    pub fn left(self, level: u64) -> u64 {
        let room = u128::from(self.window.get().saturating_sub(level));
        u64::try_from(room * u128::from(self.count.get()) / u128::from(self.window.get())).unwrap_or(u64::MAX)
    }
}

/// Judges something of a cost at a level. `room` is the level that may be reached.
#[must_use]
pub const fn judge(level: u64, cost: u64, room: u64) -> Verdict {
    let after = level.saturating_add(cost);
    if after > room { Verdict { fits: false, level } } else { Verdict { fits: true, level: after } }
}

/// How long until something of a cost fits; as long as everything takes to refill for what never does.
#[must_use]
pub fn wait(level: u64, cost: u64, room: u64) -> Duration {
    let over = level.saturating_add(cost).saturating_sub(room);
    Duration::from_micros(over.min(level.max(room)))
}

/// The highest level there is, as a multiple of the window. What turned out larger than estimated is remembered up to here, and not
/// beyond: nobody waits for longer than a window because of one answer.
pub const MOST_WINDOWS: u64 = 2;

/// How many of a count at a moment are one relay's share: at least one.
#[must_use]
pub const fn share_of_moment(count: u64, relays: u64) -> u64 {
    let share = count.checked_div(relays);
    match share {
        Some(0) | None => 1,
        Some(share) => share,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_domain::Counted;

    use super::*;

    fn pace(count: u64, window_secs: u32) -> Pace {
        Pace::of(&Limit { of: Counted::Requests, count, window_secs, is_shadow: false }).unwrap()
    }

    /// Requests that come so many microseconds after each other and want so much, by one limit: those that pass, with their moments.
    fn passing(pace: Pace, relays: u64, arrivals: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let (mut now, mut empty_at, mut passed) = (0, 0_u64, Vec::new());
        for (pause, cells) in arrivals {
            now += pause;
            let (cost, room) = pace.share(*cells, relays);
            let verdict = judge(empty_at.saturating_sub(now), cost, room);
            if verdict.fits {
                empty_at = now + verdict.level;
                passed.push((now, *cells));
            }
        }
        passed
    }

    /// The most that passed in any time of this length.
    fn most_within(passed: &[(u64, u64)], micros: u64) -> u64 {
        let within =
            |start: u64| passed.iter().filter(|(at, _)| (start..=start + micros).contains(at)).map(|(_, cells)| cells).sum();
        passed.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn in_any_time_no_more_passes_than_the_limit_and_a_burst(
            count in 1_u64..50,
            window_secs in 1_u32..100,
            arrivals in prop::collection::vec((0_u64..3_000_000, 1_u64..20), 1..200),
            quarters in 0_u64..12,
        ) {
            let pace = pace(count, window_secs);
            let micros = pace.window_micros() * quarters / 4;
            let allowed = count + count * quarters / 4;
            let most = most_within(&passing(pace, 1, &arrivals), micros);
            prop_assert!(most <= allowed, "{most} of {allowed} in {micros} µs");
        }

        #[test]
        fn shares_never_add_up_to_more_than_the_limit_and_a_burst_on_each_relay(
            count in 1_u64..50,
            relays in 1_u64..7,
            arrivals in prop::collection::vec((0_u64..3_000_000, 1_u64..5), 1..100),
            windows in 0_u64..5,
        ) {
            let pace = pace(count, 10);
            let on_one = most_within(&passing(pace, relays, &arrivals), pace.window_micros() * windows);
            // the worst case: every relay sees the same crowd
            prop_assert!(on_one * relays <= count * windows + count * relays, "{on_one} on each of {relays}");
        }

        #[test]
        fn what_is_left_fits_and_one_more_does_not(count in 1_u64..2_000_000, window_secs in 1_u32..100_000, part in 0_u64..=1_000) {
            let pace = pace(count, window_secs);
            let level = pace.window_micros() * part / 1_000;
            let left = pace.left(level);
            prop_assert!(judge(level, pace.cost(left), pace.window_micros()).fits);
            prop_assert!(!judge(level, pace.cost(left + 1), pace.window_micros()).fits);
        }

        #[test]
        fn after_the_wait_it_fits_and_not_before(count in 1_u64..1_000, level_parts in 0_u64..=2_000, cells in 1_u64..1_000) {
            let pace = pace(count, 60);
            let (level, cost) = (pace.window_micros() * level_parts / 1_000, pace.cost(cells));
            prop_assume!(cost <= pace.window_micros());
            let micros = u64::try_from(wait(level, cost, pace.window_micros()).as_micros()).unwrap();
            prop_assert!(judge(level.saturating_sub(micros), cost, pace.window_micros()).fits);
            prop_assert!(micros == 0 || !judge(level.saturating_sub(micros - 1), cost, pace.window_micros()).fits);
        }
    }

    #[test]
    fn a_whole_count_passes_at_once_and_the_next_after_its_turn() {
        let pace = pace(6, 60);
        let mut level = 0;
        for _ in 0..6 {
            let verdict = judge(level, pace.cost(1), pace.window_micros());
            assert!(verdict.fits);
            level = verdict.level;
        }
        assert_eq!((pace.left(level), wait(level, pace.cost(1), pace.window_micros())), (0, Duration::from_secs(10)));
        assert_eq!(judge(level, pace.cost(1), pace.window_micros()), Verdict { fits: false, level });
    }

    #[test]
    fn what_can_never_fit_waits_for_the_window() {
        let pace = pace(100, 60);
        assert!(!judge(0, pace.cost(101), pace.window_micros()).fits);
        assert!(wait(0, pace.cost(u64::MAX), pace.window_micros()) <= Duration::from_mins(1));
        assert_eq!(pace.share(101, 3), (pace.cost(101), pace.window_micros()));
    }

    #[test]
    fn a_share_is_never_nothing() {
        let second = 1_000_000;
        assert_eq!(pace(6, 60).share(6, 4), (240 * second, 240 * second));
        assert_eq!(pace(6, 60).share(1, 4), (40 * second, 60 * second));
        assert_eq!(pace(9, 60).share(1, 3), (20 * second, 60 * second), "the share of nine is three, and not a little less");
        assert_eq!((share_of_moment(10, 3), share_of_moment(2, 5), share_of_moment(0, 0)), (3, 1, 1));
    }
}
