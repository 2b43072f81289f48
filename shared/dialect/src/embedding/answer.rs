//! Vectors on their way back.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use sluice_domain::Usage;

use super::Form;
use crate::error::UpstreamError;
use crate::json::{self, JsonError, mended};
use crate::openai::{Content, Reported, normalise};

/// From which upstream to which caller.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    caller: Form,
    upstream: Form,
    /// How many vectors were asked for; `None` where the bytes pass.
    wanted: Option<usize>,
    is_base64: bool,
    /// The model, as the caller calls it.
    model: Box<str>,
}

impl Passage {
    pub(super) fn new(caller: Form, upstream: Form, wanted: usize, is_base64: bool, model: &str) -> Self {
        Self { caller, upstream, wanted: Some(wanted), is_base64, model: model.into() }
    }

    /// Both sides have the same form: the bytes pass.
    pub(crate) fn same(form: Form) -> Self {
        Self { caller: form, upstream: form, wanted: None, is_base64: false, model: Box::default() }
    }
}

/// An upstream's vectors, as their caller gets them.
#[derive(Clone)]
pub(crate) struct Answer {
    body: Bytes,
    usage: Reported,
    content: Content,
    /// The body still lacks its end: the usage that the caller is told.
    owes_usage: bool,
}

#[derive(Deserialize)]
struct OpenAi<'a> {
    #[serde(borrow, default)]
    data: Vec<Item<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gemini<'a> {
    #[serde(borrow, default)]
    embedding: Option<Values<'a>>,
    #[serde(borrow, default)]
    embeddings: Vec<Values<'a>>,
    #[serde(default)]
    usage_metadata: Option<Metadata>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    prompt_token_count: u64,
}

/// What an upstream's answer holds.
#[derive(Default)]
struct Found<'a> {
    /// JSON arrays of numbers, or base64 as JSON strings.
    vectors: Vec<&'a str>,
    usage: Reported,
    has_error: bool,
}

impl Answer {
    /// Reads a body. `known` are keys that must not show in an error it holds.
    ///
    /// # Errors
    /// When it is not JSON. JSON of another kind, or with fewer or more vectors than were asked for, is an empty answer.
    pub(crate) fn read(body: &Bytes, passage: &Passage, known: &[&str]) -> Result<Self, JsonError> {
        let text = mended(body);
        json::check(text.as_bytes())?;
        let found = found(&text, passage.upstream)?;
        if found.has_error {
            let content = Content::Error(Box::new(UpstreamError::read(200, body, known)));
            return Ok(Self { body: Bytes::new(), usage: Reported::Missing, content, owes_usage: false });
        }
        let usage = found.usage;
        let count = found.vectors.len();
        let written = match passage.wanted {
            _ if count == 0 => None,
            None => Some(body.clone()),
            Some(wanted) if wanted != count => None,
            Some(_) => written(&found.vectors, passage),
        };
        let (content, body) = written.map_or((Content::Empty, Bytes::new()), |body| (Content::Output, body));
        let owes_usage = passage.caller == Form::OpenAi && matches!(content, Content::Output);
        Ok(Self { body, usage, content, owes_usage })
    }

    pub(crate) const fn usage(&self) -> Reported {
        self.usage
    }

    pub(crate) const fn content(&self) -> &Content {
        &self.content
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.body.len()
    }

    /// The body for the caller. OpenAI's callers are told the usage that is charged.
    pub(crate) fn into_body(self, charged: Option<&Usage>) -> Bytes {
        if !self.owes_usage {
            return self.body;
        }
        let reported = if let Reported::Counted(usage) = &self.usage { Some(usage) } else { charged };
        let tokens = reported.map_or(0, Usage::total_input);
        let end = format!(r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#);
        let mut out = BytesMut::with_capacity(self.body.len() + end.len());
        out.put_slice(&self.body);
        out.put_slice(end.as_bytes());
        out.freeze()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("bytes", &self.body.len()).field("usage", &self.usage).finish_non_exhaustive()
    }
}

fn found(text: &str, upstream: Form) -> Result<Found<'_>, JsonError> {
    let failed = |error: serde_json::Error| {
        // JSON of another kind is no answer, and no mistake of grammar
        if error.is_data() { Ok(Found::default()) } else { Err(JsonError::from_parser(&error)) }
    };
    if upstream == Form::OpenAi {
        return serde_json::from_str(text).map_or_else(failed, |answer| Ok(of_openai(answer)));
    }
    serde_json::from_str(text).map_or_else(failed, |answer| Ok(of_gemini(answer)))
}

fn of_openai(mut answer: OpenAi<'_>) -> Found<'_> {
    if answer.data.iter().all(|item| item.index.is_some()) {
        answer.data.sort_by_key(|item| item.index);
    }
    Found {
        vectors: answer.data.into_iter().map(|item| item.embedding.get()).collect(),
        usage: normalise(answer.usage.map(|raw| raw.get().as_bytes()), None),
        has_error: is_reported(answer.error),
    }
}

fn of_gemini(answer: Gemini<'_>) -> Found<'_> {
    let tokens = answer.usage_metadata.map_or(0, |metadata| metadata.prompt_token_count);
    let usage = Usage { input: tokens, ..Usage::default() };
    let is_plausible = tokens > 0 && usage.is_plausible();
    Found {
        vectors: answer.embedding.into_iter().chain(answer.embeddings).map(|one| one.values.get()).collect(),
        usage: if is_plausible { Reported::Counted(usage) } else { Reported::Missing },
        has_error: is_reported(answer.error),
    }
}

fn is_reported(error: Option<&RawValue>) -> bool {
    error.is_some_and(|raw| UpstreamError::is_reported(raw.get().as_bytes()))
}

/// The body without its usage; `None` when a vector is none.
fn written(vectors: &[&str], passage: &Passage) -> Option<Bytes> {
    let size: usize = vectors.iter().map(|vector| vector.len() + 64).sum();
    let mut out = BytesMut::with_capacity(size);
    let (start, end) = match passage.caller {
        Form::OpenAi => (r#"{"object":"list","data":["#, format!(r#"],"model":{}"#, json::quoted(&passage.model))),
        Form::One => (r#"{"embedding":"#, "}".to_owned()),
        Form::Batch => (r#"{"embeddings":["#, "]}".to_owned()),
    };
    out.put_slice(start.as_bytes());
    for (index, vector) in vectors.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        let (open, is_base64) = match passage.caller {
            Form::OpenAi => (format!(r#"{{"object":"embedding","index":{index},"embedding":"#), passage.is_base64),
            Form::One | Form::Batch => (r#"{"values":"#.to_owned(), false),
        };
        out.put_slice(open.as_bytes());
        out.put_slice(encoded(vector, is_base64)?.as_bytes());
        out.put_u8(b'}');
    }
    out.put_slice(end.as_bytes());
    Some(out.freeze())
}

/// A vector in the encoding that is wanted: numbers as they were written, or 32-bit floats, the least byte first, as base64.
fn encoded(vector: &str, is_base64: bool) -> Option<std::borrow::Cow<'_, str>> {
    let is_text = vector.starts_with('"');
    match (is_text, is_base64) {
        (false, false) if vector.starts_with('[') => Some(vector.into()),
        (true, true) => Some(vector.into()),
        (false, true) => {
            let floats: Vec<f32> = serde_json::from_str(vector).ok()?;
            let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
            Some(json::quoted(&BASE64_STANDARD.encode(bytes)).into())
        }
        (true, false) => {
            let text: String = serde_json::from_str(vector).ok()?;
            let bytes = BASE64_STANDARD.decode(text).ok()?;
            let (floats, rest) = bytes.as_chunks::<4>();
            let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            rest.is_empty().then(|| serde_json::to_string(&floats).ok())?.map(Into::into)
        }
        (false, false) => None,
    }
}
