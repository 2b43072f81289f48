//! `/api/users/{id}/balance`, `/adjustments` and `/ledger`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sluice_domain::UserId;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::adjust::{self, Adjusted};
use super::{EntryKind, LedgerRow, Standing};
use crate::app::App;
use crate::http::{
    Answer, ApiError, Asking, Currency, Json, Listing, Moment, Page, Paging, Path, Query, Refused, Shown, SortKey, twin,
};
use crate::users::UserRef;

const SORTS: [SortKey; 1] = [SortKey::number("id", "id")];

/// What a wallet holds, in quota units.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
struct BalanceView {
    /// What can be spent. Below zero: debt.
    quota_available: i64,
    /// In the hands of relays for running and coming requests.
    quota_held: i64,
    /// In the hands of relays that were lost; comes back or is charged.
    quota_in_doubt: i64,
    /// What requests cost, ever.
    quota_used: i64,
    /// How far below zero requests may take it.
    credit_limit: i64,
    /// Whether nothing may be spent.
    is_frozen: bool,
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
}

impl BalanceView {
    fn of(standing: &Standing, currency: Option<Currency>) -> Self {
        let Standing { account: _, balance, credit_limit, leased, in_doubt, spent, frozen } = *standing;
        Self {
            quota_available: balance.get(),
            quota_held: leased.get(),
            quota_in_doubt: in_doubt.get(),
            quota_used: spent.get(),
            credit_limit: credit_limit.get(),
            is_frozen: frozen,
            quota_available_usd: twin(currency, balance.get()),
            quota_held_usd: twin(currency, leased.get()),
            quota_in_doubt_usd: twin(currency, in_doubt.get()),
            quota_used_usd: twin(currency, spent.get()),
        }
    }
}

/// A movement of money on a wallet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
struct EntryView {
    id: i64,
    /// Why: `charge`, `refund`, `topup`, `redeem`, `signup_gift`, `admin_adjust`, `import` …
    #[schema(example = "admin_adjust")]
    kind: String,
    /// How much, in quota units; below zero takes away.
    amount: i64,
    /// The wallet's total after it, with what relays hold.
    balance_after: i64,
    /// `amount` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    amount_usd: Option<String>,
    /// `balance_after` in US dollars; only with `currency=usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    balance_after_usd: Option<String>,
    /// Names the movement for ever.
    reference: String,
    /// Who did it; `null`: Sluice by itself.
    actor_id: Option<i64>,
    /// For people.
    reason: String,
    at: Moment,
}

impl EntryView {
    fn of(row: LedgerRow, currency: Option<Currency>) -> Self {
        let (amount, balance_after) = (row.amount.get(), row.balance_after.get());
        Self {
            id: row.id,
            kind: row.kind,
            amount,
            balance_after,
            amount_usd: twin(currency, amount),
            balance_after_usd: twin(currency, balance_after),
            reference: row.reference,
            actor_id: row.actor.map(UserId::get),
            reason: row.reason,
            at: Moment(row.at),
        }
    }
}

/// A correction of a wallet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdjustment)]
struct NewBody {
    /// How much, in quota units; below zero takes away.
    amount: i64,
    /// Why, 1 to 255 characters.
    reason: String,
}

/// Parameters of the ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LedgerQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `usd` adds a decimal-text twin `…_usd` to every amount.
    currency: Option<Currency>,
}

/// The routes of wallets.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(balance)).routes(routes!(create_adjustment)).routes(routes!(ledger))
}

/// Shows what a user's wallet holds.
#[utoipa::path(get, path = "/api/users/{id}/balance", tag = "users", operation_id = "get_balance",
    params(("id" = String, Path, description = "A user id, or `me`."), Shown), responses(
    (status = 200, body = BalanceView),
    Refused,
))]
async fn balance(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(shown): Query<Shown>,
) -> Result<Answer<BalanceView>, ApiError> {
    let standing = adjust::balance(&app, &asking, id.for_actor(&asking.actor)).await?;
    Ok(Answer::ok(BalanceView::of(&standing, shown.currency)))
}

/// Moves money onto or off a user's wallet, with a reason. Administrators of a higher role only.
#[utoipa::path(post, path = "/api/users/{id}/adjustments", tag = "users", operation_id = "create_adjustment",
    params(
        ("id" = String, Path, description = "A user id, or `me`."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours."),
        Shown,
    ),
    request_body = NewBody, responses(
    (status = 201, body = EntryView),
    Refused,
))]
async fn create_adjustment(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(shown): Query<Shown>,
    Json(body): Json<NewBody>,
) -> Result<Answer<EntryView>, ApiError> {
    let user = id.for_actor(&asking.actor);
    let Adjusted { id, amount, balance_after, reference, reason, at } =
        adjust::adjust(&app, &asking, user, body.amount, &body.reason).await?;
    let view = EntryView {
        id,
        kind: EntryKind::AdminAdjust.as_str().to_owned(),
        amount: amount.get(),
        balance_after: balance_after.get(),
        amount_usd: twin(shown.currency, amount.get()),
        balance_after_usd: twin(shown.currency, balance_after.get()),
        reference,
        actor_id: Some(asking.actor.user_id.get()),
        reason,
        at: Moment(at),
    };
    Ok(Answer::created(view, format!("/api/users/{user}/ledger")))
}

/// Lists the movements of money on a user's wallet, newest first.
#[utoipa::path(get, path = "/api/users/{id}/ledger", tag = "users", operation_id = "list_ledger",
    params(("id" = String, Path, description = "A user id, or `me`."), LedgerQuery), responses(
    (status = 200, body = Page<EntryView>),
    Refused,
))]
async fn ledger(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<UserRef>,
    Query(query): Query<LedgerQuery>,
) -> Result<Answer<Page<EntryView>>, ApiError> {
    let user = id.for_actor(&asking.actor);
    let paging = Paging { limit: query.limit, cursor: query.cursor, ..Paging::default() };
    let listing = Listing::new(paging, &SORTS, "id", "-id")?;
    let page = adjust::ledger(&app, &asking, user, &listing).await?;
    Ok(Answer::ok(page.map(|row| EntryView::of(row, query.currency))))
}
