//! A TCP proxy that breaks what passes through it: cut, black hole, delay, refusal, each way alone or both.
//!
//! It needs no privileges, unlike a packet filter. A black hole keeps every connection open and lets nothing through, as a network that
//! lost its route does: what the proxy took before, and what the kernels hold, comes through late when it is healed. It runs on a thread
//! of its own, so that a blocked test cannot stop it.

mod carry;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::carry::carry;
use crate::ports;

/// Connections at once; more wait.
pub const MAX_CONNECTIONS: usize = 1_024;
/// Connections the kernel holds for us while we are busy.
const BACKLOG: u32 = 1_024;
/// How long the kernel may keep the port to itself when the proxy listens again.
const REBIND_PAUSE: Duration = Duration::from_millis(5);

/// A direction of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who connected to whom they wanted.
    ToServer,
    /// Back.
    ToClient,
    /// Either.
    Both,
}

impl Way {
    const fn places(self) -> &'static [usize] {
        match self {
            Self::ToServer => &[TO_SERVER],
            Self::ToClient => &[TO_CLIENT],
            Self::Both => &[TO_SERVER, TO_CLIENT],
        }
    }
}

const TO_SERVER: usize = 0;
const TO_CLIENT: usize = 1;

/// What is done to connections.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Nobody listens.
    refuses: bool,
    /// Connections made before the last of so many cuts are gone.
    cuts: u64,
    /// Nothing passes.
    held: [bool; 2],
    /// Everything takes so much longer.
    delay: [Duration; 2],
}

/// What passed, for tests to look at.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    made: AtomicU64,
    bytes: [AtomicU64; 2],
}

/// A running proxy. Dropping it cuts every connection.
pub struct Proxy {
    addr: SocketAddr,
    weather: watch::Sender<Weather>,
    counts: Arc<Counts>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of a server, which need not be there yet. Panics when no port can be had.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let (weather, seen) = watch::channel(Weather::default());
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let (sender, receiver) = sync_channel(1);
        let gate = Gate { addr, server, weather: seen, counts: Arc::clone(&counts) };
        let stopped = stop.clone();
        let body = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                let listener = listen_on(addr);
                sender.send(listener.as_ref().map(drop).map_err(ToString::to_string)).ok();
                let Ok(listener) = listener else { return };
                stopped.run_until_cancelled(gate.run(listener)).await;
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(body).expect("a thread can be started");
        receiver.recv().expect("the proxy says whether it listens").unwrap_or_else(|error| panic!("no port: {error}"));
        Self { addr, weather, counts, stop, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resets every connection there is. Others can be made at once.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Resets every connection and listens no more: who connects is refused.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| weather.refuses = true);
    }

    /// Lets nothing through and closes nothing.
    pub fn black_hole(&self, way: Way) {
        self.weather.send_modify(|weather| way.places().iter().for_each(|place| weather.held[*place] = true));
    }

    /// Everything takes so much longer from here on.
    pub fn delay(&self, way: Way, by: Duration) {
        self.weather.send_modify(|weather| way.places().iter().for_each(|place| weather.delay[*place] = by));
    }

    /// Ends every fault. What was held back comes through.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }

    /// Connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Connections that were made since the start.
    #[must_use]
    pub fn connections_made(&self) -> u64 {
        self.counts.made.load(Ordering::Relaxed)
    }

    /// Bytes that came through.
    #[must_use]
    pub fn bytes_passed(&self, way: Way) -> u64 {
        way.places().iter().map(|place| self.counts.bytes[*place].load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Takes connections in.
struct Gate {
    addr: SocketAddr,
    server: SocketAddr,
    weather: watch::Receiver<Weather>,
    counts: Arc<Counts>,
}

impl Gate {
    async fn run(mut self, mut listener: TcpListener) -> Infallible {
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            tokio::select! {
                () = refusing(&mut self.weather) => {
                    drop(listener);
                    listener = self.listen_again().await;
                }
                taken = take(&listener, &room) => {
                    let Some((client, permit)) = taken else { continue };
                    let (server, weather, counts) = (self.server, self.weather.clone(), Arc::clone(&self.counts));
                    connections.spawn(async move {
                        counts.made.fetch_add(1, Ordering::Relaxed);
                        counts.open.fetch_add(1, Ordering::Relaxed);
                        carry(client, server, weather, &counts).await;
                        counts.open.fetch_sub(1, Ordering::Relaxed);
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn listen_again(&mut self) -> TcpListener {
        while self.weather.wait_for(|weather| !weather.refuses).await.is_err() {
            // the proxy is being dropped
            std::future::pending::<()>().await;
        }
        loop {
            match listen_on(self.addr) {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(REBIND_PAUSE).await,
            }
        }
    }
}

async fn refusing(weather: &mut watch::Receiver<Weather>) {
    if weather.wait_for(|weather| weather.refuses).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn take(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    let Ok((client, _)) = listener.accept().await else {
        tokio::time::sleep(REBIND_PAUSE).await;
        return None;
    };
    Some((client, permit))
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
