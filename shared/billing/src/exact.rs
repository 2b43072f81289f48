//! Exact products and sums of decimals, however long: the only arithmetic a price goes through.
//!
//! Nearly every price fits 128 bits; what does not is carried on as a big integer, so that no digit is lost before the one rounding.

use std::fmt;

use num_bigint::BigUint;

use crate::ratio::Ratio;

/// A non-negative decimal, `digits / 10^scale`.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    digits: Digits,
    scale: u32,
}

#[derive(Debug, Clone)]
enum Digits {
    Small(u128),
    Large(BigUint),
}

/// Every power of ten that fits.
const POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1; 39];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// Which way a fraction of a quota unit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest, halves away from zero: what is charged.
    HalfUp,
    /// Up: what is held.
    Up,
}

impl Exact {
    pub(crate) const ZERO: Self = Self::whole(0);

    pub(crate) const fn whole(number: u128) -> Self {
        Self { digits: Digits::Small(number), scale: 0 }
    }

    pub(crate) fn is_zero(&self) -> bool {
        match &self.digits {
            Digits::Small(digits) => *digits == 0,
            Digits::Large(digits) => digits.bits() == 0,
        }
    }

    #[must_use]
    pub(crate) fn times(self, other: &Self) -> Self {
        Self { digits: self.digits.times(&other.digits), scale: self.scale + other.scale }
    }

    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.at_scale(scale), other.at_scale(scale));
        Self { digits: left.plus(&right), scale }
    }

    fn at_scale(self, scale: u32) -> Digits {
        match scale - self.scale {
            0 => self.digits,
            places => self.digits.times(&Digits::ten_to(places)),
        }
    }

    /// The nearest whole number; `None` beyond 64 bits.
    pub(crate) fn round(&self, rounding: Rounding) -> Option<u64> {
        let (Digits::Small(digits), Digits::Small(unit)) = (&self.digits, Digits::ten_to(self.scale)) else {
            return self.round_large(rounding);
        };
        // both fit 64 bits in nearly every price, and that division is several times faster
        let (whole, rest) = match (u64::try_from(*digits), u64::try_from(unit)) {
            (Ok(digits), Ok(unit)) => (u128::from(digits / unit), u128::from(digits % unit)),
            _ => (digits / unit, digits % unit),
        };
        let is_raised = match rounding {
            Rounding::HalfUp => rest >= unit - rest,
            Rounding::Up => rest > 0,
        };
        u64::try_from(whole).ok()?.checked_add(u64::from(is_raised))
    }

    fn round_large(&self, rounding: Rounding) -> Option<u64> {
        let digits = self.digits.to_big();
        let unit = Digits::ten_to(self.scale).to_big();
        let whole = &digits / &unit;
        let rest = digits - &whole * &unit;
        let is_raised = match rounding {
            Rounding::HalfUp => &rest + &rest >= unit,
            Rounding::Up => rest.bits() > 0,
        };
        u64::try_from(whole).ok()?.checked_add(u64::from(is_raised))
    }
}

impl Digits {
    fn ten_to(places: u32) -> Self {
        let small = usize::try_from(places).ok().and_then(|places| POWERS_OF_TEN.get(places));
        match small {
            Some(power) => Self::Small(*power),
            None => Self::Large(BigUint::from(10_u8).pow(places)),
        }
    }

    fn to_big(&self) -> BigUint {
        match self {
            Self::Small(digits) => BigUint::from(*digits),
            Self::Large(digits) => digits.clone(),
        }
    }

    fn times(&self, other: &Self) -> Self {
        if let (Self::Small(left), Self::Small(right)) = (self, other)
            && let Some(product) = left.checked_mul(*right)
        {
            return Self::Small(product);
        }
        Self::Large(self.to_big() * other.to_big())
    }

    fn plus(&self, other: &Self) -> Self {
        if let (Self::Small(left), Self::Small(right)) = (self, other)
            && let Some(sum) = left.checked_add(*right)
        {
            return Self::Small(sum);
        }
        Self::Large(self.to_big() + other.to_big())
    }
}

impl From<Ratio> for Exact {
    fn from(ratio: Ratio) -> Self {
        Self { digits: Digits::Small(ratio.digits()), scale: ratio.scale() }
    }
}

impl From<u64> for Exact {
    fn from(number: u64) -> Self {
        Self::whole(u128::from(number))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match &self.digits {
            Digits::Small(digits) => digits.to_string(),
            Digits::Large(digits) => digits.to_string(),
        };
        let scale = usize::try_from(self.scale).map_err(|_| fmt::Error)?;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        match fraction.trim_end_matches('0') {
            "" => f.write_str(whole),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Exact {
        Exact::from(text.parse::<Ratio>().unwrap())
    }

    #[test]
    fn products_longer_than_128_bits_keep_every_digit() {
        let long = decimal("999999.999999999999999999");
        let square = long.clone().times(&long);
        assert_eq!(square.to_string(), "999999999999.999999999998000000000000000000000001");
        let sum = square.times(&long).plus(decimal("0.1"));
        assert_eq!(sum.to_string(), "1000000000000000000.099997000000000000000000000002999999999999999999999999");
        assert_eq!(sum.round(Rounding::HalfUp), Some(1_000_000_000_000_000_000));
        assert_eq!(sum.round(Rounding::Up), Some(1_000_000_000_000_000_001));
    }

    #[test]
    fn halves_go_away_from_zero_and_holds_go_up() {
        for (text, near, up) in
            [("0", 0, 0), ("0.49", 0, 1), ("0.5", 1, 1), ("1", 1, 1), ("1.5", 2, 2), ("2.000000000000000001", 2, 3)]
        {
            assert_eq!(decimal(text).round(Rounding::HalfUp), Some(near), "{text}");
            assert_eq!(decimal(text).round(Rounding::Up), Some(up), "{text}");
        }
        let tiny = decimal("0.000000000000000001");
        let least = tiny.clone().times(&tiny).times(&tiny);
        assert_eq!(least.round(Rounding::HalfUp), Some(0), "54 places behind the point");
        assert_eq!(least.round(Rounding::Up), Some(1));
    }

    #[test]
    fn what_does_not_fit_64_bits_is_not_rounded() {
        assert_eq!(Exact::whole(u128::from(u64::MAX)).round(Rounding::Up), Some(u64::MAX));
        assert_eq!(Exact::whole(u128::from(u64::MAX) + 1).round(Rounding::HalfUp), None);
        assert_eq!(Exact::whole(u128::MAX).times(&Exact::whole(u128::MAX)).round(Rounding::HalfUp), None);
    }
}
