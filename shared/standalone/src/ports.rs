//! One port for both halves, and the way from one to the other.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use sluice_domain::surface::{Half, half_of};
use sluice_telemetry::drain::Drain;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceExt;

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

/// Serves the relay half in this process.
pub(crate) async fn serve_in_process(
    connections: mpsc::Receiver<DuplexStream>,
    routes: tonic::service::Routes,
    drain: Drain,
) -> Result<(), tonic::transport::Error> {
    let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
    tonic::transport::Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, drain.closing()).await
}
