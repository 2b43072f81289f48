//! Limits in a time: who is refused and how, which channel is tried instead, and what a Redis that goes away changes.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_domain::{Counted, Limit, Limits, Outcome, UserId};
use sluice_limits::{RedisAddress, RedisSettings};
use sluice_snapshot::{Group, Token, User};
use sluice_testkit::client::Answer;
use sluice_testkit::services::{Addresses, Service, Services};
use sluice_testkit::simulator::{Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::relay::{ADMIN_KEY, KEY, TestRelay, World, channel, group, token, user};

const CHAT: &str = "/v1/chat/completions";
/// Longer than anything takes that comes at all.
const LONG: Duration = Duration::from_mins(2);

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn hello() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]})
}

fn limit(of: Counted, count: u64) -> Limit {
    Limit { of, count, window_secs: if of.has_window() { 3_600 } else { 0 }, is_shadow: false }
}

fn limits(of: Counted, count: u64) -> Limits {
    Limits::new(vec![limit(of, count)]).unwrap()
}

fn limited_token(limits: Limits) -> Vec<Token> {
    vec![Token { limits, ..token(1, 1, KEY) }, token(2, 2, ADMIN_KEY)]
}

async fn ask(relay: &TestRelay) -> Answer {
    relay.caller().post(CHAT, &hello()).await
}

async fn statuses(relay: &TestRelay, tries: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..tries {
        statuses.push(ask(relay).await.status.as_u16());
    }
    statuses
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
}

#[tokio::test]
async fn beyond_a_limit_callers_get_429_with_what_clients_look_for() {
    let upstream = simulator();
    let tokens = limited_token(limits(Counted::Requests, 2));
    let relay = World { tokens, ..World::with_upstream(&upstream.base_url()) }.start().await;
    let first = ask(&relay).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(first.header("x-ratelimit-reset-requests"), Some("30m0s"));
    assert_eq!(ask(&relay).await.status, 200);

    let refused = ask(&relay).await;
    assert_eq!(refused.status, 429);
    let error = &refused.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("rate_limit_exceeded")));
    assert!(error["message"].as_str().unwrap().starts_with("the token laptop is limited to 2 requests in 3600 s"), "{error}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((900..=1_800).contains(&wait), "one of two comes back in half of the hour: {wait}");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(relay.records().await.len(), 2, "a refusal leaves no record");
    let hits = relay.measured("sluice_relay_ratelimit_hits_total{");
    assert_eq!(hits, [r#"sluice_relay_ratelimit_hits_total{subject="token",limit="requests",effect="enforced"} 1"#]);
    assert_eq!(relay.admin().post(CHAT, &hello()).await.status, 200, "others have limits of their own");
}

#[tokio::test]
async fn every_kind_of_subject_is_limited() {
    let upstream = simulator();
    let one = || limits(Counted::Requests, 1);
    let base = || World::with_upstream(&upstream.base_url());
    let [ordinary, admin] = [base().users[0].clone(), base().users[1].clone()];
    let by_group = vec![Group { limits: one(), ..group("default", "1", &[]) }];
    let cases = [
        ("the user is limited", World { users: vec![User { limits: one(), ..ordinary }, admin], ..base() }, false),
        ("the group default is limited", World { groups: by_group, ..base() }, true),
        ("the model gpt-4o is limited", World { model_limits: vec![("gpt-4o", one())], ..base() }, true),
        (
            "the user in group default is limited",
            World {
                settings: vec![("model_request_rate_limit_enabled", "true"), ("model_request_rate_limit_count", "1")],
                ..base()
            },
            false,
        ),
    ];
    for (message, world, is_everybodys) in cases {
        let relay = world.start().await;
        assert_eq!(statuses(&relay, 2).await, [200, 429], "{message}");
        let refused = ask(&relay).await;
        assert!(refused.text().contains(message), "{message}: {}", refused.text());
        let other = relay.admin().post(CHAT, &hello()).await.status.as_u16();
        assert_eq!(other, if is_everybodys { 429 } else { 200 }, "{message}");
        let is_told = refused.header("x-ratelimit-limit-requests").is_some();
        assert_eq!(is_told, !is_everybodys, "{message}: what others share is nobody's business");
    }
}

#[tokio::test]
async fn a_limit_of_successes_is_used_up_by_answers_only() {
    let upstream = simulator();
    let settings = vec![
        ("model_request_rate_limit_enabled", "true"),
        ("model_request_rate_limit_duration_minutes", "60"),
        ("model_request_rate_limit_group", r#"{"default": [6, 2]}"#),
        ("retry_times", "0"),
    ];
    let relay = World { settings, ..World::with_upstream(&upstream.base_url()) }.start().await;
    upstream.queue(QueuedScenario::from(Scenario::status(400)).times(3));
    assert_eq!(statuses(&relay, 6).await, [400, 400, 400, 200, 200, 429]);
    assert_eq!(relay.measured("sluice_relay_ratelimit_hits_total{").len(), 1);
}

#[tokio::test]
async fn tokens_are_counted_by_what_was_used_at_the_end() {
    let upstream = simulator();
    let tokens = limited_token(limits(Counted::Tokens, 1_000));
    let relay = World { tokens, ..World::with_upstream(&upstream.base_url()) }.start().await;
    let answer = ask(&relay).await;
    let used = answer.json()["usage"]["total_tokens"].as_u64().unwrap();
    let next = ask(&relay).await;
    let left: u64 = next.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    let estimate = 1_000 - used - left;
    assert!(estimate < 100, "{used} used and {left} left: the estimate of the second is {estimate}");
    let long = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "word ".repeat(2_000)}]});
    let refused = relay.caller().post(CHAT, &long).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("exceeds by itself"), "{}", refused.text());
}

#[tokio::test]
async fn a_request_that_runs_holds_its_place_until_it_ends_or_its_caller_leaves() {
    let upstream = simulator();
    let tokens = limited_token(limits(Counted::Concurrency, 1));
    let relay = World { tokens, ..World::with_upstream(&upstream.base_url()) }.start().await;
    upstream.queue(QueuedScenario::from(Scenario::fault(Fault::Hang, 0)));
    let caller = relay.caller();
    let mut running = JoinSet::new();
    running.spawn(async move { caller.post(CHAT, &hello()).await });
    until("it is at its upstream", async || upstream.stats().in_flight == 1).await;
    let refused = ask(&relay).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
    running.abort_all();
    until("its place is free", async || ask(&relay).await.status == 200).await;
}

#[tokio::test]
async fn a_channel_at_its_limit_is_left_out_and_the_next_is_tried() {
    let upstream = simulator();
    let mut first = channel(1, &upstream.base_url());
    (first.priority, first.limits) = (10, limits(Counted::Requests, 2));
    let second = channel(2, &upstream.base_url());
    let relay = World { channels: vec![first, second], ..World::with_upstream(&upstream.base_url()) }.start().await;
    assert_eq!(statuses(&relay, 4).await, [200; 4]);
    let channels: Vec<i64> = relay.wait_for_records(4).await.iter().map(|record| record.channel_id.unwrap().get()).collect();
    assert_eq!(channels, [1, 1, 2, 2]);
}

#[tokio::test]
async fn when_every_channel_is_at_its_limit_callers_are_told_when_to_come_back() {
    let upstream = simulator();
    let mut only = channel(1, &upstream.base_url());
    only.limits = limits(Counted::Requests, 1);
    let relay = World { channels: vec![only], ..World::with_upstream(&upstream.base_url()) }.start().await;
    assert_eq!(statuses(&relay, 1).await, [200]);
    let refused = ask(&relay).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["code"].as_str()), (503, Some("no_available_channel")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_800..=3_600).contains(&wait), "the only one comes back when the hour is over: {wait}");
    let records = relay.records().await;
    assert_eq!(records.len(), 1, "nothing was sent, and nothing is held");
    assert_eq!(records[0].outcome, Outcome::Completed);
}

#[tokio::test]
async fn a_failed_attempt_gives_its_place_at_the_channel_back() {
    let (upstream, other) = (simulator(), simulator());
    let mut first = channel(1, &upstream.base_url());
    (first.priority, first.limits) = (10, limits(Counted::Concurrency, 1));
    let second = channel(2, &other.base_url());
    let relay = World { channels: vec![first, second], ..World::with_upstream(&upstream.base_url()) }.start().await;
    upstream.queue(QueuedScenario::from(Scenario::status(500)));
    other.queue(QueuedScenario::from(Scenario::fault(Fault::Hang, 0)));
    let caller = relay.caller();
    let mut running = JoinSet::new();
    running.spawn(async move { caller.post(CHAT, &hello()).await });
    until("the second is tried", async || other.stats().in_flight == 1).await;
    assert_eq!(ask(&relay).await.status, 200, "the first has its only place free again");
    let served = relay.wait_for_records(1).await[0].channel_id.unwrap().get();
    assert_eq!(served, 1);
    running.abort_all();
}

#[tokio::test]
async fn a_shadow_limit_refuses_nobody_and_is_counted() {
    let upstream = simulator();
    let shadow = Limits::new(vec![Limit { is_shadow: true, ..limit(Counted::Requests, 1) }]).unwrap();
    let relay = World { tokens: limited_token(shadow), ..World::with_upstream(&upstream.base_url()) }.start().await;
    assert_eq!(statuses(&relay, 3).await, [200; 3]);
    let hits = relay.measured("sluice_relay_ratelimit_hits_total{");
    assert_eq!(hits, [r#"sluice_relay_ratelimit_hits_total{subject="token",limit="requests",effect="shadow"} 2"#]);
}

/// A limit that a few seconds of load reach.
const COUNT: u64 = 60;

/// A user nobody else has: the Redis of a run belongs to many tests.
fn world_of_one(upstream: &Simulator, redis: Option<RedisSettings>, fleet: u64, count: u64) -> World {
    let base = World::with_upstream(&upstream.base_url());
    let owner = UserId::new(i64::from(std::process::id()) << 20 | i64::try_from(count).unwrap());
    base.ledger.credit(owner.get(), 100_000_000);
    let users = vec![User { id: owner, ..user(owner.get(), sluice_domain::Role::User) }];
    let tokens = vec![Token { user_id: owner, limits: limits(Counted::Requests, count), ..token(1, owner.get(), KEY) }];
    World { tokens, users, redis, fleet, ..base }
}

/// How fast Redis answers is not what is tried here: a slow answer is waited for, and changes no sum.
fn settings(url: &str) -> RedisSettings {
    RedisSettings {
        address: RedisAddress::parse(url, None, None).unwrap(),
        connections: 2,
        patience: RedisSettings::MOST_PATIENCE,
    }
}

fn mode(relay: &TestRelay) -> String {
    relay.measured("sluice_relay_ratelimit_mode").concat()
}

async fn asks_redis(relay: &TestRelay) {
    until("it asks Redis", async || mode(relay).ends_with(" 1")).await;
}

/// How many of so many requests pass at each of two relays that are asked at once.
async fn passing(relays: &[TestRelay; 2], tries: usize) -> [usize; 2] {
    let passed = async |relay: &TestRelay| {
        let statuses = statuses(relay, tries).await;
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 200).count()
    };
    let (one, other) = tokio::join!(passed(&relays[0]), passed(&relays[1]));
    [one, other]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_share_one_limit_exactly_with_redis_and_have_half_of_it_each_without() {
    let upstream = simulator();
    let alone = [world_of_one(&upstream, None, 2, 20).start().await, world_of_one(&upstream, None, 2, 20).start().await];
    assert_eq!(passing(&alone, 15).await, [10, 10]);

    let Some(url) = Addresses::from_env().redis().map(str::to_owned) else { return };
    let redis = Some(settings(&url));
    let together =
        [world_of_one(&upstream, redis.clone(), 2, 21).start().await, world_of_one(&upstream, redis, 2, 21).start().await];
    for relay in &together {
        asks_redis(relay).await;
    }
    let [one, other] = passing(&together, 21).await;
    assert_eq!(one + other, 21, "{one} and {other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_wiped_and_started_again_costs_no_answer_and_multiplies_no_limit() {
    if Addresses::from_env().redis().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::up(folder.path(), &[Service::Redis]);
    let upstream = simulator();
    let redis = Some(settings(services.addresses.redis().unwrap()));
    let relays =
        [world_of_one(&upstream, redis.clone(), 2, COUNT).start().await, world_of_one(&upstream, redis, 2, COUNT).start().await];
    for relay in &relays {
        asks_redis(relay).await;
    }
    // under load all the time: who is not admitted is told 429, and nobody anything else
    let (is_over, is_used_up) = (Cell::new(false), Cell::new(false));
    let load = async {
        let mut passed = [0, 0];
        while !is_over.get() {
            let more = passing(&relays, 5).await;
            is_used_up.set(more == [0, 0]);
            passed = [passed[0] + more[0], passed[1] + more[1]];
        }
        passed
    };
    let faults = async {
        sleep(Duration::from_millis(50)).await;
        tokio::task::block_in_place(|| services.stop(Service::Redis));
        until("each keeps its share", async || relays.iter().all(|relay| mode(relay).ends_with(" 0"))).await;
        until("each has used up its share", async || is_used_up.get()).await;
        // it keeps nothing: this is the wipe as well
        tokio::task::block_in_place(|| services.start(Service::Redis));
        for relay in &relays {
            asks_redis(relay).await;
        }
        is_over.set(true);
    };
    let (first, ()) = tokio::join!(load, faults);
    let last = passing(&relays, 70).await;
    let admitted = first.iter().chain(&last).sum::<usize>() as u64;
    // a share is made of whole requests
    assert!(admitted >= COUNT - 2, "{first:?} and {last:?}: nobody is refused what the limit allows");
    assert!(admitted <= COUNT + 2 * COUNT / 2, "{first:?} and {last:?}: the limit, and half a burst on each relay");
    let mut billed = 0;
    for relay in &relays {
        let records = relay.records().await;
        assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
        billed += records.len() as u64;
    }
    assert_eq!(billed, admitted, "each answer is billed once, and no refusal is");
}
