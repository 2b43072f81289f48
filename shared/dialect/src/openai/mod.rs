//! OpenAI Chat Completions and its relatives: completions, embeddings, reranking (which OpenAI itself does not have), moderations,
//! compaction of Responses, the model list.
//!
//! Same dialect on both sides: the body goes through as it came, and what must be known (model, stream, limits, usage, end) is read
//! beside it. Unknown fields are never touched. What is changed, and only if needed: the model name both ways, `stream_options` and the
//! output limit on the way up, the frame that carries nothing but usage on the way down.

mod answer;
mod limit;
mod models;
mod output;
mod prompt;
mod request;
mod stream;
mod usage;

pub use answer::{Answer, Content};
pub use models::{ModelCard, parse_model_list, render_model, render_model_list};
pub use output::{Finish, OutputCounts};
pub use prompt::PromptCounts;
pub use request::{Facts, MAX_CHOICES, MAX_OUTPUT_TOKENS, Request, RequestError, StreamOptions};
pub(crate) use stream::renamed_frame;
pub use stream::{StreamMeter, StreamSettings, Summary, Verdict};
pub use usage::{Fault, Problem, Reported, normalise};

/// The interfaces of this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/rerank`, in the form of Jina and Cohere.
    Rerank,
    /// `POST /v1/moderations`
    Moderations,
    /// `POST /v1/responses/compact`
    Compact,
}

impl Surface {
    /// Whether the answer is generated text: it can be streamed, and its length has a limit.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions)
    }
}
