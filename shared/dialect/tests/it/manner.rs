//! What channels do to requests and answers beside carrying them.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::{Answer, Form, Incoming, Instructions, Manner, Rank, Request, Sent, Site, StreamMeter, Way};
use sluice_dialect::ir::Family;
use sluice_dialect::loss::{Field, LossPolicy};
use sluice_dialect::openai::{StreamOptions, Verdict};
use sluice_dialect::signature::Sealer;
use sluice_dialect::sse::Splitter;
use sluice_dialect::target::{Host, Options};

const SURFACES: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

fn site() -> Site {
    Site { sealer: Sealer::new(&[1; 32]), ids: IdMaker::new([7; 16]), now: 1_700_000_000, shows_usage: false }
}

fn request(surface: Surface, body: impl Into<Bytes>) -> Request {
    let is_gemini = surface == Surface::GenerateContent;
    let (model, form) = (is_gemini.then(|| "ours".into()), is_gemini.then_some(Form::Whole));
    Request::read(Incoming { surface, body: body.into(), model, form }, &site().sealer).unwrap()
}

/// What an upstream at a surface is sent by a channel of a manner.
fn sent(request: &Request, surface: Surface, manner: &Manner) -> Sent {
    let way = Way {
        surface,
        model: "ours",
        suffix: None,
        table: &Table::default(),
        family: Family::OpenAi,
        host: Host::Own,
        options: &Options { emulates_stop: true, ..Options::default() },
        output_limit: None,
        account: None,
        stream_options: StreamOptions::Force,
        losses: &LossPolicy::default(),
        manner,
    };
    request.write(&way, &site()).unwrap()
}

fn json_of(sent: &Sent) -> Value {
    serde_json::from_slice(&sent.body).unwrap()
}

/// A question at a surface that says who it is for, with instructions of the caller's.
fn question(surface: Surface) -> Value {
    match surface {
        Surface::Responses => json!({"model": "ours", "instructions": "Theirs.", "input": "hi", "service_tier": "auto"}),
        Surface::Messages => json!({
            "model": "ours", "max_tokens": 50, "system": "Theirs.", "service_tier": "auto",
            "messages": [{"role": "user", "content": "hi"}]
        }),
        Surface::GenerateContent => json!({
            "systemInstruction": {"parts": [{"text": "Theirs."}]}, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]
        }),
        _ => json!({
            "model": "ours", "service_tier": "auto",
            "messages": [{"role": "system", "content": "Theirs."}, {"role": "user", "content": "hi"}]
        }),
    }
}

/// What a body tells the model to be, in the dialect of a surface.
fn instructions(surface: Surface, body: &Value) -> String {
    let pointer = match surface {
        Surface::Responses => "/instructions",
        Surface::Messages => "/system",
        Surface::GenerateContent => "/systemInstruction/parts",
        _ => "/messages/0/content",
    };
    match body.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().map(|part| part["text"].as_str().unwrap_or_default()).collect::<Vec<_>>().join("\n")
        }
        other => panic!("{other:?} in {body}"),
    }
}

#[test]
fn instructions_of_a_channel_reach_every_upstream_from_every_caller() {
    for caller in SURFACES {
        let asked = request(caller, question(caller).to_string());
        for upstream in SURFACES {
            for (rank, expected) in [(Rank::Fill, "Theirs."), (Rank::Prepend, "Ours.\nTheirs."), (Rank::Replace, "Ours.")] {
                let own = Instructions { text: "Ours.".to_owned(), rank };
                let manner = Manner { instructions: Some(own), ..Manner::default() };
                let body = json_of(&sent(&asked, upstream, &manner));
                assert_eq!(instructions(upstream, &body), expected, "{caller:?} on {upstream:?}: {body}");
            }
        }
    }
}

#[test]
fn fields_that_a_channel_leaves_out_are_named_and_nothing_else_changes() {
    let manner = Manner { left_out: vec!["service_tier", "safety_identifier"], ..Manner::default() };
    for caller in [Surface::ChatCompletions, Surface::Responses, Surface::Messages] {
        let asked = request(caller, question(caller).to_string());
        for upstream in SURFACES {
            let sent = sent(&asked, upstream, &manner);
            assert!(json_of(&sent).get("service_tier").is_none(), "{caller:?} on {upstream:?}");
            assert!(sent.dropped.contains(&"service_tier"), "{caller:?} on {upstream:?}: {:?}", sent.dropped);
        }
    }
    let body = r#"{"model":"ours",  "messages":[{"role":"user","content":"hi"}], "x" : 1e400 }"#;
    let unchanged = sent(&request(Surface::ChatCompletions, body), Surface::ChatCompletions, &manner);
    assert_eq!((unchanged.body, unchanged.dropped), (Bytes::from(body), vec![]));
}

#[test]
fn the_callers_bytes_pass_as_they_are_where_a_channel_wants_that() {
    let manner = Manner {
        passes_body: true,
        left_out: vec!["service_tier"],
        instructions: Some(Instructions { text: "Ours.".to_owned(), rank: Rank::Replace }),
        ..Manner::default()
    };
    for surface in SURFACES {
        let mut body = question(surface);
        if surface == Surface::ChatCompletions {
            body["stream"] = true.into();
        }
        let body = body.to_string();
        assert_eq!(sent(&request(surface, body.clone()), surface, &manner).body, body, "{surface:?}");
    }
}

fn answer(caller: Surface, manner: &Manner, body: &Value) -> Value {
    let passage = sent(&request(caller, question(caller).to_string()), caller, manner).passage;
    let answer = Answer::read(body.to_string().into(), passage, &[]).unwrap();
    serde_json::from_slice(&answer.into_body()).unwrap()
}

/// What a caller of Chat gets of a stream, event by event.
fn streamed(passage: sluice_dialect::exchange::Passage, stream: &str) -> (Vec<Value>, bool) {
    let mut meter = StreamMeter::new(passage, false, None);
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(Bytes::from(stream.to_owned()));
    let (mut out, mut is_done) = (Vec::new(), false);
    while let Ok(Some(frame)) = splitter.next_frame() {
        match meter.observe(&frame, &mut |_| ()) {
            Verdict::Forward => out.extend_from_slice(frame.bytes()),
            Verdict::Rewritten(bytes) => out.extend_from_slice(&bytes),
            Verdict::DoneWith(bytes) => {
                out.extend_from_slice(&bytes);
                is_done = true;
                break;
            }
            Verdict::Done => {
                is_done = true;
                break;
            }
            _ => {}
        }
    }
    let text = String::from_utf8(out).unwrap();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    (events.map(|data| serde_json::from_str(data).unwrap()).collect(), is_done)
}

fn said(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn answers_hold_nothing_beyond_their_dialect_where_a_channel_wants_that() {
    let manner = Manner { rewrites_answers: true, ..Manner::default() };
    let theirs = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "ours", "vendor": {"x": 1},
        "choices": [{"index": 0, "finish_reason": "stop", "vendor": 1, "message": {"role": "assistant", "content": "Hi.", "mood": 2}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    });
    assert_eq!(answer(Surface::ChatCompletions, &Manner::default(), &theirs), theirs);
    let ours = answer(Surface::ChatCompletions, &manner, &theirs);
    assert!(!ours.to_string().contains("vendor") && !ours.to_string().contains("mood"), "{ours}");
    assert_eq!((&ours["choices"][0]["message"]["content"], &ours["usage"]["total_tokens"]), (&json!("Hi."), &json!(5)));

    let body = r#"{"model":"ours",  "stream":true, "messages":[{"role":"user","content":"hi"}], "stream_options":{"include_usage":true}}"#;
    let sent = sent(&request(Surface::ChatCompletions, body), Surface::ChatCompletions, &manner);
    assert_eq!(sent.body, body, "only the answer is written anew");
    let piece =
        json!({"id": "1", "vendor": 1, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi.", "mood": 2}}]});
    let last = json!({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let (events, is_done) = streamed(sent.passage, &format!("data: {piece}\n\ndata: {last}\n\ndata: [DONE]\n\n"));
    assert!(is_done && events.iter().all(|event| !event.to_string().contains("mood") && !event.to_string().contains("vendor")));
    assert_eq!(said(&events), "Hi.");
}

#[test]
fn reasoning_becomes_content_for_callers_of_chat_alone() {
    let manner = Manner { thinking_to_content: true, ..Manner::default() };
    let theirs = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "ours",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."}}],
    });
    let ours = answer(Surface::ChatCompletions, &manner, &theirs);
    assert_eq!(ours["choices"][0]["message"]["content"], "<think>\nTwo and two.\n</think>\n\nFour.");
    assert!(ours["choices"][0]["message"].get("reasoning_content").is_none());

    let body = json!({"model": "ours", "stream": true, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let passage = sent(&request(Surface::ChatCompletions, body), Surface::ChatCompletions, &manner).passage;
    let delta = |delta: Value| format!("data: {}\n\n", json!({"id": "1", "choices": [{"index": 0, "delta": delta}]}));
    let stream = [
        delta(json!({"role": "assistant", "reasoning_content": "Two "})),
        delta(json!({"reasoning_content": "and two."})),
        delta(json!({"content": "Four."})),
        format!("data: {}\n\n", json!({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let (events, _) = streamed(passage, &stream.concat());
    assert_eq!(said(&events), "<think>\nTwo and two.\n</think>\n\nFour.");
    assert!(events.iter().all(|event| !event.to_string().contains("reasoning")), "{events:?}");

    let messages = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "ours", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "text", "text": "y"}],
        "usage": {"input_tokens": 1, "output_tokens": 1}
    });
    assert_eq!(answer(Surface::Messages, &manner, &messages), messages, "its bytes pass");
}

#[test]
fn an_answer_ends_at_a_text_that_its_upstream_cannot_be_told_of() {
    let body = |stream| {
        let asked = json!({"model": "ours", "stream": stream, "stop": ["END"], "messages": [{"role": "user", "content": "hi"}]});
        request(Surface::ChatCompletions, asked.to_string())
    };
    let sent = |stream| sent(&body(stream), Surface::Responses, &Manner::default());
    assert!(json_of(&sent(false)).get("stop").is_none());
    let message = |text: &str| {
        json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
    };
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "ours",
        "status": status, "output": output, "usage": {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12}})
    };

    let whole = response("completed", json!([message("one END two")]));
    let answer = Answer::read(whole.to_string().into(), sent(false).passage, &[]).unwrap();
    let told: Value = serde_json::from_slice(&answer.into_body()).unwrap();
    assert_eq!(
        (&told["choices"][0]["message"]["content"], &told["choices"][0]["finish_reason"]),
        (&json!("one "), &json!("stop"))
    );

    let event = |name: &str, mut data: Value| {
        data["type"] = name.into();
        format!("event: {name}\ndata: {data}\n\n")
    };
    let delta = |text: &str| {
        let data = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text});
        event("response.output_text.delta", data)
    };
    let stream = [
        event("response.created", json!({"response": response("in_progress", json!([]))})),
        event(
            "response.output_item.added",
            json!({"output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "content": []}}),
        ),
        event(
            "response.content_part.added",
            json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}}),
        ),
        delta("one E"),
        delta("ND two"),
        delta(" three"),
    ];
    let (events, is_done) = streamed(sent(true).passage, &stream.concat());
    assert_eq!((said(&events).as_str(), is_done), ("one ", true));
    let finish = events.iter().find_map(|event| event["choices"][0]["finish_reason"].as_str());
    assert_eq!(finish, Some("stop"));
}

#[test]
fn a_channel_names_losses_by_words() {
    let policy = LossPolicy { reject: Field::from_word("seed").into_iter().collect(), ..LossPolicy::default() };
    let body = json!({"model": "ours", "seed": 1, "messages": [{"role": "user", "content": "hi"}]});
    let asked = request(Surface::ChatCompletions, body.to_string());
    let way = Way {
        surface: Surface::Messages,
        model: "ours",
        suffix: None,
        table: &Table::default(),
        family: Family::Anthropic,
        host: Host::Own,
        options: &Options::default(),
        output_limit: None,
        account: None,
        stream_options: StreamOptions::Forward,
        losses: &policy,
        manner: &Manner::default(),
    };
    assert!(asked.write(&way, &site()).unwrap_err().to_string().starts_with("`seed`"));
}
