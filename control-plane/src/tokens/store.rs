//! The SQL of tokens.

use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, GroupName, ModelName, Status, TokenId, UnixMillis, UserId};

use super::{Key, Token, TokenFilter};
use crate::db::{Tx, contains, insert_for_id, limits_text, read_limits};
use crate::http::{ApiError, Code, Listing, Page, unique_violation};

/// A token by id, unless deleted.
pub(super) async fn find(db: &impl ConnectionTrait, id: TokenId) -> Result<Option<Token>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id.get())).and_where(Expr::col("deleted_at").is_null()).to_owned();
    db.query_one(&one).await?.as_ref().map(read).transpose()
}

/// A token by id, deleted or not.
///
/// # Errors
/// When the database is away.
pub async fn find_any(db: &impl ConnectionTrait, id: TokenId) -> Result<Option<Token>, DbErr> {
    let one = select().and_where(Expr::col("id").eq(id.get())).to_owned();
    db.query_one(&one).await?.as_ref().map(read).transpose()
}

/// A token by id, unless deleted, whose row stays locked until the transaction ends.
pub(super) async fn lock(tx: &Tx, id: TokenId) -> Result<Option<Token>, DbErr> {
    let one = select()
        .and_where(Expr::col("id").eq(id.get()))
        .and_where(Expr::col("deleted_at").is_null())
        .lock(LockType::Update)
        .to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn sealed_key(db: &impl ConnectionTrait, id: TokenId) -> Result<Option<String>, DbErr> {
    let one = Query::select().column("sealed_key").from("tokens").and_where(Expr::col("id").eq(id.get())).to_owned();
    db.query_one(&one).await?.map(|row| row.try_get("", "sealed_key")).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, filter: &TokenFilter, listing: &Listing) -> Result<Page<Token>, DbErr> {
    let mut some = select().and_where(Expr::col("deleted_at").is_null()).to_owned();
    some.and_where_option(filter.user_id.map(|user| Expr::col("user_id").eq(user.get())));
    if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
        some.and_where(contains(Func::lower(Expr::col("name")), &text.to_lowercase()));
    }
    some.and_where_option(filter.status.map(|status| Expr::col("status").eq(status.code())));
    some.and_where_option(filter.group.as_deref().map(|group| Expr::col("group_name").eq(group)));
    filter.made.narrow(&mut some, "created_at");
    let marks = |token: &Token, word: &str| {
        let value = match word {
            "name" => token.name.as_str().into(),
            "created_at" => token.created_at.0.into(),
            _ => token.id.get().into(),
        };
        (value, token.id.get().into())
    };
    listing.read(db, some, read, marks).await
}

pub(super) async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<i64, DbErr> {
    let count = Query::select()
        .expr_as(Expr::col("id").count(), "total")
        .from("tokens")
        .and_where(Expr::col("user_id").eq(user.get()))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    db.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))
}

/// Stores a token. Its account is opened afterwards, when its id is known.
pub(super) async fn insert(tx: &Tx, token: &Token, key: &Key, sealed_key: &str) -> Result<TokenId, ApiError> {
    let mut insert = Query::insert()
        .into_table("tokens")
        .columns([
            "public_id",
            "user_id",
            "account_id",
            "name",
            "digest",
            "sealed_key",
            "hint",
            "status",
            "group_name",
            "capped",
            "uses_account_id",
            "uses_limited",
            "expires_at",
            "models_limited",
            "models",
            "ip_allow",
            "limits",
            "rev",
            "created_at",
            "updated_at",
        ])
        .to_owned();
    insert.values_panic([
        token.public_id.as_str().into(),
        token.user_id.get().into(),
        token.account_id.get().into(),
        token.name.as_str().into(),
        key.digest.as_str().into(),
        sealed_key.into(),
        token.hint.as_str().into(),
        token.status.code().into(),
        token.group.as_ref().map(|group| group.as_str().to_owned()).into(),
        token.capped.into(),
        token.uses_account_id.map_or(0, AccountId::get).into(),
        token.uses_limited.into(),
        token.expires_at.map(|at| at.0).into(),
        token.models.is_some().into(),
        models_text(token)?.into(),
        ip_text(token)?.into(),
        limits_text(&token.limits)?.into(),
        token.rev.into(),
        token.created_at.0.into(),
        token.updated_at.0.into(),
    ]);
    insert_for_id(tx, insert).await.map(TokenId::new).map_err(taken)
}

pub(super) async fn set_account(tx: &Tx, id: TokenId, account: AccountId) -> Result<(), DbErr> {
    let update =
        Query::update().table("tokens").value("account_id", account.get()).and_where(Expr::col("id").eq(id.get())).to_owned();
    tx.execute(&update).await.map(drop)
}

pub(super) async fn update(tx: &Tx, token: &Token) -> Result<(), ApiError> {
    let update = Query::update()
        .table("tokens")
        .value("name", token.name.as_str())
        .value("status", token.status.code())
        .value("group_name", token.group.as_ref().map(|group| group.as_str().to_owned()))
        .value("capped", token.capped)
        .value("uses_account_id", token.uses_account_id.map_or(0, AccountId::get))
        .value("uses_limited", token.uses_limited)
        .value("expires_at", token.expires_at.map(|at| at.0))
        .value("models_limited", token.models.is_some())
        .value("models", models_text(token)?)
        .value("ip_allow", ip_text(token)?)
        .value("limits", limits_text(&token.limits)?)
        .value("rev", token.rev)
        .value("updated_at", token.updated_at.0)
        .and_where(Expr::col("id").eq(token.id.get()))
        .to_owned();
    tx.execute(&update).await?;
    Ok(())
}

pub(super) async fn set_key(tx: &Tx, id: TokenId, key: &Key, sealed_key: &str) -> Result<(), ApiError> {
    let update = Query::update()
        .table("tokens")
        .value("digest", key.digest.as_str())
        .value("sealed_key", sealed_key)
        .value("hint", key.hint.as_str())
        .and_where(Expr::col("id").eq(id.get()))
        .to_owned();
    tx.execute(&update).await.map(drop).map_err(taken)
}

/// Marks tokens of a user as deleted, and answers which. One of them, or all.
pub(super) async fn delete(tx: &Tx, user: UserId, only: Option<TokenId>, now: UnixMillis) -> Result<Vec<TokenId>, DbErr> {
    let live = Query::select()
        .column("id")
        .from("tokens")
        .and_where(Expr::col("user_id").eq(user.get()))
        .and_where(Expr::col("deleted_at").is_null())
        .and_where_option(only.map(|id| Expr::col("id").eq(id.get())))
        .lock(LockType::Update)
        .to_owned();
    let ids: Vec<i64> = tx.query_all(&live).await?.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    // in slices: SQLite takes a bounded number of values in one statement
    for slice in ids.chunks(SLICE) {
        let update = Query::update()
            .table("tokens")
            .value("status", Status::Disabled.code())
            .value("rev", Expr::col("rev").add(1))
            .value("updated_at", now.0)
            .value("deleted_at", now.0)
            .and_where(Expr::col("id").is_in(slice.iter().copied()))
            .to_owned();
        tx.execute(&update).await?;
    }
    Ok(ids.into_iter().map(TokenId::new).collect())
}

const SLICE: usize = 500;

fn taken(error: DbErr) -> ApiError {
    match unique_violation(&error) {
        Some(_) => ApiError::new(Code::KeyTaken, "another token has this key"),
        None => error.into(),
    }
}

fn models_text(token: &Token) -> Result<String, ApiError> {
    serde_json::to_string(token.models.as_deref().unwrap_or_default()).map_err(ApiError::internal)
}

fn ip_text(token: &Token) -> Result<String, ApiError> {
    serde_json::to_string(&token.ip_allow).map_err(ApiError::internal)
}

fn select() -> SelectStatement {
    Query::select()
        .columns([
            "id",
            "public_id",
            "user_id",
            "account_id",
            "name",
            "hint",
            "status",
            "group_name",
            "capped",
            "uses_account_id",
            "uses_limited",
            "expires_at",
            "models_limited",
            "models",
            "ip_allow",
            "limits",
            "rev",
            "created_at",
            "updated_at",
            "last_used_at",
        ])
        .from("tokens")
        .to_owned()
}

fn read(row: &QueryResult) -> Result<Token, DbErr> {
    let broken = |what: &str| DbErr::Type(format!("a row of tokens has an unreadable {what}"));
    let moment = |column| row.try_get("", column).map(|millis: Option<i64>| millis.map(UnixMillis));
    let status: i32 = row.try_get("", "status")?;
    let group: Option<String> = row.try_get("", "group_name")?;
    let (models, ip_allow): (String, String) = (row.try_get("", "models")?, row.try_get("", "ip_allow")?);
    let models: Vec<ModelName> = serde_json::from_str(&models).map_err(|_| broken("list of models"))?;
    let is_limited: bool = row.try_get("", "models_limited")?;
    let uses: i64 = row.try_get("", "uses_account_id")?;
    Ok(Token {
        id: TokenId::new(row.try_get("", "id")?),
        public_id: row.try_get("", "public_id")?,
        user_id: UserId::new(row.try_get("", "user_id")?),
        account_id: AccountId::new(row.try_get("", "account_id")?),
        name: row.try_get("", "name")?,
        hint: row.try_get("", "hint")?,
        status: Status::from_code(status).ok_or_else(|| broken("status"))?,
        group: group.as_deref().map(GroupName::parse).transpose().map_err(|_| broken("group"))?,
        capped: row.try_get("", "capped")?,
        uses_account_id: (uses != 0).then(|| AccountId::new(uses)),
        uses_limited: row.try_get("", "uses_limited")?,
        expires_at: moment("expires_at")?,
        models: is_limited.then_some(models),
        ip_allow: serde_json::from_str(&ip_allow).map_err(|_| broken("list of addresses"))?,
        limits: read_limits(row)?,
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
        last_used_at: moment("last_used_at")?,
    })
}
