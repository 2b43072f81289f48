//! The SQL of answers that are kept.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{UnixMillis, UserId};

use crate::db::Tx;

const CREATED: i32 = 201;

/// An answer with what it answered.
pub(super) struct Kept {
    /// Keyed digest of the request.
    pub(super) request_hash: String,
    /// The answer, sealed.
    pub(super) response: String,
}

/// The answer under a user's key, unless it is older than a moment.
pub(super) async fn find(db: &impl ConnectionTrait, user: UserId, key: &str, oldest: UnixMillis) -> Result<Option<Kept>, DbErr> {
    let select = Query::select()
        .columns(["request_hash", "response"])
        .from("idempotency")
        .and_where(Expr::col("user_id").eq(user.get()))
        .and_where(Expr::col("idem_key").eq(key))
        .and_where(Expr::col("created_at").gte(oldest.0))
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    Ok(Some(Kept { request_hash: row.try_get("", "request_hash")?, response: row.try_get("", "response")? }))
}

/// Takes away the answer under a user's key when it is older than a moment.
pub(super) async fn remove_before(tx: &Tx, user: UserId, key: &str, oldest: UnixMillis) -> Result<(), DbErr> {
    let outdated = Query::delete()
        .from_table("idempotency")
        .and_where(Expr::col("user_id").eq(user.get()))
        .and_where(Expr::col("idem_key").eq(key))
        .and_where(Expr::col("created_at").lt(oldest.0))
        .to_owned();
    tx.execute(&outdated).await.map(drop)
}

/// Keeps an answer; fails on the unique key when there is one.
pub(super) async fn insert(tx: &Tx, user: UserId, key: &str, kept: &Kept, now: UnixMillis) -> Result<(), DbErr> {
    let mut insert = Query::insert()
        .into_table("idempotency")
        .columns(["user_id", "idem_key", "request_hash", "status", "response", "created_at"])
        .to_owned();
    insert.values_panic([
        user.get().into(),
        key.into(),
        kept.request_hash.as_str().into(),
        CREATED.into(),
        kept.response.as_str().into(),
        now.0.into(),
    ]);
    tx.execute(&insert).await.map(drop)
}
