//! Streams: bytes as they came, usage shown or hidden, honest ends, pings, and callers who leave.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_billing::Tokenizer;
use sluice_billing::tokenizer::Vocabulary;
use sluice_dialect::sse::Splitter;
use sluice_domain::Outcome;
use sluice_relay_node::forward::Timing;
use sluice_testkit::client::{Transcript, send};
use sluice_testkit::simulator::{Ending, Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig, UsageReport};
use tokio::sync::Semaphore;

use crate::held::Held;
use crate::recorder::Recorder;
use crate::relay::World;

const CHAT: &str = "/v1/chat/completions";

fn streamed() -> Value {
    json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hello there"}]})
}

fn with_usage() -> Value {
    let mut body = streamed();
    body["stream_options"] = json!({"include_usage": true});
    body
}

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

const HEAD: &[u8] = b": keep-alive\r\n\r\ndata: {\"id\":\"c1\",\"created\":7,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"x\":1e400}\r\n\r\n";
const TEXT: &[u8] =
    b"event: x\ndata:{\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9\"}}]}\n\n";
const STOP: &[u8] =
    b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &[u8] = b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

#[tokio::test]
async fn a_stream_comes_through_byte_for_byte_less_the_usage_nobody_asked_for() {
    let all = [HEAD, TEXT, STOP, USAGE, DONE].concat();
    let cut: Vec<&[u8]> = all.chunks(11).collect();
    let upstream = Recorder::start("text/event-stream", &cut).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &streamed()).await;
    assert_eq!(answer.text(), String::from_utf8([HEAD, TEXT, STOP, DONE].concat()).unwrap());
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!((answer.header("cache-control"), answer.header("x-accel-buffering")), (Some("no-cache"), Some("no")));
    let answer = relay.caller().post(CHAT, &with_usage()).await;
    assert_eq!(answer.body, all);
    for record in relay.wait_for_records(2).await {
        assert_eq!((record.usage.input, record.usage.output, record.usage_estimated), (9, 2, false));
        assert!(record.first_byte_millis.is_some());
    }
}

#[tokio::test]
async fn usage_is_always_asked_for_and_the_rest_of_the_body_stays() {
    let upstream = Recorder::start("text/event-stream", &[TEXT, STOP, DONE]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}],"stream_options":{"x":1}}"#;
    let request = relay.caller().request(Method::POST, CHAT).header("content-type", "application/json").body(body);
    send(request).await.unwrap();
    let expected = body.replace(r#"{"x":1}"#, r#"{"x":1,"include_usage":true}"#);
    assert_eq!(upstream.heard()[0].body, expected);

    let mut world = World::with_upstream(&upstream.base_url());
    world.settings = vec![("force_stream_option", "false")];
    let relay = world.start().await;
    let request = relay.caller().request(Method::POST, CHAT).header("content-type", "application/json").body(body);
    send(request).await.unwrap();
    assert_eq!(upstream.heard()[1].body, body);
}

#[tokio::test]
async fn a_site_may_show_usage_to_everybody() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.settings = vec![("enforce_include_usage", "true")];
    let stream = world.start().await.caller().stream(CHAT, &streamed()).await;
    assert!(stream.usage().is_some() && stream.is_done());
    let stream = World::with_upstream(&upstream.base_url()).start().await.caller().stream(CHAT, &streamed()).await;
    assert!(stream.usage().is_none() && stream.is_done());
}

#[tokio::test]
async fn a_caller_who_asked_for_usage_gets_it_even_from_an_upstream_that_has_none() {
    let _ = Tokenizer::load(Vocabulary::O200k); // slow the first time: this story is about the count, not about waiting for it
    let upstream = simulator();
    upstream.queue(Scenario { usage: UsageReport::Missing, tokens: Some(20), ..Scenario::default() });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let stream = relay.caller().stream(CHAT, &with_usage()).await;
    let usage = stream.usage().expect("a usage frame");
    let record = relay.record().await;
    assert!(record.usage_estimated && record.quota.is_positive());
    assert_eq!(usage["prompt_tokens"], json!(record.usage.input));
    assert_eq!(usage["completion_tokens"], json!(record.usage.output));
    assert!(stream.is_done(), "usage comes before the end");
    assert_eq!(record.usage.input, 3 + 3 + 3, "user, hello, there by the vocabulary; message and reply");
}

#[tokio::test]
async fn a_mapped_model_keeps_the_callers_name_in_every_chunk() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].model_mapping.insert("gpt-4o".into(), "gpt-4o-mini".into());
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &with_usage()).await;
    assert!(stream.chunks().len() > 3 && stream.chunks().iter().all(|chunk| chunk["model"] == "gpt-4o"));
    assert_eq!(upstream.log()[0].model.as_deref(), Some("gpt-4o-mini"));
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_a_status_and_is_tried_elsewhere() {
    for scenario in [
        Scenario::status(500),
        Scenario::fault(Fault::Reset, 0),
        Scenario::fault(Fault::ErrorEvent, 0),
        Scenario::fault(Fault::JsonForStream, 0),
    ] {
        let upstream = simulator();
        upstream.queue(scenario.clone());
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels.push(crate::relay::channel(2, &upstream.base_url()));
        let relay = world.start().await;
        let stream = relay.caller().stream(CHAT, &streamed()).await;
        assert!(stream.status == 200 && stream.is_done(), "{}: {stream:?}", scenario.label());
        assert_eq!(relay.record().await.attempts.len(), 2, "{}", scenario.label());
    }
    let upstream = simulator();
    upstream.queue(QueuedScenario::from(Scenario::status(500)).times(10));
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &streamed()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (500, Some("application/json")));
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_never_with_done() {
    for (fault, code) in [
        (Fault::Reset, "stream_truncated"),
        (Fault::Truncate, "stream_truncated"),
        (Fault::Close, "stream_truncated"),
        (Fault::Hang, "upstream_timeout"),
        (Fault::ErrorEvent, ""),
    ] {
        let upstream = simulator();
        upstream.queue(Scenario { tokens: Some(30), ..Scenario::fault(fault, 12) });
        let mut world = World::with_upstream(&upstream.base_url());
        if fault == Fault::Hang {
            world.timing.stream_idle = Duration::from_secs(1);
        }
        let relay = world.start().await;
        let stream = relay.caller().stream(CHAT, &streamed()).await;
        assert_eq!((stream.status.as_u16(), stream.is_done(), &stream.broken), (200, false, &None), "{fault:?}");
        let error = stream.error().unwrap_or_else(|| panic!("{fault:?}: {stream:?}"));
        assert!(code.is_empty() || error["code"] == code, "{fault:?}: {error}");
        assert_eq!(stream.chunks().last().unwrap()["error"], error, "nothing follows the error");

        let record = relay.record().await;
        assert_eq!((record.outcome, record.status, record.usage_estimated), (Outcome::Truncated, 200, true), "{fault:?}");
        assert_eq!(record.attempts.len(), 1, "nothing is retried after the first byte");
        let sent = u64::try_from(upstream.wait_for(1).await[0].sent_tokens).unwrap();
        assert!(record.usage.output >= sent.div_ceil(2) && record.usage.output <= sent * 3, "{} of {sent}", record.usage.output);
        assert!(record.quota.is_positive());
    }
}

#[tokio::test]
async fn an_end_without_done_is_an_error_unless_the_provider_is_known_to_send_none() {
    let unfinished = |sends_done: bool| {
        let upstream = simulator();
        upstream.queue(Scenario::fault(Fault::NoDone, 0));
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels[0].provider = "terse".into();
        world.providers = vec![("terse", format!("slug = \"terse\"\nsends_done = {sends_done}\n{TERSE}"))];
        (upstream, world)
    };
    let (_upstream, world) = unfinished(true);
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &streamed()).await;
    assert!(stream.error().is_some_and(|error| error["code"] == "stream_truncated") && !stream.is_done(), "{stream:?}");
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Truncated, false), "its usage had come");

    let (_upstream, world) = unfinished(false);
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &streamed()).await;
    assert!(stream.error().is_none() && stream.finish_reason().is_some());
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Completed, false));

    // One of the two answers asked for never began.
    let mut two = streamed();
    two["n"] = json!(2);
    let upstream = Recorder::start("text/event-stream", &[TEXT, STOP]).await;
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].provider = "terse".into();
    world.providers = vec![("terse", format!("slug = \"terse\"\nsends_done = false\n{TERSE}"))];
    let stream = world.start().await.caller().stream(CHAT, &two).await;
    assert!(stream.error().is_some_and(|error| error["code"] == "stream_truncated"), "{stream:?}");
}

/// The rest of a catalogue file.
const TERSE: &str = r#"
name = "Terse"
id = 9999
stream_options = "force"
hooks = []
models = []
[base_url]
meaning = "prefix"
help = "x"
[auth]
scheme = "bearer"
key_example = "x"
[endpoints]
chat = "/chat/completions"
"#;

#[tokio::test]
async fn a_stream_cut_anywhere_gives_the_caller_whole_events_and_an_honest_end() {
    let _ = Tokenizer::load(Vocabulary::O200k);
    let all = [HEAD, TEXT, STOP, b"data: [DONE]\r\n\r\n"].concat();
    let first = HEAD.len() + TEXT.len();
    let cuts: Vec<usize> = (first..all.len()).collect();
    let upstream = Recorder::start_each(
        "text/event-stream",
        cuts.iter().map(|cut| vec![bytes::Bytes::copy_from_slice(&all[..*cut])]).collect(),
    )
    .await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    for cut in cuts {
        let answer = relay.caller().post(CHAT, &with_usage()).await;
        let mut splitter = Splitter::new(1 << 20);
        splitter.push(answer.body.clone());
        let mut frames = Vec::new();
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(frame);
        }
        frames.extend(splitter.finish());
        assert!(frames.iter().all(sluice_dialect::sse::Frame::is_terminated), "{cut}: {}", answer.text());
        let data = frames.iter().filter_map(|frame| frame.event().data);
        let mut events: Vec<String> = data.map(|data| String::from_utf8(data.into_owned()).unwrap()).collect();
        let last = events.pop().unwrap();
        let is_json = |event: &String| serde_json::from_str::<&serde_json::value::RawValue>(event).is_ok();
        assert!(events.iter().all(is_json), "{cut}: {}", answer.text());
        if last == "[DONE]" {
            assert!(cut >= all.len() - 4, "{cut}");
            assert!(events.pop().unwrap().contains("usage"), "{cut}: {}", answer.text());
        } else {
            let error: Value = serde_json::from_str(&last).unwrap();
            assert_eq!(error["error"]["code"], "stream_truncated", "{cut}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_final_report_is_paid_as_it_is_even_if_the_stream_breaks_off_after_it() {
    let long = br#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"one two three four five six seven eight"}}]}"#;
    let stream = [&long[..], b"\n\n", STOP, USAGE].concat();
    let upstream = Recorder::start("text/event-stream", &[&stream]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    assert!(relay.caller().stream(CHAT, &streamed()).await.error().is_some());
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Truncated, false));
    assert_eq!((record.usage.input, record.usage.output), (9, 2));
}

#[tokio::test]
async fn an_error_about_our_key_inside_a_stream_is_not_told_in_the_providers_words() {
    for error in [
        r#"{"error":{"message":"Incorrect key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
        r#"{"error":{"message":"Your key was revoked","type":"authentication_error"}}"#,
    ] {
        let stream = [TEXT, b"data: ", error.as_bytes(), b"\n\n"].concat();
        let upstream = Recorder::start("text/event-stream", &[&stream]).await;
        let relay = World::with_upstream(&upstream.base_url()).start().await;
        let stream = relay.caller().stream(CHAT, &streamed()).await;
        let told = stream.error().unwrap();
        assert_eq!((&told["code"], &told["type"]), (&json!("upstream_auth_failed"), &json!("upstream_error")), "{told}");
        assert!(!told["message"].as_str().unwrap().contains("key"), "{told}");
        assert_eq!(relay.record().await.error_code, "upstream_auth_failed");
    }
}

#[tokio::test]
async fn a_failed_attempt_costs_nothing_even_after_a_ping() {
    for scenario in [
        Scenario::fault(Fault::Empty, 0),
        Scenario::fault(Fault::ErrorBody, 0),
        Scenario::fault(Fault::ErrorEvent, 0),
        Scenario::fault(Fault::JsonForStream, 0),
        Scenario::fault(Fault::Reset, 0),
        Scenario::fault(Fault::Reset, 1),
    ] {
        for per_call in [false, true] {
            let upstream = simulator();
            upstream.queue(scenario.clone());
            let held = Held::before(&upstream);
            let mut world = World::with_upstream(&held.base_url());
            world.timing = Timing { first_ping: Duration::from_millis(50), ..Timing::default() };
            if per_call {
                world.prices[0].1.per_call_usd = Some("0.1".parse().unwrap());
            }
            let relay = world.start().await;
            let stream = held.until_pinged(relay.caller().open(CHAT, &streamed()).await.unwrap(), 1).await;
            let label = format!("{} after {}, per call: {per_call}", scenario.label(), scenario.after);
            assert!(stream.status == 200 && stream.error().is_some() && !stream.is_done(), "{label}: {stream:?}");
            let record = relay.record().await;
            assert_eq!((record.outcome, record.quota.get(), record.status), (Outcome::Failed, 0, 200), "{label}");
            assert!(record.usage.is_empty() && !record.usage_estimated, "{label}: {:?}", record.usage);
            assert!(record.charges.iter().all(|charge| charge.amount.get() == 0), "{label}");
        }
    }
}

#[tokio::test]
async fn a_caller_who_leaves_while_pinged_is_on_record_with_the_status_it_got() {
    let upstream = simulator();
    upstream.queue(Scenario::fault(Fault::HangBeforeHeaders, 0));
    let mut world = World::with_upstream(&upstream.base_url());
    world.timing = Timing { first_ping: Duration::from_millis(50), ..Timing::default() };
    let relay = world.start().await;
    let mut stream = relay.caller().open(CHAT, &streamed()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let record = relay.record().await;
    assert_eq!((record.outcome, record.status, record.quota.get()), (Outcome::Aborted, 200, 0));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_upstream_request_along_and_pays_for_what_came() {
    let upstream = simulator();
    upstream.queue(Scenario { chunks: Some(1_000), delay_ms: 20, ..Scenario::default() });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let mut stream = relay.caller().open(CHAT, &streamed()).await.unwrap();
    for _ in 0..10 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    let entry = upstream.wait_for(1).await.remove(0);
    assert_eq!(entry.ending, Ending::AbortedByClient);
    let record = relay.record().await;
    assert_eq!((record.outcome, record.error_code.as_str(), record.status), (Outcome::Aborted, "client_disconnected", 200));
    assert!(record.usage_estimated && record.usage.output > 0 && record.usage.input > 0 && record.quota.is_positive());
}

#[tokio::test]
async fn a_caller_who_leaves_before_anything_came_pays_nothing() {
    let upstream = simulator();
    upstream.queue(QueuedScenario::from(Scenario::fault(Fault::HangBeforeHeaders, 0)).times(2));
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    for (nth, body) in (1..).zip([streamed(), json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]})]) {
        let caller = relay.caller();
        tokio::select! {
            answer = caller.post(CHAT, &body) => panic!("{}", answer.text()),
            () = upstream.wait_in_flight(1) => {}
        }
        upstream.wait_for(nth).await;
    }
    for record in relay.wait_for_records(2).await {
        assert_eq!((record.outcome, record.status, record.quota.get()), (Outcome::Aborted, 0, 0));
        assert!(record.usage.is_empty());
    }
}

#[tokio::test]
async fn a_caller_who_stops_reading_is_given_up_and_the_upstream_with_it() {
    let upstream = simulator();
    upstream.queue(Scenario { chunks: Some(100_000), chunk_bytes: Some(4096), ..Scenario::default() });
    let mut world = World::with_upstream(&upstream.base_url());
    world.listen.write_stall = Duration::from_secs(1);
    let relay = world.start().await;
    let stream = relay.caller().open(CHAT, &streamed()).await.unwrap();
    let entry = upstream.wait_for(1).await.remove(0);
    assert_eq!(entry.ending, Ending::AbortedByClient);
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Aborted, true));
    drop(stream);
}

#[tokio::test]
async fn pings_keep_a_waiting_caller_and_commit_the_status() {
    let pinging = Timing { first_ping: Duration::from_millis(100), ping_every: Duration::from_millis(100), ..Timing::default() };
    let upstream = simulator();
    let held = Held::before(&upstream);
    let mut world = World::with_upstream(&held.base_url());
    world.timing = pinging;
    let relay = world.start().await;
    let stream = held.until_pinged(relay.caller().open(CHAT, &streamed()).await.unwrap(), 3).await;
    assert!(stream.is_done(), "{stream:?}");

    // After a ping a failure can only be told inside the stream, and is not tried elsewhere.
    let upstream = simulator();
    upstream.queue(QueuedScenario::from(Scenario::status(500)).times(10));
    let held = Held::before(&upstream);
    let mut world = World::with_upstream(&held.base_url());
    world.channels.push(crate::relay::channel(2, &held.base_url()));
    world.timing = pinging;
    let relay = world.start().await;
    let stream = held.until_pinged(relay.caller().open(CHAT, &streamed()).await.unwrap(), 1).await;
    assert!(stream.status == 200 && stream.error().is_some() && !stream.is_done(), "{stream:?}");
    let record = relay.record().await;
    assert_eq!((record.attempts.len(), record.outcome, record.quota.get()), (1, Outcome::Failed, 0));

    // Without a ping due, it is a status.
    let mut world = World::with_upstream(&upstream.base_url());
    world.timing = Timing { first_ping: Duration::from_mins(5), ..Timing::default() };
    let answer = world.start().await.caller().post(CHAT, &streamed()).await;
    assert_eq!(answer.status, 500);
}

#[tokio::test]
async fn pings_fill_the_gaps_between_events() {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = Recorder::start_held("text/event-stream", &[TEXT, &[STOP, DONE].concat()], Arc::clone(&gate)).await;
    let mut world = World::with_upstream(&upstream.base_url());
    world.timing = Timing { ping_every: Duration::from_millis(100), ..Timing::default() };
    let relay = world.start().await;
    let mut stream = relay.caller().open(CHAT, &streamed()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().name.as_deref(), Some("x"), "the first event");
    for _ in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap().comments, ["PING"]);
    }
    gate.add_permits(1);
    let stream = stream.collect().await;
    assert!(stream.is_done() && stream.events.last().unwrap().comments.is_empty(), "never after the end");
}

#[tokio::test]
async fn the_record_is_written_before_the_caller_has_the_end() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    for count in 1..=20 {
        let stream = relay.caller().stream(CHAT, &streamed()).await;
        assert!(stream.is_done());
        assert_eq!(relay.records().await.len(), count);
    }
}

#[tokio::test]
async fn many_streams_at_once_are_each_whole() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let caller = relay.caller();
    let streams = (0..50).map(|_| {
        let caller = caller.clone();
        async move { upstream_text(&caller.stream(CHAT, &streamed()).await) }
    });
    let texts = futures_util::future::join_all(streams).await;
    assert!(texts.iter().all(|text| !text.is_empty()));
    let records = relay.wait_for_records(50).await;
    assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
    let mut ids: Vec<_> = records.iter().map(|record| record.request_id.as_str().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

fn upstream_text(stream: &Transcript) -> String {
    assert!(stream.is_done(), "{stream:?}");
    stream.text()
}
