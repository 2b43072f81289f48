//! What is asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Block, CacheMark, Family, Turn};

/// A request for a model's answer. `None` and empty mean: the caller said nothing about it. Zero is a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model, as the caller calls it.
    pub model: String,
    /// The answer is to be streamed.
    pub stream: bool,
    /// Instructions before the first turn: [`Block::Text`] only.
    pub system: Vec<Block>,
    /// The conversation.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which.
    pub tool_choice: ToolChoice,
    /// Several calls in one answer are allowed.
    pub parallel_tools: Option<bool>,
    /// How much is to be thought, and what of it is shown.
    pub reasoning: Reasoning,
    /// The form of the answer.
    pub output: OutputFormat,
    /// How many words are made.
    pub verbosity: Option<Verbosity>,
    /// The longest answer, in tokens.
    pub max_output: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens are considered.
    pub top_k: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many answers; `None` is one.
    pub choices: Option<u32>,
    /// For repeatable answers.
    pub seed: Option<i64>,
    /// −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// −2 to 2.
    pub presence_penalty: Option<f64>,
    /// Log probabilities are asked for, with so many alternatives of each token.
    pub logprobs: Option<u32>,
    /// Token → bias.
    pub logit_bias: Option<Map<String, Value>>,
    /// What the answer may be made of; empty: text.
    pub modalities: Vec<Modality>,
    /// How speech is to sound.
    pub audio: Option<AudioOut>,
    /// The caller's own name for its user.
    pub user: Option<String>,
    /// The caller's labels.
    pub metadata: Option<Map<String, Value>>,
    /// How urgent it is.
    pub service_tier: Option<ServiceTier>,
    /// The provider may keep the answer.
    pub store: Option<bool>,
    /// Requests with the same key share a prompt cache.
    pub cache_key: Option<String>,
    /// Fields that only the caller's dialect has, by their path there.
    pub native: Vec<NativeField>,
    /// What is merged into the body of one family last, as the caller wrote it (`google`, `anthropic`).
    pub extra: BTreeMap<Family, Map<String, Value>>,
}

/// A field that no other dialect has.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeField {
    /// Its path in the caller's body, for instance `container`.
    pub path: &'static str,
    /// Without it the answer would be wrong: refused elsewhere. Otherwise it is left out.
    pub is_essential: bool,
}

/// Something the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function of the caller's.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// JSON Schema of its arguments; `None` where there is none or an empty one.
        schema: Option<Value>,
        /// The model must keep to the schema.
        strict: Option<bool>,
        /// The provider may cache the prompt up to here.
        cache: Option<CacheMark>,
    },
    /// A search of the web by the provider.
    WebSearch {
        /// How much of it: at most so many searches.
        max_uses: Option<u32>,
        /// Where the caller's user is: OpenAI's `user_location` (`city`, `country`, `region`, `timezone`).
        location: Option<Map<String, Value>>,
    },
    /// Another tool of the provider's own: refused elsewhere.
    Native {
        /// Whose it is.
        family: Family,
        /// Its kind on the wire, for instance `code_interpreter`.
        kind: String,
        /// The declaration.
        raw: Value,
    },
}

/// Whether and which tools are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// Nothing was said.
    #[default]
    Unset,
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Any,
    /// This one.
    Named(String),
    /// Of these only.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// At least one of them.
        is_required: bool,
    },
}

/// How much is to be thought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// Whether at all.
    pub mode: ReasoningMode,
    /// As a level.
    pub effort: Option<Effort>,
    /// In tokens.
    pub budget: Option<u32>,
    /// What of it the caller sees.
    pub show: Option<Show>,
    /// The caller asked for encrypted reasoning, to send it back.
    pub encrypted: bool,
}

/// Whether the model thinks first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReasoningMode {
    /// Nothing was said.
    #[default]
    Unset,
    /// It does not.
    Off,
    /// It does; how much is the model's decision where no effort or budget is given.
    On,
}

/// How hard the model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Usually.
    Medium,
    /// Much.
    High,
    /// Very much.
    Xhigh,
    /// As much as it can.
    Max,
}

impl Effort {
    /// Every level, from the lowest.
    pub const ALL: [Self; 6] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The word all dialects use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The level a word says.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == word)
    }
}

/// What of the reasoning the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    Nothing,
    /// A short summary.
    Concise,
    /// A summary as long as the model likes, or all of it.
    Full,
}

/// The form of the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum OutputFormat {
    /// Text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// What the schema is called; not every dialect says it.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// The model must keep to it.
        strict: Option<bool>,
    },
}

/// How many words are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Few.
    Low,
    /// Some.
    Medium,
    /// Many.
    High,
}

/// What an answer may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// Text.
    Text,
    /// Speech.
    Audio,
    /// Images.
    Image,
}

/// How speech is to sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioOut {
    /// The voice.
    pub voice: String,
    /// The encoding, for instance `mp3`; Gemini has none to choose.
    pub format: Option<String>,
}

/// How urgent a request is: OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceTier {
    /// As the project is set up.
    Auto,
    /// Standard.
    Default,
    /// Cheaper and slower.
    Flex,
    /// Dearer and faster.
    Priority,
    /// A tier of one provider: sent where the caller's dialect is spoken, left out elsewhere.
    Other,
}
