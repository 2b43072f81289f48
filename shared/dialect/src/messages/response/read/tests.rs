//! Upstreams' answers.

use proptest::prelude::*;
use serde_json::json;
use sluice_domain::Dialect;

use super::*;
use crate::call_id::IdMaker;
use crate::ir::Family;
use crate::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::Anthropic,
        account: Some(9),
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    }
}

fn of(answer: &Value, reading: &mut Reading) -> Response {
    super::read(answer.to_string().as_bytes(), reading).unwrap()
}

#[test]
fn every_block_is_read_in_order_and_every_thinking_is_kept() {
    let mut reading = reading();
    let theirs = reading.names.for_upstream("get weather", Dialect::Anthropic);
    let answer = json!({"id": "msg_1", "type": "message", "model": "claude", "content": [
        {"type": "thinking", "thinking": "one", "signature": "A"},
        {"type": "redacted_thinking", "data": "B"},
        {"type": "thinking", "thinking": "two", "signature": "C"},
        {"type": "thinking", "thinking": "", "signature": "D"},
        {"type": "text", "text": "Look:\n", "citations": [
            {"type": "web_search_result_location", "url": "https://a.example", "title": "A",
                "cited_text": "x", "encrypted_index": "e"}]},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "toolu_1", "name": theirs, "input": {"b": 1, "a": 2}},
        {"type": "tool_use", "id": "", "name": "f", "input": {}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    ], "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 300, "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 100, "output_tokens": 50, "service_tier": "standard"}});
    let response = of(&answer, &mut reading);
    assert_eq!(
        (response.id.as_str(), response.model.as_str(), response.service_tier.as_deref()),
        ("msg_1", "claude", Some("standard"))
    );
    assert_eq!(response.usage.unwrap().total_input(), 1000);
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::Tool), "an end beside calls is for them");
    let state = |value: &str, item: Option<&str>| signature(value, item, &reading);
    let blocks = &choice.blocks;
    assert_eq!(blocks[0], Block::Thinking { text: "one".into(), signature: Some(state("A", None)) });
    assert_eq!(blocks[1], Block::Redacted { signature: state("B", None) });
    assert_eq!(blocks[2], Block::Thinking { text: "two".into(), signature: Some(state("C", None)) });
    assert_eq!(blocks[3], Block::Redacted { signature: state("D", Some(SILENT)) });
    assert!(matches!(&blocks[4], Block::Text { text, citations, .. } if text == "Look:\n" && citations.len() == 1));
    let arguments = |json: &str| Arguments::Object(serde_json::from_str(json).unwrap());
    assert!(matches!(&blocks[5], Block::ToolCall { id, name, arguments: read, .. }
        if id == "toolu_1" && name == "get weather" && *read == arguments(r#"{"b":1,"a":2}"#)));
    assert!(matches!(&blocks[6], Block::ToolCall { id, .. } if id.starts_with("call_")), "an id is made where there is none");
    assert!(matches!(&blocks[7], Block::Native { family: Family::Anthropic, .. }));
    assert_eq!(blocks.len(), 8);
}

#[test]
fn reasons_for_the_end_are_read() {
    for (reason, stop, finish) in [
        (json!("end_turn"), json!(null), Some(Finish::Stop)),
        (json!("stop_sequence"), json!("END"), Some(Finish::StopSequence)),
        (json!("max_tokens"), json!(null), Some(Finish::Length)),
        (json!("refusal"), json!(null), Some(Finish::Refusal)),
        (json!(null), json!(null), None),
    ] {
        let answer = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": reason, "stop_sequence": stop});
        let response = of(&answer, &mut reading());
        assert_eq!(response.choices[0].finish, finish);
        assert_eq!(response.choices[0].stop_sequence.as_deref(), stop.as_str());
        assert_eq!(response.usage, None);
    }
    let cut = json!({"content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "stop_reason": "max_tokens"});
    assert_eq!(of(&cut, &mut reading()).choices[0].finish, Some(Finish::Length));
}

#[test]
fn an_answer_by_tool_is_text() {
    let mut reading = Reading { answers_by_tool: true, ..reading() };
    let answer = json!({"content": [{"type": "tool_use", "id": "a", "name": "json_response", "input": {"z": 1, "a": "ü"}}],
        "stop_reason": "tool_use"});
    let choice = of(&answer, &mut reading).choices.remove(0);
    assert_eq!((choice.blocks, choice.finish), (vec![Block::text(r#"{"z":1,"a":"ü"}"#)], Some(Finish::Stop)));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for (body, error) in [
        ("<html>", AnswerError::NotJson),
        ("[]", AnswerError::NotJson),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, AnswerError::Reported),
        (r#"{"error":"x"}"#, AnswerError::Reported),
        (r#"{"id":"msg"}"#, AnswerError::Without("content")),
    ] {
        assert_eq!(super::read(body.as_bytes(), &mut reading()), Err(error));
    }
    let halves = super::read(br#"{"content":[{"type":"text","text":"a\ud800b"}]}"#, &mut reading()).unwrap();
    assert_eq!(halves.choices[0].blocks, [Block::text("a\u{fffd}b")]);
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200), fields in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let _ = super::read(&body, &mut reading());
        let _ = super::read(format!("{{\"content\":[{fields}]}}").as_bytes(), &mut reading());
    }
}
