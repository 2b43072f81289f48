//! Where the states of a keyed limiter are kept: a map with a bound.
//!
//! When the map is full, new keys share a fixed number of states, picked by their hash. So a flood of invented keys costs no memory
//! and lifts no limit; newcomers may be limited together until the flood is over, and keys already known notice nothing.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};

/// States shared by keys that found no room.
const SHARED_STATES: u64 = 4_096;

/// The states of a keyed limiter. Clones share them.
pub(crate) struct BoundedStore<K: Hash + Eq + Clone>(Arc<Inner<K>>);

struct Inner<K: Hash + Eq + Clone> {
    own: DashMapStateStore<K>,
    shared: DashMapStateStore<u64>,
    hasher: RandomState,
    capacity: usize,
    is_crowded: AtomicBool,
}

impl<K: Hash + Eq + Clone> BoundedStore<K> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            own: DashMapStateStore::default(),
            shared: DashMapStateStore::default(),
            hasher: RandomState::new(),
            capacity,
            is_crowded: AtomicBool::new(false),
        }))
    }

    /// Whether a key found no room since this was last asked.
    pub(crate) fn take_crowded(&self) -> bool {
        self.0.is_crowded.load(Ordering::Relaxed) && self.0.is_crowded.swap(false, Ordering::Relaxed)
    }

    /// The theoretical arrival time kept for this key, without making a state for it.
    pub(crate) fn arrival(&self, key: &K) -> Option<Nanos> {
        if self.0.own.contains_key(key) {
            return read(&self.0.own, key);
        }
        if self.has_room_for(key) {
            return None;
        }
        let share = self.share_of(key);
        if self.0.shared.contains_key(&share) { read(&self.0.shared, &share) } else { None }
    }

    /// Forgets what this key used up. A shared state stays: it is not this key's alone.
    pub(crate) fn forget(&self, key: &K) {
        self.0.own.remove(key);
    }

    fn has_room_for(&self, key: &K) -> bool {
        // Threads that ask at the same moment may overshoot the capacity by their number.
        self.0.own.contains_key(key) || self.0.own.len() < self.0.capacity
    }

    fn share_of(&self, key: &K) -> u64 {
        self.0.hasher.hash_one(key) % SHARED_STATES
    }
}

/// Looks at a state and leaves it: an `Err` from the closure is not written back.
fn read<K: Hash + Eq + Clone>(states: &DashMapStateStore<K>, key: &K) -> Option<Nanos> {
    states.measure_and_replace(key, Err::<((), Nanos), _>).err().flatten()
}

impl<K: Hash + Eq + Clone> Clone for BoundedStore<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone> StateStore for BoundedStore<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.has_room_for(key) {
            return self.0.own.measure_and_replace(key, decide);
        }
        self.0.is_crowded.store(true, Ordering::Relaxed);
        self.0.shared.measure_and_replace(&self.share_of(key), decide)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for BoundedStore<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.own.retain_recent(drop_below);
        self.0.shared.retain_recent(drop_below);
    }

    fn len(&self) -> usize {
        self.0.own.len()
    }

    fn is_empty(&self) -> bool {
        self.0.own.is_empty()
    }
}
