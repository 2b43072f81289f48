//! Giving money back: when the control plane asks for it, when its lease is over, and taking over what an earlier life left.
//!
//! What goes back is noted in the spool before it is said: whoever dies in between may say less than went back, and never spend it again.
//! What is to be said waits on a pile of accounts, not of messages: whoever sends takes an account from the pile and then looks at what
//! there is to say about it. Totals are said, so a message that is lost is made up for by the next, or by the greeting of the next stream.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sluice_billing::lease::{GivenBack, Inherited, Recalled, Waiter};
use sluice_domain::{AccountId, LeaseId, Quota, UserId};
use tokio::sync::Notify;

use super::chain::Claims;
use super::shard::{Shard, close};
use super::wire::Demand;
use super::{Quotas, SHARDS, shard_of};

/// Leases said in one message, but for those of its last account: less than half of what a control plane takes at once.
const AT_ONCE: usize = 4_096;

/// Accounts of which something is to be said, with their shards.
#[derive(Debug, Default)]
pub(super) struct Pile {
    accounts: Mutex<BTreeMap<AccountId, usize>>,
    grown: Notify,
}

impl Pile {
    fn put(&self, account: AccountId, shard: usize) {
        self.accounts.lock().insert(account, shard);
        self.grown.notify_one();
    }

    fn take(&self) -> Option<(AccountId, usize)> {
        self.accounts.lock().pop_first()
    }

    /// Some are left for the next message.
    fn leave(&self) {
        if !self.accounts.lock().is_empty() {
            self.grown.notify_one();
        }
    }
}

/// What is said to the control plane about money that goes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it has to be sent"]
pub struct GiveBack {
    /// Totals of what was given back, by lease.
    pub returns: Vec<(LeaseId, Quota)>,
    /// Recalls that are answered.
    pub recalled: Vec<Recalled>,
    /// Grants that are asked for anew, after it.
    pub demands: Vec<Demand>,
}

/// Somebody waits for money. While they do, what they are about to reserve is not given back.
pub(super) struct Waiting<'a> {
    quotas: &'a Quotas,
    user: UserId,
    claims: Claims,
    waiter: Waiter,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.quotas.now();
        let mut shard = self.quotas.shard(self.user).lock();
        shard.book.stop_waiting(self.waiter);
        self.quotas.freed(&shard, self.user, &self.claims, now);
    }
}

impl Quotas {
    pub(super) fn waits(&self, user: UserId, claims: &Claims) -> Waiting<'_> {
        let waiter = self.shard(user).lock().book.wait(claims);
        Waiting { quotas: self, user, claims: claims.clone(), waiter }
    }

    /// Something may have become free: if it was asked back, it goes back.
    pub(super) fn freed(&self, shard: &Shard, user: UserId, claims: &Claims, now: u64) {
        for claim in claims {
            self.freed_of(shard, shard_of(user), claim.account, now);
        }
    }

    pub(super) fn freed_of(&self, shard: &Shard, number: usize, account: AccountId, now: u64) {
        if shard.book.owes_answer(account, now) {
            self.0.pile.put(account, number);
        }
    }

    /// Money of an account is asked back. What there is to say comes by [`Quotas::giving_back`].
    pub fn recalled(&self, account: AccountId, recall_seq: i64) {
        let now = self.now();
        for (number, shard) in self.0.shards.iter().enumerate() {
            let mut shard = shard.lock();
            if shard.book.knows(account) {
                shard.book.recall(account, recall_seq, now);
                self.0.pile.put(account, number);
            }
        }
    }

    /// Waits until there is something to say, and gives it once it is on the disk. Whoever drops this before it is done loses what is
    /// to be said until the account changes again.
    pub async fn giving_back(&self) -> GiveBack {
        loop {
            let said = self.give_back_now();
            if !said.returns.is_empty() && !self.0.spool.flush().await {
                // a life that could not note what went back must not say that it did
                std::future::pending::<()>().await;
            }
            if said != GiveBack::default() {
                return said;
            }
            self.0.pile.grown.notified().await;
        }
    }

    fn give_back_now(&self) -> GiveBack {
        let (mut said, mut leases) = (GiveBack::default(), 0);
        while leases < AT_ONCE {
            let Some((account, number)) = self.0.pile.take() else { break };
            let now = self.now();
            let Some(shard) = self.0.shards.get(number) else { continue };
            let mut shard = shard.lock();
            let GivenBack { returns, recalled, closings, again } = shard.book.give_back(account, now);
            for returned in &returns {
                self.note(&shard, returned.lease);
            }
            close(&closings, &self.0.spool);
            self.0.metrics.recalls.add(u64::from(recalled.is_some()));
            leases += 1 + returns.len().max(recalled.as_ref().map_or(0, |recalled| recalled.leases.len()));
            said.returns.extend(returns.into_iter().map(|one| (one.lease, one.total)));
            said.recalled.extend(recalled);
            said.demands.extend(again.map(|request| Demand::new(number, request)));
        }
        self.0.pile.leave();
        said
    }

    /// Everything that was given back of the leases held, to say again after a reconnect; it is on the disk.
    pub async fn returned(&self) -> Vec<(LeaseId, Quota)> {
        let mut returned = Vec::new();
        for shard in &self.0.shards {
            returned.extend(shard.lock().book.returned().map(|one| (one.lease, one.total)));
        }
        if !returned.is_empty() && !self.0.spool.flush().await {
            returned.clear();
        }
        returned
    }

    /// Takes over what an earlier life of this relay left (ruling R17), before the first request. Says how many of the leases can be spent
    /// from.
    pub fn restore(&self, inherited: &[Inherited]) -> usize {
        let now = self.now();
        let mut usable = 0;
        for left in inherited {
            let mut shard = self.shard(left.owner).lock();
            shard.owners.insert(left.account, left.owner);
            shard.book.restore(std::iter::once(*left), now);
            // from here on they are this life's: the next one finds them in its log
            self.note(&shard, left.lease);
            let held = shard.book.lease(left.lease);
            usable += usize::from(held.is_some_and(|held| held.free.is_positive() && now < held.expires_at));
        }
        usable
    }

    /// The control plane has another history: every lease is void.
    pub fn void_all(&self) {
        for shard in &self.0.shards {
            let mut shard = shard.lock();
            for held in shard.book.held() {
                self.0.spool.void_lease(held.lease);
            }
            shard.book.void_all();
        }
    }

    /// Notes how a lease stands, for the next life. Under the lock of its shard, so that the note is in the order of its charges.
    pub(super) fn note(&self, shard: &Shard, lease: LeaseId) {
        let Some(held) = shard.book.lease(lease) else { return };
        if let Some(owner) = shard.owners.get(&held.account) {
            self.0.spool.note_lease(*owner, &held);
        }
    }

    /// Puts on the pile what lies in leases that are over, but not closed yet.
    pub(super) fn give_up_stranded(&self, shard: &mut Shard, number: usize, now: u64) {
        debug_assert!(number < SHARDS, "the number of a shard");
        for account in shard.book.give_up_stranded(now) {
            self.0.pile.put(account, number);
        }
    }
}
