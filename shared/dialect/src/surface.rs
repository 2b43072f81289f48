//! The interfaces a caller can ask a model at.

use sluice_domain::Dialect;

use crate::frames::Framing;
use crate::openai;
use crate::vendor::Vendor;

/// An interface that takes a body and answers with what a model made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/edits`: older than chat, and asked for as chat.
    Edits,
    /// `POST /v1/embeddings`, and `/v1/engines/{model}/embeddings`
    Embeddings,
    /// `POST /v1beta/models/{model}:embedContent`
    EmbedContent,
    /// `POST /v1beta/models/{model}:batchEmbedContents`
    BatchEmbedContents,
    /// `POST /v1/rerank`, `/rerank` and `/v2/rerank`
    Rerank,
    /// `POST /v1/moderations`
    Moderations,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/responses/compact`: a conversation made shorter
    Compact,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1beta/models/{model}:generateContent`, and `:streamGenerateContent`
    GenerateContent,
    /// An interface that one vendor's upstreams have, and no caller can ask at.
    Vendor(Vendor),
}

impl From<openai::Surface> for Surface {
    fn from(surface: openai::Surface) -> Self {
        match surface {
            openai::Surface::ChatCompletions => Self::ChatCompletions,
            openai::Surface::Completions => Self::Completions,
            openai::Surface::Embeddings => Self::Embeddings,
            openai::Surface::Rerank => Self::Rerank,
            openai::Surface::Moderations => Self::Moderations,
            openai::Surface::Compact => Self::Compact,
        }
    }
}

impl Surface {
    /// Every surface of callers, for metrics that start at zero.
    pub const ALL: [Self; 12] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Edits,
        Self::Embeddings,
        Self::EmbedContent,
        Self::BatchEmbedContents,
        Self::Rerank,
        Self::Moderations,
        Self::Responses,
        Self::Compact,
        Self::Messages,
        Self::GenerateContent,
    ];

    /// The path callers use; a vendor's own interface has none.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Edits => "/v1/edits",
            Self::Embeddings => "/v1/embeddings",
            Self::EmbedContent => "/v1beta/models/{model}:embedContent",
            Self::BatchEmbedContents => "/v1beta/models/{model}:batchEmbedContents",
            Self::Rerank => "/v1/rerank",
            Self::Moderations => "/v1/moderations",
            Self::Responses => "/v1/responses",
            Self::Compact => "/v1/responses/compact",
            Self::Messages => "/v1/messages",
            Self::GenerateContent => "/v1beta/models/{model}:generateContent",
            Self::Vendor(_) => "",
        }
    }

    /// The word used in logs and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Edits => "edits",
            Self::Embeddings => "embeddings",
            Self::EmbedContent => "embed_content",
            Self::BatchEmbedContents => "batch_embed_contents",
            Self::Rerank => "rerank",
            Self::Moderations => "moderations",
            Self::Responses => "responses",
            Self::Compact => "compact",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
            Self::Vendor(vendor) => vendor.as_str(),
        }
    }

    /// The dialect that is spoken there. A vendor's own interface takes conversations of the form that Chat has: roles, ids and names of calls
    /// are fitted to that.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Edits
            | Self::Embeddings
            | Self::Rerank
            | Self::Moderations
            | Self::Vendor(_) => Dialect::OpenAi,
            Self::Responses | Self::Compact => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
            Self::GenerateContent | Self::EmbedContent | Self::BatchEmbedContents => Dialect::Gemini,
        }
    }

    /// Whether the answer is generated text, which is held for and paid for by its length.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(self, Self::Completions | Self::Edits) || self.converses()
    }

    /// The surface an upstream is asked at first: the same, but for edits, which nobody has any more.
    #[must_use]
    pub const fn asked_as(self) -> Self {
        match self {
            Self::Edits => Self::ChatCompletions,
            same => same,
        }
    }

    /// Whether its tokens count for limits of tokens. Moderation is a service to callers, not a use of a model.
    #[must_use]
    pub const fn weighs(self) -> bool {
        !matches!(self, Self::Moderations)
    }

    /// Whether its answers are vectors, which any other such surface can serve.
    #[must_use]
    pub const fn embeds(self) -> bool {
        matches!(self, Self::Embeddings | Self::EmbedContent | Self::BatchEmbedContents)
    }

    /// Whether it is a conversation of a caller's, which any other such surface, and any vendor's, can serve.
    #[must_use]
    pub const fn converses(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Responses | Self::Messages | Self::GenerateContent)
    }

    /// What its streams are cut into, where nothing is wrapped around them.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            Self::Vendor(vendor) => vendor.framing(),
            _ => Framing::Events,
        }
    }
}
