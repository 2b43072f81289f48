//! `:embedContent` and `:batchEmbedContents` (<https://ai.google.dev/api/embeddings>).

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Form, Input, Wish};
use crate::gemini::spelling::{count, field, need};
use crate::json::{self, Document};
use crate::loss::{Field, Losses, Unsupported};
use crate::node::{BodyError, Node, Rule};

/// The most texts of one request.
const MAX_BATCH: usize = 100;
/// Models whose vectors have one length.
const FIXED_LENGTH: [&str; 2] = ["embedding-001", "embedding-gecko-001"];
/// Advice to the model, and its path in a batch.
const ADVICE: [(&str, &str); 2] = [("taskType", "requests.taskType"), ("title", "requests.title")];
const CONFIG: &str = "embedContentConfig";

/// The model without what Google writes before it.
pub(super) fn bare_model(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// Reads a caller's body. `model` is that of the address.
pub(super) fn read(form: Form, root: &Node<'_>, model: &str) -> Result<Wish, BodyError> {
    root.object()?;
    let mut wish = Wish::default();
    if form != Form::Batch {
        one(root, model, form, &mut wish)?;
        return Ok(wish);
    }
    let requests = need(root, "requests")?;
    let items = requests.items()?;
    if items.len() == 0 {
        return Err(requests.broken(Rule::Empty));
    }
    for request in items {
        request.object()?;
        one(&request, model, form, &mut wish)?;
    }
    Ok(wish)
}

fn one(request: &Node<'_>, model: &str, form: Form, wish: &mut Wish) -> Result<(), BodyError> {
    if let Some(named) = field(request, "model")
        && bare_model(named.text()?) != model
    {
        return Err(named.broken(Rule::Other(" must be the model of the address, as `models/…`")));
    }
    let input = content(&need(request, "content")?)?;
    let config = field(request, CONFIG);
    if let Some(config) = &config {
        config.object()?;
    }
    let found = field(request, "outputDimensionality");
    let nested = config.as_ref().and_then(|config| field(config, "outputDimensionality"));
    let dimensions = found.or(nested).map(|it| count(&it, 1)).transpose()?;
    wish.has_mixed_dimensions |= !wish.inputs.is_empty() && wish.dimensions != dimensions;
    wish.dimensions = wish.dimensions.or(dimensions);
    wish.inputs.push(input);
    for (name, in_batch) in ADVICE {
        let is_there = field(request, name).is_some() || config.as_ref().is_some_and(|config| field(config, name).is_some());
        let path = if form == Form::Batch { in_batch } else { name };
        if is_there && !wish.advice.contains(&path) {
            wish.advice.push(path);
        }
    }
    Ok(())
}

/// The texts of a content, one after the other.
fn content(content: &Node<'_>) -> Result<Input, BodyError> {
    content.object()?;
    let parts = need(content, "parts")?;
    let items = parts.items()?;
    if items.len() == 0 {
        return Err(parts.broken(Rule::Empty));
    }
    let (mut texts, mut is_text) = (Vec::new(), true);
    for part in items {
        part.object()?;
        match part.get("text") {
            Some(text) => texts.push(text.text()?.to_owned()),
            None => is_text = false,
        }
    }
    let joined = texts.join("\n");
    Ok(if is_text { Input::Text(joined) } else { Input::Media(joined) })
}

/// Writes a batch for an upstream.
pub(super) fn write(wish: &Wish, model: &str, losses: &mut Losses<'_>) -> Result<Map<String, Value>, Unsupported> {
    for path in &wish.advice {
        losses.drop(Field::Native(path))?;
    }
    let mut dimensions = wish.dimensions;
    if dimensions.is_some() && FIXED_LENGTH.contains(&model) {
        losses.reject_because(Field::Native("dimensions"), "cannot be chosen with this model")?;
        dimensions = None;
    }
    if wish.inputs.len() > MAX_BATCH {
        let reason = "holds more than 100 texts, which is the most that one request to the provider of this model may have";
        losses.reject_because(Field::Native("input"), reason)?;
    }
    let name = format!("models/{model}");
    let mut requests = Vec::with_capacity(wish.inputs.len());
    for input in &wish.inputs {
        let text = match input {
            Input::Text(text) => text,
            Input::Media(text) => {
                losses.reject(Field::Native("content.parts"))?;
                text
            }
            Input::Tokens(_) => {
                let reason = "holds token ids, which the provider of this model cannot read: send the text";
                losses.reject_because(Field::Native("input"), reason)?;
                continue;
            }
        };
        let mut request = Map::from_iter([
            ("model".to_owned(), Value::from(name.as_str())),
            ("content".to_owned(), json!({"parts": [{"text": text}]})),
        ]);
        if let Some(dimensions) = dimensions {
            request.insert("outputDimensionality".to_owned(), dimensions.into());
        }
        requests.push(request);
    }
    Ok(Map::from_iter([("requests".to_owned(), requests.into_iter().map(Value::Object).collect())]))
}

/// A body with the upstream's name of the model wherever one stands. The very same bytes where it is that already.
pub(super) fn renamed(document: &Document, form: Form, model: &str) -> Bytes {
    let name = json::quoted(&format!("models/{model}"));
    if form != Form::Batch {
        return with_model(document, &name);
    }
    let Some(raw) = document.get_some("requests") else { return document.body().clone() };
    // it was read before, so it parses again
    let requests: Vec<&RawValue> = serde_json::from_slice(raw).unwrap_or_default();
    let mut is_changed = false;
    let mut list = vec![b'['];
    for request in requests {
        let Ok(request) = Document::parse(Bytes::copy_from_slice(request.get().as_bytes())) else {
            return document.body().clone();
        };
        let body = with_model(&request, &name);
        is_changed |= body != *request.body();
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend_from_slice(&body);
    }
    list.push(b']');
    let mut edit = document.edit();
    if is_changed {
        edit.set("requests", list);
    }
    edit.finish()
}

/// Google wants the model in the body, too.
fn with_model(document: &Document, name: &str) -> Bytes {
    let mut edit = document.edit();
    if document.get_some("model") != Some(name.as_bytes()) {
        edit.set("model", name.as_bytes());
    }
    edit.finish()
}
