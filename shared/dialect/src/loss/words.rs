//! The words by which channels name what may be lost.

use super::Field;

impl Field {
    /// Every field that has a word.
    pub const ALL: [Self; 33] = [
        Self::Seed,
        Self::FrequencyPenalty,
        Self::PresencePenalty,
        Self::LogitBias,
        Self::Logprobs,
        Self::TopK,
        Self::TopP,
        Self::Temperature,
        Self::Stop,
        Self::Choices,
        Self::ParallelTools,
        Self::ToolChoice,
        Self::Verbosity,
        Self::User,
        Self::Metadata,
        Self::Store,
        Self::ServiceTier,
        Self::CacheKey,
        Self::CacheMarks,
        Self::Safety,
        Self::OutputFormat,
        Self::Reasoning,
        Self::Modalities,
        Self::Image,
        Self::ImageDetail,
        Self::Audio,
        Self::Video,
        Self::Document,
        Self::FileId,
        Self::Prefill,
        Self::ServerTool,
        Self::WebSearch,
        Self::NativePart,
    ];

    /// Its word in a channel's settings; `None`: it belongs to one dialect alone, and its path names it.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::Seed => "seed",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::PresencePenalty => "presence_penalty",
            Self::LogitBias => "logit_bias",
            Self::Logprobs => "logprobs",
            Self::TopK => "top_k",
            Self::TopP => "top_p",
            Self::Temperature => "temperature",
            Self::Stop => "stop",
            Self::Choices => "choices",
            Self::ParallelTools => "parallel_tools",
            Self::ToolChoice => "tool_choice",
            Self::Verbosity => "verbosity",
            Self::User => "user",
            Self::Metadata => "metadata",
            Self::Store => "store",
            Self::ServiceTier => "service_tier",
            Self::CacheKey => "cache_key",
            Self::CacheMarks => "cache_marks",
            Self::Safety => "safety",
            Self::OutputFormat => "output_format",
            Self::Reasoning => "reasoning",
            Self::Modalities => "modalities",
            Self::Image => "image",
            Self::ImageDetail => "image_detail",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
            Self::FileId => "file_id",
            Self::Prefill => "prefill",
            Self::ServerTool => "server_tool",
            Self::WebSearch => "web_search",
            Self::NativePart => "native_part",
            Self::Native(_) => return None,
        })
    }

    /// The field of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.word() == Some(word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_is_found_by_a_word_of_its_own() {
        let words: BTreeSet<&str> = Field::ALL.into_iter().filter_map(Field::word).collect();
        assert_eq!(words.len(), Field::ALL.len());
        for field in Field::ALL {
            assert_eq!(field.word().and_then(Field::from_word), Some(field));
        }
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')), "{words:?}");
        assert_eq!((Field::Native("seed").word(), Field::from_word("top_z")), (None, None));
    }
}
