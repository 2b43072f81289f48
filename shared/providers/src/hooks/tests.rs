use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::Catalog;

/// Read once: it takes a while.
static SHIPPED: LazyLock<Catalog> = LazyLock::new(|| Catalog::shipped().unwrap());

/// A request's body as a provider of the catalogue is sent it.
#[expect(clippy::needless_pass_by_value, reason = "cases are written where they are used")]
fn adjusted(slug: &str, capability: Capability, model: &str, body: Value) -> Value {
    serde_json::from_str(&bytes(slug, capability, model, &body.to_string()).0).unwrap()
}

/// The same in bytes, and what is not sent.
fn bytes(slug: &str, capability: Capability, model: &str, body: &str) -> (String, Vec<&'static str>) {
    let mut dropped = Dropped::default();
    let mut fields = Fields::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    SHIPPED.get(slug).unwrap().adjust(capability, model, &mut fields, &mut dropped);
    (String::from_utf8(fields.finish().to_vec()).unwrap(), dropped.into_names())
}

/// An answer as it is read from a provider of the catalogue.
fn amended(slug: &str, capability: Capability, answer: Value) -> Value {
    let catalog = Catalog::shipped().unwrap();
    let Value::Object(mut answer) = answer else { panic!("an answer is an object") };
    catalog.get(slug).unwrap().amend(capability, "asked-for", &mut answer);
    Value::Object(answer)
}

fn chat(slug: &str, body: Value) -> Value {
    adjusted(slug, Capability::Chat, "m", body)
}

#[test]
fn what_no_hook_is_for_stays_as_it_is() {
    let catalog = Catalog::shipped().unwrap();
    let body = json!({"model": "gpt-4o-high", "temperature": 2, "messages": [{"role": "system", "content": "s"}], "x": 1});
    for (slug, capability, model) in [
        ("openai", Capability::Chat, "gpt-4o-high"),
        ("openai", Capability::Chat, "gpt-5-chat-latest"),
        ("openai", Capability::Responses, "mine-high"),
        ("azure-openai", Capability::Responses, "mistral-medium"),
        ("openai", Capability::Chat, "omni-high"),
        ("openai", Capability::Embeddings, "o3-high"),
        ("openai", Capability::Messages, "gpt-5-high"),
        ("openai-compatible", Capability::Chat, "gpt-5-high"),
        ("anthropic", Capability::Messages, "claude-sonnet-4-5-high"),
        ("mistral", Capability::Embeddings, "mistral-embed"),
        ("perplexity", Capability::Responses, "sonar"),
        ("zhipu-v4", Capability::Messages, "glm-4.6"),
    ] {
        assert!(!catalog.get(slug).unwrap().adjusts(capability, model), "{slug} {model}");
        assert_eq!(adjusted(slug, capability, model, body.clone()), body, "{slug} {model}");
    }
}

#[rstest]
#[case("o3-mini")]
#[case("gpt-5")]
#[case("gpt-5-mini")]
fn openais_reasoning_models_get_what_they_take(#[case] model: &str) {
    let body = json!({
        "model": model,
        "messages": [{"role": "system", "content": "s"}, {"role": "system", "content": "t"}],
        "temperature": 0.5,
        "top_p": 0.5,
        "logprobs": true,
        "max_tokens": 9,
        "kept": 1,
    });
    let sent = adjusted("openai", Capability::Chat, model, body);
    assert_eq!((&sent["model"], sent.get("reasoning_effort")), (&json!(model), None));
    assert_eq!(sent["messages"][0]["role"], "developer");
    assert_eq!(sent["messages"][1]["role"], "system");
    assert_eq!((sent.get("max_tokens"), &sent["max_completion_tokens"], &sent["kept"]), (None, &json!(9), &json!(1)));
    assert_eq!(sent.get("temperature"), None);
    assert_eq!(sent.get("top_p").is_some(), !model.starts_with("gpt-5"), "only gpt-5 refuses it");
}

#[test]
fn openais_older_models_that_reason_keep_the_system() {
    let sent = adjusted("openai", Capability::Chat, "o1-mini", json!({"model": "o1-mini", "messages": [{"role": "system"}]}));
    assert_eq!(sent["messages"][0]["role"], "system");
    let both = json!({"model": "o3", "max_tokens": 1, "max_completion_tokens": 2});
    assert_eq!(adjusted("openai", Capability::Chat, "o3", both), json!({"model": "o3", "max_completion_tokens": 2}));
}

#[rstest]
#[case("xai", "grok-4-search", json!({"search_parameters": {"mode": "on"}}), "grok-4")]
#[case("xai", "grok-3-mini-beta-high", json!({"reasoning_effort": "high"}), "grok-3-mini-beta")]
#[case("xai", "grok-3-mini-high-search", json!({"search_parameters": {"mode": "on"}, "reasoning_effort": "high"}), "grok-3-mini")]
#[case("xai", "grok-4-high", json!({}), "grok-4-high")]
#[case("volcengine-ark", "deepseek-v3-1-thinking", json!({"thinking": {"type": "enabled"}}), "deepseek-v3-1")]
#[case("volcengine-ark", "doubao-thinking", json!({}), "doubao-thinking")]
#[case("ali-dashscope", "qwen-max-internet", json!({"enable_search": true}), "qwen-max")]
#[case("openrouter", "moonshotai/kimi-k2-thinking", json!({"usage": {"include": true}}), "moonshotai/kimi-k2-thinking")]
fn endings_of_names_set_a_field(#[case] slug: &str, #[case] model: &str, #[case] fields: Value, #[case] plain: &str) {
    let mut expected = json!({"model": plain});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    expected.as_object_mut().unwrap().extend(fields);
    assert_eq!(adjusted(slug, Capability::Chat, model, json!({"model": model})), expected);
    assert_eq!(Catalog::shipped().unwrap().get(slug).unwrap().plain_model(Capability::Chat, model), plain);
}

#[test]
fn what_the_caller_set_wins_over_an_ending() {
    let model = "ernie-4.0-8k-search";
    let own = json!({"model": model, "web_search": {"enable": false}});
    let sent = adjusted("baidu-qianfan-v2", Capability::Chat, model, own);
    assert_eq!(sent, json!({"model": "ernie-4.0-8k", "web_search": {"enable": false}}));
    let sent = adjusted("baidu-qianfan-v2", Capability::Chat, model, json!({"model": model}));
    let search = json!({"enable": true, "enable_citation": true, "enable_trace": true, "enable_status": false});
    assert_eq!(sent["web_search"], search);
}

#[test]
fn numbers_are_clamped_only_where_they_are() {
    assert_eq!(chat("ali-dashscope", json!({"top_p": 1})), json!({"top_p": 0.999}));
    assert_eq!(chat("ali-dashscope", json!({"top_p": 0})), json!({"top_p": 0.001}));
    assert_eq!(chat("ali-dashscope", json!({"top_p": 0.5})), json!({"top_p": 0.5}));
    assert_eq!(chat("ali-dashscope", json!({"top_p": "x"})), json!({"top_p": "x"}));
    assert_eq!(chat("ali-dashscope", json!({})), json!({}));
}

#[test]
fn zhipu_gets_the_fields_it_knows_in_its_form() {
    let body = json!({
        "model": "glm-4v",
        "max_completion_tokens": 5,
        "stop": "end",
        "seed": 1,
        "do_sample": true,
        "logit_bias": {},
        "top_p": 1.0,
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "text", "text": "data:image/png;base64,kept"},
        ]}],
    });
    let expected = json!({
        "model": "glm-4v",
        "stop": ["end"],
        "seed": 1,
        "do_sample": true,
        "top_p": 0.99,
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "QUJD"}},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "text", "text": "data:image/png;base64,kept"},
        ]}],
        "max_tokens": 5,
    });
    assert_eq!(chat("zhipu-v4", body), expected);
    assert_eq!(chat("zhipu-v4", json!({"stop": ["a", "b"]})), json!({"stop": ["a", "b"]}));
}

#[test]
fn perplexity_gets_roles_and_content() {
    let body = json!({"messages": [{"role": "user", "content": "c", "name": "n"}], "tools": [], "search_mode": "web"});
    assert_eq!(chat("perplexity", body), json!({"messages": [{"role": "user", "content": "c"}], "search_mode": "web"}));
}

#[test]
fn mistral_gets_short_ids_and_bare_images() {
    let long = "call_abcdefghijklmnop";
    let body = json!({
        "seed": 7,
        "user": "u",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}}]},
            {"role": "assistant", "tool_calls": [{"id": long}, {"id": "AAAAAAAA1"}, {"id": "call-1"}]},
            {"role": "tool", "tool_call_id": long, "content": "r"},
            {"role": "tool", "tool_call_id": "AAAAAAAA1", "content": "r"},
        ],
    });
    let sent = chat("mistral", body.clone());
    assert_eq!((&sent["random_seed"], sent.get("seed"), sent.get("user")), (&json!(7), None, None));
    assert_eq!(sent["messages"][0]["content"][0]["image_url"], "https://a.example/b.png");
    let ids: Vec<&str> = (0..3_usize).map(|at| sent["messages"][1]["tool_calls"][at]["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{ids:?}");
    assert_eq!(ids[1], "AAAAAAAA1", "one that fits stays");
    assert!(ids[0] != ids[2]);
    assert_eq!(sent["messages"][2]["tool_call_id"], ids[0]);
    assert_eq!(sent["messages"][3]["tool_call_id"], ids[1]);
    assert_eq!(chat("mistral", body), sent, "the same request, the same ids");
}

#[test]
fn completions_in_the_middle_get_a_message() {
    let padded = json!([{"role": "user", "content": ""}]);
    for body in [json!({"prefix": "a"}), json!({"suffix": "a", "messages": []}), json!({"prefix": "a", "messages": null})] {
        assert_eq!(chat("siliconflow", body)["messages"], padded);
    }
    let full = json!({"suffix": "a", "messages": [{"role": "user", "content": "c"}]});
    assert_eq!(chat("siliconflow", full.clone()), full);
    assert_eq!(chat("siliconflow", json!({"prefix": ""})), json!({"prefix": ""}));
}

#[test]
fn fields_of_other_requests_are_dropped_and_renamed() {
    let embeddings = json!({"input": "a", "encoding_format": "float"});
    assert_eq!(adjusted("jina", Capability::Embeddings, "m", embeddings), json!({"input": "a"}));
    let image = json!({"size": "1x1", "n": 2, "prompt": "p"});
    let expected = json!({"prompt": "p", "image_size": "1x1", "batch_size": 2});
    assert_eq!(adjusted("siliconflow", Capability::Images, "m", image.clone()), expected);
    assert_eq!(adjusted("xai", Capability::Images, "m", image), json!({"n": 2, "prompt": "p"}));
    let limited = json!({"max_tokens": 3});
    assert_eq!(adjusted("xai", Capability::Chat, "grok-3-mini", limited.clone()), json!({"max_completion_tokens": 3}));
    assert_eq!(adjusted("xai", Capability::Chat, "grok-4", limited.clone()), limited);
}

#[test]
fn openrouter_is_asked_for_reasoning_in_its_way() {
    let usage = json!({"include": true});
    let sent = |model: &str, body: Value| {
        let mut sent = adjusted("openrouter", Capability::Chat, model, body);
        assert_eq!(sent["usage"], usage);
        sent.as_object_mut().unwrap().remove("usage");
        sent
    };
    let effort = json!({"reasoning_effort": "high"});
    assert_eq!(sent("openai/o3", effort.clone()), json!({"reasoning": {"enabled": true, "effort": "high"}}));
    assert_eq!(sent("openai/o3", json!({"reasoning_effort": "none"})), json!({}));
    assert_eq!(sent("a/b-thinking", json!({"model": "x"})), json!({"model": "a/b", "reasoning": {"enabled": true}}));
    assert_eq!(sent("a/b-thinking", effort.clone()), json!({"reasoning": {"enabled": true, "effort": "high"}}));
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
    assert_eq!(sent("anthropic/claude", thinking.clone()), json!({"reasoning": {"max_tokens": 2000}}));
    assert_eq!(sent("z-ai/glm", thinking.clone()), thinking);
    let own = json!({"reasoning": {"effort": "low"}, "reasoning_effort": "high"});
    assert_eq!(sent("openai/o3", own), json!({"reasoning": {"effort": "low"}}));
}

#[test]
fn an_answer_comes_out_of_its_envelope() {
    let answer = json!({"id": "a", "choices": []});
    assert_eq!(amended("openrouter", Capability::Chat, json!({"success": true, "data": answer})), answer);
    assert_eq!(amended("openrouter", Capability::Chat, answer.clone()), answer);
    let list = json!({"data": [1], "success": true});
    assert_eq!(amended("openrouter", Capability::Models, list.clone()), list);
    let openrouter = Catalog::shipped().unwrap().get("openrouter").unwrap().clone();
    assert!(openrouter.amends(Capability::Chat, false) && !openrouter.amends(Capability::Chat, true));
}

#[test]
fn xais_answers_count_reasoning() {
    let answer = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}});
    assert_eq!(amended("xai", Capability::Chat, answer)["usage"]["completion_tokens"], 105);
    let odd = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 3}});
    assert_eq!(amended("xai", Capability::Chat, odd.clone()), odd);
    let none = json!({"usage": null, "choices": []});
    assert_eq!(amended("xai", Capability::Chat, none.clone()), none);
}

#[test]
fn mokas_answers_have_the_models_name() {
    assert_eq!(amended("mokaai", Capability::Embeddings, json!({"data": []}))["model"], "asked-for");
}

#[test]
fn cloudflares_run_endpoint_is_a_completion() {
    let body = json!({"model": "m", "prompt": "p", "max_tokens": 5, "stream": false, "temperature": 0.1, "n": 1});
    let expected = json!({"prompt": "p", "max_tokens": 5, "stream": false, "temperature": 0.1});
    assert_eq!(adjusted("cloudflare-workers-ai", Capability::Completions, "m", body), expected);
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let whole = json!({"result": {"response": "r", "usage": usage}, "success": true, "errors": [], "messages": []});
    let choice = |finish: Value| json!([{"index": 0, "text": "r", "finish_reason": finish, "logprobs": null}]);
    assert_eq!(
        amended("cloudflare-workers-ai", Capability::Completions, whole),
        json!({"object": "text_completion", "model": "asked-for", "choices": choice("stop".into()), "usage": usage})
    );
    assert_eq!(
        amended("cloudflare-workers-ai", Capability::Completions, json!({"response": "r", "p": "abcd"})),
        json!({"object": "text_completion", "model": "asked-for", "choices": choice(Value::Null)})
    );
    let failed = json!({"success": false, "errors": [{"code": 1, "message": "m"}]});
    assert_eq!(amended("cloudflare-workers-ai", Capability::Completions, failed.clone()), failed);
}

#[test]
fn errors_with_status_200_are_found() {
    let catalog = Catalog::shipped().unwrap();
    let find = |slug: &str, answer: Value| {
        let error = catalog.get(slug).unwrap().body_error(answer.as_object().unwrap());
        error.map(|error| (error.code, error.status, error.message))
    };
    let minimax = |code: i64| json!({"base_resp": {"status_code": code, "status_msg": "no"}});
    assert_eq!(find("minimax", minimax(1002)), Some(("1002".into(), 429, "no".into())));
    assert_eq!(find("minimax", minimax(4242)), Some(("4242".into(), 500, "no".into())));
    assert_eq!(find("minimax", minimax(0)), None);
    assert_eq!(find("minimax", json!({"base_resp": null})), None);
    assert_eq!(find("minimax", json!({})), None);
    assert_eq!(find("xunfei-spark-http", json!({"code": 11200, "message": "m"})), Some(("11200".into(), 401, "m".into())));
    assert_eq!(find("xunfei-spark-http", json!({"code": 0, "choices": []})), None);
    assert_eq!(find("openai", json!({"code": 1})), None);
    assert!(catalog.get("minimax").unwrap().has_body_errors() && !catalog.get("openai").unwrap().has_body_errors());
    let shown = format!("{:?}", catalog.get("minimax").unwrap().body_error(minimax(1).as_object().unwrap()));
    assert_eq!(shown, "Some(BodyError { code: \"1\", status: 500, .. })");
}

#[test]
fn alibabas_reranking_has_a_form_of_its_own() {
    let body = json!({"model": "gte-rerank-v2", "query": "q", "documents": ["a"], "top_n": 1, "return_documents": false});
    let expected = json!({
        "model": "gte-rerank-v2",
        "input": {"query": "q", "documents": ["a"]},
        "parameters": {"top_n": 1, "return_documents": false},
    });
    assert_eq!(adjusted("ali-dashscope", Capability::Rerank, "gte-rerank-v2", body), expected);
    let answer = json!({"output": {"results": [{"index": 0}]}, "usage": {"total_tokens": 7}, "request_id": "r"});
    let amended = amended("ali-dashscope", Capability::Rerank, answer);
    assert_eq!(amended["results"], json!([{"index": 0}]));
    assert_eq!(amended["usage"], json!({"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}));
}

#[test]
fn usage_of_reranking_is_put_where_it_is_read() {
    let silicon = json!({"results": [], "meta": {"tokens": {"input_tokens": 5, "output_tokens": 1}}});
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6});
    assert_eq!(amended("siliconflow", Capability::Rerank, silicon)["usage"], usage);
    let jina = json!({"results": [], "usage": {"total_tokens": 4}});
    assert_eq!(amended("jina", Capability::Rerank, jina)["usage"]["prompt_tokens"], 4);
    let none = json!({"results": []});
    assert_eq!(amended("siliconflow", Capability::Rerank, none.clone()), none);
}

#[test]
fn voyages_reranking_has_other_names_for_the_same() {
    let asked = adjusted("voyage", Capability::Rerank, "rerank-2.5", json!({"query": "q", "documents": ["a"], "top_n": 1}));
    assert_eq!(asked, json!({"query": "q", "documents": ["a"], "top_k": 1}));
    let answer = json!({"data": [{"index": 0, "relevance_score": 0.5, "document": "a"}], "usage": {"total_tokens": 4}});
    let amended = amended("voyage", Capability::Rerank, answer);
    assert_eq!(amended["results"], json!([{"index": 0, "relevance_score": 0.5, "document": {"text": "a"}}]));
    assert!(amended.get("data").is_none());
    assert_eq!(amended["usage"]["prompt_tokens"], 4);
}

#[test]
fn documents_that_were_left_out_are_put_back() {
    let catalog = Catalog::shipped().unwrap();
    let xinference = catalog.get("xinference").unwrap();
    let asked = json!({"documents": ["a", {"text": "b", "id": 1}, "c"], "return_documents": true});
    let mut answer = json!({"results": [
        {"index": 0, "document": null},
        {"index": 1},
        {"index": 2, "document": {"text": "own"}},
        {"index": 9, "document": ""},
    ]});
    xinference.refill(asked.as_object().unwrap(), answer.as_object_mut().unwrap());
    let documents: Vec<Value> = answer["results"].as_array().unwrap().iter().map(|result| result["document"].clone()).collect();
    assert_eq!(documents, [json!({"text": "a"}), json!({"text": "b", "id": 1}), json!({"text": "own"}), json!("")]);
    let mut untouched = json!({"results": [{"index": 0}]});
    xinference.refill(json!({"documents": ["a"]}).as_object().unwrap(), untouched.as_object_mut().unwrap());
    assert_eq!(untouched, json!({"results": [{"index": 0}]}));
}

#[test]
fn clouds_have_the_model_in_the_address() {
    let body = json!({"model": "claude-opus-4-6", "stream": true, "max_tokens": 1});
    let bedrock = adjusted("aws-bedrock", Capability::Messages, "claude-opus-4-6", body.clone());
    assert_eq!(bedrock, json!({"max_tokens": 1, "anthropic_version": "bedrock-2023-05-31"}));
    let vertex = adjusted("google-vertex", Capability::Messages, "claude-opus-4-6", body);
    assert_eq!(vertex, json!({"stream": true, "max_tokens": 1, "anthropic_version": "vertex-2023-10-16"}));
    let calls = json!({"contents": [{"role": "user", "parts": [
        {"functionCall": {"id": "a", "name": "f"}},
        {"functionResponse": {"id": "a", "name": "f", "response": {"id": "kept"}}},
        {"text": "t"},
    ]}]});
    let expected = json!({"contents": [{"role": "user", "parts": [
        {"functionCall": {"name": "f"}},
        {"functionResponse": {"name": "f", "response": {"id": "kept"}}},
        {"text": "t"},
    ]}]});
    assert_eq!(adjusted("google-vertex", Capability::GenerateContent, "gemini-2.5-pro", calls), expected);
}

#[test]
fn codex_keeps_nothing_and_takes_no_limit() {
    let body = json!({"model": "gpt-5-codex", "input": "i", "store": true, "max_output_tokens": 5, "temperature": 1});
    let expected = json!({"model": "gpt-5-codex", "input": "i", "store": false, "instructions": ""});
    assert_eq!(adjusted("openai-codex", Capability::Responses, "gpt-5-codex", body), expected);
    let own = json!({"instructions": "mine", "store": false});
    assert_eq!(adjusted("openai-codex", Capability::Responses, "m", own.clone()), own);
}

#[test]
fn every_hook_of_the_vocabulary_is_used_and_tested() {
    let mut used: Vec<String> = Vec::new();
    for provider in Catalog::shipped().unwrap().iter() {
        for hook in &provider.hooks {
            let word = match serde_json::to_value(hook).unwrap() {
                Value::String(word) => word,
                Value::Object(hook) => hook.keys().next().unwrap().clone(),
                other => panic!("{other}"),
            };
            if !used.contains(&word) {
                used.push(word);
            }
        }
    }
    used.sort();
    let expected = [
        "ai_gateway_base",
        "allowlist",
        "bedrock_ids",
        "body_error",
        "cf_ai_gateway_prefix",
        "clamp",
        "claude_in_cloud",
        "completion_from_total",
        "drop",
        "drop_call_ids",
        "fim_pad_messages",
        "image_data_url_to_base64",
        "image_url_flatten",
        "mistral_tool_ids",
        "model_suffix",
        "openai_reasoning_rules",
        "openrouter_reasoning",
        "path_names",
        "rename",
        "rerank_codec_dashscope",
        "rerank_document_refill",
        "rerank_results",
        "rerank_usage",
        "response_model_rewrite",
        "run_endpoint_codec",
        "set",
        "set_default",
        "stop_to_array",
        "unwrap",
        "vertex_claude_names",
    ];
    assert_eq!(used, expected);
}

#[test]
fn what_a_hook_does_not_change_keeps_its_bytes_and_what_it_leaves_out_is_named() {
    let body = r#"{"model":"gpt-5","seed":12345678901234567890123,"temperature":0.10,"top_p":null,"logit_bias":{"5": 1.50},"max_tokens":9e0,"x":"\u00e9","messages":[ {"role":"system","content":"a\/b"}, {"role":"user","v":1.0}]}"#;
    let sent = r#"{"model":"gpt-5","seed":12345678901234567890123,"logit_bias":{"5": 1.50},"x":"\u00e9","messages":[ {"role":"developer","content":"a\/b"}, {"role":"user","v":1.0}],"max_completion_tokens":9e0}"#;
    assert_eq!(bytes("openai", Capability::Chat, "gpt-5", body), (sent.to_owned(), vec!["temperature"]));
    let same = r#"{ "model" : "gpt-5" , "messages":[{"role":"developer"}] }"#;
    assert_eq!(bytes("openai", Capability::Chat, "gpt-5", same), (same.to_owned(), vec![]));
    let asked = r#"{"model":"m","user":"u","logit_bias":{},"my own":1,"store":null,"messages":[{"role":"user","refusal":"x","content":"c"}]}"#;
    let sent = r#"{"model":"m","messages":[{"role":"user","content":"c"}]}"#;
    let dropped = vec!["user", "logit_bias", "others", "refusal"];
    assert_eq!(bytes("perplexity", Capability::Chat, "m", asked), (sent.to_owned(), dropped));
    assert_eq!(
        bytes("openai-codex", Capability::Responses, "m", r#"{"temperature":1,"store":false,"instructions":""}"#).1,
        ["temperature"]
    );
}

#[rstest]
#[case("gpt-5.1", json!({"reasoning_effort": "none"}), true)]
#[case("gpt-5.4", json!({"reasoning_effort": "none"}), true)]
#[case("gpt-5.1", json!({}), true)] // it does not reason unasked
#[case("gpt-5.2-2025-12-11", json!({"reasoning_effort": null}), true)]
#[case("gpt-5.1", json!({"reasoning_effort": "low"}), false)]
#[case("gpt-5.1-codex", json!({}), false)]
#[case("gpt-5.2-pro", json!({}), false)]
#[case("gpt-5", json!({}), false)]
fn a_model_that_is_told_not_to_reason_samples(#[case] model: &str, #[case] wish: Value, #[case] samples: bool) {
    let mut body = json!({"model": model, "temperature": 0.5, "top_p": 0.5, "logprobs": true});
    body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
    let (sent, dropped) = bytes("openai", Capability::Chat, model, &body.to_string());
    assert_eq!(dropped.is_empty(), samples, "{sent}");
    assert_eq!(sent.contains("temperature") && sent.contains("top_p") && sent.contains("logprobs"), samples, "{sent}");
}

proptest! {
    #[test]
    fn every_member_that_no_hook_names_is_the_same_to_the_byte(
        numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", 1..6),
        slug in prop::sample::select(vec!["openai", "azure-openai", "xai", "openrouter", "ali-dashscope", "siliconflow"]),
        model in prop::sample::select(vec!["gpt-5", "o3", "gpt-5.2", "anthropic/claude", "grok-3-mini-high"]),
    ) {
        let members: Vec<String> = numbers.iter().enumerate().map(|(at, number)| format!("\"own{at}\":{{\"n\" : [{number} ,\"\\u00e9\"]}}")).collect();
        let body = format!(
            r#"{{"messages":[ {{"role":"system","own":{}}} ,{{"role":"user","content":[]}}],{},"temperature":1,"max_tokens":5,"top_p":2}}"#,
            numbers[0], members.join(",")
        );
        let (sent, _) = bytes(slug, Capability::Chat, model, &body);
        for member in &members {
            prop_assert!(sent.contains(member.as_str()), "{} in {}", member, sent);
        }
        let own = format!(r#","own":{}}} ,{{"role":"user","content":[]}}]"#, numbers[0]);
        prop_assert!(sent.contains(own.as_str()), "{} in {}", own, sent);
    }
}
