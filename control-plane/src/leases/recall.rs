//! Asking money back from relays, and taking in what they give.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;
use sluice_domain::{AccountId, LeaseId, Quota, UnixMillis};

use super::{Life, State, store};
use crate::db::{Db, Urgency, retried};
use crate::publish::log::{self, Changed};
use crate::wallet::moves::{self, Shift, Shifts};

/// Asks every relay, of every replica, for what nobody uses of these accounts. Answers the number of the recall. Poke the tail after it.
///
/// # Errors
/// When the database refuses or is away, or these are too many at once.
pub async fn recall(db: &Db, accounts: &BTreeSet<AccountId>, now: UnixMillis) -> Result<i64, DbErr> {
    retried(|| try_recall(db, accounts, now)).await
}

async fn try_recall(db: &Db, accounts: &BTreeSet<AccountId>, now: UnixMillis) -> Result<i64, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    let changes: Vec<Changed> = accounts.iter().copied().map(Changed::Recall).collect();
    let recall_seq = log::record(&tx, now, &changes).await?;
    tx.commit().await?;
    Ok(recall_seq)
}

/// What a relay says of the money it holds, in one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What it gave back, as totals of whole leases: saying them twice gives back once.
    pub returns: Vec<(LeaseId, Quota)>,
    /// The recalls it answers, with the leases it speaks for.
    pub recalled: Vec<(AccountId, i64, Vec<LeaseId>)>,
}

/// Takes money back from leases, and writes down which recalls their relay has answered, in one transaction. Answers the accounts that
/// have more to lease now.
///
/// # Errors
/// When the database refuses or is away; the relay says the same again.
pub async fn take_back(db: &Db, life: &Life, said: &Said) -> Result<Vec<AccountId>, DbErr> {
    let mut totals: BTreeMap<LeaseId, i64> = BTreeMap::new();
    for (lease, total) in &said.returns {
        let highest = totals.entry(*lease).or_default();
        *highest = total.get().max(*highest);
    }
    if totals.is_empty() && said.recalled.is_empty() {
        return Ok(Vec::new());
    }
    retried(|| try_take_back(db, life, &totals, &said.recalled)).await
}

async fn try_take_back(
    db: &Db,
    life: &Life,
    totals: &BTreeMap<LeaseId, i64>,
    recalled: &[(AccountId, i64, Vec<LeaseId>)],
) -> Result<Vec<AccountId>, DbErr> {
    let ids: Vec<LeaseId> = totals.keys().copied().collect();
    let tx = db.begin_as(Urgency::Grant).await?;
    let mut accounts: BTreeSet<AccountId> = store::by_ids(&tx, &ids).await?.values().map(|lease| lease.account).collect();
    accounts.extend(recalled.iter().map(|(account, ..)| *account));
    moves::lock(&tx, accounts).await?;
    let (mut shifts, mut changes) = (Shifts::new(), Vec::new());
    // read again: until their accounts were locked, leases could still change
    for lease in store::by_ids(&tx, &ids).await?.values().filter(|lease| lease.life == *life) {
        let total = totals.get(&lease.id).copied().unwrap_or_default();
        // no more can come back than was handed out and is not charged
        let back = (total - lease.returned).min(lease.remainder());
        if back <= 0 {
            continue;
        }
        let shift = match lease.state {
            State::Open => Shift { balance: back, leased: -back, ..Shift::default() },
            State::InDoubt => Shift { balance: back, in_doubt: -back, ..Shift::default() },
            State::Closed => continue,
        };
        moves::add(&mut shifts, lease.account, shift);
        changes.push((lease.id, 0, back));
    }
    if !changes.is_empty() {
        moves::write(&tx, &shifts).await?;
        store::add(&tx, &changes).await?;
    }
    // one recall asks for many accounts, and one statement answers for all of them
    let mut answers: BTreeMap<i64, store::RecallAnswer> = BTreeMap::new();
    for (account, recall_seq, leases) in recalled {
        let answer = answers.entry(*recall_seq).or_default();
        answer.accounts.insert(*account);
        answer.leases.extend(leases);
    }
    for (recall_seq, answer) in &answers {
        store::answered(&tx, life, answer, *recall_seq).await?;
    }
    tx.commit().await?;
    Ok(shifts.into_keys().collect())
}
