//! What upstreams stream.

use bytes::Bytes;
use serde_json::json;
use sluice_domain::Usage;

use super::*;

#[test]
fn a_stream_with_everything_is_read_in_order() {
    let usage = |count: u64| json!({"promptTokenCount": 9, "candidatesTokenCount": count, "totalTokenCount": 9 + count});
    let mut first = chunk(&json!([{"text": "hm", "thought": true}]));
    first["usageMetadata"] = usage(1);
    let mut second = chunk(&json!([{"text": " ok", "thought": true}, {"text": "It is"}]));
    second["usageMetadata"] = usage(1);
    let mut third = chunk(&json!([{"text": "\n"}, {"text": "", "thoughtSignature": "c2ln"}]));
    third["candidates"][0]["finishReason"] = json!("STOP");
    let calls = chunk(&json!([
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"id": "b", "name": "f"}},
    ]));
    let mut end = last();
    end["usageMetadata"] = usage(5);
    let counted = |output| Event::Usage(Usage { input: 9, output, ..Usage::default() });
    let call = |id: &str, whole: Value| BlockStart::ToolCall {
        id: id.to_owned(),
        name: "f".to_owned(),
        whole: Some(Arguments::Object(whole.as_object().unwrap().clone())),
    };
    assert_eq!(
        events(&[first, second, third, calls, end]),
        [
            start(),
            begin(0, BlockStart::Thinking),
            thought(0, "hm"),
            counted(1),
            thought(0, " ok"),
            stop(0),
            begin(1, BlockStart::Text),
            said(1, "It is"),
            said(1, "\n"),
            Event::Signed { choice: 0, block: 1, signature: own("c2ln") },
            stop(1),
            begin(2, call("a", json!({"x": 1}))),
            Event::Signed { choice: 0, block: 2, signature: own("Y2FsbA==") },
            stop(2),
            begin(3, call("b", json!({}))),
            stop(3),
            counted(5),
            finished(Finish::Tool),
            Event::End,
        ]
    );
}

#[test]
fn the_last_word_about_the_end_counts_and_none_is_an_error() {
    let with = |reason: &str| {
        let mut chunk = chunk(&json!([{"text": "x"}]));
        chunk["candidates"][0]["finishReason"] = json!(reason);
        chunk
    };
    let body = [start(), begin(0, BlockStart::Text), said(0, "x"), said(0, "x"), stop(0)];
    let whole = [&body[..], &[finished(Finish::Length), Event::End]].concat();
    assert_eq!(events(&[with("STOP"), with("MAX_TOKENS")]), whole);
    let reason = "the upstream's stream ended without a finish reason";
    let cut = [start(), begin(0, BlockStart::Text), said(0, "x"), Event::Error(StreamError { raw: None, reason })];
    assert_eq!(events(&[chunk(&json!([{"text": "x"}]))]), cut);
    let mut second = with("STOP");
    second["candidates"].as_array_mut().unwrap().push(json!({"index": 1}));
    assert_eq!(events(&[second])[3..], cut[3..], "one of two candidates has not ended");
    let (mut reader, mut out) = (reader(), vec![]);
    reader.finish(&mut out);
    let reason = "the upstream's stream is empty";
    let nothing = Event::Start { id: String::new(), model: String::new(), created: None };
    assert_eq!(out, [nothing, Event::Error(StreamError { raw: None, reason })]);
}

#[test]
fn errors_end_the_stream_and_keep_what_the_provider_wrote() {
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let raw = Some(Bytes::from(error.to_string()));
    let told = events(&[chunk(&json!([{"text": "x"}])), error, last()]);
    assert_eq!(told[3..], [Event::Error(StreamError { raw, reason: "the upstream reported an error" })]);
    let (mut reader, mut out) = (reader(), vec![]);
    reader.push(Some(b"message"), b"oops", &mut out);
    reader.push(None, last().to_string().as_bytes(), &mut out);
    reader.finish(&mut out);
    assert_eq!(out[1..], [Event::Error(StreamError { raw: None, reason: "an event of the upstream's stream is no JSON" })]);
}

#[test]
fn a_blocked_prompt_ends_filtered_and_done_is_no_chunk() {
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r1", "modelVersion": "g"});
    let (mut reader, mut out) = (reader(), vec![]);
    reader.push(None, blocked.to_string().as_bytes(), &mut out);
    reader.push(None, b"[DONE]", &mut out);
    reader.finish(&mut out);
    assert_eq!(out, [start(), finished(Finish::Filter { detail: Some("SAFETY".to_owned()) }), Event::End]);
}

#[test]
fn media_pages_and_probabilities_of_a_stream_are_read() {
    let mut end = chunk(&json!([{"inlineData": {"mimeType": "image/png", "data": "cG5n"}}, {"text": "5"}]));
    end["candidates"][0]["finishReason"] = json!("STOP");
    end["candidates"][0]["logprobsResult"] = json!({"chosenCandidates": [{"token": "5", "logProbability": -1}]});
    end["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://a.example/"}}],
        "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}],
    });
    let source = Source::Inline { mime: "image/png".to_owned(), data: Bytes::from_static(b"png") };
    let medium = Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None };
    let logprobs = vec![TokenLogprob { token: "5".to_owned(), logprob: -1.0, bytes: None, top: vec![] }];
    let citation = json!({"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://a.example/", "title": ""});
    assert_eq!(
        events(&[end]),
        [
            start(),
            begin(0, media(medium)),
            stop(0),
            begin(1, BlockStart::Text),
            Event::Text { choice: 0, block: 1, text: "5".to_owned(), logprobs },
            Event::Citation { choice: 0, block: 1, citation },
            stop(1),
            finished(Finish::Stop),
            Event::End,
        ]
    );
}
