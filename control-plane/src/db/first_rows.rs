//! What a fresh database begins with: its lineage, the master key's check value, groups, and the shipped prices.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_billing::{ShippedPrice, shipped_prices};
use sluice_domain::{GroupName, UnixMillis};

use super::{Db, Tx};
use crate::publish::log::{self, Changed, RateChange, RateKind};

/// `site.name` of the value by which the database knows its master key.
pub(crate) const MASTER_KEY_CHECK: &str = "master_key_check";
/// Groups there are at the beginning, each at the price of the models, and the groups its members' tokens may choose besides it.
const GROUPS: [(&str, &[&str]); 3] = [("default", &["vip"]), ("vip", &["default"]), ("svip", &["default", "vip"])];

/// The value by which the database knows its master key. `None` on a database that has no rows yet.
///
/// # Errors
/// When the database is away.
pub async fn master_key_check(db: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let select = Query::select().column("value").from("site").and_where(Expr::col("name").eq(MASTER_KEY_CHECK)).to_owned();
    db.query_one(&select).await?.map(|row| row.try_get("", "value")).transpose()
}

/// Writes the first rows, once: of two processes that start at the same time on one database, the second finds them.
///
/// # Errors
/// When the database refuses or is away, or this build's own prices cannot be read.
pub async fn write(db: &Db, key_check: &str, now: UnixMillis) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    if has_head(&tx).await? {
        return Ok(());
    }
    let head = Query::insert()
        .into_table("config_head")
        .columns(["id", "lineage", "seq"])
        .values_panic([1.into(), new_lineage().into(), 0_i64.into()])
        .to_owned();
    if let Err(error) = tx.execute(&head).await {
        // somebody else was faster: on the servers, both may have seen no row
        return match error.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => Ok(()),
            _ => Err(error),
        };
    }
    let check = Query::insert()
        .into_table("site")
        .columns(["name", "value"])
        .values_panic([MASTER_KEY_CHECK.into(), key_check.into()])
        .to_owned();
    tx.execute(&check).await?;
    let (mut changes, mut rates) = (Vec::new(), Vec::new());
    write_groups(&tx, now, &mut changes, &mut rates).await?;
    let prices = shipped_prices().map_err(|error| DbErr::Custom(error.to_string()))?;
    write_prices(&tx, now, &prices, &mut changes, &mut rates).await?;
    log::record_rates(&tx, now, &changes, &rates).await?;
    tx.commit().await?;
    Ok(())
}

/// A random name for a history of configuration.
pub(crate) fn new_lineage() -> String {
    uuid::Builder::from_random_bytes(sluice_sealed::random::bytes()).into_uuid().to_string()
}

async fn has_head(tx: &Tx) -> Result<bool, DbErr> {
    let select = Query::select().column("seq").from("config_head").and_where(Expr::col("id").eq(1)).to_owned();
    Ok(tx.query_one(&select).await?.is_some())
}

async fn write_groups(tx: &Tx, now: UnixMillis, changes: &mut Vec<Changed>, rates: &mut Vec<RateChange>) -> Result<(), DbErr> {
    let columns = ["name", "ratio", "usable", "description", "rev", "created_at", "updated_at"];
    let mut insert = Query::insert().into_table("user_groups").columns(columns).to_owned();
    for (name, usable) in GROUPS {
        let usable = serde_json::to_string(usable).map_err(|error| DbErr::Custom(error.to_string()))?;
        insert.values_panic([name.into(), "1".into(), usable.into(), "".into(), 1_i64.into(), now.0.into(), now.0.into()]);
        let group = GroupName::parse(name).map_err(|error| DbErr::Custom(error.to_string()))?;
        changes.push(Changed::Group(group));
        rates.push(RateChange { kind: RateKind::Group, name: name.to_owned(), body: Some("1".to_owned()) });
    }
    tx.execute(&insert).await.map(drop)
}

async fn write_prices(
    tx: &Tx,
    now: UnixMillis,
    prices: &[ShippedPrice],
    changes: &mut Vec<Changed>,
    rates: &mut Vec<RateChange>,
) -> Result<(), DbErr> {
    let columns = ["model", "body", "source", "rev", "created_at", "updated_at"];
    let mut insert = Query::insert().into_table("prices").columns(columns).to_owned();
    for shipped in prices {
        let body = serde_json::to_string(&shipped.price).map_err(|error| DbErr::Custom(error.to_string()))?;
        insert.values_panic([
            shipped.model.as_str().into(),
            body.as_str().into(),
            "shipped".into(),
            1_i64.into(),
            now.0.into(),
            now.0.into(),
        ]);
        changes.push(Changed::Price(shipped.model.clone()));
        rates.push(RateChange { kind: RateKind::Price, name: shipped.model.to_string(), body: Some(body) });
    }
    tx.execute(&insert).await.map(drop)
}
