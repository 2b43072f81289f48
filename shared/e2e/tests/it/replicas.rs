//! Two replicas of the control plane on one database: either may die, and what is changed at either is in force everywhere.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::api::Api;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, ROOT_TOKEN, settle_config, wait_for};
use sluice_e2e::load::{End, Load};
use sluice_e2e::oracle::{PerThousand, accounts};
use sluice_testkit::database::{Engine, engines};

/// 0.75 units per token of input and 3 per token of output.
const PRICE: PerThousand = PerThousand { input: 750, output: 3_000 };
const MODEL: &str = "gpt-4o-mini";
const CREDIT: i64 = 500_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_under_load_is_not_noticed_and_changes_at_either_are_in_force_everywhere() {
    // a SQLite file has one control plane
    for engine in engines().into_iter().filter(|engine| *engine != Engine::Sqlite) {
        tell(engine).await;
    }
}

async fn tell(engine: Engine) {
    let (mut fleet, mut second) = Fleet::start_replicated(engine, 2).await;
    let other = Api::new(&second.base_url(), ROOT_TOKEN);
    let url = fleet.simulator.base_url();
    fleet.api.channel("simulator", &url, PROVIDER_KEY, &[MODEL]).await;
    other.price(MODEL, "0.75", "4").await;
    let user = fleet.api.user("ana", CREDIT).await;
    let token = other.token(user, "load").await;
    settle_config(&fleet.api, 2).await;
    settle_config(&other, 2).await;

    let callers: Vec<_> = (0..2).map(|relay| fleet.caller(relay, &token.key)).collect();
    let load = Load::start(&callers, 6, Duration::from_millis(20), MODEL, "replicas");
    wait_for("the load goes on", async || load.sent() >= 150).await;
    second.kill_9();
    wait_for("the load goes on", async || load.sent() >= 400).await;
    // what is changed at the one that is left reaches the relay that knew only the other
    fleet.api.channel("more", &url, PROVIDER_KEY, &["another-model"]).await;
    settle_config(&fleet.api, 2).await;
    second.start();
    second.wait_ready().await;
    fleet.control.kill_9();
    wait_for("the load goes on", async || load.sent() >= 700).await;
    let revoked = other.token(user, "revoked").await;
    settle_config(&other, 2).await;
    other.patch(&format!("/api/tokens/{}", revoked.id), &json!({"status": "disabled"})).await;
    for relay in 0..2 {
        let caller = fleet.caller(relay, &revoked.key);
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
        wait_for("the token is refused", async || caller.post("/v1/chat/completions", &body).await.status.as_u16() == 401).await;
    }
    fleet.control.start();
    fleet.control.wait_ready().await;
    let seen = load.stop().await;
    let failed: Vec<_> = seen.iter().filter(|one| one.end != End::Whole).collect();
    assert!(failed.is_empty(), "{engine:?}: {} callers saw errors, first: {:?}", failed.len(), failed.first());

    // an answer is in the log once its last byte is away, which may be after its caller has it
    wait_for("the provider is at rest", async || fleet.simulator.stats().in_flight == 0).await;
    let heard = accounts(&fleet.simulator.log(), PRICE);
    wait_for("whatever the provider heard of is settled", async || {
        let rows = fleet.api.all(&format!("/api/requests?user_id={user}")).await;
        let ids: HashSet<&str> = rows.iter().filter_map(|row| row["request_id"].as_str()).collect();
        assert_eq!(ids.len(), rows.len(), "a request was settled twice");
        heard.keys().all(|id| ids.contains(id.as_str()))
    })
    .await;
    let rows = fleet.api.all(&format!("/api/requests?user_id={user}")).await;
    let charged: i64 = rows.iter().map(|row| row["quota"].as_i64().expect("money is a number")).sum();
    assert_eq!(fleet.api.total(user).await, CREDIT - charged, "{engine:?}: the balance moved by what the rows say");
    let owed: i64 = heard.values().flat_map(|account| &account.completed).sum();
    assert_eq!(charged, owed, "{engine:?}: what the provider's own log comes to");
}
