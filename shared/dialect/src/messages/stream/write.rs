//! A stream for a caller.
//!
//! Blocks go out strictly one after the other, numbered without gaps: calls that come interleaved wait for the one before them.
//! Usage is told at the end, when it is known; the start says zeros, which callers replace.

use std::collections::VecDeque;

use bytes::BytesMut;
use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use super::slot::{Kind, Slot};
use crate::codec::Asked;
use crate::error::UpstreamError;
use crate::ir::{Arguments, Block, BlockStart, Event, Finish, StreamError};
use crate::messages::response::{markdown, message_id, redacted, state_of_block, stop_sequence, thinking_signature};
use crate::messages::{citation, finish, raw_arguments, usage};

/// Kinds of error that a caller may hear as they are.
const ERRORS: [&str; 4] = ["overloaded_error", "rate_limit_error", "timeout_error", "api_error"];
/// Kinds of error that are between the gateway and its provider: a caller hears neither them nor their words.
const PRIVATE: [&str; 3] = ["authentication_error", "permission_error", "billing_error"];

/// Writes one stream.
#[derive(Debug, Clone)]
pub struct Writer {
    asked: Asked,
    stage: Stage,
    has_calls: bool,
    /// The number of the next block on the wire.
    next: u64,
    /// Blocks that are not over on the wire; the first one is being written.
    slots: VecDeque<Slot>,
    finish: Option<(Finish, Option<String>)>,
    usage: Option<Usage>,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Running,
    Over,
}

impl Writer {
    /// A writer at the beginning of a stream.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        Self { asked, stage: Stage::Before, has_calls: false, next: 0, slots: VecDeque::new(), finish: None, usage: None }
    }

    /// Writes what an event makes sayable. Of several choices only the first is said.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.stage == Stage::Over {
            return;
        }
        match event {
            Event::Start { id, .. } => self.start(id, out),
            Event::BlockStart { choice: 0, block, start } => self.begin(*block, start),
            Event::Text { choice: 0, block, text, .. } | Event::Refusal { choice: 0, block, text } => {
                self.piece(*block, json!({"type": "text_delta", "text": text}));
            }
            Event::Thinking { choice: 0, block, text } => {
                self.piece(*block, json!({"type": "thinking_delta", "thinking": text}));
            }
            Event::Arguments { choice: 0, block, json } => {
                self.piece(*block, json!({"type": "input_json_delta", "partial_json": json}));
            }
            Event::Citation { choice: 0, block, citation } => {
                if let Some(citation) = citation::write(citation) {
                    self.piece(*block, json!({"type": "citations_delta", "citation": citation}));
                }
            }
            Event::Signed { choice: 0, block, signature } => {
                if let Some(slot) = self.slot(*block) {
                    slot.signature = Some(signature.clone());
                }
            }
            Event::BlockStop { choice: 0, block } => {
                if let Some(slot) = self.slot(*block) {
                    slot.is_over = true;
                }
            }
            Event::Finish { choice: 0, finish, stop_sequence } => self.finish = Some((finish.clone(), stop_sequence.clone())),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => return self.fail(error, out),
            Event::End => return self.end(out),
            // Of another choice.
            _ => return,
        }
        self.flush(out);
    }

    fn slot(&mut self, block: u32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.block == block)
    }

    fn piece(&mut self, block: u32, delta: Value) {
        if let Some(slot) = self.slot(block).filter(|slot| slot.kind != Kind::Hidden) {
            slot.pieces.push(delta);
        }
    }

    fn start(&mut self, id: &str, out: &mut BytesMut) {
        if self.stage != Stage::Before {
            return;
        }
        self.stage = Stage::Running;
        let message = json!({
            "id": message_id(id, &mut self.asked),
            "type": "message",
            "role": "assistant",
            "model": self.asked.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage::write(self.usage.as_ref()),
        });
        event(out, "message_start", [("message", message)]);
    }

    fn begin(&mut self, block: u32, start: &BlockStart) {
        let shows = self.asked.shows_reasoning;
        let mut pieces = Vec::new();
        let kind = match start {
            BlockStart::Text | BlockStart::Refusal => Kind::Text,
            BlockStart::Thinking if shows => Kind::Thinking,
            BlockStart::Redacted(signature) if shows => Kind::Whole(redacted(signature, &self.asked.sealer)),
            BlockStart::Thinking | BlockStart::Redacted(_) => Kind::Hidden,
            BlockStart::ToolCall { id, name, whole } => {
                self.has_calls = true;
                pieces.extend(whole.as_ref().and_then(arguments));
                Kind::Call { id: id.clone(), name: name.clone() }
            }
            BlockStart::Media(medium) => {
                pieces.extend(markdown(medium as &Block).map(|text| json!({"type": "text_delta", "text": text})));
                Kind::Text
            }
        };
        self.slots.push_back(Slot { pieces, ..Slot::new(block, kind) });
    }

    /// Writes all that can be said of the first block, and goes on with the next where it is over.
    fn flush(&mut self, out: &mut BytesMut) {
        if self.slots.front().is_some_and(Slot::can_begin) {
            self.start("", out);
        }
        while let Some(slot) = self.slots.front_mut() {
            if !slot.is_begun && slot.can_begin() {
                slot.is_begun = true;
                event(out, "content_block_start", [("index", self.next.into()), ("content_block", slot.content_block())]);
                if self.next == 0 {
                    event(out, "ping", []);
                }
            }
            for delta in std::mem::take(&mut slot.pieces) {
                event(out, "content_block_delta", [("index", self.next.into()), ("delta", delta)]);
            }
            if !slot.is_over {
                return;
            }
            let Some(slot) = self.slots.pop_front() else { return };
            self.close(&slot, out);
        }
    }

    fn close(&mut self, slot: &Slot, out: &mut BytesMut) {
        if !slot.is_begun {
            return;
        }
        let sealer = &self.asked.sealer;
        if slot.kind == Kind::Thinking {
            let signature = thinking_signature(slot.signature.as_ref(), sealer);
            let delta = json!({"type": "signature_delta", "signature": signature});
            event(out, "content_block_delta", [("index", self.next.into()), ("delta", delta)]);
        }
        event(out, "content_block_stop", [("index", self.next.into())]);
        self.next += 1;
        let state = slot.signature.as_ref().filter(|_| slot.kind != Kind::Thinking && self.asked.shows_reasoning);
        if let Some(state) = state.map(|signature| state_of_block(signature, sealer)) {
            event(out, "content_block_start", [("index", self.next.into()), ("content_block", state)]);
            event(out, "content_block_stop", [("index", self.next.into())]);
            self.next += 1;
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.start("", out);
        for slot in &mut self.slots {
            slot.is_over = true;
        }
        self.flush(out);
        let (reason, text) = self.finish.take().unzip();
        let delta = json!({
            "stop_reason": finish::write(reason.as_ref(), self.has_calls),
            "stop_sequence": stop_sequence(reason.as_ref(), text.flatten().as_deref()),
        });
        let usage = usage::write(self.usage.as_ref()).into();
        event(out, "message_delta", [("delta", delta), ("usage", usage)]);
        event(out, "message_stop", []);
        self.stage = Stage::Over;
    }

    fn fail(&mut self, error: &StreamError, out: &mut BytesMut) {
        self.stage = Stage::Over;
        let said = error.raw.as_deref().map(|raw| UpstreamError::read(0, raw, &[]));
        let said = said.filter(|said| said.kind_word().is_none_or(|kind| !PRIVATE.contains(&kind)));
        let kind = said.as_ref().and_then(UpstreamError::kind_word);
        let kind = kind.and_then(|kind| ERRORS.into_iter().find(|known| *known == kind)).unwrap_or("api_error");
        let message = said.as_ref().map_or("the upstream failed", |said| said.message.as_str());
        event(out, "error", [("error", json!({"type": kind, "message": message}))]);
    }
}

/// All arguments of a call as one piece; none where there are none.
fn arguments(whole: &Arguments) -> Option<Value> {
    let json = match whole {
        Arguments::Object(input) if input.is_empty() => return None,
        Arguments::Object(input) => Value::Object(input.clone()).to_string(),
        Arguments::Raw(text) => raw_arguments(text).to_string(),
    };
    Some(json!({"type": "input_json_delta", "partial_json": json}))
}

/// One event, complete: its name, and data that repeats it as `type`.
fn event<const FIELDS: usize>(out: &mut BytesMut, name: &str, fields: [(&str, Value); FIELDS]) {
    let mut data = Map::from_iter([("type".to_owned(), name.into())]);
    data.extend(fields.map(|(field, value)| (field.to_owned(), value)));
    out.extend_from_slice(format!("event: {name}\ndata: {}\n\n", Value::Object(data)).as_bytes());
}
