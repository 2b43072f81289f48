//! The one shape of every error: `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sea_orm::{DbErr, SqlErr};
use serde::Serialize;
use sluice_telemetry::chain::Chain;
use tracing::error;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::codes::Code;
use crate::auth::Denied;
use crate::db::{self, CommitError};

/// Where the codes are explained.
const DOCS: &str = "/docs/reference/problems#";
/// Seconds to give a write that may still be under way.
const UNKNOWN_SECS: u64 = 5;

/// Why a request was refused or could not be served. Display says it for logs.
#[derive(Debug)]
pub struct ApiError {
    /// What went wrong.
    pub code: Code,
    /// The sentence for whoever asked; no secrets.
    pub detail: String,
    /// The fields that broke a rule.
    pub errors: Vec<FieldError>,
    /// Seconds after which it is worth asking again.
    pub retry_after_secs: Option<u64>,
    /// The cause, for the log only.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// One field that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field: `models[2]`, `quota`.
    pub field: String,
    /// The rule, as a word that never changes.
    pub code: String,
    /// The rule, for people.
    pub detail: String,
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in a few words. May change; go by `code`.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What went wrong, as a word that never changes.
    #[schema(example = "invalid")]
    pub code: String,
    /// What went wrong here.
    pub detail: String,
    /// Names the request in the log.
    pub request_id: String,
    /// The fields that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// Every answer that is not the one a route is for, in the description of the API.
#[derive(Debug)]
pub struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("Refused, or not possible: `code` says why.")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

/// The parts of a problem that are known before the request id is. The outermost layer turns it into the body.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
}

impl ApiError {
    /// An error with a sentence of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_secs: None, source: None }
    }

    /// Nothing of this name or id is there for the caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// One field broke a rule.
    pub fn field(field: &str, code: &str, detail: impl Into<String>) -> Self {
        FieldError { field: field.to_owned(), code: code.to_owned(), detail: detail.into() }.into()
    }

    /// Something that cannot happen did. The cause goes to the log only.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the cause is in the log under this request id";
        Self { source: Some(cause.into()), ..Self::new(Code::Internal, detail) }
    }

    /// The same error, worth asking again after some seconds.
    #[must_use]
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// A write was given up on its way: whether it was done can only be looked at.
    pub(super) fn outcome_unknown() -> Self {
        let detail = "it may have been done: look before asking again, or ask again with the same Idempotency-Key";
        Self::new(Code::OutcomeUnknown, detail).retry_after(UNKNOWN_SECS)
    }

    fn unavailable(code: Code, cause: DbErr) -> Self {
        let detail = "nothing was changed; ask again";
        Self { source: Some(Box::new(cause)), ..Self::new(code, detail) }.retry_after(1)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        vec![error].into()
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(errors: Vec<FieldError>) -> Self {
        let told: Vec<String> = errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
        Self { errors, ..Self::new(Code::Invalid, told.join("; ")) }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Role(_) => Code::RoleTooLow,
            Denied::Scope(_) => Code::ScopeMissing,
        };
        Self::new(code, denied.to_string())
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        if db::is_conflict(&error) {
            return Self::unavailable(Code::Busy, error);
        }
        if db::is_away(&error) {
            return Self::unavailable(Code::DatabaseUnavailable, error);
        }
        Self::internal(error)
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Undone(cause) => cause.into(),
            CommitError::Unknown(cause) => Self { source: Some(Box::new(cause)), ..Self::outcome_unknown() },
        }
    }
}

/// Whether a statement broke a unique constraint; the text names it where the engine tells.
#[must_use]
pub fn unique_violation(error: &DbErr) -> Option<String> {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(text)) => Some(text),
        _ => None,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.code.status().is_server_error() {
            error!(problem.code = self.code.as_str(), cause = %Chain(&self), "a request could not be served: {}", self.code.title());
        }
        self.into_quiet_response()
    }
}

impl ApiError {
    /// The answer, without a line in the log.
    pub(super) fn into_quiet_response(self) -> Response {
        let status = self.code.status();
        let mut response = status.into_response();
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluice\""));
        }
        response.extensions_mut().insert(Pending { code: self.code, detail: self.detail, errors: self.errors });
        response
    }
}

impl Pending {
    /// The body on pages, which have no use for JSON.
    pub(super) fn into_text(self, request_id: &str) -> String {
        format!("{}: {}.\n\nRequest {request_id}\n", self.code.title(), self.detail)
    }

    /// The body, once the request id is known.
    pub(super) fn into_problem(self, request_id: &str) -> Problem {
        let (status, code, title) = self.code.facts();
        Problem {
            kind: format!("{DOCS}{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: self.detail,
            request_id: request_id.to_owned(),
            errors: self.errors,
        }
    }
}
