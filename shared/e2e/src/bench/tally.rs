//! What the callers of a slice saw, added up.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Different failures kept by name; more are counted as one.
const MAX_KINDS: usize = 10;
/// Latencies are told apart between a microsecond and two minutes, to three digits.
const LEAST: Duration = Duration::from_micros(1);
const MOST: Duration = Duration::from_mins(2);

/// A distribution of times.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

/// The figures of [`Times`] that reports show, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    /// The median.
    pub(crate) p50: f64,
    /// 90 of 100 took less.
    pub(crate) p90: f64,
    /// 99 of 100 took less.
    pub(crate) p99: f64,
    /// 999 of 1,000 took less.
    pub(crate) p999: f64,
    /// The longest.
    pub(crate) max: f64,
}

/// Requests of a slice and how they went.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Requests sent.
    pub(crate) sent: u64,
    /// Answers that were as they must be.
    pub(crate) good: u64,
    /// The others, by what was wrong.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Events received.
    pub(crate) events: u64,
    /// Reads that held more than one event, which one sent alone was not passed on at once.
    pub(crate) merged: u64,
    /// Due times that passed with every connection busy until the slice was over.
    pub(crate) unsent: u64,
    /// From sending (open loop: from the due time) to the last byte.
    pub(crate) latency: Times,
    /// From sending to the first byte of the body.
    pub(crate) first_byte: Times,
    /// Between the events of one stream.
    pub(crate) gaps: Times,
}

impl Times {
    fn new() -> Self {
        let [least, most] = [LEAST, MOST].map(|bound| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX));
        Self(Histogram::new_with_bounds(least, most, 3).expect("the bounds are in order"))
    }

    /// Adds one time; beyond the bounds it counts as the bound.
    pub(crate) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// The figures for reports.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| micros(Duration::from_nanos(self.0.value_at_quantile(quantile)));
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

impl Tally {
    /// Nothing sent yet.
    pub(crate) fn new() -> Self {
        Self {
            sent: 0,
            good: 0,
            failures: BTreeMap::new(),
            events: 0,
            merged: 0,
            unsent: 0,
            latency: Times::new(),
            first_byte: Times::new(),
            gaps: Times::new(),
        }
    }

    /// Counts a request that did not go as it must.
    pub(crate) fn fail(&mut self, reason: String) {
        let is_known = self.failures.contains_key(&reason) || self.failures.len() < MAX_KINDS;
        *self.failures.entry(if is_known { reason } else { "others".to_owned() }).or_default() += 1;
    }

    /// Requests that did not go as they must.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds what another slice saw.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.good += other.good;
        self.events += other.events;
        self.merged += other.merged;
        self.unsent += other.unsent;
        for (reason, count) in &other.failures {
            for _ in 0..*count {
                self.fail(reason.clone());
            }
        }
        self.latency.add(&other.latency);
        self.first_byte.add(&other.first_byte);
        self.gaps.add(&other.gaps);
    }
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench stay far below 2^52")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_two_slices_are_those_of_all_requests() {
        let (mut one, mut other) = (Tally::new(), Tally::new());
        (1..=50).for_each(|millis| one.latency.record(Duration::from_millis(millis)));
        (51..=100).for_each(|millis| other.latency.record(Duration::from_millis(millis)));
        one.add(&other);
        let figures = one.latency.quantiles();
        assert!((figures.p50 - 50_000.0).abs() < 100.0, "{figures:?}");
        assert!((figures.p99 - 99_000.0).abs() < 100.0, "{figures:?}");
        assert!((figures.max - 100_000.0).abs() < 100.0, "{figures:?}");
    }

    #[test]
    fn endlessly_many_reasons_are_counted_and_not_kept() {
        let mut tally = Tally::new();
        (0..1_000).for_each(|number| tally.fail(format!("status {number}")));
        assert_eq!(tally.failed(), 1_000);
        assert_eq!(tally.failures.len(), MAX_KINDS + 1);
    }
}
