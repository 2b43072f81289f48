//! What runs by itself, on one replica at a time.
//!
//! Every job may run twice, or be cut off anywhere, without harm: what moves money looks again under lock, what deletes deletes the
//! same rows. The [`leader`] lease only saves the work of doing it on every replica.

pub mod leader;
pub mod retention;

use std::time::Duration;

use sluice_domain::AccountId;
use sluice_telemetry::drain::Drain;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use self::leader::Leader;
use crate::app::App;
use crate::leases;
use crate::metrics::Job;
use crate::publish::{Feed, Revoked};

/// How often leases of lost relays are looked for, and the leader's lease is renewed.
pub const REAP_EVERY: Duration = Duration::from_secs(5);
/// How often rows are cleared away: every so many rounds of reaping.
const ROUNDS_PER_RETENTION: u64 = 120;

/// Runs the jobs whenever this process leads, until it closes. `holder` names it among the replicas.
pub async fn run(app: App, feed: Feed, holder: String, drain: Drain) {
    let leader = Leader::new(app.db.clone(), "jobs", holder);
    let mut ticks = tokio::time::interval(REAP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closing = drain.closing();
    tokio::pin!(closing);
    let mut rounds = 0_u64;
    loop {
        tokio::select! {
            () = &mut closing => break,
            _ = ticks.tick() => {}
        }
        match leader.lead().await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                warn!(%error, "cannot find out which replica runs the jobs");
                continue;
            }
        }
        reap(&app, &feed).await;
        if rounds.is_multiple_of(ROUNDS_PER_RETENTION) {
            clear_away(&app).await;
        }
        rounds = rounds.wrapping_add(1);
    }
    if let Err(error) = leader.step_down().await {
        warn!(%error, "cannot step down; another replica takes over when the lease ends");
    }
}

async fn reap(app: &App, feed: &Feed) {
    let timing = app.metrics.start(Job::Leases);
    match leases::jobs::run(&app.db, &app.terms, app.clock.wall()).await {
        Ok(report) => {
            timing.succeeded();
            app.metrics.reaped(&report);
            if report.doubted > 0 || report.released > 0 {
                info!(
                    doubted = report.doubted,
                    released = report.released,
                    "leases of lost relays: {} in doubt now, {} given back",
                    report.doubted,
                    report.released
                );
            }
            let credit = |account: &AccountId| Revoked::Credit(*account, 0);
            feed.tell(report.richer.iter().map(credit).collect());
        }
        Err(error) => {
            timing.failed();
            warn!(%error, "cannot look after the leases of lost relays");
        }
    }
}

async fn clear_away(app: &App) {
    let timing = app.metrics.start(Job::Retention);
    match retention::run(&app.db, app.clock.wall()).await {
        Ok(report) => {
            timing.succeeded();
            if report.rows() > 0 {
                info!(rows = report.rows(), "cleared away {} rows that are kept for a time only", report.rows());
            }
        }
        Err(error) => {
            timing.failed();
            warn!(%error, "cannot clear away old rows");
        }
    }
}
