//! What is seen of channels on the way, to be told to the control plane: how many attempts went well, and what upstreams said.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::plan::ejection::Way;

/// Errors that are kept of one channel and key between two tellings.
const MAX_EVIDENCE: usize = 8;
/// Channels and keys that are told of at once; more are told of when they are seen again.
const MAX_WAYS: usize = 500;

/// What was seen since the last telling. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<HashMap<Way, Told>>>);

/// What was seen of one channel and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The channel and its key.
    pub way: Way,
    /// Attempts that tell something about the channel.
    pub attempts: u64,
    /// Those of them that brought a good answer.
    pub successes: u64,
    /// The first errors its upstream answered with.
    pub evidence: Vec<Evidence>,
}

/// What an upstream said, in words that are no text of anybody's, or why it cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The status it answered with, or what an error sent with 200 stands for; 0: it was not asked.
    pub status: u16,
    /// The provider's `type`, if it is a word; empty: none.
    pub kind: String,
    /// The provider's `code`, if it is a word; empty: none.
    pub code: String,
    /// The keyword of the site that is in the provider's message; empty: none.
    pub keyword: String,
    /// What of the channel's own settings is at fault; an upstream cannot say that.
    pub fault: Option<Fault>,
}

/// What of a channel's own settings keeps it from being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its address.
    Address,
    /// The key.
    Key,
    /// The name it has for the model.
    Mapping,
    /// The version of the interface.
    Version,
    /// Its rules for bodies.
    Params,
    /// Its entries for headers.
    Headers,
}

impl Fault {
    /// The code of it (relay-api.md §8).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address => "channel:invalid_address",
            Self::Key => "channel:invalid_key",
            Self::Mapping => "channel:model_mapped_error",
            Self::Version => "channel:invalid_version",
            Self::Params => "channel:param_override_invalid",
            Self::Headers => "channel:header_override_invalid",
        }
    }
}

impl Seen {
    /// An attempt went well.
    pub(crate) fn succeeded(&self, way: Way) {
        self.change(way, |told| {
            told.attempts += 1;
            told.successes += 1;
        });
    }

    /// An attempt did not. `counts` says whether the channel is to blame.
    pub(crate) fn failed(&self, way: Way, counts: bool, evidence: Option<Evidence>) {
        if !counts && evidence.is_none() {
            return;
        }
        self.change(way, |told| {
            told.attempts += u64::from(counts);
            if told.evidence.len() < MAX_EVIDENCE {
                told.evidence.extend(evidence);
            }
        });
    }

    /// Takes what was seen; it is forgotten here.
    #[must_use]
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock()).into_values().collect()
    }

    fn change(&self, way: Way, change: impl FnOnce(&mut Told)) {
        let mut ways = self.0.lock();
        if ways.len() < MAX_WAYS || ways.contains_key(&way) {
            change(ways.entry(way).or_insert_with(|| Told { way, attempts: 0, successes: 0, evidence: Vec::new() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_domain::{ChannelId, ChannelKeyId};

    use super::*;

    #[test]
    fn what_is_seen_is_told_once_and_bounded() {
        let seen = Seen::default();
        let way = |id| (ChannelId::new(id), ChannelKeyId::new(id));
        let said = || Evidence { status: 401, code: "x".into(), ..Evidence::default() };
        seen.succeeded(way(1));
        seen.failed(way(1), false, None);
        for _ in 0..20 {
            seen.failed(way(1), true, Some(said()));
        }
        let told = seen.take().remove(0);
        assert_eq!((told.attempts, told.successes, told.evidence.len()), (21, 1, MAX_EVIDENCE));
        assert_eq!(seen.take(), []);
        for id in 0..1_000 {
            seen.succeeded(way(id));
        }
        assert_eq!(seen.take().len(), MAX_WAYS);
    }
}
