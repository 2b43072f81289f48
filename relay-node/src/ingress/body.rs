//! Reads a request's body: bounded in size, time and memory, unpacked when it came packed.
//!
//! The size is measured after unpacking. A packed body is collected first, then unpacked step by step, so that a bomb is stopped at
//! the bound and other requests get their turn in between.

use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::app::RelayApp;
use crate::budget::{ByteBudget, HeldBytes, OverBudget};
use crate::error::{Kind, Refusal};

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most bytes, packed and unpacked.
    pub max_bytes: usize,
    /// The longest silence of the caller while it sends; also how long it may be slower than [`LEAST_RATE`].
    pub idle: Duration,
}

impl Bounds {
    /// The bounds of an app.
    #[must_use]
    pub fn of(app: &RelayApp) -> Self {
        Self { max_bytes: app.settings.requests.max_body_bytes, idle: app.engine.timing.body_idle }
    }
}

/// A body, with the memory it was granted.
#[derive(Debug)]
pub struct Payload {
    /// The unpacked bytes.
    pub bytes: Bytes,
    _held: HeldBytes,
}

impl Payload {
    /// A body of our own.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn of(bytes: Bytes, budget: &ByteBudget) -> Result<Self, Refusal> {
        let held = budget.hold(bytes.len()).map_err(memory_full)?;
        Ok(Self { bytes, _held: held })
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// A body may unpack to this many times its size.
const MAX_EXPANSION: usize = 100;
/// Up to this size, unpacked, the expansion does not matter: short bodies of repeated text pack very well.
const FREE_EXPANSION_BYTES: usize = 1 << 20;
/// Unpacked between two chances for other requests, and the smallest step in which memory is granted.
const STEP_BYTES: usize = 32 << 10;
/// The largest window a zstd frame may ask for, as a power of two: 8 MiB, as RFC 9659 demands of HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes a second that a body must bring on average: a caller that sends a byte now and then must not hold memory for ever.
pub const LEAST_RATE: u64 = 16 << 10;
/// Bytes of an unwanted body that are read, so that the caller gets to read the answer.
const DRAIN_BYTES: usize = 1 << 20;
/// How long an unwanted body is read for.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads the body of a JSON interface.
///
/// # Errors
/// When its type or coding is not understood, when it is too large, broken or slow, or when there is no memory for it.
pub async fn read(body: &mut Body, headers: &HeaderMap, bounds: Bounds, budget: &ByteBudget) -> Result<Payload, Refusal> {
    let coding = coding_of(headers)?;
    check_type(headers)?;
    let announced = announced_bytes(headers);
    if announced.is_some_and(|bytes| bytes > bounds.max_bytes) {
        return Err(too_large(bounds));
    }
    // What is announced need not come: memory is granted as it arrives.
    let mut held = budget.hold(announced.unwrap_or(STEP_BYTES).min(STEP_BYTES)).map_err(memory_full)?;
    let packed = collect(body, announced, bounds, budget, &mut held).await?;
    if coding == Coding::Identity || packed.is_empty() {
        return Ok(Payload { bytes: packed, _held: held });
    }
    let bytes = unpack(&packed, coding, bounds, budget, &mut held).await?;
    drop(packed);
    held.resize(budget, bytes.len()).map_err(memory_full)?;
    Ok(Payload { bytes, _held: held })
}

/// Reads on what a caller is still sending, a little, and throws it away: closing on it would often lose the answer on its way.
/// `true` when the body ended.
pub async fn drain(body: &mut Body, headers: &HeaderMap) -> bool {
    if headers.contains_key(EXPECT) {
        return false; // it waits for our answer before it sends anything
    }
    let rest = async {
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DRAIN_BYTES {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DRAIN_TIME, rest).await.unwrap_or(false)
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn coding_of(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return if headers.contains_key(CONTENT_ENCODING) { Err(unsupported_coding()) } else { Ok(Coding::Identity) };
    };
    match line.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "br" => Ok(Coding::Brotli),
        "zstd" => Ok(Coding::Zstd),
        _ => Err(unsupported_coding()),
    }
}

/// JSON is taken under its own types, under none, and under those that simple clients send without being told to.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(line) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text = line.to_str().unwrap_or("?");
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let is_json = is("application/json") || essence.to_ascii_lowercase().ends_with("+json");
    if is_json || is("") || is("text/plain") || is("application/x-www-form-urlencoded") || is("application/octet-stream") {
        return Ok(());
    }
    Err(Refusal::new(Kind::UnsupportedMedia, "the content type must be application/json"))
}

async fn collect(
    body: &mut Body,
    announced: Option<usize>,
    bounds: Bounds,
    budget: &ByteBudget,
    held: &mut HeldBytes,
) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let began = Instant::now();
    loop {
        let arrived = first.as_ref().map_or(joined.len(), Bytes::len);
        let patience = bounds.idle.min(left_at_least_rate(arrived, bounds, began.elapsed()));
        let frame = tokio::time::timeout(patience, body.frame())
            .await
            .map_err(|_| Refusal::new(Kind::BodyTimeout, "the request body did not arrive in time"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Refusal::new(Kind::BodyUnreadable, "the request body could not be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = arrived + data.len();
        if length > bounds.max_bytes {
            return Err(too_large(bounds));
        }
        if length > held.bytes() {
            let most = announced.unwrap_or(bounds.max_bytes).max(length);
            held.resize(budget, (length * 2).min(most)).map_err(memory_full)?;
        }
        // Most bodies come in one piece, which is kept as it is.
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(before) => {
                joined.reserve(held.bytes().max(length));
                joined.extend_from_slice(&before);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// How much longer a body may take that has come so far in this time.
fn left_at_least_rate(arrived: usize, bounds: Bounds, elapsed: Duration) -> Duration {
    let millis = u64::try_from(arrived).unwrap_or(u64::MAX).saturating_mul(1_000) / LEAST_RATE;
    bounds.idle.saturating_add(Duration::from_millis(millis)).saturating_sub(elapsed)
}

async fn unpack(
    packed: &[u8],
    coding: Coding,
    bounds: Bounds,
    budget: &ByteBudget,
    held: &mut HeldBytes,
) -> Result<Bytes, Refusal> {
    match coding {
        Coding::Identity => Ok(Bytes::copy_from_slice(packed)),
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(packed);
            decoder.multiple_members(true);
            inflate(decoder, packed.len(), bounds, budget, held).await
        }
        // The name means zlib; some clients send the bare stream inside it.
        Coding::Deflate if is_zlib(packed) => inflate(ZlibDecoder::new(packed), packed.len(), bounds, budget, held).await,
        Coding::Deflate => inflate(DeflateDecoder::new(packed), packed.len(), bounds, budget, held).await,
        Coding::Brotli => inflate(BrotliDecoder::new(packed), packed.len(), bounds, budget, held).await,
        Coding::Zstd => {
            let window = async_compression::zstd::DParameter::window_log_max(ZSTD_WINDOW_LOG);
            let mut decoder = ZstdDecoder::with_params(packed, &[window]);
            decoder.multiple_members(true);
            inflate(decoder, packed.len(), bounds, budget, held).await
        }
    }
}

fn is_zlib(packed: &[u8]) -> bool {
    matches!(packed, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

async fn inflate(
    decoder: impl AsyncRead,
    packed_bytes: usize,
    bounds: Bounds,
    budget: &ByteBudget,
    held: &mut HeldBytes,
) -> Result<Bytes, Refusal> {
    let mut decoder = std::pin::pin!(decoder);
    let mut out = Vec::new();
    loop {
        if out.len() == out.capacity() {
            // Grows by doubling, and never beyond one step more than is allowed.
            let capacity = (out.len() * 2).max(STEP_BYTES).min(bounds.max_bytes + STEP_BYTES);
            held.resize(budget, packed_bytes + capacity).map_err(memory_full)?;
            out.reserve_exact(capacity - out.len());
        }
        let step = (&mut decoder).take(STEP_BYTES as u64).read_buf(&mut out).await;
        let read = step.map_err(|_| Refusal::new(Kind::BodyUnreadable, "the request body could not be unpacked"))?;
        if read == 0 {
            return Ok(out.into());
        }
        let is_bomb = out.len() > FREE_EXPANSION_BYTES && out.len() / MAX_EXPANSION > packed_bytes;
        if out.len() > bounds.max_bytes || is_bomb {
            return Err(too_large(bounds));
        }
        tokio::task::yield_now().await;
    }
}

fn unsupported_coding() -> Refusal {
    Refusal::new(Kind::UnsupportedMedia, "the content encoding must be one of gzip, deflate, br, zstd")
}

fn too_large(bounds: Bounds) -> Refusal {
    Refusal::new(Kind::BodyTooLarge, format!("the request body is larger than {} bytes", bounds.max_bytes))
}

fn memory_full(_: OverBudget) -> Refusal {
    Refusal::new(Kind::MemoryFull, "the relay has no memory left for this request, try again")
}

#[cfg(test)]
mod tests;
