//! What only changes of identities look at: floors of revisions, keys that are unknown, and how far a round of pages is.

use std::collections::HashMap;
use std::hash::Hash;

use sluice_domain::{KeyDigest, TokenId, UserId};

use super::Map;

/// Floors kept apart, of tokens and of users.
const MAX_FLOORS: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) by_id: Map<TokenId, KeyDigest>,
    pub(super) token_floors: Floors<TokenId>,
    pub(super) user_floors: Floors<UserId>,
    /// The highest revocation applied. Answers from before it are dropped (ruling R13).
    pub(super) denied_seq: i64,
    /// Floors from before this point were given up: whatever was read before it is dropped.
    pub(super) least_as_of: i64,
    pub(super) unknown: Map<KeyDigest, u64>,
    pub(super) round: u32,
    /// Since when pages are awaited.
    pub(super) pages_since: Option<u64>,
    /// Whether a page of this round was taken in.
    pub(super) has_pages: bool,
    /// Something of this round is not held: a page that was dropped, or what was forgotten since. Its end then tells nothing about keys
    /// that are not held.
    pub(super) has_holes: bool,
}

impl Book {
    /// Whether changes of what is not held are kept, too: a page of this round may have been read before the change and cannot bring it.
    pub(super) const fn keeps_new(&self, is_complete: bool) -> bool {
        is_complete || self.pages_since.is_some()
    }

    /// Gives floors up when there are too many, for a point in the history.
    pub(super) fn bound_floors(&mut self, seq: i64) {
        if self.token_floors.0.len() > MAX_FLOORS || self.user_floors.0.len() > MAX_FLOORS {
            self.least_as_of = self.least_as_of.max(seq);
            self.token_floors.0.clear();
            self.user_floors.0.clear();
        }
    }
}

#[derive(Debug)]
pub(super) struct Floors<K>(pub(super) Map<K, i64>);

impl<K> Default for Floors<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash> Floors<K> {
    pub(super) fn of(&self, id: &K) -> i64 {
        self.0.get(id).copied().unwrap_or(i64::MIN)
    }

    pub(super) fn raise(&mut self, id: K, rev: i64) {
        let floor = self.0.entry(id).or_insert(rev);
        *floor = rev.max(*floor);
    }
}
