//! kill -9 of every process in turn, under load: nothing is lost, nothing is charged twice, and callers of a relay that was not killed
//! see no error. The oracle is the provider's own log.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_e2e::load::{End, Load, Seen};
use sluice_e2e::oracle::{PerThousand, accounts};
use sluice_testkit::database::{Engine, engines};

/// 0.75 units per token of input and 3 per token of output.
const PRICE: PerThousand = PerThousand { input: 750, output: 3_000 };
const MODEL: &str = "gpt-4o-mini";
const CREDIT: i64 = 500_000_000;
/// Requests between two kills.
const BETWEEN: u64 = 200;
/// Who is killed, in this order.
const VICTIMS: [Victim; 10] = [
    Victim::Control,
    Victim::Relay(0),
    Victim::Control,
    Victim::Relay(1),
    Victim::Relay(0),
    Victim::Control,
    Victim::Relay(1),
    Victim::Control,
    Victim::Relay(0),
    Victim::Control,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Control,
    Relay(usize),
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_any_process_loses_nothing_and_charges_nothing_twice() {
    for engine in engines() {
        tell(engine).await;
    }
}

async fn tell(engine: Engine) {
    let mut fleet = Fleet::start(engine, 2).await;
    let url = fleet.simulator.base_url();
    fleet.api.channel("simulator", &url, PROVIDER_KEY, &[MODEL]).await;
    fleet.api.price(MODEL, "0.75", "4").await;
    let user = fleet.api.user("ana", CREDIT).await;
    let token = fleet.api.token(user, "load").await;
    fleet.settle_config().await;

    let callers: Vec<_> = (0..2).map(|relay| fleet.caller(relay, &token.key)).collect();
    let load = Load::start(&callers, 8, Duration::from_millis(20), MODEL, &format!("{engine:?}").to_lowercase());
    let mut outages: Vec<(usize, u64, u64)> = Vec::new();
    for (turn, victim) in (1_u64..).zip(VICTIMS) {
        wait_for("the load goes on", async || load.sent() >= turn * BETWEEN).await;
        let from = load.elapsed_millis();
        let node = match victim {
            Victim::Control => &mut fleet.control,
            Victim::Relay(place) => &mut fleet.relays[place],
        };
        node.kill_9();
        node.start();
        node.wait_ready().await;
        if let Victim::Relay(place) = victim {
            outages.push((place, from, load.elapsed_millis()));
        }
    }
    wait_for("the load goes on", async || load.sent() >= (VICTIMS.len() as u64 + 2) * BETWEEN).await;
    let seen = load.stop().await;

    assert!(seen.len() >= 2_000, "{engine:?}: only {} requests", seen.len());
    untouched_callers_saw_no_error(engine, &seen, &outages);
    let rows = settled_rows(&fleet, user, &seen).await;
    every_row_agrees_with_the_provider(engine, &fleet, &seen, &rows);
    let charged: i64 = rows.values().map(quota).sum();
    assert_eq!(fleet.api.total(user).await, CREDIT - charged, "{engine:?}: the balance moved by what the rows say");
}

fn untouched_callers_saw_no_error(engine: Engine, seen: &[Seen], outages: &[(usize, u64, u64)]) {
    let touched = |one: &Seen| {
        let overlaps =
            |(relay, from, to): &(usize, u64, u64)| *relay == one.relay && one.sent_millis <= *to && one.ended_millis >= *from;
        outages.iter().any(overlaps)
    };
    let failed: Vec<&Seen> = seen.iter().filter(|one| one.end != End::Whole && !touched(one)).collect();
    assert!(failed.is_empty(), "{engine:?}: {} callers of an untouched relay saw errors, first: {:?}", failed.len(), failed[0]);
}

/// The settled rows by request id, once every whole answer has one and no lease is open for lost lives.
async fn settled_rows(fleet: &Fleet, user: i64, seen: &[Seen]) -> HashMap<String, Value> {
    let whole: Vec<&str> = seen.iter().filter(|one| one.end == End::Whole).map(|one| one.request_id.as_str()).collect();
    let load = async || {
        let rows = fleet.api.all(&format!("/api/requests?user_id={user}")).await;
        let count = rows.len();
        let by_id: HashMap<String, Value> =
            rows.into_iter().map(|row| (row["request_id"].as_str().unwrap_or_default().to_owned(), row)).collect();
        assert_eq!(by_id.len(), count, "a request was settled twice");
        by_id
    };
    wait_for("every whole answer is settled", async || {
        let rows = load().await;
        whole.iter().all(|id| rows.contains_key(*id))
    })
    .await;
    wait_for("orphans of killed relays are settled", async || {
        let first = load().await.len();
        let relays = fleet.api.get("/api/relays").await;
        let pending = |relay: &Value| relay["spool_bytes"].as_i64().unwrap_or(1) != 0;
        !relays["items"].as_array().expect("a list has items").iter().any(pending) && load().await.len() == first
    })
    .await;
    load().await
}

fn every_row_agrees_with_the_provider(engine: Engine, fleet: &Fleet, seen: &[Seen], rows: &HashMap<String, Value>) {
    let accounts = accounts(&fleet.simulator.log(), PRICE);
    let mut exact = 0;
    for one in seen {
        let account = accounts.get(&one.request_id).cloned().unwrap_or_default();
        let Some(row) = rows.get(&one.request_id) else {
            assert_ne!(one.end, End::Whole, "{engine:?}: {} was served and not settled", one.request_id);
            continue;
        };
        if row["outcome"] == "completed" {
            assert_eq!(account.completed, [quota(row)], "{engine:?}: {}", one.request_id);
            exact += 1;
        } else {
            let most = account.completed.iter().chain(&account.cut).max().copied().unwrap_or(0);
            // an estimate of a broken answer counts by other rules than the provider does
            assert!(quota(row) <= most.max(1) * 3, "{engine:?}: {} was charged {} of at most {most}", one.request_id, quota(row));
        }
    }
    assert!(exact >= 2_000, "{engine:?}: only {exact} of {} requests could be compared exactly", seen.len());
    let strangers: Vec<&String> = rows.keys().filter(|id| !seen.iter().any(|one| one.request_id == **id)).collect();
    assert!(strangers.is_empty(), "{engine:?}: rows nobody asked for: {strangers:?}");
}

fn quota(row: &Value) -> i64 {
    row["quota"].as_i64().expect("money is a number")
}
