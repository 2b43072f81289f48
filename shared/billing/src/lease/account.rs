//! One account's leases on this node.

use std::collections::HashSet;

use sluice_domain::{AccountId, LeaseId, Quota};
use smallvec::SmallVec;

use super::ended::Ended;
use super::spend::SpendRate;
use super::terms::{Closing, Grant, HeldLease, Hold, Inherited, Returned, Settlement, Verdict};
use super::times::Terms;

/// Amounts always obey `granted = free + reserved + charged + returned`, and none is below zero.
#[derive(Debug)]
pub(super) struct Lease {
    id: LeaseId,
    granted: Quota,
    free: Quota,
    reserved: Quota,
    charged: Quota,
    returned: Quota,
    life_millis: u64,
    expires_at: u64,
    used_at: u64,
    renewal_asked: Option<RenewalAsked>,
    /// Granted from a low balance: what is left after its request is needed elsewhere.
    is_low: bool,
    is_closing: bool,
}

#[derive(Debug, Clone, Copy)]
struct RenewalAsked {
    first: u64,
    last: u64,
}

impl Lease {
    const fn is_usable(&self, now: u64) -> bool {
        !self.is_closing && now < self.expires_at
    }

    fn reserve(&mut self, amount: Quota, now: u64) {
        self.free = self.free.saturating_minus(amount);
        self.reserved = self.reserved.saturating_plus(amount);
        self.used_at = now;
    }

    fn unreserve(&mut self, amount: Quota, now: u64) {
        self.reserved = self.reserved.saturating_minus(amount);
        self.free = self.free.saturating_plus(amount);
        self.used_at = now;
    }

    /// Pays from its free money, which covers it.
    fn pay(&mut self, amount: Quota, now: u64) {
        self.free = self.free.saturating_minus(amount);
        self.charged = self.charged.saturating_plus(amount);
        self.used_at = now;
    }

    /// Gives back at most so much of its free money, and says how much.
    fn give_back(&mut self, most: Quota) -> Quota {
        let part = most.min(self.free);
        self.free = self.free.saturating_minus(part);
        self.returned = self.returned.saturating_plus(part);
        part
    }

    /// What there is to say about what it gave back.
    const fn said(&self) -> Returned {
        Returned { lease: self.id, total: self.returned }
    }

    const fn is_finished(&self, now: u64) -> bool {
        self.reserved.is_zero() && (self.free.is_zero() || !self.is_usable(now))
    }

    /// Whether to ask for more life: a tenth of it is over and it is in use. So nine tenths are left when nobody can be asked any more.
    const fn is_renewal_due(&self, terms: &Terms, idle_millis: u64, now: u64) -> bool {
        let is_used = !self.reserved.is_zero() || now.saturating_sub(self.used_at) < idle_millis;
        let has_begun = self.expires_at.saturating_sub(now) <= self.life_millis - self.life_millis / 10;
        let is_asked = matches!(self.renewal_asked, Some(asked) if now.saturating_sub(asked.last) < terms.renew_again_millis);
        self.is_usable(now) && is_used && has_begun && !is_asked
    }
}

#[derive(Debug, Default)]
pub(super) struct Account {
    /// Oldest first: they are used in this order, so that old ones end and can close.
    leases: Vec<Lease>,
    ended: Ended,
    spend: SpendRate,
    is_low: bool,
    /// When a grant said last whether the balance is low.
    judged_at: Option<u64>,
    /// What the control plane said last, and until when it holds.
    verdict: Option<(Verdict, u64)>,
    /// The request under way with the largest need.
    pub(super) asked: Option<i64>,
    /// Needs of those who wait for that request, beyond its own.
    pub(super) waiting: Quota,
    pub(super) seen_at: u64,
    /// The last recall.
    recall: Option<Recall>,
}

/// Money of an account that was asked back.
#[derive(Debug, Clone, Copy)]
struct Recall {
    seq: i64,
    /// Until when it counts for leases that are still on their way.
    until: u64,
    /// It was said of every lease what it gives back.
    is_answered: bool,
}

impl Account {
    pub(super) fn verdict_at(&self, now: u64) -> Option<Verdict> {
        self.verdict.filter(|(_, until)| now < *until).map(|(verdict, _)| verdict)
    }

    pub(super) const fn judge(&mut self, verdict: Verdict, until: u64) {
        self.verdict = Some((verdict, until));
        self.waiting = Quota::ZERO;
    }

    pub(super) const fn forget_verdict(&mut self) {
        self.verdict = None;
        if self.is_low {
            self.judged_at = None;
        }
    }

    /// Whether the balance behind it is low. `None` when nobody said, or when it was low and that is long ago: nothing is granted beyond
    /// a need then, so that no refill would say that it is well again.
    pub(super) fn is_low(&self, terms: &Terms, now: u64) -> Option<bool> {
        // a refill that was refused says nothing about needs
        if matches!(self.verdict_at(now), Some(Verdict::Exhausted { need }) if need < Quota::MAX) {
            return Some(true);
        }
        let judged_at = self.judged_at?;
        let is_old = now.saturating_sub(judged_at) >= terms.low_horizon_millis;
        (!self.is_low || !is_old).then_some(self.is_low)
    }

    pub(super) fn add(&mut self, grant: &Grant, asked_at: u64) {
        self.leases.push(Lease {
            id: grant.lease,
            granted: grant.amount,
            free: grant.amount,
            reserved: Quota::ZERO,
            charged: Quota::ZERO,
            returned: Quota::ZERO,
            life_millis: grant.life_millis,
            expires_at: asked_at.saturating_add(grant.life_millis),
            used_at: asked_at,
            renewal_asked: None,
            is_low: grant.low,
            is_closing: false,
        });
        self.is_low = grant.low;
        self.judged_at = Some(asked_at);
        self.outlive_recall(grant.low, asked_at);
        self.verdict = None;
        self.waiting = self.waiting.saturating_minus(grant.amount).max(Quota::ZERO);
        self.seen_at = self.seen_at.max(asked_at);
    }

    /// Somebody made do with what there was: they were told before that it is low.
    pub(super) const fn has_run_low(&mut self) {
        self.is_low = true;
    }

    /// Takes in a lease of an earlier life. One of which nothing is left, or that is over, closes at the next sweep.
    pub(super) fn inherit(&mut self, left: &Inherited, now: u64) {
        let granted = left.granted.max(Quota::ZERO);
        let returned = left.returned.clamp(Quota::ZERO, granted);
        let charged = left.charged.clamp(Quota::ZERO, granted.saturating_minus(returned));
        self.leases.push(Lease {
            id: left.lease,
            granted,
            free: granted.saturating_minus(returned).saturating_minus(charged),
            reserved: Quota::ZERO,
            charged,
            returned,
            life_millis: left.life_millis_left,
            expires_at: now.saturating_add(left.life_millis_left),
            used_at: now,
            renewal_asked: None,
            is_low: false,
            is_closing: false,
        });
        self.seen_at = now;
    }

    /// What can be reserved.
    pub(super) fn free(&self, now: u64) -> Quota {
        self.leases.iter().filter(|lease| lease.is_usable(now)).map(|lease| lease.free).sum()
    }

    /// What to wish for beside a need; zero: nothing. Half of what the horizon takes is the mark for a refill.
    pub(super) fn wish(&mut self, need: Quota, terms: &Terms, now: u64) -> Quota {
        let horizon_millis = if self.is_low { terms.low_horizon_millis } else { terms.horizon_millis };
        let target = self.spend.within(horizon_millis, terms.low_horizon_millis, now);
        let free = self.free(now);
        if need.is_zero() && free.get() >= target.get() / 2 {
            return Quota::ZERO;
        }
        let backlog = need.saturating_plus(self.waiting);
        if need.is_zero() { target.saturating_minus(free) } else { backlog.max(target.saturating_minus(free)) }
    }

    /// Sets money aside, or says what is missing.
    pub(super) fn take(&mut self, id: AccountId, amount: Quota, now: u64, holds: &mut SmallVec<[Hold; 3]>) -> Result<(), Quota> {
        let free = self.free(now);
        if free < amount {
            return Err(amount.saturating_minus(free));
        }
        let mut rest = amount;
        for lease in self.leases.iter_mut().filter(|lease| lease.is_usable(now)) {
            let part = rest.min(lease.free);
            if part.is_positive() {
                lease.reserve(part, now);
                holds.push(Hold { account: id, lease: lease.id, amount: part });
                rest = rest.saturating_minus(part);
            }
        }
        self.seen_at = now;
        Ok(())
    }

    pub(super) fn put_back(&mut self, hold: &Hold, now: u64) {
        if let Some(lease) = self.leases.iter_mut().find(|lease| lease.id == hold.lease) {
            lease.unreserve(hold.amount, now);
        }
    }

    /// Pays `actual`: from the reserved leases oldest first, then from free money of the account, then as debt of the balance.
    pub(super) fn settle(
        &mut self,
        id: AccountId,
        mut holds: SmallVec<[Hold; 3]>,
        actual: Quota,
        now: u64,
        out: &mut Settlement,
    ) {
        holds.sort_by_key(|hold| self.leases.iter().position(|lease| lease.id == hold.lease));
        let mut due = actual.max(Quota::ZERO);
        for hold in &holds {
            let part = due.min(hold.amount);
            self.put_back(hold, now);
            self.pay(id, Some(hold.lease), part, now, out);
            due = due.saturating_minus(part);
        }
        for place in 0..self.leases.len() {
            let Some((lease, free)) = self.leases.get(place).map(|lease| (lease.id, lease.free)) else { break };
            let part = due.min(free);
            self.pay(id, Some(lease), part, now, out);
            due = due.saturating_minus(part);
        }
        self.pay(id, None, due, now, out);
        self.give_up_leftovers(&holds);
        self.seen_at = now;
    }

    /// Remembers spending, for the size of leases to come.
    pub(super) fn spent(&mut self, amount: Quota, terms: &Terms, now: u64) {
        self.spend.spent(amount, terms.low_horizon_millis, now);
    }

    /// What is left of leases from a low balance goes back at once: another relay may be waiting for it.
    fn give_up_leftovers(&mut self, holds: &[Hold]) {
        let is_held = |lease: &Lease| holds.iter().any(|hold| hold.lease == lease.id);
        for lease in self.leases.iter_mut().filter(|lease| lease.is_low && lease.reserved.is_zero()) {
            lease.is_closing |= is_held(lease);
        }
    }

    /// Charges a lease. One that is not here any more was voided: usage on it is charged all the same, the ledger takes it as late.
    fn pay(&mut self, id: AccountId, lease: Option<LeaseId>, amount: Quota, now: u64, out: &mut Settlement) {
        if amount.is_zero() {
            return;
        }
        let held = self.leases.iter_mut().find(|held| Some(held.id) == lease);
        let debt = if held.is_some() { Quota::ZERO } else { amount };
        if let Some(held) = held {
            held.pay(amount, now);
        }
        out.charge(id, lease, amount, debt);
    }

    /// Takes out the leases that are used up, over or to be closed, and have nothing set aside.
    pub(super) fn close_finished(&mut self, id: AccountId, now: u64, mut close: impl FnMut(Closing)) {
        self.ended.forget_old(now);
        for mut lease in self.leases.extract_if(.., |lease| lease.is_finished(now)) {
            let left = lease.give_back(Quota::MAX);
            self.ended.add(lease.said(), now);
            if let Some(recall) = self.recall.as_mut().filter(|_| left.is_positive()) {
                recall.is_answered = false;
            }
            close(Closing { account: id, lease: lease.id });
        }
    }

    /// What was asked back last, while what becomes free still goes back for it: as long as there is a lease, and a moment longer for one
    /// that was on its way. Requests that run may free something long after whoever was short of it was refused.
    pub(super) fn recall_at(&self, now: u64) -> Option<i64> {
        self.recall_in_force(now).map(|recall| recall.seq)
    }

    fn recall_in_force(&self, now: u64) -> Option<Recall> {
        self.recall.filter(|recall| now < recall.until || !self.leases.is_empty())
    }

    /// Whether something is to be said to a recall: it was not answered yet, or there is something more to give back.
    pub(super) fn owes_answer(&self, now: u64) -> bool {
        self.recall_in_force(now).is_some_and(|recall| !recall.is_answered || self.free(now).is_positive())
    }

    /// Everything was said to the recall for now.
    pub(super) const fn answered(&mut self) {
        if let Some(recall) = &mut self.recall {
            recall.is_answered = true;
        }
    }

    /// A lease came that was asked for after a recall: nobody is short any more when there is enough, and a new lease is not what was
    /// asked back.
    fn outlive_recall(&mut self, is_low: bool, asked_at: u64) {
        let is_first = self.leases.len() <= 1;
        let Some(recall) = &mut self.recall else { return };
        // it speaks for this one, too
        recall.is_answered = false;
        if asked_at >= recall.until && (is_first || !is_low) {
            self.recall = None;
        }
    }

    pub(super) fn recall(&mut self, seq: i64, until: u64) {
        let seq = self.recall.map_or(seq, |known| known.seq.max(seq));
        self.recall = Some(Recall { seq, until, is_answered: false });
    }

    /// Gives back everything that is free, but for so much of what can be reserved. Says how much that was.
    pub(super) fn give_back(&mut self, kept: Quota, now: u64) -> Quota {
        let mut given = self.give_up_stranded(now);
        let mut most = self.free(now).saturating_minus(kept).max(Quota::ZERO);
        // from the newest: the oldest are to be used up
        for lease in self.leases.iter_mut().rev().filter(|lease| lease.is_usable(now)) {
            let part = lease.give_back(most);
            most = most.saturating_minus(part);
            given = given.saturating_plus(part);
        }
        given
    }

    /// Gives back what can neither be reserved nor closed yet, because a running request has a part of the same lease.
    pub(super) fn give_up_stranded(&mut self, now: u64) -> Quota {
        let stranded = |lease: &&mut Lease| !lease.is_usable(now) && !lease.reserved.is_zero();
        self.leases.iter_mut().filter(stranded).map(|lease| lease.give_back(Quota::MAX)).sum()
    }

    /// The totals of what was given back of the leases held.
    pub(super) fn returned(&self) -> impl Iterator<Item = Returned> {
        self.leases.iter().map(Lease::said).filter(|returned| returned.total.is_positive())
    }

    /// The leases that an answer to a recall speaks for, with what was given back of each: those held, and those that closed lately.
    pub(super) fn spoken_for(&self) -> impl Iterator<Item = Returned> {
        self.leases.iter().map(Lease::said).chain(self.ended.iter())
    }

    pub(super) fn ends_are_settled(&mut self, leases: &HashSet<LeaseId>) {
        self.ended.settled(leases);
    }

    pub(super) fn forget_leases(&mut self) {
        self.leases.clear();
        self.ended.clear();
    }

    pub(super) fn mark_idle(&mut self, terms: &Terms, now: u64) {
        let idle_millis = self.idle_millis(terms);
        for lease in &mut self.leases {
            lease.is_closing |= lease.reserved.is_zero() && now.saturating_sub(lease.used_at) >= idle_millis;
        }
    }

    pub(super) fn mark_all(&mut self) {
        for lease in &mut self.leases {
            lease.is_closing = true;
        }
    }

    const fn idle_millis(&self, terms: &Terms) -> u64 {
        if self.is_low { terms.low_idle_millis } else { terms.idle_millis }
    }

    pub(super) fn due_renewals(&mut self, terms: &Terms, now: u64, mut ask: impl FnMut(LeaseId)) {
        let idle_millis = self.idle_millis(terms);
        for lease in self.leases.iter_mut().filter(|lease| lease.is_renewal_due(terms, idle_millis, now)) {
            let first = lease.renewal_asked.map_or(now, |asked| asked.first);
            lease.renewal_asked = Some(RenewalAsked { first, last: now });
            ask(lease.id);
        }
    }

    /// Life counts from the first request that was not answered: the answer may be to that one.
    pub(super) fn renewed(&mut self, id: LeaseId, life_millis: u64) {
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.id == id) else { return };
        let Some(asked) = lease.renewal_asked.take() else { return };
        lease.life_millis = life_millis;
        lease.expires_at = lease.expires_at.max(asked.first.saturating_add(life_millis));
    }

    pub(super) fn void(&mut self, id: LeaseId) {
        self.leases.retain(|lease| lease.id != id);
    }

    /// Whether nothing would be lost by forgetting the account.
    pub(super) fn is_blank(&self, terms: &Terms, now: u64) -> bool {
        let is_quiet = now.saturating_sub(self.seen_at) >= terms.idle_millis;
        let is_answered = self.verdict_at(now).is_none() && self.recall_at(now).is_none();
        self.leases.is_empty() && self.ended.is_empty() && self.asked.is_none() && is_answered && is_quiet
    }

    pub(super) fn held(&self, account: AccountId) -> impl Iterator<Item = HeldLease> {
        self.leases.iter().map(move |lease| HeldLease {
            lease: lease.id,
            account,
            granted: lease.granted,
            free: lease.free,
            reserved: lease.reserved,
            charged: lease.charged,
            returned: lease.returned,
            expires_at: lease.expires_at,
        })
    }
}
