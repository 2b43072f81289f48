use super::*;

const WALLET: AccountId = AccountId::new(1);
const TOKEN: AccountId = AccountId::new(2);
const LIFE: u64 = 600_000;
const IDLE_MILLIS: u64 = 600_000;
const LOW_IDLE_MILLIS: u64 = 60_000;
const ASK_AGAIN_MILLIS: u64 = 2_000;
const RENEW_AGAIN_MILLIS: u64 = 10_000;
const UNAVAILABLE_MILLIS: u64 = 500;

fn quota(units: i64) -> Quota {
    Quota::clamped(units)
}

fn claim(account: AccountId, units: i64) -> Claim {
    Claim { account, amount: quota(units) }
}

/// Asks for and takes in a lease of `units`, at time `now`.
fn lease(book: &mut LeaseBook, account: AccountId, id: i64, units: i64, now: u64) {
    let grant_seq = book.ask_with_identity(now);
    let grant = Grant { grant_seq, lease: LeaseId::new(id), account, amount: quota(units), life_millis: LIFE, low: false };
    assert_eq!(book.granted(grant, now), None);
}

fn held(book: &LeaseBook, id: i64) -> HeldLease {
    book.held().find(|held| held.lease == LeaseId::new(id)).unwrap()
}

fn charges(settlement: &Settlement) -> Vec<(i64, i64, i64)> {
    let lease = |charge: &Charge| charge.lease.map_or(0, LeaseId::get);
    settlement.charges.iter().map(|charge| (lease(charge), charge.amount.get(), charge.debt.get())).collect()
}

fn closed(closings: &[Closing]) -> Vec<i64> {
    closings.iter().map(|closing| closing.lease.get()).collect()
}

#[test]
fn a_chain_is_reserved_on_every_account_or_on_none() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    lease(&mut book, TOKEN, 2, 50, 0);
    let shortage = book.reserve(&[claim(WALLET, 60), claim(TOKEN, 60)], 1).unwrap_err();
    assert_eq!(shortage.accounts.as_slice(), [Missing { account: TOKEN, amount: quota(10), verdict: None }]);
    assert_eq!(held(&book, 1).free, quota(100), "nothing stays set aside");
    let reservation = book.reserve(&[claim(WALLET, 60), claim(TOKEN, 50)], 1).unwrap();
    assert_eq!((reservation.on(WALLET), reservation.on(TOKEN)), (quota(60), quota(50)));
    assert_eq!(held(&book, 1).free, quota(40));
    let both = book.reserve(&[claim(WALLET, 41), claim(TOKEN, 1)], 1).unwrap_err();
    assert_eq!(both.accounts.len(), 2, "every short account is told, so that one round trip asks for all");
    let _ = book.release(reservation, 1);
}

#[test]
fn a_request_pays_from_its_oldest_lease_and_the_rest_is_free_again() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 30, 0);
    lease(&mut book, WALLET, 2, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 80)], 1).unwrap();
    let settlement = book.settle(reservation, &[claim(WALLET, 50)], 2);
    assert_eq!(charges(&settlement), [(1, 30, 0), (2, 20, 0)]);
    assert_eq!(closed(&settlement.closings), [1], "a used-up lease closes");
    assert_eq!((held(&book, 2).free, held(&book, 2).reserved), (quota(80), Quota::ZERO));
}

#[test]
fn what_exceeds_the_hold_takes_free_money_and_then_becomes_debt_of_the_balance() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 30, 0);
    lease(&mut book, WALLET, 2, 10, 0);
    let reservation = book.reserve(&[claim(WALLET, 20)], 1).unwrap();
    let settlement = book.settle(reservation, &[claim(WALLET, 100)], 2);
    assert_eq!(
        charges(&settlement),
        [(1, 30, 0), (2, 10, 0), (0, 60, 60)],
        "the balance pays it, which blocks the account at once"
    );
    assert_eq!(settlement.debt(), quota(60));
    assert_eq!(closed(&settlement.closings), [1, 2]);
    assert_eq!(book.held().count(), 0);
}

#[test]
fn an_account_without_a_lease_here_is_charged_without_one() {
    let mut book = LeaseBook::default();
    let nothing = book.reserve(&[claim(WALLET, 0)], 0).unwrap();
    let settlement = book.settle(nothing, &[claim(WALLET, 7)], 0);
    assert_eq!(charges(&settlement), [(0, 7, 7)]);
}

#[test]
fn an_expired_lease_reserves_nothing_but_pays_for_what_it_holds() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 10)], LIFE - 1).unwrap();
    assert!(book.reserve(&[claim(WALLET, 10)], LIFE).is_err());
    assert!(book.sweep(LIFE).is_empty(), "it stays while something is set aside");
    let settlement = book.settle(reservation, &[claim(WALLET, 4)], LIFE + 5);
    assert_eq!(charges(&settlement), [(1, 4, 0)]);
    assert_eq!(closed(&settlement.closings), [1]);
}

#[test]
fn life_counts_from_the_moment_the_request_was_sent() {
    let mut book = LeaseBook::default();
    let request = book.want(WALLET, quota(5), 1_000).unwrap();
    let again = book.want(WALLET, quota(5), 1_000 + ASK_AGAIN_MILLIS).unwrap();
    assert_eq!(again, request, "asked again under the same number");
    let GrantRequest { grant_seq, account, need, .. } = request;
    let grant = Grant { grant_seq, lease: LeaseId::new(1), account, amount: need, life_millis: LIFE, low: false };
    assert_eq!(book.granted(grant, 1_000 + ASK_AGAIN_MILLIS), None);
    assert_eq!(held(&book, 1).expires_at, 1_000 + LIFE);
}

#[test]
fn idle_money_goes_back_after_ten_minutes_or_after_one_when_the_balance_is_low() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let grant_seq = book.ask_with_identity(0);
    let low = Grant { grant_seq, lease: LeaseId::new(2), account: TOKEN, amount: quota(9), life_millis: 2 * LIFE, low: true };
    assert_eq!(book.granted(low, 0), None);
    assert!(book.sweep(LOW_IDLE_MILLIS - 1).is_empty());
    assert_eq!(closed(&book.sweep(LOW_IDLE_MILLIS)), [2]);
    assert_eq!(closed(&book.sweep(IDLE_MILLIS)), [1]);
}

#[test]
fn what_is_left_of_a_lease_from_a_low_balance_goes_back_with_its_request() {
    let mut book = LeaseBook::default();
    let grant_seq = book.ask_with_identity(0);
    let low = Grant { grant_seq, lease: LeaseId::new(1), account: WALLET, amount: quota(10), life_millis: LIFE, low: true };
    assert_eq!(book.granted(low, 0), None);
    assert!(book.sweep(1).is_empty(), "it waits for the request it was granted for");
    let reservation = book.reserve(&[claim(WALLET, 9)], 1).unwrap();
    let settlement = book.settle(reservation, &[claim(WALLET, 4)], 2);
    assert_eq!(charges(&settlement), [(1, 4, 0)]);
    assert_eq!(closed(&settlement.closings), [1]);
}

#[test]
fn a_refused_refill_is_no_verdict_about_needs() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 90)], 0).unwrap();
    let _ = book.settle(reservation, &[claim(WALLET, 90)], 0);
    let refill = book.want(WALLET, Quota::ZERO, 0).unwrap();
    book.refused(refill.grant_seq, Verdict::Exhausted { need: Quota::ZERO }, 0);
    assert_eq!(book.want(WALLET, Quota::ZERO, 1), None, "the next refill waits");
    assert!(book.want(WALLET, quota(50), 1).is_some(), "a need is asked for");
}

#[test]
fn one_request_is_under_way_until_a_larger_need_comes() {
    let mut book = LeaseBook::default();
    let first = book.want(WALLET, quota(10), 0).unwrap();
    assert_eq!(book.want(WALLET, quota(10), 1), None);
    let larger = book.want(WALLET, quota(11), 2).unwrap();
    assert_eq!((first.grant_seq, larger.grant_seq, larger.need), (1, 2, quota(11)));
    assert_eq!(larger.want, quota(21), "those who wait are thought of");
    assert_eq!(book.outstanding().collect::<Vec<_>>(), [first, larger]);
}

#[test]
fn the_next_request_thinks_of_everybody_who_waited() {
    let mut book = LeaseBook::default();
    let first = book.want(WALLET, quota(10), 0).unwrap();
    for _ in 0..9 {
        assert_eq!(book.want(WALLET, quota(10), 0), None);
    }
    let Grant { .. } = grant_of(&mut book, first, 10);
    let taken = book.reserve(&[claim(WALLET, 10)], 1).unwrap();
    let next = book.want(WALLET, quota(10), 1).unwrap();
    assert_eq!((next.need, next.want), (quota(10), quota(90)));
    let _ = book.release(taken, 1);
}

fn grant_of(book: &mut LeaseBook, request: GrantRequest, units: i64) -> Grant {
    let GrantRequest { grant_seq, account, .. } = request;
    let lease = LeaseId::new(100 + grant_seq);
    let grant = Grant { grant_seq, lease, account, amount: quota(units), life_millis: LIFE, low: false };
    assert_eq!(book.granted(grant, 0), None);
    grant
}

#[test]
fn a_verdict_answers_equal_and_larger_needs_for_two_seconds_or_until_money_comes() {
    let mut book = LeaseBook::default();
    let exhausted = Verdict::Exhausted { need: quota(10) };
    let request = book.want(WALLET, quota(10), 0).unwrap();
    book.refused(request.grant_seq, exhausted, 0);
    assert_eq!(book.want(WALLET, quota(10), 1_999), None);
    let shortage = book.reserve(&[claim(WALLET, 12)], 1_999).unwrap_err();
    assert_eq!(shortage.accounts.as_slice(), [Missing { account: WALLET, amount: quota(12), verdict: Some(exhausted) }]);
    let shortage = book.reserve(&[claim(WALLET, 9)], 1_999).unwrap_err();
    assert_eq!(shortage.accounts[0].verdict, None, "less may still be there");
    let less = book.want(WALLET, quota(9), 1_999).unwrap();
    book.refused(less.grant_seq, exhausted, 1_999);
    book.credit(WALLET);
    assert!(book.want(WALLET, quota(10), 2_000).is_some());
}

#[test]
fn not_knowing_is_soon_asked_again() {
    let mut book = LeaseBook::default();
    let request = book.want(WALLET, quota(10), 0).unwrap();
    book.refused(request.grant_seq, Verdict::Unavailable, 0);
    assert_eq!(book.want(WALLET, quota(1), UNAVAILABLE_MILLIS - 1), None);
    assert!(book.want(WALLET, quota(1), UNAVAILABLE_MILLIS).is_some());
}

#[test]
fn a_lease_is_refilled_when_half_of_what_the_horizon_takes_is_gone() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 1_000, 0);
    assert_eq!(book.want(WALLET, Quota::ZERO, 0), None, "nothing was spent yet");
    for _ in 0..5 {
        let reservation = book.reserve(&[claim(WALLET, 10)], 0).unwrap();
        let _ = book.settle(reservation, &[claim(WALLET, 10)], 0);
    }
    let minute = 60_000 - 1;
    assert_eq!(book.want(WALLET, Quota::ZERO, minute), None, "950 are more than half of the 1,000 that 50 a minute make");
    for _ in 0..20 {
        let reservation = book.reserve(&[claim(WALLET, 10)], minute).unwrap();
        let _ = book.settle(reservation, &[claim(WALLET, 10)], minute);
    }
    let refill = book.want(WALLET, Quota::ZERO, minute).unwrap();
    assert_eq!((refill.need, refill.want), (Quota::ZERO, quota(5_000 - 750)));
    assert_eq!(book.want(WALLET, Quota::ZERO, minute), None, "one refill at a time");
}

#[test]
fn a_low_balance_is_asked_for_what_a_minute_takes() {
    let mut book = LeaseBook::default();
    let grant_seq = book.ask_with_identity(0);
    let low = Grant { grant_seq, lease: LeaseId::new(1), account: WALLET, amount: quota(400), life_millis: LIFE, low: true };
    assert_eq!(book.granted(low, 0), None);
    let reservation = book.reserve(&[claim(WALLET, 380)], 0).unwrap();
    let _ = book.settle(reservation, &[claim(WALLET, 380)], 0);
    let refill = book.want(WALLET, Quota::ZERO, 0).unwrap();
    assert_eq!(refill.want, quota(380), "the rest of the lease went back, and 380 a minute are spent");
}

#[test]
fn a_grant_nobody_waits_for_is_closed_and_a_repeated_one_is_ignored() {
    let mut book = LeaseBook::default();
    let request = book.want(WALLET, quota(5), 0).unwrap();
    let grant = grant_of(&mut book, request, 5);
    assert_eq!(book.granted(grant, 0), None, "the same grant again changes nothing");
    assert_eq!(held(&book, 101).granted, quota(5));
    let seq = book.ask_with_identity(0);
    book.give_up(seq);
    let late = Grant { grant_seq: seq, lease: LeaseId::new(9), ..grant };
    assert_eq!(book.granted(late, 0), Some(Closing { account: WALLET, lease: LeaseId::new(9) }));
    let foreign = book.want(TOKEN, quota(5), 0).unwrap();
    let wrong = Grant { grant_seq: foreign.grant_seq, lease: LeaseId::new(10), ..grant };
    assert!(book.granted(wrong, 0).is_some(), "it is of another account than asked for");
    assert_eq!(book.held().count(), 1);
}

#[test]
fn a_lease_in_use_is_renewed_from_when_that_was_first_asked() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    assert!(book.renewals(LIFE / 10 - 1).is_empty());
    assert_eq!(book.renewals(LIFE / 10), [LeaseId::new(1)]);
    assert!(book.renewals(LIFE / 10 + 1).is_empty());
    assert_eq!(book.renewals(LIFE / 10 + RENEW_AGAIN_MILLIS), [LeaseId::new(1)]);
    book.renewed(LeaseId::new(1), LIFE);
    assert_eq!(held(&book, 1).expires_at, LIFE / 10 + LIFE);
    book.renewed(LeaseId::new(1), 9 * LIFE);
    assert_eq!(held(&book, 1).expires_at, LIFE / 10 + LIFE, "an answer nobody asked for changes nothing");
}

#[test]
fn on_drain_nothing_is_reserved_and_each_lease_closes_with_its_last_request() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    lease(&mut book, TOKEN, 2, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 10)], 0).unwrap();
    let grant_seq = book.ask_with_identity(0);
    assert_eq!(closed(&book.close_all(1)), [2]);
    assert!(book.reserve(&[claim(WALLET, 10)], 1).is_err());
    assert_eq!(book.want(WALLET, quota(10), 1), None);
    let late = Grant { grant_seq, lease: LeaseId::new(3), account: TOKEN, amount: quota(1), life_millis: LIFE, low: false };
    assert!(book.granted(late, 1).is_some(), "a grant that comes too late is closed");
    assert_eq!(closed(&book.release(reservation, 2)), [1]);
}

#[test]
fn a_voided_lease_is_forgotten_and_still_charged() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 10)], 0).unwrap();
    book.void(LeaseId::new(1));
    assert!(book.reserve(&[claim(WALLET, 10)], 0).is_err());
    let settlement = book.settle(reservation, &[claim(WALLET, 8)], 1);
    assert_eq!(charges(&settlement), [(1, 8, 8)]);
    assert!(settlement.closings.is_empty());
}

#[test]
fn a_running_request_may_reserve_more_or_keeps_what_it_has() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let mut reservation = book.reserve(&[claim(WALLET, 40)], 0).unwrap();
    book.extend(&mut reservation, &[claim(WALLET, 50)], 1).unwrap();
    assert!(book.extend(&mut reservation, &[claim(WALLET, 50)], 1).is_err());
    assert_eq!(reservation.on(WALLET), quota(90));
    assert_eq!(charges(&book.settle(reservation, &[claim(WALLET, 95)], 2)), [(1, 95, 0)]);
}

#[test]
fn quiet_accounts_are_forgotten() {
    let mut book = LeaseBook::default();
    let request = book.want(WALLET, quota(1), 0).unwrap();
    book.refused(request.grant_seq, Verdict::Frozen, 0);
    let _ = book.sweep(IDLE_MILLIS - 1);
    assert_eq!(book.accounts.len(), 1);
    let _ = book.sweep(IDLE_MILLIS);
    assert_eq!(book.accounts.len(), 0);
}

fn given(returned: &GivenBack) -> Vec<(i64, i64)> {
    returned.returns.iter().map(|one| (one.lease.get(), one.total.get())).collect()
}

#[test]
fn a_recall_gives_back_what_nobody_uses_and_names_every_lease_it_speaks_for() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    lease(&mut book, WALLET, 2, 50, 0);
    let reservation = book.reserve(&[claim(WALLET, 30)], 0).unwrap();
    assert_eq!(book.give_back(WALLET, 1), GivenBack::default(), "nobody asked for it");
    book.recall(WALLET, 7, 1);
    let answer = book.give_back(WALLET, 1);
    assert_eq!(given(&answer), [(1, 70), (2, 50)]);
    assert_eq!(
        answer.recalled,
        Some(Recalled { account: WALLET, recall_seq: 7, leases: vec![LeaseId::new(1), LeaseId::new(2)] })
    );
    assert_eq!(closed(&answer.closings), [2], "nothing is left of it");
    assert_eq!((held(&book, 1).free, held(&book, 1).reserved, held(&book, 1).returned), (Quota::ZERO, quota(30), quota(70)));
    let settlement = book.settle(reservation, &[claim(WALLET, 10)], 2);
    assert_eq!(charges(&settlement), [(1, 10, 0)]);
    assert_eq!(
        given(&book.give_back(WALLET, 3)),
        [(2, 50), (1, 90)],
        "totals of whole lives, as long as the recall is remembered"
    );
    assert!(!book.is_recalled(WALLET, 2_001), "nothing is left that could be given back");
}

#[test]
fn what_a_lease_had_left_when_it_closed_is_said_before_its_end_is_settled() {
    let mut book = LeaseBook::default();
    let grant_seq = book.want(WALLET, quota(100), 0).unwrap().grant_seq;
    let low = Grant { grant_seq, lease: LeaseId::new(1), account: WALLET, amount: quota(100), life_millis: LIFE, low: true };
    assert_eq!(book.granted(low, 0), None);
    let reservation = book.reserve(&[claim(WALLET, 100)], 0).unwrap();
    let settlement = book.settle(reservation, &[claim(WALLET, 10)], 5);
    assert_eq!(closed(&settlement.closings), [1], "of a low balance nothing is kept");
    assert!(!book.owes_answer(WALLET, 6), "nobody asked");
    book.recall(WALLET, 7, 6);
    let answer = book.give_back(WALLET, 6);
    assert_eq!(given(&answer), [(1, 90)]);
    assert_eq!(answer.recalled, Some(Recalled { account: WALLET, recall_seq: 7, leases: vec![LeaseId::new(1)] }));
    assert!(answer.closings.is_empty() && !book.owes_answer(WALLET, 7), "it closed once, and was said once");
    assert_eq!(book.returned().count(), 0, "after a reconnect its end is enough");
    book.ends_are_settled(&[LeaseId::new(1)].into());
    book.recall(WALLET, 8, 8);
    let answer = book.give_back(WALLET, 8);
    assert_eq!((given(&answer), answer.recalled.unwrap().leases), (vec![], vec![]), "the ledger has it");
}

#[test]
fn of_many_closed_leases_the_last_ones_are_remembered_for_a_while() {
    let mut book = LeaseBook::default();
    let most = i64::try_from(super::ended::MOST).unwrap();
    for id in 0..most + 5 {
        lease(&mut book, WALLET, id, 100, 0);
    }
    book.recall(WALLET, 7, 0);
    assert_eq!(book.give_back(WALLET, 0).closings.len(), super::ended::MOST + 5);
    let remembered = given(&book.give_back(WALLET, 1));
    assert_eq!((remembered.len(), remembered[0]), (super::ended::MOST, (5, 100)));
    let _ = book.sweep(IDLE_MILLIS);
    book.recall(WALLET, 8, IDLE_MILLIS);
    assert_eq!(given(&book.give_back(WALLET, IDLE_MILLIS)), []);
}

#[test]
fn what_a_long_request_frees_goes_back_for_a_recall_of_long_ago() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 100)], 0).unwrap();
    book.recall(WALLET, 7, 1);
    assert!(book.owes_answer(WALLET, 1));
    assert_eq!(given(&book.give_back(WALLET, 1)), []);
    assert!(!book.owes_answer(WALLET, 2), "it is answered, and nothing is free");
    let late = 100_000;
    let settlement = book.settle(reservation, &[claim(WALLET, 10)], late);
    assert_eq!(charges(&settlement), [(1, 10, 0)]);
    assert!(book.is_recalled(WALLET, late) && book.owes_answer(WALLET, late));
    assert_eq!(given(&book.give_back(WALLET, late)), [(1, 90)]);
    assert!(!book.is_recalled(WALLET, late));
}

#[test]
fn a_recall_ends_with_a_lease_that_was_asked_for_later_when_there_is_enough_again() {
    let recalled = |low: bool| {
        let mut book = LeaseBook::default();
        lease(&mut book, WALLET, 1, 100, 0);
        let _running = book.reserve(&[claim(WALLET, 100)], 0).unwrap();
        book.recall(WALLET, 7, 1);
        let grant_seq = book.want(WALLET, quota(5), 5_000).unwrap().grant_seq;
        let grant = Grant { grant_seq, lease: LeaseId::new(2), account: WALLET, amount: quota(50), life_millis: LIFE, low };
        assert_eq!(book.granted(grant, 5_001), None);
        book.is_recalled(WALLET, 5_001)
    };
    assert_eq!((recalled(true), recalled(false)), (true, false));
}

#[test]
fn what_somebody_waits_for_is_not_given_back_until_they_stop() {
    let mut book = LeaseBook::default();
    let waiter = book.wait(&[claim(WALLET, 10)]);
    let request = book.want(WALLET, quota(10), 0).unwrap();
    book.recall(WALLET, 7, 0);
    grant_of(&mut book, request, 25);
    assert_eq!(given(&book.give_back(WALLET, 1)), [(101, 15)], "ten are claimed");
    book.stop_waiting(waiter);
    assert_eq!(given(&book.give_back(WALLET, 1)), [(101, 25)]);
}

#[test]
fn who_waits_for_an_earlier_account_of_the_chain_holds_nothing_of_a_later_one() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 10, 0);
    let _waiter = book.wait(&[claim(TOKEN, 10), claim(WALLET, 10)]);
    book.recall(WALLET, 7, 0);
    assert_eq!(given(&book.give_back(WALLET, 0)), [(1, 10)]);

    let mut book = LeaseBook::default();
    lease(&mut book, TOKEN, 1, 10, 0);
    let _waiter = book.wait(&[claim(TOKEN, 10), claim(WALLET, 10)]);
    book.recall(TOKEN, 7, 0);
    assert_eq!(given(&book.give_back(TOKEN, 0)), [], "it is first in the chain, and covered");
}

#[test]
fn who_waits_with_a_part_in_hand_gives_it_back_and_asks_for_the_whole() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 3, 0);
    let _waiter = book.wait(&[claim(WALLET, 5)]);
    let first = book.want(WALLET, quota(2), 0).unwrap();
    book.recall(WALLET, 7, 1);
    let answer = book.give_back(WALLET, 1);
    assert_eq!(given(&answer), [(1, 3)]);
    let again = answer.again.unwrap();
    assert_eq!((again.need, again.grant_seq), (quota(5), first.grant_seq + 1));
    assert_eq!(book.give_back(WALLET, 2).again, None, "once");
}

#[test]
fn money_in_a_lease_that_is_over_goes_back_while_a_request_still_has_a_part_of_it() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 40)], 0).unwrap();
    assert_eq!(book.give_up_stranded(LIFE - 1), []);
    assert_eq!(book.give_up_stranded(LIFE), [WALLET]);
    assert_eq!(given(&book.give_back(WALLET, LIFE)), [(1, 60)]);
    assert_eq!(charges(&book.settle(reservation, &[claim(WALLET, 40)], LIFE)), [(1, 40, 0)]);
}

#[test]
fn an_earlier_lifes_leases_go_on_with_what_is_left_of_them() {
    let mut book = LeaseBook::default();
    let left = |lease, granted, charged, life_millis_left| Inherited {
        lease: LeaseId::new(lease),
        account: WALLET,
        owner: sluice_domain::UserId::new(7),
        granted: quota(granted),
        returned: Quota::ZERO,
        charged: quota(charged),
        life_millis_left,
    };
    book.restore([left(1, 100, 40, 500), left(2, 50, 70, 500), left(3, 9, 0, 0), left(1, 100, 0, 500)].into_iter(), 1_000);
    assert_eq!(book.available(WALLET, 1_000), quota(60), "charged more than it had, over, and named twice");
    assert_eq!(closed(&book.sweep(1_000)), [2, 3]);
    assert!(book.reserve(&[claim(WALLET, 1)], 1_500).is_err(), "its life did not begin anew");
}

#[test]
fn what_an_earlier_life_gave_back_is_not_there_and_totals_go_on_from_it() {
    let mut book = LeaseBook::default();
    let left = Inherited {
        lease: LeaseId::new(1),
        account: WALLET,
        owner: sluice_domain::UserId::new(7),
        granted: quota(100),
        returned: quota(30),
        charged: quota(20),
        life_millis_left: LIFE,
    };
    book.restore([left, Inherited { lease: LeaseId::new(2), returned: quota(150), ..left }].into_iter(), 0);
    assert_eq!(book.available(WALLET, 0), quota(50), "gave back more than it had");
    book.recall(WALLET, 7, 0);
    assert_eq!(given(&book.give_back(WALLET, 0)), [(1, 80), (2, 100)]);
    assert_eq!(book.lease(LeaseId::new(1)), None, "nothing is left of it");
}

#[test]
fn another_history_voids_every_lease() {
    let mut book = LeaseBook::default();
    lease(&mut book, WALLET, 1, 100, 0);
    let reservation = book.reserve(&[claim(WALLET, 10)], 0).unwrap();
    book.void_all();
    assert_eq!((book.held().count(), book.available(WALLET, 0)), (0, Quota::ZERO));
    assert_eq!(charges(&book.settle(reservation, &[claim(WALLET, 10)], 1)), [(1, 10, 10)]);
}

#[test]
fn as_much_as_there_is_can_be_asked_for() {
    let mut book = LeaseBook::default();
    let request = book.want_up_to(WALLET, quota(5), quota(80), 0).unwrap();
    assert_eq!((request.need, request.want, request.up_to_want), (quota(5), quota(80), true));
    assert_eq!(book.want_up_to(WALLET, quota(5), quota(80), 1), None, "it is under way");
    assert!(book.want(WALLET, quota(5), 1).is_some(), "a plain need is another question");
}

#[test]
fn a_balance_is_low_when_a_grant_says_so_and_unknown_again_after_a_while_or_when_money_comes_in() {
    let mut book = LeaseBook::new(Terms::default());
    let low_horizon = Terms::default().low_horizon_millis;
    assert_eq!(book.is_low(WALLET, 0), None);
    let grant = |book: &mut LeaseBook, lease: i64, low: bool, up_to: bool| {
        let request = if up_to {
            book.want_up_to(WALLET, quota(1), quota(100 * lease), 0)
        } else {
            book.want(WALLET, quota(100 * lease), 0)
        };
        let grant = Grant {
            grant_seq: request.unwrap().grant_seq,
            lease: LeaseId::new(lease),
            account: WALLET,
            amount: quota(100 * lease),
            life_millis: 600_000,
            low,
        };
        assert_eq!(book.granted(grant, 0), None);
    };
    grant(&mut book, 1, false, false);
    assert_eq!(book.is_low(WALLET, 10 * low_horizon), Some(false), "what is well stays so until somebody says otherwise");
    grant(&mut book, 2, true, false);
    assert_eq!((book.is_low(WALLET, 1), book.is_low(WALLET, low_horizon)), (Some(true), None));
    book.credit(WALLET);
    assert_eq!(book.is_low(WALLET, 1), None);
    grant(&mut book, 3, false, true);
    assert_eq!(book.is_low(WALLET, 1), Some(true), "who asks for whatever there is was told so before");
}
