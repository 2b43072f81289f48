//! The shipped prices: what a fresh installation starts with, each with its source and date (PROMISE-25).

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_domain::ModelName;

use crate::price::ModelPrice;

/// The data file of this build cannot be read. Its tests keep this from happening.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is not in the expected form.
    #[error("cannot read the shipped prices")]
    Form(#[from] serde_json::Error),
    /// An entry names a source that is not listed.
    #[error("the shipped price of {0} has no source")]
    NoSource(ModelName),
}

/// One shipped price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedPrice {
    /// The model, or the normal form of a family of names.
    pub model: ModelName,
    /// Its price. Some have only a cache ratio: they are unpriced until an administrator sets a ratio.
    pub price: ModelPrice,
    /// Where the figures are from.
    pub source: String,
    /// When they were true, `YYYY-MM-DD`.
    pub date: String,
}

#[derive(Deserialize)]
struct File {
    sources: BTreeMap<String, Source>,
    models: Vec<Entry>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    date: String,
}

#[derive(Deserialize)]
struct Entry {
    model: ModelName,
    #[serde(flatten)]
    price: ModelPrice,
    source: String,
}

/// Reads the shipped prices, sorted by name. Meant for the first start and for "reset to shipped": it parses the data file each time.
///
/// # Errors
/// When the data file inside this build is broken.
pub fn shipped_prices() -> Result<Vec<ShippedPrice>, SeedError> {
    let file: File = serde_json::from_str(include_str!("../data/default-ratios.json"))?;
    let with_source = |entry: Entry| match file.sources.get(&entry.source) {
        Some(Source { name, date }) => {
            Ok(ShippedPrice { model: entry.model, price: entry.price, source: name.clone(), date: date.clone() })
        }
        None => Err(SeedError::NoSource(entry.model)),
    };
    let mut prices = file.models.into_iter().map(with_source).collect::<Result<Vec<_>, _>>()?;
    prices.sort_by(|a, b| a.model.cmp(&b.model));
    Ok(prices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::default_completion_ratio;

    fn completion_of(model: &str) -> String {
        let prices = shipped_prices().unwrap();
        let shipped = prices.iter().find(|shipped| shipped.model.as_str() == model).unwrap();
        shipped.price.completion_ratio.unwrap().to_string()
    }

    #[test]
    fn every_shipped_price_is_listed_once_with_source_and_date() {
        let prices = shipped_prices().unwrap();
        assert_eq!(prices.len(), 271);
        assert!(prices.windows(2).all(|pair| pair[0].model < pair[1].model));
        for shipped in &prices {
            assert!(!shipped.source.is_empty(), "{}", shipped.model);
            assert_eq!(shipped.date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{}", shipped.model);
        }
    }

    #[test]
    fn figures_are_the_text_of_the_data_file_to_the_last_digit() {
        let prices = shipped_prices().unwrap();
        let shipped = prices.iter().find(|shipped| shipped.model.as_str() == "yi-medium").unwrap();
        assert_eq!(shipped.price.model_ratio.unwrap().to_string(), "0.17123287671232876");
    }

    #[test]
    fn reviewed_completion_ratios_are_shipped() {
        for (model, ratio) in [
            ("gpt-3.5-turbo", "3"),
            ("gpt-3.5-turbo-0125", "3"),
            ("gpt-3.5-turbo-0613", "1.333333333333333334"),
            ("gpt-4-1106-preview", "3"),
            ("gpt-4-0125-preview", "3"),
            ("gpt-4-turbo-preview", "3"),
            ("gpt-4-vision-preview", "3"),
            ("gpt-4.1", "4"),
            ("gpt-4.1-mini", "4"),
            ("gpt-4.1-nano", "4"),
            ("gpt-4.1-nano-2025-04-14", "4"),
            ("o4-mini", "4"),
            ("o4-mini-deep-research", "4"),
            ("grok-3-beta", "5"),
        ] {
            assert_eq!(completion_of(model), ratio, "{model}");
        }
    }

    #[test]
    fn the_rules_for_missing_ratios_agree_with_every_shipped_one() {
        for shipped in shipped_prices().unwrap() {
            if let Some(ratio) = shipped.price.completion_ratio {
                assert_eq!(default_completion_ratio(shipped.model.as_str()), ratio, "{}", shipped.model);
            }
        }
    }
}
