//! What a request costs: one formula for the bill, the hold and the explanation.
//!
//! `G·M·Σ(tokens × class ratio)·ΠO + G·U·ΣS`, or `G·P·U·X·ΠO + G·U·ΣS` for a model priced per call; exact, and rounded once at the end.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluice_domain::{Quota, Usage};

use crate::cover::HoldPolicy;
use crate::exact::{Exact, Rounding};
use crate::ratio::Ratio;

/// The prompt, in tokens, that a hold counts at least (the family's `PreConsumedQuota`).
pub const LEAST_HELD_PROMPT: u64 = 500;

/// Why a request cannot be priced. Refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The model has neither a ratio nor a price per call.
    #[error("the model has no price")]
    Unpriced,
    /// The amount is beyond what a balance can hold.
    #[error("the price is out of range: at most {} units", Quota::LIMIT)]
    OutOfRange,
}

/// The price of one model. What is not set takes its default; neither `model_ratio` nor `per_call_usd` set means unpriced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelPrice {
    /// Quota units per input token: 1 is 2 USD per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_ratio: Option<Ratio>,
    /// Output price ÷ input price. Default 1; [`crate::PriceBook`] fills in the model family's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_ratio: Option<Ratio>,
    /// Price of input read from the cache ÷ input price. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_ratio: Option<Ratio>,
    /// Price of input written to the cache for 5 minutes ÷ input price. Default 1.25; for 1 hour it is 8/5 of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_ratio: Option<Ratio>,
    /// Price of image input ÷ input price. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_ratio: Option<Ratio>,
    /// Price of audio input ÷ input price. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_ratio: Option<Ratio>,
    /// Price of audio output ÷ price of audio input. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_completion_ratio: Option<Ratio>,
    /// US dollars per call. If set, it wins over the ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_call_usd: Option<Ratio>,
    /// The most output the model brings in one answer, in tokens. Not a part of the price: holds go by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// How its output is held for, when not as the site says. Not a part of the price either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_policy: Option<HoldPolicy>,
}

impl ModelPrice {
    /// The default of `cache_write_ratio`: 1.25.
    pub const CACHE_WRITE_RATIO: Ratio = Ratio::of(125, 2);

    /// Whether a request can be priced with this.
    #[must_use]
    pub const fn is_priced(&self) -> bool {
        self.model_ratio.is_some() || self.per_call_usd.is_some()
    }
}

/// What a multiplier stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// Size of an image. Only with a price per call.
    ImageSize,
    /// Quality of an image. Only with a price per call.
    ImageQuality,
    /// Number of images. Only with a price per call.
    ImageCount,
    /// Length of a task's result, in seconds.
    Seconds,
    /// Size or resolution of a task's result.
    Resolution,
    /// Number of samples a task makes.
    Samples,
}

impl Factor {
    const fn needs_price_per_call(self) -> bool {
        matches!(self, Self::ImageSize | Self::ImageQuality | Self::ImageCount)
    }
}

/// Multiplies the price of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Multiplier {
    /// What it stands for.
    pub factor: Factor,
    /// By how much.
    pub by: Ratio,
}

/// What a surcharge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surcharged {
    /// Web searches the model made.
    WebSearch,
    /// File searches the model made.
    FileSearch,
    /// Images the model made with its tool.
    ImageGeneration,
    /// Audio input with a price of its own.
    AudioInput,
    /// A request the provider fined as a violation of its policy.
    PolicyViolation,
}

/// An amount in US dollars on top of the usage. Group ratio applies, multipliers do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Surcharge {
    /// What it is for.
    pub what: Surcharged,
    /// How many.
    pub count: u64,
    /// US dollars for each.
    pub usd_each: Ratio,
}

/// What one request is priced with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Price of the requested model.
    pub model: Arc<ModelPrice>,
    /// Ratio of the group whose channel answers. 0 is free.
    pub group_ratio: Ratio,
    /// The channel's own price of cached input ÷ input price; it wins over the model's. Only while the site allows it.
    pub channel_cache_read_ratio: Option<Ratio>,
    /// Units to one US dollar, a setting.
    pub quota_per_usd: NonZeroU32,
    /// Multipliers of this request; most have none.
    pub multipliers: Box<[Multiplier]>,
}

impl Rate {
    /// The default of `quota_per_usd`: 500,000.
    pub const QUOTA_PER_USD: NonZeroU32 = NonZeroU32::MIN.saturating_add(499_999);

    /// The rate of a plain request: no override, no multipliers, 500,000 units to the dollar.
    #[must_use]
    pub fn new(model: Arc<ModelPrice>, group_ratio: Ratio) -> Self {
        Self {
            model,
            group_ratio,
            channel_cache_read_ratio: None,
            quota_per_usd: Self::QUOTA_PER_USD,
            multipliers: Box::default(),
        }
    }

    /// Whether usage costs nothing: a free group or a free model. Surcharges may still cost.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let base = self.model.per_call_usd.or(self.model.model_ratio);
        self.group_ratio.is_zero() || base.is_some_and(|ratio| ratio.is_zero())
    }

    /// Price of a class ÷ input price.
    fn weight(&self, class: Class) -> Exact {
        let model = &*self.model;
        let cache_write = || Exact::from(model.cache_write_ratio.unwrap_or(ModelPrice::CACHE_WRITE_RATIO));
        let audio = || Exact::from(model.audio_ratio.unwrap_or(Ratio::ONE));
        let or_one = |ratio: Option<Ratio>| Exact::from(ratio.unwrap_or(Ratio::ONE));
        match class {
            Class::Input => Exact::whole(1),
            Class::Output => or_one(model.completion_ratio),
            Class::CacheRead => or_one(self.channel_cache_read_ratio.or(model.cache_read_ratio)),
            Class::CacheWrite5m => cache_write(),
            Class::CacheWrite1h => cache_write().times(&Exact::from(CACHE_WRITE_1H)),
            Class::ImageInput => or_one(model.image_ratio),
            Class::AudioInput => audio(),
            Class::AudioOutput => audio().times(&or_one(model.audio_completion_ratio)),
        }
    }

    pub(crate) fn applied_multipliers(&self) -> impl Iterator<Item = &Multiplier> {
        let is_per_call = self.model.per_call_usd.is_some();
        self.multipliers.iter().filter(move |multiplier| is_per_call || !multiplier.factor.needs_price_per_call())
    }

    fn multiplied(&self, amount: Exact) -> Exact {
        self.applied_multipliers().fold(amount, |amount, multiplier| amount.times(&Exact::from(multiplier.by)))
    }

    fn units_per_usd(&self) -> Exact {
        Exact::from(u64::from(self.quota_per_usd.get()))
    }
}

/// A 1-hour cache write costs 8/5 of a 5-minute one.
const CACHE_WRITE_1H: Ratio = Ratio::of(16, 1);

/// A class of usage; each is priced once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Uncached text input.
    Input,
    /// Text and reasoning output.
    Output,
    /// Input read from the cache.
    CacheRead,
    /// Input written to the cache for 5 minutes.
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Input written to the cache for 1 hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Image input.
    ImageInput,
    /// Audio input.
    AudioInput,
    /// Audio output.
    AudioOutput,
}

/// A part of the bill, told to whoever asked for an explanation while it is summed up.
pub(crate) enum Step<'a> {
    Class { class: Class, tokens: u64, ratio: &'a Exact, subtotal: &'a Exact },
    Surcharge { surcharge: &'a Surcharge, usd: &'a Exact },
    Total { exact: &'a Exact },
}

/// What the request costs, in whole units. Zero usage costs nothing in token mode; anything above zero costs at least one unit.
///
/// # Errors
/// When the model has no price or the amount is out of range.
pub fn price(rate: &Rate, usage: &Usage, surcharges: &[Surcharge]) -> Result<Quota, PriceError> {
    bill(rate, usage, surcharges, |_| ())
}

/// What is held before the request is sent: `max_output` at the output price and at least `least_prompt` tokens of prompt
/// ([`LEAST_HELD_PROMPT`] unless the site says otherwise), rounded up; a price per call exactly; nothing when it is free. The
/// surcharges are those that are known beforehand.
///
/// # Errors
/// When the model has no price or the amount is out of range.
pub fn hold(
    rate: &Rate,
    prompt_estimate: u64,
    max_output: u64,
    least_prompt: u64,
    surcharges: &[Surcharge],
) -> Result<Quota, PriceError> {
    if rate.model.per_call_usd.is_some() {
        return price(rate, &Usage::default(), surcharges);
    }
    let usage = Usage { input: prompt_estimate.max(least_prompt), output: max_output, ..Usage::default() };
    let exact = usage_cost(rate, &usage, &mut |_| ())?.plus(surcharge_cost(rate, surcharges, &mut |_| ()));
    units(&exact, Rounding::Up)
}

/// The bill; `note` hears of every part of it.
pub(crate) fn bill(
    rate: &Rate,
    usage: &Usage,
    surcharges: &[Surcharge],
    mut note: impl FnMut(Step<'_>),
) -> Result<Quota, PriceError> {
    let mut exact = usage_cost(rate, usage, &mut note)?;
    if !surcharges.is_empty() {
        exact = exact.plus(surcharge_cost(rate, surcharges, &mut note));
    }
    note(Step::Total { exact: &exact });
    let quota = units(&exact, Rounding::HalfUp)?;
    if quota.is_zero() && !exact.is_zero() {
        return Ok(Quota::clamped(1));
    }
    Ok(quota)
}

fn usage_cost(rate: &Rate, usage: &Usage, note: &mut impl FnMut(Step<'_>)) -> Result<Exact, PriceError> {
    let base = match (rate.model.per_call_usd, rate.model.model_ratio) {
        (Some(usd), _) => Exact::from(usd).times(&rate.units_per_usd()),
        (None, Some(ratio)) => weighed(rate, usage, note).times(&Exact::from(ratio)),
        (None, None) => return Err(PriceError::Unpriced),
    };
    Ok(rate.multiplied(base.times(&Exact::from(rate.group_ratio))))
}

/// The usage in input tokens: each class times its ratio.
fn weighed(rate: &Rate, usage: &Usage, note: &mut impl FnMut(Step<'_>)) -> Exact {
    let classes = [
        (Class::Input, usage.input),
        (Class::Output, usage.output),
        (Class::CacheRead, usage.cache_read),
        (Class::CacheWrite5m, usage.cache_write_5m),
        (Class::CacheWrite1h, usage.cache_write_1h),
        (Class::ImageInput, usage.image_input),
        (Class::AudioInput, usage.audio_input),
        (Class::AudioOutput, usage.audio_output),
    ];
    let mut sum = Exact::ZERO;
    for (class, tokens) in classes {
        if tokens == 0 {
            continue;
        }
        let ratio = rate.weight(class);
        let subtotal = Exact::from(tokens).times(&ratio);
        note(Step::Class { class, tokens, ratio: &ratio, subtotal: &subtotal });
        sum = sum.plus(subtotal);
    }
    sum
}

fn surcharge_cost(rate: &Rate, surcharges: &[Surcharge], note: &mut impl FnMut(Step<'_>)) -> Exact {
    let mut sum = Exact::ZERO;
    for surcharge in surcharges {
        let usd = Exact::from(surcharge.count).times(&Exact::from(surcharge.usd_each));
        note(Step::Surcharge { surcharge, usd: &usd });
        sum = sum.plus(usd);
    }
    sum.times(&rate.units_per_usd()).times(&Exact::from(rate.group_ratio))
}

fn units(exact: &Exact, rounding: Rounding) -> Result<Quota, PriceError> {
    let units = exact.round(rounding).and_then(|units| i64::try_from(units).ok()).ok_or(PriceError::OutOfRange)?;
    Quota::new(units).map_err(|_| PriceError::OutOfRange)
}
