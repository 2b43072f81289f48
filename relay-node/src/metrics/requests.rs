//! What is measured of requests.

use std::borrow::Cow;
use std::sync::Arc;

use sluice_dialect::Surface;
use sluice_domain::Outcome;
use sluice_telemetry::metrics::{Counter, Counters, Gauge, Histogram, Histograms, Labels, Registry};

use crate::error::Kind;

/// Handles and families of requests.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    /// Requests being served.
    pub in_flight: Gauge,
    /// Requests that ended, by interface and how.
    pub requests: Counters<ByEnd>,
    /// Requests refused before anything was sent, by reason.
    pub refusals: Counters<Kind>,
    /// From the request's head to the last byte of its answer.
    pub duration_seconds: Histograms<ByInterface>,
    /// The part of that which no upstream is to blame for.
    pub added_latency_seconds: Histogram,
    /// To the first byte of an upstream's answer.
    pub first_byte_seconds: Histograms<ByInterface>,
    /// Attempts at upstreams, by provider and result.
    pub attempts: Counters<ByAttempt>,
    /// Tokens, by class.
    pub tokens: Counters<ByTokens>,
    /// Quota charged.
    pub quota: Counter,
    /// Answers whose usage had to be estimated.
    pub estimated: Counter,
    /// Channels left out because they kept failing.
    pub ejections: Counter,
    /// Requests whose output limit was lowered for want of quota.
    pub clamped: Counter,
}

impl RequestMetrics {
    pub(super) fn declare(registry: &Registry) -> Self {
        Self {
            in_flight: registry.gauge("sluice_relay_in_flight_requests", "Requests being served."),
            requests: registry.counters("sluice_relay_requests_total", "Requests that ended, by interface and outcome."),
            refusals: registry.counters("sluice_relay_refusals_total", "Requests refused before anything was sent, by reason."),
            duration_seconds: registry.histograms(
                "sluice_relay_request_duration_seconds",
                "Time from a request's head to the last byte of its answer.",
            ),
            added_latency_seconds: registry
                .histogram("sluice_relay_added_latency_seconds", "Time of a request that was not spent waiting for an upstream."),
            first_byte_seconds: registry.histograms(
                "sluice_relay_first_byte_seconds",
                "Time from a request's head to the first byte of the upstream's answer.",
            ),
            attempts: registry.counters("sluice_relay_upstream_attempts_total", "Attempts at upstreams, by provider and result."),
            tokens: registry.counters("sluice_relay_usage_tokens_total", "Tokens of settled requests, by class."),
            quota: registry.counter("sluice_relay_charged_quota_total", "Quota charged for settled requests."),
            estimated: registry
                .counter("sluice_relay_estimated_usage_total", "Answers whose usage was estimated because none was reported."),
            ejections: registry.counter(
                "sluice_relay_channel_ejections_total",
                "Times a channel was left out for a while because it kept failing.",
            ),
            clamped: registry.counter(
                "sluice_relay_clamped_requests_total",
                "Requests whose output limit was lowered, because the balance covered no more.",
            ),
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByInterface {
    /// A model's answer.
    Text(Surface),
    /// How many tokens a request has.
    CountTokens,
    /// A stored response.
    StoredResponses,
    /// The list of models, or one of it.
    Models,
    /// Anything else: status, unknown paths, interfaces that are not served.
    Other,
}

impl ByInterface {
    /// The word used in logs and as label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text(surface) => surface.as_str(),
            Self::CountTokens => "count_tokens",
            Self::StoredResponses => "stored_responses",
            Self::Models => "models",
            Self::Other => "other",
        }
    }
}

impl Labels for ByInterface {
    const NAMES: &'static [&'static str] = &["interface"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.as_str().into()]
    }

    fn known() -> Vec<Self> {
        let texts = Surface::ALL.into_iter().map(Self::Text);
        texts.chain([Self::CountTokens, Self::StoredResponses, Self::Models, Self::Other]).collect()
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// After it was admitted.
    Of(Outcome),
    /// Before anything was sent.
    Refused,
}

impl End {
    /// The word used in logs and as label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Of(outcome) => outcome.as_str(),
            Self::Refused => "refused",
        }
    }
}

/// What was asked for, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByEnd {
    /// What was asked for.
    pub interface: ByInterface,
    /// How it ended.
    pub end: End,
}

impl Labels for ByEnd {
    const NAMES: &'static [&'static str] = &["interface", "outcome"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.interface.as_str().into(), self.end.as_str().into()]
    }

    fn known() -> Vec<Self> {
        let ends = [Outcome::Completed, Outcome::Failed, Outcome::Truncated, Outcome::Aborted].map(End::Of);
        let ends = ends.into_iter().chain([End::Refused]);
        ends.flat_map(|end| ByInterface::known().into_iter().map(move |interface| Self { interface, end })).collect()
    }
}

impl Labels for Kind {
    const NAMES: &'static [&'static str] = &["reason"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.as_str().into()]
    }

    fn known() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

/// An attempt's provider and result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ByAttempt {
    /// Slug of the provider.
    pub provider: Arc<str>,
    /// `ok`, or what went wrong.
    pub result: &'static str,
}

impl Labels for ByAttempt {
    const NAMES: &'static [&'static str] = &["provider", "result"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![(&*self.provider).into(), self.result.into()]
    }
}

/// A class of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenClass {
    /// Uncached input.
    Input,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache.
    CacheWrite,
    /// Images and audio, in and out.
    Media,
    /// Output.
    Output,
}

/// Tokens by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByTokens(pub TokenClass);

impl Labels for ByTokens {
    const NAMES: &'static [&'static str] = &["class"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let word = match self.0 {
            TokenClass::Input => "input",
            TokenClass::CacheRead => "cache_read",
            TokenClass::CacheWrite => "cache_write",
            TokenClass::Media => "media",
            TokenClass::Output => "output",
        };
        vec![word.into()]
    }

    fn known() -> Vec<Self> {
        use TokenClass::{CacheRead, CacheWrite, Input, Media, Output};
        [Input, CacheRead, CacheWrite, Media, Output].map(Self).to_vec()
    }
}
