//! What codecs are given and what they give back, beside the IR itself.
//!
//! A codec is a folder with the same functions as the others: `request::read` and `request::write`, `response::read` and
//! `response::write`, `stream::Reader` and `stream::Writer`. Reading a request and writing an answer is its client side; writing a request
//! and reading an answer its upstream side.

use serde_json::{Map, Value};
use sluice_domain::Dialect;

use crate::call_id::IdMaker;
use crate::ir::Family;
use crate::signature::Sealer;
use crate::tool_name::ToolNames;
use crate::vendor::Upload;

/// What of a request decides how its answer is written.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
#[derive(Debug, Clone)]
pub struct Asked {
    /// The model, as the caller calls it: answers carry this name.
    pub model: String,
    /// When, in seconds since 1970, for answers whose provider says nothing.
    pub created: i64,
    /// Chat: a stream ends with a chunk of usage.
    pub include_usage: bool,
    /// Reasoning is shown.
    pub shows_reasoning: bool,
    /// Responses: encrypted reasoning was asked for.
    pub wants_encrypted: bool,
    /// Chat: reasoning comes as content, in `<think>` tags.
    pub thinking_to_content: bool,
    /// Media of an answer come as Markdown where the dialect has no place for them.
    pub media_to_markdown: bool,
    /// Gemini: a stream is SSE; otherwise one JSON array.
    pub is_sse: bool,
    /// Responses: the caller's body, of which an answer repeats some fields.
    pub echo: Option<Map<String, Value>>,
    /// Makes ids of answers and calls.
    pub ids: IdMaker,
    /// Seals what other families want back.
    pub sealer: Sealer,
}

/// A body for an upstream, and what has to be undone in its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// The body.
    pub body: Map<String, Value>,
    /// `anthropic-beta` features it needs.
    pub betas: Vec<&'static str>,
    /// Tools whose names were rewritten.
    pub names: ToolNames,
    /// The answer comes as a call of [`ANSWER_TOOL`].
    pub answers_by_tool: bool,
    /// Texts that end the answer, to be looked for here.
    pub stops_here: Vec<String>,
    /// Files that the body speaks of by their marks.
    pub uploads: Vec<Upload>,
}

/// The tool that stands in for a schema of the answer where the model takes none.
pub const ANSWER_TOOL: &str = "json_response";

/// How an upstream's answer is to be understood.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Whose state it carries.
    pub family: Family,
    /// The provider account that state is bound to, as a digest.
    pub account: Option<u64>,
    /// Who will get it: ids of calls are made to fit.
    pub client: Dialect,
    /// Tools whose names were rewritten.
    pub names: ToolNames,
    /// The answer comes as a call of [`ANSWER_TOOL`] and is turned into text.
    pub answers_by_tool: bool,
    /// Makes ids where the provider gave none.
    pub ids: IdMaker,
}

/// A whole answer that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON object.
    #[error("the upstream's answer is no JSON object")]
    NotJson,
    /// It is an error, told with status 200: `UpstreamError::read` takes it apart.
    #[error("the upstream answered with an error")]
    Reported,
    /// It has none of what makes an answer of its dialect.
    #[error("the upstream's answer has no {0}")]
    Without(&'static str),
}
