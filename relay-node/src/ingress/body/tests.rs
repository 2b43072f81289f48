use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use axum::http::HeaderValue;
use futures_util::stream;

use super::*;

const BOUNDS: Bounds = Bounds { max_bytes: 4 << 20, idle: Duration::from_secs(5) };
const BUDGET: usize = 32 << 20;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

async fn read_chunks(chunks: Vec<Bytes>, lines: &[(&'static str, &str)]) -> Result<Bytes, Refusal> {
    let budget = ByteBudget::new(BUDGET);
    let mut body = Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>)));
    let payload = read(&mut body, &headers(lines), BOUNDS, &budget).await.map(|payload| payload.bytes);
    assert_eq!(budget.free_bytes(), BUDGET, "all memory comes back");
    payload
}

async fn read_coded(bytes: Vec<u8>, coding: &str) -> Result<Bytes, Refusal> {
    read_chunks(vec![bytes.into()], &[("content-encoding", coding)]).await
}

async fn all(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.read_to_end(&mut out).await.unwrap();
    out
}

const TEXT: &[u8] = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello hello hello"}]}"#;

#[tokio::test]
async fn each_coding_is_unpacked() {
    for (coding, packed) in [
        ("gzip", all(GzipEncoder::new(TEXT)).await),
        ("X-GZIP", all(GzipEncoder::new(TEXT)).await),
        ("deflate", all(ZlibEncoder::new(TEXT)).await),
        ("deflate", all(DeflateEncoder::new(TEXT)).await),
        ("br", all(BrotliEncoder::new(TEXT)).await),
        ("zstd", all(ZstdEncoder::new(TEXT)).await),
        ("identity", TEXT.to_vec()),
    ] {
        assert_eq!(read_coded(packed, coding).await.unwrap(), TEXT, "{coding}");
    }
}

#[tokio::test]
async fn a_body_is_joined_from_its_chunks_and_one_chunk_is_not_copied() {
    let chunks: Vec<Bytes> = TEXT.chunks(7).map(Bytes::copy_from_slice).collect();
    assert_eq!(read_chunks(chunks, &[]).await.unwrap(), TEXT);
    let whole = Bytes::copy_from_slice(TEXT);
    let read = read_chunks(vec![whole.clone()], &[]).await.unwrap();
    assert_eq!(read.as_ptr(), whole.as_ptr());
    assert_eq!(read_chunks(vec![], &[]).await.unwrap(), "");
}

#[tokio::test]
async fn a_cut_or_broken_body_is_the_callers_fault() {
    for coding in ["gzip", "deflate", "zstd", "br"] {
        let packed = match coding {
            "gzip" => all(GzipEncoder::new(TEXT)).await,
            "deflate" => all(ZlibEncoder::new(TEXT)).await,
            "zstd" => all(ZstdEncoder::new(TEXT)).await,
            _ => all(BrotliEncoder::new(TEXT)).await,
        };
        let cut = packed[..packed.len() - 3].to_vec();
        assert_eq!(read_coded(cut, coding).await.unwrap_err().kind, Kind::BodyUnreadable, "{coding}");
        assert_eq!(read_coded(b"\x00not packed at all".to_vec(), coding).await.unwrap_err().status(), 400, "{coding}");
    }
}

#[tokio::test]
async fn a_bomb_is_stopped_within_the_bound_whatever_it_is_packed_with() {
    let zeros = vec![b' '; 16 << 20];
    for (coding, packed) in [
        ("gzip", all(GzipEncoder::new(&zeros[..])).await),
        ("br", all(BrotliEncoder::new(&zeros[..])).await),
        ("zstd", all(ZstdEncoder::new(&zeros[..])).await),
    ] {
        let refusal = read_coded(packed, coding).await.unwrap_err();
        assert_eq!((refusal.kind, refusal.status()), (Kind::BodyTooLarge, 413), "{coding}");
    }
}

#[tokio::test]
async fn expansion_beyond_a_hundred_times_is_refused_below_the_size_bound_too() {
    let spaces = vec![b' '; 3 << 20];
    assert_eq!(read_coded(all(GzipEncoder::new(&spaces[..])).await, "gzip").await.unwrap_err().kind, Kind::BodyTooLarge);
    let short = vec![b' '; 1 << 19];
    assert_eq!(read_coded(all(GzipEncoder::new(&short[..])).await, "gzip").await.unwrap().len(), 1 << 19);
}

#[tokio::test]
async fn a_large_body_is_refused_by_its_announced_and_by_its_real_size() {
    let refusal = read_chunks(vec![], &[("content-length", "99999999")]).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::BodyTooLarge);
    let chunks = vec![Bytes::from(vec![b' '; 1 << 20]); 5];
    assert_eq!(read_chunks(chunks, &[]).await.unwrap_err().kind, Kind::BodyTooLarge);
}

#[tokio::test]
async fn codings_and_types_nobody_speaks_are_refused() {
    for coding in ["compress", "gzip, br", "gzip, gzip", "zip"] {
        assert_eq!(read_coded(TEXT.to_vec(), coding).await.unwrap_err().status(), 415, "{coding}");
    }
    let twice = [("content-encoding", "gzip"), ("content-encoding", "br")];
    assert_eq!(read_chunks(vec![], &twice).await.unwrap_err().status(), 415);
    for kind in ["multipart/form-data; boundary=x", "image/png", "application/xml"] {
        assert_eq!(read_chunks(vec![], &[("content-type", kind)]).await.unwrap_err().status(), 415, "{kind}");
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", "text/plain", ""] {
        assert!(read_chunks(vec![], &[("content-type", kind)]).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn without_memory_the_caller_is_asked_to_come_back() {
    let budget = ByteBudget::new(64 << 10);
    let mut body = Body::from(vec![b' '; 128 << 10]);
    let refusal = read(&mut body, &HeaderMap::new(), BOUNDS, &budget).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.status()), (Kind::MemoryFull, 503));
    assert!(refusal.retry_after.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_stops_sending_is_given_up() {
    let budget = ByteBudget::new(BUDGET);
    let mut body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let refusal = read(&mut body, &HeaderMap::new(), BOUNDS, &budget).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::BodyTimeout);
    assert!(!drain(&mut body, &HeaderMap::new()).await);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_sends_a_byte_now_and_then_is_given_up_and_a_slow_one_is_not() {
    let began = Instant::now();
    let trickle = |bytes: usize, pause: u64, times: usize| {
        let piece = move |rest: usize| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            (rest > 0).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes])), rest - 1))
        };
        Body::from_stream(Box::pin(stream::unfold(times, piece)))
    };
    let budget = ByteBudget::new(BUDGET);
    let refusal = read(&mut trickle(1, 1_000, 60), &HeaderMap::new(), BOUNDS, &budget).await.unwrap_err();
    assert_eq!((refusal.kind, began.elapsed().as_secs()), (Kind::BodyTimeout, BOUNDS.idle.as_secs()));
    let least = usize::try_from(LEAST_RATE).unwrap();
    let slow = read(&mut trickle(least, 1_000, 60), &HeaderMap::new(), BOUNDS, &budget).await.unwrap();
    assert_eq!(slow.bytes.len(), 60 * least);
}

#[tokio::test]
async fn memory_is_granted_as_a_body_arrives() {
    let budget = ByteBudget::new(BUDGET);
    let mut body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let lines = headers(&[("content-length", "4000000")]);
    let mut reading = Box::pin(read(&mut body, &lines, BOUNDS, &budget));
    assert!(futures_util::poll!(&mut reading).is_pending());
    assert_eq!(BUDGET - budget.free_bytes(), STEP_BYTES);
}

#[tokio::test]
async fn a_small_rest_is_drained_and_a_large_one_is_not() {
    let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 18]));
    let chunks = |count| Body::from_stream(stream::iter(std::iter::repeat_with(chunk).take(count)));
    assert!(drain(&mut chunks(3), &HeaderMap::new()).await);
    assert!(!drain(&mut chunks(9), &HeaderMap::new()).await);
    assert!(!drain(&mut chunks(1), &headers(&[("expect", "100-continue")])).await);
}
