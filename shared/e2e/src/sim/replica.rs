//! A simulated replica of the control plane: what `control-plane/src/rpc` and `publish` do between relays and the ledger.

mod past;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_billing::lease::{Grant, GrantRequest, Verdict};
use sluice_control_plane::leases::{Answer, Ask, Granted, Life, Pending, Proof, Refused, Said};
use sluice_control_plane::publish::{Stamp, is_behind};
use sluice_control_plane::settlement::Batch;
use sluice_domain::{AccountId, Quota};
use sluice_snapshot::{Snapshot, Version};

use super::ledger::{Ledger, Logged};
use super::wire::{Down, Up};
use super::world::{Event, World};
use super::{Mutant, Property};

/// How long an ask waits for the answers to its recall.
const RECALL_WAIT: u64 = 1_000;
/// The longest a replica takes to see a line of the log.
const POLL: u64 = 200;
/// The same while somebody waits for a recall.
const QUICK_POLL: u64 = 50;

/// A process of the control plane. Everything here is memory.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(super) is_up: bool,
    /// What it has seen of the configuration.
    pub(super) state: Snapshot,
    /// The stamp of its number.
    stamp: Stamp,
    /// How far the reports of each life were settled here.
    acknowledged: BTreeMap<Life, i64>,
    /// Connections, by relay.
    pub(super) streams: BTreeMap<usize, Stream>,
    /// Asks that wait for a recall.
    waiting: Vec<Waiting>,
    /// The revision of an account at its last verdict, with the need.
    verdicts: BTreeMap<AccountId, (i64, Quota)>,
}

/// A relay's connection.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    session: u64,
    life: Life,
    /// The version the relay has once everything sent has arrived.
    sent: Version,
}

#[derive(Debug, Clone)]
struct Waiting {
    relay: usize,
    session: u64,
    ask: Ask,
    recall_seq: i64,
    until: u64,
}

/// What a transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    Aborted,
    /// It was committed, and nobody knows.
    Unknown,
}

impl World {
    /// What becomes of the next transaction.
    fn fate(&mut self) -> Fate {
        if self.away_until > self.now {
            return Fate::Aborted;
        }
        if self.is_quiet {
            return Fate::Committed;
        }
        let faults = self.plan.faults;
        if self.dice.permille(faults.abort) {
            return Fate::Aborted;
        }
        if self.dice.permille(faults.unknown) { Fate::Unknown } else { Fate::Committed }
    }

    pub(super) fn rise(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if replica.is_up {
            return;
        }
        *replica = Replica { is_up: true, ..Replica::default() };
        self.truth.forget_heard(number);
        self.reload(number);
        self.tell(|| format!("replica {number} starts"));
        self.after(10, Event::Beat { replica: number });
        self.after(POLL, Event::Look { replica: number });
    }

    pub(super) fn fall(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        replica.is_up = false;
        let streams = std::mem::take(&mut replica.streams);
        self.tell(|| format!("replica {number} dies"));
        for (relay, stream) in streams {
            let wait = self.dice.between(1, 1_000);
            self.after(wait, Event::Cut { relay, session: stream.session });
        }
    }

    /// A message of a relay, also of a connection that is over there already.
    pub(super) fn take_up(&mut self, number: usize, relay: usize, session: u64, up: Up) {
        if !self.replicas[number].is_up {
            return self.after(1, Event::Cut { relay, session });
        }
        if let Up::Hello { life, boot_id, mut held, history, have, hash } = up {
            // what is held of another history the relay gives up by itself
            held.retain(|_| history.as_ref() == Some(&self.ledger.lineage));
            return self.greet(number, (relay, session), (life, boot_id), &held, (have, hash));
        }
        let stream = self.replicas[number].streams.get(&relay).filter(|stream| stream.session == session);
        let Some(stream) = stream.cloned() else { return };
        match up {
            Up::Hello { .. } => {}
            Up::Ask(request) => self.take_ask(number, relay, session, &stream.life, request),
            Up::Renew(leases) => {
                let fate = self.fate();
                if fate == Fate::Aborted {
                    return;
                }
                let wall = self.wall();
                let renewed = self.ledger.renew(&stream.life, &leases, wall);
                self.is_dirty = true;
                for lease in renewed {
                    self.reply(number, relay, session, Down::Renewed(lease));
                }
            }
            Up::Returns(returns, recalled) => self.take_returns(number, relay, &stream.life, &returns, recalled),
            Up::Report { stream: usage, life, first_seq, records, has_ended, sent_at, settled_in } => {
                let batch = Batch { first_seq, records, epoch_ended: has_ended, is_damaged: false, sent_at };
                self.settle(number, (relay, session), usage, &life, (&batch, settled_in));
            }
            Up::Resolve(token) => {
                let as_of = self.ledger.config.seq;
                if let (Some(identity), Fate::Committed) = (self.ledger.identity(token), self.fate()) {
                    // an answer may take long: what happens meanwhile overtakes it
                    let wait = self.dice.between(0, 300);
                    let at = self.now + wait;
                    let down = Down::Identity(token, Box::new(identity), as_of);
                    self.after(at - self.now, Event::Down { relay, session, down: Box::new(down) });
                }
            }
            Up::Nack => self.send_snapshot(number, relay),
            Up::Status => {
                let wall = self.wall();
                self.ledger.touch(&stream.life, wall);
            }
        }
    }

    /// A reply leaves once the transaction is through.
    fn reply(&mut self, number: usize, relay: usize, session: u64, down: Down) {
        self.send_down(number, relay, session, down);
    }

    fn greet(
        &mut self,
        number: usize,
        (relay, session): (usize, u64),
        (life, boot_id): (Life, u64),
        held: &[sluice_domain::LeaseId],
        (have, hash): (Version, sluice_snapshot::StateHash),
    ) {
        if self.fate() != Fate::Committed {
            return self.after(5, Event::Cut { relay, session });
        }
        let wall = self.wall();
        if !self.ledger.register(&life, boot_id, wall) {
            self.replicas[number].streams.remove(&relay);
            self.reply(number, relay, session, Down::Superseded);
            return;
        }
        if is_behind(self.replicas[number].state.version(), &have) && !self.has(Mutant::SnapshotGoesBack) {
            // it waits until it has seen what the relay knows, unless the database does not know it either
            self.went_back(number, &Proof::Configuration(have.into()));
            return self.after(POLL, Event::Cut { relay, session });
        }
        let greeting = self.ledger.greet(&life, held);
        self.is_dirty = true;
        self.reply(number, relay, session, Down::Welcome(self.ledger.lineage.clone()));
        if !greeting.void.is_empty() {
            self.reply(number, relay, session, Down::Void(greeting.void));
        }
        for granted in &greeting.resend {
            let grant = self.grant_message(granted);
            self.reply(number, relay, session, Down::Grant(grant));
        }
        let is_current = have == *self.replicas[number].state.version() && hash == self.replicas[number].state.hash();
        self.replicas[number].streams.insert(relay, Stream { session, life, sent: have });
        if is_current {
            self.send_page(number, relay);
        } else {
            self.send_snapshot(number, relay);
        }
    }

    fn grant_message(&self, granted: &Granted) -> Grant {
        Grant {
            grant_seq: granted.grant_seq,
            lease: granted.lease,
            account: granted.account,
            amount: granted.amount,
            life_millis: self.plan.terms.life.unsigned_abs(),
            low: granted.low,
        }
    }

    fn take_ask(&mut self, number: usize, relay: usize, session: u64, life: &Life, request: GrantRequest) {
        let ask = Ask {
            life: life.clone(),
            grant_seq: request.grant_seq,
            account: request.account,
            need: request.need,
            want: request.want.max(request.need),
            up_to_want: request.up_to_want,
        };
        let fate = self.fate();
        if fate == Fate::Aborted {
            let verdict = self.told(Verdict::Unavailable, ask.need);
            return self.reply(number, relay, session, Down::Refused(ask.grant_seq, verdict));
        }
        if self.remembers_no(number, &ask) {
            return self.answer(number, relay, session, &ask, Answer::Refused(Refused::Exhausted { need: ask.need, rev: 0 }));
        }
        let is_old = self.ledger.is_fenced(&ask.life);
        let answer = self.decide(&ask);
        self.is_dirty = true;
        if let (true, Some(Answer::Granted(granted))) = (is_old, answer) {
            return self.fail(Property::Fencing, format!("an earlier life of relay {relay} gets lease {}", granted.lease));
        }
        self.check_asked_twice(&ask);
        if fate == Fate::Unknown {
            return self.reply(number, relay, session, Down::Refused(ask.grant_seq, Verdict::Unavailable));
        }
        match answer {
            None => {}
            Some(Answer::Waits { .. }) if self.has(Mutant::ExhaustedWithoutRecall) => {
                self.answer(number, relay, session, &ask, Answer::Refused(Refused::Exhausted { need: ask.need, rev: 0 }));
            }
            Some(Answer::Waits { .. }) => self.recall(number, relay, session, ask),
            Some(answer) => self.answer(number, relay, session, &ask, answer),
        }
    }

    pub(super) fn decide(&mut self, ask: &Ask) -> Option<Answer> {
        let (wall, pending) = (self.wall(), Pending::new(ask.clone()));
        let is_taken =
            self.has(Mutant::GrantWithoutDedupe) || self.has(Mutant::AcceptOldEpoch) && self.ledger.is_fenced(&ask.life);
        if is_taken { Some(self.ledger.grant_new(&pending, wall)) } else { self.ledger.grant(&pending, wall) }
    }

    /// Whether the same was refused already, and nothing changed since.
    fn remembers_no(&self, number: usize, ask: &Ask) -> bool {
        let Some((rev, need)) = self.replicas[number].verdicts.get(&ask.account) else { return false };
        let is_same = self.ledger.accounts.get(&ask.account).is_some_and(|account| account.rev == *rev);
        ask.need >= *need && ask.need.is_positive() && (is_same || self.has(Mutant::VerdictOutlivesCredit))
    }

    fn recall(&mut self, number: usize, relay: usize, session: u64, ask: Ask) {
        let account = ask.account;
        let known =
            self.replicas[number].waiting.iter().find(|waiting| waiting.ask.account == account).map(|waiting| waiting.recall_seq);
        let recall_seq = known.unwrap_or_else(|| self.write(Logged::Recall(account)));
        self.tell(|| format!("replica {number} recalls account {account} for {} of relay {relay}, at {recall_seq}", ask.need));
        let until = self.now + RECALL_WAIT;
        self.replicas[number].waiting.push(Waiting { relay, session, ask, recall_seq, until });
        self.after(RECALL_WAIT, Event::Recheck { replica: number });
        for replica in 0..self.replicas.len() {
            let wait = self.dice.between(1, QUICK_POLL);
            self.after(wait, Event::Look { replica });
        }
    }

    /// Decides again what waits for a recall.
    pub(super) fn recheck(&mut self, number: usize) {
        if self.away_until > self.now {
            return self.after(100, Event::Recheck { replica: number });
        }
        let waiting = std::mem::take(&mut self.replicas[number].waiting);
        for one in waiting {
            let wall = self.wall();
            let recall_seq = if self.has(Mutant::OneAnswerIsEnough) && self.any_answered(&one) { 0 } else { one.recall_seq };
            let pending = Pending { ask: one.ask.clone(), recall_seq: Some(recall_seq), is_over: one.until <= self.now };
            let answer = self.ledger.grant(&pending, wall);
            self.is_dirty = true;
            match answer {
                None => {}
                Some(Answer::Waits { .. }) => self.replicas[number].waiting.push(one),
                Some(answer) => self.answer(number, one.relay, one.session, &one.ask, answer),
            }
        }
    }

    fn any_answered(&self, waiting: &Waiting) -> bool {
        self.ledger.leases.values().any(|kept| kept.lease.account == waiting.ask.account && kept.recall_seq >= waiting.recall_seq)
    }

    fn answer(&mut self, number: usize, relay: usize, session: u64, ask: &Ask, answer: Answer) {
        self.tell(|| format!("replica {number} answers relay {relay}, {} of account {}: {answer:?}", ask.need, ask.account));
        match answer {
            Answer::Granted(granted) => {
                let grant = self.grant_message(&granted);
                self.reply(number, relay, session, Down::Grant(grant));
            }
            Answer::Closed(lease) => {
                self.reply(number, relay, session, Down::Void(vec![lease]));
                self.reply(number, relay, session, Down::Refused(ask.grant_seq, Verdict::Unavailable));
            }
            Answer::Waits { .. } | Answer::Unknown => {
                let verdict = self.told(Verdict::Unavailable, ask.need);
                self.reply(number, relay, session, Down::Refused(ask.grant_seq, verdict));
            }
            Answer::Refused(refused) => {
                let verdict = match refused {
                    Refused::Exhausted { need, .. } => {
                        self.remember_no(number, ask.account, need);
                        Verdict::Exhausted { need }
                    }
                    Refused::Frozen { .. } => Verdict::Frozen,
                    Refused::UnknownAccount => Verdict::UnknownAccount,
                };
                self.truth.ruled(ask.account, self.now);
                self.reply(number, relay, session, Down::Refused(ask.grant_seq, verdict));
            }
        }
    }

    fn remember_no(&mut self, number: usize, account: AccountId, need: Quota) {
        let Some(rev) = self.ledger.accounts.get(&account).map(|account| account.rev) else { return };
        if need.is_positive() {
            self.replicas[number].verdicts.insert(account, (rev, need));
        }
    }

    fn take_returns(
        &mut self,
        number: usize,
        relay: usize,
        life: &Life,
        returns: &[sluice_billing::lease::Returned],
        recalled: Option<sluice_billing::lease::Recalled>,
    ) {
        if self.fate() == Fate::Aborted {
            return;
        }
        let returns: Vec<_> = returns.iter().map(|returned| (returned.lease, returned.total)).collect();
        let recalled = recalled.into_iter().map(|one| (one.account, one.recall_seq, one.leases)).collect();
        let said = Said { returns: self.totals(&returns), recalled };
        let richer = self.ledger.take_back(life, &said);
        if self.has(Mutant::RecallCoversUnlisted) {
            for (account, seq, _) in &said.recalled {
                self.ledger.mark_all_recalled(life, *account, *seq);
            }
        }
        self.is_dirty = true;
        if !said.recalled.is_empty() {
            self.look_at_waiting(number);
        }
        self.check_said_twice(life, &returns, &said);
        self.tell(|| format!("replica {number} takes {:?} back from relay {relay}", said.returns));
        self.got_richer(number, richer);
    }

    /// Who waits is decided again, and relays here are told.
    fn got_richer(&mut self, number: usize, accounts: BTreeSet<AccountId>) {
        if accounts.is_empty() {
            return;
        }
        self.look_at_waiting(number);
        let streams: Vec<_> = self.replicas[number].streams.iter().map(|(relay, stream)| (*relay, stream.session)).collect();
        for account in accounts {
            for (relay, session) in &streams {
                self.reply(number, *relay, *session, Down::Credit(account));
            }
        }
    }

    /// Something came in: here that is known at once, elsewhere by the next look at the database.
    fn look_at_waiting(&mut self, number: usize) {
        for replica in 0..self.replicas.len() {
            if !self.replicas[replica].waiting.is_empty() {
                let wait = if replica == number { 0 } else { self.dice.between(1, QUICK_POLL) };
                self.after(wait, Event::Recheck { replica });
            }
        }
    }

    fn settle(
        &mut self,
        number: usize,
        (relay, session): (usize, u64),
        stream: u64,
        life: &Life,
        (batch, settled_in): (&Batch, Option<Arc<str>>),
    ) {
        let fate = self.fate();
        let (first_seq, epoch) = (batch.first_seq, life.epoch);
        if fate == Fate::Aborted {
            let next = first_seq + i64::try_from(batch.records.len()).unwrap_or(0);
            let (below, goes_back) = if self.has(Mutant::AckBeforeCommit) { (next, false) } else { (first_seq, true) };
            return self.reply(number, relay, session, Down::Settled { stream, epoch, below, goes_back, has_ended: false });
        }
        let settled = self.settle_or_mutate(life, batch);
        self.is_dirty = true;
        self.counts.settled += settled.counts.requests;
        self.tell(|| {
            format!("replica {number} settles {} requests of relay {relay}, now at {}", settled.counts.requests, settled.next_seq)
        });
        self.check_settled(life);
        self.check_settled_twice(life, batch);
        if fate == Fate::Unknown {
            return self.reply(
                number,
                relay,
                session,
                Down::Settled { stream, epoch, below: first_seq, goes_back: true, has_ended: false },
            );
        }
        self.note_settled(number, life, settled.next_seq, settled_in.map(|lineage| (lineage, first_seq)));
        let has_ended = settled.has_ended;
        self.reply(
            number,
            relay,
            session,
            Down::Settled { stream, epoch, below: settled.next_seq, goes_back: settled.has_gap, has_ended },
        );
        self.got_richer(number, settled.richer.into_iter().collect());
    }
}

impl Ledger {
    /// The mutant: a relay's answer counts for leases it has not got yet.
    fn mark_all_recalled(&mut self, life: &Life, account: AccountId, seq: i64) {
        for kept in self.leases.values_mut().filter(|kept| kept.lease.account == account && kept.lease.life == *life) {
            kept.recall_seq = kept.recall_seq.max(seq);
        }
    }
}
