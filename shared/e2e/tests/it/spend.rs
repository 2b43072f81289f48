//! One account: it is spent to the last unit and not beyond, however many relays there are.

use serde_json::{Value, json};
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_testkit::client::Caller;
use sluice_testkit::database::{Engine, engines};
use tokio::task::JoinSet;

/// A price per call, in units: 0.002 USD.
const PRICE: i64 = 1_000;
/// What one request of the token-priced story holds at least: 500 tokens of prompt and 100 of output, a unit each.
const HOLD: i64 = 600;

async fn fleet_with_channel(engine: Engine, relays: usize) -> Fleet {
    let fleet = Fleet::start(engine, relays).await;
    fleet.api.channel("simulator", &fleet.simulator.base_url(), PROVIDER_KEY, &["sim-fast"]).await;
    fleet
}

/// How often a caller asks again who is told that nobody knows: five minutes of asking, far beyond what the slowest machine takes for the
/// line, so that only somebody who would never be told runs out of turns.
const MOST_TURNS: u32 = 60;

/// Asks, and asks again when nobody knows, as SDKs do: that may happen at the end of a long line for little money, on a slow machine. Gives
/// the status and what was said with it.
async fn ask(caller: &Caller, body: &Value) -> (u16, String) {
    for _ in 1..MOST_TURNS {
        let answer = caller.post("/v1/chat/completions", body).await;
        if answer.status.as_u16() != 503 {
            return (answer.status.as_u16(), answer.text());
        }
    }
    (503, format!("nobody knows, {MOST_TURNS} times"))
}

/// So many requests at once, spread over the relays. Answers their statuses.
async fn crowd(fleet: &Fleet, key: &str, requests: usize) -> Vec<u16> {
    let mut callers = JoinSet::new();
    for place in 0..requests {
        let caller = fleet.caller(place % fleet.relays.len(), key);
        let message = json!({"role": "user", "content": "hi"});
        let body = json!({"model": "sim-fast", "max_tokens": 100, "messages": [message], "user": format!("call-{place}")});
        callers.spawn(async move { ask(&caller, &body).await.0 });
    }
    callers.join_all().await
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_on_a_balance_of_ten_prices_are_served_exactly_ten_times() {
    for (place, engine) in engines().into_iter().enumerate() {
        // twenty relays are much for one machine, and the same whatever the database
        let sizes: &[usize] = if place == 0 { &[1, 3, 20] } else { &[1, 3] };
        for &relays in sizes {
            let fleet = fleet_with_channel(engine, relays).await;
            fleet.api.create("/api/prices", &json!({"model": "sim-fast", "per_call_usd": "0.002"})).await;
            let user = fleet.api.user("ana", 10 * PRICE).await;
            let token = fleet.api.token(user, "all").await;
            fleet.settle_config().await;

            let statuses = crowd(&fleet, &token.key, 1_000).await;

            let (served, refused) = (count(&statuses, 200), count(&statuses, 403));
            assert_eq!((served, refused), (10, 990), "{engine:?}, {relays} relays: {statuses:?}");
            assert_eq!(fleet.simulator.stats().completed, 10, "{engine:?}: what was sent upstream is what was served");
            for relay in 0..relays {
                let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
                let (after, said) = ask(&fleet.caller(relay, &token.key), &body).await;
                assert_eq!(after, 403, "{engine:?}: {said}");
            }
            wait_for("everything is settled", async || {
                fleet.api.get(&format!("/api/users/{user}")).await["quota_used"].as_i64() == Some(10 * PRICE)
            })
            .await;
            assert_eq!(fleet.api.total(user).await, 0, "{engine:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tokens_no_more_is_settled_than_there_was_and_nobody_is_refused_while_it_lasts() {
    for engine in engines() {
        let credit = 20 * HOLD + 123;
        let fleet = fleet_with_channel(engine, 3).await;
        fleet.api.price("sim-fast", "1", "1").await;
        let user = fleet.api.user("ana", credit).await;
        let token = fleet.api.token(user, "all").await;
        fleet.settle_config().await;

        let statuses = crowd(&fleet, &token.key, 300).await;
        let (served, refused) = (count(&statuses, 200), count(&statuses, 403));
        assert_eq!(served + refused, 300, "{engine:?}: {statuses:?}");
        assert!(served >= 20, "{engine:?}: {served} served, and twenty could be held at once");

        // one after the other: as long as there is enough for one more, it is served
        loop {
            let total = fleet.api.total(user).await;
            assert!(total >= 0, "{engine:?}: {total}");
            let before = fleet.simulator.stats().completed;
            if total < HOLD {
                break;
            }
            assert_eq!(crowd(&fleet, &token.key, 1).await, [200], "{engine:?}: there are {total}");
            assert_eq!(fleet.simulator.stats().completed, before + 1);
            wait_for("it is settled", async || fleet.api.total(user).await < total).await;
        }
        let user = fleet.api.get(&format!("/api/users/{user}")).await;
        assert!(user["quota_used"].as_i64().is_some_and(|used| used <= credit), "{engine:?}: {user}");
    }
}
