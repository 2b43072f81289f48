//! Lines of JSON.

use bytes::BytesMut;
use memchr::memchr;

use super::frame_of;
use crate::sse::{Frame, FrameTooLarge};

/// Cuts a stream at line ends. Blank lines are nothing.
#[derive(Debug)]
pub struct Splitter {
    held: BytesMut,
    /// Where the search for the next line end goes on.
    scanned: usize,
    max_bytes: usize,
}

impl Splitter {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { held: BytesMut::new(), scanned: 0, max_bytes }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        loop {
            let found = memchr(b'\n', self.held.get(self.scanned..).unwrap_or_default()).map(|offset| self.scanned + offset);
            if found.unwrap_or(self.held.len()) > self.max_bytes {
                return Err(FrameTooLarge { limit_bytes: self.max_bytes });
            }
            let Some(end) = found else {
                self.scanned = self.held.len();
                return Ok(None);
            };
            let line = self.held.split_to(end + 1);
            self.scanned = 0;
            if !line.trim_ascii().is_empty() {
                return Ok(Some(frame_of(line.trim_ascii(), true)));
            }
        }
    }

    /// A last line without its end: whole if it is JSON, torn otherwise.
    pub(super) fn finish(self) -> Option<Frame> {
        let rest = self.held.trim_ascii();
        (!rest.is_empty()).then(|| frame_of(rest, false))
    }
}
