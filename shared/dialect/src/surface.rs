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
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
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
        }
    }
}

impl Surface {
    /// Every surface of callers, for metrics that start at zero.
    pub const ALL: [Self; 6] =
        [Self::ChatCompletions, Self::Completions, Self::Embeddings, Self::Responses, Self::Messages, Self::GenerateContent];

    /// The path callers use; a vendor's own interface has none.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
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
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
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
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Vendor(_) => Dialect::OpenAi,
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
