//! The demo channel: made-up answers for whoever has no provider yet, and for nobody else.

use serde_json::{Value, json};
use sluice_control_plane::channels::{offer_demo, withdraw_demo};

use crate::world::{Client, World};

const SIMULATOR: &str = "http://127.0.0.1:4010";

async fn channels(root: &Client) -> Vec<Value> {
    root.get("/api/channels?sort=id").await.body["items"].as_array().unwrap().clone()
}

fn real(name: &str, models: &[&str]) -> Value {
    json!({"name": name, "provider": "openai", "key": "sk-provider-0123456789", "models": models})
}

#[tokio::test]
async fn a_fresh_site_serves_the_demo_models_and_nothing_comes_after_them() {
    let (world, root) = World::set_up().await;
    offer_demo(&world.app, SIMULATOR).await.unwrap();
    let all = channels(&root).await;
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["name"], &all[0]["status"], &all[0]["base_url"]), (&json!("demo"), &json!("enabled"), &json!(SIMULATOR)));
    assert_eq!(all[0]["models"], json!(["demo", "gpt-4o-mini", "text-embedding-3-small"]));
    assert_eq!(all[0]["priority"], -1_000_000);
    assert_eq!(root.get("/api/prices/demo").await.status, 200);
}

#[tokio::test]
async fn a_start_without_demo_switches_the_channel_off_and_the_next_one_with_it_on() {
    let (world, root) = World::set_up().await;
    offer_demo(&world.app, SIMULATOR).await.unwrap();
    withdraw_demo(&world.app).await.unwrap();
    assert_eq!(channels(&root).await[0]["status"], "disabled");
    offer_demo(&world.app, "http://127.0.0.1:4011").await.unwrap();
    let all = channels(&root).await;
    assert_eq!((all.len(), &all[0]["status"], &all[0]["base_url"]), (1, &json!("enabled"), &json!("http://127.0.0.1:4011")));
    root.delete(&format!("/api/channels/{}", all[0]["id"])).await;
    offer_demo(&world.app, SIMULATOR).await.unwrap();
    assert_eq!(channels(&root).await.len(), 1, "one that was deleted is made anew");
}

#[tokio::test]
async fn a_channel_of_ones_own_named_demo_is_left_alone() {
    let (world, root) = World::set_up().await;
    let own = root.post("/api/channels", real("demo", &["house-model"])).await;
    offer_demo(&world.app, SIMULATOR).await.unwrap();
    withdraw_demo(&world.app).await.unwrap();
    let kept = root.get(&format!("/api/channels/{}", own.id())).await;
    assert_eq!((&kept.body["base_url"], &kept.body["status"]), (&json!(null), &json!("enabled")));
    assert_eq!(channels(&root).await.len(), 2);
}

#[tokio::test]
async fn what_another_channel_serves_is_not_made_up() {
    let (world, root) = World::set_up().await;
    root.post("/api/channels", real("main", &["gpt-4o", "gpt-4o-mini"])).await;
    offer_demo(&world.app, SIMULATOR).await.unwrap();
    let models = async || channels(&root).await[1]["models"].clone();
    assert_eq!(models().await, json!(["demo", "text-embedding-3-small"]));
    let later = root.post("/api/channels", real("other", &["text-embedding-3-small"])).await;
    assert_eq!(models().await, json!(["demo"]), "also when the other channel comes later");
    let every = root.patch(&format!("/api/channels/{}", later.id()), json!({"models": ["demo"]})).await;
    assert_eq!((every.status, &channels(&root).await[1]["status"]), (200, &json!("disabled")));
}
