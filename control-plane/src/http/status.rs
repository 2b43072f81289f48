//! `GET /api/status` in the shape of the family (PROMISE-7): health checks and chat clients read it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use sluice_domain::Quota;
use sluice_telemetry::build;
use std::time::Duration;
use utoipa::ToSchema;

use super::problem::ApiError;
use crate::app::App;
use crate::auth;
use crate::http::Refused;
use crate::settings;

/// How long the database may take for all of it before the site counts as not ready.
const DATABASE_LIMIT: Duration = Duration::from_millis(800);
const AWAY: &str = "the database cannot be reached";

/// What a health check reads: `"success": true` when the site is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// Whether the site is ready.
    success: bool,
    /// Why it is not.
    message: String,
    /// What visitors may know of the site.
    data: StatusData,
}

/// What visitors may know of the site.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the family's fields")]
pub(super) struct StatusData {
    /// The release.
    version: &'static str,
    /// When this process started, in seconds since 1970.
    start_time: i64,
    /// Whether the site is set up.
    setup: bool,
    /// Name of the site.
    system_name: String,
    /// Address of the logo; empty: ours.
    logo: String,
    /// HTML for the bottom of every page.
    footer_html: String,
    /// The public address, without slash at the end; empty: wherever the page came from.
    server_address: String,
    /// Where programs send their requests, without slash at the end; empty: wherever the page came from.
    api_address: String,
    /// Units to one US dollar.
    quota_per_unit: i64,
    /// How amounts are shown: `USD`, `CNY`, `TOKENS`, `CUSTOM`.
    quota_display_type: String,
    /// Whether amounts are shown in a currency.
    display_in_currency: bool,
    /// Where to buy quota outside.
    top_up_link: String,
    /// Where the documents are; empty: ours.
    docs_link: String,
    /// Deep links into chat clients.
    chats: Vec<String>,
    /// Whether signing in by GitHub is on.
    github_oauth: bool,
    /// Our client id at GitHub.
    github_client_id: String,
    /// Whether signing in by Discord is on.
    discord_oauth: bool,
    /// Our client id at Discord.
    discord_client_id: String,
    /// Whether signing in by OpenID Connect is on.
    oidc_enabled: bool,
    /// Our client id there.
    oidc_client_id: String,
    /// Whether signing in by LinuxDO is on.
    linuxdo_oauth: bool,
    /// Our client id there.
    linuxdo_client_id: String,
    /// Whether signing in by Telegram is on.
    telegram_oauth: bool,
    /// Name of our bot there.
    telegram_bot_name: String,
    /// Whether signing in by WeChat is on.
    wechat_login: bool,
    /// Whether Turnstile guards sign-ins.
    turnstile_check: bool,
    /// Our site key at Turnstile.
    turnstile_site_key: String,
    /// Whether e-mail addresses are verified.
    email_verification: bool,
    /// Whether passkeys are on.
    passkey_login: bool,
}

/// Tells whether the site is ready, and what visitors may know of it. Health checks look for `"success":true`.
#[utoipa::path(get, path = "/api/status", tag = "site", operation_id = "get_status", security(()), responses(
    (status = 200, description = "Ready.", body = Status),
    (status = 503, description = "Not ready: `success` is false, `message` says why.", body = Status),
    Refused,
))]
pub(super) async fn status(State(app): State<App>) -> Response {
    let known = look(&app).await;
    let not_ready = if app.drain.is_leaving() { Some("shutting down") } else { known.is_none().then_some(AWAY) };
    let (site, is_set_up) = known.unwrap_or_default();
    let code = if not_ready.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Status {
        success: not_ready.is_none(),
        message: not_ready.unwrap_or_default().to_owned(),
        data: data(&app, site, is_set_up),
    };
    (code, Json(body)).into_response()
}

/// What visitors may know, and whether the site is set up; `None` when the database does not say so in time.
async fn look(app: &App) -> Option<(settings::Site, bool)> {
    let asked = async {
        app.db.ping().await?;
        Ok::<_, ApiError>((settings::site(app).await?, auth::is_set_up(app).await?))
    };
    tokio::time::timeout(DATABASE_LIMIT, asked).await.ok()?.ok()
}

fn data(app: &App, site: settings::Site, is_set_up: bool) -> StatusData {
    let off = String::new;
    StatusData {
        version: build::VERSION,
        start_time: app.started_at.0 / 1_000,
        setup: is_set_up,
        system_name: site.system_name,
        logo: site.logo,
        footer_html: site.footer_html,
        api_address: if app.relay_address.is_empty() { site.server_address.clone() } else { app.relay_address.to_string() },
        server_address: site.server_address,
        quota_per_unit: Quota::PER_USD,
        display_in_currency: site.quota_display_type != "TOKENS",
        quota_display_type: site.quota_display_type,
        top_up_link: site.top_up_link,
        docs_link: site.docs_link,
        chats: Vec::new(),
        github_oauth: false,
        github_client_id: off(),
        discord_oauth: false,
        discord_client_id: off(),
        oidc_enabled: false,
        oidc_client_id: off(),
        linuxdo_oauth: false,
        linuxdo_client_id: off(),
        telegram_oauth: false,
        telegram_bot_name: off(),
        wechat_login: false,
        turnstile_check: false,
        turnstile_site_key: off(),
        email_verification: false,
        passkey_login: false,
    }
}
