//! Where the counters of a whole fleet are, seen from a relay: a small interface, so that what is behind it can be replaced.

use std::fmt;

use futures_util::future::BoxFuture;

use crate::ask::{Ask, Key, Slot};
use crate::local::Answers;

/// Shared counters that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shared counters cannot be asked: {0}")]
pub struct Away(pub &'static str);

/// Names a running request among all of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// This life of this relay.
    pub life: u64,
    /// The request within it.
    pub number: u64,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.life, self.number)
    }
}

/// What several asks of one slot want, together or not at all.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// The asks.
    pub asks: &'a [Ask],
    /// For each of them the level that is known already: the counter is raised to it when it is lower, because it was lost then.
    pub floors: &'a [u64],
    /// The request, for what is counted while it runs.
    pub lease: Lease,
}

/// A later change of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// So many microseconds of level were not used.
    GiveBack(Key, u64),
    /// So many microseconds of level more were used than was thought.
    Charge(Key, u64),
    /// The level is so many microseconds at least: a lower one lost something.
    Raise(Key, u64),
    /// A request that ran ended.
    End(Key, Lease),
    /// A request still runs.
    Keep(Key, Lease),
}

impl Change {
    /// The counter.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::GiveBack(key, _) | Self::Charge(key, _) | Self::Raise(key, _) | Self::End(key, _) | Self::Keep(key, _) => key,
        }
    }

    /// Where the counter is.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.key().subject.slot()
    }
}

/// The counters of a whole fleet.
pub trait Shared: fmt::Debug + Send + Sync + 'static {
    /// Takes what all asks want, or nothing; answers whether it did, and what each counter said.
    fn take<'a>(&'a self, take: Take<'a>) -> BoxFuture<'a, Result<(bool, Answers), Away>>;

    /// Makes changes to counters of one slot.
    fn change<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), Away>>;

    /// Whether counters can be asked.
    fn probe(&self) -> BoxFuture<'_, Result<(), Away>>;

    /// Ends the connections. Nothing is asked afterwards.
    fn close(&self) -> BoxFuture<'_, ()>;
}
