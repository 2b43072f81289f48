//! An upstream's `GenerateContentResponse`.

use serde_json::Value;

use super::super::answer_part::{self, AnswerPart};
use super::super::{finish, grounding, logprobs, spelling, usage};
use crate::codec::{AnswerError, Reading};
use crate::error::UpstreamError;
use crate::ir::{Arguments, Block, Choice, Finish, Response};
use crate::json;

/// Reads a whole answer.
///
/// # Errors
/// When it is no answer: no JSON object, an error, or without candidates though the prompt was not blocked.
pub fn read(body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
    let answer: Value = serde_json::from_str(&json::mended(body)).map_err(|_| AnswerError::NotJson)?;
    // Google wraps what its array streams hold, errors too.
    let answer = answer.get(0).unwrap_or(&answer);
    if !answer.is_object() {
        return Err(AnswerError::NotJson);
    }
    if is_error(answer) {
        return Err(AnswerError::Reported);
    }
    let candidates = spelling::get(answer, "candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut choices: Vec<Choice> =
        candidates.iter().zip(0..).map(|(candidate, at)| read_choice(candidate, at, reading)).collect();
    if choices.is_empty() {
        let blocked = block_reason(answer).ok_or(AnswerError::Without("candidates"))?;
        choices.push(Choice { finish: Some(blocked), ..Choice::default() });
    }
    choices.sort_by_key(|choice| choice.index);
    let text = |name| spelling::get(answer, name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Response {
        id: text("responseId"),
        created: None,
        model: text("modelVersion"),
        choices,
        usage: spelling::get(answer, "usageMetadata").and_then(usage::read),
        service_tier: None,
    })
}

/// Whether an object is an error instead of an answer.
pub(in super::super) fn is_error(answer: &Value) -> bool {
    answer.get("error").is_some_and(|error| UpstreamError::is_reported(error.to_string().as_bytes()))
}

/// The finish of a prompt that was blocked; `None` when it was not.
pub(in super::super) fn block_reason(answer: &Value) -> Option<Finish> {
    let reason = spelling::get(spelling::get(answer, "promptFeedback")?, "blockReason")?.as_str()?;
    Some(Finish::Filter { detail: Some(reason.to_owned()) })
}

fn read_choice(candidate: &Value, at: u32, reading: &mut Reading) -> Choice {
    let mut blocks = Vec::new();
    let mut said = String::new();
    let parts = spelling::get(candidate, "content").and_then(|content| spelling::get(content, "parts"));
    for part in parts.and_then(Value::as_array).into_iter().flatten() {
        if let Some(part) = answer_part::read(part, reading) {
            if let AnswerPart::Text { text, .. } = &part {
                said.push_str(text);
            }
            push(part, &mut blocks);
        }
    }
    let last_text = blocks.iter_mut().rev().find_map(|block| match block {
        Block::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(citations) = last_text {
        *citations = grounding::read(candidate, &said);
    }
    let has_calls = blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    let finish = spelling::get(candidate, "finishReason").and_then(Value::as_str).map(finish::read);
    Choice {
        index: spelling::get(candidate, "index")
            .and_then(Value::as_u64)
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or(at),
        blocks,
        finish: finish.map(|finish| finish.with_calls(has_calls)),
        stop_sequence: None,
        logprobs: logprobs::read(candidate),
    }
}

/// A signature on an empty text belongs to the block before it.
fn push(part: AnswerPart, blocks: &mut Vec<Block>) {
    match part {
        AnswerPart::Text { text, signature: Some(own) } if text.is_empty() => match blocks.last_mut() {
            Some(
                Block::Text { signature: signature @ None, .. }
                | Block::Thinking { signature: signature @ None, .. }
                | Block::ToolCall { signature: signature @ None, .. },
            ) => *signature = Some(own),
            _ => blocks.push(Block::Redacted { signature: own }),
        },
        AnswerPart::Thought { text, signature: Some(signature) } if text.is_empty() => match blocks.last_mut() {
            Some(Block::Thinking { signature: open @ None, .. }) => *open = Some(signature),
            _ => blocks.push(Block::Redacted { signature }),
        },
        AnswerPart::Text { text, .. } | AnswerPart::Thought { text, .. } if text.is_empty() => {}
        AnswerPart::Text { text, signature } => {
            blocks.push(Block::Text { text, cache: None, citations: Vec::new(), signature });
        }
        AnswerPart::Thought { text, signature } => blocks.push(Block::Thinking { text, signature }),
        AnswerPart::Call { id, name, arguments, signature } => {
            blocks.push(Block::ToolCall { id, name, arguments: Arguments::Object(arguments), signature, cache: None });
        }
        AnswerPart::Medium(medium) => blocks.push(medium),
    }
}
