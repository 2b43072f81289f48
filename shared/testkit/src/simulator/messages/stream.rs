//! A script as the events of a streamed message.
//!
//! The prompt's usage comes with `message_start`, the answer's with `message_delta`. A `ping` follows the first block's start.

use serde_json::{Value, json};

use super::answer::{call_id, input_json, redacted, stop};
use crate::simulator::events::Event;
use crate::simulator::refusal::{House, Refusal};
use crate::simulator::score::{Beat, Score, Span};
use crate::simulator::script::{Part, Script, Shown};
use crate::simulator::seal::Seal;
use crate::simulator::stamp::{FILLER_MARK, Stamp};
use crate::simulator::usage::UsageFigures;

/// What a stream says between two good events when it is broken.
pub(in crate::simulator) const MALFORMED_EVENT: &[u8] =
    b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n";

/// The events of a streamed message, each made when it is sent.
pub(in crate::simulator) struct Events {
    stamp: Stamp,
    script: Script,
    score: Score,
}

impl Events {
    pub(in crate::simulator) fn new(stamp: Stamp, script: Script) -> Self {
        let mut spans: Vec<Span> = script.parts().map(span_of).collect();
        if let Some(first) = spans.first_mut() {
            first.opening += 1;
        }
        Self { stamp, script, score: Score { heads: 1, spans, tails: 2 } }
    }

    pub(in crate::simulator) fn total(&self) -> u64 {
        self.score.total()
    }

    pub(in crate::simulator) fn usage(&self) -> Option<UsageFigures> {
        self.script.usage
    }

    pub(in crate::simulator) fn get(&self, place: u64) -> Option<Event> {
        let beat = self.score.beat(place)?;
        let part = |number: usize| self.script.parts().nth(number);
        let (data, tokens) = match beat {
            Beat::Head(_) => (self.start(), 0),
            Beat::Open(number, step) => (opening(number, part(number)?, step), self.script.tokens_after(number, 0)),
            Beat::Piece(number, piece) => {
                (delta(number, &piece_of(part(number)?, piece)), self.script.tokens_after(number, piece + 1))
            }
            Beat::Close(number, step) => (closing(number, part(number)?, step), self.script.tokens_after(number, u32::MAX)),
            Beat::Tail(0) => (self.end(), self.script.sent_tokens()),
            Beat::Tail(_) => (json!({"type": "message_stop"}), self.script.sent_tokens()),
        };
        Some(Event { bytes: frame(&data).into_bytes(), tokens, carries_usage: beat == Beat::Tail(0) })
    }

    pub(in crate::simulator) fn filler_from(&self) -> u64 {
        self.text_part().map_or(1, |number| self.score.first_piece(number))
    }

    /// A text event whose text is [`FILLER_MARK`].
    pub(in crate::simulator) fn with_filler(&self) -> String {
        frame(&delta(self.text_part().unwrap_or(0), &json!({"type": "text_delta", "text": FILLER_MARK})))
    }

    pub(in crate::simulator) fn error_event(&self, refusal: &Refusal) -> String {
        frame(&refusal.body(House::Anthropic, &self.stamp.request_id()))
    }

    fn text_part(&self) -> Option<usize> {
        self.script.parts().position(|part| matches!(part, Part::Text(_)))
    }

    fn start(&self) -> Value {
        let mut message = json!({
            "id": self.stamp.id,
            "type": "message",
            "role": "assistant",
            "model": self.stamp.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
        });
        if let Some(usage) = self.script.usage {
            message["usage"] = input_json(usage);
        }
        json!({"type": "message_start", "message": message})
    }

    fn end(&self) -> Value {
        let (stop_reason, stop_sequence) = stop(&self.script.finish);
        let mut end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": stop_sequence},
        });
        if let Some(usage) = self.script.usage {
            end["usage"] = json!({"output_tokens": usage.completion_tokens});
            if usage.reasoning_tokens > 0 {
                end["usage"]["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning_tokens});
            }
        }
        end
    }
}

fn piece_of(part: Part<'_>, piece: u32) -> Value {
    match part {
        Part::Thought(thought) => json!({"type": "thinking_delta", "thinking": thought.content.piece(piece)}),
        Part::Text(content) => json!({"type": "text_delta", "text": content.piece(piece)}),
        Part::Call(call) => json!({"type": "input_json_delta", "partial_json": call.piece(piece)}),
    }
}

/// The events of one part, without the ping.
fn span_of(part: Part<'_>) -> Span {
    match part {
        Part::Thought(thought) if thought.shown == Shown::Redacted => Span { opening: 1, pieces: 0, closing: 1 },
        Part::Thought(thought) => Span { opening: 1, pieces: thought.content.pieces(), closing: 2 },
        Part::Text(content) => Span { opening: 1, pieces: content.pieces(), closing: 1 },
        // The service starts the arguments with an empty fragment.
        Part::Call(call) => Span { opening: 2, pieces: call.pieces(), closing: 1 },
    }
}

fn opening(number: usize, part: Part<'_>, step: u32) -> Value {
    if step == 0 {
        let block = match part {
            Part::Thought(thought) if thought.shown == Shown::Redacted => redacted(thought.tokens),
            Part::Thought(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Part::Text(_) => json!({"type": "text", "text": ""}),
            Part::Call(call) => json!({"type": "tool_use", "id": call_id(call), "name": call.name, "input": {}}),
        };
        return json!({"type": "content_block_start", "index": number, "content_block": block});
    }
    let has_ping = number == 0 && step == 1;
    match part {
        Part::Call(_) if !has_ping => delta(number, &json!({"type": "input_json_delta", "partial_json": ""})),
        _ => json!({"type": "ping"}),
    }
}

fn closing(number: usize, part: Part<'_>, step: u32) -> Value {
    match part {
        Part::Thought(thought) if step == 0 && thought.shown != Shown::Redacted => {
            let signature = Seal::Thinking.of(&thought.content.whole());
            delta(number, &json!({"type": "signature_delta", "signature": signature}))
        }
        _ => json!({"type": "content_block_stop", "index": number}),
    }
}

fn delta(number: usize, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": number, "delta": delta})
}

/// The event is named as its data's type says.
fn frame(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("error"))
}
