//! `contents` and `systemInstruction`.

use serde_json::json;

use super::super::super::signature;
use super::super::super::spelling::{camel, each, field, need, word};
use super::{media, pairing};
use crate::ir::{Arguments, Block, Detail, Family, NativeField, Request, Role, Signature, Turn};
use crate::node::{BodyError, Node, Rule};
use crate::signature::Sealer;

const ROLES: [(&str, Role); 4] =
    [("user", Role::User), ("model", Role::Assistant), ("function", Role::User), ("tool", Role::User)];
/// Parts that only Google understands.
const NATIVE_PARTS: [&str; 4] = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];
/// Fields of a tool's answer that hold all of it, when they stand alone.
const WRAPPERS: [&str; 3] = ["result", "output", "content"];

/// Fills system and turns. Neighbouring contents of one role become one turn: streams come back in many.
pub(super) fn read(root: &Node<'_>, sealer: &Sealer, detail: Option<Detail>, request: &mut Request) -> Result<(), BodyError> {
    if let Some(instruction) = field(root, "systemInstruction") {
        read_system(&instruction, &mut request.system)?;
    }
    let contents = need(root, "contents")?;
    let mut reader = Reader { sealer, detail, clips_video: false, turns: Vec::new() };
    each(&contents, |content| reader.content(content))?;
    if reader.turns.is_empty() {
        return Err(contents.broken(Rule::Empty));
    }
    if reader.clips_video {
        request.native.push(NativeField { path: "videoMetadata", is_essential: false });
    }
    pairing::pair(&mut reader.turns);
    request.turns = reader.turns;
    Ok(())
}

fn read_system(instruction: &Node<'_>, system: &mut Vec<Block>) -> Result<(), BodyError> {
    instruction.object()?;
    each(&need(instruction, "parts")?, |part| {
        part.object()?;
        match field(part, "text") {
            Some(text) => system.push(Block::text(text.text()?)),
            None => return Err(part.broken(Rule::Other(" must hold text only"))),
        }
        Ok(())
    })
}

struct Reader<'s> {
    sealer: &'s Sealer,
    detail: Option<Detail>,
    clips_video: bool,
    turns: Vec<Turn>,
}

impl Reader<'_> {
    fn content(&mut self, content: &Node<'_>) -> Result<(), BodyError> {
        content.object()?;
        let role = field(content, "role").filter(|role| role.value() != "");
        let role = role.map_or(Ok(Role::User), |role| word(&role, &ROLES, "user, model"))?;
        let Some(parts) = field(content, "parts") else { return Ok(()) };
        let mut turn = match self.turns.pop() {
            Some(last) if last.role == role => last,
            Some(other) => {
                self.turns.push(other);
                Turn { role, blocks: Vec::new() }
            }
            None => Turn { role, blocks: Vec::new() },
        };
        each(&parts, |part| self.part(part, &mut turn.blocks))?;
        if !turn.blocks.is_empty() {
            self.turns.push(turn);
        }
        Ok(())
    }

    fn part(&mut self, part: &Node<'_>, blocks: &mut Vec<Block>) -> Result<(), BodyError> {
        let object = part.object()?;
        let signature = match field(part, "thoughtSignature") {
            Some(wire) => signature::read(wire.text()?, self.sealer),
            None => None,
        };
        self.clips_video |= field(part, "videoMetadata").is_some();
        if let Some(text) = field(part, "text") {
            let is_thought = field(part, "thought").map_or(Ok(false), |thought| thought.boolean())?;
            push_text(text.text()?, is_thought, signature, blocks);
        } else if let Some(call) = field(part, "functionCall") {
            let block = self.call(&call, signature, blocks)?;
            blocks.push(block);
        } else if let Some(response) = field(part, "functionResponse") {
            blocks.push(self.result(&response)?);
        } else if let Some(medium) = media::read(part, self.detail)? {
            blocks.push(medium);
        } else if object.keys().any(|key| NATIVE_PARTS.contains(&camel(key).as_str())) {
            blocks.push(Block::Native { family: Family::Google, raw: part.value().clone() });
        } else if let Some(signature) = signature {
            blocks.push(Block::Redacted { signature });
        }
        Ok(())
    }

    fn call(&self, call: &Node<'_>, signature: Option<Signature>, blocks: &[Block]) -> Result<Block, BodyError> {
        call.object()?;
        let name = need(call, "name")?;
        if name.text()?.is_empty() {
            return Err(name.broken(Rule::Empty));
        }
        let id = read_id(call)?.unwrap_or_else(|| {
            let before = blocks.iter().filter(|block| matches!(block, Block::ToolCall { .. })).count();
            format!("call_g{}_{before}", self.turns.len())
        });
        let arguments = field(call, "args").map(|args| args.object().cloned()).transpose()?.unwrap_or_default();
        let name = name.text()?.to_owned();
        Ok(Block::ToolCall { id, name, arguments: Arguments::Object(arguments), signature, cache: None })
    }

    fn result(&self, response: &Node<'_>) -> Result<Block, BodyError> {
        response.object()?;
        let name = field(response, "name").map(|name| name.text().map(str::to_owned)).transpose()?;
        let (text, is_error) = match field(response, "response") {
            Some(answer) => unwrap(&answer)?,
            None => (String::new(), false),
        };
        let mut content = vec![Block::text(text)];
        if let Some(parts) = field(response, "parts") {
            each(&parts, |part| {
                content.extend(media::read(part, self.detail)?);
                Ok(())
            })?;
        }
        if content.len() > 1 && matches!(content.first(), Some(Block::Text { text, .. }) if text.is_empty()) {
            content.remove(0);
        }
        let id = read_id(response)?.unwrap_or_default();
        let name = name.filter(|name| !name.is_empty());
        Ok(Block::ToolResult { id, name, content, is_error, cache: None })
    }
}

fn read_id(node: &Node<'_>) -> Result<Option<String>, BodyError> {
    let id = field(node, "id").map(|id| id.text().map(str::to_owned)).transpose()?;
    Ok(id.filter(|id| !id.is_empty()))
}

/// Text and thoughts. A piece of thought goes on with the one before it until a signature ends it; a signature alone belongs to the
/// block before it.
fn push_text(text: &str, is_thought: bool, signature: Option<Signature>, blocks: &mut Vec<Block>) {
    let own = signature;
    match blocks.last_mut() {
        Some(Block::Thinking { text: thought, signature: signature @ None }) if is_thought => {
            thought.push_str(text);
            *signature = own;
        }
        Some(
            Block::Text { signature: signature @ None, .. }
            | Block::Thinking { signature: signature @ None, .. }
            | Block::ToolCall { signature: signature @ None, .. },
        ) if text.is_empty() && !is_thought && own.is_some() => *signature = own,
        _ if is_thought && text.is_empty() && own.is_none() => {}
        _ if is_thought => blocks.push(Block::Thinking { text: text.to_owned(), signature: own }),
        _ => match own {
            Some(signature) if text.is_empty() => blocks.push(Block::Redacted { signature }),
            own => blocks.push(Block::Text { text: text.to_owned(), cache: None, citations: Vec::new(), signature: own }),
        },
    }
}

/// What a tool said, and whether it failed.
fn unwrap(answer: &Node<'_>) -> Result<(String, bool), BodyError> {
    let object = answer.object()?;
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut fields = object.iter();
    Ok(match (fields.next(), fields.next()) {
        (Some((key, value)), None) if key == "error" => (text(value), true),
        (Some((key, value)), None) if WRAPPERS.contains(&key.as_str()) => (text(value), false),
        _ => (json!(object).to_string(), false),
    })
}
