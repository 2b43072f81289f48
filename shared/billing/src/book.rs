//! The price book: which price a requested model has.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use sluice_domain::suffix;

use crate::completion::default_completion_ratio;
use crate::naming::{COMPACT_ENTRY, COMPACT_SUFFIX, normalise};
use crate::price::ModelPrice;
use crate::ratio::Ratio;

/// What to do with a model that has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// It cannot be used.
    Refuse,
    /// It is used at [`PriceBook::UNPRICED_RATIO`]: self-use mode, or the user opted in.
    Accept,
}

/// The prices in force, by model name. Looked up with the name the caller asked for, not the mapped one.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    prices: HashMap<Box<str>, Arc<ModelPrice>>,
}

impl PriceBook {
    /// The model ratio of an unpriced model whose use was accepted: 37.5, dear on purpose.
    pub const UNPRICED_RATIO: Ratio = Ratio::of(375, 1);

    /// Makes a book of entries. Those with a model ratio and no completion ratio get the one of their model family.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (impl Borrow<str>, ModelPrice)>) -> Self {
        let mut book = Self::default();
        for (model, price) in entries {
            book.insert(model.borrow(), price);
        }
        book
    }

    /// Sets the price of a model.
    pub fn insert(&mut self, model: &str, price: ModelPrice) {
        // the common entry of compact models is completed for each of them, when it is found
        let price = if model == COMPACT_ENTRY { price } else { completed(price, model) };
        self.prices.insert(model.into(), Arc::new(price));
    }

    /// Takes a model's entry out.
    pub fn remove(&mut self, model: &str) {
        self.prices.remove(model);
    }

    /// The entry under exactly this name, priced or not.
    #[must_use]
    pub fn entry(&self, model: &str) -> Option<&Arc<ModelPrice>> {
        self.prices.get(model)
    }

    /// The price of a model: by its exact name, else by its normal form, else by the entry `*-openai-compact` for names that end so,
    /// else of the model before that ending, else of the model without a suffix that says how it is asked (`-thinking`, `-high`). `None`:
    /// the request must be refused as unpriced.
    #[must_use]
    pub fn find(&self, model: &str, unpriced: Unpriced) -> Option<Arc<ModelPrice>> {
        let priced = |name: &str| self.entry(name).filter(|price| price.is_priced());
        if let Some(price) = priced(model).or_else(|| priced(&normalise(model))) {
            return Some(Arc::clone(price));
        }
        if let Some(price) = priced(COMPACT_ENTRY).filter(|_| model.ends_with(COMPACT_SUFFIX)) {
            return Some(Arc::new(completed((**price).clone(), model)));
        }
        let plain = model.strip_suffix(COMPACT_SUFFIX).filter(|plain| !plain.is_empty());
        if let Some(price) = plain.and_then(|plain| self.find(plain, Unpriced::Refuse)) {
            return Some(price);
        }
        if let Some(price) = suffix::bare(model).and_then(|bare| self.find(bare, Unpriced::Refuse)) {
            return Some(price);
        }
        match unpriced {
            Unpriced::Refuse => None,
            Unpriced::Accept => Some(Arc::new(self.dear_price(model))),
        }
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<ModelPrice>)> {
        self.prices.iter().map(|(model, price)| (&**model, price))
    }

    fn dear_price(&self, model: &str) -> ModelPrice {
        let known = self.entry(model).map(|price| (**price).clone()).unwrap_or_default();
        completed(ModelPrice { model_ratio: Some(Self::UNPRICED_RATIO), ..known }, model)
    }
}

fn completed(mut price: ModelPrice, model: &str) -> ModelPrice {
    if price.model_ratio.is_some() && price.completion_ratio.is_none() {
        price.completion_ratio = Some(default_completion_ratio(model));
    }
    price
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(model_ratio: &str) -> ModelPrice {
        ModelPrice { model_ratio: Some(model_ratio.parse().unwrap()), ..ModelPrice::default() }
    }

    fn book() -> PriceBook {
        let only_cache = ModelPrice { cache_read_ratio: Some(Ratio::of(1, 1)), ..ModelPrice::default() };
        let own_completion = ModelPrice { completion_ratio: Some(Ratio::of(7, 0)), ..entry("1") };
        PriceBook::new([
            ("gpt-4o", entry("1.25")),
            ("gpt-4.1", own_completion),
            ("gemini-2.5-pro-thinking-*", entry("0.625")),
            ("gemini-2.5-pro-thinking-128", entry("0.5")),
            ("*-openai-compact", entry("3")),
            ("claude-opus-4-6-thinking", only_cache),
        ])
    }

    fn found(model: &str) -> Option<String> {
        let price = book().find(model, Unpriced::Refuse)?;
        Some(format!("{} × {}", price.model_ratio?, price.completion_ratio?))
    }

    #[test]
    fn the_exact_name_comes_before_the_normal_form() {
        assert_eq!(found("gemini-2.5-pro-thinking-128"), Some("0.5 × 8".to_owned()));
        assert_eq!(found("gemini-2.5-pro-thinking-1024"), Some("0.625 × 8".to_owned()));
    }

    #[test]
    fn a_name_with_a_suffix_costs_its_own_price_and_without_one_the_models() {
        let book = PriceBook::new([
            ("claude-opus-4-6", entry("2")),
            ("claude-opus-4-6-max", entry("3")),
            ("gpt-5", entry("1")),
            ("mistral", entry("1")),
        ]);
        let ratio = |model: &str| book.find(model, Unpriced::Refuse).map(|price| price.model_ratio.unwrap().to_string());
        for (model, own) in [
            ("claude-opus-4-6-max", Some("3")),
            ("claude-opus-4-6-thinking", Some("2")),
            ("claude-opus-4-6-thinking-4096", Some("2")),
            ("gpt-5-high-openai-compact", Some("1")),
            ("mistral-medium", None),
        ] {
            assert_eq!(ratio(model).as_deref(), own, "{model}");
        }
    }

    #[test]
    fn a_missing_completion_ratio_is_the_familys_and_a_given_one_stays() {
        assert_eq!(found("gpt-4o"), Some("1.25 × 4".to_owned()));
        assert_eq!(found("gpt-4.1"), Some("1 × 7".to_owned()));
    }

    #[test]
    fn a_compact_model_without_an_entry_costs_what_the_model_costs() {
        let book = PriceBook::new([("gpt-5", entry("2"))]);
        let price = book.find("gpt-5-openai-compact", Unpriced::Refuse).unwrap();
        assert_eq!((price.model_ratio, price.completion_ratio), (Some(Ratio::of(2, 0)), Some(Ratio::of(8, 0))));
        assert_eq!(book.find("o3-openai-compact", Unpriced::Refuse), None);
        assert_eq!(book.find("-openai-compact", Unpriced::Refuse), None);
    }

    #[test]
    fn compact_models_share_one_entry_but_keep_their_familys_completion_ratio() {
        assert_eq!(found("gpt-5-openai-compact"), Some("3 × 8".to_owned()));
        assert_eq!(found("other-openai-compact"), Some("3 × 1".to_owned()));
        assert_eq!(found("openai-compact"), None);
    }

    #[test]
    fn a_model_without_ratio_or_price_is_refused_unless_accepted() {
        for model in ["unheard-of", "claude-opus-4-6-thinking"] {
            assert_eq!(book().find(model, Unpriced::Refuse), None, "{model}");
        }
        let accepted = book().find("claude-opus-4-6-thinking", Unpriced::Accept).unwrap();
        assert_eq!(accepted.model_ratio, Some(PriceBook::UNPRICED_RATIO));
        assert_eq!(accepted.completion_ratio.unwrap().to_string(), "5");
        assert_eq!(accepted.cache_read_ratio.unwrap().to_string(), "0.1", "what is known of it still counts");
    }

    #[test]
    fn a_removed_entry_is_not_found() {
        let mut book = book();
        book.remove("gpt-4o");
        assert_eq!(book.find("gpt-4o", Unpriced::Refuse), None);
        assert_eq!(book.iter().count(), 5);
    }
}
