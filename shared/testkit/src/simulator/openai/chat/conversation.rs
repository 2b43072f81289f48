//! The messages of a chat: each one's form, and that calls and results belong together.

use serde_json::{Map, Value};

use crate::simulator::asked::{ToolResult, Turn};
use crate::simulator::openai::fields::{given, text, unsupported};
use crate::simulator::openai::media;
use crate::simulator::refusal::Refusal;

/// Calls of the last assistant message that wait for their result: id and name.
type Open = Vec<(String, String)>;

/// Reads the messages. A group of tool messages is one turn.
pub(super) fn conversation(messages: &[Value]) -> Result<Vec<Turn>, Refusal> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut open = Open::new();
    // Where the calls stand, and whether the last message was one of their results.
    let mut asking = 0;
    for (place, message) in messages.iter().enumerate() {
        let Value::Object(fields) = message else {
            return Err(Refusal::wrong_type(&format!("messages[{place}]"), "an object", message));
        };
        let role = role(fields, place)?;
        if role == "tool" {
            let result = tool_result(fields, place, &mut open)?;
            match turns.last_mut() {
                Some(turn) if turn.role == "tool" => turn.results.push(result),
                _ => turns.push(Turn { role, results: vec![result], ..Turn::default() }),
            }
            continue;
        }
        all_answered(&open, asking)?;
        open.clear();
        let mut turn = content(fields, role, place)?;
        if role == "assistant" {
            asking = place;
            open = calls(fields, place)?;
        }
        turn.role = if role == "developer" { "system" } else { role };
        turns.push(turn);
    }
    all_answered(&open, asking)?;
    Ok(turns)
}

fn role(fields: &Map<String, Value>, place: usize) -> Result<&'static str, Refusal> {
    let at = format!("messages[{place}].role");
    let known = ["system", "developer", "user", "assistant", "tool", "function"];
    match fields.get("role") {
        None => Err(Refusal::missing(&at)),
        Some(Value::String(role)) => known
            .into_iter()
            .find(|known| known == role)
            .ok_or_else(|| Refusal::invalid_value(&at, "it is not one of the known roles")),
        Some(other) => Err(Refusal::wrong_type(&at, "a string", other)),
    }
}

fn all_answered(open: &Open, asking: usize) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = open.iter().map(|(id, _)| id.as_str()).collect();
    let text = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    );
    Err(Refusal::bad(text).param(&format!("messages.[{asking}].role")))
}

fn tool_result(fields: &Map<String, Value>, place: usize, open: &mut Open) -> Result<ToolResult, Refusal> {
    let id = text(fields, "tool_call_id")?.ok_or_else(|| Refusal::missing(&format!("messages[{place}].tool_call_id")))?;
    let Some(found) = open.iter().position(|(call, _)| call == id) else {
        let text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
        return Err(Refusal::bad(text).param(&format!("messages.[{place}].role")));
    };
    let (_, name) = open.remove(found);
    Ok(ToolResult { name, said: content(fields, "tool", place)?.text })
}

fn calls(fields: &Map<String, Value>, place: usize) -> Result<Open, Refusal> {
    let mut open = Open::new();
    let calls = match given(fields, "tool_calls") {
        None => return Ok(open),
        Some(Value::Array(calls)) if calls.is_empty() => {
            return Err(super::empty_array(&format!("messages[{place}].tool_calls")));
        }
        Some(Value::Array(calls)) => calls,
        Some(other) => return Err(Refusal::wrong_type(&format!("messages[{place}].tool_calls"), "an array of objects", other)),
    };
    for (number, call) in calls.iter().enumerate() {
        let at = format!("messages[{place}].tool_calls[{number}]");
        let id = call["id"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.id")))?;
        let kind = call["type"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
        let arguments = match kind {
            "function" => "arguments",
            "custom" => "input",
            other => return Err(unsupported(&format!("{at}.type"), other, &["function", "custom"])),
        };
        let name = call[kind]["name"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.{kind}.name")))?;
        match &call[kind][arguments] {
            Value::String(_) => {}
            Value::Null => return Err(Refusal::missing(&format!("{at}.{kind}.{arguments}"))),
            other => return Err(Refusal::wrong_type(&format!("{at}.{kind}.{arguments}"), "a string", other)),
        }
        open.push((id.to_owned(), name.to_owned()));
    }
    Ok(open)
}

/// The texts and media of a message.
fn content(fields: &Map<String, Value>, role: &'static str, place: usize) -> Result<Turn, Refusal> {
    let at = format!("messages[{place}].content");
    let mut turn = Turn { role, ..Turn::default() };
    let says_otherwise = ["tool_calls", "function_call", "refusal", "audio"].iter().any(|name| given(fields, name).is_some());
    match fields.get("content") {
        None | Some(Value::Null) if role == "assistant" && says_otherwise => {}
        None => return Err(Refusal::missing(&at)),
        Some(Value::String(text)) => turn.text.clone_from(text),
        Some(Value::Array(parts)) if parts.is_empty() => return Err(super::empty_array(&at)),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (number, part) in parts.iter().enumerate() {
                read_part(part, role, &format!("{at}[{number}]"), &mut texts, &mut turn)?;
            }
            turn.text = texts.join(" ");
        }
        Some(other) => return Err(Refusal::wrong_type(&at, "a string or an array of objects", other)),
    }
    Ok(turn)
}

fn read_part<'a>(part: &'a Value, role: &str, at: &str, texts: &mut Vec<&'a str>, turn: &mut Turn) -> Result<(), Refusal> {
    let kinds: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    let Some(fields) = part.as_object() else { return Err(Refusal::wrong_type(at, "an object", part)) };
    let kind = text(fields, "type")?.ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
    if !kinds.contains(&kind) {
        return Err(unsupported(&format!("{at}.type"), kind, kinds));
    }
    match kind {
        "image_url" => {
            let url = part["image_url"]["url"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.image_url.url")))?;
            if let Some(detail) = part["image_url"].get("detail") {
                super::word(detail, &format!("{at}.image_url.detail"), &["low", "high", "auto", "original"])?;
            }
            turn.media.push(media::image(url, &format!("{at}.image_url.url"))?);
        }
        "input_audio" => turn.media.push(media::audio(part, at)?),
        "file" => {
            let file = part["file"].as_object().ok_or_else(|| Refusal::missing(&format!("{at}.file")))?;
            turn.media.push(media::file(file, &format!("{at}.file"))?);
        }
        _ => texts.push(text(fields, kind)?.ok_or_else(|| Refusal::missing(&format!("{at}.{kind}")))?),
    }
    Ok(())
}
