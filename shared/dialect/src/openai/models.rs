//! The model list, as callers see it and as providers answer it.

use bytes::Bytes;
use serde::Serialize;

/// Models taken over from one provider's list; later ones are ignored.
const MAX_MODELS: usize = 10_000;
/// The `created` of every model, in seconds since 1970 (relay-api.md §14).
const CREATED: u32 = 1_626_777_600;

/// What a caller sees of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelCard<'a> {
    /// The name it is called by.
    pub id: &'a str,
    /// Who made it; `custom` where nobody knows.
    pub owned_by: &'a str,
    /// Interfaces it can be called through, for instance `openai`, `embeddings`.
    pub endpoint_types: &'a [&'a str],
}

/// The answer of `GET /v1/models`.
#[must_use]
pub fn render_model_list<'a>(cards: impl IntoIterator<Item = ModelCard<'a>>) -> Bytes {
    let data: Vec<_> = cards.into_iter().map(Card::from).collect();
    json(&List { object: "list", success: true, data })
}

/// The answer of `GET /v1/models/{id}`.
#[must_use]
pub fn render_model(card: ModelCard<'_>) -> Bytes {
    json(&Card::from(card))
}

/// The names in a provider's list, in its order; `None` when it is no such list. At most 10,000 are read.
#[must_use]
pub fn parse_model_list(body: &[u8]) -> Option<Vec<String>> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let entries = value.get("data").unwrap_or(&value).as_array()?;
    let name = |entry: &serde_json::Value| {
        let id = entry.get("id").or_else(|| entry.get("name")).unwrap_or(entry);
        id.as_str().map(str::to_owned)
    };
    Some(entries.iter().filter_map(name).take(MAX_MODELS).collect())
}

/// Plain structures of text and numbers always serialise; an empty object stands in for what cannot happen.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map_or(Bytes::from_static(b"{}"), Bytes::from)
}

#[derive(Serialize)]
struct List<'a> {
    object: &'a str,
    success: bool,
    data: Vec<Card<'a>>,
}

#[derive(Serialize)]
struct Card<'a> {
    id: &'a str,
    object: &'a str,
    created: u32,
    owned_by: &'a str,
    supported_endpoint_types: &'a [&'a str],
}

impl<'a> From<ModelCard<'a>> for Card<'a> {
    fn from(card: ModelCard<'a>) -> Self {
        let ModelCard { id, owned_by, endpoint_types } = card;
        Self { id, object: "model", created: CREATED, owned_by, supported_endpoint_types: endpoint_types }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_items_have_the_familys_shape() {
        let card = ModelCard { id: "gpt-4o", owned_by: "openai", endpoint_types: &["openai"] };
        let item =
            r#"{"id":"gpt-4o","object":"model","created":1626777600,"owned_by":"openai","supported_endpoint_types":["openai"]}"#;
        assert_eq!(render_model(card), item);
        assert_eq!(render_model_list([card]), format!(r#"{{"object":"list","success":true,"data":[{item}]}}"#));
        assert_eq!(render_model_list([]), r#"{"object":"list","success":true,"data":[]}"#);
    }

    #[test]
    fn names_are_read_from_lists_of_objects_and_of_names() {
        let names = |body: &str| parse_model_list(body.as_bytes());
        assert_eq!(names(r#"{"object":"list","data":[{"id":"a"},{"name":"b"},{"x":1}]}"#), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(r#"["a","b"]"#), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(r#"{"data":{}}"#), None);
        assert_eq!(names("<html>"), None);
    }
}
