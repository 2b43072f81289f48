//! Ratios and prices: exact non-negative decimals, read from text and never from a binary float.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text was refused as a ratio. Each names the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RatioError {
    /// It is not a decimal number.
    #[error("must be a decimal number such as 1.25")]
    NotDecimal,
    /// It is below zero.
    #[error("must not be negative")]
    Negative,
    /// It is beyond the largest.
    #[error("must be at most {}", Ratio::LARGEST)]
    TooLarge,
    /// It is finer than can be kept.
    #[error("must have at most {} digits after the point", Ratio::MAX_SCALE)]
    TooFine,
}

/// An exact decimal from 0 to 1,000,000 with at most 18 digits after the point: a ratio, a multiplier, or a price in US dollars.
///
/// In serde and in text it is decimal text (`"1.25"`), so that it never passes through a binary float.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(Decimal);

impl Ratio {
    /// Nothing: free.
    pub const ZERO: Self = Self::of(0, 0);
    /// The neutral ratio.
    pub const ONE: Self = Self::of(1, 0);
    /// The largest value.
    pub const LARGEST: u32 = 1_000_000;
    /// The most digits after the point.
    pub const MAX_SCALE: u32 = 18;
    /// The longest text that is read, in bytes.
    const MAX_TEXT: usize = 64;
    const LARGEST_DIGITS: u32 = 7;

    /// A known ratio, `digits / 10^scale`, for constants of this crate. The caller keeps the bounds of the type.
    pub(crate) const fn of(digits: u64, scale: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
        let (low, high) = (digits as u32, (digits >> 32) as u32);
        Self(Decimal::from_parts(low, high, 0, false, scale))
    }

    /// Whether this is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The same as a model ratio, in US dollars per million input tokens, as decimal text: a ratio of 1 is 2 USD.
    #[must_use]
    pub fn usd_per_1m(&self) -> String {
        (self.0 * Decimal::TWO).normalize().to_string()
    }

    /// Reads a model ratio from its view in US dollars per million input tokens.
    ///
    /// # Errors
    /// When the text is not a decimal, or half of it is no ratio.
    pub fn from_usd_per_1m(text: &str) -> Result<Self, RatioError> {
        let usd = Plain::read(text)?;
        // a half is five tenths
        Self::checked(Plain { digits: usd.digits * 5, scale: usd.scale + 1 })
    }

    /// The digits without the point.
    pub(crate) fn digits(&self) -> u128 {
        self.0.mantissa().unsigned_abs()
    }

    /// How many of the digits stand after the point.
    pub(crate) const fn scale(&self) -> u32 {
        self.0.scale()
    }

    fn checked(plain: Plain) -> Result<Self, RatioError> {
        let mut value = plain;
        while value.scale > 0 && value.digits.is_multiple_of(10) {
            value = Plain { digits: value.digits / 10, scale: value.scale - 1 };
        }
        if value.scale > Self::MAX_SCALE {
            return Err(RatioError::TooFine);
        }
        if value.digits > u128::from(Self::LARGEST) * 10_u128.pow(value.scale) {
            return Err(RatioError::TooLarge);
        }
        let digits = i128::try_from(value.digits).map_err(|_| RatioError::TooLarge)?;
        Decimal::try_from_i128_with_scale(digits, value.scale).map(Self).map_err(|_| RatioError::TooLarge)
    }
}

/// A decimal as written, before its bounds are checked: `digits / 10^scale`, at most 27 digits.
#[derive(Clone, Copy)]
struct Plain {
    digits: u128,
    scale: u32,
}

impl Plain {
    const ZERO: Self = Self { digits: 0, scale: 0 };

    /// Reads `12`, `1.25`, `.5` and, because JSON writers use it for small numbers, `1e-7`.
    fn read(text: &str) -> Result<Self, RatioError> {
        if text.len() > Ratio::MAX_TEXT {
            return Err(RatioError::NotDecimal);
        }
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i8>().map_err(|_| RatioError::NotDecimal)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !all_digits || (whole.is_empty() && fraction.is_empty()) {
            return Err(RatioError::NotDecimal);
        }
        let written = [whole, fraction].concat();
        let significant = written.trim_start_matches('0');
        let trimmed = significant.trim_end_matches('0');
        if trimmed.is_empty() {
            return Ok(Self::ZERO);
        }
        if negative {
            return Err(RatioError::Negative);
        }
        let fraction_digits = i64::try_from(fraction.len()).map_err(|_| RatioError::NotDecimal)?;
        let dropped = i64::try_from(significant.len() - trimmed.len()).map_err(|_| RatioError::NotDecimal)?;
        Self::placed(trimmed, fraction_digits - i64::from(exponent) - dropped)
    }

    /// The digits, the last of them `scale` places behind the point; a negative scale appends zeros.
    fn placed(digits: &str, scale: i64) -> Result<Self, RatioError> {
        let count = i64::try_from(digits.len()).map_err(|_| RatioError::NotDecimal)?;
        if count - scale > i64::from(Ratio::LARGEST_DIGITS) {
            return Err(RatioError::TooLarge);
        }
        if scale > i64::from(Ratio::MAX_SCALE) {
            return Err(RatioError::TooFine);
        }
        let number: u128 = digits.parse().map_err(|_| RatioError::NotDecimal)?;
        if let Ok(scale) = u32::try_from(scale) {
            return Ok(Self { digits: number, scale });
        }
        let zeros = u32::try_from(-scale).map_err(|_| RatioError::TooLarge)?;
        let digits = 10_u128.checked_pow(zeros).and_then(|power| number.checked_mul(power)).ok_or(RatioError::TooLarge)?;
        Ok(Self { digits, scale: 0 })
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        Self::checked(Plain::read(text)?)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Ratio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number as text, such as \"1.25\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ratio, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, RatioError> {
        text.parse::<Ratio>().map(|ratio| ratio.to_string())
    }

    #[test]
    fn decimals_are_kept_to_the_last_digit_and_without_idle_zeros() {
        for (text, kept) in [
            ("1.25", "1.25"),
            ("1.2500", "1.25"),
            ("0", "0"),
            ("-0.0", "0"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e-7", "0.0000001"),
            ("1.5E2", "150"),
            ("23.333333333333332", "23.333333333333332"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("1000000", "1000000"),
            ("1000000.00000000000000000000", "1000000"),
        ] {
            assert_eq!(read(text), Ok(kept.to_owned()), "{text}");
        }
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        for text in ["", ".", "-", "+1", "1,5", "1.2.3", "0x10", "NaN", "inf", " 1", "1e", "1e400", "١", &"1".repeat(65)] {
            assert_eq!(read(text), Err(RatioError::NotDecimal), "{text:?}");
        }
        assert_eq!(read("-0.1"), Err(RatioError::Negative));
        for text in ["1000000.000000000000000001", "1000001", "1e7", "1e120", "99999999999999999999999999999999999999999999"] {
            assert_eq!(read(text), Err(RatioError::TooLarge), "{text:?}");
        }
        for text in ["0.0000000000000000001", "1e-19", "1e-120"] {
            assert_eq!(read(text), Err(RatioError::TooFine), "{text:?}");
        }
    }

    #[test]
    fn a_ratio_of_one_is_two_dollars_per_million_tokens() {
        assert_eq!(Ratio::ONE.usd_per_1m(), "2");
        assert_eq!(Ratio::from_usd_per_1m("2.5").map(|ratio| ratio.to_string()), Ok("1.25".to_owned()));
        assert_eq!(Ratio::from_usd_per_1m("2000001"), Err(RatioError::TooLarge));
        assert_eq!(Ratio::from_usd_per_1m("0.000000000000000001"), Err(RatioError::TooFine));
    }

    #[test]
    fn json_carries_text_and_refuses_numbers() {
        let ratio: Ratio = serde_json::from_str("\"0.60\"").unwrap();
        assert_eq!(serde_json::to_string(&ratio).unwrap(), "\"0.6\"");
        assert!(serde_json::from_str::<Ratio>("0.6").is_err());
    }

    proptest! {
        #[test]
        fn text_and_dollar_views_read_back(digits in 0_u64..1_000_000_000_000_000_000, scale in 12_u32..=17) {
            let ratio = Ratio(Decimal::from(digits) / Decimal::from(10_u64.pow(scale)));
            let ratio: Ratio = ratio.to_string().parse().unwrap();
            prop_assert_eq!(ratio.to_string().parse(), Ok(ratio));
            prop_assert_eq!(Ratio::from_usd_per_1m(&ratio.usd_per_1m()), Ok(ratio));
        }
    }
}
