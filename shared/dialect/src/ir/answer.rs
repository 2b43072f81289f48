//! What came back, when all of it is here.

use serde_json::Value;
use sluice_domain::Usage;

use super::Block;

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// The provider's id of it, empty when it gave none.
    pub id: String,
    /// When, in seconds since 1970, if the provider said.
    pub created: Option<i64>,
    /// The model, as the provider calls it; empty when it said nothing.
    pub model: String,
    /// The answers, by index. A blocked prompt has one without blocks, ended by [`Finish::Filter`].
    pub choices: Vec<Choice>,
    /// What it consumed. `None`: the provider did not say, or said only zeros.
    pub usage: Option<Usage>,
    /// The tier it was served in, in the provider's word.
    pub service_tier: Option<String>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Its number, from 0.
    pub index: u32,
    /// What it is made of, in order.
    pub blocks: Vec<Block>,
    /// Why it ended. `None`: the provider did not say.
    pub finish: Option<Finish>,
    /// The text that ended it, with [`Finish::StopSequence`].
    pub stop_sequence: Option<String>,
    /// Log probabilities of its tokens, in order.
    pub logprobs: Vec<TokenLogprob>,
}

/// How likely a token was.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, where it is not the whole of a text.
    pub bytes: Option<Vec<u8>>,
    /// What else could have been there.
    pub top: Vec<TokenLogprob>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// By itself.
    Stop,
    /// At a text the caller gave.
    StopSequence,
    /// To call tools.
    Tool,
    /// At the output limit.
    Length,
    /// The context is full.
    ContextFull,
    /// A filter cut it.
    Filter {
        /// The provider's own word, for callers of the same dialect.
        detail: Option<String>,
    },
    /// The model declined.
    Refusal,
    /// The provider paused a long turn; it goes on when the answer is sent back (Anthropic).
    Pause,
    /// The model wrote a call that is none.
    MalformedCall,
    /// For a reason that has no counterpart: the provider's word.
    Other(String),
}

impl Finish {
    /// What it is when tools were called: a stop is for the tools, anything else stays what it is.
    #[must_use]
    pub fn with_calls(self, has_calls: bool) -> Self {
        if has_calls && matches!(self, Self::Stop) { Self::Tool } else { self }
    }
}

impl TokenLogprob {
    /// As Chat and Responses write it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let one = |token: &Self| {
            let bytes = token.bytes.clone().unwrap_or_else(|| token.token.as_bytes().to_vec());
            serde_json::json!({"token": token.token, "logprob": token.logprob, "bytes": bytes})
        };
        let mut written = one(self);
        if let Some(written) = written.as_object_mut() {
            written.insert("top_logprobs".to_owned(), self.top.iter().map(one).collect());
        }
        written
    }
}
