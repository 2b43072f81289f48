//! The conversation.

use serde_json::Value;

use super::{content, named};
use crate::chat::{arguments, details};
use crate::ir::{Arguments, Block, Family, NativeField, Request, Role, Signature, Turn};
use crate::node::{BodyError, Node, Rule};
use crate::signature::Sealer;

const ROLES: &str = "system, developer, user, assistant, tool, function";

pub(super) fn read(root: &Node<'_>, sealer: &Sealer, request: &mut Request) -> Result<(), BodyError> {
    let messages = root.need("messages")?;
    let items = messages.items()?;
    if items.len() == 0 {
        return Err(messages.broken(Rule::Empty));
    }
    let mut old_calls = OldCalls::default();
    let mut has_names = false;
    for message in items {
        message.object()?;
        let role = message.need("role")?;
        has_names |= message.get("name").is_some() && !matches!(role.value().as_str(), Some("tool" | "function"));
        let (role, blocks) = match role.text()? {
            "system" | "developer" => (Role::System, content::texts(&message.need("content")?)?),
            "user" => (Role::User, said(&message)?),
            "assistant" => (Role::Assistant, assistant(&message, sealer, &mut old_calls)?),
            "tool" => (Role::User, vec![result(&message)?]),
            "function" => (Role::User, vec![old_result(&message, &mut old_calls)?]),
            _ => return Err(role.broken(Rule::Word(ROLES))),
        };
        if role == Role::System && request.turns.is_empty() {
            request.system.extend(blocks);
        } else if !blocks.is_empty() {
            request.turns.push(Turn { role, blocks });
        }
        if message.get("audio").is_some() {
            leave_out("messages[].audio", request);
        }
    }
    if has_names {
        leave_out("messages[].name", request);
    }
    Ok(())
}

fn leave_out(path: &'static str, request: &mut Request) {
    let field = NativeField { path, is_essential: false };
    if !request.native.contains(&field) {
        request.native.push(field);
    }
}

fn said(message: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    let content = message.need("content")?;
    let blocks = content::any(&content)?;
    if blocks.is_empty() { Err(content.broken(Rule::Empty)) } else { Ok(blocks) }
}

fn assistant(message: &Node<'_>, sealer: &Sealer, old_calls: &mut OldCalls) -> Result<Vec<Block>, BodyError> {
    let mut blocks = thinking(message.value(), sealer);
    if let Some(content) = message.get("content") {
        blocks.extend(content::spoken(&content)?);
    }
    if let (Some(Block::Text { signature, .. }), Some(wire)) = (blocks.last_mut(), details::google_signature(message.value())) {
        *signature = sealer.read(wire, Family::Google);
    }
    if let Some(refusal) = message.get("refusal") {
        blocks.push(Block::Refusal { text: refusal.text()?.to_owned() });
    }
    if let Some(calls) = message.get("tool_calls") {
        for made in calls.items()? {
            blocks.push(call(&made, sealer)?);
        }
    }
    if let Some(made) = message.get("function_call") {
        let name = named(&made.need("name")?)?;
        let id = old_calls.begin(&name);
        blocks.push(Block::ToolCall { id, name, arguments: written(&made)?, signature: None, cache: None });
    }
    Ok(blocks)
}

/// The reasoning that came with an earlier answer. Only our own envelopes prove it: others' state has no owner here.
fn thinking(message: &Value, sealer: &Sealer) -> Vec<Block> {
    let entries = details::read(message);
    let mut blocks = Vec::new();
    if let Some(text) = details::plain(message).filter(|_| !entries.iter().any(details::Detail::is_readable)) {
        blocks.push(Block::Thinking { text: text.to_owned(), signature: None });
    }
    for entry in entries {
        match entry {
            details::Detail::Readable { text, signature, .. } => {
                let signature = signature.and_then(|wire| sealer.open(wire));
                if !text.is_empty() || signature.is_some() {
                    blocks.push(Block::Thinking { text: text.to_owned(), signature });
                }
            }
            details::Detail::Encrypted { data, .. } => {
                blocks.extend(sealer.open(data).map(|signature| Block::Redacted { signature }));
            }
        }
    }
    blocks
}

fn call(made: &Node<'_>, sealer: &Sealer) -> Result<Block, BodyError> {
    let id = named(&made.need("id")?)?;
    let signature: Option<Signature> = details::google_signature(made.value()).and_then(|wire| sealer.read(wire, Family::Google));
    if let Some(custom) = made.get("custom") {
        let arguments = Arguments::Object(arguments::custom(custom.need("input")?.text()?));
        return Ok(Block::ToolCall { id, name: named(&custom.need("name")?)?, arguments, signature, cache: None });
    }
    let function = made.need("function")?;
    let name = named(&function.need("name")?)?;
    Ok(Block::ToolCall { id, name, arguments: written(&function)?, signature, cache: None })
}

fn written(function: &Node<'_>) -> Result<Arguments, BodyError> {
    let Some(node) = function.get("arguments") else { return Ok(crate::arguments::parse("")) };
    match node.value() {
        Value::String(_) | Value::Object(_) => Ok(crate::arguments::of(Some(node.value()))),
        _ => Err(node.wrong("a string")),
    }
}

fn result(message: &Node<'_>) -> Result<Block, BodyError> {
    let name = super::text(message, "name")?.filter(|name| !name.is_empty());
    answered(message, named(&message.need("tool_call_id")?)?, name)
}

fn old_result(message: &Node<'_>, old_calls: &mut OldCalls) -> Result<Block, BodyError> {
    let name = named(&message.need("name")?)?;
    answered(message, old_calls.end(&name), Some(name))
}

fn answered(message: &Node<'_>, id: String, name: Option<String>) -> Result<Block, BodyError> {
    let content = match message.get("content") {
        Some(content) => content::any(&content)?,
        None => Vec::new(),
    };
    Ok(Block::ToolResult { id, name, content, is_error: false, cache: content::cache(message) })
}

/// Calls in the form that has no ids: a result belongs to the last call of its name.
#[derive(Default)]
struct OldCalls {
    open: Vec<(String, String)>,
    count: u32,
}

impl OldCalls {
    fn make(&mut self) -> String {
        self.count += 1;
        format!("call_function_{}", self.count)
    }

    fn begin(&mut self, name: &str) -> String {
        let id = self.make();
        self.open.push((name.to_owned(), id.clone()));
        id
    }

    fn end(&mut self, name: &str) -> String {
        match self.open.iter().rposition(|(open, _)| open == name) {
            Some(place) => self.open.remove(place).1,
            None => self.make(),
        }
    }
}
