//! The SQL of records that were set aside.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::UnixMillis;

use super::{Resolution, SetAside, request_in};
use crate::db::{Tx, whole};
use crate::http::{Listing, Page};

fn select() -> SelectStatement {
    Query::select()
        .columns(["id", "node_id", "epoch", "seq", "request_id", "reason", "body", "at", "resolved_at", "resolution"])
        .from("quarantine")
        .to_owned()
}

fn read(row: &QueryResult) -> Result<SetAside, DbErr> {
    let resolved_at: Option<i64> = row.try_get("", "resolved_at")?;
    let word: Option<String> = row.try_get("", "resolution")?;
    // one that was resolved without a word was let go by hand
    let resolution = word.as_deref().and_then(Resolution::from_word).unwrap_or(Resolution::Discarded);
    Ok(SetAside {
        id: row.try_get("", "id")?,
        node: row.try_get("", "node_id")?,
        epoch: row.try_get("", "epoch")?,
        seq: row.try_get("", "seq")?,
        request_id: row.try_get("", "request_id")?,
        reason: row.try_get("", "reason")?,
        at: UnixMillis(row.try_get("", "at")?),
        resolution: resolved_at.map(|at| (resolution, UnixMillis(at))),
        request: request_in(&row.try_get::<String>("", "body")?),
    })
}

pub(super) async fn list(db: &impl ConnectionTrait, is_resolved: bool, listing: &Listing) -> Result<Page<SetAside>, DbErr> {
    let resolved_at = Expr::col("resolved_at");
    let condition = if is_resolved { resolved_at.is_not_null() } else { resolved_at.is_null() };
    let select = select().and_where(condition).to_owned();
    listing.read(db, select, read, |record, _| (record.id.into(), record.id.into())).await
}

pub(super) async fn lock(tx: &Tx, id: i64) -> Result<Option<SetAside>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id)).lock(LockType::Update).to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

/// How many nobody has decided about.
pub(crate) async fn count_open(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let count = whole(db.get_database_backend(), Expr::col("id").count());
    let select =
        Query::select().expr_as(count, "records").from("quarantine").and_where(Expr::col("resolved_at").is_null()).to_owned();
    db.query_one(&select).await?.map_or(Ok(0), |row| row.try_get("", "records"))
}

pub(super) async fn resolve(tx: &Tx, id: i64, resolution: Resolution, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table("quarantine")
        .value("resolution", resolution.as_str())
        .value("resolved_at", now.0)
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    tx.execute(&update).await.map(drop)
}
