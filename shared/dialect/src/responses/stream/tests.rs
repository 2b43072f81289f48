//! Streams, both ways.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::{Dialect, Usage};

use super::{Reader, Writer};
use crate::call_id::IdMaker;
use crate::codec::{Asked, Reading};
use crate::ir::*;
use crate::signature::Sealer;
use crate::tool_name::ToolNames;

mod reading;
mod writing;

fn upstream() -> Reading {
    Reading {
        family: Family::OpenAi,
        account: Some(7),
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([1; 16]),
    }
}

fn asked() -> Asked {
    Asked {
        model: "alias".to_owned(),
        created: 1_700_000_000,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: true,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([2; 16]),
        sealer: Sealer::new(&[3; 32]),
    }
}

fn read_all(reading: Reading, events: &[Value]) -> Vec<Event> {
    let mut reader = Reader::new(reading);
    let mut out = Vec::new();
    for event in events {
        reader.push(event.get("type").and_then(Value::as_str).map(str::as_bytes), event.to_string().as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    out
}

/// The events of a written stream, each checked for its frame, its name and its number.
fn write_all(asked: Asked, events: &[Event]) -> Vec<Value> {
    let mut writer = Writer::new(asked);
    let mut out = BytesMut::new();
    for event in events {
        writer.push(event, &mut out);
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    let frames = text.split_terminator("\n\n").zip(0..);
    let events = frames.map(|(frame, number)| {
        let (name, data) = frame.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&event["type"], &event["sequence_number"]), (&json!(name.strip_prefix("event: ").unwrap()), &json!(number)));
        event
    });
    events.collect()
}

fn start() -> Event {
    Event::Start { id: "resp_1".to_owned(), model: "gpt".to_owned(), created: Some(5) }
}

fn begin(block: u32, start: BlockStart) -> Event {
    Event::BlockStart { choice: 0, block, start }
}

fn text(block: u32, text: &str) -> Event {
    Event::Text { choice: 0, block, text: text.to_owned(), logprobs: Vec::new() }
}

fn thinking(block: u32, text: &str) -> Event {
    Event::Thinking { choice: 0, block, text: text.to_owned() }
}

fn arguments(block: u32, json: &str) -> Event {
    Event::Arguments { choice: 0, block, json: json.to_owned() }
}

fn call(id: &str) -> BlockStart {
    BlockStart::ToolCall { id: id.to_owned(), name: "get".to_owned(), whole: None }
}

fn stop(block: u32) -> Event {
    Event::BlockStop { choice: 0, block }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish, stop_sequence: None }
}

fn signature(family: Family, item: Option<&str>) -> Signature {
    Signature { family, account: Some(7), item: item.map(ToOwned::to_owned), value: "gAAA".to_owned() }
}

/// Whether events keep to the order that [`Event`] promises.
fn check(events: &[Event]) {
    let mut next = 0;
    let mut open = std::collections::BTreeMap::new();
    let mut has_finished = false;
    for (number, event) in events.iter().enumerate() {
        let is_last = number + 1 == events.len();
        match event {
            Event::Start { .. } => assert_eq!(number, 0),
            Event::BlockStart { block, start, .. } => {
                assert!(*block == next && !has_finished, "{events:?}");
                next += 1;
                let is_call = matches!(start, BlockStart::ToolCall { .. });
                assert!(open.values().all(|other| *other && is_call), "{events:?}");
                open.insert(*block, is_call);
            }
            Event::BlockStop { block, .. } => assert!(open.remove(block).is_some(), "{events:?}"),
            Event::Text { block, text: piece, .. }
            | Event::Thinking { block, text: piece, .. }
            | Event::Refusal { block, text: piece, .. }
            | Event::Arguments { block, json: piece, .. } => {
                assert!(open.contains_key(block) && !piece.is_empty(), "{events:?}");
            }
            Event::Signed { block, .. } | Event::Citation { block, .. } => assert!(open.contains_key(block), "{events:?}"),
            Event::Finish { .. } => {
                assert!(open.is_empty() && !has_finished, "{events:?}");
                has_finished = true;
            }
            Event::Usage(_) => {}
            Event::End => assert!(is_last && has_finished, "{events:?}"),
            Event::Error(_) => assert!(is_last, "{events:?}"),
        }
    }
    assert!(matches!(events.last(), Some(Event::End | Event::Error(_))), "{events:?}");
    assert!(matches!(events.first(), Some(Event::Start { .. } | Event::Error(_))), "{events:?}");
}
