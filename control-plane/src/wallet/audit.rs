//! Whether the money adds up: asked by tests after every story, and by the reconciler all the time.

mod store;

use sluice_domain::AccountId;

pub use store::{Slice, checked, imbalances, note};

/// An account whose figures contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// The account.
    pub account: AccountId,
    /// What it should be worth: the sum of its ledger.
    pub ledger: i64,
    /// What it is worth: balance, leased and in doubt together.
    pub total: i64,
    /// What is leased by its own count, and by its open leases. It may be below zero while a lease that paid more than it held is open
    /// (ruling R4).
    pub leased: (i64, i64),
    /// What is in doubt by its own count, and by its leases in doubt.
    pub in_doubt: (i64, i64),
    /// What was spent by its own count, and by the charges in its ledger.
    pub spent: (i64, i64),
}

impl Imbalance {
    /// By how much, all differences together; 0: not at all.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.ledger
            .abs_diff(self.total)
            .saturating_add(self.leased.0.abs_diff(self.leased.1))
            .saturating_add(self.in_doubt.0.abs_diff(self.in_doubt.1))
            .saturating_add(self.spent.0.abs_diff(self.spent.1))
    }
}
