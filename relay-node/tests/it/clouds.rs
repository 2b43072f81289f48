//! Claude at AWS and Google: the same dialects in envelopes of their own, with keys that are proven for each request.
//!
//! What stands in for the clouds checks the envelope as they do, takes it off, and asks the simulator, which is as strict about what is
//! inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_domain::Outcome;
use sluice_snapshot::Channel;
use sluice_testkit::client::{Answer, Caller};
use sluice_testkit::simulator::{Fault, Scenario, Simulator, SimulatorConfig};
use tokio::net::TcpListener;

use crate::dialects::{gathered, question, said};
use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel, channel_key, name, ratios};

const CALLERS: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];
const AT_AWS: &str = "claude-sonnet-4-20250514";
const CLAUDE_AT_GOOGLE: &str = "claude-opus-4-6";
const GEMINI_AT_GOOGLE: &str = "gemini-2.5-pro";
const TOKEN: &str = "ya29.of-the-account";

/// The gates of both clouds, with the simulator behind them.
struct Gates {
    simulator: String,
    tokens: AtomicUsize,
    is_key_good: bool,
}

/// One frame of AWS' event streams.
fn framed(kind: (&str, &str), payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", kind.0), (if kind.0 == "event" { ":event-type" } else { ":exception-type" }, kind.1)]
    {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = 16 + headers.len() + payload.len();
    let mut frame = u32::try_from(total).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn refused(status: u16, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), json!({"message": message}).to_string()).into_response()
}

async fn gate(State(gates): State<Arc<Gates>>, _: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let steps: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    match steps.as_slice() {
        ["token"] => gates.token(&body),
        ["model", id, verb] => gates.aws(id, verb, &headers, &body).await,
        ["v1", "projects", "p-1", "locations", "global", "publishers", maker, "models", named] => {
            let (model, verb) = named.split_once(':').unwrap();
            gates.google((maker, model, verb), uri.query(), &headers, &body).await
        }
        _ => refused(404, "no such path"),
    }
}

impl Gates {
    fn token(&self, body: &[u8]) -> Response {
        self.tokens.fetch_add(1, Ordering::Relaxed);
        let form = std::str::from_utf8(body).unwrap();
        assert!(
            form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey"),
            "a signed assertion"
        );
        if !self.is_key_good {
            return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant","error_description":"Invalid JWT"}"#).into_response();
        }
        json!({"access_token": TOKEN, "expires_in": 3_600, "token_type": "Bearer"}).to_string().into_response()
    }

    async fn aws(&self, id: &str, verb: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let scope = "/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=";
        if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/") || !authorization.contains(scope) {
            return refused(403, "The security token included in the request is invalid.");
        }
        if id != "us.anthropic.claude-sonnet-4-20250514-v1%3A0" {
            return refused(404, "The provided model identifier is invalid.");
        }
        let mut fields: Value = serde_json::from_slice(body).unwrap();
        let fields = fields.as_object_mut().unwrap();
        let version = fields.shift_remove("anthropic_version");
        if fields.contains_key("model") || fields.contains_key("stream") || version != Some(json!("bedrock-2023-05-31")) {
            return refused(400, "Malformed input request");
        }
        let streams = verb == "invoke-with-response-stream";
        fields.insert("model".to_owned(), json!("claude-opus-4-6"));
        fields.insert("stream".to_owned(), json!(streams));
        let answer = self.ask("/v1/messages", fields.clone().into()).await;
        if !streams || answer.status() != 200 {
            return passed(answer).await;
        }
        let text = answer.text().await.unwrap_or_default();
        let mut frames = Vec::new();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(data).unwrap();
            if event["type"] == "error" {
                frames.extend(framed(("exception", "modelStreamErrorException"), r#"{"message":"The model broke off"}"#));
            } else {
                let payload = json!({"bytes": BASE64_STANDARD.encode(data), "p": "abcdef"}).to_string();
                frames.extend(framed(("event", "chunk"), &payload));
            }
        }
        ([("content-type", "application/vnd.amazon.eventstream")], Body::from(frames)).into_response()
    }

    async fn google(
        &self,
        (maker, model, verb): (&str, &str, &str),
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
            return refused(401, "Request had invalid authentication credentials.");
        }
        let mut fields: Value = serde_json::from_slice(body).unwrap();
        if maker == "google" {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            return passed(self.ask(&format!("/v1beta/models/{model}:{verb}{query}"), fields).await).await;
        }
        let fields = fields.as_object_mut().unwrap();
        let version = fields.shift_remove("anthropic_version");
        if fields.contains_key("model") || version != Some(json!("vertex-2023-10-16")) {
            return refused(400, "Malformed request");
        }
        fields.insert("model".to_owned(), json!(model));
        passed(self.ask("/v1/messages", fields.clone().into()).await).await
    }

    async fn ask(&self, path: &str, body: Value) -> reqwest::Response {
        let caller = Caller::new(&self.simulator);
        let request = caller.request(Method::POST, path).header("anthropic-version", "2023-06-01");
        request.json(&body).send().await.unwrap()
    }
}

async fn passed(answer: reqwest::Response) -> Response {
    let (status, kind) = (answer.status(), answer.headers()["content-type"].clone());
    (status, [("content-type", kind)], answer.bytes().await.unwrap_or_default()).into_response()
}

struct Site {
    upstream: Simulator,
    gates: Arc<Gates>,
    relay: TestRelay,
}

impl Site {
    async fn start(is_key_good: bool) -> Self {
        let models = [CLAUDE_AT_GOOGLE, GEMINI_AT_GOOGLE].map(str::to_owned).to_vec();
        let upstream = Simulator::start(SimulatorConfig { models, ..SimulatorConfig::default() });
        let gates = Arc::new(Gates { simulator: upstream.base_url(), tokens: AtomicUsize::new(0), is_key_good });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(gate).with_state(Arc::clone(&gates));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let account = json!({
            "client_email": "a@p.iam.gserviceaccount.com",
            "project_id": "p-1",
            "token_uri": format!("{url}/token"),
            "private_key": include_str!("../../../shared/providers/tests/service_account.pem"),
        });
        let cloud = |id, provider: &str, key: &str, models: &[&str]| Channel {
            provider: provider.into(),
            base_url: Some(url.clone()),
            keys: vec![channel_key(id * 10, key)],
            models: models.iter().map(|model| name(model)).collect(),
            ..channel(id, &url)
        };
        let relay = World {
            channels: vec![
                cloud(1, "aws-bedrock", "AKID|secret|us-east-1", &[AT_AWS]),
                cloud(2, "google-vertex", &account.to_string(), &[CLAUDE_AT_GOOGLE, GEMINI_AT_GOOGLE]),
            ],
            prices: [AT_AWS, CLAUDE_AT_GOOGLE, GEMINI_AT_GOOGLE].map(|model| (model, ratios("1", "4"))).to_vec(),
            adjust: |settings| settings.requests.media_from_private = true,
            ..World::with_upstream(&url)
        }
        .start()
        .await;
        Self { upstream, gates, relay }
    }

    async fn ask(&self, caller: Surface, model: &str, streams: bool, mut body: Value) -> Answer {
        let path = match (caller, streams) {
            (Surface::GenerateContent, false) => format!("/v1beta/models/{model}:generateContent"),
            (Surface::GenerateContent, true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            (other, _) => other.path().to_owned(),
        };
        if caller != Surface::GenerateContent {
            body["model"] = model.into();
            if streams {
                body["stream"] = true.into();
            }
            if streams && caller == Surface::ChatCompletions {
                body["stream_options"] = json!({"include_usage": true});
            }
        }
        let caller = self.relay.caller().with_header("anthropic-version", "2023-06-01");
        caller.post(&path, &body).await
    }
}

#[tokio::test]
async fn every_caller_is_answered_by_models_in_clouds_and_pays_what_it_was_told() {
    let site = Site::start(true).await;
    let mut asked = 0;
    for model in [AT_AWS, CLAUDE_AT_GOOGLE, GEMINI_AT_GOOGLE] {
        for caller in CALLERS {
            let named = format!("{} on {model}", caller.as_str());
            for streams in [false, true] {
                site.upstream.queue(Scenario { text: Some("Good day to you.".to_owned()), ..Scenario::default() });
                let answer = site.ask(caller, model, streams, question(caller, "hello there")).await;
                assert_eq!(answer.status, 200, "{named}: {}", answer.text());
                if streams {
                    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")), "{named}");
                }
                let told = if streams { gathered(caller, &answer.text()) } else { said(caller, &answer.json()) };
                assert_eq!(told.text, "Good day to you.", "{named}: {}", answer.text());
                asked += 1;
                let records = site.relay.wait_for_records(asked).await;
                let record = &records[asked - 1];
                assert_eq!(record.outcome, Outcome::Completed, "{named}: {record:?}");
                let counted = (record.usage.total_input(), record.usage.total_output(), record.usage_estimated);
                assert_eq!(counted, (told.input, told.output, false), "{named}: {record:?}");
            }
        }
    }
    assert_eq!(site.gates.tokens.load(Ordering::Relaxed), 1, "a token is fetched once");
}

#[tokio::test]
async fn an_exception_inside_a_stream_of_frames_is_told_inside_it() {
    let site = Site::start(true).await;
    for caller in CALLERS {
        site.upstream.queue(Scenario { fault: Fault::ErrorEvent, after: 6, chunks: Some(8), ..Scenario::default() });
        let answer = site.ask(caller, AT_AWS, true, question(caller, "hello there")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("The model broke off"), "{}", answer.text());
        assert!(!answer.text().contains("message_stop") && !answer.text().contains("[DONE]"), "{}", answer.text());
    }
}

#[tokio::test]
async fn clouds_are_given_images_as_data_where_claude_itself_takes_their_address() {
    let host = Recorder::start("image/png", &[b"\x89PNG\r\n\x1a\n"]).await;
    let site = Site::start(true).await;
    for model in [AT_AWS, CLAUDE_AT_GOOGLE] {
        let image = json!({"type": "image", "source": {"type": "url", "url": format!("{}/{model}.png", host.base_url())}});
        let body =
            json!({"max_tokens": 100, "messages": [{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]});
        site.ask(Surface::Messages, model, false, body).await;
        let source = site.upstream.last_body()["messages"][0]["content"][0]["source"].clone();
        assert_eq!(source, json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}), "{model}");
    }
    assert_eq!(host.heard().len(), 2);
}

#[tokio::test]
async fn a_key_that_no_token_is_given_for_is_the_channels_fault_and_nobody_elses() {
    let site = Site::start(false).await;
    let answer = site.ask(Surface::Messages, CLAUDE_AT_GOOGLE, false, question(Surface::Messages, "hello")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].as_str()), (502, Some("api_error")), "{}", answer.text());
    assert!(!answer.text().contains("JWT"), "{}", answer.text());
    assert_eq!(site.upstream.stats().received, 0);
}
