//! Whether the money adds up, watched all the time.
//!
//! The replica that runs the jobs looks through all accounts, a few at a time, and begins anew when it is through: each account's ledger
//! must be worth what the account holds, and what is leased must be what its leases say. The outcome of the last pass is kept in the
//! database, so every replica shows it.

mod api;
mod pass;
mod store;

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use sluice_domain::{AccountId, Role, UnixMillis};

use crate::app::App;
use crate::auth::Scope;
use crate::db::Db;
use crate::http::{ApiError, Asking};
use crate::leases::{self, InDoubt};
use crate::settlement::quarantine;
use crate::wallet::audit::Imbalance;

pub use api::routes;
pub use pass::Reconciler;

/// Accounts that do not add up are named up to so many; all of them are counted.
const MOST_NAMED: usize = 100;

/// What a pass over all accounts found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pass {
    /// When it began.
    pub began_at: i64,
    /// When it was through.
    pub ended_at: i64,
    /// Accounts looked at.
    pub accounts: u64,
    /// Accounts that do not add up.
    pub accounts_off: u64,
    /// All their differences together, in quota units; 0 is good.
    pub imbalance: u64,
    /// The first of those accounts.
    pub off: Vec<Off>,
}

/// An account that does not add up, as it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Off {
    /// The account.
    pub account: i64,
    /// The sum of its ledger.
    pub ledger: i64,
    /// What it holds.
    pub total: i64,
    /// What is leased by its own count, and by its leases.
    pub leased: (i64, i64),
    /// What is in doubt by its own count, and by its leases.
    pub in_doubt: (i64, i64),
    /// What was spent by its own count, and by the charges in its ledger.
    pub spent: (i64, i64),
}

impl From<Imbalance> for Off {
    fn from(found: Imbalance) -> Self {
        let Imbalance { account, ledger, total, leased, in_doubt, spent } = found;
        Self { account: AccountId::get(account), ledger, total, leased, in_doubt, spent }
    }
}

/// How the books stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The last pass that was through; `None`: there was none yet.
    pub pass: Option<Pass>,
    /// What is in doubt.
    pub in_doubt: InDoubt,
    /// Records that were set aside and nobody has decided about.
    pub quarantined: i64,
}

/// How the books stand, for figures.
///
/// # Errors
/// When the database is away.
pub async fn read(db: &Db) -> Result<Standing, DbErr> {
    Ok(Standing {
        pass: store::last(db.read()).await?,
        in_doubt: leases::count_in_doubt(db).await?,
        quarantined: quarantine::undecided_count(db).await?,
    })
}

/// How the books stand.
///
/// # Errors
/// 403 for all but administrators.
pub async fn standing(app: &App, asking: &Asking) -> Result<Standing, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    Ok(read(&app.db).await?)
}

/// How long ago a pass was through, in milliseconds; the whole life of the process if none ever was.
#[must_use]
pub fn age_millis(pass: Option<&Pass>, started_at: UnixMillis, now: UnixMillis) -> i64 {
    now.millis_since(pass.map_or(started_at, |pass| UnixMillis(pass.ended_at))).max(0)
}
