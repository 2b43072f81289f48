//! What is measured of limits.

use std::borrow::Cow;

use sluice_domain::Counted;
use sluice_telemetry::metrics::{Counter, Counters, Gauge, Labels, Registry};

/// Handles and families of limits.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    /// 1 while limits are kept for the whole fleet, 0 while this relay keeps its share.
    pub mode: Gauge,
    /// Questions that Redis did not answer in time.
    pub failures: Counter,
    /// Later corrections that Redis will not hear of.
    pub lost_changes: Counter,
    /// What was beyond a limit.
    pub hits: Counters<ByHit>,
}

impl LimitMetrics {
    pub(super) fn declare(registry: &Registry) -> Self {
        Self {
            mode: registry.gauge(
                "sluice_relay_ratelimit_mode",
                "1 while limits are kept in Redis for the whole fleet, 0 while this relay keeps its share of each.",
            ),
            failures: registry
                .counter("sluice_relay_ratelimit_failures_total", "Questions about limits that Redis did not answer in time."),
            lost_changes: registry.counter(
                "sluice_relay_ratelimit_lost_changes_total",
                "Corrections of limits that were not told to Redis because it was away.",
            ),
            hits: registry.counters(
                "sluice_relay_ratelimit_hits_total",
                "Times something was beyond a limit, by whose limit, what it counts, and whether it was enforced.",
            ),
        }
    }
}

/// What was beyond which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByHit {
    /// Whose limit: user, token, member, group, model or channel.
    pub subject: &'static str,
    /// What was counted.
    pub of: Counted,
    /// Whether it passed nevertheless.
    pub is_shadow: bool,
}

impl Labels for ByHit {
    const NAMES: &'static [&'static str] = &["subject", "limit", "effect"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let effect = if self.is_shadow { "shadow" } else { "enforced" };
        vec![self.subject.into(), self.of.as_str().into(), effect.into()]
    }
}
