//! What is known of a request before anything is read of it: its name, where it came from, and over what.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;
use sluice_domain::{RequestId, UnixMillis};
use sluice_limits::client_address::{client_address, is_trusted};
use uuid::Builder;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The address, seen through trusted proxies.
    pub address: IpAddr,
    /// Names the request in answers and in the log.
    pub request_id: RequestId,
    /// Whether the caller's own connection is encrypted, as a trusted proxy tells.
    pub is_https: bool,
}

impl Caller {
    /// Reads what the connection and trusted proxies tell.
    pub(super) fn of(request: &Request, trusted: &[IpNet], now: UnixMillis) -> Self {
        let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
        // a server that does not tell the other end is no reason to believe headers
        let peer = connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        let headers = request.headers();
        let behind_proxy = is_trusted(peer, trusted);
        let given = header(headers, "x-request-id").filter(|_| behind_proxy).and_then(|text| RequestId::parse(text).ok());
        Self {
            address: client_address(peer, headers, trusted),
            request_id: given.unwrap_or_else(|| new_request_id(now)),
            is_https: behind_proxy
                && header(headers, "x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
        }
    }

    fn unknown() -> Self {
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { address, request_id: new_request_id(UnixMillis(0)), is_https: false }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn new_request_id(now: UnixMillis) -> RequestId {
    let millis = u64::try_from(now.0).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &sluice_sealed::random::bytes()).into_uuid().into()
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::unknown))
    }
}
