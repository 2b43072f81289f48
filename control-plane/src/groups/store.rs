//! The SQL of groups.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_billing::Ratio;
use sluice_domain::{GroupName, UnixMillis};

use super::Group;
use crate::db::{Tx, contains, limits_text, read_limits};
use crate::http::{ApiError, Code, Listing, Page, unique_violation};
use crate::users;

pub(super) async fn find(db: &impl ConnectionTrait, name: &str) -> Result<Option<Group>, DbErr> {
    let one = select().and_where(Expr::col("name").eq(name)).to_owned();
    db.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn lock(tx: &Tx, name: &str) -> Result<Option<Group>, DbErr> {
    let one = select().and_where(Expr::col("name").eq(name)).lock(LockType::Update).to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, only: Option<&[GroupName]>, listing: &Listing) -> Result<Page<Group>, DbErr> {
    let mut some = select();
    some.and_where_option(only.map(|names| Expr::col("name").is_in(names.iter().map(GroupName::as_str))));
    let marks = |group: &Group, _: &str| (group.name.as_str().into(), group.name.as_str().into());
    listing.read(db, some, read, marks).await
}

/// Those of some names that exist.
pub(super) async fn names(db: &impl ConnectionTrait, names: &[GroupName]) -> Result<Vec<GroupName>, DbErr> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let select = select().and_where(Expr::col("name").is_in(names.iter().map(GroupName::as_str))).to_owned();
    let read_name = |row: &QueryResult| read(row).map(|group| group.name);
    db.query_all(&select).await?.iter().map(read_name).collect()
}

pub(super) async fn insert(tx: &Tx, group: &Group) -> Result<(), ApiError> {
    let columns = ["name", "ratio", "usable", "description", "limits", "rev", "created_at", "updated_at"];
    let mut insert = Query::insert().into_table("user_groups").columns(columns).to_owned();
    insert.values_panic([
        group.name.as_str().into(),
        group.ratio.to_string().into(),
        usable_text(group)?.into(),
        group.description.as_str().into(),
        limits_text(&group.limits)?.into(),
        group.rev.into(),
        group.created_at.0.into(),
        group.updated_at.0.into(),
    ]);
    tx.execute(&insert).await.map(drop).map_err(|error| match unique_violation(&error) {
        Some(_) => ApiError::new(Code::NameTaken, "another group has this name"),
        None => error.into(),
    })
}

pub(super) async fn update(tx: &Tx, group: &Group) -> Result<(), ApiError> {
    let update = Query::update()
        .table("user_groups")
        .value("ratio", group.ratio.to_string())
        .value("usable", usable_text(group)?)
        .value("description", group.description.as_str())
        .value("limits", limits_text(&group.limits)?)
        .value("rev", group.rev)
        .value("updated_at", group.updated_at.0)
        .and_where(Expr::col("name").eq(group.name.as_str()))
        .to_owned();
    tx.execute(&update).await?;
    Ok(())
}

pub(super) async fn delete(tx: &Tx, name: &GroupName) -> Result<(), DbErr> {
    let delete = Query::delete().from_table("user_groups").and_where(Expr::col("name").eq(name.as_str())).to_owned();
    tx.execute(&delete).await.map(drop)
}

/// How many things of each kind use a group.
pub(super) async fn uses(db: &impl ConnectionTrait, name: &GroupName) -> Result<Vec<(&'static str, i64)>, DbErr> {
    let live = |table: &'static str| {
        let mut count = Query::select();
        count.expr_as(Expr::val(1).count(), "total").from(table);
        count
    };
    // how the name stands in a JSON list
    let quoted = serde_json::to_string(name).map_err(|error| DbErr::Custom(error.to_string()))?;
    let tokens = live("tokens")
        .and_where(Expr::col("group_name").eq(name.as_str()))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    let channels = live("channels")
        .and_where(contains(Expr::col("groups"), &quoted))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    let groups = live("user_groups")
        .and_where(contains(Expr::col("usable"), &quoted))
        .and_where(Expr::col("name").ne(name.as_str()))
        .to_owned();
    let mut uses = vec![("users", users::count_in_group(db, name).await?)];
    for (what, count) in [("tokens", tokens), ("channels", channels), ("other groups", groups)] {
        uses.push((what, db.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))?));
    }
    Ok(uses)
}

fn usable_text(group: &Group) -> Result<String, ApiError> {
    serde_json::to_string(&group.usable).map_err(ApiError::internal)
}

fn select() -> SelectStatement {
    Query::select()
        .columns(["name", "ratio", "usable", "description", "limits", "rev", "created_at", "updated_at"])
        .from("user_groups")
        .to_owned()
}

fn read(row: &QueryResult) -> Result<Group, DbErr> {
    let (name, ratio, usable): (String, String, String) =
        (row.try_get("", "name")?, row.try_get("", "ratio")?, row.try_get("", "usable")?);
    let broken = |what: &str| DbErr::Type(format!("a row of user_groups has an unreadable {what}"));
    Ok(Group {
        name: GroupName::parse(&name).map_err(|_| broken("name"))?,
        ratio: ratio.parse::<Ratio>().map_err(|_| broken("ratio"))?,
        usable: serde_json::from_str(&usable).map_err(|_| broken("list"))?,
        description: row.try_get("", "description")?,
        limits: read_limits(row)?,
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}
