//! The usage stream: batches out, verdicts in.

use std::time::Duration;

use sluice_domain::{Clock, Epoch};
use sluice_rpc::{pb, usage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::MAX_UNDER_WAY;
use crate::link::session::{Call, SessionError, Wire};
use crate::spool::Batch;

/// The longest pause that is taken because the control plane asks for one.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What the control plane said about what was sent.
pub(super) enum Verdict {
    /// Everything below is settled; and whether the epoch is over there.
    Acked(u64, bool),
    /// There is a gap.
    Expect(u64),
}

/// A stream that is opened when there is something to send.
pub(super) struct Stream<'a> {
    wire: &'a Wire,
    clock: &'a Clock,
    open: Option<Open>,
}

struct Open {
    outgoing: mpsc::Sender<pb::UsageBatch>,
    replies: Streaming<pb::UsageReply>,
}

impl<'a> Stream<'a> {
    pub(super) const fn new(wire: &'a Wire, clock: &'a Clock) -> Self {
        Self { wire, clock, open: None }
    }

    /// Goes on over another stream. What was sent on this one may still be answered there, and an answer names no batch: it could be
    /// taken for one to what is sent next.
    pub(super) fn begin_anew(&mut self) {
        self.open = None;
    }

    /// Sends a batch.
    pub(super) async fn send(&mut self, epoch: Epoch, batch: &Batch) -> Result<(), SessionError> {
        // a record that cannot be read any more keeps its number: the control plane puts it aside instead of waiting for it
        let message = |body: &Vec<u8>| {
            if body.is_empty() { usage::gone() } else { usage::message_of(body).unwrap_or_default() }
        };
        self.say(epoch, batch.first_seq, batch.records.iter().map(message).collect()).await
    }

    /// Tells that an epoch is over, and whether records of it are lost.
    pub(super) async fn end(&mut self, epoch: Epoch, end: u64, is_damaged: bool) -> Result<(), SessionError> {
        self.tell(pb::UsageBatch { epoch_ended: true, epoch_damaged: is_damaged, ..self.batch(epoch, end) }).await
    }

    /// Reports nothing: everything below a place was settled, in a history of the database.
    pub(super) async fn look(&mut self, epoch: Epoch, place: u64, history: &str) -> Result<(), SessionError> {
        self.tell(pb::UsageBatch { settled_in: history.to_owned(), ..self.batch(epoch, place) }).await
    }

    /// Sends records.
    pub(super) async fn say(&mut self, epoch: Epoch, first_seq: u64, records: Vec<pb::UsageRecord>) -> Result<(), SessionError> {
        self.tell(pb::UsageBatch { records, ..self.batch(epoch, first_seq) }).await
    }

    fn batch(&self, epoch: Epoch, first_seq: u64) -> pb::UsageBatch {
        pb::UsageBatch {
            node_id: self.wire.node.id.to_string(),
            epoch: epoch.0,
            first_seq: i64::try_from(first_seq).unwrap_or(i64::MAX),
            sent_at_ms: self.clock.wall().0,
            ..pb::UsageBatch::default()
        }
    }

    async fn tell(&mut self, batch: pb::UsageBatch) -> Result<(), SessionError> {
        if let Some(stream) = &self.open {
            return stream.outgoing.send(batch).await.map_err(|_| SessionError::Closed(Call::Usage));
        }
        // the stream is opened with its first batch: the control plane may wait for one before it answers the call
        let (outgoing, receiver) = mpsc::channel(MAX_UNDER_WAY);
        outgoing.try_send(batch).map_err(|_| SessionError::Closed(Call::Usage))?;
        let mut client = pb::usage_client::UsageClient::with_interceptor(self.wire.money.clone(), self.wire.proof.clone());
        let opened = client.report(ReceiverStream::new(receiver)).await.map_err(Call::Usage.failed())?;
        self.open = Some(Open { outgoing, replies: opened.into_inner() });
        Ok(())
    }

    /// The next answer about an epoch.
    pub(super) async fn verdict(&mut self, epoch: Epoch) -> Result<Verdict, SessionError> {
        use pb::usage_reply::Reply;
        loop {
            let stream = self.open.as_mut().ok_or(SessionError::Closed(Call::Usage))?;
            let next = stream.replies.message().await.map_err(Call::Usage.failed())?;
            let reply = next.ok_or(SessionError::Closed(Call::Usage))?;
            let pause = Duration::from_millis(u64::try_from(reply.pause_ms).unwrap_or(0)).min(MAX_PAUSE);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let seq = |seq: i64| u64::try_from(seq).unwrap_or(0).max(1);
            match reply.reply {
                Some(Reply::AckedBelow(below)) if reply.epoch == epoch.0 => return Ok(Verdict::Acked(seq(below), reply.ended)),
                Some(Reply::Expect(expected)) if reply.epoch == epoch.0 => return Ok(Verdict::Expect(seq(expected))),
                // about another epoch, or a form of a later version that asks for nothing we know
                _ => {}
            }
        }
    }
}
