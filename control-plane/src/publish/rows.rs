//! Rows of the database as the resources and identities relays know. A row that breaks a rule is left out and named.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::QueryResult;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use sluice_billing::{ModelPrice, Ratio};
use sluice_domain::{
    AccountId, ChannelId, ChannelKeyId, GroupName, KeyDigest, Limits, ModelName, Role, Status, TokenId, UnixMillis, UserId,
};
use sluice_sealed::Keyring;
use sluice_snapshot::{Channel, ChannelKey, ChannelPolicy, CustomProvider, Group, Price, Setting, Token, User};

use crate::channels::{Settings, place_of_key};
use crate::db::read_limits;

/// Why a row cannot be sent to relays. Names the column, never its content.
#[derive(Debug, thiserror::Error)]
#[error("column {column}: {reason}")]
pub(super) struct BadRow {
    column: &'static str,
    reason: String,
}

type Read<T> = Result<T, BadRow>;

fn bad<Reason: ToString>(column: &'static str) -> impl FnOnce(Reason) -> BadRow {
    move |reason| BadRow { column, reason: reason.to_string() }
}

fn get<T: sea_orm::TryGetable>(row: &QueryResult, column: &'static str) -> Read<T> {
    row.try_get("", column).map_err(bad(column))
}

fn json<T: DeserializeOwned>(row: &QueryResult, column: &'static str) -> Read<T> {
    // serde's message may quote the text; its place is enough
    let place = |error: serde_json::Error| bad(column)(format!("is not the JSON it should be, at column {}", error.column()));
    serde_json::from_str(&get::<String>(row, column)?).map_err(place)
}

fn status(row: &QueryResult, column: &'static str) -> Read<Status> {
    Status::from_code(get(row, column)?).ok_or_else(|| bad(column)("is not a status"))
}

fn group_name(row: &QueryResult, column: &'static str) -> Read<GroupName> {
    GroupName::parse(&get::<String>(row, column)?).map_err(bad(column))
}

fn ratio(column: &'static str, text: &str) -> Read<Ratio> {
    text.parse().map_err(bad(column))
}

fn limits(row: &QueryResult) -> Read<Limits> {
    read_limits(row).map_err(bad("limits"))
}

/// A channel without its keys.
pub(super) fn channel(row: &QueryResult, keyring: &Keyring) -> Read<(Channel, i64)> {
    let id = ChannelId::new(get(row, "id")?);
    let settings: Option<String> = get(row, "sealed_settings")?;
    let weight: i32 = get(row, "weight")?;
    let cache_read_ratio: Option<String> = get(row, "cache_read_ratio")?;
    let channel = Channel {
        id,
        name: get(row, "name")?,
        provider: get(row, "provider")?,
        base_url: get(row, "base_url")?,
        api_version: get(row, "api_version")?,
        keys: Vec::new(),
        models: json(row, "models")?,
        groups: json(row, "groups")?,
        priority: get(row, "priority")?,
        weight: u32::try_from(weight).map_err(bad("weight"))?,
        status: status(row, "status")?,
        model_mapping: json::<BTreeMap<String, String>>(row, "model_mapping")?,
        cache_read_ratio: cache_read_ratio.map(|text| ratio("cache_read_ratio", &text)).transpose()?,
        policy: ChannelPolicy {
            first_output: u64::try_from(get::<i64>(row, "first_output_ms")?)
                .ok()
                .filter(|millis| *millis > 0)
                .map(Duration::from_millis),
            keeps_empty: get(row, "keeps_empty")?,
            drains: get(row, "drains")?,
        },
        limits: limits(row)?,
        settings: Settings::open(keyring, id, settings.as_deref()).map_err(bad("sealed_settings"))?.into_inner(),
        definition: None,
    };
    Ok((channel, get(row, "rev")?))
}

pub(super) fn channel_key(row: &QueryResult, keyring: &Keyring) -> Read<(ChannelId, ChannelKey)> {
    let id: i64 = get(row, "id")?;
    let sealed: String = get(row, "sealed_key")?;
    let seal_name: String = get(row, "seal_name")?;
    let opened = keyring.open_text(&place_of_key(&seal_name), &sealed);
    let secret: SecretString = opened.map_err(bad("sealed_key"))?;
    let key = ChannelKey { id: ChannelKeyId::new(id), secret, status: status(row, "status")? };
    Ok((ChannelId::new(get(row, "channel_id")?), key))
}

pub(super) fn group(row: &QueryResult) -> Read<(Group, i64)> {
    let ratio = ratio("ratio", &get::<String>(row, "ratio")?)?;
    let (name, usable) = (group_name(row, "name")?, json(row, "usable")?);
    Ok((Group { name, ratio, usable, limits: limits(row)? }, get(row, "rev")?))
}

pub(super) fn price(row: &QueryResult) -> Read<(Price, i64)> {
    let model = ModelName::parse(&get::<String>(row, "model")?).map_err(bad("model"))?;
    Ok((Price { model, price: json::<ModelPrice>(row, "body")?, limits: limits(row)? }, get(row, "rev")?))
}

pub(super) fn setting(row: &QueryResult) -> Read<(Setting, i64)> {
    Ok((Setting { name: get(row, "name")?, value: get(row, "value")? }, get(row, "rev")?))
}

/// A provider that administrators described. Relays judge the description.
pub(super) fn provider(row: &QueryResult) -> Read<(CustomProvider, i64)> {
    let definition: String = get(row, "definition")?;
    Ok((CustomProvider { slug: get(row, "slug")?, definition: definition.into() }, get(row, "rev")?))
}

/// A token, and whether it is deleted.
pub(super) fn token(row: &QueryResult) -> Read<(Token, bool)> {
    let digest: String = get(row, "digest")?;
    let digest =
        <[u8; 32]>::try_from(hex::decode(digest).unwrap_or_default()).map_err(|_| bad("digest")("is not 64 hex digits"))?;
    let group: Option<String> = get(row, "group_name")?;
    let models_limited: bool = get(row, "models_limited")?;
    let (uses_limited, uses_account_id): (bool, i64) = (get(row, "uses_limited")?, get(row, "uses_account_id")?);
    let models: Vec<ModelName> = json(row, "models")?;
    let token = Token {
        id: TokenId::new(get(row, "id")?),
        user_id: UserId::new(get(row, "user_id")?),
        rev: get(row, "rev")?,
        digest: KeyDigest(digest),
        status: status(row, "status")?,
        expires_at: get::<Option<i64>>(row, "expires_at")?.map(UnixMillis),
        name: get::<String>(row, "name")?.into(),
        group: group.map(|name| GroupName::parse(&name).map_err(bad("group_name"))).transpose()?,
        models: models_limited.then_some(models),
        ip_allow: json(row, "ip_allow")?,
        account_id: AccountId::new(get(row, "account_id")?),
        capped: get(row, "capped")?,
        uses_account_id: uses_limited.then(|| AccountId::new(uses_account_id)),
        limits: limits(row)?,
    };
    Ok((token, get::<Option<i64>>(row, "deleted_at")?.is_some()))
}

/// A user, and whether they are deleted. `account_id` is joined from their wallet.
pub(super) fn user(row: &QueryResult) -> Read<(User, bool)> {
    let user = User {
        id: UserId::new(get(row, "id")?),
        rev: get(row, "rev")?,
        status: status(row, "status")?,
        role: Role::from_code(get(row, "role")?).ok_or_else(|| bad("role")("is not a role"))?,
        group: group_name(row, "group_name")?,
        account_id: AccountId::new(get(row, "account_id")?),
        limits: limits(row)?,
    };
    Ok((user, get::<Option<i64>>(row, "deleted_at")?.is_some()))
}
