//! The codecs behind one name each: which of them does something is decided here and nowhere else.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::request::Form;
use crate::codec::{AnswerError, Asked, Reading, Written};
use crate::ir::normalise::for_target;
use crate::ir::{Event, Request, Response};
use crate::loss::{Losses, Unsupported};
use crate::node::BodyError;
use crate::signature::Sealer;
use crate::surface::Surface;
use crate::target::Target;
use crate::{chat, edits, embedding, gemini, messages, openai, responses, vendor};

/// A dialect of conversations. Edits are one for callers only: what is asked for is chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Chat,
    Edits,
    Responses,
    Messages,
    Gemini,
}

impl Codec {
    /// The codec of a surface; `None` where it is no conversation.
    pub(super) const fn of(surface: Surface) -> Option<Self> {
        match surface {
            Surface::ChatCompletions => Some(Self::Chat),
            Surface::Edits => Some(Self::Edits),
            Surface::Responses => Some(Self::Responses),
            Surface::Messages => Some(Self::Messages),
            Surface::GenerateContent => Some(Self::Gemini),
            Surface::Completions
            | Surface::Embeddings
            | Surface::EmbedContent
            | Surface::BatchEmbedContents
            | Surface::Rerank
            | Surface::Moderations
            | Surface::Compact
            | Surface::Vendor(_) => None,
        }
    }

    pub(super) const fn surface(self) -> Surface {
        match self {
            Self::Chat => Surface::ChatCompletions,
            Self::Edits => Surface::Edits,
            Self::Responses => Surface::Responses,
            Self::Messages => Surface::Messages,
            Self::Gemini => Surface::GenerateContent,
        }
    }

    /// Reads a caller's request. `model` and `form` are what its address says.
    pub(super) fn read_request(
        self,
        body: &Value,
        model: Option<&str>,
        form: Option<Form>,
        sealer: &Sealer,
    ) -> Result<Request, BodyError> {
        match self {
            Self::Chat => chat::request::read(body, sealer),
            Self::Edits => edits::read(body),
            Self::Responses => responses::request::read(body, sealer),
            Self::Messages => messages::request::read(body, sealer),
            Self::Gemini => {
                let streams = matches!(form, Some(Form::Events | Form::Array));
                gemini::request::read(body, model.unwrap_or_default(), streams, sealer)
            }
        }
    }

    /// Writes a request for an upstream, in the form that its dialect takes.
    pub(super) fn write_request(
        self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses<'_>,
    ) -> Result<Written, Unsupported> {
        let request = for_target(request, self.surface().dialect(), target.capabilities);
        match self {
            Self::Chat | Self::Edits => chat::request::write(&request, target, losses),
            Self::Responses => responses::request::write(&request, target, losses),
            Self::Messages => messages::request::write(&request, target, losses),
            Self::Gemini => gemini::request::write(&request, target, losses),
        }
    }

    /// Reads an upstream's whole answer.
    pub(super) fn read_response(self, body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
        match self {
            Self::Chat | Self::Edits => chat::response::read(body, reading),
            Self::Responses => responses::response::read(body, reading),
            Self::Messages => messages::response::read(body, reading),
            Self::Gemini => gemini::response::read(body, reading),
        }
    }

    /// Writes a whole answer for a caller.
    pub(super) fn write_response(self, response: &Response, asked: &mut Asked) -> Bytes {
        match self {
            Self::Chat => chat::response::write(response, asked),
            Self::Edits => edits::write(response, asked),
            Self::Responses => responses::response::write(response, asked),
            Self::Messages => messages::response::write(response, asked),
            Self::Gemini => gemini::response::write(response, asked),
        }
    }
}

/// What looks at bytes that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bystander {
    /// The Chat family's side parser.
    Parser(openai::Surface),
    /// The readers that conversions use.
    Codec(Codec),
    /// What counts vectors.
    Vectors(embedding::Form),
}

impl Bystander {
    pub(super) const fn of(surface: Surface) -> Self {
        match surface {
            // nobody asks at a vendor's: its form is that of chat
            Surface::ChatCompletions | Surface::Vendor(_) => Self::Parser(openai::Surface::ChatCompletions),
            Surface::Completions => Self::Parser(openai::Surface::Completions),
            Surface::Embeddings => Self::Parser(openai::Surface::Embeddings),
            Surface::Rerank => Self::Parser(openai::Surface::Rerank),
            Surface::Moderations => Self::Parser(openai::Surface::Moderations),
            Surface::Compact => Self::Parser(openai::Surface::Compact),
            Surface::EmbedContent => Self::Vectors(embedding::Form::One),
            Surface::BatchEmbedContents => Self::Vectors(embedding::Form::Batch),
            Surface::Edits => Self::Codec(Codec::Edits),
            Surface::Responses => Self::Codec(Codec::Responses),
            Surface::Messages => Self::Codec(Codec::Messages),
            Surface::GenerateContent => Self::Codec(Codec::Gemini),
        }
    }
}

/// Reads an upstream's stream, event by event.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    Chat(Box<chat::stream::Reader>),
    Responses(Box<responses::stream::Reader>),
    Messages(Box<messages::stream::Reader>),
    Gemini(Box<gemini::stream::Reader>),
    Vendor(Box<vendor::Reader>),
}

impl Reader {
    pub(super) fn new(codec: Codec, reading: Reading) -> Self {
        match codec {
            Codec::Chat | Codec::Edits => Self::Chat(Box::new(chat::stream::Reader::new(reading))),
            Codec::Responses => Self::Responses(Box::new(responses::stream::Reader::new(reading))),
            Codec::Messages => Self::Messages(Box::new(messages::stream::Reader::new(reading))),
            Codec::Gemini => Self::Gemini(Box::new(gemini::stream::Reader::new(reading))),
        }
    }

    /// Takes one server-sent event: its name and its data.
    pub(super) fn push(&mut self, name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.push(name, data, out),
            Self::Responses(reader) => reader.push(name, data, out),
            Self::Messages(reader) => reader.push(name, data, out),
            Self::Gemini(reader) => reader.push(name, data, out),
            Self::Vendor(reader) => reader.push(name, data, out),
        }
    }

    /// The upstream has closed the stream.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.finish(out),
            Self::Responses(reader) => reader.finish(out),
            Self::Messages(reader) => reader.finish(out),
            Self::Gemini(reader) => reader.finish(out),
            Self::Vendor(reader) => reader.finish(out),
        }
    }
}

/// Writes a caller's stream, event by event.
#[derive(Debug, Clone)]
pub(super) enum Writer {
    Chat(Box<chat::stream::Writer>),
    Responses(Box<responses::stream::Writer>),
    Messages(Box<messages::stream::Writer>),
    Gemini(Box<gemini::stream::Writer>),
}

impl Writer {
    pub(super) fn new(codec: Codec, asked: Asked) -> Self {
        match codec {
            Codec::Chat | Codec::Edits => Self::Chat(Box::new(chat::stream::Writer::new(asked))),
            Codec::Responses => Self::Responses(Box::new(responses::stream::Writer::new(asked))),
            Codec::Messages => Self::Messages(Box::new(messages::stream::Writer::new(asked))),
            Codec::Gemini => Self::Gemini(Box::new(gemini::stream::Writer::new(asked))),
        }
    }

    /// The last event of an answer that was announced and failed, where its dialect has one that repeats the answer.
    pub(super) fn fail(&mut self, code: &str, message: &str) -> Option<Bytes> {
        let Self::Responses(writer) = self else { return None };
        let mut out = BytesMut::new();
        writer.fail_as(code, message, &mut out).then(|| out.freeze())
    }

    pub(super) fn push(&mut self, event: &Event, out: &mut BytesMut) {
        match self {
            Self::Chat(writer) => writer.push(event, out),
            Self::Responses(writer) => writer.push(event, out),
            Self::Messages(writer) => writer.push(event, out),
            Self::Gemini(writer) => writer.push(event, out),
        }
    }
}
