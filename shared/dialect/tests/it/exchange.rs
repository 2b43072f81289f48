//! Requests and answers between every two surfaces of conversations: what passes is the same to the byte, what is written anew says the
//! same to a reader of the caller's dialect.

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::{Answer, Form, Incoming, Manner, Request, RequestError, Sent, Site, StreamMeter, Unwritable, Way};
use sluice_dialect::ir::Family;
use sluice_dialect::loss::LossPolicy;
use sluice_dialect::openai::{Content, Reported, StreamOptions, Summary, Verdict};
use sluice_dialect::signature::Sealer;
use sluice_dialect::sse::{Frame, Splitter};
use sluice_dialect::target::{Host, Options};

pub(crate) const SURFACES: [Surface; 4] =
    [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

pub(crate) fn folder_of(surface: Surface) -> &'static str {
    match surface {
        Surface::Responses => "responses",
        Surface::Messages => "messages",
        Surface::GenerateContent => "gemini",
        _ => "chat",
    }
}

/// The goldens of a surface that have a part, by file name.
pub(crate) fn goldens(surface: Surface, part: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder_of(surface));
    let mut goldens: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap()))
        .filter(|(_, golden)| !golden[part].is_null())
        .map(|(name, mut golden)| (name, golden[part].take()))
        .collect();
    goldens.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!goldens.is_empty(), "{surface:?} has no {part}");
    goldens
}

pub(crate) fn sealer() -> Sealer {
    Sealer::new(&[1; 32])
}

fn site() -> Site {
    Site { sealer: sealer(), ids: IdMaker::new([7; 16]), now: 1_700_000_000, shows_usage: true }
}

pub(crate) fn read(surface: Surface, body: impl Into<Bytes>, form: Form) -> Result<Request, RequestError> {
    let is_gemini = surface == Surface::GenerateContent;
    let (model, form) = (is_gemini.then(|| "gemini-2.5-pro".into()), is_gemini.then_some(form));
    Request::read(Incoming { surface, body: body.into(), model, form }, &sealer())
}

/// What an upstream at a surface is sent.
pub(crate) fn sent(request: &Request, surface: Surface, model: &str) -> Result<Sent, Unwritable> {
    let (options, losses, table) = (Options::default(), LossPolicy::default(), Table::default());
    let family = match surface {
        Surface::Messages => Family::Anthropic,
        Surface::GenerateContent => Family::Google,
        _ => Family::OpenAi,
    };
    let way = Way {
        surface,
        model,
        suffix: None,
        family,
        table: &table,
        host: Host::Own,
        options: &options,
        output_limit: None,
        account: None,
        stream_options: StreamOptions::Forward,
        losses: &losses,
        manner: &Manner::default(),
    };
    request.write(&way, &site())
}

/// A short question at a surface.
pub(crate) fn question(surface: Surface, streams: bool) -> Request {
    let body = match surface {
        Surface::Responses => json!({"model": "ours", "input": "hi", "stream": streams}),
        Surface::Messages => json!({
            "model": "ours", "max_tokens": 4096, "stream": streams, "thinking": {"type": "enabled", "budget_tokens": 2048},
            "messages": [{"role": "user", "content": "hi"}]
        }),
        Surface::GenerateContent => json!({
            "contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"thinkingConfig": {"includeThoughts": true}}
        }),
        _ => json!({"model": "ours", "messages": [{"role": "user", "content": "hi"}], "stream": streams}),
    };
    read(surface, body.to_string(), if streams { Form::Events } else { Form::Whole }).unwrap()
}

/// What became of a stream.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) has_failed: bool,
    /// The upstream's error, if that is how it ended.
    pub(crate) error: Option<Bytes>,
    pub(crate) summary: Summary,
    text: String,
}

pub(crate) fn follow(meter: StreamMeter, stream: &[u8]) -> Followed {
    follow_in(meter, stream, 7)
}

/// The same of a stream that comes in pieces of a size.
pub(crate) fn follow_in(mut meter: StreamMeter, stream: &[u8], size: usize) -> Followed {
    let (mut bytes, mut text, mut has_failed, mut error) = (Vec::new(), String::new(), false, None);
    let mut hear = |piece: &str| text.push_str(piece);
    let mut splitter = Splitter::new(1 << 20);
    for chunk in stream.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(chunk));
    }
    let mut frames = VecDeque::new();
    while let Some(frame) = splitter.next_frame().unwrap() {
        frames.push_back(frame);
    }
    frames.extend(splitter.finish().map(Frame::closed));
    while let Some(frame) = frames.pop_front() {
        match meter.observe(&frame, &mut hear) {
            Verdict::Forward => bytes.extend_from_slice(frame.bytes()),
            Verdict::Rewritten(anew) => bytes.extend_from_slice(&anew),
            Verdict::Withhold => {}
            Verdict::Done => {
                bytes.extend_from_slice(frame.bytes());
                break;
            }
            Verdict::DoneWith(last) => {
                bytes.extend_from_slice(&last);
                break;
            }
            Verdict::Error(raw) => {
                (has_failed, error) = (true, Some(raw));
                break;
            }
            Verdict::Malformed => {
                has_failed = true;
                break;
            }
            Verdict::Several(each) => each.into_iter().rev().for_each(|frame| frames.push_front(frame)),
        }
    }
    if !has_failed {
        bytes.extend(meter.close(&mut hear).unwrap_or_default());
    }
    Followed { bytes, has_failed, error, summary: meter.finish(), text }
}

pub(crate) fn stream_of(golden: &Value) -> Vec<u8> {
    let lines = golden.as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    lines
        .map(|line| if line.contains("data:") { format!("{}\n\n", line.trim_end()) } else { format!("data: {line}\n\n") })
        .collect::<String>()
        .into_bytes()
}

#[test]
fn requests_that_pass_are_the_same_to_the_byte() {
    for surface in SURFACES {
        for (name, golden) in goldens(surface, "request") {
            let body = serde_json::to_vec_pretty(&golden).unwrap();
            let request = read(surface, body.clone(), Form::Whole).unwrap_or_else(|error| panic!("{name}: {error}"));
            let model = request.facts().model.to_string();
            let same = sent(&request, surface, &model).unwrap();
            assert_eq!(same.body, body, "{name}");
            assert!(!same.passage.is_written() && same.dropped.is_empty());
            let mapped: Value = serde_json::from_slice(&sent(&request, surface, "theirs").unwrap().body).unwrap();
            let mut expected = golden;
            if surface != Surface::GenerateContent {
                expected["model"] = "theirs".into();
            }
            assert_eq!(mapped, expected, "{name}");
        }
    }
}

#[test]
fn of_a_field_written_twice_only_the_one_that_was_read_passes() {
    for (surface, body, place, number) in [
        (
            Surface::Messages,
            r#"{"model":"m","max_tokens":5,"x":1.50,"messages":[{"role":"user","content":"x"}],"max_tokens":9}"#,
            "max_tokens",
            9,
        ),
        (
            Surface::Responses,
            r#"{"max_output_tokens":50,"model":"m","x":1.50,"input":"x","max_output_tokens":90}"#,
            "max_output_tokens",
            90,
        ),
        (
            Surface::ChatCompletions,
            r#"{"model":"m","max_tokens":5,"x":1.50,"messages":[{"role":"user","content":"x"}],"max_tokens":9}"#,
            "max_tokens",
            9,
        ),
    ] {
        let request = read(surface, body, Form::Whole).unwrap();
        assert_eq!(request.facts().max_output, Some(number));
        let sent = String::from_utf8(sent(&request, surface, "m").unwrap().body.to_vec()).unwrap();
        assert!(sent.matches(place).count() == 1 && sent.contains("1.50"), "{sent}");
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()[place], number, "{sent}");
    }
    let twice = r#"{"contents":[{"parts":[{"text":"no"}]}],"contents":[{"parts":[{"text":"yes"}]}]}"#;
    let request = read(Surface::GenerateContent, twice, Form::Whole).unwrap();
    let sent = sent(&request, Surface::GenerateContent, "gemini-2.5-pro").unwrap().body;
    assert_eq!(&sent[..], br#"{"contents":[{"parts":[{"text":"yes"}]}]}"#);
}

#[test]
fn a_lower_limit_of_output_is_written_where_its_dialect_has_it() {
    let (options, losses, table) = (Options::default(), LossPolicy::default(), Table::default());
    for (surface, body, place) in [
        (Surface::Responses, json!({"model": "m", "input": "hi", "max_output_tokens": 900}), "/max_output_tokens"),
        (
            Surface::Messages,
            json!({"model": "m", "max_tokens": 900, "messages": [{"role": "user", "content": "x"}]}),
            "/max_tokens",
        ),
        (Surface::GenerateContent, json!({"contents": [{"parts": [{"text": "x"}]}]}), "/generationConfig/maxOutputTokens"),
        (
            Surface::GenerateContent,
            json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"maxOutputTokens": 900, "topP": 1}}),
            "/generationConfig/maxOutputTokens",
        ),
    ] {
        let request = read(surface, body.to_string(), Form::Whole).unwrap();
        let limited = |limit| {
            let way = Way {
                surface,
                model: "m",
                suffix: None,
                family: Family::OpenAi,
                table: &table,
                host: Host::Own,
                options: &options,
                output_limit: Some(limit),
                account: None,
                stream_options: StreamOptions::Forward,
                losses: &losses,
                manner: &Manner::default(),
            };
            serde_json::from_slice::<Value>(&request.write(&way, &site()).unwrap().body).unwrap()
        };
        assert_eq!(limited(70).pointer(place), Some(&json!(70)), "{surface:?}");
        let own = body.pointer(place).cloned().unwrap_or(json!(5_000));
        assert_eq!(limited(5_000).pointer(place), Some(&own), "{surface:?}: a higher one changes nothing");
    }
    let thinks = json!({
        "model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000},
        "messages": [{"role": "user", "content": "x"}]
    });
    let request = read(Surface::Messages, thinks.to_string(), Form::Whole).unwrap();
    for (limit, thinking) in [
        (5_000, json!({"type": "enabled", "budget_tokens": 4000})),
        (2_000, json!({"type": "enabled", "budget_tokens": 1999})),
        (1_000, json!({"type": "disabled"})),
    ] {
        let way = Way {
            surface: Surface::Messages,
            model: "m",
            suffix: None,
            family: Family::Anthropic,
            table: &table,
            host: Host::Own,
            options: &options,
            output_limit: Some(limit),
            account: None,
            stream_options: StreamOptions::Forward,
            losses: &losses,
            manner: &Manner::default(),
        };
        let body: Value = serde_json::from_slice(&request.write(&way, &site()).unwrap().body).unwrap();
        assert_eq!((&body["max_tokens"], &body["thinking"]), (&json!(limit), &thinking));
    }
}

#[test]
fn streams_that_pass_are_the_same_to_the_byte_and_tell_their_usage() {
    for surface in SURFACES {
        for (name, golden) in goldens(surface, "stream") {
            let stream = stream_of(&golden);
            let request = question(surface, true);
            let model = request.facts().model.to_string();
            let followed = follow(StreamMeter::new(sent(&request, surface, &model).unwrap().passage, true, None), &stream);
            if followed.has_failed {
                assert!(name.contains("error") || name.contains("failed"), "{name}: {followed:?}");
                continue;
            }
            assert!(followed.summary.is_complete, "{name}: {followed:?}");
            assert!(stream.starts_with(&followed.bytes), "{name}");
            assert!(!followed.text.is_empty() || !followed.summary.saw_output, "{name}: {followed:?}");
        }
    }
}

#[test]
fn streams_that_are_written_anew_say_the_same_in_the_callers_dialect() {
    let mut told = 0;
    for upstream in SURFACES {
        for (name, golden) in goldens(upstream, "stream") {
            let stream = stream_of(&golden);
            for caller in SURFACES.into_iter().filter(|caller| *caller != upstream) {
                let request = question(caller, true);
                let passage = sent(&request, upstream, "theirs").unwrap().passage;
                assert!(passage.is_written());
                let there = follow(StreamMeter::new(passage, true, None), &stream);
                let own = sent(&request, caller, request.facts().model.as_str()).unwrap().passage;
                if there.has_failed {
                    assert!(name.contains("error") || name.contains("failed"), "{name} for {caller:?}: {there:?}");
                    continue;
                }
                let here = follow(StreamMeter::new(own, true, None), &there.bytes);
                let shown = String::from_utf8_lossy(&there.bytes);
                assert!(there.summary.is_complete && here.summary.is_complete, "{name} for {caller:?}: {shown}");
                assert_eq!(here.summary.saw_output, there.summary.saw_output, "{name} for {caller:?}: {shown}");
                if let (Reported::Counted(theirs), Reported::Counted(ours)) = (there.summary.usage, here.summary.usage) {
                    told += 1;
                    assert_eq!(ours.total_input(), theirs.total_input(), "{name} for {caller:?}: {shown}");
                    assert_eq!(ours.total_output(), theirs.total_output(), "{name} for {caller:?}: {shown}");
                }
            }
        }
    }
    assert!(told >= 15, "{told} streams told their usage");
}

#[test]
fn answers_say_the_same_in_every_dialect_and_pass_as_they_are_in_their_own() {
    let mut told = 0;
    for upstream in SURFACES {
        for (name, golden) in goldens(upstream, "answer") {
            let body = Bytes::from(serde_json::to_vec_pretty(&golden).unwrap());
            for caller in SURFACES {
                let request = question(caller, false);
                let (model, is_same) = (request.facts().model.to_string(), caller == upstream);
                let upstream_model = if is_same { &*model } else { "theirs" };
                let passage = sent(&request, upstream, upstream_model).unwrap().passage;
                let there = Answer::read(body.clone(), passage, &[]).unwrap();
                let (usage, finish) = (there.usage(), there.finish());
                if matches!(there.content(), Content::Error(_)) {
                    assert!(name.contains("error"), "{name} for {caller:?}");
                    continue;
                }
                let has_output = matches!(there.content(), Content::Output);
                let written = there.into_body();
                if is_same {
                    assert_eq!(written, body, "{name}");
                    continue;
                }
                let own = sent(&request, caller, &model).unwrap().passage;
                let here = Answer::read(written.clone(), own, &[]).unwrap();
                let shown = String::from_utf8_lossy(&written);
                if matches!(here.content(), Content::Error(_)) {
                    // a call that cannot be read is a failure of the answer, in the one dialect that has such answers
                    assert!(name.contains("malformed") && caller == Surface::Responses, "{name} for {caller:?}: {shown}");
                    continue;
                }
                if has_output {
                    assert_eq!(here.finish().is_some(), finish.is_some(), "{name} for {caller:?}: {shown}");
                }
                if let (Reported::Counted(theirs), Reported::Counted(ours)) = (usage, here.usage()) {
                    told += 1;
                    assert_eq!(ours.total_input(), theirs.total_input(), "{name} for {caller:?}: {shown}");
                    assert_eq!(ours.total_output(), theirs.total_output(), "{name} for {caller:?}: {shown}");
                }
            }
        }
    }
    assert!(told >= 60, "{told} answers told their usage");
}

#[test]
fn a_stream_that_breaks_off_is_never_complete() {
    for upstream in SURFACES {
        for (name, golden) in goldens(upstream, "stream") {
            let stream = stream_of(&golden);
            let whole = {
                let request = question(upstream, true);
                let model = request.facts().model.to_string();
                follow(StreamMeter::new(sent(&request, upstream, &model).unwrap().passage, true, None), &stream)
            };
            if whole.has_failed {
                continue;
            }
            for caller in SURFACES {
                let request = question(caller, true);
                let model = if caller == upstream { request.facts().model.to_string() } else { "theirs".to_owned() };
                let half = &stream[..stream.len() / 3];
                let followed = follow(StreamMeter::new(sent(&request, upstream, &model).unwrap().passage, true, None), half);
                assert!(followed.has_failed || !followed.summary.is_complete, "{name} for {caller:?}: {followed:?}");
            }
        }
    }
}

#[test]
fn the_callers_name_of_the_model_stands_in_what_passes() {
    let stream = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"theirs\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n";
    let request = question(Surface::Messages, true);
    let passage = sent(&request, Surface::Messages, "theirs").unwrap().passage;
    let followed = follow(StreamMeter::new(passage, true, None), stream);
    let shown = String::from_utf8(followed.bytes).unwrap();
    assert!(shown.contains(r#""model":"ours""#) && !shown.contains("theirs"), "{shown}");
}

#[test]
fn a_body_with_an_envelope_of_ours_is_written_anew_and_shows_the_providers_own_state() {
    let state =
        sluice_dialect::ir::Signature { family: Family::Anthropic, account: None, item: None, value: "c2lnbmF0dXJl".to_owned() };
    let body = json!({
        "model": "claude-opus-4-6", "max_tokens": 4096, "container": "box", "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": sealer().seal(&state)},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]}
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}]
    });
    let request = read(Surface::Messages, body.to_string(), Form::Whole).unwrap();
    let sent = sent(&request, Surface::Messages, "claude-opus-4-6").unwrap();
    assert!(sent.passage.is_written());
    let written: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(written["messages"][1]["content"][0]["signature"], "c2lnbmF0dXJl", "{written}");
    assert_eq!(written["container"], "box", "what only this dialect has stays");
    assert!(!written.to_string().contains("slc1."));
}

#[test]
fn wrong_fields_are_named_in_every_dialect() {
    for (surface, body, code, param) in [
        (Surface::Messages, json!({"model": "m", "max_tokens": "many", "messages": []}), "invalid_request", "max_tokens"),
        (Surface::Messages, json!({"max_tokens": 1, "messages": []}), "missing_model", "model"),
        (Surface::Responses, json!({"model": "m", "input": 7}), "invalid_request", "input"),
        (Surface::GenerateContent, json!({"contents": "hi"}), "invalid_request", "contents"),
    ] {
        let error = read(surface, body.to_string(), Form::Whole).unwrap_err();
        assert_eq!((error.code(), error.param().as_deref()), (code, Some(param)), "{surface:?}: {error}");
        assert!(!error.to_string().contains("many"));
    }
    assert_eq!(read(Surface::Messages, "[]", Form::Whole).unwrap_err().code(), "invalid_json");
}

#[test]
fn a_word_that_only_the_callers_dialect_knows_passes_and_is_refused_elsewhere() {
    let body = json!({
        "model": "claude-next", "max_tokens": 900, "stream": true, "thinking": {"type": "dreaming"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "one two three"}]}]
    });
    let request = read(Surface::Messages, body.to_string(), Form::Whole).unwrap();
    let facts = request.facts();
    assert_eq!((facts.model.as_str(), facts.stream, facts.max_output), ("claude-next", true, Some(900)));
    let mut text = String::new();
    request.visit_prompt(&mut |piece| text.push_str(piece));
    assert!(text.contains("one two three"), "{text}");
    assert_eq!(sent(&request, Surface::Messages, "claude-next").unwrap().body, body.to_string());
    let refused = sent(&request, Surface::ChatCompletions, "theirs").unwrap_err();
    assert!(matches!(&refused, Unwritable::Body(error) if error.path == "thinking.type"), "{refused}");
}
