//! The request log: settled requests, and how each price came about.

mod api;
mod store;

use sea_orm::DbErr;
use sluice_billing::Formula;
use sluice_domain::{ChannelId, Outcome, Usage, UserId};

use crate::app::App;
use crate::auth::Scope;
use crate::http::{ApiError, Asking, Listing, Page};
use crate::settlement::explain::{self, Explanation, Priced};

pub use api::routes;
pub use store::RequestRow;

/// Which requests are asked for.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only of this user.
    pub user_id: Option<UserId>,
    /// Only by this token.
    pub token_id: Option<i64>,
    /// Only over this channel.
    pub channel_id: Option<i64>,
    /// Only for this model.
    pub model: Option<String>,
    /// Only in this group.
    pub group: Option<String>,
    /// Only with this id.
    pub request_id: Option<String>,
    /// Only with this error.
    pub error_code: Option<String>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only with this status.
    pub status: Option<i32>,
    /// Only streams, or only others.
    pub stream: Option<bool>,
    /// Only those that ended then or later, in milliseconds since 1970.
    pub finished_from: Option<i64>,
    /// Only those that ended before.
    pub finished_before: Option<i64>,
}

/// A settled request with the names of what it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRequest {
    /// The row.
    pub row: RequestRow,
    /// Usage by class.
    pub usage: Usage,
    /// The user's name, unless it is gone.
    pub username: Option<String>,
    /// The token's name.
    pub token_name: Option<String>,
    /// The channel's name.
    pub channel_name: Option<String>,
}

/// A settled request, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedRequest {
    /// The request.
    pub request: LoggedRequest,
    /// How its price came about; `None` when its rates are not kept any more.
    pub formula: Option<Formula>,
    /// What was tried; `None` when it is not kept any more. The attempts are for administrators only.
    pub explanation: Option<Explanation>,
}

/// A page of requests: one's own, or everybody's for administrators.
///
/// # Errors
/// 404 when a user asks for somebody else's, or by channel.
pub async fn list(
    app: &App,
    asking: &Asking,
    filter: &RequestFilter,
    listing: &Listing,
) -> Result<Page<LoggedRequest>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let user_id = match filter.user_id {
        Some(user) if !asking.actor.sees(user) => return Err(ApiError::not_found("user")),
        None if !asking.actor.is_admin() => Some(asking.actor.user_id),
        given => given,
    };
    if filter.channel_id.is_some() && !asking.actor.is_admin() {
        return Err(ApiError::not_found("channel"));
    }
    let filter = RequestFilter { user_id, ..filter.clone() };
    let Page { items, next_cursor, total } = store::list(app.db.read(), &filter, listing).await?;
    Ok(Page { items: named(app, items).await?, next_cursor, total })
}

/// The newest request of an id, with the formula of its price and what was tried.
///
/// # Errors
/// 404 when there is none of this id for the caller.
pub async fn get(app: &App, asking: &Asking, request_id: &str) -> Result<ExplainedRequest, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let owner = (!asking.actor.is_admin()).then_some(asking.actor.user_id);
    let found = store::find(app.db.read(), request_id, owner).await?;
    let row = found.ok_or_else(|| ApiError::not_found("request"))?;
    let mut named = named(app, vec![row]).await?;
    let request = named.pop().ok_or_else(|| ApiError::internal("a list of one has no last"))?;
    let priced = Priced {
        config_seq: request.row.config_seq,
        model: &request.row.model,
        path: &request.row.path,
        group: &request.row.group,
        channel: request.row.channel_id.map(ChannelId::new),
        usage: request.usage,
    };
    // What failed has no price to tell.
    let has_failed = request.row.outcome == Outcome::Failed.as_str();
    let formula = if has_failed { None } else { explain::formula(&app.db, &app.rates, priced).await? };
    let mut explanation = store::explanation(app.db.read(), request_id).await?;
    if let Some(kept) = explanation.as_mut().filter(|_| !asking.actor.is_admin()) {
        kept.attempts.clear();
    }
    Ok(ExplainedRequest { request, formula, explanation })
}

async fn named(app: &App, rows: Vec<RequestRow>) -> Result<Vec<LoggedRequest>, DbErr> {
    let db = app.db.read();
    let users = store::names(db, "users", "username", rows.iter().map(|row| row.user_id)).await?;
    let tokens = store::names(db, "tokens", "name", rows.iter().map(|row| row.token_id)).await?;
    let channels = store::names(db, "channels", "name", rows.iter().filter_map(|row| row.channel_id)).await?;
    let logged = |row: RequestRow| LoggedRequest {
        usage: row.usage(),
        username: users.get(&row.user_id).cloned(),
        token_name: tokens.get(&row.token_id).cloned(),
        channel_name: row.channel_id.and_then(|id| channels.get(&id).cloned()),
        row,
    };
    Ok(rows.into_iter().map(logged).collect())
}
