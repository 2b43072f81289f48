//! The sums of one settlement: what each account pays and each lease loses. Pure; nothing is written here.

use std::collections::{BTreeMap, BTreeSet};

use sluice_domain::{AccountId, LeaseCharge, LeaseId, NodeId, Quota};

use crate::leases::State;
use crate::leases::jobs::transition;
use crate::leases::store::Lease;
use crate::wallet::moves::{self, Shift, Shifts};

/// Accounts and leases while their locks are held, and what is to be written.
#[derive(Debug)]
pub struct Tally {
    node: NodeId,
    leases: BTreeMap<LeaseId, Lease>,
    settled: BTreeMap<LeaseId, i64>,
    closed: BTreeSet<LeaseId>,
    doubted: BTreeSet<LeaseId>,
    richer: BTreeSet<AccountId>,
    shifts: Shifts,
    charged: BTreeMap<AccountId, i64>,
    late: u64,
}

impl Tally {
    /// Nothing charged yet. `leases` are all that the batch may name.
    #[must_use]
    pub fn new(node: NodeId, leases: BTreeMap<LeaseId, Lease>) -> Self {
        Self {
            node,
            leases,
            settled: BTreeMap::new(),
            closed: BTreeSet::new(),
            doubted: BTreeSet::new(),
            richer: BTreeSet::new(),
            shifts: Shifts::new(),
            charged: BTreeMap::new(),
            late: 0,
        }
    }

    /// Charges one account of a request's chain. The relay said which leases pay what; where the price differs from their sum, the
    /// last of them pays the difference, and without any the balance does.
    pub fn charge(&mut self, account: AccountId, price: Quota, said: &[LeaseCharge], are_leases_ours: bool) {
        let own: Vec<&LeaseCharge> = said.iter().filter(|charge| charge.account_id == account).collect();
        let mut left = price.get();
        for (place, charge) in own.iter().enumerate() {
            let is_last = place + 1 == own.len();
            let part = if is_last { left } else { charge.amount.get().min(left) };
            self.charge_lease(account, charge.lease_id, part, are_leases_ours);
            left -= part;
        }
        if left > 0 {
            self.charge_balance(account, left);
        }
        if !price.is_zero() {
            *self.charged.entry(account).or_default() += price.get();
        }
    }

    fn charge_lease(&mut self, account: AccountId, lease: LeaseId, amount: i64, are_leases_ours: bool) {
        if amount == 0 {
            return;
        }
        // the relay had no lease of the account any more
        if lease.get() == 0 {
            return self.charge_balance(account, amount);
        }
        let known = self.leases.get_mut(&lease).filter(|lease| {
            are_leases_ours && lease.account == account && lease.life.node == self.node && lease.state != State::Closed
        });
        let Some(known) = known else {
            self.late += 1;
            return self.charge_balance(account, amount);
        };
        known.settled += amount;
        *self.settled.entry(lease).or_default() += amount;
        let shift = match known.state {
            State::InDoubt => Shift { in_doubt: -amount, spent: amount, ..Shift::default() },
            _ => Shift { leased: -amount, spent: amount, ..Shift::default() },
        };
        moves::add(&mut self.shifts, account, shift);
    }

    fn charge_balance(&mut self, account: AccountId, amount: i64) {
        moves::add(&mut self.shifts, account, Shift { balance: -amount, spent: amount, ..Shift::default() });
    }

    /// Closes a lease: what is left of it goes back, and what was charged beyond it becomes debt. A closed or unknown one stays so.
    pub fn close(&mut self, lease: LeaseId) {
        let Some(known) = self.leases.get_mut(&lease) else { return };
        if known.state == State::Closed || known.life.node != self.node {
            return;
        }
        moves::add(&mut self.shifts, known.account, transition(known.state, State::Closed, known.remainder()));
        if known.remainder() > 0 {
            self.richer.insert(known.account);
        }
        known.state = State::Closed;
        self.closed.insert(lease);
    }

    /// Puts an open lease in doubt: what of it was used is not known.
    pub fn doubt(&mut self, lease: LeaseId) {
        let Some(known) = self.leases.get_mut(&lease) else { return };
        if known.state != State::Open || known.life.node != self.node {
            return;
        }
        moves::add(&mut self.shifts, known.account, transition(State::Open, State::InDoubt, known.remainder()));
        known.state = State::InDoubt;
        self.doubted.insert(lease);
    }

    /// What is to be written.
    #[must_use]
    pub fn finish(self) -> Sums {
        Sums {
            shifts: self.shifts,
            charged: self.charged,
            settled: self.settled.into_iter().map(|(lease, amount)| (lease, amount, 0)).collect(),
            closed: self.closed.into_iter().collect(),
            doubted: self.doubted.into_iter().collect(),
            richer: self.richer.into_iter().collect(),
            late: self.late,
        }
    }
}

/// What a settlement writes about money.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Changes of accounts.
    pub shifts: Shifts,
    /// What each account paid, for the ledger.
    pub charged: BTreeMap<AccountId, i64>,
    /// What was charged to each lease; nothing is returned here.
    pub settled: Vec<(LeaseId, i64, i64)>,
    /// Leases that are over.
    pub closed: Vec<LeaseId>,
    /// Leases that are in doubt from now on.
    pub doubted: Vec<LeaseId>,
    /// Accounts to which they gave something back.
    pub richer: Vec<AccountId>,
    /// Charges that named a lease which was over.
    pub late: u64,
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
