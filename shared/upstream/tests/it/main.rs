//! The client against servers that behave, and servers that do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod media;
mod server;
mod socket;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sluice_providers::Target;
use sluice_upstream::{Client, ClientSettings, Failure, ProxyUrl, ReadError, Route, SendError, ServerCheck, Timeouts};

use server::Server;

/// Long enough for anything on this machine; short enough to fail before the harness does.
const PLENTY: Duration = Duration::from_mins(1);
/// For waits that must end by themselves: nothing is to arrive within it.
const SHORT: Duration = Duration::from_millis(60);
/// The same, where something must arrive before: a busy machine has that long for it.
const BRIEF: Duration = Duration::from_secs(2);

fn client() -> Client {
    // The second test of a process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientSettings { use_system_proxy: false, ..ClientSettings::default() }).unwrap()
}

fn post(url: &str) -> Target {
    let mut headers = HeaderMap::new();
    let mut key = HeaderValue::from_static("Bearer topsecret");
    key.set_sensitive(true);
    headers.insert(AUTHORIZATION, key);
    Target { method: http::Method::POST, url: url.parse().unwrap(), headers }
}

async fn send(url: &str, timeouts: Timeouts) -> Result<sluice_upstream::Answer, SendError> {
    client().send(&Route::default(), post(url), Bytes::from_static(b"{\"a\":1}"), timeouts).await
}

fn assert_tells_nothing(error: &SendError, url: &str) {
    let host = url.split("://").nth(1).unwrap().split('/').next().unwrap();
    for shown in [error.to_string(), format!("{error:?}"), error.cause().to_owned()] {
        assert!(!shown.contains(host) && !shown.contains("127.0.0.1") && !shown.contains("topsecret"), "{shown}");
    }
}

#[tokio::test]
async fn request_and_answer_pass_byte_for_byte() {
    let server =
        Server::answering("HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n\x1f\x01raw");
    let answer = send(&server.url("/v1/x?y=z"), Timeouts::whole(PLENTY)).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers.get("x-a").unwrap().to_str().unwrap()), (201, "b"));
    assert_eq!(answer.collect(100).await.unwrap(), &b"\x1f\x01raw"[..]);
    let request = server.request();
    assert!(request.starts_with("POST /v1/x?y=z HTTP/1.1\r\n"), "{request}");
    for line in ["authorization: Bearer topsecret\r\n", "content-length: 7\r\n", "user-agent: sluice/"] {
        assert!(request.contains(line), "{request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let client = client();
    for _ in 0..3 {
        let target = post(&server.url("/"));
        let answer = client.send(&Route::default(), target, Bytes::from_static(b"{}"), Timeouts::whole(PLENTY)).await.unwrap();
        assert_eq!(answer.collect(10).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn redirects_are_answers() {
    let server = Server::answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(send(&server.url("/"), Timeouts::whole(PLENTY)).await.unwrap().status.as_u16(), 302);
}

#[tokio::test]
async fn a_refused_connection_did_not_carry_the_request() {
    let url = Server::refusing();
    let error = send(&url, Timeouts::whole(PLENTY)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Connect);
    assert!(!error.failure().may_have_arrived());
    assert_tells_nothing(&error, &url);
}

#[tokio::test]
async fn a_name_without_address_is_told_apart() {
    let url = format!("http://{}.invalid/", "x".repeat(64));
    let error = send(&url, Timeouts::whole(PLENTY)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Dns);
    assert_tells_nothing(&error, &url);
}

#[tokio::test]
async fn a_server_that_hangs_up_may_have_the_request() {
    for reply in ["", "HTTP/1.1 200 O"] {
        let server = Server::hanging_up_after(reply);
        let url = server.url("/secret");
        let error = send(&url, Timeouts::whole(PLENTY)).await.unwrap_err();
        assert_eq!(error.failure(), Failure::ResetBeforeHeaders, "{reply:?}");
        assert!(error.failure().may_have_arrived());
        assert_tells_nothing(&error, &url);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told_apart() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let error = send(&server.url("/"), Timeouts::whole(PLENTY)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::NotHttp);
}

#[tokio::test]
async fn tls_with_a_server_that_has_none_fails_as_tls() {
    let server = Server::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    let url = server.url("/").replace("http://", "https://");
    let error = send(&url, Timeouts::whole(PLENTY)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Tls);
    assert!(!error.failure().may_have_arrived());
    assert_tells_nothing(&error, &url);
}

#[tokio::test]
async fn a_silent_server_is_late_by_the_limit_that_ends_first() {
    let server = Server::hanging_after("");
    let error = send(&server.url("/"), Timeouts::streamed(SHORT, PLENTY)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::FirstByteTimeout);
    let error = send(&server.url("/"), Timeouts::whole(SHORT)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::TotalTimeout);
    assert!(error.failure().is_timeout());
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn silence_inside_a_body_is_told_by_where_it_fell() {
    type Limits = fn(Duration) -> Timeouts;
    let piece = format!("{HEAD}3\r\nabc\r\n");
    let rows: [(&str, Limits, usize, ReadError); 5] = [
        (HEAD, |brief| Timeouts::streamed(brief, PLENTY), 0, ReadError::FirstByteTimeout),
        (HEAD, |_| Timeouts { idle: Some(SHORT), ..Timeouts::default() }, 0, ReadError::IdleTimeout),
        (&*piece, |_| Timeouts::streamed(PLENTY, SHORT), 1, ReadError::IdleTimeout),
        (&*piece, Timeouts::whole, 1, ReadError::TotalTimeout),
        (&*piece, |brief| Timeouts { idle: Some(PLENTY), ..Timeouts::whole(brief) }, 1, ReadError::TotalTimeout),
    ];
    let each = rows.map(|(reply, limits, pieces, error)| async move {
        // a machine on which not even that came within a limit is given a longer one
        for brief in [BRIEF, BRIEF * 5, BRIEF * 25] {
            if let Some(end) = end_of(reply, limits(brief), pieces).await {
                return assert_eq!(end, error);
            }
        }
        panic!("what was sent never came: {reply}");
    });
    futures_util::future::join_all(each).await;
}

/// How a body ends that falls silent after a reply with so many pieces. `None`: it was not all there in time.
async fn end_of(reply: &str, timeouts: Timeouts, pieces: usize) -> Option<ReadError> {
    let server = Server::hanging_after(reply);
    let mut body = send(&server.url("/"), timeouts).await.ok()?.body;
    for _ in 0..pieces {
        assert_eq!(body.next().await?.ok()?, Bytes::from_static(b"abc"));
    }
    let end = body.next().await;
    assert!(matches!(end, Some(Err(_))), "it ended well, or more was sent: {end:?}");
    assert_eq!(body.next().await, None);
    end?.err()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_from_one_that_ends() {
    let rows = [
        (format!("{HEAD}3\r\nabc\r\n0\r\n\r\n"), None),
        (format!("{HEAD}3\r\nabc\r\n"), Some(ReadError::Reset)),
        (format!("{HEAD}3\r\nabc\r\nxyz\r\n"), Some(ReadError::NotHttp)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_owned(), Some(ReadError::Reset)),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc".to_owned(), None),
    ];
    for (reply, end) in rows {
        let server = Server::hanging_up_after(&reply);
        let mut body = send(&server.url("/"), Timeouts::whole(PLENTY)).await.unwrap().body;
        assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"abc"))), "{reply}");
        assert_eq!(body.next().await, end.map(Err), "{reply}");
    }
}

#[tokio::test]
async fn a_body_is_collected_up_to_its_bound() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef".to_owned();
    let unannounced = format!("{HEAD}3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    for reply in [announced, unannounced] {
        let server = Server::answering(&reply);
        let url = server.url("/");
        assert_eq!(send(&url, Timeouts::whole(PLENTY)).await.unwrap().collect(6).await.unwrap(), "abcdef");
        let cut = send(&url, Timeouts::whole(PLENTY)).await.unwrap().collect(5).await;
        assert_eq!(cut, Err(ReadError::TooLarge { limit_bytes: 5 }));
    }
}

#[tokio::test]
async fn letting_go_of_an_answer_ends_the_request() {
    let server = Server::hanging_after(&format!("{HEAD}3\r\nabc\r\n"));
    let mut body = send(&server.url("/"), Timeouts::streamed(PLENTY, PLENTY)).await.unwrap().body;
    body.next().await.unwrap().unwrap();
    drop(body);
    let gone = tokio::task::spawn_blocking(move || server.wait_until_client_is_gone(PLENTY)).await.unwrap();
    assert!(gone);
}

#[tokio::test]
async fn a_proxy_is_used_for_its_route_only() {
    let proxy = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy");
    let origin = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\norigin");
    let client = client();
    let through =
        Route { proxy: Some(ProxyUrl::parse(&proxy.url("").replace("://", "://user:pw@")).unwrap()), ..Route::default() };
    let unchecked = Route { server_check: ServerCheck::None, ..Route::default() };
    for (route, expected) in [(&through, "proxy"), (&Route::default(), "origin"), (&unchecked, "origin")] {
        let answer = client.send(route, post(&origin.url("/x")), Bytes::new(), Timeouts::whole(PLENTY)).await.unwrap();
        assert_eq!(answer.collect(10).await.unwrap(), expected);
    }
    let request = proxy.request();
    assert!(request.starts_with(&format!("POST {} HTTP/1.1\r\n", origin.url("/x"))), "{request}");
    assert!(request.contains("proxy-authorization: Basic dXNlcjpwdw==\r\n"), "{request}");
}
