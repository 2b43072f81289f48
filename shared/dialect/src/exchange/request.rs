//! What a caller sent, in whichever dialect.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use sluice_domain::NameError;

use super::codecs::{Bystander, Codec};
use super::passage::{Passage, Sent, Site, Unwritable, Way};
use super::speech::Speech;
use super::{facts, native, prompt};
use crate::ir;
use crate::json::{Document, JsonError};
use crate::loss::Losses;
use crate::node::{BodyError, Rule};
use crate::openai::{self, Facts, PromptCounts, StreamOptions};
use crate::signature::{self, Sealer};
use crate::surface::Surface;
use crate::target::{Capabilities, Host, Target};

/// What came in: a body, and what the address says.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Where.
    pub surface: Surface,
    /// The body.
    pub body: Bytes,
    /// The model, where the address names it (Gemini).
    pub model: Option<Box<str>>,
    /// How the address wants the answer (Gemini): `None` where the body says it.
    pub form: Option<Form>,
}

/// How a Gemini caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In one piece.
    Whole,
    /// As server-sent events.
    Events,
    /// As the items of one JSON array.
    Array,
}

/// A readable request of one surface.
#[derive(Debug, Clone)]
pub struct Request {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Of the Chat family: read beside its bytes.
    Plain(Box<openai::Request>),
    /// Read as a whole.
    Spoken(Box<Spoken>),
}

/// A request of a dialect that is read as a whole.
#[derive(Debug, Clone)]
struct Spoken {
    surface: Surface,
    form: Option<Form>,
    document: Document,
    facts: Facts,
    /// What it means; otherwise the word in it that its dialect may know and we do not. Its bytes can pass all the same.
    meaning: Result<ir::Request, BodyError>,
}

/// Why a request was refused. It names the field and the rule, and shows no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// It is not a JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A request of the Chat family.
    #[error(transparent)]
    OpenAi(openai::RequestError),
    /// Something in it breaks a rule of its dialect.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The model's name cannot be one.
    #[error("`model` {0}")]
    Model(NameError),
    /// Nobody can ask at this interface: only upstreams speak it.
    #[error("nobody can ask at this interface")]
    NoInterface,
}

impl RequestError {
    /// The error's `code` (relay-api.md §9.2).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid_json",
            Self::OpenAi(error) => error.code(),
            Self::Body(error) if error.path == "model" && error.rule == Rule::Missing => "missing_model",
            Self::Model(NameError::Empty) => "missing_model",
            Self::Body(_) | Self::Model(_) | Self::NoInterface => "invalid_request",
        }
    }

    /// The error's `param`: the field at fault.
    #[must_use]
    pub fn param(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Json(_) | Self::NoInterface => None,
            Self::OpenAi(error) => error.param().map(Cow::Borrowed),
            Self::Body(error) => Some(Cow::Owned(error.path.clone())),
            Self::Model(_) => Some(Cow::Borrowed("model")),
        }
    }
}

impl From<openai::RequestError> for RequestError {
    fn from(error: openai::RequestError) -> Self {
        match error {
            openai::RequestError::Json(error) => Self::Json(error),
            error => Self::OpenAi(error),
        }
    }
}

impl Request {
    /// Reads and judges what came in.
    ///
    /// # Errors
    /// When it is not a JSON object, names no model, or breaks a rule of its dialect.
    pub fn read(incoming: Incoming, sealer: &Sealer) -> Result<Self, RequestError> {
        let Incoming { surface, body, model, form } = incoming;
        if matches!(surface, Surface::Vendor(_)) {
            return Err(RequestError::NoInterface);
        }
        let codec = match Bystander::of(surface) {
            Bystander::Parser(surface) => {
                return Ok(Self { kind: Kind::Plain(Box::new(openai::Request::read(body, surface)?)) });
            }
            Bystander::Codec(codec) => codec,
        };
        let document = Document::parse(body)?;
        let value = value_of(document.body())?;
        let meaning = match codec.read_request(&value, model.as_deref(), form, sealer) {
            Err(error) if matches!(error.rule, Rule::Word(_)) => Err(error),
            read => Ok(read?),
        };
        let facts = match &meaning {
            Ok(meaning) => facts::of(meaning),
            Err(_) => facts::beside(&value, model.as_deref(), form),
        };
        let facts = facts.map_err(RequestError::Model)?;
        Ok(Self { kind: Kind::Spoken(Box::new(Spoken { surface, form, document, facts, meaning })) })
    }

    /// What it asks for.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        match &self.kind {
            Kind::Plain(request) => request.facts(),
            Kind::Spoken(spoken) => &spoken.facts,
        }
    }

    /// The surface it was sent to.
    #[must_use]
    pub fn surface(&self) -> Surface {
        match &self.kind {
            Kind::Plain(request) => request.surface().into(),
            Kind::Spoken(spoken) => spoken.surface,
        }
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        match &self.kind {
            Kind::Plain(request) => request.body(),
            Kind::Spoken(spoken) => spoken.document.body(),
        }
    }

    /// Whether a stream goes out as one JSON array in place of events.
    #[must_use]
    pub fn streams_an_array(&self) -> bool {
        matches!(&self.kind, Kind::Spoken(spoken) if spoken.form == Some(Form::Array))
    }

    /// Shows every text that counts as prompt, piece by piece, and counts what is not text.
    pub fn visit_prompt(&self, text: &mut dyn FnMut(&str)) -> PromptCounts {
        match &self.kind {
            Kind::Plain(request) => request.visit_prompt(text),
            Kind::Spoken(spoken) => match &spoken.meaning {
                Ok(meaning) => prompt::visit(meaning, text),
                Err(_) => prompt::visit_unread(&self.fields(), text),
            },
        }
    }

    /// What one upstream is sent, and how its answer is to be understood.
    ///
    /// # Errors
    /// When the upstream cannot serve it: something in it has no counterpart there, or is not what its own dialect allows.
    pub fn write(&self, way: &Way<'_>, site: &Site) -> Result<Sent, Unwritable> {
        if way.surface == self.surface() && !self.must_be_written() {
            let passage = Passage::same(way.surface, self.rename(way));
            return Ok(Sent { body: self.native_body(way), dropped: Vec::new(), betas: Vec::new(), passage });
        }
        let (Some(from), Some(to)) = (Codec::of(self.surface()), Speech::of(way.surface)) else { return Err(Unwritable::NoWay) };
        let mut meaning = self.meaning(from, &site.sealer)?;
        let mut losses = Losses::towards(self.surface().dialect(), way.surface, way.losses);
        // what only the caller's dialect has is lost on the way to another one, and stays on the way to its own
        let own = if Speech::Dialect(from) == to { std::mem::take(&mut meaning.to_mut().native) } else { Vec::new() };
        let capabilities = Capabilities::of(way.model, way.surface.dialect());
        let target = Target {
            model: way.model,
            family: way.family,
            host: Host::Own,
            capabilities: &capabilities,
            options: way.options,
            output_limit: way.output_limit,
            account: way.account,
        };
        let mut written = to.write_request(&meaning, &target, &mut losses)?;
        let mut body = std::mem::take(&mut written.body);
        if !own.is_empty() {
            let fields = self.fields();
            for field in &own {
                native::keep(&fields, &mut body, field.path);
            }
        }
        if let (Codec::Chat, Speech::Vendor(vendor)) = (from, to) {
            vendor.keep_own(&self.fields(), &mut body);
        }
        if way.stream_options == StreamOptions::Strip {
            body.remove("stream_options");
        }
        let (dropped, betas) = (losses.dropped().collect(), std::mem::take(&mut written.betas));
        let passage = Passage::other((from, to), self, &meaning, written, way, site);
        Ok(Sent { body: Bytes::from(Value::Object(body).to_string()), dropped, betas, passage })
    }

    /// The caller's name of the model, where the upstream has another.
    fn rename(&self, way: &Way<'_>) -> Option<Box<str>> {
        let requested = self.facts().model.as_str();
        (way.model != requested).then(|| requested.into())
    }

    fn native_body(&self, way: &Way<'_>) -> Bytes {
        match &self.kind {
            Kind::Plain(request) => request.upstream_body(Some(way.model), way.stream_options, way.output_limit),
            Kind::Spoken(spoken) => {
                native::body(spoken.surface, &spoken.document, &spoken.facts, spoken.meaning.as_ref().ok(), way)
            }
        }
    }

    /// Its bytes cannot pass: it brings back an envelope of ours, or wants its stream in a form that upstreams are not asked for.
    fn must_be_written(&self) -> bool {
        self.surface().converses() && (self.streams_an_array() || signature::has_envelope(self.body()))
    }

    fn meaning(&self, codec: Codec, sealer: &Sealer) -> Result<Cow<'_, ir::Request>, BodyError> {
        match &self.kind {
            Kind::Spoken(spoken) => spoken.meaning.as_ref().map(Cow::Borrowed).map_err(BodyError::clone),
            Kind::Plain(request) => {
                // it was read as JSON before; what only a decoder of strings refuses is told as such
                let value = value_of(request.body()).map_err(|_| undecodable())?;
                codec.read_request(&value, None, None, sealer).map(Cow::Owned)
            }
        }
    }

    /// The fields of the body, for answers that repeat some of them.
    pub(super) fn fields(&self) -> serde_json::Map<String, Value> {
        match value_of(self.body()) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        }
    }

    /// How the answer goes out.
    pub(super) fn form(&self) -> Option<Form> {
        match &self.kind {
            Kind::Plain(_) => None,
            Kind::Spoken(spoken) => spoken.form,
        }
    }
}

fn value_of(body: &[u8]) -> Result<Value, JsonError> {
    serde_json::from_slice(body).map_err(|error| JsonError::from_parser(&error))
}

fn undecodable() -> BodyError {
    BodyError { path: "body".to_owned(), rule: Rule::Other(" holds a text that is no Unicode") }
}

/// Keys that stand more than once among the fields of a body.
pub(super) fn doubled(document: &Document) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    let names = document.fields().filter_map(|(name, _)| std::str::from_utf8(name).ok());
    names.filter(|name| !seen.insert(*name)).collect()
}
