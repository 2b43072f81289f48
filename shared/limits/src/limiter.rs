//! Limits as a relay keeps them: with the whole fleet while Redis answers, alone with its share of each limit while it does not.
//!
//! No request fails because of Redis: what it does not answer in time is judged here. After [`FAILURES`] in a row it is not asked any
//! more until a probe succeeds. Start reading at [`Limiter::admit`]; what runs beside requests is in `upkeep.rs`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_domain::{Clock, Counted};
use smallvec::SmallVec;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::ask::{Ask, Key, Slot, Standing};
use crate::held::{Entries, Entry, Held, Place};
use crate::local::{Answers, Local};
use crate::shared::{Away, Change, Lease, Shared, Take};
use crate::upkeep::Upkeep;

/// The longest a request waits for shared counters unless told otherwise.
pub const PATIENCE: Duration = Duration::from_millis(25);
/// Failures in a row after which they are not asked any more.
pub const FAILURES: u32 = 5;
/// Changes that wait to be made.
const CHANGES_WAITING: usize = 10_000;

/// How limits are kept at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the whole fleet.
    Shared,
    /// By this relay alone, by its share.
    Alone,
}

/// What whoever looks after a limiter may want to count or tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Limits are kept in another way now.
    Mode(Mode),
    /// Shared counters did not answer.
    Failed,
    /// A later change could not be told to shared counters.
    Lost,
    /// Something was beyond a limit.
    Hit {
        /// Whose limit, as a word.
        subject: &'static str,
        /// What was counted.
        of: Counted,
        /// Whether it passed nevertheless.
        is_shadow: bool,
    },
}

/// What a limiter is made of.
pub struct Setup {
    /// The clocks.
    pub clock: Clock,
    /// The fleet's counters; `None`: every relay keeps its share.
    pub shared: Option<Arc<dyn Shared>>,
    /// The longest a request waits for them.
    pub patience: Duration,
    /// How many relays there are, this one included.
    pub relays: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Is told what happens.
    pub notice: Arc<dyn Fn(Event) + Send + Sync>,
    /// Tells this life of this relay from all others.
    pub life: u64,
    /// The most counters that are remembered.
    pub capacity: usize,
}

impl Setup {
    /// Counters that are remembered unless told otherwise.
    pub const CAPACITY: usize = 200_000;
}

/// Keeps limits. Clones are the same limiter.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

pub(crate) struct Inner {
    local: Local,
    setup: Setup,
    is_shared: AtomicBool,
    /// It was told how limits are kept.
    is_told: AtomicBool,
    failures: AtomicU32,
    leases: AtomicU64,
    /// Requests that run and are counted for it.
    running: Mutex<HashMap<Lease, SmallVec<[Key; 2]>>>,
    changes: mpsc::Sender<Change>,
    /// Shared counters lost count of what runs here.
    forgotten: Notify,
    /// Held while they are told what was admitted without them.
    telling: tokio::sync::Mutex<()>,
}

/// Something is beyond a limit, and nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// How every limit stands that was asked.
    pub standings: Vec<Standing>,
}

impl Refused {
    /// The limit that has to be waited for longest.
    #[must_use]
    pub fn worst(&self) -> Option<&Standing> {
        self.standings.iter().filter(|standing| !standing.fits && !standing.limit.is_shadow).max_by_key(|standing| standing.wait)
    }
}

impl Limiter {
    /// A limiter, and what has to run beside it.
    #[must_use]
    pub fn new(setup: Setup) -> (Self, Upkeep) {
        let (changes, waiting) = mpsc::channel(CHANGES_WAITING);
        let inner = Inner {
            local: Local::new(setup.capacity),
            setup,
            is_shared: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            leases: AtomicU64::new(0),
            running: Mutex::default(),
            changes,
            forgotten: Notify::new(),
            telling: tokio::sync::Mutex::new(()),
        };
        let limiter = Self(Arc::new(inner));
        let upkeep = Upkeep::new(limiter.clone(), waiting);
        (limiter, upkeep)
    }

    /// How limits are kept at this moment.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.0.is_shared.load(Ordering::Relaxed) { Mode::Shared } else { Mode::Alone }
    }

    /// Takes what all asks want. Without a wait when nothing is shared.
    ///
    /// # Errors
    /// When something is beyond a limit that is no shadow. Nothing is taken then.
    pub async fn admit(&self, asks: Vec<Ask>) -> Result<Held, Box<Refused>> {
        if asks.is_empty() {
            return Ok(Held::nothing());
        }
        let lease = Lease { life: self.0.setup.life, number: self.0.leases.fetch_add(1, Ordering::Relaxed) };
        let at = self.now();
        let (is_admitted, entries) = if self.mode() == Mode::Shared {
            let (callers, sites): (Vec<Ask>, Vec<Ask>) =
                asks.into_iter().partition(|ask| matches!(ask.key.subject.slot(), Slot::User(_)));
            let (callers, sites) = tokio::join!(self.take_shared(callers, lease), self.take_shared(sites, lease));
            match (callers, sites) {
                ((true, mut callers), (true, sites)) => {
                    callers.extend(sites);
                    self.learn(&callers);
                    (true, callers)
                }
                ((is_taken, mut callers), (are_taken, sites)) => {
                    let untaken = [(is_taken, &callers), (are_taken, &sites)];
                    for (is_taken, entries) in untaken {
                        if is_taken { self.put_back(entries, lease) } else { self.learn_levels(entries) }
                    }
                    callers.extend(sites);
                    (false, callers)
                }
            }
        } else {
            self.take_here(asks)
        };
        self.tell_hits(&entries, is_admitted);
        if !is_admitted {
            return Err(Box::new(Refused { standings: entries.iter().map(Entry::standing).collect() }));
        }
        self.began(lease, &entries);
        Ok(Held::new(self.clone(), entries, at, lease))
    }

    /// Takes from this relay's share.
    fn take_here(&self, asks: Vec<Ask>) -> (bool, Entries) {
        let relays = self.relays();
        let now = self.now();
        let (is_admitted, answers) = self.0.local.take(&asks, relays, now);
        if is_admitted && self.0.setup.shared.is_some() {
            for ask in &asks {
                self.0.local.admitted_alone(ask, now);
            }
        }
        (is_admitted, entries(asks, &answers, Place::Here(relays)))
    }

    /// Takes from the fleet's counters, all of one slot; from this relay's share when they do not answer.
    async fn take_shared(&self, asks: Vec<Ask>, lease: Lease) -> (bool, Entries) {
        let Some(shared) = self.0.setup.shared.as_ref().filter(|_| !asks.is_empty()) else {
            return (true, Entries::new());
        };
        let now = self.now();
        let floors: SmallVec<[u64; 4]> = asks.iter().map(|ask| self.floor(&ask.key, now)).collect();
        if !self.catches_up(shared.as_ref(), &asks).await {
            return self.take_here(asks);
        }
        let take = Take { asks: &asks, floors: &floors, lease };
        let asked = timeout(self.0.setup.patience, shared.take(take)).await.unwrap_or(Err(Away("it took too long")));
        let Ok((is_admitted, answers)) = asked else {
            self.failed();
            return self.take_here(asks);
        };
        self.answered();
        (is_admitted, entries(asks, &answers, Place::Shared))
    }

    /// Tells the fleet's counters what was admitted here while they did not answer, before anything more is taken from them. `false`: they
    /// still do not answer.
    async fn catches_up(&self, shared: &dyn Shared, asks: &[Ask]) -> bool {
        let alone = |ask: &Ask| Some((ask.key.clone(), self.0.local.alone(&ask.key))).filter(|(_, cost)| *cost > 0);
        if asks.iter().find_map(alone).is_none() {
            return true;
        }
        let _telling = self.0.telling.lock().await;
        let untold: Vec<(Key, u64)> = asks.iter().filter_map(alone).collect();
        if untold.is_empty() || self.mode() != Mode::Shared {
            return self.mode() == Mode::Shared;
        }
        let is_told = self.tell_alone(shared, &untold, self.0.setup.patience).await.is_ok();
        if !is_told {
            self.failed();
        }
        is_told
    }

    /// Tells them all of it, before they are asked again. What is admitted meanwhile is told with the next question for it.
    pub(crate) async fn tell_all_alone(&self, shared: &dyn Shared, patience: Duration, batch: usize) -> Result<(), Away> {
        let _telling = self.0.telling.lock().await;
        let mut slots: HashMap<Slot, Vec<(Key, u64)>> = HashMap::new();
        for (key, cost) in self.0.local.all_alone() {
            slots.entry(key.subject.slot()).or_default().push((key, cost));
        }
        for untold in slots.values().flat_map(|untold| untold.chunks(batch)) {
            self.tell_alone(shared, untold, patience).await?;
        }
        Ok(())
    }

    /// Tells what was admitted alone by counters of one slot, on top of what they said last.
    async fn tell_alone(&self, shared: &dyn Shared, untold: &[(Key, u64)], patience: Duration) -> Result<(), Away> {
        let now = self.now();
        let tell = |(key, cost): &(Key, u64)| {
            let known = Change::Raise(key.clone(), self.0.local.remembered(key, now));
            [known, Change::Charge(key.clone(), *cost)]
        };
        let changes: Vec<Change> = untold.iter().flat_map(tell).collect();
        timeout(patience, shared.change(&changes)).await.unwrap_or(Err(Away("it took too long")))?;
        for (key, cost) in untold {
            self.0.local.told_alone(key, *cost, now);
        }
        Ok(())
    }

    /// The level a shared counter must have, as far as it is known here: a counter below it lost something. What an admitted request
    /// took is never given back, so this holds for requests; of the others nobody can tell.
    fn floor(&self, key: &Key, now: u64) -> u64 {
        if key.of == Counted::Requests { self.0.local.remembered(key, now) } else { 0 }
    }

    /// Remembers what shared counters said to a request that was admitted.
    fn learn(&self, entries: &Entries) {
        self.learn_levels(entries);
        let now = self.now();
        let counted = |entry: &&Entry| entry.place == Place::Shared && !entry.ask.key.of.has_window() && entry.said.fits;
        for Entry { ask, said, .. } in entries.iter().filter(counted) {
            if said.level < self.0.local.begin(&ask.key, now) {
                self.0.forgotten.notify_one();
            }
        }
    }

    /// Remembers the levels of shared counters. Not those that are put back: others would be charged for it.
    fn learn_levels(&self, entries: &Entries) {
        let now = self.now();
        let paced = |entry: &&Entry| entry.place == Place::Shared && entry.ask.key.of.has_window();
        for Entry { ask, said, .. } in entries.iter().filter(paced) {
            self.0.local.remember(&ask.key, said.level, now);
        }
    }

    /// Takes back what one slot gave while another refused. What shared counters gave was not learned here yet.
    fn put_back(&self, entries: &Entries, lease: Lease) {
        for entry in entries.iter().filter(|entry| entry.said.fits) {
            let (key, cost) = (&entry.ask.key, entry.cost(entry.ask.cells));
            match (entry.ask.pace(), entry.place) {
                (Some(_), Place::Shared) if cost > 0 => self.later(Change::GiveBack(key.clone(), cost)),
                (Some(_), place) => self.give_back(key, cost, place),
                (None, Place::Shared) => self.later(Change::End(key.clone(), lease)),
                (None, Place::Here(_)) => self.end(key, lease),
            }
        }
    }

    pub(crate) fn give_back(&self, key: &Key, cost: u64, place: Place) {
        if cost == 0 {
            return;
        }
        self.0.local.give_back(key, cost, self.now());
        if place == Place::Shared {
            self.later(Change::GiveBack(key.clone(), cost));
        }
    }

    pub(crate) fn charge(&self, key: &Key, cost: u64, place: Place) {
        match place {
            Place::Here(_) => self.0.local.charge(key, cost, self.now()),
            Place::Shared => self.later(Change::Charge(key.clone(), cost)),
        }
    }

    fn began(&self, lease: Lease, entries: &Entries) {
        let counted = |entry: &&Entry| entry.said.fits && !entry.ask.key.of.has_window();
        let keys: SmallVec<[Key; 2]> = entries.iter().filter(counted).map(|entry| entry.ask.key.clone()).collect();
        if self.0.setup.shared.is_some() && !keys.is_empty() {
            self.0.running.lock().insert(lease, keys);
        }
    }

    pub(crate) fn ended(&self, lease: Lease, entries: &Entries) {
        for entry in entries.iter().filter(|entry| entry.said.fits && !entry.ask.key.of.has_window()) {
            self.0.running.lock().remove(&lease);
            self.end(&entry.ask.key, lease);
        }
    }

    fn end(&self, key: &Key, lease: Lease) {
        self.0.local.end(key, self.now());
        if self.0.setup.shared.is_some() {
            self.later(Change::End(key.clone(), lease));
        }
    }

    /// Has a change told to the fleet's counters, soon.
    fn later(&self, change: Change) {
        if let Err(unsent) = self.0.changes.try_send(change) {
            self.lost(&unsent.into_inner());
        }
    }

    /// A change that the fleet's counters will not hear of. What was used is not forgotten here, and what runs ends there by itself.
    pub(crate) fn lost(&self, change: &Change) {
        if let Change::Charge(key, cost) = change {
            self.0.local.charge(key, *cost, self.now());
        }
        self.notice(Event::Lost);
    }

    /// Everything that runs and is counted for it.
    pub(crate) fn running(&self) -> Vec<Change> {
        let running = self.0.running.lock();
        let kept = |(lease, keys): (&Lease, &SmallVec<[Key; 2]>)| {
            let lease = *lease;
            keys.iter().map(|key| Change::Keep(key.clone(), lease)).collect::<SmallVec<[Change; 2]>>()
        };
        running.iter().flat_map(kept).collect()
    }

    pub(crate) fn answered(&self) {
        self.0.failures.store(0, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.notice(Event::Failed);
        let failures = self.0.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FAILURES && self.0.is_shared.swap(false, Ordering::Relaxed) {
            self.notice(Event::Mode(Mode::Alone));
        }
    }

    pub(crate) fn is_back(&self) {
        self.answered();
        self.0.is_told.store(true, Ordering::Relaxed);
        if !self.0.is_shared.swap(true, Ordering::Relaxed) {
            self.notice(Event::Mode(Mode::Shared));
        }
    }

    /// Shared counters were looked for and did not answer. Told once, at the start; afterwards a break-down is.
    pub(crate) fn is_missing(&self) {
        if !self.0.is_told.swap(true, Ordering::Relaxed) {
            self.notice(Event::Mode(Mode::Alone));
        }
    }

    fn tell_hits(&self, entries: &Entries, is_admitted: bool) {
        for entry in entries.iter().filter(|entry| !entry.said.fits) {
            let Ask { key, limit, .. } = &entry.ask;
            // where another limit refused, a shadow has nothing to tell: the request does not happen
            if is_admitted || !limit.is_shadow {
                self.notice(Event::Hit { subject: key.subject.as_str(), of: key.of, is_shadow: limit.is_shadow });
            }
        }
    }

    fn notice(&self, event: Event) {
        (self.0.setup.notice)(event);
    }

    fn relays(&self) -> u64 {
        (self.0.setup.relays)().max(1)
    }

    /// This moment, in microseconds of the clock since boot.
    pub(crate) fn now(&self) -> u64 {
        self.0.setup.clock.read().boot_millis.saturating_mul(1_000)
    }

    pub(crate) fn shared(&self) -> Option<&Arc<dyn Shared>> {
        self.0.setup.shared.as_ref()
    }

    pub(crate) async fn forgotten(&self) {
        self.0.forgotten.notified().await;
    }
}

fn entries(asks: Vec<Ask>, answers: &Answers, place: Place) -> Entries {
    asks.into_iter().zip(answers).map(|(ask, said)| Entry { ask, said: *said, place }).collect()
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
