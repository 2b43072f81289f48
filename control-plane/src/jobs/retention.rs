//! Rows that are kept for a time only.

mod store;

use sea_orm::DbErr;
use sluice_domain::UnixMillis;

use super::leader::Work;
use crate::settings::Site;

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Changes a relay may be behind and still be brought up to date without a snapshot.
pub const CONFIG_LOG_KEPT: i64 = 10_000;
/// Attempts of requests are told for this long, in milliseconds.
pub const EXPLANATIONS_MILLIS: i64 = 7 * DAY_MILLIS;
/// Answers to requests with an idempotency key are repeated for this long, in milliseconds.
pub const IDEMPOTENCY_MILLIS: i64 = DAY_MILLIS;
/// Rates are kept for this long after they were replaced, in milliseconds: no record that old is settled.
pub const RATES_MILLIS: i64 = 40 * DAY_MILLIS;
/// Relays not heard of for this long are forgotten, in milliseconds.
pub const NODES_MILLIS: i64 = 7 * DAY_MILLIS;
/// How far reports were settled is kept for this long after the last of them, in milliseconds, and for as long as the relay is known. A relay
/// that comes back keeps what was settled for a day, and nothing older than 35 days is charged.
pub const CURSORS_MILLIS: i64 = 36 * DAY_MILLIS;
/// Closed leases are kept for this long, in milliseconds: a relay may ask for one again by its number.
pub const LEASES_MILLIS: i64 = 7 * DAY_MILLIS;
/// Records that somebody has decided about are kept for this long, in milliseconds.
pub const QUARANTINE_MILLIS: i64 = 90 * DAY_MILLIS;
/// What people were told is kept for this long, in milliseconds.
pub const NOTIFICATIONS_MILLIS: i64 = 30 * DAY_MILLIS;
/// What is remembered of a channel that nothing more is heard of is kept for this long, in milliseconds.
pub const WATCH_MILLIS: i64 = 30 * DAY_MILLIS;
/// Errands are kept for this long, in milliseconds; tests as long as requests.
pub const ERRANDS_MILLIS: i64 = DAY_MILLIS;

/// What people decide how long to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Settled requests, in milliseconds; `None`: for ever.
    pub requests_millis: Option<i64>,
    /// The audit trail, in milliseconds; `None`: for ever.
    pub audit_millis: Option<i64>,
}

impl Kept {
    /// As the settings say.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let days = |days: i64| (days > 0).then(|| days.saturating_mul(DAY_MILLIS));
        Self { requests_millis: days(site.request_log_days), audit_millis: days(site.audit_log_days) }
    }
}

/// How many rows of each table went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Of `config_log`.
    pub config_log: u64,
    /// Of `rate_history`.
    pub rates: u64,
    /// Of `request_explanations`.
    pub explanations: u64,
    /// Of `sessions`.
    pub sessions: u64,
    /// Of `idempotency`.
    pub idempotency: u64,
    /// Of `nodes`.
    pub nodes: u64,
    /// Of `usage_cursors`.
    pub cursors: u64,
    /// Of `leases`.
    pub leases: u64,
    /// Of `quarantine`.
    pub quarantine: u64,
    /// Of `notifications`.
    pub notifications: u64,
    /// Of `channel_watch`.
    pub watch: u64,
    /// Of `errands`.
    pub errands: u64,
    /// Of `requests`.
    pub requests: u64,
    /// Of `audit`.
    pub audit: u64,
}

impl Report {
    /// All of them.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        let kept_by_us = self.config_log + self.rates + self.explanations + self.sessions + self.idempotency + self.nodes;
        let kept_by_all = self.cursors + self.leases + self.quarantine + self.notifications + self.watch + self.errands;
        kept_by_us + kept_by_all + self.requests + self.audit
    }
}

/// Clears away what was kept long enough, in slices.
///
/// # Errors
/// When the database refuses or is away, or another replica runs the jobs by now. What was cleared until then stays cleared.
pub async fn run(work: &Work, kept: &Kept, now: UnixMillis) -> Result<Report, DbErr> {
    let before = |millis: i64| now.plus_millis(-millis);
    let mut report = Report {
        config_log: store::clear_config_log(work, CONFIG_LOG_KEPT).await?,
        rates: store::clear_rates(work, before(RATES_MILLIS)).await?,
        explanations: store::clear_explanations(work, before(EXPLANATIONS_MILLIS)).await?,
        sessions: store::clear_sessions(work, now).await?,
        idempotency: store::clear_idempotency(work, before(IDEMPOTENCY_MILLIS)).await?,
        nodes: store::clear_nodes(work, before(NODES_MILLIS)).await?,
        cursors: store::clear_cursors(work, before(CURSORS_MILLIS)).await?,
        leases: store::clear_leases(work, before(LEASES_MILLIS)).await?,
        quarantine: store::clear_quarantine(work, before(QUARANTINE_MILLIS)).await?,
        notifications: store::clear_notifications(work, before(NOTIFICATIONS_MILLIS)).await?,
        watch: store::clear_watch(work, before(WATCH_MILLIS)).await?,
        errands: store::clear_errands(work, before(ERRANDS_MILLIS)).await?,
        ..Report::default()
    };
    if let Some(millis) = kept.requests_millis {
        report.requests = store::clear_requests(work, before(millis)).await?;
        report.errands += store::clear_tests(work, before(millis.max(ERRANDS_MILLIS))).await?;
    }
    if let Some(millis) = kept.audit_millis {
        report.audit = store::clear_audit(work, before(millis)).await?;
    }
    Ok(report)
}
