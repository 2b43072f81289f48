//! A script as the events of a streamed response.
//!
//! `sequence_number` is the event's place. Nothing follows `response.completed`, `.incomplete` or `.failed`.

use serde_json::{Value, json};

use super::answer::{Status, ending, item, item_id, object, opened, output, text_part, usage_json};
use crate::simulator::asked::Asked;
use crate::simulator::events::{Break, Event};
use crate::simulator::refusal::Refusal;
use crate::simulator::score::{Beat, Score, Span};
use crate::simulator::script::{Part, Script, Shown};
use crate::simulator::stamp::{FILLER_MARK, Stamp};
use crate::simulator::usage::UsageFigures;

/// What a stream says between two good events when it is broken.
pub(in crate::simulator) const MALFORMED_EVENT: &[u8] =
    b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_numb\n\n";

/// The events of a streamed response, each made when it is sent.
pub(in crate::simulator) struct Events {
    asked: Asked,
    stamp: Stamp,
    script: Script,
    score: Score,
}

impl Events {
    pub(in crate::simulator) fn new(asked: Asked, stamp: Stamp, script: Script) -> Self {
        let spans = script.parts().map(span_of).collect();
        Self { asked, stamp, script, score: Score { heads: 2, spans, tails: 1 } }
    }

    pub(in crate::simulator) fn total(&self) -> u64 {
        self.score.total()
    }

    pub(in crate::simulator) fn usage(&self) -> Option<UsageFigures> {
        self.script.usage
    }

    pub(in crate::simulator) fn get(&self, place: u64) -> Option<Event> {
        let beat = self.score.beat(place)?;
        let data = match beat {
            Beat::Head(step) => {
                let kind = if step == 0 { "response.created" } else { "response.in_progress" };
                json!({"type": kind, "sequence_number": place, "response": object(&self.asked, &self.stamp, Status::InProgress)})
            }
            Beat::Open(number, step) => self.within(number, place, |part| self.opening(number, part, step)),
            Beat::Piece(number, piece) => self.within(number, place, |part| piece_of(part, piece)),
            Beat::Close(number, step) => self.within(number, place, |part| self.closing(number, part, step)),
            Beat::Tail(_) => self.last(place),
        };
        let tokens = match beat {
            Beat::Head(_) => 0,
            Beat::Open(number, _) => self.script.tokens_after(number, 0),
            Beat::Piece(number, piece) => self.script.tokens_after(number, piece + 1),
            Beat::Close(number, _) => self.script.tokens_after(number, u32::MAX),
            Beat::Tail(_) => self.script.sent_tokens(),
        };
        Some(Event { bytes: frame(&data).into_bytes(), tokens, carries_usage: matches!(beat, Beat::Tail(_)) })
    }

    pub(in crate::simulator) fn filler_from(&self) -> u64 {
        self.text_part().map_or(2, |number| self.score.first_piece(number))
    }

    /// A text event whose text is [`FILLER_MARK`].
    pub(in crate::simulator) fn with_filler(&self, place: u64) -> String {
        let number = self.text_part().unwrap_or(0);
        let data = json!({
            "type": "response.output_text.delta",
            "sequence_number": place,
            "item_id": self.stamp.part_id("msg", number),
            "output_index": number,
            "content_index": 0,
            "delta": FILLER_MARK,
            "logprobs": [],
        });
        frame(&data)
    }

    /// An error, and the response as it failed.
    pub(in crate::simulator) fn broken_by(&self, refusal: &Refusal, place: u64) -> Break {
        let code = refusal.code.as_deref().or(refusal.kind.as_deref()).unwrap_or("server_error");
        let error = json!({
            "type": "error",
            "sequence_number": place,
            "code": code,
            "message": refusal.message,
            "param": refusal.param,
        });
        let mut response = object(&self.asked, &self.stamp, Status::Failed);
        response["error"] = json!({"code": code, "message": refusal.message});
        let failed = json!({"type": "response.failed", "sequence_number": place + 1, "response": response});
        Break { bytes: [frame(&error), frame(&failed)].concat().into_bytes(), events: 2 }
    }

    fn text_part(&self) -> Option<usize> {
        self.script.parts().position(|part| matches!(part, Part::Text(_)))
    }

    /// Names the item and gives the event its number.
    fn within(&self, number: usize, place: u64, make: impl Fn(Part<'_>) -> (&'static str, Value)) -> Value {
        let Some(part) = self.script.parts().nth(number) else { return Value::Null };
        let (kind, fields) = make(part);
        let mut data = json!({"type": kind, "sequence_number": place, "output_index": number});
        if !kind.starts_with("response.output_item") {
            data["item_id"] = json!(item_id(&self.stamp, number, part));
            match part {
                Part::Thought(_) => data["summary_index"] = json!(0),
                Part::Text(_) => data["content_index"] = json!(0),
                Part::Call(_) => {}
            }
        }
        if let Value::Object(fields) = fields {
            for (name, value) in fields {
                data[name] = value;
            }
        }
        data
    }

    fn opening(&self, number: usize, part: Part<'_>, step: u32) -> (&'static str, Value) {
        match (part, step) {
            (_, 0) => ("response.output_item.added", json!({"item": opened(&self.stamp, number, part)})),
            (Part::Thought(_), _) => {
                ("response.reasoning_summary_part.added", json!({"part": {"type": "summary_text", "text": ""}}))
            }
            _ => ("response.content_part.added", json!({"part": text_part("")})),
        }
    }

    fn closing(&self, number: usize, part: Part<'_>, step: u32) -> (&'static str, Value) {
        let is_last = step + 1 == span_of(part).closing;
        match (part, step) {
            _ if is_last => {
                let state = if ending(&self.script.finish) == Status::Completed { "completed" } else { "incomplete" };
                ("response.output_item.done", json!({"item": item(&self.asked, &self.stamp, number, part, state)}))
            }
            (Part::Thought(thought), 0) => ("response.reasoning_summary_text.done", json!({"text": thought.content.whole()})),
            (Part::Thought(thought), _) => {
                let part = json!({"type": "summary_text", "text": thought.content.whole()});
                ("response.reasoning_summary_part.done", json!({"part": part}))
            }
            (Part::Text(content), 0) => ("response.output_text.done", json!({"text": content.whole(), "logprobs": []})),
            (Part::Text(content), _) => ("response.content_part.done", json!({"part": text_part(&content.whole())})),
            (Part::Call(call), _) => {
                ("response.function_call_arguments.done", json!({"arguments": call.arguments, "name": call.name}))
            }
        }
    }

    fn last(&self, place: u64) -> Value {
        let status = ending(&self.script.finish);
        let mut response = object(&self.asked, &self.stamp, status);
        response["output"] = output(&self.asked, &self.stamp, &self.script);
        if let Some(usage) = self.script.usage {
            response["usage"] = usage_json(usage);
        }
        let kind = if matches!(status, Status::Incomplete(_)) { "response.incomplete" } else { "response.completed" };
        json!({"type": kind, "sequence_number": place, "response": response})
    }
}

fn piece_of(part: Part<'_>, piece: u32) -> (&'static str, Value) {
    match part {
        Part::Thought(thought) => ("response.reasoning_summary_text.delta", json!({"delta": thought.content.piece(piece)})),
        Part::Text(content) => ("response.output_text.delta", json!({"delta": content.piece(piece), "logprobs": []})),
        Part::Call(call) => ("response.function_call_arguments.delta", json!({"delta": call.piece(piece)})),
    }
}

fn span_of(part: Part<'_>) -> Span {
    match part {
        Part::Thought(thought) if thought.shown == Shown::Plainly => {
            Span { opening: 2, pieces: thought.content.pieces(), closing: 3 }
        }
        Part::Thought(_) => Span { opening: 1, pieces: 0, closing: 1 },
        Part::Text(content) => Span { opening: 2, pieces: content.pieces(), closing: 3 },
        Part::Call(call) => Span { opening: 1, pieces: call.pieces(), closing: 2 },
    }
}

/// The event is named as its data's type says.
fn frame(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("error"))
}
