//! Frames of AWS' event streams (`application/vnd.amazon.eventstream`): what Bedrock streams in.
//!
//! A frame is its whole length and that of its headers (four bytes each), a CRC-32 of these, headers, payload, and a CRC-32 of all before.
//! [`Decoder`] takes bytes however they are cut.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

mod transcriber;

pub use transcriber::Transcriber;

/// Bytes before the headers.
const PRELUDE: usize = 12;
/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// The longest frame, in bytes. Amazon's own bound.
const MAX_FRAME: usize = 24 << 20;
/// The longest headers of a frame, in bytes. Amazon's own bound.
const MAX_HEADERS: usize = 128 << 10;

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    headers: Vec<(String, String)>,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload is what a model said.
        f.debug_struct("Frame").field("headers", &self.headers).field("bytes", &self.payload.len()).finish_non_exhaustive()
    }
}

impl Frame {
    /// The text of a header. Headers that are no text are not kept.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What kind of event it is, if it is one: `chunk`, `contentBlockDelta`, ...
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.header(":event-type").filter(|_| self.header(":message-type") == Some("event"))
    }

    /// Which exception it tells, and the status of that; `None` when it tells none.
    #[must_use]
    pub fn exception(&self) -> Option<(&str, u16)> {
        let word = match self.header(":message-type")? {
            "exception" => self.header(":exception-type"),
            "error" => self.header(":error-code"),
            _ => return None,
        };
        let word = word.unwrap_or("unknown");
        Some((word, status(word)))
    }

    /// What is in a frame of Bedrock's own: an event of the model's dialect.
    #[must_use]
    pub fn chunk(&self) -> Option<Vec<u8>> {
        #[derive(serde::Deserialize)]
        struct Chunk<'a> {
            #[serde(borrow)]
            bytes: std::borrow::Cow<'a, str>,
        }
        self.event_type().filter(|kind| *kind == "chunk")?;
        let chunk: Chunk<'_> = serde_json::from_slice(&self.payload).ok()?;
        BASE64_STANDARD.decode(chunk.bytes.as_bytes()).ok()
    }
}

/// The status an exception stands for.
fn status(exception: &str) -> u16 {
    match exception {
        "throttlingException" => 429,
        "validationException" => 400,
        "modelTimeoutException" => 408,
        "serviceUnavailableException" => 503,
        "modelStreamErrorException" => 502,
        _ => 500,
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A checksum is wrong.
    #[error("a frame of the event stream has a wrong checksum")]
    Checksum,
    /// Lengths that contradict each other, or are beyond every bound.
    #[error("a frame of the event stream has an impossible length")]
    Length,
    /// Headers that cannot be read.
    #[error("a frame of the event stream has broken headers")]
    Headers,
    /// The stream ended within a frame.
    #[error("the event stream ended within a frame")]
    Cut,
}

/// Reads frames from bytes that come in pieces. After an error nothing more can be read.
#[derive(Default)]
pub struct Decoder {
    rest: Vec<u8>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("rest_bytes", &self.rest.len()).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Takes a piece, and puts the frames that it completes into `frames`.
    ///
    /// # Errors
    /// When a frame is broken. Those before it are in `frames`.
    pub fn push(&mut self, piece: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.rest.extend_from_slice(piece);
        let mut read = 0;
        let outcome = loop {
            match first(self.rest.get(read..).unwrap_or_default()) {
                Ok(Some((frame, bytes))) => {
                    frames.push(frame);
                    read += bytes;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.rest.drain(..read);
        outcome
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// When it ended within a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrameError::Cut) }
    }
}

/// The first frame and its length; `None` when it is not all there.
fn first(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let (Some(total), Some(headers), Some(checksum)) = (number(bytes, 0), number(bytes, 4), number(bytes, 8)) else {
        return Ok(None);
    };
    // before the lengths are believed: a long wait for bytes that never come would be the price of a flipped bit
    if crc32fast::hash(bytes.get(..8).unwrap_or_default()) != checksum {
        return Err(FrameError::Checksum);
    }
    let (total, headers) = (as_length(total)?, as_length(headers)?);
    let least = headers.saturating_add(PRELUDE + CHECKSUM);
    if total > MAX_FRAME || headers > MAX_HEADERS || total < least {
        return Err(FrameError::Length);
    }
    let Some(frame) = bytes.get(..total) else { return Ok(None) };
    let (signed, checksum) = frame.split_at(total - CHECKSUM);
    if number(checksum, 0) != Some(crc32fast::hash(signed)) {
        return Err(FrameError::Checksum);
    }
    let (front, payload) = signed.split_at(PRELUDE + headers);
    let headers = read_headers(front.get(PRELUDE..).unwrap_or_default()).ok_or(FrameError::Headers)?;
    Ok(Some((Frame { headers, payload: payload.to_vec() }, total)))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four))
}

fn as_length(number: u32) -> Result<usize, FrameError> {
    usize::try_from(number).map_err(|_| FrameError::Length)
}

/// Headers are a name with its length in one byte, a type, and a value whose length the type or two bytes tell.
fn read_headers(mut bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name_bytes = usize::from(take(&mut bytes, 1)?.first().copied()?);
        let name = std::str::from_utf8(take(&mut bytes, name_bytes)?).ok()?;
        let kind = take(&mut bytes, 1)?.first().copied()?;
        let value_bytes = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => usize::from(u16::from_be_bytes(*take(&mut bytes, 2)?.first_chunk()?)),
            9 => 16,
            _ => return None,
        };
        let value = take(&mut bytes, value_bytes)?;
        if kind == 7 {
            headers.push((name.to_owned(), std::str::from_utf8(value).ok()?.to_owned()));
        }
    }
    Some(headers)
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests;
