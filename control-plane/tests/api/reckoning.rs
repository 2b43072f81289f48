//! What waits for somebody's decision: leases in doubt, records that were set aside, and whether the books add up.

use serde_json::json;
use sluice_billing::lease::Terms;
use sluice_control_plane::jobs::Rounds;
use sluice_control_plane::jobs::leader::{Leader, Work};
use sluice_control_plane::leases::{self, Answer, Ask, Life, Pending, jobs};
use sluice_control_plane::publish::Feed;
use sluice_control_plane::reconciliation::Reconciler;
use sluice_control_plane::wallet::{AccountKind, accounts_of};
use sluice_domain::{Epoch, ModelName, NodeId, Quota, RequestRecord, UnixMillis, UserId};
use sluice_testkit::database::engines;

use crate::requests::{lineage, record, settle};
use crate::world::{Client, START, World, no_limits};

/// Has a relay take 600 of somebody's wallet and vanish.
async fn lose_a_lease(world: &World, user: i64) {
    take_600(world, user).await;
    let report = jobs::run(&Work::alone(world.app.db.clone()), &Terms::default(), UnixMillis(START + 700_000)).await.unwrap();
    assert_eq!(report.doubted, 1);
}

/// Has a relay take 600 of somebody's wallet.
async fn take_600(world: &World, user: i64) {
    settle(world, vec![]).await;
    let accounts = accounts_of(world.app.db.read(), UserId::new(user)).await.unwrap();
    let wallet = accounts.iter().find(|account| matches!(account.kind, AccountKind::Wallet(_))).unwrap().id;
    let ask = Ask {
        life: Life { node: NodeId::parse("relay-1").unwrap(), epoch: Epoch(1) },
        grant_seq: 1,
        account: wallet,
        need: Quota::clamped(600),
        want: Quota::clamped(600),
        up_to_want: false,
    };
    let granted = leases::grant(&world.app.db, &Terms::default(), &[Pending::new(ask)], UnixMillis(START)).await.unwrap();
    assert!(matches!(granted.as_slice(), [Some(Answer::Granted(_))]), "{granted:?}");
}

async fn balance(client: &Client, user: i64) -> (i64, i64) {
    let body = client.get(&format!("/api/users/{user}/balance")).await.body;
    (body["quota_available"].as_i64().unwrap(), body["quota_in_doubt"].as_i64().unwrap())
}

#[tokio::test]
async fn after_an_outage_relays_have_the_time_to_be_heard_of_before_they_are_taken_for_lost() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (ana, _) = world.member(&root, "ana", "user").await;
        root.post(&format!("/api/users/{ana}/adjustments"), json!({"amount": 1_000, "reason": "r"})).await;
        take_600(&world, ana).await;
        let (feed, leader) = (Feed::start(&world.app).await.unwrap(), Leader::new(world.app.db.clone(), "jobs", "one".into()));
        let mut rounds = Rounds::default();

        // nobody led, and nobody was heard of, for longer than leases live
        world.wait(Terms::default().life_millis.cast_signed() + 60_000);
        rounds.next(&world.app, &feed, &leader).await;
        world.wait(Terms::default().grace_millis.cast_signed() - 1);
        rounds.next(&world.app, &feed, &leader).await;
        assert_eq!(balance(&root, ana).await, (400, 0), "{engine}: it may be well");
        world.wait(1);
        rounds.next(&world.app, &feed, &leader).await;
        assert_eq!(balance(&root, ana).await, (400, 600), "{engine}: it had the time");
    }
}

#[tokio::test]
async fn a_lease_in_doubt_is_shown_and_given_back_by_hand_once() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (ana, her) = world.member(&root, "ana", "user").await;
        root.post(&format!("/api/users/{ana}/adjustments"), json!({"amount": 1_000, "reason": "r"})).await;
        lose_a_lease(&world, ana).await;
        assert_eq!(balance(&root, ana).await, (400, 600));

        let listed = root.get("/api/doubted-leases").await;
        let lease = &listed.body["items"][0];
        assert_eq!((lease["node_id"].as_str(), lease["quota_in_doubt"].as_i64()), (Some("relay-1"), Some(600)), "{engine}");
        assert!(lease["released_at"].as_str().unwrap() > lease["doubted_at"].as_str().unwrap());
        let books = root.get("/api/reconciliation").await;
        assert_eq!((books.body["leases_in_doubt"].as_i64(), books.body["quota_in_doubt"].as_i64()), (Some(1), Some(600)));
        assert_eq!(her.get("/api/doubted-leases").await.refusal(), (403, "role_too_low"));

        let path = format!("/api/doubted-leases/{}/release", lease["id"]);
        assert_eq!(root.post(&path, json!({})).await.body["quota"], 600);
        assert_eq!(balance(&root, ana).await, (1_000, 0));
        assert_eq!(root.post(&path, json!({})).await.refusal(), (409, "protected"));
        assert_eq!(root.post("/api/doubted-leases/999/release", json!({})).await.refusal(), (404, "not_found"));
        let trail = root.get("/api/audit?action=leases.release").await;
        assert_eq!(trail.body["items"][0]["detail"]["quota"], 600);
    }
}

#[tokio::test]
async fn a_record_without_a_price_is_settled_once_there_is_one_and_another_is_let_go() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (ana, _) = world.member(&root, "ana", "user").await;
        root.post(&format!("/api/users/{ana}/adjustments"), json!({"amount": 100_000, "reason": "r"})).await;
        let token = root.post("/api/tokens", json!({"name": "t", "user_id": ana})).await.id();
        let (lineage, seq) = (lineage(&world).await, world.head().await);
        let unpriced = |id: &str| RequestRecord {
            model: ModelName::parse("house-model").unwrap(),
            ..record(&lineage, id, seq, ana, token, 1)
        };
        settle(&world, vec![unpriced("r1"), unpriced("r2"), record(&lineage, "r3", seq, ana, token, 1)]).await;
        assert_eq!(balance(&root, ana).await.0, 100_000 - 3_750);

        let listed = root.get("/api/quarantine?count=exact").await;
        assert_eq!(listed.body["total"], 2, "{engine}");
        let first = &listed.body["items"][0];
        assert_eq!((first["reason"].as_str(), first["model"].as_str()), (Some("unpriced_model"), Some("house-model")));
        assert_eq!((first["user_id"].as_i64(), first["input_tokens"].as_i64()), (Some(ana), Some(1_000)));
        assert!(!listed.text.contains("192.0.2.9"), "the record is shown without what nobody needs");
        let path = |place: usize, action: &str| format!("/api/quarantine/{}/{action}", listed.body["items"][place]["id"]);
        assert_eq!(root.post(&path(0, "retry"), json!({})).await.refusal(), (409, "protected"), "there is no price yet");
        let price = json!({"model": "house-model", "model_ratio": "2.5", "completion_ratio": "4"});
        assert_eq!(root.post("/api/prices", price).await.status, 201);
        assert_eq!(root.post(&path(0, "retry"), json!({})).await.body["quota"], 7_500);
        assert_eq!(root.post(&path(1, "discard"), json!({})).await.body["resolution"], "discarded");
        assert_eq!(balance(&root, ana).await.0, 100_000 - 3_750 - 7_500);
        assert_eq!(root.post(&path(0, "retry"), json!({})).await.refusal(), (409, "protected"), "once is enough");
        assert_eq!(root.get("/api/quarantine").await.body["items"], json!([]));
        let resolved = root.get("/api/quarantine?resolved=true").await;
        assert_eq!(resolved.body["items"][0]["resolution"], "settled");
        let requests = root.get(&format!("/api/requests?user_id={ana}")).await;
        assert_eq!(requests.body["items"].as_array().unwrap().len(), 2);
        let actions = root.get("/api/audit?target=record:1").await;
        assert_eq!(actions.body["items"][0]["action"], "quarantine.retry");

        let work = Work::alone(world.app.db.clone());
        let pass = Reconciler::default().step(&work, UnixMillis(START)).await.unwrap().unwrap();
        assert_eq!(pass.imbalance, 0);
        let books = root.get("/api/reconciliation").await;
        assert_eq!((books.body["quota_imbalance"].as_i64(), books.body["quarantined"].as_i64()), (Some(0), Some(0)));
        assert!(books.body["checked_at"].is_string());
    }
}
