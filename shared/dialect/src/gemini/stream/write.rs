//! A stream for a caller of Gemini: as events (`alt=sse`), or as one JSON array that is whole even when it ends in an error.
//!
//! A Gemini chunk holds whole parts, so the fragments of a call are gathered until it is complete. The reason of the end is held
//! back until all usage is known, and comes with it in the one last chunk.

use std::collections::BTreeMap;

use bytes::BytesMut;
use serde_json::{Value, json};
use sluice_domain::Usage;

use super::super::response::write::{candidate, envelope, hidden_state, part_of, state};
use super::super::{finish, grounding, logprobs, part, signature, usage};
use crate::arguments;
use crate::codec::Asked;
use crate::error::UpstreamError;
use crate::ir::{Arguments, Block, BlockStart, Event, Finish, Signature, StreamError, TokenLogprob};

/// Turns events into bytes.
#[derive(Debug, Clone)]
pub struct Writer {
    asked: Asked,
    id: String,
    /// Open blocks that need remembering, by choice and number.
    open: BTreeMap<(u32, u32), Open>,
    finishes: BTreeMap<u32, Finish>,
    citations: BTreeMap<u32, Vec<Value>>,
    usage: Option<Usage>,
    has_written: bool,
    has_ended: bool,
}

/// A block that is not over.
#[derive(Debug, Clone)]
enum Open {
    Text,
    Thinking,
    Call(Box<Call>),
}

#[derive(Debug, Clone)]
struct Call {
    id: String,
    name: String,
    whole: Option<Arguments>,
    fragments: String,
    signature: Option<Signature>,
}

impl Writer {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        Self {
            asked,
            id: String::new(),
            open: BTreeMap::new(),
            finishes: BTreeMap::new(),
            citations: BTreeMap::new(),
            usage: None,
            has_written: false,
            has_ended: false,
        }
    }

    /// Writes what can be written now.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start { id, .. } => self.id.clone_from(id),
            Event::BlockStart { choice, block, start } => self.begin((*choice, *block), start, out),
            Event::Text { choice, text, logprobs, .. } => {
                self.write_part(*choice, Value::Object(part::text(text)), logprobs, out);
            }
            Event::Thinking { choice, text, .. } if self.asked.shows_reasoning => {
                self.write_part(*choice, Value::Object(part::thought(text)), &[], out);
            }
            Event::Thinking { .. } => {}
            Event::Refusal { choice, text, .. } => self.write_part(*choice, Value::Object(part::text(text)), &[], out),
            Event::Arguments { choice, block, json } => {
                if let Some(Open::Call(call)) = self.open.get_mut(&(*choice, *block)) {
                    call.fragments.push_str(json);
                }
            }
            Event::Signed { choice, block, signature } => self.sign((*choice, *block), signature, out),
            Event::Citation { choice, citation, .. } => self.citations.entry(*choice).or_default().push(citation.clone()),
            Event::BlockStop { choice, block } => self.stop((*choice, *block), out),
            Event::Finish { choice, finish, .. } => {
                self.finishes.insert(*choice, finish.clone());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
        }
    }

    fn begin(&mut self, place: (u32, u32), start: &BlockStart, out: &mut BytesMut) {
        match start {
            BlockStart::Text => {
                self.open.insert(place, Open::Text);
            }
            BlockStart::Thinking => {
                self.open.insert(place, Open::Thinking);
            }
            BlockStart::ToolCall { id, name, whole } => {
                let (id, name, whole) = (id.clone(), name.clone(), whole.clone());
                let call = Call { id, name, whole, fragments: String::new(), signature: None };
                self.open.insert(place, Open::Call(Box::new(call)));
            }
            BlockStart::Redacted(signature) => {
                let part = state(signature, &self.asked);
                self.write_part(place.0, part, &[], out);
            }
            BlockStart::Media(medium) => {
                if let Some(part) = part_of(medium, &self.asked) {
                    self.write_part(place.0, part, &[], out);
                }
            }
            BlockStart::Refusal => {}
        }
    }

    /// A signature of text or thought follows it, on an empty part, as Gemini itself sends it.
    fn sign(&mut self, place: (u32, u32), own: &Signature, out: &mut BytesMut) {
        let wire = || Some(signature::write(own, &self.asked.sealer));
        let part = match self.open.get_mut(&place) {
            Some(Open::Call(call)) => {
                call.signature = Some(own.clone());
                return;
            }
            Some(Open::Text) => Some(part::signed(part::text(""), wire())),
            Some(Open::Thinking) if self.asked.shows_reasoning => Some(part::signed(part::thought(""), wire())),
            Some(Open::Thinking) => hidden_state(Some(own), &self.asked),
            None => None,
        };
        if let Some(part) = part {
            self.write_part(place.0, part, &[], out);
        }
    }

    fn stop(&mut self, place: (u32, u32), out: &mut BytesMut) {
        let Some(Open::Call(call)) = self.open.remove(&place) else { return };
        let Call { id, name, whole, fragments, signature } = *call;
        let arguments = whole.unwrap_or_else(|| arguments::parse(&fragments));
        let call = Block::ToolCall { id, name, arguments, signature, cache: None };
        if let Some(part) = part_of(&call, &self.asked) {
            self.write_part(place.0, part, &[], out);
        }
    }

    fn write_part(&mut self, choice: u32, part: Value, tokens: &[TokenLogprob], out: &mut BytesMut) {
        let mut candidate = candidate(choice, vec![part], None);
        if let Some(result) = logprobs::write(tokens) {
            candidate.insert("logprobsResult".to_owned(), result);
        }
        self.write_chunk(vec![Value::Object(candidate)], None, out);
    }

    fn write_chunk(&mut self, candidates: Vec<Value>, usage: Option<Value>, out: &mut BytesMut) {
        if self.id.is_empty() {
            self.id = self.asked.ids.make("");
        }
        let chunk = envelope(candidates, usage, &self.asked.model, &self.id);
        self.write_json(&chunk, out);
    }

    /// One event, or one element of the array.
    fn write_json(&mut self, value: &Value, out: &mut BytesMut) {
        let is_first = !std::mem::replace(&mut self.has_written, true);
        let (before, after) = match (self.asked.is_sse, is_first) {
            (true, _) => ("data: ", "\n\n"),
            (false, true) => ("[", ""),
            (false, false) => (",\r\n", ""),
        };
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(value.to_string().as_bytes());
        out.extend_from_slice(after.as_bytes());
    }

    fn end(&mut self, out: &mut BytesMut) {
        let mut candidates = Vec::new();
        for (choice, finish) in std::mem::take(&mut self.finishes) {
            let mut candidate = candidate(choice, Vec::new(), Some(finish::write(Some(&finish))));
            let citations = self.citations.remove(&choice).unwrap_or_default();
            if let Some(grounding) = grounding::write(citations.iter().map(|citation| (citation, None))) {
                candidate.insert("groundingMetadata".to_owned(), grounding);
            }
            candidates.push(Value::Object(candidate));
        }
        let usage = self.usage.as_ref().map(usage::write);
        self.write_chunk(candidates, usage, out);
        self.close(out);
    }

    fn fail(&mut self, error: &StreamError, out: &mut BytesMut) {
        let (code, message) = error.raw.as_deref().map_or((502, "the upstream failed".to_owned()), told);
        let body = json!({"error": {"code": code, "message": message, "status": status(code), "details": []}});
        self.write_json(&body, out);
        self.close(out);
    }

    fn close(&mut self, out: &mut BytesMut) {
        self.has_ended = true;
        if !self.asked.is_sse {
            out.extend_from_slice(b"]");
        }
    }
}

/// The code a caller sees, and the message, of an error as a provider wrote it. What concerns our credentials is not the caller's.
fn told(raw: &[u8]) -> (u16, String) {
    let error = UpstreamError::read(200, raw, &[]);
    let words = [error.code.as_deref(), error.kind.as_deref()];
    let code = words
        .into_iter()
        .flatten()
        .find_map(|word| CODES.iter().find(|(known, _)| *known == word))
        .map_or(502, |(_, code)| *code);
    (code, error.message)
}

/// Words and numbers of all dialects, and the code that says the same here.
const CODES: [(&str, u16); 20] = [
    ("400", 400),
    ("INVALID_ARGUMENT", 400),
    ("invalid_request_error", 400),
    ("context_length_exceeded", 400),
    ("404", 404),
    ("NOT_FOUND", 404),
    ("not_found_error", 404),
    ("429", 429),
    ("RESOURCE_EXHAUSTED", 429),
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("500", 500),
    ("INTERNAL", 500),
    ("503", 503),
    ("UNAVAILABLE", 503),
    ("529", 503),
    ("overloaded_error", 503),
    ("504", 504),
    ("DEADLINE_EXCEEDED", 504),
    ("timeout_error", 504),
];

/// Google's word for a code.
const fn status(code: u16) -> &'static str {
    match code {
        400 => "INVALID_ARGUMENT",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNAVAILABLE",
    }
}
