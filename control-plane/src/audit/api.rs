//! `/api/audit`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::UserId;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AuditFilter, AuditRow};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Between, Count, Listing, Moment, Page, Paging, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("at", "id")];

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct View {
    id: i64,
    at: Moment,
    /// Who did it; `null`: Sluice by itself.
    actor_id: Option<i64>,
    /// What was done.
    #[schema(example = "tokens.create")]
    action: String,
    /// To what.
    #[schema(example = "token:12")]
    target: String,
    /// What it was about; `null`: the action says it all. Holds no secrets.
    #[schema(value_type = Option<Object>)]
    detail: serde_json::Value,
    /// From where.
    client_ip: Option<String>,
}

impl From<AuditRow> for View {
    fn from(row: AuditRow) -> Self {
        let AuditRow { id, at, actor_id, action, target, detail, client_ip } = row;
        let detail = serde_json::from_str(&detail).unwrap_or(serde_json::Value::Null);
        Self { id, at: Moment(at), actor_id: actor_id.map(UserId::get), action, target, detail, client_ip }
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
    /// `at` or `-at` (default).
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Only by this user.
    actor_id: Option<i64>,
    /// Only this action.
    action: Option<String>,
    /// Only to this object.
    target: Option<String>,
    /// Only those made then or later.
    #[serde(rename = "at.gte")]
    #[param(rename = "at.gte")]
    from: Option<Moment>,
    /// Only those made before.
    #[serde(rename = "at.lt")]
    #[param(rename = "at.lt")]
    before: Option<Moment>,
}

/// The route of the audit trail.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists who changed what, newest first. Administrators only.
#[utoipa::path(get, path = "/api/audit", tag = "audit", operation_id = "list_audit", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-at")?;
    let at = Between::new(query.from, query.before);
    let filter = AuditFilter { actor_id: query.actor_id, action: query.action, target: query.target, at };
    Ok(Answer::ok(super::list(&app, &asking, &filter, &listing).await?.map(View::from)))
}
