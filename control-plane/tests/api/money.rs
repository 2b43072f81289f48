//! Balances, corrections and the ledger.

use serde_json::json;
use sluice_testkit::database::engines;

use crate::world::{World, no_limits};

#[tokio::test]
async fn a_correction_is_a_row_of_the_ledger_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (id, ana) = world.member(&root, "ana", "user").await;
        let path = format!("/api/users/{id}/adjustments");
        let first = root.post(&path, json!({"amount": 500_000, "reason": "welcome"})).await;
        assert_eq!((first.status, &first.body["balance_after"]), (201, &json!(500_000)), "{engine}: {}", first.text);
        let second = root.post(&path, json!({"amount": -750_001, "reason": "too much"})).await;
        assert_eq!(second.body["balance_after"], json!(-250_001));
        let balance = ana.get("/api/users/me/balance?currency=usd").await;
        assert_eq!(balance.body["quota_available"], json!(-250_001));
        assert_eq!(balance.body["quota_available_usd"], "-0.500002");
        assert_eq!(ana.get("/api/users/me").await.body["quota_available"], json!(-250_001));
        let ledger = ana.get("/api/users/me/ledger?limit=1").await;
        assert_eq!(ledger.body["items"][0]["reason"], "too much");
        let cursor = ledger.body["next_cursor"].as_str().unwrap();
        let older = ana.get(&format!("/api/users/me/ledger?limit=1&cursor={cursor}&currency=usd")).await;
        assert_eq!(older.body["items"][0]["amount_usd"], "1.000000");
        assert_eq!((&older.body["items"][0]["kind"], &older.body["next_cursor"]), (&json!("admin_adjust"), &json!(null)));
    }
}

#[tokio::test]
async fn the_same_request_sent_twice_is_done_once() {
    let (world, root) = World::set_up().await;
    let (id, _) = world.member(&root, "ana", "user").await;
    let path = format!("/api/users/{id}/adjustments");
    let body = json!({"amount": 100, "reason": "gift"});
    let keyed = root.clone().with("idempotency-key", "a-key");
    let (first, second) = (keyed.post(&path, body.clone()).await, keyed.post(&path, body.clone()).await);
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(root.get(&format!("/api/users/{id}/balance")).await.body["quota_available"], 100);
    let other = keyed.post(&path, json!({"amount": 200, "reason": "gift"})).await;
    assert_eq!(other.refusal(), (409, "idempotency_key_reused"));
    world.wait(24 * 3_600_000 + 1);
    assert_eq!(keyed.post(&path, body).await.status, 201);
    assert_eq!(root.get(&format!("/api/users/{id}/balance")).await.body["quota_available"], 200);
}

#[tokio::test]
async fn keys_of_different_people_do_not_meet() {
    let (world, root) = World::set_up().await;
    let (_, ana) = world.member(&root, "ana", "user").await;
    let body = json!({"name": "t"});
    let mine = root.with("idempotency-key", "same").post("/api/tokens", body.clone()).await;
    let hers = ana.with("idempotency-key", "same").post("/api/tokens", body).await;
    assert_ne!(mine.body["key"], hers.body["key"]);
}

#[tokio::test]
async fn a_token_made_twice_with_one_key_is_one_token_and_its_key_is_shown_again() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await.with("idempotency-key", "once");
        let (first, second) = tokio::join!(
            root.post("/api/tokens", json!({"name": "t", "quota": 10})),
            root.post("/api/tokens", json!({"name": "t", "quota": 10}))
        );
        let made: Vec<_> = [&first, &second].into_iter().filter(|reply| reply.status == 201).collect();
        assert!(!made.is_empty(), "{engine}: {} {}", first.text, second.text);
        assert!(
            [&first, &second].into_iter().all(|reply| reply.status == 201 || reply.refusal() == (409, "idempotency_key_busy"))
        );
        let third = root.post("/api/tokens", json!({"name": "t", "quota": 10})).await;
        assert_eq!(third.body["key"], made[0].body["key"]);
        assert_eq!(root.get("/api/tokens").await.body["items"].as_array().unwrap().len(), 1, "{engine}");
    }
}

#[tokio::test]
async fn corrections_keep_the_bounds_and_need_a_reason() {
    let (world, root) = World::set_up().await;
    let (id, ana) = world.member(&root, "ana", "user").await;
    let path = format!("/api/users/{id}/adjustments");
    let most = (1_i64 << 53) - 1;
    let by = |amount: i64| json!({"amount": amount, "reason": "r"});
    assert_eq!(root.post(&path, by(0)).await.fields(), [("amount", "range")]);
    assert_eq!(root.post(&path, by(i64::MAX)).await.fields(), [("amount", "range")]);
    assert_eq!(root.post(&path, by(i64::MIN)).await.fields(), [("amount", "range")]);
    assert_eq!(root.post(&path, json!({"amount": 1, "reason": ""})).await.fields(), [("reason", "length")]);
    assert_eq!(root.post(&path, by(most)).await.status, 201);
    assert_eq!(root.post(&path, by(1)).await.refusal(), (409, "quota_out_of_range"));
    assert_eq!(ana.post(&path, by(1)).await.refusal(), (403, "role_too_low"));
    assert_eq!(root.post("/api/users/999/adjustments", by(1)).await.refusal(), (404, "not_found"));
    let script = root.token(&["read", "write"]).await;
    assert_eq!(script.post(&path, by(-1)).await.refusal(), (403, "scope_missing"));
}

#[tokio::test]
async fn new_users_get_the_gift_of_the_settings() {
    let (world, root) = World::set_up().await;
    assert_eq!(root.patch("/api/settings/quota_for_new_user", json!({"value": 2_500})).await.status, 200);
    let (id, ana) = world.member(&root, "ana", "user").await;
    assert_eq!(ana.get("/api/users/me").await.body["quota_available"], 2_500);
    let ledger = root.get(&format!("/api/users/{id}/ledger")).await;
    assert_eq!(ledger.body["items"][0]["kind"], "signup_gift");
    assert_eq!(ledger.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_audit_trail_tells_who_did_what() {
    let (world, root) = World::set_up().await;
    let (id, ana) = world.member(&root, "ana", "user").await;
    root.post(&format!("/api/users/{id}/adjustments"), json!({"amount": 5, "reason": "gift"})).await;
    let trail = root.get("/api/audit").await;
    let actions: Vec<_> = trail.body["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["wallet.adjust", "users.create", "site.set_up"]);
    let row = &trail.body["items"][0];
    assert_eq!(
        (&row["actor_id"], &row["target"], &row["client_ip"]),
        (&json!(1), &json!(format!("user:{id}")), &json!("192.0.2.1"))
    );
    assert_eq!(row["detail"]["amount"], 5);
    assert_eq!(root.get("/api/audit?action=users.create").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(ana.get("/api/audit").await.refusal(), (403, "role_too_low"));
}
