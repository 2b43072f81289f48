//! Turns and what they are made of.

use bytes::Bytes;
use serde_json::{Map, Value};

/// Who speaks. Results of tools are blocks of a user's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the middle of a conversation: text only. What comes before the first turn is [`Request::system`](super::Request).
    System,
    /// The caller's side.
    User,
    /// The model's side.
    Assistant,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a turn or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Text, never trimmed, joined or filtered.
    Text {
        /// The text.
        text: String,
        /// The provider may cache the prompt up to here.
        cache: Option<CacheMark>,
        /// Citations in the form of OpenAI's `annotations` entries (`url_citation`).
        citations: Vec<Value>,
        /// State that belongs to it (Gemini).
        signature: Option<Signature>,
    },
    /// An image, sound, film or document.
    Media {
        /// What it is.
        kind: MediaKind,
        /// Where it is.
        source: Source,
        /// How closely an image is to be looked at.
        detail: Option<Detail>,
        /// The file's name or title.
        title: Option<String>,
        /// The provider may cache the prompt up to here.
        cache: Option<CacheMark>,
    },
    /// Reasoning that can be read.
    Thinking {
        /// The reasoning, or a summary of it.
        text: String,
        /// What proves it to its provider.
        signature: Option<Signature>,
    },
    /// Reasoning that only its provider can read.
    Redacted {
        /// The encrypted reasoning.
        signature: Signature,
    },
    /// The model calls a tool.
    ToolCall {
        /// Pairs it with its result.
        id: String,
        /// The tool.
        name: String,
        /// What it is called with.
        arguments: Arguments,
        /// State that belongs to it (Gemini).
        signature: Option<Signature>,
        /// The provider may cache the prompt up to here.
        cache: Option<CacheMark>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call it answers.
        id: String,
        /// The tool, where the dialect says it.
        name: Option<String>,
        /// Texts and media.
        content: Vec<Block>,
        /// The tool failed.
        is_error: bool,
        /// The provider may cache the prompt up to here.
        cache: Option<CacheMark>,
    },
    /// The model declines.
    Refusal {
        /// Its words.
        text: String,
    },
    /// A part that only its own family understands, as it stands on the wire there.
    Native {
        /// Whose it is.
        family: Family,
        /// The part.
        raw: Value,
    },
}

impl Block {
    /// A text with nothing else.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache: None, citations: Vec::new(), signature: None }
    }
}

/// How long a provider keeps a prompt cached from a mark on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMark {
    /// Five minutes, the default.
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// A film.
    Video,
    /// A document, PDF mostly.
    Document,
}

/// Where a medium is.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In the request.
    Inline {
        /// Its media type, for instance `image/png`.
        mime: String,
        /// The bytes themselves, not base64.
        data: Bytes,
    },
    /// Elsewhere.
    Url {
        /// Where.
        url: String,
        /// Its media type, if the dialect says it.
        mime: Option<String>,
    },
    /// Uploaded to a provider before.
    File {
        /// Whose store it lies in.
        family: Family,
        /// Its name there.
        id: String,
    },
    /// A document of plain text.
    Text(String),
}

impl std::fmt::Debug for Source {
    /// Shows no content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline { mime, data } => f.debug_struct("Inline").field("mime", mime).field("bytes", &data.len()).finish(),
            Self::Url { mime, .. } => f.debug_struct("Url").field("mime", mime).finish_non_exhaustive(),
            Self::File { family, .. } => f.debug_struct("File").field("family", family).finish_non_exhaustive(),
            Self::Text(text) => f.debug_struct("Text").field("bytes", &text.len()).finish(),
        }
    }
}

/// How closely an image is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Coarsely.
    Low,
    /// Closely.
    High,
    /// As the model likes.
    Auto,
}

/// Whose state, files or tools something is: they mean nothing to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// OpenAI and Azure.
    OpenAi,
    /// Claude, wherever it is served.
    Anthropic,
    /// Gemini, wherever it is served.
    Google,
    /// Any other provider of the Chat dialect.
    Compatible,
}

/// State of a provider that has to come back unchanged: a signature of its reasoning, or the reasoning encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose it is.
    pub family: Family,
    /// The provider account it is bound to, as a digest.
    pub account: Option<u64>,
    /// The provider's own id of the reasoning item (`rs_…`), where there is one.
    pub item: Option<String>,
    /// The value as the provider's wire has it, base64 and all.
    pub value: String,
}

impl std::fmt::Debug for Signature {
    /// Shows no content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signature").field("family", &self.family).field("bytes", &self.value.len()).finish_non_exhaustive()
    }
}

/// What a tool is called with.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// As it should be.
    Object(Map<String, Value>),
    /// The model wrote something that is no JSON object, even read leniently.
    Raw(String),
}
