//! What is left of the money at a provider: where it says so, and how its answer is read. Data of the catalogue: `[balance]`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Places after the point that are kept of an amount.
const PLACES: usize = 9;
/// An amount of one, in the smallest part that is kept.
const ONE: i128 = 10_i128.pow(9);
/// The longest amount that is read, in bytes.
const MAX_AMOUNT_BYTES: usize = 40;

/// Where a provider says what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// A path after the base URL, or a whole address where it is said elsewhere.
    pub at: String,
    /// A header that the key goes to as it is; without it, it is sent as for everything else.
    pub header: Option<String>,
    /// A query parameter that the key goes to.
    pub query: Option<String>,
    /// Where in the answer the amount is: a JSON pointer.
    pub amount: String,
    /// What was used of that amount, where the provider says both and not the rest.
    pub used: Option<Used>,
    /// The currency, as ISO 4217 has it.
    pub currency: String,
    /// Where in the answer the currency is, if it is there.
    pub currency_at: Option<String>,
}

/// What was used of an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Where it is asked, as [`Balance::at`]; without it, it is in the same answer. `{start_date}` and `{end_date}` stand for the last
    /// hundred days.
    pub at: Option<String>,
    /// Where in the answer it is: a JSON pointer.
    pub amount: String,
    /// It is divided by this.
    pub per: Option<u32>,
}

/// Money, as a provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// Decimal text.
    pub amount: String,
    /// Its currency.
    pub currency: String,
}

/// An answer that holds no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer holds no balance")]
pub struct NoBalance;

impl Balance {
    /// Where to ask, in order.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.at.as_str()).chain(self.used.iter().filter_map(|used| used.at.as_deref()))
    }

    /// Reads the answers, in the order of [`Balance::addresses`].
    ///
    /// # Errors
    /// When one is missing, is not JSON, or has no amount where it should be.
    pub fn read(&self, answers: &[impl AsRef<[u8]>]) -> Result<Amount, NoBalance> {
        let value = |place: usize| {
            let answer = answers.get(place).ok_or(NoBalance)?;
            serde_json::from_slice::<Value>(answer.as_ref()).map_err(|_| NoBalance)
        };
        let first = value(0)?;
        let mut parts = amount(&first, &self.amount)?;
        if let Some(used) = &self.used {
            let of_used = if used.at.is_some() { &value(1)? } else { &first };
            let spent = amount(of_used, &used.amount)? / i128::from(used.per.unwrap_or(1).max(1));
            parts = parts.checked_sub(spent).ok_or(NoBalance)?;
        }
        let named = self.currency_at.as_deref().and_then(|pointer| first.pointer(pointer)?.as_str());
        let is_currency = |text: &&str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let currency = named.filter(is_currency).unwrap_or(&self.currency).to_owned();
        Ok(Amount { amount: text(parts), currency })
    }

    /// The first rule that it breaks.
    pub(crate) fn broken_rule(&self) -> Option<&'static str> {
        let is_place = |text: &str| text.starts_with('/') || text.starts_with("https://");
        let pointers = std::iter::once(&self.amount).chain(self.used.iter().map(|used| &used.amount)).chain(&self.currency_at);
        if !self.addresses().all(is_place) || !pointers.into_iter().all(|pointer| pointer.starts_with('/')) {
            return Some("a balance is at a path or a whole address, and its pointers begin with /");
        }
        let is_currency = self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_header = self.header.as_deref().is_none_or(|name| http::HeaderName::try_from(name).is_ok());
        (!is_currency || !is_header).then_some("a balance has a currency of three capital letters, and a header's name")
    }
}

/// The amount at a pointer, a number or decimal text, in the smallest parts that are kept.
fn amount(answer: &Value, pointer: &str) -> Result<i128, NoBalance> {
    match answer.pointer(pointer) {
        Some(Value::Number(number)) => {
            let plain = number.to_string();
            parts(&plain).or_else(|| parts(&format!("{:.PLACES$}", number.as_f64()?))).ok_or(NoBalance)
        }
        Some(Value::String(text)) => parts(text.trim()).ok_or(NoBalance),
        _ => Err(NoBalance),
    }
}

/// Plain decimal text in parts; what is smaller than one is cut off.
fn parts(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > MAX_AMOUNT_BYTES || whole.is_empty() || !is_number(whole) || !is_number(places) {
        return None;
    }
    let kept = places.get(..PLACES.min(places.len()))?;
    let whole: i128 = whole.parse().ok()?;
    let places: i128 = format!("{kept:0<PLACES$}").parse().ok()?;
    Some(sign * whole.checked_mul(ONE)?.checked_add(places)?)
}

fn text(parts: i128) -> String {
    let (sign, parts) = (if parts < 0 { "-" } else { "" }, parts.unsigned_abs());
    let one = ONE.unsigned_abs();
    let places = format!("{:0>PLACES$}", parts % one);
    let places = places.trim_end_matches('0');
    let point = if places.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{places}", parts / one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Catalog;

    fn of(slug: &str) -> Balance {
        Catalog::shipped().unwrap().get(slug).unwrap().balance.clone().unwrap()
    }

    fn read(slug: &str, answers: &[Value]) -> Result<(String, String), NoBalance> {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        of(slug).read(&answers).map(|amount| (amount.amount, amount.currency))
    }

    fn is(amount: &str, currency: &str) -> (String, String) {
        (amount.to_owned(), currency.to_owned())
    }

    #[test]
    fn each_provider_says_it_in_its_own_way() {
        let subscription = json!({"hard_limit_usd": 120.5, "has_payment_method": true});
        assert_eq!(read("openai", &[subscription.clone(), json!({"total_usage": 2_050})]), Ok(is("100", "USD")));
        assert_eq!(read("openai", &[subscription, json!({"total_usage": 12_050.5})]), Ok(is("-0.005", "USD")));
        assert_eq!(read("openrouter", &[json!({"data": {"total_credits": 10, "total_usage": 0.1}})]), Ok(is("9.9", "USD")));
        assert_eq!(read("moonshot", &[json!({"data": {"available_balance": 49.58894}})]), Ok(is("49.58894", "CNY")));
        assert_eq!(read("siliconflow", &[json!({"code": 20_000, "data": {"totalBalance": "88.00"}})]), Ok(is("88", "CNY")));
        let infos = json!({"balance_infos": [{"currency": "USD", "total_balance": "110.07"}]});
        assert_eq!(read("deepseek", &[infos]), Ok(is("110.07", "USD")));
        assert_eq!(read("aiproxy", &[json!({"data": {"totalPoints": 7}})]), Ok(is("7", "USD")));
        assert_eq!(read("openai-sb", &[json!({"data": {"credit": "12"}})]), Ok(is("12", "USD")));
        for slug in ["api2gpt", "aigc2d", "closeai-proxy"] {
            let pointer = of(slug).amount;
            assert_eq!(read(slug, &[json!({ &pointer[1..]: 3 })]), Ok(is("3", "USD")), "{slug}");
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for answer in [json!({"data": {}}), json!({"data": {"available_balance": "much"}}), json!([])] {
            assert_eq!(read("moonshot", std::slice::from_ref(&answer)), Err(NoBalance), "{answer}");
        }
        assert_eq!(read("moonshot", &[]), Err(NoBalance));
        assert_eq!(read("openai", &[json!({"hard_limit_usd": 1})]), Err(NoBalance), "half of it says nothing");
        let unknown = json!({"balance_infos": [{"currency": "gold coins", "total_balance": "1"}]});
        assert_eq!(read("deepseek", &[unknown]), Ok(is("1", "CNY")));
    }

    #[test]
    fn amounts_are_exact_to_nine_places() {
        for (given, shown) in [
            ("0", "0"),
            ("-0.5", "-0.5"),
            ("12.340000000000002", "12.34"),
            ("0.0000000019", "0.000000001"),
            ("123456789012345", "123456789012345"),
        ] {
            assert_eq!(parts(given).map(text).as_deref(), Some(shown), "{given}");
        }
        for bad in ["", ".", "1e5", "+1", "1.2.3", "NaN", "--1", "1 000"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
        assert_eq!(amount(&json!({"x": 1e-7}), "/x").map(text), Ok("0.0000001".to_owned()));
    }
}
