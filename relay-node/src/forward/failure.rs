//! Why an attempt failed: what the caller would be told, and whether somebody else should be tried.
//!
//! Every attempt that fails before the first byte ends here. The table is relay-api.md §7 with the retry ranges of §19 row 16; the
//! decision goes by what the upstream really answered, never by what the caller is shown.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::value::RawValue;
use sluice_dialect::error::UpstreamError;
use sluice_upstream::{Failure as SendFailure, ReadError, SendError};

use super::address::NoPlace;
use super::seen::{Evidence, Fault};
use crate::error::{Kind, Passed, Refusal};
use crate::stream::Step;

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Tell the caller.
    Never,
    /// Try another key of the same channel, else another channel: the key is at fault.
    NextKey,
    /// Try another channel.
    NextChannel,
    /// The same, but not at once if it is of the same tier: it is busy. The upstream may have said for how long.
    NextAfter(Option<Duration>),
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the caller is told, should this be the last attempt.
    pub(super) refusal: Refusal,
    /// The upstream's status; 0 when it did not answer.
    pub(super) status: u16,
    /// What went wrong, for the record and the log: a word, never the upstream's text.
    pub(super) word: &'static str,
    /// What to do about it.
    pub(super) retry: Retry,
    /// Whether the channel is at fault in a way that passes: such failures in a row eject it.
    pub(super) counts: bool,
    /// What the upstream answered with, for whoever decides about the channel.
    pub(super) evidence: Option<Evidence>,
    /// The upstream knows no such address, and says nothing of what was asked.
    pub(super) is_no_interface: bool,
    /// What the layer below said, for the node's log: never a word of the upstream's body, which may repeat a prompt.
    pub(super) detail: String,
}

impl From<Box<Self>> for Failure {
    fn from(failure: Box<Self>) -> Self {
        *failure
    }
}

/// Words of providers that mean: this key cannot be used.
const KEY_CODES: [&str; 5] =
    ["invalid_api_key", "account_deactivated", "billing_not_active", "pre_consume_token_quota_failed", "Arrearage"];
const KEY_TYPES: [&str; 5] =
    ["insufficient_quota", "insufficient_user_quota", "authentication_error", "permission_error", "forbidden"];
/// Words of clouds that mean: this key is no good at all. Google's `ErrorInfo.reason` (google.api.ErrorReason), the common errors of AWS.
const BAD_KEY_REASONS: [&str; 14] = [
    "API_KEY_INVALID",
    "API_KEY_SERVICE_BLOCKED",
    "ACCESS_TOKEN_EXPIRED",
    "CREDENTIALS_MISSING",
    "CONSUMER_INVALID",
    "CONSUMER_SUSPENDED",
    "ACCOUNT_STATE_INVALID",
    "BILLING_DISABLED",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "MissingAuthenticationTokenException",
];
/// The same where a provider has no word for it, in small letters: Anthropic's 400 for an account without money.
const KEY_SENTENCES: [&str; 1] = ["your credit balance is too low"];
/// Parts of words that tell a refusal of what was said: the one 403 that is not about our key.
const CONTENT_WORDS: [&str; 5] = ["content_policy", "content_filter", "moderation", "flagged", "data_inspection"];
/// The exception's name in an answer of AWS, up to a colon.
const X_AMZN_ERRORTYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

impl Failure {
    /// The request did not get an answer.
    #[must_use]
    pub(super) fn not_sent(error: &SendError) -> Self {
        let failure = error.failure();
        if failure == SendFailure::InvalidTarget {
            let word = failure.as_str();
            return Self { word, ..Self::not_made("the channel's address cannot be sent to", Some(Fault::Address)) };
        }
        let (kind, message) = if failure.is_timeout() && failure != SendFailure::ConnectTimeout {
            (Kind::UpstreamTimeout, "the upstream did not answer in time")
        } else {
            (Kind::Unreachable, "the upstream could not be reached")
        };
        Self {
            refusal: Refusal::new(kind, message),
            status: 0,
            word: failure.as_str(),
            retry: Retry::NextChannel,
            counts: failure != SendFailure::InvalidRoute,
            evidence: None,
            is_no_interface: false,
            detail: error.cause().to_owned(),
        }
    }

    /// The answer began, and could not be read.
    #[must_use]
    pub(super) fn unreadable(error: ReadError, status: StatusCode) -> Self {
        let (kind, message) = match error {
            error if error.is_timeout() => (Kind::UpstreamTimeout, "the upstream did not answer in time"),
            ReadError::TooLarge { .. } => (Kind::BadResponseBody, "the upstream's answer is too large"),
            _ => (Kind::BadResponseBody, "the upstream broke off inside its answer"),
        };
        Self::of_answer(kind, message, status, error.as_str())
    }

    /// The answer is not what was asked for.
    #[must_use]
    pub(super) fn unusable(kind: Kind, message: &'static str, status: StatusCode) -> Self {
        Self::of_answer(kind, message, status, kind.as_str())
    }

    /// The answer holds nothing.
    #[must_use]
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { counts: false, ..Self::unusable(Kind::EmptyResponse, "the upstream's answer is empty", status) }
    }

    /// An event of the answer is no JSON.
    #[must_use]
    pub(super) fn malformed(status: StatusCode) -> Self {
        Self::unusable(Kind::BadResponseBody, "an event of the upstream's stream could not be read", status)
    }

    /// The answer broke off after its beginning. Nobody else can be asked; its caller is told inside it.
    #[must_use]
    pub(super) fn inside(how: Step, keywords: &[Box<str>]) -> Self {
        let status = StatusCode::OK;
        let truncated = |message, word| Self::of_answer(Kind::StreamTruncated, message, status, word);
        match how {
            Step::Error(error) => Self::reported(status, *error, keywords),
            Step::Malformed => Self::malformed(status),
            Step::NoMemory => Self::no_memory(status),
            Step::TooLong => truncated("an event of the upstream's stream is too large", Kind::StreamTruncated.as_str()),
            Step::Broken(error) if error.is_timeout() => {
                Self::of_answer(Kind::UpstreamTimeout, "the upstream fell silent inside its answer", status, error.as_str())
            }
            Step::Broken(error) if error != ReadError::Reset => {
                truncated("the upstream's stream could not be read on", error.as_str())
            }
            Step::Broken(_) | Step::Ended | Step::Forward(_) | Step::Done(_) => {
                truncated("the upstream ended the stream before its end", Kind::StreamTruncated.as_str())
            }
        }
    }

    /// There is no memory for the answer. Nobody else's answer would fit either.
    #[must_use]
    pub(super) fn no_memory(status: StatusCode) -> Self {
        let refusal = Refusal::new(Kind::MemoryFull, "the relay has no memory left for the answer, try again");
        Self { status: status.as_u16(), ..Self::told(refusal) }
    }

    /// What the caller asked for cannot be sent anywhere.
    #[must_use]
    pub(super) fn callers(refusal: Refusal) -> Self {
        Self::told(refusal)
    }

    /// The same, with what was said. It is made only where it will be of use: a caller reads its own errors.
    #[must_use]
    pub(super) fn with_detail(mut self, detail: impl FnOnce() -> String) -> Self {
        if self.retry != Retry::Never || self.counts {
            self.detail = detail();
        }
        self
    }

    /// Nobody at fault but the request, or this relay: the caller is told, and that is it.
    fn told(refusal: Refusal) -> Self {
        let word = refusal.kind.as_str();
        let (is_no_interface, detail) = (false, String::new());
        Self { refusal, status: 0, word, retry: Retry::Never, counts: false, evidence: None, is_no_interface, detail }
    }

    /// The channel has no place on this relay.
    #[must_use]
    pub(super) fn not_placed(error: NoPlace) -> Self {
        match error {
            NoPlace::Provider => Self::not_served("the channel's provider is not known"),
            NoPlace::Address => Self::not_made("the channel's address cannot be used", Some(Fault::Address)),
            NoPlace::Proxy(error) => {
                Self::not_made("the channel's proxy cannot be used", Some(Fault::Address)).with_detail(|| error.to_string())
            }
            NoPlace::Params(error) => {
                Self::of_settings("the channel's rules for bodies cannot be followed", Fault::Params, error.to_string())
            }
            NoPlace::Headers(error) => {
                Self::of_settings("the channel's headers cannot be sent", Fault::Headers, error.to_string())
            }
        }
    }

    /// A setting of the channel's own cannot be followed, whatever is asked for. The word for it is the fault's.
    fn of_settings(message: &'static str, fault: Fault, detail: String) -> Self {
        Self { word: fault.code(), detail, ..Self::not_made(message, Some(fault)) }
    }

    /// A setting of the channel's own cannot be followed for this request. Another request may do: nothing is said against the channel, or any
    /// caller could have it switched off.
    #[must_use]
    pub(super) fn not_shaped(message: &'static str, fault: Fault, detail: String) -> Self {
        Self { word: fault.code(), detail, ..Self::not_served(message) }
    }

    /// The channel's provider has no such interface: its caller is told so, unless another channel has.
    #[must_use]
    pub(super) fn unsupported(refusal: Refusal) -> Self {
        Self { retry: Retry::NextChannel, ..Self::told(refusal) }
    }

    /// The channel does not take such a request, which says nothing against it.
    #[must_use]
    pub(super) fn not_served(message: &'static str) -> Self {
        Self { retry: Retry::NextChannel, detail: message.to_owned(), ..Self::told(Refusal::new(Kind::ConvertRequest, message)) }
    }

    /// The request for this channel could not be made, because of a setting of its own.
    #[must_use]
    pub(super) fn not_made(message: &'static str, fault: Option<Fault>) -> Self {
        let evidence = fault.map(|fault| Evidence { fault: Some(fault), ..Evidence::default() });
        let is_key = fault == Some(Fault::Key);
        let retry = if is_key { Retry::NextKey } else { Retry::NextChannel };
        Self { retry, counts: !is_key, evidence, ..Self::not_served(message) }
    }

    /// The key is exchanged for a token, and the exchange was refused.
    #[must_use]
    pub(super) fn no_token(status: StatusCode, error: &UpstreamError) -> Self {
        let is_key = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        let (kind, message) = if is_key {
            (Kind::UpstreamAuth, "the upstream refused the channel's credentials")
        } else {
            (Kind::Unreachable, "the channel's credentials could not be exchanged for a token")
        };
        Self {
            retry: if is_key { Retry::NextKey } else { Retry::NextChannel },
            counts: !is_key,
            // whatever the exchange says of a key it refuses, to us that is a key that is not good
            evidence: is_key.then(|| evidence(StatusCode::UNAUTHORIZED.as_u16(), error, &[])),
            ..Self::of_answer(kind, message, status, kind.as_str())
        }
    }

    /// The answer to the exchange holds no token.
    #[must_use]
    pub(super) fn no_token_read() -> Self {
        let message = "the channel's credentials could not be exchanged for a token";
        Self::of_answer(Kind::Unreachable, message, StatusCode::OK, Kind::Unreachable.as_str())
    }

    /// The upstream answered with an error status.
    #[must_use]
    pub(super) fn refused(status: StatusCode, headers: &HeaderMap, mut error: UpstreamError, keywords: &[Box<str>]) -> Self {
        error.reason = error.reason.or_else(|| exception(headers));
        Self::judged((status.as_u16(), status.as_u16()), retry_after(headers), error, keywords)
    }

    /// The upstream answered 200, and its body or first event is an error.
    #[must_use]
    pub(super) fn reported(status: StatusCode, error: UpstreamError, keywords: &[Box<str>]) -> Self {
        Self::judged((status.as_u16(), meant_status(&error)), None, error, keywords)
    }

    /// `answered` is what the upstream sent, `meant` what it should have sent.
    fn judged((answered, meant): (u16, u16), wait: Option<Duration>, error: UpstreamError, keywords: &[Box<str>]) -> Self {
        let is_key = is_key_fault(meant, &error);
        // a refusal of what was said is about the request: no caller is told 401 or 403 of an upstream's
        let meant = if meant == 403 && !is_key { 400 } else { meant };
        let retry = match meant {
            _ if is_key => Retry::NextKey,
            404 if error.is_unknown_model() => Retry::NextChannel,
            429 | 503 => Retry::NextAfter(wait),
            500..=502 | 505..=523 | 525..=599 => Retry::NextChannel,
            _ => Retry::Never,
        };
        let is_no_interface = is_no_interface(answered, &error);
        let evidence = (400..600).contains(&meant).then(|| evidence(meant, &error, keywords));
        let refusal = if is_key {
            Refusal::new(Kind::UpstreamAuth, "the upstream refused the channel's credentials")
        } else if (400..600).contains(&meant) {
            let retry_after = wait.filter(|_| matches!(meant, 429 | 503));
            let message = error.message.clone();
            let upstream = Some(Box::new(Passed { status: meant, error }));
            Refusal { retry_after, upstream, ..Refusal::new(Kind::UpstreamRefused, message) }
        } else {
            Refusal::new(Kind::BadResponse, format!("bad response status code {answered}"))
        };
        Self {
            refusal,
            status: answered,
            word: if is_key { Kind::UpstreamAuth.as_str() } else { Kind::UpstreamRefused.as_str() },
            retry,
            counts: !is_key && matches!(meant, 429 | 500..),
            evidence,
            is_no_interface,
            detail: String::new(),
        }
    }

    fn of_answer(kind: Kind, message: &'static str, status: StatusCode, word: &'static str) -> Self {
        let refusal = Refusal::new(kind, message);
        let detail = message.to_owned();
        let (retry, is_no_interface) = (Retry::NextChannel, false);
        Self { refusal, status: status.as_u16(), word, retry, counts: true, evidence: None, is_no_interface, detail }
    }
}

/// Whether an error is about our key, so that another one may do and the caller must not read it as being about theirs.
fn is_key_fault(status: u16, error: &UpstreamError) -> bool {
    match status {
        401 | 402 => true,
        403 => names_the_key(error) || !is_about_content(error),
        400 | 429 => names_the_key(error),
        _ => false,
    }
}

/// Whether the key itself is no good, whatever is asked with it.
fn is_bad_key(error: &UpstreamError) -> bool {
    error.reason.as_deref().is_some_and(|reason| BAD_KEY_REASONS.contains(&reason))
}

/// Whether a 403 is about what was said.
fn is_about_content(error: &UpstreamError) -> bool {
    let says = |text: &str| CONTENT_WORDS.iter().any(|part| text.contains(part));
    let words = [error.code.as_deref(), error.kind.as_deref(), error.metadata.as_deref().map(RawValue::get)];
    words.into_iter().flatten().any(says)
}

/// The exception that AWS names beside the body.
fn exception(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(X_AMZN_ERRORTYPE)?.to_str().ok()?.split(':').next()?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| name.to_owned())
}

/// What may be told of an error. Its message stays here: it may repeat a prompt.
fn evidence(status: u16, error: &UpstreamError, keywords: &[Box<str>]) -> Evidence {
    let message = error.message.to_lowercase();
    let keyword = keywords.iter().find(|keyword| message.contains(&***keyword)).map(ToString::to_string);
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    let (kind, code) = (word(error.kind_word()), word(error.reason_word().or_else(|| error.code_word())));
    // whatever status a cloud has for it: a key that is no good is judged like any other
    let status = if is_bad_key(error) { StatusCode::UNAUTHORIZED.as_u16() } else { status };
    Evidence { status, kind, code, keyword: keyword.unwrap_or_default(), fault: None }
}

fn names_the_key(error: &UpstreamError) -> bool {
    let named = |words: &[&str], word: Option<&str>| word.is_some_and(|word| words.contains(&word));
    let message = error.message.to_lowercase();
    is_bad_key(error)
        // only its beginning: further on, a message may repeat what a caller said
        || KEY_SENTENCES.iter().any(|sentence| message.starts_with(sentence))
        || named(&KEY_CODES, error.code.as_deref())
        || named(&KEY_TYPES, error.kind.as_deref())
        || named(&KEY_TYPES, error.code.as_deref())
}

/// Whether an answer is that of a server without such a path: it names no field, and has no code but its status.
fn is_no_interface(status: u16, error: &UpstreamError) -> bool {
    let is_status = |code: &str| code.parse() == Ok(status);
    matches!(status, 404 | 405 | 501)
        && error.param.is_none()
        && error.code.as_deref().is_none_or(is_status)
        && !error.is_unknown_model()
}

/// The status an error sent with 200 stands for.
fn meant_status(error: &UpstreamError) -> u16 {
    if let Some(status) = error.status {
        return status;
    }
    if let Some(status) = error.code.as_deref().and_then(|code| code.parse::<u16>().ok()).filter(|code| (400..600).contains(code))
    {
        return status;
    }
    let words = [error.kind.as_deref(), error.code.as_deref()];
    let says = |wanted: &[&str]| words.iter().flatten().any(|word| wanted.iter().any(|part| word.contains(part)));
    if says(&["rate_limit", "insufficient_quota"]) {
        429
    } else if says(&["invalid_api_key", "authentication"]) {
        401
    } else if names_the_key(error) {
        403
    } else if says(&["model_not_found", "not_found"]) {
        404
    } else if says(&["invalid_request", "context_length_exceeded", "content_filter", "invalid_prompt"]) {
        400
    } else if says(&["overloaded"]) {
        503
    } else {
        502
    }
}

/// `Retry-After` in seconds. The form with a date is rare, and would need a clock that agrees with the upstream's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<f64>().ok()?;
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests;
