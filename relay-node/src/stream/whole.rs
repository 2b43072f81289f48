//! A body in one piece, with the memory it takes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::budget::HeldBytes;

/// Bytes that go to the caller, and their share of the byte budget until they are gone.
#[derive(Debug)]
pub struct WholeBody {
    bytes: Bytes,
    _held: HeldBytes,
}

impl WholeBody {
    /// A body of these bytes.
    #[must_use]
    pub fn new(bytes: Bytes, held: HeldBytes) -> Self {
        Self { bytes, _held: held }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}
