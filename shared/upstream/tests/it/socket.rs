//! Requests by WebSocket.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sluice_upstream::{Answer, Failure, ProxyUrl, ReadError, Route, SendError, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;
use crate::{PLENTY, SHORT, assert_tells_nothing, client, post};

/// A server that hears one text and says these messages. It leaves the connection open.
async fn server(messages: Vec<Message>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(r#"{"a":1}"#));
        for message in messages {
            let _ = socket.send(message).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    address
}

async fn ask(url: &str, route: &Route, timeouts: Timeouts) -> Result<Answer, SendError> {
    client().send(route, post(url), Bytes::from_static(b"{\"a\":1}"), timeouts).await
}

fn is_last(piece: &[u8]) -> bool {
    piece.starts_with(b"last")
}

#[tokio::test]
async fn messages_come_as_lines_until_the_last_or_the_end() {
    let said =
        || vec![Message::text("{\n\"b\": 2\r\n}"), Message::Ping(Bytes::new()), Message::text("last"), Message::text("more")];
    let address = server(said()).await;
    let mut answer = ask(&format!("ws://{address}/x"), &Route::default(), Timeouts::whole(PLENTY)).await.unwrap();
    assert_eq!(answer.status, 200);
    answer.body.end_behind(is_last);
    assert_eq!(answer.collect(100).await.unwrap(), "{ \"b\": 2  }\nlast\n");
    let closed = [said(), vec![Message::Close(None)]].concat();
    let answer = ask(&format!("ws://{}/x", server(closed).await), &Route::default(), Timeouts::whole(PLENTY)).await.unwrap();
    assert_eq!(answer.collect(100).await.unwrap(), "{ \"b\": 2  }\nlast\nmore\n");
}

#[tokio::test]
async fn silence_and_long_messages_are_bounded() {
    let url = format!("ws://{}/", server(vec![]).await);
    let mut answer = ask(&url, &Route::default(), Timeouts::streamed(SHORT, SHORT)).await.unwrap();
    assert_eq!(answer.body.next().await, Some(Err(ReadError::FirstByteTimeout)));
    let url = format!("ws://{}/", server(vec![Message::text("x".repeat((16 << 20) + 1))]).await);
    let mut answer = ask(&url, &Route::default(), Timeouts::whole(PLENTY)).await.unwrap();
    assert!(matches!(answer.body.next().await, Some(Err(ReadError::TooLarge { .. }))));
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_an_answer_and_one_that_is_none_a_failure() {
    let refusing = Server::answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
    let url = refusing.url("/x").replace("http", "ws");
    let answer = ask(&url, &Route::default(), Timeouts::whole(PLENTY)).await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.collect(10).await.unwrap(), "no");
    let request = refusing.request().to_ascii_lowercase();
    for line in
        ["get /x http/1.1\r\n", "upgrade: websocket\r\n", "sec-websocket-version: 13\r\n", "authorization: bearer topsecret\r\n"]
    {
        assert!(request.contains(line), "{request}");
    }
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
    ] {
        let other = Server::hanging_after(reply);
        let url = other.url("/").replace("http", "ws");
        let error = ask(&url, &Route::default(), Timeouts::whole(PLENTY)).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Other, "{reply}");
        assert_tells_nothing(&error, &url);
    }
}

/// A SOCKS proxy for one connection, and whether it was used.
async fn socks() -> (SocketAddr, tokio::sync::oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (used, is_used) = tokio::sync::oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let mut hello = [0; 2];
        inner.read_exact(&mut hello).await.unwrap();
        let mut methods = vec![0; usize::from(hello[1])];
        inner.read_exact(&mut methods).await.unwrap();
        inner.write_all(&[5, 0]).await.unwrap();
        let mut wanted = [0; 10];
        inner.read_exact(&mut wanted).await.unwrap();
        assert_eq!(wanted[..4], [5, 1, 0, 1], "a connection to an IPv4 address");
        let port = u16::from_be_bytes([wanted[8], wanted[9]]);
        let mut outer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        inner.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        used.send(()).unwrap();
        let _ = copy_bidirectional(&mut inner, &mut outer).await;
    });
    (address, is_used)
}

#[tokio::test]
async fn a_channels_proxy_is_that_of_its_sockets_too() {
    let address = server(vec![Message::text("last")]).await;
    let (proxy, is_used) = socks().await;
    let route = Route { proxy: Some(ProxyUrl::parse(&format!("socks5://{proxy}")).unwrap()), ..Route::default() };
    let mut answer = ask(&format!("ws://{address}/"), &route, Timeouts::whole(PLENTY)).await.unwrap();
    answer.body.end_behind(is_last);
    assert_eq!(answer.collect(10).await.unwrap(), "last\n");
    is_used.await.unwrap();
}
