//! What runs by itself, on one replica at a time.
//!
//! Every job may run twice, or be cut off anywhere, without harm: what moves money looks again under lock, what deletes deletes the
//! same rows. The [`leader`] lease saves the work of doing it on every replica, and every transaction of a job looks whether it still
//! holds ([`Work::begin`]).

pub mod leader;
pub mod retention;
pub mod slices;

use std::time::Duration;

use sluice_domain::AccountId;
use sluice_telemetry::drain::Drain;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use self::leader::{Leader, Work};
use self::retention::Kept;
use crate::app::App;
use crate::metrics::Job;
use crate::publish::{Feed, Revoked};
use crate::reconciliation::{self, Reconciler};
use crate::{leases, settings};

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
    let mut rounds = Rounds::default();
    loop {
        tokio::select! {
            () = &mut closing => break,
            _ = ticks.tick() => {}
        }
        rounds.next(&app, &feed, &leader).await;
    }
    if let Err(error) = leader.step_down().await {
        warn!(%error, "cannot step down; another replica takes over when the lease ends");
    }
}

/// The rounds of one process.
#[derive(Debug, Default)]
pub struct Rounds {
    led: u64,
    reconciler: Reconciler,
    reign: Reign,
}

impl Rounds {
    /// Runs every job that is due, if this process leads.
    pub async fn next(&mut self, app: &App, feed: &Feed, leader: &Leader) {
        show_books(app).await;
        let work = match leader.lead().await {
            Ok(Some(work)) => work,
            Ok(None) => return self.reign.ends(),
            Err(error) => {
                self.reign.ends();
                warn!(%error, "cannot find out which replica runs the jobs");
                return;
            }
        };
        let lasted = self.reign.lasts(app.clock.read().boot_millis);
        if !reap(app, feed, &work, lasted >= app.terms.grace_millis).await {
            self.reign.ends();
        }
        reconcile(app, &work, &mut self.reconciler).await;
        if self.led.is_multiple_of(ROUNDS_PER_RETENTION) {
            clear_away(app, &work).await;
        }
        self.led = self.led.wrapping_add(1);
    }
}

/// Since when this process has led, with a database that answered each time. While nobody led, or nothing was written down, relays that
/// are well were not heard of either: they have as long as it takes to lose one before any is taken for lost.
#[derive(Debug, Default)]
struct Reign(Option<u64>);

impl Reign {
    /// It leads at a moment. Answers for how long it has.
    fn lasts(&mut self, now: u64) -> u64 {
        now.saturating_sub(*self.0.get_or_insert(now))
    }

    fn ends(&mut self) {
        self.0 = None;
    }
}

/// The figures of the books are the same on every replica, whoever looks through them.
async fn show_books(app: &App) {
    match reconciliation::read(&app.db).await {
        Ok(standing) => {
            let age = reconciliation::age_millis(standing.pass.as_ref(), app.started_at, app.clock.wall());
            app.metrics.books(&standing, Duration::from_millis(u64::try_from(age).unwrap_or(0)));
        }
        Err(error) => warn!(%error, "cannot read how the books stand"),
    }
}

async fn reconcile(app: &App, work: &Work, reconciler: &mut Reconciler) {
    let timing = app.metrics.start(Job::Reconciliation);
    match reconciler.step(work, app.clock.wall()).await {
        Ok(_) => timing.succeeded(),
        Err(error) => {
            timing.failed();
            warn!(%error, "cannot look through the accounts");
        }
    }
}

/// Looks after the leases of lost relays. `false`: it cannot be done.
async fn reap(app: &App, feed: &Feed, work: &Work, may_doubt: bool) -> bool {
    let timing = app.metrics.start(Job::Leases);
    let now = app.clock.wall();
    let reaped = if may_doubt {
        leases::jobs::run(work, &app.terms, now).await
    } else {
        leases::jobs::give_back(work, &app.terms, now).await
    };
    match reaped {
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
            true
        }
        Err(error) => {
            timing.failed();
            warn!(%error, "cannot look after the leases of lost relays");
            false
        }
    }
}

async fn clear_away(app: &App, work: &Work) {
    let timing = app.metrics.start(Job::Retention);
    let cleared = match settings::site(app).await {
        Ok(site) => retention::run(work, &Kept::of(&site), app.clock.wall()).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match cleared {
        Ok(report) => {
            timing.succeeded();
            if report.rows() > 0 {
                info!(rows = report.rows(), "cleared away {} rows that are kept for a time only", report.rows());
            }
        }
        Err(error) => {
            timing.failed();
            warn!(error, "cannot clear away old rows");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reign_counts_from_when_it_last_began() {
        let mut reign = Reign::default();
        assert_eq!([reign.lasts(1_000), reign.lasts(6_000), reign.lasts(31_000)], [0, 5_000, 30_000]);
        reign.ends();
        assert_eq!([reign.lasts(900_000), reign.lasts(905_000)], [0, 5_000], "whatever was before an outage");
    }
}
