//! `/api/users`.

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use sluice_domain::{Quota, Role, Status, UserId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{NewUser, Person, User, UserFilter, UserPatch};
use crate::app::App;
use crate::auth::Actor;
use crate::http::words::{RoleName, StatusName};
use crate::http::{
    Answer, ApiError, Asking, Between, Count, Currency, Done, Json, LimitBody, Listing, Moment, Page, Paging, Patch, Path, Query,
    Refused, Shown, SortKey, Written, twin,
};

const SORTS: [SortKey; 3] =
    [SortKey::number("id", "id"), SortKey::text("username", "username_key"), SortKey::number("created_at", "created_at")];

/// A user by id, or `me` for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRef {
    /// The caller.
    Me,
    /// This user.
    Id(UserId),
}

impl UserRef {
    /// Whom it means when this actor says it.
    #[must_use]
    pub fn for_actor(self, actor: &Actor) -> UserId {
        match self {
            Self::Me => actor.user_id,
            Self::Id(id) => id,
        }
    }
}

impl<'de> Deserialize<'de> for UserRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "me" {
            return Ok(Self::Me);
        }
        text.parse().map(|id| Self::Id(UserId::new(id))).map_err(|_| serde::de::Error::custom("must be a user id or me"))
    }
}

/// A person with what their wallet holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: i64,
    /// The name they sign in with.
    username: String,
    /// The name shown.
    display_name: String,
    email: Option<String>,
    #[schema(value_type = RoleName)]
    role: Role,
    #[schema(value_type = StatusName)]
    status: Status,
    group: String,
    /// How much may be used with all their tokens together; empty: any amount.
    limits: Vec<LimitBody>,
    /// What they can spend, in quota units. Below zero: debt.
    quota_available: i64,
    /// In the hands of relays for running and coming requests.
    quota_held: i64,
    /// In the hands of relays that were lost; comes back or is charged.
    quota_in_doubt: i64,
    /// What their requests cost, ever.
    quota_used: i64,
    /// `quota_available` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_available_usd: Option<String>,
    /// `quota_held` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_held_usd: Option<String>,
    /// `quota_in_doubt` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_in_doubt_usd: Option<String>,
    /// `quota_used` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quota_used_usd: Option<String>,
    created_at: Moment,
    updated_at: Moment,
    /// Where this write stands in the order of changes; only in answers to writes that relays must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

impl UserView {
    /// Shows a person.
    #[must_use]
    pub fn of(person: Person, currency: Option<Currency>) -> Self {
        let Person { user, wallet } = person;
        let User { id, username, display_name, email, role, status, group, limits, rev: _, created_at, updated_at } = user;
        let [available, held, in_doubt, used] = [wallet.balance, wallet.leased, wallet.in_doubt, wallet.spent].map(Quota::get);
        Self {
            id: id.get(),
            username,
            display_name,
            email,
            role,
            status,
            group: group.to_string(),
            limits: LimitBody::list(&limits),
            quota_available: available,
            quota_held: held,
            quota_in_doubt: in_doubt,
            quota_used: used,
            quota_available_usd: twin(currency, available),
            quota_held_usd: twin(currency, held),
            quota_in_doubt_usd: twin(currency, in_doubt),
            quota_used_usd: twin(currency, used),
            created_at: Moment(created_at),
            updated_at: Moment(updated_at),
            config_seq: None,
        }
    }
}

/// What a new user is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
struct NewBody {
    /// 1 to 64 letters, digits and `. _ - @`. Two users may not differ by the case of letters only.
    username: String,
    /// The name shown; left out: the username.
    display_name: Option<String>,
    /// Left out: none.
    email: Option<String>,
    /// At least 8 characters, 12 for administrators. Left out: they cannot sign in by password.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Left out: `user`.
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// Left out: `default`.
    group: Option<String>,
    /// How much may be used with all their tokens together. Left out: any amount.
    limits: Option<Vec<LimitBody>>,
}

/// What is to change of a user. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserPatch)]
struct PatchBody {
    /// Administrators only.
    username: Option<String>,
    display_name: Option<String>,
    /// `null`: none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Patch<String>,
    /// Administrators only, below their own role.
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// Administrators only: `enabled` or `disabled`.
    #[schema(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// Administrators only.
    group: Option<String>,
    /// Administrators only. Takes the place of all there are.
    limits: Option<Vec<LimitBody>>,
    /// A new password. Ends every session of the user.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The password so far; needed to change one's own.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
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
    /// `id`, `username` or `created_at`, with a minus for the other way around; `-id` by default.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// `usd` adds a decimal-text twin `…_usd` to every amount.
    currency: Option<Currency>,
    /// Part of the username, display name or e-mail address.
    q: Option<String>,
    /// Only of this status.
    #[param(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// Only of this role.
    #[param(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// Only of this group.
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

/// The routes of users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, patch, delete))
}

/// Lists users. Administrators only.
#[utoipa::path(get, path = "/api/users", tag = "users", operation_id = "list_users", params(ListQuery), responses(
    (status = 200, body = Page<UserView>),
    Refused,
))]
async fn list(
    State(app): State<App>,
    asking: Asking,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<UserView>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-id")?;
    let made = Between::new(query.from, query.before);
    let filter = UserFilter { text: query.q, status: query.status, role: query.role, group: query.group, made };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    Ok(Answer::ok(page.map(|person| UserView::of(person, query.currency))))
}

/// Makes a user. Administrators only.
#[utoipa::path(post, path = "/api/users", tag = "users", operation_id = "create_user",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours."), Shown),
    request_body = NewBody, responses(
    (status = 201, body = UserView),
    Refused,
))]
async fn create(
    State(app): State<App>,
    asking: Asking,
    Query(shown): Query<Shown>,
    Json(body): Json<NewBody>,
) -> Result<Answer<UserView>, ApiError> {
    let NewBody { username, display_name, email, password, role, group, limits } = body;
    let new = NewUser { username, display_name, email, password, role: role.unwrap_or(Role::User), group, limits };
    let made = super::create(&app, &asking, new).await?;
    let location = format!("/api/users/{}", made.object.id);
    let (rev, seq) = (made.object.rev, made.config_seq);
    Ok(Answer::created(written(&app, made, shown).await?, location).at_rev(rev).at_seq(seq))
}

/// Shows a user: oneself, or anybody for administrators.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", operation_id = "get_user",
    params(("id" = String, Path, description = "A user id, or `me`."), Shown), responses(
    (status = 200, body = UserView),
    Refused,
))]
async fn get(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(shown): Query<Shown>,
) -> Result<Answer<UserView>, ApiError> {
    let person = super::get(&app, &asking, id.for_actor(&asking.actor)).await?;
    let rev = person.user.rev;
    Ok(Answer::ok(UserView::of(person, shown.currency)).at_rev(rev))
}

/// Changes a user.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "users", operation_id = "patch_user",
    params(
        ("id" = String, Path, description = "A user id, or `me`."),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the user changed since."),
        Shown,
    ),
    request_body = PatchBody, responses(
    (status = 200, body = UserView),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(shown): Query<Shown>,
    Json(body): Json<PatchBody>,
) -> Result<Answer<UserView>, ApiError> {
    let PatchBody { username, display_name, email, role, status, group, limits, password, current_password } = body;
    let patch = UserPatch { username, display_name, email, role, status, group, limits, password, current_password };
    let changed = super::patch(&app, &asking, id.for_actor(&asking.actor), patch).await?;
    let (rev, seq) = (changed.object.rev, changed.config_seq);
    Ok(Answer::ok(written(&app, changed, shown).await?).at_rev(rev).at_seq(seq))
}

/// Deletes a user. Sessions, management tokens and keys end at once; ledger and requests stay. Administrators only.
#[utoipa::path(delete, path = "/api/users/{id}", tag = "users", operation_id = "delete_user",
    params(
        ("id" = i64, Path, description = "A user id."),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the user changed since."),
    ),
    responses(
    (status = 204, description = "Deleted."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(id): Path<UserRef>) -> Result<Done, ApiError> {
    let seq = super::delete(&app, &asking, id.for_actor(&asking.actor)).await?;
    Ok(Done { config_seq: Some(seq) })
}

async fn written(app: &App, written: Written<User>, shown: Shown) -> Result<UserView, ApiError> {
    let person = super::with_wallet(app.db.read(), written.object).await?;
    Ok(UserView { config_seq: written.config_seq, ..UserView::of(person, shown.currency) })
}
