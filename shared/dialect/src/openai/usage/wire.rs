//! A usage report as it is written, of all providers that speak this dialect.
//!
//! A key that occurs twice counts with its last value.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluice_domain::Usage;

use super::{Fault, Problem};
use crate::json::Shape;

/// The counters as sent. A thing with two names has two fields: gateways send both.
#[derive(Debug, Default)]
pub(super) struct Wire<'a> {
    pub(super) prompt_tokens: Count,
    pub(super) completion_tokens: Count,
    pub(super) total_tokens: Count,
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
    /// DeepSeek, Zhipu.
    pub(super) prompt_cache_hit_tokens: Count,
    /// Zhipu, Moonshot.
    pub(super) cached_tokens: Count,
    prompt_details: Option<&'a RawValue>,
    input_details: Option<&'a RawValue>,
    completion_details: Option<&'a RawValue>,
    output_details: Option<&'a RawValue>,
}

/// What a whole consists of.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) cached: Count,
    /// OpenRouter.
    cache_write: Count,
    /// Chained gateways.
    cached_creation: Count,
    pub(super) image: Count,
    pub(super) audio: Count,
    pub(super) reasoning: Count,
}

impl Wire<'_> {
    /// The parts of the prompt.
    pub(super) fn input_parts(&self) -> Details {
        first_readable([self.prompt_details, self.input_details])
    }

    /// The parts of the completion.
    pub(super) fn output_parts(&self) -> Details {
        first_readable([self.completion_details, self.output_details])
    }
}

impl Details {
    /// What was written to the cache.
    pub(super) fn cache_write(&self) -> u64 {
        [self.cache_write, self.cached_creation].into_iter().map(Count::part).find(|count| *count > 0).unwrap_or(0)
    }
}

/// Reads a report or a part of one. A list would fill the fields in order, so only an object will do.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a [u8]) -> Result<T, Fault> {
    let fault = Fault { field: "usage", problem: Problem::NotAnObject };
    if Shape::of(raw) != Shape::Object {
        return Err(fault);
    }
    serde_json::from_slice(raw).map_err(|_| fault)
}

fn first_readable(places: [Option<&RawValue>; 2]) -> Details {
    places.into_iter().flatten().find_map(|raw| object(raw.get().as_bytes()).ok()).unwrap_or_default()
}

/// What is read from an object field by field, so that a key may occur twice.
trait Fields<'de>: Default {
    type Key: Deserialize<'de>;

    fn set<A: MapAccess<'de>>(&mut self, key: Self::Key, map: &mut A) -> Result<(), A::Error>;
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'de, T: Fields<'de>> Visitor<'de> for FieldsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a usage report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut fields = T::default();
        while let Some(key) = map.next_key()? {
            fields.set(key, &mut map)?;
        }
        Ok(fields)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum WireKey {
    PromptTokens,
    CompletionTokens,
    TotalTokens,
    InputTokens,
    OutputTokens,
    PromptCacheHitTokens,
    CachedTokens,
    PromptTokensDetails,
    InputTokensDetails,
    CompletionTokensDetails,
    OutputTokensDetails,
    #[serde(other)]
    Other,
}

impl<'de> Fields<'de> for Wire<'de> {
    type Key = WireKey;

    fn set<A: MapAccess<'de>>(&mut self, key: WireKey, map: &mut A) -> Result<(), A::Error> {
        match key {
            WireKey::PromptTokens => self.prompt_tokens = map.next_value()?,
            WireKey::CompletionTokens => self.completion_tokens = map.next_value()?,
            WireKey::TotalTokens => self.total_tokens = map.next_value()?,
            WireKey::InputTokens => self.input_tokens = map.next_value()?,
            WireKey::OutputTokens => self.output_tokens = map.next_value()?,
            WireKey::PromptCacheHitTokens => self.prompt_cache_hit_tokens = map.next_value()?,
            WireKey::CachedTokens => self.cached_tokens = map.next_value()?,
            WireKey::PromptTokensDetails => self.prompt_details = map.next_value()?,
            WireKey::InputTokensDetails => self.input_details = map.next_value()?,
            WireKey::CompletionTokensDetails => self.completion_details = map.next_value()?,
            WireKey::OutputTokensDetails => self.output_details = map.next_value()?,
            WireKey::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum DetailsKey {
    CachedTokens,
    CacheWriteTokens,
    CachedCreationTokens,
    ImageTokens,
    AudioTokens,
    ReasoningTokens,
    #[serde(other)]
    Other,
}

impl<'de> Fields<'de> for Details {
    type Key = DetailsKey;

    fn set<A: MapAccess<'de>>(&mut self, key: DetailsKey, map: &mut A) -> Result<(), A::Error> {
        match key {
            DetailsKey::CachedTokens => self.cached = map.next_value()?,
            DetailsKey::CacheWriteTokens => self.cache_write = map.next_value()?,
            DetailsKey::CachedCreationTokens => self.cached_creation = map.next_value()?,
            DetailsKey::ImageTokens => self.image = map.next_value()?,
            DetailsKey::AudioTokens => self.audio = map.next_value()?,
            DetailsKey::ReasoningTokens => self.reasoning = map.next_value()?,
            DetailsKey::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

/// One counter as it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Count {
    /// Not named, or `null`.
    #[default]
    Absent,
    Is(u64),
    Bad(Problem),
}

impl Count {
    pub(super) fn get(self, field: &'static str) -> Result<u64, Fault> {
        self.read(field).map(|count| count.unwrap_or(0))
    }

    /// This counter, or the one under its other name where this one is missing or zero: gateways name both and fill in one.
    pub(super) fn or(self, other: Self, field: &'static str) -> Result<Option<u64>, Fault> {
        match (self, other) {
            (Self::Absent, other) | (Self::Is(0), other @ Self::Is(_)) => other.read(field),
            _ => self.read(field),
        }
    }

    /// As a part of a whole that is known: nothing, if it cannot be read.
    pub(super) fn part(self) -> u64 {
        self.get("").unwrap_or(0)
    }

    fn read(self, field: &'static str) -> Result<Option<u64>, Fault> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(count) if count > Usage::LIMIT => Err(Fault { field, problem: Problem::TooLarge }),
            Self::Is(count) => Ok(Some(count)),
            Self::Bad(problem) => Err(Fault { field, problem }),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a counter")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
        Ok(Count::Is(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Count, E> {
        Ok(u64::try_from(number).map_or(Count::Bad(Problem::Negative), Count::Is))
    }

    /// Some providers write `12.0`.
    fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
        Ok(if number < 0.0 {
            Count::Bad(Problem::Negative)
        } else if number >= LIMIT_AS_FLOAT {
            Count::Bad(Problem::TooLarge)
        } else if number.fract() != 0.0 {
            Count::Bad(Problem::Fraction)
        } else {
            Count::Is(truncated(number))
        })
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::Bad(Problem::NotANumber))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Count, E> {
        Ok(Count::Bad(Problem::NotANumber))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Bad(Problem::NotANumber))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Bad(Problem::NotANumber))
    }
}

/// Above [`Usage::LIMIT`] and exact in a float.
const LIMIT_AS_FLOAT: f64 = 2_199_023_255_552.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller checked that it is whole, not negative and small"
)]
fn truncated(number: f64) -> u64 {
    number as u64
}
