//! A simulated replica of the control plane: what `control-plane/src/rpc` and `publish` do between relays and the ledger. Who waits for money
//! is decided by the real desk, what is read of the log and who is sent what by the real tail.

mod desk;
mod past;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_billing::lease::Grant;
use sluice_control_plane::leases::{Ask, Granted, Life, Proof, Said};
use sluice_control_plane::publish::{Follower, News, Pace, Revoked, State, is_behind};
use sluice_control_plane::pure::Desk;
use sluice_control_plane::settlement::Batch;
use sluice_domain::{AccountId, Epoch, LeaseId};
use sluice_snapshot::Version;

use super::Mutant;
use super::ledger::Ledger;
use super::wire::{Down, Up};
use super::world::{Event, World};

/// How long an ask waits for the answers to its recall, while the database is quick.
const RECALL_WAIT: Duration = Duration::from_secs(1);
/// The longest a replica takes to see a line of the log.
const POLL: u64 = 200;
/// How long a relay waits before it reports again to a database that is away.
const PAUSE: u64 = 500;

/// Where an answer goes: a relay, and its connection.
pub(super) type To = (usize, u64);

/// A process of the control plane. Everything here is memory.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(super) is_up: bool,
    /// What it has seen of the configuration.
    pub(super) state: Arc<State>,
    /// How far the reports of each life were settled here.
    acknowledged: BTreeMap<Life, i64>,
    /// Connections, by relay.
    pub(super) streams: BTreeMap<usize, Stream>,
    /// Asks that wait for company.
    asked: Vec<(Ask, To)>,
    /// Who waits for a recall.
    desk: Desk<To>,
    /// When they are looked at again, if nothing happens before.
    decides_at: u64,
    /// When they are because something happened.
    turns_at: Option<u64>,
    /// Since when each ask has no answer, for the checkers.
    unanswered: BTreeMap<(Life, i64), u64>,
    /// The revision at which each account was last told as exhausted, for a mutant's sake.
    told_at: BTreeMap<AccountId, i64>,
    /// The first recall of each account, for a mutant's sake.
    first_recalls: BTreeMap<AccountId, i64>,
    pace: Pace,
    /// When the log is looked at again, if nobody pokes before.
    looks_at: u64,
}

impl Replica {
    /// A process that was not started.
    pub(crate) fn new() -> Self {
        Self {
            is_up: false,
            state: Arc::default(),
            acknowledged: BTreeMap::new(),
            streams: BTreeMap::new(),
            asked: Vec::new(),
            desk: Desk::new(RECALL_WAIT),
            decides_at: 0,
            turns_at: None,
            unanswered: BTreeMap::new(),
            told_at: BTreeMap::new(),
            first_recalls: BTreeMap::new(),
            pace: Pace::default(),
            looks_at: 0,
        }
    }
}

/// A relay's connection.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    session: u64,
    life: Life,
    follower: Follower,
    /// How far the reports of a life were settled, as it was told last over this connection.
    told: (Epoch, i64),
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
        *replica = Replica { is_up: true, ..Replica::new() };
        self.truth.forget_heard(number);
        self.reload(number);
        self.tell(|| format!("replica {number} starts"));
        self.after(10, Event::Beat { replica: number });
        self.after(0, Event::Look { replica: number });
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
            Up::Ask(request) => self.take_ask(number, (relay, session), &stream.life, request),
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
            Up::Report { stream: usage, life, first_seq, records, has_ended, is_damaged, sent_at, settled_in } => {
                let batch = Batch { first_seq, records, epoch_ended: has_ended, is_damaged, sent_at };
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
        let closed = held.iter().copied().filter(|lease| self.is_closed(*lease)).collect();
        let hides = self.has(Mutant::ClosedUnnamed);
        let leases: Vec<LeaseId> = greeting.void.iter().copied().filter(|lease| !hides || !self.is_closed(*lease)).collect();
        self.reply(number, relay, session, Down::Void { leases, closed });
        for granted in &greeting.resend {
            let grant = self.grant_message(granted);
            self.reply(number, relay, session, Down::Grant(grant));
        }
        let is_current = have == *self.replicas[number].state.version() && hash == self.replicas[number].state.hash();
        self.replicas[number]
            .streams
            .insert(relay, Stream { session, told: (life.epoch, 0), life, follower: Follower::new(have) });
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
        self.check_said_twice(life, &returns, &said);
        self.tell(|| format!("replica {number} takes {:?} back from relay {relay}", said.returns));
        self.got_richer(number, richer);
        self.decide_after(number, 0);
    }

    /// Who waits is decided again, and relays here are told. Other replicas see it when they look at those who wait there.
    fn got_richer(&mut self, number: usize, accounts: BTreeSet<AccountId>) {
        if !accounts.is_empty() {
            let credits: Vec<Revoked> = accounts.into_iter().map(|account| Revoked::Credit(account, 0)).collect();
            self.has_news(number, &News::Urgent(credits.into()));
        }
    }

    fn is_closed(&self, lease: LeaseId) -> bool {
        self.ledger.leases.get(&lease).is_some_and(|kept| kept.lease.state == sluice_control_plane::leases::State::Closed)
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
            let below = if goes_back { self.told_or_later(number, (relay, session), life, below) } else { below };
            let settled = Down::Settled { stream, epoch, below, goes_back, has_ended: false, pause: PAUSE };
            return self.reply(number, relay, session, settled);
        }
        let doubtful = self.open_of(life, batch);
        let settled = self.settle_or_mutate(life, batch);
        self.check_doubted(life, &doubtful);
        self.is_dirty = true;
        self.counts.settled += settled.counts.requests;
        self.tell(|| {
            format!("replica {number} settles {} requests of relay {relay}, now at {}", settled.counts.requests, settled.next_seq)
        });
        self.check_settled(life);
        self.check_settled_twice(life, batch);
        if fate == Fate::Unknown {
            let below = self.told_or_later(number, (relay, session), life, first_seq);
            let settled = Down::Settled { stream, epoch, below, goes_back: true, has_ended: false, pause: PAUSE };
            return self.reply(number, relay, session, settled);
        }
        if let Some(known) = self.replicas[number].streams.get_mut(&relay).filter(|known| known.session == session) {
            known.told = (epoch, settled.next_seq);
        }
        self.note_settled(number, life, settled.next_seq, settled_in.map(|lineage| (lineage, first_seq)));
        let has_ended = settled.has_ended;
        self.reply(
            number,
            relay,
            session,
            Down::Settled { stream, epoch, below: settled.next_seq, goes_back: settled.has_gap, has_ended, pause: 0 },
        );
        self.got_richer(number, settled.richer.into_iter().collect());
    }
}

impl World {
    /// Where a relay whose report could not be settled is to go on, as `rpc/usage.rs` says it.
    fn told_or_later(&self, number: usize, (relay, session): To, life: &Life, first_seq: i64) -> i64 {
        let stream = self.replicas[number].streams.get(&relay).filter(|stream| stream.session == session);
        let told = stream.map(|stream| stream.told).filter(|(epoch, _)| *epoch == life.epoch);
        told.map_or(first_seq, |(_, below)| first_seq.max(below))
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
