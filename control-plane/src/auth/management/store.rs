//! The SQL of management tokens.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{UnixMillis, UserId};

use super::ManagementToken;
use crate::auth::Scope;
use crate::db::{Db, Tx, insert_for_id};
use crate::http::{Listing, Page};

pub(super) async fn find_by_digest(db: &impl ConnectionTrait, digests: Vec<String>) -> Result<Option<ManagementToken>, DbErr> {
    let one = select().and_where(Expr::col("digest").is_in(digests)).to_owned();
    db.query_one(&one).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn find(db: &impl ConnectionTrait, owner: UserId, id: i64) -> Result<Option<ManagementToken>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id)).and_where(Expr::col("user_id").eq(owner.get())).to_owned();
    db.query_one(&one).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, owner: UserId, listing: &Listing) -> Result<Page<ManagementToken>, DbErr> {
    let theirs = select().and_where(Expr::col("user_id").eq(owner.get())).to_owned();
    listing.read(db, theirs, read, |token, _| (token.id.into(), token.id.into())).await
}

pub(super) async fn count(db: &impl ConnectionTrait, owner: UserId) -> Result<u64, DbErr> {
    let count = Query::select()
        .expr_as(Expr::col("id").count(), "total")
        .from("management_tokens")
        .and_where(Expr::col("user_id").eq(owner.get()))
        .to_owned();
    let total: i64 = db.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))?;
    Ok(u64::try_from(total).unwrap_or(0))
}

pub(super) async fn insert(tx: &Tx, token: &ManagementToken, digest: &str) -> Result<i64, DbErr> {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let mut insert = Query::insert()
        .into_table("management_tokens")
        .columns(["user_id", "name", "digest", "hint", "scopes", "created_at", "expires_at"])
        .to_owned();
    insert.values_panic([
        token.user_id.get().into(),
        token.name.as_str().into(),
        digest.into(),
        token.hint.as_str().into(),
        scopes.join(" ").into(),
        token.created_at.0.into(),
        token.expires_at.map(|at| at.0).into(),
    ]);
    insert_for_id(tx, insert).await
}

pub(super) async fn delete(tx: &Tx, owner: UserId, id: i64) -> Result<bool, DbErr> {
    let delete = Query::delete()
        .from_table("management_tokens")
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("user_id").eq(owner.get()))
        .to_owned();
    Ok(tx.execute(&delete).await?.rows_affected() == 1)
}

/// Ends every management token of a user.
pub(crate) async fn delete_all_of(tx: &Tx, owner: UserId) -> Result<(), DbErr> {
    let delete = Query::delete().from_table("management_tokens").and_where(Expr::col("user_id").eq(owner.get())).to_owned();
    tx.execute(&delete).await.map(drop)
}

pub(super) async fn note_use(db: &Db, id: i64, now: UnixMillis) -> Result<(), DbErr> {
    let update =
        Query::update().table("management_tokens").value("last_used_at", now.0).and_where(Expr::col("id").eq(id)).to_owned();
    let tx = db.begin().await?;
    tx.execute(&update).await?;
    tx.commit().await?;
    Ok(())
}

fn select() -> SelectStatement {
    Query::select()
        .columns(["id", "user_id", "name", "hint", "scopes", "created_at", "expires_at", "last_used_at"])
        .from("management_tokens")
        .to_owned()
}

fn read(row: &QueryResult) -> Result<ManagementToken, DbErr> {
    let scopes: String = row.try_get("", "scopes")?;
    let moment = |column| row.try_get("", column).map(|millis: Option<i64>| millis.map(UnixMillis));
    Ok(ManagementToken {
        id: row.try_get("", "id")?,
        user_id: UserId::new(row.try_get("", "user_id")?),
        name: row.try_get("", "name")?,
        hint: row.try_get("", "hint")?,
        // a scope of a later version allows nothing here
        scopes: scopes.split(' ').filter_map(Scope::from_word).collect(),
        created_at: UnixMillis(row.try_get("", "created_at")?),
        expires_at: moment("expires_at")?,
        last_used_at: moment("last_used_at")?,
    })
}
