//! What an upstream's stream says.

use super::*;

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt", "created_at": 5, "status": "in_progress"}})
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {
        "id": "resp_1", "model": "gpt", "created_at": 5, "status": "completed", "output": output,
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}})
}

fn usage() -> Event {
    Event::Usage(Usage { input: 3, output: 2, ..Usage::default() })
}

fn delta(kind: &str, index: u64, delta: &str) -> Value {
    json!({"type": format!("response.{kind}.delta"), "output_index": index, "content_index": 0, "summary_index": 0, "delta": delta})
}

fn done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn added(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

#[test]
fn a_stream_with_everything() {
    let message = json!({"type": "message", "id": "msg_1", "content": [
        {"type": "output_text", "text": "Hello\n", "annotations": [{"type": "url_citation"}]}]});
    let events = read_all(
        upstream(),
        &[
            created(),
            json!({"type": "response.in_progress", "response": {"id": "resp_1"}}),
            added(0, json!({"type": "reasoning", "id": "rs_1", "summary": []})),
            delta("reasoning_summary_text", 0, "th"),
            delta("reasoning_summary_text", 0, "ink"),
            json!({"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "think"}),
            json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "more"}),
            done(
                0,
                json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": [
            {"type": "summary_text", "text": "think"}, {"type": "summary_text", "text": "more"}]}),
            ),
            added(1, json!({"type": "message", "id": "msg_1", "content": []})),
            delta("output_text", 1, "Hello"),
            delta("output_text", 1, "\n"),
            json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0, "annotation": {"type": "url_citation"}}),
            json!({"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Hello\n"}),
            done(1, message),
            added(2, json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get", "arguments": ""})),
            added(3, json!({"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "get", "arguments": ""})),
            delta("function_call_arguments", 2, "{\"a\":"),
            delta("function_call_arguments", 3, "{}"),
            delta("function_call_arguments", 2, "1}"),
            json!({"type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{\"a\":1}"}),
            done(2, json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get", "arguments": "{\"a\":1}"})),
            done(3, json!({"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "get", "arguments": "{}"})),
            json!({"type": "response.something_new", "delta": "x"}),
            completed(json!([])),
        ],
    );
    check(&events);
    assert_eq!(
        events,
        [
            start(),
            begin(0, BlockStart::Thinking),
            thinking(0, "th"),
            thinking(0, "ink"),
            thinking(0, "\n\n"),
            thinking(0, "more"),
            Event::Signed { choice: 0, block: 0, signature: signature(Family::OpenAi, Some("rs_1")) },
            stop(0),
            begin(1, BlockStart::Text),
            text(1, "Hello"),
            text(1, "\n"),
            Event::Citation { choice: 0, block: 1, citation: json!({"type": "url_citation"}) },
            stop(1),
            begin(2, call("call_1")),
            begin(3, call("call_2")),
            arguments(2, "{\"a\":"),
            arguments(3, "{}"),
            arguments(2, "1}"),
            stop(2),
            stop(3),
            usage(),
            finish(Finish::Tool),
            Event::End,
        ]
    );
}

#[test]
fn what_deltas_lacked_comes_from_done_and_at_last_from_the_whole_answer() {
    let item = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get", "arguments": "{\"a\":1}"});
    let message = json!({"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hello"}]});
    let called = [begin(1, call("call_1")), arguments(1, "{\"a\":1}"), stop(1), usage(), finish(Finish::Tool), Event::End];
    let said = [start(), begin(0, BlockStart::Text), text(0, "Hello"), stop(0)];
    let whole = [said.as_slice(), &called].concat();
    let arguments_done = json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 1,
        "arguments": "{\"a\":1}"});
    let bare = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get", "arguments": ""});
    for stream in [
        vec![created(), completed(json!([message, item]))],
        vec![created(), done(0, message.clone()), done(1, item.clone()), completed(json!([message, item]))],
        vec![created(), done(0, message.clone()), added(1, bare), arguments_done, completed(json!([message, item]))],
        vec![completed(json!([message, item]))],
        // one index for all
        vec![created(), done(0, message.clone()), done(0, item.clone()), completed(json!([message, item]))],
    ] {
        assert_eq!(read_all(upstream(), &stream), whole, "{stream:?}");
    }
    let cut = read_all(upstream(), &[created(), delta("output_text", 0, "Hel"), done(0, message), completed(json!([]))]);
    assert_eq!(cut[2..4], [text(0, "Hel"), text(0, "lo")]);
}

#[test]
fn parts_are_blocks_of_their_own_and_refusals_are_told() {
    let part = |index: u64, text: &str| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": index, "delta": text});
    let events = read_all(upstream(), &[created(), part(0, "a"), part(1, "b"), delta("refusal", 1, "no"), completed(json!([]))]);
    assert_eq!(
        events[1..],
        [
            begin(0, BlockStart::Text),
            text(0, "a"),
            stop(0),
            begin(1, BlockStart::Text),
            text(1, "b"),
            stop(1),
            begin(2, BlockStart::Refusal),
            Event::Refusal { choice: 0, block: 2, text: "no".to_owned() },
            stop(2),
            usage(),
            finish(Finish::Refusal),
            Event::End,
        ]
    );
}

#[test]
fn items_that_come_whole() {
    let events = read_all(
        upstream(),
        &[
            created(),
            done(0, json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"})),
            done(1, json!({"type": "image_generation_call", "result": "iVBORw=="})),
            done(2, json!({"type": "custom_tool_call", "call_id": "call_1", "name": "get", "input": "x"})),
            done(3, json!({"type": "web_search_call"})),
            completed(json!([])),
        ],
    );
    check(&events);
    let input = Arguments::Object(json!({"input": "x"}).as_object().cloned().unwrap());
    assert_eq!(events[1], begin(0, BlockStart::Redacted(signature(Family::OpenAi, Some("rs_1")))));
    assert!(matches!(&events[3], Event::BlockStart { block: 1, start: BlockStart::Media(_), .. }));
    let whole = BlockStart::ToolCall { id: "call_1".to_owned(), name: "get".to_owned(), whole: Some(input) };
    assert_eq!(events[5..7], [begin(2, whole), stop(2)]);
}

#[test]
fn an_answer_by_tool_is_text() {
    let events = read_all(
        Reading { answers_by_tool: true, ..upstream() },
        &[
            created(),
            added(0, json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "json_response", "arguments": ""})),
            delta("function_call_arguments", 0, "{\"a\":"),
            done(
                0,
                json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "json_response", "arguments": "{\"a\":1}"}),
            ),
            completed(json!([])),
        ],
    );
    assert_eq!(
        events[1..],
        [begin(0, BlockStart::Text), text(0, "{\"a\":"), text(0, "1}"), stop(0), usage(), finish(Finish::Stop), Event::End,]
    );
}

#[test]
fn a_cut_answer_keeps_its_usage_and_is_no_stop() {
    let incomplete = json!({"type": "response.incomplete", "response": {"status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"}, "output": [], "usage": {"input_tokens": 3, "output_tokens": 2}}});
    let events = read_all(upstream(), &[created(), delta("output_text", 0, "a"), incomplete]);
    assert_eq!(events[3..], [stop(0), usage(), finish(Finish::Length), Event::End]);
}

#[test]
fn failures_are_told_as_the_provider_wrote_them() {
    let failed = json!({"type": "response.failed", "response": {"status": "failed", "usage": {"input_tokens": 3, "output_tokens": 2},
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}}});
    let events = read_all(upstream(), &[created(), failed]);
    let raw = |raw: &Value| Some(bytes::Bytes::from(raw.to_string()));
    let error = |raw, reason| Event::Error(StreamError { raw, reason });
    let reported = "the upstream reported an error";
    let inner = json!({"error": {"code": "rate_limit_exceeded", "message": "slow down"}});
    assert_eq!(events, [start(), usage(), error(raw(&inner), reported)]);

    let flat = json!({"type": "error", "code": "server_error", "message": "m", "param": null, "sequence_number": 3});
    assert_eq!(read_all(upstream(), &[created(), flat.clone()])[1..], [error(raw(&flat), reported)]);
    let nested = json!({"error": {"message": "m"}});
    assert_eq!(read_all(upstream(), std::slice::from_ref(&nested)), [error(raw(&nested), reported)]);
    let broken = "the stream broke off before the answer was whole";
    assert_eq!(read_all(upstream(), &[created()])[1..], [error(None, broken)]);
    let mut reader = Reader::new(upstream());
    let mut out = Vec::new();
    for data in ["[DONE]", "", "{", "[1]", "\u{fffd}"] {
        reader.push(None, data.as_bytes(), &mut out);
    }
    assert_eq!(out, [], "what cannot be read says nothing");
}

fn event() -> impl Strategy<Value = Value> {
    let kinds = vec![
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
        "x",
    ];
    let items = vec!["message", "reasoning", "function_call", "custom_tool_call", "image_generation_call", "web_search_call"];
    let item = (prop::sample::select(items), "[ab]{0,3}", "[a-c]{0,1}").prop_map(|(kind, text, id)| {
        json!({"type": kind, "id": id, "call_id": id, "name": "get", "arguments": text, "input": text, "encrypted_content": text,
            "result": text, "summary": [{"text": text}, {"text": "s"}],
            "content": [{"type": "output_text", "text": text, "annotations": [1, 2]}, {"type": "refusal", "refusal": text}, 3]})
    });
    let numbers = (prop::option::of(0_u64..4), 0_u64..3, prop::option::of("[a-c]"));
    (prop::sample::select(kinds), item, numbers, "[ab]{0,2}").prop_map(|(kind, item, (index, part, id), text)| {
        json!({"type": kind, "item": item, "output_index": index, "item_id": id, "content_index": part, "summary_index": part,
            "delta": text, "text": text, "arguments": text, "refusal": text, "annotation": {}, "name": "get",
            "response": {"output": [item], "usage": {"input_tokens": 1}, "error": null}})
    })
}

proptest! {
    #[test]
    fn whatever_comes_the_order_holds_and_it_can_be_written(events in prop::collection::vec(event(), 0..24)) {
        let events = read_all(upstream(), &events);
        check(&events);
        let written = write_all(asked(), &events);
        let mut again = Reader::new(upstream());
        let mut out = Vec::new();
        for event in &written {
            again.push(None, event.to_string().as_bytes(), &mut out);
        }
        again.finish(&mut out);
        check(&out);
    }

    #[test]
    fn no_bytes_make_it_panic(name in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), data in ".{0,40}") {
        let mut out = Vec::new();
        let mut reader = Reader::new(upstream());
        reader.push(name.as_deref(), data.as_bytes(), &mut out);
        reader.finish(&mut out);
        check(&out);
    }
}
