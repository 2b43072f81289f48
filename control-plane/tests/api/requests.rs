//! The request log, and how a price came about.

use std::sync::Arc;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::Query;
use serde_json::json;
use sluice_control_plane::leases::Life;
use sluice_control_plane::settlement::{Batch, Incoming, Settler};
use sluice_domain::{
    Attempt, ChannelId, ChannelKeyId, Dialect, Epoch, GroupName, ModelName, NodeId, Outcome, Quota, Record, RequestId,
    RequestRecord, TokenId, UnixMillis, Usage, UserId,
};
use sluice_testkit::database::engines;

use crate::world::{START, World, no_limits};

pub(crate) async fn lineage(world: &World) -> Arc<str> {
    let select = Query::select().column("lineage").from("config_head").to_owned();
    let row = world.app.db.read().query_one(&select).await.unwrap().unwrap();
    row.try_get::<String>("", "lineage").unwrap().into()
}

/// A request as a relay reports it: 1,000 tokens in, 500 out, after one attempt that failed.
pub(crate) fn record(lineage: &Arc<str>, id: &str, seq: i64, user: i64, token: i64, channel: i64) -> RequestRecord {
    let attempt = |status, error: &str| Attempt {
        channel_id: ChannelId::new(channel),
        channel_key_id: ChannelKeyId::new(1),
        status,
        error: error.to_owned(),
        millis: 20,
    };
    RequestRecord {
        request_id: RequestId::parse(id).unwrap(),
        user_id: UserId::new(user),
        token_id: TokenId::new(token),
        charges: vec![],
        quota: Quota::clamped(3_750),
        held: Quota::clamped(4_000),
        config_lineage: lineage.clone(),
        config_seq: seq,
        model: ModelName::parse("gpt-4o").unwrap(),
        upstream_model: "gpt-4o-2024-11-20".into(),
        group: GroupName::parse("default").unwrap(),
        channel_id: Some(ChannelId::new(channel)),
        usage: Usage { input: 1_000, output: 500, ..Usage::default() },
        usage_estimated: false,
        outcome: Outcome::Completed,
        error_code: String::new(),
        status: 200,
        dialect: Dialect::OpenAi,
        path: "/v1/chat/completions".into(),
        stream: true,
        started_at: UnixMillis(START),
        total_millis: 900,
        first_byte_millis: Some(120),
        attempts: vec![attempt(503, "upstream_status"), attempt(200, "")],
        client_ip: "192.0.2.9".into(),
        upstream_request_id: "up-1".into(),
        output_limit: None,
    }
}

pub(crate) async fn settle(world: &World, records: Vec<RequestRecord>) {
    let settler = Settler::new(world.app.db.clone(), lineage(world).await, world.app.rates.clone());
    let life = Life { node: NodeId::parse("relay-1").unwrap(), epoch: Epoch(1) };
    let registration = sluice_control_plane::nodes::Registration {
        life: life.clone(),
        boot_id: "boot".into(),
        build: "0".into(),
        address: "here".into(),
    };
    sluice_control_plane::nodes::register(&world.app.db, &registration, UnixMillis(START)).await.unwrap();
    let records = records.into_iter().map(|record| Incoming::Record(Record::Request(Box::new(record)))).collect();
    let batch = Batch { first_seq: 1, records, epoch_ended: false, is_damaged: false, sent_at: UnixMillis(START) };
    settler.settle(&life, &[batch], UnixMillis(START)).await.unwrap();
}

#[tokio::test]
async fn a_charge_shows_its_formula_with_the_prices_of_its_time_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (user, ana) = world.member(&root, "ana", "user").await;
        let token = ana.post("/api/tokens", json!({"name": "laptop"})).await.id();
        let channel = json!({"name": "main", "provider": "openai", "key": "k", "models": ["gpt-4o"]});
        let channel = root.post("/api/channels", channel).await.id();
        let seq = world.head().await;
        root.patch("/api/prices/gpt-4o", json!({"model_ratio": "9"})).await;
        let lineage = lineage(&world).await;
        let clamped = RequestRecord { output_limit: Some(300), ..record(&lineage, "req-1", seq, user, token, channel) };
        settle(&world, vec![clamped]).await;

        let mine = ana.get("/api/requests/req-1?currency=usd").await;
        assert_eq!(mine.status, 200, "{engine}: {}", mine.text);
        assert_eq!((&mine.body["quota"], &mine.body["quota_usd"]), (&json!(3_750), &json!("0.007500")));
        assert_eq!(mine.body["formula"]["text"], "1.25 × 1 × (1000 + 500×4) = 3750");
        assert_eq!((&mine.body["token_name"], &mine.body["usage"]["total_output"]), (&json!("laptop"), &json!(500)));
        assert_eq!((&mine.body["operator"], &mine.body["attempt_log"]), (&json!(null), &json!(null)), "not for users");
        assert_eq!(mine.body["output_limit"], 300, "whose request was changed on its way is told so");
        let theirs = root.get("/api/requests/req-1").await;
        assert_eq!(theirs.body["output_limit"], 300);
        assert_eq!(theirs.body["operator"]["channel_name"], "main");
        assert_eq!((&theirs.body["attempt_log"][0]["error"], &theirs.body["attempts"]), (&json!("upstream_status"), &json!(2)));
        assert_eq!((&theirs.body["first_byte_ms"], &theirs.body["quota_usd"]), (&json!(120), &json!(null)));
    }
}

#[tokio::test]
async fn the_log_is_filtered_and_everybody_sees_their_own() {
    let (world, root) = World::set_up().await;
    let (user, ana) = world.member(&root, "ana", "user").await;
    let (_, bob) = world.member(&root, "bob", "user").await;
    let token = ana.post("/api/tokens", json!({"name": "laptop"})).await.id();
    let (lineage, seq) = (lineage(&world).await, world.head().await);
    let one = record(&lineage, "req-1", seq, user, token, 7);
    let failed = RequestRecord {
        outcome: Outcome::Failed,
        status: 429,
        error_code: "rate_limited".into(),
        usage: Usage::default(),
        stream: false,
        channel_id: None,
        first_byte_millis: None,
        ..record(&lineage, "req-2", seq, user, token, 7)
    };
    settle(&world, vec![one, failed]).await;
    let ids = |reply: &crate::world::Reply| {
        let items = reply.body["items"].as_array().unwrap_or_else(|| panic!("{}", reply.text)).iter();
        items.map(|item| item["request_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&ana.get("/api/requests").await), ["req-2", "req-1"]);
    assert_eq!(ids(&bob.get("/api/requests").await), Vec::<String>::new());
    assert_eq!(bob.get("/api/requests/req-1").await.refusal(), (404, "not_found"));
    assert_eq!(bob.get(&format!("/api/requests?user_id={user}")).await.refusal(), (404, "not_found"));
    for query in ["outcome=failed", "status=429", "error_code=rate_limited", "stream=false", "request_id=req-2"] {
        assert_eq!(ids(&root.get(&format!("/api/requests?{query}")).await), ["req-2"], "{query}");
    }
    for query in ["channel_id=7", "stream=true", "model=gpt-4o&outcome=completed", "user_id=me"] {
        let found = ids(&root.get(&format!("/api/requests?{query}")).await);
        assert_eq!(found, if query == "user_id=me" { vec![] } else { vec!["req-1".to_owned()] }, "{query}");
    }
    assert_eq!(ana.get("/api/requests?channel_id=7").await.refusal(), (404, "not_found"), "channels are not for users");
    let between = "finished_at.gte=2026-09-21T14:13:20Z&finished_at.lt=2026-09-21T14:13:22Z";
    assert_eq!(ids(&root.get(&format!("/api/requests?{between}&count=estimate")).await).len(), 2);
    let page = root.get("/api/requests?limit=1&count=exact").await;
    assert_eq!((ids(&page), &page.body["total"]), (vec!["req-2".to_owned()], &json!(2)));
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&root.get(&format!("/api/requests?limit=1&cursor={cursor}")).await), ["req-1"]);
    let unserved = root.get("/api/requests/req-2").await;
    assert_eq!((&unserved.body["first_byte_ms"], &unserved.body["operator"]["channel_id"]), (&json!(null), &json!(null)));
}
