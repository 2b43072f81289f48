//! Requests that go straight to the provider: hyper's own client, without what proxies and redirects would need.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, Entry, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::CryptoProvider;
use sluice_providers::Target;
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::{BoxCloneSyncService, MapErr};
use tower::{BoxError, ServiceExt};

use crate::client::{
    CONNECTION_IDLE, ClientSettings, H2_PING_EVERY, H2_PING_WAIT, MAX_HEADER_BYTES, MAX_IDLE_PER_HOST, TCP_PROBE_EVERY,
    TCP_PROBES, UNSENT_WAIT,
};
use crate::error::{NoAddress, SendError};
use crate::{Failure, Route};

/// The way to a provider's socket: a name's address, a connection, TLS.
type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;
type Stream = hyper_rustls::MaybeHttpsStream<TokioIo<TcpStream>>;
type Resolver = MapErr<GaiResolver, fn(io::Error) -> NoAddress>;

/// Sends requests straight to providers. Clones share the pool.
#[derive(Clone)]
pub(crate) struct Direct {
    client: Client<Connector, Full<Bytes>>,
    user_agent: HeaderValue,
    /// What the environment wants to go through a proxy.
    proxied: Option<Arc<Matcher>>,
}

impl Direct {
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(route: &Route, settings: &ClientSettings) -> Result<Self, SendError> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http2_keep_alive_interval(H2_PING_EVERY)
            .http2_keep_alive_timeout(H2_PING_WAIT)
            .http2_max_header_list_size(MAX_HEADER_BYTES);
        let user_agent =
            HeaderValue::from_str(&settings.user_agent).map_err(|error| SendError::with_cause(Failure::InvalidRoute, &error))?;
        let proxied = settings.use_system_proxy.then(|| Arc::new(Matcher::from_system()));
        Ok(Self { client: builder.build(connector(route)?), user_agent, proxied })
    }

    /// Whether the way there goes through no proxy.
    pub(crate) fn reaches(&self, uri: &Uri) -> bool {
        self.proxied.as_ref().is_none_or(|proxied| proxied.intercept(uri).is_none())
    }

    /// Sends a request and waits for the answer's headers.
    pub(crate) async fn send(&self, uri: Uri, target: Target, body: Bytes) -> Result<Response<Incoming>, SendError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = target.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.completed(target.headers);
        self.client.request(request).await.map_err(|error: Error| SendError::of_direct(&error))
    }

    fn completed(&self, mut headers: HeaderMap) -> HeaderMap {
        if let Entry::Vacant(none) = headers.entry(USER_AGENT) {
            none.insert(self.user_agent.clone());
        }
        if let Entry::Vacant(none) = headers.entry(ACCEPT) {
            none.insert(HeaderValue::from_static("*/*"));
        }
        headers
    }
}

fn connector(route: &Route) -> Result<Connector, SendError> {
    let resolver: Resolver = GaiResolver::new().map_err(NoAddress as fn(io::Error) -> NoAddress);
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_PROBE_EVERY));
    tcp.set_keepalive_interval(Some(TCP_PROBE_EVERY));
    tcp.set_keepalive_retries(Some(TCP_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNSENT_WAIT));
    let no_provider = || SendError::new(Failure::InvalidRoute);
    let provider = CryptoProvider::get_default().ok_or_else(no_provider)?.clone();
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_platform_verifier(provider)
        .map_err(|error| SendError::with_cause(Failure::InvalidRoute, &error))?;
    let https = tls.https_or_http().enable_http1().enable_http2().wrap_connector(tcp);
    Ok(BoxCloneSyncService::new(Timeout::new(https, route.connect_timeout)))
}
