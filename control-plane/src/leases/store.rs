//! The SQL of leases.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, Func, Order, Query, SelectStatement, ValueTuple};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, Epoch, LeaseId, NodeId, Quota, UnixMillis};

use super::{Ask, Life, State};
use crate::db::{Insert, Tx, add_to_rows, sum, whole};

/// Ids in one look-up.
const IDS_AT_ONCE: usize = 1_000;

/// A lease as it stands in its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The account it was taken from.
    pub account: AccountId,
    /// Who holds it.
    pub life: Life,
    /// The request it was granted for.
    pub grant_seq: i64,
    /// How much.
    pub granted: i64,
    /// What of it requests were charged.
    pub settled: i64,
    /// What of it came back.
    pub returned: i64,
    /// What it is doing.
    pub state: State,
}

impl Lease {
    /// What is neither settled nor returned; below zero when more was charged than there was.
    #[must_use]
    pub const fn remainder(&self) -> i64 {
        self.granted.saturating_sub(self.settled).saturating_sub(self.returned)
    }
}

fn select() -> SelectStatement {
    Query::select()
        .columns(["id", "account_id", "node_id", "epoch", "grant_seq", "granted", "settled", "returned", "state"])
        .from("leases")
        .to_owned()
}

fn lease_of(row: &QueryResult) -> Result<Lease, DbErr> {
    let node: String = row.try_get("", "node_id")?;
    let state: String = row.try_get("", "state")?;
    let unreadable = |column: &str| DbErr::Type(format!("leases.{column} holds a word of a later version"));
    Ok(Lease {
        id: LeaseId::new(row.try_get("", "id")?),
        account: AccountId::new(row.try_get("", "account_id")?),
        life: Life { node: NodeId::parse(&node).map_err(|_| unreadable("node_id"))?, epoch: Epoch(row.try_get("", "epoch")?) },
        grant_seq: row.try_get("", "grant_seq")?,
        granted: row.try_get("", "granted")?,
        settled: row.try_get("", "settled")?,
        returned: row.try_get("", "returned")?,
        state: State::from_word(&state).ok_or_else(|| unreadable("state"))?,
    })
}

/// Leases by id. Unknown ids are left out.
pub(crate) async fn by_ids(db: &impl ConnectionTrait, ids: &[LeaseId]) -> Result<BTreeMap<LeaseId, Lease>, DbErr> {
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(IDS_AT_ONCE) {
        let select = select().and_where(Expr::col("id").is_in(chunk.iter().map(|id| id.get()))).to_owned();
        for row in db.query_all(&select).await? {
            let lease = lease_of(&row)?;
            found.insert(lease.id, lease);
        }
    }
    Ok(found)
}

/// The leases that were granted for these requests, by node, epoch and number.
pub(super) async fn by_asks(db: &impl ConnectionTrait, asks: &[&Ask]) -> Result<Vec<Lease>, DbErr> {
    let mut found = Vec::new();
    for chunk in asks.chunks(IDS_AT_ONCE / 2) {
        let names = chunk
            .iter()
            .map(|ask| ValueTuple::Three(ask.life.node.as_str().into(), ask.life.epoch.0.into(), ask.grant_seq.into()));
        let tuple = Expr::tuple([Expr::col("node_id"), Expr::col("epoch"), Expr::col("grant_seq")]);
        let select = select().and_where(tuple.in_tuples(names)).to_owned();
        for row in db.query_all(&select).await? {
            found.push(lease_of(&row)?);
        }
    }
    Ok(found)
}

/// The leases of one life that are not closed.
pub(crate) async fn not_closed(db: &impl ConnectionTrait, life: &Life) -> Result<Vec<Lease>, DbErr> {
    let select = select()
        .and_where(Expr::col("node_id").eq(life.node.as_str()))
        .and_where(Expr::col("epoch").eq(life.epoch.0))
        .and_where(Expr::col("state").ne(State::Closed.as_str()))
        .order_by("id", Order::Asc)
        .to_owned();
    db.query_all(&select).await?.iter().map(lease_of).collect()
}

/// Open leases that expired before a moment, with ids above `after`, by id.
pub(super) async fn expired(
    db: &impl ConnectionTrait,
    before: UnixMillis,
    after: LeaseId,
    limit: u64,
) -> Result<Vec<Lease>, DbErr> {
    let mut select = page(State::Open, after, limit);
    select.and_where(Expr::col("expires_at").lt(before.0));
    db.query_all(&select).await?.iter().map(lease_of).collect()
}

/// Leases that are in doubt since a moment or longer, with ids above `after`, by id.
pub(super) async fn in_doubt_since(
    db: &impl ConnectionTrait,
    since: UnixMillis,
    after: LeaseId,
    limit: u64,
) -> Result<Vec<Lease>, DbErr> {
    let mut select = page(State::InDoubt, after, limit);
    select.and_where(doubted_at().lte(since.0));
    db.query_all(&select).await?.iter().map(lease_of).collect()
}

/// Since when a lease is in doubt. An earlier release did not write that down: then its end counts.
fn doubted_at() -> Expr {
    Expr::from(Func::coalesce([Expr::col("doubted_at"), Expr::col("expires_at")]))
}

fn page(state: State, after: LeaseId, limit: u64) -> SelectStatement {
    select()
        .and_where(Expr::col("state").eq(state.as_str()))
        .and_where(Expr::col("id").gt(after.get()))
        .order_by("id", Order::Asc)
        .limit(limit)
        .to_owned()
}

/// An open lease, as far as it matters to who else needs money of the same account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLease {
    /// The account.
    pub account: AccountId,
    /// Who holds it.
    pub node: NodeId,
    /// What is neither settled nor returned.
    pub remainder: i64,
    /// The newest recall its relay has answered.
    pub recall_seq: i64,
}

/// The open leases of these accounts.
pub(super) async fn open_of(db: &impl ConnectionTrait, accounts: &BTreeSet<AccountId>) -> Result<Vec<OpenLease>, DbErr> {
    let select = Query::select()
        .columns(["account_id", "node_id", "granted", "settled", "returned", "recall_seq"])
        .from("leases")
        .and_where(Expr::col("account_id").is_in(accounts.iter().map(|account| account.get())))
        .and_where(Expr::col("state").eq(State::Open.as_str()))
        .to_owned();
    let mut open = Vec::new();
    for row in db.query_all(&select).await? {
        let node: String = row.try_get("", "node_id")?;
        let Ok(node) = NodeId::parse(&node) else { continue };
        let amount = |column: &str| row.try_get::<i64>("", column);
        open.push(OpenLease {
            account: AccountId::new(row.try_get("", "account_id")?),
            node,
            remainder: amount("granted")?.saturating_sub(amount("settled")?).saturating_sub(amount("returned")?),
            recall_seq: row.try_get("", "recall_seq")?,
        });
    }
    Ok(open)
}

/// Writes down that a life has answered a recall for these leases, of accounts which this transaction has locked.
pub(super) async fn answered(tx: &Tx, life: &Life, answer: &RecallAnswer, recall_seq: i64) -> Result<(), DbErr> {
    let accounts: Vec<i64> = answer.accounts.iter().map(|account| account.get()).collect();
    for chunk in answer.leases.chunks(IDS_AT_ONCE) {
        let update = Query::update()
            .table("leases")
            .value("recall_seq", recall_seq)
            .and_where(Expr::col("id").is_in(chunk.iter().map(|id| id.get())))
            .and_where(Expr::col("account_id").is_in(accounts.iter().copied()))
            .and_where(Expr::col("node_id").eq(life.node.as_str()))
            .and_where(Expr::col("epoch").eq(life.epoch.0))
            .and_where(Expr::col("state").eq(State::Open.as_str()))
            .and_where(Expr::col("recall_seq").lt(recall_seq))
            .to_owned();
        tx.execute(&update).await?;
    }
    Ok(())
}

/// What a relay answered to one recall: the accounts that were asked back, and the leases it speaks for.
#[derive(Debug, Default)]
pub(super) struct RecallAnswer {
    pub(super) accounts: BTreeSet<AccountId>,
    pub(super) leases: Vec<LeaseId>,
}

/// When a lease in doubt was granted, when it expired, and since when it is in doubt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) granted: UnixMillis,
    pub(super) expired: UnixMillis,
    pub(super) doubted: UnixMillis,
}

/// Leases in doubt with their moments, by id from above `after`.
pub(super) async fn doubted(db: &impl ConnectionTrait, after: LeaseId, limit: u64) -> Result<Vec<(Lease, Moments)>, DbErr> {
    let mut select = page(State::InDoubt, after, limit);
    select.columns(["created_at", "expires_at"]).expr_as(doubted_at(), "since");
    let read = |row: &QueryResult| {
        let moment = |column: &str| row.try_get("", column).map(UnixMillis);
        let (granted, expired, doubted) = (moment("created_at")?, moment("expires_at")?, moment("since")?);
        Ok((lease_of(row)?, Moments { granted, expired, doubted }))
    };
    db.query_all(&select).await?.iter().map(read).collect()
}

/// How many leases are in doubt, and what is in doubt of them together.
pub(super) async fn count_doubted(db: &impl ConnectionTrait) -> Result<(i64, i64), DbErr> {
    let engine = db.get_database_backend();
    let remainder = Expr::col("granted").sub(Expr::col("settled")).sub(Expr::col("returned"));
    let select = Query::select()
        .expr_as(whole(engine, Expr::col("id").count()), "leases")
        .expr_as(sum(engine, remainder), "quota")
        .from("leases")
        .and_where(Expr::col("state").eq(State::InDoubt.as_str()))
        .to_owned();
    let row = db.query_one(&select).await?.ok_or_else(|| DbErr::RecordNotFound("a count has one row".to_owned()))?;
    Ok((row.try_get("", "leases")?, row.try_get("", "quota")?))
}

/// The leases that are not closed, of every relay, with ids above `after`, by id.
pub(super) async fn every_open(db: &impl ConnectionTrait, after: LeaseId, limit: u64) -> Result<Vec<Lease>, DbErr> {
    let select = select()
        .and_where(Expr::col("state").is_in([State::Open.as_str(), State::InDoubt.as_str()]))
        .and_where(Expr::col("id").gt(after.get()))
        .order_by("id", Order::Asc)
        .limit(limit)
        .to_owned();
    db.query_all(&select).await?.iter().map(lease_of).collect()
}

/// Writes new leases.
pub(super) async fn insert(tx: &Tx, grants: &[(&Ask, Quota)], now: UnixMillis, end: UnixMillis) -> Result<(), DbErr> {
    let mut insert = Insert::into("leases")
        .longs(&["account_id", "epoch", "grant_seq", "granted", "created_at", "expires_at"])
        .texts(&["node_id", "state"]);
    for (ask, amount) in grants {
        insert.push(vec![
            ask.account.get().into(),
            ask.life.epoch.0.into(),
            ask.grant_seq.into(),
            amount.get().into(),
            now.0.into(),
            end.0.into(),
            ask.life.node.as_str().into(),
            State::Open.as_str().into(),
        ]);
    }
    insert.run(tx).await.map(drop)
}

/// Adds what was settled and returned to leases whose accounts this transaction has locked.
pub(crate) async fn add(tx: &Tx, changes: &[(LeaseId, i64, i64)]) -> Result<(), DbErr> {
    let rows: Vec<(i64, Vec<i64>)> =
        changes.iter().map(|(lease, settled, returned)| (lease.get(), vec![*settled, *returned])).collect();
    add_to_rows(tx, "leases", &["settled", "returned"], &rows, None).await.map(drop)
}

/// Puts leases whose accounts this transaction has locked into a state.
pub(crate) async fn set_state(tx: &Tx, leases: &[LeaseId], state: State, now: UnixMillis) -> Result<(), DbErr> {
    for chunk in leases.chunks(IDS_AT_ONCE) {
        let mut update = Query::update()
            .table("leases")
            .value("state", state.as_str())
            .and_where(Expr::col("id").is_in(chunk.iter().map(|id| id.get())))
            .to_owned();
        match state {
            State::Open => {}
            State::InDoubt => {
                update.value("doubted_at", now.0);
            }
            State::Closed => {
                update.value("closed_at", now.0);
            }
        }
        tx.execute(&update).await?;
    }
    Ok(())
}

/// Lets open leases of one life live on.
pub(super) async fn renew(tx: &Tx, life: &Life, leases: &[LeaseId], end: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table("leases")
        .value("expires_at", end.0)
        .and_where(Expr::col("id").is_in(leases.iter().map(|id| id.get())))
        .and_where(Expr::col("node_id").eq(life.node.as_str()))
        .and_where(Expr::col("epoch").eq(life.epoch.0))
        .and_where(Expr::col("state").eq(State::Open.as_str()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// Hands leases of an earlier life over to a later one. Their numbers go below zero, where no request's number is.
pub(super) async fn inherit(tx: &Tx, heir: &Life, leases: &[LeaseId]) -> Result<(), DbErr> {
    let update = Query::update()
        .table("leases")
        .value("epoch", heir.epoch.0)
        .value("grant_seq", Expr::val(0_i64).sub(Expr::col("id")))
        .and_where(Expr::col("id").is_in(leases.iter().map(|id| id.get())))
        .and_where(Expr::col("node_id").eq(heir.node.as_str()))
        .and_where(Expr::col("epoch").lt(heir.epoch.0))
        .and_where(Expr::col("state").eq(State::Open.as_str()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}
