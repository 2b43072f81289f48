//! Streams cut at every byte, with every kind of line end, and bodies that nobody would write.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Form, StreamMeter, Unwritable};
use sluice_dialect::sse::{Frame, Splitter};

use crate::exchange::{SURFACES, follow_in, goldens, question, read, sent, stream_of};

/// Everything a stream says: the name and the data of each event.
type Events = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let (mut splitter, mut frames) = (Splitter::new(1 << 20), Vec::new());
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    frames.extend(splitter.finish());
    frames
}

fn events(pieces: &[&[u8]]) -> Events {
    let event = |frame: &Frame| {
        let event = frame.event();
        (event.name.map(<[u8]>::to_vec), event.data.map(|data| data.to_vec()))
    };
    frames(pieces).iter().map(event).collect()
}

fn streams() -> impl Iterator<Item = (Surface, String, Vec<u8>)> {
    SURFACES
        .into_iter()
        .flat_map(|surface| goldens(surface, "stream").into_iter().map(move |(name, golden)| (surface, name, stream_of(&golden))))
}

#[test]
fn every_golden_stream_cut_at_every_byte_is_the_same_events() {
    for (_, name, stream) in streams() {
        let whole = events(&[&stream]);
        assert!(!whole.is_empty(), "{name}");
        for cut in 0..=stream.len() {
            assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole, "{name} cut at {cut}");
        }
        assert_eq!(events(&stream.chunks(1).collect::<Vec<_>>()), whole, "{name} byte by byte");
    }
}

#[test]
fn every_golden_stream_is_the_same_for_every_caller_however_it_comes() {
    for (surface, name, stream) in streams() {
        for caller in SURFACES {
            let passage = sent(&question(caller, true), surface, "theirs").unwrap().passage;
            let run = |size| {
                let followed = follow_in(StreamMeter::new(passage.clone(), true, None), &stream, size);
                (followed.bytes, followed.has_failed, followed.summary.is_complete, followed.summary.usage)
            };
            let whole = run(stream.len());
            for size in [1, 7, 1009] {
                assert_eq!(run(size), whole, "{name} for {caller:?} in pieces of {size}");
            }
        }
    }
}

#[test]
fn every_golden_stream_means_the_same_with_every_kind_of_line_end() {
    for (_, name, stream) in streams() {
        let text = String::from_utf8(stream).unwrap();
        let whole = events(&[text.as_bytes()]);
        assert_eq!(events(&[format!("\u{feff}{text}").as_bytes()]), whole, "{name} behind a byte order mark");
        let close = text.replace("\ndata: ", "\ndata:").replace("event: ", "event:");
        assert_eq!(events(&[close.as_bytes()]), whole, "{name} without spaces");
        assert_eq!(events(&[text.replace('\n', "\r\n").as_bytes()]), whole, "{name} with CRLF");
        assert_eq!(events(&[text.replace('\n', "\r").as_bytes()]), whole, "{name} with CR");
    }
}

#[test]
fn a_golden_stream_that_ends_anywhere_is_never_taken_for_a_whole_one() {
    for (surface, name, stream) in streams() {
        let run = |end: usize| {
            let passage = sent(&question(surface, true), surface, "theirs").unwrap().passage;
            follow_in(StreamMeter::new(passage, true, None), &stream[..end], 4096)
        };
        let whole = run(stream.len());
        // a stream whose last frame lacks only line ends is whole, and one may be whole before its last word
        let last = stream.windows(2).enumerate().filter(|(_, pair)| *pair == b"\n\n").map(|(at, _)| at).rev().nth(1);
        for end in (0..last.unwrap_or(0)).step_by(13) {
            let cut = run(end);
            let looks_whole = cut.summary.is_complete && !cut.has_failed;
            let is_behind_the_finish = {
                let text = String::from_utf8_lossy(&stream[..end]);
                [
                    "finish_reason\":\"",
                    "finish_reason\": \"",
                    "stop_reason\":\"",
                    "stop_reason\": \"",
                    "finishReason",
                    "response.completed",
                ]
                .iter()
                .any(|word| text.contains(word))
            };
            assert!(!looks_whole || is_behind_the_finish || whole.has_failed, "{name} cut at {end}: {cut:?}");
        }
    }
}

/// Whatever a body is: it is read, or refused with a code and, unless it is no JSON at all, the path of a field.
fn judge(surface: Surface, body: &[u8]) {
    let request = match read(surface, body.to_vec(), Form::Whole) {
        Ok(request) => request,
        Err(error) => {
            assert!(!error.code().is_empty());
            let has_path = error.param().is_some_and(|path| !path.is_empty());
            assert!(has_path || error.code() == "invalid_json" || !error.to_string().is_empty(), "{surface:?}: {error}");
            return;
        }
    };
    let mut ignored = |_: &str| {};
    let _ = request.visit_prompt(&mut ignored);
    for upstream in SURFACES {
        match sent(&request, upstream, "theirs") {
            Ok(sent) => {
                let body: Value = serde_json::from_slice(&sent.body).unwrap();
                assert!(body.is_object());
            }
            Err(Unwritable::Unsupported(refused)) => assert!(!refused.path.is_empty()),
            Err(Unwritable::Body(error)) => assert!(!error.path.is_empty(), "{error}"),
            Err(Unwritable::NoWay) => panic!("{surface:?} has no way to {upstream:?}"),
        }
    }
}

/// Values that have no business where they are put.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, 7, "x", {}, []])),
        Just(json!({"type": "text", "text": 7, "content": {"parts": [3]}})),
        Just(json!("x".repeat(10_000))),
        Just(json!(1e300)),
    ]
}

/// Puts a value somewhere into another.
fn put(value: &mut Value, mut at: usize, odd: Value) {
    let mut place = value;
    loop {
        let len = match place {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if len == 0 || at > 0 && at.is_multiple_of(5) {
            *place = odd;
            return;
        }
        let index = at % len;
        at = at / len + 1;
        place = match place {
            Value::Array(items) => &mut items[index],
            Value::Object(fields) => fields.values_mut().nth(index).unwrap(),
            _ => return,
        };
    }
}

fn bodies(surface: Surface) -> Vec<Value> {
    goldens(surface, "request").into_iter().map(|(_, golden)| golden).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_a_request_or_refused_in_every_dialect(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for surface in SURFACES {
            judge(surface, &bytes);
        }
    }

    #[test]
    fn a_request_with_anything_anywhere_is_read_or_refused_by_name(
        which in any::<prop::sample::Index>(), spots in prop::collection::vec((any::<u32>(), odd()), 1..4),
    ) {
        for surface in SURFACES {
            let mut body = which.get(&bodies(surface)).clone();
            for (at, odd) in spots.clone() {
                put(&mut body, at as usize, odd);
            }
            judge(surface, body.to_string().as_bytes());
        }
    }

    #[test]
    fn a_request_with_changed_bytes_is_read_or_refused(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(), is_cut in any::<bool>(),
    ) {
        for surface in SURFACES {
            let mut body = which.get(&bodies(surface)).to_string().into_bytes();
            for (at, byte) in &changes {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            if is_cut {
                body.truncate(end.index(body.len()));
            }
            judge(surface, &body);
        }
    }

    #[test]
    fn any_bytes_in_any_pieces_are_frames_that_add_up(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..300), size in 1_usize..40,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let joined: Vec<u8> = frames(&pieces).iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        prop_assert_eq!(&joined, &bytes);
        prop_assert_eq!(events(&pieces), events(&[&bytes]));
        for caller in SURFACES {
            for upstream in SURFACES {
                let passage = sent(&question(caller, true), upstream, "theirs").unwrap().passage;
                let _ = follow_in(StreamMeter::new(passage, true, None), &bytes, size);
            }
        }
    }
}

#[test]
fn bodies_of_endless_depth_are_refused_before_they_are_built() {
    for surface in SURFACES {
        for open in ["[", "{\"a\":", "{\"messages\":[", "{\"contents\":[{\"parts\":["] {
            let error = read(surface, open.repeat(100_000).into_bytes(), Form::Whole).unwrap_err();
            assert_eq!(error.code(), "invalid_json", "{surface:?}: {error}");
        }
    }
}
