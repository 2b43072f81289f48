//! The words of the lease book: what goes in and what comes out.

use sluice_domain::{AccountId, LeaseId, Quota};
use smallvec::SmallVec;

/// An amount asked of, or charged to, one account. Below zero counts as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The account.
    pub account: AccountId,
    /// The amount.
    pub amount: Quota,
}

/// Money set aside for one request, in leases of every account of its chain. Give it back to the book that made it: settle or release.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "money stays set aside until the reservation is settled or released"]
pub struct Reservation {
    pub(super) holds: SmallVec<[Hold; 3]>,
}

impl Reservation {
    /// Every part: so much of this lease of that account.
    pub fn parts(&self) -> impl Iterator<Item = (AccountId, LeaseId, Quota)> {
        self.holds.iter().map(|hold| (hold.account, hold.lease, hold.amount))
    }

    /// What is set aside on one account.
    #[must_use]
    pub fn on(&self, account: AccountId) -> Quota {
        self.holds.iter().filter(|hold| hold.account == account).map(|hold| hold.amount).sum()
    }
}

/// A part of a reservation: so much of one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) account: AccountId,
    pub(super) lease: LeaseId,
    pub(super) amount: Quota,
}

/// Why nothing was reserved: every account that has too little here. Ask for what is missing, unless there is a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the leases held here do not cover the request")]
pub struct Shortage {
    /// The accounts that are short, in the order of the chain.
    pub accounts: SmallVec<[Missing; 2]>,
}

/// One account that is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The account.
    pub account: AccountId,
    /// What is missing: the need to ask for.
    pub amount: Quota,
    /// The control plane's answer to this need, if it is known already: asking again is no use yet.
    pub verdict: Option<Verdict>,
}

/// Why the control plane grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The account cannot pay this much or more.
    Exhausted {
        /// The need that was refused.
        need: Quota,
    },
    /// The account is frozen.
    Frozen,
    /// There is no such account.
    UnknownAccount,
    /// It could not be found out. Never a verdict about money.
    Unavailable,
}

impl Verdict {
    /// Whether asking for this need would get the same answer. A refill, a need of zero, waits for every verdict.
    pub(super) fn answers(self, need: Quota) -> bool {
        match self {
            Self::Exhausted { need: refused } => need.is_zero() || need >= refused,
            Self::Frozen | Self::UnknownAccount | Self::Unavailable => true,
        }
    }
}

/// To send: asks the control plane for money of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantRequest {
    /// Unique within the life of this relay; asked again, it gets the same grant.
    pub grant_seq: i64,
    /// The account.
    pub account: AccountId,
    /// At least this much, or nothing. Zero is a refill.
    pub need: Quota,
    /// Better this much.
    pub want: Quota,
}

/// Received: money of one account, taken from its balance and handed to this relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The request it answers.
    pub grant_seq: i64,
    /// The lease.
    pub lease: LeaseId,
    /// The account.
    pub account: AccountId,
    /// How much.
    pub amount: Quota,
    /// How long it may be used, in milliseconds, counted from when it was asked for.
    pub life_millis: u64,
    /// The balance is low: size by the minute, return soon.
    pub low: bool,
}

/// To record: what one lease pays for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The account.
    pub account: AccountId,
    /// The lease. `None` only if the account has none here; the balance then pays.
    pub lease: Option<LeaseId>,
    /// How much, debt included.
    pub amount: Quota,
    /// The part of it that no money here covered: it becomes debt of the account when the lease closes.
    pub debt: Quota,
}

/// To record, after every charge to it: this lease is used no more. The ledger knows what remains of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The account.
    pub account: AccountId,
    /// The lease.
    pub lease: LeaseId,
}

/// What settling a reservation leads to: record the charges, then the closings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "charges and closings have to be recorded"]
pub struct Settlement {
    /// What each lease pays. Per account they add up to the actual amount.
    pub charges: SmallVec<[Charge; 3]>,
    /// Leases that ended with this request.
    pub closings: SmallVec<[Closing; 2]>,
}

impl Settlement {
    /// Everything that no money here covered.
    #[must_use]
    pub fn debt(&self) -> Quota {
        self.charges.iter().map(|charge| charge.debt).sum()
    }

    pub(super) fn charge(&mut self, account: AccountId, lease: Option<LeaseId>, amount: Quota, debt: Quota) {
        if amount.is_zero() {
            return;
        }
        let known = self.charges.iter_mut().find(|charge| charge.lease == lease && charge.account == account);
        match known {
            Some(charge) => {
                charge.amount = charge.amount.saturating_plus(amount);
                charge.debt = charge.debt.saturating_plus(debt);
            }
            None => self.charges.push(Charge { account, lease, amount, debt }),
        }
    }
}

/// A lease as it stands: `granted = free + reserved + charged − debt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// The lease.
    pub lease: LeaseId,
    /// The account.
    pub account: AccountId,
    /// What it started with.
    pub granted: Quota,
    /// What can still be reserved, while it lives.
    pub free: Quota,
    /// What is set aside for running requests.
    pub reserved: Quota,
    /// What it paid, debt included.
    pub charged: Quota,
    /// What it paid beyond its money.
    pub debt: Quota,
    /// End of its life, in milliseconds since the machine started.
    pub expires_at: u64,
}
