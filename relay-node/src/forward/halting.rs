//! Answers that go on at their upstream when their connection is gone: told to stop when nobody reads them on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::HeaderName;
use sluice_dialect::exchange::Passage;
use sluice_dialect::vendor::{Halt, Vendor};
use sluice_providers::Target;
use sluice_telemetry::tasks::Tasks;
use sluice_upstream::{Client, Route, Timeouts};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::app::RelayApp;

/// The longest an upstream may take to stop.
const MAX_TIME: Duration = Duration::from_secs(10);
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// One answer, and how it is stopped. Dropped before it is over, it has the upstream stop.
pub struct Halting {
    vendor: Vendor,
    client: Client,
    tasks: Tasks,
    slots: Arc<Semaphore>,
    route: Route,
    target: Target,
    sent: Bytes,
    halt: Option<Halt>,
    is_over: bool,
}

impl fmt::Debug for Halting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Halting").field("vendor", &self.vendor).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Halting {
    /// Of a request that is about to be sent; `None` where closing the connection is enough.
    pub(super) fn of(app: &RelayApp, passage: &Passage, route: &Route, target: &Target, sent: &Bytes) -> Option<Self> {
        let vendor = passage.vendor().filter(|vendor| vendor.goes_on())?;
        let mut target = target.clone();
        target.headers.remove(PREFER);
        Some(Self {
            vendor,
            client: app.engine.client.clone(),
            tasks: app.tasks.clone(),
            slots: Arc::clone(&app.engine.drains),
            route: route.clone(),
            target,
            sent: sent.clone(),
            halt: None,
            is_over: false,
        })
    }

    /// Looks at a piece of the answer, until one tells its name.
    pub fn look(&mut self, piece: &[u8]) {
        if self.halt.is_none() && !self.is_over {
            self.halt = self.vendor.halt(self.target.url.path(), &self.sent, piece);
        }
    }

    /// The upstream has ended the answer itself.
    pub const fn over(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Halting {
    fn drop(&mut self) {
        let Some(Halt { path, body }) = self.halt.take().filter(|_| !self.is_over) else { return };
        // a process on its way down, or one with enough to do, leaves it
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        if Handle::try_current().is_err() {
            return;
        }
        let (client, route, mut target) = (self.client.clone(), self.route.clone(), self.target.clone());
        target.method = Method::POST;
        target.url.set_path(&path);
        self.tasks.spawn("halt", async move {
            let _slot = slot;
            // whatever it says, the answer was given up already
            drop(client.send(&route, target, body, Timeouts::whole(MAX_TIME)).await);
        });
    }
}
