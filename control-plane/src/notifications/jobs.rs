//! Sends what is due, on one replica at a time.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::DbErr;
use sluice_domain::{Clock, UnixMillis};
use sluice_telemetry::drain::Drain;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use super::rules::pause;
use super::{Courier, NotDelivered, Notification, store};
use crate::app::App;
use crate::db::retried;
use crate::jobs::leader::{Leader, Work};
use crate::metrics::Job;

/// How often is looked for what is due, and the leader's lease renewed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Messages sent at once. With the time that each may take, a round ends well before the leader's lease.
const AT_ONCE: u64 = 8;

/// What became of the messages of one round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The webhook took them.
    pub delivered: u64,
    /// It did not; they are sent again.
    pub failed: u64,
    /// It did not; they are not sent again.
    pub given_up: u64,
}

/// Runs the job whenever this process leads, until it closes. `holder` names it among the replicas. It has a leader of its own: a
/// webhook that is slow holds up no other job.
pub async fn keep_running(app: App, courier: Courier, holder: String, drain: Drain) {
    let leader = Leader::new(app.db.clone(), "notifications", holder);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closing = drain.closing();
    tokio::pin!(closing);
    loop {
        tokio::select! {
            () = &mut closing => break,
            _ = ticks.tick() => {}
        }
        let work = match leader.lead().await {
            Ok(Some(work)) => work,
            Ok(None) => continue,
            Err(error) => {
                warn!(%error, "cannot find out which replica sends notifications");
                continue;
            }
        };
        let timing = app.metrics.start(Job::Notifications);
        match run(&work, &courier, &app.clock).await {
            Ok(report) => {
                timing.succeeded();
                app.metrics.notified(&report);
            }
            Err(error) => {
                timing.failed();
                warn!(%error, "cannot send notifications");
            }
        }
    }
    if let Err(error) = leader.step_down().await {
        warn!(%error, "cannot step down; another replica sends notifications when the lease ends");
    }
}

/// Sends what is due by now, a few of the oldest. An attempt is noted before it is made: whatever happens then, the next one waits.
///
/// # Errors
/// When the database refuses or is away, or another replica sends by now.
pub async fn run(work: &Work, courier: &Courier, clock: &Clock) -> Result<Report, DbErr> {
    let now = clock.wall();
    let due = retried(|| take(work, now)).await?;
    if due.is_empty() {
        return Ok(Report::default());
    }
    let outcomes = join_all(due.iter().map(|notification| courier.send(notification, now))).await;
    let sent: Vec<_> = due.iter().zip(outcomes).collect();
    let now = clock.wall();
    retried(|| note(work, &sent, now)).await?;
    Ok(tell(&sent))
}

/// Takes what is due, each as it is after this attempt.
async fn take(work: &Work, now: UnixMillis) -> Result<Vec<Notification>, DbErr> {
    let tx = work.begin().await?;
    let mut due = store::due(&tx, now, AT_ONCE).await?;
    for one in &mut due {
        one.attempts += 1;
        let millis = pause(one.attempts).map(|pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        one.next_attempt_at = millis.map(|millis| now.plus_millis(millis));
        store::take(&tx, one.id, one.attempts, one.next_attempt_at).await?;
    }
    tx.commit().await?;
    Ok(due)
}

async fn note(work: &Work, sent: &[(&Notification, Result<(), NotDelivered>)], now: UnixMillis) -> Result<(), DbErr> {
    let tx = work.begin().await?;
    for (notification, outcome) in sent {
        match outcome {
            Ok(()) => store::delivered(&tx, notification.id, now).await?,
            Err(failure) => store::failed(&tx, notification.id, &failure.to_string()).await?,
        }
    }
    Ok(tx.commit().await?)
}

fn tell(sent: &[(&Notification, Result<(), NotDelivered>)]) -> Report {
    let mut report = Report::default();
    for (notification, outcome) in sent {
        let (id, attempt) = (notification.id, notification.attempts);
        match outcome {
            Ok(()) => report.delivered += 1,
            Err(failure) if notification.next_attempt_at.is_some() => {
                report.failed += 1;
                debug!(notification.id = id, attempt, %failure, "notification {id} did not get there, it is sent again");
            }
            Err(failure) => {
                report.given_up += 1;
                warn!(notification.id = id, attempt, %failure, "notification {id} was given up: {failure}");
            }
        }
    }
    report
}
