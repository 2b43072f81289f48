//! The usage stream: batches in, settled in order, acknowledged.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use sluice_domain::{NodeId, Record, UnixMillis};
use sluice_rpc::auth::presented_node;
use sluice_rpc::pb::usage_reply::Reply;
use sluice_rpc::pb::usage_server::Usage;
use sluice_rpc::{MAX_BATCH_RECORDS, pb};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::gate::life;
use super::{Answers, QUEUE, Rpc};
use crate::leases::Life;
use crate::publish::Revoked;
use crate::settlement::{Batch, Incoming, MAX_RECORDS};

/// Batches read ahead of settlement; more wait on the relay's disk.
const READ_AHEAD: usize = 4;
/// How long a relay waits before it sends again when the database is away.
const PAUSE: Duration = Duration::from_millis(500);

type Replies = mpsc::Sender<Result<pb::UsageReply, Status>>;

#[tonic::async_trait]
impl Usage for Rpc {
    type ReportStream = Answers<pb::UsageReply>;

    async fn report(&self, request: Request<Streaming<pb::UsageBatch>>) -> Result<Response<Self::ReportStream>, Status> {
        let caller = presented_node(&request)?;
        let (down, answers) = mpsc::channel(QUEUE);
        let (sender, batches) = mpsc::channel(READ_AHEAD);
        self.tasks.spawn("usage stream", read(caller, request.into_inner(), sender, down.clone()));
        self.tasks.spawn("settlement", self.clone().settle_all(batches, down));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// A batch, and whose it is.
#[derive(Debug)]
struct Report {
    life: Life,
    batch: Batch,
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
    let batch = Batch {
        first_seq: message.first_seq,
        records: message.records.into_iter().map(incoming).collect(),
        epoch_ended: message.epoch_ended,
        sent_at: UnixMillis(message.sent_at_ms),
    };
    Ok(Report { life, batch })
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
    async fn settle_all(self, mut reports: mpsc::Receiver<Report>, down: Replies) {
        let mut put_aside = None;
        loop {
            let Some(mut report) = take(&mut put_aside, &mut reports).await else { return };
            while report.batch.records.len() < MAX_RECORDS - MAX_BATCH_RECORDS {
                let Ok(more) = reports.try_recv() else { break };
                if let Err(other) = join(&mut report, more) {
                    put_aside = Some(other);
                    break;
                }
            }
            let reply = self.settle_one(&report).await;
            if down.send(Ok(reply)).await.is_err() {
                return;
            }
        }
    }

    async fn settle_one(&self, Report { life, batch }: &Report) -> pb::UsageReply {
        let epoch = life.epoch.0;
        let (begun, oldest) = (Instant::now(), oldest_end(batch));
        match self.settler.settle(life, std::slice::from_ref(batch), self.app.clock.wall()).await {
            Ok(settled) => {
                let lag = oldest.filter(|_| settled.counts.requests > 0).map(|end| self.app.clock.wall().millis_since(end));
                let lag = lag.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
                self.app.metrics.settled(&settled, begun.elapsed(), lag);
                let next = settled.next_seq;
                let reply = if settled.has_gap { Reply::Expect(next) } else { Reply::AckedBelow(next) };
                self.feed.tell(settled.richer.into_iter().map(|account| Revoked::Credit(account, 0)).collect());
                pb::UsageReply { epoch, reply: Some(reply), pause_ms: self.report_pause_ms }
            }
            Err(error) => {
                self.app.metrics.not_settled();
                warn!(%error, node.id = %life.node, "cannot settle a report of relay {}, it is asked for it again", life.node);
                let pause_ms = i64::try_from(PAUSE.as_millis()).unwrap_or(i64::MAX);
                pb::UsageReply { epoch, reply: Some(Reply::Expect(batch.first_seq)), pause_ms }
            }
        }
    }
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
    if more.life != report.life || more.batch.first_seq != next || batch.epoch_ended {
        return Err(more);
    }
    let more = more.batch;
    batch.records.extend(more.records);
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
    fn batches_beyond_the_rules_are_refused_and_unreadable_records_are_kept() {
        assert!(read_one(message(0, 1)).is_err());
        assert!(read_one(message(1, MAX_BATCH_RECORDS + 1)).is_err());
        assert!(read_one(pb::UsageBatch { node_id: "relay-2".into(), ..message(1, 1) }).is_err());
        let later = pb::UsageBatch { records: vec![pb::UsageRecord::default()], ..message(1, 0) };
        assert!(matches!(read_one(later).unwrap().batch.records.as_slice(), [Incoming::Unreadable { .. }]));
    }
}
