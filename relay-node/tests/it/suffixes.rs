//! Names of models that end with what is asked of them (conversions.md §7.2), on services as strict as the real ones.

use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_domain::Outcome;
use sluice_snapshot::{Channel, Token};
use sluice_testkit::client::Answer;
use sluice_testkit::simulator::{Simulator, SimulatorConfig};

use crate::dialects::{SURFACES, gathered, question, said, with_results, with_tools};
use crate::relay::{KEY, TestRelay, World, channel, name, ratios, token};

/// What callers ask for, what the upstream is to be asked for, where its wish to think stands, and what is there.
fn names() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        ("claude-sonnet-4-5-thinking", "claude-sonnet-4-5", "/thinking/type", json!("enabled")),
        ("claude-sonnet-4-5-thinking-2048", "claude-sonnet-4-5", "/thinking/budget_tokens", json!(2_048)),
        ("claude-opus-4-8-thinking", "claude-opus-4-8", "/output_config/effort", json!("high")),
        ("claude-opus-4-8-xhigh", "claude-opus-4-8", "/output_config/effort", json!("xhigh")),
        ("claude-haiku-4-5-nothinking", "claude-haiku-4-5", "/thinking/type", json!("disabled")),
        ("gemini-2.5-flash-thinking", "gemini-2.5-flash", "/generationConfig/thinkingConfig/includeThoughts", json!(true)),
        ("gemini-2.5-flash-thinking-2048", "gemini-2.5-flash", "/generationConfig/thinkingConfig/thinkingBudget", json!(2_048)),
        ("gemini-2.5-flash-nothinking", "gemini-2.5-flash", "/generationConfig/thinkingConfig/thinkingBudget", json!(0)),
        ("gemini-3-pro-preview-low", "gemini-3-pro-preview", "/generationConfig/thinkingConfig/thinkingLevel", json!("low")),
    ]
}

/// Models with a price of their own: callers pay it, and of others that of the bare name.
const PRICED: [&str; 9] = [
    "claude-sonnet-4-5",
    "claude-opus-4-8",
    "claude-haiku-4-5",
    "gemini-2.5-flash",
    "gemini-3-pro-preview",
    "gpt-5",
    "o3",
    "fast",
    "gpt-5-high",
];

struct Site {
    upstream: Simulator,
    relay: TestRelay,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(|world| world).await
    }

    async fn start_with(adjust: impl FnOnce(World) -> World) -> Self {
        let models = ["claude-opus-4-8", "gpt-5-high", "claude-sonnet-4-5-high"].map(str::to_owned).to_vec();
        let upstream = Simulator::start(SimulatorConfig { models, ..SimulatorConfig::default() });
        let url = upstream.base_url();
        let of = |id, provider: &str, models: &[&str]| {
            let models = models.iter().map(|model| name(model)).collect();
            Channel { provider: provider.into(), base_url: Some(url.clone()), models, ..channel(id, &url) }
        };
        let world = World {
            channels: vec![
                of(1, "anthropic", &["claude-sonnet-4-5", "claude-opus-4-8", "claude-haiku-4-5"]),
                of(2, "google-gemini", &["gemini-2.5-flash", "gemini-3-pro-preview"]),
                of(3, "openai", &["gpt-5", "o3", "gpt-5-high"]),
                Channel { model_mapping: [("fast".to_owned(), "gpt-5-minimal".to_owned())].into(), ..of(4, "openai", &["fast"]) },
            ],
            prices: PRICED.map(|model| (model, ratios("1", "4"))).to_vec(),
            ..World::with_upstream(&url)
        };
        Self { relay: adjust(world).start().await, upstream }
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
        }
        self.relay.caller().with_header("anthropic-version", "2023-06-01").post(&path, &body).await
    }

    /// Asks, and what the upstream was asked.
    async fn sent(&self, caller: Surface, model: &str, body: Value) -> Value {
        let answer = self.ask(caller, model, false, body).await;
        assert_eq!(answer.status, 200, "{} {model}: {}", caller.as_str(), answer.text());
        self.upstream.last_body()
    }
}

/// A question with all that does not go with thinking, as far as its dialect has it.
fn sampled(caller: Surface) -> Value {
    let mut body = question(caller, "hello");
    match caller {
        Surface::GenerateContent => body["generationConfig"] = json!({"temperature": 0.5, "topK": 3, "maxOutputTokens": 4_000}),
        Surface::Messages => (body["temperature"], body["top_k"], body["max_tokens"]) = (0.5.into(), 3.into(), 4_000.into()),
        _ => body["temperature"] = 0.5.into(),
    }
    body
}

fn forced(caller: Surface, mut body: Value) -> Value {
    match caller {
        Surface::Responses => body["tool_choice"] = json!({"type": "function", "name": "get_weather"}),
        Surface::Messages => body["tool_choice"] = json!({"type": "tool", "name": "get_weather"}),
        Surface::GenerateContent => body["toolConfig"] = json!({"functionCallingConfig": {"mode": "ANY"}}),
        _ => body["tool_choice"] = json!({"type": "function", "function": {"name": "get_weather"}}),
    }
    body
}

#[tokio::test]
async fn a_suffix_asks_for_thinking_whoever_the_caller_is() {
    let site = Site::start().await;
    let mut asked = 0;
    for (model, bare, place, wish) in names() {
        for caller in SURFACES {
            let named = format!("{} on {model}", caller.as_str());
            let body = sampled(caller);
            let answer = site.ask(caller, model, false, body.clone()).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            let sent = site.upstream.last_body();
            assert_eq!(sent.pointer(place), Some(&wish), "{named}: {sent}");
            let told = &answer.json()[if caller == Surface::GenerateContent { "modelVersion" } else { "model" }];
            assert_eq!(told, model, "{named}");
            let streamed = site.ask(caller, model, true, body).await;
            assert_eq!(streamed.status, 200, "{named}: {}", streamed.text());
            assert!(!gathered(caller, &streamed.text()).text.is_empty(), "{named}");

            asked += 2;
            for record in &site.relay.wait_for_records(asked).await[asked - 2..] {
                assert_eq!(record.outcome, Outcome::Completed, "{named}");
                assert_eq!((record.model.as_str(), record.upstream_model.as_str()), (model, bare), "{named}");
                assert!(record.quota.get() > 0, "{named}: the bare name's price");
            }
        }
    }
}

#[tokio::test]
async fn a_suffix_holds_in_rounds_of_tools_and_gives_way_to_a_forced_call() {
    let site = Site::start().await;
    for (model, ..) in names() {
        for caller in SURFACES {
            let named = format!("{} on {model}", caller.as_str());
            let first = with_tools(caller, question(caller, "What is the weather in both Paris and Rome?"));
            let answer = site.ask(caller, model, false, first.clone()).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            let second = with_results(caller, first.clone(), &without_thoughts(answer.json()));
            let answer = site.ask(caller, model, false, second).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            assert!(said(caller, &answer.json()).text.contains("sunny"), "{named}: {}", answer.text());

            let answer = site.ask(caller, model, false, forced(caller, first)).await;
            assert_eq!(answer.status, 200, "{named}: {}", answer.text());
            assert!(!said(caller, &answer.json()).calls.is_empty(), "{named}: {}", answer.text());
        }
    }
}

/// What a plain Chat client sends back of an answer; those of other dialects send all of it.
fn without_thoughts(mut answer: Value) -> Value {
    if let Some(message) = answer.pointer_mut("/choices/0/message").and_then(Value::as_object_mut) {
        message.retain(|field, _| matches!(field.as_str(), "role" | "content" | "tool_calls"));
    }
    answer
}

#[tokio::test]
async fn what_a_request_says_itself_wins_over_a_suffix_but_over_nothinking() {
    use Surface::{ChatCompletions as Chat, GenerateContent, Messages, Responses};
    let site = Site::start().await;
    let with = |caller, fields: Value| {
        let mut body = question(caller, "hello");
        body["max_tokens"] = body["max_tokens"].clone();
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let thinking = |kind: &str| json!({"max_tokens": 5_000, "thinking": {"type": kind, "budget_tokens": 1_500}});
    let budget = |budget: u32| json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}});
    for (caller, model, own, place, expected) in [
        (Messages, "claude-sonnet-4-5-thinking-2048", thinking("enabled"), "/thinking/budget_tokens", json!(1_500)),
        (Messages, "claude-sonnet-4-5-thinking", json!({"thinking": {"type": "disabled"}}), "/thinking/type", json!("disabled")),
        (Messages, "claude-sonnet-4-5-nothinking", thinking("enabled"), "/thinking/type", json!("disabled")),
        (Chat, "claude-sonnet-4-5-nothinking", json!({"reasoning_effort": "high"}), "/thinking/type", json!("disabled")),
        (
            GenerateContent,
            "gemini-2.5-flash-thinking-2048",
            budget(512),
            "/generationConfig/thinkingConfig/thinkingBudget",
            json!(512),
        ),
        (
            GenerateContent,
            "gemini-2.5-flash-nothinking",
            budget(512),
            "/generationConfig/thinkingConfig/thinkingBudget",
            json!(0),
        ),
        (Chat, "gpt-5-low", json!({"reasoning_effort": "medium"}), "/reasoning_effort", json!("medium")),
        (Chat, "o3-low", json!({}), "/reasoning_effort", json!("low")),
        (Responses, "gpt-5-low", json!({"reasoning": {"effort": "medium"}}), "/reasoning/effort", json!("medium")),
        (Responses, "gpt-5-low", json!({"reasoning": {"summary": "auto"}}), "/reasoning/effort", json!("low")),
        (Responses, "gpt-5-minimal", json!({}), "/reasoning/effort", json!("minimal")),
    ] {
        let sent = site.sent(caller, model, with(caller, own)).await;
        assert_eq!(sent.pointer(place), Some(&expected), "{} on {model}: {sent}", caller.as_str());
    }
    let sent = site.sent(Responses, "gpt-5-low", with(Responses, json!({"reasoning": {"summary": "auto"}}))).await;
    assert_eq!((&sent["model"], &sent["reasoning"]), (&json!("gpt-5"), &json!({"summary": "auto", "effort": "low"})));
}

#[tokio::test]
async fn a_search_is_added_by_suffix() {
    let site = Site::start().await;
    for caller in SURFACES {
        let sent = site.sent(caller, "gemini-2.5-flash-search", question(caller, "hello")).await;
        assert_eq!(sent["tools"], json!([{"googleSearch": {}}]), "{}", caller.as_str());
    }
}

#[tokio::test]
async fn a_name_that_a_channel_lists_is_never_split_and_one_it_maps_to_is() {
    let site = Site::start().await;
    for caller in [Surface::ChatCompletions, Surface::Responses] {
        let sent = site.sent(caller, "gpt-5-high", question(caller, "hello")).await;
        assert_eq!((&sent["model"], sent.get("reasoning_effort"), sent.get("reasoning")), (&json!("gpt-5-high"), None, None));
        let sent = site.sent(caller, "fast", question(caller, "hello")).await;
        let effort = sent.get("reasoning_effort").or_else(|| sent.pointer("/reasoning/effort"));
        assert_eq!((&sent["model"], effort), (&json!("gpt-5"), Some(&json!("minimal"))), "{sent}");
    }
    let records = site.relay.wait_for_records(4).await;
    let names: Vec<_> = records.iter().map(|record| (record.model.as_str(), record.upstream_model.as_str())).collect();
    assert_eq!(names, [("gpt-5-high", "gpt-5-high"), ("fast", "gpt-5"), ("gpt-5-high", "gpt-5-high"), ("fast", "gpt-5")]);
}

#[tokio::test]
async fn ends_of_other_names_and_of_names_that_the_site_keeps_are_part_of_them() {
    let caller = Surface::ChatCompletions;
    let unknown = |answer: Answer| (answer.status.as_u16(), answer.json()["error"]["code"].as_str().map(str::to_owned));
    let refused = (404, Some("model_not_found".to_owned()));
    let site = Site::start_with(|mut world| {
        world.channels[0].models.extend(["mistral", "gpt-4o"].map(name));
        world.settings = vec![("thinking_model_blacklist", "gemini-*")];
        world
    })
    .await;
    for model in ["mistral-medium", "gpt-4o-high", "gemini-2.5-flash-thinking", "claude-sonnet-4-5-search", "claude-3-thinking"] {
        assert_eq!(unknown(site.ask(caller, model, false, question(caller, "hello")).await), refused, "{model}");
    }
}

#[tokio::test]
async fn the_name_with_the_suffix_has_its_own_price_where_there_is_one() {
    let site = Site::start_with(|mut world| {
        world.prices.push(("claude-sonnet-4-5-thinking", ratios("0", "0")));
        world.tokens[0] = Token { models: Some(vec![name("claude-sonnet-4-5")]), ..token(1, 1, KEY) };
        world
    })
    .await;
    let caller = Surface::Messages;
    for model in ["claude-sonnet-4-5-thinking", "claude-sonnet-4-5-high"] {
        assert_eq!(site.ask(caller, model, false, question(caller, "hello")).await.status, 200, "{model}");
    }
    let records = site.relay.wait_for_records(2).await;
    assert_eq!((records[0].quota.get() == 0, records[1].quota.get() > 0), (true, true), "{records:?}");
    let refused = site.ask(caller, "claude-haiku-4-5-thinking", false, question(caller, "hello")).await;
    assert_eq!(refused.status, 403, "the token's list holds for the model: {}", refused.text());
}
