//! What others got wrong with providers (providers.md §14), as far as no other test would fail if it came here: the page of dialects has
//! the whole list.

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use sluice_dialect::Surface;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::Answer;
use sluice_dialect::json::Fields;
use sluice_dialect::openai::{Content, Finish};
use sluice_providers::{Capability, Catalog, ChannelAddress, ClientHints, Dropped, Provider, Target};

use crate::goldens::written;

fn call(slug: &str, secret: &str, capability: Capability, model: &str) -> Target {
    let catalog = Catalog::shipped().unwrap();
    let provider = catalog.get(slug).unwrap();
    let (base_url, secret) = (provider.parse_base_url("").unwrap(), SecretString::from(secret));
    let channel = ChannelAddress {
        base_url: &base_url,
        secret: &secret,
        api_version: None,
        organization: None,
        strip_dots: false,
        extra: &[],
    };
    provider.call(&channel, capability, model, false, &ClientHints::default()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "cases are written where they are used")]
fn adjusted(provider: &Provider, capability: Capability, model: &str, body: Value) -> Map<String, Value> {
    let mut body = Fields::parse(body.to_string().into()).unwrap();
    provider.adjust(capability, model, &mut body, &mut Dropped::default());
    serde_json::from_slice(&body.finish()).unwrap()
}

#[test]
fn what_is_not_claude_is_not_asked_of_bedrock_as_claude() {
    let catalog = Catalog::shipped().unwrap();
    let bedrock = catalog.get("aws-bedrock").unwrap();
    assert!(bedrock.models.iter().all(|model| model.contains("claude")), "{:?}", bedrock.models);
    // the region names the host, and the model's id stands in the path: neither takes the other's place
    let target = call("aws-bedrock", "AKIA|topsecret|ap-northeast-1", Capability::Messages, "claude-sonnet-4-20250514");
    assert_eq!(target.url.host_str(), Some("bedrock-runtime.ap-northeast-1.amazonaws.com"));
    assert!(target.url.path().contains("apac.anthropic.claude-sonnet-4"), "{}", target.url);
}

#[test]
fn codes_of_errors_are_read_as_text_and_as_numbers() {
    for (body, code) in [
        (json!({"error": {"message": "no", "code": "AuthFailure.SecretIdNotFound"}}), "AuthFailure.SecretIdNotFound"),
        (json!({"error": {"message": "no", "code": 1302}}), "1302"),
        (json!({"code": 20012, "message": "no"}), "20012"),
    ] {
        let read = UpstreamError::read(400, body.to_string().as_bytes(), &[]);
        assert_eq!((read.code.as_deref(), read.message.as_str()), (Some(code), "no"));
    }
}

/// Nova and all others but Claude: they would be asked in Claude's words, and their answers read as Claude's.
#[test]
fn models_of_other_makers_at_bedrock_are_not_served_at_any_interface() {
    let catalog = Catalog::shipped().unwrap();
    let bedrock = catalog.get("aws-bedrock").unwrap();
    let base = bedrock.parse_base_url("").unwrap();
    let callers = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent, Surface::Edits];
    for model in [
        "amazon.nova-pro-v1:0",
        "us.amazon.nova-micro-v1:0",
        "nova-lite-v1:0",
        "amazon.titan-text-express-v1",
        "meta.llama3-70b-instruct-v1:0",
        "mistral.mistral-large-2407-v1:0",
        "cohere.command-r-v1:0",
        "ai21.jamba-1-5-large-v1:0",
        "us.deepseek.r1-v1:0",
        "qwen.qwen3-32b-v1:0",
        "openai.gpt-oss-120b-1:0",
    ] {
        for caller in callers {
            assert_eq!(bedrock.speaks_for(caller, &base, model), None, "{model} for {caller:?}");
        }
    }
    for model in ["claude-opus-4-6", "us.anthropic.claude-sonnet-4-20250514-v1:0"] {
        assert!(callers.iter().all(|caller| bedrock.speaks_for(*caller, &base, model) == Some(Surface::Messages)), "{model}");
    }
}

fn sent_to(slug: &str, asks: &Value) -> Value {
    let catalog = Catalog::shipped().unwrap();
    let provider = catalog.get(slug).unwrap();
    let surface = provider.speaks(Surface::ChatCompletions).unwrap();
    serde_json::from_slice(&written(provider, Surface::ChatCompletions, surface, "bot-7", asks).body).unwrap()
}

#[test]
fn dify_is_given_images_by_their_address() {
    let parts = json!([
        {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}}
    ]);
    let sent = sent_to("dify", &json!({"model": "ours", "messages": [{"role": "user", "content": parts}]}));
    let file =
        |name: &str| json!({"type": "image", "transfer_method": "remote_url", "url": format!("https://example.com/{name}.png")});
    assert_eq!(sent["files"], json!([file("a"), file("b")]), "{sent}");
    assert!(sent["query"].as_str().unwrap().contains("What is this?"), "{sent}");
    let without = sent_to("dify", &json!({"model": "ours", "messages": [{"role": "user", "content": "hi"}]}));
    assert!(without.get("files").is_none(), "{without}");
}

#[test]
fn coze_hears_both_sides_and_is_asked_once_for_a_stream() {
    let catalog = Catalog::shipped().unwrap();
    let coze = catalog.get("coze").unwrap();
    let said = [("user", "Hello."), ("assistant", "Good day."), ("user", "Why?")];
    let messages: Vec<Value> = said.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    let asks = json!({"model": "ours", "messages": messages});
    let sent = sent_to("coze", &asks);
    let heard: Vec<(&str, &str)> = sent["additional_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (message["role"].as_str().unwrap(), message["content"].as_str().unwrap()))
        .collect();
    assert_eq!(heard, said, "{sent}");
    // nobody asks again and again whether an answer is there: it comes as a stream, for callers who want none too, within a request's time
    assert_eq!(sent["stream"], true);
    let surface = coze.speaks(Surface::ChatCompletions).unwrap();
    let passage = written(coze, Surface::ChatCompletions, surface, "bot-7", &asks).passage;
    assert!(passage.is_streamed(false) && coze.endpoints.len() == 1, "{:?}", coze.endpoints);
    let answer = |last: &str| {
        let delta = json!({"type": "answer", "role": "assistant", "content": "Because."});
        Answer::read(format!("event: conversation.message.delta\ndata: {delta}\n\n{last}").into(), passage.clone(), &[])
    };
    let whole =
        answer("event: conversation.chat.completed\ndata: {\"usage\":{\"input_count\":3,\"output_count\":1}}\n\n").unwrap();
    assert!(matches!(whole.content(), Content::Output));
    let is_answer = |read: &Result<Answer, _>| read.as_ref().is_ok_and(|answer| matches!(answer.content(), Content::Output));
    assert!(!is_answer(&answer("")), "half an answer is none");
}

#[test]
fn protocols_of_their_own_are_asked_in_their_own_way() {
    let catalog = Catalog::shipped().unwrap();
    for (slug, new_api) in [("dify", 37), ("coze", 49), ("tencent-hunyuan", 23), ("xunfei-spark-ws", 18)] {
        let provider = catalog.get(slug).unwrap();
        assert_eq!(catalog.by_new_api_id(new_api).map(|known| known.slug.as_str()), Some(slug));
        let speaks = provider.speaks(Surface::ChatCompletions);
        assert!(provider.is_served() && matches!(speaks, Some(Surface::Vendor(_))), "{slug}: {speaks:?}");
    }
    // what relays cannot do is said, not tried
    assert!(!catalog.get("raw-proxy").unwrap().is_served());
}

#[test]
fn sparks_errors_with_status_200_are_errors_and_n_stays_n() {
    let catalog = Catalog::shipped().unwrap();
    let spark = catalog.get("xunfei-spark-http").unwrap();
    let answer = json!({"code": 10907, "message": "too long", "sid": "cha"});
    assert_eq!(spark.body_error(answer.as_object().unwrap()).map(|error| error.status), Some(400));
    let body = adjusted(spark, Capability::Chat, "lite", json!({"model": "lite", "messages": [], "n": 2}));
    assert_eq!((&body["n"], body.get("top_k")), (&json!(2), None));
}

#[test]
fn names_that_begin_with_an_o_are_not_all_of_the_o_series() {
    let catalog = Catalog::shipped().unwrap();
    let openai = catalog.get("openai").unwrap();
    let asks = |model: &str| json!({"model": model, "messages": [], "max_tokens": 9, "temperature": 0.5});
    for (model, reasons) in [("o3-mini", true), ("o1", true), ("omni-moderation-latest", false), ("openchat-3.5", false)] {
        let body = adjusted(openai, Capability::Chat, model, asks(model));
        assert_eq!(body.contains_key("max_completion_tokens"), reasons, "{model}: {body:?}");
        assert_eq!(body.contains_key("temperature"), !reasons, "{model}: {body:?}");
    }
}

#[test]
fn baidus_pair_is_never_sent_whole() {
    let target = call("baidu-qianfan-v2", "topsecret|app-1", Capability::Chat, "ernie-4.0-8k-latest");
    assert_eq!(target.headers["authorization"], "Bearer topsecret");
    assert_eq!(target.headers["appid"], "app-1");
}

#[test]
fn volcengines_models_are_listed_under_its_version() {
    let target = call("volcengine-ark", "topsecret", Capability::Models, "");
    assert_eq!(target.url.as_str(), "https://ark.cn-beijing.volces.com/api/v3/models");
}

#[test]
fn ollama_gets_dimensions_where_its_interface_has_them() {
    let catalog = Catalog::shipped().unwrap();
    let asks = json!({"model": "nomic-embed-text", "input": ["a"], "dimensions": 64});
    let body = adjusted(catalog.get("ollama").unwrap(), Capability::Embeddings, "nomic-embed-text", asks.clone());
    assert_eq!(Value::Object(body), asks);
}

#[test]
fn vertex_is_asked_in_the_words_of_each_models_maker() {
    let catalog = Catalog::shipped().unwrap();
    let vertex = catalog.get("google-vertex").unwrap();
    let base = vertex.parse_base_url("").unwrap();
    for (model, surface) in [
        ("gemini-2.5-pro", Surface::GenerateContent),
        ("claude-opus-4-6", Surface::Messages),
        ("meta/llama-3.3-70b-instruct-maas", Surface::ChatCompletions),
    ] {
        // a caller of Messages included
        assert_eq!(vertex.speaks_for(Surface::Messages, &base, model), Some(surface), "{model}");
    }
    let account = r#"{"client_email":"a@b","project_id":"p","private_key":"k"}"#;
    let target = call("google-vertex", account, Capability::Messages, "claude-opus-4-6");
    assert!(target.url.path().contains("/publishers/anthropic/models/claude-opus-4-6:rawPredict"), "{}", target.url);
}

#[test]
fn a_cut_answer_in_a_vendors_words_is_cut() {
    let catalog = Catalog::shipped().unwrap();
    let cohere = catalog.get("cohere").unwrap();
    let asks = json!({"model": "ours", "max_tokens": 9, "messages": [{"role": "user", "content": "Why?"}]});
    for (word, shown) in
        [("max_tokens", "max_tokens"), ("MAX_TOKENS", "max_tokens"), ("model_length", "max_tokens"), ("COMPLETE", "end_turn")]
    {
        let passage = written(cohere, Surface::Messages, Surface::ChatCompletions, "theirs", &asks).passage;
        let choice = json!({"index": 0, "message": {"role": "assistant", "content": "So"}, "finish_reason": word});
        let answer = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]});
        let read = Answer::read(answer.to_string().into(), passage, &[]).unwrap();
        assert_eq!(read.finish() == Some(Finish::Length), shown == "max_tokens", "{word}");
        let body: Value = serde_json::from_slice(&read.into_body()).unwrap();
        assert_eq!(body["stop_reason"], shown, "{word}");
    }
}
