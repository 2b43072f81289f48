//! Who gets how much: pure.

use std::collections::{BTreeMap, BTreeSet};

use sluice_billing::lease::{LOW_BALANCE_REQUESTS, grant_size, is_low};
use sluice_domain::{AccountId, NodeId, Quota};

use super::Ask;
use crate::wallet::moves::LockedAccount;

/// Why nothing was granted. Only these are verdicts about an account; "not known" is an error of the whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The account has less than what was needed.
    Exhausted {
        /// What was needed.
        need: Quota,
        /// Revision of the account this is true of.
        rev: i64,
    },
    /// The account is frozen.
    Frozen {
        /// Revision of the account this is true of.
        rev: i64,
    },
    /// There is no such account.
    UnknownAccount,
}

/// What to hand out for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) amount: Quota,
    pub(super) low: bool,
}

/// Decides requests one after the other, each on what the earlier ones left. Changes the accounts and holders accordingly.
pub(super) fn decide(
    ask: &Ask,
    accounts: &mut BTreeMap<AccountId, LockedAccount>,
    holders: &mut BTreeMap<AccountId, BTreeSet<NodeId>>,
) -> Result<Size, Refused> {
    let account = accounts.get_mut(&ask.account).ok_or(Refused::UnknownAccount)?;
    if account.frozen {
        return Err(Refused::Frozen { rev: account.rev });
    }
    let available = Quota::clamped(account.available());
    let holding = holders.entry(ask.account).or_default();
    let others = holding.iter().filter(|node| **node != ask.life.node).count();
    let others = u32::try_from(others).unwrap_or(u32::MAX);
    let low = is_low(available, mean_request(ask));
    // what one relay holds beyond its need of a low balance, another one lacks
    let want = if low { ask.need } else { ask.want };
    let Some(amount) = grant_size(available, ask.need, want, others) else {
        return Err(Refused::Exhausted { need: ask.need, rev: account.rev });
    };
    account.balance -= amount.get();
    account.leased += amount.get();
    holding.insert(ask.life.node.clone());
    Ok(Size { amount, low })
}

/// What a request of this account costs about, for judging whether its balance is low: what it needed, or, for a refill, the part of
/// the wish that one of a hundred requests would take.
fn mean_request(ask: &Ask) -> Quota {
    if ask.need.is_positive() { ask.need } else { Quota::clamped(ask.want.get() / LOW_BALANCE_REQUESTS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::Life;
    use sluice_domain::{Epoch, UserId};

    fn account(balance: i64, credit_limit: i64, frozen: bool) -> LockedAccount {
        LockedAccount {
            id: AccountId::new(1),
            user_id: UserId::new(1),
            owner_id: 1,
            is_wallet: true,
            balance,
            credit_limit,
            leased: 0,
            in_doubt: 0,
            frozen,
            rev: 7,
        }
    }

    fn ask(node: &str, need: i64, want: i64) -> Ask {
        Ask {
            life: Life { node: NodeId::parse(node).unwrap(), epoch: Epoch(1) },
            grant_seq: 1,
            account: AccountId::new(1),
            need: Quota::clamped(need),
            want: Quota::clamped(want),
        }
    }

    fn decide_all(account: LockedAccount, asks: &[Ask]) -> Vec<Result<i64, Refused>> {
        let mut accounts = BTreeMap::from([(AccountId::new(1), account)]);
        let mut holders = BTreeMap::new();
        asks.iter().map(|ask| decide(ask, &mut accounts, &mut holders).map(|size| size.amount.get())).collect()
    }

    #[test]
    fn later_requests_get_their_share_of_what_earlier_ones_left() {
        let asks = [ask("a", 1, 1_000_000), ask("b", 1, 1_000_000), ask("a", 0, 100)];
        // half of it; half of the rest shared with one holder; half of the rest shared with the other one
        assert_eq!(decide_all(account(1_000, 0, false), &asks), [Ok(500), Ok(125), Ok(93)]);
    }

    #[test]
    fn of_a_low_balance_nobody_gets_more_than_they_need() {
        assert_eq!(decide_all(account(1_000, 0, false), &[ask("a", 11, 1_000), ask("b", 11, 1_000)]), [Ok(11), Ok(11)]);
    }

    #[test]
    fn the_last_unit_goes_to_who_needs_it_and_then_there_is_none() {
        let asks = [ask("a", 900, 900), ask("b", 100, 100), ask("c", 1, 1)];
        let exhausted = Refused::Exhausted { need: Quota::clamped(1), rev: 7 };
        assert_eq!(decide_all(account(1_000, 0, false), &asks), [Ok(900), Ok(100), Err(exhausted)]);
    }

    #[test]
    fn a_credit_line_can_be_leased_too() {
        assert_eq!(decide_all(account(-50, 100, false), &[ask("a", 50, 50)]), [Ok(50)]);
    }

    #[test]
    fn frozen_and_unknown_accounts_get_nothing() {
        assert_eq!(decide_all(account(1_000, 0, true), &[ask("a", 1, 1)]), [Err(Refused::Frozen { rev: 7 })]);
        let other = Ask { account: AccountId::new(2), ..ask("a", 1, 1) };
        assert_eq!(decide_all(account(1_000, 0, false), &[other]), [Err(Refused::UnknownAccount)]);
    }
}
