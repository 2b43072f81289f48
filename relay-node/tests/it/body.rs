//! Bodies: what is refused and how, and that what is not refused reaches the upstream as it came.

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_testkit::client::{Answer, send};
use sluice_testkit::simulator::{Simulator, SimulatorConfig};
use tokio::io::AsyncReadExt;

use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel};

const CHAT: &str = "/v1/chat/completions";
const DOCUMENT: &[u8] =
    br#"{"id":"c1","object":"chat.completion","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;

async fn post(relay: &TestRelay, path: &str, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
    let request = relay.caller().request(Method::POST, path).header("content-type", "application/json").body(body);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await.unwrap()
}

fn told(answer: &Answer) -> (u16, String, Value) {
    let error = &answer.json()["error"];
    (answer.status.as_u16(), error["code"].as_str().unwrap_or_default().to_owned(), error["param"].clone())
}

#[tokio::test]
async fn each_bad_body_has_its_status_code_and_field() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let deep = format!(r#"{{"model":"gpt-4o","messages":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str, Value)> = vec![
        (CHAT, b"".to_vec(), 400, "invalid_json", json!(null)),
        (CHAT, b"{".to_vec(), 400, "invalid_json", json!(null)),
        (CHAT, br#"{"model":"gpt-4o","messages":[}"#.to_vec(), 400, "invalid_json", json!(null)),
        (CHAT, b"[1,2]".to_vec(), 400, "invalid_json", json!(null)),
        (
            CHAT,
            b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec(),
            400,
            "invalid_json",
            json!(null),
        ),
        (CHAT, deep.into_bytes(), 400, "invalid_json", json!(null)),
        (CHAT, br#"{"messages":[]}"#.to_vec(), 400, "missing_model", json!("model")),
        (CHAT, br#"{"model":7,"messages":[]}"#.to_vec(), 400, "invalid_request", json!("model")),
        (CHAT, br#"{"model":"gpt-4o"}"#.to_vec(), 400, "invalid_request", json!("messages")),
        (CHAT, br#"{"model":"gpt-4o","messages":"hi"}"#.to_vec(), 400, "invalid_request", json!("messages")),
        (CHAT, br#"{"model":"gpt-4o","messages":[{}],"stream":"yes"}"#.to_vec(), 400, "invalid_request", json!("stream")),
        (CHAT, br#"{"model":"gpt-4o","messages":[{}],"max_tokens":-1}"#.to_vec(), 400, "invalid_request", json!("max_tokens")),
        (CHAT, br#"{"model":"gpt-4o","messages":[{}],"max_tokens":1e99}"#.to_vec(), 400, "invalid_request", json!("max_tokens")),
        (CHAT, br#"{"model":"gpt-4o","messages":[{}],"n":1000}"#.to_vec(), 400, "invalid_request", json!("n")),
        (CHAT, br#"{"model":"no-such-model","messages":[{}]}"#.to_vec(), 404, "model_not_found", json!("model")),
        ("/v1/completions", br#"{"model":"gpt-4o"}"#.to_vec(), 400, "invalid_request", json!("prompt")),
        ("/v1/embeddings", br#"{"model":"gpt-4o"}"#.to_vec(), 400, "invalid_request", json!("input")),
        ("/v1/embeddings", br#"{"model":"gpt-4o","input":{}}"#.to_vec(), 400, "invalid_request", json!("input")),
    ];
    for (path, body, status, code, param) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = post(&relay, path, body, &[]).await;
        assert_eq!(told(&answer), (status, code.to_owned(), param), "{shown}: {}", answer.text());
    }
    assert!(upstream.log().is_empty() && relay.records().await.is_empty());
    assert!(relay.metric(r#"sluice_relay_refusals_total{reason="invalid_json"}"#) > 0);
}

#[tokio::test]
async fn a_model_without_price_is_refused_before_anything_is_sent() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].models.push(crate::relay::name("free-lunch"));
    let relay = world.start().await;
    let body = json!({"model": "free-lunch", "messages": [{"role": "user", "content": "hi"}]});
    let answer = relay.caller().post(CHAT, &body).await;
    assert_eq!(told(&answer).1, "model_price_error");
    assert_eq!(answer.status, 400);
    assert!(upstream.log().is_empty());
}

#[tokio::test]
async fn an_oversized_body_is_refused_with_an_answer_the_caller_can_read() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let world =
        World { adjust: |settings| settings.requests.max_body_bytes = 64 << 10, ..World::with_upstream(&upstream.base_url()) };
    let relay = world.start().await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x".repeat(128 << 10)}]});
    let answer = relay.caller().post(CHAT, &body).await;
    assert_eq!((answer.status.as_u16(), told(&answer).1.as_str()), (413, "request_too_large"));
}

#[tokio::test]
async fn packed_bodies_are_unpacked_and_bombs_are_stopped_within_memory() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let relay = World { budget_bytes: 48 << 20, ..World::with_upstream(&upstream.base_url()) }.start().await;
    let plain = serde_json::to_vec(&json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]})).unwrap();
    let mut zstd = Vec::new();
    ZstdEncoder::new(&plain[..]).read_to_end(&mut zstd).await.unwrap();
    assert_eq!(post(&relay, CHAT, zstd, &[("content-encoding", "zstd")]).await.status, 200);

    let mut gzip = Vec::new();
    GzipEncoder::new(&plain[..]).read_to_end(&mut gzip).await.unwrap();
    let cut = gzip[..gzip.len() - 4].to_vec();
    let answer = post(&relay, CHAT, cut, &[("content-encoding", "gzip")]).await;
    assert_eq!((answer.status.as_u16(), told(&answer).1.as_str()), (400, "bad_request_body"));
    assert_eq!(post(&relay, CHAT, gzip, &[("content-encoding", "compress")]).await.status, 415);

    // A gzip file may have many members: sixteen megabytes, 640 times, are ten gigabytes.
    let mut member = Vec::new();
    GzipEncoder::new(&vec![b' '; 16 << 20][..]).read_to_end(&mut member).await.unwrap();
    let bomb = member.repeat(640);
    assert!(bomb.len() > 8 << 20, "{}", bomb.len());
    let answer = post(&relay, CHAT, bomb, &[("content-encoding", "gzip")]).await;
    assert_eq!((answer.status.as_u16(), told(&answer).1.as_str()), (413, "request_too_large"));
    assert_eq!(relay.app.bytes.free_bytes(), 48 << 20, "every byte came back");
}

#[tokio::test]
async fn a_body_reaches_the_upstream_byte_for_byte() {
    let upstream = Recorder::start("application/json", &[DOCUMENT]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = br#"{ "unknown" : {"deep":[1.000000000000000001, 1e400, "\u00e9"]},
        "model":"gpt-4o", "temperature": 0.30000000000000004, "messages" : [ {"role":"user","content":"h\u00e9"} ], "seed":18446744073709551616 }"#;
    let answer = post(&relay, CHAT, body.to_vec(), &[]).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, DOCUMENT));
    let heard = upstream.heard().remove(0);
    assert_eq!(heard.body, &body[..]);
    assert_eq!(heard.path, CHAT);
}

#[tokio::test]
async fn only_the_model_name_changes_where_a_channel_maps_it() {
    let document = DOCUMENT.to_vec();
    let renamed = String::from_utf8(document).unwrap().replace(r#""model":"gpt-4o""#, r#""model":"up/gpt-4o-2024""#);
    let upstream = Recorder::start("application/json", &[renamed.as_bytes()]).await;
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].model_mapping.insert("gpt-4o".into(), "up/gpt-4o-2024".into());
    let relay = world.start().await;
    let body = r#"{"a":1,"model":"gpt-4o","messages":[{"role":"user","content":"gpt-4o"}]}"#;
    let answer = post(&relay, CHAT, body, &[]).await;
    assert_eq!(&answer.body[..], DOCUMENT, "the caller sees the name it asked for");
    let expected = r#"{"a":1,"model":"up/gpt-4o-2024","messages":[{"role":"user","content":"gpt-4o"}]}"#;
    assert_eq!(upstream.heard()[0].body, expected);
    let record = relay.record().await;
    assert_eq!((record.model.as_str(), record.upstream_model.as_str()), ("gpt-4o", "up/gpt-4o-2024"));
    assert_eq!(record.upstream_request_id, "upstream-1");
}

#[tokio::test]
async fn headers_pass_only_by_the_lists() {
    let upstream = Recorder::start("application/json", &[DOCUMENT]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
    let sent = [("openai-beta", "assistants=v2"), ("cookie", "a=b"), ("x-custom", "1"), ("accept-encoding", "gzip")];
    let answer = post(&relay, CHAT, body, &sent).await;
    let heard = upstream.heard().remove(0).headers;
    assert_eq!(heard["openai-beta"], "assistants=v2");
    assert_eq!(heard["authorization"], "Bearer upstream-key-1", "the channel's key, never the caller's");
    for name in ["cookie", "x-custom", "x-forwarded-for", "x-request-id"] {
        assert!(!heard.contains_key(name), "{name}");
    }
    assert_eq!(answer.header("openai-processing-ms"), Some("7"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for name in ["set-cookie", "server", "x-ratelimit-remaining-requests"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_ne!(answer.header("x-request-id"), Some("upstream-1"));
}

#[tokio::test]
async fn completions_and_embeddings_are_served_too() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0] = channel(1, &upstream.base_url());
    let relay = world.start().await;
    let answer = relay.caller().post("/v1/completions", &json!({"model": "gpt-3.5-turbo-instruct", "prompt": "one two"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["object"]), (200, &json!("text_completion")), "{}", answer.text());
    let body = json!({"model": "text-embedding-3-small", "input": ["one two", "three"]});
    let answer = relay.caller().post("/v1/embeddings", &body).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    let records = relay.wait_for_records(2).await;
    assert_eq!(records[1].usage.output, 0);
    assert_eq!(records[1].path, "/v1/embeddings");
}
