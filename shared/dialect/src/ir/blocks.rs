//! Puts what a provider streams into the order that [`Event`](super::Event) promises, whatever order it comes in.
//!
//! Readers say what they see: some text, a fragment of that call, the end. This numbers blocks, begins them with their first piece, ends them
//! when another kind begins, and sees to one start, one finish for each choice and one end.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_domain::Usage;

use super::{Block, BlockStart, Event, Finish, Signature, StreamError, TokenLogprob};

/// The state of one stream.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    has_started: bool,
    has_ended: bool,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Debug, Clone, Default)]
struct Choice {
    next_block: u32,
    /// The open block that is no call.
    open: Option<(u32, Kind)>,
    /// Open calls: the provider's key → block.
    calls: BTreeMap<u64, u32>,
    has_calls: bool,
    has_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
}

/// Choices that are told apart; what comes of later ones is left out.
const MAX_CHOICES: usize = 128;

impl Blocks {
    /// The answer begins. Later calls say nothing.
    pub fn start(&mut self, id: &str, model: &str, created: Option<i64>, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_started, true) {
            out.push(Event::Start { id: id.to_owned(), model: model.to_owned(), created });
        }
    }

    /// Whether the answer has begun.
    #[must_use]
    pub const fn has_started(&self) -> bool {
        self.has_started
    }

    /// Whether the answer is over.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether a choice has ended.
    #[must_use]
    pub fn has_finished(&self, choice: u32) -> bool {
        self.choices.get(&choice).is_some_and(|choice| choice.has_finished)
    }

    /// Whether every choice that began has ended, and at least one did.
    #[must_use]
    pub fn have_all_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|choice| choice.has_finished)
    }

    /// Whether a choice has called a tool.
    #[must_use]
    pub fn has_calls(&self, choice: u32) -> bool {
        self.choices.get(&choice).is_some_and(|choice| choice.has_calls)
    }

    /// More text. Empty text says nothing.
    pub fn text(&mut self, choice: u32, text: &str, logprobs: Vec<TokenLogprob>, out: &mut Vec<Event>) {
        if let Some(block) = self.piece(choice, text, Kind::Text, out) {
            out.push(Event::Text { choice, block, text: text.to_owned(), logprobs });
        }
    }

    /// More reasoning.
    pub fn thinking(&mut self, choice: u32, text: &str, out: &mut Vec<Event>) {
        if let Some(block) = self.piece(choice, text, Kind::Thinking, out) {
            out.push(Event::Thinking { choice, block, text: text.to_owned() });
        }
    }

    /// More of a refusal.
    pub fn refusal(&mut self, choice: u32, text: &str, out: &mut Vec<Event>) {
        if let Some(block) = self.piece(choice, text, Kind::Refusal, out) {
            out.push(Event::Refusal { choice, block, text: text.to_owned() });
        }
    }

    /// A call begins under a key of the provider's. One that is open already says nothing.
    pub fn call(&mut self, choice: u32, key: u64, start: BlockStart, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if state.calls.contains_key(&key) {
            return;
        }
        state.close_open(choice, out);
        let block = state.begin(choice, start, out);
        state.has_calls = true;
        state.calls.insert(key, block);
    }

    /// More of the arguments of an open call.
    pub fn arguments(&mut self, choice: u32, key: u64, json: &str, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if let Some(block) = state.calls.get(&key).copied().filter(|_| !json.is_empty()) {
            out.push(Event::Arguments { choice, block, json: json.to_owned() });
        }
    }

    /// A call is whole.
    pub fn call_stop(&mut self, choice: u32, key: u64, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if let Some(block) = state.calls.remove(&key) {
            out.push(Event::BlockStop { choice, block });
        }
    }

    /// A block that comes whole: media, or reasoning that cannot be read.
    pub fn whole(&mut self, choice: u32, start: BlockStart, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        state.close(choice, out);
        let block = state.begin(choice, start, out);
        out.push(Event::BlockStop { choice, block });
    }

    /// The signature of an open call.
    pub fn sign_call(&mut self, choice: u32, key: u64, signature: Signature, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if let Some(block) = state.calls.get(&key).copied() {
            out.push(Event::Signed { choice, block, signature });
        }
    }

    /// The signature of the open block of reasoning or text, which ends with it. Where none is open, it stands for reasoning that cannot be read.
    pub fn sign(&mut self, choice: u32, signature: Signature, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        match state.open {
            Some((block, _)) => {
                out.push(Event::Signed { choice, block, signature });
                state.close_open(choice, out);
            }
            None => self.whole(choice, BlockStart::Redacted(signature), out),
        }
    }

    /// A citation of the open text; without one it is left out.
    pub fn citation(&mut self, choice: u32, citation: Value, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if let Some((block, Kind::Text)) = state.open {
            out.push(Event::Citation { choice, block, citation });
        }
    }

    /// The open block that is no call ends: what follows of the same kind is another one.
    pub fn close(&mut self, choice: u32, out: &mut Vec<Event>) {
        if let Some(state) = self.choice(choice, out) {
            state.close_open(choice, out);
        }
    }

    /// A choice ends. A stop after calls is for the calls. Later calls say nothing.
    pub fn finish(&mut self, choice: u32, finish: Finish, stop_sequence: Option<String>, out: &mut Vec<Event>) {
        let Some(state) = self.choice(choice, out) else { return };
        if state.has_finished {
            return;
        }
        state.close(choice, out);
        state.has_finished = true;
        let finish = finish.with_calls(state.has_calls);
        out.push(Event::Finish { choice, finish, stop_sequence });
    }

    /// What was consumed so far.
    pub fn usage(&mut self, usage: Usage, out: &mut Vec<Event>) {
        if !self.has_ended {
            self.start("", "", None, out);
            out.push(Event::Usage(usage));
        }
    }

    /// The answer is whole. Later calls say nothing.
    pub fn end(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_ended, true) {
            out.push(Event::End);
        }
    }

    /// The stream failed.
    pub fn fail(&mut self, error: StreamError, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_ended, true) {
            out.push(Event::Error(error));
        }
    }

    fn piece(&mut self, choice: u32, text: &str, kind: Kind, out: &mut Vec<Event>) -> Option<u32> {
        if text.is_empty() {
            return None;
        }
        let state = self.choice(choice, out)?;
        if let Some((block, _)) = state.open.filter(|(_, open)| *open == kind) {
            return Some(block);
        }
        state.close(choice, out);
        let start = match kind {
            Kind::Text => BlockStart::Text,
            Kind::Thinking => BlockStart::Thinking,
            Kind::Refusal => BlockStart::Refusal,
        };
        let block = state.begin(choice, start, out);
        state.open = Some((block, kind));
        Some(block)
    }

    /// A choice that can still say something.
    fn choice(&mut self, choice: u32, out: &mut Vec<Event>) -> Option<&mut Choice> {
        if self.has_ended || (self.choices.len() >= MAX_CHOICES && !self.choices.contains_key(&choice)) {
            return None;
        }
        self.start("", "", None, out);
        let state = self.choices.entry(choice).or_default();
        (!state.has_finished).then_some(state)
    }
}

impl Choice {
    fn begin(&mut self, choice: u32, start: BlockStart, out: &mut Vec<Event>) -> u32 {
        let block = self.next_block;
        self.next_block += 1;
        out.push(Event::BlockStart { choice, block, start });
        block
    }

    /// Ends everything that is open.
    fn close(&mut self, choice: u32, out: &mut Vec<Event>) {
        self.close_open(choice, out);
        for block in std::mem::take(&mut self.calls).into_values() {
            out.push(Event::BlockStop { choice, block });
        }
    }

    /// Ends the open block that is no call.
    fn close_open(&mut self, choice: u32, out: &mut Vec<Event>) {
        if let Some((block, _)) = self.open.take() {
            out.push(Event::BlockStop { choice, block });
        }
    }
}

/// A block's start and pieces as one block: for media that come whole.
#[must_use]
pub fn media(block: Block) -> BlockStart {
    BlockStart::Media(Box::new(block))
}
