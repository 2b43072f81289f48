use std::sync::Arc;

use sluice_domain::{Dialect, GroupName, LeaseCharge, LeaseId, ModelName, RequestId, TokenId, Usage, UserId};

use super::*;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const RECEIVED: Received = Received { at: NOW, sent_at: NOW };
const CHAIN: Chain = Chain { wallet: Some(AccountId::new(1)), cap: Some(AccountId::new(2)), uses: None };

fn rates() -> Rates {
    Rates::of_rows([
        ("group", "default", 1, Some("1")),
        ("price", "gpt-4o", 1, Some(r#"{"model_ratio":"1.25","completion_ratio":"4"}"#)),
        ("price", "gpt-4o", 5, Some(r#"{"model_ratio":"2.5","completion_ratio":"4"}"#)),
        ("price", "gpt-4o-search-preview", 1, Some(r#"{"model_ratio":"1.25","completion_ratio":"4"}"#)),
        ("price", "dall-e-3", 1, Some(r#"{"per_call_usd":"0.04"}"#)),
    ])
}

fn record() -> RequestRecord {
    RequestRecord {
        request_id: RequestId::parse("r").unwrap(),
        user_id: UserId::new(1),
        token_id: TokenId::new(1),
        charges: vec![],
        quota: Quota::clamped(3_750),
        held: Quota::ZERO,
        config_lineage: Arc::from("l"),
        config_seq: 1,
        model: ModelName::parse("gpt-4o").unwrap(),
        upstream_model: String::new(),
        group: GroupName::parse("default").unwrap(),
        channel_id: None,
        usage: Usage { input: 1_000, output: 500, ..Usage::default() },
        usage_estimated: false,
        outcome: Outcome::Completed,
        error_code: String::new(),
        status: 200,
        dialect: Dialect::OpenAi,
        path: String::new(),
        stream: false,
        started_at: NOW.plus_millis(-1_000),
        total_millis: 1_000,
        first_byte_millis: Some(1),
        attempts: vec![],
        client_ip: String::new(),
        upstream_request_id: String::new(),
        output_limit: None,
    }
}

fn verdict(record: &RequestRecord) -> Verdict {
    judge(record, CHAIN, &rates(), "l", RECEIVED)
}

fn charged(record: &RequestRecord) -> (i64, bool) {
    match verdict(record) {
        Verdict::Charge { quota, repriced, .. } => (quota.get(), repriced),
        Verdict::Quarantine(reason) => panic!("{reason}"),
    }
}

#[test]
fn the_price_is_that_of_the_version_and_a_difference_is_flagged() {
    assert_eq!(charged(&record()), (3_750, false));
    assert_eq!(charged(&RequestRecord { config_seq: 5, ..record() }), (7_500, true));
    assert_eq!(charged(&RequestRecord { quota: Quota::clamped(3_751), ..record() }), (3_750, true));
}

#[test]
fn versions_of_another_history_or_of_the_future_are_priced_as_now() {
    assert_eq!(charged(&RequestRecord { config_lineage: Arc::from("other"), ..record() }).0, 7_500);
    assert_eq!(charged(&RequestRecord { config_seq: 999, ..record() }).0, 7_500);
}

#[test]
fn what_failed_is_free_and_what_broke_off_costs_what_it_produced() {
    let call = || RequestRecord { model: ModelName::parse("dall-e-3").unwrap(), usage: Usage::default(), ..record() };
    assert_eq!(charged(&call()).0, 20_000);
    assert_eq!(charged(&RequestRecord { outcome: Outcome::Failed, ..call() }).0, 0);
    assert_eq!(charged(&RequestRecord { outcome: Outcome::Failed, ..record() }).0, 0);
    for outcome in [Outcome::Aborted, Outcome::Truncated, Outcome::Orphaned] {
        let began = Usage { input: 10, ..Usage::default() };
        // whoever recovers an orphan has no price list, and says nothing
        let quota = if outcome == Outcome::Orphaned { Quota::ZERO } else { record().quota };
        assert_eq!(charged(&RequestRecord { outcome, quota, usage: began, ..call() }).0, 20_000, "{outcome:?}");
        assert_eq!(charged(&RequestRecord { outcome, quota, ..call() }).0, 0, "{outcome:?}");
        assert_eq!(charged(&RequestRecord { outcome, quota, ..record() }).0, 3_750, "{outcome:?}");
    }
    // a failure needs no price to cost nothing
    let unpriced = RequestRecord { model: ModelName::parse("unheard-of").unwrap(), outcome: Outcome::Failed, ..record() };
    assert_eq!(charged(&unpriced).0, 0);
}

#[test]
fn an_orphan_of_a_relay_that_charges_what_was_held_costs_that_and_no_more() {
    let orphan = |quota, held| RequestRecord {
        outcome: Outcome::Orphaned,
        quota: Quota::clamped(quota),
        held: Quota::clamped(held),
        usage: Usage::default(),
        ..record()
    };
    assert_eq!(charged(&orphan(6_500, 6_500)), (6_500, false));
    assert_eq!(charged(&orphan(9_000, 6_500)), (6_500, true), "never more than was held");
    assert_eq!(charged(&RequestRecord { outcome: Outcome::Aborted, ..orphan(6_500, 6_500) }).0, 0, "of orphans only");
    assert_eq!(verdict(&orphan(1, -1)), Verdict::Quarantine("negative_amount"));
}

#[test]
fn a_search_model_costs_its_search_on_top() {
    let searched = || RequestRecord {
        model: ModelName::parse("gpt-4o-search-preview").unwrap(),
        path: "/v1/chat/completions".to_owned(),
        usage: Usage { input: 50, output: 300, ..Usage::default() },
        quota: Quota::clamped(14_063),
        ..record()
    };
    assert_eq!(charged(&searched()), (14_063, false), "V52");
    assert_eq!(charged(&RequestRecord { path: "/v1/completions".to_owned(), ..searched() }), (1_563, true));
    assert_eq!(charged(&RequestRecord { outcome: Outcome::Failed, ..searched() }).0, 0);
}

#[test]
fn what_cannot_be_believed_is_set_aside() {
    let charge = |account| LeaseCharge { lease_id: LeaseId::new(1), account_id: AccountId::new(account), amount: Quota::ZERO };
    for (record, reason) in [
        (RequestRecord { usage: Usage { output: u64::MAX, ..Usage::default() }, ..record() }, "implausible_usage"),
        (RequestRecord { quota: Quota::clamped(-1), ..record() }, "negative_amount"),
        (RequestRecord { charges: vec![charge(3)], ..record() }, "foreign_account"),
        (RequestRecord { model: ModelName::parse("unheard-of").unwrap(), ..record() }, "unpriced_model"),
        (RequestRecord { group: GroupName::parse("vip").unwrap(), ..record() }, "unknown_group"),
        (RequestRecord { started_at: NOW.plus_millis(MAX_OFFSET_MILLIS), ..record() }, "implausible_time"),
        (RequestRecord { started_at: NOW.plus_millis(-OLDEST_MILLIS - 2_000), ..record() }, "implausible_time"),
        (RequestRecord { started_at: UnixMillis(i64::MIN), total_millis: u64::MAX, ..record() }, "implausible_time"),
    ] {
        assert_eq!(verdict(&record), Verdict::Quarantine(reason));
    }
    let nobody = Chain { wallet: None, cap: None, uses: None };
    assert_eq!(judge(&record(), nobody, &rates(), "l", RECEIVED), Verdict::Quarantine("unknown_payer"));
}

#[test]
fn the_day_is_by_the_relays_clock_while_it_is_about_right() {
    let finished = |sent_at: UnixMillis, started_at: UnixMillis| {
        let record = RequestRecord { started_at, ..record() };
        match judge(&record, CHAIN, &rates(), "l", Received { at: NOW, sent_at }) {
            Verdict::Charge { finished_at, .. } => Some(finished_at),
            Verdict::Quarantine(_) => None,
        }
    };
    assert_eq!(finished(NOW.plus_millis(60_000), NOW), Some(NOW.plus_millis(1_000)));
    // an hour fast, and so are its times: believed to have ended just now
    let hour = NOW.plus_millis(3_600_000);
    assert_eq!(finished(hour, hour.plus_millis(-2_000)), Some(NOW));
    // set back by an hour after the request had ended: its time was right when it was written
    assert_eq!(finished(NOW.plus_millis(-3_600_000), NOW.plus_millis(-2_000)), Some(NOW));
    // a right clock does not excuse a time of tomorrow
    assert_eq!(finished(NOW, hour), None);
}

#[test]
fn a_use_is_paid_when_somebody_answered_whatever_the_price() {
    let chain = Chain { uses: Some(AccountId::new(3)), ..CHAIN };
    let dues = |quota, is_answered| {
        chain.dues(Quota::clamped(quota), is_answered).map(|(account, due)| (account.get(), due.get())).collect::<Vec<_>>()
    };
    assert_eq!(dues(70, true), [(1, 70), (2, 70), (3, 1)]);
    assert_eq!(dues(0, true), [(3, 1)]);
    assert_eq!(dues(0, false), []);
}
