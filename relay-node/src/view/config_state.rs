//! The routing configuration as this relay holds it: pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sluice_domain::{ChannelId, Status};
use sluice_providers::Provider;
use sluice_snapshot::{Delta, Gap, Rejected, Resource, ResourceKey, Snapshot, StateHash, Table, Upsert, Version};

/// Every resource at one version, what of it cannot be used, and which channels were revoked ahead of it.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    snapshot: Snapshot,
    /// Resources whose last form cannot be used, with the reason.
    rejected: BTreeMap<ResourceKey, String>,
    /// Channels revoked by the urgent lane, until the configuration has the change of that sequence.
    denied: HashMap<ChannelId, i64>,
    /// A resource came that has not even a readable name: the hash cannot be compared until it is gone.
    has_nameless: bool,
    /// Counts what changes the table. Most changes are of tokens and accounts, and change nothing of it.
    edition: u64,
}

impl ConfigState {
    /// Where it is.
    #[must_use]
    pub fn version(&self) -> &Version {
        self.snapshot.version()
    }

    /// The hash over everything in it.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        self.snapshot.hash()
    }

    /// Whether its hash can be compared with the control plane's: not while it holds something of a later version.
    #[must_use]
    pub const fn is_comparable(&self) -> bool {
        !self.has_nameless
    }

    /// As long as this stays the same, so does what [`Self::compile`] makes, but for its version.
    #[must_use]
    pub const fn edition(&self) -> u64 {
        self.edition
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshot.version().lineage.is_empty()
    }

    /// The resources with their hashes, to keep on disk.
    pub fn entries(&self) -> impl Iterator<Item = (u128, &Arc<Resource>)> {
        self.snapshot.entries().filter_map(|(_, entry)| entry.resource.as_ref().map(|resource| (entry.hash, resource)))
    }

    /// Moves to a snapshot. A resource that cannot be used keeps its previous form.
    pub fn replace(&mut self, version: Version, upserts: Vec<Upsert>, has_nameless: bool) {
        let sent: HashSet<&ResourceKey> = upserts.iter().map(|upsert| &upsert.key).collect();
        let deletes = self.snapshot.entries().map(|(key, _)| key).filter(|key| !sent.contains(key)).cloned().collect();
        if !self.is_empty() && version.lineage != self.version().lineage {
            // numbers of another history say nothing about this one; a revocation that came before the first snapshot stays
            self.denied.clear();
        }
        let delta = Delta { from: self.version().clone(), to: version, upserts, deletes };
        self.has_nameless = has_nameless;
        self.rejected.clear();
        self.edition += 1;
        self.take(delta);
    }

    /// Moves on by a delta.
    ///
    /// # Errors
    /// When it starts elsewhere; nothing is changed then.
    pub fn apply(&mut self, delta: Delta, has_nameless: bool) -> Result<(), Gap> {
        if delta.from != *self.version() {
            return Err(Gap { from: delta.from, here: self.version().clone() });
        }
        self.has_nameless |= has_nameless;
        self.take(delta);
        Ok(())
    }

    fn take(&mut self, mut delta: Delta) {
        delta.upserts.iter_mut().for_each(refuse_unreadable);
        for key in delta.deletes.iter().chain(delta.upserts.iter().map(|upsert| &upsert.key)) {
            self.rejected.remove(key);
        }
        let (seq, denied) = (delta.to.seq, self.denied.len());
        let is_of_others = delta.deletes.is_empty() && delta.upserts.is_empty();
        // it starts where the snapshot is: both callers saw to that
        for Rejected { key, reason } in self.snapshot.apply(delta).unwrap_or_default() {
            self.rejected.insert(key, reason);
        }
        self.denied.retain(|_, denied_seq| *denied_seq > seq);
        self.edition += u64::from(!is_of_others || self.denied.len() != denied);
    }

    /// Revokes a channel ahead of the configuration. `true`: that changes something, compile again.
    pub fn deny(&mut self, channel: ChannelId, seq: i64) -> bool {
        if seq <= self.version().seq {
            return false;
        }
        self.edition += 1;
        let known = self.denied.entry(channel).or_insert(seq);
        *known = seq.max(*known);
        true
    }

    /// Makes the table that requests are routed by, and tells what cannot be used.
    #[must_use]
    pub fn compile(&self) -> (Table, Vec<Rejected>) {
        let (table, refused) = if self.denied.is_empty() {
            Table::compile(&self.snapshot)
        } else {
            let mut less = self.snapshot.clone();
            // it starts where the clone is
            let _ = less.apply(self.without_denied());
            Table::compile(&less)
        };
        let known = self.rejected.iter().map(|(key, reason)| Rejected { key: key.clone(), reason: reason.clone() });
        (table, known.chain(refused).collect())
    }

    fn without_denied(&self) -> Delta {
        let disabled = |channel: &ChannelId| {
            let key = ResourceKey::Channel(*channel);
            let entry = self.snapshot.get(&key)?;
            let Some(Resource::Channel(channel)) = entry.resource.as_deref() else { return None };
            let mut channel = channel.clone();
            channel.status = Status::Disabled;
            Some(Upsert { key, hash: entry.hash, resource: Ok(Arc::new(Resource::Channel(channel))) })
        };
        let here = self.version().clone();
        Delta { from: here.clone(), to: here, upserts: self.denied.keys().filter_map(disabled).collect(), deletes: Vec::new() }
    }
}

/// A provider whose description cannot be used here is refused like a resource that does not decode: its earlier form stays.
fn refuse_unreadable(upsert: &mut Upsert) {
    let Some(Resource::Provider(described)) = upsert.resource.as_deref().ok() else { return };
    let refused = match Provider::from_definition(&described.definition) {
        Ok(provider) if provider.slug == described.slug => return,
        Ok(_) => "the description is of another provider".to_owned(),
        Err(error) => error.to_string(),
    };
    upsert.resource = Err(refused);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_domain::GroupName;
    use sluice_snapshot::{Channel, CustomProvider, Group};

    fn version(lineage: &str, seq: i64) -> Version {
        Version { lineage: lineage.into(), seq }
    }

    fn group(name: &str, ratio: &str) -> Upsert {
        let name = GroupName::parse(name).unwrap();
        let resource = Resource::Group(Group {
            name: name.clone(),
            ratio: ratio.parse().unwrap(),
            usable: vec![],
            limits: sluice_domain::Limits::default(),
        });
        let hash = StateHash::of_entry("group", name.as_str(), 1, ratio.as_bytes());
        Upsert { key: ResourceKey::Group(name), hash, resource: Ok(Arc::new(resource)) }
    }

    fn bad_group(name: &str) -> Upsert {
        Upsert { resource: Err("ratio: must be a number".into()), hash: 7, ..group(name, "1") }
    }

    fn channel(id: i64) -> Upsert {
        let channel = Channel {
            id: ChannelId::new(id),
            name: "c".into(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: vec![],
            models: vec![],
            groups: vec![],
            priority: 0,
            weight: 1,
            status: Status::Enabled,
            model_mapping: BTreeMap::new(),
            cache_read_ratio: None,
            policy: sluice_snapshot::ChannelPolicy::default(),
            limits: sluice_domain::Limits::default(),
            settings: Arc::default(),
            definition: None,
        };
        Upsert { key: ResourceKey::Channel(channel.id), hash: 1, resource: Ok(Arc::new(Resource::Channel(channel))) }
    }

    fn ratio(state: &ConfigState, name: &str) -> Option<String> {
        state.compile().0.group_ratio(name).map(ToString::to_string)
    }

    fn provider(slug: &str, definition: &str) -> Upsert {
        let resource = Resource::Provider(CustomProvider { slug: slug.into(), definition: definition.into() });
        let hash = StateHash::of_entry("provider", slug, 1, definition.as_bytes());
        Upsert { key: ResourceKey::Provider(slug.into()), hash, resource: Ok(Arc::new(resource)) }
    }

    #[test]
    fn a_change_of_tokens_alone_is_no_new_edition() {
        let mut state = ConfigState::default();
        state.replace(version("a", 1), Vec::new(), false);
        let first = state.edition();
        let empty = |from: i64, to: i64| {
            let (upserts, deletes) = (Vec::new(), Vec::new());
            Delta { from: version("a", from), to: version("a", to), upserts, deletes }
        };
        state.apply(empty(1, 2), false).unwrap();
        assert_eq!((state.edition(), state.version().seq), (first, 2));
        assert!(state.deny(ChannelId::new(1), 3));
        let denied = state.edition();
        assert_ne!(denied, first);
        state.apply(empty(2, 3), false).unwrap();
        assert_ne!(state.edition(), denied, "the channel is not denied any more");
    }

    #[test]
    fn a_provider_that_cannot_be_used_is_refused_by_name_and_its_earlier_form_stays() {
        let good = r#"{"slug":"our-own","name":"Our own","stream_options":"force","models":[],"base_url":{"meaning":"prefix","help":"h"},
            "auth":{"scheme":"bearer","key_example":"k"},"endpoints":{"chat":"/v1/chat/completions"}}"#;
        let mut state = ConfigState::default();
        state.replace(version("a", 1), vec![provider("our-own", good)], false);
        assert!(state.compile().1.is_empty());
        for (seq, bad) in [(2, "{}".to_owned()), (3, good.replace("/v1", "v1")), (4, good.replace("our-own", "other"))] {
            let delta = Delta {
                from: version("a", seq - 1),
                to: version("a", seq),
                upserts: vec![provider("our-own", &bad)],
                deletes: vec![],
            };
            state.apply(delta, false).unwrap();
            assert_eq!(state.compile().1[0].key, ResourceKey::Provider("our-own".into()), "{bad}");
            let (_, kept) = state.entries().next().unwrap();
            assert!(matches!(&**kept, Resource::Provider(kept) if &*kept.definition == good));
        }
        let mended =
            Delta { from: version("a", 4), to: version("a", 5), upserts: vec![provider("our-own", good)], deletes: vec![] };
        state.apply(mended, false).unwrap();
        assert!(state.compile().1.is_empty());
    }

    #[test]
    fn a_poisoned_resource_keeps_its_previous_form_and_the_rest_applies() {
        let mut state = ConfigState::default();
        state.replace(version("a", 1), vec![group("vip", "2"), group("default", "1")], false);
        state.replace(version("a", 2), vec![bad_group("vip"), group("default", "3")], false);
        assert_eq!((ratio(&state, "vip"), ratio(&state, "default")), (Some("2".into()), Some("3".into())));
        assert_eq!(state.compile().1.len(), 1);
        let repair = Delta { from: version("a", 2), to: version("a", 3), upserts: vec![group("vip", "4")], deletes: vec![] };
        state.apply(repair, false).unwrap();
        assert_eq!(ratio(&state, "vip"), Some("4".into()));
        assert!(state.compile().1.is_empty());
    }

    #[test]
    fn a_snapshot_takes_away_what_it_does_not_hold() {
        let mut state = ConfigState::default();
        state.replace(version("a", 1), vec![group("vip", "2"), group("default", "1")], false);
        state.replace(version("b", 1), vec![group("default", "1")], false);
        let mut fresh = ConfigState::default();
        fresh.replace(version("b", 1), vec![group("default", "1")], false);
        assert_eq!(ratio(&state, "vip"), None);
        assert_eq!(state.hash(), fresh.hash());
    }

    #[test]
    fn a_gap_changes_nothing() {
        let mut state = ConfigState::default();
        state.replace(version("a", 1), vec![group("vip", "2")], false);
        let gap = Delta { from: version("a", 2), to: version("a", 3), upserts: vec![group("vip", "4")], deletes: vec![] };
        assert!(state.apply(gap, false).is_err());
        assert_eq!(ratio(&state, "vip"), Some("2".into()));
        assert_eq!(*state.version(), version("a", 1));
    }

    #[test]
    fn a_denied_channel_is_off_until_the_configuration_says_how_it_is() {
        let mut state = ConfigState::default();
        let id = ChannelId::new(1);
        state.replace(version("a", 1), vec![channel(1)], false);
        let status = |state: &ConfigState| state.compile().0.channel(id).unwrap().status;
        let hash = state.hash();
        assert!(!state.deny(id, 1), "that is what the configuration says already");
        assert!(state.deny(id, 3));
        assert_eq!((status(&state), state.hash()), (Status::Disabled, hash));
        let step = |from, to, upserts| Delta { from: version("a", from), to: version("a", to), upserts, deletes: vec![] };
        state.apply(step(1, 2, vec![]), false).unwrap();
        assert_eq!(status(&state), Status::Disabled);
        state.apply(step(2, 3, vec![channel(1)]), false).unwrap();
        assert_eq!(status(&state), Status::Enabled);
    }

    #[test]
    fn a_revocation_that_overtakes_the_first_snapshot_stays() {
        let mut state = ConfigState::default();
        assert!(state.deny(ChannelId::new(1), 5));
        state.replace(version("a", 4), vec![channel(1)], false);
        assert_eq!(state.compile().0.channel(ChannelId::new(1)).unwrap().status, Status::Disabled);
    }

    #[test]
    fn a_revocation_of_another_history_ends_with_it() {
        let mut state = ConfigState::default();
        state.replace(version("a", 1), vec![channel(1)], false);
        state.deny(ChannelId::new(1), 50);
        state.replace(version("b", 2), vec![channel(1)], false);
        assert_eq!(state.compile().0.channel(ChannelId::new(1)).unwrap().status, Status::Enabled);
    }
}
