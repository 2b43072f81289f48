//! A script as a streamed answer: server-sent events without names, or one JSON array.
//!
//! Each chunk says what came since the last one; a call is whole in its chunk. The last one has the finish reason and the usage; those
//! before it the usage so far.

use serde_json::{Value, json};

use super::answer::{call_part, finish_reason, response, text_signature, thought_part, usage_json};
use crate::simulator::asked::Asked;
use crate::simulator::events::Event;
use crate::simulator::refusal::{House, Refusal};
use crate::simulator::route::Streaming;
use crate::simulator::score::{Beat, Score, Span};
use crate::simulator::script::{Part, Script};
use crate::simulator::stamp::{FILLER_MARK, Stamp};
use crate::simulator::usage::UsageFigures;

/// The chunks of a streamed answer, each made when it is sent.
pub(in crate::simulator) struct Events {
    asked: Asked,
    stamp: Stamp,
    script: Script,
    score: Score,
    is_array: bool,
}

impl Events {
    pub(in crate::simulator) fn new(asked: Asked, stamp: Stamp, script: Script, streaming: Streaming) -> Self {
        let spans = script.parts().map(span_of).collect();
        let score = Score { heads: 0, spans, tails: 1 };
        Self { asked, stamp, script, score, is_array: streaming == Streaming::Array }
    }

    pub(in crate::simulator) fn total(&self) -> u64 {
        self.score.total()
    }

    pub(in crate::simulator) fn usage(&self) -> Option<UsageFigures> {
        self.script.usage
    }

    pub(in crate::simulator) fn get(&self, place: u64) -> Option<Event> {
        let choices = i64::from(self.asked.choices);
        let (data, tokens, is_last) = match self.score.beat(place)? {
            Beat::Piece(number, piece) => {
                let sent = match self.script.parts().nth(number)? {
                    Part::Call(_) => u32::MAX,
                    Part::Thought(_) | Part::Text(_) => piece + 1,
                };
                let tokens = self.script.tokens_after(number, sent) * choices;
                (self.chunk(&self.part(number, piece)?, None, self.usage_so_far(tokens)), tokens, false)
            }
            Beat::Head(_) | Beat::Open(..) | Beat::Close(..) => return None,
            Beat::Tail(_) => (self.last(), self.script.sent_tokens() * choices, true),
        };
        let mut text = self.frame(&data, place);
        if is_last && self.is_array {
            text.push_str("\r\n]");
        }
        Some(Event { bytes: text.into_bytes(), tokens, carries_usage: is_last })
    }

    /// A chunk whose text is [`FILLER_MARK`].
    pub(in crate::simulator) fn with_filler(&self, place: u64) -> String {
        self.frame(&self.chunk(&json!({"text": FILLER_MARK}), None, None), place)
    }

    pub(in crate::simulator) fn error_event(&self, refusal: &Refusal, place: u64) -> String {
        let mut text = self.frame(&refusal.body(House::Google, ""), place);
        if self.is_array {
            text.push_str("\r\n]");
        }
        text
    }

    pub(in crate::simulator) fn malformed(&self, place: u64) -> Vec<u8> {
        const CUT: &str = r#"{"candidates":[{"content":{"par"#;
        let text = match (self.is_array, place) {
            (true, 0) => format!("[{CUT}"),
            (true, _) => format!(",\r\n{CUT}"),
            (false, _) => format!("data: {CUT}\r\n\r\n"),
        };
        text.into_bytes()
    }

    fn part(&self, number: usize, piece: u32) -> Option<Value> {
        Some(match self.script.parts().nth(number)? {
            Part::Thought(thought) => thought_part(&thought.content.piece(piece)),
            Part::Text(content) => json!({"text": content.piece(piece)}),
            Part::Call(call) => call_part(&self.asked, &self.stamp, &self.script, number, call),
        })
    }

    fn chunk(&self, part: &Value, finish: Option<&str>, usage: Option<Value>) -> Value {
        response(&self.stamp, &self.script, self.asked.choices, usage, |index| {
            let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": index});
            if let Some(finish) = finish {
                candidate["finishReason"] = json!(finish);
            }
            candidate
        })
    }

    fn last(&self) -> Value {
        let mut part = json!({"text": ""});
        if let Some(signature) = text_signature(&self.asked, &self.stamp, &self.script) {
            part["thoughtSignature"] = json!(signature);
        }
        self.chunk(&part, Some(finish_reason(&self.script.finish)), self.script.usage.map(usage_json))
    }

    fn usage_so_far(&self, tokens: i64) -> Option<Value> {
        let usage = self.script.usage?;
        let total = usage.prompt_tokens.saturating_add(tokens);
        Some(json!({"promptTokenCount": usage.prompt_tokens, "candidatesTokenCount": tokens, "totalTokenCount": total}))
    }

    fn frame(&self, data: &Value, place: u64) -> String {
        match (self.is_array, place) {
            (true, 0) => format!("[{data}"),
            (true, _) => format!(",\r\n{data}"),
            (false, _) => format!("data: {data}\r\n\r\n"),
        }
    }
}

fn span_of(part: Part<'_>) -> Span {
    let pieces = match part {
        Part::Thought(thought) => thought.content.pieces(),
        Part::Text(content) => content.pieces(),
        Part::Call(_) => 1,
    };
    Span { opening: 0, pieces, closing: 0 }
}
