use bytes::BytesMut;
use serde_json::{Value, json};
use sluice_domain::Usage;

use super::{Reader, Writer};
use crate::chat::sample;
use crate::codec::{ANSWER_TOOL, Asked, Reading};
use crate::ir::{Arguments, BlockStart, Event, Family, Finish, Signature, StreamError};

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "created": 5, "model": "theirs", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn run(reading: Reading, chunks: &[Value], is_done: bool) -> Vec<Event> {
    let mut reader = Reader::new(reading);
    let mut out = Vec::new();
    for chunk in chunks {
        reader.push(None, chunk.to_string().as_bytes(), &mut out);
    }
    if is_done {
        reader.push(None, b"[DONE]", &mut out);
    }
    reader.finish(&mut out);
    assert_eq!(sample::disorder(&out), None, "{out:?}");
    out
}

/// Events of the only choice, without start and end.
fn said(chunks: &[Value]) -> Vec<Event> {
    let mut events = run(sample::reading(), chunks, true);
    assert_eq!(events.pop(), Some(Event::End));
    events.remove(0);
    events
}

fn begin(block: u32, start: BlockStart) -> Event {
    Event::BlockStart { choice: 0, block, start }
}

fn call(block: u32, id: &str, name: &str) -> Event {
    begin(block, BlockStart::ToolCall { id: id.to_owned(), name: name.to_owned(), whole: None })
}

fn text(block: u32, text: &str) -> Event {
    Event::Text { choice: 0, block, text: text.to_owned(), logprobs: vec![] }
}

fn thinking(block: u32, text: &str) -> Event {
    Event::Thinking { choice: 0, block, text: text.to_owned() }
}

fn arguments(block: u32, json: &str) -> Event {
    Event::Arguments { choice: 0, block, json: json.to_owned() }
}

const fn stop(block: u32) -> Event {
    Event::BlockStop { choice: 0, block }
}

const fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish, stop_sequence: None }
}

fn fragment(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn calls(fragments: &[Value]) -> Value {
    chunk(json!({"tool_calls": fragments}), None)
}

#[test]
fn a_stream_with_everything_is_read() {
    let events = run(
        sample::reading(),
        &[
            json!({"id": "", "model": "", "choices": [], "prompt_filter_results": []}),
            chunk(json!({"role": "assistant", "content": ""}), None),
            chunk(json!({"reasoning_content": "h"}), None),
            chunk(json!({"reasoning_content": "m", "content": null}), None),
            chunk(json!({"content": "\n"}), None),
            chunk(json!({"content": "Let me"}), None),
            calls(&[fragment(Some(0), "call_1", "f", "")]),
            calls(&[fragment(Some(0), "", "", "{\"a\"")]),
            calls(&[fragment(Some(0), "call_1", "", ":1}")]),
            calls(&[fragment(Some(1), "call_2", "f", "{}")]),
            chunk(json!({}), Some("tool_calls")),
            json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        ],
        true,
    );
    let expected = [
        Event::Start { id: "chatcmpl-1".to_owned(), model: "theirs".to_owned(), created: Some(5) },
        begin(0, BlockStart::Thinking),
        thinking(0, "h"),
        thinking(0, "m"),
        stop(0),
        begin(1, BlockStart::Text),
        text(1, "\n"),
        text(1, "Let me"),
        stop(1),
        call(2, "call_1", "f"),
        arguments(2, "{\"a\""),
        arguments(2, ":1}"),
        stop(2),
        call(3, "call_2", "f"),
        arguments(3, "{}"),
        stop(3),
        finish(Finish::Tool),
        Event::Usage(Usage { input: 3, output: 4, ..Usage::default() }),
        Event::End,
    ];
    assert_eq!(events, expected);
}

#[test]
fn fragments_find_their_call_whatever_is_missing() {
    let one = |block, id: &str, name: &str, json: &str| vec![call(block, id, name), arguments(block, json)];
    let two = || {
        [one(0, "a", "f", "{\"x\":1}"), vec![stop(0)], one(1, "b", "f", "{\"x\":2}"), vec![stop(1), finish(Finish::Tool)]]
            .concat()
    };
    let cases: [(&str, Vec<Value>); 5] = [
        ("no index", vec![calls(&[fragment(None, "a", "f", "{\"x\":1}")]), calls(&[fragment(None, "b", "f", "{\"x\":2}")])]),
        ("no index, one delta", vec![calls(&[fragment(None, "a", "f", "{\"x\":1}"), fragment(None, "b", "f", "{\"x\":2}")])]),
        (
            "all at index 0",
            vec![calls(&[fragment(Some(0), "a", "f", "{\"x\":1}")]), calls(&[fragment(Some(0), "b", "f", "{\"x\":2}")])],
        ),
        (
            "id in every fragment, by index",
            vec![calls(&[fragment(Some(0), "a", "f", "{\"x\":1}")]), calls(&[fragment(Some(1), "b", "f", "{\"x\":2}")])],
        ),
        (
            "sparse indices",
            vec![calls(&[fragment(Some(3), "a", "f", "{\"x\":1}")]), calls(&[fragment(Some(7), "b", "f", "{\"x\":2}")])],
        ),
    ];
    for (name, chunks) in cases {
        let events = said(&[chunks, vec![chunk(json!({}), Some("stop"))]].concat());
        assert_eq!(events, two(), "{name}");
    }
    let late_name = said(&[calls(&[fragment(Some(0), "a", "", "{")]), calls(&[fragment(Some(0), "", "f", "}")])]);
    assert_eq!(late_name, [call(0, "a", "f"), arguments(0, "{}"), stop(0), finish(Finish::Tool)]);
    let continued = said(&[calls(&[fragment(None, "a", "f", "{")]), calls(&[fragment(None, "", "", "}")])]);
    assert_eq!(continued, [call(0, "a", "f"), arguments(0, "{"), arguments(0, "}"), stop(0), finish(Finish::Tool)]);
    assert_eq!(said(&[chunk(json!({"tool_calls": [], "content": "x"}), Some("stop"))]).last(), Some(&finish(Finish::Stop)));
}

#[test]
fn choices_stay_apart_both_ways() {
    let delta = |choice: u32, delta: Value, finish: Option<&str>| json!({"id": "chatcmpl-1", "created": 5, "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]});
    let chunks = [
        delta(1, json!({"content": "b"}), None),
        delta(0, json!({"content": "a"}), None),
        delta(1, json!({"tool_calls": [fragment(Some(0), "c", "f", "{}")]}), None),
        delta(0, json!({}), Some("length")),
        delta(1, json!({}), Some("stop")),
    ];
    let events = run(sample::reading(), &chunks, false);
    assert_eq!(events.last(), Some(&Event::End));
    let written = write(sample::asked(), &events);
    let said = |choice: u32| {
        let of = written.iter().filter_map(|chunk| chunk.pointer("/choices/0")).filter(move |found| found["index"] == choice);
        of.map(|found| if found["finish_reason"].is_null() { found["delta"].clone() } else { found["finish_reason"].clone() })
    };
    let role = json!({"role": "assistant", "content": ""});
    assert_eq!(said(0).collect::<Vec<_>>(), [role.clone(), json!({"content": "a"}), json!("length")]);
    let call = json!([{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]);
    let rest = json!([{"index": 0, "function": {"arguments": "{}"}}]);
    let second = [role, json!({"content": "b"}), json!({"tool_calls": call}), json!({"tool_calls": rest}), json!("tool_calls")];
    assert_eq!(said(1).collect::<Vec<_>>(), second);
}

#[test]
fn interleaved_calls_stay_apart() {
    let events = said(&[
        calls(&[fragment(Some(0), "a", "f", "{\"x\":"), fragment(Some(1), "b", "g", "{\"y\":")]),
        calls(&[fragment(Some(0), "", "", "1}"), fragment(Some(1), "", "", "2}")]),
        chunk(json!({}), Some("tool_calls")),
    ]);
    let expected = [
        call(0, "a", "f"),
        arguments(0, "{\"x\":"),
        call(1, "b", "g"),
        arguments(1, "{\"y\":"),
        arguments(0, "1}"),
        arguments(1, "2}"),
        stop(0),
        stop(1),
        finish(Finish::Tool),
    ];
    assert_eq!(events, expected);
}

#[test]
fn one_chunk_may_hold_all() {
    let delta = json!({"function_call": {"name": "f", "arguments": "{}"}, "content": "c", "reasoning": "r"});
    let mut events = said(&[chunk(delta, Some("function_call"))]);
    let Some(Event::BlockStart { start: BlockStart::ToolCall { id, .. }, .. }) = events.get_mut(6) else { panic!("{events:?}") };
    assert!(id.starts_with("toolu_"));
    "x".clone_into(id);
    let expected = [
        begin(0, BlockStart::Thinking),
        thinking(0, "r"),
        stop(0),
        begin(1, BlockStart::Text),
        text(1, "c"),
        stop(1),
        call(2, "x", "f"),
        arguments(2, "{}"),
        stop(2),
        finish(Finish::Tool),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_length_is_not_overwritten_and_a_stop_text_is_named() {
    assert_eq!(
        said(&[calls(&[fragment(Some(0), "a", "f", "{")]), chunk(json!({}), Some("length"))]).last(),
        Some(&finish(Finish::Length))
    );
    let mut wire = chunk(json!({"content": "x"}), Some("stop"));
    wire["choices"][0]["stop_reason"] = json!("END");
    let stopped = Event::Finish { choice: 0, finish: Finish::StopSequence, stop_sequence: Some("END".to_owned()) };
    assert_eq!(said(&[wire]).last(), Some(&stopped));
    assert_eq!(said(&[chunk(json!({"refusal": "no"}), Some("stop"))]).last(), Some(&finish(Finish::Refusal)));
}

#[test]
fn signatures_belong_to_what_came_before_them() {
    let own = Signature { account: Some(9), ..sample::signature(Family::Compatible) };
    let events = said(&[
        chunk(json!({"reasoning": "r", "reasoning_details": [{"type": "reasoning.text", "text": "r"}]}), None),
        chunk(json!({"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln"}]}), None),
        chunk(json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "c2ln"}]}), None),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {"thought_signature": "c2ln"}}}]}),
            None,
        ),
    ]);
    let signed = |block| Event::Signed { choice: 0, block, signature: own.clone() };
    let expected = [
        begin(0, BlockStart::Thinking),
        thinking(0, "r"),
        signed(0),
        stop(0),
        begin(1, BlockStart::Redacted(own.clone())),
        stop(1),
        call(2, "a", "f"),
        signed(2),
        arguments(2, "{}"),
        stop(2),
        finish(Finish::Tool),
    ];
    assert_eq!(events, expected);
}

#[test]
fn reasoning_in_tags_and_answers_by_tool_are_what_they_stand_for() {
    let tags = said(&[
        chunk(json!({"content": "<thi"}), None),
        chunk(json!({"content": "nk>a</think>\n"}), None),
        chunk(json!({"content": "\nb"}), Some("stop")),
    ]);
    let expected = [
        begin(0, BlockStart::Thinking),
        thinking(0, "a"),
        stop(0),
        begin(1, BlockStart::Text),
        text(1, "b"),
        stop(1),
        finish(Finish::Stop),
    ];
    assert_eq!(tags, expected);
    let chunks = [
        calls(&[fragment(Some(0), "a", ANSWER_TOOL, "{\"x\"")]),
        calls(&[fragment(Some(0), "", "", ":1}")]),
        chunk(json!({}), Some("tool_calls")),
    ];
    let events = run(Reading { answers_by_tool: true, ..sample::reading() }, &chunks, true);
    let expected = [begin(0, BlockStart::Text), text(0, "{\"x\""), text(0, ":1}"), stop(0), finish(Finish::Stop), Event::End];
    assert_eq!(events[1..], expected);
}

#[test]
fn a_stream_is_whole_with_its_end_or_broken() {
    let open = chunk(json!({"content": "x"}), None);
    let closed = chunk(json!({}), Some("stop"));
    let broken = |reason| Event::Error(StreamError { raw: None, reason });
    let end = |chunks: &[Value], is_done| run(sample::reading(), chunks, is_done).pop();
    assert_eq!(end(&[open.clone(), closed.clone()], false), Some(Event::End), "some send no [DONE]");
    assert_eq!(end(std::slice::from_ref(&open), true), Some(Event::End));
    assert_eq!(end(std::slice::from_ref(&open), false), Some(broken("the upstream's stream broke off")));
    assert_eq!(end(&[], false), Some(broken("the upstream's stream broke off")));
    assert_eq!(end(&[], true), Some(broken("the upstream's stream held no answer")));
    assert_eq!(end(&[json!([1])], true), Some(broken("the upstream sent an event that is no JSON object")));
    let error = json!({"error": {"message": "overloaded", "code": 503}});
    let raw = Some(error.to_string().into_bytes().into());
    let events = run(sample::reading(), &[open.clone(), error, closed], true);
    assert_eq!(events.last(), Some(&Event::Error(StreamError { raw, reason: "the upstream reported an error" })));
    let mut reader = Reader::new(sample::reading());
    let mut out = Vec::new();
    let together = format!("{open}\n{open}");
    reader.push(None, together.as_bytes(), &mut out);
    assert_eq!(out.iter().filter(|event| matches!(event, Event::Text { .. })).count(), 2, "events run together");
}

fn write(asked: Asked, events: &[Event]) -> Vec<Value> {
    let mut writer = Writer::new(asked);
    let mut out = BytesMut::new();
    for event in events {
        writer.push(event, &mut out);
    }
    let text = std::str::from_utf8(&out).unwrap();
    let data = text.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap());
    data.map(|data| if data == "[DONE]" { json!("[DONE]") } else { serde_json::from_str(data).unwrap() }).collect()
}

/// The deltas of a stream.
fn deltas(asked: Asked, events: &[Event]) -> Vec<Value> {
    let chunks = write(asked, &[&[start()], events].concat());
    chunks.into_iter().map(|mut chunk| chunk["choices"][0]["delta"].take()).collect()
}

fn start() -> Event {
    Event::Start { id: "chatcmpl-1".to_owned(), model: "theirs".to_owned(), created: Some(5) }
}

#[test]
fn a_stream_is_written_byte_for_byte() {
    let events = [
        start(),
        begin(0, BlockStart::Text),
        text(0, "é\n"),
        stop(0),
        call(1, "c", "f"),
        stop(1),
        finish(Finish::Tool),
        Event::Usage(Usage { input: 1, output: 2, ..Usage::default() }),
        Event::End,
    ];
    let mut writer = Writer::new(sample::asked());
    let mut out = BytesMut::new();
    for event in &events {
        writer.push(event, &mut out);
    }
    let head =
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"alias","choices":[{"index":0,"delta":"#;
    let tail = "}]}\n\n";
    let going = r#","logprobs":null,"finish_reason":null"#;
    let expected = [
        head,
        r#"{"role":"assistant","content":""}"#,
        going,
        tail,
        head,
        r#"{"content":"é\n"}"#,
        going,
        tail,
        head,
        r#"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}"#,
        going,
        tail,
        head,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
        going,
        tail,
        head,
        r#"{},"logprobs":null,"finish_reason":"tool_calls""#,
        tail,
        "data: [DONE]\n\n",
    ];
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected.concat());
}

#[test]
fn usage_is_the_last_chunk_where_it_was_asked_for() {
    let events = [
        start(),
        Event::Usage(Usage { input: 9, ..Usage::default() }),
        begin(0, BlockStart::Text),
        text(0, "x"),
        stop(0),
        finish(Finish::Stop),
        Event::Usage(Usage { input: 1, output: 2, ..Usage::default() }),
        Event::End,
    ];
    let chunks = write(Asked { include_usage: true, ..sample::asked() }, &events);
    assert_eq!(chunks.len(), 5);
    assert!(chunks[..3].iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!((&chunks[3]["choices"], &chunks[3]["usage"]["total_tokens"]), (&json!([]), &json!(3)));
    assert_eq!(chunks[4], "[DONE]");
    assert!(write(sample::asked(), &events).iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn calls_are_counted_from_zero_and_named_once() {
    let events = [
        begin(0, BlockStart::Thinking),
        thinking(0, "r"),
        stop(0),
        call(1, "a", "f"),
        arguments(1, "{"),
        call(2, "b", "f"),
        arguments(2, "{}"),
        arguments(1, "}"),
        stop(1),
        stop(2),
    ];
    let fragment = |index: u32, json: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]});
    let named = |index: u32, id: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "r"}),
        named(0, "a"),
        fragment(0, "{"),
        named(1, "b"),
        fragment(1, "{}"),
        fragment(0, "}"),
    ];
    assert_eq!(deltas(sample::asked(), &events), expected);
    let hidden = deltas(Asked { shows_reasoning: false, ..sample::asked() }, &events);
    assert_eq!(hidden[..2], [json!({"role": "assistant", "content": null}), named(0, "a")]);
    let whole = Arguments::Raw("{\"a\"".to_owned());
    let events = [begin(0, BlockStart::ToolCall { id: "c".to_owned(), name: "f".to_owned(), whole: Some(whole) }), stop(0)];
    let deltas = deltas(sample::asked(), &events);
    assert_eq!(deltas[1]["tool_calls"][0]["function"]["arguments"], "{\"a\"");
    assert_eq!(deltas.len(), 2);
}

#[test]
fn envelopes_come_with_the_call_and_after_the_reasoning() {
    let signature = sample::signature(Family::Google);
    let sealed = sample::sealer().seal(&signature);
    let signed = |block| Event::Signed { choice: 0, block, signature: signature.clone() };
    let events = [
        begin(0, BlockStart::Thinking),
        thinking(0, "a"),
        thinking(0, "b"),
        signed(0),
        stop(0),
        begin(1, BlockStart::Redacted(signature.clone())),
        stop(1),
        begin(2, BlockStart::Text),
        text(2, "x"),
        signed(2),
        stop(2),
        call(3, "c", "f"),
        signed(3),
        stop(3),
    ];
    let google = json!({"google": {"thought_signature": sealed}});
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "a"}),
        json!({"reasoning_content": "b"}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "ab", "signature": sealed, "format": "google-gemini-v1", "index": 0}]}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": sealed, "format": "google-gemini-v1", "index": 1}]}),
        json!({"content": "x"}),
        json!({"extra_content": google}),
        json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}, "extra_content": google}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    ];
    assert_eq!(deltas(sample::asked(), &events), expected);
}

#[test]
fn reasoning_as_content_is_closed_before_anything_else() {
    let asked = || Asked { thinking_to_content: true, ..sample::asked() };
    let think = [begin(0, BlockStart::Thinking), thinking(0, "a"), thinking(0, "b"), stop(0)];
    let content = |text: &str| json!({"content": text});
    let opened = [json!({"role": "assistant", "content": ""}), content("<think>\na"), content("b"), content("\n</think>\n\n")];
    for next in [vec![begin(1, BlockStart::Text)], vec![call(1, "c", "f")], vec![finish(Finish::Stop)]] {
        let deltas = deltas(asked(), &[&think[..], &next].concat());
        assert_eq!(deltas[..4], opened, "{next:?}");
    }
}

#[test]
fn an_error_ends_the_stream_without_done() {
    let raw =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded at https://internal.example.com"}});
    let reported = StreamError { raw: Some(raw.to_string().into_bytes().into()), reason: "" };
    for (error, message) in [(reported, "Overloaded at "), (StreamError { raw: None, reason: "x" }, "the upstream failed")] {
        let chunks = write(sample::asked(), &[start(), Event::Error(error), Event::End]);
        let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
        let error = chunk["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["message", "type", "param", "code"]);
        let said = error["message"].as_str().unwrap();
        assert!(said.starts_with(message) && !said.contains("internal"), "{said}");
    }
}
