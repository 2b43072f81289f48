//! Messages on their way to a relay, bounded by their bytes: a relay that reads slowly holds up its own stream and nothing else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::Status;

use super::QUEUE;

/// Bytes that wait for one relay; beyond it its stream waits.
pub(super) const MOST_BYTES: u32 = 320 * 1024;

/// The relay is gone; its next stream starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

type Parcel<M> = (Result<M, Status>, Option<OwnedSemaphorePermit>);

/// Where messages for one relay go. Cloning shares it.
#[derive(Debug)]
pub(super) struct Outbox<M> {
    parcels: mpsc::Sender<Parcel<M>>,
    room: Arc<Semaphore>,
}

impl<M> Clone for Outbox<M> {
    fn clone(&self) -> Self {
        Self { parcels: self.parcels.clone(), room: Arc::clone(&self.room) }
    }
}

/// What the transport takes them from. A message counts until it is taken.
#[derive(Debug)]
pub(super) struct Taken<M>(mpsc::Receiver<Parcel<M>>);

impl<M: Message> Outbox<M> {
    /// An empty one.
    pub(super) fn new() -> (Self, Taken<M>) {
        let (parcels, taken) = mpsc::channel(QUEUE);
        (Self { parcels, room: Arc::new(Semaphore::new(usize::try_from(MOST_BYTES).unwrap_or(usize::MAX))) }, Taken(taken))
    }

    /// Puts a message in once there is room for it. One that is larger than all the room waits until it is alone.
    pub(super) async fn send(&self, message: M) -> Result<(), Gone> {
        let bytes = u32::try_from(message.encoded_len()).unwrap_or(MOST_BYTES).clamp(1, MOST_BYTES);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(bytes) => room.map_err(|_| Gone)?,
            () = self.parcels.closed() => return Err(Gone),
        };
        self.parcels.send((Ok(message), Some(room))).await.map_err(|_| Gone)
    }

    /// Ends the stream, behind whatever waits.
    pub(super) async fn end(&self, status: Status) {
        let _ = self.parcels.send((Err(status), None)).await;
    }
}

impl<M> Stream for Taken<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|parcel| parcel.map(|(message, _room)| message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use sluice_rpc::pb;

    fn nack(bytes: usize) -> pb::Nack {
        pb::Nack { reason: "x".repeat(bytes) }
    }

    #[tokio::test]
    async fn a_slow_reader_has_no_more_than_its_room_waiting() {
        let (outbox, mut taken) = Outbox::new();
        let third = usize::try_from(MOST_BYTES).unwrap() / 3;
        for _ in 0..2 {
            outbox.send(nack(third)).await.unwrap();
        }
        let mut more = Box::pin(outbox.send(nack(third)));
        assert!(futures_util::poll!(&mut more).is_pending());
        taken.next().await.unwrap().unwrap();
        more.await.unwrap();
        let mut huge = Box::pin(outbox.send(nack(5 * third)));
        assert!(futures_util::poll!(&mut huge).is_pending(), "it goes when it is alone");
        taken.next().await.unwrap().unwrap();
        assert!(futures_util::poll!(&mut huge).is_pending());
        taken.next().await.unwrap().unwrap();
        huge.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_told_that_the_relay_is_gone() {
        let (outbox, taken) = Outbox::new();
        outbox.send(nack(2_000_000)).await.unwrap();
        let mut more = Box::pin(outbox.send(nack(1)));
        assert!(futures_util::poll!(&mut more).is_pending());
        drop(taken);
        assert_eq!(more.await, Err(Gone));
    }
}
