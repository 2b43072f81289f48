//! `input`: turns become items, in the order of their blocks.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::content;
use crate::call_id;
use crate::ir::{Block, MediaKind, Request, Role, Signature, Turn};
use crate::loss::{Field, Losses, Unsupported};
use crate::responses::item;
use crate::target::Target;
use crate::tool_name::ToolNames;

/// The items of a conversation.
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    names: &mut ToolNames,
    losses: &mut Losses<'_>,
) -> Result<Vec<Value>, Unsupported> {
    let last_speaks = request.turns.last().is_some_and(|turn| turn.role == Role::Assistant);
    if last_speaks && !target.capabilities.prefill {
        losses.reject(Field::Prefill)?;
    }
    let mut items = Items { target, names, losses, called: BTreeMap::new(), out: Vec::new() };
    for turn in &request.turns {
        match turn.role {
            Role::System => items.system(turn),
            Role::User => items.user(turn)?,
            Role::Assistant => items.assistant(turn)?,
        }
    }
    Ok(items.out)
}

struct Items<'r, 't, 'l, 'p> {
    target: &'t Target<'t>,
    names: &'r mut ToolNames,
    losses: &'l mut Losses<'p>,
    /// Call id → tool.
    called: BTreeMap<&'r str, &'r str>,
    out: Vec<Value>,
}

impl<'r> Items<'r, '_, '_, '_> {
    fn system(&mut self, turn: &Turn) {
        let role = if self.target.options.keeps_developer { "developer" } else { "system" };
        let texts = turn.blocks.iter().filter_map(|block| match block {
            Block::Text { text, .. } => Some(content::input_text(text)),
            _ => None,
        });
        let parts: Vec<Value> = texts.collect();
        self.message(role, parts);
    }

    fn message(&mut self, role: &str, parts: Vec<Value>) {
        if !parts.is_empty() {
            let fields = [("type", Value::from("message")), ("role", Value::from(role)), ("content", Value::from(parts))];
            self.out.push(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        }
    }

    fn user(&mut self, turn: &'r Turn) -> Result<(), Unsupported> {
        let mut parts = Vec::new();
        let mut beside = Vec::new();
        for block in &turn.blocks {
            let Block::ToolResult { id, name, content, is_error, .. } = block else {
                parts.append(&mut beside);
                parts.extend(content::part(block, self.target, self.losses)?);
                continue;
            };
            self.message("user", std::mem::take(&mut parts));
            let name = name.as_deref().or_else(|| self.called.get(id.as_str()).copied()).unwrap_or("tool");
            let output = self.output(name, content, *is_error, &mut beside)?;
            let call_id = call_id::for_upstream(id, Dialect::Responses);
            self.out.push(json!({"type": "function_call_output", "call_id": call_id, "output": output}));
        }
        parts.append(&mut beside);
        self.message("user", parts);
        Ok(())
    }

    /// What a tool answered: text where it is one, else a list. Media that results cannot hold are shown beside them.
    fn output(&mut self, name: &str, content: &[Block], is_error: bool, beside: &mut Vec<Value>) -> Result<Value, Unsupported> {
        let mut parts = Vec::new();
        for block in content {
            let Some(part) = content::part(block, self.target, self.losses)? else { continue };
            if matches!(block, Block::Media { .. }) && !self.target.capabilities.result_images && part.get("text").is_none() {
                beside.extend([content::input_text(&format!("[image from tool {name}]")), part]);
            } else {
                parts.push(part);
            }
        }
        if is_error {
            mark_error(&mut parts);
        }
        if parts.len() > 1 || parts.iter().any(|part| part.get("text").is_none()) {
            return Ok(Value::from(parts));
        }
        Ok(parts.first_mut().and_then(|part| part.get_mut("text")).map_or_else(|| Value::from(""), Value::take))
    }

    fn assistant(&mut self, turn: &'r Turn) -> Result<(), Unsupported> {
        let mut parts = Vec::new();
        for block in &turn.blocks {
            let made = match block {
                Block::Text { text, .. } => {
                    parts.push(json!({"type": "output_text", "text": text, "annotations": []}));
                    continue;
                }
                Block::Refusal { text } => {
                    parts.push(item::refusal(text));
                    continue;
                }
                Block::ToolCall { id, name, arguments, .. } => {
                    self.called.insert(id, name);
                    Some(json!({
                        "type": "function_call", "call_id": call_id::for_upstream(id, Dialect::Responses),
                        "name": self.names.for_upstream(name, Dialect::Responses), "arguments": crate::arguments::text(arguments),
                    }))
                }
                Block::Thinking { text, signature } => self.reasoning(text, signature.as_ref())?,
                Block::Redacted { signature } => self.reasoning("", Some(signature))?,
                Block::Media { kind, .. } => {
                    self.losses.drop(field_of(*kind))?;
                    None
                }
                Block::Native { .. } => {
                    self.losses.drop(Field::NativePart)?;
                    None
                }
                Block::ToolResult { .. } => None,
            };
            if let Some(made) = made {
                self.message("assistant", std::mem::take(&mut parts));
                self.out.push(made);
            }
        }
        self.message("assistant", parts);
        while self.out.last().is_some_and(|item| item.get("type").and_then(Value::as_str) == Some("reasoning")) {
            self.out.pop();
        }
        Ok(())
    }

    /// The provider takes nobody else's reasoning, and its own only as it was sealed.
    fn reasoning(&mut self, text: &str, signature: Option<&Signature>) -> Result<Option<Value>, Unsupported> {
        let own = signature.filter(|signature| {
            let is_of_account = signature.account.is_none() || signature.account == self.target.account;
            signature.family == self.target.family && is_of_account && !signature.value.is_empty()
        });
        let Some(signature) = own else {
            self.losses.drop(Field::Reasoning)?;
            return Ok(None);
        };
        let summary: Vec<Value> = if text.is_empty() { Vec::new() } else { vec![item::summary(text)] };
        let mut made = json!({"type": "reasoning", "summary": summary, "encrypted_content": signature.value});
        if let (Some(id), Some(made)) = (&signature.item, made.as_object_mut()) {
            made.insert("id".to_owned(), Value::from(id.as_str()));
        }
        Ok(Some(made))
    }
}

const fn field_of(kind: MediaKind) -> Field {
    match kind {
        MediaKind::Image => Field::Image,
        MediaKind::Audio => Field::Audio,
        MediaKind::Video => Field::Video,
        MediaKind::Document => Field::Document,
    }
}

/// A failure has no field of its own here.
fn mark_error(parts: &mut Vec<Value>) {
    const MARK: &str = "Error: ";
    match parts.iter_mut().find_map(|part| part.get_mut("text")) {
        Some(Value::String(text)) if text.starts_with(MARK) => {}
        Some(Value::String(text)) => text.insert_str(0, MARK),
        _ => parts.insert(0, content::input_text("Error")),
    }
}
