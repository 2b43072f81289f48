//! The SQL of people.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, GroupName, Role, Status, UnixMillis, UserId};

use super::rules::username_key;
use super::{Found, NewAccount, User, UserFilter};
use crate::db::{Tx, contains, insert_for_id, limits_text, read_limits};
use crate::http::{ApiError, Code, Listing, Page, unique_violation};

/// A person by id, unless deleted.
///
/// # Errors
/// When the database is away.
pub async fn find(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id.get())).to_owned();
    db.query_one(&one).await?.map(|row| read(&row)).transpose()
}

/// A person by the lower-case form of the username, with the digest of their password.
///
/// # Errors
/// When the database is away.
pub async fn find_by_username(db: &impl ConnectionTrait, key: &str) -> Result<Option<Found>, DbErr> {
    let one = select().column("password_hash").and_where(Expr::col("username_key").eq(key)).to_owned();
    let found = |row: &QueryResult| Ok(Found { user: read(row)?, password_hash: row.try_get("", "password_hash")? });
    db.query_one(&one).await?.as_ref().map(found).transpose()
}

/// The root user there has been the longest.
///
/// # Errors
/// When the database is away.
pub async fn first_root(db: &impl ConnectionTrait) -> Result<Option<User>, DbErr> {
    let one = select().and_where(Expr::col("role").eq(Role::Root.code())).order_by("id", Order::Asc).limit(1).to_owned();
    db.query_one(&one).await?.map(|row| read(&row)).transpose()
}

/// A person by id, unless deleted, whose row stays locked until the transaction ends.
pub(super) async fn lock(tx: &Tx, id: UserId) -> Result<Option<Found>, DbErr> {
    let one = select().column("password_hash").and_where(Expr::col("id").eq(id.get())).lock(LockType::Update).to_owned();
    let found = |row: &QueryResult| Ok(Found { user: read(row)?, password_hash: row.try_get("", "password_hash")? });
    tx.query_one(&one).await?.as_ref().map(found).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, filter: &UserFilter, listing: &Listing) -> Result<Page<User>, DbErr> {
    let mut some = select();
    if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
        let text = text.to_lowercase();
        let columns = [Expr::col("username_key"), Func::lower(Expr::col("display_name")).into(), Expr::col("email")];
        some.and_where(
            columns.into_iter().map(|column| contains(column, &text)).reduce(ExprTrait::or).unwrap_or(Expr::val(true)),
        );
    }
    some.and_where_option(filter.status.map(|status| Expr::col("status").eq(status.code())));
    some.and_where_option(filter.role.map(|role| Expr::col("role").eq(role.code())));
    some.and_where_option(filter.group.as_deref().map(|group| Expr::col("group_name").eq(group)));
    filter.made.narrow(&mut some, "created_at");
    let marks = |user: &User, word: &str| {
        let value = match word {
            "username" => username_key(&user.username).as_str().into(),
            "created_at" => user.created_at.0.into(),
            _ => user.id.get().into(),
        };
        (value, user.id.get().into())
    };
    listing.read(db, some, read, marks).await
}

/// The wallets of some people.
pub(super) async fn wallets_of(db: &impl ConnectionTrait, users: &[UserId]) -> Result<BTreeMap<UserId, AccountId>, DbErr> {
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let select = Query::select()
        .columns(["id", "owner_id"])
        .from("accounts")
        .and_where(Expr::col("kind").eq("wallet"))
        .and_where(Expr::col("owner_id").is_in(users.iter().map(|user| user.get())))
        .to_owned();
    let read = |row: &QueryResult| Ok((UserId::new(row.try_get("", "owner_id")?), AccountId::new(row.try_get("", "id")?)));
    db.query_all(&select).await?.iter().map(read).collect()
}

pub(super) async fn insert(tx: &Tx, new: NewAccount, now: UnixMillis) -> Result<User, ApiError> {
    let group = new.group.map_or_else(|| GroupName::parse(GroupName::DEFAULT).map_err(ApiError::internal), Ok)?;
    let mut insert = Query::insert()
        .into_table("users")
        .columns([
            "username",
            "username_key",
            "display_name",
            "email",
            "password_hash",
            "role",
            "status",
            "group_name",
            "limits",
            "rev",
            "created_at",
            "updated_at",
        ])
        .to_owned();
    insert.values_panic([
        new.username.as_str().into(),
        username_key(&new.username).into(),
        new.display_name.as_str().into(),
        new.email.clone().into(),
        new.password_hash.into(),
        new.role.code().into(),
        Status::Enabled.code().into(),
        group.as_str().into(),
        limits_text(&new.limits)?.into(),
        1_i64.into(),
        now.0.into(),
        now.0.into(),
    ]);
    let id = UserId::new(insert_for_id(tx, insert).await.map_err(taken)?);
    let NewAccount { username, display_name, email, role, limits, .. } = new;
    let status = Status::Enabled;
    Ok(User { id, username, display_name, email, role, status, group, limits, rev: 1, created_at: now, updated_at: now })
}

/// Writes what may change of a person and counts the revision up.
pub(super) async fn update(tx: &Tx, user: &User, now: UnixMillis) -> Result<(), ApiError> {
    let update = Query::update()
        .table("users")
        .value("username", user.username.as_str())
        .value("username_key", username_key(&user.username))
        .value("display_name", user.display_name.as_str())
        .value("email", user.email.clone())
        .value("role", user.role.code())
        .value("status", user.status.code())
        .value("group_name", user.group.as_str())
        .value("limits", limits_text(&user.limits)?)
        .value("rev", Expr::col("rev").add(1))
        .value("updated_at", now.0)
        .and_where(Expr::col("id").eq(user.id.get()))
        .to_owned();
    tx.execute(&update).await.map(drop).map_err(taken)
}

pub(super) async fn set_password(tx: &Tx, id: UserId, password_hash: Option<&str>) -> Result<(), DbErr> {
    let update =
        Query::update().table("users").value("password_hash", password_hash).and_where(Expr::col("id").eq(id.get())).to_owned();
    tx.execute(&update).await.map(drop)
}

/// Marks a person as deleted. The username stays taken, so that the audit trail stays clear; the e-mail address is free again.
pub(super) async fn delete(tx: &Tx, id: UserId, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table("users")
        .value("email", Option::<String>::None)
        .value("password_hash", Option::<String>::None)
        .value("status", Status::Disabled.code())
        .value("rev", Expr::col("rev").add(1))
        .value("updated_at", now.0)
        .value("deleted_at", now.0)
        .and_where(Expr::col("id").eq(id.get()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// How many people are in a group.
///
/// # Errors
/// When the database is away.
pub async fn count_in_group(db: &impl ConnectionTrait, group: &GroupName) -> Result<i64, DbErr> {
    let count = Query::select()
        .expr_as(Expr::col("id").count(), "total")
        .from("users")
        .and_where(Expr::col("group_name").eq(group.as_str()))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    db.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))
}

fn taken(error: DbErr) -> ApiError {
    match unique_violation(&error) {
        Some(text) if text.contains("uq_users_email") || text.contains("users.email") => {
            ApiError::new(Code::EmailTaken, "another user has this e-mail address")
        }
        Some(_) => ApiError::new(Code::NameTaken, "another user has or had this username"),
        None => error.into(),
    }
}

fn select() -> SelectStatement {
    Query::select()
        .columns([
            "id",
            "username",
            "display_name",
            "email",
            "role",
            "status",
            "group_name",
            "limits",
            "rev",
            "created_at",
            "updated_at",
        ])
        .from("users")
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned()
}

fn read(row: &QueryResult) -> Result<User, DbErr> {
    let (role, status): (i32, i32) = (row.try_get("", "role")?, row.try_get("", "status")?);
    let group: String = row.try_get("", "group_name")?;
    let broken = |what: &str| DbErr::Type(format!("a row of users has an unknown {what}"));
    Ok(User {
        id: UserId::new(row.try_get("", "id")?),
        username: row.try_get("", "username")?,
        display_name: row.try_get("", "display_name")?,
        email: row.try_get("", "email")?,
        role: Role::from_code(role).ok_or_else(|| broken("role"))?,
        status: Status::from_code(status).ok_or_else(|| broken("status"))?,
        group: GroupName::parse(&group).map_err(|_| broken("group"))?,
        limits: read_limits(row)?,
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}
