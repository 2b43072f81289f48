//! Tokens that keys are exchanged for: fetched once for all requests that need one, and again before it ends.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use moka::Expiry;
use moka::future::Cache;
use secrecy::ExposeSecret;
use sluice_dialect::error::UpstreamError;
use sluice_providers::Target;
use sluice_providers::sign::AccessToken;
use sluice_providers::sign::google::{FORM, TokenRequest};
use sluice_upstream::{Client, Route, SendError, Timeouts};

/// Tokens that are kept; the one unused for longest goes first.
const MAX_TOKENS: u64 = 10_000;
/// The longest wait for a token.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer with a token, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The tokens in use, by what tells their keys apart. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Tokens(Cache<String, AccessToken>);

/// Why there is no token.
#[derive(Debug, Clone)]
pub(super) enum NoToken {
    /// Nobody answered.
    Sent(SendError),
    /// The key was refused, or whoever gives tokens out is in trouble.
    Refused(StatusCode, Box<UpstreamError>),
    /// The answer holds none.
    Unreadable,
}

impl Tokens {
    /// The token of a key. `made` makes the request for one, should it be needed; its first part tells the key from others.
    pub(super) async fn of(&self, client: &Client, route: &Route, made: (String, TokenRequest)) -> Result<AccessToken, NoToken> {
        let (key, request) = made;
        self.0.try_get_with(key, fetch(client, route, request)).await.map_err(|error| NoToken::clone(&error))
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_TOKENS).expire_after(Lifetime).build())
    }
}

async fn fetch(client: &Client, route: &Route, request: TokenRequest) -> Result<AccessToken, NoToken> {
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(FORM)),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]);
    let target = Target { method: Method::POST, url: request.url, headers };
    let body = Bytes::from(request.body.expose_secret().to_owned());
    let answer = client.send(route, target, body, Timeouts::whole(PATIENCE)).await.map_err(NoToken::Sent)?;
    let status = answer.status;
    let body = answer.collect(MAX_ANSWER_BYTES).await.map_err(|_| NoToken::Unreadable)?;
    if !status.is_success() {
        return Err(NoToken::Refused(status, Box::new(UpstreamError::read(status.as_u16(), &body, &[]))));
    }
    AccessToken::read(&body).ok_or(NoToken::Unreadable)
}

/// A token is kept for four fifths of its life.
struct Lifetime;

impl Expiry<String, AccessToken> for Lifetime {
    fn expire_after_create(&self, _: &String, token: &AccessToken, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(token.lifetime_secs / 5 * 4))
    }
}
