//! What happens every second, connected or not: leases are swept, freshness is judged, changes are kept on disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sluice_domain::{Clock, LeaseId};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::configured::Configured;
use super::standing::Standing;
use crate::metrics::ViewMetrics;
use crate::quota::Quotas;
use crate::view::{LastGood, View};

const TICK: Duration = Duration::from_secs(1);
/// A changed configuration is kept on disk at the next tick, but not sooner than so many after the last time.
const SAVE_TICKS: u32 = 10;
/// Renewals asked for in one message.
const MAX_RENEWALS: usize = 1_000;
/// A configuration that was the newest so short a time ago counts as fresh right now, in milliseconds.
const CURRENT_MILLIS: u64 = 5_000;
/// How often freshness is noted on disk, in ticks.
const NOTE_TICKS: u32 = 5;

pub(super) struct Ticker {
    pub(super) quotas: Quotas,
    pub(super) view: View,
    pub(super) standing: Standing,
    pub(super) configured: Arc<Configured>,
    pub(super) last_good: LastGood,
    pub(super) clock: Clock,
    pub(super) metrics: ViewMetrics,
    pub(super) identity_max_stale: Duration,
    pub(super) renewals_due: mpsc::Sender<Vec<LeaseId>>,
}

impl Ticker {
    pub(super) async fn run(self) -> Infallible {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut count, mut since_save): (u32, u32) = (0, SAVE_TICKS);
        loop {
            ticks.tick().await;
            count = count.wrapping_add(1);
            self.sweep();
            self.judge_freshness();
            if count.is_multiple_of(NOTE_TICKS) && self.standing.is_connected() {
                self.note().await;
            }
            since_save = since_save.saturating_add(1);
            if since_save > SAVE_TICKS && self.save().await {
                since_save = 0;
            }
        }
    }

    fn sweep(&self) {
        let renewals = self.quotas.sweep();
        if self.standing.is_connected() {
            for part in renewals.chunks(MAX_RENEWALS) {
                // a full queue loses nothing: the book asks again
                let _ = self.renewals_due.try_send(part.to_vec());
            }
        }
    }

    fn judge_freshness(&self) {
        let staleness = self.standing.staleness_millis(self.clock.read().boot_millis);
        if staleness.is_none_or(|millis| millis <= CURRENT_MILLIS) {
            // otherwise the database may be away, and nothing can confirm what is held
            self.view.end_overdue_pages();
        }
        let is_fresh = staleness.is_none_or(|millis| u128::from(millis) <= self.identity_max_stale.as_millis());
        self.view.set_fresh(is_fresh);
        // what was never known to be the newest is as old as can be: not the figure of the healthiest
        let seconds = staleness.map_or(f64::INFINITY, |millis| Duration::from_millis(millis).as_secs_f64());
        self.metrics.staleness_seconds.set(seconds);
    }

    async fn note(&self) {
        let now = self.clock.read();
        // only what is fresh right now may count as confirmed at this moment
        if self.standing.staleness_millis(now.boot_millis).is_none_or(|millis| millis > CURRENT_MILLIS) {
            return;
        }
        let last_good = self.last_good.clone();
        let noted = tokio::task::spawn_blocking(move || last_good.note_fresh(now.wall)).await;
        if let Ok(Err(error)) = noted {
            self.metrics.save_errors.increment();
            warn!("cannot note on disk that the configuration is fresh: {error}");
        }
    }

    /// `true`: something changed and was kept.
    async fn save(&self) -> bool {
        let (configured, last_good) = (Arc::clone(&self.configured), self.last_good.clone());
        let now = self.clock.wall();
        let saved = tokio::task::spawn_blocking(move || {
            let content = configured.unsaved(now)?;
            let outcome = last_good.save(&content);
            if outcome.is_err() {
                configured.touched();
            }
            Some(outcome)
        });
        match saved.await {
            Ok(Some(Ok(()))) => {
                self.metrics.saves.increment();
                true
            }
            Ok(Some(Err(error))) => {
                self.metrics.save_errors.increment();
                warn!("cannot keep the configuration on disk: {error}");
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}
