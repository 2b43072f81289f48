//! Accepts connections and serves HTTP/1.1 on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::answer::answer;
use super::socket::{Line, Socket};

/// Connections the kernel holds for us while we are busy.
const BACKLOG: u32 = 4096;

/// A server to start.
pub(super) struct Server {
    pub(super) listen: SocketAddr,
    pub(super) threads: usize,
    pub(super) max_connections: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
}

impl Server {
    /// Starts on a thread of its own: a test's paused clock or blocked runtime cannot stop it. Returns when it listens.
    pub(super) fn start(self) -> io::Result<(SocketAddr, JoinHandle<()>)> {
        let runtime = runtime(self.threads)?;
        let (sender, receiver) = sync_channel(1);
        let body = move || {
            runtime.block_on(async {
                let listener = match listen_on(self.listen) {
                    Ok(listener) => listener,
                    Err(error) => return sender.send(Err(error)).unwrap_or(()),
                };
                sender.send(listener.local_addr()).unwrap_or(());
                let accepting = accept(&listener, &self.shared, self.max_connections.max(1));
                self.stop.run_until_cancelled(accepting).await;
            });
            // Dropping the runtime drops every connection, wherever it stands.
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        let server = std::thread::Builder::new().name("simulator".to_owned()).spawn(body)?;
        let addr = receiver.recv().map_err(io::Error::other)??;
        Ok((addr, server))
    }
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    if threads <= 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(threads).thread_name("simulator").enable_all().build()
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, max_connections: usize) -> Infallible {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(max_connections));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(shared);
                connections.spawn(async move {
                    serve(stream, shared).await;
                    drop(permit);
                });
            }
            // Out of file descriptors, or a caller that left already: the next one may do.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).ok();
    let line = Arc::new(Line::default());
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&line)));
    let service = service_fn(move |request| answer(Arc::clone(&shared), Arc::clone(&line), request));
    // How a connection ends is the caller's business or the scenario's; the log has it either way.
    http1::Builder::new().header_read_timeout(None).serve_connection(socket, service).await.ok();
}
