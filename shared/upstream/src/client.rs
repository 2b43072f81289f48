//! The way out, and its pools.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, Uri};
use moka::sync::Cache;
use sluice_providers::Target;
use tokio::time::{Instant, timeout_at};

use crate::answer::Pieces;
use crate::direct::Direct;
use crate::route::ServerCheck;
use crate::{Answer, Body, Failure, Route, SendError, socket};

/// Routes whose pools are kept; the one unused for longest goes first.
const MAX_ROUTES: u64 = 256;
/// A pool nobody used for this long is closed.
const ROUTE_IDLE: Duration = Duration::from_mins(10);
/// Idle connections kept per host and route.
pub(crate) const MAX_IDLE_PER_HOST: usize = 100;
/// An idle connection is closed after this long: providers close theirs after a minute or more.
pub(crate) const CONNECTION_IDLE: Duration = Duration::from_secs(55);
/// HTTP/2 connections with requests on them are asked for a sign of life this often.
pub(crate) const H2_PING_EVERY: Duration = Duration::from_secs(20);
/// And given up when none comes within this.
pub(crate) const H2_PING_WAIT: Duration = Duration::from_secs(10);
/// Response headers accepted from an upstream, in bytes (HTTP/2).
pub(crate) const MAX_HEADER_BYTES: u32 = 64 << 10;
/// A silent connection is asked for a sign of life by the kernel this often.
pub(crate) const TCP_PROBE_EVERY: Duration = Duration::from_secs(15);
/// And broken after this many without an answer.
pub(crate) const TCP_PROBES: u32 = 3;
/// A connection is broken when what was sent is not confirmed within this.
pub(crate) const UNSENT_WAIT: Duration = Duration::from_secs(30);

/// What all routes have in common.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The `User-Agent` sent.
    pub user_agent: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment count for routes without a proxy.
    pub use_system_proxy: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { user_agent: concat!("sluice/", env!("CARGO_PKG_VERSION")).to_owned(), use_system_proxy: true }
    }
}

/// How long an upstream may take. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// From sending to the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body.
    pub idle: Option<Duration>,
    /// From sending to the body's end.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// Limits of a streamed answer: it may go on for as long as something comes.
    #[must_use]
    pub const fn streamed(first_byte: Duration, idle: Duration) -> Self {
        Self { first_byte: Some(first_byte), idle: Some(idle), total: None }
    }

    /// The limit of an answer in one piece.
    #[must_use]
    pub const fn whole(total: Duration) -> Self {
        Self { first_byte: None, idle: None, total: Some(total) }
    }
}

/// Sends requests to providers. Cheap to clone; clones share the pools.
#[derive(Clone)]
pub struct Client {
    /// Most channels have no proxy: they need none of what reqwest does, and their pool is found without a look-up.
    usual: (Route, Direct),
    others: Cache<Route, reqwest::Client>,
    /// The same for WebSockets, which begin as HTTP/1.1.
    sockets: Cache<Route, reqwest::Client>,
    settings: ClientSettings,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("other_routes", &self.others.entry_count()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When TLS cannot be set up: the system has no trusted certificates.
    pub fn new(settings: ClientSettings) -> Result<Self, SendError> {
        let route = Route::default();
        let usual = (route.clone(), Direct::new(&route, &settings)?);
        let routes = || Cache::builder().max_capacity(MAX_ROUTES).time_to_idle(ROUTE_IDLE).build();
        Ok(Self { usual, others: routes(), sockets: routes(), settings })
    }

    /// Sends a request and waits for the answer's headers. Dropping the future, or the answer, ends the request.
    ///
    /// # Errors
    /// When no answer came. An answer of any status is not an error.
    pub async fn send(&self, route: &Route, target: Target, body: Bytes, timeouts: Timeouts) -> Result<Answer, SendError> {
        let started = Instant::now();
        let deadline = |limit: Option<Duration>| limit.and_then(|limit| started.checked_add(limit));
        let (first_byte, total) = (deadline(timeouts.first_byte), deadline(timeouts.total));

        let sent = self.send_unhurried(route, target, body);
        let answer = match earliest(first_byte, total) {
            None => sent.await,
            Some(at) => match timeout_at(at, sent).await {
                Ok(answer) => answer,
                Err(_) if total == Some(at) => return Err(SendError::new(Failure::TotalTimeout)),
                Err(_) => return Err(SendError::new(Failure::FirstByteTimeout)),
            },
        };
        let (parts, body) = answer?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: Body::new(body, first_byte, timeouts.idle, total) })
    }

    async fn send_unhurried(&self, route: &Route, target: Target, body: Bytes) -> Result<Response<Pieces>, SendError> {
        if socket::is_for(&target) {
            let client = pool(&self.sockets, route, || Ok(builder(route, &self.settings)?.http1_only()))?;
            return Box::pin(socket::ask(&client, target, body)).await;
        }
        let (usual, direct) = &self.usual;
        let uri = Uri::try_from(target.url.as_str()).map_err(|error| SendError::with_cause(Failure::InvalidTarget, &error))?;
        if route == usual && direct.reaches(&uri) {
            return Ok(direct.send(uri, target, body).await?.map(Pieces::Direct));
        }
        let mut request = reqwest::Request::new(target.method, target.url);
        *request.headers_mut() = target.headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        let client = pool(&self.others, route, || builder(route, &self.settings))?;
        let answer = Box::pin(client.execute(request)).await.map_err(|error| SendError::of_request(&error))?;
        Ok(Response::from(answer).map(Pieces::Proxied))
    }
}

/// The client of a route, made when it is first used.
fn pool(
    pools: &Cache<Route, reqwest::Client>,
    route: &Route,
    make: impl FnOnce() -> Result<reqwest::ClientBuilder, SendError>,
) -> Result<reqwest::Client, SendError> {
    if let Some(client) = pools.get(route) {
        return Ok(client);
    }
    let client = pools.try_get_with(route.clone(), || make()?.build().map_err(|error| invalid(&error)));
    client.map_err(|error| SendError::clone(&error))
}

/// The earlier of two moments that may not be.
fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn invalid(error: &reqwest::Error) -> SendError {
    SendError::with_cause(Failure::InvalidRoute, error)
}

fn builder(route: &Route, settings: &ClientSettings) -> Result<reqwest::ClientBuilder, SendError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(route.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_PROBE_EVERY)
        .tcp_keepalive_interval(TCP_PROBE_EVERY)
        .tcp_keepalive_retries(TCP_PROBES)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(CONNECTION_IDLE)
        .http2_keep_alive_interval(H2_PING_EVERY)
        .http2_keep_alive_timeout(H2_PING_WAIT)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .tls_danger_accept_invalid_certs(route.server_check == ServerCheck::None);
    builder = match &route.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(|error| invalid(&error))?),
        None if settings.use_system_proxy => builder,
        None => builder.no_proxy(),
    };
    Ok(builder)
}
