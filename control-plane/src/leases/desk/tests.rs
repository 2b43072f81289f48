use sluice_domain::{Epoch, LeaseId, NodeId};

use super::*;
use crate::leases::{Granted, Life};

const WAIT: Duration = Duration::from_secs(1);
const ACCOUNT: AccountId = AccountId::new(1);

fn ask(node: &str, grant_seq: i64, need: i64) -> Ask {
    Ask {
        life: Life { node: NodeId::parse(node).unwrap(), epoch: Epoch(1) },
        grant_seq,
        account: ACCOUNT,
        need: Quota::clamped(need),
        want: Quota::clamped(need),
        up_to_want: false,
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn waits(count: usize) -> Vec<Option<Answer>> {
    vec![Some(Answer::Waits { rev: 1 }); count]
}

fn exhausted(need: i64, rev: i64) -> Answer {
    Answer::Refused(Refused::Exhausted { need: Quota::clamped(need), rev })
}

/// A turn in which every question gets an answer, and a recall its number; answers who is told what.
fn turn(
    desk: &mut Desk<&'static str>,
    now: Duration,
    recall_seq: i64,
    answer: impl Fn(&Pending) -> Answer,
) -> (Vec<Pending>, BTreeSet<AccountId>, Vec<(&'static str, Reply)>) {
    let questions = desk.questions(now);
    let told = desk.decided(questions.iter().map(|pending| Some(answer(pending))).collect(), Duration::ZERO, now);
    let accounts = desk.to_recall(now);
    desk.recalled(accounts.clone(), Some(recall_seq), now);
    (questions, accounts, told.into_iter().map(|told| (told.to, told.reply)).collect())
}

const WAITS: fn(&Pending) -> Answer = |_| Answer::Waits { rev: 1 };

#[test]
fn who_has_to_wait_is_asked_back_for_once_and_told_in_the_end_that_nobody_knows() {
    let mut desk = Desk::new(WAIT);
    assert_eq!(desk.looks_again_after(), None);
    assert_eq!(desk.take_in([(ask("a", 1, 10), "a")], at(0)), []);
    let (questions, accounts, told) = turn(&mut desk, at(2), 7, WAITS);
    assert_eq!((questions[0].recall_seq, questions[0].is_over), (None, false));
    assert_eq!((accounts, told), (BTreeSet::from([ACCOUNT]), Vec::new()));
    assert_eq!(desk.looks_again_after(), Some(LOOK_AGAIN));
    let (questions, accounts, _) = turn(&mut desk, at(52), 8, WAITS);
    assert_eq!((questions[0].recall_seq, accounts.len()), (Some(7), 0), "the same recall is waited for");
    let (questions, _, told) =
        turn(&mut desk, at(1_000), 8, |pending| if pending.is_over { Answer::Unknown } else { Answer::Waits { rev: 1 } });
    assert!(questions[0].is_over);
    assert_eq!(told, [("a", Reply::Decided(Answer::Unknown))]);
    assert_eq!(desk.looks_again_after(), None);
}

#[test]
fn one_recall_serves_all_who_come_within_the_time_of_a_wait_and_a_later_one_is_a_new_one() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    turn(&mut desk, at(2), 7, WAITS);
    let _ = desk.take_in([(ask("b", 1, 10), "b")], at(500));
    let (_, accounts, _) = turn(&mut desk, at(502), 8, WAITS);
    assert!(accounts.is_empty());
    let (questions, ..) = turn(&mut desk, at(552), 8, WAITS);
    assert_eq!(questions.iter().map(|pending| pending.recall_seq).collect::<Vec<_>>(), [Some(7), Some(7)]);
    let _ = desk.take_in([(ask("c", 1, 10), "c")], at(1_100));
    let (_, accounts, _) = turn(&mut desk, at(1_102), 9, WAITS);
    assert_eq!(accounts, BTreeSet::from([ACCOUNT]), "what became free since the first one is not known");
}

#[test]
fn a_recall_that_could_not_be_written_is_tried_again() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    for now in [2, 52] {
        let _ = desk.questions(at(now));
        let _ = desk.decided(waits(1), Duration::ZERO, at(now));
        let accounts = desk.to_recall(at(now));
        assert_eq!(accounts.len(), 1);
        desk.recalled(accounts, None, at(now));
    }
}

#[test]
fn a_larger_ask_of_the_same_relay_takes_the_place_of_one_that_waits_and_the_same_said_again_is_one() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a"), (ask("b", 1, 10), "b")], at(0));
    turn(&mut desk, at(2), 7, WAITS);
    assert_eq!(desk.take_in([(ask("a", 1, 10), "again")], at(10)), [], "nobody is told about the same ask");
    let told = desk.take_in([(ask("a", 2, 15), "larger")], at(20));
    let told: Vec<_> = told.into_iter().map(|told| (told.to, told.ask.grant_seq, told.reply)).collect();
    assert_eq!(told, [("again", 1, Reply::Superseded)]);
    assert_eq!(desk.take_in([(ask("a", 3, 5), "smaller")], at(30)), [], "it does not make up for the larger one");
    let seqs: Vec<i64> = desk.questions(at(31)).iter().map(|pending| pending.ask.grant_seq).collect();
    assert_eq!(seqs, [1, 2, 3], "of b, and of a the larger and the smaller one");
}

#[test]
fn an_exhausted_account_is_not_asked_back_for_again_until_money_moved() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    let (_, _, told) = turn(&mut desk, at(2), 7, |_| exhausted(10, 3));
    assert_eq!(told, [("a", Reply::Decided(exhausted(10, 3)))]);
    // presumed to be exhausted, and it is
    let _ = desk.take_in([(ask("a", 2, 12), "a")], at(100));
    let (questions, accounts, told) = turn(&mut desk, at(102), 8, |_| exhausted(12, 3));
    assert_eq!((questions[0].recall_seq, accounts.len(), told.len()), (Some(0), 0, 1));
    // less than what was refused is another question
    let _ = desk.take_in([(ask("a", 3, 9), "a")], at(200));
    let (questions, accounts, _) = turn(&mut desk, at(202), 9, WAITS);
    assert_eq!((questions[0].recall_seq, accounts.len()), (None, 1));
}

#[test]
fn a_verdict_of_an_earlier_revision_is_not_told_before_relays_were_asked() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    turn(&mut desk, at(2), 7, |_| exhausted(10, 3));
    let _ = desk.take_in([(ask("b", 1, 10), "b")], at(100));
    let (questions, accounts, told) = turn(&mut desk, at(102), 8, |_| exhausted(10, 4));
    assert_eq!((questions[0].recall_seq, accounts.len(), told.len()), (Some(0), 1, 0), "money moved since: relays are asked");
    let (questions, ..) = turn(&mut desk, at(152), 9, WAITS);
    assert_eq!(questions[0].recall_seq, Some(8));
}

#[test]
fn what_is_known_of_an_account_ends_with_plenty_with_another_history_and_with_time() {
    let known = |hears: fn(&mut Desk<&'static str>), later: Duration| {
        let mut desk = Desk::new(WAIT);
        let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
        turn(&mut desk, at(2), 7, |_| exhausted(10, 3));
        hears(&mut desk);
        let _ = desk.take_in([(ask("a", 2, 10), "a")], later);
        desk.questions(later)[0].recall_seq.is_some()
    };
    assert!(known(|_| {}, at(50_000)));
    assert!(!known(|_| {}, at(60_002)));
    assert!(!known(|desk| assert!(desk.hears(&News::Reload)), at(100)));
    let rich = |desk: &mut Desk<&'static str>| {
        let _ = desk.take_in([(ask("b", 1, 1), "b")], at(50));
        let (grant_seq, lease, amount) = (1, LeaseId::new(1), Quota::clamped(1));
        turn(desk, at(52), 8, |_| Answer::Granted(Granted { grant_seq, lease, account: ACCOUNT, amount, low: false }));
    };
    assert!(!known(rich, at(100)));
}

#[test]
fn only_money_for_somebody_who_waits_is_news() {
    let mut desk = Desk::new(WAIT);
    let credit = |account| News::Urgent([Revoked::Credit(AccountId::new(account), 1)].into());
    assert!(!desk.hears(&credit(1)));
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    assert!(desk.hears(&credit(1)));
    assert!(!desk.hears(&credit(2)));
    assert!(!desk.hears(&News::Urgent([Revoked::Recall(ACCOUNT)].into())));
}

#[test]
fn a_slow_database_is_waited_for_longer_but_not_for_ever() {
    for (took, over_at) in [(at(10), 1_000), (at(1_000), 2_000), (Duration::from_mins(1), 4_000)] {
        let mut desk = Desk::new(WAIT);
        let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
        let _ = desk.questions(at(0));
        let _ = desk.decided(waits(1), took, at(0));
        assert!(!desk.questions(at(over_at - 1))[0].is_over, "{took:?}");
        assert!(desk.questions(at(over_at))[0].is_over, "{took:?}");
    }
}

#[test]
fn an_earlier_life_is_not_answered() {
    let mut desk = Desk::new(WAIT);
    let _ = desk.take_in([(ask("a", 1, 10), "a")], at(0));
    let _ = desk.questions(at(0));
    assert_eq!(desk.decided(vec![None], Duration::ZERO, at(0)), []);
    assert_eq!(desk.looks_again_after(), None);
}

#[test]
fn beyond_the_most_that_may_wait_nobody_waits() {
    let mut desk = Desk::new(WAIT);
    let many = i64::try_from(MOST_WAITING).unwrap() + 1;
    let _ = desk.take_in((1..=many).map(|node| (ask(&format!("n{node}"), 1, 10), "n")), at(0));
    let is_over: Vec<bool> = desk.questions(at(0)).iter().map(|pending| pending.is_over).collect();
    assert_eq!((is_over.iter().filter(|is_over| **is_over).count(), is_over.last()), (1, Some(&true)));
}
