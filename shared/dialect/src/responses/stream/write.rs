//! A caller's stream. Items come one after the other, and each is told in full before the next begins.

use std::collections::VecDeque;

use bytes::BytesMut;
use serde_json::{Value, json};
use sluice_domain::Usage;

use super::open::{Call, Message, Reasoning};
use crate::codec::Asked;
use crate::error::UpstreamError;
use crate::ir::{BlockStart, Event, Finish, StreamError};
use crate::responses::finish;
use crate::responses::namespace::Callers;
use crate::responses::response::{Envelope, Outcome, encrypted};

mod calls;
mod texts;
mod wire;

use wire::Wire;

/// Writes one stream.
#[derive(Debug, Clone)]
pub struct Writer {
    asked: Asked,
    tools: Callers,
    wire: Wire,
    envelope: Option<Envelope>,
    /// Items that are whole and told; the next one's index is their number.
    output: Vec<Value>,
    /// Texts and refusals in a row. At most one of messages, reasoning, the item after it and calls is open.
    message: Option<Message>,
    reasoning: Option<Reasoning>,
    /// State of the open text, to be told behind it.
    text_state: Option<String>,
    /// An item that lacks nothing but its last event, which says whether the answer was cut in it.
    whole: Option<Value>,
    calls: VecDeque<Call>,
    usage: Option<Usage>,
    finish: Option<Finish>,
    has_refusal: bool,
    has_ended: bool,
}

impl Writer {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        Self {
            tools: Callers::of(asked.echo.as_ref()),
            asked,
            wire: Wire::default(),
            envelope: None,
            output: Vec::new(),
            message: None,
            reasoning: None,
            text_state: None,
            whole: None,
            calls: VecDeque::new(),
            usage: None,
            finish: None,
            has_refusal: false,
            has_ended: false,
        }
    }

    /// One step. What it says is written as whole SSE events, to be flushed.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Error(error) => return self.fail(error, out),
            Event::Start { id, created, .. } => return self.start(id, *created, out),
            _ => self.start("", None, out),
        }
        match event {
            Event::BlockStart { choice: 0, block, start } => self.begin(*block, start, out),
            Event::Text { choice: 0, text, logprobs, .. } => self.text(text, logprobs, out),
            Event::Refusal { choice: 0, text, .. } => self.refusal(text, out),
            Event::Thinking { choice: 0, text, .. } => self.thinking(text, out),
            Event::Arguments { choice: 0, block, json } => self.arguments(*block, json, out),
            Event::Signed { choice: 0, block, signature } => self.signed(*block, signature),
            Event::Citation { choice: 0, citation, .. } => self.citation(citation, out),
            Event::BlockStop { choice: 0, block } => self.stop(*block, out),
            Event::Finish { choice: 0, finish, .. } => self.finish = Some(finish.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(out),
            _ => {}
        }
    }

    fn start(&mut self, id: &str, created: Option<i64>, out: &mut BytesMut) {
        if self.envelope.is_some() {
            return;
        }
        let envelope = Envelope::new(id, created, &mut self.asked);
        let answer = envelope.render(&[], &Outcome::default(), &self.asked);
        self.wire.send("response.created", json!({"response": &answer}), out);
        self.wire.send("response.in_progress", json!({"response": answer}), out);
        self.envelope = Some(envelope);
    }

    fn begin(&mut self, block: u32, start: &BlockStart, out: &mut BytesMut) {
        match start {
            // Both go into the open message, which begins with their first piece.
            BlockStart::Text | BlockStart::Refusal => {}
            BlockStart::Thinking => {
                self.close("completed", out);
                self.reasoning = Some(Reasoning::default());
            }
            BlockStart::Redacted(signature) => {
                let encrypted = encrypted(Some(signature), &self.asked);
                self.close("completed", out);
                self.sealed(encrypted, out);
            }
            BlockStart::ToolCall { id, name, whole } => self.call(block, (id, name), whole.as_ref(), out),
            BlockStart::Media(block) => self.media(block, out),
        }
    }

    /// A block has ended.
    fn stop(&mut self, block: u32, out: &mut BytesMut) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.block == block) {
            call.is_whole = true;
            self.tell_calls(out);
        } else if let Some(reasoning) = self.reasoning.take() {
            self.end_reasoning(reasoning, out);
        } else {
            self.end_part(out);
            if let Some(state) = self.text_state.take() {
                self.close("completed", out);
                self.sealed(Some(state), out);
            }
        }
    }

    /// Whatever is open ends.
    fn close(&mut self, status: &str, out: &mut BytesMut) {
        for call in &mut self.calls {
            call.is_whole = true;
        }
        self.tell_calls(out);
        if let Some(reasoning) = self.reasoning.take() {
            self.end_reasoning(reasoning, out);
        }
        self.end_message(out);
        self.settle(status, out);
    }

    /// The item that waits for its end has it.
    fn settle(&mut self, status: &str, out: &mut BytesMut) {
        let Some(mut item) = self.whole.take() else { return };
        if let Some(said) = item.get_mut("status") {
            *said = Value::from(status);
        }
        let fields = json!({"output_index": self.output.len(), "item": &item});
        self.wire.send("response.output_item.done", fields, out);
        self.output.push(item);
    }

    fn end(&mut self, out: &mut BytesMut) {
        let ending = finish::write(self.finish.as_ref(), self.has_refusal);
        self.close(ending.item_status(), out);
        let outcome = Outcome { ending: Some(ending), usage: self.usage.as_ref(), ..Outcome::default() };
        let kind = match ending.status {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        let answer = self.answer(&outcome);
        self.wire.send(kind, json!({"response": answer}), out);
        self.has_ended = true;
    }

    fn answer(&self, outcome: &Outcome<'_>) -> Option<Value> {
        self.envelope.as_ref().map(|envelope| envelope.render(&self.output, outcome, &self.asked))
    }

    /// Items that are not whole are left as they are: nothing may look finished that is not.
    fn fail(&mut self, error: &StreamError, out: &mut BytesMut) {
        let (code, message) = reported(error);
        if !self.fail_as(code, &message, out) {
            self.wire.send("error", json!({"code": code, "message": message, "param": null}), out);
        }
        self.has_ended = true;
    }

    /// Ends the answer as one that failed. `false`: it was not announced, or is over, and nothing was written.
    pub fn fail_as(&mut self, code: &str, message: &str, out: &mut BytesMut) -> bool {
        if self.envelope.is_none() || self.has_ended {
            return false;
        }
        self.settle("completed", out);
        let ending = finish::Ending { status: "failed", reason: None };
        let outcome =
            Outcome { ending: Some(ending), error: Some((code, message)), usage: self.usage.as_ref(), service_tier: None };
        let answer = self.answer(&outcome);
        self.wire.send("response.failed", json!({"response": answer}), out);
        self.has_ended = true;
        true
    }
}

/// The code and the message of an error. The message was masked when it was read.
fn reported(error: &StreamError) -> (&'static str, String) {
    const NEUTRAL: &str = "the upstream failed";
    let Some(raw) = &error.raw else { return ("server_error", NEUTRAL.to_owned()) };
    let read = UpstreamError::read(200, raw, &[]);
    let words = [read.code_word(), read.kind_word()];
    let is = |part: &str| words.iter().flatten().any(|word| word.to_ascii_lowercase().contains(part));
    let code = if is("rate_limit") || is("resource_exhausted") || is("429") {
        "rate_limit_exceeded"
    } else if is("invalid_prompt") {
        "invalid_prompt"
    } else {
        "server_error"
    };
    (code, read.message)
}
