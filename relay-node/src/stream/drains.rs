//! Streams whose callers left, read on for the usage that their upstreams report last.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sluice_telemetry::tasks::Tasks;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::reader::{Reader, Step};
use crate::app::RelayApp;
use crate::meter::Bill;

/// Where streams are read on. It is bounded in time and number; what does not fit is cancelled.
#[derive(Clone)]
pub struct Drains {
    tasks: Tasks,
    slots: Arc<Semaphore>,
    limit: Duration,
}

impl fmt::Debug for Drains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drains").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Drains {
    /// Where an app's streams are read on.
    #[must_use]
    pub fn of(app: &RelayApp) -> Self {
        Self { tasks: app.tasks.clone(), slots: Arc::clone(&app.engine.drains), limit: app.engine.timing.drain }
    }

    /// Reads a stream on to its end, or as long as it may take, and settles it as one whose caller left.
    pub(super) fn read_on(&self, mut reader: Reader, mut bill: Box<Bill>) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        // A process on its way down has nowhere to read on.
        if Handle::try_current().is_err() {
            return;
        }
        let limit = self.limit;
        self.tasks.spawn("drain", async move {
            let _slot = slot;
            let rest = async { while let Step::Forward(_) = reader.step(bill.tally()).await {} };
            let _ = timeout(limit, rest).await;
            drop(bill);
        });
    }
}
