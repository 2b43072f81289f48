//! What an administrator has a relay try: with exactly the channel and key they name, on nobody's account.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sluice_domain::{ChannelId, ChannelKeyId, Status};
use sluice_providers::Amount;
use sluice_relay_node::errands::{self, Deed, Errand, Found, Report};
use sluice_relay_node::forward::{Tried, Trouble};
use sluice_testkit::simulator::{Fault, FinishReport, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::net::TcpListener;

use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel, channel_key, name, ratios};

fn errand(deed: Deed, key: Option<i64>, model: &str) -> Errand {
    let (channel, key) = (ChannelId::new(1), key.map(ChannelKeyId::new));
    Errand { id: 7, deed, channel, key, model: model.to_owned(), config_seq: 42 }
}

async fn run(relay: &TestRelay, errand: Errand) -> Report {
    errands::run(&relay.app, errand, errands::PATIENCE).await
}

async fn test(relay: &TestRelay, model: &str) -> Report {
    run(relay, errand(Deed::Test, Some(10), model)).await
}

fn tried(report: Report) -> Tried {
    match report.outcome {
        Ok(Found::Answer(tried)) => tried,
        other => panic!("{other:?}"),
    }
}

fn trouble(report: Report) -> Trouble {
    report.outcome.expect_err("it fails")
}

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

#[tokio::test]
async fn a_model_that_answers_is_told_with_its_usage_and_leaves_no_trace() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let report = test(&relay, "gpt-4o").await;
    assert_eq!(report.errand, 7);
    let tried = tried(report);
    assert_eq!((tried.status, tried.first_byte.is_some()), (200, true));
    assert!(tried.usage.total_input() > 0 && tried.usage.total_output() > 0, "{tried:?}");
    let asked = upstream.last_body();
    assert_eq!(asked, json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16}));
    assert_eq!(relay.records().await, [], "nobody pays for it");
    assert_eq!(relay.app.engine.seen.take(), [], "and nobody is told of it but who asked");

    let report = test(&relay, "text-embedding-3-small").await;
    assert_eq!((report.outcome.is_ok(), &upstream.last_body()["input"]), (true, &json!("hello world")));
}

#[tokio::test]
async fn a_channel_and_key_that_are_off_are_tried_all_the_same() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].status = Status::AutoDisabled;
    world.channels[0].keys.push(sluice_snapshot::ChannelKey { status: Status::AutoDisabled, ..channel_key(11, "second-key") });
    let relay = world.start().await;
    let report = run(&relay, errand(Deed::Test, Some(11), "gpt-4o")).await;
    assert!(report.outcome.is_ok(), "{report:?}");
    let hint = upstream.log().last().unwrap().key_hint.clone().unwrap();
    assert!("second-key".ends_with(hint.trim_matches(|c: char| !c.is_alphanumeric())), "{hint}");
    let gone = trouble(run(&relay, errand(Deed::Test, Some(99), "gpt-4o")).await);
    assert_eq!(gone.word, "no_key");
}

#[tokio::test]
async fn a_refused_key_is_told_with_what_the_rules_go_by() {
    let upstream = simulator();
    upstream.queue(Scenario { status: Some(401), ..Scenario::default() });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let trouble = trouble(test(&relay, "gpt-4o").await);
    assert_eq!((trouble.word, trouble.status), ("upstream_auth_failed", 401));
    assert_eq!(trouble.evidence.as_ref().map(|said| said.status), Some(401));
    assert!(!trouble.message.is_empty() && !trouble.message.contains("upstream-key"), "{trouble:?}");
    assert_eq!(relay.app.engine.seen.take(), []);
    assert_eq!(relay.caller().post("/v1/chat/completions", &question()).await.status, 200, "nothing is left out for it");
}

fn question() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]})
}

#[tokio::test]
async fn an_error_in_a_200_and_an_answer_without_anything_are_failures() {
    for (fault, word) in [(Fault::ErrorBody, "upstream_refused"), (Fault::Empty, "empty_response"), (Fault::Html, "bad_response")]
    {
        let upstream = simulator();
        upstream.queue(QueuedScenario::from(Scenario::fault(fault, 0)).times(3));
        let relay = World::with_upstream(&upstream.base_url()).start().await;
        let trouble = trouble(test(&relay, "gpt-4o").await);
        assert_eq!(trouble.word, word, "{fault:?}: {trouble:?}");
        assert_eq!(upstream.log().len(), 1, "once is enough");
    }
}

#[tokio::test]
async fn an_answer_that_thinking_used_up_is_an_answer() {
    let upstream = simulator();
    upstream.queue(Scenario { finish: Some(FinishReport::Length), ..Scenario::fault(Fault::Empty, 0) });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    assert_eq!(tried(test(&relay, "gpt-4o").await).status, 200);
}

#[tokio::test]
async fn a_slow_answer_is_told_with_its_time() {
    let upstream = simulator();
    upstream.queue(Scenario { first_token_delay_ms: 300, ..Scenario::default() });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let report = test(&relay, "gpt-4o").await;
    assert!(report.outcome.is_ok() && report.latency >= Duration::from_millis(300), "{report:?}");
}

#[tokio::test]
async fn a_model_goes_by_the_name_that_its_channel_has_for_it() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].model_mapping.insert("mine".to_owned(), "gpt-4o".to_owned());
    world.channels[0].models.push(name("mine"));
    let relay = world.start().await;
    assert!(test(&relay, "mine").await.outcome.is_ok());
    assert_eq!(upstream.last_body()["model"], "gpt-4o");
}

/// A provider of ours: lists of models in pages, a balance, and reranking.
async fn provider() -> String {
    let models = |Query(query): Query<std::collections::HashMap<String, String>>| async move {
        match query.get("after_id").map(String::as_str) {
            None => json!({"data": [{"id": "a"}, {"id": "b"}], "has_more": true, "last_id": "b"}).to_string(),
            Some("b") => json!({"data": [{"id": "c"}], "has_more": false, "last_id": "c"}).to_string(),
            Some(other) => panic!("{other}"),
        }
    };
    let balance = |headers: HeaderMap| async move {
        if headers["authorization"] == "Bearer upstream-key-1" {
            (StatusCode::OK, json!({"data": {"total_credits": 12.5, "total_usage": 2}}).to_string())
        } else {
            (StatusCode::UNAUTHORIZED, json!({"error": {"code": "invalid_api_key", "message": "no"}}).to_string())
        }
    };
    let rerank = |body: String| async move {
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["documents"].as_array().map(Vec::len), Some(2));
        json!({"results": [{"index": 0, "relevance_score": 0.9}]}).to_string()
    };
    let router =
        Router::new().route("/v1/models", get(models)).route("/v1/credits", get(balance)).route("/v1/rerank", post(rerank));
    serve(router).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn lists_of_models_are_fetched_page_by_page_and_balances_by_the_providers_own_rule() {
    let address = provider().await;
    let mut world = World::with_upstream(&address);
    world.channels[0].provider = "openrouter".into();
    world.channels[0].base_url = Some(address);
    world.channels[0].keys.push(channel_key(11, "no-key-of-theirs"));
    let relay = world.start().await;
    let models = run(&relay, errand(Deed::Models, Some(10), "")).await.outcome;
    assert_eq!(models, Ok(Found::Models(vec!["a".into(), "b".into(), "c".into()])));
    let balance = run(&relay, errand(Deed::Balance, Some(10), "")).await.outcome;
    assert_eq!(balance, Ok(Found::Balance(Amount { amount: "10.5".into(), currency: "USD".into() })));
    let refused = trouble(run(&relay, errand(Deed::Balance, Some(11), "")).await);
    assert_eq!((refused.word, refused.status), ("upstream_auth_failed", 401));
    assert_eq!(refused.evidence.map(|said| said.code), Some("invalid_api_key".to_owned()));
}

#[tokio::test]
async fn reranking_is_tried_as_it_is() {
    let address = provider().await;
    let mut world = World::with_upstream(&address);
    let jina = sluice_snapshot::Channel { provider: "jina".into(), base_url: Some(address), ..channel(1, "") };
    world.channels = vec![jina];
    let relay = world.start().await;
    assert_eq!(tried(test(&relay, "jina-reranker-m0").await).status, 200);
}

#[tokio::test]
async fn what_a_provider_does_not_offer_is_said_without_asking() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let balance = trouble(run(&relay, errand(Deed::Balance, Some(10), "")).await);
    assert_eq!(balance.word, "not_offered");
    let image = trouble(test(&relay, "dall-e-3").await);
    assert_eq!(image.word, "not_tested");
    assert_eq!(upstream.log().len(), 0);
}

const DEEDS: [Deed; 3] = [Deed::Test, Deed::Models, Deed::Balance];

/// A world whose only channel is OpenRouter's, which has everything, at an address of ours.
fn open_router(base_url: &str, settings: &Value) -> World {
    let settings = Arc::new(serde_json::from_value(settings.clone()).unwrap());
    let mut world = World::with_upstream(base_url);
    world.channels = vec![sluice_snapshot::Channel {
        provider: "openrouter".into(),
        base_url: Some(base_url.to_owned()),
        settings,
        ..channel(1, base_url)
    }];
    world
}

#[tokio::test]
async fn a_refused_key_is_told_whatever_was_asked() {
    let refused = |_: HeaderMap| async {
        let said = json!({"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: upstream-key-1."}});
        (StatusCode::UNAUTHORIZED, said.to_string())
    };
    let address = serve(Router::new().fallback(refused)).await;
    let relay = open_router(&address, &json!({})).start().await;
    for deed in DEEDS {
        let trouble = trouble(run(&relay, errand(deed, Some(10), "gpt-4o")).await);
        assert_eq!((trouble.word, trouble.status), ("upstream_auth_failed", 401), "{deed:?}");
        assert_eq!(trouble.evidence.as_ref().map(|said| said.code.as_str()), Some("invalid_api_key"), "{deed:?}");
        assert!(!format!("{trouble:?}").contains("upstream-key-1"), "{deed:?}: {trouble:?}");
    }
    assert_eq!(relay.app.engine.seen.take(), [], "nobody is told of it but who asked");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_without_its_address() {
    let nowhere = format!("http://127.0.0.1:{}", sluice_testkit::ports::free());
    let relay = open_router(&nowhere, &json!({})).start().await;
    for deed in DEEDS {
        let trouble = trouble(run(&relay, errand(deed, Some(10), "gpt-4o")).await);
        assert_eq!((trouble.word, trouble.status), ("connect", 0), "{deed:?}: {trouble:?}");
        assert!(!trouble.message.contains("127.0.0.1"), "{deed:?}: {trouble:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up_in_time() {
    let silent = || async { std::future::pending::<&'static str>().await };
    let address = serve(Router::new().fallback(silent)).await;
    let relay = open_router(&address, &json!({})).start().await;
    for deed in DEEDS {
        let report = errands::run(&relay.app, errand(deed, Some(10), "gpt-4o"), Duration::from_millis(200)).await;
        let trouble = trouble(report);
        assert_eq!((trouble.word, trouble.status), ("total_timeout", 0), "{deed:?}: {trouble:?}");
    }
}

#[tokio::test]
async fn everything_goes_through_the_channels_proxy_and_with_its_headers() {
    let chat = json!({"id": "1", "object": "chat.completion", "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let list = json!({"data": [{"id": "a"}]});
    let credits = json!({"data": {"total_credits": 3, "total_usage": 1}});
    let answers = [chat, list, credits].map(|answer| vec![answer.to_string().into()]).to_vec();
    let proxy = Recorder::start_each("application/json", answers).await;
    let settings = json!({"proxy": format!("http://user:hunter2@{}", proxy.addr), "header_override": {"X-Team": "blue"}});
    let relay = open_router("http://upstream.example", &settings).start().await;
    for deed in DEEDS {
        let report = run(&relay, errand(deed, Some(10), "gpt-4o")).await;
        assert!(report.outcome.is_ok(), "{deed:?}: {report:?}");
    }
    let heard = proxy.heard();
    assert_eq!(heard.len(), 3);
    for one in &heard {
        assert_eq!(
            (&one.headers["host"], &one.headers["x-team"]),
            (&"upstream.example".parse().unwrap(), &"blue".parse().unwrap())
        );
        assert_eq!(one.headers["authorization"], "Bearer upstream-key-1", "{}", one.path);
    }

    let nowhere = format!("socks5h://user:hunter2@127.0.0.1:{}", sluice_testkit::ports::free());
    let relay = open_router("http://upstream.example", &json!({"proxy": nowhere})).start().await;
    for deed in DEEDS {
        let trouble = trouble(run(&relay, errand(deed, Some(10), "gpt-4o")).await);
        assert_eq!(trouble.status, 0, "{deed:?}: past its proxy there is no way");
        assert!(!format!("{trouble:?}").contains("hunter2"), "{deed:?}: {trouble:?}");
    }
}

/// Codex' backend as far as it matters: what is no stream is refused, and the stream's end does not repeat the output.
async fn codex() -> String {
    let answer = |body: String| async move {
        let asked: Value = serde_json::from_str(&body).unwrap();
        if asked["stream"] != true || asked["store"] != false {
            let told = json!({"detail": "Stream must be set to true"}).to_string();
            return (StatusCode::BAD_REQUEST, [("content-type", "application/json")], told);
        }
        let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                          "content": [{"type": "output_text", "text": "Hello you.", "annotations": []}]});
        let events = [
            json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0,
                   "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []}}),
            json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello you."}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": [],
                   "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}}),
        ];
        let text = events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
        (StatusCode::OK, [("content-type", "text/event-stream")], text.collect::<String>())
    };
    serve(Router::new().route("/backend-api/codex/responses", post(answer))).await
}

async fn codex_relay() -> TestRelay {
    let address = codex().await;
    let mut world = World::with_upstream(&address);
    let key = json!({"access_token": "token-1", "account_id": "account-1"}).to_string();
    world.channels = vec![sluice_snapshot::Channel {
        provider: "openai-codex".into(),
        base_url: Some(address.clone()),
        keys: vec![channel_key(10, &key)],
        models: vec![name("gpt-5-codex")],
        ..channel(1, &address)
    }];
    world.prices = vec![("gpt-5-codex", ratios("1", "4"))];
    world.start().await
}

#[tokio::test]
async fn a_provider_that_only_streams_is_tried_with_a_stream() {
    let relay = codex_relay().await;
    let tried = tried(test(&relay, "gpt-5-codex").await);
    assert_eq!((tried.usage.total_input(), tried.usage.total_output()), (3, 2));
    assert_eq!(relay.records().await, [], "nobody pays for it");
}

#[tokio::test]
async fn callers_who_want_no_stream_are_answered_in_one_piece_by_a_provider_that_only_streams() {
    let relay = codex_relay().await;
    let asked = json!({"model": "gpt-5-codex", "input": "hello"});
    let answer = relay.caller().post("/v1/responses", &asked).await;
    assert_eq!((answer.status, &answer.json()["object"]), (StatusCode::OK, &json!("response")), "{}", answer.text());
    assert_eq!(answer.json()["output"][0]["content"][0]["text"], "Hello you.");
    assert_eq!((&answer.json()["model"], &answer.json()["usage"]["total_tokens"]), (&json!("gpt-5-codex"), &json!(5)));

    let asked = json!({"model": "gpt-5-codex", "messages": [{"role": "user", "content": "hello"}]});
    let answer = relay.caller().post("/v1/chat/completions", &asked).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello you.", "{}", answer.text());

    let mut asked = json!({"model": "gpt-5-codex", "input": "hello"});
    asked["stream"] = true.into();
    let streamed = relay.caller().post("/v1/responses", &asked).await;
    assert!(streamed.text().contains("event: response.completed"), "{}", streamed.text());
    let charged: Vec<u64> = relay.wait_for_records(3).await.iter().map(|record| record.usage.total_output()).collect();
    assert_eq!(charged, [2, 2, 2], "each is paid for by what it used");
}
