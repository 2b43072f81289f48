//! A whole answer for a caller.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::codec::Asked;
use crate::ir::{Arguments, Block, Choice, Family, Finish, MediaKind, Response, Signature, Source};
use crate::media;
use crate::messages::{citation, finish, of_block_before, raw_arguments, usage};
use crate::signature::Sealer;

#[cfg(test)]
mod tests;

/// Writes an answer: its first choice, the dialect knows no others.
pub fn write(response: &Response, asked: &mut Asked) -> Bytes {
    let none = Choice::default();
    let choice = response.choices.first().unwrap_or(&none);
    let mut content = Vec::new();
    for block in &choice.blocks {
        write_block(block, asked, &mut content);
    }
    let has_calls = choice.blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    let mut usage = usage::write(response.usage.as_ref());
    usage.extend(response.service_tier.as_deref().and_then(service_tier).map(|tier| ("service_tier".to_owned(), tier.into())));
    let answer = json!({
        "id": message_id(&response.id, asked),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": finish::write(choice.finish.as_ref(), has_calls),
        "stop_sequence": stop_sequence(choice.finish.as_ref(), choice.stop_sequence.as_deref()),
        "usage": usage,
    });
    answer.to_string().into()
}

/// The provider's id where it is one of this dialect, else a new one.
pub(in crate::messages) fn message_id(own: &str, asked: &mut Asked) -> String {
    if own.starts_with("msg_") { own.to_owned() } else { asked.ids.make("msg_") }
}

/// The text that ended an answer, told only where it did.
pub(in crate::messages) fn stop_sequence<'f>(finish: Option<&Finish>, text: Option<&'f str>) -> Option<&'f str> {
    text.filter(|_| finish == Some(&Finish::StopSequence))
}

/// What callers see as the signature of thinking: there always is one.
pub(in crate::messages) fn thinking_signature(signature: Option<&Signature>, sealer: &Sealer) -> String {
    let none = || Signature { family: Family::Compatible, account: None, item: None, value: String::new() };
    signature.map_or_else(|| sealer.seal(&none()), |signature| sealer.wire(signature, Family::Anthropic))
}

/// A block of state that only its provider can read.
pub(in crate::messages) fn redacted(signature: &Signature, sealer: &Sealer) -> Value {
    json!({"type": "redacted_thinking", "data": sealer.wire(signature, Family::Anthropic)})
}

/// State of the text or call before it, which has no place of its own there. A value of the same family could not be told from
/// reasoning, so it is always sealed.
pub(in crate::messages) fn state_of_block(signature: &Signature, sealer: &Sealer) -> Value {
    json!({"type": "redacted_thinking", "data": sealer.seal(&of_block_before(signature))})
}

/// A picture as Markdown: answers of this dialect hold no media. Sounds and films have no such form.
pub(in crate::messages) fn markdown(block: &Block) -> Option<String> {
    let Block::Media { kind: MediaKind::Image, source, .. } = block else { return None };
    match source {
        Source::Inline { mime, data } => Some(format!("![image]({})", media::to_data_url(mime, data))),
        Source::Url { url, .. } => Some(format!("![image]({url})")),
        Source::File { .. } | Source::Text(_) => None,
    }
}

fn write_block(block: &Block, asked: &Asked, out: &mut Vec<Value>) {
    let (shows, sealer) = (asked.shows_reasoning, &asked.sealer);
    match block {
        Block::Text { text, citations, signature, .. } => {
            if !text.is_empty() {
                out.push(text_block(text, citations));
            }
            out.extend(signature.as_ref().filter(|_| shows && !text.is_empty()).map(|it| state_of_block(it, sealer)));
        }
        Block::Refusal { text } if !text.is_empty() => out.push(text_block(text, &[])),
        Block::Thinking { text, signature } if shows && (!text.is_empty() || signature.is_some()) => {
            let signature = thinking_signature(signature.as_ref(), sealer);
            out.push(json!({"type": "thinking", "thinking": text, "signature": signature}));
        }
        Block::Redacted { signature } if shows => out.push(redacted(signature, sealer)),
        Block::ToolCall { id, name, arguments, signature, .. } => {
            let input = match arguments {
                Arguments::Object(input) => Value::Object(input.clone()),
                Arguments::Raw(text) => raw_arguments(text),
            };
            out.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            out.extend(signature.as_ref().filter(|_| shows).map(|it| state_of_block(it, sealer)));
        }
        Block::Media { .. } => out.extend(markdown(block).map(|text| text_block(&text, &[]))),
        Block::Refusal { .. }
        | Block::Thinking { .. }
        | Block::Redacted { .. }
        | Block::ToolResult { .. }
        | Block::Native { .. } => {}
    }
}

fn text_block(text: &str, citations: &[Value]) -> Value {
    let mut block = Map::from_iter([("type".to_owned(), "text".into()), ("text".to_owned(), text.into())]);
    let citations: Vec<Value> = citations.iter().filter_map(citation::write).collect();
    if !citations.is_empty() {
        block.insert("citations".to_owned(), citations.into());
    }
    Value::Object(block)
}

/// The tier in this dialect's words, where it has one.
fn service_tier(word: &str) -> Option<&'static str> {
    match word {
        "default" | "standard" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}
