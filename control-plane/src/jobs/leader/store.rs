//! The SQL of the leader's lease.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use super::LASTS;
use crate::db::{Tx, now_millis};

/// Renews a lease that is ours. Answers whether it is.
pub(super) async fn renew(tx: &Tx, name: &str, holder: &str) -> Result<bool, DbErr> {
    let renew = extend(tx, name).and_where(Expr::col("holder").eq(holder)).to_owned();
    Ok(tx.execute(&renew).await?.rows_affected() > 0)
}

/// Takes a lease that ended. Answers whether it did.
pub(super) async fn take_ended(tx: &Tx, name: &str, holder: &str) -> Result<bool, DbErr> {
    let take = extend(tx, name)
        .value("holder", holder)
        .value("fence", Expr::col("fence").add(1))
        .and_where(Expr::col("expires_at").lte(now_millis(tx.get_database_backend())))
        .to_owned();
    Ok(tx.execute(&take).await?.rows_affected() > 0)
}

/// Takes a lease that nobody ever had. Whether that was us is read back: MySQL counts a row that was left alone as changed.
pub(super) async fn take_first(tx: &Tx, name: &str, holder: &str) -> Result<bool, DbErr> {
    let insert = Query::insert()
        .into_table("leader")
        .columns(["name", "holder", "fence", "expires_at"])
        .values_panic([name.into(), holder.into(), 1_i64.into(), end_from_here(tx.get_database_backend())])
        .on_conflict(OnConflict::column("name").do_nothing_on(["name"]).to_owned())
        .to_owned();
    tx.execute(&insert).await?;
    let read = Query::select().column("holder").from("leader").and_where(Expr::col("name").eq(name)).to_owned();
    let row = tx.query_one(&read).await?.ok_or(DbErr::RecordNotInserted)?;
    Ok(row.try_get::<String>("", "holder")? == holder)
}

/// The fence of a lease that is ours; `None` when it is not. The row stays locked until the transaction ends, so that nobody takes the
/// lease meanwhile.
pub(super) async fn lock_fence(tx: &Tx, name: &str, holder: &str) -> Result<Option<i64>, DbErr> {
    let select = Query::select()
        .column("fence")
        .from("leader")
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("holder").eq(holder))
        .lock(LockType::Update)
        .to_owned();
    tx.query_one(&select).await?.map(|row| row.try_get("", "fence")).transpose()
}

/// Ends a lease that is ours.
pub(super) async fn end(tx: &Tx, name: &str, holder: &str) -> Result<(), DbErr> {
    let end = Query::update()
        .table("leader")
        .value("expires_at", 0_i64)
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("holder").eq(holder))
        .to_owned();
    tx.execute(&end).await.map(drop)
}

fn extend(tx: &Tx, name: &str) -> UpdateStatement {
    let end = end_from_here(tx.get_database_backend());
    Query::update().table("leader").value("expires_at", end).and_where(Expr::col("name").eq(name)).to_owned()
}

fn end_from_here(engine: DatabaseBackend) -> Expr {
    now_millis(engine).add(i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX))
}
