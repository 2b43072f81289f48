//! The public port: accepts connections, each bounded in time and memory, and serves a router on them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use sluice_telemetry::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::{Service, service_fn};
use tracing::warn;

use super::stall::Stall;

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ListenSettings {
    /// The longest nothing can be written to a caller before it is given up.
    pub write_stall: Duration,
    /// The longest a connection may be idle, or take to send a request's head. Load balancers keep idle connections for up to ten
    /// minutes and must not find them closed.
    pub idle: Duration,
    /// Bytes read or written ahead per connection; also the largest head of a request.
    pub buffer_bytes: usize,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            write_stall: Duration::from_secs(30),
            idle: Duration::from_secs(620),
            buffer_bytes: 32 << 10,
            max_connections: 32_768,
        }
    }
}

/// How long accepting pauses when the process has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves a router until `end`, then finishes what is in flight. Handlers find the peer's address as `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, settings: ListenSettings, tasks: Tasks, end: impl Future<Output = ()>) {
    let builder = Arc::new(builder(settings));
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut end => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let stream = prepared(stream, settings);
        let (builder, router, watcher) = (Arc::clone(&builder), router.clone(), graceful.watcher());
        tasks.spawn("connection", async move {
            let _slot = slot;
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().call(request)
            });
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            // A connection that breaks tells of itself in the requests it carried.
            let _ = watcher.watch(connection).await;
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// HTTP/1.1 alone. A caller of clear-text HTTP/2 that grants no window is asked for nothing more, body included, so that neither its
/// request nor what is set aside for it would ever end; proxies in front of relays speak HTTP/1.1 to them.
fn builder(settings: ListenSettings) -> Builder {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(settings.idle).max_buf_size(settings.buffer_bytes);
    builder
}

fn prepared(stream: TcpStream, settings: ListenSettings) -> Stall<TcpStream> {
    // Without it the kernel holds back the small pieces of a stream.
    if let Err(error) = stream.set_nodelay(true) {
        warn!(%error, "cannot send small pieces at once");
    }
    Stall::new(stream, settings.write_stall)
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // These three belong to a caller who left before being accepted.
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        warn!(%error, "cannot accept a connection");
        tokio::time::sleep(PAUSE).await;
    }
}
