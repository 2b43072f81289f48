//! What an upstream's answer says of itself, and its body as far as it is wanted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};
use sluice_dialect::exchange::Passage;
use sluice_upstream::Body;
use tokio::time::timeout;

/// Bytes of an error's body that are read.
const ERROR_BYTES: usize = 64 << 10;
/// The longest name an upstream may give to a request.
const REQUEST_ID_BYTES: usize = 128;
/// Headers of a good answer that callers get to see.
const PASSED_HEADERS: [HeaderName; 4] =
    [CONTENT_TYPE, CONTENT_DISPOSITION, RETRY_AFTER, HeaderName::from_static("openai-processing-ms")];
/// Where upstreams tell their own name for a request.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "request-id", "x-oneapi-request-id"];

/// What an answer says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Document,
    Page,
    Other,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("text/event-stream") {
            Self::Events
        } else if is("application/json") || essence.to_ascii_lowercase().ends_with("+json") {
            Self::Document
        } else if is("text/html") || is("application/xhtml+xml") {
            Self::Page
        } else {
            Self::Other
        }
    }
}

/// A body in the making. One that came in one piece is kept as it is.
#[derive(Default)]
pub(super) struct Pieces {
    first: Bytes,
    joined: BytesMut,
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.first.len().max(self.joined.len())
    }

    pub(super) fn push(&mut self, piece: Bytes, expected: usize) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(expected.max(self.first.len() + piece.len()));
            self.joined.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.joined.extend_from_slice(&piece);
    }

    pub(super) fn joined(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

pub(super) fn announced_bytes(headers: &HeaderMap) -> usize {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// The headers that callers get to see. Of an answer that is written anew, none says what it is: its writer does.
pub(super) fn passed_headers(headers: &HeaderMap, passage: &Passage) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(8);
    for name in PASSED_HEADERS.iter().filter(|name| !passage.is_written() || *name == RETRY_AFTER) {
        if let Some(value) = headers.get(name) {
            passed.insert(name.clone(), value.clone());
        }
    }
    passed
}

pub(super) fn upstream_request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
    // a name, and no text that may repeat what a caller said
    let is_name =
        id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'='));
    (is_name && id.len() <= REQUEST_ID_BYTES && !id.is_empty()).then(|| id.to_owned())
}

/// The beginning of a body, as far as it comes in time.
pub(super) async fn read_some(mut body: Body, limit: Duration) -> Bytes {
    let mut pieces = Pieces::default();
    let reading = async {
        while pieces.len() < ERROR_BYTES
            && let Some(Ok(piece)) = body.next().await
        {
            pieces.push(piece, 0);
        }
    };
    let _ = timeout(limit, reading).await;
    pieces.joined()
}
