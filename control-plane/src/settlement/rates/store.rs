//! The SQL of what rates were.

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DbErr};

/// Rows read at once.
pub(super) const PAGE: u64 = 10_000;

/// A change of a rate.
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) body: Option<String>,
}

/// The newest version there is.
pub(super) async fn head(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let select = Query::select().column("seq").from("config_head").and_where(Expr::col("id").eq(1)).to_owned();
    db.query_one(&select).await?.map_or(Ok(0), |row| row.try_get("", "seq"))
}

/// Changes above `from` and up to `head`, those after a row of the page before.
pub(super) async fn page(
    db: &impl ConnectionTrait,
    from: i64,
    after: &(i64, String, String),
    head: i64,
) -> Result<Vec<Row>, DbErr> {
    let name = Expr::tuple([Expr::col("seq"), Expr::col("kind"), Expr::col("name")]);
    let last = Expr::tuple([Expr::val(after.0), Expr::val(after.1.as_str()), Expr::val(after.2.as_str())]);
    let select = Query::select()
        .columns(["seq", "kind", "name", "body"])
        .from("rate_history")
        .and_where(Expr::col("seq").gt(from))
        .and_where(Expr::col("seq").lte(head))
        .and_where(name.gt(last))
        .order_by("seq", Order::Asc)
        .order_by("kind", Order::Asc)
        .order_by("name", Order::Asc)
        .limit(PAGE)
        .to_owned();
    let row = |row: &sea_orm::QueryResult| {
        Ok(Row {
            seq: row.try_get("", "seq")?,
            kind: row.try_get("", "kind")?,
            name: row.try_get("", "name")?,
            body: row.try_get("", "body")?,
        })
    };
    db.query_all(&select).await?.iter().map(row).collect()
}
