//! Reports usage: earlier epochs to their end, then this one for as long as it lives. Few batches are under way.
//!
//! What is told next, and what an answer means, is decided by [`Course`]; here its steps are done: the spool is read beside the runtime, and
//! what it says travels on a [`Stream`].
//!
//! A control plane whose database went back to the past asks for records that were acknowledged, or is in another history. Then everything
//! that is kept is told again, oldest first; it drops what it has (ruling R7). Whether it went back is asked at the beginning of every
//! session and now and then while there is nothing to report.

pub mod course;
pub mod log;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;

use sluice_domain::{Clock, Epoch};
use sluice_rpc::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use sluice_telemetry::chain::Chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info};

use self::course::{Await, Course, Deed, Event, LOOK_EVERY, What};
use self::log::{Log, closed_in, last_ended, standing_of};
use self::stream::Stream;
use super::session::{Call, SessionError, Wire};
use crate::metrics::LinkMetrics;
use crate::quota::Quotas;
use crate::spool::{Batch, BatchLimits, EarlierLog, ReadError, Spool};

/// A batch may not exceed what the control plane takes; a body that was read last may be this large.
const LIMITS: BatchLimits = BatchLimits { records: MAX_BATCH_RECORDS, bytes: MAX_BATCH_BYTES - 64 * 1024 };

/// What a reporter is made of.
pub(super) struct ReporterParts<'a> {
    pub(super) wire: &'a Wire,
    pub(super) spool: &'a Spool,
    pub(super) quotas: &'a Quotas,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a LinkMetrics,
    /// Says that nothing will be written any more: end the epoch once everything is settled.
    pub(super) ending: watch::Receiver<bool>,
    /// Says that the control plane knows which leases are held. Until then the end of an earlier epoch would close those that this one
    /// goes on with.
    pub(super) has_greeted: watch::Receiver<bool>,
    /// The history the control plane is in.
    pub(super) lineage: Arc<str>,
    /// Everything that is kept has to be told, settled or not.
    pub(super) starts_over: bool,
}

/// Reports what the spool holds, over one connection.
pub(super) struct Reporter<'a> {
    parts: ReporterParts<'a>,
    stream: Stream<'a>,
    course: Course,
    /// What the times of the course are counted from.
    began: Instant,
    /// Logs of earlier epochs that were listed and not taken up yet.
    listed: Vec<EarlierLog>,
    /// The log in hand; `None` while it is read.
    log: Option<Log>,
    /// Why the log in hand cannot be read.
    trouble: Option<ReadError>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(parts: ReporterParts<'a>) -> Self {
        let own = Log::Current(parts.spool.current()).standing();
        Self {
            stream: Stream::new(parts.wire, parts.clock),
            course: Course::new(own, parts.starts_over, LOOK_EVERY),
            began: Instant::now(),
            listed: Vec::new(),
            log: None,
            trouble: None,
            parts,
        }
    }

    /// Reports until the stream breaks.
    pub(super) async fn run(mut self) -> Result<Infallible, SessionError> {
        let mut step = self.course.begin();
        loop {
            for deed in step.deeds {
                self.perform(deed).await?;
            }
            let event = self.wait_for(step.awaits).await?;
            step = self.course.on(event, self.began.elapsed());
        }
    }

    async fn perform(&mut self, deed: Deed) -> Result<(), SessionError> {
        match deed {
            Deed::BeginAnew => self.stream.begin_anew(),
            Deed::TakeUp(epoch) => self.log = Log::take_up(epoch, &mut self.listed, self.parts.spool),
            Deed::Say(said) => {
                let history = self.parts.spool.history();
                if matches!(said.what, What::Records(_)) {
                    self.parts.metrics.batches.increment();
                }
                return self.stream.say(&said, history.as_deref().unwrap_or_default()).await;
            }
            Deed::Settled(batch) => self.settled(&batch),
            Deed::Ended => self.ended(),
            Deed::Left => self.tell_trouble(|epoch| format!("epoch {epoch} stays open")),
            Deed::LeftAlone => self.tell_trouble(|_| "usage is not reported".to_owned()),
            Deed::Gone { epoch, count } => {
                self.parts.metrics.records_gone.add(count);
                error!(node.epoch = epoch.0, "{count} records of epoch {epoch} are asked for again and not kept any more");
            }
            Deed::WentBack { epoch, asked, settled_below } => {
                self.parts.metrics.rollbacks.increment();
                error!(
                    node.epoch = epoch.0,
                    "the control plane asks for records of epoch {epoch} from {asked} on, everything below {settled_below} was settled: its \
                     database went back to the past; all usage that is kept is reported again"
                );
            }
            Deed::CaughtUp => {
                info!("all usage that is kept is settled again");
                note_history(self.parts.spool, &self.parts.lineage).await;
            }
        }
        Ok(())
    }

    fn settled(&mut self, batch: &Batch) {
        if let Some(log) = &mut self.log {
            log.settled(batch);
        }
        self.parts.quotas.ends_are_settled(closed_in(batch));
        let gone = batch.records.iter().filter(|body| body.is_empty()).count();
        self.parts.metrics.records_gone.add(gone as u64);
        self.parts.metrics.records_acked.add(batch.records.len() as u64);
    }

    fn ended(&mut self) {
        let Some(log) = &mut self.log else { return };
        log.ended();
        if matches!(log, Log::Earlier(_)) {
            let epoch = log.epoch();
            info!(node.epoch = epoch.0, "everything of epoch {epoch} is settled");
        }
    }

    fn tell_trouble(&mut self, follows: impl FnOnce(Epoch) -> String) {
        let epoch = self.log.as_ref().map_or(self.parts.spool.epoch(), Log::epoch);
        if let Some(read) = self.trouble.take() {
            error!(node.epoch = epoch.0, "{}; {}", Chain(&read), follows(epoch));
        }
    }

    async fn wait_for(&mut self, awaited: Await) -> Result<Event, SessionError> {
        match awaited {
            Await::Logs { all } => {
                self.listed = if all { self.parts.spool.retained() } else { self.parts.spool.earlier() };
                Ok(Event::Logs(self.listed.iter().map(standing_of).collect()))
            }
            Await::LastEnded => Ok(Event::LastEnded(last_ended(self.parts.spool))),
            Await::Sought(seq) => self.with_log(move |log| log.seek(seq)).await,
            Await::Mended { below } => self.with_log(move |log| log.mend(below)).await,
            Await::Read => self.with_log(|log| log.read(LIMITS)).await,
            Await::Answer => self.stream.answer().await,
            Await::Greeting => match self.parts.has_greeted.wait_for(|has_greeted| *has_greeted).await {
                Ok(_) => Ok(Event::Greeted),
                Err(_) => Err(SessionError::Closed(Call::Leases)),
            },
            Await::WhetherOver => {
                let is_ending = *self.parts.ending.borrow_and_update();
                Ok(Event::Over(is_ending && self.log.as_ref().is_some_and(Log::is_settled)))
            }
            Await::More { at_most } => {
                let mut ending = self.parts.ending.clone();
                let Some(log) = &self.log else { return Err(SessionError::Closed(Call::Usage)) };
                tokio::select! {
                    () = log.wait() => Ok(Event::More),
                    _ = ending.changed() => Ok(Event::More),
                    () = sleep(at_most) => Ok(Event::Quiet),
                }
            }
            Await::Company { until } => {
                if !*self.parts.ending.borrow() {
                    sleep_until(self.began + until).await;
                }
                Ok(Event::Rested)
            }
            Await::Rest(time) => {
                sleep(time).await;
                Ok(Event::Rested)
            }
            Await::Break => Err(SessionError::Closed(Call::Usage)),
            Await::Nothing => std::future::pending().await,
        }
    }

    /// Does something with the log in hand, beside the runtime: it blocks on the disk.
    async fn with_log(
        &mut self,
        read: impl FnOnce(&mut Log) -> Result<Event, ReadError> + Send + 'static,
    ) -> Result<Event, SessionError> {
        // a thread that is gone means a process on its way down
        let gone = SessionError::Closed(Call::Usage);
        let Some(mut log) = self.log.take() else { return Err(gone) };
        let reading = tokio::task::spawn_blocking(move || {
            let event = read(&mut log);
            (log, event)
        });
        let Ok((log, event)) = reading.await else { return Err(gone) };
        self.log = Some(log);
        Ok(event.unwrap_or_else(|error| {
            self.trouble = Some(error);
            Event::Unreadable
        }))
    }
}

/// Notes in which history everything is settled. When the disk refuses, all is told once more after the next start.
pub(super) async fn note_history(spool: &Spool, lineage: &str) {
    let (spool, lineage) = (spool.clone(), lineage.to_owned());
    // a thread that is gone means a process on its way down
    let noted = tokio::task::spawn_blocking(move || spool.note_history(&lineage)).await;
    if let Ok(Err(error)) = noted {
        error!("cannot note the history of the database beside the spool: {error}");
    }
}
