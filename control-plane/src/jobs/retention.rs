//! Rows that are kept for a time only.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, Value, ValueTuple};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::UnixMillis;

use crate::db::{Db, Urgency, retried};
use crate::leases::State;

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Changes a relay may be behind and still be brought up to date without a snapshot.
pub const CONFIG_LOG_KEPT: i64 = 10_000;
/// Attempts of requests are told for this long, in milliseconds.
pub const EXPLANATIONS_MILLIS: i64 = 7 * DAY_MILLIS;
/// Answers to requests with an idempotency key are repeated for this long, in milliseconds.
pub const IDEMPOTENCY_MILLIS: i64 = DAY_MILLIS;
/// Rates are kept for this long after they were replaced, in milliseconds: no record that old is settled.
pub const RATES_MILLIS: i64 = 40 * DAY_MILLIS;
/// Relays not heard of for this long are forgotten, in milliseconds.
pub const NODES_MILLIS: i64 = 7 * DAY_MILLIS;

/// Rows in one transaction, so that nobody waits long behind a slice.
const SLICE: u64 = 500;
/// Slices of one table in one run; the rest waits for the next run.
const MOST_SLICES: u32 = 400;

/// How many rows of each table went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Of `config_log`.
    pub config_log: u64,
    /// Of `rate_history`.
    pub rates: u64,
    /// Of `request_explanations`.
    pub explanations: u64,
    /// Of `sessions`.
    pub sessions: u64,
    /// Of `idempotency`.
    pub idempotency: u64,
    /// Of `nodes`.
    pub nodes: u64,
}

impl Report {
    /// All of them.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.config_log + self.rates + self.explanations + self.sessions + self.idempotency + self.nodes
    }
}

/// Clears away what was kept long enough, in slices.
///
/// # Errors
/// When the database refuses or is away. What was cleared until then stays cleared.
pub async fn run(db: &Db, now: UnixMillis) -> Result<Report, DbErr> {
    let before = |millis: i64| now.plus_millis(-millis).0;
    Ok(Report {
        config_log: clear(db, "config_log", &["seq", "ordinal"], |select| {
            let head = Query::select().column(("config_head", "seq")).from("config_head").to_owned();
            let oldest = Expr::SubQuery(None, Box::new(head.into())).sub(CONFIG_LOG_KEPT);
            select.and_where(Expr::col("seq").lte(oldest));
        })
        .await?,
        rates: clear(db, "rate_history", &["kind", "name", "seq"], |select| replaced_before(select, before(RATES_MILLIS)))
            .await?,
        explanations: clear(db, "request_explanations", &["request_id"], |select| {
            select.and_where(Expr::col("at").lt(before(EXPLANATIONS_MILLIS)));
        })
        .await?,
        sessions: clear(db, "sessions", &["id"], |select| {
            select.and_where(Expr::col("expires_at").lt(now.0));
        })
        .await?,
        idempotency: clear(db, "idempotency", &["user_id", "idem_key"], |select| {
            select.and_where(Expr::col("created_at").lt(before(IDEMPOTENCY_MILLIS)));
        })
        .await?,
        nodes: clear(db, "nodes", &["node_id"], |select| forgotten_before(select, before(NODES_MILLIS))).await?,
    })
}

/// A rate that a later one replaced before a moment.
fn replaced_before(select: &mut SelectStatement, before: i64) {
    let later = Query::select()
        .expr(Expr::val(1))
        .from_as("rate_history", "later")
        .and_where(Expr::col(("later", "kind")).equals(("rate_history", "kind")))
        .and_where(Expr::col(("later", "name")).equals(("rate_history", "name")))
        .and_where(Expr::col(("later", "seq")).gt(Expr::col(("rate_history", "seq"))))
        .and_where(Expr::col(("later", "at")).lt(before))
        .to_owned();
    select.and_where(Expr::exists(later));
}

/// A relay not heard of since a moment that holds no money.
fn forgotten_before(select: &mut SelectStatement, before: i64) {
    let lease = Query::select()
        .expr(Expr::val(1))
        .from("leases")
        .and_where(Expr::col(("leases", "node_id")).equals(("nodes", "node_id")))
        .and_where(Expr::col(("leases", "state")).ne(State::Closed.as_str()))
        .to_owned();
    select.and_where(Expr::col("last_seen_at").lt(before)).and_where(Expr::exists(lease).not());
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
