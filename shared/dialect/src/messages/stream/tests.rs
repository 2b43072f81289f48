//! Streams in both directions.

#![expect(clippy::needless_pass_by_value, reason = "calls read better with json!(…) in them")]

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::{Dialect, Usage};

use super::*;
use crate::call_id::IdMaker;
use crate::codec::{Asked, Reading};
use crate::ir::{Arguments, BlockStart, Event, Family, Finish, Signature, StreamError};
use crate::signature::Sealer;
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

fn read_with(reading: Reading, events: &[Value]) -> Vec<Event> {
    let mut reader = Reader::new(reading);
    let mut out = Vec::new();
    for event in events {
        reader.push(event["type"].as_str().map(str::as_bytes), event.to_string().as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    out
}

fn read(events: &[Value]) -> Vec<Event> {
    read_with(reading(), events)
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [],
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}}})
}

fn open(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 15}}),
        json!({"type": "message_stop"}),
    ]
}

fn usage(output: u64) -> Usage {
    Usage { input: 25, cache_read: 5, output, ..Usage::default() }
}

fn state(value: &str, item: Option<&str>) -> Signature {
    Signature { family: Family::Anthropic, account: Some(9), item: item.map(str::to_owned), value: value.into() }
}

fn begun() -> Vec<Event> {
    vec![Event::Start { id: "msg_1".into(), model: "claude".into(), created: None }, Event::Usage(usage(1))]
}

fn text(block: u32, text: &str) -> Event {
    Event::Text { choice: 0, block, text: text.into(), logprobs: vec![] }
}

fn block(block: u32, start: BlockStart) -> Event {
    Event::BlockStart { choice: 0, block, start }
}

fn over(block: u32) -> Event {
    Event::BlockStop { choice: 0, block }
}

fn call(id: &str, name: &str) -> BlockStart {
    BlockStart::ToolCall { id: id.into(), name: name.into(), whole: None }
}

fn arguments(block: u32, json: &str) -> Event {
    Event::Arguments { choice: 0, block, json: json.into() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish, stop_sequence: None }
}

#[test]
fn a_stream_with_everything_is_read_in_order() {
    let mut events = vec![
        start(),
        json!({"type": "ping"}),
        open(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "Eq"})),
        delta(0, json!({"type": "signature_delta", "signature": "QB"})),
        stop(0),
        open(1, json!({"type": "redacted_thinking", "data": "R"})),
        stop(1),
        open(2, json!({"type": "text", "text": ""})),
        delta(2, json!({"type": "text_delta", "text": "\n"})),
        delta(2, json!({"type": "new_delta", "text": "?"})),
        stop(2),
        open(3, json!({"type": "text", "text": "B"})),
        stop(3),
        open(4, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        delta(4, json!({"type": "input_json_delta", "partial_json": "{}"})),
        stop(4),
        open(5, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        delta(5, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(5, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
        delta(5, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(5),
        open(6, json!({"type": "tool_use", "id": "toolu_2", "name": "f", "input": {"whole": true}})),
        stop(6),
        open(7, json!({"type": "tool_use", "id": "toolu_3", "name": "g", "input": {}})),
        stop(7),
        json!({"type": "news"}),
    ];
    events.extend(end("tool_use"));
    let mut expected = begun();
    expected.extend([
        block(0, BlockStart::Thinking),
        Event::Thinking { choice: 0, block: 0, text: "hm".into() },
        Event::Signed { choice: 0, block: 0, signature: state("EqQB", None) },
        over(0),
        block(1, BlockStart::Redacted(state("R", None))),
        over(1),
        block(2, BlockStart::Text),
        text(2, "\n"),
        over(2),
        block(3, BlockStart::Text),
        text(3, "B"),
        over(3),
        block(4, call("toolu_1", "f")),
        arguments(4, "{\"a\":"),
        arguments(4, "1}"),
        over(4),
        block(5, call("toolu_2", "f")),
        arguments(5, "{\"whole\":true}"),
        over(5),
        block(6, call("toolu_3", "g")),
        over(6),
        Event::Usage(usage(15)),
        finish(Finish::Tool),
        Event::End,
    ]);
    assert_eq!(read(&events), expected);
}

#[test]
fn thinking_that_is_kept_back_leaves_its_signature() {
    let mut events = vec![
        start(),
        open(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "signature_delta", "signature": "S"})),
        stop(0),
    ];
    events.extend(end("end_turn"));
    let mut expected = begun();
    expected.extend([
        block(0, BlockStart::Redacted(state("S", Some(crate::messages::SILENT)))),
        over(0),
        Event::Usage(usage(15)),
        finish(Finish::Stop),
        Event::End,
    ]);
    assert_eq!(read(&events), expected);
}

#[test]
fn an_answer_by_tool_streams_as_text() {
    let by_tool = || Reading { answers_by_tool: true, ..reading() };
    for input in [vec![json!({}), json!("{\"a\""), json!(":1}")], vec![json!({"a": 1})]] {
        let mut events =
            vec![start(), open(0, json!({"type": "tool_use", "id": "t", "name": "json_response", "input": input[0]}))];
        events.extend(input[1..].iter().map(|piece| delta(0, json!({"type": "input_json_delta", "partial_json": piece}))));
        events.push(stop(0));
        events.extend(end("tool_use"));
        let out = read_with(by_tool(), &events);
        let said: String = out
            .iter()
            .filter_map(|event| match event {
                Event::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(said, "{\"a\":1}");
        assert_eq!(out[out.len() - 2..], [finish(Finish::Stop), Event::End]);
    }
}

#[test]
fn a_stream_that_breaks_off_is_no_answer() {
    let part = [start(), open(0, json!({"type": "text", "text": "x"}))];
    let broken = read(&part);
    assert!(matches!(broken.last(), Some(Event::Error(StreamError { raw: None, .. }))), "{broken:?}");
    assert!(matches!(read(&[])[..], [Event::Start { .. }, Event::Error(_)]));

    let told = read(&[start(), end("end_turn")[0].clone()]);
    assert_eq!(told.last(), Some(&Event::End), "its end was announced");

    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let failed = read(&[start(), error.clone(), stop(0), end("end_turn")[0].clone()]);
    let raw = Some(error.to_string().into());
    assert_eq!(failed[2..], [Event::Error(StreamError { raw, reason: "the upstream reported an error" })]);

    let mut reader = Reader::new(reading());
    let mut out = Vec::new();
    reader.push(None, b"{\"type\":", &mut out);
    assert!(matches!(out[..], [Event::Start { .. }, Event::Error(_)]));
}

#[test]
fn later_reports_and_ends_repeat_without_harm() {
    let [first, last] = end("end_turn");
    let more = json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20, "input_tokens": null}});
    let out = read(&[start(), start(), first, more, last.clone(), last]);
    let expected = [Event::Usage(usage(15)), finish(Finish::Stop), Event::Usage(usage(20)), Event::End];
    assert_eq!(out[out.len() - 4..], expected);
}

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

fn write(asked: Asked, events: &[Event]) -> String {
    let (mut writer, mut out) = (Writer::new(asked), BytesMut::new());
    for event in events {
        writer.push(event, &mut out);
    }
    String::from_utf8(out.to_vec()).unwrap()
}

/// The data of each event, after a check that its name is its type.
fn data(stream: &str) -> Vec<Value> {
    let events = stream.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        data
    });
    events.collect()
}

fn announced(id: &str) -> Event {
    Event::Start { id: id.into(), model: "theirs".into(), created: None }
}

#[test]
fn a_plain_stream_is_written_to_the_byte() {
    let events = [
        announced("msg_1"),
        block(0, BlockStart::Text),
        text(0, "Hi"),
        text(0, "\n"),
        over(0),
        finish(Finish::Stop),
        Event::Usage(Usage { input: 300, cache_read: 600, cache_write_5m: 100, output: 50, ..Usage::default() }),
        Event::End,
    ];
    let zeros = r#""cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}"#;
    let counted = r#""cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":0}"#;
    let expected = [
        format!("event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"alias\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{{\"input_tokens\":0,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,{zeros},\"output_tokens\":0}}}}}}\n\n"),
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".into(),
        "event: ping\ndata: {\"type\":\"ping\"}\n\n".into(),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n".into(),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\n\"}}\n\n".into(),
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n".into(),
        format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{{\"input_tokens\":300,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":600,{counted},\"output_tokens\":50}}}}\n\n"),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".into(),
    ];
    assert_eq!(write(asked(true), &events), expected.concat());
}

#[test]
fn interleaved_calls_are_written_one_after_the_other() {
    let whole = |name: &str, json: Value| BlockStart::ToolCall {
        id: "w".into(),
        name: name.into(),
        whole: Some(Arguments::Object(json.as_object().cloned().unwrap())),
    };
    let events = [
        announced(""),
        block(0, BlockStart::Text),
        text(0, "t"),
        over(0),
        block(1, call("a", "f")),
        block(2, call("b", "f")),
        arguments(2, "{\"b\":"),
        arguments(1, "{\"a\":1}"),
        arguments(2, "2}"),
        over(2),
        over(1),
        block(3, whole("g", json!({"x": 1}))),
        over(3),
        block(4, whole("h", json!({}))),
        over(4),
        finish(Finish::Stop),
        Event::End,
    ];
    let said = data(&write(asked(false), &events));
    assert!(said[0]["message"]["id"].as_str().unwrap().starts_with("msg_"));
    let shape: Vec<String> = said[1..]
        .iter()
        .map(|event| {
            let piece = event
                .pointer("/delta/partial_json")
                .or(event.pointer("/content_block/id"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("{} {} {piece}", event["type"].as_str().unwrap().trim_start_matches("content_block_"), event["index"])
        })
        .collect();
    assert_eq!(
        shape,
        [
            "start 0 ",
            "ping null ",
            "delta 0 ",
            "stop 0 ",
            "start 1 a",
            "delta 1 {\"a\":1}",
            "stop 1 ",
            "start 2 b",
            "delta 2 {\"b\":",
            "delta 2 2}",
            "stop 2 ",
            "start 3 w",
            "delta 3 {\"x\":1}",
            "stop 3 ",
            "start 4 w",
            "stop 4 ",
            "message_delta null ",
            "message_stop null "
        ]
    );
    assert_eq!(said[said.len() - 2]["delta"]["stop_reason"], "tool_use", "not end_turn beside calls");
}

#[test]
fn reasoning_is_signed_before_its_stop_or_hidden_without_a_gap() {
    let google = |value: &str| Signature { family: Family::Google, account: None, item: None, value: value.into() };
    let signed = |block, value| Event::Signed { choice: 0, block, signature: google(value) };
    let events = [
        announced(""),
        block(0, BlockStart::Thinking),
        Event::Thinking { choice: 0, block: 0, text: "hm".into() },
        signed(0, "g"),
        over(0),
        block(1, BlockStart::Thinking),
        Event::Thinking { choice: 0, block: 1, text: "ho".into() },
        over(1),
        block(2, BlockStart::Redacted(google("r"))),
        over(2),
        block(3, call("a", "f")),
        signed(3, "c"),
        over(3),
        finish(Finish::Tool),
        Event::End,
    ];
    let said = data(&write(asked(true), &events));
    let kinds: Vec<_> =
        said.iter().filter_map(|event| event.pointer("/delta/type").or(event.pointer("/content_block/type"))?.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "thinking",
            "thinking_delta",
            "signature_delta",
            "thinking",
            "thinking_delta",
            "signature_delta",
            "redacted_thinking",
            "tool_use",
            "redacted_thinking"
        ]
    );
    let sealer = Sealer::new(&[1; 32]);
    let wires: Vec<_> = said
        .iter()
        .filter_map(|event| event.pointer("/delta/signature").or(event.pointer("/content_block/data"))?.as_str())
        .collect();
    let values: Vec<_> = wires.into_iter().map(|wire| sealer.open(wire).unwrap().value).collect();
    assert_eq!(values, ["g", "", "r", "c"]);
    let hidden = data(&write(asked(false), &events));
    let indices: Vec<_> = hidden.iter().filter_map(|event| event["index"].as_u64()).collect();
    assert_eq!(indices, [0, 0], "only the call");
}

#[test]
fn a_failed_stream_ends_with_an_error_and_nothing_else() {
    let error = |raw: Option<&'static str>| Event::Error(StreamError { raw: raw.map(Into::into), reason: "x" });
    let overloaded = r#"{"error":{"type":"overloaded_error","message":"busy at https://internal.example.com/x"}}"#;
    let credential = r#"{"error":{"type":"authentication_error","message":"bad key sk-ant-api03-ABCDEFGHIJ"}}"#;
    for (event, kind) in
        [(error(None), "api_error"), (error(Some(overloaded)), "overloaded_error"), (error(Some(credential)), "api_error")]
    {
        let stream = write(asked(true), &[announced(""), block(0, BlockStart::Text), text(0, "x"), event, over(0), Event::End]);
        let last = data(&stream).pop().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!(kind)));
        assert!(
            !stream.contains("internal.example") && !stream.contains("bad key") && !stream.contains("message_stop"),
            "{stream}"
        );
    }
    assert_eq!(
        write(asked(true), &[error(None)]),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"the upstream failed\"}}\n\n"
    );
}

#[test]
fn empty_blocks_and_other_choices_are_not_announced() {
    let events = [
        announced(""),
        block(0, BlockStart::Text),
        over(0),
        Event::BlockStart { choice: 1, block: 0, start: BlockStart::Text },
        Event::Text { choice: 1, block: 0, text: "x".into(), logprobs: vec![] },
        Event::Finish { choice: 0, finish: Finish::StopSequence, stop_sequence: Some("END".into()) },
        Event::End,
    ];
    let said = data(&write(asked(true), &events));
    assert_eq!(said.len(), 3);
    assert_eq!(said[1]["delta"], json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}));
}

/// Whether events keep to the order [`Event`] promises.
fn check_order(events: &[Event]) {
    let (mut open, mut next, mut has_finished) = (Vec::new(), 0, false);
    for (place, event) in events.iter().enumerate() {
        assert_eq!(matches!(event, Event::Start { .. }), place == 0);
        assert_eq!(matches!(event, Event::End | Event::Error(_)), place + 1 == events.len());
        match event {
            Event::BlockStart { block, start, .. } => {
                let is_call = matches!(start, BlockStart::ToolCall { .. });
                assert!(*block == next && !has_finished && open.iter().all(|(_, other)| is_call && *other), "{events:?}");
                open.push((*block, is_call));
                next += 1;
            }
            Event::Text { block, text: piece, .. }
            | Event::Thinking { block, text: piece, .. }
            | Event::Arguments { block, json: piece, .. } => {
                assert!(!piece.is_empty() && open.iter().any(|(known, _)| known == block), "{events:?}");
            }
            Event::Signed { block, .. } => assert!(open.iter().any(|(known, _)| known == block)),
            Event::BlockStop { block, .. } => {
                let place = open.iter().position(|(known, _)| known == block).unwrap();
                open.remove(place);
            }
            Event::Finish { .. } => {
                assert!(open.is_empty() && !has_finished);
                has_finished = true;
            }
            _ => {}
        }
    }
}

fn any_event() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(vec!["", "x", "{", "json_response"]);
    let kind = prop::sample::select(vec!["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", ""]);
    let piece =
        prop::sample::select(vec!["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"]);
    prop_oneof![
        Just(start()),
        (0..4_u32, kind, word()).prop_map(|(index, kind, word)| open(
            index,
            json!({"type": kind, "text": word, "thinking": word,
            "signature": word, "data": word, "name": word, "id": word, "input": {"a": word}})
        )),
        (0..4_u32, piece, word()).prop_map(|(index, kind, word)| delta(
            index,
            json!({"type": kind, "text": word, "thinking": word,
            "signature": word, "partial_json": word, "citation": {"type": "web_search_result_location", "url": word}})
        )),
        (0..4_u32).prop_map(stop),
        prop::sample::select(vec!["end_turn", "tool_use", "odd"]).prop_map(|reason| end(reason)[0].clone()),
        Just(json!({"type": "message_delta", "delta": 3, "usage": "x"})),
        Just(json!(["content_block_start"])),
        Just(json!({"type": "content_block_start", "index": "x", "content_block": 7})),
    ]
}

proptest! {
    #[test]
    fn the_order_holds_for_any_events(events in prop::collection::vec(any_event(), 0..24), by_tool: bool, ends: bool) {
        let mut events = events;
        events.extend(ends.then(|| end("end_turn")).into_iter().flatten());
        let out = read_with(Reading { answers_by_tool: by_tool, ..reading() }, &events);
        check_order(&out);
        let said = data(&write(asked(true), &out));
        let (mut open, mut next) = (false, 0);
        for event in &said {
            match event["type"].as_str().unwrap() {
                "content_block_start" => {
                    prop_assert!(!open && event["index"] == next);
                    open = true;
                }
                "content_block_delta" => prop_assert!(open && event["index"] == next),
                "content_block_stop" => {
                    prop_assert!(open && event["index"] == next);
                    open = false;
                    next += 1;
                }
                _ => {}
            }
        }
        let count = |kind: &str| said.iter().filter(|event| event["type"] == kind).count();
        prop_assert_eq!((count("message_start"), count("message_stop") + count("error")), (1, 1));
    }

    #[test]
    fn no_bytes_panic(events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let mut reader = Reader::new(reading());
        let mut out = Vec::new();
        for event in &events {
            reader.push(Some(event), event, &mut out);
        }
        reader.finish(&mut out);
        check_order(&out);
    }
}
