use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MAX_BYTES: usize = 64;

/// The data of every frame, and whether the last one is whole. The chunks are so long.
fn cut(framing: Framing, stream: &[u8], chunk_bytes: usize) -> Result<Vec<(String, bool)>, FrameTooLarge> {
    let mut splitter = Splitter::new(framing, MAX_BYTES);
    let mut frames = Vec::new();
    for chunk in stream.chunks(chunk_bytes) {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = splitter.next_frame()? {
            frames.push(frame);
        }
    }
    frames.extend(splitter.finish());
    let data = |frame: &Frame| String::from_utf8(frame.event().data.unwrap_or_default().into_owned()).unwrap();
    Ok(frames.iter().map(|frame| (data(frame), frame.is_terminated())).collect())
}

fn whole(text: &str) -> (String, bool) {
    (text.to_owned(), true)
}

#[test]
fn lines_are_frames_and_blank_ones_are_nothing() {
    let stream = b"{\"a\":1}\r\n\n  {\"b\":\"x y\"}\n{\"c\":";
    for chunk_bytes in 1..=stream.len() {
        let frames = cut(Framing::Lines, stream, chunk_bytes).unwrap();
        assert_eq!(frames, [whole(r#"{"a":1}"#), whole(r#"{"b":"x y"}"#), (r#"{"c":"#.to_owned(), false)], "{chunk_bytes}");
    }
}

#[test]
fn a_line_or_document_beyond_the_bound_is_an_error() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES));
    for framing in [Framing::Lines, Framing::Document, Framing::Marked, Framing::Events] {
        let cut = cut(framing, long.as_bytes(), long.len());
        assert_eq!(cut, Err(FrameTooLarge { limit_bytes: MAX_BYTES }), "{framing:?}");
    }
    assert!(cut(Framing::Lines, format!("{long}\n").as_bytes(), 3).is_err());
}

#[test]
fn a_document_is_one_frame_at_its_end() {
    let frames = cut(Framing::Document, b"{\n  \"a\": 1,\r\n  \"b\": 2\n}\n", 5).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&frames[0].0).unwrap(), json!({"a": 1, "b": 2}));
    assert!(cut(Framing::Document, b" \n ", 1).unwrap().is_empty());
}

#[test]
fn marked_events_are_told_with_text_and_meta() {
    let stream = "event:add\nid:1\ndata:say \"hi\"\n\nevent:add\ndata:\n\nevent:add\ndata:a\ndata:\n\n: ping\n\nevent:finish\ndata:!\nmeta:{\"usage\":{\"total_tokens\":3}}\n\n";
    for chunk_bytes in [1, 7, stream.len()] {
        let frames = cut(Framing::Marked, stream.as_bytes(), chunk_bytes).unwrap();
        let told: Vec<Value> = frames.iter().map(|(data, _)| serde_json::from_str(data).unwrap_or(Value::Null)).collect();
        assert_eq!(
            told,
            [
                json!({"event": "add", "data": "say \"hi\"", "meta": null}),
                json!({"event": "add", "data": "\n", "meta": null}),
                json!({"event": "add", "data": "a\n", "meta": null}),
                Value::Null,
                json!({"event": "finish", "data": "!", "meta": {"usage": {"total_tokens": 3}}}),
            ]
        );
    }
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_they_came(lines in prop::collection::vec("[a-z{}\"]{1,9}", 0..9), chunk_bytes in 1_usize..12) {
        let stream = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
        let expected: Vec<_> = lines.iter().map(|line| whole(line)).collect();
        prop_assert_eq!(cut(Framing::Lines, stream.as_bytes(), chunk_bytes), Ok(expected));
    }
}
