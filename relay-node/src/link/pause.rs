//! The pauses between connections: growing, with full jitter, so that a fleet does not come back all at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;

use crate::chance::Chance;

const FIRST: Duration = Duration::from_millis(100);
/// A relay has everything again within 5 s of the network's coming back, however long it was away: the pause it may have just begun, and
/// a second for the connection, the registration and what it missed.
const LONGEST: Duration = Duration::from_secs(4);

/// A series of pauses.
pub(super) struct Pauses {
    longest: ExponentialBackoff,
    chance: Chance,
}

impl Pauses {
    pub(super) fn new(chance: Chance) -> Self {
        Self { longest: series(), chance }
    }

    pub(super) fn begin_anew(&mut self) {
        self.longest = series();
    }

    /// The next pause: somewhere between nothing and a bound that doubles from 100 ms to 4 s.
    pub(super) fn next(&mut self) -> Duration {
        let longest = self.longest.next().unwrap_or(LONGEST);
        self.within(longest)
    }

    /// A pause up to this bound.
    pub(super) fn within(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.chance.rng().random::<f64>())
    }
}

fn series() -> ExponentialBackoff {
    ExponentialBuilder::default().with_min_delay(FIRST).with_max_delay(LONGEST).with_factor(2.0).without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_four_seconds_and_are_spread() {
        let mut pauses = Pauses::new(Chance::new(1));
        let first: Vec<Duration> = (0..3).map(|_| pauses.next()).collect();
        assert!(first.iter().zip([100, 200, 400]).all(|(pause, most)| *pause <= Duration::from_millis(most)), "{first:?}");
        let later: Vec<Duration> = (0..200).map(|_| pauses.next()).collect();
        assert!(later.iter().all(|pause| *pause <= LONGEST));
        assert!(later.iter().any(|pause| *pause > LONGEST / 2) && later.iter().any(|pause| *pause < LONGEST / 4));
        pauses.begin_anew();
        assert!(pauses.next() <= FIRST);
    }
}
