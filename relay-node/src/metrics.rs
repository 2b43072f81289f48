//! Every metric of a relay, declared once. Names and meanings are the reference; a dashboard may use no other.

use std::borrow::Cow;

use sluice_telemetry::metrics::{Counter, Counters, Gauge, Histogram, Labels, Registry};

mod limits;
mod requests;

pub use self::limits::{ByHit, LimitMetrics};
pub use self::requests::{ByAttempt, ByEnd, ByInterface, ByTokens, End, RequestMetrics, TokenClass};

/// Everything a relay measures.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The spool.
    pub spool: SpoolMetrics,
    /// Leases and reservations.
    pub quota: QuotaMetrics,
    /// Configuration and identities.
    pub view: ViewMetrics,
    /// The streams to the control plane.
    pub link: LinkMetrics,
    /// Requests.
    pub requests: RequestMetrics,
    /// Limits.
    pub limits: LimitMetrics,
}

impl Metrics {
    /// Declares every metric.
    #[must_use]
    pub fn declare(registry: &Registry) -> Self {
        Self {
            spool: SpoolMetrics::declare(registry),
            quota: QuotaMetrics::declare(registry),
            view: ViewMetrics::declare(registry),
            link: LinkMetrics::declare(registry),
            requests: RequestMetrics::declare(registry),
            limits: LimitMetrics::declare(registry),
        }
    }
}

/// What is measured of the spool.
#[derive(Debug, Clone)]
pub struct SpoolMetrics {
    /// Bytes not acknowledged.
    pub unacked_bytes: Gauge,
    /// Syncs to the disk.
    pub syncs: Counter,
    /// Writes and syncs the disk refused.
    pub write_errors: Counter,
    /// 1 after a sync failed: no request is admitted before the next start.
    pub distrusted: Gauge,
    /// Requests refused because the spool was full or unwritable.
    pub full: Counter,
    /// Records that were dropped without being finished.
    pub abandoned: Counter,
    /// Requests of an earlier life ended at its recovery.
    pub orphans: Counter,
    /// Bytes of earlier lives that could not be read.
    pub lost_bytes: Counter,
}

impl SpoolMetrics {
    fn declare(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help);
        Self {
            unacked_bytes: registry.gauge("sluice_relay_spool_unacked_bytes", "Bytes of usage that are not acknowledged."),
            syncs: counter("sluice_relay_spool_syncs_total", "Times the spool was synced to the disk."),
            write_errors: counter(
                "sluice_relay_spool_write_errors_total",
                "Writes and syncs of the spool that the disk refused.",
            ),
            distrusted: registry.gauge(
                "sluice_relay_spool_distrusted",
                "1 after a sync of the spool failed: no request is admitted before the next start.",
            ),
            full: counter(
                "sluice_relay_spool_full_total",
                "Requests refused because the spool was full or could not be written.",
            ),
            abandoned: counter(
                "sluice_relay_spool_abandoned_records_total",
                "Requests that ended without their final record, which is a bug.",
            ),
            orphans: counter(
                "sluice_relay_spool_orphaned_records_total",
                "Requests cut off by the end of an earlier process, settled at their last progress.",
            ),
            lost_bytes: counter("sluice_relay_spool_lost_bytes_total", "Bytes of earlier processes that could not be read back."),
        }
    }
}

/// What is measured of leases and reservations.
#[derive(Debug, Clone)]
pub struct QuotaMetrics {
    /// Reservations by how they went.
    pub reservations: Counters<ByReservation>,
    /// Grants that were asked for.
    pub grant_requests: Counter,
    /// Grants that came.
    pub grants: Counter,
    /// Leases held.
    pub leases: Gauge,
    /// Money in leases, reserved or not.
    pub leased_quota: Gauge,
    /// Charges beyond what was reserved and leased.
    pub shortfall_quota: Counter,
    /// Recalls of unused quota that were answered.
    pub recalls: Counter,
    /// Time a request waited for a grant.
    pub wait_seconds: Histogram,
}

/// How a reservation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByReservation {
    /// From leases held.
    Local,
    /// After waiting for a grant.
    Granted,
    /// The account cannot pay.
    Exhausted,
    /// The account is frozen.
    Frozen,
    /// The control plane did not answer in time.
    Unavailable,
}

impl Labels for ByReservation {
    const NAMES: &'static [&'static str] = &["outcome"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let word = match self {
            Self::Local => "local",
            Self::Granted => "granted",
            Self::Exhausted => "exhausted",
            Self::Frozen => "frozen",
            Self::Unavailable => "unavailable",
        };
        vec![word.into()]
    }

    fn known() -> Vec<Self> {
        vec![Self::Local, Self::Granted, Self::Exhausted, Self::Frozen, Self::Unavailable]
    }
}

impl QuotaMetrics {
    fn declare(registry: &Registry) -> Self {
        Self {
            reservations: registry.counters("sluice_relay_reservations_total", "Reservations of quota, by how they went."),
            grant_requests: registry.counter("sluice_relay_grant_requests_total", "Grants asked of the control plane."),
            grants: registry.counter("sluice_relay_grants_total", "Grants received from the control plane."),
            leases: registry.gauge("sluice_relay_leases", "Leases held."),
            leased_quota: registry.gauge("sluice_relay_leased_quota", "Quota in leases, reserved or free."),
            recalls: registry.counter("sluice_relay_recalls_answered_total", "Recalls of unused quota that were answered."),
            shortfall_quota: registry.counter(
                "sluice_relay_reserve_shortfall_quota_total",
                "Quota charged beyond what leases covered; it becomes debt of the account.",
            ),
            wait_seconds: registry.histogram("sluice_relay_grant_wait_seconds", "Time that requests waited for a grant."),
        }
    }
}

/// What is measured of configuration and identities.
#[derive(Debug, Clone)]
pub struct ViewMetrics {
    /// Sequence in force.
    pub config_seq: Gauge,
    /// Hash over what is in force.
    pub state_hash: Gauge,
    /// Since the last heartbeat whose head was applied.
    pub staleness_seconds: Gauge,
    /// Resources whose last form could not be used.
    pub rejected_entities: Gauge,
    /// Tokens held.
    pub identities: Gauge,
    /// Keys looked up at the control plane, by answer.
    pub resolves: Counters<ByAnswer>,
    /// Urgent revocations applied.
    pub denies: Counter,
    /// Last-good files written.
    pub saves: Counter,
    /// Last-good files that could not be written or read.
    pub save_errors: Counter,
}

/// What the control plane said about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByAnswer {
    /// There is such a token.
    Found,
    /// There is none.
    Unknown,
    /// It could not say.
    Failed,
    /// Not asked: too many unknown keys.
    Limited,
}

impl Labels for ByAnswer {
    const NAMES: &'static [&'static str] = &["answer"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let word = match self {
            Self::Found => "found",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Limited => "limited",
        };
        vec![word.into()]
    }

    fn known() -> Vec<Self> {
        vec![Self::Found, Self::Unknown, Self::Failed, Self::Limited]
    }
}

impl ViewMetrics {
    fn declare(registry: &Registry) -> Self {
        Self {
            config_seq: registry.gauge("sluice_relay_config_seq", "Sequence of the configuration in force."),
            state_hash: registry.gauge(
                "sluice_relay_config_state_hash",
                "Low 48 bits of the hash over the configuration in force: the same on relays that have the same.",
            ),
            staleness_seconds: registry.gauge(
                "sluice_relay_config_staleness_seconds",
                "Time since the last heartbeat whose configuration was in force here.",
            ),
            rejected_entities: registry
                .gauge("sluice_relay_config_rejected_entities", "Resources whose last form could not be used here."),
            identities: registry.gauge("sluice_relay_identities", "Tokens held in memory."),
            resolves: registry
                .counters("sluice_relay_identity_resolves_total", "Keys looked up at the control plane, by answer."),
            denies: registry.counter("sluice_relay_denies_total", "Urgent revocations applied."),
            saves: registry.counter("sluice_relay_last_good_saves_total", "Last-good files written."),
            save_errors: registry
                .counter("sluice_relay_last_good_errors_total", "Last-good files that could not be written or read."),
        }
    }
}

/// What is measured of the streams to the control plane.
#[derive(Debug, Clone)]
pub struct LinkMetrics {
    /// 1 while all streams are up.
    pub connected: Gauge,
    /// Connections that were begun.
    pub sessions: Counter,
    /// Snapshots received whole.
    pub snapshots: Counter,
    /// Deltas applied.
    pub deltas: Counter,
    /// Messages that could not be used as a whole.
    pub nacks: Counter,
    /// Batches of usage sent.
    pub batches: Counter,
    /// Records acknowledged.
    pub records_acked: Counter,
    /// The control plane's database went back to the past.
    pub rollbacks: Counter,
    /// Records asked for again that are not kept any more.
    pub records_gone: Counter,
    /// The wall clock of the control plane less ours.
    pub clock_offset_seconds: Gauge,
}

impl LinkMetrics {
    fn declare(registry: &Registry) -> Self {
        Self {
            connected: registry.gauge("sluice_relay_control_connected", "1 while the streams to the control plane are up."),
            sessions: registry
                .counter("sluice_relay_control_sessions_total", "Connections to the control plane that were begun."),
            snapshots: registry.counter("sluice_relay_config_snapshots_total", "Snapshots of the configuration received."),
            deltas: registry.counter("sluice_relay_config_deltas_total", "Deltas of the configuration applied."),
            nacks: registry
                .counter("sluice_relay_config_nacks_total", "Configuration messages that could not be used as a whole."),
            batches: registry.counter("sluice_relay_usage_batches_total", "Batches of usage sent."),
            records_acked: registry.counter("sluice_relay_usage_records_acked_total", "Records of usage that are settled."),
            rollbacks: registry.counter(
                "sluice_relay_control_rollbacks_total",
                "Times the control plane's database turned out to have gone back to an earlier state.",
            ),
            records_gone: registry.counter(
                "sluice_relay_usage_records_gone_total",
                "Records of usage that were asked for again and are not kept any more.",
            ),
            clock_offset_seconds: registry
                .gauge("sluice_relay_clock_offset_seconds", "Wall clock of the control plane less that of this node."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_keeps_the_rules() {
        let registry = Registry::new();
        let _metrics = Metrics::declare(&registry);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}
