//! The goldens of this dialect, and bodies that nobody would send.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::{request, response, sample, stream};
use crate::ir::{Block, Event, Family};
use crate::loss::{LossPolicy, Losses};
use crate::target::{Capabilities, Options};

fn goldens() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/chat");
    let files = std::fs::read_dir(folder).unwrap();
    let read = |path: std::path::PathBuf| {
        let golden = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.display().to_string(), golden)
    };
    let mut goldens: Vec<_> = files.map(|file| read(file.unwrap().path())).collect();
    goldens.sort_by(|one, other| one.0.cmp(&other.0));
    goldens
}

fn events(lines: &[Value]) -> Vec<Event> {
    let mut reader = stream::Reader::new(sample::reading());
    let mut out = Vec::new();
    for line in lines {
        reader.push(None, line.as_str().unwrap().as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    out
}

/// A block as its provider wrote it, of what a caller got.
fn open(block: &mut Block) {
    let signature = match block {
        Block::Text { signature, .. } | Block::Thinking { signature, .. } | Block::ToolCall { signature, .. } => {
            signature.as_mut()
        }
        Block::Redacted { signature } => Some(signature),
        _ => None,
    };
    if let Some(signature) = signature {
        *signature = sample::sealer().open(&signature.value).unwrap();
    }
}

#[test]
fn every_golden_is_read_and_written_again() {
    let goldens = goldens();
    assert!(goldens.len() >= 8);
    for (path, golden) in goldens {
        assert!(golden["source"].is_string(), "{path}");
        if let Some(body) = golden.get("request") {
            let read = request::read(body, &sample::sealer()).unwrap();
            let (capabilities, options, policy) = (Capabilities::default(), Options::default(), LossPolicy::default());
            let family = if path.ends_with("thinking_and_tools.json") { Family::Compatible } else { Family::OpenAi };
            let target = sample::target(family, &capabilities, &options);
            let mut losses = Losses::new(Dialect::OpenAi, Dialect::OpenAi, &policy);
            let written = request::write(&read, &target, &mut losses).unwrap();
            let again = request::read(&Value::Object(written.body), &sample::sealer()).unwrap();
            let (mut expected, mut got) = (read.clone(), again);
            for request in [&mut expected, &mut got] {
                request.model.clear();
                request.cache_key = None;
                request.native.clear();
                request.extra.clear();
                request.reasoning.effort = request.reasoning.effort.filter(|_| read.reasoning.budget.is_none());
                request.reasoning.budget = None;
            }
            assert_eq!(got, expected, "{path}");
        }
        if let Some(body) = golden.get("answer").filter(|body| body.get("error").is_none()) {
            let read = response::read(body.to_string().as_bytes(), &mut sample::reading()).unwrap();
            let written = response::write(&read, &mut sample::asked());
            let mut again = response::read(&written, &mut sample::reading()).unwrap();
            again.choices.iter_mut().flat_map(|choice| &mut choice.blocks).for_each(open);
            assert_eq!((again.choices, again.usage), (read.choices, read.usage), "{path}");
        }
        if let Some(lines) = golden.get("stream").and_then(Value::as_array) {
            let events = events(lines);
            assert_eq!(sample::disorder(&events), None, "{path}");
            let is_error = path.ends_with("error.json");
            assert_eq!(events.last() == Some(&Event::End), !is_error, "{path}");
        }
    }
}

/// Keys that mean something, so that chance finds the readers' branches.
const KEYS: [&str; 46] = [
    "choices",
    "delta",
    "message",
    "index",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "finish_reason",
    "usage",
    "reasoning_content",
    "reasoning_details",
    "type",
    "text",
    "signature",
    "data",
    "refusal",
    "messages",
    "role",
    "tools",
    "model",
    "error",
    "image_url",
    "url",
    "file",
    "file_data",
    "input_audio",
    "format",
    "response_format",
    "json_schema",
    "schema",
    "thinking",
    "reasoning",
    "stop",
    "tool_choice",
    "allowed_tools",
    "audio",
    "images",
    "annotations",
    "logprobs",
    "extra_content",
    "google",
    "thought_signature",
    "prompt_tokens",
];
const WORDS: [&str; 24] = [
    "",
    "user",
    "assistant",
    "system",
    "tool",
    "function",
    "text",
    "image_url",
    "file",
    "input_audio",
    "reasoning.text",
    "reasoning.encrypted",
    "stop",
    "tool_calls",
    "length",
    "data:image/png;base64,AAAA",
    "<think>",
    "</think>",
    "call_1",
    "f",
    "{\"a\":",
    "1}",
    "json_schema",
    "allowed_tools",
];

fn arbitrary() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..4).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&KEYS[..]), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Deltas that look like some.
fn delta() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(&WORDS[..]);
    let call = (prop::option::of(0_u64..3), word(), word(), word()).prop_map(
        |(index, id, name, arguments)| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}}),
    );
    let delta = prop_oneof![
        word().prop_map(|text| json!({"content": text})),
        word().prop_map(|text| json!({"reasoning_content": text})),
        word().prop_map(|text| json!({"refusal": text})),
        prop::collection::vec(call, 0..3).prop_map(|calls| json!({"tool_calls": calls})),
        Just(
            json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"}]})
        ),
        Just(json!({"extra_content": {"google": {"thought_signature": "s"}}})),
        arbitrary(),
    ];
    let finish = prop_oneof![9 => Just(Value::Null), 1 => Just(json!("stop"))];
    (0_u32..2, delta, finish)
        .prop_map(|(index, delta, finish)| json!({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}))
}

proptest! {
    #[test]
    fn nobody_panics_about_a_body(body in arbitrary()) {
        let _ = response::read(body.to_string().as_bytes(), &mut sample::reading());
        let _ = response::read(json!({"choices": [{"message": body}]}).to_string().as_bytes(), &mut sample::reading());
        for body in [body.clone(), json!({"model": "m", "messages": [body]}), json!({"model": "m", "messages": [{"role": "user", "content": [body]}]})] {
            let Ok(request) = request::read(&body, &sample::sealer()) else { continue };
            let (capabilities, options, policy) = (Capabilities::default(), Options::default(), LossPolicy::default());
            let target = sample::target(Family::Compatible, &capabilities, &options);
            let _ = request::write(&request, &target, &mut Losses::new(Dialect::OpenAi, Dialect::OpenAi, &policy));
        }
    }

    #[test]
    fn events_keep_their_order_whatever_comes(
        deltas in prop::collection::vec(prop_oneof![9 => delta(), 1 => arbitrary()], 0..12),
        is_done in any::<bool>(),
        answers_by_tool in any::<bool>(),
    ) {
        let mut reader = stream::Reader::new(crate::codec::Reading { answers_by_tool, ..sample::reading() });
        let mut out = Vec::new();
        for delta in &deltas {
            reader.push(None, delta.to_string().as_bytes(), &mut out);
        }
        if is_done {
            reader.push(None, b"[DONE]", &mut out);
        }
        reader.finish(&mut out);
        prop_assert_eq!(sample::disorder(&out), None);
        let mut writer = stream::Writer::new(sample::asked());
        let mut bytes = bytes::BytesMut::new();
        for event in &out {
            writer.push(event, &mut bytes);
        }
        for frame in std::str::from_utf8(&bytes).unwrap().split_terminator("\n\n") {
            let data = frame.strip_prefix("data: ").unwrap();
            prop_assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok(), "{}", data);
        }
    }
}
