//! Why a request could not be sent, or got no answer.

use std::error::Error;
use std::io;

use sluice_dialect::error::scrub;

/// Bytes of a cause that are kept.
const MAX_CAUSE_BYTES: usize = 200;

/// A request without an answer. It tells neither address nor key; [`SendError::cause`] is masked, for the node's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct SendError {
    failure: Failure,
    cause: Box<str>,
}

/// What went wrong: a closed set, fit for a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The upstream's name has no address.
    #[error("cannot find the upstream's address")]
    Dns,
    /// No connection: refused, unreachable, or the proxy would not.
    #[error("cannot connect to the upstream")]
    Connect,
    /// No connection within the time for it.
    #[error("the upstream did not accept the connection in time")]
    ConnectTimeout,
    /// A connection, but TLS failed on it.
    #[error("cannot agree on TLS with the upstream")]
    Tls,
    /// The connection broke before the answer's headers.
    #[error("the upstream closed the connection before answering")]
    ResetBeforeHeaders,
    /// No headers within the time for the first byte.
    #[error("the upstream did not begin to answer in time")]
    FirstByteTimeout,
    /// No headers within the time for the whole.
    #[error("the upstream did not answer in time")]
    TotalTimeout,
    /// The answer is not HTTP.
    #[error("the upstream's answer is not HTTP")]
    NotHttp,
    /// The address or a header cannot be sent.
    #[error("the request cannot be sent as it is")]
    InvalidTarget,
    /// No client can be made for the route.
    #[error("cannot set up a connection for this route")]
    InvalidRoute,
    /// Something else before the headers.
    #[error("the request to the upstream failed")]
    Other,
}

impl Failure {
    /// Every failure, for metrics that start at zero.
    pub const ALL: [Self; 11] = [
        Self::Dns,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::ResetBeforeHeaders,
        Self::FirstByteTimeout,
        Self::TotalTimeout,
        Self::NotHttp,
        Self::InvalidTarget,
        Self::InvalidRoute,
        Self::Other,
    ];

    /// The word used in logs and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::ResetBeforeHeaders => "reset_before_headers",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::NotHttp => "not_http",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRoute => "invalid_route",
            Self::Other => "other",
        }
    }

    /// Whether the upstream ran out of time.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::FirstByteTimeout | Self::TotalTimeout)
    }

    /// Whether the upstream may have the whole request, and act on it. False only where no connection was made.
    #[must_use]
    pub const fn may_have_arrived(self) -> bool {
        !matches!(self, Self::Dns | Self::Connect | Self::ConnectTimeout | Self::Tls | Self::InvalidTarget | Self::InvalidRoute)
    }
}

impl SendError {
    /// An error without a known cause.
    #[must_use]
    pub fn new(failure: Failure) -> Self {
        Self { failure, cause: Box::default() }
    }

    /// What went wrong.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure
    }

    /// What the layer below says, masked and short. Empty when it says nothing more.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    pub(crate) fn with_cause(failure: Failure, error: &(dyn Error + 'static)) -> Self {
        let innermost = chain(error).last().map(ToString::to_string).unwrap_or_default();
        let end = innermost.floor_char_boundary(MAX_CAUSE_BYTES);
        Self { failure, cause: scrub(innermost.get(..end).unwrap_or_default(), &[]).into() }
    }

    /// Of a request that went through reqwest.
    pub(crate) fn of_request(error: &reqwest::Error) -> Self {
        let failure =
            if error.is_builder() { Failure::InvalidTarget } else { classify(error, error.is_dns(), error.is_connect()) };
        Self::with_cause(failure, error)
    }

    /// Of a request that went straight through hyper's client.
    pub(crate) fn of_direct(error: &hyper_util::client::legacy::Error) -> Self {
        let is_dns = chain(error).any(<dyn Error>::is::<NoAddress>);
        Self::with_cause(classify(error, is_dns, error.is_connect()), error)
    }
}

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAddress(#[source] pub(crate) io::Error);

fn classify(error: &(dyn Error + 'static), is_dns: bool, is_connect: bool) -> Failure {
    if is_dns {
        return Failure::Dns;
    }
    if chain(error).any(<dyn Error>::is::<rustls::Error>) {
        return Failure::Tls;
    }
    if is_connect {
        return if chain(error).any(is_late) { Failure::ConnectTimeout } else { Failure::Connect };
    }
    let hyper = chain(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    if hyper.is_some_and(|error| error.is_parse() && !error.is_incomplete_message()) {
        return Failure::NotHttp;
    }
    let is_broken = hyper.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled());
    let is_io = chain(error).any(<dyn Error>::is::<io::Error>);
    if is_broken || is_io { Failure::ResetBeforeHeaders } else { Failure::Other }
}

/// Whether an error says that time ran out: the limit of the connector, or the kernel's own.
fn is_late(error: &(dyn Error + 'static)) -> bool {
    let is_io = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    is_io || error.is::<tower::timeout::error::Elapsed>()
}

/// An error and what caused it.
pub(crate) fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

/// What caused an error. What is packed into an I/O error counts as its cause.
fn cause_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(packed) => Some(packed),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_met_no_connection_did_not_arrive() {
        for failure in Failure::ALL {
            let met_none =
                matches!(failure.as_str(), "dns" | "connect" | "connect_timeout" | "tls" | "invalid_target" | "invalid_route");
            assert_eq!(failure.may_have_arrived(), !met_none, "{failure}");
        }
    }

    #[test]
    fn causes_are_masked_and_short() {
        let packed = io::Error::other(format!("no route to https://api.secret.com/x {}", "y".repeat(500)));
        let error = SendError::with_cause(Failure::Connect, &packed);
        assert!(error.cause().starts_with("no route to https://***.com/*** yyy"), "{}", error.cause());
        assert!(error.cause().len() <= MAX_CAUSE_BYTES);
        assert_eq!(error.to_string(), "cannot connect to the upstream");
    }
}
