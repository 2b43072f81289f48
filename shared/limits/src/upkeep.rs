//! What runs beside requests: tells the fleet's counters of later changes, keeps running requests counted, and looks whether counters
//! that were away are back.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::ask::Slot;
use crate::limiter::{Limiter, Mode};
use crate::shared::{Away, Change};

/// How long a running request counts without being told again, so that those of a relay that died are forgotten.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How often running requests are told again.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How often counters that are away are looked for.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The longest wait for an answer that no request waits for.
const PATIENCE: Duration = Duration::from_millis(250);
/// Changes that are told together.
const BATCH: usize = 200;

/// What runs beside requests. Run it once; without it changes are lost, and shared counters are never asked.
#[derive(Debug)]
pub struct Upkeep {
    limiter: Limiter,
    waiting: mpsc::Receiver<Change>,
}

impl Upkeep {
    pub(crate) fn new(limiter: Limiter, waiting: mpsc::Receiver<Change>) -> Self {
        Self { limiter, waiting }
    }

    /// Runs until `stop` is done, and then tells what still waits.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        if self.limiter.shared().is_none() {
            return stop.await;
        }
        let (mut probes, mut keeps) = (interval(PROBE_EVERY), interval(KEEP_EVERY));
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limiter = self.limiter.clone();
        tokio::pin!(stop);
        let mut changes = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = probes.tick() => self.probe().await,
                _ = keeps.tick() => self.keep().await,
                () = limiter.forgotten() => self.keep().await,
                _ = self.waiting.recv_many(&mut changes, BATCH) => self.tell(std::mem::take(&mut changes)).await,
            }
        }
        self.waiting.close();
        while self.waiting.recv_many(&mut changes, BATCH).await > 0 {
            self.tell(std::mem::take(&mut changes)).await;
        }
        if let Some(shared) = limiter.shared() {
            // it need not answer any more
            let _ = timeout(PATIENCE, shared.close()).await;
        }
    }

    /// Looks whether counters that were away are back. They count again what runs, and what was admitted without them, before they are
    /// asked.
    async fn probe(&self) {
        let Some(shared) = self.limiter.shared().filter(|_| self.limiter.mode() == Mode::Alone) else { return };
        let is_there = timeout(PATIENCE, shared.probe()).await.is_ok_and(|probed| probed.is_ok());
        let is_back = is_there
            && self.make(self.limiter.running()).await.is_ok()
            && self.limiter.tell_all_alone(shared.as_ref(), PATIENCE, BATCH).await.is_ok();
        if is_back {
            self.limiter.is_back();
        } else {
            self.limiter.is_missing();
        }
    }

    async fn keep(&self) {
        if self.limiter.mode() == Mode::Shared && self.make(self.limiter.running()).await.is_err() {
            self.limiter.failed();
        }
    }

    /// Tells of changes; those that cannot be told are lost, one by one.
    async fn tell(&self, changes: Vec<Change>) {
        for together in by_slot(changes) {
            let told = match self.limiter.mode() {
                Mode::Shared => self.make(together.clone()).await,
                Mode::Alone => Err(Away("they were away before")),
            };
            if told.is_err() {
                if self.limiter.mode() == Mode::Shared {
                    self.limiter.failed();
                }
                for change in &together {
                    self.limiter.lost(change);
                }
            }
        }
    }

    async fn make(&self, changes: Vec<Change>) -> Result<(), Away> {
        let Some(shared) = self.limiter.shared() else { return Ok(()) };
        for together in by_slot(changes) {
            for batch in together.chunks(BATCH) {
                timeout(PATIENCE, shared.change(batch)).await.unwrap_or(Err(Away("it took too long")))?;
            }
        }
        Ok(())
    }
}

/// Changes of one slot together, each slot's in their order.
fn by_slot(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut slots: HashMap<Slot, Vec<Change>> = HashMap::new();
    for change in changes {
        slots.entry(change.slot()).or_default().push(change);
    }
    slots.into_values().collect()
}
