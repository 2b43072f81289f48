//! `/api/doubted-leases`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::{LeaseId, Role};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Doubted, Released};
use crate::app::App;
use crate::auth::Scope;
use crate::http::{Answer, ApiError, Asking, Listing, Moment, Page, Paging, Path, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("id", "id")];

/// Money in the hands of a relay that was lost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DoubtedLease)]
struct View {
    id: i64,
    account_id: i64,
    /// The relay.
    node_id: String,
    /// The life it was lost in.
    epoch: i64,
    /// What was handed out, in quota units.
    quota_granted: i64,
    /// What is in doubt of it.
    quota_in_doubt: i64,
    granted_at: Moment,
    /// When it ended.
    expired_at: Moment,
    /// Since when it is in doubt.
    doubted_at: Moment,
    /// When it goes back if nothing is heard until then; `null`: when somebody says so.
    released_at: Option<Moment>,
}

impl From<Doubted> for View {
    fn from(doubted: Doubted) -> Self {
        Self {
            id: doubted.lease.get(),
            account_id: doubted.account.get(),
            node_id: doubted.life.node.to_string(),
            epoch: doubted.life.epoch.0,
            quota_granted: doubted.granted.get(),
            quota_in_doubt: doubted.remainder.get(),
            granted_at: Moment(doubted.granted_at),
            expired_at: Moment(doubted.expired_at),
            doubted_at: Moment(doubted.doubted_at),
            released_at: doubted.released_at.map(Moment),
        }
    }
}

/// What went back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReleasedLease)]
struct ReleasedView {
    id: i64,
    account_id: i64,
    /// In quota units.
    quota: i64,
}

impl From<Released> for ReleasedView {
    fn from(released: Released) -> Self {
        Self { id: released.lease, account_id: released.account, quota: released.quota }
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
}

/// The routes of leases.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(release))
}

/// Lists leases whose relay was lost, oldest first. Administrators only.
#[utoipa::path(get, path = "/api/doubted-leases", tag = "reconciliation", operation_id = "list_doubted_leases", params(ListQuery),
    responses((status = 200, body = Page<View>), Refused))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let paging = Paging { limit: query.limit, cursor: query.cursor, ..Paging::default() };
    let listing = Listing::new(paging, &SORTS, "id", "id")?;
    let after = LeaseId::new(listing.after_number().unwrap_or(0));
    let leases = super::in_doubt(&app.db, &app.terms, after, listing.rows()).await?;
    let page = listing.cut(leases, |lease, _| (lease.lease.get().into(), lease.lease.get().into()));
    Ok(Answer::ok(page.map(View::from)))
}

/// Gives what is left of a lease in doubt back at once. What its relay still reports of it is charged to the balance. Administrators only.
#[utoipa::path(post, path = "/api/doubted-leases/{id}/release", tag = "reconciliation", operation_id = "release_lease",
    params(("id" = i64, Path)), responses((status = 200, body = ReleasedView), Refused))]
async fn release(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<ReleasedView>, ApiError> {
    Ok(Answer::ok(super::release(&app, &asking, LeaseId::new(id)).await?.into()))
}
