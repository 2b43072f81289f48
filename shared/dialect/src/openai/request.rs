//! A caller's body: what it asks for, and the body that goes upstream instead.

use std::fmt;

use bytes::Bytes;
use sluice_domain::{ModelName, NameError};

use super::limit::{self, LIMIT_FIELDS};
use super::{PromptCounts, Surface, prompt};
use crate::json::{self, Document, JsonError, Shape};

/// The largest output limit a request may name, in tokens (2³⁰ − 1).
pub const MAX_OUTPUT_TOKENS: u32 = (1 << 30) - 1;
/// The largest number of answers a request may ask for.
pub const MAX_CHOICES: u32 = 128;

/// The model that moderates where a request names none.
const MODERATOR: &str = "omni-moderation-latest";

/// What stands behind the name of a model whose conversations are made shorter, wherever it is looked up: it has prices and channels of
/// its own.
const COMPACT: &str = "-openai-compact";

/// The longest `user` that is read, in bytes.
const MAX_USER_BYTES: usize = 512;

/// A readable request of one surface.
#[derive(Clone)]
pub struct Request {
    document: Document,
    surface: Surface,
    facts: Facts,
    has_doubled_fields: bool,
}

/// What a request asks for, as far as the gateway must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The model, as the caller calls it.
    pub model: ModelName,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller asked for the usage frame of a stream.
    pub include_usage: bool,
    /// The caller's limit of output, in tokens: the largest of the fields that say one.
    pub max_output: Option<u32>,
    /// How many answers are generated and paid for: the larger of `n` and `best_of`, for each prompt of a batch.
    pub choices: u32,
    /// Whether tools (or legacy functions) are declared.
    pub has_tools: bool,
    /// The caller's own name for its user, if it has at most 512 bytes.
    pub user: Option<Box<str>>,
}

/// What a provider's endpoint does with `stream_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOptions {
    /// It is sent as the caller wrote it.
    Forward,
    /// `include_usage` is always asked for; other members stay.
    Force,
    /// It is taken out, because the endpoint refuses it.
    Strip,
}

/// Why a body was refused. It names the field and the rule, and shows no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is not a JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It names no model.
    #[error("`model` is required")]
    MissingModel,
    /// The model's name cannot be one.
    #[error("`model` {0}")]
    Model(NameError),
    /// A required field is absent.
    #[error("`{field}` is required")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field that must hold something is empty.
    #[error("`{field}` must not be empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A field holds another kind of value.
    #[error("`{field}`: expected {expected}, got {got}")]
    Shape {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: Shape,
    },
    /// A number has a fraction or an exponent.
    #[error("`{field}`: expected a whole number, got a number with a fraction or exponent")]
    NotWhole {
        /// The field.
        field: &'static str,
    },
    /// A number is too small or too large.
    #[error("`{field}` must be from {min} to {max}")]
    Range {
        /// The field.
        field: &'static str,
        /// The smallest allowed.
        min: u32,
        /// The largest allowed.
        max: u32,
    },
}

impl RequestError {
    /// The error's `code` (relay-api.md §9.2).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid_json",
            Self::MissingModel => "missing_model",
            _ => "invalid_request",
        }
    }

    /// The error's `param`: the field at fault.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::MissingModel | Self::Model(_) => Some("model"),
            Self::Missing { field }
            | Self::Empty { field }
            | Self::Shape { field, .. }
            | Self::NotWhole { field }
            | Self::Range { field, .. } => Some(field),
        }
    }
}

impl Request {
    /// Reads and judges a body.
    ///
    /// # Errors
    /// When it is not a JSON object, has no model, lacks what the surface needs, or a field that is read has a wrong type or value.
    pub fn read(body: Bytes, surface: Surface) -> Result<Self, RequestError> {
        Self::read_of(body, surface, None)
    }

    /// The same where the address may name the model: it counts where the body names none.
    ///
    /// # Errors
    /// As [`Request::read`].
    pub fn read_of(body: Bytes, surface: Surface, model: Option<&str>) -> Result<Self, RequestError> {
        let document = Document::parse(body)?;
        let read = ReadFields::of(&document);
        let usual = (surface == Surface::Moderations).then_some(MODERATOR);
        let mut facts = read.facts(surface, model.or(usual))?;
        read.check_prompt(surface)?;
        if surface == Surface::Compact && !facts.model.as_str().ends_with(COMPACT) {
            facts.model = ModelName::parse(&format!("{}{COMPACT}", facts.model)).map_err(RequestError::Model)?;
        }
        let has_doubled_fields = read.has_doubled;
        Ok(Self { document, surface, facts, has_doubled_fields })
    }

    /// What it asks for.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The model as upstreams are asked for it, before a channel maps it: without what stands behind its name for prices alone.
    #[must_use]
    pub fn plain_model(&self) -> &str {
        let model = self.facts.model.as_str();
        if self.surface == Surface::Compact { model.strip_suffix(COMPACT).unwrap_or(model) } else { model }
    }

    /// The surface it was sent to.
    #[must_use]
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// The body's fields.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Shows every text that counts as prompt, piece by piece, and counts what is not text.
    pub fn visit_prompt(&self, text: &mut dyn FnMut(&str)) -> PromptCounts {
        prompt::visit(&self.document, self.surface, text)
    }

    /// The body for one upstream: `model` replaces the name when the channel maps it, `stream_options` is treated as the provider
    /// needs, and where an `output_limit` is given, no higher one is sent. The very same bytes when nothing changes.
    #[must_use]
    pub fn upstream_body(&self, model: Option<&str>, stream_options: StreamOptions, output_limit: Option<u32>) -> Bytes {
        let mut edit = self.document.edit();
        if self.has_doubled_fields {
            for key in READ_FIELDS.into_iter().filter(|key| self.document.occurrences(key) > 1) {
                edit.set(key, self.document.get(key).unwrap_or_default());
            }
        }
        let model_to_send = model.unwrap_or(self.plain_model());
        let named = self.document.get_some("model").map(text_of);
        if named.as_deref() != Some(model_to_send) {
            edit.set("model", json::quoted(model_to_send));
        }
        match stream_options {
            StreamOptions::Force if self.facts.stream && !self.facts.include_usage => {
                edit.set("stream_options", self.forced_stream_options());
            }
            StreamOptions::Strip => edit.remove("stream_options"),
            StreamOptions::Force | StreamOptions::Forward => {}
        }
        if let Some(limit) = output_limit.filter(|_| self.surface.generates()) {
            limit::lower(&mut edit, &self.document, model_to_send, limit);
        }
        edit.finish()
    }

    fn forced_stream_options(&self) -> Bytes {
        const FORCED: &[u8] = br#"{"include_usage":true}"#;
        let Some(options) = self.document.get_some("stream_options") else { return Bytes::from_static(FORCED) };
        // It was read as an object before, so it parses again.
        let Ok(options) = Document::parse(Bytes::copy_from_slice(options)) else { return Bytes::from_static(FORCED) };
        let mut edit = options.edit();
        edit.set("include_usage", "true");
        edit.finish()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("surface", &self.surface).field("document", &self.document).finish_non_exhaustive()
    }
}

/// The fields that decide something here. Written twice, only the last reaches the upstream: it must not read another one than we did.
const READ_FIELDS: [&str; 21] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "messages",
    "prompt",
    "input",
    "prefix",
    "suffix",
    "tools",
    "functions",
    "user",
    "query",
    "documents",
    "top_n",
    "return_documents",
    "previous_response_id",
];

/// The raw values of [`READ_FIELDS`], in their order; `null` is absent.
struct ReadFields<'d> {
    values: [Option<&'d [u8]>; READ_FIELDS.len()],
    has_doubled: bool,
}

impl<'d> ReadFields<'d> {
    fn of(document: &'d Document) -> Self {
        let mut read = Self { values: [None; READ_FIELDS.len()], has_doubled: false };
        let mut seen = [false; READ_FIELDS.len()];
        for (key, value) in document.fields() {
            let Some(place) = READ_FIELDS.iter().position(|name| name.as_bytes() == key) else { continue };
            read.has_doubled |= std::mem::replace(&mut seen[place], true);
            read.values[place] = (Shape::of(value) != Shape::Null).then_some(value);
        }
        read
    }

    fn get(&self, field: &str) -> Option<&'d [u8]> {
        let place = READ_FIELDS.iter().position(|name| *name == field)?;
        self.values.get(place).copied().flatten()
    }

    fn facts(&self, surface: Surface, usual_model: Option<&str>) -> Result<Facts, RequestError> {
        let mut facts = Facts {
            model: self.model(usual_model)?,
            stream: false,
            include_usage: false,
            max_output: None,
            choices: 1,
            has_tools: ["tools", "functions"]
                .iter()
                .any(|field| self.get(field).is_some_and(|raw| !json::is_empty_container(raw))),
            user: self
                .get("user")
                .filter(|raw| Shape::of(raw) == Shape::String && raw.len() <= MAX_USER_BYTES)
                .map(|raw| text_of(raw).into()),
        };
        if !surface.generates() {
            return Ok(facts);
        }
        facts.stream = self.get("stream").map_or(Ok(false), |raw| boolean("stream", raw))?;
        facts.include_usage = self.include_usage()?;
        // A completion of no tokens scores its prompt: legal there, meaningless in chat.
        let least = u32::from(surface == Surface::ChatCompletions);
        for field in LIMIT_FIELDS {
            let limit = self.get(field).map(|raw| whole(field, raw, least, MAX_OUTPUT_TOKENS)).transpose()?;
            facts.max_output = facts.max_output.max(limit);
        }
        for field in ["n", "best_of"] {
            let choices = self.get(field).map(|raw| whole(field, raw, 1, MAX_CHOICES)).transpose()?;
            facts.choices = facts.choices.max(choices.unwrap_or(1));
        }
        if surface == Surface::Completions {
            facts.choices = facts.choices.saturating_mul(self.get("prompt").map_or(1, prompts_in));
        }
        Ok(facts)
    }

    fn model(&self, usual: Option<&str>) -> Result<ModelName, RequestError> {
        let named = match (self.get("model"), usual) {
            (Some(raw), _) => {
                expect("model", raw, Shape::String, "a string")?;
                text_of(raw)
            }
            (None, Some(usual)) => usual.into(),
            (None, None) => return Err(RequestError::MissingModel),
        };
        ModelName::parse(&named).map_err(|error| match error {
            NameError::Empty => RequestError::MissingModel,
            other => RequestError::Model(other),
        })
    }

    fn include_usage(&self) -> Result<bool, RequestError> {
        let Some(raw) = self.get("stream_options") else { return Ok(false) };
        expect("stream_options", raw, Shape::Object, "an object")?;
        let options = Document::parse(Bytes::copy_from_slice(raw))?;
        options.get_some("include_usage").map_or(Ok(false), |raw| boolean("stream_options.include_usage", raw))
    }

    fn check_prompt(&self, surface: Surface) -> Result<(), RequestError> {
        match surface {
            Surface::ChatCompletions => {
                let is_infilling = self.get("prefix").is_some() || self.get("suffix").is_some();
                match self.get("messages") {
                    None if is_infilling => Ok(()),
                    None => Err(RequestError::Missing { field: "messages" }),
                    Some(raw) => {
                        expect("messages", raw, Shape::Array, "an array")?;
                        refuse_if(json::is_empty_container(raw) && !is_infilling, "messages")
                    }
                }
            }
            Surface::Completions => self.check_text_or_list("prompt"),
            Surface::Rerank => self.check_search(),
            Surface::Compact if self.get("previous_response_id").is_some() => Ok(()),
            Surface::Embeddings | Surface::Moderations | Surface::Compact => self.check_text_or_list("input"),
        }
    }

    /// What is looked for, and in what.
    fn check_search(&self) -> Result<(), RequestError> {
        let query = self.get("query").ok_or(RequestError::Missing { field: "query" })?;
        match Shape::of(query) {
            Shape::String => refuse_if(text_of(query).is_empty(), "query")?,
            Shape::Object => refuse_if(json::is_empty_container(query), "query")?,
            got => return Err(RequestError::Shape { field: "query", expected: "a string or an object", got }),
        }
        let documents = self.get("documents").ok_or(RequestError::Missing { field: "documents" })?;
        expect("documents", documents, Shape::Array, "an array")?;
        refuse_if(json::is_empty_container(documents), "documents")?;
        let entries: Vec<&serde_json::value::RawValue> = serde_json::from_slice(documents).unwrap_or_default();
        let shapes = entries.into_iter().map(|entry| Shape::of(entry.get().as_bytes()));
        if let Some(got) = shapes.into_iter().find(|shape| !matches!(shape, Shape::String | Shape::Object)) {
            return Err(RequestError::Shape { field: "documents", expected: "strings and objects", got });
        }
        if let Some(raw) = self.get("top_n") {
            whole("top_n", raw, 1, u32::MAX)?;
        }
        self.get("return_documents").map_or(Ok(()), |raw| boolean("return_documents", raw).map(drop))
    }

    fn check_text_or_list(&self, field: &'static str) -> Result<(), RequestError> {
        let raw = self.get(field).ok_or(RequestError::Missing { field })?;
        match Shape::of(raw) {
            Shape::String => Ok(()),
            Shape::Array => refuse_if(json::is_empty_container(raw), field),
            got => Err(RequestError::Shape { field, expected: "a string or an array", got }),
        }
    }
}

fn refuse_if(is_empty: bool, field: &'static str) -> Result<(), RequestError> {
    if is_empty { Err(RequestError::Empty { field }) } else { Ok(()) }
}

fn expect(field: &'static str, raw: &[u8], shape: Shape, expected: &'static str) -> Result<(), RequestError> {
    let got = Shape::of(raw);
    if got == shape { Ok(()) } else { Err(RequestError::Shape { field, expected, got }) }
}

fn boolean(field: &'static str, raw: &[u8]) -> Result<bool, RequestError> {
    expect(field, raw, Shape::Boolean, "a boolean")?;
    Ok(raw == b"true")
}

fn whole(field: &'static str, raw: &[u8], min: u32, max: u32) -> Result<u32, RequestError> {
    expect(field, raw, Shape::Number, "a whole number")?;
    if raw.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return Err(RequestError::NotWhole { field });
    }
    let value = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<u32>().ok());
    value.filter(|value| (min..=max).contains(value)).ok_or(RequestError::Range { field, min, max })
}

/// How many prompts a `prompt` holds: a list of texts or of token lists is a batch, a list of tokens is one.
fn prompts_in(raw: &[u8]) -> u32 {
    let entries: Vec<&serde_json::value::RawValue> = serde_json::from_slice(raw).unwrap_or_default();
    let is_batch = entries.first().is_some_and(|entry| Shape::of(entry.get().as_bytes()) != Shape::Number);
    if is_batch { u32::try_from(entries.len()).unwrap_or(u32::MAX) } else { 1 }
}

/// The text of a JSON string. One with broken escapes reads as empty.
fn text_of(raw: &[u8]) -> std::borrow::Cow<'_, str> {
    match raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(inner) if memchr::memchr(b'\\', inner).is_none() => String::from_utf8_lossy(inner),
        _ => serde_json::from_slice::<String>(raw).unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests;
