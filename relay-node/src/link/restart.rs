//! Starting with what the last life left on the disk.

use std::sync::Arc;

use parking_lot::Mutex;
use sluice_domain::Clock;
use tracing::{info, warn};

use super::configured::Configured;
use super::keep::{self, Kept};
use super::standing::Standing;
use crate::metrics::ViewMetrics;
use crate::view::{ConfigState, Held, LastGood, View};

/// A configuration on disk that was last confirmed longer ago is not served from, in milliseconds.
const MAX_AGE_MILLIS: i64 = 24 * 3600 * 1000;

/// What the last life left: used at once as the base that deltas are applied to, and in force only when there is no better.
#[derive(Debug)]
pub(super) struct Restart {
    last_good: LastGood,
    view: View,
    configured: Arc<Configured>,
    standing: Standing,
    clock: Clock,
    metrics: ViewMetrics,
    kept: Mutex<Option<Left>>,
}

/// What is left to put in force.
#[derive(Debug)]
struct Left {
    held: Held,
    digest_key: [u8; 32],
    lineage: Arc<str>,
    age_millis: i64,
}

impl Restart {
    pub(super) const fn new(
        last_good: LastGood,
        view: View,
        configured: Arc<Configured>,
        standing: Standing,
        clock: Clock,
        metrics: ViewMetrics,
    ) -> Self {
        Self { last_good, view, configured, standing, clock, metrics, kept: Mutex::new(None) }
    }

    /// Reads the disk.
    pub(super) async fn load(self: &Arc<Self>) {
        let here = Arc::clone(self);
        // a thread that is gone means a process on its way down: nothing is loaded then
        let _ = tokio::task::spawn_blocking(move || here.load_now()).await;
    }

    fn load_now(&self) {
        let kept = self.last_good.load(keep::decode, || self.metrics.save_errors.increment());
        let Some(Kept { state, held, digest_key, saved_at }) = kept else { return };
        let now = self.clock.wall();
        // a time to come is damage, and would make revoked keys live for ever
        let fresh_at = self.last_good.fresh_at().filter(|fresh_at| *fresh_at <= now);
        let confirmed_at = fresh_at.max(Some(saved_at)).unwrap_or(saved_at);
        let age_millis = now.millis_since(confirmed_at).max(0);
        if age_millis > MAX_AGE_MILLIS {
            warn!("the configuration on disk was last confirmed {} h ago: it is not used", age_millis / 3_600_000);
            return;
        }
        info!(config.seq = state.version().seq, "found configuration {} on disk", state.version().seq);
        let lineage = Arc::clone(&state.version().lineage);
        self.configured.preload(state);
        *self.kept.lock() = Some(Left { held, digest_key, lineage, age_millis });
    }

    /// The control plane answered: what is on disk is only of use when it is of the same history.
    pub(super) fn registered(&self, lineage: &str, digest_key: [u8; 32]) {
        let kept = self.kept.lock().take();
        let is_same = kept.as_ref().is_none_or(|left| &*left.lineage == lineage && left.digest_key == digest_key);
        self.view.set_digest_key(digest_key);
        match kept {
            Some(left) if is_same => self.view.restore(left.held),
            Some(_) => {
                info!("what is on disk is of another installation or history: it is not used");
                self.configured.preload(ConfigState::default());
            }
            None => {}
        }
    }

    /// No control plane answered: puts in force what is on disk.
    pub(super) async fn fall_back(&self) {
        if self.standing.is_registered() {
            return;
        }
        let Some(left) = self.kept.lock().take() else { return };
        warn!("no control plane answers: serving from the configuration on disk, confirmed {} s ago", left.age_millis / 1000);
        self.standing.fresh(self.clock.read().boot_millis, left.age_millis);
        self.view.set_digest_key(left.digest_key);
        self.view.restore(left.held);
        self.standing.set_serves_last_good(true);
        // a thread that is gone means a process on its way down
        let _ = self.configured.publish().await;
    }
}
