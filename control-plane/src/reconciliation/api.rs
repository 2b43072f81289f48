//! `/api/reconciliation`.

use axum::extract::State;
use serde::Serialize;
use sluice_domain::UnixMillis;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Off, Pass, Standing, age_millis};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Moment, Refused};

/// Whether the money adds up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reconciliation)]
struct View {
    /// When the last pass over all accounts was through; `null`: none was yet.
    checked_at: Option<Moment>,
    /// How long ago that was, or since the start.
    age_secs: i64,
    /// Accounts that were looked at.
    accounts: u64,
    /// Accounts that do not add up.
    accounts_off: u64,
    /// All their differences together, in quota units; 0 is good.
    quota_imbalance: u64,
    /// The first hundred of them.
    off: Vec<OffView>,
    /// Leases of relays that were lost.
    leases_in_doubt: i64,
    /// What is in doubt of them, in quota units.
    quota_in_doubt: i64,
    /// Records that could not be settled and nobody has decided about.
    quarantined: i64,
}

/// An account that does not add up, in quota units.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnbalancedAccount)]
struct OffView {
    account_id: i64,
    /// The sum of its ledger.
    ledger: i64,
    /// What it holds; should be the same.
    total: i64,
    /// What is leased, by its own count.
    leased: i64,
    /// The same by its leases.
    leased_by_leases: i64,
    /// What is in doubt, by its own count.
    in_doubt: i64,
    /// The same by its leases.
    in_doubt_by_leases: i64,
    /// What was spent, by its own count.
    spent: i64,
    /// The same by the charges in its ledger.
    spent_by_ledger: i64,
}

impl From<Off> for OffView {
    fn from(off: Off) -> Self {
        Self {
            account_id: off.account,
            ledger: off.ledger,
            total: off.total,
            leased: off.leased.0,
            leased_by_leases: off.leased.1,
            in_doubt: off.in_doubt.0,
            in_doubt_by_leases: off.in_doubt.1,
            spent: off.spent.0,
            spent_by_ledger: off.spent.1,
        }
    }
}

impl View {
    fn of(standing: Standing, started_at: UnixMillis, now: UnixMillis) -> Self {
        let age = age_millis(standing.pass.as_ref(), started_at, now);
        let checked_at = standing.pass.as_ref().map(|pass| Moment(UnixMillis(pass.ended_at)));
        let Pass { accounts, accounts_off, imbalance, off, .. } = standing.pass.unwrap_or_default();
        Self {
            checked_at,
            age_secs: age / 1_000,
            accounts,
            accounts_off,
            quota_imbalance: imbalance,
            off: off.into_iter().map(OffView::from).collect(),
            leases_in_doubt: standing.in_doubt.leases,
            quota_in_doubt: standing.in_doubt.quota,
            quarantined: standing.quarantined,
        }
    }
}

/// The route of the reconciler.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Tells whether the money adds up, by the last pass over all accounts. Administrators only.
#[utoipa::path(get, path = "/api/reconciliation", tag = "reconciliation", operation_id = "get_reconciliation",
    responses((status = 200, body = View), Refused))]
async fn get(State(app): State<App>, asking: Asking) -> Result<Answer<View>, ApiError> {
    let standing = super::standing(&app, &asking).await?;
    Ok(Answer::ok(View::of(standing, app.started_at, asking.now)))
}
