//! The SQL of the last pass: one row of the site.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr};

use super::Pass;
use crate::db::Tx;

/// `site.name` of the last pass.
const NAME: &str = "reconciliation";

/// The last pass that was through. One that cannot be read is none.
pub(super) async fn last(db: &impl ConnectionTrait) -> Result<Option<Pass>, DbErr> {
    let select = Query::select().column("value").from("site").and_where(Expr::col("name").eq(NAME)).to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    Ok(serde_json::from_str(&row.try_get::<String>("", "value")?).ok())
}

pub(super) async fn write(tx: &Tx, pass: &Pass) -> Result<(), DbErr> {
    let text = serde_json::to_string(pass).map_err(|error| DbErr::Custom(error.to_string()))?;
    let insert = Query::insert()
        .into_table("site")
        .columns(["name", "value"])
        .values_panic([NAME.into(), text.into()])
        .on_conflict(OnConflict::column("name").update_column("value").to_owned())
        .to_owned();
    tx.execute(&insert).await.map(drop)
}
