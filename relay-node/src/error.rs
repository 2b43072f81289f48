//! What a caller is told when a request cannot be served: one closed list of kinds, and the message that goes with one.
//!
//! A kind knows its status, type and code (relay-api.md §9.2) and whose fault it is. How the error looks on the wire is decided by
//! `ingress::reply`, in the caller's dialect.

use std::borrow::Cow;
use std::time::Duration;

use sluice_dialect::error::UpstreamError;
use sluice_domain::Dialect;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The caller's: another request would do better.
    Caller,
    /// The provider's.
    Upstream,
    /// The control plane cannot be asked, or has not said yet.
    Control,
    /// Ours.
    Us,
}

/// What went wrong. The word is the metric label and the reason in logs; the code is what callers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No key was presented.
    MissingKey,
    /// The key is not known.
    UnknownKey,
    /// The token has ended.
    TokenExpired,
    /// The token is switched off.
    TokenDisabled,
    /// There is no configuration yet.
    ConfigNotReady,
    /// The control plane is needed and cannot be asked.
    AuthorityUnavailable,
    /// The token may not be used from this address.
    AddressNotAllowed,
    /// The owner of the token is switched off.
    UserDisabled,
    /// The token's group is not one its owner may use.
    GroupNotAllowed,
    /// The group does not exist.
    GroupNotFound,
    /// The channel after the key is not a number, or there is no such channel.
    PinUnknown,
    /// Only administrators may name a channel, and only one that is in use.
    PinNotAllowed,
    /// The token may not ask for this model.
    ModelNotAllowed,
    /// A limit allows nothing more at the moment.
    RateLimited,
    /// The body is larger than allowed, packed or unpacked.
    BodyTooLarge,
    /// The body's coding or type is not understood.
    UnsupportedMedia,
    /// The body could not be read or unpacked.
    BodyUnreadable,
    /// The caller took too long to send the body.
    BodyTimeout,
    /// The body is not JSON.
    InvalidJson,
    /// The body names no model.
    MissingModel,
    /// A field of the body is missing or wrong.
    InvalidRequest,
    /// The model has no price.
    Unpriced,
    /// The owner's balance does not cover the request.
    UserQuota,
    /// The token's quota does not cover the request.
    TokenQuota,
    /// The token's number of requests is used up.
    TokenUses,
    /// The account is frozen.
    AccountFrozen,
    /// Nothing is configured for this model and group.
    ModelNotFound,
    /// The response that the request goes on from is not there.
    PreviousNotFound,
    /// There is no such stored response.
    ResponseNotFound,
    /// Something is configured, and nothing of it can be used now.
    NoChannel,
    /// The spool has no room for another record.
    SpoolFull,
    /// The memory set aside for bodies is used up.
    MemoryFull,
    /// There is no such path.
    UnknownPath,
    /// The path does not take this method.
    WrongMethod,
    /// The interface is known and not served.
    NotServed,
    /// The provider of the model does not serve the interface.
    UnsupportedEndpoint,
    /// The upstream could not be reached, or broke off before it answered.
    Unreachable,
    /// The upstream took too long.
    UpstreamTimeout,
    /// The upstream answered with an error status.
    UpstreamRefused,
    /// The upstream refused our key.
    UpstreamAuth,
    /// The upstream's answer is not what was asked for, a web page for instance.
    BadResponse,
    /// The upstream's answer could not be read.
    BadResponseBody,
    /// The upstream's answer holds nothing.
    EmptyResponse,
    /// The upstream's stream ended before its end.
    StreamTruncated,
    /// The request for the upstream could not be made.
    ConvertRequest,
    /// Something that cannot happen did.
    Internal,
}

/// The fixed properties of a kind.
struct Facts(u16, &'static str, &'static str, &'static str, Origin);

const CALLER_ERROR: &str = "invalid_request_error";
const DENIED: &str = "permission_error";
const OURS: &str = "sluice_error";
const THEIRS: &str = "upstream_error";

impl Kind {
    /// Every kind, for metrics that start at zero.
    pub const ALL: [Self; 46] = [
        Self::MissingKey,
        Self::UnknownKey,
        Self::TokenExpired,
        Self::TokenDisabled,
        Self::ConfigNotReady,
        Self::AuthorityUnavailable,
        Self::AddressNotAllowed,
        Self::UserDisabled,
        Self::GroupNotAllowed,
        Self::GroupNotFound,
        Self::PinUnknown,
        Self::PinNotAllowed,
        Self::ModelNotAllowed,
        Self::RateLimited,
        Self::BodyTooLarge,
        Self::UnsupportedMedia,
        Self::BodyUnreadable,
        Self::BodyTimeout,
        Self::InvalidJson,
        Self::MissingModel,
        Self::InvalidRequest,
        Self::Unpriced,
        Self::UserQuota,
        Self::TokenQuota,
        Self::TokenUses,
        Self::AccountFrozen,
        Self::ModelNotFound,
        Self::PreviousNotFound,
        Self::ResponseNotFound,
        Self::NoChannel,
        Self::SpoolFull,
        Self::MemoryFull,
        Self::UnknownPath,
        Self::WrongMethod,
        Self::NotServed,
        Self::UnsupportedEndpoint,
        Self::Unreachable,
        Self::UpstreamTimeout,
        Self::UpstreamRefused,
        Self::UpstreamAuth,
        Self::BadResponse,
        Self::BadResponseBody,
        Self::EmptyResponse,
        Self::StreamTruncated,
        Self::ConvertRequest,
        Self::Internal,
    ];

    const fn facts(self) -> Facts {
        use Origin::{Caller, Control, Upstream, Us};
        match self {
            Self::MissingKey => Facts(401, CALLER_ERROR, "invalid_api_key", "missing_key", Caller),
            Self::UnknownKey => Facts(401, CALLER_ERROR, "invalid_api_key", "unknown_key", Caller),
            Self::TokenExpired => Facts(401, CALLER_ERROR, "token_expired", "token_expired", Caller),
            Self::TokenDisabled => Facts(401, CALLER_ERROR, "token_disabled", "token_disabled", Caller),
            Self::ConfigNotReady => Facts(503, OURS, "config_not_ready", "config_not_ready", Control),
            Self::AuthorityUnavailable => Facts(503, OURS, "authority_unavailable", "authority_unavailable", Control),
            Self::AddressNotAllowed => Facts(403, DENIED, "access_denied", "address_not_allowed", Caller),
            Self::UserDisabled => Facts(403, DENIED, "user_disabled", "user_disabled", Caller),
            Self::GroupNotAllowed => Facts(403, DENIED, "group_not_allowed", "group_not_allowed", Caller),
            Self::GroupNotFound => Facts(403, DENIED, "group_not_found", "group_not_found", Caller),
            Self::PinUnknown => Facts(400, CALLER_ERROR, "invalid_request", "pin_unknown", Caller),
            Self::PinNotAllowed => Facts(403, DENIED, "access_denied", "pin_not_allowed", Caller),
            Self::ModelNotAllowed => Facts(403, DENIED, "model_not_allowed", "model_not_allowed", Caller),
            Self::RateLimited => Facts(429, "rate_limit_error", "rate_limit_exceeded", "rate_limited", Caller),
            Self::BodyTooLarge => Facts(413, CALLER_ERROR, "request_too_large", "request_too_large", Caller),
            Self::UnsupportedMedia => Facts(415, CALLER_ERROR, "unsupported_media_type", "unsupported_media_type", Caller),
            Self::BodyUnreadable => Facts(400, CALLER_ERROR, "bad_request_body", "bad_request_body", Caller),
            Self::BodyTimeout => Facts(408, CALLER_ERROR, "request_timeout", "request_timeout", Caller),
            Self::InvalidJson => Facts(400, CALLER_ERROR, "invalid_json", "invalid_json", Caller),
            Self::MissingModel => Facts(400, CALLER_ERROR, "missing_model", "missing_model", Caller),
            Self::InvalidRequest => Facts(400, CALLER_ERROR, "invalid_request", "invalid_request", Caller),
            Self::Unpriced => Facts(400, CALLER_ERROR, "model_price_error", "model_price_error", Caller),
            Self::UserQuota => Facts(403, "insufficient_quota", "insufficient_user_quota", "user_quota", Caller),
            Self::TokenQuota => Facts(403, "insufficient_quota", "token_quota_exhausted", "token_quota", Caller),
            Self::TokenUses => Facts(403, "insufficient_quota", "token_uses_exhausted", "token_uses", Caller),
            Self::AccountFrozen => Facts(403, DENIED, "access_denied", "account_frozen", Caller),
            Self::ModelNotFound => Facts(404, CALLER_ERROR, "model_not_found", "model_not_found", Caller),
            Self::PreviousNotFound => {
                Facts(400, CALLER_ERROR, "previous_response_not_found", "previous_response_not_found", Caller)
            }
            Self::ResponseNotFound => Facts(404, CALLER_ERROR, "response_not_found", "response_not_found", Caller),
            Self::NoChannel => Facts(503, OURS, "no_available_channel", "no_available_channel", Us),
            Self::SpoolFull => Facts(503, OURS, "spool_full", "spool_full", Us),
            Self::MemoryFull => Facts(503, OURS, "system_memory_overloaded", "memory_full", Us),
            Self::UnknownPath => Facts(404, CALLER_ERROR, "", "unknown_path", Caller),
            Self::WrongMethod => Facts(405, CALLER_ERROR, "method_not_allowed", "wrong_method", Caller),
            Self::NotServed => Facts(501, OURS, "api_not_implemented", "not_served", Us),
            Self::UnsupportedEndpoint => Facts(400, CALLER_ERROR, "unsupported_endpoint", "unsupported_endpoint", Caller),
            Self::Unreachable => Facts(502, THEIRS, "do_request_failed", "unreachable", Upstream),
            Self::UpstreamTimeout => Facts(504, THEIRS, "upstream_timeout", "upstream_timeout", Upstream),
            Self::UpstreamRefused => Facts(502, THEIRS, "bad_response_status_code", "upstream_refused", Upstream),
            Self::UpstreamAuth => Facts(502, THEIRS, "upstream_auth_failed", "upstream_auth_failed", Upstream),
            Self::BadResponse => Facts(502, THEIRS, "bad_response", "bad_response", Upstream),
            Self::BadResponseBody => Facts(502, THEIRS, "bad_response_body", "bad_response_body", Upstream),
            Self::EmptyResponse => Facts(502, THEIRS, "empty_response", "empty_response", Upstream),
            Self::StreamTruncated => Facts(502, THEIRS, "stream_truncated", "stream_truncated", Upstream),
            Self::ConvertRequest => Facts(500, OURS, "convert_request_failed", "convert_request_failed", Us),
            Self::Internal => Facts(500, OURS, "internal_error", "internal_error", Us),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.facts().0
    }

    /// The OpenAI `type`.
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        self.facts().1
    }

    /// The OpenAI `code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.facts().2
    }

    /// The word used in logs and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().3
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn origin(self) -> Origin {
        self.facts().4
    }
}

/// Why a request is not served, as the caller is told.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong.
    pub kind: Kind,
    /// For people. Never holds a key, an address or a part of a prompt.
    pub message: Cow<'static, str>,
    /// The field at fault.
    pub param: Option<Cow<'static, str>>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What the upstream said, when the caller is to read that.
    pub upstream: Option<Box<Passed>>,
    /// The status the caller is told in place of what it would be.
    pub told_status: Option<u16>,
}

/// An upstream's own error, on its way to the caller.
#[derive(Debug)]
pub struct Passed {
    /// The status it came with.
    pub status: u16,
    /// Its words, masked.
    pub error: UpstreamError,
}

impl Refusal {
    /// How long callers are asked to wait when nothing better is known.
    const COME_BACK: Duration = Duration::from_secs(1);

    /// A refusal with its message.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = (kind.status() == 503).then_some(Self::COME_BACK);
        Self { kind, message: message.into(), param: None, retry_after, upstream: None, told_status: None }
    }

    /// The same, naming the field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same for a caller of a dialect: an upstream of another one spoke words that mean nothing there.
    #[must_use]
    pub fn for_caller(mut self, caller: Dialect) -> Self {
        self.upstream = self.upstream.map(|passed| {
            let (status, error) = passed.error.for_caller(passed.status, caller);
            Box::new(Passed { status, error })
        });
        self
    }

    /// What the upstream said, if it is in the words of the caller's own dialect.
    #[must_use]
    pub fn native(&self, caller: Dialect) -> Option<&UpstreamError> {
        let caller = if caller == Dialect::Responses { Dialect::OpenAi } else { caller };
        let error = &self.upstream.as_ref()?.error;
        (error.form == Some(caller) && error.kind.is_some()).then_some(error)
    }

    /// The status the caller gets.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.told_status.unwrap_or_else(|| self.upstream.as_ref().map_or(self.kind.status(), |passed| passed.status))
    }

    /// The `type` the caller gets.
    #[must_use]
    pub fn error_type(&self) -> &str {
        self.passed(|error| error.kind.as_deref()).unwrap_or_else(|| self.kind.error_type())
    }

    /// The `code` the caller gets. An upstream that names a type and no code is passed on like that.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.upstream {
            Some(passed) if passed.error.kind.is_some() || passed.error.code.is_some() => passed.error.code.as_deref(),
            _ => Some(self.kind.code()),
        }
    }

    /// The code kept on record: never nothing, and never a text that may repeat what the caller said.
    #[must_use]
    pub fn recorded_code(&self) -> &str {
        self.passed(UpstreamError::code_word).unwrap_or_else(|| self.kind.code())
    }

    /// The `param` the caller gets.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.passed(|error| error.param.as_deref()).or(self.param.as_deref())
    }

    fn passed(&self, field: impl Fn(&UpstreamError) -> Option<&str>) -> Option<&str> {
        self.upstream.as_ref().and_then(|passed| field(&passed.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own_and_an_error_status() {
        let words: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
            let is_callers = kind.origin() == Origin::Caller;
            assert_eq!(is_callers, kind.status() < 500, "{kind:?}: only a caller's fault is a 4xx");
        }
    }

    #[test]
    fn not_knowing_is_never_a_verdict() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.origin() == Origin::Control) {
            assert_eq!(kind.status(), 503, "{kind:?}");
            assert!(Refusal::new(kind, "x").retry_after.is_some(), "{kind:?}");
        }
    }
}
