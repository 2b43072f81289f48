//! The items of an input, and that calls, outputs and reasoning belong together.

use serde_json::{Map, Value};

use crate::simulator::asked::{ToolResult, Turn};
use crate::simulator::memory::{Account, Remembered};
use crate::simulator::openai::fields::{check_length, given, object, text, unsupported, word};
use crate::simulator::openai::{file, image};
use crate::simulator::refusal::Refusal;
use crate::simulator::seal::Seal;

/// Items of hosted tools and the like: accepted, not looked at.
const UNREAD: &[&str] = &[
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "compaction_trigger",
    "computer_call",
    "computer_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];
const READ: &[&str] = &["message", "function_call", "function_call_output", "reasoning", "item_reference"];

/// A conversation as it is read.
pub(super) struct Conversation<'a> {
    memory: Account<'a>,
    /// Every call so far: its `call_id` and name.
    calls: Vec<(String, String)>,
    /// The `call_id` of every call that waits for its output.
    open: Vec<String>,
    turns: Vec<Turn>,
    /// The id of a reasoning item that something must follow.
    leading: Option<String>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(memory: Account<'a>) -> Self {
        Self { memory, calls: Vec::new(), open: Vec::new(), turns: Vec::new(), leading: None }
    }

    /// Takes over what the previous response left open.
    pub(super) fn go_on_after(&mut self, previous: Remembered) {
        self.open = previous.calls.iter().map(|(id, _)| id.clone()).collect();
        self.calls = previous.calls;
    }

    pub(super) fn read(&mut self, items: &[Value]) -> Result<Vec<Turn>, Refusal> {
        for (place, item) in items.iter().enumerate() {
            self.read_item(item, &format!("input[{place}]"))?;
        }
        self.followed()?;
        Ok(std::mem::take(&mut self.turns))
    }

    /// Every call has its output.
    pub(super) fn all_answered(&self) -> Result<(), Refusal> {
        match self.open.first() {
            Some(id) => Err(Refusal::bad(format!("No tool output found for function call {id}.")).param("input")),
            None => Ok(()),
        }
    }

    fn read_item(&mut self, item: &Value, at: &str) -> Result<(), Refusal> {
        let fields = object(item, at)?;
        let kind = match text(fields, "type")? {
            Some(kind) => kind,
            None if fields.contains_key("role") => "message",
            None => return Err(Refusal::missing(&format!("{at}.type"))),
        };
        match kind {
            "message" => self.message(fields, at),
            "function_call" => self.function_call(fields, at),
            "function_call_output" => self.output(fields, at),
            "reasoning" => self.reasoning(fields, at),
            "item_reference" => self.reference(fields, at),
            unread if UNREAD.contains(&unread) => {
                self.leading = None;
                Ok(())
            }
            other => {
                let known: Vec<&str> = READ.iter().chain(UNREAD).copied().collect();
                Err(unsupported(at, other, &known))
            }
        }
    }

    fn message(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        check_fields(fields, &["type", "role", "content", "id", "status", "phase"], at)?;
        let role = given(fields, "role").ok_or_else(|| Refusal::missing(&format!("{at}.role")))?;
        let role = match word(role, &format!("{at}.role"), &["assistant", "system", "developer", "user"])? {
            "user" => "user",
            "assistant" => "assistant",
            _ => "system",
        };
        check_id(fields, "msg", at)?;
        let content = given(fields, "content").ok_or_else(|| Refusal::missing(&format!("{at}.content")))?;
        let mut turn = Turn { role, ..Turn::default() };
        match content {
            Value::String(text) => turn.text.clone_from(text),
            Value::Array(parts) => {
                let kinds: &[&str] = if role == "assistant" { &["output_text", "refusal"] } else { INPUT_PARTS };
                read_parts(parts, kinds, &format!("{at}.content"), &mut turn)?;
            }
            other => return Err(Refusal::wrong_type(&format!("{at}.content"), "a string or an array of objects", other)),
        }
        if role == "assistant" {
            self.leading = None;
        } else {
            self.followed()?;
        }
        match self.turns.last_mut() {
            Some(last) if last.role == "assistant" && role == "assistant" => {
                let joined = [last.text.as_str(), turn.text.as_str()].join(" ");
                joined.trim().clone_into(&mut last.text);
            }
            _ => self.turns.push(turn),
        }
        Ok(())
    }

    fn function_call(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        check_fields(fields, &["type", "id", "call_id", "name", "arguments", "status", "namespace", "caller"], at)?;
        check_id(fields, "fc", at)?;
        let id = call_id(fields, at)?;
        let name = text(fields, "name")?.ok_or_else(|| Refusal::missing(&format!("{at}.name")))?;
        text(fields, "arguments")?.ok_or_else(|| Refusal::missing(&format!("{at}.arguments")))?;
        self.leading = None;
        self.calls.push((id.to_owned(), name.to_owned()));
        self.open.push(id.to_owned());
        self.assistant_goes_on();
        Ok(())
    }

    fn output(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        check_fields(fields, &["type", "id", "call_id", "output", "status", "caller", "name", "namespace"], at)?;
        let id = call_id(fields, at)?;
        let Some((_, name)) = self.calls.iter().find(|(call, _)| call == id) else {
            return Err(Refusal::bad(format!("No tool call found for function call output with call_id {id}.")).param("input"));
        };
        let mut heard = Turn { role: "tool", ..Turn::default() };
        match given(fields, "output") {
            None => return Err(Refusal::missing(&format!("{at}.output"))),
            Some(Value::String(text)) => heard.text.clone_from(text),
            Some(Value::Array(parts)) => read_parts(parts, INPUT_PARTS, &format!("{at}.output"), &mut heard)?,
            Some(other) => {
                return Err(Refusal::wrong_type(
                    &format!("{at}.output"),
                    "one of a string or an array of input content parts",
                    other,
                ));
            }
        }
        let result = ToolResult { name: name.clone(), said: heard.text };
        self.followed()?;
        self.open.retain(|open| open != id);
        if self.turns.last().is_none_or(|turn| turn.role != "tool") {
            self.turns.push(Turn { role: "tool", ..Turn::default() });
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.results.push(result);
            turn.media.append(&mut heard.media);
        }
        Ok(())
    }

    fn reasoning(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        check_fields(fields, &["type", "id", "summary", "content", "encrypted_content", "status"], at)?;
        check_id(fields, "rs", at)?;
        if given(fields, "summary").is_none_or(|summary| !summary.is_array()) {
            return Err(Refusal::missing(&format!("{at}.summary")));
        }
        let id = text(fields, "id")?;
        match (text(fields, "encrypted_content")?, id) {
            (Some(sealed), _) if !Seal::Reasoning.is_mine(sealed) => {
                let shown: String = sealed.chars().take(8).collect();
                let text = format!(
                    "The encrypted content {shown}... could not be verified. Reason: Encrypted content could not be decrypted or parsed."
                );
                return Err(Refusal::bad(text).code("invalid_encrypted_content"));
            }
            (Some(_), _) => {}
            (None, Some(id)) if self.memory.knows_item(id) => {}
            (None, Some(id)) => return Err(not_found(id)),
            (None, None) => return Err(Refusal::missing(&format!("{at}.id"))),
        }
        self.leading = Some(id.unwrap_or("").to_owned());
        self.assistant_goes_on();
        Ok(())
    }

    fn reference(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        check_fields(fields, &["type", "id"], at)?;
        let id = text(fields, "id")?.ok_or_else(|| Refusal::missing(&format!("{at}.id")))?;
        if !self.memory.knows_item(id) {
            return Err(not_found(id));
        }
        self.leading = None;
        Ok(())
    }

    /// Calls and reasoning belong to the assistant's turn.
    fn assistant_goes_on(&mut self) {
        if self.turns.last().is_none_or(|turn| turn.role != "assistant") {
            self.turns.push(Turn { role: "assistant", ..Turn::default() });
        }
    }

    /// Reasoning is followed by what it led to.
    fn followed(&mut self) -> Result<(), Refusal> {
        match self.leading.take() {
            Some(id) => {
                let text = format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
                Err(Refusal::bad(text).param("input"))
            }
            None => Ok(()),
        }
    }
}

const INPUT_PARTS: &[&str] = &["input_text", "input_image", "input_file"];

fn read_parts(parts: &[Value], kinds: &[&str], at: &str, turn: &mut Turn) -> Result<(), Refusal> {
    let mut texts = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let at = format!("{at}[{place}]");
        let fields = object(part, &at)?;
        let kind = text(fields, "type")?.ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
        match kind {
            other if !kinds.contains(&other) => return Err(unsupported(&at, other, kinds)),
            "input_image" => {
                check_fields(fields, &["type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"], &at)?;
                if let Some(detail) = given(fields, "detail") {
                    word(detail, &format!("{at}.detail"), &["low", "high", "auto", "original"])?;
                }
                match text(fields, "image_url")? {
                    Some(url) => turn.media.push(image(url, &format!("{at}.image_url"))?),
                    None => turn.media.push(file(fields, &at)?),
                }
            }
            "input_file" => {
                check_fields(
                    fields,
                    &["type", "file_data", "file_id", "file_url", "filename", "detail", "prompt_cache_breakpoint"],
                    &at,
                )?;
                turn.media.push(file(fields, &at)?);
            }
            _ => {
                let name = if kind == "refusal" { "refusal" } else { "text" };
                check_fields(fields, &["type", name, "annotations", "logprobs", "prompt_cache_breakpoint"], &at)?;
                texts.push(text(fields, name)?.ok_or_else(|| Refusal::missing(&format!("{at}.{name}")))?);
            }
        }
    }
    turn.text = texts.join(" ");
    Ok(())
}

fn call_id<'a>(fields: &'a Map<String, Value>, at: &str) -> Result<&'a str, Refusal> {
    let at = format!("{at}.call_id");
    let id = text(fields, "call_id")?.ok_or_else(|| Refusal::missing(&at))?;
    check_length(id, 64, &at)?;
    Ok(id)
}

/// An item's own id starts with the letters of its kind.
fn check_id(fields: &Map<String, Value>, prefix: &str, at: &str) -> Result<(), Refusal> {
    let Some(id) = text(fields, "id")?.filter(|id| !id.starts_with(prefix)) else { return Ok(()) };
    let at = format!("{at}.id");
    let text = format!("Invalid '{at}': '{id}'. Expected an ID that begins with '{prefix}'.");
    Err(Refusal::bad(text).param(&at).code("invalid_value"))
}

fn check_fields(fields: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Refusal> {
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(unknown_field(&format!("{at}.{name}"))))
}

pub(super) fn unknown_field(at: &str) -> Refusal {
    Refusal::bad(format!("Unknown parameter: '{at}'.")).param(at).code("unknown_parameter")
}

fn not_found(id: &str) -> Refusal {
    let text = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. \
         Try again with `store` set to true, or remove this item from your input."
    );
    Refusal::new(404, text).param("input")
}
