//! The way to one upstream and back.

use bytes::Bytes;

use super::codecs::{Bystander, Codec};
use super::manner::Manner;
use super::request::{Form, Request};
use super::speech::Speech;
use crate::call_id::IdMaker;
use crate::capabilities::Table;
use crate::codec::{Asked, Reading, Written};
use crate::embedding;
use crate::frames::Framing;
use crate::ir::{self, Family, ReasoningMode, Show};
use crate::loss::{LossPolicy, Unsupported};
use crate::node::BodyError;
use crate::openai::StreamOptions;
use crate::reasoning::Suffix;
use crate::signature::Sealer;
use crate::surface::Surface;
use crate::target::{Host, Options};
use crate::vendor::{Answers, Upload, Vendor};

/// Where a request goes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// What the upstream is asked at.
    pub surface: Surface,
    /// The model, as the upstream calls it.
    pub model: &'a str,
    /// What the end of the model's name asked for, before it was taken off.
    pub suffix: Option<Suffix>,
    /// What models take beside the shipped table.
    pub table: &'a Table,
    /// Whose state and files it understands.
    pub family: Family,
    /// Where it is served.
    pub host: Host,
    /// What the channel wants of writers.
    pub options: &'a Options,
    /// The longest answer that may be asked for, in tokens, in place of a longer one or none.
    pub output_limit: Option<u32>,
    /// The provider account, as a digest: state bound to another one is not sent.
    pub account: Option<u64>,
    /// What its Chat endpoint does with `stream_options`.
    pub stream_options: StreamOptions,
    /// What the channel does otherwise than usual with what has no counterpart.
    pub losses: &'a LossPolicy,
    /// What the channel does beside carrying the request.
    pub manner: &'a Manner,
}

/// What writing needs to know beside the request.
#[derive(Debug, Clone)]
pub struct Site {
    /// Makes and opens envelopes.
    pub sealer: Sealer,
    /// Makes ids: its seed is random for each request.
    pub ids: IdMaker,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// Every stream tells its usage, asked or not.
    pub shows_usage: bool,
}

/// What one upstream is sent.
#[derive(Debug)]
pub struct Sent {
    /// The body.
    pub body: Bytes,
    /// What had to be left out, as the caller calls it: `x-sluice-dropped-fields`.
    pub dropped: Vec<&'static str>,
    /// `anthropic-beta` features that the body needs.
    pub betas: Vec<&'static str>,
    /// Files that the upstream must have first; the body speaks of them by their marks.
    pub uploads: Vec<Upload>,
    /// How its answer is to be understood.
    pub passage: Passage,
}

/// Why an upstream cannot be sent a request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unwritable {
    /// Nothing leads from the caller's surface to the upstream's.
    #[error("the channel's provider does not serve this interface")]
    NoWay,
    /// Something has no counterpart there: the caller is to be told.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Something is not what the caller's own dialect allows.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// What of an answer is to be undone on its way back.
#[derive(Debug, Clone)]
pub struct Passage(pub(super) Kind);

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// The bytes pass.
    Same {
        beside: Bystander,
        /// The caller's name of the model, where the upstream has another.
        rename: Option<Box<str>>,
    },
    /// Read, and written anew.
    Other(Box<Other>),
    /// Vectors to or from Google.
    Vectors(Box<embedding::Passage>),
}

#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) from: Speech,
    pub(super) to: Codec,
    pub(super) reading: Reading,
    pub(super) asked: Asked,
    /// Texts that end the answer, and that the upstream does not know of.
    pub(super) stops: Vec<String>,
    /// The upstream streams though the caller wants no stream.
    pub(super) gathers: bool,
}

impl Other {
    /// In which form the upstream answers.
    pub(super) const fn answers(&self) -> Answers {
        if self.gathers { Answers::Streamed } else { self.from.answers() }
    }
}

impl Passage {
    /// Both sides speak the same.
    pub(super) const fn same(surface: Surface, rename: Option<Box<str>>) -> Self {
        Self(Kind::Same { beside: Bystander::of(surface), rename })
    }

    /// The way of vectors back to a caller of another form.
    pub(super) fn vectors(way: embedding::Passage) -> Self {
        Self(Kind::Vectors(Box::new(way)))
    }

    /// The way back from `to` to `from`: an answer is read as the upstream's and written as the caller's.
    pub(super) fn other(
        (from, to): (Codec, Speech),
        request: &Request,
        reasoning: ir::Reasoning,
        written: Written,
        way: &Way<'_>,
        site: &Site,
    ) -> Self {
        let reading = Reading {
            family: way.family,
            account: way.account,
            client: from.surface().dialect(),
            names: written.names,
            answers_by_tool: written.answers_by_tool,
            ids: site.ids.clone(),
        };
        let asked = Asked {
            model: request.facts().model.as_str().to_owned(),
            created: site.now,
            include_usage: request.facts().include_usage || site.shows_usage,
            shows_reasoning: shows_reasoning(from, reasoning),
            wants_encrypted: reasoning.encrypted,
            thinking_to_content: way.manner.thinking_to_content,
            media_to_markdown: way.manner.media_to_markdown,
            is_sse: request.form() != Some(Form::Array),
            echo: (from == Codec::Responses).then(|| request.fields()),
            ids: site.ids.clone().apart(),
            sealer: site.sealer.clone(),
        };
        Self(Kind::Other(Box::new(Other {
            from: to,
            to: from,
            reading,
            asked,
            stops: written.stops_here,
            gathers: request.is_gathered(way),
        })))
    }

    /// Whether the answer is written anew.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        matches!(self.0, Kind::Other(_) | Kind::Vectors(_))
    }

    /// What the upstream's stream is cut into, where nothing is wrapped around it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match &self.0 {
            Kind::Same { .. } | Kind::Vectors(_) => Framing::Events,
            Kind::Other(other) => other.from.surface().framing(),
        }
    }

    /// Whose protocol the upstream speaks, where it is a vendor's own.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        match &self.0 {
            Kind::Other(other) => match other.from.surface() {
                Surface::Vendor(vendor) => Some(vendor),
                _ => None,
            },
            Kind::Same { .. } | Kind::Vectors(_) => None,
        }
    }

    /// Whether the upstream answers with a stream, when the caller wants one or does not: some upstreams know nothing else, and some know none.
    /// [`Answer`](super::Answer) gathers a stream for a caller that wants none; a [`StreamMeter`](super::StreamMeter) tells a document as a
    /// stream, which [`Framing::Document`] makes one event of.
    #[must_use]
    pub fn is_streamed(&self, caller_streams: bool) -> bool {
        let Kind::Other(other) = &self.0 else { return caller_streams };
        match other.answers() {
            Answers::AsAsked => caller_streams,
            Answers::Streamed => true,
            Answers::Whole => false,
        }
    }
}

/// Whether a caller gets to see reasoning: Chat and Responses show what there is, the others what was asked for.
fn shows_reasoning(caller: Codec, reasoning: ir::Reasoning) -> bool {
    match caller {
        Codec::Chat | Codec::Responses => reasoning.show != Some(Show::Nothing),
        Codec::Edits => false,
        Codec::Messages => reasoning.mode == ReasoningMode::On,
        Codec::Gemini => matches!(reasoning.show, Some(Show::Concise | Show::Full)),
    }
}
