//! Every golden of the dialect is understood.

use serde_json::Value;
use sluice_domain::Dialect;

use sluice_dialect::call_id::IdMaker;
use sluice_dialect::codec::{AnswerError, Reading};
use sluice_dialect::ir::{Event, Family};
use sluice_dialect::responses::{request, response, stream};
use sluice_dialect::signature::Sealer;
use sluice_dialect::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::OpenAi,
        account: None,
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([1; 16]),
    }
}

#[test]
fn every_golden_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/responses");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if let Some(body) = golden.get("request") {
            let request = request::read(body, &Sealer::new(&[3; 32])).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!request.turns.is_empty(), "{name}");
        }
        if let Some(body) = golden.get("answer") {
            match response::read(body.to_string().as_bytes(), &mut reading()) {
                Ok(answer) => assert!(answer.usage.is_some() && !answer.choices[0].blocks.is_empty(), "{name}"),
                Err(error) => assert_eq!((error, name), (AnswerError::Reported, "error.json")),
            }
        }
        if let Some(events) = golden.get("stream").and_then(Value::as_array) {
            let (mut reader, mut out) = (stream::Reader::new(reading()), Vec::new());
            for event in events {
                let (head, data) = event.as_str().unwrap().split_once("\ndata: ").unwrap();
                reader.push(head.strip_prefix("event: ").map(str::as_bytes), data.as_bytes(), &mut out);
            }
            reader.finish(&mut out);
            assert_eq!(matches!(out.last(), Some(Event::Error(_))), name == "stream_failed.json", "{name}");
            assert!(out.iter().any(|event| matches!(event, Event::Usage(_))), "{name}");
        }
        count += 1;
    }
    assert!(count >= 8);
}
