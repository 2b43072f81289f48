//! The SQL of single values the site is known by (`site` table).

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query};
use sea_orm::{ConnectionTrait, DbErr};

use crate::db::Tx;
use crate::db::first_rows::MASTER_KEY_CHECK;

/// What the set-up secret that was printed last is derived from, and when that was.
pub(super) const SETUP_SECRET: &str = "setup_secret";
/// When the site was set up, in milliseconds since 1970.
pub(super) const SET_UP_AT: &str = "set_up_at";

/// Waits until no other process sets the site up, and keeps others waiting until the transaction ends. The row that is locked has been
/// there since the first rows were written.
pub(super) async fn lock(tx: &Tx) -> Result<(), DbErr> {
    let mut row = Query::select().column("name").from("site").and_where(Expr::col("name").eq(MASTER_KEY_CHECK)).to_owned();
    tx.query_one(row.lock(LockType::Update)).await.map(drop)
}

pub(super) async fn get(db: &impl ConnectionTrait, name: &str) -> Result<Option<String>, DbErr> {
    let select = Query::select().column("value").from("site").and_where(Expr::col("name").eq(name)).to_owned();
    db.query_one(&select).await?.map(|row| row.try_get("", "value")).transpose()
}

/// Writes a value that is not there; fails on the unique name when it is.
pub(super) async fn insert(tx: &Tx, name: &str, value: &str) -> Result<(), DbErr> {
    let mut insert = Query::insert().into_table("site").columns(["name", "value"]).to_owned();
    insert.values_panic([name.into(), value.into()]);
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn remove(tx: &Tx, name: &str) -> Result<(), DbErr> {
    let delete = Query::delete().from_table("site").and_where(Expr::col("name").eq(name)).to_owned();
    tx.execute(&delete).await.map(drop)
}
