//! Money moved in sets, for leases and settlement: many accounts in one statement, sums made by the database.

mod store;

use std::collections::BTreeMap;

use sluice_domain::{AccountId, UserId};

pub use store::{lock, wallets, write, write_charges};

/// An account as it is while this transaction holds its lock. Amounts are quota units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedAccount {
    /// Its id.
    pub id: AccountId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// The id of its owner: a user for a wallet, a token for a cap.
    pub owner_id: i64,
    /// Whether it is a wallet, else a cap.
    pub is_wallet: bool,
    /// Free to be leased.
    pub balance: i64,
    /// How far below zero leases may take it.
    pub credit_limit: i64,
    /// Open remainders of its leases.
    pub leased: i64,
    /// Remainders of its leases in doubt.
    pub in_doubt: i64,
    /// Whether nothing may be leased.
    pub frozen: bool,
    /// Grows with every change.
    pub rev: i64,
}

impl LockedAccount {
    /// What may be leased at most.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.balance.saturating_add(self.credit_limit)
    }

    /// The sum of its ledger.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.balance.saturating_add(self.leased).saturating_add(self.in_doubt)
    }

    /// As it will be after a shift.
    pub const fn apply(&mut self, shift: &Shift) {
        self.balance = self.balance.saturating_add(shift.balance);
        self.leased = self.leased.saturating_add(shift.leased);
        self.in_doubt = self.in_doubt.saturating_add(shift.in_doubt);
    }
}

/// What is added to the columns of one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    /// To the balance.
    pub balance: i64,
    /// To what is leased.
    pub leased: i64,
    /// To what is in doubt.
    pub in_doubt: i64,
    /// To what charges took.
    pub spent: i64,
}

impl Shift {
    /// Both, one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            balance: self.balance.saturating_add(other.balance),
            leased: self.leased.saturating_add(other.leased),
            in_doubt: self.in_doubt.saturating_add(other.in_doubt),
            spent: self.spent.saturating_add(other.spent),
        }
    }

    const fn is_nothing(&self) -> bool {
        self.balance == 0 && self.leased == 0 && self.in_doubt == 0 && self.spent == 0
    }
}

/// Shifts of several accounts, in order of their ids.
pub type Shifts = BTreeMap<AccountId, Shift>;

/// Adds to the shift of one account.
pub fn add(shifts: &mut Shifts, account: AccountId, shift: Shift) {
    let entry = shifts.entry(account).or_default();
    *entry = entry.plus(shift);
}

/// A charge of the ledger: what one account paid for a batch of usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeRow {
    /// The account.
    pub account: AccountId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// What it paid.
    pub amount: i64,
    /// Its total after it.
    pub total_after: i64,
    /// Names the batch and the account.
    pub reference: String,
}
