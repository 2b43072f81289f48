//! `/api/tokens`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::{Status, TokenId, UnixMillis};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Token, TokenFields, TokenFilter, TokenWithCap, TokenWithKey};
use crate::app::App;
use crate::http::words::StatusName;
use crate::http::{
    Answer, ApiError, Asking, Between, Count, Currency, Done, Json, LimitBody, Listing, Moment, Page, Paging, Patch, Path, Query,
    Refused, Shown, SortKey, Written, twin,
};
use crate::users::UserRef;

const SORTS: [SortKey; 3] =
    [SortKey::number("id", "id"), SortKey::text("name", "name"), SortKey::number("created_at", "created_at")];

/// Whether a token can be used, with what follows from its end and its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TokenState {
    /// It can be used.
    Enabled,
    /// A person switched it off.
    Disabled,
    /// Its end has passed.
    Expired,
    /// Its quota or its number of requests is used up.
    Exhausted,
}

/// A key for programs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct View {
    id: i64,
    /// Its stable public name.
    public_id: String,
    /// Whose it is.
    user_id: i64,
    name: String,
    /// The first and last characters of the key.
    key_hint: String,
    /// Whether it was switched off.
    #[schema(value_type = StatusName)]
    status: Status,
    /// Whether it can be used, with what follows from its end and its quota.
    state: TokenState,
    /// The group it is used in; `null`: its owner's.
    group: Option<String>,
    /// What may be spent through it in its whole life, in quota units; `null`: as much as its owner has.
    quota: Option<i64>,
    /// What is left of it, without what relays hold; `null`: as much as its owner has.
    quota_remaining: Option<i64>,
    /// In the hands of relays for running and coming requests.
    quota_held: i64,
    /// What was spent through it.
    quota_used: i64,
    /// How many requests may be answered through it in its whole life; `null`: any number.
    request_limit: Option<i64>,
    /// How many of them are left, without what relays hold; `null`: any number.
    requests_remaining: Option<i64>,
    /// How many were answered since they were first limited; `null`: never counted.
    requests_used: Option<i64>,
    /// `quota` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_usd: Option<String>,
    /// `quota_remaining` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_remaining_usd: Option<String>,
    /// `quota_used` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_used_usd: Option<String>,
    /// When it ends; `null`: never.
    expires_at: Option<Moment>,
    /// Models it may ask for; `null`: every one.
    models: Option<Vec<String>>,
    /// Addresses and blocks it may be used from; empty: anywhere.
    ip_allow: Vec<String>,
    /// How much may be used with it; empty: any amount. Its owner's limits hold as well.
    limits: Vec<LimitBody>,
    created_at: Moment,
    updated_at: Moment,
    /// When it was last used; `null`: never.
    last_used_at: Option<Moment>,
    /// Where this write stands in the order of changes; only in answers to writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

impl View {
    fn of(token: TokenWithCap, now: UnixMillis, currency: Option<Currency>) -> Self {
        let TokenWithCap { token, cap, uses } = token;
        let limiting = uses.filter(|_| token.uses_limited);
        let is_used_up = token.capped && cap.total().get() <= 0 || limiting.is_some_and(|uses| uses.total().get() <= 0);
        let state = state_of(&token, is_used_up, now);
        let quota = token.capped.then(|| cap.total().saturating_plus(cap.spent).get());
        let remaining = token.capped.then(|| cap.balance.get());
        let usd = |amount: Option<i64>| amount.and_then(|amount| twin(currency, amount));
        Self {
            id: token.id.get(),
            public_id: token.public_id,
            user_id: token.user_id.get(),
            name: token.name,
            key_hint: token.hint,
            status: token.status,
            state,
            group: token.group.map(|group| group.to_string()),
            quota,
            quota_remaining: remaining,
            quota_held: cap.leased.saturating_plus(cap.in_doubt).get(),
            quota_used: cap.spent.get(),
            request_limit: limiting.map(|uses| uses.total().saturating_plus(uses.spent).get()),
            requests_remaining: limiting.map(|uses| uses.balance.get()),
            requests_used: uses.map(|uses| uses.spent.get()),
            quota_usd: usd(quota),
            quota_remaining_usd: usd(remaining),
            quota_used_usd: twin(currency, cap.spent.get()),
            expires_at: token.expires_at.map(Moment),
            models: token.models.map(|models| models.iter().map(ToString::to_string).collect()),
            ip_allow: token.ip_allow,
            limits: LimitBody::list(&token.limits),
            created_at: Moment(token.created_at),
            updated_at: Moment(token.updated_at),
            last_used_at: token.last_used_at.map(Moment),
            config_seq: None,
        }
    }
}

fn state_of(token: &Token, is_used_up: bool, now: UnixMillis) -> TokenState {
    if !token.status.is_enabled() {
        TokenState::Disabled
    } else if token.expires_at.is_some_and(|end| end < now) {
        TokenState::Expired
    } else if is_used_up {
        TokenState::Exhausted
    } else {
        TokenState::Enabled
    }
}

/// A token with its key.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenWithKey)]
struct KeyView {
    #[serde(flatten)]
    token: View,
    /// The key, as programs send it.
    #[schema(example = "sk-…")]
    key: String,
}

/// What a new token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
struct NewBody {
    /// 1 to 50 characters.
    name: String,
    /// Whose it is to be; left out: the caller's. Administrators only.
    user_id: Option<i64>,
    /// `enabled` (default) or `disabled`.
    #[schema(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// What may be spent through it in its whole life, in quota units. Left out: as much as its owner has.
    quota: Option<i64>,
    /// How many requests may be answered through it in its whole life. Left out: any number.
    request_limit: Option<i64>,
    /// When it ends. Left out: never.
    expires_at: Option<Moment>,
    /// Models it may ask for. Left out: every one. An empty list allows none.
    models: Option<Vec<String>>,
    /// Addresses and blocks it may be used from. Left out or empty: anywhere.
    ip_allow: Option<Vec<String>>,
    /// The group it is used in. Left out: its owner's.
    group: Option<String>,
    /// How much may be used with it. Left out: any amount.
    limits: Option<Vec<LimitBody>>,
}

/// What is to change of a token. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenPatch)]
struct PatchBody {
    name: Option<String>,
    /// `enabled` or `disabled`.
    #[schema(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// What may be spent through it in its whole life, in quota units: what was spent stays counted. `null`: as much as its owner has.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    quota: Patch<i64>,
    /// How many requests may be answered through it in its whole life: those answered stay counted. `null`: any number.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    request_limit: Patch<i64>,
    /// `null`: never.
    #[serde(default)]
    #[schema(value_type = Option<Moment>)]
    expires_at: Patch<Moment>,
    /// `null`: every one.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    models: Patch<Vec<String>>,
    /// `null` or empty: anywhere.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    ip_allow: Patch<Vec<String>>,
    /// `null`: its owner's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    group: Patch<String>,
    /// Takes the place of all there are.
    limits: Option<Vec<LimitBody>>,
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
    /// `id`, `name` or `created_at`, with a minus for the other way around; `-id` by default.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// `usd` adds a decimal-text twin `…_usd` to every amount.
    currency: Option<Currency>,
    /// Only of this user: an id, or `me`. Left out: everybody's for administrators, else one's own.
    #[param(value_type = Option<String>)]
    user_id: Option<UserRef>,
    /// Part of the name.
    q: Option<String>,
    /// Only of this status.
    #[param(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// Only for this group.
    group: Option<String>,
    /// Only those made then or later.
    #[serde(rename = "created_at.gte")]
    #[param(rename = "created_at.gte")]
    from: Option<Moment>,
    /// Only those made before.
    #[serde(rename = "created_at.lt")]
    #[param(rename = "created_at.lt")]
    before: Option<Moment>,
}

/// The routes of tokens.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(rotate))
        .routes(routes!(reveal))
        .routes(routes!(list_of_user))
}

/// Lists tokens: one's own, or anybody's for administrators.
#[utoipa::path(get, path = "/api/tokens", tag = "tokens", operation_id = "list_tokens", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-id")?;
    let user_id = query.user_id.map(|user| user.for_actor(&asking.actor));
    let made = Between::new(query.from, query.before);
    let filter = TokenFilter { user_id, text: query.q, status: query.status, group: query.group, made };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    Ok(Answer::ok(page.map(|token| View::of(token, asking.now, query.currency))))
}

/// Lists the tokens of a user: the same as `/api/tokens?user_id=…`.
#[utoipa::path(get, path = "/api/users/{id}/tokens", tag = "tokens", operation_id = "list_user_tokens",
    params(("id" = String, Path, description = "A user id, or `me`."), ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list_of_user(
    state: State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<View>>, ApiError> {
    list(state, asking, Query(ListQuery { user_id: Some(id), ..query })).await
}

/// Makes a token. Its key is in this answer, and can be revealed later.
#[utoipa::path(post, path = "/api/tokens", tag = "tokens", operation_id = "create_token",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours."), Shown),
    request_body = NewBody, responses(
    (status = 201, body = KeyView),
    Refused,
))]
async fn create(
    State(app): State<App>,
    asking: Asking,
    Query(shown): Query<Shown>,
    Json(body): Json<NewBody>,
) -> Result<Answer<KeyView>, ApiError> {
    fn set<T>(given: Option<T>) -> Patch<T> {
        given.map_or(Patch::Keep, Patch::Set)
    }
    let NewBody { name, user_id, status, quota, request_limit, expires_at, models, ip_allow, group, limits } = body;
    let fields = TokenFields {
        name: Some(name),
        status,
        quota: set(quota),
        request_limit: set(request_limit),
        expires_at: set(expires_at.map(|moment| moment.0)),
        models: set(models),
        ip_allow: set(ip_allow),
        group: set(group),
        limits,
    };
    let made = super::create(&app, &asking, user_id.map(sluice_domain::UserId::new), fields).await?;
    let location = format!("/api/tokens/{}", made.object.token.id);
    let (rev, seq) = (made.object.token.rev, made.config_seq);
    Ok(Answer::created(with_key(&app, &asking, made, shown).await?, location).at_rev(rev).at_seq(seq))
}

/// Shows a token, without its key.
#[utoipa::path(get, path = "/api/tokens/{id}", tag = "tokens", operation_id = "get_token",
    params(("id" = i64, Path), Shown), responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<i64>,
    Query(shown): Query<Shown>,
) -> Result<Answer<View>, ApiError> {
    let token = super::get(&app, &asking, TokenId::new(id)).await?;
    let rev = token.token.rev;
    Ok(Answer::ok(View::of(token, asking.now, shown.currency)).at_rev(rev))
}

/// Changes a token. Live on every relay within a second.
#[utoipa::path(patch, path = "/api/tokens/{id}", tag = "tokens", operation_id = "patch_token",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the token changed since."),
        Shown,
    ),
    request_body = PatchBody, responses(
    (status = 200, body = View),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<i64>,
    Query(shown): Query<Shown>,
    Json(body): Json<PatchBody>,
) -> Result<Answer<View>, ApiError> {
    let PatchBody { name, status, quota, request_limit, expires_at, models, ip_allow, group, limits } = body;
    let expires_at = expires_at.try_map(|moment| Ok::<_, ApiError>(moment.0))?;
    let fields = TokenFields { name, status, quota, request_limit, expires_at, models, ip_allow, group, limits };
    let changed = super::patch(&app, &asking, TokenId::new(id), fields).await?;
    let (rev, seq) = (changed.object.rev, changed.config_seq);
    let token = super::with_cap(app.db.read(), changed.object).await?;
    let view = View { config_seq: seq, ..View::of(token, asking.now, shown.currency) };
    Ok(Answer::ok(view).at_rev(rev).at_seq(seq))
}

/// Deletes a token. It ends on every relay within a second.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "tokens", operation_id = "delete_token",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the token changed since."),
    ),
    responses(
    (status = 204, description = "Deleted."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Done, ApiError> {
    Ok(Done { config_seq: Some(super::delete(&app, &asking, TokenId::new(id)).await?) })
}

/// Gives a token another key. The one before ends on every relay within a second.
#[utoipa::path(post, path = "/api/tokens/{id}/rotate", tag = "tokens", operation_id = "rotate_token",
    params(
        ("id" = i64, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours."),
        Shown,
    ),
    responses(
    (status = 200, body = KeyView),
    Refused,
))]
async fn rotate(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<i64>,
    Query(show): Query<Shown>,
) -> Result<Answer<KeyView>, ApiError> {
    let made = super::rotate(&app, &asking, TokenId::new(id)).await?;
    let (rev, seq) = (made.object.token.rev, made.config_seq);
    Ok(Answer::ok(with_key(&app, &asking, made, show).await?).at_rev(rev).at_seq(seq))
}

/// Shows the key of one's own token again. Needs a sign-in with a password in the last ten minutes; written to the audit trail.
#[utoipa::path(post, path = "/api/tokens/{id}/reveal", tag = "tokens", operation_id = "reveal_token", params(("id" = i64, Path), Shown),
    responses(
    (status = 200, body = KeyView),
    Refused,
))]
async fn reveal(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<i64>,
    Query(show): Query<Shown>,
) -> Result<Answer<KeyView>, ApiError> {
    let shown = super::reveal(&app, &asking, TokenId::new(id)).await?;
    Ok(Answer::ok(with_key(&app, &asking, Written { object: shown, config_seq: None }, show).await?))
}

async fn with_key(app: &App, asking: &Asking, written: Written<TokenWithKey>, shown: Shown) -> Result<KeyView, ApiError> {
    let TokenWithKey { token, key } = written.object;
    let token = super::with_cap(app.db.read(), token).await?;
    let token = View { config_seq: written.config_seq, ..View::of(token, asking.now, shown.currency) };
    Ok(KeyView { token, key })
}
