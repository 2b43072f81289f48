//! `/api/prices`.

use std::convert::Infallible;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_billing::{HoldPolicy, ModelPrice, Ratio};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Figure, PastPrice, Price, PriceFields, PriceFilter, Source, usd_view};
use crate::app::App;
use crate::http::{
    Answer, ApiError, Asking, Count, DecimalText, Done, Json, LimitBody, Listing, Moment, Page, Paging, Patch, Path, Query,
    Refused, SortKey, segment,
};

const SORTS: [SortKey; 2] = [SortKey::text("model", "model"), SortKey::number("updated_at", "updated_at")];
const HISTORY_SORTS: [SortKey; 1] = [SortKey::number("seq", "seq")];

/// How a model's output is held for while it is not known how long it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HoldPolicy)]
enum HoldPolicyName {
    /// By the usual length of its answers while the balance is healthy, extended as they stream; strict otherwise.
    Adaptive,
    /// All that may come, or with less money a lower limit.
    Strict,
    /// Step by step as it streams. For models that take no limit.
    Windowed,
}

impl From<HoldPolicy> for HoldPolicyName {
    fn from(policy: HoldPolicy) -> Self {
        match policy {
            HoldPolicy::Adaptive => Self::Adaptive,
            HoldPolicy::Strict => Self::Strict,
            HoldPolicy::Windowed => Self::Windowed,
        }
    }
}

impl From<HoldPolicyName> for HoldPolicy {
    fn from(name: HoldPolicyName) -> Self {
        match name {
            HoldPolicyName::Adaptive => Self::Adaptive,
            HoldPolicyName::Strict => Self::Strict,
            HoldPolicyName::Windowed => Self::Windowed,
        }
    }
}

/// The figures of a price. Every one is decimal text; `null` is not set.
#[derive(Debug, Serialize, ToSchema)]
struct PriceFigures {
    /// Quota units per input token: 1 is 2 USD per million.
    model_ratio: Option<String>,
    /// Output price ÷ input price; the model family's where none was set.
    completion_ratio: Option<String>,
    /// Whether `completion_ratio` is the model family's.
    completion_ratio_is_default: bool,
    /// Price of input read from the cache ÷ input price; not set: 1.
    cache_read_ratio: Option<String>,
    /// Price of input written to the cache for 5 minutes ÷ input price; not set: 1.25.
    cache_write_ratio: Option<String>,
    /// Price of image input ÷ input price; not set: 1.
    image_ratio: Option<String>,
    /// Price of audio input ÷ input price; not set: 1.
    audio_ratio: Option<String>,
    /// Price of audio output ÷ price of audio input; not set: 1.
    audio_completion_ratio: Option<String>,
    /// US dollars per call. If set, it wins over the ratios.
    per_call_usd: Option<String>,
    /// The most output the model brings in one answer, in tokens; holds go by it. `null`: not known.
    max_output_tokens: Option<u32>,
    /// How its output is held for; `null`: as the site says.
    hold_policy: Option<HoldPolicyName>,
    /// US dollars per million input tokens, a view of `model_ratio`.
    usd_per_1m_input: Option<String>,
    /// US dollars per million output tokens, with `completion_ratio`.
    usd_per_1m_output: Option<String>,
    /// US dollars per million tokens read from the cache.
    usd_per_1m_cache_read: Option<String>,
    /// US dollars per million tokens written to the cache for 5 minutes.
    usd_per_1m_cache_write: Option<String>,
    /// Whether requests can be priced: there is a ratio or a price per call.
    is_priced: bool,
}

impl PriceFigures {
    fn of(model: &str, price: &ModelPrice) -> Self {
        let view = usd_view(model, price);
        let text = |ratio: Option<Ratio>| ratio.map(|ratio| ratio.to_string());
        Self {
            model_ratio: text(price.model_ratio),
            completion_ratio_is_default: price.completion_ratio.is_none(),
            completion_ratio: text(price.completion_ratio).or(view.completion_ratio),
            cache_read_ratio: text(price.cache_read_ratio),
            cache_write_ratio: text(price.cache_write_ratio),
            image_ratio: text(price.image_ratio),
            audio_ratio: text(price.audio_ratio),
            audio_completion_ratio: text(price.audio_completion_ratio),
            per_call_usd: text(price.per_call_usd),
            max_output_tokens: price.max_output_tokens,
            hold_policy: price.hold_policy.map(HoldPolicyName::from),
            usd_per_1m_input: view.input,
            usd_per_1m_output: view.output,
            usd_per_1m_cache_read: view.cache_read,
            usd_per_1m_cache_write: view.cache_write,
            is_priced: price.is_priced(),
        }
    }
}

/// The price of a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Price)]
struct View {
    /// The model, or the normal form of a family of names.
    model: String,
    #[serde(flatten)]
    figures: PriceFigures,
    /// How much of the model all callers may use together; empty: any amount.
    limits: Vec<LimitBody>,
    source: Source,
    created_at: Moment,
    updated_at: Moment,
    /// Where this write stands in the order of changes; only in answers to writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

impl View {
    fn of(price: &Price, config_seq: Option<i64>) -> Self {
        Self {
            model: price.model.to_string(),
            figures: PriceFigures::of(price.model.as_str(), &price.figures),
            limits: LimitBody::list(&price.limits),
            source: price.source,
            created_at: Moment(price.created_at),
            updated_at: Moment(price.updated_at),
            config_seq,
        }
    }
}

/// What a price was from some moment on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PastPrice)]
struct PastView {
    /// The config sequence number it came with.
    seq: i64,
    at: Moment,
    /// The figures; `null`: the model had no price from then on.
    figures: Option<PriceFigures>,
}

/// Figures of a price. Each price per million is another view of the ratio beside it: give one of the two. Decimals are text or
/// numbers, read to the last digit. `null` takes a figure away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PricePatch)]
struct PatchBody {
    /// Quota units per input token: 1 is 2 USD per million.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    model_ratio: Patch<DecimalText>,
    /// US dollars per million input tokens.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_input: Patch<DecimalText>,
    /// Output price ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    completion_ratio: Patch<DecimalText>,
    /// US dollars per million output tokens.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_output: Patch<DecimalText>,
    /// Price of input read from the cache ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    cache_read_ratio: Patch<DecimalText>,
    /// US dollars per million tokens read from the cache.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_cache_read: Patch<DecimalText>,
    /// Price of input written to the cache for 5 minutes ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    cache_write_ratio: Patch<DecimalText>,
    /// US dollars per million tokens written to the cache for 5 minutes.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_cache_write: Patch<DecimalText>,
    /// Price of image input ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    image_ratio: Patch<DecimalText>,
    /// Price of audio input ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    audio_ratio: Patch<DecimalText>,
    /// Price of audio output ÷ price of audio input.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    audio_completion_ratio: Patch<DecimalText>,
    /// US dollars per call. If set, it wins over the ratios.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    per_call_usd: Patch<DecimalText>,
    /// The most output the model brings in one answer, in tokens.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    max_output_tokens: Patch<i64>,
    /// How its output is held for.
    #[serde(default)]
    #[schema(value_type = Option<HoldPolicyName>)]
    hold_policy: Patch<HoldPolicyName>,
    /// How much of the model all callers may use together. Takes the place of all limits there are.
    limits: Option<Vec<LimitBody>>,
}

impl From<PatchBody> for PriceFields {
    fn from(body: PatchBody) -> Self {
        let figure = |patch: Patch<DecimalText>| -> Figure {
            match patch {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Clear,
                Patch::Set(DecimalText(text)) => Patch::Set(text),
            }
        };
        let Ok(hold_policy) = body.hold_policy.try_map(|name| Ok::<_, Infallible>(name.into()));
        Self {
            model_ratio: figure(body.model_ratio),
            usd_per_1m_input: figure(body.usd_per_1m_input),
            completion_ratio: figure(body.completion_ratio),
            usd_per_1m_output: figure(body.usd_per_1m_output),
            cache_read_ratio: figure(body.cache_read_ratio),
            usd_per_1m_cache_read: figure(body.usd_per_1m_cache_read),
            cache_write_ratio: figure(body.cache_write_ratio),
            usd_per_1m_cache_write: figure(body.usd_per_1m_cache_write),
            image_ratio: figure(body.image_ratio),
            audio_ratio: figure(body.audio_ratio),
            audio_completion_ratio: figure(body.audio_completion_ratio),
            per_call_usd: figure(body.per_call_usd),
            max_output_tokens: body.max_output_tokens,
            hold_policy,
            limits: body.limits,
        }
    }
}

/// The price of a model that has none. Decimals are text or numbers, read to the last digit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrice)]
struct NewBody {
    /// The model, or the normal form of a family of names.
    model: String,
    /// Quota units per input token: 1 is 2 USD per million.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    model_ratio: Patch<DecimalText>,
    /// US dollars per million input tokens.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_input: Patch<DecimalText>,
    /// Output price ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    completion_ratio: Patch<DecimalText>,
    /// US dollars per million output tokens.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_output: Patch<DecimalText>,
    /// Price of input read from the cache ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    cache_read_ratio: Patch<DecimalText>,
    /// US dollars per million tokens read from the cache.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_cache_read: Patch<DecimalText>,
    /// Price of input written to the cache for 5 minutes ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    cache_write_ratio: Patch<DecimalText>,
    /// US dollars per million tokens written to the cache for 5 minutes.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    usd_per_1m_cache_write: Patch<DecimalText>,
    /// Price of image input ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    image_ratio: Patch<DecimalText>,
    /// Price of audio input ÷ input price.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    audio_ratio: Patch<DecimalText>,
    /// Price of audio output ÷ price of audio input.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    audio_completion_ratio: Patch<DecimalText>,
    /// US dollars per call. If set, it wins over the ratios.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    per_call_usd: Patch<DecimalText>,
    /// The most output the model brings in one answer, in tokens.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    max_output_tokens: Patch<i64>,
    /// How its output is held for.
    #[serde(default)]
    #[schema(value_type = Option<HoldPolicyName>)]
    hold_policy: Patch<HoldPolicyName>,
    /// How much of the model all callers may use together. Takes the place of all limits there are.
    limits: Option<Vec<LimitBody>>,
}

impl NewBody {
    fn split(self) -> (String, PatchBody) {
        let figures = PatchBody {
            model_ratio: self.model_ratio,
            usd_per_1m_input: self.usd_per_1m_input,
            completion_ratio: self.completion_ratio,
            usd_per_1m_output: self.usd_per_1m_output,
            cache_read_ratio: self.cache_read_ratio,
            usd_per_1m_cache_read: self.usd_per_1m_cache_read,
            cache_write_ratio: self.cache_write_ratio,
            usd_per_1m_cache_write: self.usd_per_1m_cache_write,
            image_ratio: self.image_ratio,
            audio_ratio: self.audio_ratio,
            audio_completion_ratio: self.audio_completion_ratio,
            per_call_usd: self.per_call_usd,
            max_output_tokens: self.max_output_tokens,
            hold_policy: self.hold_policy,
            limits: self.limits,
        };
        (self.model, figures)
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
    /// `model` (default) or `updated_at`, with a minus for the other way around.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Part of the model's name.
    q: Option<String>,
    /// Only from this source.
    source: Option<Source>,
}

/// Parameters of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The routes of prices.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, patch, delete)).routes(routes!(history))
}

/// Lists prices.
#[utoipa::path(get, path = "/api/prices", tag = "prices", operation_id = "list_prices", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "model", "model")?;
    let filter = PriceFilter { text: query.q, source: query.source };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    Ok(Answer::ok(page.map(|price| View::of(&price, None))))
}

/// Gives a model a price. Administrators only.
#[utoipa::path(post, path = "/api/prices", tag = "prices", operation_id = "create_price",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours.")),
    request_body = NewBody, responses(
    (status = 201, body = View),
    Refused,
))]
async fn create(State(app): State<App>, asking: Asking, Json(body): Json<NewBody>) -> Result<Answer<View>, ApiError> {
    let (model, figures) = body.split();
    let made = super::create(&app, &asking, &model, figures.into()).await?;
    let location = format!("/api/prices/{}", segment(&model));
    let seq = made.config_seq;
    Ok(Answer::created(View::of(&made.object, seq), location).at_rev(made.object.rev).at_seq(seq))
}

/// Shows the price of a model, by its exact name.
#[utoipa::path(get, path = "/api/prices/{model}", tag = "prices", operation_id = "get_price", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(model): Path<String>) -> Result<Answer<View>, ApiError> {
    let price = super::get(&app, &asking, &model).await?;
    Ok(Answer::ok(View::of(&price, None)).at_rev(price.rev))
}

/// Changes the price of a model. Administrators only.
#[utoipa::path(patch, path = "/api/prices/{model}", tag = "prices", operation_id = "patch_price",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the price changed since.")),
    request_body = PatchBody, responses(
    (status = 200, body = View),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(model): Path<String>,
    Json(body): Json<PatchBody>,
) -> Result<Answer<View>, ApiError> {
    let changed = super::patch(&app, &asking, &model, body.into()).await?;
    let seq = changed.config_seq;
    Ok(Answer::ok(View::of(&changed.object, seq)).at_rev(changed.object.rev).at_seq(seq))
}

/// Takes the price of a model away: the model cannot be used until it has another. Administrators only.
#[utoipa::path(delete, path = "/api/prices/{model}", tag = "prices", operation_id = "delete_price",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the price changed since.")), responses(
    (status = 204, description = "Taken away."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(model): Path<String>) -> Result<Done, ApiError> {
    Ok(Done { config_seq: Some(super::delete(&app, &asking, &model).await?) })
}

/// Shows what a model cost over time, newest first.
#[utoipa::path(get, path = "/api/prices/{model}/history", tag = "prices", operation_id = "list_price_history", params(HistoryQuery),
    responses(
    (status = 200, body = Page<PastView>),
    Refused,
))]
async fn history(
    State(app): State<App>,
    asking: Asking,
    Path(model): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer<Page<PastView>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, ..Paging::default() };
    let listing = Listing::new(paging, &HISTORY_SORTS, "seq", "-seq")?;
    let page = super::history(&app, &asking, &model, &listing).await?;
    let view = |past: PastPrice| PastView {
        seq: past.seq,
        at: Moment(past.at),
        figures: past.figures.map(|figures| PriceFigures::of(&model, &figures)),
    };
    Ok(Answer::ok(page.map(view)))
}
