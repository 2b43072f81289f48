//! An answer as a caller of Gemini expects it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::{finish, grounding, logprobs, part, signature, usage};
use crate::codec::Asked;
use crate::ir::{Block, Choice, Family, Response, Signature};

/// Writes a whole answer, `application/json`.
pub fn write(response: &Response, asked: &mut Asked) -> Bytes {
    let candidates: Vec<Value> = response.choices.iter().map(|choice| candidate_of(choice, asked)).collect();
    let usage = response.usage.as_ref().map(usage::write);
    let id = if response.id.is_empty() { asked.ids.make("") } else { response.id.clone() };
    Bytes::from(envelope(candidates, usage, &asked.model, &id).to_string())
}

/// A `GenerateContentResponse`.
pub(in super::super) fn envelope(candidates: Vec<Value>, usage: Option<Value>, model: &str, id: &str) -> Value {
    let mut answer = part::one("candidates", Value::Array(candidates));
    if let Some(usage) = usage {
        answer.insert("usageMetadata".to_owned(), usage);
    }
    answer.insert("modelVersion".to_owned(), json!(model));
    answer.insert("responseId".to_owned(), json!(id));
    Value::Object(answer)
}

/// A candidate, of which the finish is left out while it goes on. Without parts the field is absent: an empty list is an error to
/// some clients.
pub(in super::super) fn candidate(index: u32, parts: Vec<Value>, finish: Option<&str>) -> Map<String, Value> {
    let mut content = Map::new();
    if !parts.is_empty() {
        content.insert("parts".to_owned(), Value::Array(parts));
    }
    content.insert("role".to_owned(), json!("model"));
    let mut candidate = part::one("content", Value::Object(content));
    if let Some(word) = finish {
        candidate.insert("finishReason".to_owned(), json!(word));
    }
    candidate.insert("index".to_owned(), json!(index));
    candidate
}

/// State of a reasoning that is not shown. Claude's is worth nothing without the text.
pub(in super::super) fn hidden_state(signature: Option<&Signature>, asked: &Asked) -> Option<Value> {
    let signature = signature.filter(|signature| signature.family != Family::Anthropic)?;
    Some(state(signature, asked))
}

/// A part that is a signature and nothing else.
pub(in super::super) fn state(signature: &Signature, asked: &Asked) -> Value {
    part::signed(Map::new(), Some(signature::write(signature, &asked.sealer)))
}

fn candidate_of(choice: &Choice, asked: &Asked) -> Value {
    let mut parts = Vec::new();
    let mut cited = Vec::new();
    for block in &choice.blocks {
        if let Block::Text { text, citations, .. } = block {
            cited.extend(citations.iter().map(|citation| (citation, Some((text.as_str(), parts.len())))));
        }
        parts.extend(part_of(block, asked));
    }
    let word = finish::write(choice.finish.as_ref());
    let mut candidate = candidate(choice.index, parts, Some(word));
    if let Some(result) = logprobs::write(&choice.logprobs) {
        candidate.insert("logprobsResult".to_owned(), result);
    }
    if let Some(grounding) = grounding::write(cited.into_iter()) {
        candidate.insert("groundingMetadata".to_owned(), grounding);
    }
    Value::Object(candidate)
}

/// The part of a block; `None` for what callers have no use for.
pub(in super::super) fn part_of(block: &Block, asked: &Asked) -> Option<Value> {
    let wire = |signature: &Option<Signature>| signature.as_ref().map(|signature| signature::write(signature, &asked.sealer));
    match block {
        Block::Text { text, signature, .. } => Some(part::signed(part::text(text), wire(signature))),
        Block::Thinking { text, signature } if asked.shows_reasoning => Some(part::signed(part::thought(text), wire(signature))),
        Block::Thinking { signature, .. } => hidden_state(signature.as_ref(), asked),
        Block::Redacted { signature } => Some(state(signature, asked)),
        Block::ToolCall { id, name, arguments, signature, .. } => {
            let call = json!({"id": id, "name": name, "args": part::arguments(arguments)});
            Some(part::signed(part::one("functionCall", call), wire(signature)))
        }
        Block::Media { source, .. } => part::medium(source).map(Value::Object),
        Block::Refusal { text } => Some(Value::Object(part::text(text))),
        Block::Native { family: Family::Google, raw } => Some(raw.clone()),
        Block::Native { .. } | Block::ToolResult { .. } => None,
    }
}
