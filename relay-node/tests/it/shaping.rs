//! What the settings of a channel make of requests and answers.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sluice_snapshot::{Channel, ChannelSettings};
use sluice_testkit::client::send;
use sluice_testkit::simulator::{QueuedScenario, Scenario, Simulator, SimulatorConfig};

use crate::recorder::{Heard, Recorder};
use crate::relay::{TestRelay, World, channel, channel_key};

const ANSWER: &[u8] = br#"{"id":"1","object":"chat.completion","model":"gpt-4o","vendor":{"x":1},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi.","reasoning_content":"Hm."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn settings(text: &Value) -> Arc<ChannelSettings> {
    Arc::new(serde_json::from_value(text.clone()).unwrap())
}

/// A relay whose only channel is of a provider and has these settings.
async fn relay(provider: &str, url: &str, text: &Value) -> TestRelay {
    let base_url = if provider == "openai-compatible" { format!("{url}/v1") } else { url.to_owned() };
    let only = Channel { provider: provider.into(), base_url: Some(base_url), settings: settings(text), ..channel(1, url) };
    World { channels: vec![only], ..World::with_upstream(url) }.start().await
}

fn question() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]})
}

/// What an upstream hears of a question over a channel with these settings, and what its caller is told.
async fn heard(text: &Value, body: &Value) -> (Heard, Value) {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let relay = relay("openai-compatible", &upstream.base_url(), text).await;
    let caller = relay.caller().with_header("x-trace", "t-1").with_header("cookie", "c=1");
    let answer = caller.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (upstream.heard().remove(0), answer.json())
}

fn json_of(heard: &Heard) -> Value {
    serde_json::from_slice(&heard.body).unwrap()
}

#[tokio::test]
async fn a_channels_rules_change_the_body() {
    let rules = json!({"param_override": {"operations": [
        {"mode": "set", "path": "temperature", "value": 0.5},
        {"mode": "append", "path": "messages.-1.content", "value": "!",
         "conditions": [{"path": "original_model", "mode": "full", "value": "gpt-4o"}]},
    ]}});
    let (heard, _) = heard(&rules, &question()).await;
    let sent = json_of(&heard);
    assert_eq!((&sent["temperature"], &sent["messages"][0]["content"]), (&json!(0.5), &json!("hello there!")));
}

#[tokio::test]
async fn a_channels_headers_and_those_it_passes_on_are_sent() {
    let entries = json!({"header_override": {
        "X-Team": "blue", "X-Key": "Token {api_key}", "X-Echo": "{client_header:X-Trace}", "*": "", "X-None": "{client_header:X-Absent}",
    }});
    let (heard, _) = heard(&entries, &question()).await;
    let header = |name: &str| heard.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-team"), Some("blue"));
    assert_eq!(header("x-key"), Some("Token upstream-key-1"));
    assert_eq!((header("x-echo"), header("x-trace")), (Some("t-1"), Some("t-1")));
    assert_eq!((header("x-none"), header("cookie")), (None, None));
    assert_eq!(header("authorization"), Some("Bearer upstream-key-1"));
    assert!(heard.headers.values().all(|value| !value.to_str().unwrap().contains(crate::relay::KEY)));
}

#[tokio::test]
async fn a_channel_whose_settings_cannot_be_followed_is_passed_over_and_told_of() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let url = upstream.base_url();
    for (text, word) in [
        (json!({"param_override": {"operations": [{"mode": "burn", "path": "a"}]}}), "channel:param_override_invalid"),
        (json!({"header_override": {"re:(": ""}}), "channel:header_override_invalid"),
    ] {
        let broken = Channel { priority: 5, settings: settings(&text), ..channel(1, &url) };
        let relay = World { channels: vec![broken, channel(2, &url)], ..World::with_upstream(&url) }.start().await;
        let answer = relay.caller().post("/v1/chat/completions", &question()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = relay.app.engine.seen.take();
        let broken = told.iter().find(|told| told.way.0.get() == 1).unwrap();
        assert_eq!(broken.evidence[0].fault.unwrap().code(), word);
    }
}

#[tokio::test]
async fn fields_that_a_channel_does_not_send_stay_here() {
    let mut body = question();
    for (field, value) in [("service_tier", json!("auto")), ("safety_identifier", json!("u")), ("store", json!(true))] {
        body[field] = value;
    }
    let (usual, _) = heard(&json!({}), &body).await;
    let sent = json_of(&usual);
    assert_eq!((sent.get("service_tier"), sent.get("safety_identifier"), &sent["store"]), (None, None, &json!(true)));
    let other = json!({"allow_service_tier": true, "allow_safety_identifier": true, "disable_store": true});
    let (other, _) = heard(&other, &body).await;
    let sent = json_of(&other);
    assert_eq!((&sent["service_tier"], &sent["safety_identifier"], sent.get("store")), (&json!("auto"), &json!("u"), None));
}

#[tokio::test]
async fn a_body_without_anything_to_change_is_the_same_to_the_byte() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let relay = relay("openai-compatible", &upstream.base_url(), &json!({"system_prompt": {"text": ""}})).await;
    let body = r#"{ "model":"gpt-4o", "x": 1e400, "messages" :[{"role":"user","content":"hi"}] }"#;
    let asked = relay.caller().request(Method::POST, "/v1/chat/completions").body(body);
    let answer = send(asked).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.heard()[0].body, body);
}

#[tokio::test]
async fn a_providers_hooks_name_what_they_leave_out_and_all_else_is_the_same_to_the_byte() {
    for (provider, upstream_model, body, sent, dropped) in [
        (
            "openai",
            "gpt-5",
            r#"{ "model":"gpt-4o", "x": 1e400, "seed":12345678901234567890123,"temperature":0.10,"t\u00f6":"\u00e9", "messages" :[{"role":"user","content":"hi" } ]}"#,
            r#"{"model":"gpt-5","x":1e400,"seed":12345678901234567890123,"t\u00f6":"\u00e9","messages":[{"role":"user","content":"hi" } ]}"#,
            Some("temperature"),
        ),
        (
            "openai",
            "gpt-5.1",
            r#"{"model":"gpt-4o","temperature":0.10,"reasoning_effort":"none","messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"model":"gpt-5.1","temperature":0.10,"reasoning_effort":"none","messages":[{"role":"user","content":"hi"}]}"#,
            None,
        ),
        (
            "mistral",
            "mistral-large-latest",
            r#"{"model":"gpt-4o","temperature":0.10,"user":"u","logit_bias":{"1":2},"secret-name":1,"messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"model":"mistral-large-latest","temperature":0.10,"messages":[{"role":"user","content":"hi"}]}"#,
            Some("logit_bias, others, user"),
        ),
    ] {
        let upstream = Recorder::start("application/json", &[ANSWER]).await;
        let url = upstream.base_url();
        let mapping = [("gpt-4o".to_owned(), upstream_model.to_owned())];
        let only =
            Channel { provider: provider.into(), base_url: Some(url.clone()), model_mapping: mapping.into(), ..channel(1, &url) };
        let relay = World { channels: vec![only], ..World::with_upstream(&url) }.start().await;
        let answer = send(relay.caller().request(Method::POST, "/v1/chat/completions").body(body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let heard = upstream.heard().remove(0);
        // names of fields are written plainly
        let plain = String::from_utf8_lossy(&heard.body).replace("t\u{f6}", "t\\u00f6");
        assert_eq!((plain.as_str(), answer.header("x-sluice-dropped-fields")), (sent, dropped), "{upstream_model}");
    }
}

#[tokio::test]
async fn a_channels_instructions_come_before_the_callers() {
    let prompt = json!({"system_prompt": {"text": "Be brief.", "mode": "prepend"}});
    let (plain, _) = heard(&prompt, &question()).await;
    assert_eq!(json_of(&plain)["messages"][0], json!({"role": "system", "content": "Be brief."}));
    let upstream = Simulator::start(SimulatorConfig { models: vec!["claude-opus-4-6".into()], ..SimulatorConfig::default() });
    let url = upstream.base_url();
    let claude = Channel {
        provider: "anthropic".into(),
        base_url: Some(url.clone()),
        model_mapping: [("gpt-4o".to_owned(), "claude-opus-4-6".to_owned())].into(),
        settings: settings(&prompt),
        ..channel(1, &url)
    };
    let relay = World { channels: vec![claude], ..World::with_upstream(&url) }.start().await;
    upstream.queue(Scenario { echo: Some(sluice_testkit::simulator::Echo::System), ..Scenario::default() });
    let mut body = question();
    body["messages"] = json!([{"role": "system", "content": "Speak French."}, {"role": "user", "content": "hi"}]);
    let answer = relay.caller().post("/v1/chat/completions", &body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Be brief.\nSpeak French.", "{}", answer.text());
}

#[tokio::test]
async fn answers_are_written_anew_where_a_channel_wants_that() {
    let (_, usual) = heard(&json!({}), &question()).await;
    assert_eq!(usual["vendor"]["x"], 1);
    let (_, formatted) = heard(&json!({"force_format": true}), &question()).await;
    assert!(formatted.get("vendor").is_none(), "{formatted}");
    assert_eq!(formatted["choices"][0]["message"]["content"], "Hi.");
    let (_, thinking) = heard(&json!({"thinking_to_content": true}), &question()).await;
    assert_eq!(thinking["choices"][0]["message"]["content"], "<think>\nHm.\n</think>\n\nHi.", "{thinking}");
}

#[tokio::test]
async fn the_callers_bytes_pass_where_a_channel_wants_that() {
    let mut body = question();
    body["service_tier"] = "auto".into();
    let text = json!({
        "pass_through_body": true, "system_prompt": {"text": "x", "mode": "replace"}, "param_override": {"temperature": 1}
    });
    let (heard, _) = heard(&text, &body).await;
    assert_eq!(json_of(&heard), body);
}

#[tokio::test]
async fn callers_read_the_status_that_a_channel_has_for_its_upstreams() {
    let upstream = Simulator::start(SimulatorConfig { models: vec!["gpt-4o".into()], ..SimulatorConfig::default() });
    let relay = relay("openai-compatible", &upstream.base_url(), &json!({"status_mapping": {"422": 400}})).await;
    upstream.queue(Scenario::status(422));
    let answer = relay.caller().post("/v1/chat/completions", &question()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test]
async fn a_status_that_callers_read_decides_nothing_else() {
    // said, told, and whether another channel is asked: by what was said
    for (said, told, is_tried_elsewhere) in [(500, 400, true), (429, 400, true), (400, 503, false), (422, 429, false)] {
        let upstreams =
            [(); 2].map(|()| Simulator::start(SimulatorConfig { models: vec!["gpt-4o".into()], ..SimulatorConfig::default() }));
        let mapped = settings(&json!({"status_mapping": {said.to_string(): told}}));
        let channels = upstreams.iter().zip(1..).map(|(upstream, id)| Channel {
            settings: Arc::clone(&mapped),
            priority: 5 - id,
            ..channel(id, &upstream.base_url())
        });
        let relay = World { channels: channels.collect(), ..World::with_upstream("http://127.0.0.1:9") }.start().await;
        let rounds: u64 = 8;
        upstreams[0].queue(QueuedScenario::from(Scenario::status(said)).times(100));
        for _ in 0..rounds {
            let answer = relay.caller().post("/v1/chat/completions", &question()).await;
            assert_eq!(answer.status.as_u16(), if is_tried_elsewhere { 200 } else { told }, "{said}: {}", answer.text());
        }
        let asked = [upstreams[0].stats().received, upstreams[1].stats().received];
        // what counts against a channel still does, and what does not still does not
        let is_left_out = relay.app.engine.ejections.ejected(relay.app.clock.read().boot_millis) == 1;
        assert_eq!(is_left_out, is_tried_elsewhere, "{said}: {asked:?}");
        if is_tried_elsewhere {
            assert!(asked[0] < rounds && asked[1] == rounds, "{said}: {asked:?}");
        } else {
            assert_eq!(asked, [rounds, 0], "{said}");
        }
        let evidence = relay.app.engine.seen.take().into_iter().flat_map(|told| told.evidence).map(|evidence| evidence.status);
        assert!(evidence.into_iter().all(|status| status == said), "the control plane hears what was said");
    }
}

#[tokio::test]
async fn a_channel_turns_what_is_left_out_into_a_refusal() {
    let upstream = Simulator::start(SimulatorConfig { models: vec!["gpt-4o".into()], ..SimulatorConfig::default() });
    let relay = relay("anthropic", &upstream.base_url(), &json!({"losses": {"seed": "reject"}})).await;
    let mut body = question();
    body["seed"] = 1.into();
    let answer = relay.caller().post("/v1/chat/completions", &body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &json!("seed")), "{}", answer.text());
    assert_eq!(upstream.stats().received, 0);
}

#[tokio::test]
async fn keys_are_used_in_turn_where_a_channel_wants_that() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let url = upstream.base_url();
    let keys = vec![channel_key(1, "key-a"), channel_key(2, "key-b"), channel_key(3, "key-c")];
    let only = Channel { keys, settings: settings(&json!({"key_mode": "polling"})), ..channel(1, &url) };
    let relay = World { channels: vec![only], ..World::with_upstream(&url) }.start().await;
    for _ in 0..6 {
        relay.caller().post("/v1/chat/completions", &question()).await;
    }
    let used: Vec<String> =
        upstream.heard().iter().map(|heard| heard.headers["authorization"].to_str().unwrap().to_owned()).collect();
    assert_eq!(used[..3], used[3..]);
    assert_eq!(used[..3].iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{used:?}");
}

#[tokio::test]
async fn a_channel_reaches_its_upstream_through_its_proxy() {
    let proxy = Recorder::start("application/json", &[ANSWER]).await;
    let through = format!("http://user:hunter2@{}", proxy.addr);
    let relay = relay("openai-compatible", "http://upstream.example", &json!({"proxy": through})).await;
    let answer = relay.caller().post("/v1/chat/completions", &question()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = proxy.heard().remove(0);
    assert_eq!(heard.headers["host"], "upstream.example");
    assert!(heard.headers["proxy-authorization"].to_str().unwrap().starts_with("Basic "));

    let nowhere = format!("socks5h://user:hunter2@127.0.0.1:{}", sluice_testkit::ports::free());
    let relay = self::relay("openai-compatible", "http://upstream.example", &json!({"proxy": nowhere})).await;
    let answer = relay.caller().post("/v1/chat/completions", &question()).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("hunter2") && !answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[tokio::test]
async fn a_setting_of_the_providers_stands_in_the_address() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let url = upstream.base_url();
    let provider = "slug = \"by-account\"\nname = \"by-account\"\nid = 9001\nfamily = \"open_ai\"\nstream_options = \"force\"\nmodels = []\n\
                    [base_url]\nmeaning = \"prefix\"\nhelp = \"any\"\n[auth]\nscheme = \"bearer\"\nkey_example = \"x\"\n\
                    [endpoints]\nchat = \"/accounts/{account_id}/v1/chat/completions\"\n";
    let text = json!({"fields": {"account_id": "acc-1"}});
    let only =
        Channel { provider: "by-account".into(), base_url: Some(url.clone()), settings: settings(&text), ..channel(1, &url) };
    let providers = vec![("by-account", provider.to_owned())];
    let relay = World { channels: vec![only], providers, ..World::with_upstream(&url) }.start().await;
    let answer = relay.caller().post("/v1/chat/completions", &question()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.heard()[0].path, "/accounts/acc-1/v1/chat/completions");
}

/// A question about an image at an address.
fn picture(url: &str) -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}]})
}

/// The same as [`relay`], which may fetch media from this machine.
async fn fetching_relay(url: &str, text: &Value) -> TestRelay {
    let only = Channel { settings: settings(text), ..channel(1, url) };
    let adjust = |settings: &mut sluice_relay_node::config::Settings| settings.requests.media_from_private = true;
    World { channels: vec![only], adjust, ..World::with_upstream(url) }.start().await
}

#[tokio::test]
async fn media_are_fetched_where_a_channel_wants_that() {
    let host = Recorder::start("image/png", &[b"\x89PNG\r\n\x1a\n"]).await;
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let address = format!("{}/cat.png", host.base_url());
    let sent = async |text: Value| {
        let relay = fetching_relay(&upstream.base_url(), &text).await;
        let answer = relay.caller().post("/v1/chat/completions", &picture(&address)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = json_of(upstream.heard().last().unwrap());
        body["messages"][0]["content"][1]["image_url"]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(sent(json!({})).await, address);
    assert!(host.heard().is_empty());
    assert_eq!(sent(json!({"media_by_url": "inline"})).await, "data:image/png;base64,iVBORw0KGgo=");
    assert_eq!(host.heard().len(), 1);
}

/// What is answered to a question about images at these addresses.
async fn pictures(relay: &TestRelay, addresses: &[String]) -> sluice_testkit::client::Answer {
    let image = |url: &String| json!({"type": "image_url", "image_url": {"url": url}});
    let parts: Vec<Value> = addresses.iter().map(image).collect();
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]});
    relay.caller().post("/v1/chat/completions", &body).await
}

#[tokio::test]
async fn one_medium_is_fetched_once_for_a_request_and_all_of_its_attempts() {
    let host = Recorder::start("image/png", &[b"\x89PNG\r\n\x1a\n"]).await;
    let bad = Simulator::start(SimulatorConfig { models: vec!["gpt-4o".into()], ..SimulatorConfig::default() });
    bad.queue(Scenario::status(500));
    let good = Recorder::start("application/json", &[ANSWER]).await;
    let inlining = settings(&json!({"media_by_url": "inline"}));
    let of = |id: i64, url: &str| Channel { settings: Arc::clone(&inlining), priority: 5 - id, ..channel(id, url) };
    let adjust = |settings: &mut sluice_relay_node::config::Settings| settings.requests.media_from_private = true;
    let channels = vec![of(1, &bad.base_url()), of(2, &good.base_url())];
    let relay = World { channels, adjust, ..World::with_upstream(&good.base_url()) }.start().await;
    let address = format!("{}/cat.png", host.base_url());
    let answer = pictures(&relay, &[address.clone(), address]).await;
    assert_eq!((answer.status.as_u16(), relay.record().await.attempts.len()), (200, 2), "{}", answer.text());
    assert_eq!(host.heard().len(), 1);
    let sent = json_of(&good.heard()[0]);
    let parts = sent["messages"][0]["content"].as_array().unwrap();
    assert!(parts.iter().all(|part| part["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="), "{sent}");
}

#[tokio::test]
async fn too_many_media_are_refused_by_the_first_one_beyond_and_none_is_fetched() {
    let host = Recorder::start("image/png", &[b"\x89PNG\r\n\x1a\n"]).await;
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let relay = fetching_relay(&upstream.base_url(), &json!({"media_by_url": "inline"})).await;
    let addresses: Vec<String> = (10..27).map(|at| format!("{}/{at}.png", host.base_url())).collect();
    let answer = pictures(&relay, &addresses).await;
    let told = answer.json();
    let param = "messages[0].content[16].image_url.url";
    assert_eq!((answer.status.as_u16(), &told["error"]["param"]), (400, &json!(param)), "{told}");
    assert!(host.heard().is_empty() && upstream.heard().is_empty());
}

#[tokio::test]
async fn media_are_fetched_through_a_channels_proxy_for_them() {
    let proxy = Recorder::start("image/png", &[b"\x89PNG\r\n\x1a\n"]).await;
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let through = json!({"media_by_url": "inline", "media_proxy": proxy.base_url()});
    let relay = fetching_relay(&upstream.base_url(), &through).await;
    let answer = relay.caller().post("/v1/chat/completions", &picture("http://127.0.0.1:9/cat.png")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(proxy.heard()[0].headers["host"], "127.0.0.1:9");
}

#[tokio::test]
async fn media_that_cannot_be_fetched_are_the_callers_to_mend() {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let relay = relay("openai-compatible", &upstream.base_url(), &json!({"media_by_url": "inline"})).await;
    for url in ["http://127.0.0.1:1/x.png", "http://169.254.169.254/latest/meta-data", "http://localhost/x"] {
        let answer = relay.caller().post("/v1/chat/completions", &picture(url)).await;
        let told = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &told["error"]["param"]),
            (400, &json!("messages[0].content[1].image_url.url")),
            "{told}"
        );
        assert!(told["error"]["message"].as_str().unwrap().contains("leads to an address that is not public"), "{told}");
    }
    assert!(upstream.heard().is_empty());
}
