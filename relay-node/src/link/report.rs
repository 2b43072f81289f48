//! Reports usage: earlier epochs to their end, then this one for as long as it lives. Few batches are under way.
//!
//! A control plane whose database went back to the past asks for records that were acknowledged, or is in another history. Then everything
//! that is kept is told again, oldest first; it drops what it has (ruling R7). Whether it went back is asked at the beginning of every
//! session and now and then while there is nothing to report.

mod ask;
mod look;
mod stream;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sluice_domain::{Clock, Epoch, LeaseId};
use sluice_rpc::usage::LeaseEffect;
use sluice_rpc::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, usage};
use sluice_telemetry::chain::Chain;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info};

use self::stream::{Stream, Verdict};
use super::session::{Call, SessionError, Wire};
use crate::metrics::LinkMetrics;
use crate::quota::Quotas;
use crate::spool::{Batch, BatchLimits, CurrentLog, EarlierLog, ReadError, Spool};

/// Batches that were sent and not answered: as many as the control plane settles in one transaction.
const MAX_UNDER_WAY: usize = 8;
/// Records of half a batch and more wait this long for company.
const BATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How long a log that cannot be read is left alone.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);
/// How often a control plane that is told nothing is asked whether it went back.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// A batch may not exceed what the control plane takes; a body that was read last may be this large.
const LIMITS: BatchLimits = BatchLimits { records: MAX_BATCH_RECORDS, bytes: MAX_BATCH_BYTES - 64 * 1024 };

/// A log to report: of this epoch or of an earlier one.
trait Log: Send + 'static {
    fn epoch(&self) -> Epoch;
    fn acked_below(&self) -> u64;
    fn seek(&mut self, seq: u64) -> Result<(), ReadError>;
    fn next_batch(&mut self) -> Result<Option<Batch>, ReadError>;
    fn acked(&mut self, batch: &Batch);
}

impl Log for CurrentLog {
    fn epoch(&self) -> Epoch {
        Self::epoch(self)
    }
    fn acked_below(&self) -> u64 {
        Self::acked_below(self)
    }
    fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        Self::seek(self, seq)
    }
    fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        Self::next_batch(self, LIMITS)
    }
    fn acked(&mut self, batch: &Batch) {
        Self::acked(self, batch);
    }
}

impl Log for EarlierLog {
    fn epoch(&self) -> Epoch {
        Self::epoch(self)
    }
    fn acked_below(&self) -> u64 {
        Self::acked_below(self)
    }
    fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        Self::seek(self, seq)
    }
    fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        Self::next_batch(self, LIMITS)
    }
    fn acked(&mut self, batch: &Batch) {
        Self::acked(self, batch);
    }
}

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
}

/// Why a log is not reported further for now.
enum Trouble {
    Session(SessionError),
    Log(ReadError),
    /// Records were asked for that had been acknowledged.
    WentBack,
}

impl From<SessionError> for Trouble {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

impl<'a> Reporter<'a> {
    pub(super) const fn new(parts: ReporterParts<'a>) -> Self {
        let stream = Stream::new(parts.wire, parts.clock);
        Self { parts, stream }
    }

    /// Reports until the stream breaks.
    pub(super) async fn run(mut self) -> Result<Infallible, SessionError> {
        if !self.parts.starts_over {
            self.look_back().await?;
        }
        loop {
            match self.report_all().await {
                Ok(never) => match never {},
                Err(Trouble::Session(error)) => return Err(error),
                Err(Trouble::WentBack) => self.parts.starts_over = true,
                Err(Trouble::Log(read)) => {
                    error!("{}; usage is not reported", Chain(&read));
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
            self.stream.begin_anew();
        }
    }

    async fn report_all(&mut self) -> Result<Infallible, Trouble> {
        let spool = self.parts.spool;
        let earlier = if self.parts.starts_over { spool.retained() } else { spool.earlier() };
        for log in earlier {
            let epoch = log.epoch();
            match self.report_earlier(log).await {
                Ok(()) => info!(node.epoch = epoch.0, "everything of epoch {epoch} is settled"),
                Err(Trouble::Log(read)) => error!("{}; epoch {epoch} stays open", Chain(&read)),
                Err(trouble) => return Err(trouble),
            }
        }
        self.follow(spool.current()).await
    }

    async fn report_earlier(&mut self, log: EarlierLog) -> Result<(), Trouble> {
        let log = self.ask_first(log).await?;
        let start = log.acked_below();
        let mut log = self.go_to(log, start).await?;
        loop {
            log = self.settle_all(log).await?;
            let has_greeted = self.parts.has_greeted.wait_for(|has_greeted| *has_greeted).await.is_ok();
            if !has_greeted {
                return Err(SessionError::Closed(Call::Leases).into());
            }
            let Some(seq) = self.tell_end(log.epoch(), log.end_seq(), log.is_damaged()).await? else {
                log.ended();
                return Ok(());
            };
            log = self.go_back(log, seq).await?;
        }
    }

    async fn follow(&mut self, log: CurrentLog) -> Result<Infallible, Trouble> {
        let start = log.acked_below();
        let mut log = self.go_to(log, start).await?;
        if self.parts.starts_over {
            log = self.look(log).await?;
        }
        let mut last_sent = Instant::now();
        let mut says_nothing_yet = start <= 1;
        loop {
            log = self.settle_all(log).await?;
            if says_nothing_yet && log.acked_below() > 1 {
                says_nothing_yet = false;
                self.look_at_the_last_ended().await?;
            }
            self.has_caught_up().await;
            if *self.parts.ending.borrow_and_update() && log.is_settled() {
                log = self.end(log).await?;
            }
            let mut ending = self.parts.ending.clone();
            tokio::select! {
                () = log.wait() => {}
                _ = ending.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => log = self.look(log).await?,
            }
            if !*self.parts.ending.borrow() {
                tokio::time::sleep_until(last_sent + BATCH_INTERVAL).await;
            }
            last_sent = Instant::now();
        }
    }

    /// Everything that is kept is settled in this history.
    async fn has_caught_up(&mut self) {
        if std::mem::take(&mut self.parts.starts_over) {
            info!("all usage that is kept is settled again");
            note_history(self.parts.spool, &self.parts.lineage).await;
        }
    }

    /// Tells that nothing follows in this epoch; its leases can close.
    async fn end(&mut self, log: CurrentLog) -> Result<CurrentLog, Trouble> {
        let end = log.acked_below();
        match self.tell_end(log.epoch(), end, false).await? {
            None => {
                log.ended();
                // nothing is left to do; the connection is closed from outside
                std::future::pending::<()>().await;
                Ok(log)
            }
            Some(seq) => self.go_back(log, seq).await,
        }
    }

    /// Tells the end of an epoch, and whether records of it are lost. `Some`: there is a gap, go on from here.
    async fn tell_end(&mut self, epoch: Epoch, end: u64, is_damaged: bool) -> Result<Option<u64>, SessionError> {
        let mut is_alone = false;
        loop {
            self.stream.end(epoch, end, is_damaged).await?;
            match self.stream.verdict(epoch).await? {
                Verdict::Acked(_, true) => return Ok(None),
                // an older control plane does not say so; nothing else can be answered here
                Verdict::Acked(below, false) if is_alone && below >= end => return Ok(None),
                Verdict::Acked(below, false) if is_alone => return Ok(Some(below)),
                // an answer to what was sent before the end, perhaps: told again where nothing else was sent
                Verdict::Acked(_, false) => {
                    self.stream.begin_anew();
                    is_alone = true;
                }
                Verdict::Expect(seq) => return Ok(Some(seq)),
            }
        }
    }

    /// Sends and settles until there is nothing more to read and nothing under way.
    async fn settle_all<L: Log>(&mut self, mut log: L) -> Result<L, Trouble> {
        let mut under_way: VecDeque<Batch> = VecDeque::with_capacity(MAX_UNDER_WAY);
        loop {
            while under_way.len() < MAX_UNDER_WAY {
                let (back, batch) = read(log).await?;
                log = back;
                let Some(batch) = batch else { break };
                self.stream.send(log.epoch(), &batch).await?;
                self.parts.metrics.batches.increment();
                under_way.push_back(batch);
            }
            if under_way.is_empty() {
                return Ok(log);
            }
            match self.stream.verdict(log.epoch()).await? {
                Verdict::Acked(below, _) => {
                    while let Some(batch) = under_way.pop_front_if(|batch| batch.next_seq() <= below) {
                        log.acked(&batch);
                        self.parts.quotas.ends_are_settled(closed_in(&batch));
                        let gone = batch.records.iter().filter(|body| body.is_empty()).count();
                        self.parts.metrics.records_gone.add(gone as u64);
                        self.parts.metrics.records_acked.add(batch.records.len() as u64);
                    }
                }
                Verdict::Expect(seq) => {
                    under_way.clear();
                    log = self.go_back(log, seq).await?;
                }
            }
        }
    }

    /// Goes on from where the control plane asks for, over another stream: what was sent on this one may still be answered there, and an
    /// answer names no batch.
    async fn go_back<L: Log>(&mut self, log: L, seq: u64) -> Result<L, Trouble> {
        self.stream.begin_anew();
        if self.has_gone_back(log.epoch(), seq, log.acked_below()) {
            return Err(Trouble::WentBack);
        }
        self.go_to(log, seq).await
    }

    /// Goes to a record. What is not kept any more is told as gone, so that what follows can be settled.
    async fn go_to<L: Log>(&mut self, log: L, seq: u64) -> Result<L, Trouble> {
        let (log, sought) = seek(log, seq).await?;
        match sought {
            Ok(()) => Ok(log),
            Err(ReadError::Gone { oldest, .. }) => {
                let next = self.tell_gone(log.epoch(), seq, oldest).await?;
                let (log, sought) = seek(log, next).await?;
                Ok(sought.map(|()| log)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells that records are gone, and says where to go on.
    async fn tell_gone(&mut self, epoch: Epoch, from: u64, oldest: u64) -> Result<u64, SessionError> {
        let count = oldest.saturating_sub(from);
        self.parts.metrics.records_gone.add(count);
        error!(node.epoch = epoch.0, "{count} records of epoch {epoch} are asked for again and not kept any more");
        let mut next = from;
        while next < oldest {
            let records = usize::try_from(oldest - next).unwrap_or(usize::MAX).min(MAX_BATCH_RECORDS);
            self.stream.say(epoch, next, vec![usage::gone(); records]).await?;
            let there = match self.stream.verdict(epoch).await? {
                Verdict::Acked(below, _) => below,
                Verdict::Expect(seq) => seq,
            };
            if there <= next {
                // it does not take them: after a while, over another connection
                return Err(SessionError::Closed(Call::Usage));
            }
            next = there;
        }
        self.stream.begin_anew();
        Ok(next)
    }
}

/// The leases that a batch closes.
fn closed_in(batch: &Batch) -> impl Iterator<Item = LeaseId> {
    batch.records.iter().filter_map(|body| match usage::lease_effect(body) {
        Ok(LeaseEffect::Closes(lease)) => Some(lease),
        _ => None,
    })
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

async fn seek<L: Log>(mut log: L, seq: u64) -> Result<(L, Result<(), ReadError>), SessionError> {
    let sought = tokio::task::spawn_blocking(move || {
        let sought = log.seek(seq);
        (log, sought)
    });
    sought.await.map_err(|_| SessionError::Closed(Call::Usage))
}

async fn read<L: Log>(mut log: L) -> Result<(L, Option<Batch>), Trouble> {
    let read = tokio::task::spawn_blocking(move || log.next_batch().map(|batch| (log, batch))).await;
    Ok(read.map_err(|_| SessionError::Closed(Call::Usage))??)
}
