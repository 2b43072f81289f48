//! The pages, in the shapes that the programs that read them expect. They are no part of the API's description: others made them up.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use sluice_limits::RetryAfter;
use sluice_telemetry::chain::Chain;
use tracing::error;

use super::rules::{UNLIMITED, amount, cents};
use super::{Ask, Refused, Told, tell};
use crate::app::App;
use crate::http::Caller;

/// The pages of OpenAI's old dashboard: what may be spent, and what was.
const SUBSCRIPTION: [&str; 2] = ["/v1/dashboard/billing/subscription", "/dashboard/billing/subscription"];
const USAGE: [&str; 2] = ["/v1/dashboard/billing/usage", "/dashboard/billing/usage"];
/// The family's own page about a token.
const TOKEN: [&str; 2] = ["/api/usage/token", "/api/usage/token/"];
/// Seconds after which it is worth asking again when the database was away.
const COME_BACK_SECS: u64 = 1;
/// Headers that programs put a key in, best first.
const KEY_HEADERS: [&str; 3] = ["authorization", "x-api-key", "api-key"];

/// Whether a path is one of these pages: they have limits of their own.
#[must_use]
pub fn is_page(path: &str) -> bool {
    [SUBSCRIPTION, USAGE, TOKEN].into_iter().flatten().any(|page| page == path)
}

/// The routes.
pub fn routes() -> Router<App> {
    let [dated, plain] = SUBSCRIPTION;
    let [dated_usage, plain_usage] = USAGE;
    let [token, token_slash] = TOKEN;
    Router::new()
        .route(dated, get(subscription).options(preflight))
        .route(plain, get(subscription).options(preflight))
        .route(dated_usage, get(usage).options(preflight))
        .route(plain_usage, get(usage).options(preflight))
        .route(token, get(token_usage).options(preflight))
        .route(token_slash, get(token_usage).options(preflight))
}

/// How errors are told.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// As OpenAI's.
    OpenAi,
    /// As the family's management pages.
    Family,
}

async fn subscription(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    let told = match asked(&app, &caller, &headers).await {
        Ok(told) => told,
        Err(refused) => return refused,
    };
    let limit = if told.figures.is_unlimited { UNLIMITED.into() } else { amount(told.figures.granted().get(), told.shown) };
    open(Json(json!({
        "object": "billing_subscription",
        "has_payment_method": true,
        "soft_limit_usd": limit,
        "hard_limit_usd": limit,
        "system_hard_limit_usd": limit,
        "access_until": seconds(&told),
    })))
}

async fn usage(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    match asked(&app, &caller, &headers).await {
        Ok(told) => open(Json(json!({
            "object": "list",
            "total_usage": cents(told.figures.used.get(), told.shown),
        }))),
        Err(refused) => refused,
    }
}

async fn token_usage(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    if let Err(wait) = app.gate.token_usage(caller.address) {
        return too_many(Shape::Family, &caller, wait);
    }
    let told = match tell(&app, presented(&headers), caller.address, Ask::Itself).await {
        Ok(told) => told,
        Err(refused) => return refusal(Shape::Family, &caller, &refused),
    };
    let models: Option<Map<String, Value>> =
        told.token.models.as_ref().map(|models| models.iter().map(|model| (model.as_str().to_owned(), true.into())).collect());
    open(Json(json!({
        "code": true,
        "message": "ok",
        "data": {
            "object": "token_usage",
            "name": &*told.token.name,
            "total_granted": told.figures.granted().get(),
            "total_used": told.figures.used.get(),
            "total_available": told.figures.available.get(),
            "unlimited_quota": told.figures.is_unlimited,
            "model_limits_enabled": models.is_some(),
            "model_limits": models.unwrap_or_default(),
            "expires_at": seconds(&told),
            "as_of": told.as_of.0 / 1_000,
        },
    })))
}

/// Browsers may ask from any page, without cookies.
async fn preflight() -> Response {
    let mut response = open(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, OPTIONS"));
    // `*` does not cover Authorization in every browser
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    response
}

/// What a dashboard page tells of, within its limit.
async fn asked(app: &App, caller: &Caller, headers: &HeaderMap) -> Result<Told, Response> {
    app.gate.balance(caller.address).map_err(|wait| too_many(Shape::OpenAi, caller, wait))?;
    let told = tell(app, presented(headers), caller.address, Ask::Balance).await;
    told.map_err(|refused| refusal(Shape::OpenAi, caller, &refused))
}

/// The key, with or without `Bearer`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = KEY_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok())?.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or(("", text));
    Some(if scheme.eq_ignore_ascii_case("bearer") { rest } else { text })
}

/// When the token ends, in seconds since 1970; 0: never.
fn seconds(told: &Told) -> i64 {
    told.token.expires_at.map_or(0, |at| at.0 / 1_000)
}

fn refusal(shape: Shape, caller: &Caller, refused: &Refused) -> Response {
    let (status, kind, code) = match refused {
        Refused::NoKey | Refused::UnknownKey => (StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key"),
        Refused::Disabled => (StatusCode::UNAUTHORIZED, "invalid_request_error", "token_disabled"),
        Refused::Expired => (StatusCode::UNAUTHORIZED, "invalid_request_error", "token_expired"),
        Refused::Address => (StatusCode::FORBIDDEN, "permission_error", "access_denied"),
        Refused::Owner => (StatusCode::FORBIDDEN, "permission_error", "user_disabled"),
        Refused::NotKnown(_) => (StatusCode::SERVICE_UNAVAILABLE, "sluice_error", "authority_unavailable"),
    };
    if let Refused::NotKnown(cause) = refused {
        error!(error = %Chain(cause), "cannot tell a key's balance");
    }
    let mut response = error_body(shape, caller, status, (kind, code), &refused.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, COME_BACK_SECS.into());
    }
    response
}

fn too_many(shape: Shape, caller: &Caller, wait: RetryAfter) -> Response {
    let secs = wait.as_header_secs();
    let words = ("rate_limit_error", "rate_limit_exceeded");
    let message = format!("too many requests from this address, the next one is allowed in {secs} s");
    let mut response = error_body(shape, caller, StatusCode::TOO_MANY_REQUESTS, words, &message);
    response.headers_mut().insert(RETRY_AFTER, secs.into());
    response
}

fn error_body(shape: Shape, caller: &Caller, status: StatusCode, (kind, code): (&str, &str), message: &str) -> Response {
    let message = format!("{message} (request id: {})", caller.request_id);
    let body = match shape {
        Shape::OpenAi => json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
        Shape::Family => json!({"success": false, "message": message}),
    };
    open((status, Json(body)))
}

/// An answer that pages of every origin may read.
fn open(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
