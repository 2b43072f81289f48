//! `/api/providers`.

use axum::extract::State;
use serde::Serialize;
use sluice_providers::{BaseUrlMeaning, Capability, FieldName, FormField, Provider};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Page, Path, Refused};

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
    fn of(provider: &Provider) -> Self {
        let field = |field: &FormField| FieldView {
            name: field.name,
            label: field.label.clone(),
            help: field.help.clone(),
            example: field.example.clone(),
            is_required: field.required,
        };
        Self {
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
        }
    }
}

/// The routes of the catalogue.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Lists providers, all on one page: what a channel form needs. Administrators only.
#[utoipa::path(get, path = "/api/providers", tag = "channels", operation_id = "list_providers", responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking) -> Result<Answer<Page<View>>, ApiError> {
    let providers = super::list(&app, &asking)?;
    let items = providers.iter().map(|provider| View::of(provider)).collect();
    Ok(Answer::ok(Page { items, next_cursor: None, total: None }))
}

/// Shows a provider. Administrators only.
#[utoipa::path(get, path = "/api/providers/{slug}", tag = "channels", operation_id = "get_provider", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(slug): Path<String>) -> Result<Answer<View>, ApiError> {
    Ok(Answer::ok(View::of(&*super::get(&app, &asking, &slug)?)))
}
