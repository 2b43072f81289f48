//! The usage stream: batches in, settled in order, acknowledged.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use sluice_domain::{NodeId, Record, UnixMillis};
use sluice_rpc::auth::{presented_node, presented_session};
use sluice_rpc::pb::usage_reply::Reply;
use sluice_rpc::pb::usage_server::Usage;
use sluice_rpc::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, pb};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::gate::life;
use super::presence::Session;
use super::{Answers, QUEUE, Rpc, superseded};
use crate::leases::Life;
use crate::publish::Revoked;
use crate::settlement::{Acknowledged, Batch, Incoming, MAX_RECORDS};

/// The longest name of a history.
const MAX_LINEAGE: usize = 100;
/// Batches read ahead of settlement, as many as fit in one transaction; more wait on the relay's disk.
const READ_AHEAD: usize = MAX_RECORDS / MAX_BATCH_RECORDS;
/// A full batch is followed by others: they are waited for so long, to be settled in the same transaction.
const GATHER: Duration = Duration::from_millis(3);
/// A relay that reports so many requests at once, and has no more, is busy.
const BUSY: u64 = 100;
/// How long a busy relay waits beyond its own interval, so that its requests take fewer transactions.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
/// How long a relay waits before it sends again when the database is away.
const PAUSE: Duration = Duration::from_millis(500);

type Replies = mpsc::Sender<Result<pb::UsageReply, Status>>;

#[tonic::async_trait]
impl Usage for Rpc {
    type ReportStream = Answers<pb::UsageReply>;

    async fn report(&self, request: Request<Streaming<pb::UsageBatch>>) -> Result<Response<Self::ReportStream>, Status> {
        let caller = presented_node(&request)?;
        let session = self.presence.session(&self.app, &caller, None, presented_session(&request)).await?;
        let (down, answers) = mpsc::channel(QUEUE);
        let (sender, batches) = mpsc::channel(READ_AHEAD);
        self.tasks.spawn("usage stream", read(caller, request.into_inner(), sender, down.clone()));
        self.tasks.spawn("settlement", self.clone().settle_all(session, batches, down));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// A batch, and whose it is.
#[derive(Debug)]
struct Report {
    life: Life,
    batch: Batch,
    /// It ends with a batch that could hold no more: the relay has a pile to get rid of.
    is_full: bool,
    /// What of this life the relay knows to be settled.
    acknowledged: Option<Acknowledged>,
}

/// Reads batches until the stream ends or one is not a batch.
async fn read(caller: NodeId, mut up: Streaming<pb::UsageBatch>, reports: mpsc::Sender<Report>, down: Replies) {
    while let Ok(Some(message)) = up.message().await {
        match report(&caller, message) {
            Ok(report) => {
                if reports.send(report).await.is_err() {
                    return;
                }
            }
            Err(status) => {
                let _ = down.send(Err(status)).await;
                return;
            }
        }
    }
}

fn report(caller: &NodeId, message: pb::UsageBatch) -> Result<Report, Status> {
    let life = life(caller, &message.node_id, message.epoch)?;
    if message.first_seq < 1 {
        return Err(Status::invalid_argument("first_seq must be 1 or more"));
    }
    if message.records.len() > MAX_BATCH_RECORDS {
        return Err(Status::invalid_argument(format!("a batch holds at most {MAX_BATCH_RECORDS} records")));
    }
    let is_full = message.records.len() == MAX_BATCH_RECORDS || message.encoded_len() >= MAX_BATCH_BYTES / 2;
    let batch = Batch {
        first_seq: message.first_seq,
        records: message.records.into_iter().map(incoming).collect(),
        epoch_ended: message.epoch_ended,
        is_damaged: message.epoch_damaged,
        sent_at: UnixMillis(message.sent_at_ms),
    };
    let is_told = message.settled_in.len() <= MAX_LINEAGE && !message.settled_in.is_empty() && batch.records.is_empty();
    let acknowledged = is_told.then(|| Acknowledged { below: message.first_seq, lineage: message.settled_in.into() });
    Ok(Report { life, batch, is_full, acknowledged })
}

fn incoming(record: pb::UsageRecord) -> Incoming {
    let body = record.encode_to_vec();
    match sluice_rpc::usage::from_pb(record) {
        Ok(record) => Incoming::Record(record),
        Err(malformed) => Incoming::Unreadable { reason: malformed.to_string(), body: STANDARD.encode(body) },
    }
}

impl Rpc {
    /// Settles what came in, taking together what has piled up meanwhile.
    async fn settle_all(self, session: Session, mut reports: mpsc::Receiver<Report>, down: Replies) {
        let mut put_aside = None;
        let mut told = Told::default();
        let over = self.presence.superseded(&session);
        tokio::pin!(over);
        loop {
            let first = tokio::select! {
                biased;
                () = &mut over => None,
                first = take(&mut put_aside, &mut reports) => Some(first),
            };
            let Some(first) = first else {
                let _ = down.send(Err(superseded())).await;
                return;
            };
            let Some(mut report) = first else { return };
            while report.batch.records.len() <= MAX_RECORDS - MAX_BATCH_RECORDS {
                let Some(more) = next(&report, &mut reports).await else { break };
                if let Err(other) = join(&mut report, more) {
                    put_aside = Some(other);
                    break;
                }
            }
            let has_more = put_aside.is_some() || !reports.is_empty();
            let reply = self.settle_one(report, has_more, &mut told).await;
            if down.send(Ok(reply)).await.is_err() {
                return;
            }
        }
    }

    /// `has_more`: other reports of this relay are here already.
    async fn settle_one(&self, report: Report, has_more: bool, told: &mut Told) -> pb::UsageReply {
        let Report { life, batch, is_full, acknowledged } = report;
        let (epoch, first_seq) = (life.epoch.0, batch.first_seq);
        let (begun, oldest) = (Instant::now(), oldest_end(&batch));
        self.settler.enter_history(&self.feed.state().version().lineage);
        match self.settler.settle_whatever_comes(&life, batch, self.app.clock.wall()).await {
            Ok(settled) => {
                if let Some(proof) = self.settler.note_settled(&life, &settled, acknowledged)
                    && let Err(error) = self.feed.went_back(&self.app, &proof).await
                {
                    warn!(%error, "cannot begin another history, though the database went back; it is tried again");
                }
                let lag = oldest.filter(|_| settled.counts.requests > 0).map(|end| self.app.clock.wall().millis_since(end));
                let lag = lag.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
                self.app.metrics.settled(&settled, begun.elapsed(), lag);
                let next = settled.next_seq;
                *told = Told { epoch, below: next };
                let reply = if settled.has_gap { Reply::Expect(next) } else { Reply::AckedBelow(next) };
                let comes_again = has_more || is_full || settled.has_gap;
                let pause_ms = pause_millis(self.report_pause_ms, settled.counts.requests, comes_again);
                self.feed.tell(settled.richer.into_iter().map(|account| Revoked::Credit(account, 0)).collect());
                pb::UsageReply { epoch, reply: Some(reply), pause_ms, ended: settled.has_ended }
            }
            Err(error) => {
                self.app.metrics.not_settled();
                warn!(%error, node.id = %life.node, "cannot settle a report of relay {}, it is asked for it again", life.node);
                let again = Reply::Expect(told.or_later(epoch, first_seq));
                pb::UsageReply { epoch, reply: Some(again), pause_ms: millis(PAUSE), ended: false }
            }
        }
    }
}

/// How far the reports of a life were settled, as it was told last over this stream.
#[derive(Default)]
struct Told {
    epoch: i64,
    below: i64,
}

impl Told {
    /// Where a relay whose report could not be settled is to go on: never before what it was told is settled, or it would take the database
    /// for one that went back.
    fn or_later(&self, epoch: i64, first_seq: i64) -> i64 {
        if self.epoch == epoch { first_seq.max(self.below) } else { first_seq }
    }
}

/// How long a relay is to wait. One that is busy and has caught up waits longer; one with a pile does not.
fn pause_millis(usual: i64, requests: u64, comes_again: bool) -> i64 {
    if requests >= BUSY && !comes_again { usual.max(millis(BUSY_PAUSE)) } else { usual }
}

fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

/// The next report that is here, or that is about to be: a relay that sends full batches sends several.
async fn next(report: &Report, reports: &mut mpsc::Receiver<Report>) -> Option<Report> {
    if let Ok(more) = reports.try_recv() {
        return Some(more);
    }
    if !report.is_full {
        return None;
    }
    tokio::time::timeout(GATHER, reports.recv()).await.ok().flatten()
}

/// When the request of a batch that ended first did, by its relay's clock.
fn oldest_end(batch: &Batch) -> Option<UnixMillis> {
    let end = |incoming: &Incoming| match incoming {
        Incoming::Record(Record::Request(request)) => {
            Some(request.started_at.plus_millis(i64::try_from(request.total_millis).unwrap_or(i64::MAX)))
        }
        _ => None,
    };
    batch.records.iter().filter_map(end).min()
}

async fn take(put_aside: &mut Option<Report>, reports: &mut mpsc::Receiver<Report>) -> Option<Report> {
    match put_aside.take() {
        Some(report) => Some(report),
        None => reports.recv().await,
    }
}

/// Appends a batch to one that it follows without gap, in the same life.
fn join(report: &mut Report, more: Report) -> Result<(), Report> {
    let batch = &mut report.batch;
    let next = batch.first_seq.saturating_add(i64::try_from(batch.records.len()).unwrap_or(i64::MAX));
    let is_next = more.life == report.life && more.batch.first_seq == next && !batch.epoch_ended;
    // what was acknowledged is held against what was settled by then
    if !is_next || report.acknowledged.is_some() || more.acknowledged.is_some() {
        return Err(more);
    }
    let Report { batch: more, is_full, .. } = more;
    report.is_full = is_full;
    batch.records.extend(more.records);
    batch.is_damaged |= more.is_damaged;
    (batch.epoch_ended, batch.sent_at) = (more.epoch_ended, more.sent_at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(first_seq: i64, records: usize) -> pb::UsageBatch {
        let closed = pb::LeaseClosed { lease_id: 1 };
        let record = pb::UsageRecord { record: Some(pb::usage_record::Record::LeaseClosed(closed)) };
        pb::UsageBatch {
            node_id: "relay-1".into(),
            epoch: 1,
            first_seq,
            records: vec![record; records],
            ..pb::UsageBatch::default()
        }
    }

    fn read_one(message: pb::UsageBatch) -> Result<Report, Status> {
        report(&NodeId::parse("relay-1").unwrap(), message)
    }

    #[test]
    fn batches_are_taken_together_only_when_they_follow_each_other() {
        let mut first = read_one(message(1, 3)).unwrap();
        assert!(join(&mut first, read_one(message(5, 1)).unwrap()).is_err(), "there is a gap");
        join(&mut first, read_one(pb::UsageBatch { epoch_ended: true, ..message(4, 2) }).unwrap()).unwrap();
        assert_eq!((first.batch.records.len(), first.batch.epoch_ended), (5, true));
        assert!(join(&mut first, read_one(message(6, 1)).unwrap()).is_err(), "nothing follows the end of a life");
    }

    #[test]
    fn only_a_busy_relay_without_a_pile_is_asked_to_wait() {
        let is_full = |records| read_one(message(1, records)).unwrap().is_full;
        assert_eq!((is_full(MAX_BATCH_RECORDS), is_full(3)), (true, false));
        let mut two = read_one(message(1, MAX_BATCH_RECORDS)).unwrap();
        join(&mut two, read_one(message(501, 7)).unwrap()).unwrap();
        assert!(!two.is_full, "it ends with a batch that had room");
        assert_eq!((pause_millis(0, 99, false), pause_millis(0, 100, false), pause_millis(0, 4_000, true)), (0, 250, 0));
        assert_eq!(pause_millis(400, 100, false), 400);
    }

    #[tokio::test]
    async fn a_full_batch_waits_a_moment_for_others_and_any_other_does_not() {
        let (sender, mut reports) = mpsc::channel(2);
        let (full, other) = (read_one(message(1, MAX_BATCH_RECORDS)).unwrap(), read_one(message(1, 3)).unwrap());
        assert!(matches!(futures_util::poll!(Box::pin(next(&other, &mut reports))), std::task::Poll::Ready(None)));
        let mut waits = Box::pin(next(&full, &mut reports));
        assert!(futures_util::poll!(&mut waits).is_pending());
        sender.send(read_one(message(501, 1)).unwrap()).await.unwrap();
        assert_eq!(waits.await.map(|more| more.batch.records.len()), Some(1));
        assert!(next(&full, &mut reports).await.is_none(), "only a moment");
    }

    #[test]
    fn batches_beyond_the_rules_are_refused_and_unreadable_records_are_kept() {
        assert!(read_one(message(0, 1)).is_err());
        assert!(read_one(message(1, MAX_BATCH_RECORDS + 1)).is_err());
        assert!(read_one(pb::UsageBatch { node_id: "relay-2".into(), ..message(1, 1) }).is_err());
        let later = pb::UsageBatch { records: vec![pb::UsageRecord::default()], ..message(1, 0) };
        assert!(matches!(read_one(later).unwrap().batch.records.as_slice(), [Incoming::Unreadable { .. }]));
    }

    #[test]
    fn a_report_that_cannot_be_settled_is_asked_for_where_its_relay_was_told_to_be_settled_or_later() {
        let told = Told { epoch: 3, below: 83 };
        assert_eq!([told.or_later(3, 71), told.or_later(3, 95), told.or_later(4, 71)], [83, 95, 71]);
    }
}
