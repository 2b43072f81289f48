//! An upstream's whole answer.

use serde_json::{Map, Value};

use crate::codec::{ANSWER_TOOL, AnswerError, Reading};
use crate::ir::{Arguments, Block, Choice, Finish, Response, Signature};
use crate::json;
use crate::messages::{SILENT, citation, finish, usage};

#[cfg(test)]
mod tests;

/// Reads an answer.
///
/// # Errors
/// When it is no JSON object, an error, or has no `content`.
pub fn read(body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
    let answer = serde_json::from_str::<Value>(&json::mended(body)).map_err(|_| AnswerError::NotJson)?;
    let answer = answer.as_object().ok_or(AnswerError::NotJson)?;
    if is_error(answer) {
        return Err(AnswerError::Reported);
    }
    let content = answer.get("content").and_then(Value::as_array).ok_or(AnswerError::Without("content"))?;
    let blocks: Vec<Block> = content.iter().filter_map(|block| read_block(block, reading)).collect();
    let word = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let usage = answer.get("usage");
    let choice = Choice {
        index: 0,
        finish: word("stop_reason").map(|word| of_calls(finish::read(&word), &blocks)),
        stop_sequence: word("stop_sequence"),
        blocks,
        logprobs: Vec::new(),
    };
    Ok(Response {
        id: word("id").unwrap_or_default(),
        created: None,
        model: word("model").unwrap_or_default(),
        choices: vec![choice],
        usage: usage.and_then(usage::read),
        service_tier: usage.and_then(|usage| usage.get("service_tier")?.as_str()).map(str::to_owned),
    })
}

/// Whether a body, or the data of an event, tells of an error.
pub(in crate::messages) fn is_error(answer: &Map<String, Value>) -> bool {
    let is_named = answer.get("type").is_some_and(|kind| kind == "error");
    is_named || (answer.get("error").is_some_and(|error| !error.is_null()) && !answer.contains_key("content"))
}

/// The end that fits the calls there are: a plain stop beside some is for them, and one for none (an answer by tool) is plain.
fn of_calls(finish: Finish, blocks: &[Block]) -> Finish {
    let has_calls = blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    if finish == Finish::Tool && !has_calls { Finish::Stop } else { finish.with_calls(has_calls) }
}

fn read_block(block: &Value, reading: &mut Reading) -> Option<Block> {
    let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
    match block.get("type")?.as_str()? {
        "text" if text("text").is_empty() => None,
        "text" => {
            let cited = block.get("citations").and_then(Value::as_array).into_iter().flatten();
            let citations = cited.filter_map(|it| citation::read(it, text("text").chars().count())).collect();
            Some(Block::Text { text: text("text").to_owned(), cache: None, citations, signature: None })
        }
        "thinking" => {
            let signed = Some(text("signature")).filter(|value| !value.is_empty());
            match (text("thinking"), signed) {
                ("", None) => None,
                ("", Some(value)) => Some(Block::Redacted { signature: signature(value, Some(SILENT), reading) }),
                (shown, signed) => {
                    let signature = signed.map(|value| signature(value, None, reading));
                    Some(Block::Thinking { text: shown.to_owned(), signature })
                }
            }
        }
        "redacted_thinking" => Some(Block::Redacted { signature: signature(text("data"), None, reading) }),
        "tool_use" => Some(call(block, reading)),
        _ => Some(Block::Native { family: reading.family, raw: block.clone() }),
    }
}

fn call(block: &Value, reading: &mut Reading) -> Block {
    let name = block.get("name").and_then(Value::as_str).unwrap_or_default();
    let input = block.get("input");
    if reading.answers_by_tool && name == ANSWER_TOOL {
        return Block::text(input.map(Value::to_string).unwrap_or_default());
    }
    let arguments = match input {
        Some(Value::Object(input)) => Arguments::Object(input.clone()),
        None | Some(Value::Null) => Arguments::Object(Map::new()),
        Some(other) => Arguments::Raw(other.as_str().map_or_else(|| other.to_string(), str::to_owned)),
    };
    let own = block.get("id").and_then(Value::as_str);
    let id = reading.ids.of_call(own, reading.client);
    Block::ToolCall { id, name: reading.names.restore(name).to_owned(), arguments, signature: None, cache: None }
}

/// State of the upstream's.
pub(in crate::messages) fn signature(value: &str, item: Option<&str>, reading: &Reading) -> Signature {
    let item = item.map(str::to_owned);
    Signature { family: reading.family, account: reading.account, item, value: value.to_owned() }
}
