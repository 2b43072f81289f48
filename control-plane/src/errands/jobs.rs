//! Tests every channel now and then, one after the other, and ends errands that nobody ran. On one replica at a time.

use std::time::Duration;

use sea_orm::DbErr;
use sluice_domain::{ChannelId, Status};
use sluice_telemetry::drain::Drain;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{Errand, LIFE_MILLIS, Wish, insert, rules, store};
use crate::app::App;
use crate::channels;
use crate::db::retried;
use crate::http::ApiError;
use crate::jobs::leader::{Leader, Work};
use crate::metrics::Job;
use crate::settings;

/// How often it is looked whether a channel is due, and the leader's lease renewed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const MINUTE_MILLIS: i64 = 60_000;

/// Runs the job whenever this process leads, until it closes. `holder` names it among the replicas, `every` is how often channels are
/// tested, in minutes, where the site's own setting says nothing; 0: not at all.
pub async fn keep_running(app: App, every: u32, holder: String, drain: Drain) {
    let leader = Leader::new(app.db.clone(), "errands", holder);
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
                warn!(%error, "cannot find out which replica has channels tested");
                continue;
            }
        };
        let timing = app.metrics.start(Job::Errands);
        match run(&app, &work, every).await {
            Ok(()) => timing.succeeded(),
            Err(error) => {
                timing.failed();
                warn!(%error, "cannot have channels tested");
            }
        }
    }
    if let Err(error) = leader.step_down().await {
        warn!(%error, "cannot step down; another replica has channels tested when the lease ends");
    }
}

/// Ends what nobody ran, and has the channel tested that is due for longest, unless another one is being tested.
///
/// # Errors
/// When the database refuses or is away, or another replica runs the job by now.
pub async fn run(app: &App, work: &Work, every: u32) -> Result<(), ApiError> {
    let given_up = retried(|| give_up(app, work)).await?;
    if given_up > 0 {
        info!(errands = given_up, "{given_up} errands were given up: no relay ran them");
    }
    let site = settings::site(app).await?;
    let minutes = if site.channel_test_minutes > 0 { site.channel_test_minutes } else { i64::from(every) };
    if minutes == 0 || store::open(app.db.read()).await? > 0 {
        return Ok(());
    }
    let before = app.clock.wall().plus_millis(-minutes.saturating_mul(MINUTE_MILLIS));
    let Some(id) = store::due(app.db.read(), before, 1).await?.pop() else { return Ok(()) };
    let Some(channel) = channels::find(app, id).await? else { return Ok(()) };
    let mut errands = rules::errands(&channel, &Wish::test()).unwrap_or_default();
    let Some(first) = errands.first().cloned() else { return pass_over(app, work, id).await };
    if site.automatic_enable_channel_enabled {
        // a key that was switched off is used again once a test of it passes
        let off = channel.keys.iter().filter(|key| key.status == Status::AutoDisabled && first.key != Some(key.id));
        errands.extend(off.map(|key| Errand { key: Some(key.id), ..first.clone() }));
    }
    insert(app, None, &errands).await.map(drop)
}

/// A channel that cannot be tested counts as looked at: others have their turn.
async fn pass_over(app: &App, work: &Work, id: ChannelId) -> Result<(), ApiError> {
    let now = app.clock.wall();
    let passed = retried(|| async {
        let tx = work.begin().await?;
        store::passed_over(&tx, id, now).await?;
        Ok(tx.commit().await?)
    });
    Ok(passed.await?)
}

async fn give_up(app: &App, work: &Work) -> Result<u64, DbErr> {
    let now = app.clock.wall();
    let tx = work.begin().await?;
    let ended = store::give_up(&tx, now.plus_millis(-LIFE_MILLIS), now).await?;
    tx.commit().await?;
    Ok(ended)
}
