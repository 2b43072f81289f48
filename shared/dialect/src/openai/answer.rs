//! A whole answer, not streamed.

use std::fmt;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use super::output::{self, Calls};
use super::usage::{Reported, normalise};
use super::{Finish, OutputCounts, Surface};
use crate::error::UpstreamError;
use crate::json::{self, JsonError, span_in};

/// An upstream's answer with status 200, read.
#[derive(Clone)]
pub struct Answer {
    body: Bytes,
    model: Option<Range<usize>>,
    usage: Reported,
    finish: Option<Finish>,
    content: Content,
}

/// What an answer is worth.
#[derive(Debug, Clone)]
pub enum Content {
    /// There is text, a tool call, a refusal, reasoning, media, an embedding, or what was found of documents or texts.
    Output,
    /// There is nothing.
    Empty,
    /// It is an error, in spite of its status.
    Error(Box<UpstreamError>),
}

impl Answer {
    /// Reads a body. `known` are keys that must not show in an error it holds.
    ///
    /// # Errors
    /// When it is not JSON; what its strings hold is never a reason. JSON of another kind than an object is an empty answer.
    pub fn read(body: Bytes, surface: Surface, known: &[&str]) -> Result<Self, JsonError> {
        let text = json::mended(&body);
        json::check(text.as_bytes())?;
        let mut calls = Calls::default();
        let found = output::read(&text, &mut calls, &mut |_| {}).map_err(|error| JsonError::from_parser(&error))?;
        if let Some((line, column)) = found.more_at {
            return Err(JsonError::Trailing { line, column });
        }
        let usage = normalise(found.usage.map(bytes_of), found.choice_usage.map(bytes_of));
        let has_reasoning = matches!(usage, Reported::Counted(usage) if usage.reasoning > 0);
        let has_output = match surface {
            Surface::Embeddings | Surface::Rerank | Surface::Moderations | Surface::Compact => found.items > 0,
            Surface::ChatCompletions | Surface::Completions => found.has_output || has_reasoning,
        };
        let content = match found.error {
            Some(error) if UpstreamError::is_reported(error.get().as_bytes()) => {
                Content::Error(Box::new(UpstreamError::read(200, &body, known)))
            }
            _ if has_output => Content::Output,
            _ => Content::Empty,
        };
        let (model, finish) = (found.model.and_then(|raw| span_in(text.as_bytes(), bytes_of(raw))), found.finish);
        Ok(Self { body, model, usage, finish, content })
    }

    /// The usage it reports.
    #[must_use]
    pub fn usage(&self) -> Reported {
        self.usage
    }

    /// Why it ended, if the provider said. Of several answers, the last one's reason.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// What it is worth.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The length of its body, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.body.len()
    }

    /// Shows every generated text, piece by piece, for an estimate where usage is missing.
    pub fn visit_output(&self, text: &mut dyn FnMut(&str)) -> OutputCounts {
        let mut calls = Calls::default();
        // It was read before; a second reading of the same bytes cannot fail.
        let _ = output::read(&json::mended(&self.body), &mut calls, text);
        calls.counts()
    }

    /// The body for the caller: as it came, or with the caller's name of the model when the channel mapped it.
    #[must_use]
    pub fn into_body(self, rename: Option<&str>) -> Bytes {
        let (Some(name), Some(span)) = (rename, self.model) else { return self.body };
        let name = json::quoted(name);
        let mut out = BytesMut::with_capacity(self.body.len() + name.len());
        out.put_slice(self.body.get(..span.start).unwrap_or_default());
        out.put_slice(name.as_bytes());
        out.put_slice(self.body.get(span.end..).unwrap_or_default());
        out.freeze()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("bytes", &self.body.len())
            .field("usage", &self.usage)
            .field("finish", &self.finish)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

fn bytes_of(raw: &RawValue) -> &[u8] {
    raw.get().as_bytes()
}

#[cfg(test)]
mod tests;
