use super::*;
use sluice_domain::{GroupName, ModelName};

fn request() -> RequestRecord {
    RequestRecord {
        request_id: RequestId::parse("req-1").unwrap(),
        user_id: UserId::new(1),
        token_id: TokenId::new(2),
        charges: vec![LeaseCharge { lease_id: LeaseId::new(3), account_id: AccountId::new(4), amount: Quota::clamped(3750) }],
        quota: Quota::clamped(3750),
        held: Quota::clamped(6500),
        config_lineage: "l".into(),
        config_seq: 9,
        model: ModelName::parse("gpt-4o").unwrap(),
        upstream_model: "gpt-4o-2024".into(),
        group: GroupName::parse("default").unwrap(),
        channel_id: Some(ChannelId::new(5)),
        usage: Usage { input: 1000, output: 500, reasoning: 20, ..Usage::default() },
        usage_estimated: true,
        outcome: Outcome::Aborted,
        error_code: "x".into(),
        status: 200,
        dialect: Dialect::OpenAi,
        path: "/v1/chat/completions".into(),
        stream: true,
        started_at: UnixMillis(1_700_000_000_000),
        total_millis: 1234,
        first_byte_millis: Some(0),
        attempts: vec![Attempt {
            channel_id: ChannelId::new(5),
            channel_key_id: ChannelKeyId::new(6),
            status: 503,
            error: "status".into(),
            millis: 3,
        }],
        client_ip: "127.0.0.1".into(),
        upstream_request_id: "up".into(),
        output_limit: Some(300),
    }
}

#[test]
fn records_read_back_as_they_were() {
    let silent = RequestRecord { first_byte_millis: None, channel_id: None, charges: vec![], ..request() };
    for record in [Record::Request(Box::new(request())), Record::Request(Box::new(silent)), Record::LeaseClosed(LeaseId::new(3))]
    {
        assert_eq!(decode(&encode(&record)), Ok(record));
    }
    assert_eq!(encode_request(&request()), encode(&Record::Request(Box::new(request()))));
}

#[test]
fn what_a_record_does_to_leases_is_read_without_the_rest_of_it() {
    let effect = |record: &Record| lease_effect(&encode(record)).unwrap();
    assert_eq!(effect(&Record::Request(Box::new(request()))), LeaseEffect::Charges(request().charges));
    assert_eq!(effect(&Record::LeaseClosed(LeaseId::new(3))), LeaseEffect::Closes(LeaseId::new(3)));
    assert_eq!(lease_effect(&[]), Ok(LeaseEffect::Charges(vec![])));
    assert!(lease_effect(b"\xff").is_err());
}

#[test]
fn a_record_that_is_gone_is_told_from_one_of_a_later_version() {
    let (gone, later) = (from_pb(super::gone()).unwrap_err(), from_pb(pb::UsageRecord::default()).unwrap_err());
    assert_ne!(gone.to_string(), later.to_string());
}

#[test]
fn amounts_out_of_range_and_unknown_words_are_refused() {
    let refused = |change: fn(&mut pb::RequestSettled)| {
        let mut message = request_to_pb(&request());
        change(&mut message);
        request_from_pb(message).unwrap_err().field
    };
    assert_eq!(refused(|message| message.quota = i64::MAX), "quota");
    assert_eq!(refused(|message| message.charges[0].amount = i64::MIN), "charges.amount");
    assert_eq!(refused(|message| message.outcome = "later".into()), "outcome");
    assert_eq!(refused(|message| message.status = -1), "status");
    assert_eq!(refused(|message| message.request_id = "a\nb".into()), "request_id");
}

#[test]
fn cut_bytes_are_an_error() {
    let bytes = encode(&Record::Request(Box::new(request())));
    assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(decode(&[]).is_err());
}
