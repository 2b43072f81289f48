//! How answers and errors look from outside: one shape per family, and the headers every answer carries.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use sluice_dialect::error::{ErrorBody, render, render_event, scrub};
use sluice_domain::{ChannelId, Dialect, RequestId};
use sluice_telemetry::build;

use super::route::Shape;
use crate::error::{Kind, Origin, Refusal};
use crate::forward::Whole;
use crate::stream::{Pump, WholeBody};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_ONEAPI_REQUEST_ID: HeaderName = HeaderName::from_static("x-oneapi-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_SLUICE_CHANNEL: HeaderName = HeaderName::from_static("x-sluice-channel");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const X_SLUICE_OUTPUT_LIMIT: HeaderName = HeaderName::from_static("x-sluice-output-limit");
const X_SLUICE_DROPPED_FIELDS: HeaderName = HeaderName::from_static("x-sluice-dropped-fields");
const X_SLUICE_ESTIMATED: HeaderName = HeaderName::from_static("x-sluice-estimated");
const X_SLUICE_VERSION: HeaderName = HeaderName::from_static("x-sluice-version");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
const ONE_DAY: HeaderValue = HeaderValue::from_static("86400");

/// What every answer to one request has in common.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The request's name.
    pub request_id: RequestId,
    /// How errors are told.
    pub shape: Shape,
}

impl Stamp {
    /// Puts the headers on that every answer carries.
    pub fn seal(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        // Ids hold nothing but letters, digits and `. _ -`, so they are always header values.
        if let Ok(id) = HeaderValue::from_str(self.request_id.as_str()) {
            if self.shape == Shape::Dialect(Dialect::Anthropic) {
                headers.insert(REQUEST_ID, id.clone());
            }
            headers.insert(X_ONEAPI_REQUEST_ID, id.clone());
            headers.insert(X_REQUEST_ID, id);
        }
        headers.insert(X_SLUICE_VERSION, HeaderValue::from_static(build::VERSION));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }

    /// The error as a whole answer.
    #[must_use]
    pub fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, self.error_body(refusal));
        if let Some(wait) = refusal.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }

    /// The error as the last frame of a stream that has begun.
    #[must_use]
    pub fn error_event(&self, refusal: &Refusal) -> Bytes {
        render_event(self.shape.dialect(), &self.words(refusal))
    }

    /// The error as a document.
    #[must_use]
    pub fn error_body(&self, refusal: &Refusal) -> Bytes {
        let status = refusal.status();
        let message = || format!("{} (request id: {})", scrub(&refusal.message, &[]), self.request_id);
        let encoded = match self.shape {
            Shape::Dialect(dialect) => return render(dialect, &self.words(refusal)),
            Shape::Midjourney => serde_json::to_vec(&Midjourney {
                description: message(),
                kind: refusal.kind.error_type(),
                code: midjourney_code(refusal.kind),
            }),
            Shape::Task => serde_json::to_vec(&Task { code: task_code(refusal.kind), message: message(), data: () }),
            Shape::Kling => serde_json::to_vec(&Kling { code: status, message: message(), request_id: self.request_id.as_str() }),
            Shape::Jimeng => serde_json::to_vec(&Jimeng {
                code: status,
                message: message(),
                request_id: self.request_id.as_str(),
                status,
                data: (),
            }),
        };
        // Structures of text and numbers always serialise.
        encoded.unwrap_or_default().into()
    }

    /// The error in words, before it is given a shape.
    #[must_use]
    pub fn words<'a>(&'a self, refusal: &'a Refusal) -> ErrorBody<'a> {
        let native = refusal.native(self.shape.dialect());
        ErrorBody {
            status: refusal.status(),
            kind: refusal.error_type(),
            is_native: native.is_some(),
            code: refusal.code(),
            message: &refusal.message,
            param: refusal.param(),
            metadata: native.and_then(|error| error.metadata.as_deref()),
            request_id: &self.request_id,
        }
    }
}

/// A JSON document as answer.
#[must_use]
pub fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A stream as answer, with the headers of the upstream's that callers get to see; as events, or as the items of one JSON array. The channel
/// is told only to those who may know it.
#[must_use]
pub fn stream(pump: Pump, passed: HeaderMap, channel: Option<ChannelId>, is_array: bool) -> Response<Body> {
    let mut response = Response::new(Body::new(pump));
    let headers = response.headers_mut();
    *headers = passed;
    headers.insert(CONTENT_TYPE, if is_array { JSON } else { EVENTS });
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    name_channel(headers, channel);
    response
}

/// A whole answer. The channel is told only to those who may know it.
#[must_use]
pub fn whole(whole: Whole, channel: Option<ChannelId>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = whole.status;
    let headers = response.headers_mut();
    headers.clone_from(&whole.headers);
    headers.entry(CONTENT_TYPE).or_insert(JSON);
    name_channel(headers, channel);
    let (bytes, held) = whole.into_body();
    *response.body_mut() = Body::new(WholeBody::new(bytes, held));
    response
}

/// The answer, naming the channel to those who may know it.
#[must_use]
pub fn named(mut response: Response<Body>, channel: Option<ChannelId>) -> Response<Body> {
    name_channel(response.headers_mut(), channel);
    response
}

/// The answer, saying the output limit that was sent upstream in place of the caller's, in tokens for each answer, if one was.
#[must_use]
pub fn limited(mut response: Response<Body>, output_limit: Option<u32>) -> Response<Body> {
    if let Some(limit) = output_limit {
        response.headers_mut().insert(X_SLUICE_OUTPUT_LIMIT, HeaderValue::from(limit));
    }
    response
}

/// The answer, naming the fields of the request that could not be sent to its upstream.
#[must_use]
pub fn without(mut response: Response<Body>, dropped: &[&str]) -> Response<Body> {
    if let Some(names) = (!dropped.is_empty()).then(|| HeaderValue::try_from(dropped.join(", "))).and_then(Result::ok) {
        response.headers_mut().insert(X_SLUICE_DROPPED_FIELDS, names);
    }
    response
}

/// The answer, saying that its figures are this relay's own.
#[must_use]
pub fn estimated(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(X_SLUICE_ESTIMATED, HeaderValue::from_static("true"));
    response
}

/// Whether an answer is a stream of events.
#[must_use]
pub fn is_stream(response: &Response<Body>) -> bool {
    response.headers().get(CONTENT_TYPE) == Some(&EVENTS)
}

fn name_channel(headers: &mut HeaderMap, channel: Option<ChannelId>) {
    if let Some(channel) = channel {
        headers.insert(X_SLUICE_CHANNEL, HeaderValue::from(channel.get()));
    }
}

/// The answer to a browser that asks whether it may ask. Every origin may, without cookies.
#[must_use]
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    // `*` does not cover Authorization in every browser.
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, ONE_DAY);
    response
}

/// Seconds rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The family's number of a situation on Midjourney routes.
const fn midjourney_code(kind: Kind) -> u16 {
    match (kind.origin(), kind.status()) {
        (_, 429 | 503) => 30,
        (Origin::Caller, _) | (_, 501) => 4,
        _ => 5,
    }
}

/// The family's word for a situation on task routes.
const fn task_code(kind: Kind) -> &'static str {
    match kind {
        Kind::UserQuota | Kind::TokenQuota => "quota_not_enough",
        Kind::RateLimited => "rate_limited",
        Kind::BodyTooLarge => "read_request_body_failed",
        Kind::ModelNotFound => "model_not_found",
        Kind::NoChannel => "get_channel_failed",
        Kind::NotServed => "not_implemented",
        Kind::Unreachable => "do_request_failed",
        Kind::UpstreamTimeout => "upstream_timeout",
        Kind::BadResponseBody | Kind::EmptyResponse => "unmarshal_response_failed",
        _ => match kind.status() {
            401 => "unauthorized",
            403 => "forbidden",
            503 => "overloaded",
            400..=499 => "invalid_request",
            _ => kind.code(),
        },
    }
}

#[derive(Serialize)]
struct Midjourney<'a> {
    description: String,
    #[serde(rename = "type")]
    kind: &'a str,
    code: u16,
}

#[derive(Serialize)]
struct Task<'a> {
    code: &'a str,
    message: String,
    data: (),
}

#[derive(Serialize)]
struct Kling<'a> {
    code: u16,
    message: String,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Jimeng<'a> {
    code: u16,
    message: String,
    request_id: &'a str,
    status: u16,
    data: (),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(shape: Shape, kind: Kind) -> String {
        let stamp = Stamp { request_id: RequestId::parse("req-1").unwrap(), shape };
        String::from_utf8(stamp.error_body(&Refusal::new(kind, "no way")).to_vec()).unwrap()
    }

    #[test]
    fn one_error_has_the_shape_of_each_family() {
        for (shape, expected) in [
            (
                Shape::OPENAI,
                r#"{"error":{"message":"no way (request id: req-1)","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            ),
            (
                Shape::Dialect(Dialect::Anthropic),
                r#"{"type":"error","error":{"type":"authentication_error","message":"no way (request id: req-1)"},"request_id":"req-1"}"#,
            ),
            (
                Shape::Dialect(Dialect::Gemini),
                r#"{"error":{"code":401,"message":"no way (request id: req-1)","status":"UNAUTHENTICATED","details":[]}}"#,
            ),
            (Shape::Midjourney, r#"{"description":"no way (request id: req-1)","type":"invalid_request_error","code":4}"#),
            (Shape::Task, r#"{"code":"unauthorized","message":"no way (request id: req-1)","data":null}"#),
            (Shape::Kling, r#"{"code":401,"message":"no way (request id: req-1)","request_id":"req-1"}"#),
            (
                Shape::Jimeng,
                r#"{"code":401,"message":"no way (request id: req-1)","request_id":"req-1","status":401,"data":null}"#,
            ),
        ] {
            assert_eq!(told(shape, Kind::UnknownKey), expected);
        }
    }

    #[test]
    fn every_answer_carries_its_id_and_the_version() {
        let stamp = Stamp { request_id: RequestId::parse("req-1").unwrap(), shape: Shape::Dialect(Dialect::Anthropic) };
        let mut response = stamp.refuse(&Refusal::new(Kind::SpoolFull, "full"));
        stamp.seal(&mut response);
        assert_eq!(response.status(), 503);
        for (name, value) in [
            ("x-request-id", "req-1"),
            ("x-oneapi-request-id", "req-1"),
            ("request-id", "req-1"),
            ("retry-after", "1"),
            ("access-control-allow-origin", "*"),
            ("x-sluice-version", build::VERSION),
        ] {
            assert_eq!(response.headers()[name], value, "{name}");
        }
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn a_wait_is_never_rounded_down() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2_001)), 3);
    }
}
