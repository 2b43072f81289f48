//! A server of one fixed reply, on threads of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// What happens after the reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    NextRequest,
    HangUp,
    Hang,
}

pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Receiver<String>,
    goners: Receiver<()>,
}

impl Server {
    /// Replies to every request.
    pub(crate) fn answering(reply: &str) -> Self {
        Self::start(reply, Then::NextRequest)
    }

    /// Replies once per connection and closes it.
    pub(crate) fn hanging_up_after(reply: &str) -> Self {
        Self::start(reply, Then::HangUp)
    }

    /// Replies once per connection and stays silent.
    pub(crate) fn hanging_after(reply: &str) -> Self {
        Self::start(reply, Then::Hang)
    }

    /// An address nobody listens at.
    pub(crate) fn refusing() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The first request that came, head and body.
    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub(crate) fn wait_until_client_is_gone(&self, limit: Duration) -> bool {
        self.goners.recv_timeout(limit).is_ok()
    }

    /// The threads end with the process: nothing else would wake `accept`.
    fn start(reply: &str, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (request_in, requests) = sync_channel(64);
        let (goner_in, goners) = sync_channel(64);
        let connections = Arc::new(AtomicUsize::new(0));
        let (reply, counter) = (reply.as_bytes().to_vec(), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let (reply, request_in, goner_in) = (reply.clone(), request_in.clone(), goner_in.clone());
                thread::spawn(move || serve(stream.unwrap(), &reply, then, &request_in, &goner_in));
            }
        });
        Self { address, connections, requests, goners }
    }
}

fn serve(mut stream: TcpStream, reply: &[u8], then: Then, requests: &SyncSender<String>, goners: &SyncSender<()>) {
    while let Some(request) = read_request(&mut stream) {
        let _ = requests.try_send(request);
        if stream.write_all(reply).is_err() || then == Then::HangUp {
            return;
        }
        if then == Then::Hang {
            let _ = stream.read(&mut [0; 64]);
            break;
        }
    }
    let _ = goners.try_send(());
}

/// One request with its announced body; what comes when it is no HTTP; `None` when the client is gone.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        seen.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if !seen.first().is_some_and(u8::is_ascii_uppercase) {
            return Some(text);
        }
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let announced =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
        if text.len() >= head + 4 + announced {
            return Some(text);
        }
    }
}
