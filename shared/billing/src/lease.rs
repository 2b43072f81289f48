//! The relay's lease book: money handed to this node, per account, and what of it is set aside for running requests.
//!
//! Pure: operations take the time (`CLOCK_BOOTTIME`, milliseconds) and return what to send or to record. The life of a request:
//! [`LeaseBook::reserve`] → on a [`Shortage`], [`LeaseBook::want`], send, wait for [`LeaseBook::granted`], reserve again →
//! [`LeaseBook::settle`] or [`LeaseBook::release`]. Once a second: [`LeaseBook::sweep`] and [`LeaseBook::renewals`].
//! After a reconnect: list [`LeaseBook::held`], send [`LeaseBook::outstanding`] again. When the control plane asks money back:
//! [`LeaseBook::recall`], see `recall.rs`. Rules: protocol.md B3 and rulings R1–R4, R17.

mod account;
mod ended;
mod grant;
mod recall;
mod spend;
mod terms;
mod times;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use sluice_domain::{AccountId, LeaseId, Quota};
use smallvec::SmallVec;

use self::account::Account;
pub use self::grant::{LOW_BALANCE_REQUESTS, grant_size, is_low};
use self::terms::Hold;
pub use self::terms::{
    Charge, Claim, Closing, GivenBack, Grant, GrantRequest, HeldLease, Inherited, Missing, Recalled, Reservation, Returned,
    Settlement, Shortage, Verdict, Waiter,
};
pub use self::times::Terms;

/// The leases of one relay.
#[derive(Debug, Default)]
pub struct LeaseBook {
    terms: Terms,
    accounts: HashMap<AccountId, Account>,
    /// Which account a lease is of.
    homes: HashMap<LeaseId, AccountId>,
    /// Requests without an answer, by number.
    asked: BTreeMap<i64, Asked>,
    last_seq: i64,
    is_draining: bool,
    /// Who waits for money, in the order they came, and for how much.
    waiters: BTreeMap<Waiter, SmallVec<[Claim; 3]>>,
    last_waiter: u64,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// `None`: asked together with the identity, the account is not known here.
    request: Option<GrantRequest>,
    first_sent: u64,
    last_sent: u64,
}

impl LeaseBook {
    /// An empty book.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms, ..Self::default() }
    }

    /// The times it goes by.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Sets money aside on every account of a chain, or on none.
    ///
    /// # Errors
    /// When an account has less free money in living leases than claimed.
    pub fn reserve(&mut self, claims: &[Claim], now: u64) -> Result<Reservation, Shortage> {
        let mut reservation = Reservation::default();
        self.extend(&mut reservation, claims, now)?;
        Ok(reservation)
    }

    /// Sets more money aside for a running request, on every account or on none.
    ///
    /// # Errors
    /// When an account has less free money in living leases than claimed; the reservation stays as it is.
    pub fn extend(&mut self, reservation: &mut Reservation, claims: &[Claim], now: u64) -> Result<(), Shortage> {
        let mut holds = SmallVec::new();
        let mut short = SmallVec::new();
        for &Claim { account, amount } in claims.iter().filter(|claim| claim.amount.is_positive()) {
            let (missing, verdict) = match self.accounts.get_mut(&account) {
                Some(known) => (known.take(account, amount, now, &mut holds).err(), known.verdict_at(now)),
                None => (Some(amount), None),
            };
            let verdict = |missing| verdict.filter(|verdict| verdict.answers(missing));
            short.extend(missing.map(|amount| Missing { account, amount, verdict: verdict(amount) }));
        }
        if short.is_empty() {
            reservation.holds.append(&mut holds);
            return Ok(());
        }
        for hold in &holds {
            if let Some(account) = self.accounts.get_mut(&hold.account) {
                account.put_back(hold, now);
            }
        }
        Err(Shortage { accounts: short })
    }

    /// Ends a request: charges the actual amounts and frees the rest.
    ///
    /// An account pays from the reserved leases, oldest first, then from its other free money here. What that does not cover its balance
    /// pays: debt.
    /// Accounts of the reservation that are not in `actual` pay nothing.
    pub fn settle(&mut self, reservation: Reservation, actual: &[Claim], now: u64) -> Settlement {
        let Reservation { holds } = reservation;
        let mut settlement = Settlement::default();
        let mut done: SmallVec<[AccountId; 3]> = SmallVec::new();
        let charged = actual.iter().map(|claim| claim.account);
        for id in holds.iter().map(|hold| hold.account).chain(charged) {
            if done.contains(&id) {
                continue;
            }
            done.push(id);
            let due = actual.iter().filter(|claim| claim.account == id).map(|claim| claim.amount.max(Quota::ZERO)).sum();
            let its_holds: SmallVec<[Hold; 3]> = holds.iter().filter(|hold| hold.account == id).copied().collect();
            let account = self.accounts.entry(id).or_default();
            account.settle(id, its_holds, due, now, &mut settlement);
            account.spent(due, &self.terms, now);
            account.close_finished(id, now, |closing| {
                self.homes.remove(&closing.lease);
                settlement.closings.push(closing);
            });
        }
        settlement
    }

    /// Ends a request that costs nothing: frees everything. Leases that end with it are to be recorded as closed.
    pub fn release(&mut self, reservation: Reservation, now: u64) -> SmallVec<[Closing; 2]> {
        self.settle(reservation, &[], now).closings
    }

    /// Whether the balance behind an account is low, as far as the control plane said so lately. `None`: nobody knows.
    #[must_use]
    pub fn is_low(&self, account: AccountId, now: u64) -> Option<bool> {
        self.accounts.get(&account).and_then(|known| known.is_low(&self.terms, now))
    }

    /// The request to send so that `need` becomes available, or with a need of zero, so that the account does not run dry.
    ///
    /// `None`: nothing to ask; or a request that covers it is under way; or a verdict answers it already; or the relay drains.
    #[must_use = "the request has to be sent"]
    pub fn want(&mut self, account: AccountId, need: Quota, now: u64) -> Option<GrantRequest> {
        self.ask(account, need, None, now)
    }

    /// The request to send so that as much as there is becomes available: at least `least`, better `most`.
    ///
    /// `None`: as for [`LeaseBook::want`].
    #[must_use = "the request has to be sent"]
    pub fn want_up_to(&mut self, account: AccountId, least: Quota, most: Quota, now: u64) -> Option<GrantRequest> {
        self.ask(account, least, Some(most), now)
    }

    fn ask(&mut self, account: AccountId, need: Quota, most: Option<Quota>, now: u64) -> Option<GrantRequest> {
        if self.is_draining {
            return None;
        }
        let need = need.max(Quota::ZERO);
        let known = self.accounts.entry(account).or_default();
        known.seen_at = now;
        if known.verdict_at(now).is_some_and(|verdict| verdict.answers(need)) {
            return None;
        }
        if let Some(asked) = known.asked.and_then(|seq| self.asked.get_mut(&seq)) {
            if now.saturating_sub(asked.last_sent) >= self.terms.ask_again_millis {
                asked.last_sent = now;
                return asked.request;
            }
            if asked.request.is_some_and(|request| need <= request.need && request.up_to_want == most.is_some()) {
                known.waiting = known.waiting.saturating_plus(need);
                return None;
            }
        }
        let want = most.unwrap_or_else(|| known.wish(need, &self.terms, now));
        if want.is_zero() {
            return None;
        }
        self.last_seq += 1;
        let request = GrantRequest { grant_seq: self.last_seq, account, need, want, up_to_want: most.is_some() };
        self.asked.insert(self.last_seq, Asked { request: Some(request), first_sent: now, last_sent: now });
        (known.asked, known.waiting) = (Some(self.last_seq), Quota::ZERO);
        Some(request)
    }

    /// A number for a grant that is asked for together with an identity, when the account is not known yet.
    #[must_use = "the number has to be sent, and given up if no answer comes"]
    pub fn ask_with_identity(&mut self, now: u64) -> i64 {
        self.last_seq += 1;
        self.asked.insert(self.last_seq, Asked { request: None, first_sent: now, last_sent: now });
        self.last_seq
    }

    /// Gives up waiting for an answer. A grant that still comes is closed at once.
    pub fn give_up(&mut self, grant_seq: i64) {
        self.answered(grant_seq);
    }

    /// Takes in a grant asked for at `sent_at`. `Some`: it is of no use here and has to be recorded as closed, which may then happen
    /// for the second time: closing a closed lease changes nothing.
    #[must_use = "a lease that is not kept has to be closed"]
    pub fn granted(&mut self, grant: Grant, sent_at: u64) -> Option<Closing> {
        let closing = Closing { account: grant.account, lease: grant.lease };
        let Some(asked) = self.answered(grant.grant_seq) else {
            return (!self.homes.contains_key(&grant.lease)).then_some(closing);
        };
        let is_other_account = asked.request.is_some_and(|request| request.account != grant.account);
        if self.is_draining || is_other_account || !grant.amount.is_positive() {
            return Some(closing);
        }
        let Entry::Vacant(home) = self.homes.entry(grant.lease) else { return None };
        home.insert(grant.account);
        let account = self.accounts.entry(grant.account).or_default();
        account.add(&grant, asked.first_sent.min(sent_at));
        if asked.request.is_some_and(|request| request.up_to_want) {
            account.has_run_low();
        }
        None
    }

    /// Takes in a refusal. The verdict answers later needs for a while.
    pub fn refused(&mut self, grant_seq: i64, verdict: Verdict, now: u64) {
        let Some(request) = self.answered(grant_seq).and_then(|asked| asked.request) else { return };
        // a refused refill says nothing about needs
        let verdict = match verdict {
            Verdict::Exhausted { .. } if request.need.is_zero() => Verdict::Exhausted { need: Quota::MAX },
            verdict => verdict,
        };
        let Terms { unavailable_millis, verdict_millis, .. } = self.terms;
        let holds_for = if verdict == Verdict::Unavailable { unavailable_millis } else { verdict_millis };
        self.accounts.entry(request.account).or_default().judge(verdict, now.saturating_add(holds_for));
    }

    /// Money came in: forgets what was said about the account.
    pub fn credit(&mut self, account: AccountId) {
        if let Some(known) = self.accounts.get_mut(&account) {
            known.forget_verdict();
        }
    }

    /// Closes leases that are over or idle and have nothing set aside; the others close when that is settled. Forgets quiet accounts.
    #[must_use = "closings have to be recorded"]
    pub fn sweep(&mut self, now: u64) -> Vec<Closing> {
        let mut closings = Vec::new();
        self.accounts.retain(|id, account| {
            account.mark_idle(&self.terms, now);
            account.close_finished(*id, now, |closing| closings.push(closing));
            !account.is_blank(&self.terms, now)
        });
        self.forget_homes(&closings);
        closings
    }

    /// Closes everything, for good, on drain. Leases with money set aside close when that is settled; grants that still come are
    /// closed at once; nothing can be reserved or asked for any more.
    #[must_use = "closings have to be recorded"]
    pub fn close_all(&mut self, now: u64) -> Vec<Closing> {
        self.is_draining = true;
        let mut closings = Vec::new();
        for (id, account) in &mut self.accounts {
            account.mark_all();
            account.close_finished(*id, now, |closing| closings.push(closing));
        }
        self.forget_homes(&closings);
        closings
    }

    /// The leases in use whose life is half over: ask for their renewal.
    #[must_use = "renewals have to be sent"]
    pub fn renewals(&mut self, now: u64) -> Vec<LeaseId> {
        let mut due = Vec::new();
        for account in self.accounts.values_mut() {
            account.due_renewals(&self.terms, now, |lease| due.push(lease));
        }
        due
    }

    /// Takes in a renewal: the lease lives for `life_millis` from when that was asked for.
    pub fn renewed(&mut self, lease: LeaseId, life_millis: u64) {
        let account = self.homes.get(&lease).and_then(|home| self.accounts.get_mut(home));
        if let Some(account) = account {
            account.renewed(lease, life_millis);
        }
    }

    /// Forgets a lease the control plane has closed or voided. What it reserved is still charged to it.
    pub fn void(&mut self, lease: LeaseId) {
        let account = self.homes.remove(&lease).and_then(|home| self.accounts.get_mut(&home));
        if let Some(account) = account {
            account.void(lease);
        }
    }

    /// Every lease held, in no particular order.
    pub fn held(&self) -> impl Iterator<Item = HeldLease> {
        self.accounts.iter().flat_map(|(id, account)| account.held(*id))
    }

    /// One of them.
    #[must_use]
    pub fn lease(&self, lease: LeaseId) -> Option<HeldLease> {
        let account = *self.homes.get(&lease)?;
        self.accounts.get(&account)?.held(account).find(|held| held.lease == lease)
    }

    /// Requests without an answer, oldest first: to be sent again after a reconnect.
    pub fn outstanding(&self) -> impl Iterator<Item = GrantRequest> {
        self.asked.values().filter_map(|asked| asked.request)
    }

    fn answered(&mut self, grant_seq: i64) -> Option<Asked> {
        let asked = self.asked.remove(&grant_seq)?;
        let account = asked.request.and_then(|request| self.accounts.get_mut(&request.account));
        if let Some(account) = account.filter(|account| account.asked == Some(grant_seq)) {
            account.asked = None;
        }
        Some(asked)
    }

    fn forget_homes(&mut self, closings: &[Closing]) {
        for closing in closings {
            self.homes.remove(&closing.lease);
        }
    }
}

#[cfg(test)]
mod tests;
