//! The goldens of this dialect are read by its own readers.

use std::path::Path;

use serde_json::Value;
use sluice_domain::Dialect;

use sluice_dialect::call_id::IdMaker;
use sluice_dialect::codec::Reading;
use sluice_dialect::gemini::{request, response, stream};
use sluice_dialect::ir::{Event, Family};
use sluice_dialect::signature::Sealer;
use sluice_dialect::tool_name::ToolNames;

fn reading() -> Reading {
    Reading {
        family: Family::Google,
        account: None,
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    }
}

#[test]
fn every_golden_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gemini");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(golden["source"].is_string(), "{path:?}");
        if golden["request"].is_object() {
            let read = request::read(&golden["request"], "gemini-3-pro-preview", false, &Sealer::new(&[1; 32]));
            assert!(read.is_ok(), "{path:?}: {read:?}");
        }
        if golden["answer"].is_object() {
            let read = response::read(golden["answer"].to_string().as_bytes(), &mut reading());
            let is_error = golden["answer"]["error"].is_object();
            assert_eq!(read.is_err(), is_error, "{path:?}: {read:?}");
        }
        if let Some(lines) = golden["stream"].as_array() {
            let (mut reader, mut out) = (stream::Reader::new(reading()), Vec::new());
            for line in lines {
                reader.push(None, line.as_str().unwrap().as_bytes(), &mut out);
            }
            reader.finish(&mut out);
            let is_broken = lines.iter().any(|line| line.as_str().unwrap().contains("\"error\""));
            assert_eq!(matches!(out.last(), Some(Event::Error(_))), is_broken, "{path:?}: {out:?}");
        }
        count += 1;
    }
    assert!(count >= 8, "{count}");
}
