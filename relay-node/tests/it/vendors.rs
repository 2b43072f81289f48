//! Vendors whose answers outlive a connection: told to stop when nobody wants them, and asked again until they are ready.
//!
//! What stands in for them answers as their pages show, waits where a test wants it to, and keeps what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sluice_domain::Outcome;
use sluice_relay_node::forward::Timing;
use sluice_snapshot::Channel;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::relay::{TestRelay, World, channel, channel_key, name, ratios};

const LONG: Duration = Duration::from_secs(20);
const CHAT: &str = "/v1/chat/completions";

/// The vendor, and what it was asked.
#[derive(Default)]
struct Vendor {
    asked: Mutex<Vec<(Method, String, String)>>,
    /// Questions about a prediction that are answered before it is ready.
    waits: AtomicUsize,
}

impl Vendor {
    /// Waits for a question of this kind.
    async fn wait_for(&self, wanted: &str) -> String {
        let found = async {
            loop {
                if let Some((_, _, body)) = self.asked.lock().iter().find(|(_, path, _)| path == wanted) {
                    return body.clone();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, found).await.unwrap_or_else(|_| panic!("{wanted} was not asked: {:?}", self.asked.lock()))
    }

    fn times(&self, path: &str) -> usize {
        self.asked.lock().iter().filter(|(_, asked, _)| asked == path).count()
    }
}

fn events(events: &[&str], goes_on: bool) -> Response {
    let told =
        stream::iter(events.iter().map(|event| Ok::<_, std::io::Error>(Bytes::from((*event).to_owned()))).collect::<Vec<_>>());
    let body = if goes_on { Body::from_stream(told.chain(stream::pending())) } else { Body::from_stream(told) };
    ([("content-type", "text/event-stream")], body).into_response()
}

fn prediction(status: &str) -> Response {
    let mut told = json!({"id": "p-1", "model": "meta/llama", "status": status, "error": null, "urls": {"get": "https://elsewhere.example/x"}});
    if status == "succeeded" {
        told["output"] = json!(["It ", "is."]);
        told["metrics"] = json!({"input_token_count": 5, "output_token_count": 2});
    }
    let code = if status == "starting" { StatusCode::CREATED } else { StatusCode::OK };
    (code, [("content-type", "application/json")], told.to_string()).into_response()
}

async fn answer(State(vendor): State<Arc<Vendor>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    assert!(headers.contains_key("authorization"), "every question has the key: {uri}");
    let text = String::from_utf8_lossy(&body).into_owned();
    vendor.asked.lock().push((method.clone(), uri.path().to_owned(), text.clone()));
    let goes_on = !text.contains("to the end");
    match (method, uri.path()) {
        (Method::POST, "/v1/chat-messages") => {
            let first = "data: {\"event\":\"message\",\"task_id\":\"t-1\",\"message_id\":\"m-1\",\"answer\":\"Once\",\"created_at\":1}\n\n";
            let last = "data: {\"event\":\"message_end\",\"task_id\":\"t-1\",\"message_id\":\"m-1\",\"metadata\":{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}}\n\n";
            if goes_on { events(&[first], true) } else { events(&[first, last], false) }
        }
        (Method::POST, "/v3/chat") => events(
            &[
                "event:conversation.chat.created\ndata:{\"id\":\"c-1\",\"conversation_id\":\"v-1\",\"status\":\"created\"}\n\n",
                "event:conversation.message.delta\ndata:{\"id\":\"d-1\",\"conversation_id\":\"v-1\",\"chat_id\":\"c-1\",\"type\":\"answer\",\"content\":\"Once\"}\n\n",
            ],
            true,
        ),
        (Method::POST, "/v1/models/meta/llama/predictions") => {
            assert_eq!(headers["prefer"], "wait=60");
            prediction("starting")
        }
        (Method::GET, "/v1/predictions/p-1") => {
            assert!(!headers.contains_key("prefer"));
            let left = vendor.waits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            prediction(if left.is_ok() { "processing" } else { "succeeded" })
        }
        (Method::POST, "/v1/files/upload") => {
            assert!(headers["content-type"].to_str().unwrap().starts_with("multipart/form-data; boundary="));
            if text.contains("broken") {
                let wrong = r#"{"code":"unsupported_file_type","message":"File type not allowed.","status":415}"#;
                return (StatusCode::UNSUPPORTED_MEDIA_TYPE, [("content-type", "application/json")], wrong).into_response();
            }
            ([("content-type", "application/json")], r#"{"id":"f-1","code":0,"data":{"id":"f-2"}}"#).into_response()
        }
        _ => ([("content-type", "application/json")], r#"{"result":"success"}"#).into_response(),
    }
}

struct Site {
    vendor: Arc<Vendor>,
    relay: TestRelay,
}

impl Site {
    async fn start(waits: usize, timing: Timing) -> Self {
        let vendor = Arc::new(Vendor { waits: AtomicUsize::new(waits), ..Vendor::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&vendor));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let at = |id, provider: &str, model: &str| Channel {
            provider: provider.into(),
            base_url: Some(url.clone()),
            keys: vec![channel_key(id * 10, "topsecret")],
            models: [name(model)].into_iter().collect(),
            ..channel(id, &url)
        };
        let relay = World {
            channels: vec![at(1, "dify", "chatflow"), at(2, "coze", "bot-73"), at(3, "replicate", "meta/llama")],
            prices: ["chatflow", "bot-73", "meta/llama"].map(|model| (model, ratios("1", "1"))).to_vec(),
            timing,
            ..World::with_upstream(&url)
        }
        .start()
        .await;
        Self { vendor, relay }
    }
}

fn asks(model: &str, text: &str, streams: bool) -> Value {
    json!({"model": model, "stream": streams, "user": "u-7", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn an_answer_is_stopped_at_its_vendor_when_the_caller_leaves() {
    let site = Site::start(0, Timing::default()).await;
    for (asked, (model, stop, says)) in [
        ("chatflow", "/v1/chat-messages/t-1/stop", json!({"user": "u-7"})),
        ("bot-73", "/v3/chat/cancel", json!({"conversation_id": "v-1", "chat_id": "c-1"})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = site.relay.caller().open(CHAT, &asks(model, "a story", true)).await.unwrap();
        assert!(answer.next().await.unwrap().is_some(), "{model}: its first words are there");
        drop(answer);
        let told: Value = serde_json::from_str(&site.vendor.wait_for(stop).await).unwrap();
        assert_eq!(told, says, "{model}");
        let records = site.relay.wait_for_records(asked + 1).await;
        assert_eq!(records[asked].outcome, Outcome::Aborted, "{model}: {:?}", records[asked]);
    }
}

#[tokio::test]
async fn an_answer_for_a_caller_of_no_stream_is_stopped_too_and_one_that_ended_is_not() {
    let site = Site::start(0, Timing::default()).await;
    let whole = site.relay.caller().post(CHAT, &asks("chatflow", "to the end", false)).await;
    assert_eq!(
        (whole.status.as_u16(), &whole.json()["choices"][0]["message"]["content"]),
        (200, &json!("Once")),
        "{}",
        whole.text()
    );
    let streamed = site.relay.caller().stream(CHAT, &asks("chatflow", "to the end", true)).await;
    assert_eq!(streamed.text(), "Once");
    site.relay.wait_for_records(2).await;
    assert_eq!(site.vendor.times("/v1/chat-messages/t-1/stop"), 0, "they ended by themselves");
    // nobody can see whether the relay has read the first words already, so it is left again until it had
    let caller = site.relay.caller();
    let left_until_stopped = async {
        for waits_ms in (10..).step_by(50) {
            let body = asks("chatflow", "a story", false);
            tokio::select! {
                answer = caller.post(CHAT, &body) => panic!("{}", answer.text()),
                () = sleep(Duration::from_millis(waits_ms)) => {}
            }
            if site.vendor.times("/v1/chat-messages/t-1/stop") > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, left_until_stopped).await.unwrap();
}

#[tokio::test]
async fn a_prediction_that_is_not_ready_is_asked_for_until_it_is() {
    let site = Site::start(2, Timing::default()).await;
    for streams in [false, true] {
        site.vendor.waits.store(1, Ordering::Relaxed);
        let body = asks("meta/llama", "why?", streams);
        if streams {
            assert_eq!(site.relay.caller().stream(CHAT, &body).await.text(), "It is.");
        } else {
            let answer = site.relay.caller().post(CHAT, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["choices"][0]["message"]["content"], "It is.");
        }
    }
    let records = site.relay.wait_for_records(2).await;
    for record in &records {
        assert_eq!(
            (record.usage.total_input(), record.usage.total_output(), record.usage_estimated),
            (5, 2, false),
            "{record:?}"
        );
    }
    assert_eq!(site.vendor.times("/v1/predictions/p-1"), 4);
    assert_eq!(site.vendor.times("/v1/predictions/p-1/cancel"), 0);
}

#[tokio::test]
async fn a_prediction_that_takes_too_long_is_cancelled() {
    let timing = Timing { answer: Some(Duration::from_secs(1)), ..Timing::default() };
    let site = Site::start(1_000, timing).await;
    let answer = site.relay.caller().post(CHAT, &asks("meta/llama", "why?", false)).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    site.vendor.wait_for("/v1/predictions/p-1/cancel").await;
}

fn with_file(model: &str, text: &str, data: &str) -> Value {
    let parts = json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}]);
    json!({"model": model, "stream": true, "user": "u-7", "messages": [{"role": "user", "content": parts}]})
}

#[tokio::test]
async fn a_file_in_a_request_is_uploaded_before_its_vendor_is_asked() {
    let site = Site::start(0, Timing::default()).await;
    // "a picture"
    let answer = site.relay.caller().stream(CHAT, &with_file("chatflow", "to the end", "YSBwaWN0dXJl")).await;
    assert_eq!(answer.text(), "Once");
    let form = site.vendor.wait_for("/v1/files/upload").await;
    assert!(form.contains("a picture") && form.contains("name=\"user\"\r\n\r\nu-7\r\n"), "{form}");
    let asked: Value = serde_json::from_str(&site.vendor.wait_for("/v1/chat-messages").await).unwrap();
    assert_eq!(asked["files"], json!([{"type": "image", "transfer_method": "local_file", "upload_file_id": "f-1"}]));
    let mut answer = site.relay.caller().open(CHAT, &with_file("bot-73", "why?", "YSBwaWN0dXJl")).await.unwrap();
    assert!(answer.next().await.unwrap().is_some());
    let asked = site.vendor.wait_for("/v3/chat").await;
    assert!(asked.contains("f-2") && !asked.contains("sluice-upload"), "{asked}");
    assert_eq!(site.vendor.times("/v1/files/upload"), 2);
}

#[tokio::test]
async fn a_file_that_its_vendor_does_not_take_is_the_callers_error() {
    let site = Site::start(0, Timing::default()).await;
    // "broken"
    let answer = site.relay.caller().post(CHAT, &with_file("chatflow", "to the end", "YnJva2Vu")).await;
    assert!((400..500).contains(&answer.status.as_u16()) && answer.text().contains("not allowed"), "{}", answer.text());
    assert_eq!(site.vendor.times("/v1/chat-messages"), 0);
}
