//! What `link` brings and takes: grants, refusals, renewals, and the once-a-second sweep.
//!
//! A grant's number on the wire is the book's number and the shard's number together, so that an answer finds its book.

use sluice_billing::lease::{self, Grant, GrantRequest, Verdict};
use sluice_domain::{AccountId, LeaseId, Quota};

use super::shard::{Shard, close};
use super::{Quotas, SHARDS};

#[expect(clippy::cast_possible_wrap, reason = "64 fits")]
const SHARDS_I64: i64 = SHARDS as i64;

/// A grant to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Its number, unique within the life of this relay.
    pub grant_seq: i64,
    /// The account.
    pub account: AccountId,
    /// At least this much, or nothing.
    pub need: Quota,
    /// Better this much.
    pub want: Quota,
    /// Whatever there is between the two will do.
    pub up_to_want: bool,
}

impl Demand {
    pub(super) fn new(shard: usize, request: GrantRequest) -> Self {
        let shard = i64::try_from(shard).unwrap_or(0);
        let grant_seq = request.grant_seq.saturating_mul(SHARDS_I64).saturating_add(shard);
        let GrantRequest { account, need, want, up_to_want, .. } = request;
        Self { grant_seq, account, need, want, up_to_want }
    }
}

/// A grant that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The number it was asked by.
    pub grant_seq: i64,
    /// Why.
    pub verdict: Verdict,
}

/// What is held, for figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Leases.
    pub leases: u64,
    /// Money in them, reserved or free.
    pub quota: Quota,
}

/// The shard and the book's own number of a number on the wire.
fn split(grant_seq: i64) -> (usize, i64) {
    (usize::try_from(grant_seq.rem_euclid(SHARDS_I64)).unwrap_or(0), grant_seq.div_euclid(SHARDS_I64))
}

impl Quotas {
    /// Takes in a grant. One that is of no use here is closed at once.
    pub fn granted(&self, grant: Grant) {
        let (number, grant_seq) = split(grant.grant_seq);
        let now = self.0.clock.read().boot_millis;
        self.0.metrics.grants.increment();
        let mut shard = self.0.shards[number].lock();
        match shard.book.granted(Grant { grant_seq, ..grant }, now) {
            Some(closing) => close(&[closing], &self.0.spool),
            None => self.note(&shard, grant.lease),
        }
        self.freed_of(&shard, number, grant.account, now);
        shard.tell();
    }

    /// Takes in a refusal.
    pub fn refused(&self, refused: Refused) {
        let (shard, grant_seq) = split(refused.grant_seq);
        let now = self.0.clock.read().boot_millis;
        let mut shard = self.0.shards[shard].lock();
        shard.book.refused(grant_seq, refused.verdict, now);
        shard.tell();
    }

    /// Nothing more will be heard of a request: a larger one of this relay took its place.
    pub fn superseded(&self, grant_seq: i64) {
        let (number, grant_seq) = split(grant_seq);
        let mut shard = self.0.shards[number].lock();
        shard.book.give_up(grant_seq);
        shard.tell();
    }

    /// Takes in renewals, credits and leases that are void.
    pub fn news(&self, renewed: &[(LeaseId, u64)], credited: &[AccountId], void: &[LeaseId]) {
        if renewed.is_empty() && credited.is_empty() && void.is_empty() {
            return;
        }
        for shard in &self.0.shards {
            let mut shard = shard.lock();
            for (lease, life_millis) in renewed {
                shard.book.renewed(*lease, *life_millis);
                self.note(&shard, *lease);
            }
            for account in credited {
                shard.book.credit(*account);
            }
            for lease in void {
                shard.book.void(*lease);
                self.0.spool.void_lease(*lease);
            }
            if !credited.is_empty() {
                shard.tell();
            }
        }
    }

    /// The ends of these leases are settled.
    pub fn ends_are_settled(&self, leases: impl Iterator<Item = LeaseId>) {
        self.0.settled.lock().extend(leases);
    }

    /// Closes what is over or idle, and returns the leases to renew. Once a second.
    pub fn sweep(&self) -> Vec<LeaseId> {
        let now = self.0.clock.read().boot_millis;
        let settled = std::mem::take(&mut *self.0.settled.lock());
        let mut renewals = Vec::new();
        let mut holdings = Holdings::default();
        for (number, shard) in self.0.shards.iter().enumerate() {
            let mut shard = shard.lock();
            if !settled.is_empty() {
                shard.book.ends_are_settled(&settled);
            }
            let closings = shard.book.sweep(now);
            close(&closings, &self.0.spool);
            self.give_up_stranded(&mut shard, number, now);
            let Shard { book, owners, .. } = &mut *shard;
            owners.retain(|account, _| book.knows(*account));
            renewals.extend(shard.book.renewals(now));
            add(&mut holdings, &shard.book);
        }
        self.0.metrics.leases.set_count(usize::try_from(holdings.leases).unwrap_or(usize::MAX));
        self.0.metrics.leased_quota.set_amount(holdings.quota.get());
        renewals
    }

    /// Closes every lease, on the way down. Those with money set aside give back the rest at once, and close when that is settled.
    pub fn close_all(&self) {
        let now = self.0.clock.read().boot_millis;
        for (number, shard) in self.0.shards.iter().enumerate() {
            let mut shard = shard.lock();
            let closings = shard.book.close_all(now);
            close(&closings, &self.0.spool);
            self.give_up_stranded(&mut shard, number, now);
        }
    }

    /// The leases held, to tell the control plane after a reconnect.
    #[must_use]
    pub fn held(&self) -> Vec<LeaseId> {
        let mut held = Vec::new();
        for shard in &self.0.shards {
            held.extend(shard.lock().book.held().map(|lease| lease.lease));
        }
        held
    }

    /// Grants that were asked for and not answered, to ask again after a reconnect.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Demand> {
        let mut demands = Vec::new();
        for (number, shard) in self.0.shards.iter().enumerate() {
            demands.extend(shard.lock().book.outstanding().map(|request| Demand::new(number, request)));
        }
        demands
    }

    /// What is held, for figures.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        let mut holdings = Holdings::default();
        for shard in &self.0.shards {
            add(&mut holdings, &shard.lock().book);
        }
        holdings
    }
}

fn add(holdings: &mut Holdings, book: &lease::LeaseBook) {
    for held in book.held() {
        holdings.leases += 1;
        holdings.quota = holdings.quota.saturating_plus(held.free).saturating_plus(held.reserved);
    }
}
