//! Requests that may be sent twice and are done once: their answers are kept for a day.
//!
//! An operation asks [`replay`] before it begins, and calls [`remember`] in its transaction, last before the commit. So the answer is
//! kept exactly when the work was done. Answers are sealed: some show a key once.

mod store;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_domain::UnixMillis;
use sluice_sealed::Place;

use self::store::Kept;
use super::asking::{Asking, IdempotencyKey};
use super::codes::Code;
use super::problem::{ApiError, unique_violation};
use crate::app::App;
use crate::db::Tx;
use crate::jobs::retention::IDEMPOTENCY_MILLIS;

/// The answer given before to the same request.
///
/// # Errors
/// 409 when the key came with another request; and when the database is away.
pub async fn replay<T: DeserializeOwned>(app: &App, asking: &Asking) -> Result<Option<T>, ApiError> {
    let Some(idempotency) = &asking.idempotency else { return Ok(None) };
    let found = store::find(app.db.read(), asking.actor.user_id, &idempotency.key, oldest(asking)).await?;
    let Some(kept) = found else { return Ok(None) };
    if kept.request_hash != request_hash(app, idempotency) {
        return Err(ApiError::new(Code::IdempotencyKeyReused, "this Idempotency-Key was used for another request"));
    }
    let name = place_name(asking, idempotency);
    let place = Place::named("idempotency", "response", &name);
    let opened = app.keyring.open_text(&place, &kept.response).map_err(ApiError::internal)?;
    serde_json::from_str(opened.expose_secret()).map(Some).map_err(ApiError::internal)
}

/// Keeps the answer together with the work.
///
/// # Errors
/// 409 when the same key is being worked on by another request; and when the database is away.
pub async fn remember<T: Serialize>(app: &App, tx: &Tx, asking: &Asking, answer: &T) -> Result<(), ApiError> {
    let Some(idempotency) = &asking.idempotency else { return Ok(()) };
    let text = SecretString::from(serde_json::to_string(answer).map_err(ApiError::internal)?);
    let name = place_name(asking, idempotency);
    let response = app.keyring.seal_text(&Place::named("idempotency", "response", &name), &text).map_err(ApiError::internal)?;
    let kept = Kept { request_hash: request_hash(app, idempotency), response };
    let user = asking.actor.user_id;
    store::remove_before(tx, user, &idempotency.key, oldest(asking)).await?;
    store::insert(tx, user, &idempotency.key, &kept, asking.now).await.map_err(|error| match unique_violation(&error) {
        Some(_) => ApiError::new(Code::IdempotencyKeyBusy, "the first request with this key is not answered yet").retry_after(1),
        None => error.into(),
    })
}

/// Answers from before this moment are forgotten.
fn oldest(asking: &Asking) -> UnixMillis {
    asking.now.plus_millis(-IDEMPOTENCY_MILLIS)
}

/// Keyed, because bodies carry passwords and keys.
fn request_hash(app: &App, idempotency: &IdempotencyKey) -> String {
    hex::encode(app.keyring.current().digest_key().digest(&format!("idempotency\n{}", idempotency.request())).0)
}

fn place_name(asking: &Asking, idempotency: &IdempotencyKey) -> String {
    format!("{}:{}", asking.actor.user_id, idempotency.key)
}
