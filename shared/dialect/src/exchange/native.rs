//! The few edits a body takes on its way to an upstream of its own dialect: the model's name, and a lower limit of output. Every other byte
//! stays as it came.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::passage::Way;
use super::request::doubled;
use crate::ir::{self, ReasoningMode};
use crate::json::{self, Document, Edit};
use crate::openai::Facts;
use crate::surface::Surface;

/// The least limit of output that Responses takes, in tokens.
const LEAST_RESPONSES_OUTPUT: u32 = 16;
/// The least budget of thinking that Messages takes, in tokens.
const LEAST_BUDGET: u32 = 1_024;

/// The body for the upstream; the very same bytes when nothing changes.
pub(super) fn body(surface: Surface, document: &Document, facts: &Facts, meaning: Option<&ir::Request>, way: &Way<'_>) -> Bytes {
    let mut edit = document.edit();
    // written twice, only the last reaches the upstream: it must not read another one than we did
    for name in doubled(document) {
        edit.set(name, document.get(name).unwrap_or_default());
    }
    let is_in_body = surface != Surface::GenerateContent;
    if is_in_body && way.model != facts.model.as_str() {
        edit.set("model", json::quoted(way.model));
    }
    if let Some(limit) = way.output_limit.filter(|limit| facts.max_output.is_none_or(|own| own > *limit)) {
        lower(&mut edit, surface, document, meaning, limit);
    }
    edit.finish()
}

fn lower<'d>(edit: &mut Edit<'d>, surface: Surface, document: &'d Document, meaning: Option<&ir::Request>, limit: u32) {
    match surface {
        Surface::Responses => edit.set("max_output_tokens", limit.max(LEAST_RESPONSES_OUTPUT).to_string()),
        Surface::Messages => {
            edit.set("max_tokens", limit.to_string());
            let thinks = meaning.map(|meaning| meaning.reasoning).filter(|reasoning| reasoning.mode == ReasoningMode::On);
            if thinks.and_then(|reasoning| reasoning.budget).is_some_and(|budget| budget >= limit) {
                edit.set("thinking", thinking_within(document, limit));
            }
        }
        Surface::GenerateContent => {
            let (name, field) = [("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")]
                .into_iter()
                .find(|(name, _)| document.get_some(name).is_some())
                .unwrap_or(("generationConfig", "maxOutputTokens"));
            let mut config = object(document, name);
            config.retain(|field, _| !matches!(field.as_str(), "maxOutputTokens" | "max_output_tokens"));
            config.insert(field.to_owned(), limit.into());
            edit.set(name, Value::Object(config).to_string());
        }
        Surface::ChatCompletions | Surface::Completions | Surface::Embeddings | Surface::Vendor(_) => {}
    }
}

/// The wish to think, with a budget below the limit; without it where none is left.
fn thinking_within(document: &Document, limit: u32) -> String {
    if limit <= LEAST_BUDGET {
        return r#"{"type":"disabled"}"#.to_owned();
    }
    let mut thinking = object(document, "thinking");
    thinking.insert("budget_tokens".to_owned(), (limit - 1).into());
    Value::Object(thinking).to_string()
}

fn object(document: &Document, name: &str) -> Map<String, Value> {
    document.get_some(name).and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default()
}

/// Takes over what stands at a path (`generationConfig.imageConfig`) of the caller's body.
pub(super) fn keep(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &str) {
    let Some((name, rest)) = path.split_once('.') else {
        if let Some(value) = from.get(path)
            && !to.contains_key(path)
        {
            to.insert(path.to_owned(), value.clone());
        }
        return;
    };
    let Some(from) = from.get(name).and_then(Value::as_object) else { return };
    if let Some(to) = to.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
        keep(from, to, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_only_one_dialect_has_is_kept_at_its_place() {
        let from = fields(&json!({"container": "c", "generationConfig": {"imageConfig": {"a": 1}, "topP": 1}}));
        let mut to = fields(&json!({"generationConfig": {"topP": 0.5}}));
        for path in ["container", "generationConfig.imageConfig", "absent.x"] {
            keep(&from, &mut to, path);
        }
        assert_eq!(Value::Object(to), json!({"container": "c", "generationConfig": {"topP": 0.5, "imageConfig": {"a": 1}}}));
    }
}
