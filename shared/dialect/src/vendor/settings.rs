//! Small pieces of bodies and answers that vendors have in common.

use serde_json::{Map, Value};
use sluice_domain::Usage;

use crate::ir::{Block, Choice, Finish, Response};

pub(super) type Body = Map<String, Value>;

/// Puts a value where there is one.
pub(super) fn put(body: &mut Body, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// Puts an object where it holds something.
pub(super) fn put_object(body: &mut Body, name: &str, object: Body) {
    if !object.is_empty() {
        body.insert(name.to_owned(), Value::Object(object));
    }
}

/// A text at a JSON pointer; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What was consumed, by places of input and output. `None`: nothing, or nothing that can be true.
pub(super) fn usage(report: &Value, input: &str, output: &str) -> Option<Usage> {
    let count = |pointer| report.pointer(pointer).and_then(counted).unwrap_or(0);
    let usage = Usage { input: count(input), output: count(output), ..Usage::default() };
    (usage.is_plausible() && !usage.is_empty()).then_some(usage)
}

/// A count: whole, or written with a fraction of zero.
fn counted(value: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is no count is left out before"
    )]
    value.as_u64().or_else(|| value.as_f64().filter(|count| *count >= 0.0 && count.fract() == 0.0).map(|count| count as u64))
}

/// Moves a part of the input that was read from a cache into its class.
pub(super) fn with_cached(usage: Option<Usage>, cached: Option<&Value>) -> Option<Usage> {
    let cached = cached.and_then(Value::as_u64).unwrap_or(0);
    usage.map(|usage| {
        let cache_read = cached.min(usage.input);
        Usage { input: usage.input - cache_read, cache_read, ..usage }
    })
}

/// Says how much of the output was reasoning.
pub(super) fn with_reasoning(usage: Option<Usage>, reasoning: Option<&Value>) -> Option<Usage> {
    let reasoning = reasoning.and_then(Value::as_u64).unwrap_or(0);
    usage.map(|usage| Usage { reasoning: reasoning.min(usage.output), ..usage })
}

/// A response of one answer.
pub(super) fn one(id: &str, model: &str, blocks: Vec<Block>, finish: Finish, usage: Option<Usage>) -> Response {
    let has_calls = blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    let finish = Some(finish.with_calls(has_calls));
    let choice = Choice { index: 0, blocks, finish, ..Choice::default() };
    Response { id: id.to_owned(), model: model.to_owned(), choices: vec![choice], usage, ..Response::default() }
}

/// Reasoning and text, as far as there are any.
pub(super) fn said(thinking: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !thinking.is_empty() {
        blocks.push(Block::Thinking { text: thinking.to_owned(), signature: None });
    }
    if !text.is_empty() {
        blocks.push(Block::text(text));
    }
    blocks
}
