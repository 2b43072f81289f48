//! Stories over real sockets.

use std::error::Error;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Ending, Fault, LogEntry, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use crate::client::{Answer, Caller, Transcript};

const CHAT: &str = "/v1/chat/completions";

fn start() -> (Simulator, Caller) {
    let simulator = Simulator::start(SimulatorConfig::default());
    let caller = Caller::new(simulator.base_url());
    (simulator, caller)
}

fn chat(directive: &str) -> Value {
    json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": format!("count the drops [sim: {directive}]")}]})
}

fn streamed(directive: &str) -> Value {
    let mut body = chat(directive);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

async fn ask(directive: &str) -> (Answer, LogEntry) {
    let (simulator, caller) = start();
    let answer = caller.post(CHAT, &chat(directive)).await;
    (answer, simulator.wait_for(1).await.remove(0))
}

async fn listen_to(directive: &str) -> (Transcript, LogEntry) {
    let (simulator, caller) = start();
    let transcript = caller.stream(CHAT, &streamed(directive)).await;
    (transcript, simulator.wait_for(1).await.remove(0))
}

/// The kind of I/O error at the bottom of an HTTP client's error.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&dyn Error> = Some(error);
    let mut kind = None;
    while let Some(current) = cause {
        kind = current.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = current.source();
    }
    kind
}

#[tokio::test]
async fn a_plain_answer_looks_like_openais_and_its_usage_is_in_the_log() {
    let (answer, entry) = ask("tokens=20").await;
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("gpt-4o-mini-2024-07-18")));
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().split(' ').count(), 20);
    assert_eq!(body["usage"]["prompt_tokens"], 5);
    assert_eq!(body["usage"]["completion_tokens"], 20);
    assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);

    let usage = entry.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (5, 20, 25));
    assert_eq!((entry.ending, entry.status, entry.bytes), (Ending::Completed, 200, answer.body.len() as u64));
    assert_eq!(entry.answer_id.as_deref(), body["id"].as_str());
}

#[tokio::test]
async fn a_stream_has_role_content_finish_usage_and_done_in_this_order() {
    let (transcript, entry) = listen_to("tokens=6 chunks=3").await;
    let chunks = transcript.chunks();
    assert!(transcript.is_done() && transcript.broken.is_none());
    assert_eq!(chunks.len(), 6);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert!(chunks[..5].iter().all(|chunk| chunk["usage"].is_null() && chunk.as_object().unwrap().contains_key("usage")));
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"]["completion_tokens"], 6);
    assert_eq!(transcript.text(), "water flows through the gate and");
    assert_eq!((entry.events, entry.sent_tokens, entry.ending), (7, 6, Ending::Completed));
    assert_eq!(entry.usage.unwrap().total_tokens, 6 + 6, "the words of request and answer");
}

#[tokio::test]
async fn without_include_usage_no_chunk_mentions_usage() {
    let (simulator, caller) = start();
    let mut body = streamed("tokens=3");
    body.as_object_mut().unwrap().remove("stream_options");
    let transcript = caller.stream(CHAT, &body).await;
    assert!(transcript.chunks().iter().all(|chunk| chunk.get("usage").is_none()));
    assert!(transcript.is_done());
    assert_eq!(simulator.log()[0].usage, None);
}

#[tokio::test]
async fn several_choices_are_streamed_side_by_side() {
    let (_simulator, caller) = start();
    let mut body = streamed("tokens=4");
    body["n"] = json!(2);
    let transcript = caller.stream(CHAT, &body).await;
    for index in 0..2 {
        let of_choice = transcript.chunks().into_iter().filter(|chunk| chunk["choices"][0]["index"] == index);
        assert_eq!(of_choice.count(), 1 + 4 + 1);
    }
    assert_eq!(transcript.usage().unwrap()["completion_tokens"], 8);
}

#[tokio::test]
async fn tools_are_called_plain_and_in_pieces() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
    let (_simulator, caller) = start();
    let mut body = chat("tools=2");
    body["tools"] = tools;
    let plain = caller.post(CHAT, &body).await.json();
    assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(plain["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 2);
    body["stream"] = json!(true);
    let calls = caller.stream(CHAT, &body).await.tool_calls();
    let expected = |place: u32| ("weather".to_owned(), format!("{{\"city\":\"sample {place}\"}}"));
    assert_eq!(calls, [expected(1), expected(2)]);
}

#[tokio::test]
async fn chat_calls_a_tool_for_the_weather_quotes_its_result_and_thinks_when_asked() {
    let (_simulator, caller) = start();
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "clock", "parameters": parameters}}]);
    let user = json!({"role": "user", "content": "the weather in both cities"});
    let body = |messages: Value| json!({"model": "gpt-5", "messages": messages, "tools": tools, "reasoning_effort": "low"});
    let called = caller.post(CHAT, &body(json!([user]))).await.json();
    let message = &called["choices"][0]["message"];
    assert!(message["reasoning_content"].as_str().unwrap().contains("the weather in both cities"));
    assert!(called["usage"]["completion_tokens_details"]["reasoning_tokens"].as_i64().unwrap() > 0);
    let calls = message["tool_calls"].as_array().unwrap();
    assert_eq!((calls.len(), &message["content"]), (2, &Value::Null));
    let result = |call: &Value, said: &str| json!({"role": "tool", "tool_call_id": call["id"], "content": said});
    let go_on = json!([user, message, result(&calls[0], "noon"), result(&calls[1], "night")]);
    let mut streamed = body(go_on);
    streamed["stream"] = json!(true);
    let transcript = caller.stream(CHAT, &streamed).await;
    assert_eq!(transcript.text(), "clock said: noon\nclock said: night");
    let thought: String =
        transcript.chunks().iter().filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_content"].as_str()).collect();
    assert!(!thought.is_empty());
    let preamble = caller.post(CHAT, &json!({"model": "gpt-4o", "tools": tools, "messages": [user]})).await.json();
    assert_eq!(preamble["choices"][0]["message"].get("reasoning_content"), None);
}

#[tokio::test]
async fn what_a_request_said_is_kept_for_tests_and_served_over_http() {
    let (simulator, caller) = start();
    caller.post(CHAT, &chat("tokens=1")).await;
    caller.post(CHAT, &json!({"model": "gpt-4o", "messages": []})).await;
    assert_eq!(simulator.log()[0].json(), chat("tokens=1"));
    assert_eq!(simulator.last_body()["messages"], json!([]), "refused requests are kept, too");
    let page = caller.get("/__sim/bodies?after=1").await.text();
    let line: Value = serde_json::from_str(page.trim()).unwrap();
    assert_eq!((&line["seq"], &line["path"], &line["body"]["model"]), (&json!(2), &json!(CHAT), &json!("gpt-4o")));
    assert!(!caller.get("/__sim/log").await.text().contains("\"body\""), "the log itself stays small");
}

#[tokio::test]
async fn completions_embeddings_and_models_are_served() {
    let (_simulator, caller) = start();
    let body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": "one two [sim: tokens=3]"});
    let answer = caller.post("/v1/completions", &body).await.json();
    assert_eq!((&answer["object"], &answer["choices"][0]["text"]), (&json!("text_completion"), &json!("water flows through")));

    let body = json!({"model": "text-embedding-3-small", "input": ["one two", "three"], "dimensions": 4});
    let answer = caller.post("/v1/embeddings", &body).await.json();
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(answer["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));

    let models = caller.get("/v1/models").await.json();
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "gpt-4o"));
    assert_eq!(caller.get("/v1/models/gpt-4o").await.json()["object"], "model");
    assert_eq!(caller.get("/v1/models/gpt-99").await.status, 404);
}

#[tokio::test]
async fn azure_deployments_answer_with_filter_results() {
    let simulator = Simulator::start(SimulatorConfig::default().with_keys(["azure-key-000001"]));
    let caller = Caller::new(simulator.base_url());
    let path = "/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview";
    let post = |key: &'static str| {
        let request = caller.request(reqwest::Method::POST, path).header("api-key", key);
        crate::client::send(request.json(&json!({"messages": [{"role": "user", "content": "hi"}], "stream": true})))
    };
    let text = post("azure-key-000001").await.unwrap().text();
    assert!(text.starts_with(r#"data: {"id":"","object":"""#) && text.contains("prompt_filter_results"), "{text}");
    let refused = post("wrong-key-000001").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["code"].clone()), (401, json!("401")));
    assert_eq!(simulator.log()[0].key_hint.as_deref(), Some("…0001"));
}

#[tokio::test]
async fn keys_json_models_and_fields_are_checked_as_openai_does() {
    let simulator = Simulator::start(SimulatorConfig::default().with_keys(["sk-good-0123456789"]));
    let anonymous = Caller::new(simulator.base_url());
    let good = anonymous.clone().with_key("sk-good-0123456789");
    let wrong = anonymous.clone().with_key("sk-wrong-0123456789");
    assert_eq!(anonymous.post(CHAT, &chat("")).await.status, 401);
    let refused = wrong.post(CHAT, &chat("")).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["code"].clone()), (401, json!("invalid_api_key")));
    assert!(!refused.text().contains("sk-wrong"), "an error never repeats the key");

    let broken = good.request(reqwest::Method::POST, CHAT).body("{\"model\":");
    assert_eq!(crate::client::send(broken).await.unwrap().status, 400);
    let unknown = good.post(CHAT, &json!({"model": "gpt-99", "messages": [{"role": "user", "content": "hi"}]})).await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["error"]["code"].clone()), (404, json!("model_not_found")));
    let missing = good.post(CHAT, &json!({"model": "gpt-4o"})).await;
    assert_eq!((missing.status.as_u16(), missing.json()["error"]["param"].clone()), (400, json!("messages")));
    assert_eq!(good.post(CHAT, &chat("resett")).await.json()["error"]["code"], "sim_bad_directive");
    assert_eq!(simulator.stats().by_status.get(&400), Some(&3));
}

#[tokio::test]
async fn a_request_is_known_by_its_user_or_its_header() {
    let (simulator, caller) = start();
    let request = || caller.request(reqwest::Method::POST, CHAT).header("x-request-id", "from-header");
    crate::client::send(request().json(&chat(""))).await.unwrap();
    let mut named = chat("");
    named["user"] = json!("from-body");
    crate::client::send(request().json(&named)).await.unwrap();
    let ids: Vec<_> = simulator.log().into_iter().map(|entry| entry.request_id.unwrap()).collect();
    assert_eq!(ids, ["from-header", "from-body"]);
}

#[tokio::test]
async fn errors_have_their_status_body_and_retry_after() {
    let (answer, entry) = ask("429 retry_after=7").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")));
    assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!((entry.scenario.as_str(), entry.usage), ("429", None));
    let (answer, _) = ask("429").await;
    assert_eq!(answer.header("retry-after"), None);
    let (transcript, _) = listen_to("503").await;
    assert_eq!(transcript.status, 503);
}

#[tokio::test]
async fn the_queue_comes_before_directives_and_is_fed_over_http_too() {
    let (simulator, caller) = start();
    simulator.queue(QueuedScenario::from(Scenario::status(500)).times(2));
    let queued = json!([{"scenario": "502", "model": "gpt-4o-mini"}, {"scenario": {"status": 503}, "model": "gpt-4o"}]);
    assert_eq!(caller.post("/__sim/scenarios", &queued).await.json()["queued"], 3);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(caller.post(CHAT, &chat("429")).await.status.as_u16());
    }
    assert_eq!(statuses, [500, 500, 502, 429]);
    assert_eq!(caller.post("/__sim/scenarios", &json!({"scenario": "nonsense"})).await.status, 400);
    assert_eq!(simulator.stats().queued_scenarios, 1);
}

#[tokio::test]
async fn a_reset_reaches_the_caller_as_a_reset_after_the_events_before_it() {
    let (simulator, caller) = start();
    let mut stream = caller.open(CHAT, &streamed("reset after=3")).await.unwrap();
    for _ in 0..3 {
        stream.next().await.unwrap().unwrap();
    }
    let error = stream.next().await.unwrap_err();
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset), "{error:?}");
    let entry = simulator.wait_for(1).await.remove(0);
    assert_eq!((entry.ending, entry.events, entry.usage, entry.sent_tokens), (Ending::Cut, 3, None, 2));
}

#[tokio::test]
async fn resets_and_truncations_cut_plain_answers() {
    let (simulator, caller) = start();
    let before = caller.try_post(CHAT, &chat("reset_before_headers")).await.unwrap_err();
    assert_eq!(io_kind(&before), Some(io::ErrorKind::ConnectionReset), "{before:?}");
    let within = caller.try_post(CHAT, &chat("reset")).await.unwrap_err();
    assert_eq!(io_kind(&within), Some(io::ErrorKind::ConnectionReset), "{within:?}");
    let truncated = caller.try_post(CHAT, &chat("truncate")).await.unwrap_err();
    assert_ne!(io_kind(&truncated), Some(io::ErrorKind::ConnectionReset), "{truncated:?}");
    let log = simulator.wait_for(3).await;
    assert_eq!(log.iter().map(|entry| entry.status).collect::<Vec<_>>(), [0, 200, 200]);
    assert!(log.iter().all(|entry| entry.ending == Ending::Cut && entry.usage.is_none()));
}

#[tokio::test]
async fn streams_end_early_in_each_way_the_scenario_says() {
    let (transcript, entry) = listen_to("truncate after=2").await;
    assert!(transcript.broken.is_some());
    assert_eq!((transcript.events.len(), entry.ending), (2, Ending::Cut));

    let (transcript, entry) = listen_to("close after=2").await;
    assert_eq!((transcript.events.len(), transcript.broken, entry.ending), (2, None, Ending::Cut));

    let (transcript, entry) = listen_to("no_done tokens=2").await;
    assert!(transcript.usage().is_some() && !transcript.is_done() && transcript.broken.is_none());
    assert_eq!(entry.ending, Ending::Completed);

    let (transcript, entry) = listen_to("close after=1000 tokens=2").await;
    assert!(transcript.usage().is_some() && !transcript.is_done(), "beyond the end means just before [DONE]");
    assert_eq!(entry.ending, Ending::Cut);
}

#[tokio::test]
async fn streams_carry_errors_and_nonsense() {
    let (transcript, _) = listen_to("error_event after=2").await;
    assert_eq!(transcript.error().unwrap()["type"], "server_error");
    assert_eq!((transcript.events.len(), transcript.is_done()), (3, false));

    let (transcript, entry) = listen_to("malformed after=2 tokens=3").await;
    assert!(serde_json::from_str::<Value>(&transcript.events[2].data).is_err());
    assert!(transcript.is_done() && transcript.usage().is_some());
    assert_eq!(entry.events, transcript.events.len() as u64);
}

#[tokio::test]
async fn two_hundreds_that_are_no_answer() {
    let (answer, _) = ask("error_body").await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].clone()), (200, json!("server_error")));
    let (answer, _) = ask("html").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    let (answer, _) = ask("empty_body").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let (answer, entry) = ask("malformed").await;
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    assert_eq!(entry.usage, None);
    let (answer, entry) = ask("empty").await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "");
    assert_eq!(entry.usage.unwrap().completion_tokens, 0);
    let (answer, _) = ask("stream_for_json").await;
    assert!(answer.text().starts_with("data: {"));
    let (transcript, _) = listen_to("json_for_stream").await;
    assert_eq!(transcript.headers["content-type"], "application/json");
}

#[tokio::test]
async fn oversized_answers_have_the_size_asked_for() {
    let (answer, entry) = ask("oversized bytes=1000000").await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"].as_str().unwrap().len(), 1_000_000);
    assert_eq!((entry.bytes, entry.ending), (answer.body.len() as u64, Ending::Completed));
    let (transcript, entry) = listen_to("oversized bytes=300000 tokens=1").await;
    assert!(transcript.text().starts_with(&"x".repeat(300_000)) && transcript.is_done());
    assert_eq!(entry.events, transcript.events.len() as u64);
}

#[tokio::test]
async fn usage_is_missing_or_wrong_when_the_scenario_says_so() {
    let (answer, entry) = ask("usage=missing").await;
    assert!(answer.json().get("usage").is_none() && entry.usage.is_none());
    let (transcript, entry) = listen_to("usage=missing").await;
    assert!(transcript.usage().is_none() && transcript.is_done() && entry.usage.is_none());
    let (answer, entry) = ask("usage=negative").await;
    assert!(answer.json()["usage"]["completion_tokens"].as_i64().unwrap() < 0);
    assert!(entry.usage.unwrap().prompt_tokens < 0);
    let (transcript, _) = listen_to("cached_tokens=9 reasoning_tokens=4 audio_completion_tokens=2 tokens=1").await;
    let usage = transcript.usage().unwrap();
    assert_eq!((&usage["prompt_tokens_details"]["cached_tokens"], &usage["completion_tokens"]), (&json!(9), &json!(7)));
}

#[tokio::test]
async fn wire_bytes_come_in_pieces_of_the_size_asked_for() {
    let (transcript, entry) = listen_to("write_bytes=7 tokens=3").await;
    assert!(transcript.is_done() && transcript.text() == "water flows through");
    assert_eq!(entry.ending, Ending::Completed);
    let (answer, entry) = ask("write_bytes=5 tokens=3").await;
    assert_eq!(answer.json()["usage"]["completion_tokens"], 3);
    assert_eq!((entry.bytes, entry.usage.unwrap().completion_tokens), (answer.body.len() as u64, 3));
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed_wherever_the_answer_stands() {
    let (simulator, caller) = start();
    for (directive, path_is_stream, least_events) in [
        ("hang_before_headers", false, 0),
        ("hang after=3", true, 3),
        ("headers_delay_ms=600000", false, 0),
        ("delay_ms=600000", true, 1),
    ] {
        simulator.clear_log();
        let body = if path_is_stream { streamed(directive) } else { chat(directive) };
        if path_is_stream {
            let mut stream = caller.open(CHAT, &body).await.unwrap();
            for _ in 0..least_events {
                stream.next().await.unwrap().unwrap();
            }
            drop(stream);
        } else {
            let call = tokio::time::timeout(Duration::from_mins(1), async {
                tokio::select! {
                    _ = caller.try_post(CHAT, &body) => panic!("no answer was to come"),
                    () = simulator.wait_in_flight(1) => {}
                }
            });
            call.await.unwrap();
        }
        let entry = simulator.wait_for(1).await.remove(0);
        assert_eq!((entry.ending, entry.events), (Ending::AbortedByClient, least_events), "{directive}");
        assert_eq!(entry.usage, None);
    }
}

#[tokio::test]
async fn a_stopped_simulator_cuts_what_is_open_and_says_so_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.ndjson");
    let simulator = Simulator::start(SimulatorConfig { log_file: Some(file.clone()), ..SimulatorConfig::default() });
    let caller = Caller::new(simulator.base_url());
    let mut stream = caller.open(CHAT, &streamed("hang after=2")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    simulator.stop();
    while let Ok(Some(_)) = stream.next().await {}
    let entry: LogEntry = serde_json::from_str(std::fs::read_to_string(file).unwrap().trim()).unwrap();
    assert_eq!((entry.ending, entry.scenario.as_str()), (Ending::Cut, "hang"));
    assert!(caller.try_post(CHAT, &chat("")).await.is_err());
}

#[tokio::test]
async fn the_log_is_read_page_by_page_over_http() {
    let (simulator, caller) = start();
    for _ in 0..5 {
        caller.post(CHAT, &chat("")).await;
    }
    let page = caller.get("/__sim/log?limit=3").await;
    assert_eq!((page.text().lines().count(), page.header("x-sim-last")), (3, Some("3")));
    let page = caller.get("/__sim/log?after=3").await;
    let seqs: Vec<u64> = page.text().lines().map(|line| serde_json::from_str::<LogEntry>(line).unwrap().seq).collect();
    assert_eq!(seqs, [4, 5]);
    assert_eq!(caller.get("/__sim/stats").await.json()["completed"], 5);
    crate::client::send(caller.request(reqwest::Method::DELETE, "/__sim/log")).await.unwrap();
    assert_eq!((simulator.log().len(), simulator.stats().finished), (0, 0));
}

#[tokio::test]
async fn the_fast_model_answers_from_stock_and_is_counted_all_the_same() {
    let (simulator, caller) = start();
    let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}], "user": "r1"});
    let plain = caller.post(CHAT, &body).await;
    assert_eq!(plain.json()["usage"]["completion_tokens"], 100);
    assert!((900..1500).contains(&plain.body.len()), "{}", plain.body.len());
    let mut streaming = body.clone();
    streaming["stream"] = json!(true);
    streaming["stream_options"] = json!({"include_usage": true});
    let transcript = caller.stream(CHAT, &streaming).await;
    assert_eq!(transcript.usage().unwrap()["completion_tokens"], 100);
    let log = simulator.log();
    assert_eq!((log[0].usage, log[0].request_id.as_deref()), (log[1].usage, Some("r1")));
    assert_eq!(log[1].events, transcript.events.len() as u64);
    simulator.queue(QueuedScenario::from(Scenario::fault(Fault::Html, 0)).for_model("sim-fast"));
    assert!(caller.post(CHAT, &body).await.text().contains("<html>"), "a queued scenario comes first");
}

#[tokio::test]
async fn the_demo_model_introduces_itself_word_by_word() {
    let (_simulator, caller) = start();
    let body =
        json!({"model": "demo", "stream": true, "messages": [{"role": "user", "content": "who are you? [sim: delay_ms=0]"}]});
    let transcript = caller.stream(CHAT, &body).await;
    assert!(transcript.text().contains("simulator") && transcript.text().contains("who are you?"));
    assert!(transcript.events.len() > 20);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let (simulator, _) = start();
    let mut socket = TcpStream::connect(simulator.addr()).await.unwrap();
    let body = chat("tokens=1").to_string();
    let request = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..3 {
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!((simulator.stats().connections, simulator.stats().finished), (1, 3));
}
