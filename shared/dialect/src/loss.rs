//! What a target cannot say: left out and named, or refused before anybody is asked.
//!
//! A writer tells [`Losses`] of everything it cannot express, with what is usual for it: [`Losses::drop`] for what is only advice, and
//! [`Losses::reject`] where the answer would be wrong without it. A channel may turn either into the other. Whoever gets `Ok` goes on
//! without the field.

use std::collections::BTreeSet;

use sluice_domain::Dialect;

use crate::surface::Surface;

mod words;

/// Something a request says that not every target can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Random seed.
    Seed,
    /// Frequency penalty.
    FrequencyPenalty,
    /// Presence penalty.
    PresencePenalty,
    /// Biases of tokens.
    LogitBias,
    /// Log probabilities.
    Logprobs,
    /// Likeliest tokens.
    TopK,
    /// Nucleus sampling.
    TopP,
    /// Temperature.
    Temperature,
    /// Texts that end the answer.
    Stop,
    /// More than one answer.
    Choices,
    /// Several calls in one answer, or not.
    ParallelTools,
    /// Whether and which tools are called.
    ToolChoice,
    /// How many words are made.
    Verbosity,
    /// The end user's name.
    User,
    /// Labels.
    Metadata,
    /// Whether the answer may be kept.
    Store,
    /// Urgency.
    ServiceTier,
    /// Key of the prompt cache.
    CacheKey,
    /// Marks of the prompt cache.
    CacheMarks,
    /// Filters of harm.
    Safety,
    /// The form of the answer.
    OutputFormat,
    /// Reasoning, asked for or sent back.
    Reasoning,
    /// Speech or images as answer.
    Modalities,
    /// An image.
    Image,
    /// How closely an image is looked at.
    ImageDetail,
    /// Sound.
    Audio,
    /// A film.
    Video,
    /// A document.
    Document,
    /// A file in another provider's store.
    FileId,
    /// A turn of the model's at the end, to be continued.
    Prefill,
    /// A tool of another provider's own.
    ServerTool,
    /// A search of the web.
    WebSearch,
    /// A part of the history that only another provider understands.
    NativePart,
    /// A field of the caller's dialect alone.
    Native(&'static str),
}

impl Field {
    /// Its path in a dialect, where a caller of that dialect has written it.
    #[must_use]
    #[expect(clippy::match_same_arms, reason = "a table, field by field")]
    pub const fn name_in(self, dialect: Dialect) -> &'static str {
        use Dialect::{Anthropic, Gemini, OpenAi, Responses};
        match (self, dialect) {
            (Self::Native(path), _) => path,
            (Self::Seed, Gemini) => "generationConfig.seed",
            (Self::Seed, _) => "seed",
            (Self::FrequencyPenalty, Gemini) => "generationConfig.frequencyPenalty",
            (Self::FrequencyPenalty, _) => "frequency_penalty",
            (Self::PresencePenalty, Gemini) => "generationConfig.presencePenalty",
            (Self::PresencePenalty, _) => "presence_penalty",
            (Self::LogitBias, _) => "logit_bias",
            (Self::Logprobs, Gemini) => "generationConfig.responseLogprobs",
            (Self::Logprobs, Responses) => "top_logprobs",
            (Self::Logprobs, _) => "logprobs",
            (Self::TopK, Gemini) => "generationConfig.topK",
            (Self::TopK, _) => "top_k",
            (Self::TopP, Gemini) => "generationConfig.topP",
            (Self::TopP, _) => "top_p",
            (Self::Temperature, Gemini) => "generationConfig.temperature",
            (Self::Temperature, _) => "temperature",
            (Self::Stop, Gemini) => "generationConfig.stopSequences",
            (Self::Stop, Anthropic) => "stop_sequences",
            (Self::Stop, _) => "stop",
            (Self::Choices, Gemini) => "generationConfig.candidateCount",
            (Self::Choices, _) => "n",
            (Self::ParallelTools, Anthropic) => "tool_choice.disable_parallel_tool_use",
            (Self::ParallelTools, _) => "parallel_tool_calls",
            (Self::ToolChoice, Gemini) => "toolConfig.functionCallingConfig",
            (Self::ToolChoice, _) => "tool_choice",
            (Self::Verbosity, Responses) => "text.verbosity",
            (Self::Verbosity, _) => "verbosity",
            (Self::User, Anthropic) => "metadata.user_id",
            (Self::User, _) => "user",
            (Self::Metadata, Gemini) => "labels",
            (Self::Metadata, _) => "metadata",
            (Self::Store, _) => "store",
            (Self::ServiceTier, Gemini) => "serviceTier",
            (Self::ServiceTier, _) => "service_tier",
            (Self::CacheKey, _) => "prompt_cache_key",
            (Self::CacheMarks, _) => "cache_control",
            (Self::Safety, _) => "safetySettings",
            (Self::OutputFormat, OpenAi) => "response_format",
            (Self::OutputFormat, Responses) => "text.format",
            (Self::OutputFormat, Anthropic) => "output_config.format",
            (Self::OutputFormat, Gemini) => "generationConfig.responseSchema",
            (Self::Reasoning, OpenAi) => "reasoning_effort",
            (Self::Reasoning, Responses) => "reasoning",
            (Self::Reasoning, Anthropic) => "thinking",
            (Self::Reasoning, Gemini) => "generationConfig.thinkingConfig",
            (Self::Modalities, Gemini) => "generationConfig.responseModalities",
            (Self::Modalities, _) => "modalities",
            (Self::Image, OpenAi) => "image_url",
            (Self::Image, Responses) => "input_image",
            (Self::Image, Anthropic) => "image",
            (Self::ImageDetail, Gemini) => "generationConfig.mediaResolution",
            (Self::ImageDetail, _) => "detail",
            (Self::Audio, OpenAi | Responses) => "input_audio",
            (Self::Audio, Anthropic) => "audio",
            (Self::Video, OpenAi) => "video_url",
            (Self::Video, Responses | Anthropic) => "video",
            (Self::Document, OpenAi) => "file",
            (Self::Document, Responses) => "input_file",
            (Self::Document, Anthropic) => "document",
            (Self::Image | Self::Audio | Self::Video | Self::Document, Gemini) => "inlineData",
            (Self::FileId, Gemini) => "fileData.fileUri",
            (Self::FileId, _) => "file_id",
            (Self::Prefill, OpenAi | Anthropic) => "messages",
            (Self::Prefill, Responses) => "input",
            (Self::Prefill, Gemini) => "contents",
            (Self::ServerTool, _) => "tools",
            (Self::WebSearch, OpenAi) => "web_search_options",
            (Self::WebSearch, _) => "tools",
            (Self::NativePart, Responses) => "input",
            (Self::NativePart, Gemini) => "contents",
            (Self::NativePart, _) => "messages",
        }
    }
}

/// What a channel does otherwise than usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LossPolicy {
    /// Left out, though usually refused.
    pub drop: BTreeSet<Field>,
    /// Refused, though usually left out.
    pub reject: BTreeSet<Field>,
}

/// A request that the target cannot serve: answer 400, in the caller's dialect, and ask nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {reason} ({target})")]
pub struct Unsupported {
    /// The field, as the caller's dialect calls it.
    pub path: &'static str,
    /// Why, as a clause that follows the field: `cannot be sent to this model's provider`.
    pub reason: &'static str,
    /// The upstream's dialect, as people call it: `Anthropic Messages`.
    pub target: &'static str,
}

/// The reason that fits most fields.
pub const NO_COUNTERPART: &str = "has no counterpart at the provider of this model";

/// Gathers what is lost on the way to one target.
#[derive(Debug, Clone)]
pub struct Losses<'p> {
    client: Dialect,
    target: &'static str,
    policy: &'p LossPolicy,
    dropped: BTreeSet<&'static str>,
}

impl<'p> Losses<'p> {
    /// Nothing is lost yet on the way from a caller's dialect to an upstream's.
    #[must_use]
    pub const fn new(client: Dialect, target: Dialect, policy: &'p LossPolicy) -> Self {
        let target = match target {
            Dialect::OpenAi => "OpenAI Chat",
            Dialect::Responses => "OpenAI Responses",
            Dialect::Anthropic => "Anthropic Messages",
            Dialect::Gemini => "Gemini",
        };
        Self { client, target, policy, dropped: BTreeSet::new() }
    }

    /// The same on the way to any surface.
    #[must_use]
    pub const fn towards(client: Dialect, surface: Surface, policy: &'p LossPolicy) -> Self {
        match surface {
            Surface::Vendor(vendor) => Self { client, target: vendor.title(), policy, dropped: BTreeSet::new() },
            _ => Self::new(client, surface.dialect(), policy),
        }
    }

    /// Leaves something out that is only advice.
    ///
    /// # Errors
    /// When the channel wants it refused.
    pub fn drop(&mut self, field: Field) -> Result<(), Unsupported> {
        let path = field.name_in(self.client);
        if self.policy.reject.contains(&field) {
            return Err(self.unsupported(path, NO_COUNTERPART));
        }
        self.dropped.insert(path);
        Ok(())
    }

    /// Refuses something without which the answer would be wrong.
    ///
    /// # Errors
    /// Unless the channel wants it left out.
    pub fn reject(&mut self, field: Field) -> Result<(), Unsupported> {
        self.reject_because(field, NO_COUNTERPART)
    }

    /// The same with a reason of its own.
    ///
    /// # Errors
    /// Unless the channel wants it left out.
    pub fn reject_because(&mut self, field: Field, reason: &'static str) -> Result<(), Unsupported> {
        let path = field.name_in(self.client);
        if !self.policy.drop.contains(&field) {
            return Err(self.unsupported(path, reason));
        }
        self.dropped.insert(path);
        Ok(())
    }

    /// The fields that were left out, as the caller calls them, for `x-sluice-dropped-fields`.
    pub fn dropped(&self) -> impl Iterator<Item = &'static str> {
        self.dropped.iter().copied()
    }

    const fn unsupported(&self, path: &'static str, reason: &'static str) -> Unsupported {
        Unsupported { path, reason, target: self.target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_turns_one_policy_into_the_other() {
        let usual = LossPolicy::default();
        let mut losses = Losses::new(Dialect::Anthropic, Dialect::Responses, &usual);
        assert_eq!(losses.drop(Field::TopK), Ok(()));
        let refused = losses.reject(Field::Stop).unwrap_err();
        assert_eq!(refused.to_string(), "`stop_sequences` has no counterpart at the provider of this model (OpenAI Responses)");
        assert_eq!(losses.dropped().collect::<Vec<_>>(), ["top_k"]);

        let policy = LossPolicy { drop: [Field::Stop].into(), reject: [Field::TopK].into() };
        let mut losses = Losses::new(Dialect::Anthropic, Dialect::Responses, &policy);
        assert_eq!(losses.reject(Field::Stop), Ok(()));
        assert!(losses.drop(Field::TopK).is_err());
        assert_eq!(losses.dropped().collect::<Vec<_>>(), ["stop_sequences"]);
    }
}
