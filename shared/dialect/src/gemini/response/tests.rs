use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::{Dialect, Usage};

use super::*;
use crate::call_id::IdMaker;
use crate::codec::{ANSWER_TOOL, AnswerError, Asked, Reading};
use crate::gemini::arbitrary;
use crate::ir::*;
use crate::media;
use crate::signature::Sealer;
use crate::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::Google,
        account: Some(5),
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([1; 16]),
    }
}

fn asked() -> Asked {
    Asked {
        model: "my-model".to_owned(),
        created: 7,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: false,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([2; 16]),
        sealer: Sealer::new(&[9; 32]),
    }
}

fn read_ok(body: &Value) -> Response {
    read(body.to_string().as_bytes(), &mut reading()).unwrap()
}

fn answer(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]})
}

fn blocks(parts: &Value) -> Vec<Block> {
    read_ok(&answer(parts)).choices.remove(0).blocks
}

fn own(value: &str) -> Signature {
    Signature { family: Family::Google, account: Some(5), item: None, value: value.to_owned() }
}

fn text(text: &str, signature: Option<Signature>) -> Block {
    Block::Text { text: text.to_owned(), cache: None, citations: vec![], signature }
}

fn written(response: &Response, asked: &mut Asked) -> Value {
    serde_json::from_slice(&write(response, asked)).unwrap()
}

fn one(blocks: Vec<Block>, finish: Finish) -> Response {
    Response {
        id: "r1".to_owned(),
        choices: vec![Choice { blocks, finish: Some(finish), ..Choice::default() }],
        ..Response::default()
    }
}

#[test]
fn an_answer_is_read_whole() {
    let body = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"text": "Let me look.\n", "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "fc-1", "name": "f", "args": {"b": 1, "a": 2}}, "thoughtSignature": "Y2FsbA=="},
                {"functionCall": {"name": "f"}},
            ]},
            "finishReason": "STOP", "index": 0, "safetyRatings": [],
        }],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 18},
        "modelVersion": "gemini-3-pro-preview", "responseId": "abc",
    });
    let response = read_ok(&body);
    assert_eq!((response.id.as_str(), response.model.as_str(), response.created), ("abc", "gemini-3-pro-preview", None));
    assert_eq!(response.usage, Some(Usage { input: 10, output: 8, reasoning: 3, ..Usage::default() }));
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::Tool), "a stop for calls");
    let arguments = |value: Value| Arguments::Object(value.as_object().unwrap().clone());
    let made = IdMaker::new([1; 16]).of_call(None, Dialect::OpenAi);
    let call = |id: &str, value, signature| Block::ToolCall {
        id: id.to_owned(),
        name: "f".to_owned(),
        arguments: arguments(value),
        signature,
        cache: None,
    };
    assert_eq!(
        choice.blocks,
        [
            Block::Thinking { text: "hm".to_owned(), signature: None },
            text("Let me look.\n", Some(own("c2ln"))),
            call("fc-1", json!({"b": 1, "a": 2}), Some(own("Y2FsbA=="))),
            call(&made, json!({}), None),
        ]
    );
}

#[test]
fn signatures_alone_belong_to_what_stands_before_them() {
    assert_eq!(blocks(&json!([{"text": "a"}, {"text": "", "thoughtSignature": "c2ln"}])), [text("a", Some(own("c2ln")))]);
    assert_eq!(blocks(&json!([{"thoughtSignature": "c2ln"}])), [Block::Redacted { signature: own("c2ln") }]);
    let twice = json!([{"text": "a", "thoughtSignature": "MQ=="}, {"text": "", "thoughtSignature": "Mg=="}]);
    assert_eq!(blocks(&twice), [text("a", Some(own("MQ=="))), Block::Redacted { signature: own("Mg==") }]);
    assert_eq!(
        blocks(&json!([{"text": "t", "thought": true}, {"text": "", "thought": true, "thoughtSignature": "c2ln"}])),
        [Block::Thinking { text: "t".to_owned(), signature: Some(own("c2ln")) }]
    );
    assert_eq!(
        blocks(&json!([{"text": ""}, {"text": "a"}, {"text": "\n"}, {"executableCode": {}}])),
        [text("a", None), text("\n", None)]
    );
}

#[test]
fn names_are_restored_and_the_answering_tool_is_text() {
    let mut reading = reading();
    let theirs = reading.names.for_upstream("get weather", Dialect::Gemini);
    reading.answers_by_tool = true;
    let calls = json!([{"functionCall": {"name": theirs}}, {"functionCall": {"name": ANSWER_TOOL, "args": {"x": 1}}}]);
    let response = read(answer(&calls).to_string().as_bytes(), &mut reading).unwrap();
    let [Block::ToolCall { name, .. }, said] = &response.choices[0].blocks[..] else { panic!() };
    assert_eq!((name.as_str(), said), ("get weather", &text(r#"{"x":1}"#, None)));
    let only = json!([{"functionCall": {"name": ANSWER_TOOL, "args": {}}}]);
    assert_eq!(read(answer(&only).to_string().as_bytes(), &mut reading).unwrap().choices[0].finish, Some(Finish::Stop));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let read = |body: &str| read(body.as_bytes(), &mut reading());
    assert_eq!(read("<html>").unwrap_err(), AnswerError::NotJson);
    assert_eq!(read("[]").unwrap_err(), AnswerError::NotJson);
    assert_eq!(read("{}").unwrap_err(), AnswerError::Without("candidates"));
    assert_eq!(read(r#"{"error":{"code":429,"message":"x"}}"#).unwrap_err(), AnswerError::Reported);
    assert_eq!(read(r#"[{"error":{"code":429,"message":"x"}}]"#).unwrap_err(), AnswerError::Reported);
    assert_eq!(read(r#"{"candidates":[{}],"error":null}"#).unwrap().choices, [Choice::default()]);
}

#[test]
fn a_blocked_prompt_is_a_filtered_answer_without_blocks() {
    let usage = json!({"promptTokenCount": 9, "totalTokenCount": 9});
    let body = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage});
    let response = read_ok(&body);
    let finish = Some(Finish::Filter { detail: Some("PROHIBITED_CONTENT".to_owned()) });
    assert_eq!(response.choices, [Choice { finish, ..Choice::default() }]);
    assert_eq!(response.usage, Some(Usage { input: 9, ..Usage::default() }));
    let body = written(&response, &mut asked());
    assert_eq!(body["candidates"], json!([{"content": {"role": "model"}, "finishReason": "PROHIBITED_CONTENT", "index": 0}]));
}

#[test]
fn a_cut_call_does_not_look_complete() {
    let mut body = answer(&json!([{"functionCall": {"name": "f"}}]));
    body["candidates"][0]["finishReason"] = json!("MAX_TOKENS");
    assert_eq!(read_ok(&body).choices[0].finish, Some(Finish::Length));
}

#[test]
fn several_candidates_media_pages_and_probabilities_are_read() {
    let body = json!({"candidates": [
        {"index": 1, "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "cG5n"}}]}, "finishReason": "STOP"},
        {
            "index": 0,
            "content": {"parts": [{"text": "5 °C."}]},
            "logprobsResult": {
                "chosenCandidates": [{"token": "5", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "5", "logProbability": -0.5}, {"token": "6", "logProbability": -2}]}],
            },
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}],
                "groundingSupports": [{"segment": {"endIndex": 6}, "groundingChunkIndices": [0]}],
            },
        },
    ]});
    let response = read_ok(&body);
    let [first, second] = &response.choices[..] else { panic!() };
    let Block::Text { citations, .. } = &first.blocks[0] else { panic!() };
    assert_eq!(
        citations,
        &[json!({"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://a.example/", "title": "A"})]
    );
    assert_eq!((first.logprobs[0].logprob, first.logprobs[0].top[1].token.as_str(), first.finish.as_ref()), (-0.5, "6", None));
    let source = Source::Inline { mime: "image/png".to_owned(), data: Bytes::from_static(b"png") };
    assert_eq!(second.blocks, [Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None }]);
    let body = written(&response, &mut asked());
    assert_eq!(body["candidates"][0]["finishReason"], "FINISH_REASON_UNSPECIFIED");
    assert_eq!(body["candidates"][0]["logprobsResult"]["chosenCandidates"], json!([{"token": "5", "logProbability": -0.5}]));
    let support = &body["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"];
    assert_eq!(support, &json!({"partIndex": 0, "startIndex": 0, "endIndex": 6, "text": "5 °C."}));
    assert_eq!(body["candidates"][1]["content"]["parts"][0]["inlineData"]["data"], "cG5n");
}

#[test]
fn an_answer_is_written_whole() {
    let claude = Signature { family: Family::Anthropic, account: None, item: None, value: "EqQB".to_owned() };
    let arguments = Arguments::Object(json!({"b": 1, "a": 2}).as_object().unwrap().clone());
    let response = Response {
        model: "claude".to_owned(),
        usage: Some(Usage { input: 400, cache_read: 600, output: 50, reasoning: 20, ..Usage::default() }),
        ..one(
            vec![
                Block::Thinking { text: "hm".to_owned(), signature: Some(claude.clone()) },
                text("a", None),
                Block::ToolCall {
                    id: "toolu_1".to_owned(),
                    name: "f".to_owned(),
                    arguments,
                    signature: Some(own("c2ln")),
                    cache: None,
                },
                Block::ToolCall {
                    id: "toolu_2".to_owned(),
                    name: "g".to_owned(),
                    arguments: Arguments::Raw("{\"a".to_owned()),
                    signature: None,
                    cache: None,
                },
            ],
            Finish::Tool,
        )
    };
    let envelope = media::encode(asked().sealer.seal(&claude).as_bytes());
    assert_eq!(
        written(&response, &mut asked()),
        json!({
            "candidates": [{
                "content": {"parts": [
                    {"text": "hm", "thought": true, "thoughtSignature": envelope},
                    {"text": "a"},
                    {"functionCall": {"id": "toolu_1", "name": "f", "args": {"b": 1, "a": 2}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "toolu_2", "name": "g", "args": {"_raw": "{\"a"}}},
                ], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20, "totalTokenCount": 1050, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}]},
            "modelVersion": "my-model",
            "responseId": "r1",
        })
    );
}

#[test]
fn hidden_reasoning_leaves_only_state_that_is_worth_something() {
    let state = |family| Signature { family, account: None, item: None, value: "c2ln".to_owned() };
    let thinking = |family| Block::Thinking { text: "secret".to_owned(), signature: Some(state(family)) };
    let response = one(
        vec![thinking(Family::Google), thinking(Family::Anthropic), Block::Redacted { signature: state(Family::Google) }],
        Finish::Stop,
    );
    let body = written(&response, &mut Asked { shows_reasoning: false, ..asked() });
    assert_eq!(body["candidates"][0]["content"]["parts"], json!([{"thoughtSignature": "c2ln"}, {"thoughtSignature": "c2ln"}]));
}

#[test]
fn a_refusal_is_text_and_an_answer_without_an_id_gets_one() {
    let refused = Response { id: String::new(), ..one(vec![Block::Refusal { text: "no".to_owned() }], Finish::Refusal) };
    let body = written(&refused, &mut asked());
    assert_eq!(body["candidates"][0]["content"]["parts"], json!([{"text": "no"}]));
    assert_eq!(body["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(body["responseId"].as_str().unwrap().len(), 24);
    assert!(body.get("usageMetadata").is_none(), "nothing was counted");
}

proptest! {
    #[test]
    fn any_answer_is_read_and_written(body in arbitrary::value(), part in arbitrary::value()) {
        for body in [&body, &answer(&json!([part]))] {
            if let Ok(response) = read(body.to_string().as_bytes(), &mut reading()) {
                prop_assert!(serde_json::from_slice::<Value>(&write(&response, &mut asked())).is_ok());
            }
        }
    }
}
