//! The public port: what is asked for, by whom, and in which shape it is answered.
//!
//! [`receive`] names the request, finds its route and hands it on; models are answered by [`crate::pipeline`]. Everything that knows
//! HTTP from the caller's side lives here, and no rule about money or channels does.

pub mod body;
mod credential;
mod models;
pub mod reply;
pub mod request;
mod route;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{ALLOW, CONNECTION, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::Body as _;
use sluice_domain::{Now, Quota, RequestId};
use sluice_limits::client_address::{client_address, is_trusted};
use sluice_telemetry::build;

use self::models::Format;
use self::reply::Stamp;
use self::request::Interface;
pub use self::route::Shape;
use self::route::{Route, Target, resolve};
use crate::admit::{self, Admitted};
use crate::app::RelayApp;
use crate::auth;
use crate::counting;
use crate::error::{Kind, Refusal};
use crate::forward::Hints;
use crate::metrics::ByInterface;
use crate::observed::Observed;
use crate::pipeline;
use crate::responses;

/// One request, named and located.
#[derive(Debug)]
pub struct Call<'r> {
    /// Its line and headers.
    pub head: &'r Parts,
    /// What its answer carries.
    pub stamp: Stamp,
    /// Where the caller is.
    pub client: IpAddr,
    /// When it came in.
    pub started: Now,
}

impl Call<'_> {
    /// The key that was presented, as text.
    #[must_use]
    pub fn presented_key(&self) -> Option<std::borrow::Cow<'_, str>> {
        credential::presented(&self.head.uri, &self.head.headers, self.stamp.shape)
    }

    /// What of the head may matter upstream.
    #[must_use]
    pub fn hints(&self) -> Hints {
        let header = |name| self.head.headers.get(name).cloned();
        Hints {
            query: self.head.uri.query().map(Into::into),
            accept: header("accept"),
            openai_beta: header("openai-beta"),
            anthropic_version: header("anthropic-version"),
            anthropic_beta: header("anthropic-beta"),
            others: HeaderMap::new(),
        }
    }
}

/// Everything a relay answers on its public port. Serve it with the peer's address as [`ConnectInfo`].
pub fn router(app: RelayApp) -> Router {
    Router::new().fallback(move |request| receive(app.clone(), request))
}

/// Answers one request, like [`router`] does.
pub async fn receive(app: RelayApp, request: Request) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let started = app.clock.read();
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let trusted = &app.settings.trusted_proxies;
    let client = client_address(peer, &head.headers, trusted);
    let has_anthropic_version = head.headers.contains_key("anthropic-version");
    let route = resolve(&head.method, head.uri.path(), has_anthropic_version);
    let stamp = Stamp { request_id: name(&app, &head, is_trusted(peer, trusted), started), shape: route.shape };

    let call = Call { head: &head, stamp: stamp.clone(), client, started };
    // A panic must not take the connection, or other requests on it, along.
    let answered = AssertUnwindSafe(dispatch(&app, &call, &mut body, route)).catch_unwind().await;
    let mut response =
        answered.unwrap_or_else(|_| stamp.refuse(&Refusal::new(Kind::Internal, "an internal error happened, it was recorded")));
    if !body.is_end_stream() && !body::drain(&mut body, &head.headers).await && head.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if head.version == Version::HTTP_11 && reply::is_stream(&response) {
        response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("keep-alive"));
    }
    stamp.seal(&mut response);
    response
}

/// The request's name: the one a trusted proxy gave it, else a new one.
fn name(app: &RelayApp, head: &Parts, is_from_proxy: bool, started: Now) -> RequestId {
    let given = head.headers.get("x-request-id").filter(|_| is_from_proxy).and_then(|value| value.to_str().ok());
    given
        .and_then(|text| RequestId::parse(text).ok())
        .unwrap_or_else(|| app.chance.request_id(started.wall, &mut app.chance.rng()))
}

async fn dispatch(app: &RelayApp, call: &Call<'_>, body: &mut Body, route: Route<'_>) -> Response<Body> {
    let interface = Interface::of(route.target, call.head.uri.query());
    let kind = match (&interface, route.target) {
        (Some(interface), _) => ByInterface::Text(interface.surface),
        (None, Target::Count { .. }) => ByInterface::CountTokens,
        (None, Target::Stored { .. }) => ByInterface::StoredResponses,
        (None, Target::Models | Target::Model(_)) => ByInterface::Models,
        (None, _) => ByInterface::Other,
    };
    let mut observed = Observed::new(app, call.stamp.request_id.clone(), kind, call.client);
    if call.head.method == Method::OPTIONS {
        observed.answered(StatusCode::NO_CONTENT.as_u16());
        return reply::preflight();
    }
    if let Some(interface) = interface {
        return pipeline::serve(app, call, body, interface, observed).await;
    }
    let answered = match route.target {
        Target::Count { surface, model } => counting::serve(app, call, body, (surface, model), &mut observed).await,
        Target::Stored { call: wanted, id } => responses::serve(app, call, (wanted, id), &mut observed).await,
        Target::Status => Ok(status(app)),
        Target::Home | Target::Page => page(app, call, route.target),
        Target::Models => listing(app, call, &mut observed, None).await,
        Target::Model(name) => listing(app, call, &mut observed, Some(name)).await,
        Target::NotServed => not_served(app, call, &mut observed).await,
        Target::WrongMethod(methods) => return wrong_method(call, methods, observed),
        Target::Unknown | Target::Text(_) | Target::Named { .. } => Err(unknown(call)),
    };
    match answered {
        Ok(response) => {
            observed.answered(response.status().as_u16());
            response
        }
        Err(refusal) => {
            observed.refused(&refusal);
            call.stamp.refuse(&refusal)
        }
    }
}

/// Who calls, judged: all that the interfaces ask which charge nothing.
///
/// # Errors
/// When the caller may not call.
pub async fn admitted(app: &RelayApp, call: &Call<'_>, observed: &mut Observed) -> Result<Admitted, Refusal> {
    let caller = auth::identify(&app.view, call.presented_key().as_deref()).await?;
    observed.caller(&caller);
    admit::check(caller, &app.view.table(), call.client, app.view.corrected(call.started.wall))
}

async fn listing(
    app: &RelayApp,
    call: &Call<'_>,
    observed: &mut Observed,
    name: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let admitted = admitted(app, call, observed).await?;
    let table = app.view.table();
    let format = Format::of(call.stamp.shape, &call.head.headers, call.head.uri.query());
    let document = match name {
        Some(name) => models::item(&table, &admitted, name, format)?,
        None => models::list(&table, &admitted, format),
    };
    Ok(reply::json(StatusCode::OK, document))
}

async fn not_served(app: &RelayApp, call: &Call<'_>, observed: &mut Observed) -> Result<Response<Body>, Refusal> {
    admitted(app, call, observed).await?;
    let path = call.head.uri.path();
    if path.contains("/dashboard/billing/") {
        return Err(Refusal::new(Kind::NotServed, format!("{path} is served by the control plane, where balances are")));
    }
    Err(Refusal::new(
        Kind::NotServed,
        format!(
            "{path} is not served; chat completions, responses, messages, generateContent, completions, edits, embeddings, rerank, \
             moderations, token counting and models are"
        ),
    ))
}

/// The family's status document, as far as a relay can fill it.
fn status(app: &RelayApp) -> Response<Body> {
    let is_ready = app.view.is_usable() && app.spool.is_writable();
    let (status, message) =
        if is_ready { (StatusCode::OK, "") } else { (StatusCode::SERVICE_UNAVAILABLE, "the relay is not ready") };
    let document = serde_json::json!({
        "success": is_ready,
        "message": message,
        "data": {
            "version": build::VERSION,
            "start_time": app.started_at.0 / 1_000,
            "quota_per_unit": Quota::PER_USD,
        },
    });
    reply::json(status, Bytes::from(document.to_string()))
}

/// Pages are served elsewhere, if anywhere.
fn page(app: &RelayApp, call: &Call<'_>, target: Target<'_>) -> Result<Response<Body>, Refusal> {
    let is_read = matches!(call.head.method, Method::GET | Method::HEAD);
    if let Some(base) = app.settings.frontend_base_url.as_ref().filter(|_| is_read) {
        let path = call.head.uri.path_and_query().map_or("/", |path| path.as_str());
        let there = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        let there = HeaderValue::try_from(there).map_err(|_| unknown(call))?;
        response.headers_mut().insert(LOCATION, there);
        return Ok(response);
    }
    if target != Target::Home {
        return Err(unknown(call));
    }
    let document = serde_json::json!({ "name": "Sluice", "version": build::VERSION, "models": "/v1/models" });
    Ok(reply::json(StatusCode::OK, Bytes::from(document.to_string())))
}

fn wrong_method(call: &Call<'_>, methods: &'static str, mut observed: Observed) -> Response<Body> {
    let Parts { method, uri, .. } = call.head;
    let refusal =
        Refusal::new(Kind::WrongMethod, format!("the method {method} is not allowed for {}, use {methods}", uri.path()));
    observed.refused(&refusal);
    let mut response = call.stamp.refuse(&refusal);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn unknown(call: &Call<'_>) -> Refusal {
    let Parts { method, uri, .. } = call.head;
    Refusal::new(Kind::UnknownPath, format!("Invalid URL ({method} {})", uri.path()))
}
