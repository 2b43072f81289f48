//! A stream as a whole answer: for callers that want none, of upstreams that know nothing else.

use bytes::Bytes;

use super::answer::{self, worth};
use super::codecs::Reader;
use super::speech::Speech;
use crate::codec::Reading;
use crate::error::UpstreamError;
use crate::frames::{Framing, Splitter};
use crate::ir::fold::{Fold, FoldError};
use crate::ir::{Event, Response, StreamError};
use crate::json::{self, JsonError};
use crate::openai::Content;
use crate::sse::Frame;
use crate::vendor::Answers;

/// What is gathered of one answer at most, in bytes of text and a little for each event. Bodies are bounded before they come here.
const MAX_BYTES: usize = 256 << 20;

/// Reads a body that is a stream. One of a dialect's may be a whole answer all the same.
///
/// # Errors
/// When it is a document in place of a stream, and no JSON.
pub(super) fn understood(
    body: &Bytes,
    speech: Speech,
    mut reading: Reading,
    known: &[&str],
) -> Result<(Response, Content), JsonError> {
    // lines of JSON begin like a document, and are read as what they are
    if speech.surface().framing() != Framing::Lines && body.trim_ascii_start().starts_with(b"{") {
        if speech.answers() == Answers::AsAsked {
            return answer::understood(body, speech, &mut reading, known);
        }
        json::check(json::mended(body).as_bytes())?;
        let error = UpstreamError::read(200, &speech.error_body(body), known);
        return Ok((Response::default(), Content::Error(Box::new(error))));
    }
    match fold(body, speech, reading) {
        Ok(response) => {
            let content = worth(&response);
            Ok((response, content))
        }
        Err(FoldError::Failed(StreamError { raw: Some(raw), .. })) => {
            Ok((Response::default(), Content::Error(Box::new(UpstreamError::read(200, &raw, known)))))
        }
        Err(error) => Ok((Response::default(), Content::Error(Box::new(broken(&error))))),
    }
}

fn fold(body: &Bytes, speech: Speech, reading: Reading) -> Result<Response, FoldError> {
    let mut splitter = Splitter::new(speech.surface().framing(), body.len());
    splitter.push(body.clone());
    let (mut reader, mut fold, mut events) = (speech.reader(reading), Fold::new(MAX_BYTES), Vec::new());
    // a frame is never longer than the body
    while let Ok(Some(frame)) = splitter.next_frame() {
        read(&frame, &mut reader, &mut events);
        events.drain(..).try_for_each(|event| fold.push(event))?;
    }
    if let Some(frame) = splitter.finish() {
        read(&frame, &mut reader, &mut events);
    }
    reader.finish(&mut events);
    events.drain(..).try_for_each(|event| fold.push(event))?;
    fold.finish()
}

fn read(frame: &Frame, reader: &mut Reader, events: &mut Vec<Event>) {
    let event = frame.event();
    if let Some(data) = event.data {
        reader.push(event.name, &data, events);
    }
}

/// A stream that has no words of its own for what is wrong with it.
fn broken(error: &FoldError) -> UpstreamError {
    let message = match error {
        FoldError::Failed(StreamError { reason, .. }) => (*reason).to_owned(),
        other => other.to_string(),
    };
    let told = serde_json::json!({"error": {"message": message, "type": "server_error"}});
    UpstreamError::read(200, told.to_string().as_bytes(), &[])
}
