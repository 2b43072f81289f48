//! The text interfaces beside conversations: counting tokens, vectors, reranking, moderations, edits.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sluice_billing::Tokenizer;
use sluice_billing::tokenizer::Vocabulary;
use sluice_domain::{Counted, Limit, Limits, Outcome};
use sluice_snapshot::Channel;
use sluice_testkit::client::Answer;
use sluice_testkit::simulator::{LogEntry, QueuedScenario, Scenario, Simulator, SimulatorConfig, UsageReport};

use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel, name, ratios};

const CLAUDE: &str = "claude-sonnet-4-5";
const GEMINI: &str = "gemini-2.5-pro";
/// On a channel that counts tokens, and on one that does not.
const GPT: &str = "gpt-4.1";
const PLAIN: &str = "gpt-4o";
const SMALL: &str = "text-embedding-3-small";
const GOOGLES: &str = "gemini-embedding-001";
const RERANKER: &str = "jina-reranker-v2-base-multilingual";
const MODERATOR: &str = "omni-moderation-latest";

/// A channel of a provider, for some models.
fn of(provider: &str, id: i64, base_url: String, models: &[&str]) -> Channel {
    let models = models.iter().map(|model| name(model)).collect();
    Channel { provider: provider.into(), base_url: Some(base_url), models, ..channel(id, "") }
}

fn world(url: &str) -> World {
    let priced = [CLAUDE, GEMINI, GPT, PLAIN, SMALL, GOOGLES, RERANKER];
    let mut world = World {
        channels: vec![
            of("openai-compatible", 1, format!("{url}/v1"), &[PLAIN, SMALL, RERANKER, MODERATOR]),
            of("openai", 2, url.to_owned(), &[GPT]),
            of("anthropic", 3, url.to_owned(), &[CLAUDE]),
            of("google-gemini", 4, url.to_owned(), &[GEMINI, GOOGLES]),
        ],
        prices: priced.map(|model| (model, ratios("2", "4"))).to_vec(),
        ..World::with_upstream(url)
    };
    world.prices.push((MODERATOR, ratios("0", "1")));
    world
}

struct Site {
    upstream: Simulator,
    relay: TestRelay,
}

impl Site {
    async fn start() -> Self {
        let upstream = Simulator::start(SimulatorConfig::default());
        let relay = world(&upstream.base_url()).start().await;
        Self { upstream, relay }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.relay.caller().with_header("anthropic-version", "2023-06-01").post(path, body).await
    }

    async fn good(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    fn last(&self) -> LogEntry {
        self.upstream.log().pop().expect("an upstream was asked")
    }

    /// The newest of so many records: what was told, charged and recorded are the same.
    async fn paid(&self, records: usize, tokens: u64, is_estimated: bool) {
        let record = self.relay.wait_for_records(records).await.pop().unwrap();
        assert_eq!(record.outcome, Outcome::Completed, "{record:?}");
        assert_eq!((record.usage.total_input(), record.usage.total_output()), (tokens, 0), "{record:?}");
        assert_eq!(record.usage_estimated, is_estimated, "{record:?}");
        assert_eq!(record.quota.get(), i64::try_from(tokens * 2).unwrap(), "{record:?}");
    }
}

/// A question in the form of each interface that counts: where, what, and which field of the answer tells the tokens.
fn questions(model: &str) -> [(String, Value, &'static str); 4] {
    let text = "how many words are these";
    let contents = json!([{"role": "user", "parts": [{"text": text}]}]);
    [
        (
            "/v1/messages/count_tokens".to_owned(),
            json!({"model": model, "messages": [{"role": "user", "content": text}]}),
            "input_tokens",
        ),
        ("/v1/responses/input_tokens".to_owned(), json!({"model": model, "input": text}), "input_tokens"),
        (format!("/v1beta/models/{model}:countTokens"), json!({"contents": contents}), "totalTokens"),
        (
            format!("/v1/models/{model}:countTokens"),
            json!({"generateContentRequest": {"model": format!("models/{model}"), "contents": contents}}),
            "totalTokens",
        ),
    ]
}

#[tokio::test]
async fn tokens_are_counted_by_whoever_counts_for_every_caller_and_for_nothing() {
    let site = Site::start().await;
    for (model, counter) in [
        (CLAUDE, "/v1/messages/count_tokens".to_owned()),
        (GEMINI, format!("/v1beta/models/{GEMINI}:countTokens")),
        (GPT, "/v1/responses/input_tokens".to_owned()),
    ] {
        for (path, body, field) in questions(model) {
            let answer = site.post(&path, &body).await;
            assert_eq!(answer.status, 200, "{path} {model}: {}", answer.text());
            assert_eq!(answer.json()[field], 5, "{path} {model}: the simulator counts words");
            assert_eq!(answer.header("x-sluice-estimated"), None);
            assert_eq!(site.last().path, counter, "{path}");
        }
    }
    assert_eq!(site.relay.records().await, []);
    assert_eq!(site.upstream.stats().received, 12);
    let counted = r#"sluice_relay_requests_total{interface="count_tokens",outcome="completed"}"#;
    assert_eq!(site.relay.metric(counted), 12);
}

#[tokio::test]
async fn tokens_are_counted_here_where_nobody_else_does() {
    let _ = Tokenizer::load(Vocabulary::O200k); // slow the first time: this story is about the count, not about waiting for it
    let site = Site::start().await;
    for (path, body, field) in questions(PLAIN) {
        let answer = site.post(&path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        // five words, the role, and six of the format around one message, by the model's own vocabulary
        assert_eq!(answer.json()[field], 5 + 1 + 6, "{path}");
        assert_eq!(answer.header("x-sluice-estimated"), Some("true"));
    }
    assert_eq!((site.upstream.stats().received, site.relay.records().await.len()), (0, 0));
}

#[tokio::test]
async fn an_upstream_that_has_no_such_interface_costs_one_question() {
    let _ = Tokenizer::load(Vocabulary::O200k); // slow the first time: this story is about the count, not about waiting for it
    let site = Site::start().await;
    site.upstream.queue(Scenario { status: Some(404), ..Scenario::default() });
    let (path, body, field) = &questions(GPT)[0];
    let answer = site.post(path, body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-sluice-estimated")), (200, Some("true")), "{}", answer.text());
    assert_eq!(answer.json()[*field], 12);
    assert_eq!(site.upstream.stats().received, 1);
}

#[tokio::test]
async fn where_one_upstream_has_no_such_interface_another_one_is_asked() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    world.channels.push(of("openai", 9, upstream.base_url(), &[GPT]));
    let relay = world.start().await;
    upstream.queue(Scenario { status: Some(404), ..Scenario::default() });
    let (path, body, field) = &questions(GPT)[0];
    let answer = relay.caller().post(path, body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-sluice-estimated")), (200, None), "{}", answer.text());
    assert_eq!((&answer.json()[*field], upstream.stats().received), (&json!(5), 2));
}

#[tokio::test]
async fn a_count_is_tried_twice_at_most_and_its_failure_is_told_in_the_callers_words() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let url = upstream.base_url();
    let mut world = world(&url);
    world.channels.extend((5..8).map(|id| of("anthropic", id, url.clone(), &[CLAUDE])));
    let relay = world.start().await;
    upstream.queue(QueuedScenario::from(Scenario { status: Some(500), ..Scenario::default() }).times(9));
    for (at, (path, body, _)) in questions(CLAUDE).into_iter().enumerate() {
        let answer = relay.caller().post(&path, &body).await;
        let error = &answer.json()["error"];
        let (status, word) = match path.as_str() {
            path if path.contains("messages") => (500, &error["type"] == "api_error"),
            path if path.contains("responses") => (502, &error["type"] == "upstream_error"),
            _ => (502, &error["status"] == "UNAVAILABLE"),
        };
        assert_eq!((answer.status.as_u16(), word), (status, true), "{path}: {}", answer.text());
        assert_eq!(upstream.stats().received, 2 * (at as u64 + 1));
    }
}

#[tokio::test]
async fn a_count_is_refused_to_whom_the_model_is() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    world.tokens[0].models = Some(vec![name(PLAIN)]);
    let relay = world.start().await;
    let (path, body, _) = &questions(CLAUDE)[0];
    let answer = relay.caller().post(path, body).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].as_str()), (403, Some("permission_error")));
    assert_eq!(relay.anonymous().post(path, body).await.status, 401);
    assert_eq!(upstream.stats().received, 0);
}

#[tokio::test]
async fn a_count_touches_no_limit() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    let once = Limit { of: Counted::Requests, count: 1, window_secs: 3_600, is_shadow: false };
    world.users[0].limits = Limits::new(vec![once]).unwrap();
    let relay = world.start().await;
    let (path, body, _) = &questions(CLAUDE)[0];
    for _ in 0..3 {
        assert_eq!(relay.caller().post(path, body).await.status, 200);
    }
}

fn embedding(model: &str) -> Value {
    json!({"model": model, "input": ["one", "two words"], "dimensions": 8})
}

#[tokio::test]
async fn vectors_are_the_same_wherever_they_are_asked_for() {
    let site = Site::start().await;
    let own = site.good("/v1/embeddings", &embedding(SMALL)).await;
    site.paid(1, 3, false).await;
    let googles = site.good("/v1/embeddings", &embedding(GOOGLES)).await;
    assert_eq!(site.last().path, format!("/v1beta/models/{GOOGLES}:batchEmbedContents"));
    assert_eq!(googles["data"], own["data"]);
    assert_eq!(googles["model"], GOOGLES);
    let tokens = googles["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens > 0 && googles["usage"]["total_tokens"] == tokens, "{googles}");
    site.paid(2, tokens, true).await;

    let mut body = embedding(GOOGLES);
    body["encoding_format"] = "base64".into();
    let packed = site.good("/v1/embeddings", &body).await;
    for (packed, plain) in packed["data"].as_array().unwrap().iter().zip(own["data"].as_array().unwrap()) {
        let bytes = BASE64_STANDARD.decode(packed["embedding"].as_str().unwrap()).unwrap();
        let floats: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let plain: Vec<f32> = serde_json::from_value(plain["embedding"].clone()).unwrap();
        assert_eq!(floats, plain);
    }

    let content = |text: &str| json!({"parts": [{"text": text}]});
    for model in [SMALL, GOOGLES] {
        let one = json!({"content": content("one"), "outputDimensionality": 8});
        let one = site.good(&format!("/v1beta/models/{model}:embedContent"), &one).await;
        assert_eq!(one["embedding"]["values"], own["data"][0]["embedding"], "{model}");
        let request =
            |text: &str| json!({"model": format!("models/{model}"), "content": content(text), "outputDimensionality": 8});
        let batch = json!({"requests": [request("one"), request("two words")]});
        let batch = site.good(&format!("/v1/models/{model}:batchEmbedContents"), &batch).await;
        for (at, vector) in batch["embeddings"].as_array().unwrap().iter().enumerate() {
            assert_eq!(vector["values"], own["data"][at]["embedding"], "{model}");
        }
    }
}

#[tokio::test]
async fn the_model_of_an_engine_stands_in_its_address() {
    let site = Site::start().await;
    let answer = site.good(&format!("/v1/engines/{SMALL}/embeddings"), &json!({"input": "one", "dimensions": 8})).await;
    assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 8);
    assert_eq!(site.last().json()["model"], SMALL, "the upstream reads it in the body");
    site.paid(1, 1, false).await;
}

#[tokio::test]
async fn a_mapped_model_of_googles_is_named_in_the_body_too() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    world.channels[3].models = vec![name("ours")];
    world.channels[3].model_mapping.insert("ours".into(), GOOGLES.into());
    world.prices.push(("ours", ratios("2", "1")));
    let relay = world.start().await;
    let request = json!({"model": "models/ours", "content": {"parts": [{"text": "one"}]}});
    let answer = relay.caller().post("/v1beta/models/ours:batchEmbedContents", &json!({"requests": [request]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.last_body()["requests"][0]["model"], format!("models/{GOOGLES}"));
}

fn search() -> Value {
    let documents = json!(["a grey dog", {"text": "the red fox"}, "a fox"]);
    json!({"model": RERANKER, "query": "red fox", "documents": documents, "top_n": 2, "return_documents": true})
}

#[tokio::test]
async fn documents_are_reranked_at_each_of_the_addresses() {
    let site = Site::start().await;
    for (records, path) in [(1, "/v1/rerank"), (2, "/rerank"), (3, "/v2/rerank")] {
        let answer = site.good(path, &search()).await;
        let first = json!({"index": 1, "relevance_score": 1.0, "document": {"text": "the red fox"}});
        assert_eq!((&answer["results"][0], answer["results"].as_array().unwrap().len()), (&first, 2), "{path}");
        assert_eq!(answer["usage"]["total_tokens"], 10);
        site.paid(records, 10, false).await;
    }
    assert_eq!(site.last().json(), search(), "every field passes");
    site.upstream.queue(Scenario { usage: UsageReport::Missing, ..Scenario::default() });
    site.good("/v1/rerank", &search()).await;
    let record = site.relay.wait_for_records(4).await.pop().unwrap();
    assert!(record.usage_estimated && record.usage.input > 0 && record.quota.get() > 0, "{record:?}");
}

/// A relay whose reranking is a provider's that answers with this.
async fn reranking(provider: &str, answer: &Value) -> (Recorder, TestRelay) {
    let recorder = Recorder::start("application/json", &[answer.to_string().as_bytes()]).await;
    let relay = World {
        channels: vec![of(provider, 1, recorder.base_url(), &[RERANKER])],
        prices: vec![(RERANKER, ratios("2", "1"))],
        ..World::with_upstream(&recorder.base_url())
    };
    (recorder, relay.start().await)
}

#[tokio::test]
async fn reranking_of_other_forms_looks_like_everybodys() {
    let result = json!({"index": 1, "relevance_score": 0.9});
    let with = |document: Value| json!({"index": 1, "relevance_score": 0.9, "document": document});
    let document = json!({"text": "the red fox"});
    for (provider, answer, path, tokens) in [
        (
            "ali-dashscope",
            json!({"output": {"results": [with(document.clone())]}, "usage": {"total_tokens": 7}, "request_id": "r"}),
            "/api/v1/services/rerank/text-rerank/text-rerank",
            Some(7),
        ),
        (
            "siliconflow",
            json!({"id": "x", "results": [with(document.clone())], "meta": {"tokens": {"input_tokens": 6, "output_tokens": 1}}}),
            "/v1/rerank",
            Some(7),
        ),
        ("voyage", json!({"data": [with("the red fox".into())], "usage": {"total_tokens": 7}}), "/v1/rerank", Some(7)),
        ("cohere", json!({"id": "c", "results": [result], "meta": {"billed_units": {"search_units": 1}}}), "/v2/rerank", None),
        ("xinference", json!({"results": [result], "meta": {"tokens": null}}), "/v1/rerank", None),
    ] {
        let (recorder, relay) = reranking(provider, &answer).await;
        let told = relay.caller().post("/v1/rerank", &search()).await;
        assert_eq!(told.status, 200, "{provider}: {}", told.text());
        assert_eq!(told.json()["results"], json!([with(document.clone())]), "{provider}");
        let record = relay.record().await;
        assert_eq!(recorder.heard()[0].path, path, "{provider}");
        assert_eq!(record.usage_estimated, tokens.is_none(), "{provider}");
        assert_eq!(tokens.unwrap_or(record.usage.total()), record.usage.total(), "{provider}");
        assert_eq!(record.quota.get(), i64::try_from(record.usage.total() * 2).unwrap(), "{provider}");
    }
}

#[tokio::test]
async fn a_price_per_call_is_one_price_per_search() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    for (model, price) in &mut world.prices {
        if *model == RERANKER {
            price.per_call_usd = Some("0.002".parse().unwrap());
        }
    }
    let relay = world.start().await;
    assert_eq!(relay.caller().post("/v1/rerank", &search()).await.status, 200);
    assert_eq!(relay.record().await.quota.get(), 1_000, "0.002 dollars");
}

#[tokio::test]
async fn moderation_is_free_knows_its_model_and_is_no_use_of_tokens() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let mut world = world(&upstream.base_url());
    let tokens = Limit { of: Counted::Tokens, count: 1, window_secs: 3_600, is_shadow: false };
    world.users[0].limits = Limits::new(vec![tokens]).unwrap();
    let relay = world.start().await;
    for _ in 0..3 {
        let answer = relay.caller().post("/v1/moderations", &json!({"input": ["hello there", "I kill you"]})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let results = &answer.json()["results"];
        assert_eq!((&results[0]["flagged"], &results[1]["flagged"]), (&json!(false), &json!(true)));
    }
    assert_eq!(upstream.last_body()["model"], MODERATOR);
    for record in relay.wait_for_records(3).await {
        assert_eq!((record.quota.get(), record.held.get(), record.outcome), (0, 0, Outcome::Completed));
    }
}

#[tokio::test]
async fn edits_are_made_by_any_model_that_chats() {
    let site = Site::start().await;
    for (records, model) in [(1, PLAIN), (2, CLAUDE), (3, GEMINI)] {
        site.upstream.queue(Scenario { text: Some("the cat".to_owned()), ..Scenario::default() });
        let body = json!({"model": model, "input": "teh cat", "instruction": "Fix the spelling."});
        let answer = site.good("/v1/edits", &body).await;
        assert_eq!(answer["object"], "edit", "{model}");
        assert_eq!(answer["choices"], json!([{"text": "the cat", "index": 0}]), "{model}");
        let record = site.relay.wait_for_records(records).await.pop().unwrap();
        let told = (answer["usage"]["prompt_tokens"].as_u64(), answer["usage"]["completion_tokens"].as_u64());
        assert_eq!((Some(record.usage.total_input()), Some(record.usage.total_output())), told, "{model}");
        assert_eq!(record.quota.get(), i64::try_from((record.usage.input + 4 * record.usage.output) * 2).unwrap());
    }
}

#[tokio::test]
async fn a_conversation_is_compacted_by_its_own_interface_at_its_own_price() {
    let answer = json!({"id": "resp_1", "object": "response.compaction", "output": [{"type": "compaction", "encrypted_content": "x"}],
        "usage": {"input_tokens": 30, "output_tokens": 10, "total_tokens": 40}});
    let recorder = Recorder::start("application/json", &[answer.to_string().as_bytes()]).await;
    for (priced, quota) in [(GPT, 2 * (30 + 4 * 10)), ("*-openai-compact", 3 * (30 + 4 * 10))] {
        let ratio = if priced == GPT { "2" } else { "3" };
        let mut world = World {
            channels: vec![of("openai", 1, recorder.base_url(), &[GPT])],
            prices: vec![(priced, ratios(ratio, "4"))],
            ..World::with_upstream(&recorder.base_url())
        };
        world.tokens[0].models = Some(vec![name(GPT)]);
        let relay = world.start().await;
        let body = json!({"model": GPT, "input": [{"type": "message", "role": "user", "content": "hi"}]});
        let told = relay.caller().post("/v1/responses/compact", &body).await;
        assert_eq!((told.status.as_u16(), told.json()), (200, answer.clone()));
        let heard = recorder.heard().pop().unwrap();
        assert_eq!((heard.path.as_str(), serde_json::from_slice::<Value>(&heard.body).unwrap()), ("/v1/responses/compact", body));
        let record = relay.record().await;
        assert_eq!((record.model.as_str(), record.upstream_model.as_str()), ("gpt-4.1-openai-compact", GPT));
        assert_eq!((record.usage.input, record.usage.output, record.quota.get()), (30, 10, quota));
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_in_the_callers_dialect_before_anybody_is_asked() {
    let site = Site::start().await;
    let googles = |verb: &str| format!("/v1beta/models/{GOOGLES}:{verb}");
    let count = |model: &str| format!("/v1beta/models/{model}:countTokens");
    for (path, body, field) in [
        ("/v1/messages/count_tokens".to_owned(), json!({"model": CLAUDE}), "messages"),
        ("/v1/messages/count_tokens".to_owned(), json!({"messages": []}), "model"),
        ("/v1/responses/input_tokens".to_owned(), json!({"model": GPT}), "input"),
        (count(GEMINI), json!({"contents": [{"parts": [{"text": 1}]}]}), "contents[0].parts[0].text"),
        (count(GEMINI), json!({"generateContentRequest": {"contents": 1}}), "generateContentRequest.contents"),
        (googles("embedContent"), json!({"content": {"parts": "x"}}), "content.parts"),
        (googles("batchEmbedContents"), json!({}), "requests"),
        (
            googles("batchEmbedContents"),
            json!({"requests": [{"model": "models/x", "content": {"parts": [{"text": "x"}]}}]}),
            "requests[0].model",
        ),
        ("/v1/embeddings".to_owned(), json!({"model": GOOGLES, "input": [1, 2]}), "input"),
        ("/v1/embeddings".to_owned(), json!({"model": GOOGLES, "input": ["x", [2]]}), "input"),
        ("/v1/embeddings".to_owned(), json!({"model": GOOGLES, "input": "x", "encoding_format": "hex"}), "encoding_format"),
        ("/v1/rerank".to_owned(), json!({"model": RERANKER, "documents": ["x"]}), "query"),
        ("/v1/rerank".to_owned(), json!({"model": RERANKER, "query": "", "documents": ["x"]}), "query"),
        ("/v2/rerank".to_owned(), json!({"model": RERANKER, "query": "q", "documents": []}), "documents"),
        ("/rerank".to_owned(), json!({"model": RERANKER, "query": "q", "documents": ["x"], "top_n": "2"}), "top_n"),
        ("/v1/moderations".to_owned(), json!({}), "input"),
        ("/v1/edits".to_owned(), json!({"model": PLAIN, "input": "x"}), "instruction"),
        ("/v1/responses/compact".to_owned(), json!({"model": GPT}), "input"),
        ("/v1/engines/text-embedding-3-small/embeddings".to_owned(), json!({}), "input"),
    ] {
        let answer = site.post(&path, &body).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400, "{path}: {error}");
        assert!(error["message"].as_str().unwrap().starts_with(&format!("`{field}`")), "{path}: {error}");
        let param = error.get("param").and_then(Value::as_str);
        let is_openai = !path.contains("/models/") && !path.contains("/messages/");
        assert_eq!(param, is_openai.then_some(field), "{path}: {error}");
    }
    assert_eq!(site.upstream.stats().received, 0);
}

#[tokio::test]
async fn a_provider_without_the_interface_is_the_callers_choice_of_model() {
    let site = Site::start().await;
    let search = json!({"model": CLAUDE, "query": "q", "documents": ["x"]});
    for (path, body) in [
        ("/v1/rerank", search),
        ("/v1/embeddings", json!({"model": CLAUDE, "input": "x"})),
        ("/v1/responses/compact", json!({"model": CLAUDE, "input": "x"})),
        ("/v1/completions", json!({"model": CLAUDE, "prompt": "x"})),
    ] {
        let answer = site.post(path, &body).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), error["code"].as_str()), (400, Some("unsupported_endpoint")), "{path}: {error}");
        assert!(error["message"].as_str().unwrap().contains("anthropic"), "{error}");
    }
    assert_eq!(site.upstream.stats().received, 0);
    assert_eq!(site.relay.metric("sluice_relay_channel_ejections_total"), 0);
}

#[tokio::test]
async fn failures_of_upstreams_are_told_and_cost_nothing() {
    let site = Site::start().await;
    let mut records = 0;
    let content = json!({"parts": [{"text": "x"}]});
    for (path, body) in [
        ("/v1/rerank".to_owned(), search()),
        ("/v1/moderations".to_owned(), json!({"input": "x"})),
        ("/v1/embeddings".to_owned(), embedding(GOOGLES)),
        (format!("/v1beta/models/{SMALL}:embedContent"), json!({"content": content})),
        ("/v1/edits".to_owned(), json!({"model": PLAIN, "instruction": "x"})),
    ] {
        for (status, told) in [(400, 400), (401, 502)] {
            site.upstream.queue(Scenario { status: Some(status), ..Scenario::default() });
            let answer = site.post(&path, &body).await;
            assert_eq!(answer.status, told, "{path}: {}", answer.text());
            assert!(answer.json()["error"]["message"].is_string(), "{path}");
            records += 1;
            let record = site.relay.wait_for_records(records).await.pop().unwrap();
            assert_eq!((record.outcome, record.quota.get()), (Outcome::Failed, 0), "{path}");
        }
    }
}
