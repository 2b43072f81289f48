//! Versions, deltas, and how one is applied to the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hash::StateHash;
use crate::resource::{Resource, ResourceKey};

/// A point in the history of the configuration. Only versions of one lineage can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Random name of the database's history.
    pub lineage: Arc<str>,
    /// Number of the last transaction that changed the configuration; gap-free.
    pub seq: i64,
}

/// One resource as a relay holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Hash of the form that was sent last, usable or not.
    pub hash: u128,
    /// The last usable form; `None` when there never was one.
    pub resource: Option<Arc<Resource>>,
}

/// A resource to put in place.
#[derive(Debug, Clone)]
pub struct Upsert {
    /// Its name.
    pub key: ResourceKey,
    /// Hash over the bytes as sent.
    pub hash: u128,
    /// The resource, or why it cannot be used.
    pub resource: Result<Arc<Resource>, String>,
}

/// The changes from one version to another.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The version it starts from.
    pub from: Version,
    /// The version it leads to.
    pub to: Version,
    /// What is added or replaced.
    pub upserts: Vec<Upsert>,
    /// What is taken away.
    pub deletes: Vec<ResourceKey>,
}

/// A resource that was sent and cannot be used; its previous form stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub key: ResourceKey,
    /// Why, for people.
    pub reason: String,
}

/// The delta does not start where the snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("delta starts at {from:?}, here is {here:?}")]
pub struct Gap {
    /// Where the delta starts.
    pub from: Version,
    /// Where the snapshot is.
    pub here: Version,
}

/// Every resource at one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    version: Version,
    entries: BTreeMap<ResourceKey, Entry>,
    hash: StateHash,
}

impl Snapshot {
    /// A snapshot from its resources. Of two with the same key the later one stays.
    #[must_use]
    pub fn new(version: Version, upserts: Vec<Upsert>) -> (Self, Vec<Rejected>) {
        let mut snapshot = Self { version, ..Self::default() };
        let rejected = upserts.into_iter().filter_map(|upsert| snapshot.put(upsert)).collect();
        (snapshot, rejected)
    }

    /// Where it is.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The hash over everything in it.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        self.hash
    }

    /// What is in it, by key.
    pub fn entries(&self) -> impl Iterator<Item = (&ResourceKey, &Entry)> {
        self.entries.iter()
    }

    /// The usable resources.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.entries.values().filter_map(|entry| entry.resource.as_ref())
    }

    /// The entry of one resource.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Moves on to the delta's target, all of it. What cannot be used keeps its previous form and is returned.
    ///
    /// # Errors
    /// When the delta starts elsewhere; nothing is changed then.
    pub fn apply(&mut self, delta: Delta) -> Result<Vec<Rejected>, Gap> {
        if delta.from != self.version {
            return Err(Gap { from: delta.from, here: self.version.clone() });
        }
        for key in &delta.deletes {
            self.take(key);
        }
        let rejected = delta.upserts.into_iter().filter_map(|upsert| self.put(upsert)).collect();
        self.version = delta.to;
        Ok(rejected)
    }

    /// The delta that leads from here to `target`, when both hold only usable forms.
    #[must_use]
    pub fn diff(&self, target: &Self) -> Delta {
        let changed = |(key, entry): (&ResourceKey, &Entry)| match (&entry.resource, self.entries.get(key)) {
            (_, Some(here)) if here.hash == entry.hash => None,
            (None, _) => None,
            (Some(resource), _) => Some(Upsert { key: key.clone(), hash: entry.hash, resource: Ok(resource.clone()) }),
        };
        Delta {
            from: self.version.clone(),
            to: target.version.clone(),
            upserts: target.entries.iter().filter_map(changed).collect(),
            deletes: self.entries.keys().filter(|key| !target.entries.contains_key(*key)).cloned().collect(),
        }
    }

    fn put(&mut self, upsert: Upsert) -> Option<Rejected> {
        let before = self.take(&upsert.key);
        self.hash.add(upsert.hash);
        let (resource, rejected) = match upsert.resource {
            Ok(resource) => (Some(resource), None),
            Err(reason) => (before.and_then(|entry| entry.resource), Some(Rejected { key: upsert.key.clone(), reason })),
        };
        self.entries.insert(upsert.key, Entry { hash: upsert.hash, resource });
        rejected
    }

    fn take(&mut self, key: &ResourceKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.hash.remove(entry.hash);
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
