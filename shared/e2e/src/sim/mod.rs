//! The simulation of the fleet: the real lease book, spool, view, configuration and reports of relays, the real desk and tail of the control
//! plane and a reference ledger, under one seeded scheduler with virtual time, with everything going wrong that can.
//!
//! A seed draws how many relays and replicas there are and which kinds of faults happen ([`plan`]); checkers look after every event
//! ([`check`]), and at the end everything must be at rest ([`rest`]). A failure names its seed, and the seed gives the same run again.
//! [`mutant`] lists bugs the checkers must find. Start reading at [`run`], then [`world`].
//!
//! The map, and how sure each part makes: `relay-node`'s state machines run as they are, joined by an adapter (`relay/`) that follows
//! `link` and `quota`; the control plane's run behind an adapter (`replica/`) that follows `rpc` and `publish`, and its pure rules on values
//! (`ledger/`) that the agreement test compares with the SQL store.

pub mod chance;
mod check;
pub mod disk;
pub mod ledger;
mod mishap;
pub mod mutant;
pub mod plan;
mod relay;
mod replica;
mod rest;
pub mod table;
mod truth;
mod wire;
mod world;

use std::fmt;

pub use self::ledger::Ledger;
pub use self::mutant::Mutant;
pub use self::plan::Plan;
use self::world::World;

/// A property of protocol.md part C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// P1.
    Conservation,
    /// P2.
    Leases,
    /// P3.
    ExactlyOnce,
    /// P4.
    Overspend,
    /// P5.
    FalseRefusal,
    /// P7.
    Convergence,
    /// P12.
    DenyDominates,
    /// P17.
    Recovery,
    /// P18.
    Fencing,
    /// P19.
    Idempotence,
    /// P20.
    UnknownIsNotNo,
    /// Everything comes to rest after the last fault.
    Liveness,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conservation => "P1 conservation",
            Self::Leases => "P2 lease conservation",
            Self::ExactlyOnce => "P3 exactly once",
            Self::Overspend => "P4 no overspend",
            Self::FalseRefusal => "P5 no false refusal",
            Self::Convergence => "P7 convergence",
            Self::DenyDominates => "P12 deny dominates",
            Self::Recovery => "P17 spool recovery",
            Self::Fencing => "P18 fencing",
            Self::Idempotence => "P19 idempotence",
            Self::UnknownIsNotNo => "P20 unknown is not no",
            Self::Liveness => "liveness",
        })
    }
}

/// A property that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which.
    pub property: Property,
    /// When, in virtual milliseconds.
    pub at: u64,
    /// What was seen.
    pub what: String,
    /// The last things that happened.
    pub trace: Vec<String>,
}

/// What a run did, for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Requests that came in.
    pub requests: u64,
    /// Requests sent upstream.
    pub admitted: u64,
    /// Times more was set aside for a request under way.
    pub extended: u64,
    /// Requests settled, those said twice not counted.
    pub settled: u64,
    /// Requests refused because an account could not pay.
    pub refused: u64,
    /// Requests that were told to come back later, because nobody could say.
    pub unavailable: u64,
    /// Requests whose key was not known at that moment.
    pub unknown: u64,
    /// Requests of a token, or for a channel, that was switched off.
    pub denied: u64,
    /// Requests for which the spool had no room.
    pub full: u64,
    /// Faults.
    pub faults: u64,
    /// Times the database went back behind everybody's back.
    pub went_back: u64,
    /// Histories that began because somebody noticed.
    pub noticed: u64,
    /// Lives of relays.
    pub lives: u64,
    /// How long it took to come to rest.
    pub rest_millis: u64,
}

impl Counts {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            requests: self.requests + other.requests,
            admitted: self.admitted + other.admitted,
            extended: self.extended + other.extended,
            settled: self.settled + other.settled,
            refused: self.refused + other.refused,
            unavailable: self.unavailable + other.unavailable,
            unknown: self.unknown + other.unknown,
            denied: self.denied + other.denied,
            full: self.full + other.full,
            faults: self.faults + other.faults,
            went_back: self.went_back + other.went_back,
            noticed: self.noticed + other.noticed,
            lives: self.lives + other.lives,
            rest_millis: self.rest_millis.max(other.rest_millis),
        }
    }
}

/// Runs one seed.
///
/// # Errors
/// When a property does not hold; with the trace of the run, which is the same run again.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Counts, Failure> {
    run_plan(seed, &Plan::of(seed), mutant)
}

/// Runs one seed with a plan of its own.
///
/// # Errors
/// As for [`run`].
pub fn run_plan(seed: u64, plan: &Plan, mutant: Option<Mutant>) -> Result<Counts, Failure> {
    let clockwork = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    // what asks for an identity arms a timer, which nothing ever waits for
    let _inside = clockwork.enter();
    World::new(seed, plan.clone(), mutant, false).run().map_err(|failure| {
        let again = World::new(seed, plan.clone(), mutant, true).run().err();
        again.unwrap_or(failure)
    })
}

#[cfg(test)]
mod tests;
