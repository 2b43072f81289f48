//! The clocks of the machine. Nothing else reads them: binaries make a `sluice_domain::Clock` of these two and pass it on.

use std::str::FromStr;
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

/// A step of the wall clock that a test asks for, as `BY@AT`: so many milliseconds ahead (or, below zero, behind), once [`boot_millis`] is
/// there. The clock since boot does not step, as the machine's own does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    by_millis: i64,
    at_boot_millis: u64,
}

impl FromStr for Step {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |(by, at): (&str, &str)| Some(Self { by_millis: by.parse().ok()?, at_boot_millis: at.parse().ok()? });
        text.split_once('@').and_then(read).ok_or("must be two numbers of milliseconds: BY@AT")
    }
}

impl Step {
    const fn at(self, boot_millis: u64) -> i64 {
        if boot_millis >= self.at_boot_millis { self.by_millis } else { 0 }
    }
}

/// The same as [`wall_millis`], with the step that a test asks for.
#[must_use]
pub fn wall_millis_with(step: Option<Step>) -> i64 {
    wall_millis().saturating_add(step.map_or(0, |step| step.at(boot_millis())))
}

/// Milliseconds since the machine started, suspend included. It never goes back.
#[must_use]
pub fn boot_millis() -> u64 {
    let now = clock_gettime(SINCE_BOOT);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

/// Which start of the machine this is: [`boot_millis`] of two processes can be compared when they agree about it. `None`: it does not say.
#[must_use]
pub fn boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b'-').collect();
    let mut id = [0; 16];
    let (pairs, odd) = digits.as_chunks::<2>();
    if pairs.len() != id.len() || !odd.is_empty() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
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
    #[cfg(target_os = "linux")]
    fn a_start_of_the_machine_has_a_name() {
        assert!(boot_id().is_some_and(|id| id != [0; 16]));
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn a_step_begins_at_its_moment_and_goes_either_way() {
        let step: Step = "-3600000@5000".parse().unwrap();
        assert_eq!((step.at(4_999), step.at(5_000)), (0, -3_600_000));
        assert!(["", "5", "5@", "@5", "5@-5", "an hour@5"].iter().all(|text| text.parse::<Step>().is_err()));
        let ahead = wall_millis_with(Some("3600000@0".parse().unwrap())) - wall_millis_with(None);
        assert!((3_599_000..=3_601_000).contains(&ahead), "{ahead}");
    }

    #[test]
    fn the_boot_clock_never_goes_back() {
        let readings: Vec<u64> = (0..1_000).map(|_| boot_millis()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > 0);
    }
}
