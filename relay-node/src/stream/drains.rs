//! Answers whose callers left, read on for the usage that their upstreams report.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sluice_routing::Candidate;
use sluice_telemetry::tasks::Tasks;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::delivery::estimate;
use super::reader::{Reader, Step};
use crate::app::RelayApp;
use crate::forward::{Answered, Answerer, Good, Journey, Opened, Parting};
use crate::meter::Bill;

/// Where answers are read on. It is bounded in time and number; what does not fit is cancelled.
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
    /// Where an app's answers are read on.
    #[must_use]
    pub fn of(app: &RelayApp) -> Self {
        Self { tasks: app.tasks.clone(), slots: Arc::clone(&app.engine.drains), limit: app.engine.timing.drain }
    }

    /// Reads a stream on to its end, or as long as it may take, and settles it as one whose caller left.
    pub(super) fn read_on(&self, mut reader: Reader, mut bill: Box<Bill>, answerer: Answerer) {
        self.go_on(async move {
            rest(&mut reader, &mut bill, None, &answerer).await;
        });
    }

    /// Goes on with an attempt that nobody has answered yet.
    fn wait_on(&self, journey: Running) {
        self.go_on(async move {
            let Answered { outcome, mut bill } = journey.await;
            match outcome {
                Ok(Good::Stream(opened)) => {
                    let Opened { mut reader, end, answerer, .. } = *opened;
                    rest(&mut reader, &mut bill, end, &answerer).await;
                }
                Ok(Good::Whole(whole)) => {
                    estimate(whole.answer(), bill.tally()).await;
                }
                Err(_) => {}
            }
        });
    }

    /// Whatever holds a bill settles it as one whose caller left when it is dropped, at its end or when its time is over.
    fn go_on(&self, reading: impl Future<Output = ()> + Send + 'static) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        // A process on its way down has nowhere to read on.
        if Handle::try_current().is_err() {
            return;
        }
        let limit = self.limit;
        self.tasks.spawn("drain", async move {
            let _slot = slot;
            let _ = timeout(limit, reading).await;
        });
    }
}

/// Reads the rest of a stream, as far as it is paid for. It counts by how it ends, as any other.
async fn rest(reader: &mut Reader, bill: &mut Bill, mut end: Option<Step>, answerer: &Answerer) {
    loop {
        let step = match end.take() {
            Some(end) => end,
            None => reader.step(bill.tally()).await,
        };
        match step {
            Step::Forward(_) => {
                bill.note_progress();
                bill.look_ahead();
                if bill.is_used_up() && bill.extend().await.is_err() {
                    return;
                }
            }
            Step::Done(_) => return answerer.succeeded(),
            Step::Ended if reader.summary().is_complete => return answerer.succeeded(),
            broken => {
                // nobody is left to be told
                let _ = answerer.broke_off(broken);
                return;
            }
        }
    }
}

/// A request on its way to an answer.
type Running = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A request on its way to an answer. Dropping it ends the attempt that runs, unless its channel has that read on.
pub struct Forwarding {
    /// `None` when it is over.
    running: Option<Running>,
    parting: Arc<Parting>,
    drains: Drains,
}

impl Forwarding {
    /// Sets a journey going, with this candidate first.
    #[must_use]
    pub fn of(journey: Journey, first: Candidate, bill: Box<Bill>) -> Self {
        let (parting, drains) = (Arc::clone(&journey.parting), Drains::of(&journey.app));
        Self { running: Some(Box::pin(journey.run(first, bill))), parting, drains }
    }
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarding").field("is_over", &self.running.is_none()).finish_non_exhaustive()
    }
}

impl Future for Forwarding {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let answered = ready!(running.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(answered)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.parting.leave();
        if let Some(running) = self.running.take()
            && self.parting.drains()
            && !std::thread::panicking()
        {
            self.drains.wait_on(running);
        }
    }
}
