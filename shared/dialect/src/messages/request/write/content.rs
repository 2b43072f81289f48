//! The conversation for an upstream.

use serde_json::{Map, Value, json};

use super::{Parts, Writer};
use crate::call_id;
use crate::ir::{Arguments, Block, CacheMark, Role, Signature};
use crate::loss::{Field, Unsupported};
use crate::messages::{SILENT, cache_control, raw_arguments};
use sluice_domain::Dialect;

/// What a caller says where the dialect demands a turn of its and there is none. It never changes, so that prompt caches hold.
const NOTHING: &str = "…";

impl Writer<'_, '_> {
    /// Instructions and turns.
    pub(super) fn conversation(&mut self) -> Result<Parts, Unsupported> {
        let request = self.request;
        let mut parts = Parts { system: self.instructions(&request.system)?, ..Parts::default() };
        let mut midway = Vec::new();
        for turn in &request.turns {
            let (role, content) = match turn.role {
                Role::System if self.target.capabilities.system_midway && !parts.messages.is_empty() => {
                    ("system", self.instructions(&turn.blocks)?)
                }
                Role::System => {
                    midway.extend(self.instructions(&turn.blocks)?);
                    continue;
                }
                Role::User => ("user", self.blocks(&turn.blocks)?),
                Role::Assistant => ("assistant", self.blocks(&turn.blocks)?),
            };
            if !content.is_empty() {
                parts.messages.push(json!({"role": role, "content": content}));
            }
        }
        let midway: Vec<&str> = midway.iter().filter_map(|block| block.get("text")?.as_str()).collect();
        if !midway.is_empty() {
            parts.system.push(text(&midway.join("\n\n")));
        }
        self.prefill(&mut parts.messages)?;
        if !parts.messages.first().is_some_and(|first| has_role(first, "user")) {
            parts.messages.insert(0, json!({"role": "user", "content": [text(NOTHING)]}));
        }
        Ok(parts)
    }

    fn instructions(&mut self, blocks: &[Block]) -> Result<Vec<Value>, Unsupported> {
        let mut written = Vec::new();
        for block in blocks {
            match block {
                Block::Text { text, cache, .. } if !text.trim().is_empty() => written.push(marked(text_fields(text), *cache)),
                Block::Media { .. } => self.losses.reject_because(Field::Image, "cannot stand in instructions")?,
                _ => {}
            }
        }
        Ok(written)
    }

    /// A turn of the model's at the end is to be continued.
    fn prefill(&mut self, messages: &mut Vec<Value>) -> Result<(), Unsupported> {
        let Some(last) = messages.last_mut().filter(|last| has_role(last, "assistant")) else { return Ok(()) };
        if holds_call(last) {
            self.losses.reject_because(Field::Prefill, "must not end with calls of tools that have no result")?;
            messages.pop();
            return Ok(());
        }
        if !self.target.capabilities.prefill {
            self.losses.reject_because(Field::Prefill, "must not end with a message of the assistant for this model")?;
            messages.pop();
            return Ok(());
        }
        if let Some(Value::String(text)) = last.pointer_mut("/content").and_then(Value::as_array_mut).and_then(|content| {
            let block = content.last_mut()?;
            block.get_mut("text")
        }) {
            text.truncate(text.trim_end().len());
        }
        Ok(())
    }

    /// The blocks of a turn. Text of nothing but space is refused by the provider and left out.
    fn blocks(&mut self, blocks: &[Block]) -> Result<Vec<Value>, Unsupported> {
        let mut written = Vec::with_capacity(blocks.len());
        for block in blocks {
            match block {
                Block::Text { text, cache, .. } if !text.trim().is_empty() => written.push(marked(text_fields(text), *cache)),
                Block::Refusal { text } if !text.trim().is_empty() => written.push(marked(text_fields(text), None)),
                Block::Text { .. } | Block::Refusal { .. } => {}
                Block::Media { .. } => written.extend(self.media(block)?),
                Block::Thinking { text, signature } => match signature.as_ref().filter(|signature| self.is_theirs(signature)) {
                    Some(signature) => written.push(thinking(text, signature)),
                    None => self.losses.drop(Field::Reasoning)?,
                },
                Block::Redacted { signature } if !self.is_theirs(signature) => self.losses.drop(Field::Reasoning)?,
                Block::Redacted { signature } if signature.item.as_deref() == Some(SILENT) => {
                    written.push(thinking("", signature));
                }
                Block::Redacted { signature } => {
                    written.push(json!({"type": "redacted_thinking", "data": signature.value}));
                }
                Block::ToolCall { id, name, arguments, cache, .. } => written.push(self.call(id, name, arguments, *cache)),
                Block::ToolResult { id, content, is_error, cache, .. } => {
                    written.push(self.result(id, content, *is_error, *cache)?);
                }
                Block::Native { family, raw } if *family == self.target.family => written.push(raw.clone()),
                Block::Native { .. } => self.losses.drop(Field::NativePart)?,
            }
        }
        Ok(written)
    }

    fn call(&mut self, id: &str, name: &str, arguments: &Arguments, cache: Option<CacheMark>) -> Value {
        let input = match arguments {
            Arguments::Object(input) => Value::Object(input.clone()),
            Arguments::Raw(text) => raw_arguments(text),
        };
        let mut call = Map::new();
        call.insert("type".to_owned(), "tool_use".into());
        call.insert("id".to_owned(), call_id::for_upstream(id, Dialect::Anthropic).into());
        call.insert("name".to_owned(), self.names.for_upstream(name, Dialect::Anthropic).into());
        call.insert("input".to_owned(), input);
        marked(call, cache)
    }

    fn result(&mut self, id: &str, content: &[Block], is_error: bool, cache: Option<CacheMark>) -> Result<Value, Unsupported> {
        let mut shown = self.blocks(content)?;
        let mut result = Map::new();
        result.insert("type".to_owned(), "tool_result".into());
        result.insert("tool_use_id".to_owned(), call_id::for_upstream(id, Dialect::Anthropic).into());
        if is_error && shown.is_empty() {
            // The provider wants to hear about a failure.
            shown.push(text("Error"));
        }
        if !shown.is_empty() {
            result.insert("content".to_owned(), shown.into());
        }
        if is_error {
            result.insert("is_error".to_owned(), true.into());
        }
        Ok(marked(result, cache))
    }

    /// Whether state means something to the target: another family's, or another account's, does not.
    fn is_theirs(&self, signature: &Signature) -> bool {
        let is_of_account = signature.account.is_none() || signature.account == self.target.account;
        signature.family == self.target.family && is_of_account && !signature.value.is_empty()
    }
}

/// A block of text.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn text_fields(text: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), "text".into()), ("text".to_owned(), text.into())])
}

fn thinking(text: &str, signature: &Signature) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": signature.value})
}

/// A block with its mark of the prompt cache.
pub(super) fn marked(mut block: Map<String, Value>, mark: Option<CacheMark>) -> Value {
    block.extend(mark.map(|mark| ("cache_control".to_owned(), cache_control(mark))));
    Value::Object(block)
}

/// Whether a written message is of a role.
pub(super) fn has_role(message: &Value, role: &str) -> bool {
    message.get("role").is_some_and(|it| it == role)
}

/// The kinds of the blocks of a written message.
pub(super) fn kinds(message: &Value) -> impl Iterator<Item = &str> {
    let content = message.get("content").and_then(Value::as_array).into_iter().flatten();
    content.filter_map(|block| block.get("type")?.as_str())
}

/// Whether a written message calls a tool.
pub(super) fn holds_call(message: &Value) -> bool {
    kinds(message).any(|kind| kind == "tool_use")
}
