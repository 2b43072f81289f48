//! Every code an answer of the API can carry, with its status and title: one table.
//!
//! Codes are stable: scripts and the console go by them. Titles are for people and may change.

use http::StatusCode;

/// What went wrong, as a word that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body is not JSON.
    BadJson,
    /// The body is nested too deeply.
    TooDeep,
    /// A header cannot be read.
    BadHeader,
    /// Nobody is signed in.
    NotSignedIn,
    /// Username or password is wrong.
    BadCredentials,
    /// The management token is unknown, ended or its owner may not sign in.
    BadManagementToken,
    /// The link to set up the site is not the one printed last.
    BadSetupSecret,
    /// A write by cookie lacks the header that other sites cannot send.
    CsrfHeaderMissing,
    /// The role is too low.
    RoleTooLow,
    /// The management token was made for less.
    ScopeMissing,
    /// The object belongs to somebody who may do as much as the caller, or more.
    AboveYou,
    /// The sign-in is too long ago for this.
    SignInAgain,
    /// There is no such object for the caller.
    NotFound,
    /// There is no such route.
    NoRoute,
    /// The route does not know this method.
    MethodNotAllowed,
    /// Another object has this name.
    NameTaken,
    /// Another user has this e-mail address.
    EmailTaken,
    /// Another token has this key.
    KeyTaken,
    /// Something still uses it.
    InUse,
    /// It is needed and stays.
    Protected,
    /// The owner has as many as allowed.
    TooMany,
    /// The amount would leave the range of a balance.
    QuotaOutOfRange,
    /// The same `Idempotency-Key` came with another request.
    IdempotencyKeyReused,
    /// The same `Idempotency-Key` is being worked on.
    IdempotencyKeyBusy,
    /// The site is set up already.
    AlreadySetUp,
    /// The object changed since it was read.
    Changed,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not declared as JSON.
    NotJson,
    /// Fields break rules.
    Invalid,
    /// Too many requests from this address.
    TooManyRequests,
    /// Too many failed sign-ins for this username.
    TooManySignIns,
    /// Sluice broke; the cause is in its log.
    Internal,
    /// The database is away.
    DatabaseUnavailable,
    /// Too much at once.
    Busy,
    /// The answer to a write was lost or took too long: it may have been done.
    OutcomeUnknown,
}

/// Every code, in the order of the table, for the reference and its test.
pub const ALL: [Code; 35] = [
    Code::BadJson,
    Code::TooDeep,
    Code::BadHeader,
    Code::NotSignedIn,
    Code::BadCredentials,
    Code::BadManagementToken,
    Code::BadSetupSecret,
    Code::CsrfHeaderMissing,
    Code::RoleTooLow,
    Code::ScopeMissing,
    Code::AboveYou,
    Code::SignInAgain,
    Code::NotFound,
    Code::NoRoute,
    Code::MethodNotAllowed,
    Code::NameTaken,
    Code::EmailTaken,
    Code::KeyTaken,
    Code::InUse,
    Code::Protected,
    Code::TooMany,
    Code::QuotaOutOfRange,
    Code::IdempotencyKeyReused,
    Code::IdempotencyKeyBusy,
    Code::AlreadySetUp,
    Code::Changed,
    Code::BodyTooLarge,
    Code::NotJson,
    Code::Invalid,
    Code::TooManyRequests,
    Code::TooManySignIns,
    Code::Internal,
    Code::DatabaseUnavailable,
    Code::Busy,
    Code::OutcomeUnknown,
];

impl Code {
    /// Its status, word and title.
    #[must_use]
    pub const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadJson => (S::BAD_REQUEST, "bad_json", "The body is not JSON"),
            Self::TooDeep => (S::BAD_REQUEST, "too_deep", "The body is nested too deeply"),
            Self::BadHeader => (S::BAD_REQUEST, "bad_header", "A header cannot be read"),
            Self::NotSignedIn => (S::UNAUTHORIZED, "not_signed_in", "Not signed in"),
            Self::BadCredentials => (S::UNAUTHORIZED, "bad_credentials", "Username or password is wrong"),
            Self::BadManagementToken => (S::UNAUTHORIZED, "bad_management_token", "The management token is not valid"),
            Self::BadSetupSecret => (S::UNAUTHORIZED, "bad_setup_secret", "The set-up link is not valid"),
            Self::CsrfHeaderMissing => (S::FORBIDDEN, "csrf_header_missing", "The header X-Sluice-Csrf is missing"),
            Self::RoleTooLow => (S::FORBIDDEN, "role_too_low", "Your role does not allow this"),
            Self::ScopeMissing => (S::FORBIDDEN, "scope_missing", "The management token does not allow this"),
            Self::AboveYou => (S::FORBIDDEN, "above_you", "Only for users of a lower role"),
            Self::SignInAgain => (S::FORBIDDEN, "sign_in_again", "Sign in again to do this"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::NoRoute => (S::NOT_FOUND, "no_route", "There is no such route"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not know this method"),
            Self::NameTaken => (S::CONFLICT, "name_taken", "The name is taken"),
            Self::EmailTaken => (S::CONFLICT, "email_taken", "The e-mail address is taken"),
            Self::KeyTaken => (S::CONFLICT, "key_taken", "The key is taken"),
            Self::InUse => (S::CONFLICT, "in_use", "It is still in use"),
            Self::Protected => (S::CONFLICT, "protected", "It cannot be changed this way"),
            Self::TooMany => (S::CONFLICT, "too_many", "There are as many as allowed"),
            Self::QuotaOutOfRange => (S::CONFLICT, "quota_out_of_range", "The balance would be out of range"),
            Self::IdempotencyKeyReused => {
                (S::CONFLICT, "idempotency_key_reused", "The Idempotency-Key came with another request")
            }
            Self::IdempotencyKeyBusy => (S::CONFLICT, "idempotency_key_busy", "The Idempotency-Key is being worked on"),
            Self::AlreadySetUp => (S::GONE, "already_set_up", "The site is set up already"),
            Self::Changed => (S::PRECONDITION_FAILED, "changed", "The object changed since it was read"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::NotJson => (S::UNSUPPORTED_MEDIA_TYPE, "not_json", "The body must be application/json"),
            Self::Invalid => (S::UNPROCESSABLE_ENTITY, "invalid", "Some values break a rule"),
            Self::TooManyRequests => (S::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::TooManySignIns => (S::TOO_MANY_REQUESTS, "too_many_sign_ins", "Too many failed sign-ins"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Something broke on our side"),
            Self::DatabaseUnavailable => (S::SERVICE_UNAVAILABLE, "database_unavailable", "The database cannot be reached"),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Too much at once"),
            Self::OutcomeUnknown => (S::SERVICE_UNAVAILABLE, "outcome_unknown", "It may have been done"),
        }
    }

    /// The status of an answer with this code.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The word in the answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().1
    }

    /// The title, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_listed_once_under_its_own_word() {
        let mut words: Vec<_> = ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn every_code_is_an_error() {
        assert!(ALL.iter().all(|code| code.status().is_client_error() || code.status().is_server_error()));
    }
}
