//! What a caller's stream looks like.

use super::*;

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

/// Items are the same where they are announced, where they end, in their pieces and in the whole answer.
fn check_items(events: &[Value]) {
    let of = |kind: &str| events.iter().filter(|event| event["type"] == format!("response.{kind}")).collect::<Vec<_>>();
    let (added, done) = (of("output_item.added"), of("output_item.done"));
    let last = &events.last().unwrap()["response"];
    let output = last["output"].as_array().unwrap();
    assert_eq!((added.len(), done.len()), (output.len(), output.len()));
    for (number, item) in output.iter().enumerate() {
        assert_eq!((&added[number]["output_index"], &done[number]["output_index"]), (&json!(number), &json!(number)));
        assert_eq!((&added[number]["item"]["id"], &done[number]["item"]), (&item["id"], item));
        let pieces = events.iter().filter(|event| event["output_index"] == number && event.get("item_id").is_some());
        assert!(pieces.clone().all(|event| event["item_id"] == item["id"]));
    }
    assert_eq!(events[0]["response"]["id"], last["id"]);
}

#[test]
fn a_stream_with_everything() {
    let events = write_all(
        asked(),
        &[
            start(),
            begin(0, BlockStart::Thinking),
            thinking(0, "hm"),
            thinking(0, "!"),
            Event::Signed { choice: 0, block: 0, signature: signature(Family::Anthropic, None) },
            stop(0),
            begin(1, BlockStart::Text),
            text(1, "a"),
            text(1, "\n"),
            Event::Citation { choice: 0, block: 1, citation: json!({"type": "url_citation"}) },
            stop(1),
            begin(2, BlockStart::Text),
            text(2, "b"),
            stop(2),
            begin(3, call("call_1")),
            arguments(3, "{\"a\":"),
            arguments(3, "1}"),
            stop(3),
            begin(4, call("call_2")),
            stop(4),
            Event::Usage(Usage { input: 3, output: 2, ..Usage::default() }),
            finish(Finish::Tool),
            Event::End,
        ],
    );
    check_items(&events);
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.annotation.added",
            "output_text.done",
            "content_part.done",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    let last = &events.last().unwrap()["response"];
    assert_eq!(
        (&last["usage"]["total_tokens"], &last["status"], &last["model"]),
        (&json!(5), &json!("completed"), &json!("alias"))
    );
    assert_eq!(last["output"][1]["content"][0]["text"], "a\n");
    assert_eq!(last["output"][1]["content"][1]["text"], "b");
    assert_eq!(last["output"][3]["arguments"], "{}", "never empty");
    assert_eq!(last["output"][0]["encrypted_content"], asked().sealer.seal(&signature(Family::Anthropic, None)));
    assert_eq!(events[0]["response"]["status"], "in_progress");
}

#[test]
fn the_bytes_of_a_short_stream() {
    let mut writer = Writer::new(asked());
    let mut out = BytesMut::new();
    writer.push(&start(), &mut out);
    assert!(out.starts_with(
        b"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\","
    ));
    out.clear();
    writer.push(&begin(0, BlockStart::Text), &mut out);
    assert_eq!(out, "", "announced with its first piece");
    writer.push(&text(0, "ü"), &mut out);
    let id = IdMaker::new([2; 16]).make("msg_");
    let expected = [
        format!(
            "event: response.output_item.added\ndata: {{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,\"item\":{{\"id\":\"{id}\",\"type\":\"message\",\"status\":\"in_progress\",\"content\":[],\"role\":\"assistant\"}}}}\n\n"
        ),
        format!(
            "event: response.content_part.added\ndata: {{\"type\":\"response.content_part.added\",\"sequence_number\":3,\"item_id\":\"{id}\",\"output_index\":0,\"content_index\":0,\"part\":{{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}}}}\n\n"
        ),
        format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"{id}\",\"output_index\":0,\"content_index\":0,\"delta\":\"ü\",\"logprobs\":[]}}\n\n"
        ),
    ];
    assert_eq!(String::from_utf8(out.to_vec()).unwrap(), expected.concat());
}

#[test]
fn interleaved_calls_are_told_one_after_the_other() {
    let events = write_all(
        asked(),
        &[
            start(),
            begin(0, call("call_1")),
            begin(1, call("call_2")),
            arguments(0, "{\"a\""),
            arguments(1, "{\"b\""),
            stop(1),
            arguments(0, ":1}"),
            stop(0),
            finish(Finish::Tool),
            Event::End,
        ],
    );
    check_items(&events);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["arguments"], &output[1]["arguments"]), (&json!("{\"a\":1}"), &json!("{\"b\"")));
}

#[test]
fn a_cut_answer_does_not_look_complete() {
    let events = write_all(
        asked(),
        &[start(), begin(0, call("call_1")), arguments(0, "{\"a\""), stop(0), finish(Finish::Length), Event::End],
    );
    check_items(&events);
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["incomplete_details"]),
        (&json!("response.incomplete"), &json!({"reason": "max_output_tokens"}))
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    let events = write_all(asked(), &[start(), finish(Finish::MalformedCall), Event::End]);
    assert_eq!(kinds(&events), ["created", "in_progress", "failed"]);
}

#[test]
fn state_of_a_call_comes_before_it_and_a_refusal_is_a_part() {
    let whole = Some(Arguments::Object(serde_json::Map::new()));
    let events = write_all(
        asked(),
        &[
            start(),
            begin(0, BlockStart::Refusal),
            Event::Refusal { choice: 0, block: 0, text: "no".to_owned() },
            stop(0),
            begin(1, BlockStart::Redacted(signature(Family::OpenAi, None))),
            stop(1),
            begin(2, BlockStart::ToolCall { id: "call_1".to_owned(), name: "get".to_owned(), whole }),
            Event::Signed { choice: 0, block: 2, signature: signature(Family::Google, None) },
            stop(2),
            finish(Finish::Tool),
            Event::End,
        ],
    );
    check_items(&events);
    assert_eq!(
        kinds(&events)[2..8],
        ["output_item.added", "content_part.added", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",]
    );
    let output = events.last().unwrap()["response"]["output"].as_array().unwrap();
    let types: Vec<_> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["message", "reasoning", "reasoning", "function_call"]);
    assert_eq!(output[1]["encrypted_content"], "gAAA");
    assert_eq!(output[0]["content"], json!([{"type": "refusal", "refusal": "no"}]));
}

#[test]
fn a_tool_in_a_namespace_is_called_as_the_caller_knows_it() {
    let echo = json!({"tools": [{"type": "namespace", "name": "shop", "tools": [{"type": "function", "name": "get"}]}]});
    let begins = BlockStart::ToolCall { id: "call_1".to_owned(), name: "shop.get".to_owned(), whole: None };
    let events = write_all(
        Asked { echo: echo.as_object().cloned(), ..asked() },
        &[start(), begin(0, begins), arguments(0, "{}"), stop(0), finish(Finish::Tool), Event::End],
    );
    check_items(&events);
    let items = events.iter().filter_map(|event| event.get("item"));
    for item in items {
        assert_eq!((&item["namespace"], &item["name"]), (&json!("shop"), &json!("get")), "{item}");
    }
    let done = events.iter().find(|event| event["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!(done["name"], "get");
}

#[test]
fn custom_tools_and_pictures() {
    let echo = json!({"tools": [{"type": "custom", "name": "get"}]}).as_object().cloned();
    let picture = Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/png".to_owned(), data: bytes::Bytes::from_static(b"\x89PNG") },
        detail: None,
        title: None,
        cache: None,
    };
    let events = write_all(
        Asked { echo, ..asked() },
        &[
            start(),
            begin(0, media(picture)),
            stop(0),
            begin(1, call("call_1")),
            arguments(1, "{\"inp"),
            arguments(1, "ut\":\"x\"}"),
            stop(1),
            finish(Finish::Tool),
            Event::End,
        ],
    );
    check_items(&events);
    assert_eq!(
        kinds(&events)[2..],
        [
            "output_item.added",
            "output_item.done",
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(events[6]["input"], "x");
}

#[test]
fn reasoning_that_is_not_to_be_shown_is_sealed_or_nothing() {
    let said = [
        start(),
        begin(0, BlockStart::Thinking),
        thinking(0, "secret"),
        Event::Signed { choice: 0, block: 0, signature: signature(Family::OpenAi, None) },
        stop(0),
        finish(Finish::Stop),
        Event::End,
    ];
    for (wants_encrypted, items) in [(true, 1), (false, 0)] {
        let events = write_all(Asked { shows_reasoning: false, wants_encrypted, ..asked() }, &said);
        check_items(&events);
        assert_eq!(events.last().unwrap()["response"]["output"].as_array().unwrap().len(), items);
        assert!(!format!("{events:?}").contains("secret"));
    }
}

#[test]
fn failures_end_the_stream() {
    let raw = |text: &'static str| Some(bytes::Bytes::from_static(text.as_bytes()));
    let limited = r#"{"error":{"code":"rate_limit_exceeded","message":"slow down, key sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2"}}"#;
    let error = |raw| Event::Error(StreamError { raw, reason: "x" });
    let events = write_all(asked(), &[start(), begin(0, BlockStart::Text), text(0, "a"), error(raw(limited)), Event::End]);
    assert_eq!(kinds(&events).last(), Some(&"failed"));
    let answer = &events.last().unwrap()["response"];
    assert_eq!((&answer["status"], &answer["error"]["code"]), (&json!("failed"), &json!("rate_limit_exceeded")));
    assert!(!answer["error"]["message"].as_str().unwrap().contains("a1B2c3D4"), "keys are masked");
    let events = write_all(asked(), &[error(None)]);
    assert_eq!(
        events,
        [json!({"type": "error", "sequence_number": 0, "code": "server_error", "message": "the upstream failed", "param": null})]
    );
}
