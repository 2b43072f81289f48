//! A provider's usage report as disjoint counters (billing.md §4).
//!
//! In this dialect the prompt includes cached, image and audio tokens, and the completion includes reasoning and audio. Parts are cut
//! to what is left of their whole, so the classes always add up to it. A whole that nobody could honestly report is a [`Fault`], not a
//! guess; a part that cannot be read is no part.

use std::fmt;

use sluice_domain::Usage;

use self::wire::{Details, Wire, object};

mod wire;

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
    let wire: Wire<'_> = object(first)?;
    let elsewhere = second.and_then(|raw| object::<Wire<'_>>(raw).ok());
    partition(&wire, elsewhere.map_or(0, |wire| cached(&wire, &Details::default())))
}

fn cached(wire: &Wire<'_>, input_parts: &Details) -> u64 {
    let places = [input_parts.cached, wire.prompt_cache_hit_tokens, wire.cached_tokens];
    places.into_iter().map(wire::Count::part).find(|count| *count > 0).unwrap_or(0)
}

fn partition(wire: &Wire<'_>, cached_elsewhere: u64) -> Result<Usage, Fault> {
    let total = wire.total_tokens.get("total_tokens")?;
    let completion = wire.completion_tokens.or(wire.output_tokens, "completion_tokens")?;
    // Embedding providers may report the total alone: all of it went in.
    let prompt = wire.prompt_tokens.or(wire.input_tokens, "prompt_tokens")?;
    let prompt = prompt.unwrap_or_else(|| total.saturating_sub(completion.unwrap_or(0)));
    let completion = completion.unwrap_or_else(|| total.saturating_sub(prompt));

    let input_parts = wire.input_parts();
    let output_parts = wire.output_parts();
    let cached = cached(wire, &input_parts);

    let mut input = prompt;
    let mut take = |part: u64| {
        let part = part.min(input);
        input -= part;
        part
    };
    let cache_read = take(if cached > 0 { cached } else { cached_elsewhere });
    let cache_write_5m = take(input_parts.cache_write());
    let image_input = take(input_parts.image.part());
    let audio_input = take(input_parts.audio.part());

    // Some vendors count reasoning beside the completion: their total says so.
    let reasoning = output_parts.reasoning.part();
    let is_on_top = reasoning > 0 && prompt.saturating_add(completion).saturating_add(reasoning) == total;
    let completion = if is_on_top { completion.saturating_add(reasoning) } else { completion };

    let audio_output = output_parts.audio.part().min(completion);
    let output = completion - audio_output;
    let reasoning = reasoning.min(output);
    Ok(Usage { input, output, reasoning, cache_read, cache_write_5m, cache_write_1h: 0, image_input, audio_input, audio_output })
}

#[cfg(test)]
mod tests;
