//! The conversation as messages (conversions.md §3).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use super::parts;
use crate::arguments;
use crate::call_id;
use crate::chat::details;
use crate::ir::{Block, Family, Request, Role, Signature, Turn};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;
use crate::tool_name::ToolNames;

/// What one writing knows.
struct Writer<'w, 'p> {
    target: &'w Target<'w>,
    names: &'w mut ToolNames,
    losses: &'w mut Losses<'p>,
    /// Call → tool, of the history so far.
    called: BTreeMap<&'w str, &'w str>,
    messages: Vec<Value>,
}

/// `instruction` is added to the request's own.
pub(super) fn write<'w>(
    request: &'w Request,
    target: &'w Target<'w>,
    instruction: Option<&str>,
    names: &'w mut ToolNames,
    losses: &'w mut Losses<'_>,
) -> Result<Vec<Value>, Unsupported> {
    let mut writer = Writer { target, names, losses, called: BTreeMap::new(), messages: Vec::new() };
    let texts = writer.texts(&request.system)?.into_iter().chain(instruction);
    let system: Vec<&str> = texts.collect();
    if !system.is_empty() {
        writer.messages.push(json!({"role": "system", "content": system.join("\n\n")}));
    }
    for turn in &request.turns {
        writer.turn(turn)?;
    }
    Ok(writer.messages)
}

impl<'w> Writer<'w, '_> {
    fn turn(&mut self, turn: &'w Turn) -> Result<(), Unsupported> {
        match turn.role {
            Role::System => {
                let texts = self.texts(&turn.blocks)?.join("\n\n");
                self.messages.push(json!({"role": "system", "content": texts}));
                Ok(())
            }
            Role::User => self.user(&turn.blocks),
            Role::Assistant => self.assistant(&turn.blocks),
        }
    }

    fn texts<'b>(&mut self, blocks: &'b [Block]) -> Result<Vec<&'b str>, Unsupported> {
        let mut texts = Vec::new();
        for block in blocks {
            self.marks(block)?;
            if let Block::Text { text, .. } = block {
                texts.push(text.as_str());
            }
        }
        Ok(texts)
    }

    /// There is no place for marks of the prompt cache.
    fn marks(&mut self, block: &Block) -> Result<(), Unsupported> {
        let (Block::Text { cache, .. }
        | Block::Media { cache, .. }
        | Block::ToolCall { cache, .. }
        | Block::ToolResult { cache, .. }) = block
        else {
            return Ok(());
        };
        if cache.is_some() { self.losses.drop(Field::CacheMarks) } else { Ok(()) }
    }

    /// Results first, each a message; then what else was said, led by what results held beside text.
    fn user(&mut self, blocks: &'w [Block]) -> Result<(), Unsupported> {
        let mut said = Vec::new();
        for block in blocks {
            self.marks(block)?;
            if let Block::ToolResult { id, name, content, is_error, .. } = block {
                let name = name.as_deref().or_else(|| self.called.get(id.as_str()).copied()).unwrap_or("call");
                self.result(id, name, content, *is_error, &mut said)?;
            }
        }
        for block in blocks {
            said.extend(parts::part(block, self.target, self.losses)?);
        }
        if !said.is_empty() {
            self.messages.push(json!({"role": "user", "content": parts::content(said)}));
        }
        Ok(())
    }

    /// Text is all a result may hold: media are handed to `said`, for the message behind the group of results.
    fn result(
        &mut self,
        id: &str,
        name: &str,
        content: &[Block],
        is_error: bool,
        said: &mut Vec<Value>,
    ) -> Result<(), Unsupported> {
        let mut texts: Vec<Value> = Vec::new();
        let mut places = Vec::new();
        for block in content {
            self.marks(block)?;
            let Some(part) = parts::part(block, self.target, self.losses)? else { continue };
            match block {
                Block::Media { kind, .. } if part["type"] != "text" => {
                    let place = format!("[{} from tool {name}]", parts::named(*kind).0);
                    said.push(parts::text(&place));
                    said.push(part);
                    places.push(place);
                }
                _ => texts.push(part),
            }
        }
        if texts.is_empty() {
            texts.push(parts::text(&places.join("\n")));
        }
        if is_error && let Some(first) = texts.first_mut() {
            let text = first["text"].as_str().unwrap_or_default();
            if !text.starts_with("Error: ") {
                *first = parts::text(&format!("Error: {text}"));
            }
        }
        let id = call_id::for_upstream(id, Dialect::OpenAi);
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": parts::content(texts)}));
        Ok(())
    }

    fn assistant(&mut self, blocks: &'w [Block]) -> Result<(), Unsupported> {
        let mut spoken = Spoken::default();
        for block in blocks {
            self.marks(block)?;
            match block {
                Block::Text { text, signature, .. } => {
                    spoken.text.get_or_insert_default().push_str(text);
                    spoken.signature = self.own(signature.as_ref()).or(spoken.signature);
                }
                Block::Refusal { text } if self.target.family == Family::OpenAi => {
                    spoken.refusal.get_or_insert_default().push_str(text);
                }
                Block::Refusal { text } => spoken.text.get_or_insert_default().push_str(text),
                Block::Thinking { text, signature } => self.thinking(text, signature.as_ref(), &mut spoken)?,
                Block::Redacted { signature } => match self.own(Some(signature)) {
                    Some(own) => {
                        let entry = details::encrypted_entry(&own.value, own.family, spoken.details.len());
                        spoken.details.push(details::with_item(entry, own));
                    }
                    None => self.losses.drop(Field::Reasoning)?,
                },
                Block::ToolCall { id, name, .. } => {
                    self.called.insert(id, name);
                    let call = self.call(block);
                    spoken.calls.extend(call);
                }
                Block::Media { kind, .. } => self.losses.drop(parts::named(*kind).1)?,
                Block::Native { .. } => self.losses.drop(Field::NativePart)?,
                Block::ToolResult { .. } => {}
            }
        }
        self.messages.push(spoken.message());
        Ok(())
    }

    /// OpenAI takes no reasoning back in this dialect; many others want it, some with what proves it.
    fn thinking(&mut self, text: &str, signature: Option<&Signature>, spoken: &mut Spoken<'w>) -> Result<(), Unsupported> {
        if self.target.family == Family::OpenAi {
            return self.losses.drop(Field::Reasoning);
        }
        spoken.thinking.push_str(text);
        if let Some(own) = self.own(signature) {
            let entry = details::text_entry(text, &own.value, own.family, spoken.details.len());
            spoken.details.push(details::with_item(entry, own));
        }
        Ok(())
    }

    fn call(&mut self, block: &Block) -> Option<Value> {
        let Block::ToolCall { id, name, arguments, signature, .. } = block else { return None };
        let mut call = json!({
            "id": call_id::for_upstream(id, Dialect::OpenAi),
            "type": "function",
            "function": {"name": self.names.for_upstream(name, Dialect::OpenAi), "arguments": arguments::text(arguments)},
        });
        if let (Some(own), Some(call)) = (self.own(signature.as_ref()), call.as_object_mut()) {
            call.insert("extra_content".to_owned(), details::google(&own.value));
        }
        Some(call)
    }

    /// State of this provider and account; that of others means nothing to it.
    fn own<'s>(&self, signature: Option<&'s Signature>) -> Option<&'s Signature> {
        let is_here = |account| self.target.account == Some(account);
        signature.filter(|signature| signature.family == self.target.family && signature.account.is_none_or(is_here))
    }
}

/// What one message of the model's holds.
#[derive(Default)]
struct Spoken<'w> {
    text: Option<String>,
    refusal: Option<String>,
    thinking: String,
    details: Vec<Value>,
    calls: Vec<Value>,
    signature: Option<&'w Signature>,
}

impl Spoken<'_> {
    /// The content is null beside calls or a refusal, and otherwise a string, if an empty one.
    fn message(self) -> Value {
        let mut message = Map::new();
        message.insert("role".to_owned(), "assistant".into());
        let may_be_null = !self.calls.is_empty() || self.refusal.is_some();
        let content = self.text.map_or_else(|| if may_be_null { Value::Null } else { "".into() }, Value::from);
        message.insert("content".to_owned(), content);
        if let Some(refusal) = self.refusal {
            message.insert("refusal".to_owned(), refusal.into());
        }
        if !self.thinking.is_empty() {
            message.insert("reasoning_content".to_owned(), self.thinking.into());
        }
        if !self.details.is_empty() {
            message.insert("reasoning_details".to_owned(), self.details.into());
        }
        if let Some(signature) = self.signature {
            message.insert("extra_content".to_owned(), details::google(&signature.value));
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".to_owned(), self.calls.into());
        }
        Value::Object(message)
    }
}
