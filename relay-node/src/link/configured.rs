//! The configuration of this relay and the one way to change it: off the runtime's threads, compiled, published, remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sluice_domain::UnixMillis;
use sluice_snapshot::{Rejected, StateHash, Version};
use tracing::warn;
use zeroize::Zeroizing;

use super::keep;
use crate::metrics::ViewMetrics;
use crate::view::{ConfigState, View};

/// Most rejected resources that are named to the control plane.
const MAX_REJECTED: usize = 1_000;

/// The configuration. One lock, held while a table is compiled, so that tables are published in order.
#[derive(Debug)]
pub(super) struct Configured {
    state: Mutex<ConfigState>,
    /// What was compiled last.
    compiled: Mutex<Option<Compiled>>,
    /// What cannot be used and was told already, with the reason.
    told: Mutex<Vec<Rejected>>,
    view: View,
    metrics: ViewMetrics,
    /// Whether something changed since it was last kept on disk.
    is_unsaved: AtomicBool,
}

/// The edition in force, and what of it cannot be used.
#[derive(Debug)]
struct Compiled {
    edition: u64,
    rejected: Vec<Rejected>,
}

/// Where a change led.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) version: Version,
    pub(super) hash: StateHash,
    pub(super) rejected: Vec<Rejected>,
}

/// The thread a change ran on ended without a result: the process is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the change was not carried out")]
pub(super) struct NotDone;

impl Configured {
    pub(super) fn new(view: View, metrics: ViewMetrics) -> Arc<Self> {
        let state = Mutex::new(ConfigState::default());
        let (compiled, told) = (Mutex::default(), Mutex::default());
        Arc::new(Self { state, compiled, told, view, metrics, is_unsaved: AtomicBool::new(false) })
    }

    /// Where it is, and whether its hash can be compared.
    pub(super) fn place(&self) -> (Version, StateHash, bool) {
        let state = self.state.lock();
        (state.version().clone(), state.hash(), state.is_comparable())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().is_empty()
    }

    /// Puts in a configuration that was kept on disk, without publishing it.
    pub(super) fn preload(&self, state: ConfigState) {
        *self.state.lock() = state;
        *self.compiled.lock() = None;
    }

    /// Puts in force what is here, unchanged.
    pub(super) async fn publish(self: &Arc<Self>) -> Result<(), NotDone> {
        let unchanged = self.change(|_| Ok::<(), std::convert::Infallible>(())).await?;
        unchanged.map(|_| ()).map_err(|never| match never {})
    }

    /// Changes the configuration and puts the result in force. When the change fails nothing is published.
    pub(super) async fn change<E: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut ConfigState) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<Now, E>, NotDone> {
        let here = Arc::clone(self);
        tokio::task::spawn_blocking(move || here.change_now(change)).await.map_err(|_| NotDone)
    }

    fn change_now<E>(&self, change: impl FnOnce(&mut ConfigState) -> Result<(), E>) -> Result<Now, E> {
        let mut state = self.state.lock();
        let is_new_history = {
            let before = state.version().lineage.clone();
            change(&mut state)?;
            !before.is_empty() && before != state.version().lineage
        };
        if is_new_history {
            self.view.forget_identities();
        }
        let rejected = self.publish_now(&state);
        Ok(Now { version: state.version().clone(), hash: state.hash(), rejected })
    }

    /// Puts in force what the state says. Answers what of it cannot be used.
    fn publish_now(&self, state: &ConfigState) -> Vec<Rejected> {
        let mut compiled = self.compiled.lock();
        if let Some(same) = compiled.as_ref().filter(|compiled| compiled.edition == state.edition()) {
            self.view.publish(Arc::new(self.view.table().at(state.version().clone())));
            return same.rejected.clone();
        }
        let (table, mut rejected) = state.compile();
        self.tell(state.version().seq, &rejected);
        self.metrics.rejected_entities.set_count(rejected.len());
        self.metrics.state_hash.set(low_bits(state.hash()));
        self.view.publish(Arc::new(table));
        self.is_unsaved.store(true, Ordering::Relaxed);
        rejected.truncate(MAX_REJECTED);
        *compiled = Some(Compiled { edition: state.edition(), rejected: rejected.clone() });
        rejected
    }

    /// Names each resource that cannot be used once, not again with every change of another.
    fn tell(&self, seq: i64, rejected: &[Rejected]) {
        let mut told = self.told.lock();
        for one in rejected.iter().filter(|one| !told.contains(one)) {
            let (kind, name, reason) = (one.key.kind(), one.key.name(), &one.reason);
            warn!(config.seq = seq, "cannot use {kind} {name}: {reason}; its previous form stays in force");
        }
        *told = rejected.iter().take(MAX_REJECTED).cloned().collect();
    }

    /// Says that identities changed, so that they are kept with the next save.
    pub(super) fn touched(&self) {
        self.is_unsaved.store(true, Ordering::Relaxed);
    }

    /// What is to be kept on disk, if anything changed since the last time. Blocks for a while when there are many identities.
    pub(super) fn unsaved(&self, now: UnixMillis) -> Option<Zeroizing<Vec<u8>>> {
        let digest_key = self.view.digest_key()?;
        if self.is_empty() || !self.is_unsaved.swap(false, Ordering::Relaxed) {
            return None;
        }
        let held = self.view.held();
        let (version, entries) = {
            let state = self.state.lock();
            (state.version().clone(), state.entries().map(|(hash, kept)| (hash, Arc::clone(kept))).collect::<Vec<_>>())
        };
        Some(keep::encode(&version, &entries, &held, digest_key, now))
    }
}

/// As much of a hash as a metric holds exactly.
fn low_bits(hash: StateHash) -> f64 {
    hash.to_bytes().iter().take(6).rev().fold(0.0, |bits, byte| bits * 256.0 + f64::from(*byte))
}
