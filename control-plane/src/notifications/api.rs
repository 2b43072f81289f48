//! `/api/notifications`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Delivery, Notification, NotificationFilter};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Between, Count, Listing, Moment, Page, Paging, Query, Refused, SortKey};

const SORTS: [SortKey; 1] = [SortKey::number("created_at", "id")];

/// Something that people are told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
struct View {
    /// Also the `id` of the message to the webhook.
    id: i64,
    /// What it is about: `channel_update`, a channel or a key of it was switched off by itself.
    #[schema(example = "channel_update")]
    kind: String,
    /// The object.
    #[schema(example = "channel:12")]
    subject: String,
    /// One line, in English.
    title: String,
    /// The whole of it, in English.
    content: String,
    /// What both are made of. Of `channel_update`: `channel_id`, `channel_name`, the channel's `status`, `key_id` or `null`, `reason`.
    #[schema(value_type = Object)]
    values: serde_json::Value,
    created_at: Moment,
    delivery: DeliveryName,
    /// Times it was sent to the webhook.
    attempts: i64,
    /// When it is sent next; `null`: not, or not again.
    next_attempt_at: Option<Moment>,
    /// When the webhook took it.
    delivered_at: Option<Moment>,
    /// Why the last attempt failed.
    failure: Option<String>,
}

/// How far the telling got.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NotificationDelivery)]
enum DeliveryName {
    /// There was no webhook to send it to.
    Listed,
    /// It will be sent, or sent again.
    Pending,
    /// The webhook took it.
    Delivered,
    /// The webhook did not take it, and it is not sent again.
    Failed,
}

impl From<Delivery> for DeliveryName {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Listed => Self::Listed,
            Delivery::Pending => Self::Pending,
            Delivery::Delivered => Self::Delivered,
            Delivery::Failed => Self::Failed,
        }
    }
}

impl From<Notification> for View {
    fn from(row: Notification) -> Self {
        Self {
            delivery: row.delivery().into(),
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            title: row.title,
            content: row.content,
            values: row.values,
            created_at: Moment(row.created_at),
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at.map(Moment),
            delivered_at: row.delivered_at.map(Moment),
            failure: row.failure,
        }
    }
}

/// Parameters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `created_at` or `-created_at` (default).
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Only of this kind.
    kind: Option<String>,
    /// Only about this object.
    subject: Option<String>,
    /// Only those made then or later.
    #[serde(rename = "created_at.gte")]
    #[param(rename = "created_at.gte")]
    from: Option<Moment>,
    /// Only those made before.
    #[serde(rename = "created_at.lt")]
    #[param(rename = "created_at.lt")]
    before: Option<Moment>,
}

/// The route of notifications.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists what people were told in the last 30 days, newest first. Administrators only.
#[utoipa::path(get, path = "/api/notifications", tag = "notifications", operation_id = "list_notifications", params(ListQuery),
    responses((status = 200, body = Page<View>), Refused))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-created_at")?;
    let at = Between::new(query.from, query.before);
    let filter = NotificationFilter { kind: query.kind, subject: query.subject, at };
    Ok(Answer::ok(super::list(&app, &asking, &filter, &listing).await?.map(View::from)))
}
