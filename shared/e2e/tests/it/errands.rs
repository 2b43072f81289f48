//! A channel that is tried by a relay, whichever replica of the control plane is asked.

use serde_json::json;
use sluice_e2e::api::Api;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, ROOT_TOKEN};
use sluice_testkit::database::{Engine, engines};

const MODEL: &str = "gpt-4o-mini";

/// Makes channels by one control plane and has them tried at once: one that answers, and one whose key is refused.
async fn try_channels(api: &Api, url: &str) {
    let good = api.channel("good", url, PROVIDER_KEY, &[MODEL]).await;
    let test = api.create(&format!("/api/channels/{good}/test"), &json!({})).await;
    assert_eq!((&test["state"], &test["result"]["ok"]), (&json!("done"), &json!(true)), "{test}");
    assert!(test["result"]["output_tokens"].as_i64() > Some(0), "{test}");
    let list = api.create(&format!("/api/channels/{good}/models"), &json!({})).await;
    assert!(list["result"]["models"].as_array().is_some_and(|models| !models.is_empty()), "{list}");

    let bad = api.channel("bad", url, "sk-nobody-knows-this-key", &[MODEL]).await;
    let test = api.create(&format!("/api/channels/{bad}/test"), &json!({})).await;
    assert_eq!((&test["result"]["ok"], &test["result"]["status"]), (&json!(false), &json!(401)), "{test}");
    assert!(!test.to_string().contains("nobody-knows"), "{test}");
    let shown = api.get(&format!("/api/channels/{bad}")).await;
    assert_eq!((&shown["last_test"]["ok"], &shown["status"]), (&json!(false), &json!("enabled")), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tried_by_a_relay_and_nobody_pays_for_it() {
    let fleet = Fleet::start(Engine::Sqlite, 1).await;
    try_channels(&fleet.api, &fleet.simulator.base_url()).await;
    assert!(fleet.api.all("/api/requests").await.is_empty(), "it is no request of anybody's");
    let logged = fleet.api.all("/api/errands?kind=test").await;
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert_eq!(logged[0]["result"]["quota"], json!(null), "what failed cost nothing: {logged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_relays_has_those_of_another_try_it() {
    // a SQLite file has one control plane
    for engine in engines().into_iter().filter(|engine| *engine != Engine::Sqlite) {
        let (fleet, second) = Fleet::start_replicated(engine, 1).await;
        let other = Api::new(&second.base_url(), ROOT_TOKEN);
        try_channels(&other, &fleet.simulator.base_url()).await;
    }
}
