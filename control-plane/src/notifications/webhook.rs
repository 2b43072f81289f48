//! Messages to a webhook: what is in them, how they are signed, and how one is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;
use sluice_domain::UnixMillis;
use sluice_providers::Target;
use sluice_upstream::{Client, Route, Timeouts};
use url::Url;

use super::Notification;

/// How long a webhook may take to answer.
const SEND_LIMIT: Duration = Duration::from_secs(10);
const SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
const ID: HeaderName = HeaderName::from_static("x-webhook-id");

/// Where a webhook is, user, password and query included. They show nowhere.
#[derive(Clone)]
pub struct Address {
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Address {
    /// Reads an address. A user and a password in it are sent as basic authentication.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let mut url = url.ok_or("must be an address that begins with http:// or https://")?;
        let authorization = basic(&url);
        // fails only for addresses without a host
        let _ = (url.set_username(""), url.set_password(None));
        Ok(Self { url, authorization })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A webhook, and the secret by which it knows that messages are ours.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where it is.
    pub address: Address,
    /// Signs messages.
    pub secret: SecretString,
}

/// Carries notifications to a webhook. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Courier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    webhook: Webhook,
}

/// Why a message did not get there. Tells neither what was in it nor where it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// The webhook did not say yes.
    #[error("the webhook answered {0}")]
    Answered(u16),
    /// Nothing came back, in a word of [`sluice_upstream::Failure`].
    #[error("the webhook did not answer: {0}")]
    Silent(&'static str),
    /// There is no such message.
    #[error("it cannot be put into a message")]
    Unsendable,
}

/// What the webhook is sent.
#[derive(Debug, Serialize)]
struct Message<'a> {
    id: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    content: &'a str,
    values: &'a serde_json::Value,
    /// When it was sent, in seconds since 1970.
    timestamp: i64,
}

impl Courier {
    /// A courier to one webhook. Redirects are not followed.
    #[must_use]
    pub fn new(client: Client, webhook: Webhook) -> Self {
        Self(Arc::new(Inner { client, webhook }))
    }

    /// Sends one notification, once. The webhook has taken it when it answers 2xx.
    ///
    /// # Errors
    /// When it did not, or did not answer in time.
    pub async fn send(&self, notification: &Notification, now: UnixMillis) -> Result<(), NotDelivered> {
        let Inner { client, webhook } = &*self.0;
        let (headers, body) = webhook.message(notification, now).ok_or(NotDelivered::Unsendable)?;
        let target = Target { method: Method::POST, url: webhook.address.url.clone(), headers };
        let answer = client.send(&Route::default(), target, body, Timeouts::whole(SEND_LIMIT)).await;
        match answer {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(NotDelivered::Answered(answer.status.as_u16())),
            Err(error) => Err(NotDelivered::Silent(error.failure().as_str())),
        }
    }
}

impl Webhook {
    /// Headers and body of one message.
    fn message(&self, notification: &Notification, now: UnixMillis) -> Option<(HeaderMap, Bytes)> {
        let Notification { id, kind, title, content, values, .. } = notification;
        let timestamp = now.0.div_euclid(1_000);
        let body = serde_json::to_vec(&Message { id: *id, kind, title, content, values, timestamp }).ok()?;
        let signature = sign(&self.secret, timestamp, &body)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SIGNATURE, HeaderValue::try_from(signature).ok()?);
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(ID, HeaderValue::from(*id));
        headers.extend(self.address.authorization.clone().map(|value| (AUTHORIZATION, value)));
        Some((headers, body.into()))
    }
}

/// HMAC-SHA256 over `timestamp.body`, in hex. The time is signed too, so that a message that was overheard is soon worth nothing.
fn sign(secret: &SecretString, timestamp: i64, body: &[u8]) -> Option<String> {
    // there is no key it does not take
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_other_programs_make() {
        // printf '1790000000.{"id":1}' | openssl dgst -sha256 -hmac 'a secret of this test'
        let known = "dbb68e12ea27c4c3857328b59122db0eefc4124006bb8db4c724c01993fffe6d";
        assert_eq!(sign(&"a secret of this test".into(), 1_790_000_000, br#"{"id":1}"#).as_deref(), Some(known));
        assert_ne!(sign(&"another".into(), 1_790_000_000, br#"{"id":1}"#).as_deref(), Some(known));
        assert_ne!(sign(&"a secret of this test".into(), 1_790_000_001, br#"{"id":1}"#).as_deref(), Some(known));
    }

    #[test]
    fn an_address_is_of_the_web_and_shows_nowhere() {
        for text in ["", "?", "example.com/hook", "ftp://example.com", "http://", "mailto:a@example.com"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let address = Address::parse(" https://ana:p%40ss@example.com/hook?key=hunter2 ").unwrap();
        assert_eq!(address.url.as_str(), "https://example.com/hook?key=hunter2");
        assert_eq!(address.authorization.as_ref().unwrap(), &format!("Basic {}", STANDARD.encode("ana:p@ss")));
        assert_eq!(format!("{address:?}"), "Address");
        assert!(Address::parse("http://[::1]:8080").unwrap().authorization.is_none());
    }
}
