//! What people are to be told: written down in the transaction that made it so, listed for administrators, and sent to a webhook.
//!
//! A message is sent at least once: when the answer to it was lost, it comes again under the same id.

mod api;
pub mod jobs;
mod rules;
mod store;
mod webhook;

use sea_orm::DbErr;
use sluice_domain::{Role, UnixMillis};

use crate::app::App;
use crate::auth::Scope;
use crate::db::Tx;
use crate::http::{ApiError, Asking, Between, Listing, Page};

pub use api::routes;
pub use rules::{Kind, MOST_ATTEMPTS, Notice, SwitchedOff, SwitchedOn};
pub use webhook::{Address, Courier, NotDelivered, Webhook};

/// Something that people are told, and how far the telling got.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its id.
    pub id: i64,
    /// What it is about: `channel_update`.
    pub kind: String,
    /// The object: `channel:12`.
    pub subject: String,
    /// One line.
    pub title: String,
    /// The whole of it.
    pub content: String,
    /// What both are made of.
    pub values: serde_json::Value,
    /// When it came about.
    pub created_at: UnixMillis,
    /// Times it was sent.
    pub attempts: i64,
    /// When it is sent next; `None`: not, or not again.
    pub next_attempt_at: Option<UnixMillis>,
    /// When the webhook took it.
    pub delivered_at: Option<UnixMillis>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
}

/// How far the telling got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// There was no webhook to send it to.
    Listed,
    /// It will be sent, or sent again.
    Pending,
    /// The webhook took it.
    Delivered,
    /// The webhook did not take it, and it is not sent again.
    Failed,
}

impl Notification {
    /// How far the telling got.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        match (self.delivered_at, self.next_attempt_at) {
            (Some(_), _) => Delivery::Delivered,
            (None, Some(_)) => Delivery::Pending,
            (None, None) if self.attempts > 0 => Delivery::Failed,
            (None, None) => Delivery::Listed,
        }
    }
}

/// Which notifications are asked for.
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only about this object.
    pub subject: Option<String>,
    /// Only those of this span.
    pub at: Between,
}

/// Writes down what people are to be told, in the transaction that makes it so. It is sent when there is a webhook by then: who sets
/// one up later is not told of the past.
///
/// # Errors
/// When the database is away.
pub async fn write(app: &App, tx: &Tx, now: UnixMillis, notice: &Notice) -> Result<(), DbErr> {
    let next_attempt_at = app.courier.is_some().then_some(now);
    store::insert(tx, now, notice, next_attempt_at).await
}

/// A page of notifications, newest first.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(
    app: &App,
    asking: &Asking,
    filter: &NotificationFilter,
    listing: &Listing,
) -> Result<Page<Notification>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let page: Result<_, DbErr> = store::list(app.db.read(), filter, listing).await;
    Ok(page?)
}
