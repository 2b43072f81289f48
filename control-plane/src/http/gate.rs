//! Who comes in over HTTP: from which address, and how often.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::{IpNet, Ipv6Net};
use sluice_domain::Clock;
use sluice_limits::{KeyedLimiter, Rate, RateError, RetryAfter};

use super::caller::Caller;
use super::codes::Code;
use super::problem::ApiError;
use crate::app::App;

/// Limits and proxies, as the settings of the process give them.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Proxies whose headers are believed (`TRUSTED_PROXIES`).
    pub trusted_proxies: Vec<IpNet>,
    /// Requests per address to the API (`GLOBAL_API_RATE_LIMIT…`). `None`: not limited.
    pub api: Option<Rate>,
    /// Pages per address (`GLOBAL_WEB_RATE_LIMIT…`). `None`: not limited.
    pub web: Option<Rate>,
    /// Sign-ins, set-ups and revealed keys per address (`CRITICAL_RATE_LIMIT…`). `None`: not limited.
    pub critical: Option<Rate>,
}

/// Counts who comes in. One per process; held by [`App`].
#[derive(Debug)]
pub struct Gate {
    trusted_proxies: Vec<IpNet>,
    api: Option<KeyedLimiter<IpAddr>>,
    web: Option<KeyedLimiter<IpAddr>>,
    critical: Option<KeyedLimiter<IpAddr>>,
    failed_sign_ins: KeyedLimiter<String>,
}

impl Gate {
    /// Failed sign-ins a username may have in [`Gate::FAILED_PERIOD`].
    pub const FAILED_SIGN_INS: u32 = 5;
    /// The period they count in.
    pub const FAILED_PERIOD: Duration = Duration::from_mins(5);

    /// Makes the counters.
    ///
    /// # Errors
    /// When a rate cannot be enforced.
    pub fn new(settings: GateSettings, clock: &Clock) -> Result<Self, RateError> {
        let limiter = |rate: Option<Rate>| {
            rate.map(|rate| KeyedLimiter::new(rate, KeyedLimiter::<IpAddr>::CAPACITY, clock.clone())).transpose()
        };
        let failed = Rate::new(Self::FAILED_SIGN_INS, Self::FAILED_PERIOD)?;
        Ok(Self {
            trusted_proxies: settings.trusted_proxies,
            api: limiter(settings.api)?,
            web: limiter(settings.web)?,
            critical: limiter(settings.critical)?,
            failed_sign_ins: KeyedLimiter::new(failed, KeyedLimiter::<String>::CAPACITY, clock.clone())?,
        })
    }

    /// Proxies whose headers are believed.
    #[must_use]
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Counts a request that guesses secrets or shows them.
    ///
    /// # Errors
    /// 429 when the address made too many.
    pub fn critical(&self, address: IpAddr) -> Result<(), ApiError> {
        count(self.critical.as_ref(), address)
    }

    /// Whether another sign-in of this username may be tried. Looked at before the password is.
    ///
    /// # Errors
    /// 429 when too many failed.
    pub fn may_sign_in(&self, username_key: &str) -> Result<(), ApiError> {
        self.failed_sign_ins.peek(&username_key.to_owned()).map_err(|wait| refused(Code::TooManySignIns, wait))
    }

    /// Counts a failed sign-in.
    pub fn sign_in_failed(&self, username_key: &str) {
        // beyond the limit `may_sign_in` refuses, so there is nothing to do about a refusal here
        let _ = self.failed_sign_ins.check(&username_key.to_owned());
    }

    /// Forgets the failed sign-ins of a username: its owner knew the password.
    pub fn signed_in(&self, username_key: &str) {
        self.failed_sign_ins.forget(&username_key.to_owned());
    }
}

fn count(limiter: Option<&KeyedLimiter<IpAddr>>, address: IpAddr) -> Result<(), ApiError> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter.check(&counted(address)).map_err(|wait| refused(Code::TooManyRequests, wait))
}

fn refused(code: Code, wait: RetryAfter) -> ApiError {
    let secs = wait.as_header_secs();
    ApiError::new(code, format!("the next one is allowed in {secs} s")).retry_after(secs)
}

/// What is counted as one place: an IPv4 address, or the /64 that one IPv6 customer has.
fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).map_or(address, |net| net.network().into()),
    }
}

/// Counts every request: those to the API, and pages. Hashed assets are free, because one page needs many.
pub(super) async fn limit(State(app): State<App>, caller: Caller, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let limiter = match path {
        _ if super::is_api(path) => app.gate.api.as_ref(),
        _ if path.starts_with("/assets/") => None,
        _ => app.gate.web.as_ref(),
    };
    match count(limiter, caller.address) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_customer_count_as_one_place() {
        let place = |text: &str| counted(text.parse().unwrap());
        assert_eq!(place("2001:db8:1:2::5"), place("2001:db8:1:2:ffff::1"));
        assert_ne!(place("2001:db8:1:2::5"), place("2001:db8:1:3::5"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }
}
