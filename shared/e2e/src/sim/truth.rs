//! What really happened, noted where it happened: the oracle the checkers compare with. Nobody in the simulation decides by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use sluice_control_plane::leases::Life;
use sluice_domain::{AccountId, LeaseCharge, LeaseId};
use sluice_snapshot::{StateHash, Version};

use super::relay::Wish;

/// How long what was true is remembered, in milliseconds.
pub(crate) const MEMORY: u64 = 8_000;

/// A request that was sent upstream.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// What it has to cost; `None`: it runs.
    pub cost: Option<i64>,
    /// What it may cost when it was cut off.
    pub progress: Vec<u64>,
    /// Its only trace was on a disk, or a part of one, that is lost.
    pub is_lost: bool,
    /// The life that sent it.
    pub log: (usize, i64),
}

/// A record that was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A request ended: its number, cost, and what each lease pays.
    Final(u64, i64, Vec<LeaseCharge>),
    /// A lease is used no more.
    Closed(LeaseId),
    /// A record that is lost.
    Gone,
}

/// A request whose intent is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    /// Its progress, as it was written.
    pub progress: Vec<u64>,
    /// Whether the intent survives the loss of power.
    pub is_durable: bool,
    /// The disk refused, so some progress may not be written.
    pub is_uncertain: bool,
    /// How many of its progresses do.
    pub durable_progress: usize,
}

/// What one life of a relay wrote.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that may befall a log, whatever else does")]
pub(crate) struct Log {
    /// Its reported records, in order.
    pub facts: Vec<Fact>,
    /// How many of them survive the loss of power.
    pub durable: usize,
    /// How many of them may survive it, and so may be told: what waited for the disk is not counted as durable before the next sync.
    pub may_be_durable: usize,
    /// Requests without final record.
    pub opens: BTreeMap<u64, Open>,
    /// What was not synced may be lost: the power went, or the disk refused.
    pub is_torn: bool,
    /// Nothing of it is left.
    pub is_lost: bool,
    /// It was when its life ended.
    pub was_torn: bool,
    /// A part of what was synced is lost.
    pub is_damaged: bool,
    /// Its relay said that a part of it is lost: what its leases paid is not known.
    pub is_doubted: bool,
}

/// A caller is told that an account cannot pay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// The account.
    pub account: AccountId,
    /// What it was to pay.
    pub need: i64,
}

/// Everything that is noted.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(super) sent: BTreeMap<u64, Sent>,
    pub(super) logs: BTreeMap<(usize, i64), Log>,
    pub(super) epochs: BTreeMap<usize, i64>,
    hashes: BTreeMap<(String, i64), StateHash>,
    first_grants: BTreeMap<usize, u64>,
    exhausted: BTreeSet<(usize, AccountId)>,
    rulings: BTreeMap<AccountId, u64>,
    unreserved: BTreeMap<AccountId, VecDeque<(u64, i64)>>,
    /// The histories in which the database went back, and leases whose ids were handed out twice there.
    gone: BTreeMap<Arc<str>, Range<LeaseId>>,
    /// How far each replica heard that reports of a life were settled, in a history.
    heard: BTreeMap<(usize, Life), (Arc<str>, i64)>,
    pub(super) has_restored: bool,
    pub(super) has_released: bool,
    pub(super) has_jumped: bool,
}

impl Truth {
    pub(super) fn born(&mut self, relay: usize, epoch: i64) {
        self.epochs.insert(relay, epoch);
        self.logs.insert((relay, epoch), Log::default());
        self.first_grants.remove(&relay);
        self.exhausted.retain(|(known, _)| *known != relay);
    }

    fn log(&mut self, relay: usize) -> Option<&mut Log> {
        self.logs.get_mut(&(relay, *self.epochs.get(&relay)?))
    }

    pub(super) fn opened(&mut self, relay: usize, wish: &Wish) {
        let epoch = self.epochs.get(&relay).copied().unwrap_or(0);
        let sent = Sent { cost: None, progress: vec![0], is_lost: false, log: (relay, epoch) };
        self.sent.insert(wish.number, sent);
        if let Some(log) = self.log(relay) {
            log.opens.insert(wish.number, Open { progress: vec![0], ..Open::default() });
        }
    }

    pub(super) fn progressed(&mut self, relay: usize, request: u64, output: u64, is_written: bool) {
        if let Some(sent) = self.sent.get_mut(&request) {
            sent.progress.push(output);
        }
        if let Some(open) = self.log(relay).and_then(|log| log.opens.get_mut(&request)) {
            open.progress.push(output);
            open.is_uncertain |= !is_written;
        }
    }

    pub(super) fn finished(&mut self, relay: usize, request: u64, cost: i64, charges: Vec<LeaseCharge>) {
        if let Some(sent) = self.sent.get_mut(&request) {
            sent.cost = Some(cost);
        }
        if let Some(log) = self.log(relay) {
            log.opens.remove(&request);
            log.facts.push(Fact::Final(request, cost, charges));
        }
    }

    pub(super) fn wrote_twice(&mut self, relay: usize, request: u64) {
        let Some(log) = self.log(relay) else { return };
        let Some(Fact::Final(_, cost, charges)) = log.facts.last().cloned() else { return };
        log.facts.push(Fact::Final(request, cost, charges));
    }

    pub(super) fn closed(&mut self, relay: usize, lease: LeaseId) {
        if let Some(log) = self.log(relay) {
            log.facts.push(Fact::Closed(lease));
        }
    }

    /// Everything written so far survives the loss of power; `waited`: but for what waited for the disk.
    pub(super) fn synced(&mut self, relay: usize, waited: bool) {
        let Some(log) = self.log(relay) else { return };
        log.may_be_durable = log.facts.len();
        if waited {
            return;
        }
        log.durable = log.facts.len();
        for open in log.opens.values_mut() {
            open.is_durable = true;
            if !open.is_uncertain {
                open.durable_progress = open.progress.len();
            }
        }
    }

    /// What the present life of a relay wrote may be torn.
    pub(super) fn torn(&mut self, relay: usize) {
        if let Some(log) = self.log(relay) {
            log.is_torn = true;
        }
    }

    /// Whether a part of what a life had synced is lost.
    pub(super) fn is_damaged(&self, relay: usize, epoch: sluice_domain::Epoch) -> bool {
        self.logs.get(&(relay, epoch.0)).is_some_and(|log| log.is_damaged)
    }

    /// A relay says that a part of a life's log is lost. `false`: none can be.
    pub(super) fn doubted(&mut self, relay: usize, epoch: sluice_domain::Epoch) -> bool {
        let Some(log) = self.logs.get_mut(&(relay, epoch.0)) else { return true };
        log.is_doubted = true;
        log.is_damaged || log.was_torn
    }

    /// Whether that is so of any life.
    pub(super) fn has_damage(&self) -> bool {
        self.logs.values().any(|log| log.is_damaged)
    }

    /// A part of what the present life of a relay wrote is lost, or may be.
    pub(super) fn damaged(&mut self, relay: usize) {
        if let Some(log) = self.log(relay) {
            (log.is_damaged, log.is_torn) = (true, true);
        }
    }

    /// A relay's disk is gone.
    pub(super) fn lost_disk(&mut self, relay: usize) {
        for (_, log) in self.logs.iter_mut().filter(|((known, _), _)| *known == relay) {
            log.is_lost = true;
        }
        for sent in self.sent.values_mut().filter(|sent| sent.log.0 == relay) {
            sent.is_lost = true;
        }
    }

    pub(super) fn remember_hash(&mut self, version: &Version, hash: StateHash) {
        self.hashes.insert((version.lineage.to_string(), version.seq), hash);
    }

    pub(super) fn hash_at(&self, version: &Version) -> Option<StateHash> {
        self.hashes.get(&(version.lineage.to_string(), version.seq)).copied()
    }

    pub(super) fn granted_at(&mut self, relay: usize, boot: u64) {
        self.first_grants.entry(relay).or_insert(boot);
    }

    pub(super) fn first_grant_boot(&self, relay: usize) -> Option<u64> {
        self.first_grants.get(&relay).copied()
    }

    pub(super) fn exhausted(&mut self, relay: usize, account: AccountId) {
        self.exhausted.insert((relay, account));
    }

    pub(super) fn was_exhausted(&self, relay: usize, account: AccountId) -> bool {
        self.exhausted.contains(&(relay, account))
    }

    /// The database went back in a history, behind everybody's back.
    pub(super) fn went_back(&mut self, lineage: &Arc<str>, twice: Range<LeaseId>) {
        self.has_restored = true;
        let known = self.gone.entry(Arc::clone(lineage)).or_insert_with(|| twice.clone());
        known.start = known.start.min(twice.start);
    }

    /// Whether the database ever went back in a history: two things may be true in it.
    pub(super) fn went_back_in(&self, lineage: &str) -> bool {
        self.gone.contains_key(lineage)
    }

    /// Whether the id of a lease may be that of two.
    pub(super) fn is_two(&self, lease: LeaseId) -> bool {
        self.gone.values().any(|twice| twice.contains(&lease))
    }

    /// A replica hears how far reports of a life were settled; answers the furthest it has heard of in this history.
    pub(super) fn heard(&mut self, (replica, life): (usize, &Life), lineage: &Arc<str>, below: i64) -> i64 {
        let heard = self.heard.entry((replica, life.clone())).or_insert_with(|| (Arc::clone(lineage), 0));
        if heard.0 != *lineage {
            *heard = (Arc::clone(lineage), 0);
        }
        heard.1 = below.max(heard.1);
        heard.1
    }

    /// A replica starts, and knows nothing.
    pub(super) fn forget_heard(&mut self, replica: usize) {
        self.heard.retain(|(known, _), _| *known != replica);
    }

    /// The ledger ruled that an account cannot pay something.
    pub(super) fn ruled(&mut self, account: AccountId, now: u64) {
        self.rulings.insert(account, now);
    }

    /// When the ledger last ruled that an account cannot pay something.
    pub(super) fn ruling(&self, account: AccountId) -> Option<u64> {
        self.rulings.get(&account).copied()
    }

    /// What nobody uses of an account, from here on.
    pub(super) fn note_unreserved(&mut self, account: AccountId, now: u64, amount: i64) {
        let history = self.unreserved.entry(account).or_default();
        if history.back().is_some_and(|(_, last)| *last == amount) {
            return;
        }
        history.push_back((now, amount));
        while history.get(1).is_some_and(|(at, _)| *at + MEMORY < now) {
            history.pop_front();
        }
    }

    /// The least that nobody used of an account at any moment since.
    pub(super) fn least_unreserved(&self, account: AccountId, since: u64) -> i64 {
        let Some(history) = self.unreserved.get(&account) else { return 0 };
        let later = history.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        history.iter().skip(later).map(|(_, amount)| *amount).min().unwrap_or(0)
    }
}
