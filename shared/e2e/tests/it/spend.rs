//! One account, two relays: it is spent to zero and not beyond.

use std::sync::atomic::{AtomicUsize, Ordering};

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

        // what was refused for the moment is served as soon as leftovers are back: the account ends at exactly zero
        let (total, turn) = (AtomicUsize::new(served), AtomicUsize::new(0));
        wait_for("the account is spent to the last unit", async || {
            let caller = fleet.caller(turn.fetch_add(1, Ordering::Relaxed) % 2, &token.key);
            let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
            let is_served = caller.post("/v1/chat/completions", &body).await.status.is_success();
            total.fetch_add(usize::from(is_served), Ordering::Relaxed) + usize::from(is_served) >= admitted
        })
        .await;
        for relay in 0..2 {
            let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
            let after = fleet.caller(relay, &token.key).post("/v1/chat/completions", &body).await;
            assert_eq!(after.status.as_u16(), 403, "{engine:?}: {}", after.text());
        }
        let spent = 10 * PRICE;
        wait_for("everything is settled", async || {
            fleet.api.get(&format!("/api/users/{user}")).await["quota_used"].as_i64() == Some(spent)
        })
        .await;
        assert_eq!(fleet.api.total(user).await, 0, "{engine:?}");
    }
}
