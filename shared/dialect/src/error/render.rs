//! One error, four shapes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use sluice_domain::{Dialect, RequestId};

use super::scrub;

/// What an error says, before it is given the shape of a dialect.
#[derive(Debug, Clone, Copy)]
pub struct ErrorBody<'a> {
    /// The HTTP status it is sent with.
    pub status: u16,
    /// The OpenAI `type`, for instance `invalid_request_error`. The other dialects' words follow from it and the status.
    pub kind: &'a str,
    /// `kind` is a word of the dialect itself, as its own upstream said it; `metadata` is Google's `details` then.
    pub is_native: bool,
    /// The OpenAI `code`.
    pub code: Option<&'a str>,
    /// What went wrong, for people. It is masked here, and the request id is added.
    pub message: &'a str,
    /// The field at fault.
    pub param: Option<&'a str>,
    /// An upstream's own `metadata`, already masked. OpenAI's shape, and Google's.
    pub metadata: Option<&'a RawValue>,
    /// The request it answers.
    pub request_id: &'a RequestId,
}

/// The error as a response body of a dialect.
#[must_use]
pub fn render(dialect: Dialect, error: &ErrorBody<'_>) -> Bytes {
    let message = format!("{} (request id: {})", scrub(error.message, &[]), error.request_id);
    match dialect {
        Dialect::OpenAi | Dialect::Responses => json(&OpenAi { error: OpenAiError::new(error, &message) }),
        Dialect::Anthropic => json(&Anthropic {
            outer: "error",
            error: AnthropicError { kind: if error.is_native { error.kind } else { anthropic_type(error) }, message: &message },
            request_id: error.request_id.as_str(),
        }),
        Dialect::Gemini => {
            let (status, details) = if error.is_native { (error.kind, error.metadata) } else { (gemini_status(error), None) };
            let details = details.map_or(Details::None([]), Details::Told);
            json(&Gemini { error: GeminiError { code: error.status, message: &message, status, details } })
        }
    }
}

/// The error as the last frame of a stream that has begun. Nothing may follow it.
#[must_use]
pub fn render_event(dialect: Dialect, error: &ErrorBody<'_>) -> Bytes {
    let (head, body) = match dialect {
        Dialect::OpenAi | Dialect::Gemini => ("data: ", render(dialect, error)),
        Dialect::Anthropic => ("event: error\ndata: ", render(dialect, error)),
        Dialect::Responses => {
            let message = format!("{} (request id: {})", scrub(error.message, &[]), error.request_id);
            // nothing was announced before it: its number is the first
            let flat =
                ResponsesEvent { kind: "error", sequence_number: 0, code: error.code, message: &message, param: error.param };
            ("event: error\ndata: ", json(&flat))
        }
    };
    [head.as_bytes(), &body, b"\n\n"].concat().into()
}

/// The code and the message of an answer of Responses that failed. Its codes are few: what clients know of them is said in them.
pub(crate) fn failure<'a>(error: &ErrorBody<'a>) -> (&'a str, String) {
    const KNOWN: [&str; 5] =
        ["rate_limit_exceeded", "invalid_prompt", "insufficient_quota", "context_length_exceeded", "server_is_overloaded"];
    let said = error.code.filter(|code| KNOWN.contains(code));
    let code = said.unwrap_or(match (error.status, error.kind) {
        (_, "insufficient_quota") => "insufficient_quota",
        (429, _) => "rate_limit_exceeded",
        _ => "server_error",
    });
    (code, format!("{} (request id: {})", scrub(error.message, &[]), error.request_id))
}

/// Anthropic's word for the situation (relay-api.md §9.2).
fn anthropic_type(error: &ErrorBody<'_>) -> &'static str {
    match error.status {
        401 => "authentication_error",
        402 | 403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Google's word for the situation (relay-api.md §9.2).
fn gemini_status(error: &ErrorBody<'_>) -> &'static str {
    match error.status {
        401 => "UNAUTHENTICATED",
        402 | 403 if error.kind == "insufficient_quota" => "RESOURCE_EXHAUSTED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        502 if matches!(error.code, Some("bad_response_body" | "empty_response")) => "INTERNAL",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

/// Plain structures of text and numbers always serialise; an empty object stands in for what cannot happen.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map_or(Bytes::from_static(b"{}"), Bytes::from)
}

#[derive(Serialize)]
struct OpenAi<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

impl<'a> OpenAiError<'a> {
    fn new(error: &ErrorBody<'a>, message: &'a str) -> Self {
        Self { message, kind: error.kind, param: error.param, code: error.code, metadata: error.metadata }
    }
}

#[derive(Serialize)]
struct ResponsesEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
}

#[derive(Serialize)]
struct Anthropic<'a> {
    #[serde(rename = "type")]
    outer: &'a str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Gemini<'a> {
    error: GeminiError<'a>,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: &'a str,
    status: &'a str,
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    None([(); 0]),
    Told(&'a RawValue),
}
