//! Who comes in over HTTP: from which address, and how often.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use ipnet::{IpNet, Ipv6Net};
use moka::sync::Cache;
use sluice_domain::{Clock, KeyDigest, UserId};
use sluice_limits::{KeyedLimiter, Rate, RateError, RetryAfter};

use super::caller::Caller;
use super::codes::Code;
use super::problem::ApiError;
use crate::app::App;
use crate::{auth, balances};

/// Credentials remembered as good.
const MOST_PROVED: u64 = 100_000;
/// How long one is after it was last used.
const PROVED_FOR: Duration = Duration::from_mins(10);

/// Limits and proxies, as the settings of the process give them.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Proxies whose headers are believed (`TRUSTED_PROXIES`).
    pub trusted_proxies: Vec<IpNet>,
    /// Requests per address to the API by nobody who is known (`GLOBAL_API_RATE_LIMIT…`). `None`: not limited.
    pub api: Option<Rate>,
    /// Requests per user to the API (`USER_API_RATE_LIMIT…`). `None`: not limited.
    pub user_api: Option<Rate>,
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
    user_api: Option<KeyedLimiter<UserId>>,
    /// Whose credentials were good a while ago. It decides only which limit counts; every request is still asked who it is from.
    proved: Cache<KeyDigest, UserId>,
    web: Option<KeyedLimiter<IpAddr>>,
    critical: Option<KeyedLimiter<IpAddr>>,
    failed_sign_ins: KeyedLimiter<String>,
    /// Balance pages of the family's, by address.
    balance: KeyedLimiter<IpAddr>,
    /// The family's page about a token, by address.
    token_usage: KeyedLimiter<IpAddr>,
}

/// Balance pages an address may ask for, and the time that counts in (relay-api.md §4).
const BALANCE: (u32, Duration) = (180, Duration::from_mins(3));
/// The same of the page about a token: it is answered for keys that may not be used any more, so it is worth guessing at.
const TOKEN_USAGE: (u32, Duration) = (20, Duration::from_mins(20));

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
        let limiter = |rate: Option<Rate>| limiter::<IpAddr>(rate, clock);
        let failed = Rate::new(Self::FAILED_SIGN_INS, Self::FAILED_PERIOD)?;
        Ok(Self {
            trusted_proxies: settings.trusted_proxies,
            api: limiter(settings.api)?,
            user_api: self::limiter(settings.user_api, clock)?,
            proved: Cache::builder().max_capacity(MOST_PROVED).time_to_idle(PROVED_FOR).build(),
            web: limiter(settings.web)?,
            critical: limiter(settings.critical)?,
            failed_sign_ins: KeyedLimiter::new(failed, KeyedLimiter::<String>::CAPACITY, clock.clone())?,
            balance: fixed(BALANCE, clock)?,
            token_usage: fixed(TOKEN_USAGE, clock)?,
        })
    }

    /// Proxies whose headers are believed.
    #[must_use]
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Counts a request to the API: for the user whose credential was good before, else for the address. So whoever sends made-up
    /// credentials is counted like everybody else.
    fn api(&self, credential: Option<&Credential>, address: IpAddr) -> Result<(), ApiError> {
        match credential.and_then(|credential| self.proved.get(&credential.0)) {
            Some(user) => check(self.user_api.as_ref(), &user),
            None => count(self.api.as_ref(), address),
        }
    }

    /// Takes note that a credential is good.
    pub(crate) fn prove(&self, credential: Option<&Credential>, user: UserId) {
        if let Some(credential) = credential.filter(|credential| self.proved.get(&credential.0) != Some(user)) {
            self.proved.insert(credential.0, user);
        }
    }

    /// Counts a request that guesses secrets or shows them.
    ///
    /// # Errors
    /// 429 when the address made too many.
    pub fn critical(&self, address: IpAddr) -> Result<(), ApiError> {
        count(self.critical.as_ref(), address)
    }

    /// Counts a request for a balance page.
    ///
    /// # Errors
    /// How long to wait, when the address asked too often.
    pub fn balance(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.balance.check(&counted(address))
    }

    /// Counts a request for the page about a token.
    ///
    /// # Errors
    /// How long to wait, when the address asked too often.
    pub fn token_usage(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.token_usage.check(&counted(address))
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

/// By what a request says who it is from: the digest of a management token or of a session's cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential(KeyDigest);

impl Credential {
    fn of(headers: &HeaderMap, app: &App) -> Option<Self> {
        let text = match headers.get(header::AUTHORIZATION) {
            Some(value) => value.to_str().ok()?,
            None => auth::session_cookie(headers)?,
        };
        Some(Self(app.keyring.current().digest_key().digest(&format!("credential\n{text}"))))
    }
}

fn limiter<K: Clone + Eq + Hash>(rate: Option<Rate>, clock: &Clock) -> Result<Option<KeyedLimiter<K>>, RateError> {
    rate.map(|rate| KeyedLimiter::new(rate, KeyedLimiter::<K>::CAPACITY, clock.clone())).transpose()
}

fn fixed((requests, time): (u32, Duration), clock: &Clock) -> Result<KeyedLimiter<IpAddr>, RateError> {
    KeyedLimiter::new(Rate::new(requests, time)?, KeyedLimiter::<IpAddr>::CAPACITY, clock.clone())
}

fn count(limiter: Option<&KeyedLimiter<IpAddr>>, address: IpAddr) -> Result<(), ApiError> {
    check(limiter, &counted(address))
}

fn check<K: Clone + Eq + Hash>(limiter: Option<&KeyedLimiter<K>>, key: &K) -> Result<(), ApiError> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter.check(key).map_err(|wait| refused(Code::TooManyRequests, wait))
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

/// Counts every request: those to the API, and pages. Hashed assets are free, because one page needs many, and balance pages have limits of
/// their own.
pub(super) async fn limit(State(app): State<App>, caller: Caller, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if balances::is_page(path) {
        return next.run(request).await;
    }
    if !super::is_api(path) {
        let limiter = app.gate.web.as_ref().filter(|_| !path.starts_with("/assets/"));
        return match count(limiter, caller.address) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        };
    }
    let credential = Credential::of(request.headers(), &app);
    if let Err(error) = app.gate.api(credential.as_ref(), caller.address) {
        return error.into_response();
    }
    let Some(credential) = credential else { return next.run(request).await };
    request.extensions_mut().insert(credential);
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        app.gate.proved.invalidate(&credential.0);
    }
    response
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
