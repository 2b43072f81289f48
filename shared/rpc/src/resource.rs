//! Routing resources: domain ⇄ bytes of one [`pb::Resource`].

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::{HoldPolicy, ModelPrice, Ratio};
use sluice_domain::{ChannelId, ChannelKeyId, Counted, GroupName, Limit, Limits, ModelName, Status};
use sluice_snapshot::{
    Channel, ChannelKey, ChannelPolicy, ChannelSettings, CustomProvider, Delta, Group, Price, Resource, ResourceKey, Setting,
    StateHash, Upsert, Version,
};

use crate::error::Malformed;
use crate::pb;

/// Encodes a resource with its revision.
#[must_use]
pub fn encode(resource: &Resource, rev: i64) -> pb::Resource {
    let body = match resource {
        Resource::Channel(channel) => channel_to_pb(channel).encode_to_vec(),
        Resource::Group(group) => group_to_pb(group).encode_to_vec(),
        Resource::Price(price) => price_to_pb(price).encode_to_vec(),
        Resource::Setting(setting) => setting_to_pb(setting).encode_to_vec(),
        Resource::Provider(provider) => provider_to_pb(provider).encode_to_vec(),
    };
    let key = resource.key();
    pb::Resource { kind: kind_to_pb(&key).into(), key: key.name(), rev, body: body.into() }
}

/// The hash of a resource as relays are sent it.
#[must_use]
pub fn hash_of(resource: &Resource, rev: i64) -> u128 {
    hash(&encode(resource, rev))
}

/// The hash of an encoded resource, the same on both sides.
#[must_use]
pub fn hash(resource: &pb::Resource) -> u128 {
    StateHash::of_entry(resource.kind().as_str_name(), &resource.key, resource.rev, &resource.body)
}

/// Reads an encoded resource. `Err` only when not even its name can be read; a bad body is carried in the upsert, by name.
pub fn decode(resource: &pb::Resource) -> Result<Upsert, Malformed> {
    let key = key_from_pb(resource.kind, &resource.key)?;
    let is_its_own = |decoded: &Resource| decoded.key() == key;
    let elsewhere = || Malformed::new("key", "must be the key inside the body");
    let decoded = decode_body(&key, &resource.body).and_then(|decoded| Some(decoded).filter(is_its_own).ok_or_else(elsewhere));
    let resource_or_reason = decoded.map(Arc::new).map_err(|malformed| malformed.to_string());
    Ok(Upsert { key, hash: hash(resource), resource: resource_or_reason })
}

fn decode_body(key: &ResourceKey, body: &[u8]) -> Result<Resource, Malformed> {
    let undecodable = Malformed::at("body");
    Ok(match key {
        ResourceKey::Channel(_) => Resource::Channel(channel_from_pb(pb::Channel::decode(body).map_err(undecodable)?)?),
        ResourceKey::Group(_) => Resource::Group(group_from_pb(&pb::Group::decode(body).map_err(undecodable)?)?),
        ResourceKey::Price(_) => Resource::Price(price_from_pb(&pb::Price::decode(body).map_err(undecodable)?)?),
        ResourceKey::Setting(_) => Resource::Setting(setting_from_pb(pb::Setting::decode(body).map_err(undecodable)?)),
        ResourceKey::Provider(_) => Resource::Provider(provider_from_pb(pb::Provider::decode(body).map_err(undecodable)?)),
    })
}

fn kind_to_pb(key: &ResourceKey) -> pb::Kind {
    match key {
        ResourceKey::Channel(_) => pb::Kind::Channel,
        ResourceKey::Group(_) => pb::Kind::Group,
        ResourceKey::Price(_) => pb::Kind::Price,
        ResourceKey::Setting(_) => pb::Kind::Setting,
        ResourceKey::Provider(_) => pb::Kind::Provider,
    }
}

/// A resource's name as a message.
#[must_use]
pub fn key_to_pb(key: &ResourceKey) -> pb::ResourceKey {
    pb::ResourceKey { kind: kind_to_pb(key).into(), key: key.name() }
}

/// Reads a resource's name.
///
/// # Errors
/// When the kind is unknown here or the key does not fit it.
pub fn key_from_pb(kind: i32, key: &str) -> Result<ResourceKey, Malformed> {
    match pb::Kind::try_from(kind) {
        Ok(pb::Kind::Channel) => Ok(ResourceKey::Channel(ChannelId::new(key.parse().map_err(Malformed::at("key"))?))),
        Ok(pb::Kind::Group) => Ok(ResourceKey::Group(group_name("key", key)?)),
        Ok(pb::Kind::Price) => Ok(ResourceKey::Price(model_name("key", key)?)),
        Ok(pb::Kind::Setting) => Ok(ResourceKey::Setting(key.to_owned())),
        Ok(pb::Kind::Provider) => Ok(ResourceKey::Provider(key.to_owned())),
        Ok(pb::Kind::Unspecified) | Err(_) => Err(Malformed::new("kind", "is of a later version")),
    }
}

/// A version as a message.
#[must_use]
pub fn version_to_pb(version: &Version) -> pb::Version {
    pb::Version { lineage: version.lineage.to_string(), seq: version.seq }
}

/// Reads a version; an absent one is the empty one.
#[must_use]
pub fn version_from_pb(version: Option<pb::Version>) -> Version {
    version.map(|version| Version { lineage: version.lineage.into(), seq: version.seq }).unwrap_or_default()
}

/// Reads the resources of a delta. Those that have not even a readable name are returned apart.
#[must_use]
pub fn delta_from_pb(delta: &pb::Delta) -> (Delta, Vec<Malformed>) {
    let (upserts, mut nameless) = upserts_from_pb(&delta.upserts);
    let mut deletes = Vec::with_capacity(delta.deletes.len());
    for key in &delta.deletes {
        match key_from_pb(key.kind, &key.key) {
            Ok(key) => deletes.push(key),
            Err(malformed) => nameless.push(malformed),
        }
    }
    let (from, to) = (version_from_pb(delta.from.clone()), version_from_pb(delta.to.clone()));
    (Delta { from, to, upserts, deletes }, nameless)
}

/// Reads resources. Those that have not even a readable name are returned apart.
#[must_use]
pub fn upserts_from_pb(resources: &[pb::Resource]) -> (Vec<Upsert>, Vec<Malformed>) {
    let (mut upserts, mut nameless) = (Vec::with_capacity(resources.len()), Vec::new());
    for resource in resources {
        match decode(resource) {
            Ok(upsert) => upserts.push(upsert),
            Err(malformed) => nameless.push(malformed),
        }
    }
    (upserts, nameless)
}

fn channel_to_pb(channel: &Channel) -> pb::Channel {
    let key = |key: &ChannelKey| pb::ChannelKey {
        id: key.id.get(),
        secret: key.secret.expose_secret().to_owned(),
        status: key.status.code(),
    };
    pb::Channel {
        id: channel.id.get(),
        name: channel.name.clone(),
        provider: channel.provider.clone(),
        base_url: channel.base_url.clone().unwrap_or_default(),
        keys: channel.keys.iter().map(key).collect(),
        models: channel.models.iter().map(ToString::to_string).collect(),
        groups: channel.groups.iter().map(ToString::to_string).collect(),
        priority: channel.priority,
        weight: channel.weight,
        status: channel.status.code(),
        model_mapping: channel.model_mapping.clone().into_iter().collect(),
        cache_read_ratio: channel.cache_read_ratio.as_ref().map(ToString::to_string).unwrap_or_default(),
        api_version: channel.api_version.clone().unwrap_or_default(),
        first_output_ms: channel.policy.first_output.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        keeps_empty: channel.policy.keeps_empty,
        drains: channel.policy.drains,
        limits: limits_to_pb(&channel.limits),
        settings: channel.settings.to_text(),
    }
}

fn channel_from_pb(channel: pb::Channel) -> Result<Channel, Malformed> {
    let key = |key: pb::ChannelKey| {
        Ok(ChannelKey {
            id: ChannelKeyId::new(key.id),
            secret: SecretString::from(key.secret),
            status: status("keys.status", key.status)?,
        })
    };
    Ok(Channel {
        id: ChannelId::new(channel.id),
        name: channel.name,
        provider: channel.provider,
        base_url: filled(channel.base_url),
        api_version: filled(channel.api_version),
        keys: channel.keys.into_iter().map(key).collect::<Result<_, Malformed>>()?,
        models: channel.models.iter().map(|name| model_name("models", name)).collect::<Result<_, _>>()?,
        groups: channel.groups.iter().map(|name| group_name("groups", name)).collect::<Result<_, _>>()?,
        priority: channel.priority,
        weight: channel.weight,
        status: status("status", channel.status)?,
        model_mapping: channel.model_mapping.into_iter().collect(),
        cache_read_ratio: ratio("cache_read_ratio", &channel.cache_read_ratio)?,
        policy: ChannelPolicy {
            first_output: u64::try_from(channel.first_output_ms).ok().filter(|millis| *millis > 0).map(Duration::from_millis),
            keeps_empty: channel.keeps_empty,
            drains: channel.drains,
        },
        limits: limits_from_pb(&channel.limits)?,
        settings: Arc::new(ChannelSettings::from_text(&channel.settings).map_err(Malformed::at("settings"))?),
        definition: None,
    })
}

fn group_to_pb(group: &Group) -> pb::Group {
    pb::Group {
        name: group.name.to_string(),
        ratio: group.ratio.to_string(),
        usable: group.usable.iter().map(ToString::to_string).collect(),
        limits: limits_to_pb(&group.limits),
    }
}

fn group_from_pb(group: &pb::Group) -> Result<Group, Malformed> {
    Ok(Group {
        name: group_name("name", &group.name)?,
        ratio: ratio("ratio", &group.ratio)?.ok_or_else(|| Malformed::new("ratio", "must be set"))?,
        usable: group.usable.iter().map(|name| group_name("usable", name)).collect::<Result<_, _>>()?,
        limits: limits_from_pb(&group.limits)?,
    })
}

fn price_to_pb(price: &Price) -> pb::Price {
    let text = |ratio: &Option<Ratio>| ratio.as_ref().map(ToString::to_string).unwrap_or_default();
    let figures = &price.price;
    pb::Price {
        model: price.model.to_string(),
        model_ratio: text(&figures.model_ratio),
        completion_ratio: text(&figures.completion_ratio),
        cache_read_ratio: text(&figures.cache_read_ratio),
        cache_write_ratio: text(&figures.cache_write_ratio),
        image_ratio: text(&figures.image_ratio),
        audio_ratio: text(&figures.audio_ratio),
        audio_completion_ratio: text(&figures.audio_completion_ratio),
        per_call_usd: text(&figures.per_call_usd),
        max_output_tokens: figures.max_output_tokens.map_or(0, i64::from),
        hold_policy: figures.hold_policy.map_or_else(String::new, |policy| policy.as_str().to_owned()),
        limits: limits_to_pb(&price.limits),
    }
}

fn price_from_pb(price: &pb::Price) -> Result<Price, Malformed> {
    Ok(Price {
        model: model_name("model", &price.model)?,
        price: ModelPrice {
            model_ratio: ratio("model_ratio", &price.model_ratio)?,
            completion_ratio: ratio("completion_ratio", &price.completion_ratio)?,
            cache_read_ratio: ratio("cache_read_ratio", &price.cache_read_ratio)?,
            cache_write_ratio: ratio("cache_write_ratio", &price.cache_write_ratio)?,
            image_ratio: ratio("image_ratio", &price.image_ratio)?,
            audio_ratio: ratio("audio_ratio", &price.audio_ratio)?,
            audio_completion_ratio: ratio("audio_completion_ratio", &price.audio_completion_ratio)?,
            per_call_usd: ratio("per_call_usd", &price.per_call_usd)?,
            max_output_tokens: u32::try_from(price.max_output_tokens).ok().filter(|tokens| *tokens > 0),
            hold_policy: hold_policy(&price.hold_policy)?,
        },
        limits: limits_from_pb(&price.limits)?,
    })
}

fn hold_policy(word: &str) -> Result<Option<HoldPolicy>, Malformed> {
    let later = || Malformed::new("hold_policy", "is a word of a later version");
    (!word.is_empty()).then(|| HoldPolicy::from_word(word).ok_or_else(later)).transpose()
}

/// Limits as messages.
pub(crate) fn limits_to_pb(limits: &Limits) -> Vec<pb::Limit> {
    let limit_to_pb = |limit: &Limit| {
        let of = match limit.of {
            Counted::Requests => pb::Counted::Requests,
            Counted::Successes => pb::Counted::Successes,
            Counted::Tokens => pb::Counted::Tokens,
            Counted::Concurrency => pb::Counted::Concurrency,
        };
        let count = i64::try_from(limit.count).unwrap_or(i64::MAX);
        pb::Limit { of: of.into(), count, window_secs: limit.window_secs, shadow: limit.is_shadow }
    };
    limits.iter().map(limit_to_pb).collect()
}

/// Reads limits. One that cannot be kept refuses its resource: without it there would be no limit.
pub(crate) fn limits_from_pb(limits: &[pb::Limit]) -> Result<Limits, Malformed> {
    let limit = |limit: &pb::Limit| {
        let of = match limit.of() {
            pb::Counted::Requests => Counted::Requests,
            pb::Counted::Successes => Counted::Successes,
            pb::Counted::Tokens => Counted::Tokens,
            pb::Counted::Concurrency => Counted::Concurrency,
            pb::Counted::Unspecified => return Err(Malformed::new("limits.of", "is of a later version")),
        };
        let count = u64::try_from(limit.count).map_err(Malformed::at("limits.count"))?;
        Ok(Limit { of, count, window_secs: limit.window_secs, is_shadow: limit.shadow })
    };
    let limits = limits.iter().map(limit).collect::<Result<Vec<Limit>, Malformed>>()?;
    Limits::new(limits).map_err(Malformed::at("limits"))
}

fn setting_to_pb(setting: &Setting) -> pb::Setting {
    pb::Setting { name: setting.name.clone(), value: setting.value.clone() }
}

fn setting_from_pb(setting: pb::Setting) -> Setting {
    Setting { name: setting.name, value: setting.value }
}

fn provider_to_pb(provider: &CustomProvider) -> pb::Provider {
    pb::Provider { slug: provider.slug.clone(), definition: (*provider.definition).to_owned() }
}

fn provider_from_pb(provider: pb::Provider) -> CustomProvider {
    CustomProvider { slug: provider.slug, definition: provider.definition.into() }
}

pub(crate) fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn status(field: &'static str, code: i32) -> Result<Status, Malformed> {
    Status::from_code(code).ok_or_else(|| Malformed::new(field, "is a status of a later version"))
}

pub(crate) fn model_name(field: &'static str, text: &str) -> Result<ModelName, Malformed> {
    ModelName::parse(text).map_err(Malformed::at(field))
}

pub(crate) fn group_name(field: &'static str, text: &str) -> Result<GroupName, Malformed> {
    GroupName::parse(text).map_err(Malformed::at(field))
}

fn ratio(field: &'static str, text: &str) -> Result<Option<Ratio>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(Malformed::at(field))
}

#[cfg(test)]
mod tests;
