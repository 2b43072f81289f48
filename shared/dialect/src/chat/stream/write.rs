//! A stream, for a caller (conversions.md §11.2).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use crate::arguments;
use crate::chat::shown::{self, Shown, shown};
use crate::chat::{citations, details, finish, logprobs, usage};
use crate::codec::Asked;
use crate::error::UpstreamError;
use crate::ir::{Block, BlockStart, Event, Signature, StreamError, TokenLogprob};

const FAILED: &str = "the upstream failed";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Turns the events of the IR into those of a Chat stream.
#[derive(Debug, Clone)]
pub struct Writer {
    asked: Asked,
    id: String,
    created: i64,
    choices: BTreeMap<u32, Choice>,
    /// The announcement of a call, until it is known whether a signature belongs to it.
    held: Option<Held>,
    usage: Option<Usage>,
    is_over: bool,
}

#[derive(Debug, Clone)]
struct Held {
    choice: u32,
    block: u32,
    call: Map<String, Value>,
}

#[derive(Debug, Clone, Default)]
struct Choice {
    has_role: bool,
    has_refusal: bool,
    /// Block → call.
    calls: BTreeMap<u32, Call>,
    next_call: u32,
    /// The readable reasoning of the open block, for its signature.
    thinking: String,
    next_detail: usize,
    is_tag_open: bool,
    /// Characters of content so far, and how many there were when the open text began.
    sent_chars: usize,
    text_began: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Call {
    index: u32,
    has_arguments: bool,
}

impl Writer {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        let created = asked.created;
        Self { asked, id: String::new(), created, choices: BTreeMap::new(), held: None, usage: None, is_over: false }
    }

    /// Writes what an event says, as complete SSE events. Some say nothing here.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.is_over || self.takes_signature(event) {
            return;
        }
        self.release(out);
        match event {
            Event::Start { id, created, .. } => {
                self.id = shown::answer_id(id, &mut self.asked);
                self.created = created.unwrap_or(self.asked.created);
            }
            Event::BlockStart { choice, block, start } => self.begin(*choice, *block, start, out),
            Event::Text { choice, text, logprobs, .. } => self.content(*choice, text, logprobs, out),
            Event::Thinking { choice, text, .. } => self.think(*choice, text, out),
            Event::Arguments { choice, block, json } => self.arguments(*choice, *block, json, out),
            Event::Refusal { choice, text, .. } => self.delta(*choice, &json!({"refusal": text}), out),
            Event::Signed { choice, block, signature } => self.sign(*choice, *block, signature, out),
            Event::Citation { choice, citation, .. } => {
                let began = self.choices.get(choice).and_then(|choice| choice.text_began).unwrap_or(0);
                self.delta(*choice, &json!({"annotations": [citations::write(citation, began)]}), out);
            }
            Event::BlockStop { choice, block } => self.stop(*choice, *block, out),
            Event::Finish { choice, finish, .. } => {
                self.close_tag(*choice, out);
                self.role(*choice, &"".into(), out);
                let has_refusal = self.choices.get(choice).is_some_and(|choice| choice.has_refusal);
                self.chunk(*choice, &json!({}), &Value::Null, Some(finish::write(finish, has_refusal)), out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
        }
    }

    fn begin(&mut self, choice: u32, block: u32, start: &BlockStart, out: &mut BytesMut) {
        let is_reasoning = matches!(start, BlockStart::Thinking | BlockStart::Redacted(_));
        if !is_reasoning {
            self.close_tag(choice, out);
        }
        if !is_reasoning || self.asked.shows_reasoning {
            let content = if matches!(start, BlockStart::ToolCall { .. }) { Value::Null } else { "".into() };
            self.role(choice, &content, out);
        }
        let state = self.choices.entry(choice).or_default();
        state.thinking.clear();
        state.text_began = (*start == BlockStart::Text).then_some(state.sent_chars);
        match start {
            BlockStart::Text | BlockStart::Thinking => {}
            BlockStart::Refusal => state.has_refusal = true,
            BlockStart::Redacted(signature) => {
                if self.asked.shows_reasoning && !self.asked.thinking_to_content {
                    let sealed = self.asked.sealer.seal(signature);
                    let entry = details::encrypted_entry(&sealed, signature.family, state.next_detail);
                    state.next_detail += 1;
                    self.delta(choice, &json!({"reasoning_details": [entry]}), out);
                }
            }
            BlockStart::ToolCall { id, name, whole } => {
                let index = state.next_call;
                state.next_call += 1;
                state.calls.insert(block, Call { index, has_arguments: whole.is_some() });
                let written = whole.as_ref().map(arguments::text).unwrap_or_default();
                let call =
                    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": written}});
                self.held = call.as_object().cloned().map(|call| Held { choice, block, call });
            }
            BlockStart::Media(medium) => self.medium(choice, medium, out),
        }
    }

    fn medium(&mut self, choice: u32, medium: &Block, out: &mut BytesMut) {
        match shown(medium, &mut self.asked) {
            Some(Shown::Image { entry, url }) => {
                self.delta(choice, &json!({"images": [entry]}), out);
                if self.asked.media_to_markdown {
                    self.content(choice, &shown::markdown(&url), &[], out);
                }
            }
            Some(Shown::Audio(audio)) => self.delta(choice, &json!({"audio": audio}), out),
            None => {}
        }
    }

    fn content(&mut self, choice: u32, text: &str, probabilities: &[TokenLogprob], out: &mut BytesMut) {
        if let Some(state) = self.choices.get_mut(&choice) {
            state.sent_chars += text.chars().count();
        }
        self.chunk(choice, &json!({"content": text}), &logprobs::write(probabilities), None, out);
    }

    fn think(&mut self, choice: u32, text: &str, out: &mut BytesMut) {
        if !self.asked.shows_reasoning {
            return;
        }
        let state = self.choices.entry(choice).or_default();
        if !self.asked.thinking_to_content {
            state.thinking.push_str(text);
            return self.delta(choice, &json!({"reasoning_content": text}), out);
        }
        if std::mem::replace(&mut state.is_tag_open, true) {
            self.content(choice, text, &[], out);
        } else {
            self.content(choice, &format!("<think>\n{text}"), &[], out);
        }
    }

    fn close_tag(&mut self, choice: u32, out: &mut BytesMut) {
        if self.choices.get_mut(&choice).is_some_and(|state| std::mem::take(&mut state.is_tag_open)) {
            self.content(choice, "\n</think>\n\n", &[], out);
        }
    }

    fn arguments(&mut self, choice: u32, block: u32, fragment: &str, out: &mut BytesMut) {
        let call = self.choices.get_mut(&choice).and_then(|state| state.calls.get_mut(&block));
        let Some(call) = call else { return };
        call.has_arguments = true;
        let call = json!({"index": call.index, "function": {"arguments": fragment}});
        self.delta(choice, &json!({"tool_calls": [call]}), out);
    }

    fn stop(&mut self, choice: u32, block: u32, out: &mut BytesMut) {
        let call = self.choices.get(&choice).and_then(|state| state.calls.get(&block));
        if call.is_some_and(|call| !call.has_arguments) {
            self.arguments(choice, block, "{}", out);
        }
    }

    /// A signature that follows its call at once goes into the announcement.
    fn takes_signature(&mut self, event: &Event) -> bool {
        let (Some(held), Event::Signed { choice, block, signature }) = (&mut self.held, event) else { return false };
        if (held.choice, held.block) != (*choice, *block) || held.call.contains_key("extra_content") {
            return false;
        }
        held.call.insert("extra_content".to_owned(), details::google(&self.asked.sealer.seal(signature)));
        true
    }

    fn release(&mut self, out: &mut BytesMut) {
        if let Some(Held { choice, call, .. }) = self.held.take() {
            self.delta(choice, &json!({"tool_calls": [call]}), out);
        }
    }

    /// With a reasoning's signature comes all of its text once more: whoever keeps the entry has what has to come back.
    fn sign(&mut self, choice: u32, block: u32, signature: &Signature, out: &mut BytesMut) {
        let sealed = self.asked.sealer.seal(signature);
        let state = self.choices.entry(choice).or_default();
        if let Some(call) = state.calls.get(&block) {
            let call = json!({"index": call.index, "extra_content": details::google(&sealed)});
            return self.delta(choice, &json!({"tool_calls": [call]}), out);
        }
        if state.text_began.is_some() {
            return self.delta(choice, &json!({"extra_content": details::google(&sealed)}), out);
        }
        if state.thinking.is_empty() {
            // what is not shown is not proven
            return;
        }
        let thinking = std::mem::take(&mut state.thinking);
        let entry = details::text_entry(&thinking, &sealed, signature.family, state.next_detail);
        state.next_detail += 1;
        self.delta(choice, &json!({"reasoning_details": [entry]}), out);
    }

    fn role(&mut self, choice: u32, content: &Value, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.choices.entry(choice).or_default().has_role, true) {
            self.delta(choice, &json!({"role": "assistant", "content": content}), out);
        }
    }

    fn delta(&mut self, choice: u32, delta: &Value, out: &mut BytesMut) {
        self.chunk(choice, delta, &Value::Null, None, out);
    }

    fn chunk(&mut self, choice: u32, delta: &Value, logprobs: &Value, finish: Option<&str>, out: &mut BytesMut) {
        let choice = json!({"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        let mut chunk = self.head(vec![choice]);
        if self.asked.include_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        put(&Value::Object(chunk), out);
    }

    fn head(&mut self, choices: Vec<Value>) -> Map<String, Value> {
        if self.id.is_empty() {
            self.id = self.asked.ids.make("chatcmpl-");
        }
        Map::from_iter([
            ("id".to_owned(), self.id.as_str().into()),
            ("object".to_owned(), "chat.completion.chunk".into()),
            ("created".to_owned(), self.created.into()),
            ("model".to_owned(), self.asked.model.as_str().into()),
            ("choices".to_owned(), choices.into()),
        ])
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.asked.include_usage) {
            self.tell_usage(&usage, out);
        }
        out.put_slice(DONE);
        self.is_over = true;
    }

    fn tell_usage(&mut self, usage: &Usage, out: &mut BytesMut) {
        let mut chunk = self.head(Vec::new());
        chunk.insert("usage".to_owned(), usage::write(usage));
        put(&Value::Object(chunk), out);
    }

    /// The end of a stream, as it was written, with a usage that its upstream did not report.
    #[must_use]
    pub fn end_with(&self, usage: &Usage, last: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(last.len() + 512);
        let end = last.strip_suffix(DONE);
        out.put_slice(end.unwrap_or(last));
        if let (Some(_), true) = (end, self.asked.include_usage) {
            self.clone().tell_usage(usage, &mut out);
            out.put_slice(DONE);
        }
        out.freeze()
    }

    fn fail(&mut self, error: &StreamError, out: &mut BytesMut) {
        let upstream = error.raw.as_ref().map(|raw| UpstreamError::read(200, raw, &[]));
        let message = upstream.map_or_else(|| FAILED.to_owned(), |upstream| upstream.message);
        let error = json!({"message": message, "type": "upstream_error", "param": null, "code": null});
        put(&json!({"error": error}), out);
        self.is_over = true;
    }
}

fn put(value: &Value, out: &mut BytesMut) {
    out.put_slice(b"data: ");
    out.put_slice(value.to_string().as_bytes());
    out.put_slice(b"\n\n");
}
