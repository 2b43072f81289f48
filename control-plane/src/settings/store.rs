//! The SQL of settings: only those that differ from their default have a row.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::UnixMillis;

use crate::db::Tx;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) rev: i64,
    pub(super) updated_at: UnixMillis,
}

pub(super) async fn all(db: &impl ConnectionTrait) -> Result<Vec<Stored>, DbErr> {
    db.query_all(&select()).await?.iter().map(read).collect()
}

pub(super) async fn lock(tx: &Tx, name: &str) -> Result<Option<Stored>, DbErr> {
    let one = select().and_where(Expr::col("name").eq(name)).lock(LockType::Update).to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

/// Writes a value, or takes it away. Answers the revision after it.
pub(super) async fn write(
    tx: &Tx,
    name: &str,
    value: Option<&str>,
    before: Option<&Stored>,
    now: UnixMillis,
) -> Result<i64, DbErr> {
    let rev = before.map_or(0, |before| before.rev) + 1;
    let Some(value) = value else {
        let delete = Query::delete().from_table("settings").and_where(Expr::col("name").eq(name)).to_owned();
        return tx.execute(&delete).await.map(|_| 0);
    };
    if before.is_some() {
        let update = Query::update()
            .table("settings")
            .value("value", value)
            .value("rev", rev)
            .value("updated_at", now.0)
            .and_where(Expr::col("name").eq(name))
            .to_owned();
        tx.execute(&update).await?;
    } else {
        let mut insert = Query::insert().into_table("settings").columns(["name", "value", "rev", "updated_at"]).to_owned();
        insert.values_panic([name.into(), value.into(), rev.into(), now.0.into()]);
        tx.execute(&insert).await?;
    }
    Ok(rev)
}

fn select() -> SelectStatement {
    Query::select().columns(["name", "value", "rev", "updated_at"]).from("settings").to_owned()
}

fn read(row: &QueryResult) -> Result<Stored, DbErr> {
    Ok(Stored {
        name: row.try_get("", "name")?,
        value: row.try_get("", "value")?,
        rev: row.try_get("", "rev")?,
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}
