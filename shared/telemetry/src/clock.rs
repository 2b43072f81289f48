//! The clocks of the machine. Nothing else reads them: binaries make a `sluice_domain::Clock` of these two and pass it on.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Counts suspend, unlike the usual monotonic clock: a lease must not outlive its term because a laptop slept.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// Milliseconds since 1970-01-01 UTC, by the wall clock. It may jump.
#[must_use]
pub fn wall_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

/// Milliseconds since the machine started, suspend included. It never goes back.
#[must_use]
pub fn boot_millis() -> u64 {
    let now = clock_gettime(SINCE_BOOT);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_in_milliseconds_of_this_century() {
        let year_2020 = 1_577_836_800_000;
        let year_2100 = 4_102_444_800_000;
        assert!((year_2020..year_2100).contains(&wall_millis()));
    }

    #[test]
    fn the_boot_clock_never_goes_back() {
        let readings: Vec<u64> = (0..1_000).map(|_| boot_millis()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > 0);
    }
}
