//! Money handed to this relay: reserve it for a request, settle what the request cost, ask for more in time, give back what is needed
//! elsewhere.
//!
//! 64 shards by user, each a lock around a [`LeaseBook`], so that the accounts of one user, a wallet and the caps and uses of its tokens,
//! are always in the same book. Nothing is awaited under a lock. Closings of leases go to the spool under the lock of their shard, and so
//! does a request's final record (`write` of [`Reservation::settle`]): a closing never overtakes a charge.
//!
//! What must not live here: prices, and how grants travel (that is `link`). Start reading at [`Quotas::reserve`].

mod chain;
mod recall;
mod reservation;
mod shard;
mod wire;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_billing::lease::{self, LeaseBook, Missing, Shortage, Terms, Verdict};
use sluice_domain::{AccountId, Clock, LeaseId, Quota, UserId};
use smallvec::SmallVec;
use tokio::sync::mpsc;

use self::chain::Claims;
pub use self::chain::{Chain, Due};
pub use self::recall::GiveBack;
use self::recall::Pile;
pub use self::reservation::Reservation;
use self::shard::{Shard, close};
pub use self::wire::{Demand, Holdings, Refused};
use crate::metrics::{ByReservation, QuotaMetrics};
use crate::spool::Spool;

/// Books, and locks. A power of two: the number of a shard is part of a grant's number.
const SHARDS: usize = 64;
/// The longest a request waits for a grant.
pub const GRANT_WAIT: Duration = Duration::from_secs(5);
/// The longest a request waits for a grant when the control plane has been away for [`GRANT_WAIT`]: who restarts is back earlier.
pub const AWAY_WAIT: Duration = Duration::from_millis(250);
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
    pile: Pile,
    /// Leases whose ends were settled since the last sweep.
    settled: Mutex<HashSet<LeaseId>>,
    terms: Terms,
    /// Since when nobody can be asked, on the clock of leases; 0 while somebody can.
    away_since: AtomicU64,
}

impl Quotas {
    /// No leases yet. What the receiver gives is to be asked of the control plane.
    #[must_use]
    pub fn new(spool: Spool, clock: Clock, metrics: QuotaMetrics) -> (Self, mpsc::Receiver<Demand>) {
        Self::with_terms(spool, clock, metrics, Terms::default())
    }

    /// The same with other times than usual. The control plane must go by the same.
    #[must_use]
    pub fn with_terms(spool: Spool, clock: Clock, metrics: QuotaMetrics, terms: Terms) -> (Self, mpsc::Receiver<Demand>) {
        let (demands, receiver) = mpsc::channel(MAX_DEMANDS);
        let shards = std::array::from_fn(|_| Mutex::new(Shard::new(terms)));
        (
            Self(Arc::new(Inner {
                shards,
                spool,
                clock,
                metrics,
                demands,
                pile: Pile::default(),
                settled: Mutex::default(),
                terms,
                away_since: AtomicU64::new(0),
            })),
            receiver,
        )
    }

    /// Whether the control plane can be asked. When it cannot for [`GRANT_WAIT`], requests that need more than is here wait
    /// [`AWAY_WAIT`] and no longer.
    pub fn set_connected(&self, is_connected: bool) {
        if is_connected {
            self.0.away_since.store(0, Ordering::Relaxed);
            return;
        }
        // who was away already has been so since then
        let _ = self.0.away_since.compare_exchange(0, self.now().max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How long somebody who has waited since `began` still waits while nobody can be asked; `None` while somebody can.
    fn patience_while_away(&self, began: u64) -> Option<Duration> {
        let since = self.0.away_since.load(Ordering::Relaxed);
        let ends = since.saturating_add(millis(GRANT_WAIT)).max(began.saturating_add(millis(AWAY_WAIT)));
        (since > 0).then(|| Duration::from_millis(ends.saturating_sub(self.now())))
    }

    /// Sets an amount aside on every account of a chain, or on none. All accounts must belong to the user.
    ///
    /// Local when the leases held cover it; otherwise asks for a grant and waits for it, at most [`GRANT_WAIT`].
    ///
    /// # Errors
    /// When the control plane refuses, or does not answer in time.
    pub async fn reserve(&self, user: UserId, chain: Chain, amount: Quota) -> Result<Reservation, ReserveError> {
        let mut reservation = Reservation::nothing(self.clone(), user, chain);
        self.take(&mut reservation, &chain.claims(amount)).await?;
        reservation.holds(amount);
        Ok(reservation)
    }

    /// Sets aside as much as there is for the chain between two amounts: all of `most` if it can be had, and nothing rather than less
    /// than `least`. [`Reservation::held`] says how much it is.
    ///
    /// # Errors
    /// When not even `least` can be had, or nobody can say in time.
    pub async fn reserve_up_to(
        &self,
        user: UserId,
        chain: Chain,
        least: Quota,
        most: Quota,
    ) -> Result<Reservation, ReserveError> {
        let mut reservation = Reservation::nothing(self.clone(), user, chain);
        let amount = self.take_up_to(&mut reservation, chain, least, most).await?;
        reservation.holds(amount);
        Ok(reservation)
    }

    /// The same from what is here, asking nobody.
    ///
    /// # Errors
    /// When it does not cover `least`.
    pub fn reserve_here(&self, user: UserId, chain: Chain, least: Quota, most: Quota) -> Result<Reservation, ReserveError> {
        let amount = self.available(user, chain).min(most).max(least);
        let mut reservation = Reservation::nothing(self.clone(), user, chain);
        self.try_take(&mut reservation, &chain.claims(amount)).map_err(|_| ReserveError::Unavailable)?;
        self.count(ByReservation::Local);
        reservation.holds(amount);
        Ok(reservation)
    }

    /// Whether the balance behind an account of a chain that pays in quota is low. `None`: of none is it known to be, and of one it is
    /// not known.
    #[must_use]
    pub fn is_low(&self, user: UserId, chain: Chain) -> Option<bool> {
        let now = self.now();
        let shard = self.shard(user).lock();
        let mut is_known = true;
        for claim in chain.in_quota(Quota::ZERO) {
            match shard.book.is_low(claim.account, now) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(false)
    }

    /// What can be set aside on every account of a chain without asking anybody. A chain that pays in no quota can pay everything, and
    /// one whose token may not be used any more nothing.
    #[must_use]
    pub fn available(&self, user: UserId, chain: Chain) -> Quota {
        let now = self.now();
        let shard = self.shard(user).lock();
        if chain.uses.is_some_and(|uses| !shard.book.available(uses, now).is_positive()) {
            return Quota::ZERO;
        }
        let paying = chain.cap.into_iter().chain(chain.wallet);
        paying.map(|account| shard.book.available(account, now)).min().unwrap_or(Quota::MAX)
    }

    /// Asks for what a chain will need soon, beyond what is here. Waits for nothing.
    pub fn wish(&self, user: UserId, chain: Chain, ahead: Quota) {
        let now = self.now();
        let mut shard = self.shard(user).lock();
        for claim in chain.in_quota(ahead) {
            let missing = claim.amount.saturating_minus(shard.book.available(claim.account, now));
            if missing.is_positive() {
                self.want(&mut shard, user, claim.account, missing, now);
            }
        }
    }

    async fn take(&self, reservation: &mut Reservation, claims: &Claims) -> Result<(), ReserveError> {
        if self.try_take(reservation, claims).is_ok() {
            self.count(ByReservation::Local);
            return Ok(());
        }
        let began = self.now();
        let waited = tokio::time::timeout(GRANT_WAIT, self.wait_and_take(reservation, claims, began)).await;
        self.0.metrics.wait_seconds.record_time(Duration::from_millis(self.now().saturating_sub(began)));
        let outcome = waited.unwrap_or(Err(ReserveError::Unavailable));
        self.count(outcome_of(&outcome));
        outcome
    }

    async fn wait_and_take(&self, reservation: &mut Reservation, claims: &Claims, began: u64) -> Result<(), ReserveError> {
        let _waiting = self.waits(reservation.user(), claims);
        loop {
            // from before the look at the leases, so that no answer falls between
            let mut news = self.shard(reservation.user()).lock().news();
            let Err(missing) = self.try_take(reservation, claims) else { return Ok(()) };
            refusal(&missing)?;
            self.ask(reservation.user(), &missing);
            let left = self.patience_while_away(began);
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ReserveError::Unavailable);
            }
            // an answer that could not be given holds for a moment; then it is worth asking again
            let is_unsure = missing.iter().any(|short| short.verdict == Some(Verdict::Unavailable));
            let Terms { unavailable_millis, ask_again_millis, .. } = self.0.terms;
            let again = Duration::from_millis(if is_unsure { unavailable_millis } else { ask_again_millis });
            let again = left.map_or(again, |left| again.min(left));
            // whether there are news or it was long enough, the leases are looked at again
            let _ = tokio::time::timeout(again, news.changed()).await;
        }
    }

    /// Takes as much as there is between two amounts, and says how much that was.
    async fn take_up_to(
        &self,
        reservation: &mut Reservation,
        chain: Chain,
        least: Quota,
        most: Quota,
    ) -> Result<Quota, ReserveError> {
        if self.try_take(reservation, &chain.claims(most)).is_ok() {
            self.count(ByReservation::Local);
            return Ok(most);
        }
        let began = self.now();
        let waited = tokio::time::timeout(GRANT_WAIT, self.wait_and_take_up_to(reservation, chain, (least, most), began)).await;
        self.0.metrics.wait_seconds.record_time(Duration::from_millis(self.now().saturating_sub(began)));
        let outcome = waited.unwrap_or(Err(ReserveError::Unavailable));
        self.count(outcome_of(&outcome.map(drop)));
        outcome
    }

    /// Asks for all there is, and takes whatever came; what is here, when nobody answers in time. Who finds that others took it asks
    /// again: only a verdict ends it.
    async fn wait_and_take_up_to(
        &self,
        reservation: &mut Reservation,
        chain: Chain,
        (least, most): (Quota, Quota),
        began: u64,
    ) -> Result<Quota, ReserveError> {
        let user = reservation.user();
        let Terms { unavailable_millis, ask_again_millis, .. } = self.0.terms;
        let _waiting = self.waits(user, &chain.claims(most));
        let (mut has_asked, mut again) = (false, ask_again_millis);
        loop {
            // from before the look at the leases, so that no answer falls between
            let mut news = self.shard(user).lock().news();
            let left = self.patience_while_away(began);
            let is_late = left.is_some_and(|left| left.is_zero()) || self.now().saturating_sub(began) >= ask_again_millis;
            let is_answered = has_asked && (is_late || self.has_answers(user, chain));
            let amount = if is_answered { self.available(user, chain).min(most).max(least) } else { most };
            match self.try_take(reservation, &chain.claims(amount)) {
                Ok(()) => return Ok(amount),
                Err(missing) if is_answered => {
                    refusal(&missing)?;
                    let is_unsure = missing.iter().any(|short| short.verdict == Some(Verdict::Unavailable));
                    again = if is_unsure { unavailable_millis } else { ask_again_millis };
                }
                Err(_) => {}
            }
            if left.is_some_and(|left| left.is_zero()) && has_asked {
                return Err(ReserveError::Unavailable);
            }
            self.ask_up_to(user, chain, least, most);
            has_asked = true;
            let wait = Duration::from_millis(again);
            let wait = left.map_or(wait, |left| wait.min(left));
            // whether there are news or it was long enough, the leases are looked at again
            let _ = tokio::time::timeout(wait, news.changed()).await;
        }
    }

    /// One attempt, without waiting. Asks for a refill when the leases run low.
    fn try_take(&self, reservation: &mut Reservation, claims: &Claims) -> Result<(), SmallVec<[Missing; 2]>> {
        let now = self.now();
        let user = reservation.user();
        let mut shard = self.shard(user).lock();
        if let Err(Shortage { accounts }) = shard.book.extend(reservation.inner(), claims, now) {
            return Err(accounts);
        }
        for claim in claims {
            self.want(&mut shard, user, claim.account, Quota::ZERO, now);
        }
        Ok(())
    }

    /// Asks for what is missing.
    fn ask(&self, user: UserId, missing: &[Missing]) {
        let now = self.now();
        let mut shard = self.shard(user).lock();
        for short in missing {
            self.want(&mut shard, user, short.account, short.amount, now);
        }
    }

    /// Asks for whatever there is of what is missing.
    fn ask_up_to(&self, user: UserId, chain: Chain, least: Quota, most: Quota) {
        let now = self.now();
        let mut shard = self.shard(user).lock();
        for (least, most) in chain.claims(least).into_iter().zip(chain.claims(most)) {
            let account = most.account;
            let free = shard.book.available(account, now);
            let (need, want) = (least.amount.saturating_minus(free).max(Quota::ZERO), most.amount.saturating_minus(free));
            if want.is_positive() {
                let request = shard.book.want_up_to(account, need, want, now);
                self.demand(&mut shard, user, request);
            }
        }
    }

    /// Whether nothing asked for the accounts of a chain is without an answer.
    fn has_answers(&self, user: UserId, chain: Chain) -> bool {
        let shard = self.shard(user).lock();
        let claims = chain.claims(Quota::ZERO);
        !shard.book.outstanding().any(|request| claims.iter().any(|claim| claim.account == request.account))
    }

    fn want(&self, shard: &mut Shard, user: UserId, account: AccountId, need: Quota, now: u64) {
        let request = shard.book.want(account, need, now);
        self.demand(shard, user, request);
    }

    fn demand(&self, shard: &mut Shard, user: UserId, request: Option<lease::GrantRequest>) {
        let Some(request) = request else { return };
        shard.owners.insert(request.account, user);
        self.0.metrics.grant_requests.increment();
        // a full queue loses nothing: the book asks again, and a new connection sends everything outstanding
        let _ = self.0.demands.try_send(Demand::new(shard_of(user), request));
    }

    fn count(&self, outcome: ByReservation) {
        self.0.metrics.reservations.of(&outcome).increment();
    }

    fn now(&self) -> u64 {
        self.0.clock.read().boot_millis
    }

    fn shard(&self, user: UserId) -> &Mutex<Shard> {
        // the array has SHARDS entries and the number is below it
        &self.0.shards[shard_of(user)]
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn shard_of(user: UserId) -> usize {
    usize::try_from(user.get().unsigned_abs() % SHARDS as u64).unwrap_or(0)
}

fn outcome_of(outcome: &Result<(), ReserveError>) -> ByReservation {
    match outcome {
        Ok(()) => ByReservation::Granted,
        Err(ReserveError::Exhausted { .. }) => ByReservation::Exhausted,
        Err(ReserveError::Frozen { .. }) => ByReservation::Frozen,
        Err(ReserveError::Unavailable) => ByReservation::Unavailable,
    }
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

#[cfg(test)]
mod tests;
