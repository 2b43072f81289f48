//! Leases whose relay was lost, for people.

use sea_orm::DbErr;
use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, LeaseId, Quota, UnixMillis};

use super::{Life, store};
use crate::db::Db;

/// A lease whose relay was lost. Its remainder is neither the account's nor spent until the relay reports, or the wait is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubted {
    /// The lease.
    pub lease: LeaseId,
    /// Its account.
    pub account: AccountId,
    /// The life that held it.
    pub life: Life,
    /// What was handed out.
    pub granted: Quota,
    /// What is in doubt of it.
    pub remainder: Quota,
    /// When it was handed out.
    pub granted_at: UnixMillis,
    /// When it ended.
    pub expired_at: UnixMillis,
    /// When its remainder goes back if nothing is heard until then.
    pub released_at: UnixMillis,
}

/// A page of the leases in doubt, by id: at most `limit` with ids above `after`.
///
/// # Errors
/// When the database is away.
pub async fn in_doubt(db: &Db, terms: &Terms, after: LeaseId, limit: u64) -> Result<Vec<Doubted>, DbErr> {
    let hold = i64::try_from(terms.grace_millis.saturating_add(terms.in_doubt_hold_millis)).unwrap_or(i64::MAX);
    let doubted = store::doubted(db.read(), after, limit).await?;
    let shown = |(lease, granted_at, expired_at): (store::Lease, UnixMillis, UnixMillis)| Doubted {
        lease: lease.id,
        account: lease.account,
        granted: Quota::clamped(lease.granted),
        remainder: Quota::clamped(lease.remainder()),
        life: lease.life,
        granted_at,
        expired_at,
        released_at: expired_at.plus_millis(hold),
    };
    Ok(doubted.into_iter().map(shown).collect())
}
