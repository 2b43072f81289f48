//! Upstreams that only stream, and callers that want no stream: one is asked for, and gathered.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::{Answer, Form, Incoming, Manner, Request, Sent, Site, Way};
use sluice_dialect::ir::Family;
use sluice_dialect::loss::LossPolicy;
use sluice_dialect::openai::{Content, Reported, StreamOptions};
use sluice_dialect::signature::Sealer;
use sluice_dialect::target::{Host, Options};

const SURFACES: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

fn site() -> Site {
    Site { sealer: Sealer::new(&[1; 32]), ids: IdMaker::new([7; 16]), now: 1_700_000_000, shows_usage: false }
}

/// A question of a caller that wants no stream.
fn question(surface: Surface) -> Request {
    let body = match surface {
        Surface::Responses => json!({"model": "ours", "input": "hi", "x_unknown": 1}),
        Surface::Messages => json!({"model": "ours", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}),
        Surface::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        _ => json!({"model": "ours", "messages": [{"role": "user", "content": "hi"}]}),
    };
    let is_gemini = surface == Surface::GenerateContent;
    let (model, form) = (is_gemini.then(|| "ours".into()), is_gemini.then_some(Form::Whole));
    Request::read(Incoming { surface, body: body.to_string().into(), model, form }, &site().sealer).unwrap()
}

/// What an upstream at a surface is sent.
fn sent(caller: Surface, upstream: Surface, streams_only: bool, manner: &Manner) -> Sent {
    let way = Way {
        surface: upstream,
        model: "ours",
        suffix: None,
        table: &Table::default(),
        family: Family::OpenAi,
        host: Host::Own,
        options: &Options { streams_only, ..Options::default() },
        output_limit: None,
        account: None,
        stream_options: StreamOptions::Force,
        losses: &LossPolicy::default(),
        manner,
    };
    question(caller).write(&way, &site()).unwrap()
}

fn events(all: &[Value]) -> Bytes {
    let event = |data: &Value| {
        let name = data["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {data}\n\n")
    };
    Bytes::from(all.iter().map(event).collect::<String>())
}

/// "Hello you." in pieces, with three tokens in and two out.
fn stream(surface: Surface) -> Bytes {
    let usage = json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5});
    match surface {
        Surface::Responses => {
            let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                              "content": [{"type": "output_text", "text": "Hello you.", "annotations": []}]});
            let delta = |text: &str| json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text});
            events(&[
                json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
                json!({"type": "response.output_item.added", "output_index": 0,
                       "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []}}),
                json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                       "part": {"type": "output_text", "text": ""}}),
                delta("Hello "),
                delta("you."),
                json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
                // Codex's own end says nothing of the output
                json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": [], "usage": usage}}),
            ])
        }
        Surface::Messages => {
            let delta =
                |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
            events(&[
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "ours",
                       "content": [], "stop_reason": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                delta("Hello "),
                delta("you."),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ])
        }
        Surface::GenerateContent => {
            let part =
                |text: &str| json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]});
            let last = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "you."}]}, "finishReason": "STOP", "index": 0}],
                              "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}});
            events(&[part("Hello "), last])
        }
        _ => {
            let chunk = |delta: Value, finish: Value| {
                json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "ours",
                       "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            let usage = json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "ours", "choices": [],
                               "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}});
            let mut text = events(&[
                chunk(json!({"role": "assistant", "content": "Hello "}), Value::Null),
                chunk(json!({"content": "you."}), Value::Null),
                chunk(json!({}), json!("stop")),
                usage,
            ])
            .to_vec();
            text.extend_from_slice(b"data: [DONE]\n\n");
            text.into()
        }
    }
}

/// What an answer in a dialect says.
fn said(surface: Surface, answer: &Value) -> String {
    let pointer = match surface {
        Surface::Responses => "/output/0/content/0/text",
        Surface::Messages => "/content/0/text",
        Surface::GenerateContent => "/candidates/0/content/parts/0/text",
        _ => "/choices/0/message/content",
    };
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn body_of(sent: &Sent) -> Value {
    serde_json::from_slice(&sent.body).unwrap()
}

#[test]
fn a_stream_is_asked_for_and_gathered_for_every_caller_and_every_upstream() {
    for caller in SURFACES {
        for upstream in SURFACES {
            let sent = sent(caller, upstream, true, &Manner::default());
            let says_it = upstream != Surface::GenerateContent;
            assert_eq!(body_of(&sent)["stream"], if says_it { json!(true) } else { Value::Null }, "{caller:?} on {upstream:?}");
            if upstream == Surface::ChatCompletions {
                assert_eq!(body_of(&sent)["stream_options"]["include_usage"], true, "{caller:?}");
            }
            assert!(sent.passage.is_streamed(false), "{caller:?} on {upstream:?}");
            let answer = Answer::read(stream(upstream), sent.passage, &[]).unwrap();
            let Reported::Counted(usage) = answer.usage() else { panic!("{caller:?} on {upstream:?}") };
            assert_eq!((usage.total_input(), usage.total_output()), (3, 2), "{caller:?} on {upstream:?}");
            let whole: Value = serde_json::from_slice(&answer.into_body()).unwrap();
            assert_eq!(said(caller, &whole), "Hello you.", "{caller:?} on {upstream:?}");
        }
    }
}

#[test]
fn nothing_changes_where_the_upstream_does_as_it_is_asked() {
    for surface in SURFACES {
        let sent = sent(surface, surface, false, &Manner::default());
        assert!(!sent.passage.is_streamed(false) && body_of(&sent).get("stream").is_none(), "{surface:?}");
    }
}

#[test]
fn a_body_that_passes_as_it_is_asks_for_the_stream_and_keeps_the_rest() {
    let manner = Manner { passes_body: true, ..Manner::default() };
    let sent = sent(Surface::Responses, Surface::Responses, true, &manner);
    assert_eq!(body_of(&sent), json!({"model": "ours", "input": "hi", "x_unknown": 1, "stream": true}));
    assert!(sent.passage.is_streamed(false));
}

#[test]
fn an_upstream_that_answers_in_one_piece_all_the_same_is_understood() {
    let answer = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "ours",
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Hello you.", "annotations": []}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}});
    let passage = sent(Surface::ChatCompletions, Surface::Responses, true, &Manner::default()).passage;
    let read = Answer::read(answer.to_string().into(), passage, &[]).unwrap();
    let whole: Value = serde_json::from_slice(&read.into_body()).unwrap();
    assert_eq!(said(Surface::ChatCompletions, &whole), "Hello you.");
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_an_error_in_whole() {
    let failed = events(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null}),
    ]);
    let whole = stream(Surface::Responses);
    let half = whole.slice(..whole.len() / 2);
    for (body, what) in [(failed, "slow down"), (half, "")] {
        let passage = sent(Surface::Responses, Surface::Responses, true, &Manner::default()).passage;
        let answer = Answer::read(body, passage, &[]).unwrap();
        let Content::Error(error) = answer.content() else { panic!("{what}: {:?}", answer.content()) };
        assert!(error.message.contains(what), "{error:?}");
    }
}
