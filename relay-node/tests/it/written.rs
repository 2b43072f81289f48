//! Streams that are written anew: a usage that nobody reported, stops that are looked for here, arrays that break off.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_domain::Outcome;
use sluice_snapshot::{Channel, ChannelSettings};
use sluice_testkit::simulator::{Fault, Scenario, Simulator, SimulatorConfig, UsageReport};

use crate::dialects::provider;
use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel, name, ratios};

const CHAT: &str = "/v1/chat/completions";
const CLAUDE: &str = "claude-sonnet-4-5";
const GEMINI: &str = "gemini-2.5-pro";

/// The events of a stream, and whether the last one is `[DONE]`.
fn events(stream: &str) -> (Vec<Value>, bool) {
    let mut data: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let is_done = data.pop_if(|last| *last == "[DONE]").is_some();
    (data.into_iter().map(|data| serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON: {data}"))).collect(), is_done)
}

fn text_of(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn chat_that_is_written_anew_tells_a_usage_that_nobody_reported_to_those_who_asked_and_to_nobody_else() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let url = upstream.base_url();
    let formatted: ChannelSettings = serde_json::from_value(json!({"force_format": true})).unwrap();
    let relay = World {
        channels: vec![
            Channel { settings: Arc::new(formatted), ..channel(1, &url) },
            Channel { provider: "anthropic".into(), base_url: Some(url.clone()), models: vec![name(CLAUDE)], ..channel(2, &url) },
        ],
        prices: vec![("gpt-4o", ratios("1", "4")), (CLAUDE, ratios("1", "4"))],
        ..World::with_upstream(&url)
    }
    .start()
    .await;
    let mut asked = 0;
    for model in ["gpt-4o", CLAUDE] {
        for is_reported in [true, false] {
            for wanted in [false, true] {
                let usage = if is_reported { UsageReport::True } else { UsageReport::Missing };
                upstream.queue(Scenario { text: Some("Good day to you.".to_owned()), usage, ..Scenario::default() });
                let mut body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hello there"}]});
                if wanted {
                    body["stream_options"] = json!({"include_usage": true});
                }
                let answer = relay.caller().post(CHAT, &body).await;
                let named = format!("{model}, reported: {is_reported}, wanted: {wanted}: {}", answer.text());
                let (events, is_done) = events(&answer.text());
                assert!(is_done && text_of(&events) == "Good day to you.", "{named}");
                asked += 1;
                let record = relay.wait_for_records(asked).await.pop().unwrap();
                assert_eq!((record.usage_estimated, record.outcome), (!is_reported, Outcome::Completed), "{named}");
                let (usage, chunks): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|event| event["usage"].is_object());
                assert!(chunks.iter().all(|chunk| chunk.get("usage").is_some() == wanted), "{named}");
                if !wanted {
                    assert!(usage.is_empty(), "{named}");
                    continue;
                }
                assert_eq!((usage.len(), events.last()), (1, Some(usage[0])), "it comes once and last: {named}");
                assert_eq!(usage[0]["choices"], json!([]), "{named}");
                let told = (usage[0]["usage"]["prompt_tokens"].as_u64(), usage[0]["usage"]["completion_tokens"].as_u64());
                assert_eq!(told, (Some(record.usage.total_input()), Some(record.usage.total_output())), "{named}");
                assert!(record.usage.output > 0, "{named}");
            }
        }
    }
}

/// A relay whose only upstream speaks Responses, which has no field for stops, and answers with these pieces of text.
async fn responding(pieces: &[&str], streams: bool) -> (Recorder, TestRelay) {
    let whole: String = pieces.concat();
    let usage = json!({"input_tokens": 9, "output_tokens": 40, "total_tokens": 49});
    let part = json!({"type": "output_text", "text": whole, "annotations": []});
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]});
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "status": status, "output": output,
            "usage": if status == "completed" { usage.clone() } else { Value::Null }})
    };
    let recorder = if streams {
        let mut stream = vec![json!({"type": "response.created", "response": response("in_progress", json!([]))})];
        stream.push(json!({"type": "response.output_item.added", "output_index": 0, "item":
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}));
        stream.push(json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []}}));
        stream.extend(pieces.iter().map(|piece| {
            json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": piece})
        }));
        stream.push(json!({"type": "response.completed", "response": response("completed", json!([item]))}));
        let lines = stream.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
        let lines: Vec<String> = lines.collect();
        Recorder::start("text/event-stream", &lines.iter().map(String::as_bytes).collect::<Vec<_>>()).await
    } else {
        Recorder::start("application/json", &[response("completed", json!([item])).to_string().as_bytes()]).await
    };
    let stops = provider("stops", 9_010, "responses", "/v1/responses") + "[writer]\nemulates_stop = true\n";
    let url = recorder.base_url();
    let relay = World {
        channels: vec![Channel { provider: "stops".into(), base_url: Some(url.clone()), ..channel(1, &url) }],
        providers: vec![("stops", stops)],
        ..World::with_upstream(&url)
    };
    (recorder, relay.start().await)
}

fn until_end(streams: bool) -> Value {
    json!({"model": "gpt-4o", "stream": streams, "stop": ["END", "never"], "messages": [{"role": "user", "content": "hi"}],
        "stream_options": if streams { json!({"include_usage": true}) } else { Value::Null }})
}

#[tokio::test]
async fn a_stop_that_an_upstream_has_no_field_for_ends_the_stream_here_however_it_is_cut() {
    for pieces in [&["one two END three four five"][..], &["one two E", "N", "D three", " four five"], &["one two EN", "D"]] {
        let (upstream, relay) = responding(pieces, true).await;
        let answer = relay.caller().post(CHAT, &until_end(true)).await;
        let (events, is_done) = events(&answer.text());
        assert!(is_done, "{}", answer.text());
        assert_eq!(text_of(&events), "one two ", "{pieces:?}: {}", answer.text());
        let ends: Vec<&Value> =
            events.iter().map(|event| &event["choices"][0]["finish_reason"]).filter(|end| end.is_string()).collect();
        assert_eq!(ends, ["stop"], "{}", answer.text());
        assert!(serde_json::from_slice::<Value>(&upstream.heard()[0].body).unwrap().get("stop").is_none());
        // what was not told is not paid: the upstream's own figures come too late, and what was said is counted here
        let record = relay.record().await;
        assert_eq!((record.outcome, record.usage_estimated), (Outcome::Completed, true), "{record:?}");
        assert!((1..=4).contains(&record.usage.output), "{record:?}");
        let usage = &events.last().unwrap()["usage"];
        assert_eq!(usage["completion_tokens"], json!(record.usage.output), "{}", answer.text());
        assert_eq!(usage["prompt_tokens"], json!(record.usage.input), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_looked_like_a_stop_and_was_none_is_said_and_paid_as_reported() {
    let (_, relay) = responding(&["one E", "N", "d two E"], true).await;
    let answer = relay.caller().post(CHAT, &until_end(true)).await;
    let (events, is_done) = events(&answer.text());
    assert!(is_done && text_of(&events) == "one ENd two E", "{}", answer.text());
    let record = relay.record().await;
    assert_eq!((record.usage.input, record.usage.output, record.usage_estimated), (9, 40, false));
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 40);
}

#[tokio::test]
async fn a_whole_answer_is_cut_at_a_stop_too_and_costs_what_it_did_cost() {
    let (_, relay) = responding(&["one two END three"], false).await;
    let answer = relay.caller().post(CHAT, &until_end(false)).await;
    let told = answer.json();
    assert_eq!(told["choices"][0]["message"]["content"], "one two ", "{told}");
    assert_eq!(told["choices"][0]["finish_reason"], "stop");
    let record = relay.record().await;
    assert_eq!((record.usage.input, record.usage.output, record.usage_estimated), (9, 40, false), "all of it was generated");
    assert_eq!(told["usage"]["completion_tokens"], 40);
}

#[tokio::test]
async fn an_array_that_breaks_off_is_still_one_and_its_last_item_says_why() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let url = upstream.base_url();
    let of = |provider: &str, id: i64, model: &str| Channel {
        provider: provider.into(),
        base_url: Some(url.clone()),
        models: vec![name(model)],
        ..channel(id, &url)
    };
    let relay = World {
        channels: vec![channel(1, &url), of("anthropic", 2, CLAUDE), of("google-gemini", 3, GEMINI)],
        prices: ["gpt-4o", CLAUDE, GEMINI].map(|model| (model, ratios("1", "4"))).to_vec(),
        ..World::with_upstream(&url)
    }
    .start()
    .await;
    let question = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    let mut asked = 0;
    for model in ["gpt-4o", CLAUDE, GEMINI] {
        for fault in [Fault::Reset, Fault::Truncate, Fault::Close, Fault::ErrorEvent] {
            upstream.queue(Scenario { fault, after: 9, tokens: Some(30), ..Scenario::default() });
            let path = format!("/v1beta/models/{model}:streamGenerateContent");
            let answer = relay.caller().post(&path, &question).await;
            let named = format!("{model} {fault:?}: {}", answer.text());
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")), "{named}");
            let items: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no array: {named}"));
            let (last, said) = items.split_last().unwrap();
            assert!(last["error"]["code"].is_number() && last["error"]["message"].is_string(), "{named}");
            assert!(!said.is_empty() && said.iter().all(|item| item["candidates"].is_array()), "{named}");
            assert!(said.iter().all(|item| item["candidates"][0].get("finishReason").is_none()), "{named}");
            asked += 1;
            let record = relay.wait_for_records(asked).await.pop().unwrap();
            assert!(record.outcome != Outcome::Completed && record.quota.is_positive(), "{named}: {record:?}");
        }
    }
}

#[tokio::test]
async fn an_array_that_breaks_off_before_its_first_item_holds_the_error_alone() {
    // a call is written when it is whole: what came of it is output, and nothing was written
    let chunk = |delta: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]})
        )
    };
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":"}});
    let stream = chunk(json!({"role": "assistant", "tool_calls": [call]}));
    let upstream = Recorder::start("text/event-stream", &[stream.as_bytes()]).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = json!({"contents": [{"parts": [{"text": "hello"}]}],
        "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks."}]}]});
    let answer = relay.caller().post("/v1beta/models/gpt-4o:streamGenerateContent", &body).await;
    let items: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no array: {}", answer.text()));
    assert_eq!((items.len(), items[0]["error"]["status"].is_string()), (1, true), "{}", answer.text());
}
