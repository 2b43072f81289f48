//! Money handed to this relay: reserve it for a request, settle what the request cost, ask for more in time.
//!
//! 64 shards by user, each a lock around a [`LeaseBook`], so that the accounts of one user, a wallet and the caps of its tokens, are
//! always in the same book. Nothing is awaited under a lock. Closings of leases go to the spool under the lock of their shard, and so
//! does a request's final record (`write` of [`Reservation::settle`]): a closing never overtakes a charge.
//!
//! What must not live here: prices, and how grants travel (that is `link`). Start reading at [`Quotas::reserve`].

mod shard;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sluice_billing::lease::{self, Claim, LeaseBook, Missing, Shortage, Verdict};
use sluice_domain::{AccountId, Clock, LeaseCharge, LeaseId, Quota, UserId};
use smallvec::SmallVec;
use tokio::sync::mpsc;

use self::shard::{Shard, close};
pub use self::wire::{Demand, Holdings, Refused};
use crate::metrics::{ByReservation, QuotaMetrics};
use crate::spool::Spool;

/// Books, and locks. A power of two: the number of a shard is part of a grant's number.
const SHARDS: usize = 64;
/// The longest a request waits for a grant.
pub const GRANT_WAIT: Duration = Duration::from_secs(5);
/// Requests for grants that may wait to be sent. Beyond it a request is asked again by whoever waits for it.
const MAX_DEMANDS: usize = 4096;

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// The control plane said that the account cannot pay this much.
    #[error("account {account} cannot pay for the request")]
    Exhausted {
        /// The account.
        account: AccountId,
    },
    /// The account is frozen.
    #[error("account {account} is frozen")]
    Frozen {
        /// The account.
        account: AccountId,
    },
    /// Nobody could say in time. Never a verdict about money: answer 503.
    #[error("the control plane did not answer in time")]
    Unavailable,
}

/// The leases of this relay. Clones are the same leases.
#[derive(Debug, Clone)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shards: [Mutex<Shard>; SHARDS],
    spool: Spool,
    clock: Clock,
    metrics: QuotaMetrics,
    demands: mpsc::Sender<Demand>,
}

type Chain = SmallVec<[Claim; 2]>;

impl Quotas {
    /// No leases yet. What the receiver gives is to be asked of the control plane.
    #[must_use]
    pub fn new(spool: Spool, clock: Clock, metrics: QuotaMetrics) -> (Self, mpsc::Receiver<Demand>) {
        let (demands, receiver) = mpsc::channel(MAX_DEMANDS);
        let shards = std::array::from_fn(|_| Mutex::new(Shard::default()));
        (Self(Arc::new(Inner { shards, spool, clock, metrics, demands })), receiver)
    }

    /// Sets money aside on every account of a chain, or on none. All accounts must belong to the user.
    ///
    /// Local when the leases held cover it; otherwise asks for a grant and waits for it, at most [`GRANT_WAIT`].
    ///
    /// # Errors
    /// When the control plane refuses, or does not answer in time.
    pub async fn reserve(&self, user: UserId, chain: &[(AccountId, Quota)]) -> Result<Reservation, ReserveError> {
        let claims: Chain = chain.iter().map(|(account, amount)| Claim { account: *account, amount: *amount }).collect();
        let mut reservation = Reservation { quotas: self.clone(), user, claims: SmallVec::new(), inner: None };
        self.take(&mut reservation, claims).await?;
        Ok(reservation)
    }

    async fn take(&self, reservation: &mut Reservation, claims: Chain) -> Result<(), ReserveError> {
        let count = |outcome| self.0.metrics.reservations.of(&outcome).increment();
        if self.try_take(reservation, &claims).is_ok() {
            count(ByReservation::Local);
            return Ok(());
        }
        let began = self.0.clock.read().boot_millis;
        let waited = tokio::time::timeout(GRANT_WAIT, self.wait_and_take(reservation, &claims)).await;
        let millis = self.0.clock.read().boot_millis.saturating_sub(began);
        self.0.metrics.wait_seconds.record_time(Duration::from_millis(millis));
        let outcome = waited.unwrap_or(Err(ReserveError::Unavailable));
        count(match outcome {
            Ok(()) => ByReservation::Granted,
            Err(ReserveError::Exhausted { .. }) => ByReservation::Exhausted,
            Err(ReserveError::Frozen { .. }) => ByReservation::Frozen,
            Err(ReserveError::Unavailable) => ByReservation::Unavailable,
        });
        outcome
    }

    async fn wait_and_take(&self, reservation: &mut Reservation, claims: &Chain) -> Result<(), ReserveError> {
        loop {
            // from before the look at the leases, so that no answer falls between
            let mut news = self.shard(reservation.user).lock().news();
            let Err(missing) = self.try_take(reservation, claims) else { return Ok(()) };
            refusal(&missing)?;
            self.ask(reservation.user, &missing);
            // an answer that could not be given holds for a moment; then it is worth asking again
            let is_unsure = missing.iter().any(|short| short.verdict == Some(Verdict::Unavailable));
            let again = Duration::from_millis(if is_unsure { lease::UNAVAILABLE_MILLIS } else { lease::ASK_AGAIN_MILLIS });
            // whether there are news or it was long enough, the leases are looked at again
            let _ = tokio::time::timeout(again, news.changed()).await;
        }
    }

    /// One attempt, without waiting. Asks for a refill when the leases run low.
    fn try_take(&self, reservation: &mut Reservation, claims: &Chain) -> Result<(), SmallVec<[Missing; 2]>> {
        let now = self.0.clock.read().boot_millis;
        let mut shard = self.shard(reservation.user).lock();
        let held = reservation.inner.get_or_insert_default();
        if let Err(Shortage { accounts }) = shard.book.extend(held, claims, now) {
            return Err(accounts);
        }
        for claim in claims {
            match reservation.claims.iter_mut().find(|known| known.account == claim.account) {
                Some(known) => known.amount = known.amount.saturating_plus(claim.amount),
                None => reservation.claims.push(*claim),
            }
            let refill = shard.book.want(claim.account, Quota::ZERO, now);
            self.demand(reservation.user, refill);
        }
        Ok(())
    }

    /// Asks for what is missing.
    fn ask(&self, user: UserId, missing: &[Missing]) {
        let now = self.0.clock.read().boot_millis;
        let mut shard = self.shard(user).lock();
        for short in missing {
            let demand = shard.book.want(short.account, short.amount, now);
            self.demand(user, demand);
        }
    }

    fn demand(&self, user: UserId, request: Option<lease::GrantRequest>) {
        let Some(request) = request else { return };
        self.0.metrics.grant_requests.increment();
        // a full queue loses nothing: the book asks again, and a new connection sends everything outstanding
        let _ = self.0.demands.try_send(Demand::new(shard_of(user), request));
    }

    fn shard(&self, user: UserId) -> &Mutex<Shard> {
        // the array has SHARDS entries and the number is below it
        &self.0.shards[shard_of(user)]
    }
}

fn shard_of(user: UserId) -> usize {
    usize::try_from(user.get().unsigned_abs() % SHARDS as u64).unwrap_or(0)
}

/// What the control plane said already, if it said no.
fn refusal(missing: &[Missing]) -> Result<(), ReserveError> {
    for short in missing {
        match short.verdict {
            Some(Verdict::Exhausted { .. } | Verdict::UnknownAccount) => {
                return Err(ReserveError::Exhausted { account: short.account });
            }
            Some(Verdict::Frozen) => return Err(ReserveError::Frozen { account: short.account }),
            Some(Verdict::Unavailable) | None => {}
        }
    }
    Ok(())
}

/// Money set aside for one request. Settle it with what the request cost; dropping gives everything back.
#[derive(Debug)]
#[must_use = "the money goes back when this is dropped"]
pub struct Reservation {
    quotas: Quotas,
    user: UserId,
    claims: Chain,
    inner: Option<lease::Reservation>,
}

impl Reservation {
    /// The largest amount set aside on one account: what the request may cost.
    #[must_use]
    pub fn held(&self) -> Quota {
        self.claims.iter().map(|claim| claim.amount).max().unwrap_or_default()
    }

    /// Which leases the money is in, and how much in each: for the intent.
    #[must_use]
    pub fn charges(&self) -> Vec<LeaseCharge> {
        let parts = self.inner.iter().flat_map(lease::Reservation::parts);
        parts.map(|(account_id, lease_id, amount)| LeaseCharge { lease_id, account_id, amount }).collect()
    }

    /// Sets more money aside on every account of the chain, or on none.
    ///
    /// # Errors
    /// As [`Quotas::reserve`]; what is set aside already stays.
    pub async fn extend(&mut self, more: Quota) -> Result<(), ReserveError> {
        let claims: Chain = self.claims.iter().map(|claim| Claim { account: claim.account, amount: more }).collect();
        let quotas = self.quotas.clone();
        quotas.take(self, claims).await
    }

    /// Charges what the request cost to every account of the chain and gives the rest back.
    ///
    /// `write` gets what each lease pays and has to put the request's final record into the spool. It runs under the lock that orders
    /// closings of leases, so it must be quick and must not come back here.
    pub fn settle(mut self, actual: Quota, write: impl FnOnce(Vec<LeaseCharge>)) {
        let inner = self.inner.take().unwrap_or_default();
        let claims: Chain = self.claims.iter().map(|claim| Claim { account: claim.account, amount: actual }).collect();
        let now = self.quotas.0.clock.read().boot_millis;
        let mut shard = self.quotas.shard(self.user).lock();
        let settlement = shard.book.settle(inner, &claims, now);
        let charge = |charge: &lease::Charge| LeaseCharge {
            // an account without a lease here: the ledger charges its balance
            lease_id: charge.lease.unwrap_or(LeaseId::new(0)),
            account_id: charge.account,
            amount: charge.amount,
        };
        write(settlement.charges.iter().map(charge).collect());
        close(&settlement.closings, &self.quotas.0.spool);
        for claim in &claims {
            let refill = shard.book.want(claim.account, Quota::ZERO, now);
            self.quotas.demand(self.user, refill);
        }
        shard.tell();
        drop(shard);
        let debt = settlement.debt();
        if debt.is_positive() {
            self.quotas.0.metrics.shortfall_quota.add(debt.get().unsigned_abs());
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let now = self.quotas.0.clock.read().boot_millis;
        let mut shard = self.quotas.shard(self.user).lock();
        let closings = shard.book.release(inner, now);
        close(&closings, &self.quotas.0.spool);
        shard.tell();
    }
}

#[cfg(test)]
mod tests;
