//! An upstream's whole answer.

use serde_json::Value;

use crate::codec::{ANSWER_TOOL, AnswerError, Reading};
use crate::error::UpstreamError;
use crate::ir::{Arguments, Block, Choice, MediaKind, Response, Signature, Source, TokenLogprob};
use crate::json;
use crate::media;
use crate::responses::{arguments, finish, namespace, usage};

/// Reads the body of an answer.
///
/// # Errors
/// When it is no JSON object, reports an error, or has no output.
pub fn read(body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
    let answer: Value = serde_json::from_str(&json::mended(body)).map_err(|_| AnswerError::NotJson)?;
    if !answer.is_object() {
        return Err(AnswerError::NotJson);
    }
    let has_failed = answer.get("status").and_then(Value::as_str) == Some("failed");
    let reports = answer.get("error").is_some_and(|error| UpstreamError::is_reported(error.to_string().as_bytes()));
    if has_failed || reports {
        return Err(AnswerError::Reported);
    }
    let Some(output) = answer.get("output").and_then(Value::as_array) else { return Err(AnswerError::Without("output")) };

    let mut choice = Choice::default();
    for piece in output.iter().flat_map(|item| pieces(item, reading)) {
        match piece {
            Piece::Block(block) => choice.blocks.push(block),
            Piece::Answer(text) => choice.blocks.push(Block::text(text)),
        }
    }
    choice.logprobs = output.iter().flat_map(parts).flat_map(|part| logprobs(part.get("logprobs"))).collect();
    let has = |wanted: fn(&Block) -> bool| choice.blocks.iter().any(wanted);
    let has_refusal = has(|block| matches!(block, Block::Refusal { .. }));
    let has_calls = has(|block| matches!(block, Block::ToolCall { .. }));
    choice.finish = Some(finish::read(&answer, has_refusal).with_calls(has_calls));
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    Ok(Response {
        id: text("id").unwrap_or_default(),
        created: answer.get("created_at").and_then(seconds),
        model: text("model").unwrap_or_default(),
        choices: vec![choice],
        usage: usage::read(answer.get("usage")),
        service_tier: text("service_tier"),
    })
}

/// A time in whole seconds; some servers write a fraction.
pub(in crate::responses) fn seconds(time: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and a fraction of a second says nothing")]
    time.as_i64().or_else(|| time.as_f64().map(|seconds| seconds as i64))
}

/// What an item is in the IR.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::responses) enum Piece {
    /// A block.
    Block(Block),
    /// The arguments of [`ANSWER_TOOL`]: they are the answer.
    Answer(String),
}

/// The pieces of an item of `output`; none for what only its own family understands.
pub(in crate::responses) fn pieces(item: &Value, reading: &mut Reading) -> Vec<Piece> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "message" => parts(item).filter_map(part).map(Piece::Block).collect(),
        "reasoning" => reasoning(item, reading).map(Piece::Block).into_iter().collect(),
        "function_call" if reading.answers_by_tool && text("name") == ANSWER_TOOL => {
            vec![Piece::Answer(text("arguments").to_owned())]
        }
        "function_call" => vec![call(item, crate::arguments::parse(text("arguments")), reading)],
        "custom_tool_call" => vec![call(item, Arguments::Object(arguments::of_custom(text("input"))), reading)],
        "image_generation_call" => image(item).map(Piece::Block).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn parts(item: &Value) -> impl Iterator<Item = &Value> {
    let is_message = item.get("type").and_then(Value::as_str) == Some("message");
    item.get("content").and_then(Value::as_array).filter(|_| is_message).into_iter().flatten()
}

fn part(part: &Value) -> Option<Block> {
    let text = |name: &str| part.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    match part.get("type").and_then(Value::as_str) {
        Some("output_text" | "text") => {
            let citations = part.get("annotations").and_then(Value::as_array).cloned().unwrap_or_default();
            Some(Block::Text { text: text("text")?, cache: None, citations, signature: None })
        }
        Some("refusal") => Some(Block::Refusal { text: text("refusal")? }),
        _ => None,
    }
}

/// One item is one block: it has one proof, whatever the number of its parts.
fn reasoning(item: &Value, reading: &Reading) -> Option<Block> {
    let text = match texts(item, "content") {
        text if text.is_empty() => texts(item, "summary"),
        text => text,
    };
    let signature = signature(item, reading);
    if text.is_empty() {
        signature.map(|signature| Block::Redacted { signature })
    } else {
        Some(Block::Thinking { text, signature })
    }
}

/// The texts of a list of parts, a blank line between them.
fn texts(item: &Value, name: &str) -> String {
    let parts = item.get(name).and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect::<Vec<_>>().join("\n\n")
}

/// The proof of a reasoning item.
pub(in crate::responses) fn signature(item: &Value, reading: &Reading) -> Option<Signature> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    Some(Signature { family: reading.family, account: reading.account, item: text("id"), value: text("encrypted_content")? })
}

fn call(item: &Value, arguments: Arguments, reading: &mut Reading) -> Piece {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let id = reading.ids.of_call(text("call_id"), reading.client);
    let name = namespace::of_call(item);
    let name = reading.names.restore(&name).to_owned();
    Piece::Block(Block::ToolCall { id, name, arguments, signature: None, cache: None })
}

fn image(item: &Value) -> Option<Block> {
    let data = item.get("result").and_then(Value::as_str).and_then(media::decode).filter(|data| !data.is_empty())?;
    let said = item.get("output_format").and_then(Value::as_str);
    let mime = media::sniff(&data).map_or_else(|| format!("image/{}", said.unwrap_or("png")), ToOwned::to_owned);
    let source = Source::Inline { mime, data };
    Some(Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None })
}

/// Log probabilities of tokens, where they are given.
pub(in crate::responses) fn logprobs(list: Option<&Value>) -> Vec<TokenLogprob> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(|one| token(one, true)).collect()
}

fn token(one: &Value, has_top: bool) -> Option<TokenLogprob> {
    let token_text = one.get("token")?.as_str()?.to_owned();
    let byte = |byte: &Value| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
    let bytes = one.get("bytes").and_then(Value::as_array).map(|bytes| bytes.iter().filter_map(byte).collect::<Vec<u8>>());
    let top = one.get("top_logprobs").and_then(Value::as_array).filter(|_| has_top);
    Some(TokenLogprob {
        bytes: bytes.filter(|bytes| bytes != token_text.as_bytes()),
        token: token_text,
        logprob: one.get("logprob")?.as_f64()?,
        top: top.into_iter().flatten().filter_map(|one| token(one, false)).collect(),
    })
}
