//! A whole answer, not streamed.

use bytes::Bytes;
use sluice_domain::Usage;

use super::passage::{Kind as Way, Other, Passage};
use super::{
    codecs::{Bystander, Codec},
    gathered, output, rename,
    speech::Speech,
    stops,
};
use crate::call_id::IdMaker;
use crate::codec::{AnswerError, Reading};
use crate::embedding;
use crate::error::UpstreamError;
use crate::ir::{Family, Response};
use crate::json::{self, JsonError, mended};
use crate::openai::{self, Content, Finish, OutputCounts, Reported};
use crate::vendor::Answers;

/// An upstream's answer with status 200, read.
#[derive(Debug, Clone)]
pub struct Answer(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Plain { answer: openai::Answer, rename: Option<Box<str>> },
    Read(Box<Read>),
    Vectors { answer: embedding::Answer, charged: Option<Usage> },
}

/// An answer that was read as a whole.
#[derive(Debug, Clone)]
struct Read {
    /// What the caller gets.
    body: Bytes,
    content: Content,
    response: Response,
    /// Its bytes are those of an upstream of Responses.
    is_of_responses: bool,
}

impl Answer {
    /// Reads a body. `known` are keys that must not show in an error it holds.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn read(body: Bytes, passage: Passage, known: &[&str]) -> Result<Self, JsonError> {
        match passage.0 {
            Way::Same { beside: Bystander::Parser(surface), rename } => {
                Ok(Self(Kind::Plain { answer: openai::Answer::read(body, surface, known)?, rename }))
            }
            Way::Same { beside: Bystander::Codec(codec), rename } => Self::passing(&body, codec, rename.as_deref(), known),
            Way::Other(way) => Self::anew(&body, *way, known),
            Way::Vectors(way) => Ok(Self(Kind::Vectors { answer: embedding::Answer::read(&body, &way, known)?, charged: None })),
            Way::Same { beside: Bystander::Vectors(form), .. } => {
                let way = embedding::Passage::same(form);
                Ok(Self(Kind::Vectors { answer: embedding::Answer::read(&body, &way, known)?, charged: None }))
            }
        }
    }

    /// Looks at a body that passes as it is.
    fn passing(body: &Bytes, codec: Codec, rename: Option<&str>, known: &[&str]) -> Result<Self, JsonError> {
        let (response, content) = understood(body, Speech::Dialect(codec), &mut bystander(codec), known)?;
        let body = rename.map_or_else(|| body.clone(), |name| rename::renamed(body, name));
        let is_of_responses = codec == Codec::Responses;
        Ok(Self(Kind::Read(Box::new(Read { body, content, response, is_of_responses }))))
    }

    /// Writes it as the caller's dialect has it.
    fn anew(body: &Bytes, way: Other, known: &[&str]) -> Result<Self, JsonError> {
        let answers = way.answers();
        let Other { from, to, mut reading, mut asked, stops, .. } = way;
        let (mut response, content) = match answers {
            Answers::Streamed => gathered::understood(body, from, reading, known)?,
            Answers::AsAsked | Answers::Whole => understood(body, from, &mut reading, known)?,
        };
        stops::cut_whole(&mut response, &stops);
        let body = to.write_response(&response, &mut asked);
        Ok(Self(Kind::Read(Box::new(Read { body, content, response, is_of_responses: false }))))
    }

    /// Its id at an upstream of Responses, where its bytes pass: it may be stored there under that id.
    #[must_use]
    pub fn stored_id(&self) -> Option<&str> {
        match &self.0 {
            Kind::Read(read) if read.is_of_responses => Some(read.response.id.as_str()).filter(|id| !id.is_empty()),
            Kind::Read(_) | Kind::Plain { .. } | Kind::Vectors { .. } => None,
        }
    }

    /// The usage it reports.
    #[must_use]
    pub fn usage(&self) -> Reported {
        match &self.0 {
            Kind::Plain { answer, .. } => answer.usage(),
            Kind::Read(read) => read.response.usage.map_or(Reported::Missing, Reported::Counted),
            Kind::Vectors { answer, .. } => answer.usage(),
        }
    }

    /// Why it ended, if the provider said. Of several answers, the last one's reason.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        match &self.0 {
            Kind::Plain { answer, .. } => answer.finish(),
            Kind::Read(read) => read.response.choices.iter().rev().find_map(|choice| choice.finish.as_ref()).map(output::finish),
            Kind::Vectors { .. } => None,
        }
    }

    /// What it is worth.
    #[must_use]
    pub fn content(&self) -> &Content {
        match &self.0 {
            Kind::Plain { answer, .. } => answer.content(),
            Kind::Read(read) => &read.content,
            Kind::Vectors { answer, .. } => answer.content(),
        }
    }

    /// The length of its body, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match &self.0 {
            Kind::Plain { answer, .. } => answer.size_bytes(),
            Kind::Read(read) => read.body.len(),
            Kind::Vectors { answer, .. } => answer.size_bytes(),
        }
    }

    /// Shows every generated text, piece by piece, for an estimate where usage is missing.
    pub fn visit_output(&self, text: &mut dyn FnMut(&str)) -> OutputCounts {
        match &self.0 {
            Kind::Plain { answer, .. } => answer.visit_output(text),
            Kind::Read(read) => output::visit(&read.response, text),
            Kind::Vectors { .. } => OutputCounts::default(),
        }
    }

    /// Takes what is charged, for callers who are to be told a usage that their upstream did not report.
    pub fn charge(&mut self, usage: Usage) {
        if let Kind::Vectors { charged, .. } = &mut self.0 {
            *charged = Some(usage);
        }
    }

    /// The body for the caller.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        match self.0 {
            Kind::Plain { answer, rename } => answer.into_body(rename.as_deref()),
            Kind::Read(read) => read.body,
            Kind::Vectors { answer, charged } => answer.into_body(charged.as_ref()),
        }
    }
}

pub(super) fn understood(
    body: &Bytes,
    speech: Speech,
    reading: &mut Reading,
    known: &[&str],
) -> Result<(Response, Content), JsonError> {
    json::check(mended(body).as_bytes())?;
    match speech.read_response(body, reading) {
        Ok(response) => {
            let content = worth(&response);
            Ok((response, content))
        }
        Err(AnswerError::Reported) => {
            let error = UpstreamError::read(200, &speech.error_body(body), known);
            Ok((Response::default(), Content::Error(Box::new(error))))
        }
        // JSON of another form holds no answer
        Err(AnswerError::NotJson | AnswerError::Without(_)) => Ok((Response::default(), Content::Empty)),
    }
}

/// What an answer that was read is worth.
pub(super) fn worth(response: &Response) -> Content {
    let has_reasoning = response.usage.is_some_and(|usage| usage.reasoning > 0);
    if output::is_useful(response) || has_reasoning { Content::Output } else { Content::Empty }
}

/// How an answer is read whose bytes pass: nothing of it is written.
pub(super) fn bystander(codec: Codec) -> Reading {
    let family = match codec {
        Codec::Messages => Family::Anthropic,
        Codec::Gemini => Family::Google,
        Codec::Chat | Codec::Edits | Codec::Responses => Family::OpenAi,
    };
    Reading {
        family,
        account: None,
        client: codec.surface().dialect(),
        names: crate::tool_name::ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    }
}
