//! A database that went back to an earlier state begins another history (ruling R7).
//!
//! Relays then hold money that this database never handed out, or has back already. So every lease is void, whoever holds it; what relays
//! used meanwhile is charged to the balances when they report it. Ids that were handed out and are forgotten here are in relays' books
//! and spools: none of them is handed out again.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;
use sluice_domain::{AccountId, LeaseId, UnixMillis};

use super::jobs::{AT_ONCE, shift_all};
use super::store::{self, Lease};
use super::{Life, State};
use crate::audit;
use crate::db::{Db, Tx, Urgency, first_rows, retried, skip_ids};
use crate::publish::{self, Head};
use crate::settlement;
use crate::wallet::moves;

/// Ids that are left out, by table: more than could have been handed out since the backup.
const SKIPPED: [(&str, i64); 5] =
    [("accounts", 1_000_000), ("users", 1_000_000), ("tokens", 1_000_000), ("channels", 1_000_000), ("channel_keys", 1_000_000)];
/// The same for leases, and up to so many more by chance: of two histories that began from the same backup, neither hands out ids of the
/// other.
const SKIPPED_LEASES: i64 = 1 << 32;
const SKIPPED_BY_CHANCE: u64 = 1 << 44;

/// What the beginning of another history did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Begun {
    /// Its name.
    pub lineage: String,
    /// Leases that were void.
    pub leases: u64,
    /// What of them went back to their accounts, in quota units.
    pub quota: i64,
}

/// What somebody knows of a history that its database does not: so it went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A later version of the configuration, or the same number with another stamp.
    Configuration(Head),
    /// A relay's reports were settled further than the database knows.
    Settled {
        /// The history.
        lineage: Arc<str>,
        /// The life that reported.
        life: Life,
        /// Everything below this was settled.
        below: i64,
    },
}

impl Proof {
    /// Whether it still holds. Of several who find out one begins another history, of which it proves nothing.
    async fn holds(&self, db: &impl ConnectionTrait, head: &Head) -> Result<bool, DbErr> {
        match self {
            Self::Configuration(known) => publish::is_gone(db, head, known).await,
            Self::Settled { lineage, life, below } => {
                Ok(head.version.lineage == *lineage && settlement::store::next_seq(db, life).await? < *below)
            }
        }
    }
}

/// Begins another history. With a proof that the database went back only while that holds: of several who find that out one does it, and
/// the others get `None`.
///
/// One transaction closes every lease and names the history, so that no lease of the old one is ever taken for one of the new.
///
/// # Errors
/// When the database refuses or is away; then nothing has changed.
pub async fn begin_history(db: &Db, proof: Option<&Proof>, now: UnixMillis) -> Result<Option<Begun>, DbErr> {
    let head = publish::head_of(db.read()).await?;
    if let Some(proof) = proof
        && !proof.holds(db.read(), &head).await?
    {
        return Ok(None);
    }
    let by_chance = u64::from_le_bytes(sluice_sealed::random::bytes()) % SKIPPED_BY_CHANCE;
    let leases = ("leases", SKIPPED_LEASES.saturating_add_unsigned(by_chance));
    for (table, by) in SKIPPED.into_iter().chain([leases]) {
        skip_ids(db, table, by).await?;
    }
    retried(|| try_begin(db, proof, now)).await
}

async fn try_begin(db: &Db, proof: Option<&Proof>, now: UnixMillis) -> Result<Option<Begun>, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    let accounts = holders(&tx).await?;
    moves::lock(&tx, accounts.iter().copied()).await?;
    let mut begun = Begun { lineage: first_rows::new_lineage(), leases: 0, quota: 0 };
    close_all(&tx, &accounts, now, &mut begun).await?;
    // nobody else changes the head from here on
    let head = publish::lock_head(&tx).await?;
    if let Some(proof) = proof
        && !proof.holds(&tx, &head).await?
    {
        return Ok(None);
    }
    publish::rename_history(&tx, &begun.lineage).await?;
    audit::write_by_itself(&tx, now, "database.restored", &format!("lineage:{}", begun.lineage), &begun).await?;
    tx.commit().await?;
    Ok(Some(begun))
}

/// The accounts that have leases.
async fn holders(tx: &Tx) -> Result<BTreeSet<AccountId>, DbErr> {
    let (mut accounts, mut last) = (BTreeSet::new(), LeaseId::new(0));
    loop {
        let page = store::every_open(tx, last, AT_ONCE).await?;
        let Some(newest) = page.last() else { return Ok(accounts) };
        last = newest.id;
        accounts.extend(page.iter().map(|lease| lease.account));
    }
}

/// Closes the leases of accounts that this transaction has locked. One that is granted meanwhile on another account is of this database,
/// and may be used in the new history as well.
async fn close_all(tx: &Tx, accounts: &BTreeSet<AccountId>, now: UnixMillis, begun: &mut Begun) -> Result<(), DbErr> {
    let mut last = LeaseId::new(0);
    loop {
        let page = store::every_open(tx, last, AT_ONCE).await?;
        let Some(newest) = page.last() else { return Ok(()) };
        last = newest.id;
        let locked: Vec<Lease> = page.into_iter().filter(|lease| accounts.contains(&lease.account)).collect();
        if locked.is_empty() {
            continue;
        }
        begun.leases += u64::try_from(locked.len()).unwrap_or_default();
        begun.quota = locked.iter().fold(begun.quota, |sum, lease| sum.saturating_add(lease.remainder()));
        shift_all(tx, &locked, State::Closed, now).await?;
    }
}
