use bytes::Bytes;
use serde_json::{Value, json};
use sluice_domain::Usage;

use super::{read, write};
use crate::chat::sample;
use crate::codec::{ANSWER_TOOL, AnswerError, Asked, Reading};
use crate::ir::{Block, Choice, Family, Finish, MediaKind, Response, Source, TokenLogprob};

fn choice(wire: &Value) -> Choice {
    let body = json!({"choices": [wire]}).to_string();
    let mut response = read(body.as_bytes(), &mut sample::reading()).unwrap();
    response.choices.remove(0)
}

fn blocks(message: &Value) -> Vec<Block> {
    choice(&json!({"message": message, "finish_reason": "stop"})).blocks
}

fn thinking(text: &str) -> Block {
    Block::Thinking { text: text.to_owned(), signature: None }
}

fn written(response: &Response, mut asked: Asked) -> Value {
    serde_json::from_slice(&write(response, &mut asked)).unwrap()
}

fn answer(blocks: Vec<Block>, finish: Finish) -> Response {
    Response { choices: vec![Choice { blocks, finish: Some(finish), ..Choice::default() }], ..Response::default() }
}

fn message(blocks: Vec<Block>, asked: Asked) -> Value {
    written(&answer(blocks, Finish::Stop), asked)["choices"][0]["message"].take()
}

#[test]
fn an_answer_is_read_with_all_it_says() {
    let body = json!({
        "id": "chatcmpl-1", "created": 5, "model": "theirs", "service_tier": "default",
        "choices": [{
            "index": 1,
            "message": {"role": "assistant", "content": "Let me look.", "reasoning_content": "hm", "refusal": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "not plain!", "type": "function", "function": {"name": "f", "arguments": ""}},
            ]},
            "logprobs": {"content": [{"token": "Let", "logprob": -0.5, "bytes": [76], "top_logprobs": [{"token": "I", "logprob": -1, "bytes": null}]}]},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
    });
    let mut response = read(body.to_string().as_bytes(), &mut sample::reading()).unwrap();
    let Some(Block::ToolCall { id, .. }) = response.choices[0].blocks.pop() else { panic!() };
    assert!(id.starts_with("toolu_"), "{id}");
    let top = TokenLogprob { token: "I".to_owned(), logprob: -1.0, bytes: None, top: vec![] };
    let expected = Response {
        id: "chatcmpl-1".to_owned(),
        created: Some(5),
        model: "theirs".to_owned(),
        service_tier: Some("default".to_owned()),
        usage: Some(Usage { input: 6, cache_read: 4, output: 5, ..Usage::default() }),
        choices: vec![Choice {
            index: 1,
            blocks: vec![thinking("hm"), Block::text("Let me look."), sample::call("call_1", "f", "{\"a\":1}")],
            finish: Some(Finish::Tool),
            stop_sequence: None,
            logprobs: vec![TokenLogprob { token: "Let".to_owned(), logprob: -0.5, bytes: Some(vec![76]), top: vec![top] }],
        }],
    };
    assert_eq!(response, expected);
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for (body, error) in [
        ("", AnswerError::NotJson),
        ("<html>", AnswerError::NotJson),
        ("[]", AnswerError::NotJson),
        (r#"{"error":{"message":"x"}}"#, AnswerError::Reported),
        (r#"{"error":null}"#, AnswerError::Without("choices")),
        (r#"{"choices":[]}"#, AnswerError::Without("choices")),
    ] {
        assert_eq!(read(body.as_bytes(), &mut sample::reading()), Err(error), "{body}");
    }
}

#[test]
fn vendors_reasoning_is_found_wherever_it_is() {
    let signed = |text: &str| Block::Thinking {
        text: text.to_owned(),
        signature: Some(crate::ir::Signature { account: Some(9), ..sample::signature(Family::Compatible) }),
    };
    let redacted =
        Block::Redacted { signature: crate::ir::Signature { account: Some(9), ..sample::signature(Family::Compatible) } };
    for (message, expected) in [
        (json!({"reasoning_content": "a", "content": "b"}), vec![thinking("a"), Block::text("b")]),
        (json!({"reasoning": "a", "content": "b"}), vec![thinking("a"), Block::text("b")]),
        (
            json!({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "signature": "c2ln"}]}),
            vec![signed("a")],
        ),
        (json!({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "signature": "c2ln"}]}), vec![signed("a")]),
        (
            json!({"reasoning": "a", "reasoning_details": [{"type": "reasoning.encrypted", "data": "c2ln"}]}),
            vec![thinking("a"), redacted.clone()],
        ),
        (json!({"reasoning_details": [{"type": "reasoning.summary", "summary": "s"}]}), vec![thinking("s")]),
        (
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "a", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "c2ln"}]}),
            vec![signed("a"), redacted],
        ),
        (
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]}),
            vec![thinking("a"), Block::text("b")],
        ),
        (json!({"content": "<think>\na\n</think>\n\nb"}), vec![thinking("a"), Block::text("b")]),
        (json!({"reasoning_content": "a", "content": "<think>b"}), vec![thinking("a"), Block::text("<think>b")]),
    ] {
        assert_eq!(blocks(&message), expected, "{message}");
    }
}

#[test]
fn old_and_odd_calls_are_calls() {
    for call in [
        json!({"function_call": {"name": "f", "arguments": "{\"a\":1}"}}),
        json!({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}),
        json!({"tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1,}"}}]}),
    ] {
        let blocks = blocks(&call);
        let [Block::ToolCall { id, name, arguments, .. }] = &blocks[..] else { panic!("{call}") };
        assert_eq!((&**name, arguments), ("f", &crate::arguments::parse("{\"a\":1}")));
        assert!(id.starts_with("toolu_"));
    }
    assert_eq!(blocks(&json!({"content": null, "tool_calls": []})), []);
}

#[test]
fn an_answer_by_tool_is_text_and_a_rewritten_name_comes_back() {
    let mut reading = Reading { answers_by_tool: true, ..sample::reading() };
    let theirs = reading.names.for_upstream("a.b", sluice_domain::Dialect::OpenAi);
    let calls = json!([{"function": {"name": ANSWER_TOOL, "arguments": "{\"a\": 1}"}}]);
    let body = json!({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}).to_string();
    let choice = read(body.as_bytes(), &mut reading).unwrap().choices.remove(0);
    assert_eq!((choice.blocks, choice.finish), (vec![Block::text("{\"a\": 1}")], Some(Finish::Stop)));
    let body = json!({"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": theirs, "arguments": ""}}]}}]})
        .to_string();
    let choice = read(body.as_bytes(), &mut reading).unwrap().choices.remove(0);
    assert_eq!((choice.blocks, choice.finish), (vec![sample::call("c", "a.b", "{}")], Some(Finish::Tool)));
}

#[test]
fn a_length_stays_a_length_and_a_stop_text_is_named() {
    let calls = json!({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{\"a\":"}}]});
    assert_eq!(choice(&json!({"message": calls, "finish_reason": "length"})).finish, Some(Finish::Length));
    let stopped = choice(&json!({"message": {"content": "x"}, "finish_reason": "stop", "stop_reason": "END"}));
    assert_eq!((stopped.finish, stopped.stop_sequence.as_deref()), (Some(Finish::StopSequence), Some("END")));
    assert_eq!(choice(&json!({"message": {"refusal": "no"}, "finish_reason": "stop"})).finish, Some(Finish::Refusal));
}

#[test]
fn an_answer_is_written_whole() {
    let response = Response {
        id: "msg_1".to_owned(),
        usage: Some(Usage { input: 1, output: 2, ..Usage::default() }),
        service_tier: Some("standard_only".to_owned()),
        ..answer(vec![Block::text("Let me "), Block::text("look."), sample::call("c", "f", "{}")], Finish::Tool)
    };
    let mut body = written(&response, sample::asked());
    let id = body["id"].take();
    assert!(id.as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{id}");
    let expected = json!({
        "id": null, "object": "chat.completion", "created": 1_700_000_000, "model": "alias",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Let me look.", "refusal": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            "logprobs": null,
            "finish_reason": "tool_calls",
        }],
        "usage": {
            "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    });
    assert_eq!(body, expected);
    let kept = Response { id: "chatcmpl-9".to_owned(), created: Some(4), ..answer(vec![], Finish::Stop) };
    let body = written(&kept, sample::asked());
    assert_eq!((&body["id"], &body["created"], body.get("usage")), (&json!("chatcmpl-9"), &json!(4), None));
}

#[test]
fn content_is_null_beside_calls_and_a_blocked_prompt_is_an_empty_answer() {
    assert_eq!(message(vec![sample::call("c", "f", "")], sample::asked())["content"], Value::Null);
    let blocked = written(&answer(vec![], Finish::Filter { detail: None }), sample::asked());
    assert_eq!(blocked["choices"][0]["message"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter");
    let refused = written(&answer(vec![Block::Refusal { text: "no".to_owned() }], Finish::Refusal), sample::asked());
    assert_eq!(refused["choices"][0]["message"], json!({"role": "assistant", "content": null, "refusal": "no"}));
    assert_eq!(refused["choices"][0]["finish_reason"], "stop");
}

#[test]
fn reasoning_is_shown_as_asked() {
    let signature = sample::signature(Family::Anthropic);
    let sealed = sample::sealer().seal(&signature);
    let said = || {
        vec![
            Block::Thinking { text: "a".to_owned(), signature: Some(signature.clone()) },
            Block::Redacted { signature: signature.clone() },
            thinking("b"),
            Block::text("x"),
        ]
    };
    let shown = message(said(), sample::asked());
    assert_eq!((&shown["reasoning_content"], &shown["content"]), (&json!("ab"), &json!("x")));
    let details = json!([
        {"type": "reasoning.text", "text": "a", "signature": sealed, "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": sealed, "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.text", "text": "b", "index": 2},
    ]);
    assert_eq!(shown["reasoning_details"], details);
    let plain = message(vec![thinking("a")], sample::asked());
    assert_eq!(plain, json!({"role": "assistant", "content": "", "refusal": null, "reasoning_content": "a"}));
    let hidden = message(said(), Asked { shows_reasoning: false, ..sample::asked() });
    assert_eq!(hidden, json!({"role": "assistant", "content": "x", "refusal": null}));
    let inline = message(said(), Asked { thinking_to_content: true, ..sample::asked() });
    assert_eq!(inline, json!({"role": "assistant", "content": "<think>\nab\n</think>\n\nx", "refusal": null}));
}

#[test]
fn state_of_calls_and_texts_comes_in_envelopes() {
    let signature = sample::signature(Family::Google);
    let call = Block::ToolCall {
        id: "c".to_owned(),
        name: "f".to_owned(),
        arguments: crate::arguments::parse(""),
        signature: Some(signature.clone()),
        cache: None,
    };
    let text = Block::Text { text: "x".to_owned(), cache: None, citations: vec![], signature: Some(signature.clone()) };
    let message = message(vec![text, call], sample::asked());
    let envelope = json!({"google": {"thought_signature": sample::sealer().seal(&signature)}});
    assert_eq!((&message["tool_calls"][0]["extra_content"], &message["extra_content"]), (&envelope, &envelope));
}

#[test]
fn media_and_citations_have_their_places() {
    let image = Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/png".to_owned(), data: Bytes::from_static(b"\0") },
        detail: None,
        title: None,
        cache: None,
    };
    let entry = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]);
    let shown = message(vec![Block::text("see "), image.clone()], Asked { media_to_markdown: true, ..sample::asked() });
    assert_eq!((&shown["images"], &shown["content"]), (&entry, &json!("see ![image](data:image/png;base64,AA==)")));
    assert_eq!(blocks(&json!({"content": "see ", "images": entry})), [Block::text("see "), image]);

    let audio = blocks(&json!({"content": null, "audio": {"id": "a", "data": "AA==", "transcript": "hi", "expires_at": 1}}));
    assert!(matches!(&audio[..], [Block::Text { text, .. }, Block::Media { kind: MediaKind::Audio, .. }] if text == "hi"));
    assert_eq!(message(audio, sample::asked())["audio"]["data"], "AA==");

    let note = |start: u64| json!({"type": "url_citation", "url_citation": {"start_index": start, "end_index": start + 1, "url": "u", "title": "t"}});
    let cited = blocks(&json!({"content": "é.", "annotations": [note(0)]}));
    let both = [cited.clone(), cited].concat();
    assert_eq!(message(both, sample::asked())["annotations"], json!([note(0), note(2)]));
}
