//! Settlement: exactly once, whatever happens.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::db;
use sluice_control_plane::leases::{self, Life, Said, jobs};
use sluice_control_plane::publish::log::{self, Changed, RateChange, RateKind};
use sluice_control_plane::settlement::explain::{Explanation, Priced, formula};
use sluice_control_plane::settlement::rates::Rates;
use sluice_control_plane::settlement::{Batch, Incoming, MAX_RECORDS, Settler};
use sluice_control_plane::wallet::{self, LedgerOf};
use sluice_domain::{LeaseId, ModelName, Outcome, Quota, Record, RequestRecord, UnixMillis, Usage};
use tokio::task::JoinSet;

use crate::ground::{Customer, Ground, START, batch, closes, grounds, pays};

/// A lease of the wallet and one of the cap.
async fn leased(
    ground: &Ground,
    relay: &Life,
    customer: Customer,
    amount: i64,
) -> (sluice_control_plane::leases::Granted, sluice_control_plane::leases::Granted) {
    let wallet = ground.grant(relay, 1, customer.wallet, amount, amount).await;
    let cap = ground.grant(relay, 2, customer.cap, amount, amount).await;
    (wallet, cap)
}

#[tokio::test]
async fn s1_a_request_is_charged_to_wallet_and_cap_and_the_rest_of_the_hold_comes_back() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 10_000).await);
        let (wallet, cap) = leased(&ground, &relay, customer, 6_500).await;
        let request = ground.request("s1", customer, vec![pays(wallet, 3_750), pays(cap, 3_750)]);
        let settled = ground.report(&relay, 1, vec![request, closes(wallet.lease), closes(cap.lease)]).await;
        assert_eq!((settled.next_seq, settled.has_gap), (4, false));
        assert_eq!((settled.counts.requests, settled.counts.repriced, settled.counts.closed), (1, 0, 2));
        assert_eq!(ground.figures(customer.wallet).await, [6_250, 0, 0, 3_750]);
        assert_eq!(ground.figures(customer.cap).await, [6_250, 0, 0, 3_750]);
        let rows = wallet::ledger_page(ground.db.read(), LedgerOf::Account(customer.wallet), None, 1).await.unwrap();
        assert_eq!((rows[0].kind.as_str(), rows[0].amount.get(), rows[0].balance_after.get()), ("charge", -3_750, 6_250));
        assert_eq!(rows[0].reference, format!("usage/relay-1/1/1-{}", customer.wallet));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s2_a_request_that_failed_costs_nothing_and_is_in_the_log() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 10_000).await);
        let (wallet, cap) = leased(&ground, &relay, customer, 6_500).await;
        let failed = RequestRecord {
            outcome: Outcome::Failed,
            status: 502,
            error_code: "upstream_error".into(),
            usage: Usage::default(),
            quota: Quota::ZERO,
            first_byte_millis: None,
            ..ground.plain("s2", customer, vec![])
        };
        ground.report(&relay, 1, vec![Record::Request(Box::new(failed)), closes(wallet.lease), closes(cap.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [10_000, 0, 0, 0]);
        let select = Query::select().columns(["outcome", "quota", "error_code", "client_ip"]).from("requests").to_owned();
        let row = ground.db.read().query_one(&select).await.unwrap().unwrap();
        let (outcome, quota): (String, i64) = (row.try_get("", "outcome").unwrap(), row.try_get("", "quota").unwrap());
        assert_eq!((outcome.as_str(), quota), ("failed", 0));
        assert_eq!(row.try_get::<Option<String>>("", "client_ip").unwrap().as_deref(), Some("192.0.2.7"));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s4_more_than_was_held_becomes_debt_when_the_lease_closes() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(1_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 625, 625).await;
        ground.report(&relay, 1, vec![ground.request("s4", customer, vec![pays(wallet, 3_750)])]).await;
        assert_eq!(ground.figures(customer.wallet).await, [375, -3_125, 0, 3_750]);
        ground.assert_conservation().await;
        ground.report(&relay, 2, vec![closes(wallet.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [-2_750, 0, 0, 3_750]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn what_a_closed_lease_gives_back_beforehand_does_not_come_back_again_with_its_end() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(1_000_000, 0).await);
        // before its request is settled, between that and its end, and after it
        for (round, place) in (0_i64..).zip([0, 1, 2]) {
            let wallet = ground.grant(&relay, 1 + round, customer.wallet, 10_000, 10_000).await;
            let said = Said { returns: vec![(wallet.lease, Quota::clamped(6_250))], ..Said::default() };
            let (first, spent) = (1 + 2 * round, 3_750 * (round + 1));
            for step in 0..3 {
                if step == place {
                    let gave = leases::take_back(&ground.db, &relay, &said).await.unwrap();
                    assert_eq!(gave.len(), usize::from(step < 2), "round {round}: what is closed has nothing to give");
                }
                if step == 0 {
                    let paid = ground.request(&format!("round-{round}"), customer, vec![pays(wallet, 3_750)]);
                    ground.report(&relay, first, vec![paid]).await;
                } else if step == 1 {
                    ground.report(&relay, first + 1, vec![closes(wallet.lease)]).await;
                }
                ground.assert_conservation().await;
            }
            assert_eq!(ground.figures(customer.wallet).await, [1_000_000 - spent, 0, 0, spent], "round {round}");
        }
    }
}

#[tokio::test]
async fn s5_an_uncapped_token_has_no_lease_and_only_counts() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(6_000_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 10_000, 10_000).await;
        ground.report(&relay, 1, vec![ground.request("s5", customer, vec![pays(wallet, 3_750)]), closes(wallet.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [5_996_250, 0, 0, 3_750]);
        assert_eq!(ground.figures(customer.cap).await, [-3_750, 0, 0, 3_750]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s7_a_report_said_three_times_is_settled_once() {
    for mut ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 20_000, 20_000).await;
        let records =
            |ground: &Ground| (1..=3).map(|n| ground.request(&format!("s7-{n}"), customer, vec![pays(wallet, 3_750)])).collect();
        assert_eq!(ground.report(&relay, 1, records(&ground)).await.counts.requests, 3);
        for _ in 0..2 {
            ground.restart();
            let again = ground.report(&relay, 1, records(&ground)).await;
            assert_eq!((again.next_seq, again.counts.requests, again.counts.duplicates), (4, 0, 3));
        }
        assert_eq!(ground.figures(customer.wallet).await, [80_000, 20_000 - 11_250, 0, 11_250]);
        assert_eq!(ground.count("requests").await, 3);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_gap_is_answered_with_the_number_to_go_on_from_and_overlaps_are_cut() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 40_000, 40_000).await;
        let some = |from: i64, to: i64| -> Vec<Record> {
            (from..=to).map(|n| ground.request(&format!("gap-{n}"), customer, vec![pays(wallet, 3_750)])).collect()
        };
        let gap = ground.report(&relay, 3, some(3, 4)).await;
        assert_eq!((gap.next_seq, gap.has_gap, gap.counts.requests), (1, true, 0));
        assert!(!ground.report(&relay, 1, some(1, 2)).await.has_gap);
        let overlap = ground.report(&relay, 2, some(2, 4)).await;
        assert_eq!((overlap.next_seq, overlap.counts.requests, overlap.counts.duplicates), (5, 2, 1));
        // several reports in one transaction, the last of them beyond a gap
        let batches = [batch(5, some(5, 5), false), batch(6, some(6, 7), false), batch(9, some(9, 9), false)];
        let merged = ground.settler.settle(&relay, &batches, START).await.unwrap();
        assert_eq!((merged.next_seq, merged.has_gap, merged.counts.requests), (8, true, 3));
        assert_eq!(ground.figures(customer.wallet).await[3], 7 * 3_750);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s8_a_settlement_cut_off_before_its_commit_happened_not_at_all() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 40_000, 40_000).await;
        let records: Vec<Record> =
            (1..=50).map(|n| ground.request(&format!("s8-{n}"), customer, vec![pays(wallet, 3_750)])).collect();
        for micros in [0, 50, 200, 500, 1_000, 2_000, 4_000, 8_000, 16_000] {
            let batches = [batch(1, records.clone(), false)];
            let settle = ground.settler.settle(&relay, &batches, START);
            // dropped wherever it happens to be, as when the process is killed
            let _ = tokio::time::timeout(std::time::Duration::from_micros(micros), settle).await;
            ground.assert_conservation().await;
            let settled = ground.settler.next_seq(&relay).await.unwrap() - 1;
            assert!(settled == 0 || settled == 50, "{settled}");
            assert_eq!(ground.figures(customer.wallet).await[3], settled * 3_750);
        }
        ground.report(&relay, 1, records).await;
        assert_eq!((ground.count("requests").await, ground.figures(customer.wallet).await[3]), (50, 50 * 3_750));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s9_what_a_lost_disk_took_with_it_comes_back_uncharged_and_late_usage_is_charged_to_the_balance() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 6_500, 6_500).await;
        jobs::run(&ground.work(), &sluice_billing::lease::Terms::default(), START.plus_millis(640_000)).await.unwrap();
        assert_eq!(ground.figures(customer.wallet).await, [3_500, 0, 6_500, 0]);
        // usage that arrives while the lease is in doubt is charged to it
        let in_doubt = ground.report(&relay, 1, vec![ground.request("s9-1", customer, vec![pays(wallet, 3_750)])]).await;
        assert_eq!(in_doubt.counts.late, 0);
        assert_eq!(ground.figures(customer.wallet).await, [3_500, 0, 2_750, 3_750]);
        jobs::run(&ground.work(), &sluice_billing::lease::Terms::default(), START.plus_millis(640_000 + 3_600_000))
            .await
            .unwrap();
        assert_eq!(ground.figures(customer.wallet).await, [6_250, 0, 0, 3_750]);
        // and after it was given back, to the balance
        let late = ground
            .report(&relay, 2, vec![ground.request("s9-2", customer, vec![pays(wallet, 3_750)]), closes(wallet.lease)])
            .await;
        assert_eq!((late.counts.late, late.counts.closed), (1, 0));
        assert_eq!(ground.figures(customer.wallet).await, [2_500, 0, 0, 7_500]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn s14_and_s15_changes_by_people_and_charges_at_the_same_moment_both_count() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 5_000, 5_000).await;
        let post = async {
            let tx = ground.db.begin().await.unwrap();
            wallet::post(&tx, ground.entry(customer.wallet, 10_000), START).await.unwrap();
            tx.commit().await.unwrap();
        };
        let records = vec![ground.request("s15", customer, vec![pays(wallet, 3_750)]), closes(wallet.lease)];
        tokio::join!(post, ground.report(&relay, 1, records));
        assert_eq!(ground.figures(customer.wallet).await, [16_250, 0, 0, 3_750]);
        ground.assert_conservation().await;
    }
}

async fn set_price(ground: &Ground, model: &str, body: Option<&str>) -> i64 {
    let tx = ground.db.begin().await.unwrap();
    let name = ModelName::parse(model).unwrap();
    let rate = RateChange { kind: RateKind::Price, name: model.into(), body: body.map(Into::into) };
    let seq = log::record_rates(&tx, START, &[Changed::Price(name)], &[rate]).await.unwrap();
    tx.commit().await.unwrap();
    seq
}

#[tokio::test]
async fn s20_a_request_costs_what_it_did_at_the_version_it_was_priced_with() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 50_000, 50_000).await;
        let dearer = set_price(&ground, "gpt-4o", Some(r#"{"model_ratio":"2.5","completion_ratio":"4"}"#)).await;
        let at = |seq: i64, quota: i64| {
            let charges = vec![pays(wallet, quota)];
            let plain = ground.plain(&format!("s20-{seq}-{quota}"), customer, charges);
            Record::Request(Box::new(RequestRecord { config_seq: seq, quota: Quota::clamped(quota), ..plain }))
        };
        let settled = ground.report(&relay, 1, vec![at(1, 3_750), at(dearer, 7_500)]).await;
        assert_eq!((settled.counts.repriced, settled.counts.quota), (0, 11_250));
        // a relay that got it wrong: what counts is the price computed here, whichever way it differs
        let wrong = ground.report(&relay, 3, vec![at(1, 1), at(1, 9_999)]).await;
        assert_eq!((wrong.counts.repriced, wrong.counts.quota), (2, 7_500));
        ground.report(&relay, 5, vec![closes(wallet.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [100_000 - 18_750, 0, 0, 18_750]);
        let select = Query::select().column("repriced").from("requests").order_by("seq", sea_orm::Order::Asc).to_owned();
        let flags: Vec<bool> =
            ground.db.read().query_all(&select).await.unwrap().iter().map(|row| row.try_get("", "repriced").unwrap()).collect();
        assert_eq!(flags, [false, false, true, true]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn what_cannot_be_priced_is_set_aside_and_the_rest_goes_on() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 50_000, 50_000).await;
        let stranger = ground.customer(0, 0).await;
        let plain = |name: &str| ground.plain(name, customer, vec![pays(wallet, 3_750)]);
        let of = |record: RequestRecord| Incoming::Record(Record::Request(Box::new(record)));
        let far = START.plus_millis(600_000);
        let records = vec![
            of(RequestRecord { usage: Usage { input: Usage::LIMIT + 1, ..Usage::default() }, ..plain("q1") }),
            of(RequestRecord { model: ModelName::parse("never-heard-of").unwrap(), ..plain("q2") }),
            of(RequestRecord { started_at: far, ..plain("q3") }),
            of(RequestRecord { user_id: stranger.user, ..plain("q4") }),
            Incoming::Unreadable { reason: "outcome: is a word of a later version".into(), body: "AAAA".into() },
            of(plain("good")),
        ];
        let batch = Batch { first_seq: 1, records, epoch_ended: false, is_damaged: false, sent_at: START };
        let settled = ground.settler.settle(&relay, &[batch], START).await.unwrap();
        assert_eq!((settled.next_seq, settled.counts.quarantined, settled.counts.requests), (7, 5, 1));
        assert_eq!(ground.figures(customer.wallet).await[3], 3_750);
        let select = Query::select().column("reason").from("quarantine").order_by("seq", sea_orm::Order::Asc).to_owned();
        let rows = ground.db.read().query_all(&select).await.unwrap();
        let reasons: Vec<String> = rows.iter().map(|row| row.try_get("", "reason").unwrap()).collect();
        assert_eq!(reasons[..4], ["implausible_usage", "unpriced_model", "implausible_time", "unknown_payer"]);
        assert!(reasons[4].starts_with("unreadable: outcome"));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_record_that_the_database_refuses_is_set_aside_alone_and_the_rest_is_settled() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 50_000, 50_000).await;
        // a rule that only the database knows
        let tx = ground.db.begin().await.unwrap();
        tx.execute_unprepared("CREATE UNIQUE INDEX only_once ON requests (request_id)").await.unwrap();
        tx.commit().await.unwrap();
        let mut records: Vec<Record> =
            (1..=9).map(|n| ground.request(&format!("r{n}"), customer, vec![pays(wallet, 3_750)])).collect();
        records[5] = ground.request("r1", customer, vec![pays(wallet, 3_750)]);
        records.push(closes(wallet.lease));
        let batch = batch(1, records, true);
        assert!(ground.settler.settle(&relay, std::slice::from_ref(&batch), START).await.is_err());
        let settled = ground.settler.settle_whatever_comes(&relay, batch.clone(), START).await.unwrap();
        assert_eq!((settled.next_seq, settled.has_gap, settled.has_ended), (11, false, true));
        assert_eq!((settled.counts.requests, settled.counts.quarantined, settled.counts.closed), (8, 1, 1));
        let select = Query::select().columns(["seq", "reason"]).from("quarantine").to_owned();
        let row = ground.db.read().query_one(&select).await.unwrap().unwrap();
        let (seq, reason): (i64, String) = (row.try_get("", "seq").unwrap(), row.try_get("", "reason").unwrap());
        assert_eq!((seq, reason.as_str()), (6, "unreadable: refused by the database"));
        assert_eq!(ground.figures(customer.wallet).await, [70_000, 0, 0, 30_000]);
        ground.assert_conservation().await;
        let again = ground.settler.settle_whatever_comes(&relay, batch, START).await.unwrap();
        assert_eq!((again.counts.requests, again.counts.duplicates), (0, 10));
    }
}

#[tokio::test]
async fn texts_from_outside_never_make_a_report_impossible_to_settle() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let long = "é\0\u{7}漢".repeat(2_000);
        let record = RequestRecord {
            upstream_model: long.clone(),
            error_code: long.clone(),
            path: long.clone(),
            client_ip: long.clone(),
            upstream_request_id: long,
            ..ground.plain("long", customer, vec![])
        };
        let settled = ground.report(&relay, 1, vec![Record::Request(Box::new(record))]).await;
        assert_eq!((settled.counts.requests, settled.counts.quarantined), (1, 0));
    }
}

#[tokio::test]
async fn the_end_of_a_life_closes_its_leases_and_only_those() {
    for ground in grounds().await {
        let customer = ground.customer(100_000, 0).await;
        let (relay, other) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        let first = ground.grant(&relay, 1, customer.wallet, 10_000, 10_000).await;
        ground.grant(&relay, 2, customer.wallet, 5_000, 5_000).await;
        ground.grant(&other, 1, customer.wallet, 1_000, 1_000).await;
        let record = ground.request("end", customer, vec![pays(first, 3_750)]);
        let ended = ground.report_at(&relay, 1, vec![record], true, START).await;
        assert_eq!((ended.counts.requests, ended.counts.closed), (1, 2));
        assert_eq!(ground.figures(customer.wallet).await, [95_250, 1_000, 0, 3_750]);
        ground.assert_conservation().await;
        // said again
        let again = ground.report_at(&relay, 2, vec![], true, START).await;
        assert_eq!((again.next_seq, again.counts.closed), (2, 0));
        assert_eq!(ground.figures(customer.wallet).await, [95_250, 1_000, 0, 3_750]);
    }
}

#[tokio::test]
async fn the_end_of_a_life_whose_disk_lost_records_leaves_its_leases_in_doubt() {
    for ground in grounds().await {
        let customer = ground.customer(100_000, 0).await;
        let relay = ground.relay("relay-1", 1).await;
        let granted = ground.grant(&relay, 1, customer.wallet, 10_000, 10_000).await;
        let record = ground.request("end", customer, vec![pays(granted, 3_750)]);
        let batch = Batch { is_damaged: true, ..batch(1, vec![record], true) };
        let ended = ground.settler.settle(&relay, &[batch], START).await.unwrap();
        assert_eq!((ended.counts.closed, ended.has_ended), (0, true));
        assert_eq!(ground.figures(customer.wallet).await, [90_000, 0, 6_250, 3_750]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn an_orphan_whose_end_was_settled_before_the_disk_lost_it_is_paid_once() {
    for ground in grounds().await {
        let customer = ground.customer(100_000, 0).await;
        let relay = ground.relay("relay-1", 1).await;
        let orphan = |name: &str, began: i64| {
            let plain = ground.plain(name, customer, vec![]);
            let started_at = plain.started_at.plus_millis(began);
            Record::Request(Box::new(RequestRecord { outcome: Outcome::Orphaned, started_at, ..plain }))
        };
        ground.report(&relay, 1, vec![ground.request("r1", customer, vec![])]).await;
        // the record of its end is gone with the disk: the next life finds it open and ends it once more, beside others
        let settled = ground.report(&relay, 2, vec![orphan("r1", 0), orphan("r2", 0), orphan("r1", 1)]).await;
        assert_eq!((settled.next_seq, settled.counts.requests, settled.counts.duplicates), (5, 2, 1));
        assert_eq!(ground.figures(customer.wallet).await, [100_000 - 3 * 3_750, 0, 0, 3 * 3_750]);
        let only = ground.report(&relay, 5, vec![orphan("r2", 0)]).await;
        assert_eq!((only.next_seq, only.counts.requests, only.counts.duplicates), (6, 0, 1));
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn usage_on_leases_of_another_history_is_charged_to_the_balance() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 10_000, 10_000).await;
        let foreign =
            RequestRecord { config_lineage: "another".into(), ..ground.plain("f", customer, vec![pays(wallet, 3_750)]) };
        let settled = ground.report(&relay, 1, vec![Record::Request(Box::new(foreign))]).await;
        assert_eq!(settled.counts.late, 1);
        assert_eq!(ground.figures(customer.wallet).await, [86_250, 10_000, 0, 3_750]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_relay_charges_no_lease_of_another_relay_or_account() {
    for ground in grounds().await {
        let (one, two) = (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await);
        let (customer, other) = (ground.customer(100_000, 0).await, ground.customer(50_000, 0).await);
        let of_two = ground.grant(&two, 1, customer.wallet, 10_000, 10_000).await;
        let of_other = ground.grant(&one, 1, other.wallet, 10_000, 10_000).await;
        let disguised = sluice_domain::LeaseCharge { account_id: customer.wallet, ..pays(of_other, 3_750) };
        let records = vec![
            ground.request("x1", customer, vec![pays(of_two, 3_750)]),
            ground.request("x2", customer, vec![disguised]),
            closes(of_two.lease),
            closes(LeaseId::new(999_999)),
        ];
        let settled = ground.report(&one, 1, records).await;
        assert_eq!((settled.counts.late, settled.counts.closed), (2, 0));
        assert_eq!(ground.figures(customer.wallet).await, [82_500, 10_000, 0, 7_500]);
        assert_eq!(ground.figures(other.wallet).await, [40_000, 10_000, 0, 0]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_charge_spread_over_leases_moves_with_the_price() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let (first, second) = (
            ground.grant(&relay, 1, customer.wallet, 1_000, 1_000).await,
            ground.grant(&relay, 2, customer.wallet, 2_000, 2_000).await,
        );
        // 3,000 of 3,750 are said to be paid: the last lease pays the difference
        let less = ground.request("less", customer, vec![pays(first, 1_000), pays(second, 2_000)]);
        // 9,000 of 3,750: the first pays what it was said to, as far as there is a price left
        let more = ground.request("more", customer, vec![pays(first, 4_000), pays(second, 5_000)]);
        ground.report(&relay, 1, vec![less, more, closes(first.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [97_000 + 1_000 - 1_000 - 3_750, 2_000 - 2_750, 0, 7_500]);
        ground.assert_conservation().await;
        ground.report(&relay, 4, vec![closes(second.lease)]).await;
        assert_eq!(ground.figures(customer.wallet).await, [92_500, 0, 0, 7_500]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn the_log_the_hours_and_the_explanation_tell_the_same_story() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let records: Vec<Record> = (1..=4).map(|n| ground.request(&format!("hour-{n}"), customer, vec![])).collect();
        ground.report(&relay, 1, records[..3].to_vec()).await;
        ground.report(&relay, 4, records[3..].to_vec()).await;
        let select = Query::select().columns(["requests", "failed", "quota", "input", "output"]).from("usage_hourly").to_owned();
        let rows = ground.db.read().query_all(&select).await.unwrap();
        assert_eq!(rows.len(), 1);
        let figure = |name| rows[0].try_get::<i64>("", name).unwrap();
        assert_eq!(["requests", "failed", "quota", "input", "output"].map(figure), [4, 0, 15_000, 4_000, 2_000]);

        let select = Query::select()
            .column("body")
            .from("request_explanations")
            .and_where(Expr::col("request_id").eq("hour-1"))
            .to_owned();
        let body: String = ground.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "body").unwrap();
        let told: Explanation = serde_json::from_str(&body).unwrap();
        assert_eq!((told.attempts.len(), told.attempts[0].status), (1, 200));
        let priced = Priced {
            config_seq: 1,
            model: "gpt-4o",
            path: "/v1/chat/completions",
            group: "default",
            channel: None,
            usage: Usage { input: 1_000, output: 500, ..Usage::default() },
        };
        let told = formula(&ground.db, &Rates::new(), priced).await.unwrap().unwrap();
        assert_eq!(told.total.get(), 3_750);
        let price = r#"{"model_ratio":"1.25","completion_ratio":"4"}"#;
        let config_seq = set_price(&ground, "gpt-4o-search-preview", Some(price)).await;
        let usage = Usage { input: 50, output: 300, ..Usage::default() };
        let searched = Priced { config_seq, model: "gpt-4o-search-preview", usage, ..priced };
        assert_eq!(formula(&ground.db, &Rates::new(), searched).await.unwrap().unwrap().total.get(), 14_063, "V52");

        let select =
            Query::select().column("last_used_at").from("tokens").and_where(Expr::col("id").eq(customer.token.get())).to_owned();
        let used: Option<i64> = ground.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "last_used_at").unwrap();
        assert_eq!(used, Some(START.0));
    }
}

#[tokio::test]
async fn a_request_id_given_twice_by_a_proxy_is_two_requests() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let records = vec![ground.request("same", customer, vec![]), ground.request("same", customer, vec![])];
        assert_eq!(ground.report(&relay, 1, records).await.counts.requests, 2);
        assert_eq!(ground.report(&relay, 3, vec![ground.request("same", customer, vec![])]).await.counts.requests, 1);
        assert_eq!((ground.count("requests").await, ground.figures(customer.wallet).await[3]), (3, 3 * 3_750));
    }
}

#[tokio::test]
async fn four_thousand_requests_take_few_statements_and_one_commit() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000_000, 0).await);
        let wallet = ground.grant(&relay, 1, customer.wallet, 10_000_000, 10_000_000).await;
        let per_batch = MAX_RECORDS / 4;
        let batches: Vec<Batch> = (0..4)
            .map(|n| {
                let first = i64::try_from(n * per_batch).unwrap() + 1;
                let records =
                    (0..per_batch).map(|i| ground.request(&format!("many-{n}-{i}"), customer, vec![pays(wallet, 3_750)]));
                batch(first, records.collect(), false)
            })
            .collect();
        let settled = ground.settler.settle(&relay, &batches, START).await.unwrap();
        assert_eq!(settled.counts.requests, u64::try_from(MAX_RECORDS).unwrap());
        assert!(settled.counts.statements <= 40, "{:?}: {} statements", ground.db.engine(), settled.counts.statements);
        assert_eq!(ground.figures(customer.wallet).await[3], 3_750 * i64::try_from(MAX_RECORDS).unwrap());
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn grants_settlements_postings_and_the_reaper_at_once_neither_lose_nor_make_money() {
    for ground in grounds().await {
        let customers = [ground.customer(1_000_000, 1_000_000).await, ground.customer(1_000_000, 500_000).await];
        let works = (0..4).map(|n| bank_clerk(&ground, n, customers));
        let reaper = async {
            for round in 0..20 {
                jobs::run(&ground.work(), &sluice_billing::lease::Terms::default(), START.plus_millis(round * 250_000))
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (charged, ()) = tokio::join!(futures_util::future::join_all(works), reaper);
        ground.assert_conservation().await;
        let charged: i64 = charged.into_iter().sum();
        let mut spent = 0;
        for customer in customers {
            spent += ground.figures(customer.wallet).await[3];
        }
        assert_eq!(spent, charged);
    }
}

/// One relay: asks, reports, gives back, and is topped up in between.
async fn bank_clerk(ground: &Ground, number: i64, customers: [Customer; 2]) -> i64 {
    let relay = ground.relay(&format!("relay-{number}"), 1).await;
    let mut seq = 1;
    for round in 0..12 {
        let customer = customers[usize::try_from((round + number) % 2).unwrap()];
        let wallet = ground.grant(&relay, round * 2 + 1, customer.wallet, 4_000, 9_000).await;
        let cap = ground.grant(&relay, round * 2 + 2, customer.cap, 4_000, 9_000).await;
        let name = format!("bank-{number}-{round}");
        let request = ground.request(&name, customer, vec![pays(wallet, 3_750), pays(cap, 3_750)]);
        ground.report(&relay, seq, vec![request, closes(cap.lease)]).await;
        seq += 2;
        let tx = ground.db.begin().await.unwrap();
        wallet::post(&tx, ground.entry(customer.wallet, 1), UnixMillis(START.0 + round)).await.unwrap();
        tx.commit().await.unwrap();
    }
    12 * 3_750
}

#[tokio::test]
async fn sums_of_the_servers_are_whole_numbers() {
    for ground in grounds().await {
        let customer = ground.customer(5, 0).await;
        let select = Query::select()
            .expr_as(db::sum(ground.db.engine(), Expr::col("amount")), "total")
            .from("ledger")
            .and_where(Expr::col("account_id").eq(customer.wallet.get()))
            .to_owned();
        assert_eq!(ground.db.read().query_one(&select).await.unwrap().unwrap().try_get::<i64>("", "total").unwrap(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_judged_by_prices_that_are_forgotten_meanwhile() {
    for mut ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(1_000_000, 0).await);
        let lease = ground.grant(&relay, 1, customer.wallet, 500_000, 500_000).await;
        let rates = Rates::new();
        ground.settler = Settler::new(ground.db.clone(), ground.lineage.clone(), rates.clone());
        // somebody sees another history begin, again and again; but not for ever, or nothing would be settled
        let mut forgetting = JoinSet::new();
        forgetting.spawn(async move {
            for _ in 0..300 {
                rates.forget();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        for seq in 1..=20 {
            let record = ground.request(&format!("r{seq}"), customer, vec![pays(lease, 3_750)]);
            let settled = ground.report(&relay, seq, vec![record]).await;
            assert_eq!((settled.counts.requests, settled.counts.quarantined), (1, 0), "{:?}: {seq}", ground.db.engine());
        }
        forgetting.join_all().await;
        ground.assert_conservation().await;
    }
}
