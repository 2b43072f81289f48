//! What surrounds every route: the request's name, the one shape of errors, headers for safety.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use tracing::{Instrument, info_span};

use super::caller::Caller;
use super::codes::Code;
use super::problem::{ApiError, Pending};
use crate::app::App;

/// How long a request may take, its body included. A transaction that is cut off before its end changes nothing; one that is cut off
/// at its end may have been done.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);
/// Seconds to give whatever made a request take so long.
const GIVEN_UP_SECS: u64 = 5;
/// Names the request; clients quote it when they ask for help.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Names the build of the console, so that a page of another build can tell (PROMISE-32).
pub const BUILD: HeaderName = HeaderName::from_static("x-sluice-build");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What pages may load. Styles are inline because the component library writes them at run time.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: \
    https:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// The outermost layer: says who calls, and finishes every answer.
pub(super) async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = Caller::of(&request, app.gate.trusted_proxies(), app.clock.wall());
    let is_api = super::is_api(request.uri().path());
    let is_write = !request.method().is_safe();
    request.extensions_mut().insert(caller.clone());
    let span = info_span!("http", request.id = %caller.request_id);
    let answered = tokio::time::timeout(REQUEST_LIMIT, next.run(request)).instrument(span).await;
    let mut response = answered.unwrap_or_else(|_| given_up(is_write).into_response());
    response = if is_api { in_one_shape(response, &caller) } else { in_plain_words(response, &caller) };
    let headers = response.headers_mut();
    harden(headers, is_api);
    if caller.is_https {
        secure_cookies(headers);
    }
    if let Ok(name) = HeaderValue::from_str(caller.request_id.as_str()) {
        headers.insert(REQUEST_ID, name);
    }
    response
}

/// A request took too long.
fn given_up(is_write: bool) -> ApiError {
    if is_write {
        return ApiError::outcome_unknown();
    }
    ApiError::new(Code::Busy, "it took too long and was given up; ask again").retry_after(GIVEN_UP_SECS)
}

/// Gives errors on pages a body that people can read.
fn in_plain_words(mut response: Response, caller: &Caller) -> Response {
    let Some(pending) = response.extensions_mut().remove::<Pending>() else { return response };
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Response::from_parts(parts, pending.into_text(caller.request_id.as_str()).into())
}

/// Gives errors their body: ours, and those that the framework makes without one.
fn in_one_shape(mut response: Response, caller: &Caller) -> Response {
    let status = response.status();
    let pending = response.extensions_mut().remove::<Pending>().or_else(|| foreign(status, response.headers()));
    let Some(pending) = pending else { return response };
    let problem = pending.into_problem(caller.request_id.as_str());
    let mut answer = (status, Json(problem)).into_response();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW, header::SET_COOKIE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

fn foreign(status: StatusCode, headers: &HeaderMap) -> Option<Pending> {
    let is_ours = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let error = match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::new(Code::MethodNotAllowed, "see the header Allow"),
        StatusCode::NOT_FOUND => ApiError::new(Code::NoRoute, "see /api/openapi.json for what there is"),
        _ => ApiError::internal("an answer without a body"),
    };
    error.into_response().extensions_mut().remove()
}

fn harden(headers: &mut HeaderMap, is_api: bool) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(BUILD, super::console::build());
    let policy = if is_api { "default-src 'none'; frame-ancestors 'none'" } else { CONTENT_SECURITY_POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

/// Keeps cookies off unencrypted connections when the caller came over an encrypted one.
fn secure_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        let secured = [cookie.as_bytes(), b"; Secure"].concat();
        headers.append(header::SET_COOKIE, HeaderValue::from_bytes(&secured).unwrap_or(cookie));
    }
}

/// The answer to a request whose handler panicked. The panic hook has logged it.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    let error = ApiError::new(Code::Internal, "the cause is in the log under this request id");
    error.into_quiet_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_like_every_other_error_and_tells_nothing() {
        let caller = Caller::of(&Request::default(), &[], sluice_domain::UnixMillis(0));
        let answer = in_one_shape(panicked(Box::new("sk-secret")), &caller);
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_write_that_took_too_long_may_have_been_done_and_a_read_was_not() {
        for (is_write, code) in [(true, Code::OutcomeUnknown), (false, Code::Busy)] {
            let error = given_up(is_write);
            assert_eq!((error.code, error.retry_after_secs.is_some()), (code, true));
            assert_eq!(error.code.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    #[test]
    fn cookies_are_secured_each() {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
        headers.append(header::SET_COOKIE, HeaderValue::from_static("b=2; HttpOnly"));
        secure_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Secure", "b=2; HttpOnly; Secure"]);
    }
}
