//! The interfaces a caller can ask a model at.

use sluice_domain::Dialect;

use crate::openai;

/// An interface that takes a body and answers with what a model made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1beta/models/{model}:generateContent`, and `:streamGenerateContent`
    GenerateContent,
}

impl From<openai::Surface> for Surface {
    fn from(surface: openai::Surface) -> Self {
        match surface {
            openai::Surface::ChatCompletions => Self::ChatCompletions,
            openai::Surface::Completions => Self::Completions,
            openai::Surface::Embeddings => Self::Embeddings,
        }
    }
}

impl Surface {
    /// Every surface, for metrics that start at zero.
    pub const ALL: [Self; 6] =
        [Self::ChatCompletions, Self::Completions, Self::Embeddings, Self::Responses, Self::Messages, Self::GenerateContent];

    /// The path callers use.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::GenerateContent => "/v1beta/models/{model}:generateContent",
        }
    }

    /// The word used in logs and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
        }
    }

    /// The dialect that is spoken there.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Responses => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
            Self::GenerateContent => Dialect::Gemini,
        }
    }

    /// Whether the answer is generated text: it can be streamed, and its length has a limit.
    #[must_use]
    pub const fn generates(self) -> bool {
        !matches!(self, Self::Embeddings)
    }

    /// Whether it is a conversation, which any other such surface can serve.
    #[must_use]
    pub const fn converses(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Responses | Self::Messages | Self::GenerateContent)
    }
}
