//! `input`: items become turns. What the model made in a row is one turn of its; results of tools in a row are one of the user's.

use std::collections::BTreeMap;

use serde_json::Value;

use super::content;
use crate::ir::{Arguments, Block, Family, MediaKind, NativeField, Request, Role, Signature, Source, Turn};
use crate::media;
use crate::node::{BodyError, Node, Rule};
use crate::responses::{arguments, item, namespace};
use crate::signature::Sealer;

/// Reads `input` into the turns of a request, and instructions before the first of them into its system.
pub(super) fn read(input: &Node<'_>, sealer: &Sealer, request: &mut Request) -> Result<(), BodyError> {
    if let Some(text) = input.value().as_str() {
        request.turns.push(Turn { role: Role::User, blocks: vec![Block::text(text)] });
        return Ok(());
    }
    if !input.value().is_array() {
        return Err(input.wrong("a string or an array"));
    }
    let mut items = Items { sealer, request, call_states: BTreeMap::new() };
    for item in input.items()? {
        item.object()?;
        items.item(&item)?;
    }
    items.attach_call_states();
    Ok(())
}

struct Items<'r> {
    sealer: &'r Sealer,
    request: &'r mut Request,
    /// Call id → state of another family's that belongs to the call.
    call_states: BTreeMap<String, Signature>,
}

impl Items<'_> {
    fn item(&mut self, item: &Node<'_>) -> Result<(), BodyError> {
        let kind = match item.get("type") {
            Some(kind) => kind.text()?,
            None if item.get("role").is_some() => "message",
            None => return item.need("type").map(|_| ()),
        };
        match kind {
            "message" => self.message(item),
            "function_call" => {
                let arguments = crate::arguments::parse(item.need("arguments")?.text()?);
                self.call(item, arguments)
            }
            "custom_tool_call" => {
                let input = arguments::of_custom(item.need("input")?.text()?);
                self.call(item, Arguments::Object(input))
            }
            "function_call_output" | "custom_tool_call_output" => self.result(item),
            "reasoning" => self.reasoning(item),
            "image_generation_call" => {
                self.push(Role::Assistant, image(item));
                Ok(())
            }
            "item_reference" => {
                self.request.native.push(NativeField { path: "item_reference", is_essential: true });
                Ok(())
            }
            kind => {
                let is_callers = kind.ends_with("_output") || kind.ends_with("_response");
                let role = if is_callers { Role::User } else { Role::Assistant };
                self.push(role, vec![Block::Native { family: Family::OpenAi, raw: item.value().clone() }]);
                Ok(())
            }
        }
    }

    fn message(&mut self, item: &Node<'_>) -> Result<(), BodyError> {
        let words = [("user", Role::User), ("assistant", Role::Assistant), ("system", Role::System), ("developer", Role::System)];
        let role = item.need("role")?.word(&words, "user, assistant, system, developer")?;
        let said = item.need("content")?;
        if role != Role::System {
            let blocks = content::read(&said)?;
            self.push(role, blocks);
            return Ok(());
        }
        let blocks = content::read_text(&said)?;
        if self.request.turns.is_empty() {
            self.request.system.extend(blocks);
        } else {
            self.request.turns.push(Turn { role, blocks });
        }
        Ok(())
    }

    fn call(&mut self, item: &Node<'_>, arguments: Arguments) -> Result<(), BodyError> {
        let id = call_id(item)?;
        item.need("name")?.text()?;
        let name = namespace::of_call(item.value());
        self.push(Role::Assistant, vec![Block::ToolCall { id, name, arguments, signature: None, cache: None }]);
        Ok(())
    }

    fn result(&mut self, item: &Node<'_>) -> Result<(), BodyError> {
        let id = call_id(item)?;
        let content = content::read(&item.need("output")?)?;
        self.push(Role::User, vec![Block::ToolResult { id, name: None, content, is_error: false, cache: None }]);
        Ok(())
    }

    /// One item is one block, whatever the number of its parts: it has one proof.
    fn reasoning(&mut self, item: &Node<'_>) -> Result<(), BodyError> {
        let encrypted = item.get("encrypted_content").map(|node| node.text()).transpose()?;
        let mut signature = encrypted.filter(|wire| !wire.is_empty()).and_then(|wire| self.sealer.read(wire, Family::OpenAi));
        if let Some(state) = signature.take_if(|signature| item::call_of_state(signature.item.as_deref()).is_some()) {
            let call_id = item::call_of_state(state.item.as_deref()).unwrap_or_default().to_owned();
            self.call_states.insert(call_id, Signature { item: None, ..state });
        }
        if let Some(state) = signature.take_if(|signature| signature.item.as_deref() == Some(item::TEXT_STATE)) {
            self.attach_to_text(Signature { item: None, ..state });
        }
        if let Some(signature) = signature.as_mut().filter(|signature| signature.family == Family::OpenAi) {
            let own = super::string(item, "id")?;
            signature.item = signature.item.take().or(own);
        }
        let text = match parts(item, "content")? {
            text if text.is_empty() => parts(item, "summary")?,
            text => text,
        };
        let block = match (text.is_empty(), signature) {
            (false, signature) => Block::Thinking { text, signature },
            (true, Some(signature)) => Block::Redacted { signature },
            (true, None) => return Ok(()),
        };
        self.push(Role::Assistant, vec![block]);
        Ok(())
    }

    fn push(&mut self, role: Role, blocks: Vec<Block>) {
        match self.request.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.blocks.extend(blocks),
            None if blocks.is_empty() => {}
            None => self.request.turns.push(Turn { role, blocks }),
        }
    }

    /// State belongs to the text right before it.
    fn attach_to_text(&mut self, state: Signature) {
        let last = self.request.turns.last_mut().filter(|turn| turn.role == Role::Assistant);
        if let Some(Block::Text { signature, .. }) = last.and_then(|turn| turn.blocks.last_mut()) {
            *signature = Some(state);
        }
    }

    fn attach_call_states(&mut self) {
        if self.call_states.is_empty() {
            return;
        }
        for block in self.request.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
            if let Block::ToolCall { id, signature, .. } = block {
                *signature = self.call_states.remove(id);
            }
        }
    }
}

fn call_id(item: &Node<'_>) -> Result<String, BodyError> {
    let id = item.need("call_id")?;
    match id.text()? {
        "" => Err(id.broken(Rule::Empty)),
        text => Ok(text.to_owned()),
    }
}

/// The texts of a list of parts, a blank line between them.
fn parts(item: &Node<'_>, name: &str) -> Result<String, BodyError> {
    let Some(parts) = item.get(name) else { return Ok(String::new()) };
    let mut texts = Vec::new();
    for part in parts.items()? {
        if let Some(text) = part.get("text") {
            texts.push(text.text()?.to_owned());
        }
    }
    Ok(texts.join("\n\n"))
}

/// The picture of an earlier answer; none where it was left out.
fn image(item: &Node<'_>) -> Vec<Block> {
    let data = item.value().get("result").and_then(Value::as_str).and_then(media::decode).filter(|data| !data.is_empty());
    let Some(data) = data else { return Vec::new() };
    let mime = media::sniff(&data).unwrap_or("image/png").to_owned();
    let source = Source::Inline { mime, data };
    vec![Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None }]
}
