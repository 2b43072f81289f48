//! Attempts: what is tried again, where, in which order, and what the caller is told at the end.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sluice_domain::{Outcome, RequestRecord};
use sluice_relay_node::forward::Timing;
use sluice_testkit::simulator::{Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig};

use crate::recorder::Recorder;
use crate::relay::{World, channel, channel_key};

const CHAT: &str = "/v1/chat/completions";

fn hello() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]})
}

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn always(scenario: Scenario) -> QueuedScenario {
    QueuedScenario::from(scenario).times(1_000)
}

fn channels_of(record: &RequestRecord) -> Vec<i64> {
    record.attempts.iter().map(|attempt| attempt.channel_id.get()).collect()
}

/// Two channels: the first always first, and failing like this; the second well.
async fn first_fails(scenario: Scenario) -> (u16, Value, RequestRecord) {
    let (bad, good) = (simulator(), simulator());
    bad.queue(always(scenario));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &good.base_url()));
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    (answer.status.as_u16(), answer.json(), relay.record().await)
}

#[tokio::test]
async fn failures_that_another_channel_may_not_have_are_tried_there() {
    for scenario in [
        Scenario::status(429),
        Scenario::status(500),
        Scenario::status(502),
        Scenario::status(503),
        Scenario { error_code: Some("model_not_found".into()), ..Scenario::status(404) },
        Scenario::fault(Fault::ResetBeforeHeaders, 0),
        Scenario::fault(Fault::Reset, 0),
        Scenario::fault(Fault::Malformed, 0),
        Scenario::fault(Fault::Html, 0),
        Scenario::fault(Fault::Empty, 0),
        Scenario::fault(Fault::EmptyBody, 0),
        Scenario::fault(Fault::ErrorBody, 0),
        Scenario::fault(Fault::StreamForJson, 0),
    ] {
        let label = scenario.label();
        let (status, body, record) = first_fails(scenario).await;
        assert_eq!((status, channels_of(&record)), (200, vec![1, 2]), "{label}: {body}");
        assert_eq!((record.outcome, record.channel_id.map(sluice_domain::ChannelId::get)), (Outcome::Completed, Some(2)));
        assert!(!record.attempts[0].error.is_empty() && record.attempts[1].error.is_empty(), "{label}: {:?}", record.attempts);
    }
}

#[tokio::test]
async fn failures_that_would_only_repeat_are_told_at_once() {
    for (scenario, status) in [
        (Scenario::status(400), 400),
        (Scenario { error_code: Some("gone".into()), error_message: Some("gone".into()), ..Scenario::status(404) }, 404),
        (Scenario::status(413), 413),
        (Scenario::status(422), 422),
        (Scenario::status(504), 504),
    ] {
        let (answered, body, record) = first_fails(scenario).await;
        assert_eq!((answered, channels_of(&record)), (status, vec![1]), "{body}");
        assert_eq!((record.outcome, record.status, record.quota.get()), (Outcome::Failed, status, 0));
        assert!(body["error"]["message"].as_str().unwrap().contains("(request id: "), "{body}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_elsewhere() {
    let good = simulator();
    let mut world = World::with_upstream("http://127.0.0.1:9");
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &good.base_url()));
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 200);
    let record = relay.record().await;
    assert_eq!((channels_of(&record), record.attempts[0].error.as_str()), (vec![1, 2], "connect"));
    assert_eq!(relay.metric(r#"sluice_relay_upstream_attempts_total{provider="openai-compatible",result="connect"}"#), 1);
}

#[tokio::test]
async fn a_refused_key_is_followed_by_the_channels_other_key() {
    let upstream = Simulator::start(SimulatorConfig::default().with_keys(["good-key"]));
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].keys = vec![channel_key(1, "bad-key-one"), channel_key(2, "good-key"), channel_key(3, "bad-key-two")];
    let relay = world.start().await;
    for _ in 0..10 {
        let answer = relay.caller().post(CHAT, &hello()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let records = relay.wait_for_records(10).await;
    let mut tried_twice = 0;
    for record in &records {
        let keys: Vec<i64> = record.attempts.iter().map(|attempt| attempt.channel_key_id.get()).collect();
        assert_eq!(keys.last(), Some(&2), "{keys:?}");
        tried_twice += usize::from(keys.len() > 1);
    }
    assert!(tried_twice > 0, "ten requests do not all begin with the good one of three keys");
}

#[tokio::test]
async fn an_upstream_that_refuses_our_only_key_is_not_the_callers_401() {
    let upstream = Simulator::start(SimulatorConfig::default().with_keys(["other"]));
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status.as_u16(), &error["code"], &error["type"]),
        (502, &json!("upstream_auth_failed"), &json!("upstream_error"))
    );
    assert!(!answer.text().contains("upstream-key-1") && !answer.text().contains("127.0.0.1"), "{}", answer.text());
    let record = relay.record().await;
    assert_eq!((record.attempts[0].status, record.error_code.as_str()), (401, "upstream_auth_failed"));
}

#[tokio::test]
async fn attempts_step_down_the_tiers_and_no_channel_is_tried_twice() {
    let (bad, good) = (simulator(), simulator());
    bad.queue(always(Scenario::status(500)));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels[0].priority = 10;
    let mut same_tier = channel(2, &bad.base_url());
    same_tier.priority = 10;
    world.channels.push(same_tier);
    world.channels.push(channel(3, &good.base_url()));
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 200);
    let tried = channels_of(&relay.record().await);
    assert!(tried.len() == 2 && tried[1] == 3, "{tried:?}");
}

#[tokio::test]
async fn the_number_of_attempts_is_bounded_and_the_last_error_is_told() {
    let bad = simulator();
    bad.queue(always(Scenario::status(500)));
    for (setting, attempts) in [("0", 1), ("2", 3), ("10", 5)] {
        let mut world = World::with_upstream(&bad.base_url());
        world.channels = (1..=5).map(|id| channel(id, &bad.base_url())).collect();
        world.settings = vec![("retry_times", setting)];
        let relay = world.start().await;
        let answer = relay.caller().post(CHAT, &hello()).await;
        assert_eq!(answer.status, 500);
        let record = relay.record().await;
        assert_eq!(record.attempts.len(), attempts);
        let mut channels = channels_of(&record);
        channels.sort_unstable();
        channels.dedup();
        assert_eq!(channels.len(), attempts, "no channel twice");
        assert_eq!((record.quota.get(), record.charges.iter().map(|charge| charge.amount.get()).sum::<i64>()), (0, 0));
    }
}

#[tokio::test]
async fn an_empty_answer_everywhere_is_a_502_that_costs_nothing() {
    let bad = simulator();
    bad.queue(always(Scenario::fault(Fault::Empty, 0)));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels.push(channel(2, &bad.base_url()));
    let relay = world.start().await;
    for stream in [false, true] {
        let mut body = hello();
        body["stream"] = json!(stream);
        let answer = relay.caller().post(CHAT, &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (502, Some("empty_response")));
    }
    for record in relay.wait_for_records(2).await {
        assert_eq!((record.attempts.len(), record.quota.get(), record.outcome), (2, 0, Outcome::Failed));
    }
}

#[tokio::test]
async fn a_web_page_is_told_as_such() {
    let bad = simulator();
    bad.queue(always(Scenario::fault(Fault::Html, 0)));
    let relay = World::with_upstream(&bad.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (502, Some("bad_response")));
}

#[tokio::test]
async fn upstream_messages_are_masked() {
    let message = "see https://api.secret-host.com/v1/x?key=sk-12345678901234567890 or 10.1.2.3";
    let bad = simulator();
    bad.queue(Scenario { error_message: Some(message.into()), ..Scenario::status(400) });
    let relay = World::with_upstream(&bad.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    for secret in ["secret-host", "sk-1234", "10.1.2.3"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    assert!(answer.text().contains("see https://***.com/"), "{}", answer.text());
}

#[tokio::test]
async fn a_final_429_says_when_to_come_back() {
    let bad = simulator();
    bad.queue(always(Scenario { retry_after: Some(7), ..Scenario::status(429) }));
    let relay = World::with_upstream(&bad.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")));
}

#[tokio::test]
async fn a_channel_that_keeps_failing_is_left_out_but_never_the_last_one() {
    let (bad, good) = (simulator(), simulator());
    bad.queue(always(Scenario::status(500)));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &good.base_url()));
    let relay = world.start().await;
    for _ in 0..8 {
        assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 200);
    }
    let records = relay.wait_for_records(8).await;
    let first: Vec<i64> = records.iter().map(|record| record.attempts[0].channel_id.get()).collect();
    assert_eq!(first, [1, 1, 1, 1, 1, 2, 2, 2]);

    let relay = World::with_upstream(&bad.base_url()).start().await;
    for _ in 0..8 {
        assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 500, "asked, not refused with 503");
    }
}

#[tokio::test]
async fn a_silent_upstream_is_given_up_in_time_and_another_one_tried() {
    let (bad, good) = (simulator(), simulator());
    bad.queue(always(Scenario::fault(Fault::HangBeforeHeaders, 0)));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &good.base_url()));
    // for the one that is well this is time enough
    world.timing = Timing { first_byte: Duration::from_secs(3), ..Timing::default() };
    let relay = world.start().await;
    let mut body = hello();
    body["stream"] = json!(true);
    let stream = relay.caller().stream(CHAT, &body).await;
    assert!(stream.is_done(), "{stream:?}");
    let record = relay.record().await;
    assert_eq!((channels_of(&record), record.attempts[0].error.as_str()), (vec![1, 2], "first_byte_timeout"));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_a_504_at_the_deadline() {
    let bad = simulator();
    bad.queue(always(Scenario::fault(Fault::Hang, 0)));
    let mut world = World::with_upstream(&bad.base_url());
    world.timing = Timing { answer: Some(Duration::from_secs(1)), ..Timing::default() };
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (504, Some("upstream_timeout")));
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_buffered() {
    let upstream = Recorder::start("application/json", &[&vec![b' '; 1 << 16][..]; 40]).await;
    let world =
        World { adjust: |settings| settings.requests.max_line_bytes = 1 << 20, ..World::with_upstream(&upstream.base_url()) };
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (502, Some("bad_response_body")));
    assert_eq!(relay.app.bytes.free_bytes(), 256 << 20);
}

#[tokio::test]
async fn all_channels_switched_off_is_a_503_and_none_at_all_a_404() {
    let mut world = World::with_upstream("http://127.0.0.1:9");
    world.channels[0].status = sluice_domain::Status::AutoDisabled;
    let answer = world.start().await.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (503, Some("no_available_channel")));
    assert!(answer.header("retry-after").is_some());

    let mut world = World::with_upstream("http://127.0.0.1:9");
    world.channels.clear();
    let answer = world.start().await.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
}

#[tokio::test]
async fn a_caller_who_leaves_between_two_attempts_pays_for_neither() {
    let upstream = simulator();
    upstream.queue(always(Scenario { error_type: Some("rate_limit_error".into()), ..Scenario::fault(Fault::ErrorBody, 0) }));
    let long = Duration::from_mins(10);
    for (stream, per_call) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels.push(channel(2, &upstream.base_url()));
        world.timing = Timing { first_backoff: long, longest_backoff: long, answer: None, ..Timing::default() };
        if per_call {
            world.prices[0].1.per_call_usd = Some("0.1".parse().unwrap());
        }
        let relay = world.start().await;
        let mut body = hello();
        body["stream"] = json!(stream);
        let caller = relay.caller();
        let failed_once = async {
            let line = r#"sluice_relay_upstream_attempts_total{provider="openai-compatible",result="upstream_refused"} 1"#;
            while !relay.registry.render().contains(line) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = caller.post(CHAT, &body) => panic!("nobody answers: {}", answer.text()),
            () = failed_once => {}
        }
        let record = relay.record().await;
        assert_eq!((record.outcome, record.quota.get(), record.attempts.len()), (Outcome::Aborted, 0, 1), "{stream} {per_call}");
        assert!(record.usage.is_empty(), "{:?}", record.usage);
    }
}

#[tokio::test]
async fn what_a_failed_attempt_brought_is_not_on_record() {
    let error = br#"{"error":{"message":"boom","type":"server_error"}}"#;
    let upstream = Recorder::start("application/json", &[error]).await;
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, "http://127.0.0.1:9"));
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 502);
    let record = relay.record().await;
    assert_eq!(record.attempts.len(), 2);
    assert_eq!((record.first_byte_millis, record.upstream_request_id.as_str()), (None, ""));
}

#[tokio::test]
async fn half_a_character_in_an_answer_passes_as_it_came() {
    let body = br#"{"model":"gpt-4o","choices":[{"message":{"content":"Hi \ud83d"},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let upstream = Recorder::start("application/json", &[body]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &body[..]));
    assert_eq!(relay.record().await.usage.output, 2);
}

#[tokio::test]
async fn an_answer_the_filter_cut_to_nothing_costs_nothing_where_no_usage_is_reported() {
    let body = br#"{"model":"gpt-4o","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}"#;
    let upstream = Recorder::start("application/json", &[body]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 200);
    let record = relay.record().await;
    assert_eq!((record.outcome, record.quota.get(), record.usage_estimated), (Outcome::Completed, 0, false));
}

/// Nobody is asked twice in one request, so what saves a caller from one upstream's error is another upstream that is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_notices_that_a_tenth_of_all_answers_are_500s_of_one_of_two_upstreams() {
    const REQUESTS: usize = 600;
    let (bad, well) = (simulator(), simulator());
    bad.queue(QueuedScenario::from(Scenario::status(500)).forever().every(5));
    let mut world = World::with_upstream(&bad.base_url());
    world.channels.push(channel(2, &well.base_url()));
    let relay = world.start().await;
    let (caller, body) = (relay.caller(), hello());
    let calls = stream::iter(0..REQUESTS).map(|_| caller.post(CHAT, &body)).buffer_unordered(16);
    let refused: Vec<String> =
        calls.filter_map(|answer| async move { (answer.status != 200).then(|| answer.text()) }).collect().await;
    assert_eq!(refused, [""; 0]);
    let failed = bad.stats().by_status.get(&500).copied().unwrap_or(0);
    let all = bad.stats().finished + well.stats().finished;
    assert!(failed * 100 >= all * 7, "{failed} of {all} answers were errors, so this says something");
    let records = relay.wait_for_records(REQUESTS).await;
    assert!(records.iter().all(|record| record.outcome == Outcome::Completed && record.quota.is_positive()));
    let attempts: usize = records.iter().map(|record| record.attempts.len()).sum();
    assert_eq!(attempts as u64, REQUESTS as u64 + failed, "each error was tried elsewhere, once");
}
