//! Money handed to relays: grants, returns, renewals, closings.
//!
//! A lease is taken from the account first and handed out after the commit, so the same unit is never in two places. Whoever changes a
//! lease holds the lock of its account; the one exception is its expiry, which moves no money. Start reading at [`grant`].

mod grant;
pub mod jobs;
mod rules;
pub(crate) mod store;
mod upkeep;

use sluice_domain::{AccountId, Epoch, LeaseId, NodeId, Quota};

pub use grant::grant;
pub use rules::Refused;
pub use upkeep::{Greeting, greet, renew, take_returns};

/// How long a relay may use a lease after asking for it, in milliseconds.
pub const LIFE_MILLIS: i64 = 600_000;
/// What the control plane waits beyond that before it doubts a lease, for clocks and messages under way.
pub const GRACE_MILLIS: i64 = 30_000;
/// How long a lease stays in doubt before its remainder goes back.
pub const IN_DOUBT_HOLD_MILLIS: i64 = 3_600_000;

/// A relay in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// The relay.
    pub node: NodeId,
    /// The life.
    pub epoch: Epoch,
}

/// A relay asks for money of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who asks.
    pub life: Life,
    /// Unique within that life: asking again gets the same grant.
    pub grant_seq: i64,
    /// The account.
    pub account: AccountId,
    /// At least this much, or nothing.
    pub need: Quota,
    /// Better this much.
    pub want: Quota,
}

/// Money that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The number of the request.
    pub grant_seq: i64,
    /// The lease.
    pub lease: LeaseId,
    /// The account.
    pub account: AccountId,
    /// How much.
    pub amount: Quota,
    /// The account runs low.
    pub low: bool,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Here it is.
    Granted(Granted),
    /// No.
    Refused(Refused),
    /// It was granted before, and that lease is closed by now: forget it, and ask under a new number.
    Closed(LeaseId),
}

/// What a lease is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In use.
    Open,
    /// Its relay was lost.
    InDoubt,
    /// Over: what was left went back.
    Closed,
}

impl State {
    /// The word kept in `leases.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InDoubt => "in_doubt",
            Self::Closed => "closed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::InDoubt, Self::Closed].into_iter().find(|state| state.as_str() == word)
    }
}
