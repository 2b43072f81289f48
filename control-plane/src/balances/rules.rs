//! What a token's account says of it, and how that is written.

use serde_json::{Number, Value};
use sluice_domain::Quota;

use crate::settings::Site;
use crate::wallet::Standing;

/// The limit of a token without one, as the family writes it: so many dollars.
pub(super) const UNLIMITED: i64 = 100_000_000;

/// What a token may spend and has spent, in quota units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What was charged, ever. What requests have set aside at this moment is not in it.
    pub used: Quota,
    /// What may still be spent: below zero after a request that cost more than there was. Zero of a token without a limit.
    pub available: Quota,
    /// Nothing but its owner's wallet limits it.
    pub is_unlimited: bool,
}

impl Figures {
    /// The figures of a token by what its account holds.
    #[must_use]
    pub fn of(is_capped: bool, account: Option<&Standing>) -> Self {
        let used = account.map_or(Quota::ZERO, |account| account.spent);
        let available = account.filter(|_| is_capped).map_or(Quota::ZERO, Standing::total);
        Self { used, available, is_unlimited: !is_capped }
    }

    /// What was granted in all.
    #[must_use]
    pub fn granted(&self) -> Quota {
        [self.used, self.available].into_iter().sum()
    }
}

/// How amounts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As quota units.
    Units,
    /// In a currency of which a US dollar has so many millionths.
    Money {
        /// The millionths.
        micros_per_usd: i64,
    },
}

impl Shown {
    /// US dollars.
    pub const USD: Self = Self::Money { micros_per_usd: 1_000_000 };

    /// As a site wants it.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        match site.quota_display_type.as_str() {
            "TOKENS" => Self::Units,
            "CNY" => Self::Money { micros_per_usd: site.usd_exchange_micros },
            "CUSTOM" => Self::Money { micros_per_usd: site.custom_exchange_micros },
            _ => Self::USD,
        }
    }
}

/// An amount as a number.
#[must_use]
pub(super) fn amount(units: i64, shown: Shown) -> Value {
    match shown {
        Shown::Units => units.into(),
        Shown::Money { micros_per_usd } => number(&exact(i128::from(units) * i128::from(micros_per_usd))),
    }
}

/// The same in hundredths, as OpenAI tells usage.
#[must_use]
pub(super) fn cents(units: i64, shown: Shown) -> Value {
    amount(units.saturating_mul(100), shown)
}

/// Quota units times millionths, as money: both stand in one number of 12 places.
fn exact(product: i128) -> String {
    const PLACES: u128 = 1_000_000_000_000;
    let per_unit = 1_000_000 / Quota::PER_USD.unsigned_abs();
    let scaled = product.unsigned_abs().saturating_mul(u128::from(per_unit));
    let sign = if product < 0 { "-" } else { "" };
    format!("{sign}{}.{:012}", scaled / PLACES, scaled % PLACES)
}

/// Decimal text as a JSON number.
fn number(text: &str) -> Value {
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    trimmed.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_domain::AccountId;

    use super::*;

    fn account(balance: i64, leased: i64, in_doubt: i64, spent: i64) -> Standing {
        Standing {
            account: AccountId::new(1),
            balance: Quota::clamped(balance),
            credit_limit: Quota::ZERO,
            leased: Quota::clamped(leased),
            in_doubt: Quota::clamped(in_doubt),
            spent: Quota::clamped(spent),
            frozen: false,
        }
    }

    #[test]
    fn money_in_the_hands_of_relays_is_available_and_not_used() {
        let figures = Figures::of(true, Some(&account(600, 300, 100, 500)));
        assert_eq!((figures.available.get(), figures.used.get(), figures.granted().get()), (1_000, 500, 1_500));
    }

    #[test]
    fn a_token_without_a_limit_tells_what_it_used_and_nothing_of_its_owner() {
        let figures = Figures::of(false, Some(&account(-500, 0, 0, 500)));
        assert_eq!((figures.available.get(), figures.used.get(), figures.granted().get()), (0, 500, 500));
        assert!(figures.is_unlimited);
    }

    #[test]
    fn amounts_are_dollars_units_or_another_currency() {
        assert_eq!(amount(750_001, Shown::USD), json!(1.500_002));
        assert_eq!(cents(1, Shown::USD), json!(0.000_2));
        assert_eq!(amount(-500_000, Shown::USD), json!(-1.0));
        assert_eq!(amount(0, Shown::USD), json!(0.0));
        assert_eq!((amount(7, Shown::Units), cents(7, Shown::Units)), (json!(7), json!(700)));
        let yuan = Shown::Money { micros_per_usd: 7_300_000 };
        assert_eq!(
            (amount(500_000, yuan), amount(-1, yuan), cents(250_000, yuan)),
            (json!(7.3), json!(-0.000_014_6), json!(365.0))
        );
        assert!(amount(i64::MAX, Shown::Money { micros_per_usd: 1_000_000_000_000 }).is_number());
    }

    #[test]
    fn a_site_says_how_amounts_are_shown() {
        let of = |word: &str| Shown::of(&Site { quota_display_type: word.into(), ..Site::default() });
        assert_eq!((of("USD"), of("TOKENS")), (Shown::USD, Shown::Units));
        assert_eq!((of("CNY"), of("CUSTOM")), (Shown::Money { micros_per_usd: 7_300_000 }, Shown::USD));
    }
}
