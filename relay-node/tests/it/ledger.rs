//! A stand-in for the control plane's ledger: balances, and grants from them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sluice_billing::lease::{Grant, Verdict};
use sluice_domain::{AccountId, LeaseId, Quota};
use sluice_relay_node::quota::{Demand, Quotas, Refused};
use tokio::sync::mpsc;

/// Balances by account. An account without one does not exist; a frozen one refuses everything.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    balances: HashMap<AccountId, i64>,
    frozen: Vec<AccountId>,
    is_away: bool,
    is_low: bool,
    leases: i64,
}

impl Ledger {
    pub fn credit(&self, account: i64, units: i64) {
        *self.0.lock().balances.entry(AccountId::new(account)).or_default() += units;
    }

    pub fn freeze(&self, account: i64) {
        self.0.lock().frozen.push(AccountId::new(account));
    }

    /// Says of every balance that it is low.
    pub fn run_low(&self) {
        self.0.lock().is_low = true;
    }

    /// Answers nothing from here on.
    pub fn go_away(&self) {
        self.0.lock().is_away = true;
    }

    /// Answers what a relay asks for, until the relay is gone.
    pub async fn serve(self, quotas: Quotas, mut demands: mpsc::Receiver<Demand>) {
        while let Some(demand) = demands.recv().await {
            match self.decide(demand) {
                Some(Ok(grant)) => quotas.granted(grant),
                Some(Err(verdict)) => quotas.refused(Refused { grant_seq: demand.grant_seq, verdict }),
                None => {}
            }
        }
    }

    fn decide(&self, demand: Demand) -> Option<Result<Grant, Verdict>> {
        let mut state = self.0.lock();
        if state.is_away {
            return None;
        }
        if state.frozen.contains(&demand.account) {
            return Some(Err(Verdict::Frozen));
        }
        let Some(balance) = state.balances.get_mut(&demand.account) else { return Some(Err(Verdict::UnknownAccount)) };
        // The need exactly: a test that counts money must know where it is. Who makes do with less gets all there is.
        let (need, wish) = (demand.need.get(), if demand.up_to_want { demand.want } else { demand.need });
        let amount = wish.get().min(*balance);
        if need > *balance || amount <= 0 {
            return Some(Err(Verdict::Exhausted { need: demand.need }));
        }
        *balance -= amount;
        state.leases += 1;
        Some(Ok(Grant {
            grant_seq: demand.grant_seq,
            lease: LeaseId::new(state.leases),
            account: demand.account,
            amount: Quota::clamped(amount),
            life_millis: 600_000,
            low: state.is_low,
        }))
    }
}
