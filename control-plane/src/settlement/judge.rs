//! What one record costs, or why it cannot be settled: pure.

use sluice_billing::{PriceError, price, standing_surcharge};
use sluice_domain::{AccountId, Outcome, Quota, RequestRecord, UnixMillis};

use super::rates::{NoRate, Rates};

/// A relay's clock may be this far off before its times are not believed, in milliseconds.
const MAX_OFFSET_MILLIS: i64 = 5 * 60_000;
/// A request that ended longer ago than this is not billed without somebody looking at it, in milliseconds.
const OLDEST_MILLIS: i64 = 35 * 24 * 3_600_000;

/// What is known about the batch a record came in.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// When it was received.
    pub at: UnixMillis,
    /// What the relay's clock said when it sent it.
    pub sent_at: UnixMillis,
}

/// What a record comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To be charged.
    Charge {
        /// The price.
        quota: Quota,
        /// The relay had another figure.
        repriced: bool,
        /// When it ended, for billing.
        finished_at: UnixMillis,
    },
    /// For people to look at.
    Quarantine(&'static str),
}

/// The accounts that pay for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The user's wallet; `None`: there is no such user, or the token is not theirs.
    pub wallet: Option<AccountId>,
    /// The token's cap; `None`: there is no such token any more.
    pub cap: Option<AccountId>,
    /// The account of its number of uses; `None`: they were never counted.
    pub uses: Option<AccountId>,
}

impl Chain {
    /// Those there are.
    pub fn accounts(self) -> impl Iterator<Item = AccountId> {
        self.wallet.into_iter().chain(self.cap).chain(self.uses)
    }

    /// What each of them pays for a record of this price: quota, and one use if somebody answered.
    pub fn dues(self, quota: Quota, is_answered: bool) -> impl Iterator<Item = (AccountId, Quota)> {
        let use_of_one = Quota::clamped(i64::from(is_answered));
        let in_quota = self.wallet.into_iter().chain(self.cap).map(move |account| (account, quota));
        in_quota.chain(self.uses.map(|account| (account, use_of_one))).filter(|(_, due)| !due.is_zero())
    }
}

/// Judges one record. `lineage` is the history the database is in: rates of another one cannot be compared, so the newest apply.
#[must_use]
pub fn judge(record: &RequestRecord, chain: Chain, rates: &Rates, lineage: &str, received: Received) -> Verdict {
    if !record.usage.is_plausible() {
        return Verdict::Quarantine("implausible_usage");
    }
    if record.quota.get() < 0 || record.held.get() < 0 || record.charges.iter().any(|charge| charge.amount.get() < 0) {
        return Verdict::Quarantine("negative_amount");
    }
    if chain.wallet.is_none() {
        return Verdict::Quarantine("unknown_payer");
    }
    let is_foreign = |account: AccountId| chain.cap.is_some() && !chain.accounts().any(|own| own == account);
    if record.charges.iter().any(|charge| is_foreign(charge.account_id)) {
        return Verdict::Quarantine("foreign_account");
    }
    let Some(finished_at) = finished_at(record, received) else { return Verdict::Quarantine("implausible_time") };
    let quota = match cost(record, rates, lineage) {
        Ok(quota) => quota,
        Err(reason) => return Verdict::Quarantine(reason),
    };
    Verdict::Charge { quota, repriced: quota != record.quota, finished_at }
}

/// Whether something was produced that has to be paid for. What broke off before an answer began reports no usage, and costs nothing
/// even at a price per call.
#[must_use]
pub fn is_billable(record: &RequestRecord) -> bool {
    match record.outcome {
        Outcome::Completed => true,
        Outcome::Failed => false,
        Outcome::Truncated | Outcome::Aborted => !record.usage.is_empty(),
        Outcome::Orphaned => !record.usage.is_empty() || record.quota.is_positive(),
    }
}

fn cost(record: &RequestRecord, rates: &Rates, lineage: &str) -> Result<Quota, &'static str> {
    if !is_billable(record) {
        return Ok(Quota::ZERO);
    }
    if record.outcome == Outcome::Orphaned && record.quota.is_positive() {
        // no price list makes this figure: its relay goes by the rule that a crash costs what was held
        return Ok(record.quota.min(record.held));
    }
    let newest = rates.newest();
    let seq = if &*record.config_lineage == lineage { record.config_seq.min(newest) } else { newest };
    let rate = rates.rate(seq, record.model.as_str(), record.group.as_str(), record.channel_id).map_err(|none| match none {
        NoRate::Model => "unpriced_model",
        NoRate::Group => "unknown_group",
    })?;
    let surcharge = standing_surcharge(&record.path, record.model.as_str());
    price(&rate, &record.usage, surcharge.as_slice()).map_err(|error| match error {
        PriceError::Unpriced => "unpriced_model",
        PriceError::OutOfRange => "price_out_of_range",
    })
}

/// When a request ended, by the relay's clock if that is about right, else by ours. `None` when no clock could have said that: neither the
/// one the relay has when it reports, nor the one before a step of it that came in between.
fn finished_at(record: &RequestRecord, received: Received) -> Option<UnixMillis> {
    let said = record.started_at.plus_millis(i64::try_from(record.total_millis).unwrap_or(i64::MAX));
    let offset = received.sent_at.millis_since(received.at);
    let is_plausible = |moment| (-MAX_OFFSET_MILLIS..=OLDEST_MILLIS).contains(&received.at.millis_since(moment));
    if !is_plausible(said.plus_millis(offset.saturating_neg())) && !is_plausible(said) {
        return None;
    }
    Some(if offset.abs() <= MAX_OFFSET_MILLIS { said } else { received.at })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
