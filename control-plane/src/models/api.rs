//! `/api/models`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_billing::{ModelPrice, Ratio};
use sluice_domain::{ModelName, TokenId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Model, ModelFilter};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Count, Listing, Page, Paging, Query, Refused, Rules, SortKey};
use crate::pricing::usd_view;

const SORTS: [SortKey; 1] = [SortKey::text("model", "model")];

/// Names in one question.
const MOST_NAMES: usize = 100;

/// A model that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
struct View {
    /// The name requests ask for.
    model: String,
    /// The groups it can be asked for in: of the token, of the caller's tokens, or all for administrators.
    groups: Vec<String>,
    /// Whether it has a price. Requests for a model without one are refused.
    is_priced: bool,
    /// What it costs before the group's ratio; `null`: it has no price.
    price: Option<PriceView>,
    /// How many channels in use serve it in these groups; for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    channels: Option<u32>,
}

/// What a model costs, in short: by call, or by million tokens. All of it is at `/api/prices/{model}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PriceSummary)]
struct PriceView {
    /// US dollars per call, as decimal text; `null`: it is paid by tokens.
    per_call_usd: Option<String>,
    /// US dollars per million input tokens; `null`: it is paid by call.
    usd_per_1m_input: Option<String>,
    /// US dollars per million output tokens; `null`: it is paid by call.
    usd_per_1m_output: Option<String>,
    /// US dollars per million tokens read from the cache; `null`: it is paid by call.
    usd_per_1m_cache_read: Option<String>,
}

impl View {
    fn of(model: &Model, is_for_admin: bool) -> Self {
        Self {
            groups: model.groups.iter().map(ToString::to_string).collect(),
            is_priced: model.price.is_some(),
            price: model.price.as_ref().map(|price| PriceView::of(model.name.as_str(), price)),
            channels: is_for_admin.then_some(model.channels),
            model: model.name.to_string(),
        }
    }
}

impl PriceView {
    fn of(model: &str, price: &ModelPrice) -> Self {
        let view = usd_view(model, price);
        Self {
            per_call_usd: price.per_call_usd.map(|usd: Ratio| usd.to_string()),
            usd_per_1m_input: view.input,
            usd_per_1m_output: view.output,
            usd_per_1m_cache_read: view.cache_read,
        }
    }
}

/// Parameters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `model` (default), with a minus for the other way around.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Part of the name.
    q: Option<String>,
    /// Only those with a price, or with `false` only those without.
    is_priced: Option<bool>,
    /// Only those of this group.
    group: Option<String>,
    /// Only these names, with commas between them, at most 100. Those that no channel serves are told as well, with no groups.
    names: Option<String>,
    /// Only what this token may ask for.
    token_id: Option<i64>,
}

/// The routes of models.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the models that can be asked for: by a token, by tokens of the caller, or for administrators by anybody. With
/// `is_priced=false` it tells administrators which models of channels in use lack a price.
#[utoipa::path(get, path = "/api/models", tag = "models", operation_id = "list_models", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "model", "model")?;
    let ListQuery { q, is_priced, group, names, token_id, .. } = query;
    let filter = ModelFilter { text: q, is_priced, group, names: named(names.as_deref())?, token: token_id.map(TokenId::new) };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    Ok(Answer::ok(page.map(|model| View::of(&model, asking.actor.is_admin()))))
}

fn named(names: Option<&str>) -> Result<Vec<ModelName>, ApiError> {
    let mut rules = Rules::new();
    let texts: Vec<&str> =
        names.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect();
    rules.at_most("names", &texts, MOST_NAMES);
    let read = texts.iter().take(MOST_NAMES).filter_map(|name| rules.read("names", "name", ModelName::parse(name)));
    let read = read.collect();
    rules.done().map(|()| read)
}
