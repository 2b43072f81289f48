//! Giving money back before its lease ends, and taking over what an earlier life left.
//!
//! When an account cannot pay a need, the control plane asks every relay for what nobody uses. What is free here goes back, except what
//! those who wait here are about to reserve: otherwise two starved relays would take the same money from each other for ever. One who
//! waits holds the accounts of the chain in order, up to the first that is short, and nothing behind it. So of two that wait for the
//! same two accounts one always gets both.

use std::collections::HashSet;

use sluice_domain::{AccountId, LeaseId, Quota};
use smallvec::SmallVec;

use super::terms::{Claim, Closing, GivenBack, GrantRequest, Inherited, Recalled, Returned, Waiter};
use super::{Asked, LeaseBook};

impl LeaseBook {
    /// Somebody waits for these amounts, in the order of their chain. To be ended by [`LeaseBook::stop_waiting`].
    #[must_use = "the wait has to be ended"]
    pub fn wait(&mut self, claims: &[Claim]) -> Waiter {
        self.last_waiter += 1;
        let waiter = Waiter(self.last_waiter);
        self.waiters.insert(waiter, claims.iter().copied().collect());
        waiter
    }

    /// They got it, or gave up.
    pub fn stop_waiting(&mut self, waiter: Waiter) {
        self.waiters.remove(&waiter);
    }

    /// What can be reserved on one account.
    #[must_use]
    pub fn available(&self, account: AccountId, now: u64) -> Quota {
        self.accounts.get(&account).map_or(Quota::ZERO, |known| known.free(now))
    }

    /// Whether anything is known of an account here.
    #[must_use]
    pub fn knows(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Money of an account is asked back. Send what [`LeaseBook::give_back`] says, and say it again whenever something of the account
    /// changed and [`LeaseBook::owes_answer`].
    pub fn recall(&mut self, account: AccountId, recall_seq: i64, now: u64) {
        if let Some(known) = self.accounts.get_mut(&account) {
            known.recall(recall_seq, now.saturating_add(self.terms.recall_memory_millis));
        }
    }

    /// Whether what becomes free of an account goes back at once.
    #[must_use]
    pub fn is_recalled(&self, account: AccountId, now: u64) -> bool {
        self.accounts.get(&account).is_some_and(|known| known.recall_at(now).is_some())
    }

    /// Whether there is something to say to a recall.
    #[must_use]
    pub fn owes_answer(&self, account: AccountId, now: u64) -> bool {
        self.accounts.get(&account).is_some_and(|known| known.owes_answer(now))
    }

    /// Gives back what was asked back and nobody here waits for. Without a recall, only says again what was given back.
    pub fn give_back(&mut self, account: AccountId, now: u64) -> GivenBack {
        let claimed = self.claimed(account, now);
        let Some(known) = self.accounts.get_mut(&account) else { return GivenBack::default() };
        let recall_seq = known.recall_at(now);
        let given = if recall_seq.is_some() { known.give_back(claimed, now) } else { Quota::ZERO };
        let mut closings: SmallVec<[Closing; 2]> = SmallVec::new();
        known.close_finished(account, now, |closing| closings.push(closing));
        let mut returns: Vec<Returned> = known.spoken_for().collect();
        let leases = || returns.iter().map(|one| one.lease).collect();
        let recalled = recall_seq.map(|recall_seq| Recalled { account, recall_seq, leases: leases() });
        returns.retain(|one| one.total.is_positive());
        known.answered();
        self.forget_homes(&closings);
        let again = if given.is_positive() { self.ask_anew(account, now) } else { None };
        GivenBack { returns, recalled, closings, again }
    }

    /// Gives back what lies in leases that are over while a running request still has a part of them. Answers the accounts that have
    /// something to say about it: see [`LeaseBook::give_back`].
    #[must_use = "money that was given back has to be said"]
    pub fn give_up_stranded(&mut self, now: u64) -> Vec<AccountId> {
        let gave =
            self.accounts.iter_mut().filter_map(|(id, account)| account.give_up_stranded(now).is_positive().then_some(*id));
        gave.collect()
    }

    /// Everything that was given back of the leases held: to be said again after a reconnect.
    pub fn returned(&self) -> impl Iterator<Item = Returned> {
        self.accounts.values().flat_map(super::account::Account::returned)
    }

    /// The ends of these leases are settled. Until then an answer to a recall names them, too.
    pub fn ends_are_settled(&mut self, leases: &HashSet<LeaseId>) {
        for account in self.accounts.values_mut() {
            account.ends_are_settled(leases);
        }
    }

    /// Takes over what an earlier life of this relay left (ruling R17). What is over or used up closes at the next sweep.
    pub fn restore(&mut self, inherited: impl Iterator<Item = Inherited>, now: u64) {
        for left in inherited {
            if self.homes.insert(left.lease, left.account).is_none() {
                self.accounts.entry(left.account).or_default().inherit(&left, now);
            }
        }
    }

    /// Forgets every lease: the database has another history, where they were never granted (ruling R7). What they reserved is still
    /// charged to them.
    pub fn void_all(&mut self) {
        self.homes.clear();
        for account in self.accounts.values_mut() {
            account.forget_leases();
        }
    }

    /// What those who wait are about to reserve on one account.
    fn claimed(&self, account: AccountId, now: u64) -> Quota {
        let mut free: SmallVec<[(AccountId, Quota); 8]> = SmallVec::new();
        let mut claimed = Quota::ZERO;
        for claims in self.waiters.values().filter(|claims| claims.iter().any(|claim| claim.account == account)) {
            for claim in claims {
                if !free.iter().any(|(known, _)| *known == claim.account) {
                    free.push((claim.account, self.available(claim.account, now)));
                }
                let Some((_, left)) = free.iter_mut().find(|(known, _)| *known == claim.account) else { break };
                if *left < claim.amount {
                    break;
                }
                *left = left.saturating_minus(claim.amount);
                if claim.account == account {
                    claimed = claimed.saturating_plus(claim.amount);
                }
            }
        }
        claimed
    }

    /// Those who wait counted on money that went back: their whole need is asked for.
    fn ask_anew(&mut self, account: AccountId, now: u64) -> Option<GrantRequest> {
        let known = self.accounts.get_mut(&account)?;
        let asked = self.asked.get(&known.asked?)?.request.filter(|request| request.need.is_positive())?;
        let needs = self.waiters.values().flatten().filter(|claim| claim.account == account).map(|claim| claim.amount);
        let need = needs.max()?.max(asked.need);
        self.last_seq += 1;
        let request = GrantRequest { grant_seq: self.last_seq, need, want: asked.want.max(need), ..asked };
        self.asked.insert(self.last_seq, Asked { request: Some(request), first_sent: now, last_sent: now });
        known.asked = Some(self.last_seq);
        Some(request)
    }
}
