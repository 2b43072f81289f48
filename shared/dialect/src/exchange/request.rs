//! What a caller sent, in whichever dialect.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use sluice_domain::NameError;

use super::codecs::{Bystander, Codec};
use super::passage::{Passage, Sent, Site, Unwritable, Way};
use super::remote::{Fetched, Remote};
use super::speech::Speech;
use super::storing::Storing;
use super::{facts, native, prompt, remote, suffix, system};
use crate::codec::Written;
use crate::embedding;
use crate::ir;
use crate::json::{Document, JsonError};
use crate::loss::Losses;
use crate::node::{BodyError, Rule};
use crate::openai::{self, Facts, PromptCounts, StreamOptions};
use crate::signature::{self, Sealer};
use crate::surface::Surface;
use crate::target::{Capabilities, Target};

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
    /// Vectors, in Google's form.
    Vectors(Box<embedding::Request>),
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

impl From<embedding::RequestError> for RequestError {
    fn from(error: embedding::RequestError) -> Self {
        match error {
            embedding::RequestError::Model(error) => Self::Model(error),
            embedding::RequestError::Body(error) => Self::Body(error),
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
                let request = openai::Request::read_of(body, surface, model.as_deref())?;
                return Ok(Self { kind: Kind::Plain(Box::new(request)) });
            }
            Bystander::Vectors(form) => {
                let document = Document::parse(body)?;
                let value = value_of(document.body())?;
                let request = embedding::Request::read(form, document, &value, &model.unwrap_or_default())?;
                return Ok(Self { kind: Kind::Vectors(Box::new(request)) });
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
            Kind::Vectors(request) => &request.facts,
        }
    }

    /// The model as upstreams are asked for it, before a channel maps it. Only what is compacted has another name for prices.
    #[must_use]
    pub fn plain_model(&self) -> &str {
        match &self.kind {
            Kind::Plain(request) => request.plain_model(),
            Kind::Spoken(_) | Kind::Vectors(_) => self.facts().model.as_str(),
        }
    }

    /// The surface it was sent to.
    #[must_use]
    pub fn surface(&self) -> Surface {
        match &self.kind {
            Kind::Plain(request) => request.surface().into(),
            Kind::Spoken(spoken) => spoken.surface,
            Kind::Vectors(request) => match request.form {
                embedding::Form::OpenAi => Surface::Embeddings,
                embedding::Form::One => Surface::EmbedContent,
                embedding::Form::Batch => Surface::BatchEmbedContents,
            },
        }
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        match &self.kind {
            Kind::Plain(request) => request.body(),
            Kind::Spoken(spoken) => spoken.document.body(),
            Kind::Vectors(request) => request.document.body(),
        }
    }

    /// What it wants of state that its upstream stores.
    #[must_use]
    pub fn storing(&self) -> Storing {
        Storing::of(self.surface(), self.document())
    }

    /// Whether it brings tools, as far as it was read as a whole: a Chat request is not.
    #[must_use]
    pub fn brings_tools(&self) -> bool {
        matches!(&self.kind, Kind::Spoken(spoken) if spoken.meaning.as_ref().is_ok_and(|meaning| !meaning.tools.is_empty()))
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
            Kind::Vectors(request) => request.wish.visit(text),
        }
    }

    /// What one upstream is sent, and how its answer is to be understood.
    ///
    /// # Errors
    /// When the upstream cannot serve it: something in it has no counterpart there, or is not what its own dialect allows.
    pub fn write(&self, way: &Way<'_>, site: &Site) -> Result<Sent, Unwritable> {
        self.write_with(way, site, &Fetched::default())
    }

    /// The same, with media in place of the addresses they were fetched from.
    ///
    /// # Errors
    /// As [`Request::write`].
    pub fn write_with(&self, way: &Way<'_>, site: &Site, media: &Fetched) -> Result<Sent, Unwritable> {
        if way.surface == self.surface() && !self.must_be_written(way) {
            return self.pass(way, site, media);
        }
        if let (Some(from), Some(to)) = (embedding::Form::of(self.surface()), embedding::Form::of(way.surface)) {
            return self.write_vectors((from, to), way);
        }
        let (Some(from), Some(to)) = (Codec::of(self.surface()), Speech::of(way.surface)) else { return Err(Unwritable::NoWay) };
        let mut meaning = self.meaning(from, &site.sealer)?;
        let mut losses = Losses::towards(self.surface().dialect(), way.surface, way.losses);
        // what only the caller's dialect has is lost on the way to another one, and stays on the way to its own
        let own = if Speech::Dialect(from) == to { std::mem::take(&mut meaning.to_mut().native) } else { Vec::new() };
        let capabilities = Capabilities::of(way.table, way.model, way.surface.dialect());
        let target = target(way, &capabilities);
        if let Some(suffix) = way.suffix {
            suffix::put(suffix, meaning.to_mut(), way.surface, &target);
        }
        if let Some(own) = way.manner.instructions_for(way.surface) {
            system::instruct(meaning.to_mut(), own);
        }
        if !media.is_empty() {
            remote::inline_read(meaning.to_mut(), media);
        }
        if self.is_gathered(way) {
            meaning.to_mut().stream = true;
        }
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
        if way.surface == Surface::ChatCompletions
            && way.suffix.is_some()
            && let Some((name, value)) = suffix::switch(way.model, &capabilities, &meaning.reasoning)
        {
            body.shift_remove("reasoning_effort");
            body.insert(name.to_owned(), value);
        }
        if way.stream_options == StreamOptions::Strip {
            body.remove("stream_options");
        }
        for name in &way.manner.left_out {
            body.shift_remove(*name);
        }
        let mut dropped: Vec<_> = losses.dropped().collect();
        dropped.extend(self.left_out(way));
        let (betas, uploads) = (std::mem::take(&mut written.betas), std::mem::take(&mut written.uploads));
        let passage = Passage::other((from, to), self, meaning.reasoning, written, way, site);
        Ok(Sent { body: Bytes::from(Value::Object(body).to_string()), dropped, betas, uploads, passage })
    }

    /// Media that it names by address and that this upstream is to get as data: all of them where the channel `inlines` media, otherwise those
    /// of models that take no addresses. Some may be named twice.
    #[must_use]
    pub fn remote_media(&self, way: &Way<'_>, inlines: bool) -> Vec<Remote> {
        let surface = self.surface();
        if self.passes_as_it_is(way) || !remote::may_name(surface, self.body()) {
            return Vec::new();
        }
        if !inlines && Capabilities::of(way.table, way.model, way.surface.dialect()).image_urls {
            return Vec::new();
        }
        let raw = remote::field(surface).and_then(|field| self.document().get_some(field));
        let Some(mut conversation) = raw.and_then(|raw| serde_json::from_slice(raw).ok()) else { return Vec::new() };
        remote::listed(surface, &mut conversation)
    }

    /// Whether an upstream is sent the caller's bytes as they are, because its channel wants that.
    #[must_use]
    pub fn passes_as_it_is(&self, way: &Way<'_>) -> bool {
        way.manner.passes_body && way.surface == self.surface() && !self.must_be_written(way)
    }

    /// The same for an upstream of the caller's own dialect: the bytes pass, with the few changes that its channel wants.
    fn pass(&self, way: &Way<'_>, site: &Site, media: &Fetched) -> Result<Sent, Unwritable> {
        let (mut body, dropped) = self.changed(way, media)?;
        let gathers = self.is_gathered(way);
        if gathers {
            body = streamed(body, way)?;
        }
        let passage = match Codec::of(way.surface).filter(|codec| gathers || way.manner.rewrites(*codec)) {
            Some(codec) => {
                // where the request cannot be read as a whole, its answer shows what such answers usually do
                let reasoning = self.meaning(codec, &site.sealer).map(|meaning| meaning.reasoning).unwrap_or_default();
                Passage::other((codec, Speech::Dialect(codec)), self, reasoning, Written::default(), way, site)
            }
            None => Passage::same(way.surface, self.rename(way)),
        };
        Ok(Sent { body, dropped, betas: Vec::new(), uploads: Vec::new(), passage })
    }

    /// Whether a stream is asked for that its caller does not want, because there is nothing else: it is gathered.
    pub(super) fn is_gathered(&self, way: &Way<'_>) -> bool {
        way.options.streams_only && !self.facts().stream && Codec::of(way.surface).is_some()
    }

    /// The bytes that pass, and what its channel leaves out of them.
    fn changed(&self, way: &Way<'_>, media: &Fetched) -> Result<(Bytes, Vec<&'static str>), Unwritable> {
        let body = self.native_body(way);
        if way.manner.passes_body {
            return Ok((body, Vec::new()));
        }
        let body = if media.is_empty() { body } else { with_media(body, way.surface, media)? };
        let left_out: Vec<_> = self.left_out(way).collect();
        let instructions = way.manner.instructions_for(way.surface);
        let suffix = way.suffix.filter(|_| matches!(way.surface, Surface::ChatCompletions | Surface::Responses));
        if left_out.is_empty() && instructions.is_none() && suffix.is_none() {
            return Ok((body, left_out));
        }
        let document = Document::parse(body).map_err(|_| undecodable())?;
        let mut edit = document.edit();
        for name in &left_out {
            edit.remove(name);
        }
        if let Some(suffix) = suffix {
            let capabilities = Capabilities::of(way.table, way.model, way.surface.dialect());
            suffix::edit(&mut edit, suffix, way, (&document, &target(way, &capabilities)))?;
        }
        if let Some(own) = instructions {
            system::edit(&mut edit, way.surface, &document, way.model, own);
        }
        Ok((edit.finish(), left_out))
    }

    /// Fields of the caller's that its channel does not send.
    fn left_out<'w>(&'w self, way: &'w Way<'_>) -> impl Iterator<Item = &'static str> + 'w {
        way.manner.left_out.iter().copied().filter(|name| self.document().occurrences(name) > 0)
    }

    fn document(&self) -> &Document {
        match &self.kind {
            Kind::Plain(request) => request.document(),
            Kind::Spoken(spoken) => &spoken.document,
            Kind::Vectors(request) => &request.document,
        }
    }

    fn write_vectors(&self, (from, to): (embedding::Form, embedding::Form), way: &Way<'_>) -> Result<Sent, Unwritable> {
        let wish = match &self.kind {
            Kind::Vectors(request) => Cow::Borrowed(&request.wish),
            _ => Cow::Owned(embedding::wish_of_openai(&value_of(self.body()).map_err(|_| undecodable())?)?),
        };
        let mut losses = Losses::new(self.surface().dialect(), way.surface.dialect(), way.losses);
        let body = embedding::write(&wish, to, way.model, &mut losses)?;
        let passage = Passage::vectors(embedding::passage(from, to, &wish, self.facts().model.as_str()));
        let dropped = losses.dropped().collect();
        Ok(Sent { body: Bytes::from(Value::Object(body).to_string()), dropped, betas: Vec::new(), uploads: Vec::new(), passage })
    }

    /// The caller's name of the model, where the upstream has another.
    fn rename(&self, way: &Way<'_>) -> Option<Box<str>> {
        let requested = self.plain_model();
        (way.model != requested).then(|| requested.into())
    }

    fn native_body(&self, way: &Way<'_>) -> Bytes {
        match &self.kind {
            Kind::Plain(request) => {
                let stream_options = if way.manner.passes_body { StreamOptions::Forward } else { way.stream_options };
                request.upstream_body(Some(way.model), stream_options, way.output_limit)
            }
            Kind::Spoken(spoken) => {
                native::body(spoken.surface, &spoken.document, &spoken.facts, spoken.meaning.as_ref().ok(), way)
            }
            Kind::Vectors(request) => request.native_body(way.model),
        }
    }

    /// Its bytes cannot pass: it brings back an envelope of ours, wants its stream in a form that upstreams are not asked for, or its model's
    /// name asks for what other fields have to go with.
    fn must_be_written(&self, way: &Way<'_>) -> bool {
        let is_suffixed = || match (&self.kind, way.suffix.filter(|_| !way.manner.passes_body)) {
            (Kind::Spoken(spoken), Some(suffix)) if matches!(way.surface, Surface::Messages | Surface::GenerateContent) => {
                spoken.meaning.as_ref().is_ok_and(|meaning| suffix::acts(suffix, &meaning.reasoning))
            }
            _ => false,
        };
        self.surface().converses() && (self.streams_an_array() || signature::has_envelope(self.body()) || is_suffixed())
    }

    fn meaning(&self, codec: Codec, sealer: &Sealer) -> Result<Cow<'_, ir::Request>, BodyError> {
        match &self.kind {
            Kind::Spoken(spoken) => spoken.meaning.as_ref().map(Cow::Borrowed).map_err(BodyError::clone),
            Kind::Plain(_) | Kind::Vectors(_) => {
                // it was read as JSON before; what only a decoder of strings refuses is told as such
                let value = value_of(self.body()).map_err(|_| undecodable())?;
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
            Kind::Plain(_) | Kind::Vectors(_) => None,
            Kind::Spoken(spoken) => spoken.form,
        }
    }
}

fn target<'t>(way: &'t Way<'_>, capabilities: &'t Capabilities) -> Target<'t> {
    Target {
        model: way.model,
        family: way.family,
        host: way.host,
        capabilities,
        options: way.options,
        output_limit: way.output_limit,
        account: way.account,
    }
}

fn value_of(body: &[u8]) -> Result<Value, JsonError> {
    serde_json::from_slice(body).map_err(|error| JsonError::from_parser(&error))
}

/// A conversation with media in place of their addresses.
fn with_media(body: Bytes, surface: Surface, media: &Fetched) -> Result<Bytes, BodyError> {
    let document = Document::parse(body).map_err(|_| undecodable())?;
    let mut edit = document.edit();
    if let Some((field, raw)) = remote::field(surface).and_then(|field| Some((field, document.get_some(field)?))) {
        let mut conversation = value_of(raw).map_err(|_| undecodable())?;
        remote::inline(surface, &mut conversation, media);
        edit.set(field, conversation.to_string());
    }
    Ok(edit.finish())
}

/// A body that asks for a stream, and in Chat for its usage. Gemini's address says it.
fn streamed(body: Bytes, way: &Way<'_>) -> Result<Bytes, BodyError> {
    if way.surface == Surface::GenerateContent {
        return Ok(body);
    }
    let document = Document::parse(body).map_err(|_| undecodable())?;
    let mut edit = document.edit();
    edit.set("stream", "true");
    if way.surface == Surface::ChatCompletions && way.stream_options != StreamOptions::Strip {
        edit.set("stream_options", r#"{"include_usage":true}"#);
    }
    Ok(edit.finish())
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
