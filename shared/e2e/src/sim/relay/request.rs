//! A request's life on a relay, in the order of `relay-node/src/pipeline.rs`: identify, plan, permit, reserve, intent, progress, final.

use std::sync::Arc;

use futures_util::FutureExt;
use sluice_billing::lease::{Claim, Missing, Verdict};
use sluice_domain::{
    ChannelId, Dialect, GroupName, LeaseCharge, LeaseId, ModelName, Outcome, Quota, RequestId, RequestRecord, TokenId, Usage,
};
use sluice_relay_node::view::IdentifyError;

use super::super::ledger::{GROUP, MODEL, digest_of};
use super::super::truth::Refusal;
use super::super::world::{Event, START, World};
use super::super::{Mutant, Property};
use super::{Live, Running, Waiting, Wish};

/// The longest a request waits for money.
pub(super) const GRANT_WAIT: u64 = 5_000;
/// The longest somebody who makes do with less waits to hear how much there is.
const ASK_AGAIN: u64 = 2_000;

impl World {
    pub(in super::super) fn arrive(&mut self) {
        if self.is_quiet {
            return;
        }
        self.again(self.plan.gap, Event::Arrive);
        let burst = if self.dice.permille(60) { self.dice.between(2, 12) } else { 1 };
        for _ in 0..burst {
            let number = self.dice.place(self.relays.len());
            if self.relays[number].asleep_until <= self.now
                && let Some(life) = self.life_of(number)
            {
                self.admit(number, life);
            }
        }
    }

    fn admit(&mut self, number: usize, life: u64) {
        self.counts.requests += 1;
        let tokens: Vec<TokenId> = self.ledger.tokens.keys().copied().collect();
        let token = tokens[self.dice.place(tokens.len())];
        let name = self.name();
        let (least, most, is_windowed) = self.draw_hold();
        let total = if self.plan.is_fixed { most } else { self.dice.amount(0, most) };
        // of a stream that is followed, only its first window is set aside
        let most = if is_windowed { (most / 3).max(1) } else { most };
        let least = if is_windowed { most } else { least };
        let takes = self.dice.wait(self.plan.takes).max(1);
        let (fails, choice) = (self.dice.permille(60), self.dice.draw());
        let (now, is_one) = (self.now, self.has_one_history(number));
        let Some(live) = self.live(number, life) else { return };
        if live.is_draining {
            return;
        }
        let identity = match live.view.identify(&digest_of(token)).now_or_never() {
            Some(Ok(identity)) => identity,
            // one that is known to be revoked is as good as gone until the change itself comes
            Some(Err(IdentifyError::Unknown)) if live.heard.contains_key(&token) => return self.counts.denied += 1,
            Some(Err(IdentifyError::Unknown)) => {
                return self.fail(Property::UnknownIsNotNo, format!("relay {number} says that token {token} does not exist"));
            }
            Some(Err(IdentifyError::NotKnown)) | None => return self.counts.unknown += 1,
        };
        if !identity.token.status.is_enabled() {
            return self.counts.denied += 1;
        }
        let heard = live.heard.get(&token).copied().unwrap_or(0);
        if identity.token.rev < heard && is_one {
            let rev = identity.token.rev;
            return self.fail(
                Property::DenyDominates,
                format!("relay {number} lets token {token} in at revision {rev}, it has heard of {heard}"),
            );
        }
        let Some(channel) = choose(live, choice) else { return self.counts.denied += 1 };
        let version = live.table.version.clone();
        if let Some(seq) = live.denied.get(&channel).copied().filter(|seq| version.seq < *seq && is_one) {
            return self.fail(Property::DenyDominates, format!("relay {number} uses channel {channel}, revoked at {seq}"));
        }
        let cap = identity.token.capped.then_some(identity.token.account_id);
        let payers = cap.into_iter().chain([identity.user.account_id]).collect();
        let (user, uses) = (identity.user.id, identity.token.uses_account_id);
        let config = (version.lineage, version.seq);
        let wish = Wish {
            number: name,
            user,
            token,
            payers,
            uses,
            least,
            most,
            is_windowed,
            total,
            takes,
            fails,
            since: now,
            config,
            channel,
        };
        let Ok(permit) = live.spool.permit() else { return self.counts.full += 1 };
        match self.try_reserve(number, life, &wish.claims(most)) {
            Ok(reservation) => self.send_upstream(number, life, wish, (reservation, most), permit),
            Err(missing) => self.wait(number, life, &wish, &missing, permit),
        }
    }

    /// At least and at best so much is set aside, and whether more is while it streams.
    fn draw_hold(&mut self) -> (i64, i64, bool) {
        let dearest = self.plan.dearest;
        if self.plan.is_fixed {
            return (dearest, dearest, false);
        }
        let most = self.dice.amount(1, dearest);
        match self.dice.place(5) {
            0 => (self.dice.amount(1, most), most, false),
            1 => (most, most, true),
            _ => (most, most, false),
        }
    }

    fn wait(
        &mut self,
        number: usize,
        life: u64,
        wish: &Wish,
        missing: &[Missing],
        permit: sluice_relay_node::spool::Permit<super::SimDisk>,
    ) {
        let is_plain = wish.least == wish.most;
        if let Some(refusal) = self.refusal(missing, &wish.claims(wish.most)).filter(|_| is_plain) {
            return self.refuse(number, wish.number, refusal);
        }
        let Some(live) = self.live(number, life) else { return };
        let waiter = live.book.wait(&wish.claims(wish.most));
        let request = wish.number;
        live.waiting.insert(request, Waiting { wish: wish.clone(), permit, waiter });
        self.ask_again(number, life, wish, missing);
        self.after(GRANT_WAIT, Event::GiveUp { relay: number, life, request });
        self.after(600, Event::GiveUp { relay: number, life, request });
    }

    /// Asks for what is missing; who makes do with less asks for whatever there is.
    fn ask_again(&mut self, number: usize, life: u64, wish: &Wish, missing: &[Missing]) {
        if wish.least == wish.most {
            return self.ask_for(number, life, missing);
        }
        self.ask_up_to(number, life, &wish.claims(wish.least), &wish.claims(wish.most));
    }

    /// What was said already, if that is no.
    pub(super) fn refusal(&self, missing: &[Missing], claims: &[Claim]) -> Option<Refusal> {
        let is_no = |short: &&Missing| match short.verdict {
            Some(Verdict::Exhausted { .. } | Verdict::UnknownAccount) => true,
            Some(Verdict::Unavailable) => self.has(Mutant::UnavailableIsExhausted),
            Some(Verdict::Frozen) | None => false,
        };
        let account = missing.iter().find(is_no)?.account;
        let claim = claims.iter().find(|claim| claim.account == account)?;
        Some(Refusal { account, need: claim.amount.get() })
    }

    /// Tells a caller that the account cannot pay.
    pub(super) fn refuse(&mut self, number: usize, request: u64, refusal: Refusal) {
        self.counts.refused += 1;
        self.tell(|| format!("relay {number} refuses request {request}: account {} is exhausted", refusal.account));
        self.check_refusal(number, refusal);
    }

    /// A request that waits looks again, or has waited long enough.
    pub(in super::super) fn give_up(&mut self, number: usize, life: u64, request: u64) {
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        let Some(waiting) = live.waiting.get(&request) else { return };
        if now - waiting.wish.since < GRANT_WAIT {
            self.look_again(number, life, request);
            return self.after(600, Event::GiveUp { relay: number, life, request });
        }
        let Some(waiting) = live.waiting.remove(&request) else { return };
        live.book.stop_waiting(waiting.waiter);
        self.counts.unavailable += 1;
        self.give_back(number, life, &waiting.wish.accounts());
    }

    /// A request that waits tries to reserve again: everything, or, once it is answered what there is, as much as that.
    pub(super) fn look_again(&mut self, number: usize, life: u64, request: u64) {
        let Some(live) = self.live(number, life) else { return };
        let Some(waiting) = live.waiting.get(&request) else { return };
        let wish = waiting.wish.clone();
        let is_answered = wish.least < wish.most && self.is_answered(number, life, &wish);
        let amount = if is_answered { self.there_is(number, &wish).min(wish.most).max(wish.least) } else { wish.most };
        match self.try_reserve(number, life, &wish.claims(amount)) {
            Ok(reservation) => {
                let Some(live) = self.live(number, life) else { return };
                let Some(waiting) = live.waiting.remove(&request) else { return };
                live.book.stop_waiting(waiting.waiter);
                self.send_upstream(number, life, waiting.wish, (reservation, amount), waiting.permit);
            }
            Err(missing) => {
                let may_refuse = is_answered || wish.least == wish.most;
                match self.refusal(&missing, &wish.claims(amount)).filter(|_| may_refuse) {
                    Some(refusal) => {
                        let Some(live) = self.live(number, life) else { return };
                        let Some(waiting) = live.waiting.remove(&request) else { return };
                        live.book.stop_waiting(waiting.waiter);
                        self.refuse(number, request, refusal);
                        self.give_back(number, life, &wish.accounts());
                    }
                    None => self.ask_again(number, life, &wish, &missing),
                }
            }
        }
    }

    /// Whether nothing that was asked for its chain is without an answer, or it has waited too long for that.
    fn is_answered(&mut self, number: usize, life: u64, wish: &Wish) -> bool {
        let (now, accounts) = (self.now, wish.accounts());
        let Some(live) = self.live(number, life) else { return false };
        now - wish.since >= ASK_AGAIN || !live.book.outstanding().any(|request| accounts.contains(&request.account))
    }

    /// What can be set aside on every account that pays.
    fn there_is(&self, number: usize, wish: &Wish) -> i64 {
        let now = self.boot(number);
        let Some(live) = self.relays[number].live.as_ref() else { return 0 };
        if wish.uses.is_some_and(|uses| !live.book.available(uses, now).is_positive()) {
            return 0;
        }
        wish.payers.iter().map(|account| live.book.available(*account, now).get()).min().unwrap_or(0)
    }

    /// Money is set aside: writes the intent and sends the request upstream.
    fn send_upstream(
        &mut self,
        number: usize,
        life: u64,
        wish: Wish,
        (reservation, held): (sluice_billing::lease::Reservation, i64),
        permit: sluice_relay_node::spool::Permit<super::SimDisk>,
    ) {
        let parts: Vec<_> = reservation.parts().collect();
        self.check_reserved(number, &parts);
        let charges = charges_of(&reservation);
        let record = self.record(number, &wish, charges, (Outcome::Orphaned, 0, Quota::ZERO), held);
        let has_intent = !self.has(Mutant::NoIntent);
        let open = if has_intent { permit.open(&record).map(Some) } else { Ok(None) };
        let Ok(open) = open else {
            let now = self.boot(number);
            let Some(live) = self.live(number, life) else { return };
            let closings = live.book.release(reservation, now);
            return self.close(number, closings.to_vec());
        };
        let request = wish.number;
        let takes = wish.takes;
        self.truth.opened(number, &wish);
        let Some(live) = self.live(number, life) else { return };
        live.running.insert(request, Running { wish, reservation, open, output: 0, held, extending: None });
        self.counts.admitted += 1;
        self.tell(|| format!("relay {number} sends request {request} upstream"));
        self.after(takes, Event::Finish { relay: number, life, request });
        if takes > 300 {
            self.after(takes / 3, Event::Progress { relay: number, life, request });
            self.after(takes * 2 / 3, Event::Progress { relay: number, life, request });
        }
    }

    pub(in super::super) fn progress(&mut self, number: usize, life: u64, request: u64) {
        let writes = !self.has(Mutant::NoProgress);
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get_mut(&request) else { return };
        // what comes is bounded by what is set aside: the upstream was told so, or the stream waits
        running.output = (running.output + running.wish.total / 3).min(running.held);
        let output = running.output.unsigned_abs();
        if let Some(open) = running.open.as_mut().filter(|_| writes) {
            open.progress(&Usage { output, ..Usage::default() });
        }
        let is_written = live.spool.is_writable() && !self.relays[number].disk.refuses();
        self.truth.progressed(number, request, output, is_written);
        self.extend(number, life, request);
    }

    pub(in super::super) fn finish(&mut self, number: usize, life: u64, request: u64) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.remove(&request) else { return };
        let Running { wish, reservation, open, held, extending, .. } = running;
        if let Some(extending) = extending {
            live.book.stop_waiting(extending.waiter);
        }
        if wish.fails && self.has(Mutant::ReservationLeaks) {
            std::mem::drop(reservation);
            return;
        }
        let actual = if wish.fails { 0 } else { wish.total.min(held) };
        let Some(live) = self.live(number, life) else { return };
        let due = |claim: &Claim| if Some(claim.account) == wish.uses { i64::from(!wish.fails) } else { actual };
        let paid: Vec<Claim> =
            wish.claims(held).iter().map(|claim| Claim { amount: Quota::clamped(due(claim)), ..*claim }).collect();
        let settlement = live.book.settle(reservation, &paid, now);
        let charge = |charge: &sluice_billing::lease::Charge| LeaseCharge {
            lease_id: charge.lease.unwrap_or(LeaseId::new(0)),
            account_id: charge.account,
            amount: charge.amount,
        };
        let charges: Vec<LeaseCharge> = settlement.charges.iter().map(charge).collect();
        let closings: Vec<_> = settlement.closings.to_vec();
        if self.has(Mutant::CloseBeforeFinal) {
            self.close(number, closings.clone());
        }
        self.write_final(number, life, (&wish, held), open, (charges, actual));
        if !self.has(Mutant::CloseBeforeFinal) {
            self.close(number, closings);
        }
        self.money_moved(number, life, &wish.accounts());
    }

    fn write_final(
        &mut self,
        number: usize,
        life: u64,
        (wish, held): (&Wish, i64),
        open: Option<sluice_relay_node::spool::OpenRecord<super::SimDisk>>,
        (charges, actual): (Vec<LeaseCharge>, i64),
    ) {
        let outcome = if wish.fails { Outcome::Failed } else { Outcome::Completed };
        let ending = (outcome, actual.unsigned_abs(), Quota::clamped(actual));
        let record = self.record(number, wish, charges.clone(), ending, held);
        let twice = self.has(Mutant::DoubleFinal).then(|| record.clone());
        let Some(live) = self.live(number, life) else { return };
        match open {
            Some(open) => open.finish(record),
            None => {
                if let Ok(permit) = live.spool.permit() {
                    permit.finish(record);
                }
            }
        }
        self.truth.finished(number, wish.number, actual, charges);
        let Some(live) = self.live(number, life) else { return };
        if let Some(record) = twice
            && let Ok(permit) = live.spool.permit()
        {
            permit.finish(record);
            self.truth.wrote_twice(number, wish.number);
        }
        self.tell(|| format!("relay {number} ends request {} at {actual}", wish.number));
    }

    fn record(
        &self,
        number: usize,
        wish: &Wish,
        charges: Vec<LeaseCharge>,
        (outcome, output, quota): (Outcome, u64, Quota),
        held: i64,
    ) -> RequestRecord {
        RequestRecord {
            request_id: RequestId::parse(&format!("r{}", wish.number)).expect("a number is a good name"),
            user_id: wish.user,
            token_id: wish.token,
            charges,
            quota,
            held: Quota::clamped(held),
            config_lineage: Arc::clone(&wish.config.0),
            config_seq: wish.config.1,
            model: ModelName::parse(MODEL).expect("the model has a good name"),
            upstream_model: String::new(),
            group: GroupName::parse(GROUP).expect("the group has a good name"),
            channel_id: Some(wish.channel),
            usage: Usage { output, ..Usage::default() },
            usage_estimated: false,
            outcome,
            error_code: String::new(),
            status: 200,
            dialect: Dialect::OpenAi,
            path: String::new(),
            stream: true,
            started_at: START.plus_millis(wish.since.cast_signed() + self.relays[number].wall_offset),
            total_millis: self.now - wish.since,
            first_byte_millis: Some(1),
            attempts: Vec::new(),
            client_ip: String::new(),
            upstream_request_id: String::new(),
            output_limit: None,
        }
    }
}

/// A channel that may be used, by the table in force.
fn choose(live: &Live, choice: u64) -> Option<ChannelId> {
    let tier = live.table.route(GROUP, MODEL)?.first()?;
    let enabled: Vec<ChannelId> =
        tier.channels.iter().filter(|channel| channel.status.is_enabled()).map(|channel| channel.id).collect();
    let place = usize::try_from(choice % (enabled.len().max(1) as u64)).unwrap_or(0);
    enabled.get(place).copied()
}

/// What is set aside for a request, by lease.
pub(super) fn charges_of(reservation: &sluice_billing::lease::Reservation) -> Vec<LeaseCharge> {
    let charge = |(account_id, lease_id, amount)| LeaseCharge { lease_id, account_id, amount };
    reservation.parts().map(charge).collect()
}
