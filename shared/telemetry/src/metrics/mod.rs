//! Metrics: declared once, typed, collected in a [`Registry`], shown on `/metrics`.
//!
//! Each binary has a `metrics.rs` with one struct, whose fields are the handles and families it declares:
//!
//! ```
//! use sluice_telemetry::metrics::{Counters, Gauge, Labels, Registry};
//! use std::borrow::Cow;
//!
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! struct ByOutcome { ok: bool }
//!
//! impl Labels for ByOutcome {
//!     const NAMES: &'static [&'static str] = &["outcome"];
//!     fn values(&self) -> Vec<Cow<'_, str>> {
//!         vec![if self.ok { "completed" } else { "failed" }.into()]
//!     }
//!     fn known() -> Vec<Self> {
//!         vec![Self { ok: true }, Self { ok: false }]
//!     }
//! }
//!
//! struct Metrics { requests: Counters<ByOutcome>, in_flight: Gauge }
//!
//! impl Metrics {
//!     fn declare(registry: &Registry) -> Self {
//!         Self {
//!             requests: registry.counters("sluice_relay_requests_total", "Requests that ended, by outcome."),
//!             in_flight: registry.gauge("sluice_relay_in_flight_requests", "Requests being served."),
//!         }
//!     }
//! }
//!
//! let registry = Registry::new();
//! let metrics = Metrics::declare(&registry);
//! metrics.requests.of(&ByOutcome { ok: true }).increment();
//! assert!(registry.problems().is_empty());
//! assert!(registry.render().contains("sluice_relay_requests_total{outcome=\"completed\"} 1"));
//! ```
//!
//! A handle costs a few nanoseconds to use and is made to be kept. Looking one up in a family costs a hash of its labels.

mod buckets;
mod declaration;
mod family;
mod handle;
mod process;
mod registry;

pub use declaration::{Declaration, Kind};
pub use family::{Counters, Family, Gauges, Histograms, Labels};
pub use handle::{Counter, Gauge, Held, Histogram};
pub use registry::{Registry, UPKEEP_INTERVAL};
