//! The models a caller may ask for, in the format of whoever asks (relay-api.md §14).

use axum::http::HeaderMap;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sluice_billing::Unpriced;
use sluice_dialect::openai::{ModelCard, render_model, render_model_list};
use sluice_domain::Dialect;
use sluice_snapshot::Table;

use super::route::Shape;
use crate::admit::Admitted;
use crate::error::{Kind, Refusal};

/// The `created_at` of every model where it is a date: the `created` of the other format.
const CREATED_AT: &str = "2021-07-20T12:00:00Z";
/// Providers that stand for somebody nobody knows.
const UNKNOWN_OWNERS: [&str; 2] = ["openai-compatible", "custom"];

/// Whose format a list is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Gemini,
}

impl Format {
    /// The format a request asks for, by whose headers it carries.
    #[must_use]
    pub(super) fn of(shape: Shape, headers: &HeaderMap, query: Option<&str>) -> Self {
        let has_google_key = headers.contains_key("x-goog-api-key")
            || query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key=")));
        match shape {
            Shape::Dialect(Dialect::Anthropic) => Self::Anthropic,
            Shape::Dialect(Dialect::Gemini) => Self::Gemini,
            _ if has_google_key => Self::Gemini,
            _ => Self::OpenAi,
        }
    }
}

/// The list of what a caller may ask for.
#[must_use]
pub(super) fn list(table: &Table, admitted: &Admitted, format: Format) -> Bytes {
    let models = table.models_of(admitted.group.as_str());
    let visible = models.iter().filter(|(model, _)| is_visible(table, admitted, model));
    match format {
        Format::OpenAi => render_model_list(visible.map(|(model, owner)| card(model, owner))),
        Format::Anthropic => {
            let data: Vec<_> = visible.map(|(model, _)| AnthropicModel::new(model)).collect();
            let (first_id, last_id) = (data.first().map(|model| model.id), data.last().map(|model| model.id));
            json(&AnthropicList { first_id, last_id, has_more: false, data })
        }
        Format::Gemini => json(&GeminiList { models: visible.map(|(model, _)| GeminiModel::new(model)).collect() }),
    }
}

/// One model a caller may ask for. The name is as it stands in the path.
///
/// # Errors
/// When the caller may not ask for it, or nobody serves it.
pub(super) fn item(table: &Table, admitted: &Admitted, name: &str, format: Format) -> Result<Bytes, Refusal> {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let models = table.models_of(admitted.group.as_str());
    let found = models.get_key_value(&*name).filter(|(model, _)| is_visible(table, admitted, model));
    let Some((model, owner)) = found else {
        return Err(Refusal::new(Kind::ModelNotFound, "the model does not exist or is not available to you").with_param("model"));
    };
    Ok(match format {
        Format::OpenAi => render_model(card(model, owner)),
        Format::Anthropic => json(&AnthropicModel::new(model)),
        Format::Gemini => json(&GeminiModel::new(model)),
    })
}

/// A model that cannot be paid for cannot be used.
fn is_visible(table: &Table, admitted: &Admitted, model: &str) -> bool {
    admitted.caller.token.allows_model(model) && table.prices.find(model, Unpriced::Refuse).is_some()
}

fn card<'a>(id: &'a str, owner: &'a str) -> ModelCard<'a> {
    let owned_by = if UNKNOWN_OWNERS.contains(&owner) { "custom" } else { owner };
    let endpoint_types: &[&str] = match id {
        id if id.contains("rerank") => &["jina-rerank"],
        id if id.contains("embedding") => &["embeddings"],
        _ => &["openai"],
    };
    ModelCard { id, owned_by, endpoint_types }
}

/// Structures of text always serialise.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

impl<'a> AnthropicModel<'a> {
    fn new(id: &'a str) -> Self {
        Self { kind: "model", id, display_name: id, created_at: CREATED_AT }
    }
}

#[derive(Serialize)]
struct GeminiList<'a> {
    models: Vec<GeminiModel<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiModel<'a> {
    name: String,
    display_name: &'a str,
    supported_generation_methods: [&'static str; 2],
}

impl<'a> GeminiModel<'a> {
    fn new(id: &'a str) -> Self {
        let methods =
            if id.contains("embedding") { ["embedContent", "batchEmbedContents"] } else { ["generateContent", "countTokens"] };
        Self { name: format!("models/{id}"), display_name: id, supported_generation_methods: methods }
    }
}
