use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::*;
use crate::call_id::IdMaker;
use crate::codec::{Asked, Reading};
use crate::gemini::arbitrary;
use crate::ir::*;
use crate::signature::Sealer;
use crate::tool_name::ToolNames;

mod read;
mod write;

fn reader() -> Reader {
    Reader::new(Reading {
        family: Family::Google,
        account: None,
        client: Dialect::Anthropic,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([1; 16]),
    })
}

fn asked(is_sse: bool) -> Asked {
    Asked {
        model: "m".to_owned(),
        created: 7,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: false,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse,
        echo: None,
        ids: IdMaker::new([2; 16]),
        sealer: Sealer::new(&[9; 32]),
    }
}

fn events(chunks: &[Value]) -> Vec<Event> {
    let (mut reader, mut out) = (reader(), Vec::new());
    for chunk in chunks {
        reader.push(None, chunk.to_string().as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    out
}

fn chunk(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}}], "responseId": "r1", "modelVersion": "g"})
}

fn last() -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]})
}

fn own(value: &str) -> Signature {
    Signature { family: Family::Google, account: None, item: None, value: value.to_owned() }
}

fn start() -> Event {
    Event::Start { id: "r1".to_owned(), model: "g".to_owned(), created: None }
}

fn begin(block: u32, start: BlockStart) -> Event {
    Event::BlockStart { choice: 0, block, start }
}

fn stop(block: u32) -> Event {
    Event::BlockStop { choice: 0, block }
}

fn said(block: u32, text: &str) -> Event {
    Event::Text { choice: 0, block, text: text.to_owned(), logprobs: vec![] }
}

fn thought(block: u32, text: &str) -> Event {
    Event::Thinking { choice: 0, block, text: text.to_owned() }
}

fn finished(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish, stop_sequence: None }
}

fn bytes(asked: Asked, events: &[Event]) -> String {
    let (mut writer, mut out) = (Writer::new(asked), BytesMut::new());
    for event in events {
        writer.push(event, &mut out);
    }
    String::from_utf8(out.to_vec()).unwrap()
}

/// Whether events are in the order that [`Event`] promises.
fn check_order(events: &[Event]) -> Result<(), TestCaseError> {
    use std::collections::{BTreeMap, BTreeSet};
    let (mut open, mut next, mut finished) = (BTreeSet::new(), BTreeMap::<u32, u32>::new(), BTreeSet::new());
    let starts = matches!(events.first(), Some(Event::Start { .. }));
    prop_assert!(starts);
    prop_assert!(matches!(events.last(), Some(Event::End | Event::Error(_))));
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start { .. } => prop_assert_eq!(at, 0),
            Event::End | Event::Error(_) => prop_assert_eq!(at, events.len() - 1),
            Event::BlockStart { choice, block, .. } => {
                prop_assert_eq!(*next.entry(*choice).or_default(), *block);
                next.insert(*choice, block + 1);
                prop_assert!(!finished.contains(choice) && !open.iter().any(|(other, _)| other == choice));
                open.insert((*choice, *block));
            }
            Event::BlockStop { choice, block } => prop_assert!(open.remove(&(*choice, *block))),
            Event::Text { choice, block, text, .. } | Event::Thinking { choice, block, text } => {
                prop_assert!(!text.is_empty() && open.contains(&(*choice, *block)));
            }
            Event::Finish { choice, .. } => {
                prop_assert!(finished.insert(*choice) && !open.iter().any(|(other, _)| other == choice));
            }
            Event::Signed { choice, block, .. } | Event::Citation { choice, block, .. } => {
                prop_assert!(open.contains(&(*choice, *block)));
            }
            Event::Arguments { .. } | Event::Refusal { .. } | Event::Usage(_) => {}
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_stream_is_read_in_order_and_written_well_formed(
        values in prop::collection::vec(arbitrary::value(), 0..6),
        parts in prop::collection::vec(arbitrary::value(), 0..6),
        ends in any::<bool>(),
    ) {
        let (mut reader, mut out) = (reader(), Vec::new());
        reader.push(None, chunk(&Value::Array(parts)).to_string().as_bytes(), &mut out);
        for value in values {
            reader.push(None, value.to_string().as_bytes(), &mut out);
        }
        if ends {
            reader.push(None, last().to_string().as_bytes(), &mut out);
        }
        reader.finish(&mut out);
        check_order(&out)?;
        prop_assert!(serde_json::from_str::<Vec<Value>>(&bytes(asked(false), &out)).is_ok());
        let sse = bytes(asked(true), &out);
        let are_events = sse.lines().all(|line| line.is_empty() || line.starts_with("data: {"));
        prop_assert!(are_events);
    }
}
