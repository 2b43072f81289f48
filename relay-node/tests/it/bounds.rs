//! What bounds a request, and whose fault it is when a bound is met.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_domain::{Outcome, UnixMillis};
use sluice_relay_node::forward::Timing;
use sluice_testkit::simulator::{Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::recorder::Recorder;
use crate::relay::{World, channel, name};

const CHAT: &str = "/v1/chat/completions";
const FIRST: &[u8] =
    b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n";
const DONE: &[u8] = b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn asked(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hello there"}]})
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_time_for_whole_answers_does_not_end_streams() {
    let upstream = simulator();
    upstream.queue(Scenario { first_token_delay_ms: 400, tokens: Some(5), ..Scenario::default() });
    let mut world = World::with_upstream(&upstream.base_url());
    world.timing = Timing { answer: Some(Duration::from_millis(100)), ..Timing::default() };
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &asked(true)).await;
    assert!(stream.status == 200 && stream.is_done(), "{stream:?}");
}

#[tokio::test]
async fn all_attempts_together_have_a_time_for_the_first_output_of_a_stream() {
    let upstream = simulator();
    upstream.queue(QueuedScenario::from(Scenario::fault(Fault::HangBeforeHeaders, 0)).times(10));
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels.extend((2..=5).map(|id| channel(id, &upstream.base_url())));
    world.settings = vec![("retry_times", "4")];
    // for each alone there is time, and for all five together there is not, however slow the machine is
    let (first_byte, first_output) = (Duration::from_millis(400), Duration::from_secs(1));
    world.timing = Timing { first_byte, first_output, ..Timing::default() };
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &asked(true)).await;
    assert_eq!((answer.status.as_u16(), code(&answer.json())), (504, "upstream_timeout"));
    let record = relay.record().await;
    assert!((1..5).contains(&record.attempts.len()), "{:?}", record.attempts);
    assert_eq!((record.outcome, record.quota.get()), (Outcome::Failed, 0));
}

#[tokio::test]
async fn tokens_expire_by_the_clock_of_the_control_plane() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    let in_one_hour = UnixMillis(sluice_telemetry::clock::wall_millis() + 3_600_000);
    world.tokens[0].expires_at = Some(in_one_hour);
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    relay.app.view.set_offset(2 * 3_600_000);
    let answer = relay.caller().post(CHAT, &asked(false)).await;
    assert_eq!((answer.status.as_u16(), code(&answer.json())), (401, "token_expired"));
    assert_eq!(relay.caller().get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn a_long_event_passes_whole_and_is_counted() {
    let upstream = simulator();
    upstream.queue(Scenario { bytes: Some(1 << 20), ..Scenario::fault(Fault::Oversized, 0) });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let stream = relay.caller().stream(CHAT, &asked(true)).await;
    assert!(stream.is_done() && stream.text().len() >= 1 << 20, "{}", stream.text().len());
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Completed, false));
}

#[tokio::test]
async fn a_long_answer_without_usage_is_estimated() {
    let content = "word ".repeat(100_000);
    let document = json!({"id": "c1", "object": "chat.completion", "model": "mistral-large", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]});
    let upstream = Recorder::start("application/json", &[document.to_string().as_bytes()]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let mut body = asked(false);
    body["model"] = json!("mistral-large");
    assert_eq!(relay.caller().post(CHAT, &body).await.status, 200);
    let record = relay.record().await;
    assert!(record.usage_estimated && record.usage.output > 90_000, "{:?}", record.usage);
}

#[tokio::test]
async fn our_own_lack_of_memory_is_not_the_channels_fault() {
    let (upstream, other) = (simulator(), simulator());
    upstream.queue(QueuedScenario::from(Scenario { bytes: Some(4 << 20), ..Scenario::fault(Fault::Oversized, 0) }).times(10));
    let mut world = World { budget_bytes: 1 << 20, ..World::with_upstream(&upstream.base_url()) };
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &other.base_url()));
    let relay = world.start().await;
    for stream in [true, false] {
        let answer = relay.caller().post(CHAT, &asked(stream)).await;
        assert_eq!((answer.status.as_u16(), code(&answer.json())), (503, "system_memory_overloaded"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    for record in relay.wait_for_records(2).await {
        assert_eq!((record.attempts.len(), record.outcome, record.quota.get()), (1, Outcome::Failed, 0));
    }
    assert_eq!(relay.app.bytes.free_bytes(), 1 << 20, "every byte came back");
}

#[tokio::test]
async fn without_memory_for_an_event_inside_a_stream_the_caller_is_told_so() {
    let mut chunks = vec![FIRST.to_vec(), b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"".to_vec()];
    chunks.extend(std::iter::repeat_n(vec![b'x'; 64 << 10], 64));
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let upstream = Recorder::start("text/event-stream", &chunks).await;
    let relay = World { budget_bytes: 1 << 20, ..World::with_upstream(&upstream.base_url()) }.start().await;
    let stream = relay.caller().stream(CHAT, &asked(true)).await;
    assert!(!stream.is_done() && stream.error().is_some_and(|error| error["code"] == "system_memory_overloaded"), "{stream:?}");
    assert_eq!(relay.record().await.outcome, Outcome::Truncated);
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_no_memory() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let whole = relay.app.bytes.free_bytes();
    let mut socket = TcpStream::connect(relay.addr).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 31457280\r\n\r\n",
        crate::relay::KEY
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let reading = async {
        while relay.app.bytes.free_bytes() == whole {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the body is being read");
    assert!(whole - relay.app.bytes.free_bytes() <= 64 << 10, "{} of it is held", whole - relay.app.bytes.free_bytes());
}

#[tokio::test]
async fn with_the_control_plane_away_money_that_is_not_here_is_not_known_of() {
    let upstream = simulator();
    let world = World::with_upstream(&upstream.base_url());
    world.ledger.go_away();
    let relay = world.start().await;
    relay.app.quotas.set_connected(false);
    // the first waits as long as a restart may take; who comes when that is over does not: how long is a story of `quota`, by a clock
    // of its own
    for _ in 0..2 {
        let answer = relay.caller().post(CHAT, &asked(false)).await;
        assert_eq!((answer.status.as_u16(), code(&answer.json())), (503, "authority_unavailable"));
    }
    assert!(upstream.log().is_empty());
}

#[tokio::test]
async fn a_stream_has_the_headers_of_the_list_and_keeps_its_connection() {
    let upstream = Recorder::start("text/event-stream", &[FIRST, DONE]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let answer = relay.caller().post(CHAT, &asked(true)).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!((answer.header("openai-processing-ms"), answer.header("connection")), (Some("7"), Some("keep-alive")));
    for name in ["set-cookie", "server", "x-ratelimit-remaining-requests"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_sent_is_the_callers_mistake_and_is_sent_nowhere() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    let azure = |id| {
        let mut azure = channel(id, &upstream.base_url());
        azure.provider = "azure-openai".into();
        azure.base_url = Some(upstream.base_url());
        azure.models = vec![name("gpt-4o")];
        azure
    };
    world.channels = vec![azure(1), azure(2)];
    let relay = world.start().await;
    let answer = relay.caller().post(&format!("{CHAT}?api-version=2024%2F06"), &asked(false)).await;
    assert_eq!((answer.status.as_u16(), code(&answer.json())), (400, "invalid_request"), "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], "api-version");
    let record = relay.record().await;
    assert_eq!((record.attempts.len(), record.outcome, record.quota.get()), (1, Outcome::Failed, 0));
    assert!(upstream.log().is_empty());
}

/// A caller of clear-text HTTP/2 could take no byte for ever, and hold what is set aside for its request.
#[tokio::test]
async fn a_caller_that_would_grant_no_window_is_refused_before_it_asks() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let mut socket = TcpStream::connect(relay.addr).await.unwrap();
    // the preface, and SETTINGS with INITIAL_WINDOW_SIZE 0
    socket
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        .await
        .unwrap();
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut heard)).await;
    // closed, or reset because of what was not read
    assert!(closed.is_ok(), "the connection stays open");
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&heard));
    assert!(relay.records().await.is_empty());
}
