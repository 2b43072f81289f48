//! The SQL of providers that administrators described.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::UnixMillis;

use super::Custom;
use crate::db::Tx;
use crate::http::{ApiError, Code, unique_violation};

const TABLE: &str = "providers";

pub(super) async fn find(db: &impl ConnectionTrait, slug: &str) -> Result<Option<Custom>, DbErr> {
    let one = select().and_where(Expr::col("slug").eq(slug)).to_owned();
    db.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn lock(tx: &Tx, slug: &str) -> Result<Option<Custom>, DbErr> {
    let one = select().and_where(Expr::col("slug").eq(slug)).lock(LockType::Update).to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

/// All of them, by slug.
pub(super) async fn list(db: &impl ConnectionTrait) -> Result<Vec<Custom>, DbErr> {
    let all = select().order_by("slug", Order::Asc).to_owned();
    db.query_all(&all).await?.iter().map(read).collect()
}

pub(super) async fn insert(tx: &Tx, custom: &Custom) -> Result<(), ApiError> {
    let columns = ["slug", "definition", "rev", "created_at", "updated_at"];
    let mut insert = Query::insert().into_table(TABLE).columns(columns).to_owned();
    insert.values_panic([
        custom.slug.as_str().into(),
        custom.definition.as_str().into(),
        custom.rev.into(),
        custom.created_at.0.into(),
        custom.updated_at.0.into(),
    ]);
    tx.execute(&insert).await.map(drop).map_err(|error| match unique_violation(&error) {
        Some(_) => ApiError::new(Code::NameTaken, "another provider has this slug"),
        None => error.into(),
    })
}

pub(super) async fn update(tx: &Tx, custom: &Custom) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("definition", custom.definition.as_str())
        .value("rev", custom.rev)
        .value("updated_at", custom.updated_at.0)
        .and_where(Expr::col("slug").eq(custom.slug.as_str()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

pub(super) async fn delete(tx: &Tx, slug: &str) -> Result<(), DbErr> {
    let delete = Query::delete().from_table(TABLE).and_where(Expr::col("slug").eq(slug)).to_owned();
    tx.execute(&delete).await.map(drop)
}

/// How many channels are of a provider.
pub(super) async fn channels_of(db: &impl ConnectionTrait, slug: &str) -> Result<i64, DbErr> {
    let count = Query::select()
        .expr_as(Expr::val(1).count(), "total")
        .from("channels")
        .and_where(Expr::col("provider").eq(slug))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    db.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))
}

fn select() -> SelectStatement {
    Query::select().columns(["slug", "definition", "rev", "created_at", "updated_at"]).from(TABLE).to_owned()
}

fn read(row: &QueryResult) -> Result<Custom, DbErr> {
    Ok(Custom {
        slug: row.try_get("", "slug")?,
        definition: row.try_get("", "definition")?,
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}
