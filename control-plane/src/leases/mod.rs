//! Money handed to relays: grants, returns, renewals, closings.
//!
//! A lease is taken from the account first and handed out after the commit, so the same unit is never in two places. Whoever changes a
//! lease holds the lock of its account; the one exception is its expiry, which moves no money. Start reading at [`grant`].
//!
//! An account that cannot pay a need may have money at other relays that nobody uses there. Then the answer waits: a recall goes to every
//! relay, each gives back what it can and says so, and only when all that could matter have answered is the account exhausted.

mod api;
pub(crate) mod desk;
mod doubted;
mod grant;
mod history;
pub mod jobs;
mod recall;
pub(crate) mod rules;
pub(crate) mod store;
mod upkeep;

use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, Epoch, LeaseId, NodeId, Quota};

pub use api::routes;
pub use doubted::{Doubted, InDoubt, Released, count_in_doubt, in_doubt, release};
pub use grant::grant;
pub use history::{Begun, Proof, begin_history};
pub use recall::{Said, recall, take_back};
pub use rules::Refused;
pub use upkeep::{Greeting, greet, renew};

/// How long a lease may be used, as the database counts.
pub(crate) fn life_millis(terms: &Terms) -> i64 {
    i64::try_from(terms.life_millis).unwrap_or(i64::MAX)
}

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
    /// Whatever there is between the two will do, the last unit included.
    pub up_to_want: bool,
}

/// An [`Ask`], and how far its wait has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What is asked.
    pub ask: Ask,
    /// The recall it waits for. `None`: nothing was asked back yet. Leases that answered it or a later one have nothing more to give.
    pub recall_seq: Option<i64>,
    /// It has waited long enough: what is not known by now is not known.
    pub is_over: bool,
}

impl Pending {
    /// One that just came.
    #[must_use]
    pub const fn new(ask: Ask) -> Self {
        Self { ask, recall_seq: None, is_over: false }
    }
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
    /// Relays may have what is missing: ask it back, and look again.
    Waits {
        /// Revision of the account this is true of.
        rev: i64,
    },
    /// It waited, and some relay that may have what is missing did not answer. Not a verdict about money.
    Unknown,
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
