//! Media, and servers that would rather give something else.

use std::time::Duration;

use sluice_upstream::{MediaError, MediaFetcher, ProxyUrl, Reach};

use crate::server::Server;

const PNG: &str = "\u{1}PNG-ish";
const LIMIT: usize = 1_000;

fn fetcher(reach: Reach) -> MediaFetcher {
    let _ = rustls::crypto::ring::default_provider().install_default();
    MediaFetcher::new(reach, "sluice/test").unwrap()
}

fn reply(content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

async fn fetch(url: &str) -> Result<String, MediaError> {
    fetcher(Reach::Private).fetch(url, None, LIMIT).await.map(|medium| medium.mime)
}

#[tokio::test]
async fn media_come_with_their_type() {
    let server = Server::answering(&reply("Image/PNG; x=y", PNG));
    let medium = fetcher(Reach::Private).fetch(&server.url("/a.png?b=c"), None, LIMIT).await.unwrap();
    assert_eq!((medium.mime.as_str(), &medium.data[..]), ("image/png", PNG.as_bytes()));
    let request = server.request();
    assert!(request.starts_with("GET /a.png?b=c HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("referer") && !request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn nothing_private_is_asked_unless_that_is_allowed() {
    let server = Server::answering(&reply("image/png", PNG));
    let public = fetcher(Reach::Public);
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(public.fetch(&url, None, LIMIT).await, Err(MediaError::Private), "{host}");
    }
    for url in ["ftp://a.example/x", "file:///etc/passwd", "/x", "http://", "http://u:p@a.example/x", "data:image/png,x"] {
        assert_eq!(public.fetch(url, None, LIMIT).await, Err(MediaError::Address), "{url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_its_address_could_not() {
    let last = Server::answering(&reply("image/png", PNG));
    let first = Server::answering(&moved(&last.url("/there")));
    assert_eq!(fetch(&first.url("/here")).await, Ok("image/png".to_owned()));
    let to_cloud = Server::answering(&moved("http://169.254.169.254/latest/meta-data"));
    assert_eq!(fetch(&to_cloud.url("/")).await, Err(MediaError::Private));
    let around = Server::answering(&moved("/again"));
    assert_eq!(fetch(&around.url("/")).await, Err(MediaError::Redirects));
}

#[tokio::test]
async fn what_is_no_medium_is_refused() {
    let html = Server::answering(&reply("text/html", "<html>"));
    assert_eq!(fetch(&html.url("/")).await, Err(MediaError::Type));
    let nothing = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd");
    assert_eq!(fetch(&nothing.url("/")).await, Err(MediaError::Type));
    let missing = Server::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(fetch(&missing.url("/")).await, Err(MediaError::Status(404)));
    assert_eq!(fetch(&Server::refusing()).await, Err(MediaError::Unreachable));
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let limit_bytes = LIMIT;
    let announced = Server::answering(&reply("image/png", &"x".repeat(LIMIT + 1)));
    assert_eq!(fetch(&announced.url("/")).await, Err(MediaError::TooLarge { limit_bytes }));
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n{}", "x".repeat(LIMIT + 1));
    let endless = Server::hanging_after(&endless);
    let fetched = tokio::time::timeout(Duration::from_mins(1), fetch(&endless.url("/"))).await;
    assert_eq!(fetched.unwrap(), Err(MediaError::TooLarge { limit_bytes }));
}

#[tokio::test]
async fn a_proxy_is_asked_for_media_and_not_for_what_is_private() {
    let proxy = Server::answering(&reply("image/png", PNG));
    let through = ProxyUrl::parse(&proxy.url("")).unwrap();
    let public = fetcher(Reach::Public);
    let fetched = public.fetch("http://media.example/a.png", Some(&through), LIMIT).await;
    assert_eq!(fetched.map(|medium| medium.mime), Ok("image/png".to_owned()));
    assert!(proxy.request().starts_with("GET http://media.example/a.png HTTP/1.1\r\n"));
    assert_eq!(public.fetch("http://10.0.0.1/", Some(&through), LIMIT).await, Err(MediaError::Private));
}
