//! Limits in a time, on everything that can have them.

use serde_json::{Value, json};
use sluice_testkit::database::engines;

use crate::world::{World, no_limits};

fn some() -> Value {
    json!([
        {"of": "requests", "count": 60, "window_secs": 60, "shadow": false},
        {"of": "tokens", "count": 100_000, "window_secs": 86_400, "shadow": true},
        {"of": "concurrency", "count": 5, "shadow": false},
    ])
}

#[tokio::test]
async fn users_tokens_groups_channels_and_models_take_show_and_lose_limits() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (ana, _) = world.member(&root, "ana", "user").await;
        let channel = json!({"name": "c", "provider": "openai", "key": "sk-x", "models": ["m"]});
        let paths = [
            format!("/api/users/{ana}"),
            format!("/api/tokens/{}", root.post("/api/tokens", json!({"name": "t"})).await.id()),
            "/api/groups/vip".to_owned(),
            format!("/api/channels/{}", root.post("/api/channels", channel).await.id()),
            "/api/prices/gpt-4o".to_owned(),
        ];
        for path in paths {
            assert_eq!(root.get(&path).await.body["limits"], json!([]), "{engine:?} {path}");
            let set = root.patch(&path, json!({"limits": some()})).await;
            assert_eq!((set.status, &set.body["limits"]), (200, &some()), "{engine:?} {path}: {}", set.text);
            assert!(set.body["config_seq"].as_i64().is_some(), "{path}: relays hear of it");
            assert_eq!(root.get(&path).await.body["limits"], some(), "{engine:?} {path}");
            let bad = json!({"limits": [some()[0], {"of": "requests", "count": 0, "window_secs": 1}]});
            assert_eq!(root.patch(&path, bad).await.fields(), [("limits[1]", "limit")], "{path}");
            let twice = json!({"limits": [some()[0], some()[0]]});
            assert_eq!(root.patch(&path, twice).await.fields(), [("limits", "limit")], "{path}");
            assert_eq!(root.patch(&path, json!({"limits": []})).await.body["limits"], json!([]), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_made_can_be_limited_from_the_start() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        for (path, mut body) in [
            ("/api/users", json!({"username": "ana"})),
            ("/api/tokens", json!({"name": "t"})),
            ("/api/groups", json!({"name": "g"})),
            ("/api/channels", json!({"name": "c", "provider": "openai", "key": "sk-x", "models": ["m"]})),
            ("/api/prices", json!({"model": "a-model-without-price", "model_ratio": "1"})),
        ] {
            body["limits"] = some();
            let made = root.post(path, body).await;
            assert_eq!((made.status, &made.body["limits"]), (201, &some()), "{engine:?} {path}: {}", made.text);
        }
    }
}

#[tokio::test]
async fn people_limit_their_tokens_and_not_themselves() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (id, ana) = world.member(&root, "ana", "user").await;
        let (_, ada) = world.member(&root, "ada", "admin").await;
        let own = ana.post("/api/tokens", json!({"name": "t", "limits": some()})).await;
        assert_eq!((own.status, &own.body["limits"]), (201, &some()));
        assert_eq!(ana.patch("/api/users/me", json!({"limits": []})).await.status, 403);
        assert_eq!(ada.patch("/api/users/me", json!({"limits": []})).await.refusal(), (409, "protected"));
        assert_eq!(ada.patch(&format!("/api/users/{id}"), json!({"limits": some()})).await.status, 200);
        assert_eq!(ana.get("/api/users/me").await.body["limits"], some(), "they see what holds for them");
    }
}

#[tokio::test]
async fn a_limit_makes_a_shipped_price_nobodys_own() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let limited = root.patch("/api/prices/gpt-4o", json!({"limits": some()})).await;
        assert_eq!((&limited.body["source"], &limited.body["limits"]), (&json!("shipped"), &some()));
        let changed = root.patch("/api/prices/gpt-4o", json!({"model_ratio": "7"})).await;
        assert_eq!((&changed.body["source"], &changed.body["limits"]), (&json!("admin"), &some()));
    }
}

#[tokio::test]
async fn the_familys_limits_of_requests_are_settings() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let path = "/api/settings/model_request_rate_limit_group";
        let set = root.patch(path, json!({"value": r#"{"vip": [600, 500]}"#})).await;
        assert_eq!((set.status, &set.body["value"]), (200, &json!(r#"{"vip": [600, 500]}"#)), "{}", set.text);
        assert!(set.body["config_seq"].as_i64().is_some());
        for bad in [r#"{"vip": [600]}"#, r#"{"vip": [1, 0]}"#, "vip"] {
            assert_eq!(root.patch(path, json!({"value": bad})).await.status, 422, "{bad}");
        }
    }
}
