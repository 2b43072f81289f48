//! `POST /v1/edits`: older than chat, and served by it. For callers alone: nobody has this interface any more.
//!
//! A text and what is to be done with it become a conversation of two messages; each answer of the model's is the text of a choice.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::chat;
use crate::codec::Asked;
use crate::ir::{Block, Request, Response, Role, Turn};
use crate::node::{BodyError, Node, Rule};
use crate::openai::MAX_CHOICES;

/// What a model is told beside the caller's instruction: it would comment on its work otherwise.
const MANNER: &str = "Answer with the changed text and nothing else.";

/// Reads a caller's body.
///
/// # Errors
/// When a field that is known is missing or wrong.
pub(crate) fn read(body: &Value) -> Result<Request, BodyError> {
    let root = Node::root(body);
    root.object()?;
    let mut request = Request { model: root.need("model")?.text()?.to_owned(), ..Request::default() };
    let instruction = root.need("instruction")?;
    let said = instruction.text()?;
    if said.trim().is_empty() {
        return Err(instruction.broken(Rule::Empty));
    }
    let text = root.get("input").map(|it| it.text()).transpose()?.unwrap_or_default();
    let (system, user) = if text.is_empty() { (MANNER.to_owned(), said) } else { (format!("{said}\n\n{MANNER}"), text) };
    request.system.push(Block::text(system));
    request.turns.push(Turn { role: Role::User, blocks: vec![Block::text(user.to_owned())] });
    request.choices = root.get("n").map(|it| it.count(1, MAX_CHOICES)).transpose()?;
    request.temperature = root.get("temperature").map(|it| it.number(0.0, 2.0)).transpose()?;
    request.top_p = root.get("top_p").map(|it| it.number(0.0, 1.0)).transpose()?;
    Ok(request)
}

/// Writes an answer for a caller.
pub(crate) fn write(response: &Response, asked: &Asked) -> Bytes {
    let choices: Vec<Value> =
        response.choices.iter().map(|choice| json!({"text": text_of(&choice.blocks), "index": choice.index})).collect();
    let mut body = Map::new();
    body.insert("object".to_owned(), "edit".into());
    body.insert("created".to_owned(), response.created.unwrap_or(asked.created).into());
    body.insert("choices".to_owned(), choices.into());
    if let Some(usage) = &response.usage {
        body.insert("usage".to_owned(), chat::usage::write(usage));
    }
    Bytes::from(Value::Object(body).to_string())
}

fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match block {
        Block::Text { text, .. } | Block::Refusal { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_a_conversation_of_text_and_instruction() {
        let body = json!({"model": "m", "input": "teh cat", "instruction": "Fix the spelling.", "n": 2, "temperature": 0.5});
        let request = read(&body).unwrap();
        assert_eq!(request.system, [Block::text(format!("Fix the spelling.\n\n{MANNER}"))]);
        assert_eq!(request.turns, [Turn { role: Role::User, blocks: vec![Block::text("teh cat".to_owned())] }]);
        assert_eq!((request.choices, request.temperature), (Some(2), Some(0.5)));
    }

    #[test]
    fn an_instruction_alone_is_what_the_user_says() {
        let request = read(&json!({"model": "m", "instruction": "Write a haiku."})).unwrap();
        assert_eq!(request.turns[0].blocks, [Block::text("Write a haiku.".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, said) in [
            (json!({"model": "m", "input": "x"}), "`instruction` is required"),
            (json!({"model": "m", "instruction": " "}), "`instruction` must not be empty"),
            (json!({"model": "m", "instruction": ["x"]}), "`instruction`: expected a string, got an array"),
            (json!({"model": "m", "instruction": "x", "input": 1}), "`input`: expected a string, got a number"),
            (json!({"model": "m", "instruction": "x", "n": 0}), "`n` must be from 1 to 128"),
            (json!({"model": "m", "instruction": "x", "temperature": 3}), "`temperature` must be from 0 to 2"),
        ] {
            assert_eq!(read(&body).unwrap_err().to_string(), said, "{body}");
        }
    }
}
