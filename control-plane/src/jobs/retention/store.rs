//! The SQL that clears rows away.

use std::time::Instant;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, IntoCondition, Query, Value, ValueTuple};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::UnixMillis;

use crate::db::retried;
use crate::errands::Kind;
use crate::jobs::leader::Work;
use crate::jobs::slices::Slices;
use crate::leases::State;

/// Rows in one transaction at most.
const SLICE: u64 = 1_000;
/// Slices of one table in one run; the rest waits for the next run.
const MOST_SLICES: u32 = 400;
/// The kind of errand that is logged.
const TEST: &str = Kind::Test.as_str();

/// Changes of the configuration beyond the newest `kept`.
pub(super) async fn clear_config_log(work: &Work, kept: i64) -> Result<u64, DbErr> {
    let head = Query::select().column(("config_head", "seq")).from("config_head").to_owned();
    let oldest = Expr::SubQuery(None, Box::new(head.into())).sub(kept);
    clear(work, "config_log", &["seq", "ordinal"], Expr::col("seq").lte(oldest).into_condition()).await
}

/// Rates that a later one replaced before a moment.
pub(super) async fn clear_rates(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let later = Query::select()
        .expr(Expr::val(1))
        .from_as("rate_history", "later")
        .and_where(Expr::col(("later", "kind")).equals(("rate_history", "kind")))
        .and_where(Expr::col(("later", "name")).equals(("rate_history", "name")))
        .and_where(Expr::col(("later", "seq")).gt(Expr::col(("rate_history", "seq"))))
        .and_where(Expr::col(("later", "at")).lt(before.0))
        .to_owned();
    // rows of it never change, and MySQL deletes from no table that the condition reads
    let rows = Rows { table: "rate_history", key: &["kind", "name", "seq"], pick: Expr::exists(later).into_condition() };
    clear_while(work, &rows, &Condition::all()).await
}

/// Explanations of requests that ended before a moment.
pub(super) async fn clear_explanations(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "request_explanations", &["request_id"], Expr::col("at").lt(before.0).into_condition()).await
}

/// Sessions that are over.
pub(super) async fn clear_sessions(work: &Work, now: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "sessions", &["id"], Expr::col("expires_at").lt(now.0).into_condition()).await
}

/// Answers given before a moment.
pub(super) async fn clear_idempotency(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "idempotency", &["user_id", "idem_key"], Expr::col("created_at").lt(before.0).into_condition()).await
}

/// Relays not heard of since a moment that hold no money.
pub(super) async fn clear_nodes(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let lease = Query::select()
        .expr(Expr::val(1))
        .from("leases")
        .and_where(Expr::col(("leases", "node_id")).equals(("nodes", "node_id")))
        .and_where(Expr::col(("leases", "state")).ne(State::Closed.as_str()))
        .to_owned();
    let is_old = Condition::all().add(Expr::col("last_seen_at").lt(before.0)).add(Expr::exists(lease).not());
    clear(work, "nodes", &["node_id"], is_old).await
}

/// How far reports of lives were settled that ended before a moment, of relays that are forgotten: nothing can come of them any more. A life
/// that did not end may still have something to report, however late.
pub(super) async fn clear_cursors(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let node = Query::select()
        .expr(Expr::val(1))
        .from("nodes")
        .and_where(Expr::col(("nodes", "node_id")).equals(("usage_cursors", "node_id")))
        .to_owned();
    let is_over =
        Condition::all().add(Expr::col("updated_at").lt(before.0)).add(Expr::col("ended").eq(true)).add(Expr::exists(node).not());
    clear(work, "usage_cursors", &["node_id", "epoch"], is_over).await
}

/// Leases that were closed before a moment. The newest stays: an engine that counts ids on from the newest row must not hand one out
/// twice.
pub(super) async fn clear_leases(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let newest = Query::select().expr(Expr::col("id").max()).from("leases").to_owned();
    let newest: Option<i64> = work.db().read().query_one(&newest).await?.map_or(Ok(None), |row| row.try_get_by_index(0))?;
    let is_old = Condition::all()
        .add(Expr::col("closed_at").lt(before.0))
        .add(Expr::col("state").eq(State::Closed.as_str()))
        .add(Expr::col("id").lt(newest.unwrap_or(0)));
    clear(work, "leases", &["id"], is_old).await
}

/// Records that were decided about before a moment.
pub(super) async fn clear_quarantine(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "quarantine", &["id"], Expr::col("resolved_at").lt(before.0).into_condition()).await
}

/// What people were told before a moment.
pub(super) async fn clear_notifications(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "notifications", &["id"], Expr::col("created_at").lt(before.0).into_condition()).await
}

/// What was remembered of channels before a moment.
pub(super) async fn clear_watch(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "channel_watch", &["channel_id", "key_id"], Expr::col("at").lt(before.0).into_condition()).await
}

/// Errands that were asked for before a moment, but no tests.
pub(super) async fn clear_errands(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let is_old = Condition::all().add(Expr::col("asked_at").lt(before.0)).add(Expr::col("kind").ne(TEST));
    clear(work, "errands", &["id"], is_old).await
}

/// Tests that were asked for before a moment.
pub(super) async fn clear_tests(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    let is_old = Condition::all().add(Expr::col("asked_at").lt(before.0)).add(Expr::col("kind").eq(TEST));
    clear(work, "errands", &["id"], is_old).await
}

/// Requests that ended before a moment.
pub(super) async fn clear_requests(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "requests", &["id"], Expr::col("finished_at").lt(before.0).into_condition()).await
}

/// Changes by people that were made before a moment.
pub(super) async fn clear_audit(work: &Work, before: UnixMillis) -> Result<u64, DbErr> {
    clear(work, "audit", &["id"], Expr::col("at").lt(before.0).into_condition()).await
}

/// Rows of a table, and how they are told apart.
struct Rows {
    table: &'static str,
    key: &'static [&'static str],
    pick: Condition,
}

/// Deletes the rows that a condition picks, unless it is no longer true of them.
async fn clear(work: &Work, table: &'static str, key: &'static [&'static str], pick: Condition) -> Result<u64, DbErr> {
    clear_while(work, &Rows { table, key, pick: pick.clone() }, &pick).await
}

/// Deletes rows by key, slice by slice, as long as a condition is still true of them. MySQL knows no limit in a subquery, so each slice is
/// read first; who comes back between is not deleted.
async fn clear_while(work: &Work, rows: &Rows, still: &Condition) -> Result<u64, DbErr> {
    let (mut cleared, mut slices) = (0, Slices::new(SLICE));
    for _ in 0..MOST_SLICES {
        let size = slices.size();
        let mut select = Query::select().from(rows.table).cond_where(rows.pick.clone()).limit(size).to_owned();
        for column in rows.key {
            select.column((rows.table, *column));
        }
        let found = work.db().read().query_all(&select).await?;
        let keys = found.iter().map(|row| key_of(row, rows.key)).collect::<Result<Vec<ValueTuple>, DbErr>>()?;
        if keys.is_empty() {
            break;
        }
        let begun = Instant::now();
        cleared += retried(|| delete(work, rows, keys.clone(), still)).await?;
        slices.took(begun.elapsed());
        if u64::try_from(keys.len()).is_ok_and(|count| count < size) {
            break;
        }
    }
    Ok(cleared)
}

/// Key columns are text or whole numbers.
fn key_of(row: &sea_orm::QueryResult, key: &[&'static str]) -> Result<ValueTuple, DbErr> {
    let value = |column: &&'static str| -> Result<Value, DbErr> {
        match row.try_get::<i64>("", column) {
            Ok(number) => Ok(number.into()),
            Err(_) => match row.try_get::<i32>("", column) {
                Ok(number) => Ok(number.into()),
                Err(_) => row.try_get::<String>("", column).map(Value::from),
            },
        }
    };
    key.iter().map(value).collect::<Result<Vec<Value>, DbErr>>().map(ValueTuple::Many)
}

async fn delete(work: &Work, rows: &Rows, keys: Vec<ValueTuple>, still: &Condition) -> Result<u64, DbErr> {
    let tx = work.begin().await?;
    let columns = Expr::tuple(rows.key.iter().map(|column| Expr::col(*column)));
    let delete = Query::delete().from_table(rows.table).and_where(columns.in_tuples(keys)).cond_where(still.clone()).to_owned();
    let deleted = tx.execute(&delete).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}
