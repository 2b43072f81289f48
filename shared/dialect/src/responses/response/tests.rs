//! Whole answers, both ways.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::{Dialect, Usage};

use super::{read, write};
use crate::call_id::IdMaker;
use crate::codec::{AnswerError, Asked, Reading};
use crate::ir::*;
use crate::signature::Sealer;
use crate::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::OpenAi,
        account: Some(7),
        client: Dialect::Anthropic,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([1; 16]),
    }
}

fn asked(echo: Value) -> Asked {
    Asked {
        model: "alias".to_owned(),
        created: 1_700_000_000,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: true,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: echo.as_object().cloned(),
        ids: IdMaker::new([2; 16]),
        sealer: Sealer::new(&[3; 32]),
    }
}

fn read_ok(answer: &Value) -> Response {
    read(answer.to_string().as_bytes(), &mut reading()).unwrap()
}

fn written(response: &Response, mut asked: Asked) -> Value {
    serde_json::from_slice(&write(response, &mut asked)).unwrap()
}

fn choice(blocks: Vec<Block>, finish: Finish) -> Response {
    let choice = Choice { blocks, finish: Some(finish), ..Choice::default() };
    Response { id: "resp_1".to_owned(), choices: vec![choice], ..Response::default() }
}

fn call(id: &str, arguments: Arguments) -> Block {
    Block::ToolCall { id: id.to_owned(), name: "get".to_owned(), arguments, signature: None, cache: None }
}

fn object(value: Value) -> Arguments {
    Arguments::Object(value.as_object().cloned().unwrap())
}

fn signature(family: Family) -> Signature {
    Signature { family, account: Some(7), item: Some("rs_1".to_owned()), value: "gAAA".to_owned() }
}

#[test]
fn an_answer_with_everything_is_read() {
    let answer = json!({
        "id": "resp_1", "object": "response", "created_at": 1_741_476_777.5, "status": "completed", "error": null,
        "incomplete_details": null, "model": "gpt-5.1-2025", "service_tier": "default",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
             "encrypted_content": "gAAA"},
            {"id": "ws_1", "type": "web_search_call", "status": "completed"},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "one", "annotations": [{"type": "url_citation", "url": "https://a.example"}],
                 "logprobs": [{"token": "one", "logprob": -0.5, "bytes": [111, 110, 101], "top_logprobs": [
                    {"token": "two", "logprob": -1.5, "bytes": [1]}]}]},
                {"type": "output_text", "text": "", "annotations": []},
                {"type": "output_text", "text": "\n", "annotations": []}]},
            {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "get", "arguments": "{\"a\":1}"},
            {"id": "fc_2", "type": "function_call", "call_id": "call_2", "name": "get", "arguments": ""},
            {"id": "fc_3", "type": "function_call", "call_id": "", "name": "get", "arguments": "{\"a\""},
            {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_4", "name": "get", "input": "text"},
            {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
            {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "iVBORw=="},
        ],
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
                  "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15},
    });
    let text = |text: &str, citations| Block::Text { text: text.to_owned(), cache: None, citations, signature: None };
    let made = IdMaker::new([1; 16]).of_call(None, Dialect::Anthropic);
    let top = TokenLogprob { token: "two".to_owned(), logprob: -1.5, bytes: Some(vec![1]), top: vec![] };
    let expected = Response {
        id: "resp_1".to_owned(),
        created: Some(1_741_476_777),
        model: "gpt-5.1-2025".to_owned(),
        choices: vec![Choice {
            index: 0,
            blocks: vec![
                Block::Thinking { text: "a\n\nb".to_owned(), signature: Some(signature(Family::OpenAi)) },
                text("one", vec![json!({"type": "url_citation", "url": "https://a.example"})]),
                text("\n", vec![]),
                call("call_1", object(json!({"a": 1}))),
                call("call_2", object(json!({}))),
                call(&made, Arguments::Raw("{\"a\"".to_owned())),
                call("call_4", object(json!({"input": "text"}))),
                Block::Redacted { signature: Signature { item: Some("rs_2".to_owned()), ..signature(Family::OpenAi) } },
                Block::Media {
                    kind: MediaKind::Image,
                    source: Source::Inline { mime: "image/png".to_owned(), data: bytes::Bytes::from_static(b"\x89PNG") },
                    detail: None,
                    title: None,
                    cache: None,
                },
            ],
            finish: Some(Finish::Tool),
            stop_sequence: None,
            logprobs: vec![TokenLogprob { token: "one".to_owned(), logprob: -0.5, bytes: None, top: vec![top] }],
        }],
        usage: Some(Usage { input: 6, cache_read: 4, output: 5, reasoning: 2, ..Usage::default() }),
        service_tier: Some("default".to_owned()),
    };
    assert_eq!(read_ok(&answer), expected);
}

#[test]
fn a_cut_answer_with_calls_is_not_finished_for_them() {
    let output = json!([{"type": "function_call", "call_id": "c", "name": "get", "arguments": "{\"a\""}]);
    for (reason, finish) in [("max_output_tokens", Finish::Length), ("content_filter", Finish::Filter { detail: None })] {
        let answer = json!({"status": "incomplete", "incomplete_details": {"reason": reason}, "output": output});
        assert_eq!(read_ok(&answer).choices[0].finish, Some(finish));
    }
}

#[test]
fn an_answer_by_tool_is_text_and_names_come_back() {
    let answer = json!({"status": "completed", "output": [
        {"type": "function_call", "call_id": "c", "name": "json_response", "arguments": "{\"a\":1}"}]});
    let mut by_tool = Reading { answers_by_tool: true, ..reading() };
    let read_as = read(answer.to_string().as_bytes(), &mut by_tool).unwrap();
    assert_eq!((&read_as.choices[0].blocks, &read_as.choices[0].finish), (&vec![Block::text("{\"a\":1}")], &Some(Finish::Stop)));

    let mut names = ToolNames::default();
    let theirs = names.for_upstream("get it", Dialect::Responses);
    let answer = json!({"output": [{"type": "function_call", "call_id": "c", "name": theirs, "arguments": "{}"}]});
    let read_as = read(answer.to_string().as_bytes(), &mut Reading { names, ..reading() }).unwrap();
    assert!(matches!(&read_as.choices[0].blocks[0], Block::ToolCall { name, .. } if name == "get it"));
}

#[test]
fn what_is_no_answer_is_an_error() {
    for (body, error) in [
        ("<html>", AnswerError::NotJson),
        ("[]", AnswerError::NotJson),
        (r#"{"error":{"message":"x"}}"#, AnswerError::Reported),
        (r#"{"status":"failed","error":{"code":"server_error"},"output":[]}"#, AnswerError::Reported),
        (r#"{"id":"resp_1","error":null}"#, AnswerError::Without("output")),
    ] {
        assert_eq!(read(body.as_bytes(), &mut reading()), Err(error), "{body}");
    }
}

#[test]
fn an_answer_is_written_with_what_the_caller_asked() {
    let echo = json!({
        "model": "alias", "instructions": "brief", "temperature": 0.5, "tools": [{"type": "function", "name": "get"}],
        "tool_choice": "required", "parallel_tool_calls": false, "metadata": {"k": "v"}, "text": {"verbosity": "low"}, "store": null,
        "reasoning": {"effort": "high"}, "max_output_tokens": 99
    });
    let mut response = choice(
        vec![
            Block::Thinking { text: "hm".to_owned(), signature: Some(signature(Family::Anthropic)) },
            Block::text("a"),
            Block::text("b"),
            call("call_1", object(json!({"b": 1, "a": "ü"}))),
            call("toolu_2", object(json!({}))),
        ],
        Finish::Tool,
    );
    response.id = "msg_01".to_owned();
    response.usage = Some(Usage { input: 6, cache_read: 4, output: 5, reasoning: 2, ..Usage::default() });
    response.service_tier = Some("standard".to_owned());
    let mut maker = IdMaker::new([2; 16]);
    let (rs, msg, resp) = (maker.make("rs_"), maker.make("msg_"), maker.make("resp_"));
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let expected = json!({
        "id": resp, "object": "response", "created_at": 1_700_000_000, "status": "completed", "background": false, "error": null,
        "incomplete_details": null, "instructions": "brief", "max_output_tokens": 99, "max_tool_calls": null, "model": "alias",
        "output": [
            {"id": rs, "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": Sealer::new(&[3; 32]).seal(&signature(Family::Anthropic))},
            {"id": msg, "type": "message", "status": "completed", "content": [text("a"), text("b")], "role": "assistant"},
            {"id": "fc_1", "type": "function_call", "status": "completed", "arguments": "{\"b\":1,\"a\":\"ü\"}", "call_id": "call_1", "name": "get"},
            {"id": "fc_2", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "toolu_2", "name": "get"},
        ],
        "parallel_tool_calls": false, "previous_response_id": null, "prompt_cache_key": null, "reasoning": {"effort": "high"},
        "safety_identifier": null, "service_tier": "default", "store": false, "temperature": 0.5,
        "text": {"verbosity": "low", "format": {"type": "text"}}, "tool_choice": "required",
        "tools": [{"type": "function", "name": "get"}], "top_logprobs": 0, "top_p": null, "truncation": "disabled",
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
                  "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15},
        "user": null, "metadata": {"k": "v"},
    });
    assert_eq!(written(&response, asked(echo)), expected);
}

#[test]
fn every_end_is_told_in_words_of_responses() {
    for (blocks, finish, status, details, item_status) in [
        (vec![Block::text("x")], Finish::Stop, "completed", json!(null), "completed"),
        (vec![Block::text("x")], Finish::Length, "incomplete", json!({"reason": "max_output_tokens"}), "incomplete"),
        (vec![call("c", object(json!({})))], Finish::Length, "incomplete", json!({"reason": "max_output_tokens"}), "incomplete"),
        (vec![Block::Refusal { text: "no".to_owned() }], Finish::Refusal, "completed", json!(null), "completed"),
        (vec![Block::text("x")], Finish::MalformedCall, "failed", json!(null), "completed"),
    ] {
        let body = written(&choice(blocks, finish), asked(json!({})));
        assert_eq!((&body["status"], &body["incomplete_details"], &body["id"]), (&json!(status), &details, &json!("resp_1")));
        assert_eq!(body["output"][0]["status"], item_status);
        assert_eq!(body["error"]["code"], if status == "failed" { json!("server_error") } else { json!(null) });
    }
    let blocked = written(&choice(vec![], Finish::Filter { detail: None }), asked(json!({})));
    assert_eq!((&blocked["status"], &blocked["output"]), (&json!("incomplete"), &json!([])));
}

#[test]
fn reasoning_and_state_are_told_as_far_as_they_were_asked_for() {
    let blocks = || {
        vec![
            Block::Thinking { text: "hm".to_owned(), signature: Some(signature(Family::OpenAi)) },
            Block::Redacted { signature: signature(Family::Anthropic) },
        ]
    };
    let output = |shows_reasoning, wants_encrypted| {
        let asked = Asked { shows_reasoning, wants_encrypted, ..asked(json!({})) };
        let body = written(&choice(blocks(), Finish::Stop), asked);
        let items = body["output"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| (item["summary"].as_array().unwrap().len(), item.get("encrypted_content").is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(output(true, true), [(1, true), (0, true)]);
    assert_eq!(output(true, false), [(1, false)]);
    assert_eq!(output(false, true), [(0, true), (0, true)]);
    assert_eq!(output(false, false), []);
}

#[test]
fn state_of_a_call_travels_before_it_and_comes_back_to_it() {
    let state = Signature { item: None, ..signature(Family::Google) };
    let arguments = object(json!({}));
    let signed =
        Block::ToolCall { id: "call_1".to_owned(), name: "get".to_owned(), arguments, signature: Some(state), cache: None };
    let body = written(&choice(vec![signed.clone()], Finish::Tool), asked(json!({})));
    let again = json!({"model": "m", "input": body["output"]});
    let request = crate::responses::request::read(&again, &Sealer::new(&[3; 32])).unwrap();
    assert_eq!(request.turns, [Turn { role: Role::Assistant, blocks: vec![signed] }]);
}

#[test]
fn a_tool_in_a_namespace_is_called_as_the_caller_knows_it() {
    let echo = json!({"tools": [{"type": "namespace", "name": "shop", "tools": [{"type": "function", "name": "get"}]}]});
    let called = |name: &str| Block::ToolCall {
        id: "call_1".to_owned(),
        name: name.to_owned(),
        arguments: object(json!({})),
        signature: None,
        cache: None,
    };
    let body = written(&choice(vec![called("shop.get"), called("other.get")], Finish::Tool), asked(echo));
    assert_eq!((&body["output"][0]["namespace"], &body["output"][0]["name"]), (&json!("shop"), &json!("get")));
    assert_eq!((body["output"][1].get("namespace"), &body["output"][1]["name"]), (None, &json!("other.get")));
    assert!(matches!(&read_ok(&body).choices[0].blocks[0], Block::ToolCall { name, .. } if name == "shop.get"));
}

#[test]
fn custom_tools_are_called_with_text_and_pictures_are_items() {
    let echo = json!({"tools": [{"type": "custom", "name": "get"}]});
    let media = Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/png".to_owned(), data: bytes::Bytes::from_static(b"\x89PNG") },
        detail: None,
        title: None,
        cache: None,
    };
    let body = written(&choice(vec![call("call_1", object(json!({"input": "*** Begin"}))), media], Finish::Tool), asked(echo));
    assert_eq!(
        body["output"][0],
        json!({
            "id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_1", "name": "get", "input": "*** Begin"
        })
    );
    assert_eq!((&body["output"][1]["type"], &body["output"][1]["result"]), (&json!("image_generation_call"), &json!("iVBORw==")));
}

#[test]
fn what_was_written_reads_as_what_was_meant() {
    let mut response = choice(
        vec![
            Block::Thinking { text: "hm".to_owned(), signature: None },
            Block::text("a"),
            Block::Refusal { text: "no".to_owned() },
            call("call_1", object(json!({"b": 1}))),
        ],
        Finish::Length,
    );
    response.created = Some(5);
    response.model = "alias".to_owned();
    response.usage = Some(Usage { input: 1, output: 2, ..Usage::default() });
    response.service_tier = Some("flex".to_owned());
    assert_eq!(read_ok(&written(&response, asked(json!({})))), response);
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..40), items in prop::collection::vec("[a-z_]{0,8}", 0..4)) {
        let _ = read(&body, &mut reading());
        let items: Vec<Value> = items.iter().map(|kind| json!({"type": kind, "content": [{"type": "output_text"}, 7, null]})).collect();
        let _ = read(json!({"output": items, "usage": 7, "status": 3}).to_string().as_bytes(), &mut reading());
    }
}
