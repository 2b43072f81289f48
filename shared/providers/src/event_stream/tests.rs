use proptest::prelude::*;

use super::*;

/// Made by another implementation.
const CHUNK: &str = "000000850000004bfd2a78930d3a6d6573736167652d747970650700056576656e740b3a6576656e742d747970650700056368756e6b0d3a636f\
6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b226279746573223a2265794a306558426c496a6f6963476c755a794a39222c2270223a22616263\
227da14cd657";

pub(super) fn text(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![u8::try_from(name.len()).unwrap()];
    header.extend_from_slice(name.as_bytes());
    header.push(7);
    header.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
    header.extend_from_slice(value.as_bytes());
    header
}

pub(super) fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = PRELUDE + headers.len() + payload.len() + CHECKSUM;
    let mut frame = u32::try_from(total).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    decoder.push(bytes, &mut frames)?;
    decoder.finish().map(|()| frames)
}

#[test]
fn a_chunk_of_another_implementation_is_read() {
    let frames = decode(&hex::decode(CHUNK).unwrap()).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].header(":content-type"), Some("application/json"));
    assert_eq!(frames[0].event_type(), Some("chunk"));
    assert_eq!(frames[0].chunk().as_deref(), Some(br#"{"type":"ping"}"#.as_slice()));
    assert_eq!(frames[0].exception(), None);
    assert!(!format!("{:?}", frames[0]).contains("bytes\":"));
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let mut bytes = hex::decode(CHUNK).unwrap();
    bytes.extend(frame(&[], b""));
    bytes.extend(frame(&text(":message-type", "event"), b"{}"));
    let whole = decode(&bytes).unwrap();
    assert_eq!(whole.len(), 3);
    for cut in 0..=bytes.len() {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        for piece in [&bytes[..cut], &bytes[cut..]] {
            decoder.push(piece, &mut frames).unwrap();
        }
        assert_eq!(frames, whole, "cut at {cut}");
        assert_eq!(decoder.finish(), Ok(()));
    }
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for byte in &bytes {
        decoder.push(std::slice::from_ref(byte), &mut frames).unwrap();
    }
    assert_eq!(frames, whole);
}

#[test]
fn a_stream_that_ends_within_a_frame_is_cut() {
    let bytes = hex::decode(CHUNK).unwrap();
    for end in 1..bytes.len() {
        assert_eq!(decode(&bytes[..end]), Err(FrameError::Cut), "{end}");
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let bytes = hex::decode(CHUNK).unwrap();
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x10;
        assert_eq!(decode(&broken), Err(FrameError::Checksum), "{at}");
    }
}

#[test]
fn frames_before_a_broken_one_are_kept() {
    let mut bytes = frame(&[], b"good");
    let mut broken = frame(&[], b"bad");
    broken[12] ^= 1;
    bytes.extend(broken);
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    assert_eq!(decoder.push(&bytes, &mut frames), Err(FrameError::Checksum));
    assert_eq!(frames.len(), 1);
}

#[test]
fn impossible_lengths_are_refused_before_they_are_waited_for() {
    let prelude = |total: u32, headers: u32| {
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend_from_slice(&headers.to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    };
    for (total, headers) in [(15, 0), (20, 5), (u32::MAX, 0), (u32::MAX, u32::MAX), (1 << 20, 1 << 19)] {
        assert_eq!(decode(&prelude(total, headers)), Err(FrameError::Length), "{total} {headers}");
    }
}

#[test]
fn headers_of_every_type_are_stepped_over() {
    let mut headers = Vec::new();
    let values: [(u8, &[u8]); 9] = [
        (0, &[]),
        (1, &[]),
        (2, &[1]),
        (3, &[1; 2]),
        (4, &[1; 4]),
        (5, &[1; 8]),
        (6, &[0, 2, 9, 9]),
        (8, &[1; 8]),
        (9, &[1; 16]),
    ];
    for (kind, value) in values {
        headers.extend_from_slice(&[1, b'a', kind]);
        headers.extend_from_slice(value);
    }
    headers.extend(text("b", "c"));
    let frames = decode(&frame(&headers, b"")).unwrap();
    assert_eq!(frames[0].header("b"), Some("c"));
    assert_eq!(frames[0].header("a"), None);
    for broken in [&[1, b'a', 10][..], &[5, b'a'], &[1, b'a', 7, 0, 9, b'x'], &[1, 0xff, 0]] {
        assert_eq!(decode(&frame(broken, b"")), Err(FrameError::Headers), "{broken:?}");
    }
}

#[test]
fn exceptions_have_a_status() {
    for (word, status) in [
        ("throttlingException", 429),
        ("validationException", 400),
        ("modelTimeoutException", 408),
        ("serviceUnavailableException", 503),
        ("internalServerException", 500),
        ("modelStreamErrorException", 502),
        ("somethingNewException", 500),
    ] {
        let headers = [text(":message-type", "exception"), text(":exception-type", word)].concat();
        let frames = decode(&frame(&headers, br#"{"message":"no"}"#)).unwrap();
        assert_eq!(frames[0].exception(), Some((word, status)));
        assert_eq!((frames[0].event_type(), frames[0].chunk()), (None, None));
    }
    let headers = [text(":message-type", "error"), text(":error-code", "internalServerException")].concat();
    assert_eq!(decode(&frame(&headers, b"")).unwrap()[0].exception(), Some(("internalServerException", 500)));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_are_frames_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..40) {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        let whole = bytes.chunks(size).try_for_each(|piece| decoder.push(piece, &mut frames));
        if whole.is_ok() {
            let _ = decoder.finish();
        }
        for frame in &frames {
            let _ = (frame.event_type(), frame.exception(), frame.chunk());
        }
    }

    #[test]
    fn a_changed_frame_is_never_taken_for_a_good_one(
        payload in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), by in 1_u8..=255, size in 1_usize..40,
    ) {
        let mut bytes = frame(&text(":event-type", "chunk"), &payload);
        prop_assert_eq!(decode(&bytes).map(|frames| frames.len()), Ok(1));
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        let refused = bytes.chunks(size).try_for_each(|piece| decoder.push(piece, &mut frames)).and_then(|()| decoder.finish());
        prop_assert!(refused.is_err() && frames.is_empty(), "{:?} {:?}", refused, frames);
    }
}
