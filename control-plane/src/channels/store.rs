//! The SQL of channels and their keys.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::Ratio;
use sluice_domain::{ChannelId, ChannelKeyId, GroupName, ModelName, Status, UnixMillis};
use sluice_sealed::{Keyring, Place, random};

use super::{Channel, ChannelFilter, ChannelKey, Policy, RevealedKey, Settings};
use crate::db::{Insert, Tx, contains, insert_for_id, limits_text, read_limits};
use crate::http::{ApiError, Listing, Page};
use crate::tokens::hint;

const KEYS: &str = "channel_keys";
/// `site.name` of the id of the channel that was made for the demo.
const DEMO_CHANNEL: &str = "demo_channel";

pub(super) async fn find(db: &impl ConnectionTrait, keyring: &Keyring, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    one(db, keyring, select().and_where(Expr::col("id").eq(id.get())).to_owned(), id).await
}

pub(super) async fn lock(tx: &Tx, keyring: &Keyring, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    one(tx, keyring, select().and_where(Expr::col("id").eq(id.get())).lock(LockType::Update).to_owned(), id).await
}

/// The channel that was made for the demo, unless it was deleted.
pub(super) async fn demo_channel(db: &impl ConnectionTrait, keyring: &Keyring) -> Result<Option<Channel>, DbErr> {
    let select = Query::select().column("value").from("site").and_where(Expr::col("name").eq(DEMO_CHANNEL)).to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let id: String = row.try_get("", "value")?;
    let id = id.parse().map_err(|_| DbErr::Type("the site has an unreadable demo channel".to_owned()))?;
    find(db, keyring, ChannelId::new(id)).await
}

/// Writes down which channel was made for the demo.
pub(super) async fn mark_demo_channel(tx: &Tx, id: ChannelId) -> Result<(), DbErr> {
    let forget = Query::delete().from_table("site").and_where(Expr::col("name").eq(DEMO_CHANNEL)).to_owned();
    tx.execute(&forget).await?;
    let mut insert = Query::insert().into_table("site").columns(["name", "value"]).to_owned();
    insert.values_panic([DEMO_CHANNEL.into(), id.to_string().into()]);
    tx.execute(&insert).await.map(drop)
}

async fn one(
    db: &impl ConnectionTrait,
    keyring: &Keyring,
    select: SelectStatement,
    id: ChannelId,
) -> Result<Option<Channel>, DbErr> {
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let mut keys = keys_of(db, &[id]).await?;
    Ok(Some(Channel { keys: keys.remove(&id).unwrap_or_default(), ..read(&row, keyring)? }))
}

/// A page of channels, without their keys.
pub(super) async fn list(
    db: &impl ConnectionTrait,
    keyring: &Keyring,
    filter: &ChannelFilter,
    listing: &Listing,
) -> Result<Page<Channel>, DbErr> {
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
    filter.made.narrow(&mut some, "created_at");
    let marks = |channel: &Channel, word: &str| {
        let value = match word {
            "name" => channel.name.as_str().into(),
            "priority" => channel.priority.into(),
            _ => channel.id.get().into(),
        };
        (value, channel.id.get().into())
    };
    listing.read(db, some, |row| read(row, keyring), marks).await
}

/// Models and groups of the channels in use.
pub(super) async fn served(db: &impl ConnectionTrait) -> Result<Vec<(Vec<ModelName>, Vec<GroupName>)>, DbErr> {
    let in_use = Query::select()
        .columns(["models", "groups"])
        .from("channels")
        .and_where(Expr::col("deleted_at").is_null())
        .and_where(Expr::col("status").eq(Status::Enabled.code()))
        .order_by("id", Order::Asc)
        .to_owned();
    let lists = |row: &QueryResult| {
        let (models, groups): (String, String) = (row.try_get("", "models")?, row.try_get("", "groups")?);
        let models = serde_json::from_str(&models).map_err(|_| broken("models"))?;
        Ok((models, serde_json::from_str(&groups).map_err(|_| broken("groups"))?))
    };
    db.query_all(&in_use).await?.iter().map(lists).collect()
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
        .columns(["id", "channel_id", "hint", "status", "status_reason"])
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
            status_reason: row.try_get("", "status_reason")?,
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
        .columns(["id", "sealed_key", "seal_name"])
        .from(KEYS)
        .and_where(Expr::col("channel_id").eq(channel.get()))
        .order_by("position", Order::Asc)
        .to_owned();
    let mut keys = Vec::new();
    for row in db.query_all(&select).await? {
        let id: i64 = row.try_get("", "id")?;
        let (sealed, seal_name): (String, String) = (row.try_get("", "sealed_key")?, row.try_get("", "seal_name")?);
        let key = keyring.open_text(&place_of_key(&seal_name), &sealed).map_err(ApiError::internal)?;
        keys.push(RevealedKey { id: ChannelKeyId::new(id), key });
    }
    Ok(keys)
}

/// Puts keys in the place of those a channel has. Each is sealed to a random name, because rows of a set have no id beforehand.
pub(super) async fn replace_keys(
    tx: &Tx,
    keyring: &Keyring,
    channel: ChannelId,
    keys: &[SecretString],
) -> Result<Vec<ChannelKey>, ApiError> {
    let delete = Query::delete().from_table(KEYS).and_where(Expr::col("channel_id").eq(channel.get())).to_owned();
    tx.execute(&delete).await?;
    let mut insert = Insert::into(KEYS).longs(&["channel_id"]).ints(&["position", "status"]);
    insert = insert.texts(&["sealed_key", "seal_name", "hint"]);
    for (position, key) in (0_i32..).zip(keys) {
        let seal_name = hex::encode(random::bytes::<16>());
        let sealed = keyring.seal_text(&place_of_key(&seal_name), key).map_err(ApiError::internal)?;
        let hint = hint(key.expose_secret());
        insert.push(vec![
            channel.get().into(),
            position.into(),
            Status::Enabled.code().into(),
            sealed.into(),
            seal_name.into(),
            hint.into(),
        ]);
    }
    insert.run(tx).await?;
    Ok(keys_of(tx, &[channel]).await?.remove(&channel).unwrap_or_default())
}

/// Switches one key off.
pub(super) async fn switch_off_key(tx: &Tx, key: ChannelKeyId, reason: &str, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table(KEYS)
        .value("status", Status::AutoDisabled.code())
        .value("status_reason", reason)
        .value("status_at", now.0)
        .and_where(Expr::col("id").eq(key.get()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// Switches one key on.
pub(super) async fn switch_on_key(tx: &Tx, key: ChannelKeyId) -> Result<(), DbErr> {
    let update = Query::update()
        .table(KEYS)
        .value("status", Status::Enabled.code())
        .value("status_reason", None::<String>)
        .value("status_at", None::<i64>)
        .and_where(Expr::col("id").eq(key.get()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// Switches on again what was switched off by itself of a channel's keys.
pub(super) async fn switch_on_keys(tx: &Tx, channel: &mut Channel) -> Result<(), DbErr> {
    let update = Query::update()
        .table(KEYS)
        .value("status", Status::Enabled.code())
        .value("status_reason", None::<String>)
        .value("status_at", None::<i64>)
        .and_where(Expr::col("channel_id").eq(channel.id.get()))
        .and_where(Expr::col("status").eq(Status::AutoDisabled.code()))
        .to_owned();
    tx.execute(&update).await?;
    for key in channel.keys.iter_mut().filter(|key| key.status == Status::AutoDisabled) {
        (key.status, key.status_reason) = (Status::Enabled, None);
    }
    Ok(())
}

/// What a key is sealed to.
pub(crate) fn place_of_key(seal_name: &str) -> Place<'_> {
    Place::named(KEYS, "sealed_key", seal_name)
}

pub(super) async fn insert(tx: &Tx, keyring: &Keyring, channel: &Channel) -> Result<ChannelId, ApiError> {
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
            "first_output_ms",
            "keeps_empty",
            "drains",
            "stays_on",
            "limits",
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
        channel.policy.first_output_millis.into(),
        channel.policy.keeps_empty.into(),
        channel.policy.drains.into(),
        channel.policy.stays_on.into(),
        limits_text(&channel.limits)?.into(),
        channel.rev.into(),
        channel.created_at.0.into(),
        channel.updated_at.0.into(),
    ]);
    let id = ChannelId::new(insert_for_id(tx, insert).await?);
    // sealed to the row's id, which is not known before
    if let Some(sealed) = channel.settings.seal(keyring, id).map_err(ApiError::internal)? {
        let update =
            Query::update().table("channels").value("sealed_settings", sealed).and_where(Expr::col("id").eq(id.get())).to_owned();
        tx.execute(&update).await?;
    }
    Ok(id)
}

pub(super) async fn update(tx: &Tx, keyring: &Keyring, channel: &Channel) -> Result<(), ApiError> {
    let settings = channel.settings.seal(keyring, channel.id).map_err(ApiError::internal)?;
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
        .value("first_output_ms", channel.policy.first_output_millis)
        .value("keeps_empty", channel.policy.keeps_empty)
        .value("drains", channel.policy.drains)
        .value("stays_on", channel.policy.stays_on)
        .value("limits", limits_text(&channel.limits)?)
        .value("sealed_settings", settings)
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
            "first_output_ms",
            "keeps_empty",
            "drains",
            "stays_on",
            "limits",
            "sealed_settings",
            "rev",
            "created_at",
            "updated_at",
        ])
        .from("channels")
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned()
}

fn read(row: &QueryResult, keyring: &Keyring) -> Result<Channel, DbErr> {
    let id = ChannelId::new(row.try_get("", "id")?);
    let settings: Option<String> = row.try_get("", "sealed_settings")?;
    let status: i32 = row.try_get("", "status")?;
    let (models, groups, mapping): (String, String, String) =
        (row.try_get("", "models")?, row.try_get("", "groups")?, row.try_get("", "model_mapping")?);
    let ratio: Option<String> = row.try_get("", "cache_read_ratio")?;
    Ok(Channel {
        id,
        name: row.try_get("", "name")?,
        provider: row.try_get("", "provider")?,
        base_url: row.try_get("", "base_url")?,
        api_version: row.try_get("", "api_version")?,
        models: serde_json::from_str(&models).map_err(|_| broken("models"))?,
        groups: serde_json::from_str(&groups).map_err(|_| broken("groups"))?,
        priority: row.try_get("", "priority")?,
        weight: row.try_get("", "weight")?,
        status: Status::from_code(status).ok_or_else(|| broken("status"))?,
        status_reason: row.try_get("", "status_reason")?,
        model_mapping: serde_json::from_str(&mapping).map_err(|_| broken("mapping"))?,
        cache_read_ratio: ratio.as_deref().map(str::parse::<Ratio>).transpose().map_err(|_| broken("ratio"))?,
        policy: Policy {
            first_output_millis: row.try_get("", "first_output_ms")?,
            keeps_empty: row.try_get("", "keeps_empty")?,
            drains: row.try_get("", "drains")?,
            stays_on: row.try_get("", "stays_on")?,
        },
        limits: read_limits(row)?,
        settings: Settings::open(keyring, id, settings.as_deref()).map_err(|_| broken("settings"))?,
        keys: Vec::new(),
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}

fn broken(what: &str) -> DbErr {
    DbErr::Type(format!("a channel has unreadable {what}"))
}
