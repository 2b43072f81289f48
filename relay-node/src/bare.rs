//! Bare forwarding: this relay's own HTTP server and client with nothing in between. What the whole request path costs is measured
//! against it; it is compiled for benches only.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use sluice_providers::Target;
use sluice_upstream::{Client, Route, Timeouts};
use url::Url;

/// Bodies beyond this are refused.
const MAX_BODY_BYTES: usize = 32 << 20;

#[derive(Debug)]
struct Bare {
    client: Client,
    route: Route,
    upstream: Url,
}

/// A router that sends every request on to the same path of `upstream`, its body read whole, and streams the answer back.
pub fn bare_router(client: Client, upstream: Url) -> Router {
    Router::new().fallback(forward).with_state(Arc::new(Bare { client, route: Route::default(), upstream }))
}

async fn forward(State(bare): State<Arc<Bare>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else { return of(StatusCode::BAD_REQUEST) };
    let mut url = bare.upstream.clone();
    url.set_path(head.uri.path());
    let mut headers = HeaderMap::with_capacity(2);
    for name in [CONTENT_TYPE, AUTHORIZATION] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let target = Target { method: head.method, url, headers };
    let Ok(answer) = bare.client.send(&bare.route, target, body.to_bytes(), Timeouts::default()).await else {
        return of(StatusCode::BAD_GATEWAY);
    };
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = answer.status;
    if let Some(value) = answer.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, value.clone());
    }
    response
}

fn of(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
