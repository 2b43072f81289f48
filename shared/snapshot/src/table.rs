//! What a request looks up: prices, groups, and who serves which model. Compiled from a snapshot and never changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use sluice_billing::{PriceBook, Ratio};
use sluice_domain::{ChannelId, GroupName, Limits, ModelName, suffix};

use crate::request_limits::RequestLimits;
use crate::resource::{Channel, Group, Resource};
use crate::settings::RelaySettings;
use crate::snapshot::{Rejected, Snapshot, Version};

/// Channels of one priority, in order of id.
#[derive(Debug, Clone)]
pub struct Tier {
    /// Higher tiers are tried first.
    pub priority: i64,
    /// Enabled or not: the planner says why it leaves one out.
    pub channels: Vec<Arc<Channel>>,
}

/// Who serves one model in one group: tiers from the highest priority down.
pub type Route = Vec<Tier>;

/// A compiled snapshot, and the version it is in force at.
#[derive(Debug, Default)]
pub struct Table {
    /// The newest snapshot it is the table of.
    pub version: Version,
    compiled: Arc<Compiled>,
}

/// What a snapshot says, ready to be looked up.
#[derive(Debug, Default)]
pub struct Compiled {
    /// How relays behave.
    pub settings: RelaySettings,
    /// What models cost.
    pub prices: PriceBook,
    /// How many requests each user may make in a group.
    pub request_limits: RequestLimits,
    model_limits: HashMap<ModelName, Limits>,
    groups: HashMap<GroupName, Arc<Group>>,
    channels: HashMap<ChannelId, Arc<Channel>>,
    routes: HashMap<GroupName, HashMap<ModelName, Route>>,
}

impl Deref for Table {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.compiled
    }
}

impl Table {
    /// The same at a later version that changes nothing of it.
    #[must_use]
    pub fn at(&self, version: Version) -> Self {
        Self { version, compiled: Arc::clone(&self.compiled) }
    }

    /// Compiles a snapshot. What cannot be used is left out and returned by name; the rest is in force.
    #[must_use]
    pub fn compile(snapshot: &Snapshot) -> (Self, Vec<Rejected>) {
        let mut table = Compiled::default();
        let mut rejected = Vec::new();
        let mut prices = BTreeMap::new();
        let definitions: HashMap<&str, &Arc<str>> = snapshot
            .resources()
            .filter_map(|resource| match &**resource {
                Resource::Provider(provider) => Some((provider.slug.as_str(), &provider.definition)),
                _ => None,
            })
            .collect();
        for resource in snapshot.resources() {
            match &**resource {
                Resource::Channel(channel) => {
                    let definition = definitions.get(channel.provider.as_str()).map(|text| Arc::clone(text));
                    table.add_channel(Channel { definition, ..channel.clone() });
                }
                // joined to its channels above
                Resource::Provider(_) => {}
                Resource::Group(group) => {
                    table.groups.insert(group.name.clone(), Arc::new(group.clone()));
                }
                Resource::Price(price) => {
                    prices.insert(price.model.to_string(), price.price.clone());
                    if !price.limits.is_empty() {
                        table.model_limits.insert(price.model.clone(), price.limits.clone());
                    }
                }
                Resource::Setting(setting) => {
                    let refused = table.settings.set(setting).and_then(|()| table.request_limits.set(setting)).err();
                    rejected.extend(refused.map(|reason| Rejected { key: resource.key(), reason }));
                }
            }
        }
        table.prices = PriceBook::new(prices);
        for route in table.routes.values_mut().flat_map(HashMap::values_mut) {
            route.sort_by_key(|tier| std::cmp::Reverse(tier.priority));
        }
        (Self { version: snapshot.version().clone(), compiled: Arc::new(table) }, rejected)
    }
}

impl Compiled {
    /// A group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Arc<Group>> {
        self.groups.get(name)
    }

    /// The ratio of a group.
    #[must_use]
    pub fn group_ratio(&self, name: &str) -> Option<&Ratio> {
        self.groups.get(name).map(|group| &group.ratio)
    }

    /// A channel by id.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&Arc<Channel>> {
        self.channels.get(&id)
    }

    /// How much of a model all callers may use together, by its exact name, else by its normal form, else by its name without a suffix; and
    /// the name that was found, which all that are found by it share.
    #[must_use]
    pub fn limits_of_model(&self, model: &str) -> Option<(&ModelName, &Limits)> {
        if self.model_limits.is_empty() {
            return None;
        }
        let of = |name: &str| self.model_limits.get_key_value(name);
        of(model).or_else(|| of(&sluice_billing::normalise(model))).or_else(|| of(suffix::bare(model)?))
    }

    /// Who serves a model in a group, by its exact name, else by its normal form.
    #[must_use]
    pub fn route(&self, group: &str, model: &str) -> Option<&Route> {
        let models = self.routes.get(group)?;
        models.get(model).or_else(|| models.get(&*sluice_billing::normalise(model)))
    }

    /// The models with an enabled channel in a group, sorted, with who owns them (the provider's slug).
    #[must_use]
    pub fn models_of(&self, group: &str) -> BTreeMap<&str, &str> {
        let enabled = |route: &Route| {
            let mut channels = route.iter().flat_map(|tier| tier.channels.iter());
            channels.find(|channel| channel.status.is_enabled()).map(|channel| channel.id)
        };
        let served = self.routes.get(group).into_iter().flatten();
        served
            .filter_map(|(model, route)| {
                let channel = self.channels.get(&enabled(route)?)?;
                Some((model.as_str(), channel.provider.as_str()))
            })
            .collect()
    }

    fn add_channel(&mut self, channel: Channel) {
        let channel = Arc::new(channel);
        let models: BTreeSet<&ModelName> = channel.models.iter().collect();
        let groups: BTreeSet<&GroupName> = channel.groups.iter().collect();
        for group in groups {
            let routes = self.routes.entry(group.clone()).or_default();
            for model in &models {
                let route = routes.entry((*model).clone()).or_default();
                match route.iter_mut().find(|tier| tier.priority == channel.priority) {
                    Some(tier) => tier.channels.push(channel.clone()),
                    None => route.push(Tier { priority: channel.priority, channels: vec![channel.clone()] }),
                }
            }
        }
        self.channels.insert(channel.id, channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::StateHash;
    use crate::resource::{CustomProvider, Price, Setting};
    use crate::snapshot::Upsert;
    use sluice_domain::{Counted, Limit, Status};

    fn channel(id: i64, priority: i64, status: Status, models: &[&str]) -> Resource {
        Resource::Channel(Channel {
            id: ChannelId::new(id),
            name: format!("channel {id}"),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: vec![],
            models: models.iter().map(|model| ModelName::parse(model).unwrap()).collect(),
            groups: vec![GroupName::parse("default").unwrap()],
            priority,
            weight: 1,
            status,
            model_mapping: BTreeMap::new(),
            cache_read_ratio: None,
            policy: crate::ChannelPolicy::default(),
            limits: sluice_domain::Limits::default(),
            settings: Arc::default(),
            definition: None,
        })
    }

    fn compile(resources: Vec<Resource>) -> (Table, Vec<Rejected>) {
        let upserts = resources.into_iter().map(|resource| Upsert {
            key: resource.key(),
            hash: StateHash::of_entry(resource.key().kind(), &resource.key().name(), 1, b""),
            resource: Ok(Arc::new(resource)),
        });
        Table::compile(&Snapshot::new(Version::default(), upserts.collect()).0)
    }

    #[test]
    fn tiers_run_from_the_highest_priority_down() {
        let (table, _) = compile(vec![
            channel(1, 0, Status::Enabled, &["gpt-4o", "gpt-4o"]),
            channel(2, 10, Status::Disabled, &["gpt-4o"]),
            channel(3, 0, Status::Enabled, &["gpt-4o"]),
        ]);
        let tiers: Vec<_> = table.route("default", "gpt-4o").unwrap().iter().map(|t| (t.priority, t.channels.len())).collect();
        assert_eq!(tiers, [(10, 1), (0, 2)]);
        assert!(table.route("vip", "gpt-4o").is_none());
        assert!(table.route("default", "gpt-4").is_none());
    }

    #[test]
    fn channels_are_joined_with_the_description_of_their_provider() {
        let custom = Channel { provider: "our-own".into(), ..of(channel(1, 0, Status::Enabled, &["m"])) };
        let described = Resource::Provider(CustomProvider { slug: "our-own".into(), definition: "{}".into() });
        let (table, _) = compile(vec![Resource::Channel(custom), described, channel(2, 0, Status::Enabled, &["m"])]);
        let definition = |id| table.channel(ChannelId::new(id)).unwrap().definition.as_deref();
        assert_eq!((definition(1), definition(2)), (Some("{}"), None));
    }

    fn of(resource: Resource) -> Channel {
        let Resource::Channel(channel) = resource else { panic!("{resource:?}") };
        channel
    }

    #[test]
    fn a_wildcard_model_is_found_by_its_normal_form_after_the_exact_name() {
        let (table, _) = compile(vec![channel(1, 0, Status::Enabled, &["gpt-4o-gizmo-*"])]);
        assert!(table.route("default", "gpt-4o-gizmo-g-123").is_some());
    }

    #[test]
    fn the_limits_of_a_model_are_found_as_its_price_is() {
        let price = |model: &str, count| {
            let limit = Limit { of: Counted::Requests, count, window_secs: 60, is_shadow: false };
            let (model, limits) = (ModelName::parse(model).unwrap(), Limits::new(vec![limit]).unwrap());
            Resource::Price(Price { model, price: sluice_billing::ModelPrice::default(), limits })
        };
        let (table, _) = compile(vec![price("gpt-4o", 1), price("gpt-4o-gizmo-*", 2)]);
        let count = |model: &str| table.limits_of_model(model).map(|(_, limits)| limits[0].count);
        assert_eq!((count("gpt-4o"), count("gpt-4o-gizmo-g-1"), count("gpt-4")), (Some(1), Some(2), None));
        let (table, _) = compile(vec![price("claude-opus-4-6", 3)]);
        for model in ["claude-opus-4-6-thinking", "claude-opus-4-6-thinking-2048", "claude-opus-4-6-high"] {
            let (shared, limits) = table.limits_of_model(model).unwrap();
            assert_eq!((shared.as_str(), limits[0].count), ("claude-opus-4-6", 3), "{model}");
        }
    }

    #[test]
    fn only_models_with_an_enabled_channel_are_listed() {
        let (table, _) = compile(vec![channel(1, 0, Status::Enabled, &["b", "a"]), channel(2, 0, Status::Disabled, &["b", "c"])]);
        assert_eq!(table.models_of("default").into_keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(table.models_of("vip").is_empty());
    }

    #[test]
    fn a_bad_setting_is_named_and_the_default_stays() {
        let (table, rejected) = compile(vec![Resource::Setting(Setting { name: "retry_times".into(), value: "x".into() })]);
        assert_eq!(table.settings, RelaySettings::default());
        assert_eq!(rejected.len(), 1);
    }
}
