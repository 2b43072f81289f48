//! The messages of a request: whose turn it is, and that calls, answers and thinking belong together.

use serde_json::Value;

use super::blocks::{Block, read};
use super::fields::{CacheMarks, array, given, missing, object, only, path, wrong};
use crate::simulator::asked::{ToolResult, Turn};
use crate::simulator::refusal::Refusal;

/// Neighbouring messages of one role, taken together.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: &'static str,
    /// The place of the first of them.
    place: usize,
    pub(super) blocks: Vec<Block>,
}

/// Reads the messages and checks them against each other.
pub(super) fn conversation(messages: &[Value], marks: &mut CacheMarks) -> Result<Vec<Message>, Refusal> {
    let mut merged: Vec<Message> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let next = read_message(message, place, place + 1 == messages.len(), marks)?;
        match merged.last_mut() {
            Some(last) if last.role == next.role => last.blocks.extend(next.blocks),
            _ => merged.push(next),
        }
    }
    match merged.first() {
        None => return Err(wrong("messages", "at least one message is required")),
        Some(first) if first.role != "user" => return Err(wrong("messages", "first message must use the \"user\" role")),
        Some(_) => {}
    }
    for (place, message) in merged.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| merged.get(place));
        check_results(message, before)?;
        check_calls(message, merged.get(place + 1))?;
    }
    Ok(merged)
}

fn read_message(message: &Value, place: usize, is_last: bool, marks: &mut CacheMarks) -> Result<Message, Refusal> {
    let at = format!("messages.{place}");
    let fields = object(message, &at)?;
    only(fields, &["role", "content"], &at)?;
    let role = match given(fields, "role").ok_or_else(|| missing(&path(&at, "role")))?.as_str() {
        Some("user") => "user",
        Some("assistant") => "assistant",
        Some("system") => {
            let text = "Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.";
            return Err(wrong("messages", text));
        }
        _ => return Err(wrong(&path(&at, "role"), "Input should be 'user' or 'assistant'")),
    };
    let content_at = path(&at, "content");
    let blocks = match given(fields, "content").ok_or_else(|| missing(&content_at))? {
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![Block::Text(super::blocks::said(text, "messages")?)],
        list => {
            let blocks = array(list, &content_at)?.iter().enumerate();
            blocks.map(|(number, block)| read(block, role, &format!("{content_at}.{number}"), marks)).collect::<Result<_, _>>()?
        }
    };
    if blocks.is_empty() && role == "user" {
        return Err(wrong(&at, "user messages must have non-empty content"));
    }
    if blocks.is_empty() && !is_last {
        return Err(wrong(&at, "all messages must have non-empty content except for the optional final assistant message"));
    }
    if let Some(Block::Text(text)) = blocks.last()
        && is_last
        && role == "assistant"
        && text.ends_with(char::is_whitespace)
    {
        return Err(wrong("messages", "final assistant content cannot end with trailing whitespace"));
    }
    Ok(Message { role, place, blocks })
}

/// Every call of an assistant message is answered at the start of the next one.
fn check_calls(message: &Message, next: Option<&Message>) -> Result<(), Refusal> {
    let calls: Vec<&str> = message.calls().map(|(id, _)| id).collect();
    for (number, id) in calls.iter().enumerate() {
        if calls[..number].contains(id) {
            return Err(wrong(&format!("messages.{}", message.place), "`tool_use` ids must be unique"));
        }
    }
    let answers = next.map_or(&[][..], |next| next.blocks.as_slice());
    let first: Vec<&str> = answers.iter().map_while(Block::answered).collect();
    let unanswered: Vec<&str> = calls.into_iter().filter(|id| !first.contains(id)).collect();
    if unanswered.is_empty() {
        return Ok(());
    }
    let text = format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {}. \
         Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        unanswered.join(", ")
    );
    Err(wrong(&format!("messages.{}", message.place), &text))
}

/// Every answer belongs to a call of the message before.
fn check_results(message: &Message, before: Option<&Message>) -> Result<(), Refusal> {
    let calls: Vec<&str> = before.into_iter().flat_map(Message::calls).map(|(id, _)| id).collect();
    let mut seen: Vec<&str> = Vec::new();
    for (number, id) in message.blocks.iter().enumerate().filter_map(|(number, block)| Some((number, block.answered()?))) {
        let at = format!("messages.{}.content.{number}", message.place);
        if !calls.contains(&id) {
            let text = format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
                 Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(wrong(&at, &text));
        }
        if seen.contains(&id) {
            let text = format!("each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}");
            return Err(wrong(&at, &text));
        }
        seen.push(id);
    }
    Ok(())
}

/// With a thinking budget, a tool loop goes on with the thinking it began with.
pub(super) fn check_thinking_goes_on(messages: &[Message]) -> Result<(), Refusal> {
    let Some(last) = messages.last() else { return Ok(()) };
    let is_in_loop = last.role == "assistant" || last.blocks.iter().any(|block| block.answered().is_some());
    let Some(assistant) = messages.iter().rfind(|message| message.role == "assistant").filter(|_| is_in_loop) else {
        return Ok(());
    };
    match assistant.blocks.first() {
        None | Some(Block::Thinking | Block::Redacted) => Ok(()),
        Some(first) => {
            let text = format!(
                "Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final `assistant` message \
                 must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend \
                 you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`.",
                first.kind()
            );
            Err(wrong(&format!("messages.{}.content.0.type", assistant.place), &text))
        }
    }
}

impl Message {
    /// Id and name of every call.
    fn calls(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Call { id, name } => Some((id.as_str(), name.as_str())),
            _ => None,
        })
    }
}

impl Block {
    /// The id of the call this block answers.
    fn answered(&self) -> Option<&str> {
        match self {
            Self::Result { id, .. } => Some(id),
            _ => None,
        }
    }
}

/// Whether a conversation speaks of tools.
pub(super) fn has_tool_blocks(messages: &[Message]) -> bool {
    messages.iter().flat_map(|message| &message.blocks).any(|block| matches!(block, Block::Call { .. } | Block::Result { .. }))
}

/// The messages as turns.
pub(super) fn turns(messages: Vec<Message>) -> Vec<Turn> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut turns = Vec::new();
    for message in messages {
        let mut turn = Turn { role: message.role, ..Turn::default() };
        let mut texts = Vec::new();
        for block in message.blocks {
            match block {
                Block::Text(text) => texts.push(text),
                Block::Media(media) => turn.media.push(media),
                Block::Call { id, name } => names.push((id, name)),
                Block::Result { id, said, media } => {
                    let name = names.iter().rfind(|(call, _)| *call == id).map(|(_, name)| name.clone()).unwrap_or_default();
                    turn.results.push(ToolResult { name, said });
                    turn.media.extend(media);
                }
                Block::Thinking | Block::Redacted | Block::Hosted => {}
            }
        }
        turn.text = texts.join(" ");
        turns.push(turn);
    }
    turns
}
