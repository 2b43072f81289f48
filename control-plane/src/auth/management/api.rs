//! `/api/management-tokens`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::UnixMillis;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{MadeManagementToken, ManagementToken, NewManagementToken};
use crate::app::App;
use crate::auth::Scope;
use crate::http::{Answer, ApiError, Asking, Count, Done, Json, Listing, Moment, Page, Paging, Path, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("created_at", "id")];

/// A management token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManagementToken)]
struct View {
    id: i64,
    /// What its owner calls it.
    name: String,
    /// The first and last characters of the token.
    hint: String,
    /// What it may be used for.
    scopes: Vec<Scope>,
    created_at: Moment,
    /// When it ends; `null`: never.
    expires_at: Option<Moment>,
    /// When it was last used, to the minute.
    last_used_at: Option<Moment>,
}

impl From<ManagementToken> for View {
    fn from(token: ManagementToken) -> Self {
        let ManagementToken { id, user_id: _, name, hint, scopes, created_at, expires_at, last_used_at } = token;
        let (expires_at, last_used_at) = (expires_at.map(Moment), last_used_at.map(Moment));
        Self { id, name, hint, scopes, created_at: Moment(created_at), expires_at, last_used_at }
    }
}

/// A management token that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedManagementToken)]
struct CreatedView {
    #[serde(flatten)]
    token: View,
    /// The token itself. It is shown this once.
    secret: String,
}

/// What a new management token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewManagementToken)]
struct NewBody {
    /// What to call it, 1 to 64 characters.
    name: String,
    /// What it may be used for, at least one.
    scopes: Vec<Scope>,
    /// When it ends; left out: never.
    expires_at: Option<Moment>,
}

/// Parameters of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `created_at` or `-created_at` (default).
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
}

/// The routes of management tokens.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, delete))
}

/// Lists the caller's management tokens.
#[utoipa::path(get, path = "/api/management-tokens", tag = "session", operation_id = "list_management_tokens", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-created_at")?;
    Ok(Answer::ok(super::list(&app, &asking, &listing).await?.map(View::from)))
}

/// Makes a management token. The token itself is in this answer only.
#[utoipa::path(post, path = "/api/management-tokens", tag = "session", operation_id = "create_management_token",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours.")),
    request_body = NewBody, responses(
    (status = 201, body = CreatedView),
    Refused,
))]
async fn create(State(app): State<App>, asking: Asking, Json(body): Json<NewBody>) -> Result<Answer<CreatedView>, ApiError> {
    let expires_at = body.expires_at.map(|Moment(at)| -> UnixMillis { at });
    let new = NewManagementToken { name: body.name, scopes: body.scopes, expires_at };
    let MadeManagementToken { token, secret } = super::create(&app, &asking, new).await?;
    let location = format!("/api/management-tokens/{}", token.id);
    Ok(Answer::created(CreatedView { token: token.into(), secret }, location))
}

/// Shows one of the caller's management tokens.
#[utoipa::path(get, path = "/api/management-tokens/{id}", tag = "session", operation_id = "get_management_token", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<View>, ApiError> {
    Ok(Answer::ok(super::get(&app, &asking, id).await?.into()))
}

/// Ends a management token at once.
#[utoipa::path(delete, path = "/api/management-tokens/{id}", tag = "session", operation_id = "delete_management_token", responses(
    (status = 204, description = "Ended."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Done, ApiError> {
    super::delete(&app, &asking, id).await?;
    Ok(Done { config_seq: None })
}
