//! An upstream's answer, as it arrives.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::socket::Messages;

/// Memory reserved at once for a body whose length is known, in bytes.
const MAX_RESERVE_BYTES: usize = 64 << 10;

/// Status and headers of an answer, with the body still coming.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, all of them: what callers may see is for others to decide.
    pub headers: HeaderMap,
    /// The body. Dropping it ends the request.
    pub body: Body,
}

impl Answer {
    /// An answer that was read already.
    #[must_use]
    pub fn held(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, body: Body::new(Pieces::Held(Some(body)), None, None, None) }
    }

    /// Reads the whole body, if it has at most `limit_bytes`.
    ///
    /// # Errors
    /// When it is longer, breaks off, or is late.
    pub async fn collect(self, limit_bytes: usize) -> Result<Bytes, ReadError> {
        let announced = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit_bytes) {
            return Err(ReadError::TooLarge { limit_bytes });
        }
        self.body.collect(limit_bytes, announced.unwrap_or(0)).await
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReadError {
    /// Nothing came within the time for the first byte.
    #[error("the upstream did not begin to answer in time")]
    FirstByteTimeout,
    /// Nothing more came within the time between two pieces.
    #[error("the upstream fell silent")]
    IdleTimeout,
    /// The end did not come within the time for the whole.
    #[error("the upstream did not finish in time")]
    TotalTimeout,
    /// The connection broke.
    #[error("the upstream closed the connection inside its answer")]
    Reset,
    /// The body is longer than was asked for.
    #[error("the upstream's answer is longer than {limit_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        limit_bytes: usize,
    },
    /// The body breaks the rules of HTTP, or of WebSockets.
    #[error("the upstream's answer is not HTTP")]
    NotHttp,
}

impl ReadError {
    /// The word used in logs and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Reset => "reset",
            Self::TooLarge { .. } => "too_large",
            Self::NotHttp => "not_http",
        }
    }

    /// Whether the upstream ran out of time.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::FirstByteTimeout | Self::IdleTimeout | Self::TotalTimeout)
    }
}

/// A body as the client that sent the request gives it.
pub(crate) enum Pieces {
    /// Straight from the provider.
    Direct(Incoming),
    /// Through a proxy.
    Proxied(reqwest::Body),
    /// At hand.
    Held(Option<Bytes>),
    /// By WebSocket.
    Messages(Box<Messages>),
}

impl Pieces {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        match self {
            Self::Direct(body) => Pin::new(body).poll_frame(cx).map_err(|error| classify(&error)),
            Self::Proxied(body) => Pin::new(body).poll_frame(cx).map_err(|error| classify(&error)),
            Self::Held(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Messages(messages) => messages.poll_frame(cx),
        }
    }
}

/// The pieces of a body, as they come from the wire, under the time limits of the request.
///
/// After an error, or the end, it stays at its end.
pub struct Body {
    inner: Option<Pieces>,
    first_byte: Option<Instant>,
    idle: Option<Duration>,
    total: Option<Instant>,
    /// When the last piece came, if the time between pieces matters.
    last: Option<Instant>,
    /// Whether nothing follows a piece, where pieces themselves say it.
    is_last: Option<fn(&[u8]) -> bool>,
    /// Runs until a moment at which something may be late. It is set again only when it fires, not for each piece.
    timer: Option<Pin<Box<Sleep>>>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("ended", &self.inner.is_none()).finish_non_exhaustive()
    }
}

impl Body {
    pub(crate) fn new(inner: Pieces, first_byte: Option<Instant>, idle: Option<Duration>, total: Option<Instant>) -> Self {
        // Without a limit for the first piece, it is awaited like any other.
        let last = (first_byte.is_none() && idle.is_some()).then(Instant::now);
        Self { inner: Some(inner), first_byte, idle, total, last, is_last: None, timer: None }
    }

    /// Ends the body, and with it the request, behind the first piece that says so: for upstreams that leave the connection open.
    pub fn end_behind(&mut self, is_last: fn(&[u8]) -> bool) {
        self.is_last = Some(is_last);
    }

    /// Most bodies come in one piece, which is given as it is.
    async fn collect(mut self, limit_bytes: usize, expected: usize) -> Result<Bytes, ReadError> {
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await.transpose()? else { return within(first, limit_bytes) };
        let mut all = BytesMut::with_capacity(expected.min(MAX_RESERVE_BYTES).max(first.len() + second.len()));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while all.len() <= limit_bytes
            && let Some(piece) = self.next().await.transpose()?
        {
            all.extend_from_slice(&piece);
        }
        within(all.freeze(), limit_bytes)
    }

    /// The next moment at which waiting is over, and what is late then.
    fn due(&self) -> Option<(Instant, ReadError)> {
        let wait = match self.last {
            None => self.first_byte.map(|at| (at, ReadError::FirstByteTimeout)),
            Some(last) => self.idle.and_then(|idle| Some((last.checked_add(idle)?, ReadError::IdleTimeout))),
        };
        let total = self.total.map(|at| (at, ReadError::TotalTimeout));
        match (wait, total) {
            (Some(wait), Some(total)) => Some(if wait.0 < total.0 { wait } else { total }),
            (wait, total) => wait.or(total),
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
        loop {
            let Some((at, late)) = self.due() else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // A timer set for an earlier moment stays: when it fires, it is set for the next one.
            if at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if at <= timer.deadline() {
                return Poll::Ready(late);
            }
            timer.as_mut().reset(at);
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
            match inner.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing here.
                    let Ok(piece) = frame.into_data() else { continue };
                    if piece.is_empty() {
                        continue;
                    }
                    this.last = this.idle.map(|_| Instant::now());
                    this.first_byte = None;
                    if this.is_last.is_some_and(|is_last| is_last(&piece)) {
                        this.inner = None;
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.inner = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    this.inner = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let late = ready!(this.poll_late(cx));
                    this.inner = None;
                    return Poll::Ready(Some(Err(late)));
                }
            }
        }
    }
}

fn within(bytes: Bytes, limit_bytes: usize) -> Result<Bytes, ReadError> {
    if bytes.len() > limit_bytes { Err(ReadError::TooLarge { limit_bytes }) } else { Ok(bytes) }
}

fn classify(error: &(dyn Error + 'static)) -> ReadError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(hyper) = error.downcast_ref::<hyper::Error>()
            && hyper.is_parse()
        {
            return ReadError::NotHttp;
        }
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput) {
            return ReadError::NotHttp;
        }
        cause = error.source();
    }
    ReadError::Reset
}
