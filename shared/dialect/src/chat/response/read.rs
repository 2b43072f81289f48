//! An upstream's whole answer.

use serde_json::Value;

use crate::call_id::IdMaker;
use crate::chat::message::{self, Said};
use crate::chat::think::{Piece, Splitter};
use crate::chat::{arguments, details, finish, logprobs, usage};
use crate::codec::{ANSWER_TOOL, AnswerError, Reading};
use crate::error::UpstreamError;
use crate::ir::{Arguments, Block, Choice, Finish, Response};
use crate::json;

/// Reads an answer of `POST /v1/chat/completions`, of OpenAI or anyone who speaks its dialect.
///
/// # Errors
/// When the answer is no JSON object, reports an error, or has no choices.
pub fn read(body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
    let body: Value = serde_json::from_str(&json::mended(body)).map_err(|_| AnswerError::NotJson)?;
    if !body.is_object() {
        return Err(AnswerError::NotJson);
    }
    if body.get("error").is_some_and(|error| UpstreamError::is_reported(error.to_string().as_bytes())) {
        return Err(AnswerError::Reported);
    }
    let choices = body.get("choices").and_then(Value::as_array).filter(|choices| !choices.is_empty());
    let choices = choices.ok_or(AnswerError::Without("choices"))?;
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let in_choice = choices.iter().find_map(|choice| choice.get("usage"));
    Ok(Response {
        id: text("id"),
        created: body.get("created").and_then(Value::as_i64),
        model: text("model"),
        usage: usage::read(body.get("usage"), in_choice),
        service_tier: Some(text("service_tier")).filter(|tier| !tier.is_empty()),
        choices: (0..).zip(choices).map(|(position, wire)| choice(position, wire, reading)).collect(),
    })
}

fn choice(position: u32, wire: &Value, reading: &mut Reading) -> Choice {
    let mut blocks = Vec::new();
    if let Some(message) = wire.get("message") {
        let mut splitter = Splitter::default();
        for said in message::read(message, reading) {
            add(said, &mut splitter, &mut blocks);
        }
        calls(message, reading, &mut blocks);
    }
    let has_calls = blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    let has_refusal = blocks.iter().any(|block| matches!(block, Block::Refusal { .. }));
    let ending = finish::read(wire.get("finish_reason").and_then(Value::as_str));
    let ending = finish::settle(ending, has_calls, has_refusal);
    let stop_sequence = wire.get("stop_reason").and_then(Value::as_str).filter(|_| ending == Finish::Stop).map(str::to_owned);
    Choice {
        index: wire.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok()).unwrap_or(position),
        blocks,
        finish: Some(if stop_sequence.is_some() { Finish::StopSequence } else { ending }),
        stop_sequence,
        logprobs: logprobs::read(wire),
    }
}

fn add(said: Said, splitter: &mut Splitter, blocks: &mut Vec<Block>) {
    match said {
        Said::Thinking { text, signature } => {
            splitter.no_tags(&mut Vec::new());
            match blocks.last_mut() {
                Some(Block::Thinking { signature: open @ None, .. }) if text.is_empty() => *open = signature,
                _ => blocks.push(Block::Thinking { text, signature }),
            }
        }
        Said::Redacted(signature) => {
            splitter.no_tags(&mut Vec::new());
            blocks.push(Block::Redacted { signature });
        }
        Said::Content(text) => {
            let mut pieces = Vec::new();
            splitter.push(&text, &mut pieces);
            splitter.no_tags(&mut pieces);
            blocks.extend(pieces.into_iter().map(|piece| match piece {
                Piece::Thinking(text) => Block::Thinking { text, signature: None },
                Piece::Text(text) => Block::text(text),
            }));
        }
        Said::Signed(value) => {
            if let Some(Block::Text { signature, .. }) = blocks.last_mut() {
                *signature = Some(value);
            }
        }
        Said::Citation(citation) => {
            if let Some(Block::Text { citations, .. }) = blocks.last_mut() {
                citations.push(citation);
            }
        }
        Said::Refusal(text) => blocks.push(Block::Refusal { text }),
        Said::Media(block) => blocks.push(block),
    }
}

fn calls(message: &Value, reading: &mut Reading, blocks: &mut Vec<Block>) {
    let made = message.get("tool_calls").and_then(Value::as_array);
    blocks.extend(made.into_iter().flatten().filter_map(|made| call(made, reading)));
    if let Some(function) = message.get("function_call").filter(|function| function.is_object()) {
        blocks.extend(block(None, function, None, reading));
    }
}

fn call(made: &Value, reading: &mut Reading) -> Option<Block> {
    let id = made.get("id").and_then(Value::as_str);
    let signature = details::google_signature(made);
    if let Some(custom) = made.get("custom") {
        let arguments = Arguments::Object(arguments::custom(custom.get("input")?.as_str()?));
        let name = reading.names.restore(custom.get("name")?.as_str()?).to_owned();
        let id = own_id(id, reading);
        return Some(Block::ToolCall { id, name, arguments, signature: None, cache: None });
    }
    block(id, made.get("function")?, signature, reading)
}

fn block(id: Option<&str>, function: &Value, wire: Option<&str>, reading: &mut Reading) -> Option<Block> {
    let name = function.get("name")?.as_str().filter(|name| !name.is_empty())?;
    let written = function.get("arguments");
    if reading.answers_by_tool && name == ANSWER_TOOL {
        return Some(Block::text(
            written.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        ));
    }
    let name = reading.names.restore(name).to_owned();
    let signature = wire.map(|wire| message::signature(wire, None, reading));
    Some(Block::ToolCall { id: own_id(id, reading), name, arguments: crate::arguments::of(written), signature, cache: None })
}

fn own_id(id: Option<&str>, reading: &mut Reading) -> String {
    let ids: &mut IdMaker = &mut reading.ids;
    ids.of_call(id, reading.client)
}
