//! Limits over a fleet of real processes: shared out without Redis, exact with it, and no answer lost when it dies.

use serde_json::json;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_testkit::database::Engine;
use sluice_testkit::services::{Addresses, Service, Services};
use tokio::task::JoinSet;

/// A price per call, in units: 0.002 USD.
const PRICE: i64 = 1_000;
const CREDIT: i64 = 1_000 * PRICE;

struct Site {
    fleet: Fleet,
    user: i64,
}

impl Site {
    async fn start() -> Self {
        let fleet = Fleet::start(Engine::Sqlite, 2).await;
        fleet.api.channel("simulator", &fleet.simulator.base_url(), PROVIDER_KEY, &["sim-fast"]).await;
        fleet.api.create("/api/prices", &json!({"model": "sim-fast", "per_call_usd": "0.002"})).await;
        let user = fleet.api.user("ana", CREDIT).await;
        Self { fleet, user }
    }

    /// A key that may be used so often in an hour.
    async fn key(&self, requests: u64) -> String {
        let limits = json!([{"of": "requests", "count": requests, "window_secs": 3_600}]);
        let body = json!({"name": "limited", "user_id": self.user, "limits": limits});
        let key = self.fleet.api.token_with(body).await.key;
        self.fleet.settle_config().await;
        key
    }

    /// So many requests at once at one relay. Answers how many were served; everybody else is told 429.
    async fn served(&self, relay: usize, key: &str, requests: usize) -> usize {
        let mut callers = JoinSet::new();
        for _ in 0..requests {
            let caller = self.fleet.caller(relay, key);
            let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
            callers.spawn(async move { caller.post("/v1/chat/completions", &body).await.status.as_u16() });
        }
        let statuses = callers.join_all().await;
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 200).count()
    }

    /// The same at both relays together.
    async fn served_by_both(&self, key: &str, requests: usize) -> [usize; 2] {
        let (one, other) = tokio::join!(self.served(0, key, requests), self.served(1, key, requests));
        [one, other]
    }

    async fn each_is_in_mode(&self, mode: f64) {
        for relay in &self.fleet.relays {
            let is_in_mode = async || (relay.metric("sluice_relay_ratelimit_mode").await - mode).abs() < 0.5;
            wait_for("limits are kept in another way", is_in_mode).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_relay_keeps_its_share_of_a_limit() {
    let site = Site::start().await;
    wait_for("both know that there are two", async || {
        let key = site.key(2).await;
        site.served_by_both(&key, 3).await == [1, 1]
    })
    .await;
    let key = site.key(10).await;
    assert_eq!(site.served_by_both(&key, 20).await, [5, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_a_limit_is_exact_and_its_death_costs_no_answer_and_no_money() {
    if Addresses::from_env().redis().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::up(folder.path(), &[Service::Redis]);
    let mut site = Site::start().await;
    for relay in &mut site.fleet.relays {
        relay.kill_9();
        relay.set("REDIS_CONN_STRING", services.addresses.redis().unwrap());
        // how fast Redis answers is not what is tried here
        relay.set("REDIS_TIMEOUT_MS", "10000");
        relay.start();
    }
    for relay in &site.fleet.relays {
        relay.wait_ready().await;
    }
    site.each_is_in_mode(1.0).await;

    let key = site.key(10).await;
    let mut served = site.served_by_both(&key, 30).await.iter().sum::<usize>();
    assert_eq!(served, 10);

    // killed under load, and started again empty: nobody is told anything but yes or 429, and the limit is not there twice
    let key = site.key(100).await;
    let first: usize = site.served_by_both(&key, 20).await.iter().sum();
    let ((), during) = tokio::join!(async { tokio::task::block_in_place(|| services.stop(Service::Redis)) }, async {
        site.served_by_both(&key, 20).await.iter().sum::<usize>()
    });
    wait_for("both are asked without it", async || {
        site.served_by_both(&site.key(1_000).await, 6).await;
        let mut modes = Vec::new();
        for relay in &site.fleet.relays {
            modes.push(relay.metric("sluice_relay_ratelimit_mode").await);
        }
        modes == [0.0, 0.0]
    })
    .await;
    let alone: usize = site.served_by_both(&key, 100).await.iter().sum();
    tokio::task::block_in_place(|| services.start(Service::Redis));
    site.each_is_in_mode(1.0).await;
    let last: usize = site.served_by_both(&key, 100).await.iter().sum();
    let all = first + during + alone + last;
    // what was admitted while Redis went away may be counted by nobody else: that is in `during`, and at most its 40 requests
    assert!((100..=140).contains(&all), "{first}, {during}, {alone} and {last}: the limit, once");
    served += all;

    wait_for("everything is settled", async || {
        let user = site.fleet.api.get(&format!("/api/users/{}", site.user)).await;
        let used = user["quota_used"].as_i64().unwrap_or_default();
        // others were asked in vain until the break-down was noticed; each of those that were served was paid, too
        used >= i64::try_from(served).unwrap() * PRICE
            && used == i64::try_from(site.fleet.simulator.stats().completed).unwrap() * PRICE
    })
    .await;
    let user = site.fleet.api.get(&format!("/api/users/{}", site.user)).await;
    let of = |field: &str| user[field].as_i64().unwrap();
    assert_eq!(of("quota_available") + of("quota_held") + of("quota_in_doubt") + of("quota_used"), CREDIT);
}
