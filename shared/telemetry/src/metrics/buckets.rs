//! Where histograms cut their values, by the unit at the end of their name.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// From 100 µs, because the latency added by a relay is below 1 ms, to 10 min, because answers stream that long.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0, 600.0,
];
/// From 256 B to 64 MiB.
const BYTES: &[f64] =
    &[256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// From a word to the longest contexts.
const TOKENS: &[f64] = &[
    10.0,
    50.0,
    100.0,
    500.0,
    1_000.0,
    2_000.0,
    4_000.0,
    8_000.0,
    16_000.0,
    32_000.0,
    64_000.0,
    128_000.0,
    256_000.0,
    1_000_000.0,
];
/// Numbers of things: rows in a batch, attempts of a request.
const COUNTS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

/// A builder that renders every histogram as one. Without buckets the exporter would make summaries, which cannot be added up over
/// a fleet.
pub(super) fn builder() -> Result<PrometheusBuilder, BuildError> {
    let by_unit = |builder: PrometheusBuilder, unit: &str, buckets: &[f64]| {
        builder.set_buckets_for_metric(Matcher::Suffix(unit.to_owned()), buckets)
    };
    let builder = PrometheusBuilder::new().set_buckets(COUNTS)?;
    let builder = by_unit(builder, "_seconds", SECONDS)?;
    let builder = by_unit(builder, "_bytes", BYTES)?;
    by_unit(builder, "_tokens", TOKENS)
}
