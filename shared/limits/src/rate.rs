//! How much is allowed.

use std::num::NonZeroU32;
use std::time::Duration;

/// A rate that cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Nothing would ever be allowed. Whoever means "unlimited" makes no limiter.
    #[error("a rate limit must allow at least one per period")]
    Nothing,
    /// The period is no time at all, or so long that the limit would outlive every process.
    #[error("the period of a rate limit must be at least 1 ms, and a whole burst must refill within {} days", Rate::MAX_REFILL.as_secs() / 86_400)]
    Period,
}

/// So many per period, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_cell: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// The longest a used-up burst may take to refill. It keeps all arithmetic far from overflow.
    pub const MAX_REFILL: Duration = Duration::from_hours(366 * 24);

    /// `count` per `period`, all of which may come at once.
    ///
    /// # Errors
    /// When nothing would be allowed, or the period is out of range.
    pub fn new(count: u32, period: Duration) -> Result<Self, RateError> {
        let count = NonZeroU32::new(count).ok_or(RateError::Nothing)?;
        if period < Duration::from_millis(1) || period > Self::MAX_REFILL {
            return Err(RateError::Period);
        }
        let per_cell = (period / count.get()).max(Duration::from_nanos(1));
        Ok(Self { per_cell, burst: count })
    }

    /// The same rate with another burst.
    ///
    /// # Errors
    /// When nothing would be allowed, or the burst would take longer than [`Rate::MAX_REFILL`] to refill.
    pub fn with_burst(self, burst: u32) -> Result<Self, RateError> {
        let burst = NonZeroU32::new(burst).ok_or(RateError::Nothing)?;
        match self.per_cell.checked_mul(burst.get()) {
            Some(refill) if refill <= Self::MAX_REFILL => Ok(Self { burst, ..self }),
            _ => Err(RateError::Period),
        }
    }

    /// The time in which one more becomes allowed.
    #[must_use]
    pub const fn per_cell(&self) -> Duration {
        self.per_cell
    }

    /// How many may come at once after a pause.
    #[must_use]
    pub const fn burst(&self) -> NonZeroU32 {
        self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_cannot_be_enforced_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Rate::new(0, second), Err(RateError::Nothing));
        assert_eq!(Rate::new(1, Duration::ZERO), Err(RateError::Period));
        assert_eq!(Rate::new(1, Duration::MAX), Err(RateError::Period));
        assert_eq!(Rate::new(1, second).unwrap().with_burst(0), Err(RateError::Nothing));
        assert_eq!(Rate::new(1, second).unwrap().with_burst(u32::MAX), Err(RateError::Period));
    }

    #[test]
    fn the_burst_is_the_count_unless_said_otherwise() {
        let rate = Rate::new(20, Duration::from_mins(20)).unwrap();
        assert_eq!((rate.per_cell(), rate.burst().get()), (Duration::from_mins(1), 20));
        assert_eq!(rate.with_burst(5).unwrap().burst().get(), 5);
        assert_eq!(Rate::new(u32::MAX, Duration::from_millis(1)).unwrap().per_cell(), Duration::from_nanos(1));
    }
}
