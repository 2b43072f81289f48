//! Handing money out: many requests, of many relays, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;
use sluice_domain::{AccountId, Quota, UnixMillis};

use super::rules::decide;
use super::store::{self, Lease};
use super::{Answer, Ask, Granted, Life, State};
use crate::db::{Db, Tx, Urgency, retried};
use crate::nodes;
use crate::wallet::moves::{self, Shift, Shifts};

/// Decides requests in the order given, in one transaction, and answers each. A request asked before gets the same grant again.
///
/// The money is out of its account when this returns. Requests of a relay's earlier life get no answer at all.
///
/// # Errors
/// When the database is away: then nothing is known, and nothing of it is a verdict about money.
pub async fn grant(db: &Db, asks: &[Ask], now: UnixMillis) -> Result<Vec<Option<Answer>>, DbErr> {
    retried(|| try_grant(db, asks, now)).await
}

async fn try_grant(db: &Db, asks: &[Ask], now: UnixMillis) -> Result<Vec<Option<Answer>>, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    let lives: BTreeSet<Life> = asks.iter().map(|ask| ask.life.clone()).collect();
    let fenced = nodes::lock_fenced(&tx, &lives).await?;
    let asks_in_force: Vec<&Ask> = asks.iter().filter(|ask| !fenced.contains(&ask.life)).collect();
    let mut answers = answers_of(store::by_asks(&tx, &asks_in_force).await?, &BTreeSet::new());
    let unanswered: Vec<&Ask> = asks_in_force.into_iter().filter(|ask| !answers.contains_key(&number(ask))).collect();
    answers.append(&mut grant_new(&tx, &unanswered, now).await?);
    tx.commit().await?;
    Ok(asks.iter().map(|ask| answers.get(&number(ask)).copied()).collect())
}

/// Grants requests that were never granted before: money from balances to leases, then the leases.
async fn grant_new(tx: &Tx, asks: &[&Ask], now: UnixMillis) -> Result<BTreeMap<Number, Answer>, DbErr> {
    if asks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted: BTreeSet<AccountId> = asks.iter().map(|ask| ask.account).collect();
    let mut accounts = moves::lock(tx, wanted.iter().copied()).await?;
    let mut holders = store::holders(tx, &wanted).await?;
    let (mut made, mut refused, mut lows, mut seen) = (Vec::new(), BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut shifts = Shifts::new();
    // a number said twice in one batch is one request
    for ask in asks.iter().filter(|ask| seen.insert(number(ask))) {
        match decide(ask, &mut accounts, &mut holders) {
            Ok(size) => {
                let amount = size.amount.get();
                moves::add(&mut shifts, ask.account, Shift { balance: -amount, leased: amount, ..Shift::default() });
                made.push((*ask, size.amount));
                if size.low {
                    lows.insert(number(ask));
                }
            }
            Err(verdict) => {
                refused.insert(number(ask), Answer::Refused(verdict));
            }
        }
    }
    if made.is_empty() {
        return Ok(refused);
    }
    moves::write(tx, &shifts).await?;
    store::insert(tx, &made, now).await?;
    let made: Vec<&Ask> = made.into_iter().map(|(ask, _)| ask).collect();
    let mut answers = answers_of(store::by_asks(tx, &made).await?, &lows);
    if answers.len() != made.len() {
        return Err(DbErr::RecordNotInserted);
    }
    answers.append(&mut refused);
    Ok(answers)
}

type Number = (Life, i64);

fn number(ask: &Ask) -> Number {
    (ask.life.clone(), ask.grant_seq)
}

fn answers_of(leases: Vec<Lease>, lows: &BTreeSet<Number>) -> BTreeMap<Number, Answer> {
    let answer = |lease: Lease| {
        let number = (lease.life, lease.grant_seq);
        let answer = match lease.state {
            State::Open => Answer::Granted(Granted {
                grant_seq: lease.grant_seq,
                lease: lease.id,
                account: lease.account,
                amount: Quota::clamped(lease.granted),
                low: lows.contains(&number),
            }),
            State::InDoubt | State::Closed => Answer::Closed(lease.id),
        };
        (number, answer)
    };
    leases.into_iter().map(answer).collect()
}
