//! What happens to leases nobody speaks of any more.

use std::collections::BTreeSet;

use sea_orm::DbErr;
use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, LeaseId, UnixMillis};

use super::State;
use super::store::{self, Lease};
use crate::db::{Tx, retried};
use crate::jobs::leader::Work;
use crate::nodes;
use crate::wallet::moves::{self, Shift, Shifts};

/// Leases in one transaction, so that a job never holds up a grant for long.
pub(super) const AT_ONCE: u64 = 200;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Leases whose relay was lost.
    pub doubted: u64,
    /// Leases whose remainder went back because the wait was over.
    pub released: u64,
    /// The accounts it went back to.
    pub richer: BTreeSet<AccountId>,
}

/// Doubts the leases of lost relays, and gives back what has been in doubt long enough. Goes on until nothing is left to do.
///
/// # Errors
/// When the database refuses or is away, or another replica runs the jobs by now. What was done until then stays done.
pub async fn run(work: &Work, terms: &Terms, now: UnixMillis) -> Result<Report, DbErr> {
    let mut report = Report::default();
    doubt(work, now.plus_millis(-millis(terms.grace_millis)), now, &mut report).await?;
    let back = give_back(work, terms, now).await?;
    Ok(Report { doubted: report.doubted, ..back })
}

/// Gives back what has been in doubt long enough, and doubts nothing: relays may not have had the time to be heard of.
///
/// # Errors
/// As [`run`].
pub async fn give_back(work: &Work, terms: &Terms, now: UnixMillis) -> Result<Report, DbErr> {
    let mut report = Report::default();
    if let Some(hold) = terms.in_doubt_hold_millis {
        release(work, now.plus_millis(-millis(hold)), now, &mut report).await?;
    }
    Ok(report)
}

fn millis(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}

/// Expired leases whose relay has not been seen since, or lives another life: their money is neither here nor there. A relay that is
/// alive closes its leases itself, however late.
async fn doubt(work: &Work, before: UnixMillis, now: UnixMillis, report: &mut Report) -> Result<(), DbErr> {
    let mut last = LeaseId::new(0);
    loop {
        let expired = store::expired(work.db().read(), before, last, AT_ONCE).await?;
        let Some(newest) = expired.last() else { return Ok(()) };
        last = newest.id;
        let lives = expired.iter().map(|lease| lease.life.clone()).collect();
        let alive = nodes::alive(work.db().read(), &lives, before).await?;
        let lost: Vec<Lease> = expired.into_iter().filter(|lease| !alive.contains(&lease.life)).collect();
        report.doubted += move_all(work, &lost, State::Open, State::InDoubt, now).await?;
    }
}

/// The wait counts from when a lease was doubted, not from its end: a control plane that was down meanwhile has not waited.
async fn release(work: &Work, since: UnixMillis, now: UnixMillis, report: &mut Report) -> Result<(), DbErr> {
    let mut last = LeaseId::new(0);
    loop {
        let held = store::in_doubt_since(work.db().read(), since, last, AT_ONCE).await?;
        let Some(newest) = held.last() else { return Ok(()) };
        last = newest.id;
        report.released += move_all(work, &held, State::InDoubt, State::Closed, now).await?;
        report.richer.extend(held.into_iter().map(|lease| lease.account));
    }
}

/// Moves leases from one state to the next, with their money, if they still are in the former once their accounts are locked.
async fn move_all(work: &Work, leases: &[Lease], from: State, to: State, now: UnixMillis) -> Result<u64, DbErr> {
    if leases.is_empty() {
        return Ok(0);
    }
    retried(|| try_move_all(work, leases, from, to, now)).await
}

async fn try_move_all(work: &Work, leases: &[Lease], from: State, to: State, now: UnixMillis) -> Result<u64, DbErr> {
    let tx = work.begin().await?;
    let accounts: BTreeSet<AccountId> = leases.iter().map(|lease| lease.account).collect();
    moves::lock(&tx, accounts).await?;
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    let current: Vec<Lease> = store::by_ids(&tx, &ids).await?.into_values().filter(|lease| lease.state == from).collect();
    shift_all(&tx, &current, to, now).await?;
    tx.commit().await?;
    Ok(u64::try_from(current.len()).unwrap_or_default())
}

/// Moves leases whose accounts this transaction has locked to a state, with their money.
pub(super) async fn shift_all(tx: &Tx, leases: &[Lease], to: State, now: UnixMillis) -> Result<(), DbErr> {
    let mut shifts = Shifts::new();
    for lease in leases {
        moves::add(&mut shifts, lease.account, transition(lease.state, to, lease.remainder()));
    }
    moves::write(tx, &shifts).await?;
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    store::set_state(tx, &ids, to, now).await
}

/// Where a lease's remainder goes when its state changes.
#[must_use]
pub const fn transition(from: State, to: State, remainder: i64) -> Shift {
    let (balance, leased, in_doubt) = match (from, to) {
        (State::Open, State::InDoubt) => (0, -remainder, remainder),
        (State::Open, State::Closed) => (remainder, -remainder, 0),
        (State::InDoubt, State::Closed) => (remainder, 0, -remainder),
        _ => (0, 0, 0),
    };
    Shift { balance, leased, in_doubt, spent: 0 }
}
