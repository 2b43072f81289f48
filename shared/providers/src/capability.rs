//! What a provider can be asked for.

use serde::{Deserialize, Serialize};
use sluice_dialect::Surface;
use sluice_dialect::exchange::CountSurface;
use sluice_dialect::vendor::Vendor;

/// What a provider can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Chat completions.
    Chat,
    /// Legacy completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// The list of models.
    Models,
    /// Moderations.
    Moderations,
    /// Reranking.
    Rerank,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Responses: a conversation made shorter.
    ResponsesCompact,
    /// The tokens of a request for Responses.
    ResponsesInputTokens,
    /// Image generation.
    Images,
    /// Image editing.
    ImageEdits,
    /// Text to speech.
    Speech,
    /// Speech to text.
    Transcriptions,
    /// Speech to English text.
    Translations,
    /// Anthropic Messages.
    Messages,
    /// The tokens of a request for Messages.
    CountTokens,
    /// Gemini's `generateContent`, and `streamGenerateContent`.
    GenerateContent,
    /// Gemini's `countTokens`.
    GeminiCountTokens,
    /// Gemini's `embedContent`: one text.
    GeminiEmbeddings,
    /// Gemini's `batchEmbedContents`: several texts.
    GeminiBatchEmbeddings,
    /// Anything, at any address below the base URL, as a caller sends it.
    Raw,
    /// A conversation by a vendor's own protocol.
    #[serde(untagged)]
    Vendor(Vendor),
}

impl Capability {
    /// Every capability, in the order they are listed to people.
    pub const ALL: [Self; 33] = [
        Self::Chat,
        Self::Responses,
        Self::Messages,
        Self::GenerateContent,
        Self::Completions,
        Self::Embeddings,
        Self::Models,
        Self::Moderations,
        Self::Rerank,
        Self::Images,
        Self::ImageEdits,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::ResponsesCompact,
        Self::ResponsesInputTokens,
        Self::CountTokens,
        Self::GeminiCountTokens,
        Self::GeminiEmbeddings,
        Self::GeminiBatchEmbeddings,
        Self::Raw,
        Self::Vendor(Vendor::Ollama),
        Self::Vendor(Vendor::Cohere),
        Self::Vendor(Vendor::DashScope),
        Self::Vendor(Vendor::Dify),
        Self::Vendor(Vendor::Coze),
        Self::Vendor(Vendor::Hunyuan),
        Self::Vendor(Vendor::Wenxin),
        Self::Vendor(Vendor::ZhipuV3),
        Self::Vendor(Vendor::Replicate),
        Self::Vendor(Vendor::DeepL),
        Self::Vendor(Vendor::Spark),
        Self::Vendor(Vendor::Library),
    ];

    /// The method of its requests.
    #[must_use]
    pub fn method(self) -> http::Method {
        match self {
            Self::Models => http::Method::GET,
            _ => http::Method::POST,
        }
    }

    /// The word used in catalogue files, in JSON and in error messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Responses => "responses",
            Self::ResponsesCompact => "responses_compact",
            Self::ResponsesInputTokens => "responses_input_tokens",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::GenerateContent => "generate_content",
            Self::GeminiCountTokens => "gemini_count_tokens",
            Self::GeminiEmbeddings => "gemini_embeddings",
            Self::GeminiBatchEmbeddings => "gemini_batch_embeddings",
            Self::Raw => "raw",
            Self::Vendor(vendor) => vendor.as_str(),
        }
    }

    /// Whether Anthropic's headers belong to its requests.
    #[must_use]
    pub const fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }

    /// Whether it is one of Gemini's own verbs.
    pub(crate) const fn is_gemini(self) -> bool {
        matches!(self, Self::GenerateContent | Self::GeminiCountTokens | Self::GeminiEmbeddings | Self::GeminiBatchEmbeddings)
    }
}

impl From<Surface> for Capability {
    fn from(surface: Surface) -> Self {
        match surface {
            Surface::ChatCompletions | Surface::Edits => Self::Chat,
            Surface::Completions => Self::Completions,
            Surface::Embeddings => Self::Embeddings,
            Surface::EmbedContent => Self::GeminiEmbeddings,
            Surface::BatchEmbedContents => Self::GeminiBatchEmbeddings,
            Surface::Rerank => Self::Rerank,
            Surface::Moderations => Self::Moderations,
            Surface::Responses => Self::Responses,
            Surface::Compact => Self::ResponsesCompact,
            Surface::Messages => Self::Messages,
            Surface::GenerateContent => Self::GenerateContent,
            Surface::Vendor(vendor) => Self::Vendor(vendor),
        }
    }
}

impl From<CountSurface> for Capability {
    fn from(surface: CountSurface) -> Self {
        match surface {
            CountSurface::Messages => Self::CountTokens,
            CountSurface::Gemini => Self::GeminiCountTokens,
            CountSurface::Responses => Self::ResponsesInputTokens,
        }
    }
}
