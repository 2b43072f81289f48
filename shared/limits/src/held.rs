//! What a request took from limits while it runs.

use sluice_domain::Counted;
use smallvec::SmallVec;

use crate::ask::{Ask, Said, Standing};
use crate::limiter::Limiter;
use crate::shared::Lease;

/// Where something was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// From the fleet's counters.
    Shared,
    /// From this relay's share, one of so many.
    Here(u64),
}

impl Place {
    pub(crate) const fn relays(self) -> u64 {
        match self {
            Self::Shared => 1,
            Self::Here(relays) => relays,
        }
    }
}

/// One thing that was asked, and what became of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) ask: Ask,
    pub(crate) said: Said,
    pub(crate) place: Place,
}

impl Entry {
    pub(crate) fn standing(&self) -> Standing {
        Standing::of(&self.ask, self.said, self.place.relays())
    }

    /// What so many cells cost where they were taken.
    pub(crate) fn cost(&self, cells: u64) -> u64 {
        self.ask.pace().map_or(0, |pace| pace.share(cells, self.place.relays()).0)
    }
}

pub(crate) type Entries = SmallVec<[Entry; 4]>;

/// What a request took. However the request ends, it must be told or dropped: dropping it means that nothing came of the request.
#[derive(Debug)]
pub struct Held(Option<Taken>);

#[derive(Debug)]
struct Taken {
    limiter: Limiter,
    entries: Entries,
    at: u64,
    lease: Lease,
}

impl Held {
    /// Nothing is limited.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(None)
    }

    pub(crate) fn new(limiter: Limiter, entries: Entries, at: u64, lease: Lease) -> Self {
        Self(Some(Taken { limiter, entries, at, lease }))
    }

    /// How the limits stand that were asked.
    pub fn standings(&self) -> impl Iterator<Item = Standing> {
        self.0.iter().flat_map(|taken| taken.entries.iter().map(Entry::standing))
    }

    /// The request ended: with an answer or not, after so many tokens.
    pub fn settle(mut self, tokens: u64, is_success: bool) {
        if let Some(taken) = self.0.take() {
            taken.end(|of| match of {
                Counted::Tokens => Some(tokens),
                Counted::Successes if !is_success => Some(0),
                Counted::Requests | Counted::Successes | Counted::Concurrency => None,
            });
        }
    }

    /// Takes nothing after all, as if it had not been asked.
    pub fn undo(mut self) {
        if let Some(taken) = self.0.take() {
            taken.end(|_| Some(0));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(taken) = self.0.take() {
            taken.end(|of| matches!(of, Counted::Tokens | Counted::Successes).then_some(0));
        }
    }
}

impl Taken {
    /// Corrects every counter to what was used of it; `None`: what was taken.
    fn end(self, used: impl Fn(Counted) -> Option<u64>) {
        let now = self.limiter.now();
        for entry in self.entries.iter().filter(|entry| entry.said.fits) {
            if !entry.ask.key.of.has_window() {
                continue;
            }
            let Some(used) = used(entry.ask.key.of) else { continue };
            let (taken, used) = (entry.cost(entry.ask.cells), entry.cost(used));
            if used > taken {
                self.limiter.charge(&entry.ask.key, used - taken, entry.place);
                continue;
            }
            // what is refilled by itself in the meantime is not given back a second time
            let unfilled = entry.said.level.saturating_sub(now.saturating_sub(self.at));
            self.limiter.give_back(&entry.ask.key, (taken - used).min(unfilled), entry.place);
        }
        self.limiter.ended(self.lease, &self.entries);
    }
}
