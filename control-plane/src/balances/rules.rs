//! What a token's account says of it, and how that is written.

use serde_json::{Number, Value};
use sluice_domain::Quota;

use crate::http::usd;
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

/// An amount as a number: quota units, or US dollars.
#[must_use]
pub(super) fn amount(units: i64, shows_units: bool) -> Value {
    if shows_units {
        return units.into();
    }
    number(&usd(units))
}

/// The same in hundredths, as OpenAI tells usage.
#[must_use]
pub(super) fn cents(units: i64, shows_units: bool) -> Value {
    amount(units.saturating_mul(100), shows_units)
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
    fn amounts_are_dollars_or_units() {
        assert_eq!(amount(750_001, false), json!(1.500_002));
        assert_eq!(cents(1, false), json!(0.000_2));
        assert_eq!(amount(-500_000, false), json!(-1.0));
        assert_eq!(amount(0, false), json!(0.0));
        assert_eq!((amount(7, true), cents(7, true)), (json!(7), json!(700)));
    }
}
