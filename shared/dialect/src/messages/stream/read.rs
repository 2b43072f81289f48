//! An upstream's stream, event by event.
//!
//! Blocks come under an index, one after the other. A signature may come in pieces and is given on when its block ends; input of
//! a call that comes whole in its start is given on at its end, unless pieces came.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::codec::{ANSWER_TOOL, Reading};
use crate::ir::{BlockStart, Blocks, Event, Finish, StreamError};
use crate::json;
use crate::messages::response::{is_error, signature};
use crate::messages::usage::Reports;
use crate::messages::{SILENT, citation, finish};

/// Blocks that are open at the same time, at most; what is said of further ones is left out.
const MAX_OPEN: usize = 1_024;

/// Reads one stream.
#[derive(Debug, Clone)]
pub struct Reader {
    reading: Reading,
    blocks: Blocks,
    reports: Reports,
    /// Open blocks by the provider's index.
    open: BTreeMap<u64, Open>,
}

/// What has to be known of an open block until it ends.
#[derive(Debug, Clone)]
enum Open {
    /// `chars`: how long it is so far.
    Text {
        chars: usize,
    },
    Thinking {
        signature: String,
        has_text: bool,
    },
    /// `input`: what the start held, while no piece has come. `is_answer`: it is text to the caller.
    Call {
        input: Option<String>,
        is_answer: bool,
    },
    /// A block of a server tool, or of a kind nobody knows.
    Other,
}

impl Reader {
    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, blocks: Blocks::default(), reports: Reports::default(), open: BTreeMap::new() }
    }

    /// Reads one event. `name` is what its `event:` line says; `type` in the data goes before it.
    pub fn push(&mut self, name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        let is_filler = data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]";
        if self.blocks.has_ended() || is_filler {
            return;
        }
        let Ok(event) = serde_json::from_str::<Value>(&json::mended(data)) else {
            return self.fail(None, "the upstream sent an event that is no JSON", out);
        };
        let kind = event.get("type").and_then(Value::as_str).or_else(|| std::str::from_utf8(name?).ok()).unwrap_or_default();
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match kind {
            "message_start" => self.start(&event, out),
            "content_block_start" => self.open(index, event.get("content_block").unwrap_or(&Value::Null), out),
            "content_block_delta" => self.piece(index, event.get("delta").unwrap_or(&Value::Null), out),
            "content_block_stop" => self.close(index, out),
            "message_delta" => self.message_delta(&event, out),
            "message_stop" => {
                self.end_choice(Finish::Stop, None, out);
                self.blocks.end(out);
            }
            "ping" => {}
            _ if kind == "error" || event.as_object().is_some_and(is_error) => {
                self.fail(Some(Bytes::copy_from_slice(data)), "the upstream reported an error", out);
            }
            _ => {}
        }
    }

    /// The connection ended. An answer whose end was announced is whole, even without the last event.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.blocks.has_finished(0) {
            self.blocks.end(out);
        } else {
            self.fail(None, "the upstream's stream ended before its answer", out);
        }
    }

    fn fail(&mut self, raw: Option<Bytes>, reason: &'static str, out: &mut Vec<Event>) {
        self.blocks.start("", "", None, out);
        self.blocks.fail(StreamError { raw, reason }, out);
    }

    fn start(&mut self, event: &Value, out: &mut Vec<Event>) {
        let Some(message) = event.get("message") else { return };
        let word = |name| message.get(name).and_then(Value::as_str).unwrap_or_default();
        self.blocks.start(word("id"), word("model"), None, out);
        self.usage(message, out);
    }

    fn usage(&mut self, holder: &Value, out: &mut Vec<Event>) {
        let Some(usage) = holder.get("usage").filter(|usage| usage.is_object()) else { return };
        self.reports.add(usage);
        if let Some(usage) = self.reports.usage() {
            self.blocks.usage(usage, out);
        }
    }

    fn open(&mut self, index: u64, block: &Value, out: &mut Vec<Event>) {
        // A block that never ended does so where its index is used again.
        self.close(index, out);
        if self.open.len() >= MAX_OPEN {
            return;
        }
        let word = |name| block.get(name).and_then(Value::as_str).unwrap_or_default();
        let opened = match word("type") {
            "text" => {
                self.blocks.close(0, out);
                self.blocks.text(0, word("text"), Vec::new(), out);
                Open::Text { chars: word("text").chars().count() }
            }
            "thinking" => {
                self.blocks.close(0, out);
                self.blocks.thinking(0, word("thinking"), out);
                Open::Thinking { signature: word("signature").to_owned(), has_text: !word("thinking").is_empty() }
            }
            "redacted_thinking" => {
                let signature = signature(word("data"), None, &self.reading);
                self.blocks.whole(0, BlockStart::Redacted(signature), out);
                Open::Other
            }
            "tool_use" => self.open_call(index, block, out),
            _ => Open::Other,
        };
        self.open.insert(index, opened);
    }

    fn open_call(&mut self, index: u64, block: &Value, out: &mut Vec<Event>) -> Open {
        let name = block.get("name").and_then(Value::as_str).unwrap_or_default();
        let input = block.get("input").filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
        let input = input.map(Value::to_string);
        let is_answer = self.reading.answers_by_tool && name == ANSWER_TOOL;
        if is_answer {
            self.blocks.close(0, out);
        } else {
            let own = block.get("id").and_then(Value::as_str);
            let id = self.reading.ids.of_call(own, self.reading.client);
            let name = self.reading.names.restore(name).to_owned();
            self.blocks.call(0, index, BlockStart::ToolCall { id, name, whole: None }, out);
        }
        Open::Call { input, is_answer }
    }

    fn piece(&mut self, index: u64, delta: &Value, out: &mut Vec<Event>) {
        let word = |name| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        match (word("type"), self.open.get_mut(&index)) {
            ("text_delta", Some(Open::Text { chars })) => {
                *chars += word("text").chars().count();
                self.blocks.text(0, word("text"), Vec::new(), out);
            }
            // Some servers leave out the start of a block.
            ("text_delta", None) => self.blocks.text(0, word("text"), Vec::new(), out),
            ("thinking_delta", Some(Open::Thinking { has_text, .. })) => {
                *has_text |= !word("thinking").is_empty();
                self.blocks.thinking(0, word("thinking"), out);
            }
            ("thinking_delta", None) => self.blocks.thinking(0, word("thinking"), out),
            ("signature_delta", Some(Open::Thinking { signature, .. })) => signature.push_str(word("signature")),
            ("input_json_delta", Some(Open::Call { input, is_answer })) => {
                let json = word("partial_json");
                if !json.is_empty() {
                    *input = None;
                }
                if *is_answer {
                    self.blocks.text(0, json, Vec::new(), out);
                } else {
                    self.blocks.arguments(0, index, json, out);
                }
            }
            ("citations_delta", Some(Open::Text { chars })) => {
                if let Some(citation) = delta.get("citation").and_then(|it| citation::read(it, *chars)) {
                    self.blocks.citation(0, citation, out);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        match self.open.remove(&index) {
            Some(Open::Thinking { signature: value, has_text }) => {
                if !value.is_empty() {
                    let item = if has_text { None } else { Some(SILENT) };
                    self.blocks.sign(0, signature(&value, item, &self.reading), out);
                }
                self.blocks.close(0, out);
            }
            Some(Open::Call { input, is_answer: true }) => {
                self.blocks.text(0, &input.unwrap_or_default(), Vec::new(), out);
                self.blocks.close(0, out);
            }
            Some(Open::Call { input, is_answer: false }) => {
                self.blocks.arguments(0, index, &input.unwrap_or_default(), out);
                self.blocks.call_stop(0, index, out);
            }
            Some(Open::Text { .. }) | None => self.blocks.close(0, out),
            Some(Open::Other) => {}
        }
    }

    fn message_delta(&mut self, event: &Value, out: &mut Vec<Event>) {
        self.usage(event, out);
        let Some(delta) = event.get("delta") else { return };
        let word = |name| delta.get(name).and_then(Value::as_str);
        if let Some(reason) = word("stop_reason") {
            self.end_choice(finish::read(reason), word("stop_sequence").map(str::to_owned), out);
        }
    }

    fn end_choice(&mut self, finish: Finish, stop_sequence: Option<String>, out: &mut Vec<Event>) {
        for index in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(index, out);
        }
        // The only call was the answer.
        let is_plain = finish == Finish::Tool && !self.blocks.has_calls(0);
        self.blocks.finish(0, if is_plain { Finish::Stop } else { finish }, stop_sequence, out);
    }
}
