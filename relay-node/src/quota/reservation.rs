//! The guard of the money set aside for one request.

use sluice_billing::lease;
use sluice_domain::{LeaseCharge, LeaseId, Quota, UserId};
use tokio::time::{Instant, timeout_at};

use super::chain::{Chain, Due};
use super::{GRANT_WAIT, Quotas, ReserveError, close};

/// Money set aside for one request. Settle it with what the request cost; dropping gives everything back.
#[derive(Debug)]
#[must_use = "the money goes back when this is dropped"]
pub struct Reservation {
    quotas: Quotas,
    user: UserId,
    chain: Chain,
    held: Quota,
    inner: Option<lease::Reservation>,
    /// The request's open record in the spool, once it has one.
    record: Option<u64>,
}

impl Reservation {
    pub(super) const fn nothing(quotas: Quotas, user: UserId, chain: Chain) -> Self {
        Self { quotas, user, chain, held: Quota::ZERO, inner: None, record: None }
    }

    pub(super) const fn user(&self) -> UserId {
        self.user
    }

    pub(super) fn inner(&mut self) -> &mut lease::Reservation {
        self.inner.get_or_insert_default()
    }

    pub(super) const fn holds(&mut self, more: Quota) {
        self.held = self.held.saturating_plus(more);
    }

    /// The amount set aside on every account that pays in quota: what the request may cost. Zero for what is free.
    #[must_use]
    pub const fn held(&self) -> Quota {
        if self.chain.wallet.is_none() && self.chain.cap.is_none() { Quota::ZERO } else { self.held }
    }

    /// The accounts it is set aside on.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// Which leases the money is in, and how much in each: for the intent.
    #[must_use]
    pub fn charges(&self) -> Vec<LeaseCharge> {
        let parts = self.inner.iter().flat_map(lease::Reservation::parts);
        parts.map(|(account_id, lease_id, amount)| LeaseCharge { lease_id, account_id, amount }).collect()
    }

    /// The request is on record, with what is set aside so far; what is set aside later is noted there.
    pub const fn recorded(&mut self, open: u64) {
        self.record = Some(open);
    }

    /// Who dies here is charged on these leases, and nobody else may spend them.
    fn note_hold(&self) {
        if let Some(open) = self.record {
            self.quotas.0.spool.note_hold(open, self.held(), self.charges());
        }
    }

    /// Sets more quota aside on every account of the chain that pays in it, or on none: local when the leases held cover it, else
    /// after a grant.
    ///
    /// # Errors
    /// As [`Quotas::reserve`]; what is set aside already stays.
    pub async fn extend(&mut self, more: Quota) -> Result<(), ReserveError> {
        let claims = self.chain.in_quota(more);
        let quotas = self.quotas.clone();
        quotas.take(self, &claims).await?;
        self.holds(more);
        self.note_hold();
        Ok(())
    }

    /// Sets as much more aside as there is between two amounts, and says how much that was.
    ///
    /// # Errors
    /// When not even `least` can be had, or nobody can say in time; what is set aside already stays.
    pub async fn extend_up_to(&mut self, least: Quota, most: Quota) -> Result<Quota, ReserveError> {
        let chain = Chain { uses: None, ..self.chain };
        let quotas = self.quotas.clone();
        let more = quotas.take_up_to(self, chain, least, most).await?;
        self.holds(more);
        self.note_hold();
        Ok(more)
    }

    /// The same with a moment at which it is given up.
    ///
    /// # Errors
    /// As [`Reservation::extend_up_to`].
    pub async fn extend_up_to_by(&mut self, deadline: Instant, least: Quota, most: Quota) -> Result<Quota, ReserveError> {
        let extended = timeout_at(deadline, self.extend_up_to(least, most)).await;
        extended.unwrap_or(Err(ReserveError::Unavailable))
    }

    /// Sets `more` aside, or as much of it as there is, to the last unit, when there is not all of it. However often somebody is asked,
    /// this waits for [`GRANT_WAIT`] in all.
    ///
    /// # Errors
    /// As [`Reservation::extend_up_to`].
    pub async fn extend_as_far_as_there_is(&mut self, least: Quota, more: Quota) -> Result<Quota, ReserveError> {
        let deadline = Instant::now() + GRANT_WAIT;
        match self.extend(more).await {
            Ok(()) => Ok(more),
            Err(ReserveError::Exhausted { .. }) => self.extend_up_to_by(deadline, least, more).await,
            Err(error) => Err(error),
        }
    }

    /// The same as [`Reservation::extend`] without waiting: `false` when the leases held do not cover it. Asks for nothing but refills.
    pub fn try_extend(&mut self, more: Quota) -> bool {
        let claims = self.chain.in_quota(more);
        let quotas = self.quotas.clone();
        let is_taken = quotas.try_take(self, &claims).is_ok();
        if is_taken {
            self.holds(more);
            self.note_hold();
        }
        is_taken
    }

    /// Asks for what the next extension will need, beyond what is here. Waits for nothing.
    pub fn wish(&self, ahead: Quota) {
        self.quotas.wish(self.user, self.chain, ahead);
    }

    /// What could be set aside beyond what is, without asking anybody.
    #[must_use]
    pub fn available(&self) -> Quota {
        self.quotas.available(self.user, Chain { uses: None, ..self.chain })
    }

    /// Charges what the request comes to to every account of the chain and gives the rest back.
    ///
    /// `write` gets what each lease pays and has to put the request's final record into the spool. It runs under the lock that orders
    /// closings of leases, so it must be quick and must not come back here.
    pub fn settle(mut self, due: Due, write: impl FnOnce(Vec<LeaseCharge>)) {
        let inner = self.inner.take().unwrap_or_default();
        let claims = self.chain.dues(due);
        let now = self.quotas.now();
        let mut shard = self.quotas.shard(self.user).lock();
        let settlement = shard.book.settle(inner, &claims, now);
        let charge = |charge: &lease::Charge| LeaseCharge {
            // what no lease here covers, the ledger charges to the balance
            lease_id: charge.lease.unwrap_or(LeaseId::new(0)),
            account_id: charge.account,
            amount: charge.amount,
        };
        write(settlement.charges.iter().map(charge).collect());
        close(&settlement.closings, &self.quotas.0.spool);
        for claim in &claims {
            self.quotas.want(&mut shard, self.user, claim.account, Quota::ZERO, now);
        }
        self.quotas.freed(&shard, self.user, &claims, now);
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
        let now = self.quotas.now();
        let mut shard = self.quotas.shard(self.user).lock();
        let closings = shard.book.release(inner, now);
        close(&closings, &self.quotas.0.spool);
        self.quotas.freed(&shard, self.user, &self.chain.claims(Quota::ZERO), now);
        shard.tell();
    }
}
