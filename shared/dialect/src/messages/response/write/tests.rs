//! Answers for callers.

use serde_json::json;
use sluice_domain::Usage;

use super::*;
use crate::call_id::IdMaker;
use crate::ir::Role;
use crate::messages::request;
use crate::signature::Sealer;

fn asked(shows_reasoning: bool) -> Asked {
    Asked {
        model: "alias".into(),
        created: 0,
        include_usage: false,
        shows_reasoning,
        wants_encrypted: false,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([0; 16]),
        sealer: Sealer::new(&[1; 32]),
    }
}

fn written(blocks: Vec<Block>, finish: Option<Finish>, shows_reasoning: bool) -> Value {
    let choice = Choice { blocks, finish, stop_sequence: Some("END".into()), ..Choice::default() };
    let response = Response { id: "chatcmpl-1".into(), choices: vec![choice], ..Response::default() };
    serde_json::from_slice(&super::write(&response, &mut asked(shows_reasoning))).unwrap()
}

fn google(value: &str) -> Signature {
    Signature { family: Family::Google, account: Some(3), item: None, value: value.into() }
}

fn call(signature: Option<Signature>) -> Block {
    let arguments = Arguments::Object(json!({"x": 1}).as_object().cloned().unwrap());
    Block::ToolCall { id: "call_1".into(), name: "f".into(), arguments, signature, cache: None }
}

#[test]
fn the_envelope_is_whole_even_of_an_empty_answer() {
    let response = Response {
        usage: Some(Usage { input: 300, cache_read: 600, cache_write_5m: 100, output: 50, ..Usage::default() }),
        id: "msg_7".into(),
        service_tier: Some("default".into()),
        ..Response::default()
    };
    let answer: Value = serde_json::from_slice(&super::write(&response, &mut asked(true))).unwrap();
    assert_eq!(
        answer,
        json!({"id": "msg_7", "type": "message", "role": "assistant", "model": "alias", "content": [],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 300, "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 600, "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 50, "service_tier": "standard"}})
    );
    let blocked = written(vec![], Some(Finish::Filter { detail: None }), true);
    assert_eq!((&blocked["content"], &blocked["stop_reason"]), (&json!([]), &json!("refusal")));
    assert!(blocked["id"].as_str().unwrap().starts_with("msg_"));
}

#[test]
fn blocks_keep_their_order_and_text_stays_beside_calls() {
    let citation = json!({"type": "url_citation", "url": "https://a.example", "title": "A"});
    let cited = Block::Text { text: "see".into(), cache: None, citations: vec![citation], signature: None };
    let raw =
        Block::ToolCall { id: "b".into(), name: "g".into(), arguments: Arguments::Raw("{".into()), signature: None, cache: None };
    let picture = Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/png".into(), data: b"\x89PNG".as_slice().into() },
        detail: None,
        title: None,
        cache: None,
    };
    let answer = written(
        vec![cited, Block::text(""), Block::Refusal { text: "No.".into() }, picture, call(None), raw],
        Some(Finish::Stop),
        false,
    );
    assert_eq!(
        answer["content"],
        json!([
            {"type": "text", "text": "see", "citations": [{"type": "web_search_result_location", "cited_text": "",
            "url": "https://a.example",
                "title": "A", "encrypted_index": ""}]},
            {"type": "text", "text": "No."},
            {"type": "text", "text": "![image](data:image/png;base64,iVBORw==)"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {"_raw": "{"}},
        ])
    );
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("tool_use"), &json!(null)));
    assert_eq!(written(vec![], Some(Finish::StopSequence), false)["stop_sequence"], "END");
}

#[test]
fn reasoning_is_signed_always_and_shown_where_asked_for() {
    let blocks = || {
        vec![
            Block::Thinking { text: "one".into(), signature: Some(google("g1")) },
            Block::Thinking { text: "two".into(), signature: None },
            Block::Redacted { signature: google("g2") },
            Block::text("answer"),
        ]
    };
    assert_eq!(written(blocks(), None, false)["content"], json!([{"type": "text", "text": "answer"}]));
    let answer = written(blocks(), None, true);
    let content = answer["content"].as_array().unwrap();
    assert_eq!(content.len(), 4);
    assert!(content[..2].iter().all(|block| block["signature"].as_str().unwrap().starts_with("slc1.")));
}

#[test]
fn foreign_state_comes_back_where_it_belongs() {
    let signed_text = Block::Text { text: "t".into(), cache: None, citations: vec![], signature: Some(google("gt")) };
    let blocks = vec![
        Block::Thinking { text: "one".into(), signature: Some(google("g1")) },
        Block::Thinking { text: "two".into(), signature: None },
        Block::Redacted { signature: google("g2") },
        signed_text,
        call(Some(google("gc"))),
    ];
    let answer = written(blocks.clone(), None, true);
    let body = json!({"model": "m", "messages": [{"role": "assistant", "content": answer["content"]}]});
    let request = request::read(&body, &Sealer::new(&[1; 32])).unwrap();
    assert_eq!((request.turns[0].role, &request.turns[0].blocks), (Role::Assistant, &blocks));
}
