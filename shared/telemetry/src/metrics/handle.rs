//! Handles: one time series each, resolved once, then a few nanoseconds per use.

use std::time::Duration;

use metrics::{Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::declaration::Kind;

const METADATA: Metadata<'static> = Metadata::new("sluice", Level::INFO, None);

/// Something that only grows.
#[derive(Debug, Clone)]
pub struct Counter(metrics::Counter);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.increment(1);
    }

    /// Adds some.
    pub fn add(&self, amount: u64) {
        self.0.increment(amount);
    }

    /// Takes over a total that is counted elsewhere. A lower value than before is ignored.
    pub fn set_total(&self, total: u64) {
        self.0.absolute(total);
    }
}

/// Something that goes up and down.
#[derive(Debug, Clone)]
pub struct Gauge(metrics::Gauge);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Sets the value to a number of things.
    pub fn set_count(&self, count: usize) {
        self.0.set(as_f64(u64::try_from(count).unwrap_or(u64::MAX)));
    }

    /// Sets the value to an amount, such as quota units.
    pub fn set_amount(&self, amount: i64) {
        let size = as_f64(amount.unsigned_abs());
        self.0.set(if amount < 0 { -size } else { size });
    }

    /// Sets the value to a time, in seconds.
    pub fn set_time(&self, time: Duration) {
        self.0.set(time.as_secs_f64());
    }

    /// Counts one more until the returned guard is dropped.
    #[must_use = "the count ends when the guard is dropped"]
    pub fn hold(&self) -> Held {
        self.0.increment(1.0);
        Held(self.0.clone())
    }
}

/// One unit of a [`Gauge`], given back when dropped.
#[derive(Debug)]
pub struct Held(metrics::Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Values sorted into buckets.
#[derive(Debug, Clone)]
pub struct Histogram(metrics::Histogram);

impl Histogram {
    /// Records a time, in seconds.
    pub fn record_time(&self, time: Duration) {
        self.0.record(time.as_secs_f64());
    }

    /// Records a number of bytes, tokens or things.
    pub fn record_count(&self, count: u64) {
        self.0.record(as_f64(count));
    }

    /// Records a value in the unit of the metric's name.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric beyond 2^53 may be off by one")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// What a family needs to know of the handles it makes.
pub trait Handle: Clone + Send + Sync + 'static + sealed::Register {}

impl Handle for Counter {}
impl Handle for Gauge {}
impl Handle for Histogram {}

pub(super) mod sealed {
    use super::{Key, Kind, PrometheusRecorder};

    pub trait Register {
        const KIND: Kind;
        fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str);
        fn register(recorder: &PrometheusRecorder, key: &Key) -> Self;
    }
}

impl sealed::Register for Counter {
    const KIND: Kind = Kind::Counter;

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_counter(name.into(), None, help.into());
    }

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self(recorder.register_counter(key, &METADATA))
    }
}

impl sealed::Register for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_gauge(name.into(), None, help.into());
    }

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self(recorder.register_gauge(key, &METADATA))
    }
}

impl sealed::Register for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_histogram(name.into(), None, help.into());
    }

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self(recorder.register_histogram(key, &METADATA))
    }
}
