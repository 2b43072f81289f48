//! What programs ask the control plane for by mistake: interfaces of relays, and pages of the family that there are not. Programs read
//! JSON in OpenAI's shape; the console's page would only confuse them.

use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::Request};
use http::StatusCode;
use serde_json::json;
use sluice_domain::surface::{Half, half_of};

use crate::app::App;

/// Where the balance pages of the family are.
const BALANCE: [&str; 2] = ["/v1/dashboard", "/dashboard/billing"];

/// Answers what belongs elsewhere, and lets everything else pass.
pub(super) async fn refuse(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_under = |prefix: &&str| path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if BALANCE.iter().any(is_under) {
        let text = "of the family's balance pages there are billing/subscription and billing/usage";
        return refusal(StatusCode::NOT_FOUND, "no_route", text);
    }
    if half_of(path) == Half::Relay {
        let place = if app.relay_address.is_empty() { "" } else { ", here at " };
        let text = format!("this is the control plane, which serves no models: programs ask a relay{place}{}", app.relay_address);
        return refusal(StatusCode::NOT_FOUND, "not_a_relay", &text);
    }
    next.run(request).await
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": code});
    (status, Json(json!({ "error": error }))).into_response()
}
