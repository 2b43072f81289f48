//! An upstream's stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::calls::{Calls, Label};
use crate::chat::message::{self, Said};
use crate::chat::think::{Piece, Splitter};
use crate::chat::{details, finish, logprobs, usage};
use crate::codec::{ANSWER_TOOL, Reading};
use crate::error::UpstreamError;
use crate::ir::{BlockStart, Blocks, Event, Finish, StreamError, TokenLogprob, media};
use crate::json;

const BROKEN_OFF: &str = "the upstream's stream broke off";
const NO_ANSWER: &str = "the upstream's stream held no answer";
const NO_JSON: &str = "the upstream sent an event that is no JSON object";
/// Choices that are told apart; what comes of later ones is left out.
const MAX_CHOICES: usize = 128;

/// Turns the events of a Chat stream into those of the IR.
///
/// The stream is whole with `[DONE]`, or when every choice has told why it ended; usage may come after that.
#[derive(Debug, Clone)]
pub struct Reader {
    reading: Reading,
    blocks: Blocks,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Debug, Clone, Default)]
struct Choice {
    splitter: Splitter,
    calls: Calls,
    /// What came last, of what can be signed.
    last: Last,
    has_refusal: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Thinking,
    Text,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, blocks: Blocks::default(), choices: BTreeMap::new() }
    }

    /// Takes one event: its `event:` name, which this dialect does not have, and its data.
    pub fn push(&mut self, name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.blocks.has_ended() || data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return self.done(out);
        }
        if name == Some(b"error") {
            return self.blocks.fail(reported(data), out);
        }
        if let Ok(chunk @ Value::Object(_)) = serde_json::from_str(&json::mended(data)) {
            return self.chunk(&chunk, data, out);
        }
        let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
        if lines.len() < 2 {
            return self.blocks.fail(StreamError { raw: None, reason: NO_JSON }, out);
        }
        // careless servers leave out the blank line between two events
        for line in lines {
            self.push(name, line, out);
        }
    }

    /// The connection has ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.blocks.have_all_finished() {
            self.blocks.end(out);
        } else {
            self.blocks.fail(StreamError { raw: None, reason: BROKEN_OFF }, out);
        }
    }

    fn done(&mut self, out: &mut Vec<Event>) {
        let open: Vec<u32> = self.choices.keys().copied().filter(|index| !self.blocks.has_finished(*index)).collect();
        for index in open {
            self.end_choice(index, None, None, out);
        }
        if self.blocks.have_all_finished() {
            self.blocks.end(out);
        } else {
            self.blocks.fail(StreamError { raw: None, reason: NO_ANSWER }, out);
        }
    }

    fn chunk(&mut self, chunk: &Value, data: &[u8], out: &mut Vec<Event>) {
        let is_reported = |error: &Value| UpstreamError::is_reported(error.to_string().as_bytes());
        if chunk.get("error").is_some_and(is_reported) || chunk.get("object").is_some_and(|kind| kind == "error") {
            return self.blocks.fail(reported(data), out);
        }
        let choices = chunk.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !choices.is_empty() {
            let text = |name| chunk.get(name).and_then(Value::as_str).unwrap_or_default();
            self.blocks.start(text("id"), text("model"), chunk.get("created").and_then(Value::as_i64), out);
        }
        for (position, wire) in (0..).zip(choices) {
            let index = wire.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
            self.choice(index.unwrap_or(position), wire, out);
        }
        let in_choice = choices.iter().find_map(|choice| choice.get("usage"));
        let reported = chunk.get("usage").filter(|usage| !usage.is_null()).or_else(|| chunk.pointer("/x_groq/usage"));
        if let Some(usage) = usage::read(reported, in_choice) {
            self.blocks.usage(usage, out);
        }
    }

    fn choice(&mut self, index: u32, wire: &Value, out: &mut Vec<Event>) {
        if !self.choices.contains_key(&index) && self.choices.len() >= MAX_CHOICES {
            return;
        }
        self.choices.entry(index).or_default();
        if let Some(delta) = wire.get("delta").or_else(|| wire.get("message")) {
            let mut logprobs = logprobs::read(wire);
            for said in message::read(delta, &self.reading) {
                self.say(index, said, &mut logprobs, out);
            }
            self.calls(index, delta, out);
        }
        if let Some(word) = wire.get("finish_reason").and_then(Value::as_str).filter(|word| !word.is_empty()) {
            self.end_choice(index, Some(word), wire.get("stop_reason").and_then(Value::as_str), out);
        }
    }

    fn say(&mut self, index: u32, said: Said, logprobs: &mut Vec<TokenLogprob>, out: &mut Vec<Event>) {
        let Some(choice) = self.choices.get_mut(&index) else { return };
        let mut pieces = Vec::new();
        match &said {
            Said::Content(text) => choice.splitter.push(text, &mut pieces),
            Said::Signed(_) | Said::Citation(_) => {}
            _ => choice.splitter.no_tags(&mut pieces),
        }
        self.pieces(index, pieces, logprobs, out);
        let Some(choice) = self.choices.get_mut(&index) else { return };
        let last = choice.last;
        match said {
            Said::Thinking { text, signature } => {
                self.blocks.thinking(index, &text, out);
                choice.last = if text.is_empty() { last } else { Last::Thinking };
                if let Some(signature) = signature.filter(|_| choice.last == Last::Thinking) {
                    self.blocks.sign(index, signature, out);
                    choice.last = Last::Other;
                }
            }
            Said::Redacted(signature) => {
                self.blocks.whole(index, BlockStart::Redacted(signature), out);
                choice.last = Last::Other;
            }
            Said::Signed(signature) if last == Last::Text => {
                self.blocks.sign(index, signature, out);
                choice.last = Last::Other;
            }
            Said::Citation(citation) => self.blocks.citation(index, citation, out),
            Said::Refusal(text) => {
                self.blocks.refusal(index, &text, out);
                choice.has_refusal |= !text.is_empty();
                choice.last = Last::Other;
            }
            Said::Media(block) => {
                self.blocks.whole(index, media(block), out);
                choice.last = Last::Other;
            }
            Said::Content(_) | Said::Signed(_) => {}
        }
    }

    fn pieces(&mut self, index: u32, pieces: Vec<Piece>, logprobs: &mut Vec<TokenLogprob>, out: &mut Vec<Event>) {
        for piece in pieces {
            let last = match piece {
                Piece::Thinking(text) => {
                    self.blocks.thinking(index, &text, out);
                    Last::Thinking
                }
                Piece::Text(text) => {
                    self.blocks.text(index, &text, std::mem::take(logprobs), out);
                    Last::Text
                }
            };
            if let Some(choice) = self.choices.get_mut(&index) {
                choice.last = last;
            }
        }
    }

    fn calls(&mut self, index: u32, delta: &Value, out: &mut Vec<Event>) {
        let fragments = delta.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (position, fragment) in fragments.iter().enumerate().filter(|(_, fragment)| fragment.is_object()) {
            let function = fragment.get("function");
            let label = Label {
                index: fragment.get("index").and_then(Value::as_u64),
                id: fragment.get("id").and_then(Value::as_str).unwrap_or_default(),
                name: function.and_then(|function| function.get("name")).and_then(Value::as_str).unwrap_or_default(),
                position,
                of: fragments.len(),
            };
            self.fragment(index, &label, function, details::google_signature(fragment), out);
        }
        // the form that came before tools: one call without id
        if let Some(function) = delta.get("function_call").filter(|function| function.is_object()) {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            self.fragment(index, &Label { index: Some(0), name, ..Label::default() }, Some(function), None, out);
        }
    }

    fn fragment(
        &mut self,
        index: u32,
        label: &Label<'_>,
        function: Option<&Value>,
        signature: Option<&str>,
        out: &mut Vec<Event>,
    ) {
        self.release(index, out);
        let Some(choice) = self.choices.get_mut(&index) else { return };
        choice.last = Last::Other;
        let whole = choice.calls.whole();
        let Some((key, call)) = choice.calls.find(label) else { return };
        call.waiting.push_str(&written(function));
        if call.name.is_empty() {
            return;
        }
        let fragment = std::mem::take(&mut call.waiting);
        call.progress.push(&fragment);
        if self.reading.answers_by_tool && call.name == ANSWER_TOOL {
            return self.blocks.text(index, &fragment, Vec::new(), out);
        }
        if !std::mem::replace(&mut call.has_begun, true) {
            for whole in whole {
                self.blocks.call_stop(index, whole, out);
            }
            let name = self.reading.names.restore(&call.name).to_owned();
            let id = self.reading.ids.of_call(Some(&call.id), self.reading.client);
            self.blocks.call(index, key, BlockStart::ToolCall { id, name, whole: None }, out);
        }
        if let Some(wire) = signature.filter(|_| !call.is_signed) {
            call.is_signed = true;
            self.blocks.sign_call(index, key, message::signature(wire, None, &self.reading), out);
        }
        self.blocks.arguments(index, key, &fragment, out);
    }

    /// What was held as a possible tag is none.
    fn release(&mut self, index: u32, out: &mut Vec<Event>) {
        let mut pieces = Vec::new();
        if let Some(choice) = self.choices.get_mut(&index) {
            choice.splitter.no_tags(&mut pieces);
        }
        self.pieces(index, pieces, &mut Vec::new(), out);
    }

    fn end_choice(&mut self, index: u32, word: Option<&str>, stop: Option<&str>, out: &mut Vec<Event>) {
        self.release(index, out);
        let has_refusal = self.choices.get(&index).is_some_and(|choice| choice.has_refusal);
        let ending = finish::settle(finish::read(word), self.blocks.has_calls(index), has_refusal);
        match stop.filter(|_| ending == Finish::Stop) {
            Some(stop) => self.blocks.finish(index, Finish::StopSequence, Some(stop.to_owned()), out),
            None => self.blocks.finish(index, ending, None, out),
        }
    }
}

/// A fragment of arguments. Some servers send the object itself.
fn written(function: Option<&Value>) -> String {
    match function.and_then(|function| function.get("arguments")) {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => String::new(),
    }
}

fn reported(data: &[u8]) -> StreamError {
    StreamError { raw: Some(Bytes::copy_from_slice(data)), reason: "the upstream reported an error" }
}
