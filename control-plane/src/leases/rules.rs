//! Who gets how much: pure.

use std::collections::{BTreeMap, BTreeSet};

use sluice_billing::lease::{LOW_BALANCE_REQUESTS, grant_size, is_low};
use sluice_domain::{AccountId, NodeId, Quota};

use super::store::OpenLease;
use super::{Answer, Ask, Pending};
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
pub struct Size {
    /// How much.
    pub amount: Quota,
    /// The account runs low.
    pub low: bool,
}

/// Decides requests one after the other, each on what the earlier ones left. Changes the accounts and holders accordingly.
///
/// # Errors
/// When the account cannot pay the need, is frozen, or is not there.
pub fn decide(
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
    let size = if ask.up_to_want { up_to(available, ask) } else { grant_size(available, ask.need, want, others) };
    let Some(amount) = size else {
        return Err(Refused::Exhausted { need: ask.need, rev: account.rev });
    };
    account.balance -= amount.get();
    account.leased += amount.get();
    holding.insert(ask.life.node.clone());
    Ok(Size { amount, low })
}

/// All there is, between the need and the wish.
fn up_to(available: Quota, ask: &Ask) -> Option<Quota> {
    let amount = ask.want.min(available);
    (amount >= ask.need && amount.is_positive()).then_some(amount)
}

/// What to do about a request: hand money out, refuse it, or wait for what relays may give back. `open` are the open leases of its
/// account.
///
/// The account is exhausted only when that is certain: nothing that a relay might still give back would make up the need. Leases whose
/// relay has answered the recall, or a later one, have given what they had.
pub fn decide_or_wait(
    pending: &Pending,
    accounts: &mut BTreeMap<AccountId, LockedAccount>,
    holders: &mut BTreeMap<AccountId, BTreeSet<NodeId>>,
    open: &[OpenLease],
) -> Result<Size, Answer> {
    let ask = &pending.ask;
    let Some(account) = accounts.get(&ask.account) else { return Err(Answer::Refused(Refused::UnknownAccount)) };
    let (available, rev) = (account.available(), account.rev);
    let has_answered = |lease: &&OpenLease| pending.recall_seq.is_some_and(|recall_seq| lease.recall_seq >= recall_seq);
    let unanswered = open.iter().filter(|lease| !has_answered(lease)).map(|lease| lease.remainder.max(0));
    let may_come: i64 = unanswered.fold(0, i64::saturating_add);
    let goal = if ask.up_to_want { ask.want } else { ask.need };
    let is_short = available < goal.get() && goal.is_positive() && !account.frozen;
    let could_be_met = available.saturating_add(may_come) >= ask.need.get() && may_come > 0;
    if is_short && could_be_met && !pending.is_over {
        return Err(Answer::Waits { rev });
    }
    match decide(ask, accounts, holders) {
        Err(Refused::Exhausted { .. }) if is_short && could_be_met => Err(Answer::Unknown),
        decided => decided.map_err(Answer::Refused),
    }
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

    fn pending(ask: Ask, recall_seq: Option<i64>, is_over: bool) -> Pending {
        Pending { ask, recall_seq, is_over }
    }

    fn held(remainder: i64, recall_seq: i64) -> OpenLease {
        OpenLease { account: AccountId::new(1), node: NodeId::parse("z").unwrap(), remainder, recall_seq }
    }

    fn judge(balance: i64, pending: &Pending, open: &[OpenLease]) -> Result<i64, Answer> {
        let mut accounts = BTreeMap::from([(AccountId::new(1), account(balance, 0, false))]);
        decide_or_wait(pending, &mut accounts, &mut BTreeMap::new(), open).map(|size| size.amount.get())
    }

    const EXHAUSTED: Answer = Answer::Refused(Refused::Exhausted { need: Quota::clamped(10), rev: 7 });
    const WAITS: Answer = Answer::Waits { rev: 7 };

    #[test]
    fn an_account_is_exhausted_only_when_nothing_that_may_come_back_would_do() {
        let fresh = pending(ask("a", 10, 10), None, false);
        assert_eq!(judge(10, &fresh, &[]), Ok(10));
        assert_eq!(judge(4, &fresh, &[held(5, 0)]), Err(EXHAUSTED), "all of it would not do");
        assert_eq!(judge(4, &fresh, &[held(6, 0)]), Err(WAITS));
        assert_eq!(judge(4, &fresh, &[held(-3, 0), held(6, 9)]), Err(WAITS), "an overdrawn lease takes nothing from the others");
        assert_eq!(judge(4, &fresh, &[]), Err(EXHAUSTED));
        let recalled = pending(ask("a", 10, 10), Some(5), false);
        assert_eq!(judge(4, &recalled, &[held(6, 4)]), Err(WAITS), "it answered an earlier recall");
        assert_eq!(judge(4, &recalled, &[held(6, 5), held(6, 8)]), Err(EXHAUSTED), "both have answered");
        assert_eq!(judge(4, &recalled, &[held(6, 5), held(5, 0)]), Err(EXHAUSTED));
    }

    #[test]
    fn who_waited_in_vain_is_told_that_nobody_knows() {
        let over = pending(ask("a", 10, 10), Some(5), true);
        assert_eq!(judge(4, &over, &[held(6, 4)]), Err(Answer::Unknown));
        assert_eq!(judge(4, &over, &[held(5, 4)]), Err(EXHAUSTED), "the silent one has too little");
        assert_eq!(judge(10, &over, &[held(6, 4)]), Ok(10));
    }

    #[test]
    fn a_refill_waits_for_nobody() {
        let refill = pending(ask("a", 0, 100), None, false);
        let refused = Answer::Refused(Refused::Exhausted { need: Quota::ZERO, rev: 7 });
        assert_eq!(judge(0, &refill, &[held(1_000, 0)]), Err(refused));
    }

    #[test]
    fn who_makes_do_with_less_gets_all_there_is_once_it_is_known() {
        let asked = Ask { up_to_want: true, ..ask("a", 10, 50) };
        assert_eq!(judge(90, &pending(asked.clone(), None, false), &[]), Ok(50), "and no more than that");
        assert_eq!(judge(20, &pending(asked.clone(), None, false), &[]), Ok(20));
        assert_eq!(judge(20, &pending(asked.clone(), None, false), &[held(5, 0)]), Err(WAITS));
        assert_eq!(judge(20, &pending(asked.clone(), Some(5), false), &[held(5, 5)]), Ok(20));
        assert_eq!(judge(20, &pending(asked.clone(), Some(5), true), &[held(5, 0)]), Ok(20));
        assert_eq!(judge(9, &pending(asked, Some(5), false), &[held(5, 5)]), Err(EXHAUSTED));
    }

    fn ask(node: &str, need: i64, want: i64) -> Ask {
        Ask {
            life: Life { node: NodeId::parse(node).unwrap(), epoch: Epoch(1) },
            grant_seq: 1,
            account: AccountId::new(1),
            need: Quota::clamped(need),
            want: Quota::clamped(want),
            up_to_want: false,
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
