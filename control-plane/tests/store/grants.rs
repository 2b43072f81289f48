//! Leases: granted, returned, renewed, doubted, closed.

use std::collections::BTreeSet;

use sluice_billing::lease::Terms;
use sluice_control_plane::leases::{self, Answer, Life, Pending, Refused, Said, jobs};
use sluice_control_plane::nodes;
use sluice_domain::{LeaseId, Quota};

use crate::ground::{Ground, START, ask, grounds, pays};

const LIFE_MILLIS: i64 = 600_000;
const GRACE_MILLIS: i64 = 30_000;
const IN_DOUBT_HOLD_MILLIS: i64 = 3_600_000;

fn terms() -> Terms {
    Terms::default()
}

#[tokio::test]
async fn a_grant_takes_from_the_balance_and_is_never_all_of_it() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 100, 1_000_000).await;
        assert_eq!(granted.amount.get(), 5_000);
        assert_eq!(ground.figures(customer.wallet).await, [5_000, 5_000, 0, 0]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn asking_again_with_the_same_number_gets_the_same_grant() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let first = ground.grant(&relay, 1, customer.wallet, 100, 1_000).await;
        let again = ground.grant(&relay, 1, customer.wallet, 100, 1_000).await;
        assert_eq!((again.lease, again.amount), (first.lease, first.amount));
        let asks = [ask(&relay, 2, customer.wallet, 1, 1), ask(&relay, 2, customer.wallet, 1, 1)];
        let twice = ground.decide(&asks.map(Pending::new)).await;
        assert_eq!(twice[0], twice[1]);
        assert_eq!(ground.figures(customer.wallet).await, [8_999, 1_001, 0, 0]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn two_parallel_needs_of_more_than_half_the_balance_cannot_both_be_met() {
    for ground in grounds().await {
        let customer = ground.customer(7_000, 0).await;
        let (one, two) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        let (first, second) =
            tokio::join!(ground.ask(&one, 1, customer.wallet, 6_500, 6_500), ground.ask(&two, 1, customer.wallet, 6_500, 6_500));
        let granted = [first, second].iter().filter(|answer| matches!(answer, Some(Answer::Granted(_)))).count();
        assert_eq!(granted, 1, "{first:?} {second:?}");
        assert_eq!(ground.figures(customer.wallet).await, [500, 6_500, 0, 0]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn two_relays_spend_one_account_to_zero_and_not_beyond() {
    for ground in grounds().await {
        let customer = ground.customer(1_000, 0).await;
        let relays = [ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await];
        let mut granted = 0;
        let mut refused = 0;
        for grant_seq in 1..=60 {
            for relay in &relays {
                match ground.ask(relay, grant_seq, customer.wallet, 10, 40).await {
                    Some(Answer::Granted(grant)) => granted += grant.amount.get(),
                    Some(Answer::Refused(Refused::Exhausted { need, .. })) => {
                        assert_eq!(need.get(), 10);
                        refused += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let [balance, leased, ..] = ground.figures(customer.wallet).await;
        assert_eq!((balance + leased, leased), (1_000, granted));
        assert!(balance < 10 && refused > 0, "{balance} left, {refused} refused");
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_batch_of_many_relays_and_accounts_is_answered_in_order() {
    for ground in grounds().await {
        let (rich, poor) = (ground.customer(1_000_000, 0).await, ground.customer(5, 0).await);
        let (one, two, fenced) =
            (ground.relay("relay-1", 3).await, ground.relay("relay-2", 1).await, ground.relay("relay-3", 1).await);
        ground.relay("relay-3", 2).await;
        let unknown = sluice_domain::AccountId::new(888_888);
        let asks = [
            ask(&one, 1, rich.wallet, 10, 10),
            ask(&two, 1, poor.wallet, 10, 10),
            ask(&two, 2, unknown, 1, 1),
            ask(&fenced, 1, rich.wallet, 1, 1),
            ask(&one, 2, poor.wallet, 5, 5),
        ];
        let answers = ground.decide(&asks.map(Pending::new)).await;
        assert!(matches!(answers[0], Some(Answer::Granted(grant)) if grant.amount.get() == 10 && grant.account == rich.wallet));
        assert!(matches!(answers[1], Some(Answer::Refused(Refused::Exhausted { .. }))), "{answers:?}");
        assert_eq!(answers[2], Some(Answer::Refused(Refused::UnknownAccount)));
        assert_eq!(answers[3], None, "an earlier life gets no answer");
        assert!(matches!(answers[4], Some(Answer::Granted(grant)) if grant.amount.get() == 5 && grant.low));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn returns_are_totals_so_saying_them_twice_returns_once() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        let give_back = |total| {
            let said = Said { returns: vec![(granted.lease, Quota::clamped(total))], ..Said::default() };
            let (db, relay) = (ground.db.clone(), relay.clone());
            async move { leases::take_back(&db, &relay, &said).await.unwrap() }
        };
        assert_eq!(give_back(1_000).await, [customer.wallet]);
        assert_eq!(give_back(1_000).await, []);
        assert_eq!(give_back(500).await, [], "an older message that came late");
        assert_eq!(give_back(1_500).await, [customer.wallet]);
        assert_eq!(ground.figures(customer.wallet).await, [7_500, 2_500, 0, 0]);
        give_back(1_000_000).await;
        assert_eq!(ground.figures(customer.wallet).await, [10_000, 0, 0, 0], "never more than there was");
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_relay_gives_back_only_its_own() {
    for ground in grounds().await {
        let (one, two) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        let customer = ground.customer(10_000, 0).await;
        let granted = ground.grant(&one, 1, customer.wallet, 4_000, 4_000).await;
        assert_eq!(leases::take_back(&ground.db, &two, &returning(granted.lease, 4_000)).await.unwrap(), []);
        assert_eq!(leases::renew(&ground.db, &terms(), &two, &[granted.lease], START).await.unwrap(), []);
        assert_eq!(ground.figures(customer.wallet).await, [6_000, 4_000, 0, 0]);
    }
}

#[tokio::test]
async fn a_relay_that_comes_back_is_sent_what_it_never_got_and_told_what_is_void() {
    for ground in grounds().await {
        let (one, two) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        let customer = ground.customer(100_000, 0).await;
        let kept = ground.grant(&one, 1, customer.wallet, 100, 100).await;
        let lost = ground.grant(&one, 2, customer.wallet, 200, 200).await;
        let foreign = ground.grant(&two, 1, customer.wallet, 300, 300).await;
        let unknown = LeaseId::new(777_777);
        let greeting = leases::greet(&ground.db, &one, &[kept.lease, foreign.lease, unknown]).await.unwrap();
        assert_eq!(greeting.resend.iter().map(|grant| (grant.grant_seq, grant.lease)).collect::<Vec<_>>(), [(2, lost.lease)]);
        assert_eq!(greeting.void, [foreign.lease, unknown]);
    }
}

#[tokio::test]
async fn a_relay_restarted_on_its_disk_goes_on_with_its_leases() {
    for ground in grounds().await {
        let customer = ground.customer(10_000, 0).await;
        let before = ground.relay("relay-1", 1).await;
        let granted = ground.grant(&before, 1, customer.wallet, 1_000, 1_000).await;
        let after = ground.relay("relay-1", 2).await;
        // a new life counts its requests from 1 again
        ground.grant(&after, 1, customer.wallet, 500, 500).await;
        let greeting = leases::greet(&ground.db, &after, &[granted.lease]).await.unwrap();
        assert_eq!(greeting.void, []);
        // the end of the earlier life does not take the lease away from the heir
        ground.report_at(&before, 1, vec![], true, START).await;
        assert_eq!(ground.figures(customer.wallet).await, [8_500, 1_500, 0, 0]);
        let renewed = leases::renew(&ground.db, &terms(), &after, &[granted.lease], START).await.unwrap();
        assert_eq!(renewed, [granted.lease]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_lease_that_was_doubted_is_not_inherited() {
    for ground in grounds().await {
        let customer = ground.customer(10_000, 0).await;
        let before = ground.relay("relay-1", 1).await;
        let granted = ground.grant(&before, 1, customer.wallet, 1_000, 1_000).await;
        let lost = START.plus_millis(LIFE_MILLIS + GRACE_MILLIS + 1);
        assert_eq!(jobs::run(&ground.work(), &terms(), lost).await.unwrap().doubted, 1);
        let own = leases::greet(&ground.db, &before, &[granted.lease]).await.unwrap();
        assert_eq!(own.void, [], "its own life may use it up");
        let after = ground.relay("relay-1", 2).await;
        let greeting = leases::greet(&ground.db, &after, &[granted.lease]).await.unwrap();
        assert_eq!(greeting.void, [granted.lease], "it is closed with the life that is in doubt");
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn leases_of_a_lost_relay_are_doubted_and_given_back_after_the_hold() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        ground.report(&relay, 1, vec![ground.request("r1", customer, vec![pays(granted, 3_750)])]).await;

        let expired = START.plus_millis(LIFE_MILLIS + GRACE_MILLIS);
        assert_eq!(jobs::run(&ground.work(), &terms(), expired).await.unwrap(), jobs::Report::default(), "not a moment early");
        // whoever looks comes late: the wait counts from here, so that the relay has all of it to come back
        let doubted = expired.plus_millis(90_000);
        assert_eq!(jobs::run(&ground.work(), &terms(), doubted).await.unwrap().doubted, 1);
        assert_eq!(ground.figures(customer.wallet).await, [6_000, 0, 250, 3_750]);
        ground.assert_conservation().await;

        let over = doubted.plus_millis(IN_DOUBT_HOLD_MILLIS);
        assert_eq!(jobs::run(&ground.work(), &terms(), over.plus_millis(-1)).await.unwrap(), jobs::Report::default());
        assert_eq!(jobs::run(&ground.work(), &terms(), over).await.unwrap().released, 1);
        assert_eq!(ground.figures(customer.wallet).await, [6_250, 0, 0, 3_750]);
        assert!(
            matches!(ground.ask(&relay, 1, customer.wallet, 4_000, 4_000).await, Some(Answer::Closed(lease)) if lease == granted.lease)
        );
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_living_relay_keeps_its_expired_lease_until_it_closes_it_but_an_earlier_life_does_not() {
    for ground in grounds().await {
        let customer = ground.customer(10_000, 0).await;
        let (living, gone) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        ground.grant(&living, 1, customer.wallet, 1_000, 1_000).await;
        ground.grant(&gone, 1, customer.wallet, 2_000, 2_000).await;
        let reborn = ground.relay("relay-2", 2).await;

        let expired = START.plus_millis(LIFE_MILLIS + GRACE_MILLIS + 1);
        let tx = ground.db.begin().await.unwrap();
        nodes::touch(&tx, &[(living, nodes::NodeStatus::default()), (reborn, nodes::NodeStatus::default())], expired)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(jobs::run(&ground.work(), &terms(), expired).await.unwrap().doubted, 1);
        assert_eq!(ground.figures(customer.wallet).await, [7_000, 1_000, 2_000, 0]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_renewed_lease_lives_on() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 1_000, 1_000).await;
        let later = START.plus_millis(LIFE_MILLIS / 2);
        assert_eq!(leases::renew(&ground.db, &terms(), &relay, &[granted.lease], later).await.unwrap(), [granted.lease]);
        let expired = START.plus_millis(LIFE_MILLIS + GRACE_MILLIS + 1);
        assert_eq!(jobs::run(&ground.work(), &terms(), expired).await.unwrap(), jobs::Report::default());
    }
}

#[tokio::test]
async fn a_frozen_account_hands_out_nothing() {
    use sea_orm::ConnectionTrait;
    use sea_orm::sea_query::{Expr, ExprTrait, Query};
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let tx = ground.db.begin().await.unwrap();
        let freeze = Query::update()
            .table("accounts")
            .value("frozen", true)
            .and_where(Expr::col("id").eq(customer.wallet.get()))
            .to_owned();
        tx.execute(&freeze).await.unwrap();
        tx.commit().await.unwrap();
        let answer = ground.ask(&relay, 1, customer.wallet, 1, 1).await;
        assert!(matches!(answer, Some(Answer::Refused(Refused::Frozen { .. }))), "{answer:?}");
    }
}

fn returning(lease: LeaseId, total: i64) -> Said {
    Said { returns: vec![(lease, Quota::clamped(total))], ..Said::default() }
}

/// One look at a request that waits for a recall.
async fn look(ground: &Ground, relay: &Life, wallet: sluice_domain::AccountId, recall_seq: Option<i64>) -> Option<Answer> {
    let pending = Pending { recall_seq, ..Pending::new(ask(relay, 50, wallet, 1_000, 1_000)) };
    ground.decide(&[pending]).await.remove(0)
}

#[tokio::test]
async fn an_account_is_exhausted_only_after_every_relay_that_could_help_has_answered() {
    for ground in grounds().await {
        let customer = ground.customer(1_000, 0).await;
        let (poor, one, two) = (ground.relay("poor", 1).await, ground.relay("one", 1).await, ground.relay("two", 1).await);
        let first = ground.grant(&one, 1, customer.wallet, 600, 600).await;
        let second = ground.grant(&two, 1, customer.wallet, 400, 400).await;
        assert!(matches!(look(&ground, &poor, customer.wallet, None).await, Some(Answer::Waits { .. })));

        let recall_seq = leases::recall(&ground.db, &BTreeSet::from([customer.wallet]), START).await.unwrap();
        let answer = |lease, total| Said {
            returns: vec![(lease, Quota::clamped(total))],
            recalled: vec![(customer.wallet, recall_seq, vec![lease])],
        };
        // one has 550 of its 600 left, two uses everything
        assert_eq!(leases::take_back(&ground.db, &one, &answer(first.lease, 550)).await.unwrap(), [customer.wallet]);
        let waits = look(&ground, &poor, customer.wallet, Some(recall_seq)).await;
        assert!(matches!(waits, Some(Answer::Refused(Refused::Exhausted { .. }))), "550 and 400 are never 1,000: {waits:?}");
        assert_eq!(leases::take_back(&ground.db, &two, &answer(second.lease, 0)).await.unwrap(), []);
        assert_eq!(ground.figures(customer.wallet).await, [550, 450, 0, 0]);
        let small = Pending { recall_seq: Some(recall_seq), ..Pending::new(ask(&poor, 51, customer.wallet, 600, 600)) };
        let refused = ground.decide(&[small]).await.remove(0);
        assert!(matches!(refused, Some(Answer::Refused(Refused::Exhausted { .. }))), "all have answered: {refused:?}");
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn who_waits_gets_what_comes_back_and_silence_is_no_verdict() {
    for ground in grounds().await {
        let customer = ground.customer(1_000, 0).await;
        let (poor, one) = (ground.relay("poor", 1).await, ground.relay("one", 1).await);
        let held = ground.grant(&one, 1, customer.wallet, 1_000, 1_000).await;
        let recall_seq = leases::recall(&ground.db, &BTreeSet::from([customer.wallet]), START).await.unwrap();
        let over = Pending { recall_seq: Some(recall_seq), is_over: true, ..Pending::new(ask(&poor, 50, customer.wallet, 1, 1)) };
        assert_eq!(ground.decide(&[over]).await, [Some(Answer::Unknown)]);
        let all = Said {
            returns: vec![(held.lease, Quota::clamped(1_000))],
            recalled: vec![(customer.wallet, recall_seq, vec![held.lease])],
        };
        leases::take_back(&ground.db, &one, &all).await.unwrap();
        let granted = look(&ground, &poor, customer.wallet, Some(recall_seq)).await;
        assert!(matches!(granted, Some(Answer::Granted(grant)) if grant.amount.get() == 1_000), "{granted:?}");
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_lease_granted_after_a_recall_or_answered_by_somebody_else_still_counts() {
    for ground in grounds().await {
        let customer = ground.customer(1_000, 0).await;
        let (poor, one) = (ground.relay("poor", 1).await, ground.relay("one", 1).await);
        let recall_seq = leases::recall(&ground.db, &BTreeSet::from([customer.wallet]), START).await.unwrap();
        let later = ground.grant(&one, 1, customer.wallet, 1_000, 1_000).await;
        assert!(matches!(look(&ground, &poor, customer.wallet, Some(recall_seq)).await, Some(Answer::Waits { .. })));
        let claimed = Said { recalled: vec![(customer.wallet, recall_seq, vec![later.lease])], ..Said::default() };
        leases::take_back(&ground.db, &poor, &claimed).await.unwrap();
        assert!(
            matches!(look(&ground, &poor, customer.wallet, Some(recall_seq)).await, Some(Answer::Waits { .. })),
            "a relay speaks for its own leases only"
        );
        let early = Said { recalled: vec![(customer.wallet, recall_seq, vec![])], ..Said::default() };
        leases::take_back(&ground.db, &one, &early).await.unwrap();
        assert!(
            matches!(look(&ground, &poor, customer.wallet, Some(recall_seq)).await, Some(Answer::Waits { .. })),
            "it had not got the lease yet when it answered"
        );
    }
}

#[tokio::test]
async fn leases_in_doubt_are_listed_with_their_release_and_do_not_count_as_held() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        assert_eq!(leases::in_doubt(&ground.db, &terms(), LeaseId::new(0), 10).await.unwrap(), []);
        let expired = START.plus_millis(LIFE_MILLIS + GRACE_MILLIS + 1);
        jobs::run(&ground.work(), &terms(), expired).await.unwrap();
        let doubted = leases::in_doubt(&ground.db, &terms(), LeaseId::new(0), 10).await.unwrap();
        let [only] = doubted.as_slice() else { panic!("{doubted:?}") };
        assert_eq!((only.lease, only.account, only.remainder.get()), (granted.lease, customer.wallet, 4_000));
        assert_eq!((&only.life, only.granted_at), (&relay, START));
        assert_eq!((only.expired_at, only.doubted_at), (START.plus_millis(LIFE_MILLIS), expired));
        assert_eq!(only.released_at, Some(expired.plus_millis(IN_DOUBT_HOLD_MILLIS)));
        assert_eq!(leases::count_in_doubt(&ground.db).await.unwrap(), leases::InDoubt { leases: 1, quota: 4_000 });
        assert_eq!(leases::in_doubt(&ground.db, &terms(), granted.lease, 10).await.unwrap(), [], "pages go on after an id");
        let more = Pending::new(ask(&relay, 2, customer.wallet, 6_001, 6_001));
        let refused = ground.decide(&[more]).await.remove(0);
        assert!(matches!(refused, Some(Answer::Refused(Refused::Exhausted { .. }))), "{refused:?}");
    }
}

#[tokio::test]
async fn uses_are_counted_in_requests_and_those_nobody_answered_cost_none() {
    use sluice_domain::{Outcome, Usage};
    for ground in grounds().await {
        let relay = ground.relay("relay-1", 1).await;
        let (customer, uses) = ground.limited_customer(100_000, 2).await;
        let one = ground.grant(&relay, 1, uses, 1, 1).await;
        let two = ground.grant(&relay, 2, uses, 1, 1).await;
        let answered = ground.request("r1", customer, vec![pays(one, 1)]);
        let mut failed = ground.plain("r2", customer, vec![pays(two, 0)]);
        (failed.outcome, failed.usage) = (Outcome::Failed, Usage::default());
        let records = vec![answered, sluice_domain::Record::Request(Box::new(failed)), crate::ground::closes(two.lease)];
        let settled = ground.report(&relay, 1, records).await;
        assert_eq!(settled.counts.quarantined, 0);
        assert_eq!(ground.figures(uses).await, [1, 0, 0, 1]);
        assert_eq!(ground.figures(customer.wallet).await, [96_250, 0, 0, 3_750], "the wallet has no lease and pays at once");
        ground.assert_conservation().await;
    }
}
