use std::path::Path;

use serde_json::Value;
use sluice_domain::Dialect;

use super::*;
use crate::call_id::IdMaker;
use crate::frames::Splitter;
use crate::ir::{Event, Family, order};
use crate::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::Compatible,
        account: None,
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    }
}

/// The events of every stream golden, each with its vendor and name.
fn streams() -> Vec<(Vendor, String, Vec<String>)> {
    let mut streams = Vec::new();
    for vendor in Vendor::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vendor").join(vendor.as_str());
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let lines = golden["stream"].as_array().cloned().unwrap_or_default();
            let lines = lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect();
            streams.push((vendor, path.display().to_string(), lines));
        }
    }
    streams
}

fn events(vendor: Vendor, pieces: &[&[u8]]) -> Vec<Event> {
    let mut splitter = Splitter::new(vendor.framing(), 1 << 20);
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece));
    }
    let mut frames = Vec::new();
    while let Some(frame) = splitter.next_frame().unwrap() {
        frames.push(frame);
    }
    frames.extend(splitter.finish());
    let (mut reader, mut events) = (Reader::new(vendor, reading()), Vec::new());
    for frame in &frames {
        let event = frame.event();
        if let Some(data) = event.data {
            reader.push(event.name, &data, &mut events);
        }
    }
    reader.finish(&mut events);
    events
}

#[test]
fn streams_keep_their_order_wherever_they_break_off() {
    for (vendor, name, lines) in streams() {
        let stream = lines.concat();
        for cut in (0..=stream.len()).step_by(11) {
            let events = events(vendor, &[&stream.as_bytes()[..cut]]);
            order::check(&events).unwrap_or_else(|broken| panic!("{name}, cut behind {cut}: {broken}"));
        }
    }
}

#[test]
fn streams_keep_their_order_whichever_event_is_lost_or_comes_twice() {
    for (vendor, name, lines) in streams() {
        let pieces: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        for place in 0..pieces.len() {
            let (mut without, mut twice) = (pieces.clone(), pieces.clone());
            without.remove(place);
            twice.insert(place, pieces[place]);
            for (how, pieces) in [("lost", without), ("twice", twice)] {
                let events = events(vendor, &pieces);
                order::check(&events).unwrap_or_else(|broken| panic!("{name}, event {place} {how}: {broken}"));
            }
        }
    }
}

#[test]
fn words_of_metrics_are_each_vendors_own() {
    let words: std::collections::BTreeSet<&str> = Vendor::ALL.iter().map(|vendor| vendor.as_str()).collect();
    assert_eq!(words.len(), Vendor::ALL.len());
}

#[test]
fn what_is_no_error_stays_as_it_is() {
    for vendor in Vendor::ALL {
        for body in [&b"{}"[..], b"not json", b"[1]"] {
            assert_eq!(vendor.error_body(body).as_ref(), body, "{vendor:?}");
        }
    }
}
