//! The things that are pushed to relays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sluice_billing::{ModelPrice, Ratio};
use sluice_domain::{ChannelId, ChannelKeyId, GroupName, Limits, ModelName, Status};

use crate::channel_settings::ChannelSettings;

/// Names one resource: its kind and its key within the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKey {
    /// A way to a provider.
    Channel(ChannelId),
    /// A group of users and channels.
    Group(GroupName),
    /// What a model costs.
    Price(ModelName),
    /// One setting of the relays, by name.
    Setting(String),
    /// A provider that administrators described, by its slug.
    Provider(String),
}

impl ResourceKey {
    /// The kind, as the word used in the database and in hashes.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::Group(_) => "group",
            Self::Price(_) => "price",
            Self::Setting(_) => "setting",
            Self::Provider(_) => "provider",
        }
    }

    /// The key within the kind, as text.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Channel(id) => id.to_string(),
            Self::Group(name) => name.to_string(),
            Self::Price(model) => model.to_string(),
            Self::Setting(name) | Self::Provider(name) => name.clone(),
        }
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A way to a provider.
    Channel(Channel),
    /// A group of users and channels.
    Group(Group),
    /// What a model costs.
    Price(Price),
    /// One setting of the relays.
    Setting(Setting),
    /// A provider that administrators described.
    Provider(CustomProvider),
}

impl Resource {
    /// Its name.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Channel(channel) => ResourceKey::Channel(channel.id),
            Self::Group(group) => ResourceKey::Group(group.name.clone()),
            Self::Price(price) => ResourceKey::Price(price.model.clone()),
            Self::Setting(setting) => ResourceKey::Setting(setting.name.clone()),
            Self::Provider(provider) => ResourceKey::Provider(provider.slug.clone()),
        }
    }
}

/// A way to a provider: where, with which keys, for which models and groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// What administrators call it.
    pub name: String,
    /// Slug of the provider catalogue.
    pub provider: String,
    /// Where it is, when not at the provider's own address.
    pub base_url: Option<String>,
    /// Version of the provider's API, where its address needs one.
    pub api_version: Option<String>,
    /// Keys to choose from.
    pub keys: Vec<ChannelKey>,
    /// Models it serves, by the names callers use.
    pub models: Vec<ModelName>,
    /// Groups it serves.
    pub groups: Vec<GroupName>,
    /// Higher first.
    pub priority: i64,
    /// Share within a priority.
    pub weight: u32,
    /// Whether it may be used.
    pub status: Status,
    /// Requested model to upstream model.
    pub model_mapping: BTreeMap<String, String>,
    /// Price of cached input relative to input, when it differs from the model's.
    pub cache_read_ratio: Option<Ratio>,
    /// What it may do differently from others.
    pub policy: ChannelPolicy,
    /// How much may be sent over it.
    pub limits: Limits,
    /// What it does beyond sending requests on. Channels are cloned per request.
    pub settings: Arc<ChannelSettings>,
    /// Its provider's description, where administrators described it: joined by the table, never a part of the channel itself.
    pub definition: Option<Arc<str>>,
}

/// What a channel may do differently from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelPolicy {
    /// The longest wait for the first output of a stream; `None`: as everywhere.
    pub first_output: Option<Duration>,
    /// An empty answer is passed on, instead of being tried elsewhere.
    pub keeps_empty: bool,
    /// When a caller leaves inside a stream, it is read on for its usage for a while, instead of being cancelled.
    pub drains: bool,
}

impl Channel {
    /// The longest chain of mappings that is followed.
    pub const MAX_MAPPINGS: usize = 16;

    /// The name to ask the upstream for: the mapping is followed from name to name. A name that leads to itself or to nothing ends it, as
    /// does the end of [`Channel::MAX_MAPPINGS`] in a loop.
    #[must_use]
    pub fn upstream_model<'a>(&'a self, requested: &'a str) -> &'a str {
        let mut name = requested;
        for _ in 0..Self::MAX_MAPPINGS {
            match self.model_mapping.get(name) {
                Some(next) if next != name && !next.is_empty() => name = next,
                _ => break,
            }
        }
        name
    }
}

/// One provider key of a channel.
#[derive(Debug, Clone)]
pub struct ChannelKey {
    /// Its id.
    pub id: ChannelKeyId,
    /// The key itself.
    pub secret: SecretString,
    /// Whether it may be used.
    pub status: Status,
}

impl PartialEq for ChannelKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.status == other.status && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// A group of users and channels, with the ratio its members pay.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// What every price is multiplied by.
    pub ratio: Ratio,
    /// Groups that tokens of its members may choose besides their own.
    pub usable: Vec<GroupName>,
    /// How much all who use it may use together.
    pub limits: Limits,
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// The model, or a pattern that names are normalised to.
    pub model: ModelName,
    /// The figures.
    pub price: ModelPrice,
    /// How much of it all callers may use together.
    pub limits: Limits,
}

/// One setting of the relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in text form.
    pub value: String,
}

/// A provider that administrators described, beside those of the catalogue that every relay has. What the description means is known to
/// those who ask the provider, never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomProvider {
    /// Its slug, as channels name it.
    pub slug: String,
    /// The content of a catalogue file, as JSON.
    pub definition: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(mapping: &[(&str, &str)]) -> Channel {
        Channel {
            id: ChannelId::new(1),
            name: "one".into(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: vec![],
            models: vec![],
            groups: vec![],
            priority: 0,
            weight: 1,
            status: Status::Enabled,
            model_mapping: mapping.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect(),
            cache_read_ratio: None,
            policy: crate::ChannelPolicy::default(),
            limits: Limits::default(),
            settings: Arc::default(),
            definition: None,
        }
    }

    #[test]
    fn mapping_chains_are_followed_and_loops_end() {
        assert_eq!(channel(&[]).upstream_model("a"), "a");
        assert_eq!(channel(&[("a", "b"), ("b", "c")]).upstream_model("a"), "c");
        assert_eq!(channel(&[("a", "a")]).upstream_model("a"), "a");
        assert_eq!(channel(&[("a", "b"), ("b", "")]).upstream_model("a"), "b");
        assert!(["a", "b"].contains(&channel(&[("a", "b"), ("b", "a")]).upstream_model("a")));
    }

    #[test]
    fn provider_keys_are_not_shown() {
        let key = ChannelKey { id: ChannelKeyId::new(1), secret: "sk-upstream".into(), status: Status::Enabled };
        assert!(!format!("{key:?}").contains("sk-upstream"));
    }
}
