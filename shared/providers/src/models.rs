//! The names in a provider's list of models.
//!
//! Lists differ in little: an object with the list under `data` (OpenAI, Anthropic) or `models` (Gemini, Cohere, Ollama), or the list
//! itself (Together). An entry is a name, or an object that has it under `id`, else `name`; Gemini's begin with `models/`.

use std::collections::HashSet;

use serde_json::Value;

/// Names that are taken from one list.
pub const MAX_MODELS: usize = 5_000;
/// The longest name that is taken, in bytes: a longer one could not be asked for.
const MAX_NAME_BYTES: usize = 255;
/// The longest mark of a next page, in bytes.
const MAX_MARK_BYTES: usize = 1_024;
/// How Gemini's names begin.
const PREFIX: &str = "models/";

/// A page of a list of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelPage {
    /// The names, in the provider's order, each once.
    pub names: Vec<String>,
    /// The query parameter that asks for the next page, and its value; `None`: this is the last.
    pub next: Option<(&'static str, String)>,
}

/// An answer that holds no list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer holds no list of models")]
pub struct NoModels;

impl ModelPage {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is not JSON, or has no list where one is known to be.
    pub fn read(body: &[u8]) -> Result<Self, NoModels> {
        let value: Value = serde_json::from_slice(body).map_err(|_| NoModels)?;
        let entries = list(&value).ok_or(NoModels)?;
        let mut known = HashSet::new();
        let names = entries.iter().filter_map(name).filter(|name| known.insert(*name)).take(MAX_MODELS);
        Ok(Self { names: names.map(str::to_owned).collect(), next: next(&value) })
    }
}

fn list(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().or_else(|| ["data", "models"].iter().find_map(|field| value.get(field)?.as_array()))
}

fn name(entry: &Value) -> Option<&str> {
    let name = entry.as_str().or_else(|| ["id", "name"].iter().find_map(|field| entry.get(field)?.as_str()))?;
    let name = name.strip_prefix(PREFIX).unwrap_or(name).trim();
    (!name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control)).then_some(name)
}

/// Anthropic says the last id of a page that others follow, Gemini and Cohere hand out a token.
fn next(value: &Value) -> Option<(&'static str, String)> {
    let text = |field: &str| value.get(field)?.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_MARK_BYTES);
    if value.get("has_more").and_then(Value::as_bool) == Some(true) {
        return text("last_id").map(|id| ("after_id", id.to_owned()));
    }
    let tokens = [("nextPageToken", "pageToken"), ("next_page_token", "page_token")];
    tokens.into_iter().find_map(|(field, parameter)| Some((parameter, text(field)?.to_owned())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<ModelPage, NoModels> {
        ModelPage::read(body.to_string().as_bytes())
    }

    #[test]
    fn every_form_of_list_gives_its_names() {
        for body in [
            json!({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}),
            json!([{"id": "a", "name": "A model"}, {"id": "b"}]),
            json!({"models": [{"name": "models/a", "displayName": "A"}, {"name": "models/b"}]}),
            json!({"models": [{"name": "a", "model": "a"}, {"name": "b"}]}),
            json!(["a", "b"]),
            json!({"data": [{"id": "a"}, {"id": "a"}, {"id": ""}, {"id": 7}, {}, null, {"id": "x\ny"}, {"id": "b"}]}),
        ] {
            assert_eq!(read(&body).unwrap(), ModelPage { names: vec!["a".into(), "b".into()], next: None }, "{body}");
        }
        for body in [json!({"error": {"message": "no"}}), json!("a"), json!({"data": {}}), Value::Null] {
            assert_eq!(read(&body), Err(NoModels), "{body}");
        }
        assert_eq!(ModelPage::read(b"<html>"), Err(NoModels));
    }

    #[test]
    fn a_page_says_how_the_next_is_asked_for() {
        let next = |body: Value| read(&body).unwrap().next;
        let more = json!({"data": [{"id": "a"}], "has_more": true, "first_id": "a", "last_id": "z"});
        assert_eq!(next(more), Some(("after_id", "z".to_owned())));
        assert_eq!(next(json!({"data": [], "has_more": false, "last_id": "z"})), None);
        assert_eq!(next(json!({"models": [], "nextPageToken": "t"})), Some(("pageToken", "t".to_owned())));
        assert_eq!(next(json!({"models": [], "nextPageToken": ""})), None);
        assert_eq!(next(json!({"models": [], "next_page_token": "t"})), Some(("page_token", "t".to_owned())));
        assert_eq!(next(json!({"models": [], "next_page_token": ""})), None);
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let many: Vec<Value> = (0..MAX_MODELS + 10).map(|number| json!({"id": format!("m{number}")})).collect();
        assert_eq!(read(&json!(many)).unwrap().names.len(), MAX_MODELS);
        assert_eq!(read(&json!(["x".repeat(256)])).unwrap().names, Vec::<String>::new());
    }
}
