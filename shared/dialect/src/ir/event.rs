//! What came back, piece by piece.

use serde_json::Value;
use sluice_domain::Usage;

use super::{Arguments, Finish, Signature, TokenLogprob};

/// One step of a stream. Readers keep to this order, and writers rely on it:
///
/// * [`Event::Start`] first and once; exactly one [`Event::End`] or [`Event::Error`], last.
/// * Blocks of a choice are numbered from 0 without gaps, in the order they begin; text, thinking and media are never open beside another
///   block of their choice. Only tool calls may be: their fragments can interleave.
/// * Pieces come only between [`Event::BlockStart`] and [`Event::BlockStop`] of their block, and are never empty. A block of text or
///   thinking is announced with its first piece at the earliest.
/// * [`Event::Finish`] comes once for each choice, after its last block has stopped.
/// * [`Event::Usage`] may come any time after the start and replaces what was said before.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id, empty when it gave none.
        id: String,
        /// The provider's name of the model, empty when it said nothing.
        model: String,
        /// When, in seconds since 1970, if the provider said.
        created: Option<i64>,
    },
    /// A block begins.
    BlockStart {
        /// The choice it belongs to.
        choice: u32,
        /// Its number in the choice.
        block: u32,
        /// What it is.
        start: BlockStart,
    },
    /// More of a text.
    Text {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The piece.
        text: String,
        /// Log probabilities of its tokens.
        logprobs: Vec<TokenLogprob>,
    },
    /// More of a reasoning.
    Thinking {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The piece.
        text: String,
    },
    /// More of a call's arguments, as JSON text.
    Arguments {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The piece.
        json: String,
    },
    /// More of a refusal.
    Refusal {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The piece.
        text: String,
    },
    /// The signature of the block; at most once, before its stop.
    Signed {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The signature.
        signature: Signature,
    },
    /// A citation of a text, in the form of OpenAI's `annotations` entries.
    Citation {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
        /// The citation.
        citation: Value,
    },
    /// The block ends.
    BlockStop {
        /// The choice.
        choice: u32,
        /// The block.
        block: u32,
    },
    /// The choice ends.
    Finish {
        /// The choice.
        choice: u32,
        /// Why.
        finish: Finish,
        /// The text that ended it, with [`Finish::StopSequence`].
        stop_sequence: Option<String>,
    },
    /// What was consumed so far.
    Usage(Usage),
    /// The stream failed.
    Error(StreamError),
    /// The answer is whole.
    End,
}

/// How a block begins.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockStart {
    /// Text.
    Text,
    /// Reasoning that can be read.
    Thinking,
    /// Reasoning that cannot; nothing more comes of it.
    Redacted(Signature),
    /// A tool call. Its arguments follow, unless all of them are here.
    ToolCall {
        /// Its id, never empty: readers make one where the provider gave none.
        id: String,
        /// The tool.
        name: String,
        /// All arguments, where the provider sends calls whole.
        whole: Option<Arguments>,
    },
    /// A medium, whole; nothing more comes of it.
    Media(Box<super::Block>),
    /// The model declines.
    Refusal,
}

/// Why a stream failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// The error as the provider wrote it ([`UpstreamError::read`](crate::error::UpstreamError::read) takes it apart). `None`: the stream broke
    /// off, or broke its own rules.
    pub raw: Option<bytes::Bytes>,
    /// What is wrong, in our words, where there is nothing of the provider's.
    pub reason: &'static str,
}
