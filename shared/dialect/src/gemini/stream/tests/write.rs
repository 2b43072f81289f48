//! What callers get.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_domain::Usage;

use super::*;
use crate::media;

fn tool_stream() -> Vec<Event> {
    let call = |id: &str| BlockStart::ToolCall { id: id.to_owned(), name: "f".to_owned(), whole: None };
    let piece = |block, json: &str| Event::Arguments { choice: 0, block, json: json.to_owned() };
    vec![
        start(),
        begin(0, BlockStart::Thinking),
        thought(0, "hm"),
        Event::Signed { choice: 0, block: 0, signature: own("c2ln") },
        stop(0),
        begin(1, BlockStart::Text),
        said(1, "ok"),
        stop(1),
        begin(2, call("a")),
        piece(2, "{\"x\""),
        begin(3, call("b")),
        piece(2, ":1}"),
        stop(2),
        stop(3),
        finished(Finish::Tool),
        Event::Usage(Usage { input: 9, output: 5, ..Usage::default() }),
        Event::End,
    ]
}

#[test]
fn a_stream_is_written_as_events() {
    let part = |part: &str| {
        format!(
            r#"data: {{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}},"index":0}}],"modelVersion":"m","responseId":"r1"}}"#
        )
    };
    let expected = [
        part(r#"{"text":"hm","thought":true}"#),
        part(r#"{"text":"","thought":true,"thoughtSignature":"c2ln"}"#),
        part(r#"{"text":"ok"}"#),
        part(r#"{"functionCall":{"id":"a","name":"f","args":{"x":1}}}"#),
        part(r#"{"functionCall":{"id":"b","name":"f","args":{}}}"#),
        concat!(
            r#"data: {"candidates":[{"content":{"role":"model"},"finishReason":"STOP","index":0}],"#,
            r#""usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":5,"totalTokenCount":14,"#,
            r#""promptTokensDetails":[{"modality":"TEXT","tokenCount":9}]},"#,
            r#""modelVersion":"m","responseId":"r1"}"#
        )
        .to_owned(),
    ];
    assert_eq!(bytes(asked(true), &tool_stream()), expected.map(|event| event + "\n\n").concat());
}

#[test]
fn a_stream_is_written_as_one_array() {
    let events = tool_stream();
    let array = bytes(asked(false), &events);
    assert!(array.starts_with("[{") && array.contains("},\r\n{") && array.ends_with("}]"), "{array}");
    let chunks: Vec<Value> = serde_json::from_str(&array).unwrap();
    assert_eq!(chunks.len(), 6);
    for end in 1..events.len() {
        let failed = Event::Error(StreamError { raw: None, reason: "x" });
        let events = [&events[..end], &[failed, Event::End]].concat();
        let chunks: Vec<Value> = serde_json::from_str(&bytes(asked(false), &events)).unwrap();
        let error = json!({"error": {"code": 502, "message": "the upstream failed", "status": "UNAVAILABLE", "details": []}});
        assert_eq!(chunks.last(), Some(&error));
    }
}

#[test]
fn what_was_written_is_read_again() {
    let written = bytes(asked(false), &tool_stream());
    let mut again = events(&serde_json::from_str::<Vec<Value>>(&written).unwrap());
    let count = again.len();
    assert_eq!(again.remove(count - 1), Event::End);
    assert_eq!(again.remove(count - 2), finished(Finish::Tool));
    let texts: Vec<&Event> = again
        .iter()
        .filter(|event| matches!(event, Event::Text { .. } | Event::Thinking { .. } | Event::Signed { .. }))
        .collect();
    assert_eq!(texts, [&thought(0, "hm"), &Event::Signed { choice: 0, block: 0, signature: own("c2ln") }, &said(1, "ok")]);
}

#[test]
fn hidden_reasoning_and_foreign_state_in_a_stream() {
    let claude = Signature { family: Family::Anthropic, ..own("EqQB") };
    let thinking = |signature: &Signature| {
        let signed = Event::Signed { choice: 0, block: 0, signature: signature.clone() };
        [start(), begin(0, BlockStart::Thinking), thought(0, "hm"), signed, stop(0)]
    };
    let hidden = || Asked { shows_reasoning: false, ..asked(true) };
    assert_eq!(bytes(hidden(), &thinking(&claude)), "");
    assert!(bytes(hidden(), &thinking(&own("c2ln"))).contains(r#""parts":[{"thoughtSignature":"c2ln"}]"#));
    let envelope = media::encode(asked(true).sealer.seal(&claude).as_bytes());
    let shown = bytes(asked(true), &thinking(&claude));
    assert!(shown.contains(&format!(r#"{{"text":"","thought":true,"thoughtSignature":"{envelope}"}}"#)), "{shown}");
}

#[test]
fn an_error_says_what_concerns_the_caller() {
    let told = |raw: &str| {
        let error = Event::Error(StreamError { raw: Some(Bytes::from(raw.to_owned())), reason: "" });
        let written = bytes(asked(true), &[start(), error]);
        let body: Value = serde_json::from_str(written.strip_prefix("data: ").unwrap()).unwrap();
        (
            body["error"]["code"].as_u64().unwrap(),
            body["error"]["status"].as_str().unwrap().to_owned(),
            body["error"]["message"].clone(),
        )
    };
    for (raw, code, status) in [
        (r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m"}}"#, 429, "RESOURCE_EXHAUSTED"),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, 503, "UNAVAILABLE"),
        (r#"{"error":{"code":401,"status":"UNAUTHENTICATED","message":"m"}}"#, 502, "UNAVAILABLE"),
        (r#"{"error":{"type":"server_error","code":"rate_limit_exceeded","message":"m"}}"#, 429, "RESOURCE_EXHAUSTED"),
        (r#"{"error":{"code":504,"message":"m"}}"#, 504, "DEADLINE_EXCEEDED"),
    ] {
        assert_eq!(told(raw), (code, status.to_owned(), json!("m")), "{raw}");
    }
    let masked = told(r#"{"error":{"message":"at https://internal.example.com/x"}}"#).2;
    assert!(!masked.as_str().unwrap().contains("internal"), "{masked}");
}

#[test]
fn refusals_pages_and_several_choices_are_written() {
    let citation = json!({"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 1});
    let text = |choice| Event::Text { choice, block: 0, text: "x".to_owned(), logprobs: vec![] };
    let begin_text = |choice| Event::BlockStart { choice, block: 0, start: BlockStart::Text };
    let finish = |choice, finish| Event::Finish { choice, finish, stop_sequence: None };
    let events = [
        Event::Start { id: String::new(), model: String::new(), created: None },
        begin_text(0),
        text(0),
        Event::Citation { choice: 0, block: 0, citation },
        begin_text(1),
        text(1),
        Event::BlockStop { choice: 0, block: 0 },
        Event::BlockStop { choice: 1, block: 0 },
        begin(1, BlockStart::Refusal),
        Event::Refusal { choice: 0, block: 1, text: "no".to_owned() },
        stop(1),
        begin(2, BlockStart::Redacted(own("c2ln"))),
        stop(2),
        finish(0, Finish::Refusal),
        finish(1, Finish::Length),
        Event::End,
    ];
    let chunks: Vec<Value> = serde_json::from_str(&bytes(asked(false), &events)).unwrap();
    let ids: std::collections::BTreeSet<&str> = chunks.iter().map(|chunk| chunk["responseId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "the id stays the same");
    assert_eq!(chunks[1]["candidates"][0]["index"], 1);
    assert_eq!(chunks[2]["candidates"][0]["content"]["parts"], json!([{"text": "no"}]));
    assert_eq!(chunks[3]["candidates"][0]["content"]["parts"], json!([{"thoughtSignature": "c2ln"}]));
    let reasons: Vec<&Value> =
        chunks[4]["candidates"].as_array().unwrap().iter().map(|candidate| &candidate["finishReason"]).collect();
    assert_eq!(reasons, ["SAFETY", "MAX_TOKENS"]);
    assert_eq!(chunks[4]["candidates"][0]["groundingMetadata"]["groundingChunks"][0]["web"]["uri"], "https://a.example/");
}
