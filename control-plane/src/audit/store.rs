//! The SQL of the audit trail.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{UnixMillis, UserId};

use super::{AuditFilter, AuditRow};
use crate::db::Tx;
use crate::http::{Listing, Page};

/// Characters the column of the target holds.
pub(super) const TARGET_CHARS: usize = 191;

pub(super) async fn insert(tx: &Tx, row: &AuditRow) -> Result<(), DbErr> {
    let mut insert =
        Query::insert().into_table("audit").columns(["at", "actor_id", "action", "target", "detail", "client_ip"]).to_owned();
    insert.values_panic([
        row.at.0.into(),
        row.actor_id.map(UserId::get).into(),
        row.action.as_str().into(),
        row.target.as_str().into(),
        row.detail.as_str().into(),
        row.client_ip.clone().into(),
    ]);
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn list(db: &impl ConnectionTrait, filter: &AuditFilter, listing: &Listing) -> Result<Page<AuditRow>, DbErr> {
    let mut select = Query::select()
        .columns(["id", "at", "actor_id", "action", "target", "detail", "client_ip"])
        .from("audit")
        .and_where_option(filter.actor_id.map(|id| Expr::col("actor_id").eq(id)))
        .and_where_option(filter.action.as_deref().map(|action| Expr::col("action").eq(action)))
        .and_where_option(filter.target.as_deref().map(|target| Expr::col("target").eq(target)))
        .to_owned();
    filter.at.narrow(&mut select, "at");
    listing.read(db, select, read, |row, _| (row.id.into(), row.id.into())).await
}

fn read(row: &QueryResult) -> Result<AuditRow, DbErr> {
    let actor: Option<i64> = row.try_get("", "actor_id")?;
    Ok(AuditRow {
        id: row.try_get("", "id")?,
        at: UnixMillis(row.try_get("", "at")?),
        actor_id: actor.map(UserId::new),
        action: row.try_get("", "action")?,
        target: row.try_get("", "target")?,
        detail: row.try_get("", "detail")?,
        client_ip: row.try_get("", "client_ip")?,
    })
}
