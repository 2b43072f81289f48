//! What `relay-node/src/quota` does around the lease book: ask, take in, give back, close.

use sluice_billing::lease::{Claim, Closing, Grant, GrantRequest, Missing, Reservation, Shortage, Verdict};
use sluice_domain::{AccountId, LeaseId, Quota};

use super::super::Mutant;
use super::super::wire::Up;
use super::super::world::World;
use super::{Live, Wish};

impl World {
    /// One attempt to set money aside; asks for a refill when leases run low.
    pub(super) fn try_reserve(&mut self, number: usize, life: u64, claims: &[Claim]) -> Result<Reservation, Vec<Missing>> {
        let mut now = self.boot(number);
        let never = self.has(Mutant::VerdictNeverEnds);
        if self.has(Mutant::ReserveAfterExpiry) {
            // the moment of the first grant: every lease is in its life for ever
            now = now.min(self.truth.first_grant_boot(number).unwrap_or(now));
        }
        let Some(live) = self.live(number, life) else { return Err(Vec::new()) };
        match live.book.reserve(claims, now) {
            Ok(reservation) => {
                for claim in claims {
                    let refill =
                        self.relays[number].live.as_mut().and_then(|live| live.book.want(claim.account, Quota::ZERO, now));
                    self.send_ask(number, refill);
                }
                Ok(reservation)
            }
            Err(Shortage { accounts }) => {
                let mut missing = accounts.to_vec();
                if never {
                    for short in &mut missing {
                        let was_exhausted = self.truth.was_exhausted(number, short.account);
                        short.verdict = short.verdict.or(was_exhausted.then_some(Verdict::Exhausted { need: Quota::ZERO }));
                    }
                }
                Err(missing)
            }
        }
    }

    pub(super) fn ask_for(&mut self, number: usize, life: u64, missing: &[Missing]) {
        let now = self.boot(number);
        for short in missing {
            let Some(live) = self.live(number, life) else { return };
            if is_asked(live, (short.account, short.amount), false) {
                continue;
            }
            let request = live.book.want(short.account, short.amount, now);
            self.send_ask(number, request);
        }
    }

    /// Asks for whatever there is of what is missing.
    pub(super) fn ask_up_to(&mut self, number: usize, life: u64, least: &[Claim], most: &[Claim]) {
        let now = self.boot(number);
        for (least, most) in least.iter().zip(most) {
            let Some(live) = self.live(number, life) else { return };
            let free = live.book.available(most.account, now);
            let need = least.amount.saturating_minus(free).max(Quota::ZERO);
            let want = most.amount.saturating_minus(free);
            if want.is_positive() && !is_asked(live, (most.account, need), true) {
                let request = live.book.want_up_to(most.account, need, want, now);
                self.send_ask(number, request);
            }
        }
    }

    fn send_ask(&mut self, number: usize, request: Option<GrantRequest>) {
        let Some(request) = request else { return };
        let now = self.boot(number);
        if let Some(live) = self.relays[number].live.as_mut() {
            live.sent_at.entry(request.grant_seq).or_insert(now);
        }
        self.tell(|| format!("relay {number} asks for {} of account {}", request.need, request.account));
        self.send_up(number, Up::Ask(request));
    }

    pub(super) fn granted(&mut self, number: usize, life: u64, mut grant: Grant) {
        let now = self.boot(number);
        self.truth.granted_at(number, now);
        let is_late = self.has(Mutant::LifeFromReceipt);
        let Some(live) = self.live(number, life) else { return };
        if is_late {
            let sent_at = live.sent_at.get(&grant.grant_seq).copied().unwrap_or(now);
            grant.life_millis += now - sent_at.min(now);
        }
        let account = grant.account;
        live.known_leases.insert(grant.lease);
        let closing = live.book.granted(grant, now);
        self.note_lease(number, grant.lease);
        self.tell(|| format!("relay {number} gets lease {} of {} for account {account}", grant.lease, grant.amount));
        self.close(number, closing.into_iter().collect());
        self.money_moved(number, life, &[account]);
    }

    pub(super) fn refused(&mut self, number: usize, life: u64, grant_seq: i64, verdict: Verdict) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        let account = live.book.outstanding().find(|asked| asked.grant_seq == grant_seq).map(|asked| asked.account);
        live.book.refused(grant_seq, verdict, now);
        if let Some(account) = account {
            if matches!(verdict, Verdict::Exhausted { .. }) {
                self.truth.exhausted(number, account);
            }
            self.money_moved(number, life, &[account]);
        }
    }

    /// Those who wait look again, in the order they came; then what was asked back and nobody waits for goes back.
    pub(super) fn money_moved(&mut self, number: usize, life: u64, accounts: &[AccountId]) {
        let Some(live) = self.live(number, life) else { return };
        let waits = |wish: &Wish| wish.accounts().iter().any(|account| accounts.contains(account));
        let waiting: Vec<u64> = live.waiting.iter().filter(|(_, one)| waits(&one.wish)).map(|(request, _)| *request).collect();
        let running = live.running.iter().filter(|(_, one)| one.extending.is_some() && waits(&one.wish));
        let extending: Vec<u64> = running.map(|(request, _)| *request).collect();
        for request in waiting {
            self.look_again(number, life, request);
        }
        for request in extending {
            self.extend_now(number, life, request);
        }
        self.give_back(number, life, accounts);
    }

    pub(super) fn give_back(&mut self, number: usize, life: u64, accounts: &[AccountId]) {
        let now = self.boot(number);
        for account in accounts {
            let keeps = self.has(Mutant::KeepsWhatItReturned);
            let Some(live) = self.live(number, life) else { return };
            if !live.book.owes_answer(*account, now) {
                continue;
            }
            if keeps {
                self.say_returned_and_keep(number, *account);
                continue;
            }
            self.say_returned(number, life, *account);
        }
    }

    /// What goes back is noted and on the disk before it is said.
    pub(super) fn say_returned(&mut self, number: usize, life: u64, account: AccountId) {
        let now = self.boot(number);
        let is_noted = !self.has(Mutant::ReturnNotNoted);
        let Some(live) = self.live(number, life) else { return };
        let mut given = live.book.give_back(account, now);
        given.returns.sort_unstable_by_key(|returned| returned.lease);
        let closings = given.closings.to_vec();
        for returned in given.returns.iter().filter(|_| is_noted) {
            self.note_lease(number, returned.lease);
        }
        self.close(number, closings);
        if is_noted && !given.returns.is_empty() && !self.sync_now(number) {
            if let Some(live) = self.live(number, life) {
                live.unsaid.insert(account);
            }
            return self.send_ask(number, given.again);
        }
        let sent = (!given.returns.is_empty() || given.recalled.is_some()).then_some((given.returns, given.recalled));
        if let Some((returns, recalled)) = sent {
            self.tell(|| format!("relay {number} gives back of account {account}: {returns:?}"));
            self.send_up(number, Up::Returns(returns, recalled));
        }
        self.send_ask(number, given.again);
    }

    /// The mutant: says it gives everything back, and forgets to take it out of the book.
    fn say_returned_and_keep(&mut self, number: usize, account: AccountId) {
        let Some(live) = self.relays[number].live.as_ref() else { return };
        let held: Vec<_> = live.book.held().filter(|held| held.account == account).collect();
        let returns = held.iter().map(|held| sluice_billing::lease::Returned { lease: held.lease, total: held.free }).collect();
        self.send_up(number, Up::Returns(returns, None));
    }

    /// Money of an account is asked back.
    pub(super) fn recalled(&mut self, number: usize, life: u64, account: AccountId, seq: i64) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        live.book.recall(account, seq, now);
        self.money_moved(number, life, &[account]);
    }

    pub(super) fn credited(&mut self, number: usize, life: u64, account: AccountId) {
        let Some(live) = self.live(number, life) else { return };
        live.book.credit(account);
        self.money_moved(number, life, &[account]);
    }

    /// Nothing more will be heard of an ask: a larger one took its place.
    pub(super) fn overtaken(&mut self, number: usize, life: u64, grant_seq: i64) {
        let Some(live) = self.live(number, life) else { return };
        let account = live.book.outstanding().find(|asked| asked.grant_seq == grant_seq).map(|asked| asked.account);
        live.book.give_up(grant_seq);
        self.money_moved(number, life, account.as_slice());
    }

    /// `closed`: what the ledger has as closed, whatever it says.
    pub(super) fn voided(&mut self, number: usize, life: u64, leases: &[LeaseId], closed: &[LeaseId]) {
        let is_ignored = self.has(Mutant::VoidIgnored);
        let Some(live) = self.live(number, life) else { return };
        live.known_void.extend(leases);
        live.known_void.extend(closed);
        if !is_ignored {
            for lease in leases {
                live.book.void(*lease);
                live.spool.void_lease(*lease);
            }
        }
    }

    /// Another history began: every lease is of the old one.
    pub(super) fn void_all(&mut self, number: usize, life: u64) {
        let is_ignored = self.has(Mutant::VoidIgnored);
        let Some(live) = self.live(number, life) else { return };
        live.known_void.clear();
        if !is_ignored {
            let mut held: Vec<LeaseId> = live.book.held().map(|held| held.lease).collect();
            held.sort_unstable();
            for lease in held {
                live.spool.void_lease(lease);
            }
            live.book.void_all();
        }
    }

    /// Notes how a lease stands, for the next life.
    pub(super) fn note_lease(&mut self, number: usize, lease: LeaseId) {
        let Some(held) = self.relays[number].live.as_ref().and_then(|live| live.book.lease(lease)) else { return };
        let Some(owner) = self.ledger.accounts.get(&held.account).map(|account| account.user_id) else { return };
        if let Some(live) = self.relays[number].live.as_ref() {
            live.spool.note_lease(owner, &held);
        }
    }

    /// Records closings.
    pub(super) fn close(&mut self, number: usize, closings: Vec<Closing>) {
        for closing in closings {
            let Some(live) = self.relays[number].live.as_ref() else { return };
            live.spool.close_lease(closing.lease);
            self.truth.closed(number, closing.lease);
            self.tell(|| format!("relay {number} closes lease {}", closing.lease));
        }
    }

    /// The sweep and the renewals, once a second.
    pub(super) fn look_after_leases(&mut self, number: usize, life: u64) {
        let now = self.boot(number);
        let is_expiry_ignored = self.has(Mutant::ReserveAfterExpiry);
        let Some(live) = self.live(number, life) else { return };
        let mut stranded = live.book.give_up_stranded(now);
        stranded.sort_unstable();
        let mut closings = if is_expiry_ignored { Vec::new() } else { live.book.sweep(now) };
        closings.sort_unstable_by_key(|closing| closing.lease);
        let mut renewals = live.book.renewals(now);
        renewals.sort_unstable();
        self.close(number, closings);
        for account in stranded {
            self.say_returned(number, life, account);
        }
        if !renewals.is_empty() {
            self.send_up(number, Up::Renew(renewals));
        }
    }
}

/// Whether an ask that is not the newest of its account covers this one. Of two kinds of asks that take turns the book knows the newest only,
/// and asks anew whenever somebody who waits looks again. In production those who wait look again together; here they would after every
/// message, and each would lead to several more.
fn is_asked(live: &Live, (account, need): (AccountId, Quota), up_to_want: bool) -> bool {
    let newest = live.book.outstanding().filter(|asked| asked.account == account).last();
    let covers = |asked: &GrantRequest| asked.account == account && asked.up_to_want == up_to_want && need <= asked.need;
    newest.is_some_and(|newest| newest.up_to_want != up_to_want) && live.book.outstanding().any(|asked| covers(&asked))
}
