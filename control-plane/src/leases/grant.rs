//! Handing money out: many requests, of many relays, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;
use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, Quota, UnixMillis};

use super::rules::decide_or_wait;
use super::store::{self, Lease, OpenLease};
use super::{Answer, Ask, Granted, Life, Pending, State};
use crate::db::{Db, Tx, Urgency, retried};
use crate::nodes;
use crate::wallet::moves::{self, Shift, Shifts};

/// Decides requests in the order given, in one transaction, and answers each. A request asked before gets the same grant again.
///
/// The money is out of its account when this returns. Requests of a relay's earlier life get no answer at all. One that has to wait for
/// what relays may give back is to be decided again: when something came back, and at last when its time is over.
///
/// # Errors
/// When the database is away: then nothing is known, and nothing of it is a verdict about money.
pub async fn grant(db: &Db, terms: &Terms, asks: &[Pending], now: UnixMillis) -> Result<Vec<Option<Answer>>, DbErr> {
    retried(|| try_grant(db, terms, asks, now)).await
}

async fn try_grant(db: &Db, terms: &Terms, asks: &[Pending], now: UnixMillis) -> Result<Vec<Option<Answer>>, DbErr> {
    let tx = db.begin_as(Urgency::Grant).await?;
    let lives: BTreeSet<Life> = asks.iter().map(|pending| pending.ask.life.clone()).collect();
    let fenced = nodes::lock_fenced(&tx, &lives).await?;
    let in_force: Vec<&Pending> = asks.iter().filter(|pending| !fenced.contains(&pending.ask.life)).collect();
    let plain: Vec<&Ask> = in_force.iter().map(|pending| &pending.ask).collect();
    // how the balance stood then is not written down: as if it were low, until the next grant says
    let mut answers = answers_of(store::by_asks(&tx, &plain).await?, |_| true);
    let unanswered: Vec<&Pending> = in_force.into_iter().filter(|pending| !answers.contains_key(&number(&pending.ask))).collect();
    answers.append(&mut grant_new(&tx, terms, &unanswered, now).await?);
    tx.commit().await?;
    Ok(asks.iter().map(|pending| answers.get(&number(&pending.ask)).copied()).collect())
}

/// Grants requests that were never granted before: money from balances to leases, then the leases.
async fn grant_new(tx: &Tx, terms: &Terms, asks: &[&Pending], now: UnixMillis) -> Result<BTreeMap<Number, Answer>, DbErr> {
    if asks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted: BTreeSet<AccountId> = asks.iter().map(|pending| pending.ask.account).collect();
    let mut accounts = moves::lock(tx, wanted.iter().copied()).await?;
    let mut open: BTreeMap<AccountId, Vec<OpenLease>> = BTreeMap::new();
    for lease in store::open_of(tx, &wanted).await? {
        open.entry(lease.account).or_default().push(lease);
    }
    let nodes = |leases: &Vec<OpenLease>| leases.iter().map(|lease| lease.node.clone()).collect::<BTreeSet<_>>();
    let mut holders = open.iter().map(|(account, leases)| (*account, nodes(leases))).collect();
    let (mut made, mut answers, mut lows, mut seen) = (Vec::new(), BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut shifts = Shifts::new();
    // a number said twice in one batch is one request
    for pending in asks.iter().filter(|pending| seen.insert(number(&pending.ask))) {
        let ask = &pending.ask;
        let leases = open.entry(ask.account).or_default();
        match decide_or_wait(pending, &mut accounts, &mut holders, leases) {
            Ok(size) => {
                let amount = size.amount.get();
                moves::add(&mut shifts, ask.account, Shift { balance: -amount, leased: amount, ..Shift::default() });
                let (account, node) = (ask.account, ask.life.node.clone());
                leases.push(OpenLease { account, node, remainder: amount, recall_seq: 0 });
                made.push((ask, size.amount));
                if size.low {
                    lows.insert(number(ask));
                }
            }
            Err(answer) => {
                answers.insert(number(ask), answer);
            }
        }
    }
    if made.is_empty() {
        return Ok(answers);
    }
    moves::write(tx, &shifts).await?;
    store::insert(tx, &made, now, now.plus_millis(super::life_millis(terms))).await?;
    let made: Vec<&Ask> = made.into_iter().map(|(ask, _)| ask).collect();
    let mut granted = answers_of(store::by_asks(tx, &made).await?, |number| lows.contains(number));
    if granted.len() != made.len() {
        return Err(DbErr::RecordNotInserted);
    }
    answers.append(&mut granted);
    Ok(answers)
}

type Number = (Life, i64);

fn number(ask: &Ask) -> Number {
    (ask.life.clone(), ask.grant_seq)
}

fn answers_of(leases: Vec<Lease>, is_low: impl Fn(&Number) -> bool) -> BTreeMap<Number, Answer> {
    let answer = |lease: Lease| {
        let number = (lease.life, lease.grant_seq);
        let answer = match lease.state {
            State::Open => Answer::Granted(Granted {
                grant_seq: lease.grant_seq,
                lease: lease.id,
                account: lease.account,
                amount: Quota::clamped(lease.granted),
                low: is_low(&number),
            }),
            State::InDoubt | State::Closed => Answer::Closed(lease.id),
        };
        (number, answer)
    };
    leases.into_iter().map(answer).collect()
}
