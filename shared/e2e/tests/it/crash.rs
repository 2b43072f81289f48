//! kill -9 of every process in turn, under load: nothing is lost, nothing is charged twice, and callers of a relay that was not killed
//! see no error. The oracle is the provider's own log.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_e2e::load::{End, Load, Seen};
use sluice_e2e::oracle::{PerThousand, accounts};
use sluice_testkit::database::{Engine, engines};
use sluice_testkit::proxy::{Proxy, Way};
use sluice_testkit::simulator::Scenario;
use tokio::time::timeout;

/// 0.75 units per token of input and 3 per token of output.
const PRICE: PerThousand = PerThousand { input: 750, output: 3_000 };
const MODEL: &str = "gpt-4o-mini";
const CREDIT: i64 = 500_000_000;
/// Whole answers between two kills.
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
        wait_for("the load goes on", async || load.whole() >= turn * BETWEEN).await;
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
    wait_for("the load goes on", async || load.whole() >= (VICTIMS.len() as u64 + 2) * BETWEEN).await;
    let millis = load.elapsed_millis();
    let seen = load.stop().await;
    tell_rate(engine, seen.len(), millis);

    assert!(seen.len() >= 2_000, "{engine:?}: only {} requests", seen.len());
    untouched_callers_saw_no_error(engine, &seen, &outages);
    let rows = settled_rows(&fleet, user, &seen).await;
    every_row_agrees_with_the_provider(engine, &fleet, &seen, &rows);
    let charged: i64 = rows.values().map(quota).sum();
    assert_eq!(fleet.api.total(user).await, CREDIT - charged, "{engine:?}: the balance moved by what the rows say");
}

#[expect(clippy::print_stdout, reason = "a figure for whoever reads the log; it decides nothing")]
fn tell_rate(engine: Engine, requests: usize, millis: u64) {
    let seconds = Duration::from_millis(millis).as_secs_f64();
    println!("{engine:?}: {requests} requests in {seconds:.1} s with every outage in it");
}

fn untouched_callers_saw_no_error(engine: Engine, seen: &[Seen], outages: &[(usize, u64, u64)]) {
    let touched = |one: &Seen| {
        let overlaps = |(relay, from, to): &(usize, u64, u64)| *relay == one.relay && one.overlaps(*from, *to);
        outages.iter().any(overlaps)
    };
    let failed: Vec<&Seen> = seen.iter().filter(|one| one.end != End::Whole && !touched(one)).collect();
    assert!(failed.is_empty(), "{engine:?}: {} callers of an untouched relay saw errors, first: {:?}", failed.len(), failed[0]);
}

/// The settled rows by request id, once every request the provider heard of has one: whoever heard of it was preceded by an intent.
async fn settled_rows(fleet: &Fleet, user: i64, seen: &[Seen]) -> HashMap<String, Value> {
    let load = async || {
        let rows = fleet.api.all(&format!("/api/requests?user_id={user}")).await;
        let count = rows.len();
        let by_id: HashMap<String, Value> =
            rows.into_iter().map(|row| (row["request_id"].as_str().unwrap_or_default().to_owned(), row)).collect();
        assert_eq!(by_id.len(), count, "a request was settled twice");
        by_id
    };
    // an answer is in the log once its last byte is away, which may be after its caller has it
    wait_for("the provider is at rest", async || fleet.simulator.stats().in_flight == 0).await;
    let heard = accounts(&fleet.simulator.log(), PRICE);
    let whole = seen.iter().filter(|one| one.end == End::Whole).map(|one| &one.request_id);
    let expected: HashSet<&String> = heard.keys().chain(whole).collect();
    wait_for("whatever the provider heard of is settled", async || {
        let rows = load().await;
        expected.iter().all(|id| rows.contains_key(*id))
    })
    .await;
    wait_for("no relay owes a record", async || {
        let relays = fleet.api.get("/api/relays").await;
        let owes = |relay: &Value| relay["spool_bytes"].as_i64().unwrap_or(1) != 0;
        !relays["items"].as_array().expect("a list has items").iter().any(owes)
    })
    .await;
    load().await
}

fn every_row_agrees_with_the_provider(engine: Engine, fleet: &Fleet, seen: &[Seen], rows: &HashMap<String, Value>) {
    let accounts = accounts(&fleet.simulator.log(), PRICE);
    let mut exact = 0;
    for one in seen {
        let account = accounts.get(&one.request_id).cloned().unwrap_or_default();
        // not settled means that no provider heard of it: the rows were waited for
        let Some(row) = rows.get(&one.request_id) else { continue };
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

/// Requests served by a relay that was started again while the control plane is away.
const ALONE: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_started_again_while_the_control_plane_is_away_goes_on_with_what_is_left_of_its_leases() {
    for engine in engines() {
        tell_alone(engine).await;
    }
}

async fn tell_alone(engine: Engine) {
    let mut fleet = Fleet::start(engine, 1).await;
    fleet.api.channel("simulator", &fleet.simulator.base_url(), PROVIDER_KEY, &[MODEL]).await;
    fleet.api.price(MODEL, "0.75", "4").await;
    let user = fleet.api.user("ana", CREDIT).await;
    let token = fleet.api.token(user, "load").await;
    fleet.settle_config().await;
    let callers = [fleet.caller(0, &token.key)];
    let name = format!("{engine:?}").to_lowercase();
    let load = Load::start(&callers, 4, Duration::from_millis(5), MODEL, &format!("{name}-warm"));
    wait_for("leases are as large as the load", async || load.whole() >= 100).await;
    let mut seen = load.stop().await;
    // the configuration on the disk has to know the key
    let saves = fleet.relays[0].metric("sluice_relay_last_good_saves_total").await;
    fleet.api.price("another-model", "1", "1").await;
    wait_for("the configuration is on the disk", async || {
        fleet.relays[0].metric("sluice_relay_last_good_saves_total").await > saves
    })
    .await;
    // somebody is cut off as well
    fleet.simulator.queue(LONG_ANSWER.parse::<Scenario>().expect("a directive"));
    let message = json!({"role": "user", "content": "go on"});
    let body = json!({"model": MODEL, "stream": true, "max_tokens": 16_000, "messages": [message]});
    let mut stream = fleet.caller(0, &token.key).open("/v1/chat/completions", &body).await.expect("the stream opens");
    let mut words = 0;
    while words < 100 {
        words += i64::from(stream.next().await.expect("the stream goes on").is_some());
    }

    fleet.control.kill_9();
    fleet.relays[0].kill_9();
    fleet.relays[0].start();
    fleet.relays[0].wait_ready().await;
    let load = Load::start(&callers, 4, Duration::from_millis(5), MODEL, &format!("{name}-alone"));
    wait_for("it serves alone", async || load.sent() >= ALONE).await;
    let alone = load.stop().await;
    let failed: Vec<&Seen> = alone.iter().filter(|one| one.end != End::Whole).collect();
    assert!(failed.is_empty(), "{engine:?}: {} of {} failed, first: {:?}", failed.len(), alone.len(), failed[0]);
    seen.extend(alone);

    fleet.control.start();
    fleet.control.wait_ready().await;
    let rows = settled_rows(&fleet, user, &seen).await;
    let orphans = rows.values().filter(|row| row["outcome"] == "orphaned").count();
    assert_eq!((rows.len(), orphans), (seen.len() + 1, 1), "{engine:?}");
    let accounts = accounts(&fleet.simulator.log(), PRICE);
    for one in &seen {
        assert_eq!(accounts[&one.request_id].completed, [quota(&rows[&one.request_id])], "{engine:?}: {}", one.request_id);
    }
    let charged: i64 = rows.values().map(quota).sum();
    assert_eq!(fleet.api.total(user).await, CREDIT - charged, "{engine:?}: the balance moved by what the rows say");
    let alone = fleet.relays[0].metric("sluice_relay_reserve_shortfall_quota_total").await;
    assert!(alone < 1.0, "{engine:?}: nothing was charged beyond the leases");
}

const LONG: &str = "gpt-4o";
/// One word each 20 ms, for minutes.
const LONG_ANSWER: &str = "tokens=16000 delay_ms=20";
/// A pause in which progress is due to be noted, whatever was noted before it.
const PAUSE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_by_kill_9_is_charged_up_to_its_last_progress() {
    let mut fleet = Fleet::start(Engine::Sqlite, 1).await;
    let line = Proxy::start(fleet.simulator.addr());
    fleet.api.channel("simulator", &format!("http://{}", line.addr()), PROVIDER_KEY, &[LONG]).await;
    fleet.api.price(LONG, "0.75", "4").await;
    let user = fleet.api.user("ana", CREDIT).await;
    let token = fleet.api.token(user, "long").await;
    fleet.settle_config().await;
    fleet.simulator.queue(LONG_ANSWER.parse::<Scenario>().expect("a directive"));
    let body = json!({"model": LONG, "stream": true, "messages": [{"role": "user", "content": "go on"}]});
    let mut stream = fleet.caller(0, &token.key).open("/v1/chat/completions", &body).await.expect("the stream opens");
    let mut words = 0_i64;
    while words < 200 {
        words += i64::from(stream.next().await.expect("the stream goes on").is_some());
    }
    // nothing comes for longer than progress may go without a note: what comes then is noted, with all before it, before the caller has it
    line.black_hole(Way::ToClient);
    while let Ok(event) = timeout(PAUSE, stream.next()).await {
        event.expect("the stream goes on").expect("it has not ended");
    }
    line.heal();
    for _ in 0..50 {
        stream.next().await.expect("the stream goes on").expect("it has not ended");
    }
    fleet.relays[0].kill_9();
    fleet.relays[0].start();
    fleet.relays[0].wait_ready().await;
    let rows = async || fleet.api.all(&format!("/api/requests?user_id={user}")).await;
    wait_for("the orphan is settled", async || rows().await.len() == 1).await;
    let row = rows().await.remove(0);
    assert_eq!(row["outcome"], "orphaned");
    // the first event has no word
    let least = PRICE.of(0, words - 1);
    assert!(quota(&row) >= least, "charged {} for {words} words, at least {least} expected", quota(&row));
    let sent = fleet.simulator.wait_for(1).await.remove(0).sent_tokens;
    assert!(quota(&row) <= PRICE.of(100, sent * 3), "charged {} for {sent} words sent", quota(&row));
    assert_eq!(fleet.api.total(user).await, CREDIT - quota(&row));
}
