use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Proxy, Way};

/// Long enough for anything that is going to happen.
const SOON: Duration = Duration::from_secs(20);
/// Long enough to see that something does not happen; too short an observation cannot fail a test.
const A_MOMENT: Duration = Duration::from_millis(150);

/// A server that says everything back.
async fn echo() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut answering = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            answering.spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    (addr, tasks)
}

async fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    hear(stream, text.len()).await
}

async fn hear(stream: &mut TcpStream, count: usize) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; count];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer or an end comes")?;
    Ok(answer)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let deadline = Instant::now() + SOON;
    loop {
        match TcpStream::connect(proxy.addr()).await {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test]
async fn what_is_said_is_heard_on_the_other_side_to_the_last_byte() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut stream = connect(&proxy).await;
    let text: Vec<u8> = (0..3_000_000_u32).map(|place| place.to_le_bytes()[0]).collect();
    let (mut from, mut to) = stream.split();
    let (mut heard, said) = (Vec::new(), text.clone());
    let saying = async {
        to.write_all(&said).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(saying, timeout(SOON, from.read_to_end(&mut heard)));
    assert_eq!((read.unwrap().unwrap(), heard == text), (text.len(), true));
    assert_eq!(proxy.bytes_passed(Way::Both), 2 * text.len() as u64);
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_nothing_that_comes_after() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut before = connect(&proxy).await;
    assert_eq!(ask(&mut before, b"one").await.unwrap(), b"one");
    proxy.cut();
    let end = hear(&mut before, 1).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    let mut after = connect(&proxy).await;
    assert_eq!(ask(&mut after, b"two").await.unwrap(), b"two");
}

#[tokio::test]
async fn a_proxy_that_refuses_has_nobody_at_its_port_until_it_is_healed() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut before = connect(&proxy).await;
    ask(&mut before, b"one").await.unwrap();
    proxy.refuse();
    assert!(hear(&mut before, 1).await.is_err());
    let deadline = Instant::now() + SOON;
    while TcpStream::connect(proxy.addr()).await.is_ok() {
        assert!(Instant::now() < deadline, "it still takes connections");
    }
    proxy.heal();
    assert_eq!(ask(&mut connect(&proxy).await, b"two").await.unwrap(), b"two");
}

#[tokio::test]
async fn a_black_hole_holds_everything_back_and_closes_nothing() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut stream = connect(&proxy).await;
    ask(&mut stream, b"one").await.unwrap();
    proxy.black_hole(Way::Both);
    stream.write_all(b"two").await.unwrap();
    let mut fresh = connect(&proxy).await;
    fresh.write_all(b"new").await.unwrap();
    let mut byte = [0];
    assert!(timeout(A_MOMENT, stream.read(&mut byte)).await.is_err(), "something came through");
    assert!(timeout(A_MOMENT, fresh.read(&mut byte)).await.is_err(), "something came through a new connection");
    proxy.heal();
    assert_eq!(hear(&mut stream, 3).await.unwrap(), b"two", "late, and all of it");
    assert_eq!(hear(&mut fresh, 3).await.unwrap(), b"new");
}

#[tokio::test]
async fn a_black_hole_of_one_way_lets_the_other_one_through() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut stream = connect(&proxy).await;
    ask(&mut stream, b"one").await.unwrap();
    proxy.black_hole(Way::ToClient);
    stream.write_all(b"two").await.unwrap();
    let deadline = Instant::now() + SOON;
    while proxy.bytes_passed(Way::ToServer) < 6 {
        assert!(Instant::now() < deadline, "the server hears nothing");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(timeout(A_MOMENT, stream.read(&mut [0])).await.is_err(), "the answer came through");
    proxy.heal();
    assert_eq!(hear(&mut stream, 3).await.unwrap(), b"two");
}

#[tokio::test]
async fn a_delay_is_added_to_each_way_it_is_asked_for() {
    let (server, _echo) = echo().await;
    let proxy = Proxy::start(server);
    let mut stream = connect(&proxy).await;
    ask(&mut stream, b"one").await.unwrap();
    let delay = Duration::from_millis(60);
    proxy.delay(Way::Both, delay);
    let begun = Instant::now();
    ask(&mut stream, b"two").await.unwrap();
    assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_does_not_read_makes_the_client_wait_instead_of_filling_the_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap());
    let mut stream = connect(&proxy).await;
    let (_unread, _) = listener.accept().await.unwrap();
    let most: usize = 64 << 20;
    let mut said = 0;
    let piece = vec![7_u8; 64 << 10];
    while said < most {
        match timeout(A_MOMENT, stream.write(&piece)).await {
            Ok(count) => said += count.unwrap(),
            Err(_) => break,
        }
    }
    assert!(said < most, "it swallowed {said} bytes");
}

#[tokio::test]
async fn a_client_without_a_server_is_hung_up_on_and_a_dropped_proxy_is_gone() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody);
    assert!(hear(&mut connect(&proxy).await, 1).await.is_err());
    let addr = proxy.addr();
    drop(proxy);
    assert!(TcpStream::connect(addr).await.is_err());
}
