//! Every caller's dialect on an upstream of every dialect: the simulator's services are as strict as the real ones.

use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_domain::Outcome;
use sluice_snapshot::Channel;
use sluice_testkit::client::Answer;
use sluice_testkit::simulator::{Fault, Scenario, Simulator, SimulatorConfig};

use crate::relay::{TestRelay, World, channel, name, ratios};

pub const SURFACES: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

/// A provider that has one interface only.
pub fn provider(slug: &str, id: u32, capability: &str, path: &str) -> String {
    format!(
        "slug = \"{slug}\"\nname = \"{slug}\"\nid = {id}\nfamily = \"open_ai\"\nstream_options = \"force\"\nmodels = []\n\
         [base_url]\nmeaning = \"prefix\"\nhelp = \"any\"\n[auth]\nscheme = \"bearer\"\nkey_example = \"x\"\n\
         [endpoints]\n{capability} = \"{path}\"\n"
    )
}

/// The model whose only channel speaks the dialect of a surface.
fn model_of(surface: Surface) -> &'static str {
    match surface {
        Surface::Responses => "gpt-5-responses",
        Surface::Messages => "claude-opus-4-6",
        Surface::GenerateContent => "gemini-2.5-pro",
        _ => "gpt-4o",
    }
}

fn channels(url: &str) -> Vec<Channel> {
    SURFACES
        .into_iter()
        .zip(1..)
        .map(|(surface, id)| {
            let provider = match surface {
                Surface::Responses => "responses-only",
                Surface::Messages => "anthropic",
                Surface::GenerateContent => "google-gemini",
                _ => "chat-only",
            };
            let models = vec![name(model_of(surface))];
            Channel { provider: provider.into(), base_url: Some(url.to_owned()), models, ..channel(id, url) }
        })
        .collect()
}

struct Site {
    upstream: Simulator,
    relay: TestRelay,
}

impl Site {
    async fn start() -> Self {
        let models = SURFACES.map(|surface| model_of(surface).to_owned()).to_vec();
        let upstream = Simulator::start(SimulatorConfig { models, ..SimulatorConfig::default() });
        let url = upstream.base_url();
        let relay = World {
            channels: channels(&url),
            prices: SURFACES.map(|surface| (model_of(surface), ratios("1", "4"))).to_vec(),
            providers: vec![
                ("chat-only", provider("chat-only", 9_001, "chat", "/v1/chat/completions")),
                ("responses-only", provider("responses-only", 9_002, "responses", "/v1/responses")),
            ],
            ..World::with_upstream(&url)
        }
        .start()
        .await;
        Self { upstream, relay }
    }

    async fn ask(&self, caller: Surface, upstream: Surface, streams: bool, mut body: Value) -> Answer {
        let model = model_of(upstream);
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
        }
        self.relay.caller().with_header("anthropic-version", "2023-06-01").post(&path, &body).await
    }
}

/// A question of a user's, with what a caller of the dialect must say beside it.
pub fn question(caller: Surface, text: &str) -> Value {
    match caller {
        Surface::Responses => json!({"input": text}),
        Surface::Messages => json!({"max_tokens": 1000, "messages": [{"role": "user", "content": text}]}),
        Surface::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        _ => json!({"messages": [{"role": "user", "content": text}]}),
    }
}

pub fn with_tools(caller: Surface, mut body: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let (name, description) = ("get_weather", "Tells the weather.");
    body["tools"] = match caller {
        Surface::Responses => json!([{"type": "function", "name": name, "description": description, "parameters": schema}]),
        Surface::Messages => json!([{"name": name, "description": description, "input_schema": schema}]),
        Surface::GenerateContent => {
            json!([{"functionDeclarations": [{"name": name, "description": description, "parameters": schema}]}])
        }
        _ => json!([{"type": "function", "function": {"name": name, "description": description, "parameters": schema}}]),
    };
    body
}

/// What an answer says: its text, its calls, and the tokens it tells.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    pub calls: Vec<(String, Value)>,
    pub input: u64,
    pub output: u64,
    finish: String,
}

pub fn said(caller: Surface, answer: &Value) -> Said {
    let mut said = Said::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tokens = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let parsed = |arguments: &Value| serde_json::from_str(arguments.as_str().unwrap_or_default()).unwrap_or(Value::Null);
    match caller {
        Surface::Responses => {
            for item in answer["output"].as_array().into_iter().flatten() {
                match item["type"].as_str() {
                    Some("message") => said.text += &text(&item["content"][0]["text"]),
                    Some("function_call") => said.calls.push((text(&item["name"]), parsed(&item["arguments"]))),
                    _ => {}
                }
            }
            (said.input, said.output) = (tokens("/usage/input_tokens"), tokens("/usage/output_tokens"));
            said.finish = text(&answer["status"]);
        }
        Surface::Messages => {
            for block in answer["content"].as_array().into_iter().flatten() {
                match block["type"].as_str() {
                    Some("text") => said.text += &text(&block["text"]),
                    Some("tool_use") => said.calls.push((text(&block["name"]), block["input"].clone())),
                    _ => {}
                }
            }
            (said.input, said.output) = (tokens("/usage/input_tokens"), tokens("/usage/output_tokens"));
            said.finish = text(&answer["stop_reason"]);
        }
        Surface::GenerateContent => {
            for part in answer["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
                if part["thought"] != true {
                    said.text += &text(&part["text"]);
                }
                if part["functionCall"].is_object() {
                    said.calls.push((text(&part["functionCall"]["name"]), part["functionCall"]["args"].clone()));
                }
            }
            said.input = tokens("/usageMetadata/promptTokenCount");
            said.output = tokens("/usageMetadata/candidatesTokenCount") + tokens("/usageMetadata/thoughtsTokenCount");
            said.finish = text(&answer["candidates"][0]["finishReason"]);
        }
        _ => {
            let choice = &answer["choices"][0];
            said.text = text(&choice["message"]["content"]);
            for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
                said.calls.push((text(&call["function"]["name"]), parsed(&call["function"]["arguments"])));
            }
            (said.input, said.output) = (tokens("/usage/prompt_tokens"), tokens("/usage/completion_tokens"));
            said.finish = text(&choice["finish_reason"]);
        }
    }
    said
}

/// What a stream says, gathered as a client of the dialect would.
pub fn gathered(caller: Surface, stream: &str) -> Said {
    let events: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON: {data}")))
        .collect();
    match caller {
        Surface::Responses => gathered_responses(&events),
        Surface::Messages => gathered_messages(&events),
        Surface::GenerateContent => gathered_gemini(&events),
        _ => gathered_chat(&events),
    }
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn gathered_responses(events: &[Value]) -> Said {
    let last = events.iter().rev().find(|event| event["response"]["usage"].is_object());
    let whole = last.map_or_else(Said::default, |last| said(Surface::Responses, &last["response"]));
    let pieces = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let text: String = pieces.map(|event| words(&event["delta"])).collect();
    assert_eq!(text, whole.text, "the pieces make up the whole");
    whole
}

fn gathered_messages(events: &[Value]) -> Said {
    let (mut said, mut arguments) = (Said::default(), Vec::<(String, String)>::new());
    for event in events {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => said.input = event["message"]["usage"]["input_tokens"].as_u64().unwrap_or_default(),
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                arguments.push((words(&event["content_block"]["name"]), String::new()));
            }
            "content_block_delta" => {
                said.text += &words(&event["delta"]["text"]);
                if let Some((_, json)) = arguments.last_mut() {
                    *json += &words(&event["delta"]["partial_json"]);
                }
            }
            "message_delta" => {
                said.finish = words(&event["delta"]["stop_reason"]);
                said.output = event["usage"]["output_tokens"].as_u64().unwrap_or_default();
                said.input = event["usage"]["input_tokens"].as_u64().unwrap_or(said.input);
            }
            _ => {}
        }
    }
    assert!(events.last().is_some_and(|last| last["type"] == "message_stop"), "{events:?}");
    said.calls = parsed(arguments);
    said
}

fn gathered_gemini(events: &[Value]) -> Said {
    let mut said = Said::default();
    for event in events {
        let piece = self::said(Surface::GenerateContent, event);
        said.text += &piece.text;
        said.calls.extend(piece.calls);
        if piece.input > 0 {
            (said.input, said.output) = (piece.input, piece.output);
        }
        if !piece.finish.is_empty() {
            said.finish = piece.finish;
        }
    }
    said
}

fn gathered_chat(events: &[Value]) -> Said {
    let (mut said, mut arguments) = (Said::default(), Vec::<(String, String)>::new());
    for event in events {
        let choice = &event["choices"][0];
        said.text += &words(&choice["delta"]["content"]);
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let place = usize::try_from(call["index"].as_u64().unwrap_or_default()).unwrap();
            if place >= arguments.len() {
                arguments.push((words(&call["function"]["name"]), String::new()));
            }
            arguments[place].1 += &words(&call["function"]["arguments"]);
        }
        if choice["finish_reason"].is_string() {
            said.finish = words(&choice["finish_reason"]);
        }
        if event["usage"].is_object() {
            let usage = self::said(Surface::ChatCompletions, event);
            (said.input, said.output) = (usage.input, usage.output);
        }
    }
    said.calls = parsed(arguments);
    said
}

/// Calls with their arguments, gathered as text.
fn parsed(calls: Vec<(String, String)>) -> Vec<(String, Value)> {
    calls.into_iter().map(|(name, json)| (name, serde_json::from_str(&json).unwrap_or(Value::Null))).collect()
}

#[tokio::test]
async fn every_caller_is_answered_by_every_upstream_and_pays_what_it_was_told() {
    let site = Site::start().await;
    let mut asked = 0;
    for upstream in SURFACES {
        for caller in SURFACES {
            let named = format!("{} on {}", caller.as_str(), upstream.as_str());
            site.upstream.queue(Scenario { text: Some("Good day to you.".to_owned()), ..Scenario::default() });
            let answer = site.ask(caller, upstream, false, question(caller, "hello there")).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            assert_eq!(
                answer.header("content-type").map(|value| value.split(';').next().unwrap_or_default()),
                Some("application/json")
            );
            let whole = said(caller, &answer.json());
            assert_eq!(whole.text, "Good day to you.", "{named}: {}", answer.text());
            assert!(whole.input > 0 && whole.output > 0, "{named}: {}", answer.text());

            site.upstream.queue(Scenario { text: Some("Good day to you.".to_owned()), ..Scenario::default() });
            let answer = site.ask(caller, upstream, true, question(caller, "hello there")).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            let streamed = gathered(caller, &answer.text());
            assert_eq!((&streamed.text, &streamed.finish), (&whole.text, &whole.finish), "{named}: {}", answer.text());

            asked += 2;
            let records = site.relay.wait_for_records(asked).await;
            for record in &records[asked - 2..] {
                assert_eq!(record.outcome, Outcome::Completed, "{named}: {record:?}");
                let told = (record.usage.total_input(), record.usage.total_output(), record.usage_estimated);
                assert_eq!(told, (whole.input, whole.output, false), "{named}: {record:?}");
                assert_eq!(record.dialect, caller.dialect(), "{named}");
            }
        }
    }
}

#[tokio::test]
async fn tools_make_their_round_in_every_pair() {
    let site = Site::start().await;
    for upstream in SURFACES {
        for caller in SURFACES {
            for streams in [false, true] {
                let named = format!("{} on {}, streamed: {streams}", caller.as_str(), upstream.as_str());
                let first = with_tools(caller, question(caller, "What is the weather in both Paris and Rome?"));
                let answer = site.ask(caller, upstream, streams, first.clone()).await;
                assert_eq!(answer.status, 200, "{named}: {}", answer.text());
                let called = if streams { gathered(caller, &answer.text()) } else { said(caller, &answer.json()) };
                assert_eq!(called.calls.len(), 2, "{named}: {}", answer.text());
                assert!(
                    called.calls.iter().all(|(name, arguments)| name == "get_weather" && arguments["city"].is_string()),
                    "{called:?}"
                );
                if streams {
                    continue;
                }
                let second = with_results(caller, first, &answer.json());
                let answer = site.ask(caller, upstream, streams, second).await;
                assert_eq!(answer.status, 200, "{named}: {}", answer.text());
                let told = said(caller, &answer.json());
                assert!(told.text.contains("sunny") && told.calls.is_empty(), "{named}: {}", answer.text());
            }
        }
    }
}

/// The conversation with the answer's calls and their results.
pub fn with_results(caller: Surface, mut body: Value, answer: &Value) -> Value {
    let list = |value: &mut Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    match caller {
        Surface::Responses => {
            let mut input = vec![json!({"role": "user", "content": body["input"]})];
            let calls: Vec<Value> = answer["output"].as_array().unwrap().clone();
            input.extend(calls.iter().cloned());
            for call in calls.iter().filter(|item| item["type"] == "function_call") {
                input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}));
            }
            body["input"] = input.into();
        }
        Surface::Messages => {
            let mut messages = list(&mut body["messages"]);
            messages.push(json!({"role": "assistant", "content": answer["content"]}));
            let results: Vec<Value> = answer["content"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}))
                .collect();
            messages.push(json!({"role": "user", "content": results}));
            body["messages"] = messages.into();
        }
        Surface::GenerateContent => {
            let mut contents = list(&mut body["contents"]);
            let said = answer["candidates"][0]["content"].clone();
            let results: Vec<Value> = said["parts"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|part| part["functionCall"].is_object())
                .map(|part| {
                    let mut result = json!({"name": part["functionCall"]["name"], "response": {"result": "sunny"}});
                    if part["functionCall"]["id"].is_string() {
                        result["id"] = part["functionCall"]["id"].clone();
                    }
                    json!({"functionResponse": result})
                })
                .collect();
            contents.push(said);
            contents.push(json!({"role": "user", "parts": results}));
            body["contents"] = contents.into();
        }
        _ => {
            let mut messages = list(&mut body["messages"]);
            let message = answer["choices"][0]["message"].clone();
            let calls = message["tool_calls"].as_array().unwrap().clone();
            messages.push(message);
            for call in calls {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}));
            }
            body["messages"] = messages.into();
        }
    }
    body
}

/// What callers of OpenAI's, Anthropic's and Google's SDKs read of a status, whoever says it (conversions.md §12).
const fn error_words(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        429 => ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        500 => ("server_error", "api_error", "INTERNAL"),
        502 => ("upstream_error", "api_error", "UNAVAILABLE"),
        503 => ("server_error", "overloaded_error", "UNAVAILABLE"),
        _ => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    }
}

#[tokio::test]
async fn errors_are_told_in_the_callers_dialect_whoever_made_them() {
    let site = Site::start().await;
    for upstream in SURFACES {
        for caller in SURFACES {
            let named = format!("{} on {}", caller.as_str(), upstream.as_str());
            let is_native = caller.dialect() == upstream.dialect()
                || ![Surface::Messages, Surface::GenerateContent].iter().any(|other| [caller, upstream].contains(other));
            for (status, told) in [(400, 400), (422, 400), (429, 429), (500, 502), (503, 503)] {
                let told = if is_native { status } else { told };
                site.upstream.queue(Scenario {
                    status: Some(status),
                    error_message: Some("no such thing".to_owned()),
                    ..Scenario::default()
                });
                let answer = site.ask(caller, upstream, false, question(caller, "hello")).await;
                let (body, named) = (answer.json(), format!("{named}, {status}"));
                let error = &body["error"];
                let word = if caller == Surface::GenerateContent { &error["status"] } else { &error["type"] };
                let words = error_words(told);
                let word_of_its_own = match caller {
                    Surface::Messages => words.1,
                    Surface::GenerateContent => words.2,
                    _ => words.0,
                };
                assert_eq!(answer.status, told, "{named}: {}", answer.text());
                // a provider's own words for its own dialect stay, whichever they are
                assert!(is_native || word == word_of_its_own, "{named}: {}", answer.text());
                assert!(answer.text().contains("no such thing"), "{named}: {}", answer.text());
            }

            site.upstream.queue(Scenario { fault: Fault::ErrorEvent, after: 10, ..Scenario::default() });
            let answer = site.ask(caller, upstream, true, question(caller, "[sim: tokens=20] hello")).await;
            let text = answer.text();
            let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or_default().to_owned();
            let last: Value = serde_json::from_str(&last).unwrap_or_else(|_| panic!("{named}: {text}"));
            let has_error = match caller {
                Surface::Responses => last["type"] == "error" || last["type"] == "response.failed",
                Surface::Messages => last["type"] == "error",
                _ => last["error"].is_object(),
            };
            assert!(has_error, "{named}: {text}");
        }
    }
}

#[tokio::test]
async fn what_a_provider_cannot_say_is_named_or_refused_before_it_is_asked() {
    let site = Site::start().await;
    let mut body = question(Surface::ChatCompletions, "hello");
    body["seed"] = 7.into();
    let answer = site.ask(Surface::ChatCompletions, Surface::Messages, false, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-sluice-dropped-fields")), (200, Some("seed")), "{}", answer.text());
    let before = site.upstream.stats().received;
    body["n"] = 2.into();
    let answer = site.ask(Surface::ChatCompletions, Surface::Messages, false, body).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some("n")), "{}", answer.text());
    assert_eq!(site.upstream.stats().received, before, "nobody was asked");
}

#[tokio::test]
async fn a_gemini_caller_without_sse_gets_one_array() {
    let site = Site::start().await;
    for upstream in SURFACES {
        site.upstream.queue(Scenario { text: Some("Good day to you.".to_owned()), ..Scenario::default() });
        let path = format!("/v1beta/models/{}:streamGenerateContent", model_of(upstream));
        let answer = site.relay.caller().post(&path, &question(Surface::GenerateContent, "hello there")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")), "{}", answer.text());
        let items = answer.json();
        let text: String = items.as_array().unwrap().iter().map(|item| said(Surface::GenerateContent, item).text).collect();
        assert_eq!(text, "Good day to you.", "{}", answer.text());
    }
}

#[tokio::test]
async fn images_reach_every_upstream() {
    // one red pixel
    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let site = Site::start().await;
    for upstream in SURFACES {
        for caller in SURFACES {
            let named = format!("{} on {}", caller.as_str(), upstream.as_str());
            let url = format!("data:image/png;base64,{PNG}");
            let body = match caller {
                Surface::Responses => json!({"input": [{"role": "user", "content": [
                    {"type": "input_text", "text": "what is this?"}, {"type": "input_image", "image_url": url}
                ]}]}),
                Surface::Messages => json!({"max_tokens": 100, "messages": [{"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "text", "text": "what is this?"}
                ]}]}),
                Surface::GenerateContent => json!({"contents": [{"role": "user", "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": "what is this?"}
                ]}]}),
                _ => json!({"messages": [{"role": "user", "content": [
                    {"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}
                ]}]}),
            };
            let answer = site.ask(caller, upstream, false, body).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            let text = said(caller, &answer.json()).text;
            assert!(text.contains("image/png") && text.contains("70"), "{named}: {text}");
        }
    }
}

#[tokio::test]
async fn tools_of_other_dialects_are_asked_for_where_a_model_takes_them() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let url = upstream.base_url();
    let gap = "[[tool_gaps]]\ncapability = \"chat\"\nwhen = \"model_reasons\"\n";
    let both = provider("both", 9_003, "chat", "/v1/chat/completions") + "responses = \"/v1/responses\"\n" + gap;
    let only = Channel {
        provider: "both".into(),
        base_url: Some(url.clone()),
        models: vec![name("gpt-5"), name("gpt-4o")],
        ..channel(1, &url)
    };
    let relay = World {
        channels: vec![only],
        prices: vec![("gpt-5", ratios("1", "4")), ("gpt-4o", ratios("1", "4"))],
        providers: vec![("both", both)],
        ..World::with_upstream(&url)
    }
    .start()
    .await;
    for (caller, model, brings_tools, asked_at) in [
        (Surface::Messages, "gpt-5", true, "/v1/responses"),
        (Surface::Messages, "gpt-5", false, "/v1/chat/completions"),
        (Surface::Messages, "gpt-4o", true, "/v1/chat/completions"),
        (Surface::ChatCompletions, "gpt-5", true, "/v1/chat/completions"),
        (Surface::Responses, "gpt-5", true, "/v1/responses"),
    ] {
        let mut body = question(caller, "hello");
        body["model"] = model.into();
        let body = if brings_tools { with_tools(caller, body) } else { body };
        let answer = relay.caller().with_header("anthropic-version", "2023-06-01").post(caller.path(), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.log().last().unwrap().path, asked_at, "{} {model} {brings_tools}", caller.as_str());
    }
}

#[tokio::test]
async fn an_interface_that_an_address_lacks_is_asked_for_in_another_form_and_not_looked_for_again() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let url = upstream.base_url();
    let half = provider("half", 9_003, "chat", "/v1/chat/completions")
        .replace("models = []", "models = []\nunsure = [\"responses\"]")
        + "responses = \"/v9/responses\"\n";
    let relay = World {
        channels: vec![Channel { provider: "half".into(), base_url: Some(url.clone()), ..channel(1, &url) }],
        providers: vec![("half", half)],
        ..World::with_upstream(&url)
    }
    .start()
    .await;
    for asked in [2, 3] {
        let body = json!({"model": "gpt-4o", "input": "hello"});
        let answer = relay.caller().post("/v1/responses", &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["object"].as_str()), (200, Some("response")), "{}", answer.text());
        assert_eq!(upstream.stats().received, asked);
    }
    assert_eq!(relay.wait_for_records(2).await[0].attempts.len(), 1, "looking for it is no attempt of its own");
}
