//! What happens to leases between grant and closing: they are listed again after a reconnect, renewed, and partly given back.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;
use sluice_domain::{AccountId, LeaseId, Quota, UnixMillis};

use super::store::{self, Lease};
use super::{Granted, Life, State};
use crate::db::{Db, Urgency, retried};
use crate::wallet::moves::{self, Shift, Shifts};

/// What a relay that connects has to know about leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Leases it does not list: it never got them.
    pub resend: Vec<Granted>,
    /// Leases it lists that are closed, or never were its own.
    pub void: Vec<LeaseId>,
}

/// Compares the leases a relay holds with those it was granted. Leases it brought along from an earlier life go over to this one.
///
/// # Errors
/// When the database refuses or is away.
pub async fn greet(db: &Db, life: &Life, held: &[LeaseId]) -> Result<Greeting, DbErr> {
    let known = store::by_ids(db.read(), held).await?;
    let is_own = |lease: &Lease| lease.life.node == life.node && lease.life.epoch <= life.epoch;
    let brought: Vec<LeaseId> = known
        .values()
        .filter(|lease| is_own(lease) && lease.life.epoch < life.epoch && lease.state == State::Open)
        .map(|lease| lease.id)
        .collect();
    if !brought.is_empty() {
        retried(|| try_inherit(db, life, &brought)).await?;
    }
    let is_usable = |id: &LeaseId| known.get(id).is_some_and(|lease| is_own(lease) && lease.state != State::Closed);
    let listed: BTreeSet<LeaseId> = held.iter().copied().collect();
    let granted = store::not_closed(db.read(), life).await?;
    let missing = granted.iter().filter(|lease| lease.state == State::Open && !listed.contains(&lease.id));
    Ok(Greeting { resend: missing.map(resent).collect(), void: held.iter().filter(|id| !is_usable(id)).copied().collect() })
}

async fn try_inherit(db: &Db, life: &Life, brought: &[LeaseId]) -> Result<(), DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    store::inherit(&tx, life, brought).await?;
    tx.commit().await
}

fn resent(lease: &Lease) -> Granted {
    Granted {
        grant_seq: lease.grant_seq,
        lease: lease.id,
        account: lease.account,
        amount: Quota::clamped(lease.granted),
        low: false,
    }
}

/// Lets leases live on, and answers which of them do.
///
/// # Errors
/// When the database refuses or is away.
pub async fn renew(db: &Db, life: &Life, leases: &[LeaseId], now: UnixMillis) -> Result<Vec<LeaseId>, DbErr> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    retried(|| try_renew(db, life, leases, now)).await
}

async fn try_renew(db: &Db, life: &Life, leases: &[LeaseId], now: UnixMillis) -> Result<Vec<LeaseId>, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    store::renew(&tx, life, leases, now).await?;
    let after = store::by_ids(&tx, leases).await?;
    tx.commit().await?;
    let lives = |id: &&LeaseId| after.get(id).is_some_and(|lease| lease.life == *life && lease.state == State::Open);
    Ok(leases.iter().filter(lives).copied().collect())
}

/// Takes money back from leases. Each total is everything given back from that lease so far, so saying it twice takes it once.
/// Answers the accounts that have more to lease now.
///
/// # Errors
/// When the database refuses or is away; the relay says the same again.
pub async fn take_returns(db: &Db, life: &Life, returns: &[(LeaseId, Quota)]) -> Result<Vec<AccountId>, DbErr> {
    let mut totals: BTreeMap<LeaseId, i64> = BTreeMap::new();
    for (lease, total) in returns {
        let highest = totals.entry(*lease).or_default();
        *highest = total.get().max(*highest);
    }
    if totals.is_empty() {
        return Ok(Vec::new());
    }
    retried(|| try_take_returns(db, life, &totals)).await
}

async fn try_take_returns(db: &Db, life: &Life, totals: &BTreeMap<LeaseId, i64>) -> Result<Vec<AccountId>, DbErr> {
    let ids: Vec<LeaseId> = totals.keys().copied().collect();
    let tx = db.begin_as(Urgency::Grant).await?;
    let accounts: BTreeSet<AccountId> = store::by_ids(&tx, &ids).await?.values().map(|lease| lease.account).collect();
    moves::lock(&tx, accounts).await?;
    let (mut shifts, mut changes) = (Shifts::new(), Vec::new());
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
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    moves::write(&tx, &shifts).await?;
    store::add(&tx, &changes).await?;
    tx.commit().await?;
    Ok(shifts.into_keys().collect())
}
