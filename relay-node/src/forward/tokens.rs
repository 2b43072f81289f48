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

/// A token that was thrown away is not thrown away again for this long: those who still used the old one come late.
const RENEWED: Duration = Duration::from_secs(5);

/// The tokens in use, by what tells their keys apart. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    known: Cache<String, AccessToken>,
    /// Keys whose token was thrown away just now.
    renewed: Cache<String, ()>,
}

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
        self.known.try_get_with(key, fetch(client, route, request)).await.map_err(|error| NoToken::clone(&error))
    }

    /// Throws a token away that its provider takes no longer, though its time is not over.
    pub(super) async fn forget(&self, key: &str) {
        let thrown_away = async { self.known.invalidate(key).await };
        self.renewed.get_with_by_ref(key, thrown_away).await;
    }
}

impl Default for Tokens {
    fn default() -> Self {
        let known = Cache::builder().max_capacity(MAX_TOKENS).expire_after(Lifetime).build();
        Self { known, renewed: Cache::builder().max_capacity(MAX_TOKENS).time_to_live(RENEWED).build() }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use axum::routing::post;
    use secrecy::SecretString;
    use sluice_upstream::ClientSettings;

    use super::*;

    #[tokio::test]
    async fn a_token_that_is_refused_early_is_fetched_anew_once_for_all_who_used_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fetched = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&fetched);
        let give = move || async move {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            format!(r#"{{"access_token":"24.t{number}","expires_in":2592000}}"#)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: url::Url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, Router::new().route("/token", post(give))).await });
        let client = Client::new(ClientSettings { use_system_proxy: false, ..ClientSettings::default() }).unwrap();
        let (tokens, route) = (Tokens::default(), Route::default());
        let of = async |key: &str| {
            let request = TokenRequest { url: url.clone(), body: SecretString::default() };
            tokens.of(&client, &route, (key.to_owned(), request)).await.unwrap().secret.expose_secret().to_owned()
        };
        assert_eq!((of("a").await.as_str(), of("a").await.as_str(), of("b").await.as_str()), ("24.t0", "24.t0", "24.t1"));
        for _ in 0..3 {
            tokens.forget("a").await;
            assert_eq!((of("a").await.as_str(), of("b").await.as_str()), ("24.t2", "24.t1"), "who comes late changes nothing");
        }
        assert_eq!(fetched.load(Ordering::Relaxed), 3);
    }
}
