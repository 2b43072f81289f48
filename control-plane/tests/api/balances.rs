//! What key checkers and chained gateways read of a key.

use serde_json::{Value, json};
use sluice_testkit::database::engines;

use crate::requests::{lineage, record, settle};
use crate::world::{Client, Reply, World, no_limits};

const SUBSCRIPTION: &str = "/v1/dashboard/billing/subscription";
const USAGE: &str = "/v1/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-02-01";
const TOKEN: &str = "/api/usage/token";

/// A program with a key of a new token, and the token's id.
async fn program(world: &World, owner: &Client, fields: Value) -> (Client, i64) {
    let made = owner.post("/api/tokens", fields).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let bearer = format!("Bearer {}", made.body["key"].as_str().unwrap());
    (world.anonymous().with("authorization", &bearer), made.id())
}

fn code(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.body["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_key_tells_what_it_may_spend_and_has_spent_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (id, ana) = world.member(&root, "ana", "user").await;
        root.post(&format!("/api/users/{id}/adjustments"), json!({"amount": 9_000_000, "reason": "gift"})).await;
        let fields = json!({"name": "laptop", "quota": 1_000_000, "models": ["gpt-4o"], "expires_at": "2100-01-01T00:00:00Z"});
        let (program, token) = program(&world, &ana, fields).await;
        let before = program.get(SUBSCRIPTION).await;
        assert_eq!(before.status, 200, "{engine}: {}", before.text);
        assert_eq!((&before.body["object"], &before.body["hard_limit_usd"]), (&json!("billing_subscription"), &json!(2.0)));
        assert_eq!(before.body["access_until"], 4_102_444_800_i64);
        assert_eq!(before.headers["access-control-allow-origin"], "*");

        let spent = record(&lineage(&world).await, "req-1", world.head().await, id, token, 7);
        settle(&world, vec![spent]).await;
        // 3,750 units are 0.0075 dollars
        assert_eq!(program.get(USAGE).await.body, json!({"object": "list", "total_usage": 0.75}), "{engine}");
        assert_eq!(program.get(SUBSCRIPTION).await.body["hard_limit_usd"], 2.0, "what was granted stays the same");
        for path in ["/dashboard/billing/subscription", "/dashboard/billing/usage"] {
            assert_eq!(program.get(path).await.status, 200, "{path}");
        }
        let told = program.get(TOKEN).await;
        let data = &told.body["data"];
        assert_eq!((&told.body["code"], &data["object"], &data["name"]), (&json!(true), &json!("token_usage"), &json!("laptop")));
        assert_eq!((&data["total_granted"], &data["total_available"]), (&json!(1_000_000), &json!(996_250)));
        assert_eq!((&data["unlimited_quota"], &data["model_limits"]), (&json!(false), &json!({"gpt-4o": true})));
        assert_eq!((&data["model_limits_enabled"], &data["expires_at"]), (&json!(true), &json!(4_102_444_800_i64)));
        assert!(data["as_of"].is_i64());
    }
}

#[tokio::test]
async fn a_key_without_a_limit_tells_nothing_of_its_owners_wallet() {
    let (world, root) = World::set_up().await;
    let (id, ana) = world.member(&root, "ana", "user").await;
    root.post(&format!("/api/users/{id}/adjustments"), json!({"amount": 123_456_789, "reason": "gift"})).await;
    let (program, _) = program(&world, &ana, json!({"name": "t"})).await;
    let (limit, token) = (program.get(SUBSCRIPTION).await, program.get(TOKEN).await);
    assert_eq!((&limit.body["hard_limit_usd"], &limit.body["access_until"]), (&json!(100_000_000), &json!(0)));
    let data = &token.body["data"];
    assert_eq!((&data["unlimited_quota"], &data["total_available"], &data["expires_at"]), (&json!(true), &json!(0), &json!(0)));
    assert_eq!(data["model_limits_enabled"], false);
    assert!(!limit.text.contains("1234567") && !token.text.contains("1234567") && !limit.text.contains("246"));
}

#[tokio::test]
async fn a_key_is_looked_for_where_programs_put_it() {
    let (world, root) = World::set_up().await;
    let made = root.post("/api/tokens", json!({"name": "t", "quota": 5})).await;
    let key = made.body["key"].as_str().unwrap();
    let bare = key.strip_prefix("sk-").unwrap();
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {bare}")),
        ("authorization", key.to_owned()),
        ("x-api-key", key.to_owned()),
        ("api-key", bare.to_owned()),
    ] {
        let told = world.anonymous().with(name, &value).get(USAGE).await;
        assert_eq!((told.status, &told.body), (200, &json!({"object": "list", "total_usage": 0.0})), "{name}");
    }
}

#[tokio::test]
async fn who_may_not_ask_is_told_so_in_the_shape_of_the_page() {
    let (world, root) = World::set_up().await;
    let (id, ana) = world.member(&root, "ana", "user").await;
    let nobody = world.anonymous();
    assert_eq!(code(&nobody.get(SUBSCRIPTION).await), (401, "invalid_api_key"));
    assert_eq!(code(&nobody.clone().with("authorization", "Bearer sk-made-up").get(USAGE).await), (401, "invalid_api_key"));
    let refused = nobody.clone().with("authorization", "Bearer sk-made-up").get(TOKEN).await;
    assert_eq!((refused.status, &refused.body["success"]), (401, &json!(false)));
    assert!(refused.body["message"].as_str().unwrap().contains("(request id: "), "{}", refused.text);

    let (program, token) = program(&world, &ana, json!({"name": "t", "ip_allow": ["198.51.100.0/24"]})).await;
    assert_eq!(code(&program.get(SUBSCRIPTION).await), (403, "access_denied"));
    assert_eq!(program.clone().from("198.51.100.7").get(SUBSCRIPTION).await.status, 200);
    let there = program.from("198.51.100.7");
    ana.patch(&format!("/api/tokens/{token}"), json!({"status": "disabled"})).await;
    assert_eq!(code(&there.get(SUBSCRIPTION).await), (401, "token_disabled"));
    assert_eq!(there.get(TOKEN).await.status, 200, "of itself it tells all the same");
    root.patch(&format!("/api/users/{id}"), json!({"status": "disabled"})).await;
    assert_eq!(there.get(TOKEN).await.status, 403);
}

#[tokio::test]
async fn guessing_keys_is_slow() {
    let world = World::fresh().await;
    let guesser = world.anonymous().with("authorization", "Bearer sk-made-up");
    for _ in 0..20 {
        assert_eq!(guesser.get(TOKEN).await.status, 401);
    }
    let refused = guesser.get(TOKEN).await;
    assert_eq!((refused.status, &refused.body["success"]), (429, &json!(false)));
    assert!(refused.headers.contains_key("retry-after"));
    for _ in 0..180 {
        assert_eq!(guesser.get(USAGE).await.status, 401);
    }
    assert_eq!(code(&guesser.get(USAGE).await), (429, "rate_limit_exceeded"));
    assert_eq!(guesser.from("198.51.100.1").get(USAGE).await.status, 401, "others may still ask");
}
