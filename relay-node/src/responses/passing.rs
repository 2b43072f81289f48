//! A stored response on its way to its owner: its bytes pass, but for the name of a model that its caller knows by another.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sluice_dialect::exchange::{renamed, renamed_frame};
use sluice_dialect::frames::{Framing, Splitter};
use sluice_dialect::sse::Frame;
use sluice_domain::ChannelId;
use sluice_upstream::{self as upstream, ReadError};

use crate::app::RelayApp;
use crate::error::{Kind, Refusal};
use crate::forward::StoredAnswer;
use crate::ingress::reply;
use crate::stream::WholeBody;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer for the caller. `channel`: where they may know it.
pub(super) async fn pass(app: &RelayApp, answer: StoredAnswer, channel: Option<ChannelId>) -> Result<Response<Body>, Refusal> {
    let StoredAnswer { status, headers, body, is_stream, rename } = answer;
    let longest = app.engine.max_answer_bytes;
    let body = match rename {
        None => Body::from_stream(body),
        Some(name) if is_stream => Body::from_stream(renamed_events(body, name, longest)),
        Some(name) => {
            let held = app.bytes.hold(MOST_RENAMED).map_err(|_| no_memory())?;
            let answer = upstream::Answer { status, headers: HeaderMap::new(), body };
            let document = answer.collect(MOST_RENAMED).await.map_err(|_| unreadable())?;
            Body::new(WholeBody::new(renamed(&document, &name), held))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    if is_stream {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    Ok(reply::named(response, channel))
}

/// The longest document that is read to rename its model, in bytes.
const MOST_RENAMED: usize = 8 << 20;

/// Where a stream of events is.
struct Events {
    body: upstream::Body,
    splitter: Option<Splitter>,
    name: Box<str>,
}

fn renamed_events(body: upstream::Body, name: Box<str>, longest: usize) -> impl Stream<Item = Result<Bytes, ReadError>> {
    let events = Events { body, splitter: Some(Splitter::new(Framing::Events, longest)), name };
    stream::try_unfold(events, async |mut events| Ok(events.next().await?.map(|bytes| (bytes, events))))
}

impl Events {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let Some(splitter) = &mut self.splitter else { return Ok(None) };
            let cut = splitter.next_frame().map_err(|_| ReadError::Reset)?;
            if let Some(frame) = cut {
                return Ok(Some(renamed_frame(frame, &self.name)));
            }
            let Some(piece) = self.body.next().await else {
                let rest = self.splitter.take().and_then(Splitter::finish).map(Frame::closed);
                return Ok(rest.map(|frame| renamed_frame(frame, &self.name)));
            };
            splitter.push(piece?);
        }
    }
}

fn no_memory() -> Refusal {
    Refusal::new(Kind::MemoryFull, "the relay has no memory left for the answer, try again")
}

fn unreadable() -> Refusal {
    Refusal::new(Kind::BadResponseBody, "the upstream's answer could not be read")
}
