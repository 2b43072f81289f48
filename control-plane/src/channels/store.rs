//! The SQL of channels and their keys.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::Ratio;
use sluice_domain::{ChannelId, ChannelKeyId, Status, UnixMillis};
use sluice_sealed::{Keyring, Place};

use super::{Channel, ChannelFilter, ChannelKey, RevealedKey};
use crate::db::{Tx, contains, insert_for_id};
use crate::http::{ApiError, Listing, Page};
use crate::tokens::hint;

const KEYS: &str = "channel_keys";

pub(super) async fn find(db: &impl ConnectionTrait, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    one(db, select().and_where(Expr::col("id").eq(id.get())).to_owned(), id).await
}

pub(super) async fn lock(tx: &Tx, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    one(tx, select().and_where(Expr::col("id").eq(id.get())).lock(LockType::Update).to_owned(), id).await
}

/// The first channel of a name.
pub(super) async fn id_by_name(db: &impl ConnectionTrait, name: &str) -> Result<Option<ChannelId>, DbErr> {
    let first = select().and_where(Expr::col("name").eq(name)).order_by("id", Order::Asc).limit(1).to_owned();
    db.query_one(&first).await?.map(|row| row.try_get("", "id").map(ChannelId::new)).transpose()
}

async fn one(db: &impl ConnectionTrait, select: SelectStatement, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let mut keys = keys_of(db, &[id]).await?;
    Ok(Some(Channel { keys: keys.remove(&id).unwrap_or_default(), ..read(&row)? }))
}

/// A page of channels, without their keys.
pub(super) async fn list(db: &impl ConnectionTrait, filter: &ChannelFilter, listing: &Listing) -> Result<Page<Channel>, DbErr> {
    let mut some = select();
    if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
        let text = text.to_lowercase();
        let by_name = contains(Func::lower(Expr::col("name")), &text);
        some.and_where(by_name.or(contains(Func::lower(Expr::col("base_url")), &text)));
    }
    some.and_where_option(filter.status.map(|status| Expr::col("status").eq(status.code())));
    some.and_where_option(filter.provider.as_deref().map(|provider| Expr::col("provider").eq(provider)));
    for (column, name) in [("models", &filter.model), ("groups", &filter.group)] {
        // how the name stands in a JSON list
        let quoted = name.as_ref().map(serde_json::to_string).transpose().map_err(|error| DbErr::Custom(error.to_string()))?;
        some.and_where_option(quoted.map(|quoted| contains(Expr::col(column), &quoted)));
    }
    let marks = |channel: &Channel, word: &str| {
        let value = match word {
            "name" => channel.name.as_str().into(),
            "priority" => channel.priority.into(),
            _ => channel.id.get().into(),
        };
        (value, channel.id.get().into())
    };
    listing.read(db, some, read, marks).await
}

/// The keys of some channels, without the keys themselves.
pub(super) async fn keys_of(
    db: &impl ConnectionTrait,
    channels: &[ChannelId],
) -> Result<BTreeMap<ChannelId, Vec<ChannelKey>>, DbErr> {
    let mut keys: BTreeMap<ChannelId, Vec<ChannelKey>> = BTreeMap::new();
    if channels.is_empty() {
        return Ok(keys);
    }
    let select = Query::select()
        .columns(["id", "channel_id", "hint", "status"])
        .from(KEYS)
        .and_where(Expr::col("channel_id").is_in(channels.iter().map(|id| id.get())))
        .order_by("position", Order::Asc)
        .to_owned();
    for row in db.query_all(&select).await? {
        let status: i32 = row.try_get("", "status")?;
        let key = ChannelKey {
            id: ChannelKeyId::new(row.try_get("", "id")?),
            hint: row.try_get("", "hint")?,
            status: Status::from_code(status).ok_or_else(|| broken("status"))?,
        };
        keys.entry(ChannelId::new(row.try_get("", "channel_id")?)).or_default().push(key);
    }
    Ok(keys)
}

/// The keys of a channel themselves.
pub(super) async fn open_keys(
    db: &impl ConnectionTrait,
    keyring: &Keyring,
    channel: ChannelId,
) -> Result<Vec<RevealedKey>, ApiError> {
    let select = Query::select()
        .columns(["id", "sealed_key"])
        .from(KEYS)
        .and_where(Expr::col("channel_id").eq(channel.get()))
        .order_by("position", Order::Asc)
        .to_owned();
    let mut keys = Vec::new();
    for row in db.query_all(&select).await? {
        let (id, sealed): (i64, String) = (row.try_get("", "id")?, row.try_get("", "sealed_key")?);
        let key = keyring.open_text(&place(id), &sealed).map_err(ApiError::internal)?;
        keys.push(RevealedKey { id: ChannelKeyId::new(id), key });
    }
    Ok(keys)
}

/// Puts keys in the place of those a channel has. A key is sealed to its row, so it is sealed when the row's id is known.
pub(super) async fn replace_keys(
    tx: &Tx,
    keyring: &Keyring,
    channel: ChannelId,
    keys: &[SecretString],
) -> Result<Vec<ChannelKey>, ApiError> {
    let delete = Query::delete().from_table(KEYS).and_where(Expr::col("channel_id").eq(channel.get())).to_owned();
    tx.execute(&delete).await?;
    let mut stored = Vec::with_capacity(keys.len());
    for (position, key) in (0_i32..).zip(keys) {
        let hint = hint(key.expose_secret());
        let status = Status::Enabled;
        let mut insert =
            Query::insert().into_table(KEYS).columns(["channel_id", "position", "sealed_key", "hint", "status"]).to_owned();
        insert.values_panic([channel.get().into(), position.into(), "".into(), hint.as_str().into(), status.code().into()]);
        let id = insert_for_id(tx, insert).await?;
        let sealed = keyring.seal_text(&place(id), key).map_err(ApiError::internal)?;
        let update = Query::update().table(KEYS).value("sealed_key", sealed).and_where(Expr::col("id").eq(id)).to_owned();
        tx.execute(&update).await?;
        stored.push(ChannelKey { id: ChannelKeyId::new(id), hint, status });
    }
    Ok(stored)
}

fn place(id: i64) -> Place<'static> {
    Place::row(KEYS, "sealed_key", id)
}

pub(super) async fn insert(tx: &Tx, channel: &Channel) -> Result<ChannelId, ApiError> {
    let mut insert = Query::insert()
        .into_table("channels")
        .columns([
            "name",
            "provider",
            "base_url",
            "api_version",
            "models",
            "groups",
            "priority",
            "weight",
            "status",
            "model_mapping",
            "cache_read_ratio",
            "rev",
            "created_at",
            "updated_at",
        ])
        .to_owned();
    insert.values_panic([
        channel.name.as_str().into(),
        channel.provider.as_str().into(),
        channel.base_url.clone().into(),
        channel.api_version.clone().into(),
        json(&channel.models)?.into(),
        json(&channel.groups)?.into(),
        channel.priority.into(),
        channel.weight.into(),
        channel.status.code().into(),
        json(&channel.model_mapping)?.into(),
        channel.cache_read_ratio.map(|ratio| ratio.to_string()).into(),
        channel.rev.into(),
        channel.created_at.0.into(),
        channel.updated_at.0.into(),
    ]);
    Ok(ChannelId::new(insert_for_id(tx, insert).await?))
}

pub(super) async fn update(tx: &Tx, channel: &Channel) -> Result<(), ApiError> {
    let update = Query::update()
        .table("channels")
        .value("name", channel.name.as_str())
        .value("provider", channel.provider.as_str())
        .value("base_url", channel.base_url.clone())
        .value("api_version", channel.api_version.clone())
        .value("models", json(&channel.models)?)
        .value("groups", json(&channel.groups)?)
        .value("priority", channel.priority)
        .value("weight", channel.weight)
        .value("status", channel.status.code())
        .value("status_reason", channel.status_reason.clone())
        .value("model_mapping", json(&channel.model_mapping)?)
        .value("cache_read_ratio", channel.cache_read_ratio.map(|ratio| ratio.to_string()))
        .value("rev", channel.rev)
        .value("updated_at", channel.updated_at.0)
        .and_where(Expr::col("id").eq(channel.id.get()))
        .to_owned();
    tx.execute(&update).await?;
    Ok(())
}

/// Marks a channel as deleted and forgets its keys.
pub(super) async fn delete(tx: &Tx, id: ChannelId, now: UnixMillis) -> Result<(), DbErr> {
    let keys = Query::delete().from_table(KEYS).and_where(Expr::col("channel_id").eq(id.get())).to_owned();
    tx.execute(&keys).await?;
    let update = Query::update()
        .table("channels")
        .value("status", Status::Disabled.code())
        .value("rev", Expr::col("rev").add(1))
        .value("updated_at", now.0)
        .value("deleted_at", now.0)
        .and_where(Expr::col("id").eq(id.get()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

fn json(value: &impl serde::Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(ApiError::internal)
}

fn select() -> SelectStatement {
    Query::select()
        .columns([
            "id",
            "name",
            "provider",
            "base_url",
            "api_version",
            "models",
            "groups",
            "priority",
            "weight",
            "status",
            "status_reason",
            "model_mapping",
            "cache_read_ratio",
            "rev",
            "created_at",
            "updated_at",
        ])
        .from("channels")
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned()
}

fn read(row: &QueryResult) -> Result<Channel, DbErr> {
    let status: i32 = row.try_get("", "status")?;
    let (models, groups, mapping): (String, String, String) =
        (row.try_get("", "models")?, row.try_get("", "groups")?, row.try_get("", "model_mapping")?);
    let ratio: Option<String> = row.try_get("", "cache_read_ratio")?;
    Ok(Channel {
        id: ChannelId::new(row.try_get("", "id")?),
        name: row.try_get("", "name")?,
        provider: row.try_get("", "provider")?,
        base_url: row.try_get("", "base_url")?,
        api_version: row.try_get("", "api_version")?,
        models: serde_json::from_str(&models).map_err(|_| broken("list of models"))?,
        groups: serde_json::from_str(&groups).map_err(|_| broken("list of groups"))?,
        priority: row.try_get("", "priority")?,
        weight: row.try_get("", "weight")?,
        status: Status::from_code(status).ok_or_else(|| broken("status"))?,
        status_reason: row.try_get("", "status_reason")?,
        model_mapping: serde_json::from_str(&mapping).map_err(|_| broken("mapping"))?,
        cache_read_ratio: ratio.as_deref().map(str::parse::<Ratio>).transpose().map_err(|_| broken("ratio"))?,
        keys: Vec::new(),
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}

fn broken(what: &str) -> DbErr {
    DbErr::Type(format!("a channel has an unreadable {what}"))
}
