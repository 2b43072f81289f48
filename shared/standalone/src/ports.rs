//! One port for both halves, and the way from one to the other.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt;
use sluice_domain::surface::{Half, half_of};
use sluice_telemetry::drain::Drain;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceExt;
use tracing::warn;

/// Binds a port, or says which setting names it.
pub(crate) async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({setting})"))
}

/// Gives each request to the half that answers its path.
pub(crate) fn by_path(control: Router, relay: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let half = match half_of(request.uri().path()) {
            Half::ControlPlane => control.clone(),
            Half::Relay => relay.clone(),
        };
        async move { answer(half, request).await }
    })
}

async fn answer(half: Router, request: Request) -> Response {
    match half.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Serves people and programs until `end`, then finishes what is in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    end: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // without it the kernel holds back the small pieces of a stream
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            warn!("cannot send small pieces at once: {error}");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(end).await
}

/// Serves the relay half in this process.
pub(crate) async fn serve_in_process(
    connections: mpsc::Receiver<DuplexStream>,
    routes: tonic::service::Routes,
    drain: Drain,
) -> Result<(), tonic::transport::Error> {
    let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
    tonic::transport::Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, drain.closing()).await
}
