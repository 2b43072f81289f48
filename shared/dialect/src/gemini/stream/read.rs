//! An upstream's `streamGenerateContent?alt=sse`: each event is a `GenerateContentResponse` with the next parts.
//!
//! The stream has no end marker. Some models say `STOP` in every chunk, so a finish counts only at the end of the connection.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use sluice_domain::Usage;

use super::super::answer_part::{self, AnswerPart};
use super::super::response::read::{block_reason, is_error};
use super::super::{finish, grounding, logprobs, spelling, usage};
use crate::codec::Reading;
use crate::ir::{Arguments, BlockStart, Blocks, Event, Finish, StreamError, media};
use crate::json;

/// Choices that are told apart; what comes of later ones is left out.
const MAX_CHOICES: usize = 128;

/// Turns chunks into events.
#[derive(Debug, Clone)]
pub struct Reader {
    reading: Reading,
    blocks: Blocks,
    /// What each choice said last about its end.
    finishes: BTreeMap<u32, Option<Finish>>,
    /// The text of each choice, which citations point into.
    said: BTreeMap<u32, String>,
    usage: Option<Usage>,
    next_call: u64,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, blocks: Blocks::default(), finishes: BTreeMap::new(), said: BTreeMap::new(), usage: None, next_call: 0 }
    }

    /// Takes one event. Its name means nothing in this dialect.
    pub fn push(&mut self, _name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        // Gateways in front of Gemini end streams as OpenAI does.
        if self.blocks.has_ended() || data.is_empty() || data == b"[DONE]" {
            return;
        }
        match serde_json::from_str::<Value>(&json::mended(data)) {
            Ok(Value::Array(chunks)) => {
                for chunk in &chunks {
                    self.chunk(chunk, data, out);
                }
            }
            Ok(chunk) => self.chunk(&chunk, data, out),
            Err(_) => self.fail("an event of the upstream's stream is no JSON", out),
        }
    }

    /// The connection is over: the answer is whole if every choice has said why it ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.blocks.has_ended() {
            return;
        }
        if !self.blocks.has_started() {
            return self.fail("the upstream's stream is empty", out);
        }
        if self.finishes.is_empty() || self.finishes.values().any(Option::is_none) {
            return self.fail("the upstream's stream ended without a finish reason", out);
        }
        for (choice, finish) in std::mem::take(&mut self.finishes) {
            if let Some(finish) = finish {
                self.blocks.finish(choice, finish, None, out);
            }
        }
        self.blocks.end(out);
    }

    fn fail(&mut self, reason: &'static str, out: &mut Vec<Event>) {
        self.blocks.start("", "", None, out);
        self.blocks.fail(StreamError { raw: None, reason }, out);
    }

    fn chunk(&mut self, chunk: &Value, data: &[u8], out: &mut Vec<Event>) {
        if !chunk.is_object() {
            return self.fail("an event of the upstream's stream is no JSON object", out);
        }
        let text = |name| spelling::get(chunk, name).and_then(Value::as_str).unwrap_or_default();
        self.blocks.start(text("responseId"), text("modelVersion"), None, out);
        if is_error(chunk) {
            let raw = Some(Bytes::copy_from_slice(data));
            return self.blocks.fail(StreamError { raw, reason: "the upstream reported an error" }, out);
        }
        let candidates = spelling::get(chunk, "candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (candidate, at) in candidates.iter().zip(0..) {
            let index = spelling::get(candidate, "index").and_then(Value::as_u64);
            self.candidate(index.and_then(|index| u32::try_from(index).ok()).unwrap_or(at), candidate, out);
        }
        if candidates.is_empty()
            && let Some(blocked) = block_reason(chunk)
        {
            self.finishes.entry(0).or_default().get_or_insert(blocked);
        }
        let report = spelling::get(chunk, "usageMetadata").and_then(usage::read);
        if let Some(counted) = report.filter(|counted| self.usage != Some(*counted)) {
            self.usage = Some(counted);
            self.blocks.usage(counted, out);
        }
    }

    fn candidate(&mut self, choice: u32, candidate: &Value, out: &mut Vec<Event>) {
        if self.finishes.len() >= MAX_CHOICES && !self.finishes.contains_key(&choice) {
            return;
        }
        let finish = self.finishes.entry(choice).or_default();
        if let Some(word) = spelling::get(candidate, "finishReason").and_then(Value::as_str) {
            *finish = Some(finish::read(word));
        }
        let mut logprobs = logprobs::read(candidate);
        let parts = spelling::get(candidate, "content").and_then(|content| spelling::get(content, "parts"));
        for part in parts.and_then(Value::as_array).into_iter().flatten() {
            let Some(part) = answer_part::read(part, &mut self.reading) else { continue };
            match part {
                AnswerPart::Text { text, signature } => {
                    self.said.entry(choice).or_default().push_str(&text);
                    let logprobs = if text.is_empty() { Vec::new() } else { std::mem::take(&mut logprobs) };
                    self.blocks.text(choice, &text, logprobs, out);
                    if let Some(signature) = signature {
                        self.blocks.sign(choice, signature, out);
                    }
                }
                AnswerPart::Thought { text, signature } => {
                    self.blocks.thinking(choice, &text, out);
                    if let Some(signature) = signature {
                        self.blocks.sign(choice, signature, out);
                    }
                }
                AnswerPart::Call { id, name, arguments, signature } => {
                    let key = self.next_call;
                    self.next_call += 1;
                    let whole = Some(Arguments::Object(arguments));
                    self.blocks.call(choice, key, BlockStart::ToolCall { id, name, whole }, out);
                    if let Some(signature) = signature {
                        self.blocks.sign_call(choice, key, signature, out);
                    }
                    self.blocks.call_stop(choice, key, out);
                }
                AnswerPart::Medium(medium) => self.blocks.whole(choice, media(medium), out),
            }
        }
        let said = self.said.get(&choice).map_or("", String::as_str);
        for citation in grounding::read(candidate, said) {
            self.blocks.citation(choice, citation, out);
        }
    }
}
