//! `/api/quarantine`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::ChannelId;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Resolved, SetAside};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Count, Listing, Moment, Page, Paging, Path, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("id", "id")];

/// A record that could not be settled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuarantinedRecord)]
struct View {
    id: i64,
    /// The relay that reported it.
    node_id: String,
    /// The life it reported it in.
    epoch: i64,
    /// Its number in that life.
    seq: i64,
    /// The request it is about; empty when the record could not be read.
    request_id: String,
    /// Why it could not be settled.
    #[schema(example = "unpriced_model")]
    reason: String,
    at: Moment,
    /// `settled` or `discarded`; `null`: nobody has decided.
    resolution: Option<&'static str>,
    resolved_at: Option<Moment>,
    /// Who would pay; `null` with everything that follows when the record cannot be read.
    user_id: Option<i64>,
    token_id: Option<i64>,
    model: Option<String>,
    group: Option<String>,
    channel_id: Option<i64>,
    /// What the relay says it costs, in quota units.
    quota_claimed: Option<i64>,
    /// Tokens in and out, as the relay says.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    started_at: Option<Moment>,
}

impl From<SetAside> for View {
    fn from(record: SetAside) -> Self {
        let request = record.request.as_deref();
        Self {
            id: record.id,
            resolution: record.resolution.map(|(resolution, _)| resolution.as_str()),
            resolved_at: record.resolution.map(|(_, at)| Moment(at)),
            user_id: request.map(|request| request.user_id.get()),
            token_id: request.map(|request| request.token_id.get()),
            model: request.map(|request| request.model.to_string()),
            group: request.map(|request| request.group.to_string()),
            channel_id: request.and_then(|request| request.channel_id).map(ChannelId::get),
            quota_claimed: request.map(|request| request.quota.get()),
            input_tokens: request.map(|request| request.usage.total_input()),
            output_tokens: request.map(|request| request.usage.total_output()),
            started_at: request.map(|request| Moment(request.started_at)),
            node_id: record.node,
            epoch: record.epoch,
            seq: record.seq,
            request_id: record.request_id,
            reason: record.reason,
            at: Moment(record.at),
        }
    }
}

/// What became of a record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolvedRecord)]
struct ResolvedView {
    id: i64,
    request_id: String,
    /// Why it was set aside.
    reason: String,
    /// `settled` or `discarded`.
    resolution: &'static str,
    /// What it was charged, in quota units.
    quota: u64,
}

impl From<Resolved> for ResolvedView {
    fn from(resolved: Resolved) -> Self {
        let Resolved { id, request_id, reason, resolution, quota } = resolved;
        Self { id, request_id, reason, resolution, quota }
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
    /// `id` (default, oldest first) or `-id`.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Those somebody has decided about instead of those nobody has.
    resolved: Option<bool>,
}

/// The routes of records that were set aside.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(discard))
}

/// Lists records that could not be settled, oldest first. Administrators only.
#[utoipa::path(get, path = "/api/quarantine", tag = "reconciliation", operation_id = "list_quarantine", params(ListQuery),
    responses((status = 200, body = Page<View>), Refused))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "id")?;
    let page = super::list(&app, &asking, query.resolved.unwrap_or(false), &listing).await?;
    Ok(Answer::ok(page.map(View::from)))
}

/// Settles a record after all: one without a price at the price of today. Administrators only.
#[utoipa::path(post, path = "/api/quarantine/{id}/retry", tag = "reconciliation", operation_id = "retry_quarantined",
    params(("id" = i64, Path)), responses((status = 200, body = ResolvedView), Refused))]
async fn retry(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<ResolvedView>, ApiError> {
    Ok(Answer::ok(super::retry(&app, &asking, id).await?.into()))
}

/// Lets a record go: its request is not charged. Administrators only.
#[utoipa::path(post, path = "/api/quarantine/{id}/discard", tag = "reconciliation", operation_id = "discard_quarantined",
    params(("id" = i64, Path)), responses((status = 200, body = ResolvedView), Refused))]
async fn discard(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<ResolvedView>, ApiError> {
    Ok(Answer::ok(super::discard(&app, &asking, id).await?.into()))
}
