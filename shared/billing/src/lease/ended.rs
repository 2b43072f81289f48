//! Leases of one account that closed lately.
//!
//! Their records wait in the spool until they are settled, which may take longer than somebody elsewhere waits for the money. So an answer
//! to a recall names them, too, and says what they had left: then nothing has to be settled before it is known what there is. Whatever is
//! forgotten here, or never said, goes back when the lease's end is settled.

use std::collections::{HashSet, VecDeque};

use sluice_domain::LeaseId;

use super::terms::Returned;

/// Usually the end of a lease is settled within a second, and then it is forgotten here; after an outage that takes a while.
const MEMORY_MILLIS: u64 = 600_000;
/// Of more than these the oldest are forgotten: whoever is short waits until they are settled.
pub(super) const MOST: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Ended(VecDeque<(u64, Returned)>);

impl Ended {
    /// A lease closed, and this is everything that was ever given back of it.
    pub(super) fn add(&mut self, returned: Returned, now: u64) {
        self.forget_old(now);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, returned));
    }

    pub(super) fn forget_old(&mut self, now: u64) {
        while self.0.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= MEMORY_MILLIS) {
            self.0.pop_front();
        }
    }

    /// These ends are settled: there is nothing left to say about them.
    pub(super) fn settled(&mut self, leases: &HashSet<LeaseId>) {
        self.0.retain(|(_, returned)| !leases.contains(&returned.lease));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Returned> {
        self.0.iter().map(|(_, returned)| *returned)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
