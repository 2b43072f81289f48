//! What happens to leases between grant and closing: they are listed again after a reconnect, inherited, and renewed.

use std::collections::BTreeSet;

use sea_orm::DbErr;
use sluice_billing::lease::Terms;
use sluice_domain::{LeaseId, Quota, UnixMillis};

use super::store::{self, Lease};
use super::{Granted, Life, State};
use crate::db::{Db, Urgency, retried};

/// What a relay that connects has to know about leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Leases it does not list: it never got them.
    pub resend: Vec<Granted>,
    /// Leases it lists that are closed, never were its own, or were in doubt when it brought them along: those end with their own life.
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
    // read again: what could not be handed over any more may not be spent either
    let known = store::by_ids(db.read(), held).await?;
    let is_usable = |id: &LeaseId| known.get(id).is_some_and(|lease| lease.life == *life && lease.state != State::Closed);
    let listed: BTreeSet<LeaseId> = held.iter().copied().collect();
    let granted = store::not_closed(db.read(), life).await?;
    let missing = granted.iter().filter(|lease| lease.state == State::Open && !listed.contains(&lease.id));
    Ok(Greeting { resend: missing.map(resent).collect(), void: held.iter().filter(|id| !is_usable(id)).copied().collect() })
}

async fn try_inherit(db: &Db, life: &Life, brought: &[LeaseId]) -> Result<(), DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    store::inherit(&tx, life, brought).await?;
    tx.commit().await?;
    Ok(())
}

fn resent(lease: &Lease) -> Granted {
    Granted {
        grant_seq: lease.grant_seq,
        lease: lease.id,
        account: lease.account,
        amount: Quota::clamped(lease.granted),
        // how the balance stood when it was granted is not written down: as if it were low, until the next grant says
        low: true,
    }
}

/// Lets leases live on, and answers which of them do.
///
/// # Errors
/// When the database refuses or is away.
pub async fn renew(db: &Db, terms: &Terms, life: &Life, leases: &[LeaseId], now: UnixMillis) -> Result<Vec<LeaseId>, DbErr> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let end = now.plus_millis(super::life_millis(terms));
    retried(|| try_renew(db, life, leases, end)).await
}

async fn try_renew(db: &Db, life: &Life, leases: &[LeaseId], end: UnixMillis) -> Result<Vec<LeaseId>, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    store::renew(&tx, life, leases, end).await?;
    let after = store::by_ids(&tx, leases).await?;
    tx.commit().await?;
    let lives = |id: &&LeaseId| after.get(id).is_some_and(|lease| lease.life == *life && lease.state == State::Open);
    Ok(leases.iter().filter(lives).copied().collect())
}
