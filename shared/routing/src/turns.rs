//! Whose turn it is among the keys of a channel that uses them one after the other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sluice_domain::ChannelId;

/// More channels than anybody has; beyond it the memory starts anew.
const MAX_CHANNELS: usize = 50_000;

/// The place of the key that each channel used last. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    start: AtomicUsize,
    last: Mutex<HashMap<ChannelId, usize>>,
}

impl Turns {
    /// Begins, for channels that were not used yet, at a place that depends on the node: otherwise all relays of a fleet would begin with the
    /// same key.
    pub fn begin_at(&self, node: &str) {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        // half of the digits of a hash are as good as all of them
        self.0.start.store(usize::try_from(hasher.finish() >> 32).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The place behind the last one, of so many, that fits; it is the last one then.
    pub(crate) fn take(&self, channel: ChannelId, count: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        if count == 0 {
            return None;
        }
        let mut last = self.0.last.lock();
        let first = last.get(&channel).map_or_else(|| self.0.start.load(Ordering::Relaxed), |last| last + 1);
        let place = (0..count).map(|step| (first % count + step) % count).find(|place| fits(*place))?;
        if last.len() >= MAX_CHANNELS {
            last.clear();
        }
        last.insert(channel, place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_those_that_do_not_fit_are_passed_over() {
        let (turns, channel) = (Turns::default(), ChannelId::new(1));
        let taken: Vec<_> = (0..4).filter_map(|_| turns.take(channel, 3, |_| true)).collect();
        assert_eq!(taken, [0, 1, 2, 0]);
        assert_eq!(turns.take(channel, 3, |place| place != 1), Some(2));
        assert_eq!(turns.take(channel, 2, |_| true), Some(1), "keys were taken away meanwhile");
        assert_eq!(turns.take(channel, 3, |_| false), None);
        assert_eq!(turns.take(channel, 0, |_| true), None);
        assert_eq!(turns.take(ChannelId::new(2), 3, |_| true), Some(0), "each channel for itself");
    }

    #[test]
    fn nodes_begin_at_places_of_their_own_and_always_the_same() {
        let start = |node: &str| {
            let turns = Turns::default();
            turns.begin_at(node);
            turns.take(ChannelId::new(1), 1_000, |_| true).unwrap()
        };
        assert_eq!(start("relay-1"), start("relay-1"));
        let starts: std::collections::BTreeSet<_> = (0..20).map(|node| start(&format!("relay-{node}"))).collect();
        assert!(starts.len() > 15, "{starts:?}");
    }
}
