//! Cutting an upstream's stream into frames, however it is framed on the wire.
//!
//! Server-sent events are cut by [`sse`](crate::sse), and their frames are the bytes as they came. Everything else becomes frames of the same
//! form, one event each, with JSON as its data: whoever reads frames need not know where they came from. Such frames are never given on as they
//! are, because no caller's dialect is framed so.

mod documents;
mod lines;
mod marked;

use bytes::Bytes;

use crate::sse;
use crate::sse::{Frame, FrameTooLarge};

/// What a stream is cut into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Events,
    /// Lines of JSON (Ollama, and messages of a WebSocket).
    Lines,
    /// Server-sent events with plain text as data, and JSON in a field `meta` (Zhipu's third interface). The data of a frame is
    /// `{"event":…,"data":…,"meta":…}`.
    Marked,
    /// No stream at all: one document, told as one event when it is whole.
    Document,
}

/// Cuts one stream. It holds at most one unfinished frame, and what it was given last.
#[derive(Debug)]
pub enum Splitter {
    /// [`Framing::Events`]
    Events(sse::Splitter),
    /// [`Framing::Lines`]
    Lines(lines::Splitter),
    /// [`Framing::Marked`]
    Marked(sse::Splitter),
    /// [`Framing::Document`]
    Document(documents::Document),
}

impl Splitter {
    /// A splitter at the start of a stream. Frames longer than `max_frame_bytes` are an error.
    #[must_use]
    pub fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        match framing {
            Framing::Events => Self::Events(sse::Splitter::new(max_frame_bytes)),
            Framing::Lines => Self::Lines(lines::Splitter::new(max_frame_bytes)),
            Framing::Marked => Self::Marked(sse::Splitter::new(max_frame_bytes)),
            Framing::Document => Self::Document(documents::Document::new(max_frame_bytes)),
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Events(splitter) | Self::Marked(splitter) => splitter.push(chunk),
            Self::Lines(splitter) => splitter.push(&chunk),
            Self::Document(splitter) => splitter.push(&chunk),
        }
    }

    /// The next whole frame, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// When a frame is longer than the bound; it is given again on every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        match self {
            Self::Events(splitter) => splitter.next_frame(),
            Self::Lines(splitter) => splitter.next_frame(),
            Self::Marked(splitter) => Ok(splitter.next_frame()?.map(|frame| marked::told(&frame))),
            Self::Document(document) => document.next_frame(),
        }
    }

    /// What nothing ended, when the stream is over. Read it after [`Self::next_frame`] gave `None`.
    #[must_use]
    pub fn finish(self) -> Option<Frame> {
        match self {
            Self::Events(splitter) => splitter.finish(),
            Self::Lines(splitter) => splitter.finish(),
            Self::Marked(splitter) => splitter.finish().map(|frame| marked::told(&frame)),
            Self::Document(document) => document.finish(),
        }
    }
}

/// Some JSON as the data of a frame. Line ends, which stand between its values only, become spaces.
fn frame_of(json: &[u8], is_terminated: bool) -> Frame {
    let mut bytes = Vec::with_capacity(json.len() + 8);
    bytes.extend_from_slice(b"data: ");
    bytes.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    bytes.extend_from_slice(b"\n\n");
    Frame::made(bytes.into(), is_terminated)
}

#[cfg(test)]
mod tests;
