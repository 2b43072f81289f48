//! Properties of the price: never negative, monotone in every class, and equal to a computation with plain fractions.

use std::sync::Arc;

use num_bigint::BigUint;
use proptest::prelude::*;
use sluice_billing::{Factor, ModelPrice, Multiplier, PriceError, Rate, Ratio, Surcharge, Surcharged, explain, hold, price};
use sluice_domain::{Quota, Usage};

fn any_ratio() -> impl Strategy<Value = Ratio> {
    let short = (0_u64..10_000, 0_u32..=3).prop_map(|(digits, scale)| decimal(digits.into(), scale));
    let long = (0_u128..1_000_000_000_000_000_000_000, 15_u32..=18).prop_map(|(digits, scale)| decimal(digits, scale));
    prop_oneof![4 => short, 2 => long, 1 => Just(Ratio::ZERO), 1 => Just(Ratio::ONE)]
}

fn decimal(digits: u128, scale: u32) -> Ratio {
    format!("{digits}e-{scale}").parse().unwrap()
}

fn any_price() -> impl Strategy<Value = ModelPrice> {
    let optional = || proptest::option::weighted(0.7, any_ratio());
    (any_ratio(), optional(), optional(), optional(), optional(), optional(), optional()).prop_map(
        |(model, completion, cache_read, cache_write, image, audio, audio_completion)| ModelPrice {
            model_ratio: Some(model),
            completion_ratio: completion,
            cache_read_ratio: cache_read,
            cache_write_ratio: cache_write,
            image_ratio: image,
            audio_ratio: audio,
            audio_completion_ratio: audio_completion,
            ..ModelPrice::default()
        },
    )
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let multiplier = any_ratio().prop_map(|by| Multiplier { factor: Factor::Seconds, by });
    (any_price(), any_ratio(), proptest::option::weighted(0.2, any_ratio()), proptest::collection::vec(multiplier, 0..3))
        .prop_map(|(model, group, channel_cache_read_ratio, multipliers)| Rate {
            channel_cache_read_ratio,
            multipliers: multipliers.into(),
            ..Rate::new(Arc::new(model), group)
        })
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let count = || prop_oneof![2 => Just(0_u64), 3 => 0_u64..5_000, 1 => 0_u64..=Usage::LIMIT];
    (count(), count(), count(), count(), count(), count(), count(), count()).prop_map(
        |(input, output, cache_read, cache_write_5m, cache_write_1h, image_input, audio_input, audio_output)| Usage {
            input,
            output,
            reasoning: output / 2,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            image_input,
            audio_input,
            audio_output,
        },
    )
}

fn any_surcharge() -> impl Strategy<Value = Surcharge> {
    (0_u64..100, any_ratio()).prop_map(|(count, usd_each)| Surcharge { what: Surcharged::WebSearch, count, usd_each })
}

/// A fraction that is never reduced: slow and hard to get wrong.
#[derive(Clone)]
struct Fraction(BigUint, BigUint);

impl Fraction {
    fn of(ratio: Ratio) -> Self {
        let text = ratio.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits: BigUint = format!("{whole}{fraction}").parse().unwrap();
        Self(digits, BigUint::from(10_u8).pow(u32::try_from(fraction.len()).unwrap()))
    }

    fn or(ratio: Option<Ratio>, otherwise: &str) -> Self {
        Self::of(ratio.unwrap_or_else(|| otherwise.parse().unwrap()))
    }

    fn count(number: u64) -> Self {
        Self(number.into(), 1_u8.into())
    }

    fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0, &self.1 * &other.1)
    }

    fn plus(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1 + &other.0 * &self.1, &self.1 * &other.1)
    }

    fn round(&self) -> BigUint {
        let two = BigUint::from(2_u8);
        let nearest = (&self.0 * &two + &self.1) / (&self.1 * &two);
        let is_something = self.0.bits() > 0;
        if is_something { nearest.max(1_u8.into()) } else { nearest }
    }
}

fn naive(rate: &Rate, usage: &Usage, surcharges: &[Surcharge]) -> BigUint {
    let model = &*rate.model;
    let write = Fraction::or(model.cache_write_ratio, "1.25");
    let audio = Fraction::or(model.audio_ratio, "1");
    let classes = [
        (usage.input, Fraction::count(1)),
        (usage.output, Fraction::or(model.completion_ratio, "1")),
        (usage.cache_read, Fraction::or(rate.channel_cache_read_ratio.or(model.cache_read_ratio), "1")),
        (usage.cache_write_5m, write.clone()),
        (usage.cache_write_1h, Fraction(write.0 * 8_u8, write.1 * 5_u8)),
        (usage.image_input, Fraction::or(model.image_ratio, "1")),
        (usage.audio_input, audio.clone()),
        (usage.audio_output, audio.times(&Fraction::or(model.audio_completion_ratio, "1"))),
    ];
    let mut sum = Fraction::count(0);
    for (tokens, ratio) in &classes {
        sum = sum.plus(&Fraction::count(*tokens).times(ratio));
    }
    let group = Fraction::of(rate.group_ratio);
    sum = sum.times(&Fraction::of(model.model_ratio.unwrap())).times(&group);
    for multiplier in &rate.multipliers {
        sum = sum.times(&Fraction::of(multiplier.by));
    }
    for surcharge in surcharges {
        let usd = Fraction::count(surcharge.count).times(&Fraction::of(surcharge.usd_each));
        sum = sum.plus(&usd.times(&group).times(&Fraction::count(500_000)));
    }
    sum.round()
}

fn counters(usage: &mut Usage) -> [&mut u64; 8] {
    [
        &mut usage.input,
        &mut usage.output,
        &mut usage.cache_read,
        &mut usage.cache_write_5m,
        &mut usage.cache_write_1h,
        &mut usage.image_input,
        &mut usage.audio_input,
        &mut usage.audio_output,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_price_is_that_of_plain_fractions_and_is_refused_only_beyond_the_bound(
        rate in any_rate(), usage in any_usage(), surcharges in proptest::collection::vec(any_surcharge(), 0..3)
    ) {
        let expected = naive(&rate, &usage, &surcharges);
        match price(&rate, &usage, &surcharges) {
            Ok(quota) => {
                prop_assert!(quota >= Quota::ZERO);
                prop_assert_eq!(BigUint::try_from(quota.get()).unwrap(), expected);
            }
            Err(error) => {
                prop_assert_eq!(error, PriceError::OutOfRange);
                prop_assert!(expected > BigUint::try_from(Quota::LIMIT).unwrap());
            }
        }
    }

    #[test]
    fn more_of_any_class_never_costs_less(rate in any_rate(), usage in any_usage(), class in 0_usize..8, more in 0_u64..10_000) {
        let mut larger = usage;
        *counters(&mut larger)[class] += more;
        match (price(&rate, &usage, &[]), price(&rate, &larger, &[])) {
            (Ok(small), Ok(large)) => prop_assert!(large >= small),
            (Err(_), Ok(_)) => prop_assert!(false, "more usage must not become payable"),
            (_, Err(_)) => {}
        }
    }

    #[test]
    fn the_explanation_has_the_same_total(rate in any_rate(), usage in any_usage(), surcharge in any_surcharge()) {
        let formula = explain(&rate, &usage, &[surcharge]).map(|formula| formula.total);
        prop_assert_eq!(formula, price(&rate, &usage, &[surcharge]));
    }

    #[test]
    fn a_hold_covers_every_answer_within_it(
        rate in any_rate(), prompt in 0_u64..100_000, output in 0_u64..100_000, surcharge in any_surcharge()
    ) {
        let usage = Usage { input: prompt, output, ..Usage::default() };
        if let Ok(held) = hold(&rate, prompt, output, 500, &[surcharge]) {
            prop_assert!(price(&rate, &usage, &[surcharge]).unwrap() <= held);
        }
    }
}
