//! Who changed what: a row for every write, in the transaction of the write.

mod api;
mod store;

use std::net::IpAddr;

use sea_orm::DbErr;
use serde::Serialize;
use sluice_domain::{Role, UnixMillis, UserId};

use crate::app::App;
use crate::auth::{Actor, Scope};
use crate::db::Tx;
use crate::http::{ApiError, Asking, Between, Listing, Page};

pub use api::routes;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// Who; `None`: Sluice by itself.
    pub actor_id: Option<UserId>,
    /// What was done: `tokens.create`.
    pub action: String,
    /// To what: `token:12`.
    pub target: String,
    /// What it was about, as JSON. Holds no secrets.
    pub detail: String,
    /// From where.
    pub client_ip: Option<String>,
}

/// Which rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only by this user.
    pub actor_id: Option<i64>,
    /// Only this action.
    pub action: Option<String>,
    /// Only to this object.
    pub target: Option<String>,
    /// Only in this span.
    pub at: Between,
}

/// Writes down what somebody did. The detail is what the object is like afterwards, or what was asked for; never a secret.
///
/// # Errors
/// When the database is away.
pub async fn write(tx: &Tx, asking: &Asking, action: &str, target: &str, detail: &impl Serialize) -> Result<(), ApiError> {
    write_as(tx, &asking.actor, asking.client_ip, asking.now, action, target, detail).await
}

/// Like [`write`], where there is no [`Asking`] yet.
///
/// # Errors
/// When the database is away.
#[expect(clippy::too_many_arguments, reason = "the columns of a row; one caller besides `write`")]
pub async fn write_as(
    tx: &Tx,
    actor: &Actor,
    client_ip: IpAddr,
    now: UnixMillis,
    action: &str,
    target: &str,
    detail: &impl Serialize,
) -> Result<(), ApiError> {
    let detail = serde_json::to_string(detail).map_err(ApiError::internal)?;
    let target = target.chars().take(store::TARGET_CHARS).collect();
    let row = AuditRow {
        id: 0,
        at: now,
        actor_id: Some(actor.user_id),
        action: action.to_owned(),
        target,
        detail,
        client_ip: Some(client_ip.to_string()),
    };
    store::insert(tx, &row).await?;
    Ok(())
}

/// Writes down what Sluice did by itself.
///
/// # Errors
/// When the database is away.
pub async fn write_by_itself(tx: &Tx, now: UnixMillis, action: &str, target: &str, detail: &impl Serialize) -> Result<(), DbErr> {
    let detail = serde_json::to_string(detail).map_err(|error| DbErr::Custom(error.to_string()))?;
    let (action, target) = (action.to_owned(), target.chars().take(store::TARGET_CHARS).collect());
    store::insert(tx, &AuditRow { id: 0, at: now, actor_id: None, action, target, detail, client_ip: None }).await
}

/// A page of changes, newest first.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, filter: &AuditFilter, listing: &Listing) -> Result<Page<AuditRow>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let page: Result<_, DbErr> = store::list(app.db.read(), filter, listing).await;
    Ok(page?)
}
