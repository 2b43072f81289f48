//! A provider's usage report as disjoint counters (billing.md §4).
//!
//! In this dialect the prompt includes cached, image and audio tokens, and the completion includes reasoning and audio. Parts are cut
//! to what is left of their whole, so the classes always add up to it. A number nobody could honestly report is a [`Fault`], not a
//! guess.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluice_domain::Usage;

use crate::json::Shape;

/// What an answer says about its usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reported {
    /// Nothing, or only zeros.
    #[default]
    Missing,
    /// This much.
    Counted(Usage),
    /// Something that cannot be true.
    Implausible(Fault),
}

/// Which number cannot be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The field, as the provider writes it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Less than zero.
    Negative,
    /// More than [`Usage::LIMIT`].
    TooLarge,
    /// Not whole.
    Fraction,
    /// Not a number.
    NotANumber,
    /// The report itself is not an object.
    NotAnObject,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::Negative => "is negative",
            Problem::TooLarge => "is too large",
            Problem::Fraction => "is not a whole number",
            Problem::NotANumber => "is not a number",
            Problem::NotAnObject => "is not an object",
        };
        write!(f, "`{}` {problem}", self.field)
    }
}

/// Reads a raw `usage` object. `choice_usage` is a second one that some providers put into a choice: it serves where the first is
/// missing, and for the number of cached tokens.
#[must_use]
pub fn normalise(usage: Option<&[u8]>, choice_usage: Option<&[u8]>) -> Reported {
    let (Some(first), second) = (usage.or(choice_usage), choice_usage) else { return Reported::Missing };
    match count(first, second) {
        Ok(usage) if usage.is_empty() => Reported::Missing,
        Ok(usage) => Reported::Counted(usage),
        Err(fault) => Reported::Implausible(fault),
    }
}

fn count(first: &[u8], second: Option<&[u8]>) -> Result<Usage, Fault> {
    let wire: Wire<'_> = object(first, "usage")?;
    let cached_elsewhere = match second {
        Some(raw) => object::<Wire<'_>>(raw, "usage")?.cached(&Details::default())?,
        None => 0,
    };
    wire.partition(cached_elsewhere)
}

/// The counters as sent, of all providers that speak this dialect.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    /// DeepSeek, Zhipu.
    prompt_cache_hit_tokens: Count,
    /// Zhipu, Moonshot.
    cached_tokens: Count,
    #[serde(borrow, alias = "input_tokens_details")]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow, alias = "output_tokens_details")]
    completion_tokens_details: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(rename = "cached_tokens")]
    cached: Count,
    /// OpenRouter, and `cached_creation_tokens` in chained gateways.
    #[serde(rename = "cache_write_tokens", alias = "cached_creation_tokens")]
    cache_write: Count,
    #[serde(rename = "image_tokens")]
    image: Count,
    #[serde(rename = "audio_tokens")]
    audio: Count,
    #[serde(rename = "reasoning_tokens")]
    reasoning: Count,
}

/// Reads a report or a part of one. A list would fill the fields in order, so only an object will do.
fn object<'a, T: Deserialize<'a>>(raw: &'a [u8], field: &'static str) -> Result<T, Fault> {
    let fault = Fault { field, problem: Problem::NotAnObject };
    if Shape::of(raw) != Shape::Object {
        return Err(fault);
    }
    serde_json::from_slice(raw).map_err(|_| fault)
}

fn details(raw: Option<&RawValue>, field: &'static str) -> Result<Details, Fault> {
    raw.map_or(Ok(Details::default()), |raw| object(raw.get().as_bytes(), field))
}

impl Wire<'_> {
    fn cached(&self, input_parts: &Details) -> Result<u64, Fault> {
        let places = [
            input_parts.cached.get("cached_tokens")?,
            self.prompt_cache_hit_tokens.get("prompt_cache_hit_tokens")?,
            self.cached_tokens.get("cached_tokens")?,
        ];
        Ok(places.into_iter().find(|count| *count > 0).unwrap_or(0))
    }

    fn partition(&self, cached_elsewhere: u64) -> Result<Usage, Fault> {
        let total = self.total_tokens.get("total_tokens")?;
        let completion = self.completion_tokens.or(self.output_tokens, "completion_tokens")?;
        // Embedding providers may report the total alone: all of it went in.
        let prompt = self.prompt_tokens.or(self.input_tokens, "prompt_tokens")?;
        let prompt = prompt.unwrap_or_else(|| total.saturating_sub(completion.unwrap_or(0)));
        let completion = completion.unwrap_or_else(|| total.saturating_sub(prompt));

        let input_parts = details(self.prompt_tokens_details, "prompt_tokens_details")?;
        let output_parts = details(self.completion_tokens_details, "completion_tokens_details")?;
        let cached = self.cached(&input_parts)?;

        let mut input = prompt;
        let mut take = |part: u64| {
            let part = part.min(input);
            input -= part;
            part
        };
        let cache_read = take(if cached > 0 { cached } else { cached_elsewhere });
        let cache_write_5m = take(input_parts.cache_write.get("cache_write_tokens")?);
        let image_input = take(input_parts.image.get("image_tokens")?);
        let audio_input = take(input_parts.audio.get("audio_tokens")?);

        let audio_output = output_parts.audio.get("audio_tokens")?.min(completion);
        let output = completion - audio_output;
        let reasoning = output_parts.reasoning.get("reasoning_tokens")?.min(output);
        Ok(Usage {
            input,
            output,
            reasoning,
            cache_read,
            cache_write_5m,
            cache_write_1h: 0,
            image_input,
            audio_input,
            audio_output,
        })
    }
}

/// One counter as it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Count {
    #[default]
    Absent,
    Is(u64),
    Bad(Problem),
}

impl Count {
    fn get(self, field: &'static str) -> Result<u64, Fault> {
        self.read(field).map(|count| count.unwrap_or(0))
    }

    fn or(self, other: Self, field: &'static str) -> Result<Option<u64>, Fault> {
        if self == Self::Absent { other.read(field) } else { self.read(field) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Reported {
        normalise(Some(json.as_bytes()), None)
    }

    fn counted(json: &str) -> Usage {
        match read(json) {
            Reported::Counted(usage) => usage,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn reports_of_known_providers_become_disjoint_counters() {
        let rows = [
            (
                r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":5,"audio_tokens":2},"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":3,"accepted_prediction_tokens":0}}"#,
                Usage { input: 12, cache_read: 5, audio_input: 2, output: 7, audio_output: 3, reasoning: 4, ..Usage::default() },
            ),
            (
                r#"{"prompt_tokens":100,"completion_tokens":1,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#,
                Usage { input: 36, cache_read: 64, output: 1, ..Usage::default() },
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":4}"#,
                Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() },
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3},"cost":0.1}"#,
                Usage { input: 5, cache_read: 2, cache_write_5m: 3, output: 1, ..Usage::default() },
            ),
            (
                r#"{"input_tokens":50,"output_tokens":20,"input_tokens_details":{"image_tokens":40,"text_tokens":10}}"#,
                Usage { input: 10, image_input: 40, output: 20, ..Usage::default() },
            ),
            (r#"{"prompt_tokens":8,"total_tokens":8}"#, Usage { input: 8, ..Usage::default() }),
            (r#"{"total_tokens":8}"#, Usage { input: 8, ..Usage::default() }),
            (r#"{"prompt_tokens":8,"total_tokens":11}"#, Usage { input: 8, output: 3, ..Usage::default() }),
            (
                r#"{"prompt_tokens":8.0,"completion_tokens":null,"prompt_tokens_details":null}"#,
                Usage { input: 8, ..Usage::default() },
            ),
        ];
        for (json, usage) in rows {
            assert_eq!(counted(json), usage, "{json}");
        }
    }

    #[test]
    fn cached_tokens_of_a_choice_are_used_when_the_answer_names_none() {
        let usage = normalise(Some(br#"{"prompt_tokens":10,"completion_tokens":1}"#), Some(br#"{"cached_tokens":4}"#));
        assert_eq!(usage, Reported::Counted(Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() }));
        let usage = normalise(None, Some(br#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":4}"#));
        assert_eq!(usage, Reported::Counted(Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() }));
    }

    #[test]
    fn no_report_and_zeros_are_missing() {
        assert_eq!(normalise(None, None), Reported::Missing);
        assert_eq!(read("{}"), Reported::Missing);
        assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#), Reported::Missing);
    }

    #[test]
    fn numbers_that_cannot_be_true_are_named() {
        let rows = [
            (r#"{"prompt_tokens":-1}"#, "prompt_tokens", Problem::Negative),
            (r#"{"prompt_tokens":-1.5}"#, "prompt_tokens", Problem::Negative),
            (r#"{"prompt_tokens":1.5}"#, "prompt_tokens", Problem::Fraction),
            (r#"{"completion_tokens":1e300}"#, "completion_tokens", Problem::TooLarge),
            (r#"{"completion_tokens":18446744073709551615}"#, "completion_tokens", Problem::TooLarge),
            (r#"{"completion_tokens":1099511627777}"#, "completion_tokens", Problem::TooLarge),
            (r#"{"completion_tokens":1099511627777.0}"#, "completion_tokens", Problem::TooLarge),
            (r#"{"total_tokens":99999999999999999999999}"#, "total_tokens", Problem::TooLarge),
            (r#"{"prompt_tokens":"12"}"#, "prompt_tokens", Problem::NotANumber),
            (r#"{"prompt_tokens":[1]}"#, "prompt_tokens", Problem::NotANumber),
            (r#"{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":{}}}"#, "cached_tokens", Problem::NotANumber),
            (r#"{"prompt_tokens":1,"prompt_tokens_details":7}"#, "prompt_tokens_details", Problem::NotAnObject),
            (r#"{"prompt_tokens":1,"completion_tokens_details":[7]}"#, "completion_tokens_details", Problem::NotAnObject),
            ("[1,2]", "usage", Problem::NotAnObject),
            ("\"many\"", "usage", Problem::NotAnObject),
        ];
        for (json, field, problem) in rows {
            assert_eq!(read(json), Reported::Implausible(Fault { field, problem }), "{json}");
        }
    }

    proptest! {
        #[test]
        fn classes_partition_the_total(
            prompt in 0..=Usage::LIMIT, completion in 0..=Usage::LIMIT, cached in 0..=Usage::LIMIT, written in 0_u64..1000,
            image in 0_u64..1000, audio in 0_u64..1000, spoken in 0_u64..1000, reasoning in 0..=Usage::LIMIT,
        ) {
            prop_assume!(prompt + completion > 0);
            let usage = counted(&format!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written},"image_tokens":{image},"audio_tokens":{audio}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":{spoken}}}}}"#
            ));
            prop_assert_eq!(usage.total_input(), prompt);
            prop_assert_eq!(usage.total_output(), completion);
            prop_assert!(usage.reasoning <= usage.output);
            prop_assert!(usage.is_plausible());
        }

        #[test]
        fn any_report_is_read_without_panic(report in ".{0,60}", number in any::<f64>(), integer in any::<i64>()) {
            let _ = read(&report);
            let _ = read(&format!(r#"{{"prompt_tokens":{number:e},"completion_tokens":{integer}}}"#));
        }
    }
}
