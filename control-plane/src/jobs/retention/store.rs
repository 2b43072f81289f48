//! The SQL that clears rows away.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, Value, ValueTuple};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::UnixMillis;

use crate::db::{Db, Urgency, retried};
use crate::leases::State;

/// Rows in one transaction, so that nobody waits long behind a slice.
const SLICE: u64 = 500;
/// Slices of one table in one run; the rest waits for the next run.
const MOST_SLICES: u32 = 400;

/// Changes of the configuration beyond the newest `kept`.
pub(super) async fn clear_config_log(db: &Db, kept: i64) -> Result<u64, DbErr> {
    clear(db, "config_log", &["seq", "ordinal"], |select| {
        let head = Query::select().column(("config_head", "seq")).from("config_head").to_owned();
        let oldest = Expr::SubQuery(None, Box::new(head.into())).sub(kept);
        select.and_where(Expr::col("seq").lte(oldest));
    })
    .await
}

/// Rates that a later one replaced before a moment.
pub(super) async fn clear_rates(db: &Db, before: UnixMillis) -> Result<u64, DbErr> {
    clear(db, "rate_history", &["kind", "name", "seq"], |select| {
        let later = Query::select()
            .expr(Expr::val(1))
            .from_as("rate_history", "later")
            .and_where(Expr::col(("later", "kind")).equals(("rate_history", "kind")))
            .and_where(Expr::col(("later", "name")).equals(("rate_history", "name")))
            .and_where(Expr::col(("later", "seq")).gt(Expr::col(("rate_history", "seq"))))
            .and_where(Expr::col(("later", "at")).lt(before.0))
            .to_owned();
        select.and_where(Expr::exists(later));
    })
    .await
}

/// Explanations of requests that ended before a moment.
pub(super) async fn clear_explanations(db: &Db, before: UnixMillis) -> Result<u64, DbErr> {
    clear(db, "request_explanations", &["request_id"], |select| {
        select.and_where(Expr::col("at").lt(before.0));
    })
    .await
}

/// Sessions that are over.
pub(super) async fn clear_sessions(db: &Db, now: UnixMillis) -> Result<u64, DbErr> {
    clear(db, "sessions", &["id"], |select| {
        select.and_where(Expr::col("expires_at").lt(now.0));
    })
    .await
}

/// Answers given before a moment.
pub(super) async fn clear_idempotency(db: &Db, before: UnixMillis) -> Result<u64, DbErr> {
    clear(db, "idempotency", &["user_id", "idem_key"], |select| {
        select.and_where(Expr::col("created_at").lt(before.0));
    })
    .await
}

/// Relays not heard of since a moment that hold no money.
pub(super) async fn clear_nodes(db: &Db, before: UnixMillis) -> Result<u64, DbErr> {
    clear(db, "nodes", &["node_id"], |select| {
        let lease = Query::select()
            .expr(Expr::val(1))
            .from("leases")
            .and_where(Expr::col(("leases", "node_id")).equals(("nodes", "node_id")))
            .and_where(Expr::col(("leases", "state")).ne(State::Closed.as_str()))
            .to_owned();
        select.and_where(Expr::col("last_seen_at").lt(before.0)).and_where(Expr::exists(lease).not());
    })
    .await
}

/// Deletes rows by key, those a condition picks, slice by slice. MySQL knows no limit in a subquery, so each slice is read first.
async fn clear(
    db: &Db,
    table: &'static str,
    key: &'static [&'static str],
    pick: impl Fn(&mut SelectStatement),
) -> Result<u64, DbErr> {
    let mut cleared = 0;
    for _ in 0..MOST_SLICES {
        let mut select = Query::select().from(table).limit(SLICE).to_owned();
        for column in key {
            select.column((table, *column));
        }
        pick(&mut select);
        let rows = db.read().query_all(&select).await?;
        let keys = rows.iter().map(|row| key_of(row, key)).collect::<Result<Vec<ValueTuple>, DbErr>>()?;
        if keys.is_empty() {
            break;
        }
        cleared += retried(|| delete(db, table, key, keys.clone())).await?;
        if u64::try_from(keys.len()).is_ok_and(|count| count < SLICE) {
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

async fn delete(db: &Db, table: &'static str, key: &[&'static str], keys: Vec<ValueTuple>) -> Result<u64, DbErr> {
    let tx = db.begin_as(Urgency::Job).await?;
    let columns = Expr::tuple(key.iter().map(|column| Expr::col(*column)));
    let delete = Query::delete().from_table(table).and_where(columns.in_tuples(keys)).to_owned();
    let deleted = tx.execute(&delete).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}
