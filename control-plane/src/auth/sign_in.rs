//! Signing in with username and password.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sluice_domain::{UnixMillis, UserId};

use crate::app::App;
use crate::http::{ApiError, Caller, Code};
use crate::users::{self, User};

/// What a session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignedIn {
    /// Who.
    pub(super) user_id: UserId,
    /// When.
    pub(super) at: UnixMillis,
}

/// Finds the user of a username and password. Unknown users, wrong passwords and disabled users are answered alike, in the same time.
///
/// # Errors
/// 401 when they do not belong together, 429 when too many were tried, 503 when the database is away.
pub async fn sign_in(app: &App, caller: &Caller, username: &str, password: SecretString) -> Result<User, ApiError> {
    app.gate.critical(caller.address)?;
    let key = users::username_key(username);
    app.gate.may_sign_in(&key)?;
    let found = users::find_by_username(app.db.read(), &key).await?;
    let stored = found.as_ref().and_then(|found| found.password_hash.clone());
    let fits = app.passwords.verify(stored, password).await?;
    match found {
        Some(found) if fits && found.user.may_sign_in() => {
            app.gate.signed_in(&key);
            Ok(found.user)
        }
        _ => {
            app.gate.sign_in_failed(&key);
            Err(ApiError::new(Code::BadCredentials, "no user that may sign in has this username and password"))
        }
    }
}
