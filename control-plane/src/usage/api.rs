//! `/api/requests`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_billing::{Basis, ClassLine, Formula};
use sluice_domain::Outcome;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ExplainedRequest, LoggedRequest, RequestFilter};
use crate::app::App;
use crate::http::words::OutcomeName;
use crate::http::{
    Answer, ApiError, Asking, Count, Currency, Listing, Moment, Page, Paging, Path, Query, Refused, Shown, SortKey, twin,
};
use crate::settlement::explain::AttemptLine;
use crate::users::UserRef;

const SORTS: [SortKey; 1] = [SortKey::number("id", "id")];

/// Usage of a request in classes that do not overlap, in tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageView {
    /// Text input neither read from nor written to a cache.
    input: u64,
    /// Text and reasoning output.
    output: u64,
    /// The part of `output` that was reasoning.
    reasoning: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    image_input: u64,
    audio_input: u64,
    audio_output: u64,
    /// Everything that went in.
    total_input: u64,
    /// Everything that came out.
    total_output: u64,
}

/// A settled request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
struct View {
    request_id: String,
    user_id: i64,
    username: Option<String>,
    token_id: i64,
    token_name: Option<String>,
    /// The model asked for.
    model: String,
    group: String,
    #[schema(value_type = OutcomeName)]
    outcome: String,
    /// Code of the error the caller got; empty when none.
    error_code: String,
    /// Status the caller got; 0 when none was sent.
    status: i32,
    /// Protocol of the caller.
    #[schema(example = "openai")]
    dialect: String,
    #[schema(example = "/v1/chat/completions")]
    path: String,
    stream: bool,
    usage: UsageView,
    /// Whether the usage is an estimate: the upstream reported none.
    usage_estimated: bool,
    /// What it cost, in quota units.
    quota: i64,
    /// `quota` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_usd: Option<String>,
    /// What was held for it before it was sent.
    quota_held: i64,
    started_at: Moment,
    finished_at: Moment,
    total_ms: i64,
    /// To the first byte from the upstream.
    first_byte_ms: Option<i64>,
    /// How many attempts were made.
    attempts: i32,
    client_ip: Option<String>,
    /// What only administrators see.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    operator: Option<OperatorView>,
}

/// What only administrators see of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestOperatorView)]
struct OperatorView {
    /// The relay that served it.
    node_id: String,
    /// The channel that answered, or was tried last.
    channel_id: Option<i64>,
    channel_name: Option<String>,
    /// The model the upstream was asked for.
    upstream_model: String,
    /// The upstream's name for it.
    upstream_request_id: Option<String>,
    /// The config version it was priced with.
    config_seq: i64,
    /// Whether the relay's own figure differed from ours.
    repriced: bool,
}

impl View {
    fn of(logged: LoggedRequest, is_admin: bool, currency: Option<Currency>) -> Self {
        let LoggedRequest { row, usage, username, token_name, channel_name } = logged;
        let operator = is_admin.then_some(OperatorView {
            node_id: row.node_id,
            channel_id: row.channel_id,
            channel_name,
            upstream_model: row.upstream_model,
            upstream_request_id: row.upstream_request_id,
            config_seq: row.config_seq,
            repriced: row.repriced,
        });
        Self {
            request_id: row.request_id,
            user_id: row.user_id,
            username,
            token_id: row.token_id,
            token_name,
            model: row.model,
            group: row.group,
            outcome: row.outcome,
            error_code: row.error_code,
            status: row.status,
            dialect: row.dialect,
            path: row.path,
            stream: row.stream,
            usage: UsageView {
                input: usage.input,
                output: usage.output,
                reasoning: usage.reasoning,
                cache_read: usage.cache_read,
                cache_write_5m: usage.cache_write_5m,
                cache_write_1h: usage.cache_write_1h,
                image_input: usage.image_input,
                audio_input: usage.audio_input,
                audio_output: usage.audio_output,
                total_input: usage.total_input(),
                total_output: usage.total_output(),
            },
            usage_estimated: row.usage_estimated,
            quota: row.quota,
            quota_usd: twin(currency, row.quota),
            quota_held: row.held,
            started_at: Moment(row.started_at),
            finished_at: Moment(row.finished_at),
            total_ms: row.total_ms,
            first_byte_ms: row.first_byte_ms,
            attempts: row.attempts,
            client_ip: row.client_ip,
            operator,
        }
    }
}

/// A settled request, explained.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedRequest)]
struct ExplainedView {
    #[serde(flatten)]
    request: View,
    /// How the price came about; `null` when its rates are not kept any more.
    formula: Option<FormulaView>,
    /// The output limit that was sent upstream for each answer, in tokens, because the balance covered no more; `null`: the caller's own
    /// was, or it is not kept any more.
    output_limit: Option<u32>,
    /// What was tried, in order. Only for administrators, and for some days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    attempt_log: Option<Vec<AttemptView>>,
}

/// How a price came about. Ratios and fractions of a unit are exact decimal text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Formula)]
struct FormulaView {
    /// The whole formula on one line.
    #[schema(example = "1.25 × 1 × (1000 + 500×4) = 3750")]
    text: String,
    /// Units per input token; `null` for a price per call.
    model_ratio: Option<String>,
    /// US dollars per call; `null` for a price per token.
    per_call_usd: Option<String>,
    group_ratio: String,
    /// Units to one US dollar.
    quota_per_usd: u32,
    /// The classes that were used.
    classes: Vec<ClassView>,
    /// The price before rounding, in units.
    exact: String,
    /// The price, in quota units.
    total: i64,
}

/// One class of usage in a price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FormulaClass)]
struct ClassView {
    #[schema(value_type = String, example = "output")]
    class: sluice_billing::Class,
    tokens: u64,
    /// Its price ÷ input price.
    ratio: String,
    /// The product: what it weighs in input tokens.
    subtotal: String,
}

/// One try at one channel with one key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptView {
    channel_id: i64,
    channel_key_id: i64,
    /// Status of the upstream; 0 when it did not answer.
    status: u16,
    /// What went wrong; empty when the answer was used.
    error: String,
    /// How long it took to know.
    duration_ms: u64,
}

impl From<Formula> for FormulaView {
    fn from(formula: Formula) -> Self {
        let text = formula.to_string();
        let (model_ratio, per_call_usd, classes) = match formula.basis {
            Basis::Tokens { model_ratio, classes } => (Some(model_ratio.to_string()), None, classes),
            Basis::Call { usd } => (None, Some(usd.to_string()), Vec::new()),
        };
        let class =
            |line: ClassLine| ClassView { class: line.class, tokens: line.tokens, ratio: line.ratio, subtotal: line.subtotal };
        Self {
            text,
            model_ratio,
            per_call_usd,
            group_ratio: formula.group_ratio.to_string(),
            quota_per_usd: formula.quota_per_usd,
            classes: classes.into_iter().map(class).collect(),
            exact: formula.exact,
            total: formula.total.get(),
        }
    }
}

impl From<AttemptLine> for AttemptView {
    fn from(line: AttemptLine) -> Self {
        let AttemptLine { channel_id, channel_key_id, status, error, millis } = line;
        Self { channel_id, channel_key_id, status, error, duration_ms: millis }
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
    /// `id` or `-id` (default, newest first).
    sort: Option<String>,
    /// Also count what is on all pages. Prefer `estimate`: an exact count of a large log takes long.
    count: Option<Count>,
    /// `usd` adds a decimal-text twin `…_usd` to every amount.
    currency: Option<Currency>,
    /// Only of this user: an id, or `me`. Left out: everybody's for administrators, else one's own.
    #[param(value_type = Option<String>)]
    user_id: Option<UserRef>,
    /// Only by this token.
    token_id: Option<i64>,
    /// Only over this channel. Administrators only.
    channel_id: Option<i64>,
    /// Only for this model.
    model: Option<String>,
    /// Only in this group.
    group: Option<String>,
    /// Only with this id.
    request_id: Option<String>,
    /// Only with this error.
    error_code: Option<String>,
    /// Only with this outcome.
    #[param(value_type = Option<OutcomeName>)]
    outcome: Option<Outcome>,
    /// Only with this status.
    status: Option<i32>,
    /// Only streams, or only others.
    stream: Option<bool>,
    /// Only those that ended then or later.
    #[serde(rename = "finished_at.gte")]
    #[param(rename = "finished_at.gte")]
    finished_from: Option<Moment>,
    /// Only those that ended before.
    #[serde(rename = "finished_at.lt")]
    #[param(rename = "finished_at.lt")]
    finished_before: Option<Moment>,
}

/// The routes of the request log.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Lists settled requests, newest first: one's own, or everybody's for administrators.
#[utoipa::path(get, path = "/api/requests", tag = "requests", operation_id = "list_requests", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-id")?;
    let filter = RequestFilter {
        user_id: query.user_id.map(|user| user.for_actor(&asking.actor)),
        token_id: query.token_id,
        channel_id: query.channel_id,
        model: query.model,
        group: query.group,
        request_id: query.request_id,
        error_code: query.error_code,
        outcome: query.outcome,
        status: query.status,
        stream: query.stream,
        finished_from: query.finished_from.map(|moment| moment.0.0),
        finished_before: query.finished_before.map(|moment| moment.0.0),
    };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    let is_admin = asking.actor.is_admin();
    Ok(Answer::ok(page.map(|request| View::of(request, is_admin, query.currency))))
}

/// Shows a settled request with the formula of its price.
#[utoipa::path(get, path = "/api/requests/{request_id}", tag = "requests", operation_id = "get_request",
    params(("request_id" = String, Path), Shown), responses(
    (status = 200, body = ExplainedView),
    Refused,
))]
async fn get(
    State(app): State<App>,
    asking: Asking,
    Path(request_id): Path<String>,
    Query(shown): Query<Shown>,
) -> Result<Answer<ExplainedView>, ApiError> {
    let ExplainedRequest { request, formula, explanation } = super::get(&app, &asking, &request_id).await?;
    let is_admin = asking.actor.is_admin();
    let output_limit = explanation.as_ref().and_then(|explanation| explanation.output_limit);
    let attempt_log = explanation.filter(|_| is_admin).map(|kept| kept.attempts.into_iter().map(AttemptView::from).collect());
    let request = View::of(request, is_admin, shown.currency);
    Ok(Answer::ok(ExplainedView { request, formula: formula.map(FormulaView::from), output_limit, attempt_log }))
}
