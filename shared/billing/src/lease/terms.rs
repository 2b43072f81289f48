//! The words of the lease book: what goes in and what comes out.

use sluice_domain::{AccountId, LeaseId, Quota, UserId};
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
    /// The caller makes do with whatever there is between the two: it is worth the last unit of the account.
    pub up_to_want: bool,
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
    /// The lease. `None`: no money here covers it, so the balance pays, which blocks the account as soon as it is settled.
    pub lease: Option<LeaseId>,
    /// How much, debt included.
    pub amount: Quota,
    /// The part of it that no money here covered.
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

/// To send: everything that was given back of one lease so far. Saying it twice gives it back once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// The lease.
    pub lease: LeaseId,
    /// What was given back in its whole life.
    pub total: Quota,
}

/// To send: what a relay gives back of an account, in answer to a recall or of its own accord.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "money that was given back here has to be said"]
pub struct GivenBack {
    /// Totals of every lease of the account, held or closed lately, of which something was given back.
    pub returns: Vec<Returned>,
    /// The recall it answers.
    pub recalled: Option<Recalled>,
    /// To record: leases that ended with it.
    pub closings: SmallVec<[Closing; 2]>,
    /// Those who wait here go on waiting, for their whole need.
    pub again: Option<GrantRequest>,
}

/// Nothing of these leases is free that nobody here waits for, beyond what is given back in the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// The account.
    pub account: AccountId,
    /// The recall that is answered.
    pub recall_seq: i64,
    /// Every lease of the account held here, and those that closed here lately.
    pub leases: Vec<LeaseId>,
}

/// A lease that an earlier life of this relay left behind, as its journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited {
    /// The lease.
    pub lease: LeaseId,
    /// Its account.
    pub account: AccountId,
    /// The user whose account it is: all accounts of a user are kept in one book.
    pub owner: UserId,
    /// What it was granted.
    pub granted: Quota,
    /// What was given back of it.
    pub returned: Quota,
    /// What finished requests charged to it, and what cut-off ones had set aside.
    pub charged: Quota,
    /// What is left of its life.
    pub life_millis_left: u64,
}

/// Somebody who waits for money, as the book knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiter(pub(super) u64);

/// A lease as it stands: `granted = free + reserved + charged + returned`.
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
    /// What it paid.
    pub charged: Quota,
    /// What was given back of it.
    pub returned: Quota,
    /// End of its life, in milliseconds since the machine started.
    pub expires_at: u64,
}
