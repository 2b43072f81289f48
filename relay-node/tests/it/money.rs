//! Money: what is charged equals the simulator's own log times the price, whatever the answer looked like.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_domain::{AccountId, Outcome, RequestRecord};
use sluice_testkit::simulator::{LogEntry, Scenario, Simulator, SimulatorConfig, UsageReport};

use crate::held::Held;
use crate::relay::{WALLET, World, group, name, ratios};

const CHAT: &str = "/v1/chat/completions";

/// gpt-4o at model ratio 1.25, output 4 times as dear, cached input half price, half a unit rounded up: (5·in + 2.5·cached + 20·out) / 4.
fn expected(entry: &LogEntry) -> i64 {
    let usage = entry.usage.expect("the simulator reported usage");
    let plain = usage.prompt_tokens - usage.cached_tokens;
    (2 * 5 * plain + 5 * usage.cached_tokens + 2 * 20 * usage.completion_tokens + 4) / 8
}

fn chat(name: usize, stream: bool, words: usize) -> Value {
    let content = "word ".repeat(words);
    json!({"model": "gpt-4o", "stream": stream, "user": format!("request-{name}"), "messages": [{"role": "user", "content": content}]})
}

fn wallet_charge(record: &RequestRecord) -> i64 {
    let wallet = AccountId::new(WALLET);
    record.charges.iter().filter(|charge| charge.account_id == wallet).map(|charge| charge.amount.get()).sum()
}

#[tokio::test]
async fn every_charge_is_the_simulators_log_times_the_price() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = World::with_upstream(&upstream.base_url());
    world.prices[0].1.cache_read_ratio = Some("0.5".parse().unwrap());
    let relay = world.start().await;
    let scenarios = [
        Scenario::default(),
        Scenario { tokens: Some(300), ..Scenario::default() },
        Scenario { cached_tokens: 1024, ..Scenario::default() },
        Scenario { reasoning_tokens: 64, ..Scenario::default() },
        Scenario { tokens: Some(1), ..Scenario::default() },
    ];
    let mut charged = 0;
    for (place, scenario) in scenarios.iter().chain(&scenarios).enumerate() {
        upstream.queue(scenario.clone());
        let answer = relay.caller().post(CHAT, &chat(place, place >= scenarios.len(), place * 3 + 1)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let entry = upstream.wait_for(place as u64 + 1).await.pop().unwrap();
        let record = relay.records().await.pop().unwrap();
        assert_eq!(record.quota.get(), expected(&entry), "{scenario:?}: {record:?}");
        assert_eq!(wallet_charge(&record), record.quota.get());
        assert!(!record.usage_estimated);
        assert_eq!((record.config_lineage.as_ref(), record.config_seq), ("test", 42));
        charged += record.quota.get();
    }
    let total: i64 = upstream.log().iter().map(expected).sum();
    assert_eq!(charged, total);
    assert_eq!(relay.metric("sluice_relay_charged_quota_total"), charged);
}

#[tokio::test]
async fn the_groups_ratio_multiplies_and_a_free_group_needs_no_money() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = World::with_upstream(&upstream.base_url());
    world.groups = vec![group("default", "0.8", &[])];
    let relay = world.start().await;
    relay.caller().post(CHAT, &chat(1, false, 10)).await;
    let usage = upstream.wait_for(1).await[0].usage.unwrap();
    assert_eq!(relay.record().await.quota.get(), (2 * (usage.prompt_tokens + 4 * usage.completion_tokens) + 1) / 2);

    let mut world = World::with_upstream(&upstream.base_url());
    world.groups = vec![group("default", "0", &[])];
    world.ledger.credit(WALLET, -100_000_000);
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &chat(2, false, 10)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = relay.record().await;
    assert_eq!((record.quota.get(), record.charges.len()), (0, 0));
    assert!(record.usage.input > 0, "counted all the same");
}

#[tokio::test]
async fn a_price_per_call_is_charged_once_and_only_for_an_answer() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = World::with_upstream(&upstream.base_url());
    world.prices[0].1 = sluice_billing::ModelPrice { per_call_usd: Some("0.1".parse().unwrap()), ..ratios("1", "1") };
    let relay = world.start().await;
    upstream.queue(Scenario::status(400));
    relay.caller().post(CHAT, &chat(1, false, 1)).await;
    relay.caller().post(CHAT, &chat(2, true, 1)).await;
    let charged: Vec<i64> = relay.wait_for_records(2).await.iter().map(|record| record.quota.get()).collect();
    assert_eq!(charged, [0, 50_000]);
}

#[tokio::test]
async fn a_search_model_holds_and_costs_its_search_on_top() {
    let upstream = Simulator::start(SimulatorConfig::default());
    for stream in [false, true] {
        upstream.queue(Scenario { prompt_tokens: Some(50), completion_tokens: Some(300), ..Scenario::default() });
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels[0].models.push(name("gpt-4o-search-preview"));
        world.channels[0].model_mapping.insert("gpt-4o-search-preview".into(), "gpt-4o".into());
        world.prices.push(("gpt-4o-search-preview", ratios("1.25", "4")));
        let relay = world.start().await;
        let mut body = chat(1, stream, 1);
        body["model"] = json!("gpt-4o-search-preview");
        body["max_tokens"] = json!(300);
        assert_eq!(relay.caller().post(CHAT, &body).await.status, 200);
        let record = relay.record().await;
        assert_eq!((record.quota.get(), record.held.get()), (14_063, 625 + 1_500 + 12_500), "V52");
        assert_eq!(wallet_charge(&record), 14_063);
    }
}

#[tokio::test]
async fn missing_and_absurd_usage_is_estimated_from_what_was_said() {
    for (usage, stream) in [
        (UsageReport::Missing, false),
        (UsageReport::Missing, true),
        (UsageReport::Negative, false),
        (UsageReport::Absurd, true),
        (UsageReport::Absurd, false),
    ] {
        let upstream = Simulator::start(SimulatorConfig::default());
        upstream.queue(Scenario { usage, text: Some("one two three four five six seven eight".into()), ..Scenario::default() });
        let relay = World::with_upstream(&upstream.base_url()).start().await;
        let answer = relay.caller().post(CHAT, &chat(1, stream, 100)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = relay.record().await;
        assert!(record.usage_estimated && record.outcome == Outcome::Completed, "{usage:?}");
        assert!((100..=115).contains(&record.usage.input), "{usage:?}: {}", record.usage.input);
        assert!((8..=14).contains(&record.usage.output), "{usage:?}: {}", record.usage.output);
        let price = (5 * record.usage.input + 20 * record.usage.output + 2) / 4;
        assert_eq!(u64::try_from(record.quota.get()).unwrap(), price);
    }
}

#[tokio::test]
async fn parallel_requests_on_a_balance_worth_ten_are_ten() {
    let upstream = Simulator::start(SimulatorConfig::default());
    // none of them ends, and gives back what it did not need, before all have asked
    let held = Held::before(&upstream);
    let world = World::with_upstream(&held.base_url());
    // 500 tokens of prompt are held at least, and 100 of output: 1.25 × (500 + 4·100).
    world.ledger.credit(WALLET, 10 * 1_125 - 100_000_000);
    let relay = world.start().await;
    let caller = relay.caller();
    let mut body = chat(1, false, 1);
    body["max_tokens"] = json!(100);
    let refused = Cell::new(0);
    let ask = async || {
        let answer = caller.post(CHAT, &body).await;
        refused.set(refused.get() + u64::from(answer.status != 200));
        answer
    };
    let all_asked = async {
        while upstream.stats().received + refused.get() < 40 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        held.let_go();
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all((0..40).map(|_| ask())), all_asked);
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 403));
    assert_eq!(served, 10);
    assert!(relay.wait_for_records(10).await.iter().all(|record| record.held.get() == 1_125));
}

#[tokio::test]
async fn every_request_ends_in_exactly_one_outcome() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let directives = ["", "status=500", "reset after=3", "400", "empty", "close after=5", "html"];
    for (place, directive) in directives.iter().cycle().take(28).enumerate() {
        let mut body = chat(place, place % 2 == 0, 5);
        body["messages"][0]["content"] = json!(format!("hello [sim: {directive}]"));
        relay.caller().post(CHAT, &body).await;
    }
    relay.caller().post(CHAT, &json!({"model": "gpt-4o"})).await;
    let records = relay.wait_for_records(28).await;
    assert_eq!(records.len(), 28);
    let of = |outcome: &str| {
        relay.metric(&format!(r#"sluice_relay_requests_total{{interface="chat_completions",outcome="{outcome}"}}"#))
    };
    let ended: i64 = ["completed", "failed", "truncated", "aborted"].map(of).iter().sum();
    assert_eq!((ended, of("refused")), (28, 1));
    assert!(of("truncated") > 0 && of("failed") > 0);
    assert_eq!(relay.metric("sluice_relay_in_flight_requests"), 0);
    assert_eq!(relay.metric("sluice_relay_spool_abandoned_records_total"), 0);
    assert_eq!(relay.app.bytes.free_bytes(), 256 << 20);
}
