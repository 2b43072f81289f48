//! Spark, which is asked by WebSocket: answers, errors and broken connections, as any other upstream's.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_domain::Outcome;
use sluice_relay_node::forward::Timing;
use sluice_snapshot::Channel;
use sluice_testkit::client::Answer;
use sluice_testkit::spark::{Spark, SparkKey};

use crate::dialects::{gathered, question, said};
use crate::relay::{TestRelay, World, channel, channel_key, name, ratios};

const CALLERS: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];
const MODEL: &str = "Spark-4.0-Ultra";
const OLD_MODEL: &str = "SparkDesk";
const KEY: SparkKey = SparkKey { app_id: "12345678", secret: "topsecret", key: "thekey" };

struct Site {
    spark: Spark,
    relay: TestRelay,
}

fn at(url: &str, key: &str) -> Channel {
    Channel {
        provider: "xunfei-spark-ws".into(),
        base_url: Some(url.to_owned()),
        keys: vec![channel_key(10, key)],
        models: [MODEL, OLD_MODEL].into_iter().map(name).collect(),
        ..channel(1, url)
    }
}

impl Site {
    async fn start(key: &str, timing: Timing) -> Self {
        let spark = Spark::start(KEY).await;
        let url = spark.base_url();
        let relay = World {
            channels: vec![Channel { api_version: Some("v3.1".into()), ..at(&url, key) }],
            prices: [MODEL, OLD_MODEL].map(|model| (model, ratios("1", "1"))).to_vec(),
            timing,
            ..World::with_upstream(&url)
        }
        .start()
        .await;
        Self { spark, relay }
    }

    async fn usual() -> Self {
        Self::start(&KEY.text(), Timing::default()).await
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
        self.relay.caller().with_header("anthropic-version", "2023-06-01").post(&path, &body).await
    }

    async fn chat(&self, text: &str, streams: bool) -> Answer {
        self.ask(Surface::ChatCompletions, MODEL, streams, question(Surface::ChatCompletions, text)).await
    }
}

#[tokio::test]
async fn every_caller_is_answered_and_pays_what_spark_counted() {
    let site = Site::usual().await;
    let mut asked = 0;
    for caller in CALLERS {
        for streams in [false, true] {
            let answer = site.ask(caller, MODEL, streams, question(caller, "hello there")).await;
            let named = format!("{caller:?}, streams: {streams}: {}", answer.text());
            assert_eq!(answer.status, 200, "{named}");
            let told = if streams { gathered(caller, &answer.text()) } else { said(caller, &answer.json()) };
            assert_eq!(told.text, "You said: hello there Is that so?", "{named}");
            asked += 1;
            let records = site.relay.wait_for_records(asked).await;
            let record = &records[asked - 1];
            assert_eq!(record.outcome, Outcome::Completed, "{named}");
            let counted = (record.usage.total_input(), record.usage.total_output(), record.usage_estimated);
            assert_eq!(counted, (2, 7, false), "{named}: {record:?}");
            assert_eq!((told.input, told.output), (2, 7), "{named}");
        }
    }
    let first = &site.spark.asked()[0];
    assert_eq!((&first["header"]["app_id"], &first["parameter"]["chat"]["domain"]), (&json!("12345678"), &json!("4.0Ultra")));
}

#[tokio::test]
async fn a_model_without_a_version_is_asked_in_the_channels() {
    let site = Site::usual().await;
    let body = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]});
    let answer = site.ask(Surface::ChatCompletions, OLD_MODEL, false, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = &site.spark.asked()[0];
    assert_eq!(asked["parameter"]["chat"]["domain"], "generalv3");
    assert_eq!(asked["payload"]["message"]["text"], json!([{"role": "user", "content": "Be brief.\n\nhi"}]));
}

#[tokio::test]
async fn an_error_in_place_of_an_answer_is_told_as_one() {
    let site = Site::usual().await;
    for streams in [false, true] {
        let answer = site.chat("[limit]", streams).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "11202", "{}", answer.text());
    }
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
    let refused = site.ask(Surface::ChatCompletions, MODEL, false, body).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &json!("tools")), "{}", refused.text());
    assert_eq!(site.spark.asked().len(), 2, "what it cannot say is not asked");
}

#[tokio::test]
async fn what_breaks_behind_the_first_words_ends_the_stream_with_an_error() {
    let short = Timing { stream_idle: Duration::from_millis(300), ..Timing::default() };
    let site = Site::start(&KEY.text(), short).await;
    for (asked, text) in ["[cut]", "[close]", "[slow]", "[audit]"].into_iter().enumerate() {
        let answer = site.chat(text, true).await;
        assert_eq!(answer.status, 200, "{text}");
        let told = answer.text();
        assert!(told.contains(&format!("You said: {text}")) && told.contains("\"error\""), "{text}: {told}");
        assert!(!told.contains("finish_reason\":\"stop"), "{text}: {told}");
        let records = site.relay.wait_for_records(asked + 1).await;
        let record = &records[asked];
        assert_eq!(record.outcome, Outcome::Truncated, "{text}: {record:?}");
        assert!(record.usage_estimated && record.usage.total_output() > 0, "{text}: {record:?}");
    }
    // the same for callers of no stream: nothing reached them
    for text in ["[cut]", "[close]", "[audit]"] {
        let answer = site.chat(text, false).await;
        assert!(answer.status.as_u16() >= 400, "{text}: {}", answer.text());
    }
}

#[tokio::test]
async fn silence_and_messages_beyond_bounds_are_failures_in_time() {
    let short = Timing { first_byte: Duration::from_millis(300), ..Timing::default() };
    let site = Site::start(&KEY.text(), short).await;
    let late = site.chat("[silent]", true).await;
    assert_eq!(late.status, 504, "{}", late.text());
    let huge = site.chat("[huge]", true).await;
    assert_eq!(huge.status, 502, "{}", huge.text());
}

#[tokio::test]
async fn a_handshake_that_is_refused_speaks_against_the_key() {
    let site = Site::start("12345678|wrong|thekey", Timing::default()).await;
    let answer = site.chat("hi", true).await;
    let told = answer.text();
    assert!(answer.status.as_u16() >= 400 && !told.contains("wrong|") && !told.contains("authorization="), "{told}");
    assert!(site.spark.asked().is_empty());
    let records = site.relay.wait_for_records(1).await;
    assert_eq!(records[0].usage.total_output(), 0, "{records:?}");
    let site = Site::start("only-one-part", Timing::default()).await;
    assert!(site.chat("hi", false).await.status.as_u16() >= 400);
}
