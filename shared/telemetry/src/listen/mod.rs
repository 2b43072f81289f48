//! A public port: accepts connections, each bounded in time and memory, and answers what is asked on them.

mod stall;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::warn;

use self::stall::Stall;
use crate::tasks::Tasks;

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

/// Answers requests until `end`, then finishes what is in flight. The peer's address comes with each as `ConnectInfo<SocketAddr>`.
pub async fn serve<A, F>(listener: TcpListener, answer: A, settings: ListenSettings, tasks: Tasks, end: impl Future<Output = ()>)
where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
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
        let (builder, answer, watcher) = (Arc::clone(&builder), answer.clone(), graceful.watcher());
        tasks.spawn_one_of_many(async move {
            let _slot = slot;
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                let answered = answer(request.map(Body::new));
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            // A connection that breaks tells of itself in the requests it carried.
            let _ = watcher.watch(connection).await;
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// What a router answers, for [`serve`].
pub fn routed(router: Router) -> impl Fn(Request<Body>) -> BoxFuture + Clone + Send + 'static {
    move |request| {
        let answered = router.clone().oneshot(request);
        Box::pin(async move { answered.await.unwrap_or_else(|never| match never {}) })
    }
}

/// An answer to come.
pub type BoxFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// HTTP/1.1 alone. A caller of clear-text HTTP/2 that grants no window is asked for nothing more, body included, so that neither its
/// request nor what is set aside for it would ever end; proxies in front of us speak HTTP/1.1.
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
