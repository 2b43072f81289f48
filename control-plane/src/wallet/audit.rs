//! Whether the money adds up: asked by tests after every story, and by whoever doubts it in production.

mod store;

use sluice_domain::AccountId;

pub use store::imbalances;

/// An account whose figures contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// The account.
    pub account: AccountId,
    /// What it should be worth: the sum of its ledger.
    pub ledger: i64,
    /// What it is worth: balance, leased and in doubt together.
    pub total: i64,
    /// What is leased by its own count, and by its open leases.
    pub leased: (i64, i64),
    /// What is in doubt by its own count, and by its leases in doubt.
    pub in_doubt: (i64, i64),
}

impl Imbalance {
    const fn is_none(&self) -> bool {
        self.ledger == self.total && self.leased.0 == self.leased.1 && self.in_doubt.0 == self.in_doubt.1
    }
}
