//! A document as an event: one for all of an answer.

use bytes::BytesMut;

use super::frame_of;
use crate::sse::{Frame, FrameTooLarge};

/// Gathers one document.
#[derive(Debug)]
pub struct Document {
    held: BytesMut,
    max_bytes: usize,
}

impl Document {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { held: BytesMut::new(), max_bytes }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        // what is beyond the bound is an error, whatever it says
        if self.held.len() <= self.max_bytes {
            self.held.extend_from_slice(chunk);
        }
    }

    pub(super) fn next_frame(&self) -> Result<Option<Frame>, FrameTooLarge> {
        if self.held.len() > self.max_bytes { Err(FrameTooLarge { limit_bytes: self.max_bytes }) } else { Ok(None) }
    }

    pub(super) fn finish(self) -> Option<Frame> {
        let document = self.held.trim_ascii();
        (!document.is_empty()).then(|| frame_of(document, true))
    }
}
