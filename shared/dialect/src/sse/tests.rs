use proptest::prelude::*;

use super::*;

type Fields = (Option<Vec<u8>>, Option<Vec<u8>>);
type Seen = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn seen(frame: &Frame) -> Seen {
    let event = frame.event();
    (frame.bytes().to_vec(), event.name.map(<[u8]>::to_vec), event.data.map(Cow::into_owned))
}

/// All frames of a stream that arrives in the given chunks, and whether the last one was ended.
fn split(chunks: &[&[u8]]) -> (Vec<Seen>, bool) {
    let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
    let mut frames = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = splitter.next_frame().unwrap() {
            assert!(frame.is_terminated());
            frames.push(seen(&frame));
        }
    }
    let last = splitter.finish();
    frames.extend(last.iter().map(seen));
    (frames, last.is_none_or(|frame| frame.is_terminated()))
}

fn data(frames: &[Seen]) -> Vec<String> {
    frames.iter().filter_map(|(_, _, data)| data.as_deref().map(|d| String::from_utf8_lossy(d).into_owned())).collect()
}

/// The events of a stream by the letter of the standard, from the whole text at once.
fn by_the_standard(stream: &[u8]) -> Vec<Fields> {
    let text = stream.strip_prefix(BOM).unwrap_or(stream);
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut current = (None, None::<String>);
    for line in text.split('\n') {
        if line.is_empty() {
            events.push(std::mem::take(&mut current));
        } else if let Some(value) = line.strip_prefix("data:").or(if line == "data" { Some("") } else { None }) {
            let value = value.strip_prefix(' ').unwrap_or(value);
            current.1 = Some(current.1.map_or_else(|| value.to_owned(), |before| before + "\n" + value));
        } else if let Some(value) = line.strip_prefix("event:").or(if line == "event" { Some("") } else { None }) {
            current.0 = Some(value.strip_prefix(' ').unwrap_or(value).to_owned());
        }
    }
    events.push(current);
    events
        .into_iter()
        .filter(|(name, data)| name.is_some() || data.is_some())
        .map(|(name, data)| (name.map(String::into_bytes), data.map(String::into_bytes)))
        .collect()
}

const STREAMS: &[&[u8]] = &[
    b"data: {\"a\":1}\n\ndata: [DONE]\n\n",
    b"event: ping\r\ndata: {}\r\n\r\n: comment\r\n\r\ndata:no space\r\n\r\n",
    b"data: one\rdata: two\r\rdata: three\r\r",
    b"\xEF\xBB\xBFdata: after a mark\n\ndata: next\n\n",
    b"\xEF\xBB\xBF\n\ndata: x\n\n",
    b"data: mixed\r\r\ndata: ends\n\r\ndata: here\r\n\r",
    "data: gr\u{fc}\u{df} dich \u{1f600}\n\n\n\ndata\n\nid: 1\nretry: 5\n\n".as_bytes(),
    b"data: no end",
    b"",
];

#[test]
fn frames_carry_their_terminator_name_and_data() {
    let (frames, is_whole) = split(&[STREAMS[1]]);
    assert!(is_whole);
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].0, b"event: ping\r\ndata: {}\r\n\r\n");
    assert_eq!(frames[0].1.as_deref(), Some(&b"ping"[..]));
    assert_eq!(frames[1].2, None);
    assert_eq!(data(&frames), ["{}", "no space"]);
}

#[test]
fn several_data_lines_are_one_event() {
    let (frames, _) = split(&[b"data: one\ndata:\ndata:  two\n\n"]);
    assert_eq!(data(&frames), ["one\n\n two"]);
}

#[test]
fn a_frame_that_ends_in_lf_is_given_without_waiting_for_more() {
    for stream in [&b"data: x\n\n"[..], b"data: x\r\n\r\n", b"data: x\r\r"] {
        let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
        splitter.push(Bytes::copy_from_slice(stream));
        let frame = splitter.next_frame().unwrap().unwrap();
        assert_eq!(frame.bytes(), stream);
    }
}

#[test]
fn a_stream_that_stops_inside_a_frame_gives_it_as_unfinished() {
    let (frames, is_whole) = split(&[b"data: x\n\ndata: y\n"]);
    assert_eq!(data(&frames), ["x", "y"]);
    assert!(!is_whole);
    assert!(split(&[b"data: x\r\n\r"]).1);
}

#[test]
fn a_whole_frame_is_not_copied() {
    let chunk = Bytes::from_static(b"data: x\n\ndata: y\n\n");
    let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
    splitter.push(chunk.clone());
    let frame = splitter.next_frame().unwrap().unwrap();
    assert_eq!(frame.bytes().as_ptr(), chunk.as_ptr());
}

#[test]
fn a_frame_over_the_bound_is_refused_however_it_arrives() {
    let stream = b"data: 12\n\ndata: 123\n\n";
    for size in 1..=stream.len() {
        let mut splitter = Splitter::new(10);
        let mut frames = 0;
        let refused = stream.chunks(size).any(|chunk| {
            splitter.push(Bytes::copy_from_slice(chunk));
            loop {
                match splitter.next_frame() {
                    Ok(Some(_)) => frames += 1,
                    Ok(None) => break false,
                    Err(error) => break error == FrameTooLarge { limit_bytes: 10 },
                }
            }
        });
        assert!(refused && frames == 1, "chunks of {size}");
    }
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same_frames() {
    for stream in STREAMS {
        let whole = split(&[stream]);
        let joined: Vec<u8> = whole.0.iter().flat_map(|(bytes, _, _)| bytes.clone()).collect();
        assert_eq!(&joined, stream);
        for cut in 0..=stream.len() {
            assert_eq!(split(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
        assert_eq!(split(&stream.chunks(1).collect::<Vec<_>>()), whole);
    }
}

#[test]
fn events_are_those_of_the_standard() {
    for stream in STREAMS {
        let events: Vec<_> = split(&[stream]).0.into_iter().map(|(_, name, data)| (name, data)).collect();
        let events: Vec<_> = events.into_iter().filter(|(name, data)| name.is_some() || data.is_some()).collect();
        assert_eq!(events, by_the_standard(stream), "{:?}", String::from_utf8_lossy(stream));
    }
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop::sample::select(vec!["data", "event", ":", " ", "x", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "{\"a\":1}", "é"]);
    let start = prop::sample::select(vec!["", "\u{feff}"]);
    (start, prop::collection::vec(piece, 0..40)).prop_map(|(start, pieces)| (start.to_owned() + &pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn any_rechunking_gives_identical_frames(stream in any_stream(), sizes in prop::collection::vec(1_usize..7, 1..60)) {
        let mut rest = &stream[..];
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        let whole = split(&[&stream]);
        let joined: Vec<u8> = whole.0.iter().flat_map(|(bytes, _, _)| bytes.clone()).collect();
        prop_assert_eq!(&joined, &stream);
        prop_assert_eq!(split(&chunks), whole);
    }

    #[test]
    fn any_stream_gives_the_events_of_the_standard(stream in any_stream()) {
        let events: Vec<_> = split(&[&stream]).0.into_iter().map(|(_, name, data)| (name, data)).collect();
        let events: Vec<_> = events.into_iter().filter(|(name, data)| name.is_some() || data.is_some()).collect();
        prop_assert_eq!(events, by_the_standard(&stream));
    }
}

#[test]
fn a_closed_frame_keeps_what_follows_out_wherever_the_stream_was_cut() {
    for stream in STREAMS {
        for cut in 0..=stream.len() {
            let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
            splitter.push(Bytes::copy_from_slice(&stream[..cut]));
            let mut sent = Vec::new();
            while let Some(frame) = splitter.next_frame().unwrap() {
                sent.extend_from_slice(frame.bytes());
            }
            sent.extend(splitter.finish().map(Frame::closed).into_iter().flat_map(Frame::into_bytes));
            sent.extend_from_slice(b"data: end\n\n");
            let last = by_the_standard(&sent).pop();
            assert_eq!(last, Some((None, Some(b"end".to_vec()))), "{:?} cut at {cut}", String::from_utf8_lossy(stream));
        }
    }
}
