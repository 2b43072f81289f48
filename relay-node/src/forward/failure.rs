//! Why an attempt failed: what the caller would be told, and whether somebody else should be tried.
//!
//! Every attempt that fails before the first byte ends here. The table is relay-api.md §7 with the retry ranges of §19 row 16; the
//! decision goes by what the upstream really answered, never by what the caller is shown.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use sluice_dialect::error::UpstreamError;
use sluice_upstream::{Failure as SendFailure, ReadError, SendError};

use super::seen::Evidence;
use crate::error::{Kind, Passed, Refusal};

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
    /// What the layer below said, for the node's log: never a word of the upstream's body, which may repeat a prompt.
    pub(super) detail: String,
}

/// Words of providers that mean: this key cannot be used.
const KEY_CODES: [&str; 5] =
    ["invalid_api_key", "account_deactivated", "billing_not_active", "pre_consume_token_quota_failed", "Arrearage"];
const KEY_TYPES: [&str; 5] =
    ["insufficient_quota", "insufficient_user_quota", "authentication_error", "permission_error", "forbidden"];

impl Failure {
    /// The request did not get an answer.
    #[must_use]
    pub(super) fn not_sent(error: &SendError) -> Self {
        let failure = error.failure();
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
            counts: !matches!(failure, SendFailure::InvalidTarget | SendFailure::InvalidRoute),
            evidence: None,
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
        Self { refusal, status: 0, word, retry: Retry::Never, counts: false, evidence: None, detail: String::new() }
    }

    /// The request for this channel could not be made.
    #[must_use]
    pub(super) fn not_made(message: &'static str) -> Self {
        Self { retry: Retry::NextChannel, detail: message.to_owned(), ..Self::told(Refusal::new(Kind::ConvertRequest, message)) }
    }

    /// The upstream answered with an error status.
    #[must_use]
    pub(super) fn refused(status: StatusCode, headers: &HeaderMap, error: UpstreamError, keywords: &[Box<str>]) -> Self {
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
        let retry = match meant {
            _ if is_key => Retry::NextKey,
            404 if is_unknown_model(&error) => Retry::NextChannel,
            429 | 503 => Retry::NextAfter(wait),
            500..=502 | 505..=523 | 525..=599 => Retry::NextChannel,
            _ => Retry::Never,
        };
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
            detail: String::new(),
        }
    }

    fn of_answer(kind: Kind, message: &'static str, status: StatusCode, word: &'static str) -> Self {
        let refusal = Refusal::new(kind, message);
        let detail = message.to_owned();
        Self { refusal, status: status.as_u16(), word, retry: Retry::NextChannel, counts: true, evidence: None, detail }
    }
}

/// What a caller is told of an error that came inside its answer, after the beginning.
#[must_use]
pub fn refusal_inside(error: UpstreamError) -> Refusal {
    Failure::reported(StatusCode::OK, error, &[]).refusal
}

/// Whether an error is about our key, so that another one may do and the caller must not read it as being about theirs.
fn is_key_fault(status: u16, error: &UpstreamError) -> bool {
    match status {
        401 | 402 => true,
        403 | 429 => names_the_key(error),
        _ => false,
    }
}

/// What may be told of an error. Its message stays here: it may repeat a prompt.
fn evidence(status: u16, error: &UpstreamError, keywords: &[Box<str>]) -> Evidence {
    let message = error.message.to_lowercase();
    let keyword = keywords.iter().find(|keyword| message.contains(&***keyword)).map(ToString::to_string);
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    Evidence { status, kind: word(error.kind_word()), code: word(error.code_word()), keyword: keyword.unwrap_or_default() }
}

fn names_the_key(error: &UpstreamError) -> bool {
    let named = |words: &[&str], word: Option<&str>| word.is_some_and(|word| words.contains(&word));
    named(&KEY_CODES, error.code.as_deref())
        || named(&KEY_TYPES, error.kind.as_deref())
        || named(&KEY_TYPES, error.code.as_deref())
}

fn is_unknown_model(error: &UpstreamError) -> bool {
    let named = |word: Option<&str>| word.is_some_and(|word| matches!(word, "model_not_found" | "DeploymentNotFound"));
    let message = error.message.to_ascii_lowercase();
    named(error.code.as_deref())
        || named(error.kind.as_deref())
        || (message.contains("model")
            && ["not found", "not exist", "unknown", "no such"].iter().any(|part| message.contains(part)))
}

/// The status an error sent with 200 stands for.
fn meant_status(error: &UpstreamError) -> u16 {
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
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Failure::refused(status, &HeaderMap::new(), UpstreamError::read(status.as_u16(), body.as_bytes(), &[]), &[])
    }

    const CODED: &str = r#"{"error":{"message":"no","type":"some_error","code":"some_code","param":"p"}}"#;

    #[test]
    fn which_statuses_are_tried_elsewhere() {
        for status in [429, 500, 501, 502, 503, 505, 520, 523, 525, 529, 599] {
            assert_ne!(of(status, CODED).retry, Retry::Never, "{status}");
            assert!(of(status, CODED).counts, "{status}");
        }
        for status in [300, 302, 400, 403, 404, 408, 409, 413, 422, 451, 504, 524] {
            assert_eq!(of(status, CODED).retry, Retry::Never, "{status}");
        }
        assert_eq!(of(401, CODED).retry, Retry::NextKey);
        assert_eq!(of(402, CODED).retry, Retry::NextKey);
    }

    #[test]
    fn an_error_about_our_key_never_reaches_the_caller_as_theirs() {
        let billing = r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        for (status, body) in [(401, CODED), (402, CODED), (403, r#"{"error":{"type":"permission_error"}}"#), (429, billing)] {
            let failure = of(status, body);
            assert_eq!((failure.refusal.status(), failure.refusal.code()), (502, Some("upstream_auth_failed")), "{status}");
            assert_eq!((failure.status, failure.retry), (status, Retry::NextKey));
            assert!(!failure.refusal.message.contains("pay"));
        }
    }

    #[test]
    fn other_errors_keep_the_providers_words() {
        let refusal = of(400, CODED).refusal;
        assert_eq!(
            (refusal.status(), refusal.error_type(), refusal.code(), refusal.param()),
            (400, "some_error", Some("some_code"), Some("p"))
        );
        assert_eq!(refusal.message, "no");
        let refusal = of(500, "oops").refusal;
        assert_eq!(refusal.message, "bad response status code 500");
        assert_eq!(
            (refusal.status(), refusal.error_type(), refusal.code()),
            (500, "upstream_error", Some("bad_response_status_code"))
        );
        let refusal = of(400, r#"{"error":{"message":"no","type":"some_error","code":null}}"#).refusal;
        assert_eq!(
            (refusal.error_type(), refusal.code(), refusal.recorded_code()),
            ("some_error", None, "bad_response_status_code")
        );
        assert_eq!(of(302, "").refusal.status(), 502);
    }

    #[test]
    fn a_404_is_tried_elsewhere_only_when_the_model_is_unknown_there() {
        for body in [
            r#"{"error":{"message":"x","code":"model_not_found"}}"#,
            r#"{"error":{"message":"The model `gpt-9` does not exist"}}"#,
            r#"{"error":{"message":"x","code":"DeploymentNotFound"}}"#,
        ] {
            assert_eq!(of(404, body).retry, Retry::NextChannel, "{body}");
        }
        assert_eq!(of(404, r#"{"error":{"message":"no such thing"}}"#).retry, Retry::Never);
    }

    #[test]
    fn of_an_error_its_words_are_told_and_the_keyword_in_it_but_not_its_message() {
        let said =
            r#"{"error":{"message":"Cannot serve: MY SECRET PLAN, pay first","type":"a sentence of theirs","code":"no_money"}}"#;
        let keywords: [Box<str>; 2] = ["never said".into(), "pay first".into()];
        let error = UpstreamError::read(403, said.as_bytes(), &[]);
        let failure = Failure::refused(StatusCode::FORBIDDEN, &HeaderMap::new(), error, &keywords);
        let expected = Evidence { status: 403, kind: String::new(), code: "no_money".into(), keyword: "pay first".into() };
        assert_eq!((failure.evidence, failure.detail.as_str()), (Some(expected), ""));
    }

    #[test]
    fn a_busy_upstream_may_say_for_how_long() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "1.5".parse().unwrap());
        let failure = Failure::refused(StatusCode::TOO_MANY_REQUESTS, &headers, UpstreamError::read(429, b"", &[]), &[]);
        let wait = Some(Duration::from_millis(1_500));
        assert_eq!((failure.retry, failure.refusal.retry_after), (Retry::NextAfter(wait), wait));
        for odd in ["-1", "nan", "inf", "1e30", "Wed, 21 Oct 2015 07:28:00 GMT", ""] {
            headers.insert(RETRY_AFTER, odd.parse().unwrap());
            assert_eq!(retry_after(&headers), None, "{odd}");
        }
    }

    #[test]
    fn an_error_sent_with_200_is_judged_by_its_words() {
        let status = |body: &str| meant_status(&UpstreamError::read(200, body.as_bytes(), &[]));
        assert_eq!(status(r#"{"error":{"message":"x","type":"invalid_request_error"}}"#), 400);
        assert_eq!(status(r#"{"error":{"message":"x","code":429}}"#), 429);
        assert_eq!(status(r#"{"error":{"message":"x","type":"rate_limit_error"}}"#), 429);
        assert_eq!(status(r#"{"error":{"message":"x","code":"invalid_api_key","type":"invalid_request_error"}}"#), 401);
        assert_eq!(status(r#"{"error":{"message":"x","type":"permission_error"}}"#), 403);
        assert_eq!(status(r#"{"error":{"message":"x","code":"account_deactivated"}}"#), 403);
        assert_eq!(status(r#"{"error":"boom"}"#), 502);
    }

    #[test]
    fn an_error_about_our_key_is_never_told_in_the_providers_words() {
        for words in [
            r#""type":"invalid_request_error","code":"invalid_api_key""#,
            r#""type":"authentication_error""#,
            r#""type":"permission_error""#,
            r#""type":"insufficient_quota","code":"insufficient_quota""#,
            r#""code":"account_deactivated""#,
            r#""code":401"#,
        ] {
            let body = format!(r#"{{"error":{{"message":"your key is no good",{words}}}}}"#);
            let told = refusal_inside(UpstreamError::read(200, body.as_bytes(), &[]));
            assert_eq!((told.kind, told.code()), (Kind::UpstreamAuth, Some("upstream_auth_failed")), "{words}");
            assert!(!told.message.contains("your key"), "{words}: {}", told.message);
        }
        let told = refusal_inside(UpstreamError::read(200, br#"{"error":{"message":"too busy","type":"server_error"}}"#, &[]));
        assert_eq!((told.message.as_ref(), told.error_type()), ("too busy", "server_error"));
    }
}
