//! Operations of people on wallets: corrections by administrators, and looking at the ledger.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use sluice_domain::{AccountId, Quota, Role, UnixMillis, UserId};

use super::{
    AccountKind, Entry, EntryKind, LedgerOf, LedgerRow, Standing, WalletError, accounts_of, ledger_page, post, standings,
};
use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, Listing, Page, Rules};
use crate::users::{self, may_manage};

/// A row of the ledger as it was just written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// Its id.
    pub id: i64,
    /// How much.
    pub amount: Quota,
    /// The wallet's total after it.
    pub balance_after: Quota,
    /// Names the movement.
    pub reference: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

impl From<WalletError> for ApiError {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::OutOfRange(..) => {
                let rule = format!("the balance would be beyond {} units", Quota::LIMIT);
                Self { source: Some(Box::new(error)), ..Self::new(Code::QuotaOutOfRange, rule) }
            }
            WalletError::Database(error) => error.into(),
            WalletError::NoAccount(_) | WalletError::Duplicate(_) => Self::internal(error),
        }
    }
}

/// Moves money onto or off a user's wallet.
///
/// # Errors
/// 403 for all but administrators of a higher role, 404, 409 when the balance would be out of range, 422 when the amount is 0 or
/// there is no reason.
pub async fn adjust(app: &App, asking: &Asking, user: UserId, amount: i64, reason: &str) -> Result<Adjusted, ApiError> {
    asking.actor.need(Role::Admin, Scope::Money)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let owner = users::visible(app.db.read(), &asking.actor, user).await?;
    may_manage(&asking.actor, owner.role)?;
    let mut rules = Rules::new();
    rules.line("reason", reason, 1, 255);
    if amount == 0 {
        rules.refuse("amount", "range", "must not be 0");
    }
    let amount = rules.quota("amount", amount);
    let amount = rules.finish(amount)?;

    let account = wallet_of(app.db.read(), user).await?;
    let reference = users::unique_reference("adjust");
    let entry = Entry {
        account,
        kind: EntryKind::AdminAdjust,
        amount,
        reference: reference.clone(),
        actor: Some(asking.actor.user_id),
        reason: reason.to_owned(),
    };
    let tx = app.db.begin().await?;
    let balance_after = post(&tx, entry, asking.now).await?;
    let newest = ledger_page(&tx, LedgerOf::Account(account), None, 1).await?;
    // the account is locked, so its newest row is the one just written
    let id = newest.first().map(|row| row.id).ok_or_else(|| ApiError::internal("the ledger lost a row"))?;
    let adjusted = Adjusted { id, amount, balance_after, reference, reason: reason.to_owned(), at: asking.now };
    audit::write(&tx, asking, "wallet.adjust", &format!("user:{user}"), &adjusted).await?;
    remember(app, &tx, asking, &adjusted).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(adjusted)
}

/// What a user's wallet holds.
///
/// # Errors
/// 404 when the user is not the caller's to see.
pub async fn balance(app: &App, asking: &Asking, user: UserId) -> Result<Standing, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    users::visible(app.db.read(), &asking.actor, user).await?;
    let account = wallet_of(app.db.read(), user).await?;
    let found = standings(app.db.read(), &[account]).await?;
    found.first().copied().ok_or_else(|| ApiError::internal("a wallet is gone"))
}

/// A page of a user's ledger, newest first; the listing is sorted by id.
///
/// # Errors
/// 404 when the user is not the caller's to see.
pub async fn ledger(app: &App, asking: &Asking, user: UserId, listing: &Listing) -> Result<Page<LedgerRow>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    users::visible(app.db.read(), &asking.actor, user).await?;
    let account = wallet_of(app.db.read(), user).await?;
    let rows = ledger_page(app.db.read(), LedgerOf::Account(account), listing.after_number(), listing.rows()).await?;
    Ok(listing.cut(rows, |row, _| (row.id.into(), row.id.into())))
}

async fn wallet_of(db: &impl ConnectionTrait, user: UserId) -> Result<AccountId, ApiError> {
    let accounts = accounts_of(db, user).await?;
    let wallet = accounts.into_iter().find(|account| account.kind == AccountKind::Wallet(user));
    wallet.map(|account| account.id).ok_or_else(|| ApiError::internal("a user has no wallet"))
}
