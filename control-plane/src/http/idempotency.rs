//! Requests that may be sent twice and are done once: their answers are kept for a day.
//!
//! An operation asks [`replay`] before it begins, and calls [`remember`] in its transaction, last before the commit. So the answer is
//! kept exactly when the work was done. Answers are sealed: some show a key once.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_sealed::Place;

use super::asking::{Asking, IdempotencyKey};
use super::codes::Code;
use super::problem::{ApiError, unique_violation};
use crate::app::App;
use crate::db::Tx;
use crate::jobs::retention::IDEMPOTENCY_MILLIS;

const CREATED: i32 = 201;

/// The answer given before to the same request.
///
/// # Errors
/// 409 when the key came with another request; and when the database is away.
pub async fn replay<T: DeserializeOwned>(app: &App, asking: &Asking) -> Result<Option<T>, ApiError> {
    let Some(idempotency) = &asking.idempotency else { return Ok(None) };
    let select = Query::select()
        .columns(["request_hash", "response"])
        .from("idempotency")
        .and_where(Expr::col("user_id").eq(asking.actor.user_id.get()))
        .and_where(Expr::col("idem_key").eq(idempotency.key.as_str()))
        .and_where(Expr::col("created_at").gte(asking.now.plus_millis(-IDEMPOTENCY_MILLIS).0))
        .to_owned();
    let Some(row) = app.db.read().query_one(&select).await? else { return Ok(None) };
    let hash: String = row.try_get("", "request_hash")?;
    if hash != request_hash(app, idempotency) {
        return Err(ApiError::new(Code::IdempotencyKeyReused, "this Idempotency-Key was used for another request"));
    }
    let sealed: String = row.try_get("", "response")?;
    let name = place_name(asking, idempotency);
    let opened = app.keyring.open_text(&Place::named("idempotency", "response", &name), &sealed).map_err(ApiError::internal)?;
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
    let sealed = app.keyring.seal_text(&Place::named("idempotency", "response", &name), &text).map_err(ApiError::internal)?;
    let outdated = Query::delete()
        .from_table("idempotency")
        .and_where(Expr::col("user_id").eq(asking.actor.user_id.get()))
        .and_where(Expr::col("idem_key").eq(idempotency.key.as_str()))
        .and_where(Expr::col("created_at").lt(asking.now.plus_millis(-IDEMPOTENCY_MILLIS).0))
        .to_owned();
    tx.execute(&outdated).await?;
    let mut insert = Query::insert()
        .into_table("idempotency")
        .columns(["user_id", "idem_key", "request_hash", "status", "response", "created_at"])
        .to_owned();
    insert.values_panic([
        asking.actor.user_id.get().into(),
        idempotency.key.as_str().into(),
        request_hash(app, idempotency).into(),
        CREATED.into(),
        sealed.into(),
        asking.now.0.into(),
    ]);
    tx.execute(&insert).await.map_err(|error| match unique_violation(&error) {
        Some(_) => ApiError::new(Code::IdempotencyKeyBusy, "the first request with this key is not answered yet").retry_after(1),
        None => error.into(),
    })?;
    Ok(())
}

/// Keyed, because bodies carry passwords and keys.
fn request_hash(app: &App, idempotency: &IdempotencyKey) -> String {
    hex::encode(app.keyring.current().digest_key().digest(&format!("idempotency\n{}", idempotency.request())).0)
}

fn place_name(asking: &Asking, idempotency: &IdempotencyKey) -> String {
    format!("{}:{}", asking.actor.user_id, idempotency.key)
}
