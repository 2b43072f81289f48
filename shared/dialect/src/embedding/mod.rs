//! Vectors, asked for at OpenAI's interface or at Google's two verbs, and served by either (conversions.md §14).
//!
//! One hop, as for conversations: `openai` and `gemini` read a caller's body into a [`Wish`] and write a wish for an upstream; `answer`
//! brings the vectors back. Numbers of a vector are copied as they are written, unless one side wants them as base64.
//!
//! Known and left out: OpenAI's `user`; Google's `taskType`, `title` and what is in `embedContentConfig` beside the dimensions are advice
//! that OpenAI's interface has no word for. Texts alone have a counterpart: token ids and media are refused.

mod answer;
mod gemini;
mod openai;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::{Map, Value};
use sluice_domain::{ModelName, NameError};

pub(crate) use self::answer::{Answer, Passage};
use crate::json::Document;
use crate::loss::{Losses, Unsupported};
use crate::node::{BodyError, Node};
use crate::openai::{Facts, PromptCounts};
use crate::surface::Surface;

/// How vectors are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/v1/embeddings`
    OpenAi,
    /// `:embedContent`
    One,
    /// `:batchEmbedContents`
    Batch,
}

impl Form {
    /// The form of a surface; `None` where it gives no vectors.
    pub(crate) const fn of(surface: Surface) -> Option<Self> {
        match surface {
            Surface::Embeddings => Some(Self::OpenAi),
            Surface::EmbedContent => Some(Self::One),
            Surface::BatchEmbedContents => Some(Self::Batch),
            _ => None,
        }
    }
}

/// What is to be turned into vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wish {
    /// Of these, one vector each.
    pub(crate) inputs: Vec<Input>,
    /// How long vectors are to be.
    pub(crate) dimensions: Option<u32>,
    /// Not all inputs ask for that length.
    pub(crate) has_mixed_dimensions: bool,
    /// Vectors are wanted as base64.
    pub(crate) is_base64: bool,
    /// Advice that is there, by its path in the caller's dialect.
    pub(crate) advice: Vec<&'static str>,
}

/// One thing to be turned into a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A text.
    Text(String),
    /// So many token ids.
    Tokens(u32),
    /// Text and other things, or other things alone.
    Media(String),
}

impl Wish {
    /// Shows every text, and counts what is none.
    pub(crate) fn visit(&self, text: &mut dyn FnMut(&str)) -> PromptCounts {
        let mut counts = PromptCounts::default();
        for input in &self.inputs {
            match input {
                Input::Text(said) => text(said),
                Input::Tokens(ids) => counts.token_ids = counts.token_ids.saturating_add(*ids),
                Input::Media(said) => {
                    text(said);
                    counts.files = counts.files.saturating_add(1);
                }
            }
        }
        counts
    }
}

/// A request at one of Google's verbs.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) form: Form,
    pub(crate) document: Document,
    pub(crate) facts: Facts,
    pub(crate) wish: Wish,
}

impl Request {
    /// Reads a body. `model` is what stands in the address.
    ///
    /// # Errors
    /// When the model's name cannot be one, or a field that is read is missing or wrong.
    pub(crate) fn read(form: Form, document: Document, body: &Value, model: &str) -> Result<Self, RequestError> {
        let bare = gemini::bare_model(model);
        let model = ModelName::parse(bare).map_err(RequestError::Model)?;
        let wish = gemini::read(form, &Node::root(body), bare)?;
        let facts =
            Facts { model, stream: false, include_usage: false, max_output: None, choices: 1, has_tools: false, user: None };
        Ok(Self { form, document, facts, wish })
    }

    /// The same bytes for an upstream of the same verb, but for the name of the model, which stands in them too.
    pub(crate) fn native_body(&self, model: &str) -> Bytes {
        gemini::renamed(&self.document, self.form, model)
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RequestError {
    /// The model's name cannot be one.
    Model(NameError),
    /// A field is missing or wrong.
    Body(BodyError),
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// What an OpenAI caller wants, as far as it must be known to be asked for elsewhere.
///
/// # Errors
/// When a field is not what OpenAI's interface takes.
pub(crate) fn wish_of_openai(body: &Value) -> Result<Wish, BodyError> {
    openai::read(&Node::root(body))
}

/// The body for an upstream of another form. Google is asked for a batch, whatever the number of texts.
///
/// # Errors
/// When the upstream cannot be told what is wanted.
pub(crate) fn write(wish: &Wish, form: Form, model: &str, losses: &mut Losses<'_>) -> Result<Map<String, Value>, Unsupported> {
    match form {
        Form::OpenAi => openai::write(wish, model, losses),
        Form::One | Form::Batch => gemini::write(wish, model, losses),
    }
}

/// What came back, for whoever asked.
pub(crate) fn passage(from: Form, to: Form, wish: &Wish, model: &str) -> Passage {
    Passage::new(from, to, wish.inputs.len(), wish.is_base64, model)
}
