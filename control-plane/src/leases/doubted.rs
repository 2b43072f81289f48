//! Leases whose relay was lost, for people: what is in doubt, until when, and giving it back now.

use sea_orm::DbErr;
use serde::Serialize;
use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, LeaseId, Quota, Role, UnixMillis};

use super::{Life, State, jobs, store};
use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::db::Db;
use crate::http::{ApiError, Asking, Code};
use crate::publish::log::{self, Changed};
use crate::wallet::moves;

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
    /// When its relay was given up.
    pub doubted_at: UnixMillis,
    /// When its remainder goes back if nothing is heard until then. `None`: when somebody says so.
    pub released_at: Option<UnixMillis>,
}

/// How much is in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InDoubt {
    /// Leases.
    pub leases: i64,
    /// What is in doubt of them, in quota units.
    pub quota: i64,
}

/// A page of the leases in doubt, by id: at most `limit` with ids above `after`.
///
/// # Errors
/// When the database is away.
pub async fn in_doubt(db: &Db, terms: &Terms, after: LeaseId, limit: u64) -> Result<Vec<Doubted>, DbErr> {
    let hold = terms.in_doubt_hold_millis.map(|hold| i64::try_from(hold).unwrap_or(i64::MAX));
    let doubted = store::doubted(db.read(), after, limit).await?;
    let shown = |(lease, moments): (store::Lease, store::Moments)| Doubted {
        lease: lease.id,
        account: lease.account,
        granted: Quota::clamped(lease.granted),
        remainder: Quota::clamped(lease.remainder()),
        life: lease.life,
        granted_at: moments.granted,
        expired_at: moments.expired,
        doubted_at: moments.doubted,
        released_at: hold.map(|hold| moments.doubted.plus_millis(hold)),
    };
    Ok(doubted.into_iter().map(shown).collect())
}

/// How much is in doubt altogether.
///
/// # Errors
/// When the database is away.
pub async fn count_in_doubt(db: &Db) -> Result<InDoubt, DbErr> {
    let (leases, quota) = store::count_doubted(db.read()).await?;
    Ok(InDoubt { leases, quota })
}

/// What was given back by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The lease.
    pub lease: i64,
    /// Its account.
    pub account: i64,
    /// What went back.
    pub quota: i64,
}

/// Gives the remainder of a lease in doubt back at once. What its relay still reports of it is charged to the balance.
///
/// # Errors
/// 403 for all but administrators, 404 when there is no such lease, 409 when it is not in doubt.
pub async fn release(app: &App, asking: &Asking, lease: LeaseId) -> Result<Released, ApiError> {
    asking.actor.need(Role::Admin, Scope::Money)?;
    let known = store::by_ids(app.db.read(), &[lease]).await?.remove(&lease).ok_or_else(|| ApiError::not_found("lease"))?;
    let tx = app.db.begin().await?;
    moves::lock(&tx, [known.account]).await?;
    let current = store::by_ids(&tx, &[lease]).await?.remove(&lease).ok_or_else(|| ApiError::not_found("lease"))?;
    if current.state != State::InDoubt {
        return Err(ApiError::new(Code::Protected, "the lease is not in doubt any more"));
    }
    jobs::shift_all(&tx, std::slice::from_ref(&current), State::Closed, asking.now).await?;
    let released = Released { lease: lease.get(), account: current.account.get(), quota: current.remainder() };
    audit::write(&tx, asking, "leases.release", &format!("lease:{lease}"), &released).await?;
    log::record(&tx, asking.now, &[Changed::Account(current.account)]).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(released)
}
