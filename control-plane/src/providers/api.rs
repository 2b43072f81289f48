//! `/api/providers`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_providers::{BaseUrlMeaning, Capability, FieldName, FormField};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Known;
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Done, Json, Page, Path, Refused, segment};

/// A provider, with what a channel of it needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
struct View {
    /// The name channels keep.
    slug: String,
    /// The name people read.
    name: String,
    /// The number of New API's channel type, where it has one.
    new_api_id: Option<u32>,
    /// The vendor's API reference.
    docs: Option<String>,
    /// Where the vendor hands out keys.
    keys_page: Option<String>,
    /// What it can be asked for.
    #[schema(value_type = Vec<String>, example = json!(["chat", "embeddings"]))]
    capabilities: Vec<Capability>,
    /// Models offered when a channel is made; any other may be added.
    models: Vec<String>,
    base_url: BaseUrlView,
    key: KeyView,
    /// Settings of a channel beyond key, base URL and models.
    fields: Vec<FieldView>,
    /// How administrators described it, as the JSON of a catalogue file; `null`: it comes with Sluice.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// Where this write stands in the order of changes; only in answers to writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

/// What a channel's base URL means.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderBaseUrl)]
struct BaseUrlView {
    /// Whether it is the whole address, rather than what paths are added to.
    is_full_url: bool,
    /// Used when the channel has none; `null`: a channel must have one.
    default: Option<String>,
    /// Help for the form.
    help: String,
}

/// What a provider's key looks like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderKey)]
struct KeyView {
    example: String,
    /// Whether a channel may have none.
    is_optional: bool,
}

/// One setting of a channel, as the form shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderField)]
struct FieldView {
    /// Its name in a channel's `settings.fields`; `api_version` is the channel's own field.
    #[schema(value_type = String, example = "api_version")]
    name: FieldName,
    label: String,
    help: String,
    example: String,
    /// Whether a channel must have it.
    is_required: bool,
}

impl View {
    fn of(known: Known, config_seq: Option<i64>) -> Result<Self, ApiError> {
        let Known { provider, custom } = known;
        let definition = custom.map(|custom| serde_json::from_str(&custom.definition)).transpose().map_err(ApiError::internal)?;
        let field = |field: &FormField| FieldView {
            name: field.name,
            label: field.label.clone(),
            help: field.help.clone(),
            example: field.example.clone(),
            is_required: field.required,
        };
        Ok(Self {
            slug: provider.slug.clone(),
            name: provider.name.clone(),
            new_api_id: provider.new_api_id,
            docs: provider.docs.clone(),
            keys_page: provider.keys_page.clone(),
            capabilities: Capability::ALL.into_iter().filter(|capability| provider.serves(*capability)).collect(),
            models: provider.models.clone(),
            base_url: BaseUrlView {
                is_full_url: provider.base_url.meaning == BaseUrlMeaning::FullUrl,
                default: provider.base_url.default.clone(),
                help: provider.base_url.help.clone(),
            },
            key: KeyView { example: provider.auth.key_example.clone(), is_optional: provider.auth.key_optional },
            fields: provider.fields.iter().map(field).collect(),
            definition,
            config_seq,
        })
    }
}

/// What administrators describe a provider by.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderDefinition)]
struct DefinitionBody {
    /// The content of a catalogue file, as JSON; its `slug` names the provider for ever. At most 64 KiB.
    #[schema(value_type = Object, example = json!({
        "slug": "our-own",
        "name": "Our own",
        "stream_options": "force",
        "models": ["our-model"],
        "base_url": {"meaning": "prefix", "default": "https://llm.example", "help": "Leave empty."},
        "auth": {"scheme": "bearer", "key_example": "sk-..."},
        "endpoints": {"chat": "/v1/chat/completions"}
    }))]
    definition: Map<String, Value>,
}

/// The routes of the catalogue.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, patch, delete))
}

/// Lists providers, all on one page: what a channel form needs. Administrators only.
#[utoipa::path(get, path = "/api/providers", tag = "channels", operation_id = "list_providers", responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking) -> Result<Answer<Page<View>>, ApiError> {
    let items = super::list(&app, &asking).await?.into_iter().map(|known| View::of(known, None)).collect::<Result<_, _>>()?;
    Ok(Answer::ok(Page { items, next_cursor: None, total: None }))
}

/// Makes a provider of a description. Live on every relay within a second. Administrators only.
#[utoipa::path(post, path = "/api/providers", tag = "channels", operation_id = "create_provider",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours.")),
    request_body = DefinitionBody, responses(
    (status = 201, body = View),
    Refused,
))]
async fn create(State(app): State<App>, asking: Asking, Json(body): Json<DefinitionBody>) -> Result<Answer<View>, ApiError> {
    let made = super::create(&app, &asking, body.definition).await?;
    let location = format!("/api/providers/{}", segment(&made.object.slug));
    let (rev, seq) = (made.object.rev, made.config_seq);
    Ok(Answer::created(View::of(super::known(made.object)?, seq)?, location).at_rev(rev).at_seq(seq))
}

/// Shows a provider. Administrators only.
#[utoipa::path(get, path = "/api/providers/{slug}", tag = "channels", operation_id = "get_provider", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(slug): Path<String>) -> Result<Answer<View>, ApiError> {
    let known = super::get(&app, &asking, &slug).await?;
    let rev = known.custom.as_ref().map_or(0, |custom| custom.rev);
    Ok(Answer::ok(View::of(known, None)?).at_rev(rev))
}

/// Gives a provider that administrators described another description. Live on every relay within a second. Administrators only.
#[utoipa::path(patch, path = "/api/providers/{slug}", tag = "channels", operation_id = "patch_provider",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the provider changed since.")),
    request_body = DefinitionBody, responses(
    (status = 200, body = View),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(slug): Path<String>,
    Json(body): Json<DefinitionBody>,
) -> Result<Answer<View>, ApiError> {
    let changed = super::patch(&app, &asking, &slug, body.definition).await?;
    let (rev, seq) = (changed.object.rev, changed.config_seq);
    Ok(Answer::ok(View::of(super::known(changed.object)?, seq)?).at_rev(rev).at_seq(seq))
}

/// Deletes a provider that administrators described and no channel is of. Administrators only.
#[utoipa::path(delete, path = "/api/providers/{slug}", tag = "channels", operation_id = "delete_provider",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the provider changed since.")), responses(
    (status = 204, description = "Deleted."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(slug): Path<String>) -> Result<Done, ApiError> {
    Ok(Done { config_seq: Some(super::delete(&app, &asking, &slug).await?) })
}
