//! What handlers answer with.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sluice_domain::Quota;
use utoipa::{IntoParams, ToSchema};

use super::asking::etag;

/// Tells at which config sequence number a write is, also where the answer has no body.
pub const CONFIG_SEQ: HeaderName = HeaderName::from_static("x-sluice-config-seq");

/// An object with what belongs to it in headers.
#[derive(Debug)]
pub struct Answer<T> {
    body: T,
    status: StatusCode,
    rev: Option<i64>,
    location: Option<String>,
    config_seq: Option<i64>,
}

impl<T> Answer<T> {
    /// 200 with an object.
    pub fn ok(body: T) -> Self {
        Self { body, status: StatusCode::OK, rev: None, location: None, config_seq: None }
    }

    /// 201 with the object that was made, and where it is.
    pub fn created(body: T, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(body) }
    }

    /// 202 with what goes on.
    pub fn accepted(body: T) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(body) }
    }

    /// With where to look.
    #[must_use]
    pub fn located(mut self, location: Option<String>) -> Self {
        self.location = location;
        self
    }

    /// With the revision, as `ETag`.
    #[must_use]
    pub fn at_rev(mut self, rev: i64) -> Self {
        self.rev = Some(rev);
        self
    }

    /// With the config sequence number of the write.
    #[must_use]
    pub fn at_seq(mut self, seq: Option<i64>) -> Self {
        self.config_seq = seq;
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        let texts = [(header::ETAG, self.rev.map(etag)), (header::LOCATION, self.location)];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        if let Some(seq) = self.config_seq {
            headers.insert(CONFIG_SEQ, seq.into());
        }
        response
    }
}

/// What a write made, and where it stands in the order of changes that relays follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written<T> {
    /// The object.
    pub object: T,
    /// The config sequence number; `None` when relays need not know.
    pub config_seq: Option<i64>,
}

impl<T> Written<T> {
    /// The same write of another form of the object.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Written<U> {
        Written { object: into(self.object), config_seq: self.config_seq }
    }
}

/// 204: done, nothing to show.
#[derive(Debug)]
pub struct Done {
    /// The config sequence number of the write.
    pub config_seq: Option<i64>,
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        if let Some(seq) = self.config_seq {
            response.headers_mut().insert(CONFIG_SEQ, seq.into());
        }
        response
    }
}

/// A currency amounts can be shown in besides quota units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Currency {
    /// US dollars.
    Usd,
}

/// How amounts are shown.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// `usd` adds a decimal-text twin `…_usd` to every amount.
    pub currency: Option<Currency>,
}

/// An amount in US dollars as decimal text: the twin of a `quota` field.
#[must_use]
pub fn usd(amount: i64) -> String {
    let units = amount.unsigned_abs();
    let per_usd = Quota::PER_USD.unsigned_abs();
    // 1 / 500,000 is 0.000002: six places show every unit
    let micros = (units % per_usd) * (1_000_000 / per_usd);
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}.{micros:06}", units / per_usd)
}

/// The twin, when it was asked for.
#[must_use]
pub fn twin(currency: Option<Currency>, amount: i64) -> Option<String> {
    currency.map(|Currency::Usd| usd(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_shows_in_dollars() {
        for (units, dollars) in
            [(0, "0.000000"), (1, "0.000002"), (500_000, "1.000000"), (-750_001, "-1.500002"), (-1, "-0.000002")]
        {
            assert_eq!(usd(units), dollars);
        }
    }
}
