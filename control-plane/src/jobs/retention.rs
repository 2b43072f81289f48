//! Rows that are kept for a time only.

mod store;

use sea_orm::DbErr;
use sluice_domain::UnixMillis;

use crate::db::Db;

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
}

impl Report {
    /// All of them.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.config_log + self.rates + self.explanations + self.sessions + self.idempotency + self.nodes
    }
}

/// Clears away what was kept long enough, in slices.
///
/// # Errors
/// When the database refuses or is away. What was cleared until then stays cleared.
pub async fn run(db: &Db, now: UnixMillis) -> Result<Report, DbErr> {
    let before = |millis: i64| now.plus_millis(-millis);
    Ok(Report {
        config_log: store::clear_config_log(db, CONFIG_LOG_KEPT).await?,
        rates: store::clear_rates(db, before(RATES_MILLIS)).await?,
        explanations: store::clear_explanations(db, before(EXPLANATIONS_MILLIS)).await?,
        sessions: store::clear_sessions(db, now).await?,
        idempotency: store::clear_idempotency(db, before(IDEMPOTENCY_MILLIS)).await?,
        nodes: store::clear_nodes(db, before(NODES_MILLIS)).await?,
    })
}
