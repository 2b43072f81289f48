//! Event streams: cuts bytes into frames without changing one of them.
//!
//! A frame is everything up to and including the blank line that ends it, so all frames in order, and what [`Splitter::finish`]
//! gives, are the input again. Lines may end in LF, CRLF or CR, in any mixture; the cuts do not depend on how the bytes were chunked.
//! Grammar: WHATWG HTML, "server-sent events".

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// The longest frame accepted unless told otherwise, in bytes (`STREAM_SCANNER_MAX_BUFFER_MB`): inline images are long.
pub const DEFAULT_MAX_FRAME_BYTES: usize = 64 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A frame is longer than the bound; the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit_bytes} bytes")]
pub struct FrameTooLarge {
    /// The bound that was passed.
    pub limit_bytes: usize,
}

/// Cuts a byte stream into frames. Holds at most one unfinished frame and the chunk it was given last.
#[derive(Debug)]
pub struct Splitter {
    held: Held,
    max_frame_bytes: usize,
    /// Where the search for the next line end goes on.
    scanned: usize,
    /// Where the line being searched starts.
    line_start: usize,
    start: Start,
    /// A CR that no LF followed was seen: from then on CR alone is a whole line end.
    bare_cr: bool,
    /// The line before ended in such a CR: an LF here is a part of that line end.
    lf_is_tail: bool,
}

/// Whether a byte order mark may stand, or stands, at the start of what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    FirstLine,
    Mark,
    Past,
}

/// What was pushed and not yet cut off: the caller's chunk itself, or a buffer when a frame spans chunks.
#[derive(Debug)]
enum Held {
    Whole(Bytes),
    Joined(BytesMut),
}

impl Held {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    fn append(&mut self, chunk: Bytes) {
        match self {
            Self::Joined(joined) if !joined.is_empty() => joined.extend_from_slice(&chunk),
            Self::Whole(whole) if !whole.is_empty() => {
                let mut joined = BytesMut::with_capacity(whole.len() + chunk.len());
                joined.extend_from_slice(whole);
                joined.extend_from_slice(&chunk);
                *self = Self::Joined(joined);
            }
            _ => *self = Self::Whole(chunk),
        }
    }

    fn cut(&mut self, length: usize) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.split_to(length),
            Self::Joined(bytes) => bytes.split_to(length).freeze(),
        }
    }
}

impl Splitter {
    /// A splitter at the start of a stream. Frames longer than `max_frame_bytes` are an error.
    #[must_use]
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            held: Held::Whole(Bytes::new()),
            max_frame_bytes,
            scanned: 0,
            line_start: 0,
            start: Start::FirstLine,
            bare_cr: false,
            lf_is_tail: false,
        }
    }

    /// Takes the next bytes of the stream. They are copied only when a frame began in an earlier chunk.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.held.append(chunk);
        }
    }

    /// The next whole frame, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// When the frame is longer than the bound; it is given again on every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        let end = self.find_end();
        if end.unwrap_or_else(|| self.held.as_slice().len()) > self.max_frame_bytes {
            return Err(FrameTooLarge { limit_bytes: self.max_frame_bytes });
        }
        Ok(end.map(|end| self.cut(end, true)))
    }

    /// The bytes that no blank line ended, when the stream is over. Read it after [`Self::next_frame`] gave `None`.
    #[must_use]
    pub fn finish(mut self) -> Option<Frame> {
        let rest = self.held.as_slice();
        if rest.is_empty() {
            return None;
        }
        if self.start == Start::FirstLine && rest.starts_with(BOM) {
            self.start = Start::Mark;
        }
        // A CR that waited for its LF and ends an empty line did end the frame.
        let is_terminated = self.line_start == self.scanned && rest.get(self.scanned..) == Some(b"\r");
        let length = rest.len();
        Some(self.cut(length, is_terminated))
    }

    fn cut(&mut self, length: usize, is_terminated: bool) -> Frame {
        self.scanned = 0;
        self.line_start = 0;
        let bytes = self.held.cut(length);
        let skip = if std::mem::replace(&mut self.start, Start::Past) == Start::Mark { BOM.len() } else { 0 };
        Frame { bytes, skip, is_terminated }
    }

    /// Where the first frame ends, when its blank line is there. Remembers how far it looked.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let text = self.held.as_slice();
            if self.lf_is_tail && self.scanned < text.len() {
                self.lf_is_tail = false;
                if text.get(self.scanned) == Some(&b'\n') {
                    self.scanned += 1;
                    self.line_start = self.scanned;
                }
            }
            let Some(offset) = memchr2(b'\n', b'\r', text.get(self.scanned..)?) else {
                self.scanned = text.len();
                return None;
            };
            let at = self.scanned + offset;
            let Some(end) = line_end(text, at, &mut self.bare_cr) else {
                self.scanned = at;
                return None;
            };
            self.lf_is_tail = self.bare_cr && end == at + 1 && text.get(at) == Some(&b'\r');
            let line = text.get(self.line_start..at).unwrap_or_default();
            let mut is_blank = line.is_empty();
            if self.start == Start::FirstLine {
                let is_marked = line.starts_with(BOM);
                self.start = if is_marked { Start::Mark } else { Start::Past };
                is_blank |= is_marked && line.len() == BOM.len();
            }
            self.scanned = end;
            self.line_start = end;
            if is_blank {
                return Some(end);
            }
        }
    }
}

/// Where the line end that begins at `at` is over; `None` when that depends on the next byte.
fn line_end(text: &[u8], at: usize, bare_cr: &mut bool) -> Option<usize> {
    if text.get(at) == Some(&b'\n') || *bare_cr {
        return Some(at + 1);
    }
    if text.get(at + 1)? == &b'\n' {
        return Some(at + 2);
    }
    *bare_cr = true;
    Some(at + 1)
}

/// One event of a stream, or a comment, with the bytes it came in.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    skip: usize,
    is_terminated: bool,
}

/// The fields of a frame that mean something here; `id` and `retry` do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// The value of the last `event` line.
    pub name: Option<&'a [u8]>,
    /// The values of all `data` lines, joined by LF; copied only when there are several.
    pub data: Option<Cow<'a, [u8]>>,
}

impl Frame {
    /// A whole frame of exactly these bytes, as [`Splitter`] would cut it.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self { bytes, skip: 0, is_terminated: true }
    }

    /// A frame made anew, of an event's name and its data in one line.
    #[must_use]
    pub fn with_data(name: Option<&[u8]>, data: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(data.len() + name.map_or(0, <[u8]>::len) + 32);
        if let Some(name) = name {
            bytes.put_slice(b"event: ");
            bytes.put_slice(name);
            bytes.put_u8(b'\n');
        }
        bytes.put_slice(b"data: ");
        bytes.put_slice(data);
        bytes.put_slice(b"\n\n");
        Self::whole(bytes.freeze())
    }

    /// A frame with its blank line, which may yet be the torn end of a stream.
    pub(crate) fn made(bytes: Bytes, is_terminated: bool) -> Self {
        Self { bytes, skip: 0, is_terminated }
    }

    /// The same with its blank line put in where the stream ended without: what follows must not become a part of it.
    #[must_use]
    pub fn closed(mut self) -> Self {
        if !self.is_terminated {
            // A line end may be there, and a CR may be half of one: an LF completes both.
            let end: &[u8] = if self.bytes.ends_with(b"\n") { b"\n" } else { b"\n\n" };
            self.bytes = [&self.bytes, end].concat().into();
        }
        self
    }

    /// The frame as it came, its terminator included.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The frame as it came, its terminator included.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether a blank line ends it. Only the last frame of a stream may lack it.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    /// Reads the fields.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        let mut event = Event::default();
        let mut rest = self.bytes.get(self.skip..).unwrap_or_default();
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            read_line(line, &mut event);
        }
        event
    }
}

fn read_line<'a>(line: &'a [u8], event: &mut Event<'a>) {
    let (field, value) = match memchr(b':', line) {
        Some(colon) => (&line[..colon], &line[colon + 1..]),
        None => (line, &[][..]),
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match field {
        b"event" => event.name = Some(value),
        b"data" => match &mut event.data {
            None => event.data = Some(Cow::Borrowed(value)),
            Some(data) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests;
