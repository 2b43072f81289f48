//! An upstream's stream. Deltas are told as they come; what they lacked is filled in by the `done` events, and at last by the whole answer
//! that the terminal event carries.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::said::Said;
use crate::codec::{ANSWER_TOOL, Reading};
use crate::ir::{Arguments, Block, BlockStart, Blocks, Event, Finish, StreamError};
use crate::json;
use crate::responses::response::{self, Piece};
use crate::responses::{finish, namespace, usage};

/// Reads one stream.
#[derive(Debug, Clone)]
pub struct Reader {
    reading: Reading,
    blocks: Blocks,
    /// Output index → what came of the item.
    items: BTreeMap<u64, Item>,
    /// Item id → output index, for servers that name one of them.
    indices: BTreeMap<String, u64>,
    /// The part that the open block is made of.
    current: Option<Part>,
    has_refusal: bool,
}

/// What came of an item so far.
#[derive(Debug, Clone, Default)]
struct Item {
    is_done: bool,
    call: Call,
    /// Bytes of each part: of content from 0, of a summary from [`SUMMARY`].
    parts: BTreeMap<u64, usize>,
    /// Citations of each part of content.
    citations: BTreeMap<u64, usize>,
    /// Whether the reasoning comes as a summary. The other kind is left out.
    is_summary: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Call {
    /// It is none, or has not begun.
    #[default]
    None,
    /// It has begun; so many bytes of arguments came.
    Open(usize),
    /// Its arguments are the answer.
    Answer(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    item: u64,
    part: u64,
}

/// Where the numbers of a summary's parts begin.
const SUMMARY: u64 = 1 << 32;
/// The highest output index that is believed; later items are left out.
const MAX_INDEX: u64 = 1 << 16;
/// Responses has one choice.
const CHOICE: u32 = 0;

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            blocks: Blocks::default(),
            items: BTreeMap::new(),
            indices: BTreeMap::new(),
            current: None,
            has_refusal: false,
        }
    }

    /// One event: its `event` line, if there is one, and its data. What cannot be read says nothing.
    pub fn push(&mut self, name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        if self.blocks.has_ended() {
            return;
        }
        let Ok(event) = serde_json::from_str::<Value>(&json::mended(data)) else { return };
        let named = name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| *name != "message");
        let kind = event.get("type").and_then(Value::as_str).or(named).unwrap_or_default().to_owned();
        match kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => self.start(&event, out),
            "response.output_item.added" => self.added(&event, out),
            "response.output_item.done" => {
                if let (Some(index), Some(item)) = (self.index(&event), event.get("item")) {
                    self.done(index, item, out);
                }
            }
            "response.completed" | "response.incomplete" => self.complete(&event, out),
            "response.failed" => self.failed(&event, out),
            "error" => self.fail(Some(data), "", out),
            "" if event.get("error").is_some_and(|error| !error.is_null()) => self.fail(Some(data), "", out),
            kind => self.piece(kind, &event, out),
        }
    }

    /// The connection has ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        self.fail(None, "the stream broke off before the answer was whole", out);
    }

    fn fail(&mut self, raw: Option<&[u8]>, reason: &'static str, out: &mut Vec<Event>) {
        let reason = if raw.is_some() { "the upstream reported an error" } else { reason };
        self.blocks.fail(StreamError { raw: raw.map(bytes::Bytes::copy_from_slice), reason }, out);
    }

    fn start(&mut self, event: &Value, out: &mut Vec<Event>) {
        let answer = event.get("response").unwrap_or(&Value::Null);
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        self.blocks.start(text("id"), text("model"), answer.get("created_at").and_then(response::seconds), out);
    }

    /// Which item an event is about.
    fn index(&mut self, event: &Value) -> Option<u64> {
        let inside = event.get("item").and_then(|item| item.get("id"));
        let id = event.get("item_id").or(inside).and_then(Value::as_str);
        let known = id.and_then(|id| self.indices.get(id).copied());
        let said = event.get("output_index").and_then(Value::as_u64);
        // Some servers say the same index of every item, others another id in every event.
        let is_fresh = |index: &u64| id.is_none() || self.items.get(index).is_none_or(|item| !item.is_done);
        let next = || self.items.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let index = known.or_else(|| said.filter(is_fresh)).unwrap_or_else(next);
        if index > MAX_INDEX {
            return None;
        }
        if let Some(id) = id {
            self.indices.entry(id.to_owned()).or_insert(index);
        }
        Some(index)
    }

    fn added(&mut self, event: &Value, out: &mut Vec<Event>) {
        let (Some(index), Some(item)) = (self.index(event), event.get("item")) else { return };
        self.items.entry(index).or_default();
        if item.get("type").and_then(Value::as_str) == Some("function_call") {
            self.call(index, item, out);
        }
    }

    /// Begins a call, once its name is known.
    fn call(&mut self, index: u64, item: &Value, out: &mut Vec<Event>) {
        let state = self.items.entry(index).or_default();
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || state.is_done || !matches!(state.call, Call::None) {
            return;
        }
        if self.reading.answers_by_tool && name == ANSWER_TOOL {
            state.call = Call::Answer(0);
            return;
        }
        state.call = Call::Open(0);
        self.current = None;
        let id = self.reading.ids.of_call(item.get("call_id").and_then(Value::as_str), self.reading.client);
        let name = namespace::of_call(item);
        let name = self.reading.names.restore(&name).to_owned();
        self.blocks.call(CHOICE, index, BlockStart::ToolCall { id, name, whole: None }, out);
    }

    /// A piece of an item, or the whole of a part.
    fn piece(&mut self, kind: &str, event: &Value, out: &mut Vec<Event>) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0).min(SUMMARY - 1);
        let kind = kind.strip_prefix("response.").unwrap_or_default();
        let is_known = ["function_call_arguments.", "output_text.", "refusal.", "reasoning_text.", "reasoning_summary_text."];
        if !is_known.iter().any(|known| kind.starts_with(known)) {
            return;
        }
        let Some(index) = self.index(event) else { return };
        let part = Part { item: index, part: number("content_index") };
        let summary = Part { item: index, part: SUMMARY + number("summary_index") };
        match kind {
            "function_call_arguments.delta" => self.arguments(index, Said::More(text("delta")), out),
            "function_call_arguments.done" => {
                self.call(index, event, out);
                self.arguments(index, Said::Whole(text("arguments")), out);
            }
            "output_text.delta" => self.text(part, Said::More(text("delta")), event.get("logprobs"), out),
            "output_text.done" => self.text(part, Said::Whole(text("text")), None, out),
            "output_text.annotation.added" => self.citation(part, event.get("annotation"), out),
            "refusal.delta" => self.refusal(part, Said::More(text("delta")), out),
            "refusal.done" => self.refusal(part, Said::Whole(text("refusal")), out),
            "reasoning_text.delta" => self.thinking(part, Said::More(text("delta")), out),
            "reasoning_text.done" => self.thinking(part, Said::Whole(text("text")), out),
            "reasoning_summary_text.delta" => self.thinking(summary, Said::More(text("delta")), out),
            "reasoning_summary_text.done" => self.thinking(summary, Said::Whole(text("text")), out),
            _ => {}
        }
    }

    fn arguments(&mut self, index: u64, said: Said<'_>, out: &mut Vec<Event>) {
        let Some(state) = self.items.get_mut(&index).filter(|state| !state.is_done) else { return };
        match &mut state.call {
            Call::None => {}
            Call::Open(bytes) => self.blocks.arguments(CHOICE, index, said.rest(bytes), out),
            Call::Answer(bytes) => {
                let rest = said.rest(bytes);
                self.turn_to(Part { item: index, part: 0 }, out);
                self.blocks.text(CHOICE, rest, Vec::new(), out);
            }
        }
    }

    fn text(&mut self, part: Part, said: Said<'_>, logprobs: Option<&Value>, out: &mut Vec<Event>) {
        let Some(rest) = self.rest(part, said) else { return };
        self.turn_to(part, out);
        self.blocks.text(CHOICE, rest, response::logprobs(logprobs), out);
    }

    fn refusal(&mut self, part: Part, said: Said<'_>, out: &mut Vec<Event>) {
        let Some(rest) = self.rest(part, said) else { return };
        self.has_refusal = true;
        self.turn_to(part, out);
        self.blocks.refusal(CHOICE, rest, out);
    }

    /// One item is one block, whatever the number of its parts: a blank line stands between them.
    fn thinking(&mut self, part: Part, said: Said<'_>, out: &mut Vec<Event>) {
        let is_summary = part.part >= SUMMARY;
        let state = self.items.entry(part.item).or_default();
        if *state.is_summary.get_or_insert(is_summary) != is_summary {
            return;
        }
        let is_first_piece = !state.parts.contains_key(&part.part);
        let has_others = !state.parts.is_empty();
        let Some(rest) = self.rest(part, said) else { return };
        self.turn_to(Part { item: part.item, part: 0 }, out);
        if is_first_piece && has_others {
            self.blocks.thinking(CHOICE, "\n\n", out);
        }
        self.blocks.thinking(CHOICE, rest, out);
    }

    /// What of a part was not told yet; `None` when it was told, or its item is done.
    fn rest<'t>(&mut self, part: Part, said: Said<'t>) -> Option<&'t str> {
        let state = self.items.entry(part.item).or_default();
        if state.is_done || said.is_empty() {
            return None;
        }
        let rest = said.rest(state.parts.entry(part.part).or_default());
        (!rest.is_empty()).then_some(rest)
    }

    /// Another part of the answer is another block.
    fn turn_to(&mut self, part: Part, out: &mut Vec<Event>) {
        if self.current.replace(part).is_some_and(|current| current != part) {
            self.blocks.close(CHOICE, out);
        }
    }

    fn citation(&mut self, part: Part, citation: Option<&Value>, out: &mut Vec<Event>) {
        let (Some(citation), true) = (citation, self.current == Some(part)) else { return };
        let state = self.items.entry(part.item).or_default();
        *state.citations.entry(part.part).or_default() += 1;
        self.blocks.citation(CHOICE, citation.clone(), out);
    }

    /// An item is whole: tells what of it did not come in pieces.
    fn done(&mut self, index: u64, item: &Value, out: &mut Vec<Event>) {
        if self.items.entry(index).or_default().is_done {
            return;
        }
        match item.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message" => self.message_done(index, item, out),
            "reasoning" => self.reasoning_done(index, item, out),
            "function_call" => {
                self.call(index, item, out);
                let arguments = item.get("arguments").and_then(Value::as_str).unwrap_or_default();
                self.arguments(index, Said::Whole(arguments), out);
                self.blocks.call_stop(CHOICE, index, out);
            }
            _ => self.whole(item, out),
        }
        self.items.entry(index).or_default().is_done = true;
        if self.current.take_if(|current| current.item == index).is_some() {
            self.blocks.close(CHOICE, out);
        }
    }

    fn message_done(&mut self, index: u64, item: &Value, out: &mut Vec<Event>) {
        let content = item.get("content").and_then(Value::as_array);
        for (number, content) in (0..).zip(content.into_iter().flatten()) {
            let part = Part { item: index, part: number };
            let text = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default();
            match content.get("type").and_then(Value::as_str) {
                Some("output_text" | "text") => {
                    self.text(part, Said::Whole(text("text")), content.get("logprobs"), out);
                    let told = self.items.get(&index).and_then(|item| item.citations.get(&number)).copied().unwrap_or(0);
                    let citations = content.get("annotations").and_then(Value::as_array);
                    for citation in citations.into_iter().flatten().skip(told) {
                        self.citation(part, Some(citation), out);
                    }
                }
                Some("refusal") => self.refusal(part, Said::Whole(text("refusal")), out),
                _ => {}
            }
        }
    }

    fn reasoning_done(&mut self, index: u64, item: &Value, out: &mut Vec<Event>) {
        for (name, first) in [("content", 0), ("summary", SUMMARY)] {
            let parts = item.get(name).and_then(Value::as_array);
            for (number, part) in (first..).zip(parts.into_iter().flatten()) {
                let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                self.thinking(Part { item: index, part: number }, Said::Whole(text), out);
            }
        }
        let Some(signature) = response::signature(item, &self.reading) else { return };
        if self.current == Some(Part { item: index, part: 0 }) {
            self.blocks.sign(CHOICE, signature, out);
        } else {
            self.blocks.whole(CHOICE, BlockStart::Redacted(signature), out);
        }
        self.current = None;
    }

    /// An item that says nothing in pieces, or in pieces that are no use until all are there.
    fn whole(&mut self, item: &Value, out: &mut Vec<Event>) {
        for piece in response::pieces(item, &mut self.reading) {
            self.current = None;
            match piece {
                Piece::Block(block @ Block::Media { .. }) => self.blocks.whole(CHOICE, BlockStart::Media(Box::new(block)), out),
                Piece::Block(Block::ToolCall { id, name, arguments, .. }) => self.whole_call(id, name, arguments, out),
                Piece::Block(_) | Piece::Answer(_) => {}
            }
        }
    }

    fn whole_call(&mut self, id: String, name: String, arguments: Arguments, out: &mut Vec<Event>) {
        const KEY: u64 = u64::MAX;
        self.blocks.call(CHOICE, KEY, BlockStart::ToolCall { id, name, whole: Some(arguments) }, out);
        self.blocks.call_stop(CHOICE, KEY, out);
    }

    fn complete(&mut self, event: &Value, out: &mut Vec<Event>) {
        self.start(event, out);
        let answer = event.get("response").unwrap_or(&Value::Null);
        let output = answer.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if self.items.values().filter(|item| item.is_done).count() < output.len() {
            self.fill_in(output, out);
        }
        self.blocks.close(CHOICE, out);
        if let Some(usage) = usage::read(answer.get("usage")) {
            self.blocks.usage(usage, out);
        }
        let is_cut = event.get("type").and_then(Value::as_str) == Some("response.incomplete");
        let finish = match finish::read(answer, self.has_refusal) {
            Finish::Stop if is_cut => Finish::Other("incomplete".to_owned()),
            finish => finish,
        };
        self.blocks.finish(CHOICE, finish, None, out);
        self.blocks.end(out);
    }

    /// Items of the whole answer that did not come before.
    fn fill_in(&mut self, output: &[Value], out: &mut Vec<Event>) {
        let done: BTreeSet<u64> = self.items.iter().filter(|(_, item)| item.is_done).map(|(index, _)| *index).collect();
        for (number, item) in (0..).zip(output) {
            let id = item.get("id").and_then(Value::as_str);
            let index = id.and_then(|id| self.indices.get(id).copied()).unwrap_or(number);
            if !done.contains(&index) {
                self.done(index, item, out);
            }
        }
    }

    fn failed(&mut self, event: &Value, out: &mut Vec<Event>) {
        self.start(event, out);
        let answer = event.get("response").unwrap_or(&Value::Null);
        if let Some(usage) = usage::read(answer.get("usage")) {
            self.blocks.usage(usage, out);
        }
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(error) => {
                let raw = serde_json::json!({"error": error}).to_string();
                self.fail(Some(raw.as_bytes()), "", out);
            }
            None => self.fail(None, "the upstream failed and did not say why", out),
        }
    }
}
