//! The goldens, read and written within the dialect.

use std::path::Path;

use serde_json::{Map, Value};
use sluice_domain::Dialect;

use super::*;
use crate::call_id::IdMaker;
use crate::codec::{AnswerError, Asked, Reading};
use crate::ir::{Block, Event, Family};
use crate::loss::{LossPolicy, Losses};
use crate::signature::Sealer;
use crate::target::{Capabilities, Host, Options, Target};
use crate::tool_name::ToolNames;

fn goldens() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/messages");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = files.map(|path| {
        let golden = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), golden)
    });
    read.collect()
}

fn sealer() -> Sealer {
    Sealer::new(&[1; 32])
}

fn reading() -> Reading {
    Reading {
        family: Family::Anthropic,
        account: None,
        client: Dialect::Anthropic,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    }
}

fn asked(model: &str) -> Asked {
    Asked {
        model: model.to_owned(),
        created: 0,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: false,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([0; 16]),
        sealer: sealer(),
    }
}

#[test]
fn requests_come_back_as_they_went() {
    let (capabilities, policy) = (Capabilities::default(), LossPolicy::default());
    let options = Options { marks_cache: false, ..Options::default() };
    let target = Target {
        model: "m",
        family: Family::Anthropic,
        host: Host::Own,
        capabilities: &capabilities,
        options: &options,
        output_limit: None,
        account: None,
    };
    let mut seen = 0;
    for (name, golden) in goldens() {
        let Some(body) = golden.get("request") else { continue };
        let read = request::read(body, &sealer()).unwrap();
        let mut losses = Losses::new(Dialect::Anthropic, Dialect::Anthropic, &policy);
        let written = Value::Object(request::write(&read, &target, &mut losses).unwrap().body);
        let again = request::read(&written, &sealer()).unwrap();
        assert_eq!((&again.turns, &again.system, &again.tools), (&read.turns, &read.system, &read.tools), "{name}");
        assert_eq!((&again.tool_choice, &again.output, &again.stop), (&read.tool_choice, &read.output, &read.stop), "{name}");
        assert_eq!((again.reasoning.mode, again.reasoning.effort), (read.reasoning.mode, read.reasoning.effort), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn answers_come_back_as_they_went() {
    for (name, golden) in goldens() {
        let Some(answer) = golden.get("answer") else { continue };
        let response = match response::read(answer.to_string().as_bytes(), &mut reading()) {
            Err(error) => {
                assert_eq!((name.as_str(), error), ("error", AnswerError::Reported));
                continue;
            }
            Ok(response) => response,
        };
        let written = response::write(&response, &mut asked(&response.model));
        assert_eq!(response::read(&written, &mut reading()).unwrap(), response, "{name}");
    }
}

#[test]
fn streams_come_back_as_they_went() {
    for (name, golden) in goldens() {
        let Some(events) = golden.get("stream").and_then(Value::as_array) else { continue };
        let (mut reader, mut read) = (stream::Reader::new(reading()), Vec::new());
        for event in events {
            let (kind, data) = event.as_str().unwrap().split_once("\ndata: ").unwrap();
            reader.push(kind.strip_prefix("event: ").map(str::as_bytes), data.as_bytes(), &mut read);
        }
        reader.finish(&mut read);
        let is_whole = name != "stream_error";
        assert_eq!(matches!(read.last(), Some(Event::End)), is_whole, "{name}");
        if !is_whole {
            continue;
        }
        let (mut writer, mut wire) = (stream::Writer::new(asked("m")), bytes::BytesMut::new());
        for event in &read {
            writer.push(event, &mut wire);
        }
        let (mut reader, mut again) = (stream::Reader::new(reading()), Vec::new());
        for event in std::str::from_utf8(&wire).unwrap().split_terminator("\n\n") {
            let (_, data) = event.split_once("\ndata: ").unwrap();
            reader.push(None, data.as_bytes(), &mut again);
        }
        let said = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| !matches!(event, Event::Start { .. } | Event::Usage(_))).cloned().collect()
        };
        let last_usage = |events: &[Event]| {
            events.iter().rev().find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None })
        };
        assert_eq!((said(&again), last_usage(&again)), (said(&read), last_usage(&read)), "{name}");
    }
}

#[test]
fn goldens_name_their_source_and_hold_every_kind_of_block() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, golden) in goldens() {
        let fields = golden.as_object().map(Map::len).unwrap_or_default();
        assert!(golden["source"].as_str().unwrap().starts_with("https://docs.anthropic.com/") && fields > 1, "{name}");
        let Some(body) = golden.get("request") else { continue };
        let read = request::read(body, &sealer()).unwrap();
        kinds.extend(read.turns.into_iter().flat_map(|turn| turn.blocks).map(|block| match block {
            Block::Text { .. } => "text",
            Block::Media { .. } => "media",
            Block::Thinking { .. } => "thinking",
            Block::Redacted { .. } => "redacted",
            Block::ToolCall { .. } => "call",
            Block::ToolResult { .. } => "result",
            Block::Refusal { .. } | Block::Native { .. } => "other",
        }));
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["call", "media", "redacted", "result", "text", "thinking"]);
}
