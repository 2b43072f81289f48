//! `/api/errands`, and what has relays run one.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::{ChannelId, ChannelKeyId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Asked, BalanceCheck, Errand, ErrandFilter, Kind, Outcome, TestCheck, WAIT, Wish};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Count, Json, Listing, Moment, Page, Paging, Path, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("id", "id")];

/// What a relay tries.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ErrandKind)]
enum KindName {
    /// A model is asked something short.
    Test,
    /// The upstream's list of models is fetched.
    Models,
    /// The upstream is asked what is left of the money.
    Balance,
}

/// How far an errand is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ErrandState)]
enum StateName {
    /// No relay has it yet.
    Waiting,
    /// A relay has it.
    Running,
    /// It is over.
    Done,
}

/// Something a relay tries with a channel. It is charged to nobody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errand)]
struct View {
    id: i64,
    kind: KindName,
    state: StateName,
    channel_id: i64,
    /// The key it is tried with; `null`: the channel has none.
    key_id: Option<i64>,
    /// The model of a test, by the name callers use.
    model: Option<String>,
    /// The relay that has it.
    relay: Option<String>,
    asked_at: Moment,
    done_at: Option<Moment>,
    /// What came of it; `null` until it is over.
    result: Option<Found>,
}

/// What came of an errand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrandResult)]
struct Found {
    /// Whether it brought what was asked for.
    ok: bool,
    /// The HTTP status of the upstream's answer; `null`: there was none, or it does not matter.
    status: Option<i32>,
    /// What went wrong, as a word.
    error: Option<String>,
    /// The upstream's `type` of error, if it is a word.
    error_type: Option<String>,
    /// The upstream's `code` of error, if it is a word.
    error_code: Option<String>,
    /// What went wrong, in English, at most 256 characters.
    message: Option<String>,
    /// How long it took.
    latency_ms: i64,
    /// How long the beginning of a good answer took.
    first_byte_ms: Option<i64>,
    /// What a test used, in tokens, where the upstream says so.
    input_tokens: u64,
    /// What it brought, in tokens, where the upstream says so.
    output_tokens: u64,
    /// What a caller would have paid for a test at the model's price and a group ratio of 1. It is charged to nobody: it tells what tests
    /// cost the site. `null`: it is no test, it failed, or the model has no price.
    quota: Option<i64>,
    /// The names in the upstream's list of models, at most 5,000.
    models: Option<Vec<String>>,
    /// What is left of the money, as decimal text.
    amount: Option<String>,
    /// Its currency.
    #[schema(example = "USD")]
    currency: Option<String>,
}

/// The last test of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelTest)]
pub(crate) struct TestView {
    at: Moment,
    /// Whether the model answered.
    ok: bool,
    latency_ms: i64,
    /// The model, by the name callers use.
    model: String,
    /// Why it failed, in English.
    message: Option<String>,
}

/// What was last known to be left of the money at a channel's upstream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelBalance)]
pub(crate) struct BalanceView {
    at: Moment,
    /// Decimal text.
    amount: String,
    #[schema(example = "USD")]
    currency: String,
}

/// Errands that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AskedErrands)]
struct AskedView {
    /// Their ids.
    ids: Vec<i64>,
    /// Channels that are not among them, for want of room or of a model that is tested. Ask again when these are over.
    left_out: u64,
}

/// What to test.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChannelTestRequest)]
struct TestBody {
    /// The key to test with. Left out: the first in use.
    key_id: Option<i64>,
    /// The model to test, by the name callers use. Left out: the channel's first.
    model: Option<String>,
    /// Test with each key; then the ids of the tests are answered, and nobody waits for them.
    #[serde(default)]
    all_keys: bool,
}

impl From<Kind> for KindName {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Test => Self::Test,
            Kind::Models => Self::Models,
            Kind::Balance => Self::Balance,
        }
    }
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Test => Self::Test,
            KindName::Models => Self::Models,
            KindName::Balance => Self::Balance,
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
    /// `id` or `-id` (default).
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Only with this channel.
    channel_id: Option<i64>,
    /// Only of this kind.
    #[param(inline)]
    kind: Option<KindName>,
}

impl From<Errand> for View {
    fn from(errand: Errand) -> Self {
        let state = match (errand.done_at, &errand.node) {
            (Some(_), _) => StateName::Done,
            (None, Some(_)) => StateName::Running,
            (None, None) => StateName::Waiting,
        };
        Self {
            id: errand.id,
            kind: errand.kind.into(),
            state,
            channel_id: errand.channel.get(),
            key_id: errand.key.map(ChannelKeyId::get),
            model: errand.model,
            relay: errand.node,
            asked_at: Moment(errand.asked_at),
            done_at: errand.done_at.map(Moment),
            result: errand.outcome.map(Found::from),
        }
    }
}

impl From<Outcome> for Found {
    fn from(outcome: Outcome) -> Self {
        Self {
            ok: outcome.ok,
            status: Some(outcome.status).filter(|status| *status != 0),
            error: outcome.error,
            error_type: outcome.error_type,
            error_code: outcome.error_code,
            message: outcome.message,
            latency_ms: outcome.latency_ms,
            first_byte_ms: outcome.first_byte_ms,
            input_tokens: outcome.usage.total_input(),
            output_tokens: outcome.usage.total_output(),
            quota: outcome.quota,
            models: outcome.models,
            amount: outcome.amount,
            currency: outcome.currency,
        }
    }
}

impl From<TestCheck> for TestView {
    fn from(test: TestCheck) -> Self {
        let TestCheck { at, ok, latency_millis, model, message } = test;
        Self { at: Moment(at), ok, latency_ms: latency_millis, model, message }
    }
}

impl From<BalanceCheck> for BalanceView {
    fn from(balance: BalanceCheck) -> Self {
        Self { at: Moment(balance.at), amount: balance.amount, currency: balance.currency }
    }
}

/// The routes of errands.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(test_all))
        .routes(routes!(test))
        .routes(routes!(models))
        .routes(routes!(balance))
        .routes(routes!(list))
        .routes(routes!(get))
}

/// Has a relay ask a model of a channel something short, enabled or not. It is charged to nobody, and the answer says whether it went well;
/// 202 when it is not over after 15 seconds. Administrators only.
#[utoipa::path(post, path = "/api/channels/{id}/test", tag = "channels", operation_id = "test_channel", params(("id" = i64, Path)),
    request_body = TestBody, responses(
    (status = 200, body = View, description = "It is over."),
    (status = 202, body = AskedView, description = "It goes on; see /api/errands/{id}."),
    Refused,
))]
async fn test(State(app): State<App>, asking: Asking, Path(id): Path<i64>, Json(body): Json<TestBody>) -> Result<Done, ApiError> {
    let key = body.key_id.map(ChannelKeyId::new);
    let wish = Wish { kind: Kind::Test, key, all_keys: body.all_keys, model: body.model };
    run(&app, &asking, id, wish).await
}

/// Has relays test every channel that nobody switched off, those first that were not tested for longest. Administrators only.
#[utoipa::path(post, path = "/api/channels/test", tag = "channels", operation_id = "test_channels", responses(
    (status = 202, body = AskedView, description = "They go on; see /api/errands/{id}."),
    Refused,
))]
async fn test_all(State(app): State<App>, asking: Asking) -> Result<Answer<AskedView>, ApiError> {
    Ok(Answer::accepted(AskedView::from(super::ask_all(&app, &asking).await?)))
}

/// Has a relay fetch the upstream's list of models. Nothing of the channel changes. Administrators only.
#[utoipa::path(post, path = "/api/channels/{id}/models", tag = "channels", operation_id = "fetch_channel_models",
    params(("id" = i64, Path)), responses(
    (status = 200, body = View, description = "It is over."),
    (status = 202, body = AskedView, description = "It goes on; see /api/errands/{id}."),
    Refused,
))]
async fn models(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Done, ApiError> {
    run(&app, &asking, id, Wish { kind: Kind::Models, ..Wish::test() }).await
}

/// Has a relay ask the upstream what is left of the money. Administrators only.
#[utoipa::path(post, path = "/api/channels/{id}/balance", tag = "channels", operation_id = "ask_channel_balance",
    params(("id" = i64, Path)), responses(
    (status = 200, body = View, description = "It is over."),
    (status = 202, body = AskedView, description = "It goes on; see /api/errands/{id}."),
    Refused,
))]
async fn balance(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Done, ApiError> {
    run(&app, &asking, id, Wish { kind: Kind::Balance, ..Wish::test() }).await
}

/// Lists what relays tried and try, the newest first: tests as long as requests are logged, everything else for a day. Administrators only.
#[utoipa::path(get, path = "/api/errands", tag = "channels", operation_id = "list_errands", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-id")?;
    let filter = ErrandFilter { channel: query.channel_id.map(ChannelId::new), kind: query.kind.map(Kind::from) };
    Ok(Answer::ok(super::list(&app, &asking, &filter, &listing).await?.map(View::from)))
}

/// Shows an errand. Administrators only.
#[utoipa::path(get, path = "/api/errands/{id}", tag = "channels", operation_id = "get_errand", params(("id" = i64, Path)), responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<View>, ApiError> {
    Ok(Answer::ok(super::get(&app, &asking, id).await?.into()))
}

/// An errand that is over, or those that go on.
enum Done {
    Over(Box<View>),
    GoesOn(AskedView),
}

impl axum::response::IntoResponse for Done {
    fn into_response(self) -> axum::response::Response {
        match self {
            Self::Over(view) => Answer::ok(view).into_response(),
            Self::GoesOn(asked) => {
                let location = asked.ids.first().map(|id| format!("/api/errands/{id}"));
                Answer::accepted(asked).located(location).into_response()
            }
        }
    }
}

impl From<Asked> for AskedView {
    fn from(asked: Asked) -> Self {
        Self { ids: asked.ids, left_out: asked.left_out }
    }
}

async fn run(app: &App, asking: &Asking, id: i64, wish: Wish) -> Result<Done, ApiError> {
    let ids = super::ask(app, asking, ChannelId::new(id), wish).await?;
    if let [only] = ids[..] {
        let errand = super::wait(app, only, WAIT).await?;
        if errand.done_at.is_some() {
            return Ok(Done::Over(Box::new(errand.into())));
        }
    }
    Ok(Done::GoesOn(AskedView { ids, left_out: 0 }))
}
