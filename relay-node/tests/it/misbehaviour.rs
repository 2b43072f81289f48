//! The conformance suite: everything upstreams are known to do wrong, streamed and not, with what the caller sees and what it pays.
//!
//! Each row is played three times against the real simulator: with one channel and no retry, so that the bare outcome shows; with one
//! channel and retries; and with a second channel that is well, which has to save what can be saved. An outcome reads `status code`, with
//! `then code` for an error inside a stream. What is charged is worked out here from what the caller got, by `sluice_billing` alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sluice_billing::{Estimator, Rate, Ratio, estimate, price};
use sluice_domain::{Outcome, RequestRecord, Usage};
use sluice_relay_node::forward::Timing;
use sluice_testkit::simulator::{QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::net::TcpSocket;

use crate::relay::{TestRelay, World, channel, ratios};

const CHAT: &str = "/v1/chat/completions";
/// What the simulator says when it is well: four words.
const WELL: &str = "tokens=4";
const WELL_WORDS: u64 = 4;
/// What it is asked: seven words.
const QUESTION: &str = "one two three four five six seven";
const MODEL: &str = "mistral-large";

/// One misbehaviour: its scenario, and what becomes of a stream and of a plain answer.
struct Row {
    name: &'static str,
    scenario: &'static str,
    stream: Seen,
    plain: Seen,
}

/// The outcome with one channel, what is paid for it, and whether another channel helps.
struct Seen {
    alone: &'static str,
    paid: Paid,
    saved: bool,
}

/// What is paid for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Paid {
    /// Nothing: no answer began.
    Nothing,
    /// What the upstream reported: a token for each word of the question and of the answer.
    Reported,
    /// What was asked, and what the caller got of the answer, counted by weights.
    Delivered,
}

const fn lost(alone: &'static str) -> Seen {
    Seen { alone, paid: Paid::Nothing, saved: false }
}

const fn saved(alone: &'static str) -> Seen {
    Seen { alone, paid: Paid::Nothing, saved: true }
}

/// An answer that began. Nobody else can be asked then.
const fn begun(alone: &'static str, paid: Paid) -> Seen {
    Seen { alone, paid, saved: false }
}

const FINE: Seen = begun("200 done", Paid::Reported);
/// The same answer where the upstream's figures are no good.
const ESTIMATED: Seen = begun("200 done", Paid::Delivered);

const ROWS: &[Row] = &[
    Row {
        name: "connection refused",
        scenario: "refused",
        stream: saved("502 do_request_failed"),
        plain: saved("502 do_request_failed"),
    },
    Row {
        name: "reset before headers",
        scenario: "reset_before_headers",
        stream: saved("502 do_request_failed"),
        plain: saved("502 do_request_failed"),
    },
    Row {
        name: "hang before headers",
        scenario: "hang_before_headers",
        stream: saved("504 upstream_timeout"),
        plain: lost("504 upstream_timeout"),
    },
    Row { name: "slow headers", scenario: "headers_delay_ms=150 tokens=4", stream: FINE, plain: FINE },
    Row { name: "slow first token", scenario: "first_token_delay_ms=150 tokens=4", stream: FINE, plain: FINE },
    Row {
        name: "hang before the first token",
        scenario: "hang after=0 tokens=4",
        stream: saved("504 upstream_timeout"),
        plain: lost("504 upstream_timeout"),
    },
    Row {
        name: "stall inside",
        scenario: "hang after=12 tokens=30",
        stream: begun("200 then upstream_timeout", Paid::Delivered),
        plain: lost("504 upstream_timeout"),
    },
    Row {
        name: "reset inside",
        scenario: "reset after=12 tokens=30",
        stream: begun("200 then stream_truncated", Paid::Delivered),
        plain: saved("502 bad_response_body"),
    },
    Row {
        name: "closed inside",
        scenario: "truncate after=12 tokens=30",
        stream: begun("200 then stream_truncated", Paid::Delivered),
        plain: saved("502 bad_response_body"),
    },
    Row {
        name: "ended inside",
        scenario: "close after=12 tokens=30",
        stream: begun("200 then stream_truncated", Paid::Delivered),
        plain: saved("502 bad_response_body"),
    },
    Row {
        name: "missing terminator",
        scenario: "no_done tokens=4",
        stream: begun("200 then stream_truncated", Paid::Reported),
        plain: FINE,
    },
    Row {
        name: "malformed chunk",
        scenario: "malformed after=3 tokens=4",
        stream: begun("200 then bad_response_body", Paid::Delivered),
        plain: saved("502 bad_response_body"),
    },
    Row {
        name: "malformed chunk at first",
        scenario: "malformed after=1 tokens=4",
        stream: saved("502 bad_response_body"),
        plain: saved("502 bad_response_body"),
    },
    Row {
        name: "200 with an error",
        scenario: "error_body",
        stream: saved("502 server_error"),
        plain: saved("502 server_error"),
    },
    Row {
        name: "error as first event",
        scenario: "error_event after=0",
        stream: saved("502 server_error"),
        plain: saved("502 server_error"),
    },
    Row {
        name: "error event inside",
        scenario: "error_event after=12 tokens=30",
        stream: begun("200 then server_error", Paid::Delivered),
        plain: saved("502 server_error"),
    },
    Row { name: "429", scenario: "429", stream: saved("429 rate_limit_exceeded"), plain: saved("429 rate_limit_exceeded") },
    Row {
        name: "429 with Retry-After",
        scenario: "429 retry_after=9",
        stream: saved("429 rate_limit_exceeded, come back in 9"),
        plain: saved("429 rate_limit_exceeded, come back in 9"),
    },
    Row { name: "500", scenario: "500", stream: saved("500 server_error"), plain: saved("500 server_error") },
    Row { name: "503", scenario: "503", stream: saved("503 server_error"), plain: saved("503 server_error") },
    Row { name: "504", scenario: "504", stream: lost("504 server_error"), plain: lost("504 server_error") },
    Row { name: "400", scenario: "400", stream: lost("400 invalid_request_error"), plain: lost("400 invalid_request_error") },
    Row { name: "401", scenario: "401", stream: saved("502 upstream_auth_failed"), plain: saved("502 upstream_auth_failed") },
    Row { name: "402", scenario: "402", stream: saved("502 upstream_auth_failed"), plain: saved("502 upstream_auth_failed") },
    Row { name: "empty answer", scenario: "empty", stream: saved("502 empty_response"), plain: saved("502 empty_response") },
    Row { name: "no body", scenario: "empty_body", stream: saved("502 bad_response_body"), plain: saved("502 empty_response") },
    Row { name: "web page", scenario: "html", stream: saved("502 bad_response"), plain: saved("502 bad_response") },
    Row {
        name: "document for a stream",
        scenario: "json_for_stream tokens=4",
        stream: saved("502 bad_response_body"),
        plain: FINE,
    },
    Row { name: "stream for a document", scenario: "stream_for_json tokens=4", stream: FINE, plain: saved("502 bad_response") },
    Row {
        name: "oversized",
        scenario: "oversized bytes=3000000",
        stream: saved("502 bad_response_body"),
        plain: saved("502 bad_response_body"),
    },
    Row { name: "negative usage", scenario: "usage=negative tokens=4", stream: ESTIMATED, plain: ESTIMATED },
    Row { name: "absurd usage", scenario: "usage=absurd tokens=4", stream: ESTIMATED, plain: ESTIMATED },
    Row { name: "no usage", scenario: "usage=missing tokens=4", stream: ESTIMATED, plain: ESTIMATED },
];

fn simulator(scenario: &str) -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::default());
    let scenario: Scenario = scenario.parse().unwrap();
    simulator.queue(QueuedScenario::from(scenario).times(1_000));
    simulator
}

/// A port that is taken and that nobody listens on.
fn nobody() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

/// Limits are short where nothing is to come within them, and only there: what comes may take its time on a busy machine.
fn limit(world: &mut World, scenario: &str) {
    let is_silent = ["hang_before_headers", "hang after=0"].iter().any(|silent| scenario.starts_with(silent));
    if is_silent {
        world.channels[0].policy.first_output = Some(Duration::from_millis(500));
    }
    if scenario.starts_with("hang") {
        world.timing = Timing { answer: Some(Duration::from_secs(2)), stream_idle: Duration::from_secs(2), ..Timing::default() };
    }
}

async fn relay((bad, scenario): (&str, &str), other: Option<&str>, retries: &'static str) -> TestRelay {
    let mut world = World::with_upstream(bad);
    world.channels[0].priority = 10;
    world.channels.extend(other.map(|other| channel(2, other)));
    for channel in &mut world.channels {
        channel.model_mapping.insert(MODEL.into(), "sim-plain".into());
    }
    world.settings = vec![("retry_times", retries)];
    limit(&mut world, scenario);
    world.adjust = |settings| settings.requests.max_line_bytes = 1 << 20;
    world.start().await
}

/// Sends the question, and looks at the answer and at its record, which is the relay's `nth`.
async fn outcome(relay: &TestRelay, is_stream: bool, paid: Paid, nth: usize) -> (String, RequestRecord) {
    let body = json!({"model": MODEL, "stream": is_stream, "messages": [{"role": "user", "content": QUESTION}]});
    let answer = relay.caller().post(CHAT, &body).await;
    let (seen, said) = match answer.status.as_u16() {
        200 if is_stream => (ending(&answer.text()), said_in(&answer.text())),
        200 => ("200 done".to_owned(), text_of(&answer.json()["choices"][0]["message"]["content"])),
        status => {
            let when = answer.header("retry-after").map(|secs| format!(", come back in {secs}")).unwrap_or_default();
            (format!("{status} {}{when}", word(&answer.json()["error"])), String::new())
        }
    };
    let record = relay.wait_for_records(nth).await.remove(nth - 1);
    let (usage, is_estimated) = expected(paid, &said);
    assert_eq!((record.usage, record.usage_estimated), (usage, is_estimated), "{seen}, {paid:?}: {said:?}");
    assert_eq!(record.quota, price(&rate(), &usage, &[]).unwrap(), "the price of what is paid for");
    let charged: i64 = record.charges.iter().map(|charge| charge.amount.get()).sum();
    assert_eq!(charged, record.quota.get(), "what is charged is the price");
    (seen, record)
}

/// The price the relay is told: a unit for a token of input, three for one of output.
fn rate() -> Rate {
    Rate::new(Arc::new(ratios("1", "3")), Ratio::ONE)
}

/// What has to be paid for, of an answer of which the caller got so much, and whether it is counted here.
fn expected(paid: Paid, said: &str) -> (Usage, bool) {
    let words = |text: &str| text.split_whitespace().count() as u64;
    match paid {
        Paid::Nothing => (Usage::default(), false),
        Paid::Reported => (Usage { input: words(QUESTION), output: WELL_WORDS, ..Usage::default() }, false),
        Paid::Delivered => {
            let mut prompt = Estimator::for_model(MODEL);
            for text in ["user", QUESTION] {
                prompt.push(text);
                prompt.separate();
            }
            let input = prompt.finish() + estimate::prompt_overhead(1, 0, 0);
            (Usage { input, output: estimate::estimate(MODEL, said), ..Usage::default() }, true)
        }
    }
}

/// The content of a stream, as far as it can be read.
fn said_in(text: &str) -> String {
    let events = text.split("\n\n").filter_map(|event| serde_json::from_str::<Value>(event.trim().strip_prefix("data: ")?).ok());
    events.map(|event| text_of(&event["choices"][0]["delta"]["content"])).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// How a stream ended: with its terminator, or with an error and nothing after it.
fn ending(text: &str) -> String {
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    match last.strip_prefix("data: ") {
        Some("[DONE]") => "200 done".to_owned(),
        Some(data) => {
            assert!(!text.contains("[DONE]"), "{text}");
            let event: Value = serde_json::from_str(data).unwrap();
            if event["error"].is_null() { "200 and no end".to_owned() } else { format!("200 then {}", word(&event["error"])) }
        }
        None => format!("200 and {last:?}"),
    }
}

fn word(error: &Value) -> String {
    error["code"].as_str().or(error["type"].as_str()).unwrap_or("?").to_owned()
}

async fn play((row, is_stream): (&Row, bool)) -> Vec<String> {
    let mut failures = Vec::new();
    let expected = if is_stream { &row.stream } else { &row.plain };
    let label = format!("{} ({})", row.name, if is_stream { "stream" } else { "plain" });
    let bad = (row.scenario != "refused").then(|| simulator(row.scenario));
    let nobody = nobody();
    let bad_url = bad.as_ref().map_or_else(|| format!("http://{}", nobody.local_addr().unwrap()), Simulator::base_url);
    let first = (bad_url.as_str(), row.scenario);
    let well = simulator(WELL);

    let (seen, record) = outcome(&relay(first, None, "0").await, is_stream, expected.paid, 1).await;
    if seen != expected.alone {
        failures.push(format!("{label}: {seen:?}, not {:?}", expected.alone));
    }
    assert_eq!(record.attempts.len(), 1, "{label}");
    let is_good = seen.starts_with("200 done");
    assert_eq!(record.outcome == Outcome::Completed, is_good, "{label}: {seen}");

    // alone, retries change nothing: the last candidate is asked, and not twice in one request
    let (again, record) = outcome(&relay(first, None, "2").await, is_stream, expected.paid, 1).await;
    assert_eq!((again, record.attempts.len()), (seen.clone(), 1), "{label}");

    let (wanted, paid, attempts) = if expected.saved { (FINE.alone, FINE.paid, 2) } else { (&seen[..], expected.paid, 1) };
    let (helped, record) = outcome(&relay(first, Some(&well.base_url()), "2").await, is_stream, paid, 1).await;
    if helped != wanted || record.attempts.len() != attempts {
        failures.push(format!("{label}, with another channel: {helped:?} after {}, not {wanted:?}", record.attempts.len()));
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misbehaviour_has_its_outcome_and_its_charge() {
    let plays = ROWS.iter().flat_map(|row| [(row, true), (row, false)]);
    let failures: Vec<String> = stream::iter(plays).map(play).buffer_unordered(8).concat().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_5xx_costs_nothing_and_is_over_when_it_is_over() {
    for is_stream in [true, false] {
        let upstream = Simulator::start(SimulatorConfig::default());
        for status in [500, 502, 503, 500, 502, 503] {
            upstream.queue(QueuedScenario::from(Scenario::status(status)));
        }
        upstream.queue(QueuedScenario::from(WELL.parse::<Scenario>().unwrap()).times(2));
        let relay = relay((&upstream.base_url(), WELL), None, "0").await;
        let mut seen = Vec::new();
        for nth in 1..=8 {
            let paid = if nth <= 6 { Paid::Nothing } else { Paid::Reported };
            seen.push(outcome(&relay, is_stream, paid, nth).await.0);
        }
        let expected = ["500", "502", "503", "500", "502", "503"].map(|status| format!("{status} server_error"));
        assert_eq!(seen[..6], expected, "stream: {is_stream}");
        assert_eq!(seen[6..], ["200 done", "200 done"], "the last channel is never left out; stream: {is_stream}");
    }
}
