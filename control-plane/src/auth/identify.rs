//! Who a request is from. Role and status are read from the database each time: whoever was disabled or demoted is so at once.

use http::header::{self, HeaderName};
use http::request::Parts;
use sluice_domain::UnixMillis;
use tower_sessions::Session;

use super::actor::Actor;
use super::management;
use super::session_store::SIGNED_IN;
use super::sign_in::SignedIn;
use crate::app::App;
use crate::http::{ApiError, Code};
use crate::users;

/// Pages of other sites cannot send this header, so a write that has it came from ours.
const CSRF: HeaderName = HeaderName::from_static("x-sluice-csrf");

/// Who a request is from, and how that is known.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub actor: Actor,
    /// When they signed in; `None` for management tokens.
    pub signed_in_at: Option<UnixMillis>,
    /// When the management token ends they act by; `None` for sessions, and for those without end.
    pub token_ends_at: Option<UnixMillis>,
}

/// Finds out who a request is from: by management token when there is an `Authorization` header, else by session.
///
/// # Errors
/// 401 when nobody is known, 403 for a write by cookie without the header against forgery, 503 when the database is away.
pub async fn identify(app: &App, parts: &Parts, now: UnixMillis) -> Result<Identity, ApiError> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = management::by_header(app, value, now).await?;
        let user = users::find(app.db.read(), token.user_id).await?.filter(users::User::may_sign_in);
        let user = user.ok_or_else(|| ApiError::new(Code::BadManagementToken, "its owner may not sign in"))?;
        app.gate.prove(parts.extensions.get(), user.id);
        let actor = Actor { user_id: user.id, role: user.role, scopes: Some(token.scopes) };
        return Ok(Identity { actor, signed_in_at: None, token_ends_at: token.expires_at });
    }
    let not_signed_in = || ApiError::new(Code::NotSignedIn, "sign in, or send a management token as Authorization: Bearer");
    let session = parts.extensions.get::<Session>().ok_or_else(not_signed_in)?;
    let signed_in = session.get::<SignedIn>(SIGNED_IN).await.map_err(away)?.ok_or_else(not_signed_in)?;
    let user = users::find(app.db.read(), signed_in.user_id).await?.filter(users::User::may_sign_in).ok_or_else(not_signed_in)?;
    app.gate.prove(parts.extensions.get(), user.id);
    if !parts.method.is_safe() && !parts.headers.contains_key(CSRF) {
        return Err(ApiError::new(Code::CsrfHeaderMissing, "send the header X-Sluice-Csrf with any value"));
    }
    let actor = Actor { user_id: user.id, role: user.role, scopes: None };
    Ok(Identity { actor, signed_in_at: Some(signed_in.at), token_ends_at: None })
}

/// A session that cannot be read says nothing about who it is, so it is no reason to send anybody away.
pub(super) fn away(error: tower_sessions::session::Error) -> ApiError {
    ApiError { source: Some(Box::new(error)), ..ApiError::new(Code::DatabaseUnavailable, "sessions cannot be read; ask again") }
        .retry_after(1)
}
