//! The usage stream: batches out, verdicts in.

use std::time::Duration;

use sluice_domain::{Clock, Epoch};
use sluice_rpc::{pb, usage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::course::{Event, MAX_UNDER_WAY, Said, Verdict, What};
use crate::link::session::{Call, SessionError, Wire};
use crate::spool::Batch;

/// The longest pause that is taken because the control plane asks for one.
const MAX_PAUSE: Duration = Duration::from_secs(30);

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

    /// Sends a message. `history` is the one that is noted beside the spool.
    pub(super) async fn say(&mut self, said: &Said, history: &str) -> Result<(), SessionError> {
        let batch = self.batch(said.epoch, said.first_seq);
        self.tell(match &said.what {
            What::Records(records) => pb::UsageBatch { records: messages_of(records), ..batch },
            What::Gone(count) => pb::UsageBatch { records: vec![usage::gone(); *count], ..batch },
            What::End { is_damaged } => pb::UsageBatch { epoch_ended: true, epoch_damaged: *is_damaged, ..batch },
            What::SettledBelow => pb::UsageBatch { settled_in: history.to_owned(), ..batch },
            What::Nothing => batch,
        })
        .await
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

    /// The next answer.
    pub(super) async fn answer(&mut self) -> Result<Event, SessionError> {
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
            let verdict = match reply.reply {
                Some(Reply::AckedBelow(below)) => Verdict::Acked { below: seq(below), has_ended: reply.ended },
                Some(Reply::Expect(expected)) => Verdict::Expect(seq(expected)),
                // a form of a later version that asks for nothing we know
                None => continue,
            };
            return Ok(Event::Answered(Epoch(reply.epoch), verdict));
        }
    }
}

/// A record that cannot be read any more keeps its number: the control plane puts it aside instead of waiting for it.
fn messages_of(batch: &Batch) -> Vec<pb::UsageRecord> {
    let message = |body: &Vec<u8>| if body.is_empty() { usage::gone() } else { usage::message_of(body).unwrap_or_default() };
    batch.records.iter().map(message).collect()
}
