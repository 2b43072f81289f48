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
const GRANT_WAIT: u64 = 5_000;

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
        let dearest = self.plan.dearest;
        let held = if self.plan.is_fixed { dearest } else { self.dice.amount(1, dearest) };
        let actual = if self.plan.is_fixed { held } else { self.dice.amount(0, held) };
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
        let mut claims = vec![Claim { account: identity.user.account_id, amount: Quota::clamped(held) }];
        if identity.token.capped {
            claims.push(Claim { account: identity.token.account_id, amount: Quota::clamped(held) });
        }
        if let Some(uses) = identity.token.uses_account_id {
            claims.push(Claim { account: uses, amount: Quota::clamped(1) });
        }
        let (user, uses) = (identity.user.id, identity.token.uses_account_id);
        let config = (version.lineage, version.seq);
        let wish = Wish { number: name, user, token, claims, uses, actual, takes, fails, since: now, config, channel };
        let Ok(permit) = live.spool.permit() else { return self.counts.full += 1 };
        match self.try_reserve(number, life, &wish) {
            Ok(reservation) => self.send_upstream(number, life, wish, reservation, permit),
            Err(missing) => self.wait(number, life, wish, &missing, permit),
        }
    }

    fn wait(
        &mut self,
        number: usize,
        life: u64,
        wish: Wish,
        missing: &[Missing],
        permit: sluice_relay_node::spool::Permit<super::SimDisk>,
    ) {
        if let Some(refusal) = self.refusal(&wish, missing) {
            return self.refuse(number, &wish, refusal);
        }
        let Some(live) = self.live(number, life) else { return };
        let waiter = live.book.wait(&wish.claims);
        let request = wish.number;
        live.waiting.insert(request, Waiting { wish, permit, waiter });
        self.ask_for(number, life, missing);
        self.after(GRANT_WAIT, Event::GiveUp { relay: number, life, request });
        self.after(600, Event::GiveUp { relay: number, life, request });
    }

    /// What was said already, if that is no.
    fn refusal(&self, wish: &Wish, missing: &[Missing]) -> Option<Refusal> {
        let is_no = |short: &&Missing| match short.verdict {
            Some(Verdict::Exhausted { .. } | Verdict::UnknownAccount) => true,
            Some(Verdict::Unavailable) => self.has(Mutant::UnavailableIsExhausted),
            Some(Verdict::Frozen) | None => false,
        };
        let account = missing.iter().find(is_no)?.account;
        let claim = wish.claims.iter().find(|claim| claim.account == account)?;
        Some(Refusal { account, need: claim.amount.get() })
    }

    /// Tells a caller that the account cannot pay.
    pub(super) fn refuse(&mut self, number: usize, wish: &Wish, refusal: Refusal) {
        self.counts.refused += 1;
        self.tell(|| format!("relay {number} refuses request {}: account {} is exhausted", wish.number, refusal.account));
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
        self.give_back(number, life, &Live::accounts(&waiting.wish));
    }

    /// A request that waits tries to reserve again.
    pub(super) fn look_again(&mut self, number: usize, life: u64, request: u64) {
        let Some(live) = self.live(number, life) else { return };
        let Some(waiting) = live.waiting.get(&request) else { return };
        let wish = waiting.wish.clone();
        match self.try_reserve(number, life, &wish) {
            Ok(reservation) => {
                let Some(live) = self.live(number, life) else { return };
                let Some(waiting) = live.waiting.remove(&request) else { return };
                live.book.stop_waiting(waiting.waiter);
                self.send_upstream(number, life, waiting.wish, reservation, waiting.permit);
            }
            Err(missing) => match self.refusal(&wish, &missing) {
                Some(refusal) => {
                    let Some(live) = self.live(number, life) else { return };
                    let Some(waiting) = live.waiting.remove(&request) else { return };
                    live.book.stop_waiting(waiting.waiter);
                    self.refuse(number, &wish, refusal);
                    self.give_back(number, life, &Live::accounts(&wish));
                }
                None => self.ask_for(number, life, &missing),
            },
        }
    }

    /// Money is set aside: writes the intent and sends the request upstream.
    fn send_upstream(
        &mut self,
        number: usize,
        life: u64,
        wish: Wish,
        reservation: sluice_billing::lease::Reservation,
        permit: sluice_relay_node::spool::Permit<super::SimDisk>,
    ) {
        let parts: Vec<_> = reservation.parts().collect();
        self.check_reserved(number, &parts);
        let charge = |(account_id, lease_id, amount): &(_, _, _)| LeaseCharge {
            lease_id: *lease_id,
            account_id: *account_id,
            amount: *amount,
        };
        let charges = parts.iter().map(charge).collect();
        let record = self.record(number, &wish, charges, (Outcome::Orphaned, 0, Quota::ZERO));
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
        live.running.insert(request, Running { wish, reservation, open, output: 0 });
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
        running.output += (running.wish.actual / 3).unsigned_abs();
        let output = running.output;
        if let Some(open) = running.open.as_mut().filter(|_| writes) {
            open.progress(&Usage { output, ..Usage::default() });
        }
        let is_written = live.spool.is_writable() && !self.relays[number].disk.refuses();
        self.truth.progressed(number, request, output, is_written);
    }

    pub(in super::super) fn finish(&mut self, number: usize, life: u64, request: u64) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.remove(&request) else { return };
        let Running { wish, reservation, open, .. } = running;
        if wish.fails && self.has(Mutant::ReservationLeaks) {
            std::mem::drop(reservation);
            return;
        }
        let actual = if wish.fails { 0 } else { wish.actual };
        let Some(live) = self.live(number, life) else { return };
        let due = |claim: &Claim| if Some(claim.account) == wish.uses { i64::from(!wish.fails) } else { actual };
        let paid: Vec<Claim> = wish.claims.iter().map(|claim| Claim { amount: Quota::clamped(due(claim)), ..*claim }).collect();
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
        self.write_final(number, life, &wish, open, (charges, actual));
        if !self.has(Mutant::CloseBeforeFinal) {
            self.close(number, closings);
        }
        let accounts = Live::accounts(&wish);
        self.money_moved(number, life, &accounts);
    }

    fn write_final(
        &mut self,
        number: usize,
        life: u64,
        wish: &Wish,
        open: Option<sluice_relay_node::spool::OpenRecord<super::SimDisk>>,
        (charges, actual): (Vec<LeaseCharge>, i64),
    ) {
        let outcome = if wish.fails { Outcome::Failed } else { Outcome::Completed };
        let record = self.record(number, wish, charges.clone(), (outcome, actual.unsigned_abs(), Quota::clamped(actual)));
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
    ) -> RequestRecord {
        RequestRecord {
            request_id: RequestId::parse(&format!("r{}", wish.number)).expect("a number is a good name"),
            user_id: wish.user,
            token_id: wish.token,
            charges,
            quota,
            held: wish.claims.first().map_or(Quota::ZERO, |claim| claim.amount),
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
