//! The explanation of a price: every figure that went into it, as fields for the log and as one line for people.

use std::fmt;

use serde::{Deserialize, Serialize};
use sluice_domain::{Quota, Usage};

use crate::price::{Class, Multiplier, PriceError, Rate, Step, Surcharge, Surcharged, bill};
use crate::ratio::Ratio;

/// How a price came about. Amounts in fractions of a unit are exact decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formula {
    /// What the price starts from.
    pub basis: Basis,
    /// Ratio of the group.
    pub group_ratio: Ratio,
    /// Units to one US dollar.
    pub quota_per_usd: u32,
    /// The multipliers that applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multipliers: Vec<Multiplier>,
    /// What was added on top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surcharges: Vec<SurchargeLine>,
    /// The price before rounding, in units.
    pub exact: String,
    /// The price.
    pub total: Quota,
}

/// What a price starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Basis {
    /// Tokens.
    Tokens {
        /// Units per input token.
        model_ratio: Ratio,
        /// The classes that were used.
        classes: Vec<ClassLine>,
    },
    /// A price per call.
    Call {
        /// US dollars.
        usd: Ratio,
    },
}

/// One class of usage in a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassLine {
    /// The class.
    pub class: Class,
    /// Its counter.
    pub tokens: u64,
    /// Its price ÷ input price.
    pub ratio: String,
    /// The product: what it weighs in input tokens.
    pub subtotal: String,
}

/// One surcharge in a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurchargeLine {
    /// What it is for.
    pub what: Surcharged,
    /// How many.
    pub count: u64,
    /// US dollars for each.
    pub usd_each: Ratio,
    /// The product.
    pub usd: String,
}

/// Explains a price. The total is what [`crate::price`] answers for the same arguments, by the same computation.
///
/// # Errors
/// When the model has no price or the amount is out of range.
pub fn explain(rate: &Rate, usage: &Usage, surcharges: &[Surcharge]) -> Result<Formula, PriceError> {
    let mut classes = Vec::new();
    let mut lines = Vec::new();
    let mut before_rounding = String::new();
    let total = bill(rate, usage, surcharges, |step| match step {
        Step::Class { class, tokens, ratio, subtotal } => {
            classes.push(ClassLine { class, tokens, ratio: ratio.to_string(), subtotal: subtotal.to_string() });
        }
        Step::Surcharge { surcharge, usd } => {
            let Surcharge { what, count, usd_each } = *surcharge;
            lines.push(SurchargeLine { what, count, usd_each, usd: usd.to_string() });
        }
        Step::Total { exact } => before_rounding = exact.to_string(),
    })?;
    let basis = match (rate.model.per_call_usd, rate.model.model_ratio) {
        (Some(usd), _) => Basis::Call { usd },
        (None, Some(model_ratio)) => Basis::Tokens { model_ratio, classes },
        (None, None) => return Err(PriceError::Unpriced),
    };
    Ok(Formula {
        basis,
        group_ratio: rate.group_ratio,
        quota_per_usd: rate.quota_per_usd.get(),
        multipliers: rate.applied_multipliers().copied().collect(),
        surcharges: lines,
        exact: before_rounding,
        total,
    })
}

/// One line: `1.25 × 1 × (1000 + 500×4) = 3750`. Model ratio (or dollars), group ratio, usage, multipliers, surcharges, and after
/// `→` the units charged where they differ from the exact sum.
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.basis {
            Basis::Tokens { model_ratio, classes } => {
                write!(f, "{model_ratio} × {} × (", self.group_ratio)?;
                write_classes(f, classes)?;
                f.write_str(")")?;
            }
            Basis::Call { usd } => write!(f, "{usd} USD × {} × {}", self.group_ratio, self.quota_per_usd)?,
        }
        for multiplier in &self.multipliers {
            write!(f, " × {}", multiplier.by)?;
        }
        for (place, line) in self.surcharges.iter().enumerate() {
            f.write_str(if place == 0 { " + (" } else { " + " })?;
            write!(f, "{}×{} USD", line.count, line.usd_each)?;
        }
        if !self.surcharges.is_empty() {
            write!(f, ") × {} × {}", self.group_ratio, self.quota_per_usd)?;
        }
        write!(f, " = {}", self.exact)?;
        let total = self.total.to_string();
        if total == self.exact { Ok(()) } else { write!(f, " → {total}") }
    }
}

fn write_classes(f: &mut fmt::Formatter<'_>, classes: &[ClassLine]) -> fmt::Result {
    if classes.is_empty() {
        return f.write_str("0");
    }
    for (place, line) in classes.iter().enumerate() {
        if place > 0 {
            f.write_str(" + ")?;
        }
        match line.class {
            Class::Input => write!(f, "{}", line.tokens)?,
            _ => write!(f, "{}×{}", line.tokens, line.ratio)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::price::{Factor, ModelPrice};

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    fn gpt_4o(group: &str) -> Rate {
        let price = ModelPrice { model_ratio: Some(ratio("1.25")), completion_ratio: Some(ratio("4")), ..ModelPrice::default() };
        Rate::new(Arc::new(price), ratio(group))
    }

    #[test]
    fn a_chat_reads_as_one_line() {
        let usage = Usage { input: 1000, output: 500, ..Usage::default() };
        let formula = explain(&gpt_4o("1"), &usage, &[]).unwrap();
        assert_eq!(formula.to_string(), "1.25 × 1 × (1000 + 500×4) = 3750");
    }

    #[test]
    fn rounding_surcharges_and_unused_classes_are_told() {
        let usage = Usage { input: 1, cache_write_1h: 3, ..Usage::default() };
        let search = Surcharge { what: Surcharged::WebSearch, count: 2, usd_each: ratio("0.025") };
        let formula = explain(&gpt_4o("0.5"), &usage, &[search]).unwrap();
        assert_eq!(formula.to_string(), "1.25 × 0.5 × (1 + 3×2) + (2×0.025 USD) × 0.5 × 500000 = 12504.375 → 12504");
        assert_eq!(explain(&gpt_4o("1"), &Usage::default(), &[]).unwrap().to_string(), "1.25 × 1 × (0) = 0");
    }

    #[test]
    fn a_price_per_call_shows_dollars_and_multipliers() {
        let price = ModelPrice { per_call_usd: Some(ratio("0.04")), ..ModelPrice::default() };
        let by = |factor, text| Multiplier { factor, by: ratio(text) };
        let multipliers = [by(Factor::ImageSize, "2"), by(Factor::ImageQuality, "1.5")].into();
        let rate = Rate { multipliers, ..Rate::new(Arc::new(price), Ratio::ONE) };
        let formula = explain(&rate, &Usage::default(), &[]).unwrap();
        assert_eq!(formula.to_string(), "0.04 USD × 1 × 500000 × 2 × 1.5 = 60000");
    }

    #[test]
    fn the_fields_survive_json() {
        let usage = Usage { input: 7, output: 3, cache_read: 2, audio_output: 1, ..Usage::default() };
        let formula = explain(&gpt_4o("0.8"), &usage, &[]).unwrap();
        let json = serde_json::to_string(&formula).unwrap();
        assert!(
            json.starts_with(r#"{"basis":{"by":"tokens","model_ratio":"1.25","classes":[{"class":"input","tokens":7,"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Formula>(&json).unwrap(), formula);
    }
}
