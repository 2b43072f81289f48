//! Requests by WebSocket: one text goes out behind the handshake, and every message that comes back is a line of the answer's body.
//!
//! The handshake is a request like any other, so it goes through the proxies that others go through. A server that refuses it has answered as
//! any server does. Line ends inside a message, which stand between the values of its JSON only, become spaces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, Stream};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use reqwest::Upgraded;
use sluice_providers::Target;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use crate::answer::Pieces;
use crate::{Failure, ReadError, SendError};

/// The longest message that is taken from an upstream, in bytes.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Read at once from a connection, in bytes: messages are short.
const READ_BYTES: usize = 8 << 10;

/// Why there is no connection to speak by, though the server answered.
#[derive(Debug, thiserror::Error)]
enum NoSocket {
    #[error("the server did not take up the WebSocket")]
    NotTaken,
    #[error("the server's handshake is not that of a WebSocket")]
    Handshake,
    #[error("the message is no text")]
    NoText,
}

/// Whether a request is made by WebSocket.
pub(crate) fn is_for(target: &Target) -> bool {
    matches!(target.url.scheme(), "ws" | "wss")
}

/// Connects, says its text, and gives the answer: status 200 and the messages, or what the server said instead.
pub(crate) async fn ask(client: &reqwest::Client, target: Target, text: Bytes) -> Result<Response<Pieces>, SendError> {
    let text = Utf8Bytes::try_from(text).map_err(|_| failed(Failure::InvalidTarget, &NoSocket::NoText))?;
    let key = generate_key();
    let answer = client.execute(handshake(target, &key)?).await.map_err(|error| SendError::of_request(&error))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        if answer.status().is_success() {
            return Err(failed(Failure::Other, &NoSocket::NotTaken));
        }
        return Ok(Response::from(answer).map(Pieces::Proxied));
    }
    if answer.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|accepted| accepted != &derive_accept_key(key.as_bytes())) {
        return Err(failed(Failure::Other, &NoSocket::Handshake));
    }
    let connection = answer.upgrade().await.map_err(|error| SendError::of_request(&error))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut stream = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
    stream.send(Message::Text(text)).await.map_err(|error| failed(Failure::ResetBeforeHeaders, &error))?;
    Ok(Response::new(Pieces::Messages(Box::new(Messages(stream)))))
}

fn failed(failure: Failure, error: &(dyn std::error::Error + 'static)) -> SendError {
    SendError::with_cause(failure, error)
}

fn handshake(target: Target, key: &str) -> Result<reqwest::Request, SendError> {
    let Target { mut url, mut headers, .. } = target;
    let scheme = if url.scheme() == "wss" { "https" } else { "http" };
    url.set_scheme(scheme).map_err(|()| SendError::new(Failure::InvalidTarget))?;
    put_handshake(&mut headers, key)?;
    let mut request = reqwest::Request::new(Method::GET, url);
    *request.headers_mut() = headers;
    Ok(request)
}

fn put_handshake(headers: &mut HeaderMap, key: &str) -> Result<(), SendError> {
    headers.remove(CONTENT_TYPE);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::from_str(key).map_err(|error| failed(Failure::InvalidTarget, &error))?;
    headers.insert(SEC_WEBSOCKET_KEY, key);
    Ok(())
}

/// The messages of a connection, a line each. Dropping it ends the connection.
pub(crate) struct Messages(WebSocketStream<Upgraded>);

impl Messages {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        loop {
            let message = match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(Some(Err(classify(&error)))),
                None => return Poll::Ready(None),
            };
            match message {
                Message::Text(text) => return Poll::Ready(Some(Ok(Frame::data(line(text.as_bytes()))))),
                Message::Binary(bytes) => return Poll::Ready(Some(Ok(Frame::data(line(&bytes))))),
                Message::Close(_) => return Poll::Ready(None),
                // signs of life, answered by the library
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

fn line(message: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(message.len() + 1);
    line.extend(message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.extend_from_slice(b"\n");
    line.freeze()
}

fn classify(error: &tungstenite::Error) -> ReadError {
    match error {
        tungstenite::Error::Capacity(_) => ReadError::TooLarge { limit_bytes: MAX_MESSAGE_BYTES },
        tungstenite::Error::Io(_) | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ReadError::Reset,
        _ => ReadError::NotHttp,
    }
}
