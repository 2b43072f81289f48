//! The SQL of notifications.

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::UnixMillis;

use super::{Notice, Notification, NotificationFilter};
use crate::db::Tx;
use crate::http::{Listing, Page};

const TABLE: &str = "notifications";

pub(super) async fn insert(tx: &Tx, now: UnixMillis, notice: &Notice, next: Option<UnixMillis>) -> Result<(), DbErr> {
    let columns = ["kind", "subject", "title", "content", "values", "created_at", "next_attempt_at"];
    let mut insert = Query::insert().into_table(TABLE).columns(columns).to_owned();
    insert.values_panic([
        notice.kind.as_str().into(),
        notice.subject.as_str().into(),
        notice.title.as_str().into(),
        notice.content.as_str().into(),
        notice.values.to_string().into(),
        now.0.into(),
        next.map(|at| at.0).into(),
    ]);
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn list(
    db: &impl ConnectionTrait,
    filter: &NotificationFilter,
    listing: &Listing,
) -> Result<Page<Notification>, DbErr> {
    let mut select = select()
        .and_where_option(filter.kind.as_deref().map(|kind| Expr::col("kind").eq(kind)))
        .and_where_option(filter.subject.as_deref().map(|subject| Expr::col("subject").eq(subject)))
        .to_owned();
    filter.at.narrow(&mut select, "created_at");
    listing.read(db, select, read, |row, _| (row.id.into(), row.id.into())).await
}

/// What is to be sent by now, oldest first.
pub(super) async fn due(tx: &Tx, now: UnixMillis, most: u64) -> Result<Vec<Notification>, DbErr> {
    let due = select().and_where(Expr::col("next_attempt_at").lte(now.0)).order_by("id", Order::Asc).limit(most).to_owned();
    tx.query_all(&due).await?.iter().map(read).collect()
}

/// Notes an attempt before it is made, and when the next one is if this one fails.
pub(super) async fn take(tx: &Tx, id: i64, attempts: i64, next: Option<UnixMillis>) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("attempts", attempts)
        .value("next_attempt_at", next.map(|at| at.0))
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// The webhook took it.
pub(super) async fn delivered(tx: &Tx, id: i64, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("delivered_at", now.0)
        .value("next_attempt_at", None::<i64>)
        .value("failure", None::<String>)
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// The webhook did not take it.
pub(super) async fn failed(tx: &Tx, id: i64, failure: &str) -> Result<(), DbErr> {
    let update = Query::update().table(TABLE).value("failure", failure).and_where(Expr::col("id").eq(id)).to_owned();
    tx.execute(&update).await.map(drop)
}

fn select() -> SelectStatement {
    Query::select()
        .columns([
            "id",
            "kind",
            "subject",
            "title",
            "content",
            "values",
            "created_at",
            "attempts",
            "next_attempt_at",
            "delivered_at",
            "failure",
        ])
        .from(TABLE)
        .to_owned()
}

fn read(row: &QueryResult) -> Result<Notification, DbErr> {
    let values: String = row.try_get("", "values")?;
    let (next, delivered): (Option<i64>, Option<i64>) = (row.try_get("", "next_attempt_at")?, row.try_get("", "delivered_at")?);
    Ok(Notification {
        id: row.try_get("", "id")?,
        kind: row.try_get("", "kind")?,
        subject: row.try_get("", "subject")?,
        title: row.try_get("", "title")?,
        content: row.try_get("", "content")?,
        values: serde_json::from_str(&values).map_err(|_| DbErr::Type("a notification has unreadable values".to_owned()))?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        attempts: row.try_get("", "attempts")?,
        next_attempt_at: next.map(UnixMillis),
        delivered_at: delivered.map(UnixMillis),
        failure: row.try_get("", "failure")?,
    })
}
