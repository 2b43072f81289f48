//! What relays should know by now, and how it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_domain::{AccountId, ChannelId, TokenId, UserId};
use sluice_rpc::identity;
use sluice_snapshot::{Resource, ResourceKey, StateHash, Token, User, Version};

use super::head::{Head, Stamp};

/// A resource with its revision, and the hash of its encoded form.
#[derive(Debug)]
pub struct Versioned {
    /// Grows with every change.
    pub rev: i64,
    /// Hash of what relays are sent.
    pub hash: u128,
    /// The resource.
    pub resource: Resource,
}

impl Versioned {
    /// With the hash worked out.
    #[must_use]
    pub fn new(resource: Resource, rev: i64) -> Self {
        Self { rev, hash: sluice_rpc::resource::hash_of(&resource, rev), resource }
    }
}

/// Every resource at one version.
#[derive(Debug, Clone, Default)]
pub struct State {
    head: Head,
    resources: BTreeMap<ResourceKey, Arc<Versioned>>,
    hash: StateHash,
}

/// Something that must not be used any more, or money that came in: told on the urgent lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// A token that is disabled or gone.
    Token(TokenId, i64),
    /// A user who is disabled or gone.
    User(UserId, i64),
    /// A channel that is disabled or gone.
    Channel(ChannelId, i64),
    /// Money came into the account: not a revocation, but as urgent.
    Credit(AccountId, i64),
    /// Money of the account that nobody uses is asked back: as urgent.
    Recall(AccountId),
}

/// Everything between two versions.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Where it starts.
    pub from: Version,
    /// Where it leads.
    pub to: Version,
    /// Resources added or replaced.
    pub upserts: Vec<Arc<Versioned>>,
    /// Resources taken away.
    pub deletes: Vec<ResourceKey>,
    /// Tokens that changed.
    pub tokens: Vec<identity::Change<Token, TokenId>>,
    /// Users that changed.
    pub users: Vec<identity::Change<User, UserId>>,
    /// What goes ahead on the urgent lane.
    pub urgent: Vec<Revoked>,
}

impl State {
    /// A state from its resources.
    #[must_use]
    pub fn new(head: Head, resources: Vec<Versioned>) -> Self {
        let mut state = Self { head, ..Self::default() };
        for resource in resources {
            state.put(Arc::new(resource));
        }
        state
    }

    /// Where it is.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.head.version
    }

    /// The same, with the stamp of its number.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The hash over everything in it.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        self.hash
    }

    /// What is in it.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Versioned>> {
        self.resources.values()
    }

    /// One resource.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<&Arc<Versioned>> {
        self.resources.get(key)
    }

    /// The state a change leads to, whose number has this stamp.
    #[must_use]
    pub fn after(&self, change: &Change, stamp: Stamp) -> Self {
        let mut next = self.clone();
        for key in &change.deletes {
            next.take(key);
        }
        for resource in &change.upserts {
            next.put(resource.clone());
        }
        next.head = Head { version: change.to.clone(), stamp };
        next
    }

    /// What an earlier state of the same history has and this one has not: gone, or not to be read.
    #[must_use]
    pub fn lacks(&self, before: &Self) -> BTreeSet<ResourceKey> {
        let is_same_history = before.version().lineage == self.version().lineage;
        let known = before.resources.keys().filter(|key| is_same_history && self.get(key).is_none());
        known.cloned().collect()
    }

    /// Keeps what an earlier state has of a resource.
    pub(super) fn keep(&mut self, before: &Self, key: &ResourceKey) {
        if let Some(known) = before.get(key) {
            self.put(Arc::clone(known));
        }
    }

    fn put(&mut self, resource: Arc<Versioned>) {
        let key = resource.resource.key();
        self.take(&key);
        self.hash.add(resource.hash);
        self.resources.insert(key, resource);
    }

    fn take(&mut self, key: &ResourceKey) {
        if let Some(before) = self.resources.remove(key) {
            self.hash.remove(before.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_snapshot::Setting;

    fn setting(name: &str, value: &str, rev: i64) -> Versioned {
        Versioned::new(Resource::Setting(Setting { name: name.into(), value: value.into() }), rev)
    }

    #[test]
    fn a_state_reached_by_changes_hashes_like_one_read_whole() {
        let at = |seq| Version { lineage: "l".into(), seq };
        let start = State::new(at(1).into(), vec![setting("a", "1", 1), setting("b", "1", 1)]);
        let change = Change {
            from: at(1),
            to: at(2),
            upserts: vec![Arc::new(setting("a", "2", 2)), Arc::new(setting("c", "1", 1))],
            deletes: vec![ResourceKey::Setting("b".into())],
            ..Change::default()
        };
        let reached = start.after(&change, Stamp::UNKNOWN);
        let read = State::new(at(2).into(), vec![setting("c", "1", 1), setting("a", "2", 2)]);
        assert_eq!((reached.hash(), reached.version()), (read.hash(), read.version()));
        assert_eq!(reached.resources().count(), 2);
    }
}
