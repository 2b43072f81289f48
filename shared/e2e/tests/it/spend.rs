//! One account, two relays: it is spent to zero and not beyond.

use serde_json::json;
use sluice_e2e::fleet::{Fleet, wait_for};
use sluice_testkit::database::engines;
use tokio::task::JoinSet;

/// A price per call, in units: 0.002 USD.
const PRICE: i64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_spend_one_account_to_zero_and_not_beyond() {
    for engine in engines() {
        let fleet = Fleet::start(engine, 2).await;
        let url = fleet.simulator.base_url();
        fleet.api.channel("simulator", &url, sluice_e2e::fleet::PROVIDER_KEY, &["sim-fast"]).await;
        fleet.api.create("/api/prices", &json!({"model": "sim-fast", "per_call_usd": "0.002"})).await;
        let user = fleet.api.user("ana", 10 * PRICE).await;
        let token = fleet.api.token(user, "both").await;
        fleet.settle_config().await;

        let admitted = 10_usize;
        let mut callers = JoinSet::new();
        for place in 0..60_usize {
            let caller = fleet.caller(place % 2, &token.key);
            let body =
                json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}], "user": format!("call-{place}")});
            callers.spawn(async move { caller.post("/v1/chat/completions", &body).await.status.as_u16() });
        }
        let statuses = callers.join_all().await;

        let served = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 403).count();
        assert!(served <= admitted, "{engine:?}: {served} requests on a balance worth {admitted}");
        assert_eq!(served + refused, statuses.len(), "{engine:?}: {statuses:?}");
        assert_eq!(fleet.simulator.stats().completed, served as u64, "{engine:?}: what was sent upstream is what was served");

        // whatever a relay still holds is reachable: the account ends at exactly zero
        let mut total = served;
        for place in 0..60_usize {
            let caller = fleet.caller(place % 2, &token.key);
            let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
            total += usize::from(caller.post("/v1/chat/completions", &body).await.status.is_success());
        }
        assert_eq!(total, admitted, "{engine:?}");
        let spent = 10 * PRICE;
        wait_for("everything is settled", async || {
            fleet.api.get(&format!("/api/users/{user}")).await["quota_used"].as_i64() == Some(spent)
        })
        .await;
        assert_eq!(fleet.api.total(user).await, 0, "{engine:?}");
    }
}
