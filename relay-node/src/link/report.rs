//! Reports usage: earlier epochs to their end, then this one for as long as it lives. At most two batches are under way.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use sluice_domain::{Clock, Epoch};
use sluice_rpc::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, pb, usage};
use sluice_telemetry::chain::Chain;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tracing::{error, info};

use super::session::{Call, SessionError, Wire};
use crate::metrics::LinkMetrics;
use crate::spool::{Batch, BatchLimits, CurrentLog, EarlierLog, ReadError, Spool};

/// Batches that were sent and not answered.
const MAX_UNDER_WAY: usize = 2;
/// Records of half a batch and more wait this long for company.
const BATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How long a log that cannot be read is left alone.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause that is taken because the control plane asks for one.
const MAX_PAUSE: Duration = Duration::from_secs(30);
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
        Self::acked(self, batch.next_seq(), false);
    }
}

/// Reports what the spool holds, over one connection.
pub(super) struct Reporter<'a> {
    wire: &'a Wire,
    spool: &'a Spool,
    clock: &'a Clock,
    metrics: &'a LinkMetrics,
    /// Says that nothing will be written any more: end the epoch once everything is settled.
    ending: watch::Receiver<bool>,
    stream: Option<Stream>,
}

struct Stream {
    outgoing: mpsc::Sender<pb::UsageBatch>,
    replies: Streaming<pb::UsageReply>,
}

/// What the control plane said about what was sent.
enum Verdict {
    Acked(u64),
    Expect(u64),
}

/// Why a log is not reported further for now.
enum Trouble {
    Session(SessionError),
    Log(ReadError),
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
    pub(super) const fn new(
        wire: &'a Wire,
        spool: &'a Spool,
        clock: &'a Clock,
        metrics: &'a LinkMetrics,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self { wire, spool, clock, metrics, ending, stream: None }
    }

    /// Reports until the stream breaks.
    pub(super) async fn run(mut self) -> Result<Infallible, SessionError> {
        for log in self.spool.earlier() {
            let epoch = log.epoch();
            match self.report_earlier(log).await {
                Ok(()) => info!(node.epoch = epoch.0, "everything of epoch {epoch} is settled"),
                Err(Trouble::Session(error)) => return Err(error),
                Err(Trouble::Log(read)) => error!("{}; epoch {epoch} stays open", Chain(&read)),
            }
        }
        let mut log = self.spool.current();
        let start = log.acked_below();
        loop {
            let from = log.acked_below().max(start);
            match self.report_current(log, from).await {
                Trouble::Session(error) => return Err(error),
                Trouble::Log(read) => error!("{}; usage is not reported", Chain(&read)),
            }
            tokio::time::sleep(TROUBLE_PAUSE).await;
            log = self.spool.current();
        }
    }

    async fn report_earlier(&mut self, log: EarlierLog) -> Result<(), Trouble> {
        let start = log.acked_below();
        let mut log = seek(log, start).await?;
        loop {
            log = self.settle_all(log).await?;
            let end = log.end_seq();
            self.send(log.epoch(), end, &[], true).await?;
            match self.verdict(log.epoch()).await? {
                Verdict::Acked(below) if below >= end => {
                    log.acked(end, true);
                    return Ok(());
                }
                Verdict::Acked(seq) | Verdict::Expect(seq) => {
                    self.begin_anew();
                    log = seek(log, seq).await?;
                }
            }
        }
    }

    async fn report_current(&mut self, log: CurrentLog, from: u64) -> Trouble {
        match self.follow(log, from).await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    async fn follow(&mut self, log: CurrentLog, from: u64) -> Result<Infallible, Trouble> {
        let mut log = seek(log, from).await?;
        let mut last_sent = Instant::now();
        loop {
            log = self.settle_all(log).await?;
            if *self.ending.borrow_and_update() && log.is_settled() {
                log = self.end(log).await?;
            }
            let mut ending = self.ending.clone();
            tokio::select! {
                () = log.wait() => {}
                _ = ending.changed() => {}
            }
            if !*self.ending.borrow() {
                tokio::time::sleep_until(last_sent + BATCH_INTERVAL).await;
            }
            last_sent = Instant::now();
        }
    }

    /// Tells that nothing follows in this epoch; its leases can close.
    async fn end(&mut self, log: CurrentLog) -> Result<CurrentLog, Trouble> {
        let end = log.acked_below();
        self.send(log.epoch(), end, &[], true).await?;
        match self.verdict(log.epoch()).await? {
            Verdict::Acked(below) if below >= end => {
                log.ended();
                // nothing is left to do; the connection is closed from outside
                std::future::pending::<()>().await;
                Ok(log)
            }
            Verdict::Acked(seq) | Verdict::Expect(seq) => {
                self.begin_anew();
                Ok(seek(log, seq).await?)
            }
        }
    }

    /// Goes on over another stream. What was sent on this one may still be answered there, and an answer names no batch: it could be
    /// taken for one to what is sent next.
    fn begin_anew(&mut self) {
        self.stream = None;
    }

    /// Sends and settles until there is nothing more to read and nothing under way.
    async fn settle_all<L: Log>(&mut self, mut log: L) -> Result<L, Trouble> {
        let mut under_way: VecDeque<Batch> = VecDeque::with_capacity(MAX_UNDER_WAY);
        loop {
            while under_way.len() < MAX_UNDER_WAY {
                let (back, batch) = read(log).await?;
                log = back;
                let Some(batch) = batch else { break };
                self.send(log.epoch(), batch.first_seq, &batch.records, false).await?;
                self.metrics.batches.increment();
                under_way.push_back(batch);
            }
            if under_way.is_empty() {
                return Ok(log);
            }
            match self.verdict(log.epoch()).await? {
                Verdict::Acked(below) => {
                    while let Some(batch) = under_way.pop_front_if(|batch| batch.next_seq() <= below) {
                        log.acked(&batch);
                        self.metrics.records_acked.add(batch.records.len() as u64);
                    }
                }
                Verdict::Expect(seq) => {
                    if seq < log.acked_below() {
                        error!(
                            node.epoch = log.epoch().0,
                            "the control plane asks for records from {seq} on, {} were settled: its database was restored",
                            log.acked_below()
                        );
                    }
                    under_way.clear();
                    self.begin_anew();
                    log = seek(log, seq).await?;
                }
            }
        }
    }

    async fn send(&mut self, epoch: Epoch, first_seq: u64, records: &[Vec<u8>], epoch_ended: bool) -> Result<(), SessionError> {
        // a record that cannot be read any more keeps its number: the control plane puts it aside instead of waiting for it
        let message = |body: &Vec<u8>| usage::message_of(body).unwrap_or_default();
        let batch = pb::UsageBatch {
            node_id: self.wire.node.id.to_string(),
            epoch: epoch.0,
            first_seq: i64::try_from(first_seq).unwrap_or(i64::MAX),
            records: records.iter().map(message).collect(),
            epoch_ended,
            sent_at_ms: self.clock.wall().0,
        };
        if let Some(stream) = &self.stream {
            return stream.outgoing.send(batch).await.map_err(|_| SessionError::Closed(Call::Usage));
        }
        // the stream is opened with its first batch: the control plane may wait for one before it answers the call
        let (outgoing, receiver) = mpsc::channel(MAX_UNDER_WAY);
        outgoing.try_send(batch).map_err(|_| SessionError::Closed(Call::Usage))?;
        let mut client = pb::usage_client::UsageClient::with_interceptor(self.wire.money.clone(), self.wire.proof.clone());
        let opened = client.report(ReceiverStream::new(receiver)).await.map_err(Call::Usage.failed())?;
        self.stream = Some(Stream { outgoing, replies: opened.into_inner() });
        Ok(())
    }

    async fn verdict(&mut self, epoch: Epoch) -> Result<Verdict, SessionError> {
        use pb::usage_reply::Reply;
        loop {
            let stream = self.stream.as_mut().ok_or(SessionError::Closed(Call::Usage))?;
            let next = stream.replies.message().await.map_err(Call::Usage.failed())?;
            let reply = next.ok_or(SessionError::Closed(Call::Usage))?;
            let pause = Duration::from_millis(u64::try_from(reply.pause_ms).unwrap_or(0)).min(MAX_PAUSE);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let seq = |seq: i64| u64::try_from(seq).unwrap_or(0).max(1);
            match reply.reply {
                Some(Reply::AckedBelow(below)) if reply.epoch == epoch.0 => return Ok(Verdict::Acked(seq(below))),
                Some(Reply::Expect(expected)) if reply.epoch == epoch.0 => return Ok(Verdict::Expect(seq(expected))),
                // about another epoch, or a form of a later version that asks for nothing we know
                _ => {}
            }
        }
    }
}

async fn seek<L: Log>(mut log: L, seq: u64) -> Result<L, Trouble> {
    let sought = tokio::task::spawn_blocking(move || log.seek(seq).map(|()| log)).await;
    Ok(sought.map_err(|_| SessionError::Closed(Call::Usage))??)
}

async fn read<L: Log>(mut log: L) -> Result<(L, Option<Batch>), Trouble> {
    let read = tokio::task::spawn_blocking(move || log.next_batch().map(|batch| (log, batch))).await;
    Ok(read.map_err(|_| SessionError::Closed(Call::Usage))??)
}
