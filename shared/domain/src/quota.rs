//! Money: a whole number of quota units, 500,000 to the US dollar.

use std::fmt;
use std::iter::Sum;
use std::ops::Neg;

use serde::{Deserialize, Deserializer, Serialize};

/// The result would not fit. Refuse the request or the setting; never wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quota is out of range: at most {} units either way", Quota::LIMIT)]
pub struct QuotaOverflow;

/// An amount of quota units, within ±(2^53 − 1) so that it survives SQLite and JavaScript unharmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Quota(i64);

impl Quota {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount either way.
    pub const LIMIT: i64 = (1 << 53) - 1;
    /// The largest amount.
    pub const MAX: Self = Self(Self::LIMIT);
    /// Units to one US dollar, unless the site says otherwise.
    pub const PER_USD: i64 = 500_000;

    /// Wraps a number of units.
    ///
    /// # Errors
    /// When it is beyond ±(2^53 − 1).
    pub const fn new(units: i64) -> Result<Self, QuotaOverflow> {
        if units > Self::LIMIT || units < -Self::LIMIT {
            return Err(QuotaOverflow);
        }
        Ok(Self(units))
    }

    /// Wraps a number of units, moving it to the nearest bound when it is out of range.
    #[must_use]
    pub const fn clamped(units: i64) -> Self {
        if units > Self::LIMIT {
            return Self(Self::LIMIT);
        }
        if units < -Self::LIMIT {
            return Self(-Self::LIMIT);
        }
        Self(units)
    }

    /// The number of units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is more than nothing.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// When it is out of range.
    pub const fn plus(self, other: Self) -> Result<Self, QuotaOverflow> {
        Self::new(self.0 + other.0) // both are below 2^53: the sum fits an i64
    }

    /// The difference.
    ///
    /// # Errors
    /// When it is out of range.
    pub const fn minus(self, other: Self) -> Result<Self, QuotaOverflow> {
        Self::new(self.0 - other.0)
    }

    /// The sum, held at the bound. For figures that only inform; money that moves uses [`Quota::plus`].
    #[must_use]
    pub const fn saturating_plus(self, other: Self) -> Self {
        Self::clamped(self.0 + other.0)
    }

    /// The difference, held at the bound.
    #[must_use]
    pub const fn saturating_minus(self, other: Self) -> Self {
        Self::clamped(self.0 - other.0)
    }
}

impl Neg for Quota {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Quota {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_plus)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_beyond_the_bound_are_refused_not_wrapped() {
        assert_eq!(Quota::new(i64::MAX), Err(QuotaOverflow));
        assert_eq!(Quota::new(i64::MIN), Err(QuotaOverflow));
        assert_eq!(Quota::MAX.plus(Quota::clamped(1)), Err(QuotaOverflow));
        assert_eq!((-Quota::MAX).minus(Quota::clamped(1)), Err(QuotaOverflow));
        assert_eq!(Quota::MAX.saturating_plus(Quota::MAX), Quota::MAX);
    }

    proptest! {
        #[test]
        fn plus_and_minus_undo_each_other(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            let (a, b) = (Quota::clamped(a), Quota::clamped(b));
            prop_assert_eq!(a.plus(b).and_then(|sum| sum.minus(b)), Ok(a));
        }
    }
}
