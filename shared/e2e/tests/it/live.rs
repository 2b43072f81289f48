//! Changes are live on every relay without a restart, and revocations at once.

use serde_json::json;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_testkit::client::Caller;
use sluice_testkit::database::Engine;

async fn ask(caller: &Caller, model: &str) -> u16 {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    caller.post("/v1/chat/completions", &body).await.status.as_u16()
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
    fleet.api.patch(&format!("/api/tokens/{}", token.id), &json!({"status": "disabled"})).await;
    for caller in &callers {
        wait_for("the token is refused", async || ask(caller, "sim-fast").await == 401).await;
    }
    fleet.api.patch(&format!("/api/tokens/{}", token.id), &json!({"status": "enabled"})).await;
    for caller in &callers {
        wait_for("the token is served again", async || ask(caller, "sim-fast").await == 200).await;
    }
}
