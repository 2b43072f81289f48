//! Bedrock's frames as server-sent events: whoever reads streams knows one framing.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use super::{Decoder, Frame, FrameError};

/// Turns frames into the server-sent events of the dialect that is inside them. Exceptions become its `error` events.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html>
#[derive(Debug, Default)]
pub struct Transcriber {
    decoder: Decoder,
    frames: Vec<Frame>,
}

impl Transcriber {
    /// Takes a piece of the body, and gives the events that it completes.
    ///
    /// # Errors
    /// When a frame is broken: nothing can be read behind it. Events before it are given all the same.
    pub fn push(&mut self, piece: &[u8]) -> (Bytes, Result<(), FrameError>) {
        let outcome = self.decoder.push(piece, &mut self.frames);
        let mut events = BytesMut::new();
        for frame in self.frames.drain(..) {
            if let Some(event) = frame.chunk() {
                put(&event, &mut events);
            } else if let Some((word, status)) = frame.exception() {
                put(&error(word, status, &frame.payload), &mut events);
            }
        }
        (events.freeze(), outcome)
    }
}

/// Writes one event under the name that its `type` says.
fn put(event: &[u8], out: &mut BytesMut) {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    }
    if let Ok(Typed { kind }) = serde_json::from_slice(event)
        && !kind.contains(['\n', '\r'])
    {
        out.put_slice(b"event: ");
        out.put_slice(kind.as_bytes());
        out.put_u8(b'\n');
    }
    out.put_slice(b"data: ");
    // a line end in JSON is no part of a text
    out.extend(event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.put_slice(b"\n\n");
}

/// An exception as an event of Messages.
fn error(word: &str, status: u16, payload: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(alias = "Message")]
        message: String,
    }
    let kind = match status {
        400 => "invalid_request_error",
        408 => "timeout_error",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "api_error",
    };
    let message = serde_json::from_slice::<Payload>(payload).map_or_else(|_| word.to_owned(), |payload| payload.message);
    json!({"type": "error", "error": {"type": kind, "message": message}}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::super::tests::{frame, text};
    use super::*;

    fn chunk(event: &str) -> Vec<u8> {
        let headers = [text(":message-type", "event"), text(":event-type", "chunk")].concat();
        frame(&headers, json!({"bytes": BASE64_STANDARD.encode(event)}).to_string().as_bytes())
    }

    #[test]
    fn events_come_out_as_the_dialect_streams_them_however_the_bytes_are_cut() {
        let bytes = [chunk(r#"{"type":"message_start","message":{}}"#), chunk("{\"type\":\"ping\",\n\"a\":1}")].concat();
        let expected = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: ping\ndata: {\"type\":\"ping\", \"a\":1}\n\n";
        for cut in 0..=bytes.len() {
            let mut transcriber = Transcriber::default();
            let (first, second) = bytes.split_at(cut);
            let (head, tail) = (transcriber.push(first), transcriber.push(second));
            assert!(head.1.is_ok() && tail.1.is_ok());
            assert_eq!([head.0, tail.0].concat(), expected.as_bytes(), "cut at {cut}");
        }
    }

    #[test]
    fn an_exception_is_an_error_event_of_the_dialect() {
        let headers = [text(":message-type", "exception"), text(":exception-type", "throttlingException")].concat();
        let (events, outcome) = Transcriber::default().push(&frame(&headers, br#"{"message":"Too many requests"}"#));
        let expected = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Too many requests\"}}\n\n";
        assert_eq!((events, outcome), (Bytes::from(expected), Ok(())));
    }

    #[test]
    fn what_came_before_a_broken_frame_is_given() {
        let mut bytes = [chunk(r#"{"type":"ping"}"#), chunk(r#"{"type":"ping"}"#)].concat();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let (events, outcome) = Transcriber::default().push(&bytes);
        assert_eq!(events, Bytes::from("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
        assert_eq!(outcome, Err(FrameError::Checksum));
    }
}
