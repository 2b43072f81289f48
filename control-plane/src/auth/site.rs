//! Single values the site is known by (`site` table).

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};

use crate::db::Tx;

/// Digest of the set-up secret that was printed last.
pub(super) const SETUP_SECRET: &str = "setup_secret";
/// When the site was set up, in milliseconds since 1970.
pub(super) const SET_UP_AT: &str = "set_up_at";

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

/// Takes a value away, if it is this one. Answers whether it was.
pub(super) async fn take(tx: &Tx, name: &str, value: &str) -> Result<bool, DbErr> {
    let delete = Query::delete()
        .from_table("site")
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("value").eq(value))
        .to_owned();
    Ok(tx.execute(&delete).await?.rows_affected() == 1)
}

pub(super) async fn remove(tx: &Tx, name: &str) -> Result<(), DbErr> {
    let delete = Query::delete().from_table("site").and_where(Expr::col("name").eq(name)).to_owned();
    tx.execute(&delete).await.map(drop)
}
