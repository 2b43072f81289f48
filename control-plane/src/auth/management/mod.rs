//! Management tokens: what scripts use instead of a session. Known by their digest; the token itself is shown once.

mod api;
mod store;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sluice_domain::{UnixMillis, UserId};
use sluice_sealed::{Keyring, random};

use super::actor::Scope;
use crate::app::App;
use crate::audit;
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, Listing, Page, Rules};

pub use api::routes;
pub(crate) use store::delete_all_of;

/// How management tokens begin, so that they are recognised where they leak.
const PREFIX: &str = "slm_";
/// The most management tokens a user has.
const MOST: u64 = 100;
/// How exact the last use is, in milliseconds: the row is written at most this often.
const USE_STEP_MILLIS: i64 = 60_000;

/// A management token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementToken {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The first and last characters of the token.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMillis>,
}

/// What a new management token is to be.
#[derive(Debug, Clone)]
pub struct NewManagementToken {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
}

/// A management token that was just made, with the token itself.
#[derive(Serialize, Deserialize)]
pub struct MadeManagementToken {
    /// The object.
    pub token: ManagementToken,
    /// The token itself, shown this once.
    pub secret: String,
}

/// Finds the token a header holds.
///
/// # Errors
/// 401 when there is no such token or it has ended, 503 when the database is away.
pub(super) async fn by_header(app: &App, value: &HeaderValue, now: UnixMillis) -> Result<ManagementToken, ApiError> {
    let refused = || ApiError::new(Code::BadManagementToken, "it is unknown or has ended");
    let text = value.to_str().map_err(|_| refused())?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused());
    }
    let digests = digests(&app.keyring, secret.trim());
    let token = store::find_by_digest(app.db.read(), digests).await?.ok_or_else(refused)?;
    if token.expires_at.is_some_and(|end| end <= now) {
        return Err(refused());
    }
    if token.last_used_at.is_none_or(|used| now.millis_since(used) >= USE_STEP_MILLIS) {
        store::note_use(&app.db, token.id, now).await?;
    }
    Ok(token)
}

/// The caller's management tokens.
///
/// # Errors
/// When the caller may not read, or the database is away.
pub async fn list(app: &App, asking: &Asking, listing: &Listing) -> Result<Page<ManagementToken>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    Ok(store::list(app.db.read(), asking.actor.user_id, listing).await?)
}

/// One of the caller's management tokens.
///
/// # Errors
/// 404 when it is not theirs.
pub async fn get(app: &App, asking: &Asking, id: i64) -> Result<ManagementToken, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let found = store::find(app.db.read(), asking.actor.user_id, id).await?;
    found.ok_or_else(|| ApiError::not_found("management token"))
}

/// Makes a management token. A management token cannot make one that may do more than itself, or for longer: its end is brought
/// forward to that of its maker.
///
/// # Errors
/// 422 when a field breaks a rule, 409 when the caller has too many.
pub async fn create(app: &App, asking: &Asking, new: NewManagementToken) -> Result<MadeManagementToken, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let mut rules = Rules::new();
    rules.line("name", &new.name, 1, 64);
    if new.scopes.is_empty() {
        rules.refuse("scopes", "length", "must have at least one entry");
    }
    if new.expires_at.is_some_and(|end| end <= asking.now) {
        rules.refuse("expires_at", "past", "must be in the future");
    }
    rules.done()?;
    for scope in &new.scopes {
        asking.actor.need_scope(*scope)?;
    }
    let expires_at = new.expires_at.into_iter().chain(asking.token_ends_at).min();
    let new = NewManagementToken { expires_at, ..new };
    let secret = SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::bytes::<36>())));
    let tx = app.db.begin().await?;
    if store::count(&tx, asking.actor.user_id).await? >= MOST {
        return Err(ApiError::new(Code::TooMany, format!("a user has at most {MOST} management tokens")));
    }
    let token = insert(app, &tx, asking.actor.user_id, new, &secret, asking.now).await?;
    let target = format!("management_token:{}", token.id);
    audit::write(&tx, asking, "management_tokens.create", &target, &token).await?;
    let made = MadeManagementToken { token, secret: secret.expose_secret().to_owned() };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    Ok(made)
}

/// Ends a management token at once.
///
/// # Errors
/// 404 when it is not the caller's.
pub async fn delete(app: &App, asking: &Asking, id: i64) -> Result<(), ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    let tx = app.db.begin().await?;
    if !store::delete(&tx, asking.actor.user_id, id).await? {
        return Err(ApiError::not_found("management token"));
    }
    audit::write(&tx, asking, "management_tokens.delete", &format!("management_token:{id}"), &()).await?;
    tx.commit().await?;
    Ok(())
}

/// Checks a token that the settings give.
pub(super) fn check_given_secret(secret: &str) -> Result<(), &'static str> {
    let fits = (16..=128).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err("must be 16 to 128 printable characters without space") }
}

/// Stores the token that the settings give, with every scope.
pub(super) async fn open_given(app: &App, tx: &Tx, user: UserId, secret: &SecretString, now: UnixMillis) -> Result<(), ApiError> {
    let new = NewManagementToken { name: "initial".to_owned(), scopes: Scope::ALL.to_vec(), expires_at: None };
    insert(app, tx, user, new, secret, now).await.map(drop)
}

async fn insert(
    app: &App,
    tx: &Tx,
    user_id: UserId,
    new: NewManagementToken,
    secret: &SecretString,
    now: UnixMillis,
) -> Result<ManagementToken, ApiError> {
    let digest = digests(&app.keyring, secret.expose_secret()).swap_remove(0);
    let NewManagementToken { name, mut scopes, expires_at } = new;
    scopes.sort_by_key(|scope| scope.as_str());
    scopes.dedup();
    let hint = crate::tokens::hint(secret.expose_secret());
    let mut token = ManagementToken { id: 0, user_id, name, hint, scopes, created_at: now, expires_at, last_used_at: None };
    token.id = store::insert(tx, &token, &digest).await?;
    Ok(token)
}

/// The digests a token may be known by: of the current key first, then of keys being rotated out.
fn digests(keyring: &Keyring, secret: &str) -> Vec<String> {
    let digest = |key: sluice_sealed::DigestKey| hex::encode(key.digest(&format!("management\n{secret}")).0);
    keyring.digest_keys().into_iter().map(digest).collect()
}
