//! Holds: how much output is held for, what the upstream is told, and where an answer ends that nobody pays for any longer.

use futures_util::future::join_all;
use serde_json::{Value, json};
use sluice_billing::estimate::prompt_overhead;
use sluice_billing::{Estimator, HoldPolicy, ModelPrice, estimate};
use sluice_domain::{Outcome, RequestRecord};
use sluice_testkit::client::Answer;
use sluice_testkit::simulator::{Ending, QueuedScenario, Scenario, Simulator, SimulatorConfig};

use crate::recorder::Recorder;
use crate::relay::{CAP, TestRelay, WALLET, World, name, ratios};

const CHAT: &str = "/v1/chat/completions";
const LIMIT_HEADER: &str = "x-sluice-output-limit";
/// A unit for a token of input, three for one of output. Its vocabulary is not known, so all counts are by weights.
const MODEL: &str = "mistral-large";

fn asked(stream: bool, limit: Option<u32>) -> Value {
    let mut body = json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hello there"}]});
    if let Some(limit) = limit {
        body["max_tokens"] = json!(limit);
    }
    body
}

/// What the prompt of [`asked`] is held for and, where the upstream does not say, paid.
fn prompt() -> i64 {
    let mut estimator = Estimator::for_model(MODEL);
    for text in ["user", "hello there"] {
        estimator.push(text);
        estimator.separate();
    }
    units(estimator.finish() + prompt_overhead(1, 0, 0))
}

fn units(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap()
}

/// A world whose caller has so much, and where nothing is held for beyond the prompt and its output.
fn world(base_url: &str, balance: i64, settings: &[(&'static str, &'static str)]) -> World {
    let mut world = World::with_upstream(base_url);
    world.channels[0].model_mapping.insert(MODEL.into(), "sim-plain".into());
    world.ledger.credit(WALLET, balance - 100_000_000);
    world.settings = [&[("pre_consumed_quota", "0")], settings].concat();
    world
}

fn simulator(scenario: Scenario) -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::default());
    simulator.queue(QueuedScenario::from(scenario).forever());
    simulator
}

fn tokens(tokens: u32) -> Scenario {
    Scenario { tokens: Some(tokens), ..Scenario::default() }
}

const ANSWER: &[u8] = br#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#;

/// Sends a body to a relay whose caller has so much. Gives the answer, the record, and what went upstream.
async fn sent(balance: i64, settings: &[(&'static str, &'static str)], body: &Value) -> (Answer, Vec<RequestRecord>, Vec<Value>) {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let mut world = world(&upstream.base_url(), balance, settings);
    world.channels[0].model_mapping.clear();
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, body).await;
    let heard = upstream.heard().into_iter().map(|heard| serde_json::from_slice(&heard.body).unwrap()).collect();
    (answer, relay.records().await, heard)
}

#[tokio::test]
async fn a_healthy_balance_holds_for_a_window_and_sends_the_request_as_it_came() {
    let body = asked(false, None);
    let (answer, records, heard) = sent(100_000_000, &[], &body).await;
    assert_eq!((answer.status.as_u16(), answer.header(LIMIT_HEADER)), (200, None));
    assert_eq!(heard, [body]);
    assert_eq!((records[0].held.get(), records[0].output_limit), (prompt() + 3 * 2_000, None));
}

#[tokio::test]
async fn what_answers_of_a_model_bring_lately_is_what_the_next_one_is_held_for() {
    let upstream = simulator(tokens(5_000));
    let relay = world(&upstream.base_url(), 1_000_000_000, &[]).start().await;
    for _ in 0..21 {
        assert_eq!(relay.caller().post(CHAT, &asked(false, None)).await.status, 200);
    }
    let held = relay.wait_for_records(21).await.iter().map(|record| record.held.get() - prompt()).collect::<Vec<_>>();
    assert_eq!(held[..20], [3 * 2_000; 20], "too little is known");
    assert_eq!(held[20], 3 * 5_120, "5,000 and the rest of a quarter of a doubling");
}

#[tokio::test]
async fn a_low_balance_lowers_the_limit_that_goes_upstream_and_says_so() {
    // enough for the prompt and 100 tokens of output
    let balance = prompt() + 300;
    for limit in [Some(5_000), None] {
        let body = asked(false, limit);
        let (answer, records, heard) = sent(balance, &[], &body).await;
        assert_eq!((answer.status.as_u16(), answer.header(LIMIT_HEADER)), (200, Some("100")), "{limit:?}: {}", answer.text());
        let mut expected = body.clone();
        expected["max_tokens"] = json!(100);
        assert_eq!(heard, [expected], "{limit:?}");
        assert_eq!((records[0].held.get(), records[0].output_limit), (balance, Some(100)), "{limit:?}");
    }
}

#[tokio::test]
async fn a_balance_that_turns_out_to_be_low_is_held_for_as_far_as_it_goes() {
    let upstream = simulator(tokens(10));
    // more than a window, less than all that may come
    let world = world(&upstream.base_url(), prompt() + 3 * 5_000, &[]);
    world.ledger.run_low();
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &asked(true, None)).await;
    assert_eq!((answer.status.as_u16(), answer.header(LIMIT_HEADER)), (200, Some("5000")), "{}", answer.text());
    assert_eq!(relay.record().await.held.get(), prompt() + 3 * 5_000);
}

#[tokio::test]
async fn every_byte_but_the_limit_goes_upstream_as_the_caller_wrote_it() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let mut world = world(&upstream.base_url(), prompt() + 300, &[]);
    world.channels[0].model_mapping.clear();
    let relay = world.start().await;
    let written = r#"{"x":1e400,"model":"mistral-large","max_completion_tokens":4096,"messages":[{"role":"user","content":"hello th\u0065re"}],"y":{"b":1,"a":0.10}}"#;
    let request = relay.caller().request(reqwest::Method::POST, CHAT).header("content-type", "application/json").body(written);
    let answer = sluice_testkit::client::send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = written.replace("4096", "100");
    assert_eq!(upstream.heard()[0].body, expected);
}

#[tokio::test]
async fn a_streams_first_headers_say_its_limit_too() {
    let upstream = simulator(tokens(500));
    let relay = world(&upstream.base_url(), prompt() + 300, &[]).start().await;
    let stream = relay.caller().stream(CHAT, &asked(true, Some(400))).await;
    assert_eq!(stream.headers[LIMIT_HEADER], "100");
    assert!(stream.is_done());
    assert_eq!(stream.finish_reason().as_deref(), Some("length"), "the upstream ends it by itself");
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage.output), (Outcome::Completed, 100));
    assert!(record.quota.get() <= prompt() + 300);
    assert_eq!(relay.metric("sluice_relay_clamped_requests_total"), 1);
}

#[tokio::test]
async fn with_less_than_the_floor_or_where_a_site_wants_no_other_limit_the_request_is_refused() {
    let below = prompt() + 3 * 16 - 1;
    for (balance, settings, status) in [
        (below, &[][..], 403),
        (below + 1, &[], 200),
        (below + 1, &[("clamp_floor", "17")], 403),
        (below, &[("clamp_floor", "15")], 200),
        (prompt() + 300, &[("clamp_output", "false")], 403),
    ] {
        let (answer, records, heard) = sent(balance, settings, &asked(false, Some(400))).await;
        assert_eq!(answer.status.as_u16(), status, "{balance} {settings:?}: {}", answer.text());
        if status == 403 {
            assert_eq!(answer.json()["error"]["code"], "insufficient_user_quota");
            assert!(records.is_empty() && heard.is_empty());
        }
    }
}

#[tokio::test]
async fn while_nobody_can_be_asked_what_is_here_does_for_a_shorter_answer() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let mut world = world(&upstream.base_url(), 100_000_000, &[]);
    world.channels[0].model_mapping.clear();
    let ledger = world.ledger.clone();
    let relay = world.start().await;
    let hold = prompt() + 3 * 2_000;
    assert_eq!(relay.caller().post(CHAT, &asked(false, None)).await.status, 200);
    let paid = relay.record().await.quota.get();
    ledger.go_away();
    // the lease is of one hold, and something was paid of it
    let answer = relay.caller().post(CHAT, &asked(false, None)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let limit = (hold - paid - prompt()) / 3;
    assert_eq!(answer.header(LIMIT_HEADER), Some(limit.to_string().as_str()));
    assert_eq!(relay.wait_for_records(2).await[1].output_limit, u32::try_from(limit).ok());
}

#[tokio::test]
async fn a_model_that_is_known_to_end_by_itself_is_not_told_where_to() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let mut world = world(&upstream.base_url(), prompt() + 300, &[]);
    world.channels[0].model_mapping.clear();
    world.prices = vec![(MODEL, ModelPrice { max_output_tokens: Some(100), ..ratios("1", "3") })];
    let relay = world.start().await;
    let body = asked(false, None);
    assert_eq!(relay.caller().post(CHAT, &body).await.status, 200);
    assert_eq!(serde_json::from_slice::<Value>(&upstream.heard()[0].body).unwrap(), body);
    assert_eq!(relay.record().await.held.get(), prompt() + 300);
}

#[tokio::test]
async fn a_tokens_own_cap_lowers_the_limit_like_the_balance() {
    let upstream = simulator(tokens(500));
    let mut world = world(&upstream.base_url(), 100_000_000, &[]);
    world.tokens[0].capped = true;
    world.ledger.credit(CAP, prompt() + 150);
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &asked(false, Some(400))).await;
    assert_eq!((answer.status.as_u16(), answer.header(LIMIT_HEADER)), (200, Some("50")), "{}", answer.text());
    let answer = relay.caller().post(CHAT, &asked(false, Some(400))).await;
    assert_eq!(answer.json()["error"]["code"], "token_quota_exhausted");
}

const WINDOWED: [(&str, &str); 2] = [("hold_policy", "windowed"), ("default_output_hold", "40")];

#[tokio::test]
async fn a_stream_is_held_for_step_by_step_and_ends_well_while_there_is_money() {
    let upstream = simulator(Scenario { delay_ms: 1, ..tokens(300) });
    let relay = world(&upstream.base_url(), 1_000_000, &WINDOWED).start().await;
    let stream = relay.caller().stream(CHAT, &asked(true, None)).await;
    assert!(stream.is_done() && !stream.headers.contains_key(LIMIT_HEADER), "{stream:?}");
    let record = relay.record().await;
    let output = units(estimate::estimate(MODEL, &stream.text()));
    assert_eq!((record.outcome, record.usage.output), (Outcome::Completed, 300));
    let held = record.held.get() - prompt();
    assert!((3 * output..=3 * (output + 2 * 40)).contains(&held), "{held} for {output} tokens, as we count them");
    assert_eq!(relay.metric("sluice_relay_reserve_shortfall_quota_total"), 0);
}

#[tokio::test]
async fn a_stream_that_nobody_pays_for_any_longer_is_cut_with_an_error_in_it_and_what_was_delivered_is_paid() {
    // event by event, and as fast as it can be read
    for (policy, cap, delay_ms) in [(None, false, 1), (Some(HoldPolicy::Windowed), true, 1), (None, false, 0)] {
        let upstream = simulator(Scenario { delay_ms, ..tokens(100_000) });
        let balance = prompt() + 3 * 100;
        let settings = if policy.is_some() { &WINDOWED[1..] } else { &WINDOWED[..] };
        let mut world = world(&upstream.base_url(), if cap { 100_000_000 } else { balance }, settings);
        world.prices = vec![(MODEL, ModelPrice { hold_policy: policy, ..ratios("1", "3") })];
        world.tokens[0].capped = cap;
        world.ledger.credit(CAP, balance);
        let relay = world.start().await;
        let stream = relay.caller().stream(CHAT, &asked(true, None)).await;

        let code = if cap { "token_quota_exhausted" } else { "insufficient_user_quota" };
        let last = stream.events.last().unwrap().json();
        assert_eq!(last["error"]["code"], code, "{stream:?}");
        assert!(!stream.is_done() && stream.broken.is_none(), "an error and nothing after it");
        let record = relay.record().await;
        assert_eq!((record.outcome, record.error_code.as_str(), record.usage_estimated), (Outcome::Truncated, code, true));
        let delivered = prompt() + 3 * units(estimate::estimate(MODEL, &stream.text()));
        assert_eq!(record.quota.get(), delivered);
        assert!(delivered >= balance - 3, "it is cut when it is used up, and not before: {delivered} of {balance}");
        // each event has one word: nearly two tokens
        assert!(delivered - balance <= 3 * 2, "no more than one event beyond it: {delivered} of {balance}");
        assert_eq!(relay.metric("sluice_relay_reserve_shortfall_quota_total"), delivered - balance);
        assert_eq!(upstream.wait_for(1).await[0].ending, Ending::AbortedByClient);
        assert_eq!(relay.app.engine.seen.take(), [], "that says nothing of the channel");
    }
}

#[tokio::test]
async fn of_events_that_come_together_none_is_given_away_that_nobody_pays_for() {
    let event = r#"data: {"id":"1","choices":[{"index":0,"delta":{"content":"word "}}]}"#.to_owned() + "\n\n";
    let upstream = Recorder::start("text/event-stream", &[event.repeat(1_000).as_bytes()]).await;
    let balance = prompt() + 3 * 100;
    let mut world = world(&upstream.base_url(), balance, &WINDOWED);
    world.channels[0].model_mapping.clear();
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &asked(true, None)).await;
    assert_eq!(stream.error().expect("an error")["code"], "insufficient_user_quota");
    let delivered = prompt() + 3 * units(estimate::estimate(MODEL, &stream.text()));
    assert_eq!(relay.record().await.quota.get(), delivered);
    assert!((balance - 3..=balance + 3 * 2).contains(&delivered), "{delivered} of {balance}");
}

#[tokio::test]
async fn a_stream_whose_money_cannot_be_asked_for_ends_as_not_known_and_never_as_unpaid() {
    let upstream = simulator(Scenario { delay_ms: 2, ..tokens(100_000) });
    let world = world(&upstream.base_url(), 1_000_000, &WINDOWED);
    let ledger = world.ledger.clone();
    let relay = world.start().await;
    let mut stream = relay.caller().open(CHAT, &asked(true, None)).await.unwrap();
    stream.next().await.unwrap().expect("it begins");
    ledger.go_away();
    let rest = stream.collect().await;
    assert_eq!(rest.error().expect("an error")["code"], "authority_unavailable", "{rest:?}");
    assert!(!rest.is_done());
    assert_eq!(relay.record().await.outcome, Outcome::Truncated);
}

#[tokio::test]
async fn adaptive_streams_are_followed_beyond_their_window() {
    let upstream = simulator(Scenario { delay_ms: 1, ..tokens(200) });
    let relay = world(&upstream.base_url(), 100_000_000, &[("default_output_hold", "50")]).start().await;
    let stream = relay.caller().stream(CHAT, &asked(true, None)).await;
    assert!(stream.is_done());
    let record = relay.record().await;
    assert!(record.held.get() >= prompt() + 3 * 200, "{}", record.held);
    assert_eq!(record.output_limit, None);
}

#[tokio::test]
async fn what_an_upstream_brings_beyond_its_limit_is_debt_and_counted() {
    let upstream = simulator(Scenario { prompt_tokens: Some(9), completion_tokens: Some(1_000), ..tokens(10) });
    let balance = prompt() + 3 * 50;
    let relay = world(&upstream.base_url(), balance, &[]).start().await;
    let answer = relay.caller().post(CHAT, &asked(false, Some(400))).await;
    assert_eq!((answer.status.as_u16(), answer.header(LIMIT_HEADER)), (200, Some("50")));
    let record = relay.record().await;
    assert_eq!(record.quota.get(), 9 + 3 * 1_000, "what the provider says it cost is paid");
    assert_eq!(relay.metric("sluice_relay_reserve_shortfall_quota_total"), 3_009 - balance);
    assert_eq!(relay.caller().post(CHAT, &asked(false, Some(400))).await.status, 403, "and blocks what comes next");
}

/// So many requests at once. Gives how many were served; the others were refused for want of quota.
async fn crowd(relay: &TestRelay, requests: usize, limit: u32) -> usize {
    let (caller, body) = (relay.caller(), asked(false, Some(limit)));
    let answers = join_all((0..requests).map(|_| caller.post(CHAT, &body))).await;
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.json()["error"]["code"], "insufficient_user_quota", "{}", answer.text());
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn many_at_once_never_settle_more_than_there_is_and_nobody_is_refused_while_there_is_enough() {
    let upstream = simulator(Scenario { headers_delay_ms: 20, ..tokens(1_000) });
    let credit = 20 * (prompt() + 3 * 200) + 77;
    let relay = world(&upstream.base_url(), credit, &[("hold_policy", "strict")]).start().await;
    let served = crowd(&relay, 120, 200).await;
    assert!(served >= 20, "{served} served, and twenty could be held for at once");
    let least = prompt() + 3 * 16;
    let mut count = served;
    let spent = async |count: usize| -> i64 { relay.wait_for_records(count).await.iter().map(|record| record.quota.get()).sum() };
    while credit - spent(count).await >= least {
        assert_eq!(crowd(&relay, 1, 200).await, 1, "{} of {credit} are spent", spent(count).await);
        count += 1;
    }
    assert_eq!(crowd(&relay, 1, 200).await, 0);
    assert!(spent(count).await <= credit, "{} of {credit}", spent(count).await);
    assert_eq!(relay.metric("sluice_relay_reserve_shortfall_quota_total"), 0);
}

#[tokio::test]
async fn a_price_per_call_is_held_exactly_whatever_the_policy() {
    for policy in HoldPolicy::WORDS {
        let upstream = simulator(tokens(500));
        let mut world = world(&upstream.base_url(), 1_000, &[]);
        world.settings.push(("hold_policy", policy));
        world.prices = vec![(MODEL, ModelPrice { per_call_usd: Some("0.002".parse().unwrap()), ..ModelPrice::default() })];
        let relay = world.start().await;
        for stream in [true, false] {
            let answer = relay.caller().post(CHAT, &asked(stream, None)).await;
            assert_eq!(answer.status.as_u16(), if stream { 200 } else { 403 }, "{policy}: {}", answer.text());
            assert_eq!(answer.header(LIMIT_HEADER), None);
        }
        let record = relay.record().await;
        assert_eq!((record.held.get(), record.quota.get(), record.usage.output), (1_000, 1_000, 500), "{policy}");
    }
}

#[tokio::test]
async fn embeddings_are_held_for_their_input_alone() {
    let upstream = simulator(Scenario::default());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = json!({"model": name("text-embedding-3-small").as_str(), "input": "hello there"});
    assert_eq!(relay.caller().post("/v1/embeddings", &body).await.status, 200);
    assert_eq!(relay.record().await.held.get(), 5, "500 tokens at a hundredth of a unit");
}
