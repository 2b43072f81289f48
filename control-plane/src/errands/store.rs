//! The SQL of errands and of what they say about channels.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use sluice_domain::{ChannelId, ChannelKeyId, NodeId, Status, UnixMillis, UserId};

use super::{BalanceCheck, Check, Errand, ErrandFilter, Kind, Outcome, TestCheck};
use crate::db::{Tx, insert_for_id};
use crate::http::{Listing, Page};

const TABLE: &str = "errands";
const CHECKS: &str = "channel_checks";
/// Characters of a message that are kept with a channel.
const MOST_MESSAGE: usize = 255;

pub(super) async fn insert(tx: &Tx, errand: &Errand) -> Result<i64, DbErr> {
    let columns = ["kind", "channel_id", "key_id", "model", "config_seq", "asked_by", "asked_at"];
    let mut insert = Query::insert().into_table(TABLE).columns(columns).to_owned();
    insert.values_panic([
        errand.kind.as_str().into(),
        errand.channel.get().into(),
        errand.key.map(ChannelKeyId::get).into(),
        errand.model.clone().into(),
        errand.config_seq.into(),
        errand.asked_by.map(UserId::get).into(),
        errand.asked_at.0.into(),
    ]);
    insert_for_id(tx, insert).await
}

/// How many are not over.
pub(super) async fn open(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let count = Query::select().expr_as(Expr::col("id").count(), "total").from(TABLE).and_where(is_open()).to_owned();
    total(db, &count).await
}

pub(super) async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<Errand>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id)).to_owned();
    db.query_one(&one).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, filter: &ErrandFilter, listing: &Listing) -> Result<Page<Errand>, DbErr> {
    let some = select()
        .and_where_option(filter.channel.map(|channel| Expr::col("channel_id").eq(channel.get())))
        .and_where_option(filter.kind.map(|kind| Expr::col("kind").eq(kind.as_str())))
        .to_owned();
    listing.read(db, some, read, |errand, _| (errand.id.into(), errand.id.into())).await
}

/// Those that no relay has, or whose relay has had them since before `silent`, the oldest first.
pub(super) async fn waiting(db: &impl ConnectionTrait, silent: UnixMillis, most: u64) -> Result<Vec<Errand>, DbErr> {
    let waiting = select().and_where(is_open()).cond_where(is_free(silent)).order_by("id", Order::Asc).limit(most).to_owned();
    db.query_all(&waiting).await?.iter().map(read).collect()
}

/// Gives one to a relay, unless another has it by now. `true`: it has it.
pub(super) async fn claim(tx: &Tx, id: i64, node: &NodeId, now: UnixMillis, silent: UnixMillis) -> Result<bool, DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("node", node.as_str())
        .value("claimed_at", now.0)
        .and_where(Expr::col("id").eq(id))
        .and_where(is_open())
        .cond_where(is_free(silent))
        .to_owned();
    Ok(tx.execute(&update).await?.rows_affected() == 1)
}

/// Writes down what came of one that this relay has. `false`: it has it no more.
pub(super) async fn finish(tx: &Tx, id: i64, node: &NodeId, outcome: &Outcome, now: UnixMillis) -> Result<bool, DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("done_at", now.0)
        .value("result", text(outcome)?)
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("node").eq(node.as_str()))
        .and_where(is_open())
        .to_owned();
    Ok(tx.execute(&update).await?.rows_affected() == 1)
}

/// Ends those that were asked for before a moment and are not over. Answers how many.
pub(super) async fn give_up(tx: &Tx, before: UnixMillis, now: UnixMillis) -> Result<u64, DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("done_at", now.0)
        .value("result", text(&Outcome::not_run())?)
        .and_where(is_open())
        .and_where(Expr::col("asked_at").lt(before.0))
        .to_owned();
    Ok(tx.execute(&update).await?.rows_affected())
}

/// Channels that nobody switched off, that are not being tested, and were not since a moment: the one tested longest ago first.
pub(super) async fn due(db: &impl ConnectionTrait, before: UnixMillis, most: u64) -> Result<Vec<ChannelId>, DbErr> {
    let tested_at = || Expr::col((CHECKS, "tested_at"));
    let mut due = testable();
    due.column(("channels", "id"))
        .left_join(CHECKS, Expr::col((CHECKS, "channel_id")).equals(("channels", "id")))
        .cond_where(Cond::any().add(tested_at().is_null()).add(tested_at().lt(before.0)))
        .order_by_expr(Func::coalesce([tested_at(), Expr::val(0_i64)]).into(), Order::Asc)
        .order_by(("channels", "id"), Order::Asc)
        .limit(most);
    db.query_all(&due).await?.iter().map(|row| row.try_get("", "id").map(ChannelId::new)).collect()
}

/// How many channels nobody switched off and are not being tested.
pub(super) async fn count_due(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let mut count = testable();
    count.expr_as(Expr::col(("channels", "id")).count(), "total");
    total(db, &count).await
}

fn testable() -> SelectStatement {
    let running = Query::select()
        .expr(Expr::val(1))
        .from(TABLE)
        .and_where(Expr::col((TABLE, "channel_id")).equals(("channels", "id")))
        .and_where(Expr::col((TABLE, "kind")).eq(Kind::Test.as_str()))
        .and_where(Expr::col((TABLE, "done_at")).is_null())
        .to_owned();
    Query::select()
        .from("channels")
        .and_where(Expr::col(("channels", "deleted_at")).is_null())
        .and_where(Expr::col(("channels", "status")).is_in([Status::Enabled.code(), Status::AutoDisabled.code()]))
        .and_where(Expr::exists(running).not())
        .to_owned()
}

/// Keeps with the channel what an errand says about it. A list of models says nothing.
pub(super) async fn check(tx: &Tx, errand: &Errand, outcome: &Outcome, now: UnixMillis) -> Result<(), DbErr> {
    let said: Vec<(&'static str, Value)> = match errand.kind {
        Kind::Models => return Ok(()),
        Kind::Balance if !outcome.ok => return Ok(()),
        Kind::Balance => vec![
            ("balance_at", now.0.into()),
            ("balance_amount", outcome.amount.clone().into()),
            ("balance_currency", outcome.currency.clone().into()),
        ],
        Kind::Test => {
            let message = outcome.message.as_deref().or(outcome.error.as_deref()).filter(|_| !outcome.ok);
            let message: Option<String> = message.map(|text| text.chars().take(MOST_MESSAGE).collect());
            vec![
                ("tested_at", now.0.into()),
                ("test_ok", outcome.ok.into()),
                ("test_ms", outcome.latency_ms.into()),
                ("test_model", errand.model.clone().into()),
                ("test_message", message.into()),
            ]
        }
    };
    let columns: Vec<&'static str> = said.iter().map(|(column, _)| *column).collect();
    let mut insert = Query::insert().into_table(CHECKS).columns(["channel_id"].into_iter().chain(columns.clone())).to_owned();
    let values = std::iter::once(Value::from(errand.channel.get())).chain(said.into_iter().map(|(_, value)| value));
    insert.values_panic(values.map(Expr::val));
    insert.on_conflict(OnConflict::column("channel_id").update_columns(columns).to_owned());
    tx.execute(&insert).await.map(drop)
}

/// A channel that cannot be tested was looked at. Until it can be, this is all that is known of it.
pub(super) async fn passed_over(tx: &Tx, channel: ChannelId, now: UnixMillis) -> Result<(), DbErr> {
    let columns = ["tested_at", "test_ok", "test_ms", "test_message"];
    let message = "the channel has no model that is tested";
    let mut insert = Query::insert().into_table(CHECKS).columns(["channel_id"].into_iter().chain(columns)).to_owned();
    insert.values_panic([channel.get().into(), now.0.into(), false.into(), 0_i64.into(), message.into()]);
    insert.on_conflict(OnConflict::column("channel_id").update_columns(columns).to_owned());
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn checks(db: &impl ConnectionTrait, channels: &[ChannelId]) -> Result<BTreeMap<ChannelId, Check>, DbErr> {
    if channels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let select = Query::select()
        .columns([
            "channel_id",
            "tested_at",
            "test_ok",
            "test_ms",
            "test_model",
            "test_message",
            "balance_at",
            "balance_amount",
            "balance_currency",
        ])
        .from(CHECKS)
        .and_where(Expr::col("channel_id").is_in(channels.iter().map(|id| id.get())))
        .to_owned();
    let rows = db.query_all(&select).await?;
    rows.iter().map(|row| Ok((ChannelId::new(row.try_get("", "channel_id")?), read_check(row)?))).collect()
}

fn read_check(row: &QueryResult) -> Result<Check, DbErr> {
    let (tested_at, model): (Option<i64>, Option<String>) = (row.try_get("", "tested_at")?, row.try_get("", "test_model")?);
    let test = match tested_at {
        Some(at) => Some(TestCheck {
            at: UnixMillis(at),
            ok: row.try_get("", "test_ok")?,
            latency_millis: row.try_get("", "test_ms")?,
            model: model.unwrap_or_default(),
            message: row.try_get("", "test_message")?,
        }),
        None => None,
    };
    let (at, amount, currency): (Option<i64>, Option<String>, Option<String>) =
        (row.try_get("", "balance_at")?, row.try_get("", "balance_amount")?, row.try_get("", "balance_currency")?);
    let balance = match (at, amount, currency) {
        (Some(at), Some(amount), Some(currency)) => Some(BalanceCheck { at: UnixMillis(at), amount, currency }),
        _ => None,
    };
    Ok(Check { test, balance })
}

fn is_open() -> Expr {
    Expr::col("done_at").is_null()
}

fn is_free(silent: UnixMillis) -> Cond {
    Cond::any().add(Expr::col("node").is_null()).add(Expr::col("claimed_at").lt(silent.0))
}

async fn total(db: &impl ConnectionTrait, count: &SelectStatement) -> Result<u64, DbErr> {
    let total: i64 = db.query_one(count).await?.map_or(Ok(0), |row| row.try_get("", "total"))?;
    Ok(u64::try_from(total).unwrap_or(0))
}

fn text(outcome: &Outcome) -> Result<String, DbErr> {
    serde_json::to_string(outcome).map_err(|error| DbErr::Custom(error.to_string()))
}

fn select() -> SelectStatement {
    Query::select()
        .columns([
            "id",
            "kind",
            "channel_id",
            "key_id",
            "model",
            "config_seq",
            "asked_by",
            "asked_at",
            "node",
            "done_at",
            "result",
        ])
        .from(TABLE)
        .to_owned()
}

fn read(row: &QueryResult) -> Result<Errand, DbErr> {
    let broken = |what: &str| DbErr::Type(format!("an errand has an unreadable {what}"));
    let (kind, result): (String, Option<String>) = (row.try_get("", "kind")?, row.try_get("", "result")?);
    let (key, asked_by, done_at): (Option<i64>, Option<i64>, Option<i64>) =
        (row.try_get("", "key_id")?, row.try_get("", "asked_by")?, row.try_get("", "done_at")?);
    Ok(Errand {
        id: row.try_get("", "id")?,
        kind: Kind::parse(&kind).ok_or_else(|| broken("kind"))?,
        channel: ChannelId::new(row.try_get("", "channel_id")?),
        key: key.map(ChannelKeyId::new),
        model: row.try_get("", "model")?,
        config_seq: row.try_get("", "config_seq")?,
        asked_by: asked_by.map(UserId::new),
        asked_at: UnixMillis(row.try_get("", "asked_at")?),
        node: row.try_get("", "node")?,
        done_at: done_at.map(UnixMillis),
        outcome: result.as_deref().map(serde_json::from_str).transpose().map_err(|_| broken("result"))?,
    })
}
