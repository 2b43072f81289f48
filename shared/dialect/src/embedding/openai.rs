//! `POST /v1/embeddings` (<https://platform.openai.com/docs/api-reference/embeddings>).

use serde_json::{Map, Value};

use super::{Input, Wish};
use crate::json::Shape;
use crate::loss::{Field, Losses, Unsupported};
use crate::node::{BodyError, Node, Rule};

const INPUTS: &str = "a string, or an array of strings or of token ids";

/// Reads a caller's body.
pub(super) fn read(root: &Node<'_>) -> Result<Wish, BodyError> {
    let mut wish = Wish { inputs: inputs(&root.need("input")?)?, ..Wish::default() };
    wish.dimensions = root.get("dimensions").map(|it| it.count(1, u32::MAX)).transpose()?;
    let formats = [("float", false), ("base64", true)];
    let format = root.get("encoding_format").map(|it| it.word(&formats, "float, base64")).transpose()?;
    wish.is_base64 = format.unwrap_or(false);
    if root.get("user").is_some() {
        wish.advice.push("user");
    }
    Ok(wish)
}

fn inputs(input: &Node<'_>) -> Result<Vec<Input>, BodyError> {
    if let Shape::String = input.shape() {
        return Ok(vec![Input::Text(input.text()?.to_owned())]);
    }
    let items = input.items().map_err(|_| input.wrong(INPUTS))?;
    if items.len() == 0 {
        return Err(input.broken(Rule::Empty));
    }
    if input.value().get(0).is_some_and(Value::is_number) {
        return Ok(vec![tokens(input)?]);
    }
    let input_of = |item: Node<'_>| match item.shape() {
        Shape::String => Ok(Input::Text(item.text()?.to_owned())),
        Shape::Array => tokens(&item),
        _ => Err(item.wrong("a string or an array of token ids")),
    };
    items.map(input_of).collect()
}

fn tokens(list: &Node<'_>) -> Result<Input, BodyError> {
    let mut count = 0_u32;
    for id in list.items()? {
        id.count(0, u32::MAX)?;
        count = count.saturating_add(1);
    }
    if count == 0 {
        return Err(list.broken(Rule::Empty));
    }
    Ok(Input::Tokens(count))
}

/// Writes a body for an upstream. A single text is sent as one.
pub(super) fn write(wish: &Wish, model: &str, losses: &mut Losses<'_>) -> Result<Map<String, Value>, Unsupported> {
    for path in &wish.advice {
        losses.drop(Field::Native(path))?;
    }
    if wish.has_mixed_dimensions {
        let reason = "must be the same in every request: the provider of this model makes vectors of one length at a time";
        losses.reject_because(Field::Native("requests.outputDimensionality"), reason)?;
    }
    let mut texts = Vec::with_capacity(wish.inputs.len());
    for input in &wish.inputs {
        match input {
            Input::Text(text) => texts.push(Value::from(text.as_str())),
            Input::Tokens(_) => losses.reject(Field::Native("input"))?,
            Input::Media(text) => {
                losses.reject_because(Field::Native("content.parts"), "must be text alone for the provider of this model")?;
                texts.push(Value::from(text.as_str()));
            }
        }
    }
    let input = if texts.len() == 1 { texts.remove(0) } else { Value::Array(texts) };
    let mut body = Map::from_iter([("model".to_owned(), Value::from(model)), ("input".to_owned(), input)]);
    if let Some(dimensions) = wish.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    Ok(body)
}
