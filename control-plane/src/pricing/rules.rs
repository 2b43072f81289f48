//! Pure decisions about prices: reading figures, and their two views.

use rust_decimal::{Decimal, RoundingStrategy};
use sluice_billing::{HoldPolicy, ModelPrice, Ratio, RatioError, default_completion_ratio};
use sluice_domain::Limits;

use super::Figure;
use crate::http::{ApiError, LimitBody, Patch, Rules};

/// Figures of a price as they were asked for. Each price per million is another view of the ratio beside it; one of the two is given.
#[derive(Debug, Default)]
pub struct PriceFields {
    /// Quota units per input token: 1 is 2 USD per million.
    pub model_ratio: Figure,
    /// US dollars per million input tokens.
    pub usd_per_1m_input: Figure,
    /// Output price ÷ input price.
    pub completion_ratio: Figure,
    /// US dollars per million output tokens.
    pub usd_per_1m_output: Figure,
    /// Price of input read from the cache ÷ input price.
    pub cache_read_ratio: Figure,
    /// US dollars per million tokens read from the cache.
    pub usd_per_1m_cache_read: Figure,
    /// Price of input written to the cache for 5 minutes ÷ input price.
    pub cache_write_ratio: Figure,
    /// US dollars per million tokens written to the cache for 5 minutes.
    pub usd_per_1m_cache_write: Figure,
    /// Price of image input ÷ input price.
    pub image_ratio: Figure,
    /// Price of audio input ÷ input price.
    pub audio_ratio: Figure,
    /// Price of audio output ÷ price of audio input.
    pub audio_completion_ratio: Figure,
    /// US dollars per call.
    pub per_call_usd: Figure,
    /// The most output the model brings in one answer, in tokens.
    pub max_output_tokens: Patch<i64>,
    /// How its output is held for.
    pub hold_policy: Patch<HoldPolicy>,
    /// How much of the model all callers may use together.
    pub limits: Option<Vec<LimitBody>>,
}

/// The most output that a model may be said to bring, in tokens.
const MOST_OUTPUT: i64 = 10_000_000;

impl PriceFields {
    /// Puts the figures that are there into a price.
    ///
    /// # Errors
    /// 422 when a figure breaks its rule, or both views of one figure are given.
    pub(super) fn put_into(self, mut price: ModelPrice, limits: Limits) -> Result<(ModelPrice, Limits), ApiError> {
        let mut rules = Rules::new();
        let usd_input = read(&mut rules, "usd_per_1m_input", self.usd_per_1m_input, Ratio::from_usd_per_1m);
        let ratio = read(&mut rules, "model_ratio", self.model_ratio, str::parse);
        price.model_ratio = one_view(&mut rules, "model_ratio", "usd_per_1m_input", ratio, usd_input).apply(price.model_ratio);

        let input = price.model_ratio;
        let relative = |rules: &mut Rules, name, usd_name, ratio: Figure, usd: Figure, before: Option<Ratio>| {
            let by_ratio = read(rules, name, ratio, str::parse);
            let by_usd = read(rules, usd_name, usd, |text| relative_to(input, text));
            one_view(rules, name, usd_name, by_ratio, by_usd).apply(before)
        };
        let before = price.completion_ratio;
        price.completion_ratio =
            relative(&mut rules, "completion_ratio", "usd_per_1m_output", self.completion_ratio, self.usd_per_1m_output, before);
        let before = price.cache_read_ratio;
        price.cache_read_ratio = relative(
            &mut rules,
            "cache_read_ratio",
            "usd_per_1m_cache_read",
            self.cache_read_ratio,
            self.usd_per_1m_cache_read,
            before,
        );
        let before = price.cache_write_ratio;
        let (ratio, usd) = (self.cache_write_ratio, self.usd_per_1m_cache_write);
        price.cache_write_ratio = relative(&mut rules, "cache_write_ratio", "usd_per_1m_cache_write", ratio, usd, before);

        let plain = [
            ("image_ratio", self.image_ratio, &mut price.image_ratio),
            ("audio_ratio", self.audio_ratio, &mut price.audio_ratio),
            ("audio_completion_ratio", self.audio_completion_ratio, &mut price.audio_completion_ratio),
            ("per_call_usd", self.per_call_usd, &mut price.per_call_usd),
        ];
        for (name, figure, place) in plain {
            *place = read(&mut rules, name, figure, str::parse).apply(*place);
        }
        if let Patch::Set(tokens) = self.max_output_tokens {
            rules.within("max_output_tokens", tokens, 1, MOST_OUTPUT);
        }
        let tokens = self.max_output_tokens.apply(price.max_output_tokens.map(i64::from));
        price.max_output_tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
        price.hold_policy = self.hold_policy.apply(price.hold_policy);
        let limits = LimitBody::read(&mut rules, self.limits.as_deref()).unwrap_or(limits);
        rules.done()?;
        Ok((price, limits))
    }
}

/// Why a price per million is no ratio.
#[derive(Debug, thiserror::Error)]
enum FigureError {
    #[error("{0}")]
    Ratio(#[from] RatioError),
    #[error("needs a price of input above zero")]
    NoInput,
}

fn read<E: std::fmt::Display>(
    rules: &mut Rules,
    field: &str,
    figure: Figure,
    parse: impl FnOnce(&str) -> Result<Ratio, E>,
) -> Patch<Ratio> {
    match figure.try_map(|text| parse(&text)) {
        Ok(patch) => patch,
        Err(error) => {
            rules.refuse(field, "decimal", error.to_string());
            Patch::Keep
        }
    }
}

fn one_view(rules: &mut Rules, name: &str, usd_name: &str, ratio: Patch<Ratio>, usd: Patch<Ratio>) -> Patch<Ratio> {
    match (ratio, usd) {
        (Patch::Keep, usd) => usd,
        (ratio, Patch::Keep) => ratio,
        (ratio, usd) if ratio == usd => ratio,
        (ratio, _) => {
            rules.refuse(usd_name, "two_views", format!("is another view of {name}: give one of them"));
            ratio
        }
    }
}

/// A price per million as a ratio to the price of input. A quotient that never ends is cut at 18 digits and rounded up.
fn relative_to(input: Option<Ratio>, text: &str) -> Result<Ratio, FigureError> {
    let wanted = decimal(&text.parse::<Ratio>()?);
    let input = input.map(|ratio| decimal(&ratio) * Decimal::TWO).filter(|usd| !usd.is_zero()).ok_or(FigureError::NoInput)?;
    let quotient = wanted.checked_div(input).ok_or(RatioError::TooLarge)?;
    let rounded = quotient.round_dp_with_strategy(Ratio::MAX_SCALE, RoundingStrategy::AwayFromZero);
    Ok(rounded.normalize().to_string().parse::<Ratio>()?)
}

fn decimal(ratio: &Ratio) -> Decimal {
    ratio.to_string().parse().unwrap_or_default()
}

/// A price in US dollars, as decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsdView {
    /// Per million input tokens.
    pub input: Option<String>,
    /// Per million output tokens.
    pub output: Option<String>,
    /// Per million tokens read from the cache.
    pub cache_read: Option<String>,
    /// Per million tokens written to the cache for 5 minutes.
    pub cache_write: Option<String>,
    /// Output price ÷ input price, the model family's where the price has none.
    pub completion_ratio: Option<String>,
}

/// What a price comes to, in US dollars per million tokens. Empty for models priced per call or not at all.
#[must_use]
pub fn usd_view(model: &str, price: &ModelPrice) -> UsdView {
    let Some(input) = price.model_ratio.filter(|_| price.per_call_usd.is_none()) else { return UsdView::default() };
    let completion = price.completion_ratio.unwrap_or_else(|| default_completion_ratio(model));
    let times = |ratio: Ratio| shown(decimal(&input) * Decimal::TWO, decimal(&ratio));
    UsdView {
        input: Some(input.usd_per_1m()),
        output: Some(times(completion)),
        cache_read: Some(times(price.cache_read_ratio.unwrap_or(Ratio::ONE))),
        cache_write: Some(times(price.cache_write_ratio.unwrap_or(ModelPrice::CACHE_WRITE_RATIO))),
        completion_ratio: Some(completion.to_string()),
    }
}

/// Digits behind the point of a product that people read.
const SHOWN_PLACES: u32 = 12;

fn shown(left: Decimal, right: Decimal) -> String {
    let product = left.checked_mul(right).unwrap_or(Decimal::MAX);
    product.round_dp_with_strategy(SHOWN_PLACES, RoundingStrategy::MidpointAwayFromZero).normalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(fields: PriceFields, price: ModelPrice) -> Result<ModelPrice, ApiError> {
        fields.put_into(price, Limits::default()).map(|(price, _)| price)
    }

    fn set(text: &str) -> Figure {
        Patch::Set(text.to_owned())
    }

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[test]
    fn dollars_and_ratios_are_two_views_of_one_figure() {
        let fields = PriceFields {
            usd_per_1m_input: set("2.5"),
            usd_per_1m_output: set("10"),
            usd_per_1m_cache_read: set("1.25"),
            ..PriceFields::default()
        };
        let price = put(fields, ModelPrice::default()).unwrap();
        assert_eq!(
            (price.model_ratio, price.completion_ratio, price.cache_read_ratio),
            (Some(ratio("1.25")), Some(ratio("4")), Some(ratio("0.5")))
        );
        let view = usd_view("gpt-4o", &price);
        assert_eq!(view.input.as_deref(), Some("2.5"));
        assert_eq!(view.output.as_deref(), Some("10"));
        assert_eq!(view.cache_read.as_deref(), Some("1.25"));
        assert_eq!(view.cache_write.as_deref(), Some("3.125"));
    }

    #[test]
    fn an_endless_quotient_is_cut_at_18_digits_and_rounded_up() {
        let fields = PriceFields { usd_per_1m_input: set("1.5"), usd_per_1m_output: set("2"), ..PriceFields::default() };
        let price = put(fields, ModelPrice::default()).unwrap();
        assert_eq!(price.completion_ratio, Some(ratio("1.333333333333333334")));
        assert_eq!(usd_view("x", &price).output.as_deref(), Some("2"));
    }

    #[test]
    fn figures_that_break_a_rule_are_named() {
        let refused = |fields: PriceFields| {
            let error = put(fields, ModelPrice::default()).unwrap_err();
            error.errors.into_iter().map(|error| (error.field, error.detail)).collect::<Vec<_>>()
        };
        let is = |field: &str, detail: &str| vec![(field.to_owned(), detail.to_owned())];
        let with = |figure: &str| PriceFields { model_ratio: set(figure), ..PriceFields::default() };
        assert_eq!(refused(with("-1")), is("model_ratio", "must not be negative"));
        assert_eq!(refused(with("1e30")), is("model_ratio", "must be at most 1000000"));
        assert_eq!(refused(with("NaN")), is("model_ratio", "must be a decimal number such as 1.25"));
        let both = PriceFields { usd_per_1m_input: set("3"), ..with("1") };
        assert_eq!(refused(both), is("usd_per_1m_input", "is another view of model_ratio: give one of them"));
        let no_input = PriceFields { usd_per_1m_output: set("3"), ..PriceFields::default() };
        assert_eq!(refused(no_input), is("usd_per_1m_output", "needs a price of input above zero"));
    }

    #[test]
    fn a_patch_keeps_what_it_leaves_out_and_clears_what_is_null() {
        let before = ModelPrice { model_ratio: Some(ratio("1")), cache_read_ratio: Some(ratio("0.5")), ..ModelPrice::default() };
        let fields = PriceFields { cache_read_ratio: Patch::Clear, completion_ratio: set("3"), ..PriceFields::default() };
        let after = put(fields, before).unwrap();
        assert_eq!(
            (after.model_ratio, after.completion_ratio, after.cache_read_ratio),
            (Some(ratio("1")), Some(ratio("3")), None)
        );
    }
}
