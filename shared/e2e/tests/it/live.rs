//! Changes are live on every relay without a restart, and revocations at once.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::json;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_testkit::client::{Caller, send};
use sluice_testkit::database::Engine;

async fn ask(caller: &Caller, model: &str) -> u16 {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    caller.post("/v1/chat/completions", &body).await.status.as_u16()
}

/// Sends one request under a name of its own, and waits for what was charged for it.
async fn charge_of_one(fleet: &Fleet, user: i64, caller: &Caller, id: &str) -> i64 {
    let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
    let request = caller.request(Method::POST, "/v1/chat/completions").header("x-request-id", id).json(&body);
    assert_eq!(send(request).await.expect("the relay answers").status.as_u16(), 200);
    let charged = async || {
        let rows = fleet.api.all(&format!("/api/requests?user_id={user}")).await;
        rows.iter().find(|row| row["request_id"] == id).map(|row| row["quota"].as_i64().expect("money is a number"))
    };
    wait_for("the request is settled", async || charged().await.is_some()).await;
    charged().await.expect("it was there a moment ago")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_a_price_and_a_revocation_reach_every_relay_without_a_restart() {
    let fleet = Fleet::start(Engine::Sqlite, 2).await;
    let url = fleet.simulator.base_url();
    let user = fleet.api.user("ana", 5_000_000).await;
    let token = fleet.api.token(user, "t").await;
    fleet.settle_config().await;
    let callers = [fleet.caller(0, &token.key), fleet.caller(1, &token.key)];

    for caller in &callers {
        assert_eq!(ask(caller, "sim-fast").await, 404, "nothing serves the model");
    }
    fleet.api.price("sim-fast", "0.5", "4").await;
    fleet.api.channel("simulator", &url, PROVIDER_KEY, &["sim-fast"]).await;
    for caller in &callers {
        wait_for("the channel is live", async || ask(caller, "sim-fast").await == 200).await;
    }
    let before = charge_of_one(&fleet, user, &callers[0], "before").await;
    fleet.api.price("sim-fast", "5", "4").await;
    for (relay, caller) in callers.iter().enumerate() {
        let turn = AtomicU32::new(0);
        let charge = async || {
            let id = format!("after-{relay}-{}", turn.fetch_add(1, Ordering::Relaxed));
            charge_of_one(&fleet, user, caller, &id).await
        };
        wait_for("ten times the price is charged", async || charge().await > before * 5).await;
    }
    fleet.api.patch(&format!("/api/tokens/{}", token.id), &json!({"status": "disabled"})).await;
    for caller in &callers {
        wait_for("the token is refused", async || ask(caller, "sim-fast").await == 401).await;
    }
    fleet.api.patch(&format!("/api/tokens/{}", token.id), &json!({"status": "enabled"})).await;
    for caller in &callers {
        wait_for("the token is served again", async || ask(caller, "sim-fast").await == 200).await;
    }
}
