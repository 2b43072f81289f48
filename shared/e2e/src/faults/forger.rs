//! A man in the middle of the config stream: passes every call between a relay and a control plane on, and forges or holds up what the
//! control plane says about configuration.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use sluice_rpc::pb;
use sluice_rpc::pb::config_down::Message as Down;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The call that is forged.
const SUBSCRIBE: &str = "/sluice.relay.v1.Config/Subscribe";
/// A message's flag and length.
const PREFIX_BYTES: usize = 5;
/// What may be on its way to us unread: a control plane notices soon that nobody takes its messages.
const WINDOW_BYTES: u32 = 64 << 10;
/// The largest message that is taken apart.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// What is done to the next message it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poison {
    /// A delta brings this channel in a form that does not decode.
    BadEntity(i64),
    /// A delta brings this channel in a state nobody knows.
    UnknownEnum(i64),
    /// A delta begins where the relay is not: it asks for a snapshot.
    WrongStart,
    /// A snapshot whose checksum is another one.
    BadCrc,
    /// A snapshot with half of its last chunk.
    CutChunk,
    /// A snapshot whose chunk is a hundred times as large as any may be.
    Huge,
}

#[derive(Debug, Default)]
struct Orders {
    poisons: VecDeque<Poison>,
    /// How long each message is held up.
    pause: Duration,
}

/// A running forger, for as long as the value lives.
pub(super) struct Forger {
    addr: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    _serving: JoinSet<()>,
}

impl Forger {
    /// In front of a control plane's gRPC port.
    pub(super) async fn start(control: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port can be had");
        let addr = listener.local_addr().expect("a listener has an address");
        let orders = Arc::new(Mutex::new(Orders::default()));
        let middle = Middle {
            control,
            orders: Arc::clone(&orders),
            client: Client::builder(TokioExecutor::new())
                .http2_only(true)
                .http2_initial_stream_window_size(WINDOW_BYTES)
                .build_http(),
        };
        let mut serving = JoinSet::new();
        serving.spawn(middle.serve(listener));
        Self { addr, orders, _serving: serving }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Forges the next messages that these fit, one after the other.
    pub(super) fn order(&self, poisons: &[Poison]) {
        self.orders.lock().poisons.extend(poisons);
    }

    /// Whether everything that was ordered has been done.
    pub(super) fn is_done(&self) -> bool {
        self.orders.lock().poisons.is_empty()
    }

    /// Takes back what has not been done.
    pub(super) fn forget(&self) {
        self.orders.lock().poisons.clear();
    }

    /// Holds each message up for so long.
    pub(super) fn slow_down(&self, pause: Duration) {
        self.orders.lock().pause = pause;
    }
}

struct Middle {
    control: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    client: Client<HttpConnector, Incoming>,
}

impl Middle {
    async fn serve(self, listener: TcpListener) {
        let (middle, mut connections) = (Arc::new(self), JoinSet::new());
        while let Ok((stream, _)) = listener.accept().await {
            let middle = Arc::clone(&middle);
            connections.spawn(async move {
                let service = service_fn(move |request| pass(Arc::clone(&middle), request));
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                serving.serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    }
}

async fn pass(middle: Arc<Middle>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_forged = request.uri().path() == SUBSCRIBE;
    let path = request.uri().path().to_owned();
    *request.uri_mut() = format!("http://{}{path}", middle.control).parse::<Uri>().unwrap_or_default();
    // what is packed cannot be forged
    request.headers_mut().remove("grpc-accept-encoding");
    let answered = middle.client.request(request).await;
    Ok(match answered {
        Ok(response) if is_forged => response.map(|body| forged(body, Arc::clone(&middle.orders))),
        Ok(response) => response.map(|body| body.map_err(Failure::from).boxed_unsync()),
        Err(_) => {
            let mut response = Response::new(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    })
}

/// The body of a config stream, message by message.
fn forged(body: Incoming, orders: Arc<Mutex<Orders>>) -> Body {
    let state = (body, BytesMut::new(), orders);
    let frames = unfold(state, |(mut body, mut pending, orders)| async move {
        loop {
            if let Some(message) = cut(&mut pending) {
                let pause = orders.lock().pause;
                tokio::time::sleep(pause).await;
                let frame = Frame::data(framed(&forge(message, &orders)));
                return Some((Ok(frame), (body, pending, orders)));
            }
            match body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => pending.extend_from_slice(&data),
                    Err(trailers) => return Some((Ok(trailers), (body, pending, orders))),
                },
                Err(error) => return Some((Err(Failure::from(error)), (body, pending, orders))),
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The first whole message.
fn cut(pending: &mut BytesMut) -> Option<Bytes> {
    let length = pending.get(1..PREFIX_BYTES).map(|mut length| length.get_u32() as usize)?;
    if length > MAX_MESSAGE_BYTES || pending.len() < PREFIX_BYTES + length {
        return None;
    }
    pending.advance(PREFIX_BYTES);
    Some(pending.split_to(length).freeze())
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

fn forge(bytes: Bytes, orders: &Mutex<Orders>) -> Bytes {
    let mut orders = orders.lock();
    let Some(poison) = orders.poisons.front().copied() else { return bytes };
    let Ok(mut message) = pb::ConfigDown::decode(bytes.clone()) else { return bytes };
    if !apply(poison, &mut message) {
        return bytes;
    }
    orders.poisons.pop_front();
    message.encode_to_vec().into()
}

/// Whether it fits this message, which is poisoned then.
fn apply(poison: Poison, message: &mut pb::ConfigDown) -> bool {
    match (poison, message.message.as_mut()) {
        (Poison::BadEntity(channel), Some(Down::Delta(delta))) => {
            let Some(resource) = channel_in(delta, channel) else { return false };
            resource.body = Bytes::from_static(b"\xff\xff\xff garbage");
        }
        (Poison::UnknownEnum(channel), Some(Down::Delta(delta))) => {
            let Some(resource) = channel_in(delta, channel) else { return false };
            let Ok(strange) = pb::Channel::decode(resource.body.clone()) else { return false };
            resource.body = pb::Channel { status: 77, ..strange }.encode_to_vec().into();
        }
        (Poison::WrongStart, Some(Down::Delta(delta))) => {
            if let Some(from) = &mut delta.from {
                from.seq -= 1;
            }
        }
        (Poison::BadCrc, Some(Down::Snapshot(chunk))) => chunk.crc ^= 1,
        (Poison::CutChunk, Some(Down::Snapshot(chunk))) if chunk.chunk + 1 == chunk.chunks => {
            chunk.bytes.truncate(chunk.bytes.len() / 2);
        }
        (Poison::Huge, Some(Down::Snapshot(chunk))) => chunk.bytes = vec![0; sluice_rpc::SNAPSHOT_CHUNK_BYTES * 100].into(),
        _ => return false,
    }
    true
}

/// The channel that a delta brings, if it does.
fn channel_in(delta: &mut pb::Delta, channel: i64) -> Option<&mut pb::Resource> {
    let key = channel.to_string();
    delta.upserts.iter_mut().find(|resource| resource.kind() == pb::Kind::Channel && resource.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_where_they_end_however_they_come() {
        let (one, two) = (framed(b"one"), framed(b""));
        let mut pending = BytesMut::new();
        for byte in one.iter().chain(two.iter()).take(one.len() + two.len() - 1) {
            pending.put_u8(*byte);
        }
        assert_eq!(cut(&mut pending).unwrap(), &b"one"[..]);
        assert_eq!(cut(&mut pending), None, "the second prefix is not whole");
        pending.put_u8(0);
        assert_eq!(cut(&mut pending).unwrap(), &b""[..]);
    }

    #[test]
    fn a_poison_waits_for_the_message_it_fits_and_is_used_once() {
        let orders = Mutex::new(Orders { poisons: [Poison::BadCrc].into(), ..Orders::default() });
        let beat = Bytes::from(pb::ConfigDown { message: Some(Down::Heartbeat(pb::Heartbeat::default())) }.encode_to_vec());
        let chunk = pb::SnapshotChunk { crc: 4, chunks: 1, ..pb::SnapshotChunk::default() };
        let chunk = Bytes::from(pb::ConfigDown { message: Some(Down::Snapshot(chunk)) }.encode_to_vec());
        assert_eq!(forge(beat.clone(), &orders), beat);
        assert_ne!(forge(chunk.clone(), &orders), chunk);
        assert_eq!(forge(chunk.clone(), &orders), chunk, "used up");
    }

    #[test]
    fn a_bad_entity_waits_for_the_delta_that_brings_it_and_leaves_the_others_alone() {
        let channel = |key: &str| pb::Resource { kind: pb::Kind::Channel.into(), key: key.to_owned(), ..pb::Resource::default() };
        let delta = |keys: &[&str]| {
            let upserts = keys.iter().map(|key| channel(key)).collect();
            pb::ConfigDown { message: Some(Down::Delta(pb::Delta { upserts, ..pb::Delta::default() })) }
        };
        let mut other = delta(&["4"]);
        assert!(!apply(Poison::BadEntity(7), &mut other));
        assert_eq!(other, delta(&["4"]));
        let mut both = delta(&["4", "7"]);
        assert!(apply(Poison::BadEntity(7), &mut both));
        let Some(Down::Delta(forged)) = both.message else { panic!("it is a delta still") };
        assert_eq!((forged.upserts[0].body.len(), forged.upserts[1].body.is_empty()), (0, false));
    }
}
