//! A request by somebody who is known: what every operation is given.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use sluice_domain::UnixMillis;

use super::caller::Caller;
use super::codes::Code;
use super::problem::ApiError;
use crate::app::App;
use crate::auth::{self, Actor};

/// How long a sign-in counts as fresh, in milliseconds: what it takes to see a key again.
pub const FRESH_MILLIS: i64 = 10 * 60 * 1_000;
/// The longest `Idempotency-Key`, in characters.
const MAX_IDEMPOTENCY_KEY: usize = 128;

/// Who asks, when, from where, and under which conditions.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Who.
    pub actor: Actor,
    /// When; read once per operation.
    pub now: UnixMillis,
    /// From where.
    pub client_ip: IpAddr,
    /// When they signed in with a password; `None` for management tokens.
    pub signed_in_at: Option<UnixMillis>,
    /// When the management token ends they act by; `None` for sessions, and for those without end.
    pub token_ends_at: Option<UnixMillis>,
    /// What names the request, when it may be sent twice.
    pub idempotency: Option<IdempotencyKey>,
    /// The form of the object they saw, when they care.
    pub if_match: Option<Vec<String>>,
}

/// A key that names one request for a day: sent again it is answered again, not done again.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The key the caller chose.
    pub key: String,
    route: String,
    body: BodyText,
}

/// The body of a request, noted by whoever reads it.
#[derive(Clone, Default)]
pub(super) struct BodyText(Arc<OnceLock<String>>);

impl fmt::Debug for BodyText {
    /// Bodies carry passwords and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyText")
    }
}

impl BodyText {
    pub(super) fn note(&self, bytes: &[u8]) {
        let _ = self.0.set(String::from_utf8_lossy(bytes).into_owned());
    }
}

impl IdempotencyKey {
    /// What the request is, to tell another one with the same key.
    pub(super) fn request(&self) -> String {
        format!("{}\n{}", self.route, self.body.0.get().map_or("", String::as_str))
    }
}

impl Asking {
    /// Lets them pass when they signed in a short while ago.
    ///
    /// # Errors
    /// 403 when the sign-in is older, or they use a management token.
    pub fn need_fresh_sign_in(&self) -> Result<(), ApiError> {
        let is_fresh = |at: UnixMillis| self.now.millis_since(at) <= FRESH_MILLIS;
        if self.signed_in_at.is_some_and(is_fresh) {
            return Ok(());
        }
        let minutes = FRESH_MILLIS / 60_000;
        Err(ApiError::new(Code::SignInAgain, format!("this needs a sign-in with a password in the last {minutes} minutes")))
    }

    /// Lets them pass when the object still has the form they saw.
    ///
    /// # Errors
    /// 412 when it changed.
    pub fn need_unchanged(&self, rev: i64) -> Result<(), ApiError> {
        let Some(seen) = &self.if_match else { return Ok(()) };
        let here = etag(rev);
        if seen.iter().any(|tag| tag == "*" || *tag == here) {
            return Ok(());
        }
        Err(ApiError::new(Code::Changed, format!("its ETag is {here} now; read it again")))
    }
}

/// The `ETag` of a revision.
#[must_use]
pub(super) fn etag(rev: i64) -> String {
    format!("\"{rev}\"")
}

impl FromRequestParts<App> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await.unwrap_or_else(|never| match never {});
        let now = app.clock.wall();
        let idempotency = idempotency_key(parts)?;
        if let Some(key) = &idempotency {
            parts.extensions.insert(key.body.clone());
        }
        let identity = auth::identify(app, parts, now).await?;
        Ok(Self {
            actor: identity.actor,
            now,
            client_ip: caller.address,
            signed_in_at: identity.signed_in_at,
            token_ends_at: identity.token_ends_at,
            idempotency,
            if_match: if_match(&parts.headers)?,
        })
    }
}

fn idempotency_key(parts: &Parts) -> Result<Option<IdempotencyKey>, ApiError> {
    if parts.method != Method::POST {
        return Ok(None);
    }
    let Some(value) = parts.headers.get("idempotency-key") else { return Ok(None) };
    let bad = || {
        let rule = format!("Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters");
        ApiError::new(Code::BadHeader, rule)
    };
    let key = value.to_str().map_err(|_| bad())?;
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY {
        return Err(bad());
    }
    let route = format!("{} {}", parts.method, parts.uri.path());
    Ok(Some(IdempotencyKey { key: key.to_owned(), route, body: BodyText::default() }))
}

fn if_match(headers: &HeaderMap) -> Result<Option<Vec<String>>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::new(Code::BadHeader, "If-Match must be a list of ETags"))?;
    Ok(Some(text.split(',').map(|tag| tag.trim().to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sluice_domain::{Role, UserId};

    use super::*;

    fn asking(signed_in_at: Option<i64>, if_match: Option<&str>) -> Asking {
        Asking {
            actor: Actor { user_id: UserId::new(1), role: Role::User, scopes: None },
            now: UnixMillis(FRESH_MILLIS * 10),
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            signed_in_at: signed_in_at.map(UnixMillis),
            token_ends_at: None,
            idempotency: None,
            if_match: if_match.map(|text| text.split(',').map(str::to_owned).collect()),
        }
    }

    #[test]
    fn debug_shows_no_body() {
        let body = BodyText::default();
        body.note(b"{\"password\":\"kettle\"}");
        let key = IdempotencyKey { key: "k".into(), route: "POST /api/users".into(), body };
        assert!(key.request().contains("kettle") && !format!("{key:?}").contains("kettle"));
    }

    #[test]
    fn a_sign_in_is_fresh_for_ten_minutes_and_a_token_never() {
        assert!(asking(Some(FRESH_MILLIS * 9), None).need_fresh_sign_in().is_ok());
        assert!(asking(Some(FRESH_MILLIS * 9 - 1), None).need_fresh_sign_in().is_err());
        assert!(asking(None, None).need_fresh_sign_in().is_err());
    }

    #[test]
    fn an_object_that_changed_is_told_by_its_etag() {
        assert!(asking(None, None).need_unchanged(7).is_ok());
        assert!(asking(None, Some("\"6\",\"7\"")).need_unchanged(7).is_ok());
        assert!(asking(None, Some("*")).need_unchanged(7).is_ok());
        assert_eq!(asking(None, Some("\"6\"")).need_unchanged(7).unwrap_err().code, Code::Changed);
    }
}
