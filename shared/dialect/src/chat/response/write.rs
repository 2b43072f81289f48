//! A whole answer, for a caller.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::arguments;
use crate::chat::shown::{self, Shown, shown};
use crate::chat::{citations, details, finish, logprobs, usage};
use crate::codec::Asked;
use crate::ir::{Block, Choice, Response};

/// OpenAI's own words for how urgently an answer was made.
const TIERS: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];

/// Writes the body of a `chat.completion`.
pub fn write(response: &Response, asked: &mut Asked) -> Bytes {
    let mut body = Map::new();
    body.insert("id".to_owned(), shown::answer_id(&response.id, asked).into());
    body.insert("object".to_owned(), "chat.completion".into());
    body.insert("created".to_owned(), response.created.unwrap_or(asked.created).into());
    body.insert("model".to_owned(), asked.model.as_str().into());
    let choices: Vec<Value> = response.choices.iter().map(|choice| written(choice, asked)).collect();
    body.insert("choices".to_owned(), choices.into());
    if let Some(usage) = &response.usage {
        body.insert("usage".to_owned(), usage::write(usage));
    }
    if let Some(tier) = response.service_tier.as_deref().filter(|tier| TIERS.contains(tier)) {
        body.insert("service_tier".to_owned(), tier.into());
    }
    serde_json::to_vec(&body).map_or(Bytes::from_static(b"{}"), Bytes::from)
}

fn written(choice: &Choice, asked: &mut Asked) -> Value {
    let mut message = Message::default();
    for block in &choice.blocks {
        message.add(block, asked);
    }
    message.close_tag();
    let has_refusal = message.refusal.is_some();
    let word = choice
        .finish
        .as_ref()
        .map_or(if message.calls.is_empty() { "stop" } else { "tool_calls" }, |finish| finish::write(finish, has_refusal));
    json!({
        "index": choice.index,
        "message": message.written(),
        "logprobs": logprobs::write(&choice.logprobs),
        "finish_reason": word,
    })
}

#[derive(Default)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    thinking: Option<String>,
    details: Vec<Value>,
    /// Some of the details prove something: without that they say nothing that the reasoning does not.
    has_proof: bool,
    annotations: Vec<Value>,
    images: Vec<Value>,
    audio: Option<Value>,
    calls: Vec<Value>,
    signature: Option<String>,
    is_tag_open: bool,
}

impl Message {
    fn add(&mut self, block: &Block, asked: &mut Asked) {
        if !matches!(block, Block::Thinking { .. } | Block::Redacted { .. }) {
            self.close_tag();
        }
        match block {
            Block::Text { text, citations: cited, signature, .. } => {
                let content = self.content.get_or_insert_default();
                let offset = if cited.is_empty() { 0 } else { content.chars().count() };
                content.push_str(text);
                self.annotations.extend(cited.iter().map(|citation| citations::write(citation, offset)));
                self.signature = signature.as_ref().map(|own| asked.sealer.seal(own)).or(self.signature.take());
            }
            Block::Refusal { text } => self.refusal.get_or_insert_default().push_str(text),
            Block::Thinking { .. } | Block::Redacted { .. } if asked.shows_reasoning => self.think(block, asked),
            Block::ToolCall { id, name, arguments, signature, .. } => {
                let function = json!({"name": name, "arguments": arguments::text(arguments)});
                let mut call = json!({"id": id, "type": "function", "function": function});
                if let (Some(own), Some(call)) = (signature, call.as_object_mut()) {
                    call.insert("extra_content".to_owned(), details::google(&asked.sealer.seal(own)));
                }
                self.calls.push(call);
            }
            Block::Media { .. } => match shown(block, asked) {
                Some(Shown::Image { entry, url }) => {
                    self.images.push(entry);
                    if asked.media_to_markdown {
                        self.content.get_or_insert_default().push_str(&shown::markdown(&url));
                    }
                }
                Some(Shown::Audio(audio)) => self.audio = Some(audio),
                None => {}
            },
            Block::Thinking { .. } | Block::Redacted { .. } | Block::ToolResult { .. } | Block::Native { .. } => {}
        }
    }

    fn think(&mut self, block: &Block, asked: &Asked) {
        match block {
            Block::Thinking { text, .. } if asked.thinking_to_content => self.think_aloud(text),
            Block::Thinking { text, signature } => {
                self.thinking.get_or_insert_default().push_str(text);
                self.has_proof |= signature.is_some();
                let index = self.details.len();
                self.details.push(match signature {
                    Some(own) => details::text_entry(text, &asked.sealer.seal(own), own.family, index),
                    None => json!({"type": "reasoning.text", "text": text, "index": index}),
                });
            }
            Block::Redacted { signature } if !asked.thinking_to_content => {
                self.has_proof = true;
                let sealed = asked.sealer.seal(signature);
                self.details.push(details::encrypted_entry(&sealed, signature.family, self.details.len()));
            }
            _ => {}
        }
    }

    fn think_aloud(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let content = self.content.get_or_insert_default();
        if !std::mem::replace(&mut self.is_tag_open, true) {
            content.push_str("<think>\n");
        }
        content.push_str(text);
    }

    fn close_tag(&mut self) {
        if std::mem::take(&mut self.is_tag_open)
            && let Some(content) = &mut self.content
        {
            content.push_str("\n</think>\n\n");
        }
    }

    /// The content is null beside calls, speech or a refusal, and otherwise a string, if an empty one.
    fn written(self) -> Value {
        let mut message = Map::new();
        message.insert("role".to_owned(), "assistant".into());
        let may_be_null = !self.calls.is_empty() || self.refusal.is_some() || self.audio.is_some();
        let content = self.content.map_or_else(|| if may_be_null { Value::Null } else { "".into() }, Value::from);
        message.insert("content".to_owned(), content);
        message.insert("refusal".to_owned(), self.refusal.map_or(Value::Null, Value::from));
        let details = if self.has_proof { self.details } else { Vec::new() };
        for (name, list) in [
            ("reasoning_details", details),
            ("annotations", self.annotations),
            ("images", self.images),
            ("tool_calls", self.calls),
        ] {
            if !list.is_empty() {
                message.insert(name.to_owned(), list.into());
            }
        }
        for (name, value) in [
            ("reasoning_content", self.thinking.filter(|text| !text.is_empty()).map(Value::from)),
            ("audio", self.audio),
            ("extra_content", self.signature.map(|sealed| details::google(&sealed))),
        ] {
            if let Some(value) = value {
                message.insert(name.to_owned(), value);
            }
        }
        Value::Object(message)
    }
}
