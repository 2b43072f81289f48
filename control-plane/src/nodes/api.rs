//! `/api/relays`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::{NodeId, Role, UnixMillis};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Applied, RejectedResource, Relay};
use crate::app::App;
use crate::auth::Scope;
use crate::http::{Answer, ApiError, Asking, Moment, Page, Query, Refused};

/// A relay node, by its own word.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Relay)]
struct View {
    /// Its stable name.
    node_id: String,
    /// Its life: grows by one at each start.
    epoch: i64,
    /// Its release.
    version: String,
    /// Where it listens.
    address: String,
    /// Whether it was heard of in the last seconds.
    is_live: bool,
    registered_at: Moment,
    last_seen_at: Moment,
    /// The config sequence number it serves.
    config_seq: i64,
    /// How old what it serves is, in seconds, when it was last heard of; `null` while it was never up to date.
    staleness_secs: Option<f64>,
    /// Requests being served.
    in_flight: i64,
    /// Leases it holds.
    leases_held: i64,
    /// Quota units in them.
    quota_leased: i64,
    /// Bytes of usage not yet settled.
    spool_bytes: i64,
    /// Requests since its start.
    requests_total: i64,
    /// Tokens and users it holds in memory.
    identities: i64,
    /// The newest revocation it has applied ahead of its configuration, as a config sequence number.
    denied_seq: i64,
    /// Resources it cannot use: their previous form stays in force there.
    rejected_count: i64,
    /// The first of them.
    rejected: Vec<RejectedView>,
}

/// A resource that a relay cannot use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedResource)]
struct RejectedView {
    /// `channel`, `group`, `price` or `setting`.
    #[schema(example = "channel")]
    kind: String,
    /// Its id or name.
    key: String,
    /// Why.
    reason: String,
}

impl From<RejectedResource> for RejectedView {
    fn from(RejectedResource { kind, key, reason }: RejectedResource) -> Self {
        Self { kind, key, reason }
    }
}

impl View {
    fn of(relay: &Relay, now: UnixMillis) -> Self {
        let status = relay.status.clone();
        Self {
            node_id: relay.node.to_string(),
            epoch: relay.epoch.0,
            version: relay.build.clone(),
            address: relay.address.clone(),
            is_live: relay.is_live_at(now),
            registered_at: Moment(relay.registered_at),
            last_seen_at: Moment(relay.last_seen_at),
            config_seq: status.config_seq,
            // it says -1 before it ever was up to date
            staleness_secs: (status.staleness_ms >= 0).then(|| seconds(status.staleness_ms)),
            in_flight: status.in_flight,
            leases_held: status.leases_held,
            quota_leased: status.leased_quota,
            spool_bytes: status.spool_bytes,
            requests_total: status.requests_total,
            identities: status.identities,
            denied_seq: status.denied_seq,
            rejected_count: status.rejected_count,
            rejected: status.rejected.into_iter().map(RejectedView::from).collect(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for people")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

/// On how many relays a change is live.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Applied)]
struct AppliedView {
    /// The config sequence number that was asked for.
    seq: i64,
    /// On so many relays it is live.
    applied: usize,
    /// So many relays are there.
    total: usize,
    /// Whether it is live on all of them.
    is_live_everywhere: bool,
    /// The relays that lag. Only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    lagging: Option<Vec<String>>,
}

/// Which change is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AppliedQuery {
    /// The `config_seq` of the answer to a write.
    seq: i64,
}

/// The routes of relays.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(applied))
}

/// Lists relays, all on one page. Administrators only.
#[utoipa::path(get, path = "/api/relays", tag = "relays", operation_id = "list_relays", responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking) -> Result<Answer<Page<View>>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let relays = super::list(app.db.read()).await?;
    let items = relays.iter().map(|relay| View::of(relay, asking.now)).collect();
    Ok(Answer::ok(Page { items, next_cursor: None, total: None }))
}

/// Tells on how many relays a change is live, and which lag.
#[utoipa::path(get, path = "/api/relays/applied", tag = "relays", operation_id = "get_applied", params(AppliedQuery), responses(
    (status = 200, body = AppliedView),
    Refused,
))]
async fn applied(
    State(app): State<App>,
    asking: Asking,
    Query(query): Query<AppliedQuery>,
) -> Result<Answer<AppliedView>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let Applied { on, lagging } = super::applied(&app.db, query.seq, asking.now).await?;
    let names = asking.actor.is_admin().then(|| lagging.iter().map(NodeId::to_string).collect());
    Ok(Answer::ok(AppliedView {
        seq: query.seq,
        applied: on.len(),
        total: on.len() + lagging.len(),
        is_live_everywhere: lagging.is_empty(),
        lagging: names,
    }))
}
