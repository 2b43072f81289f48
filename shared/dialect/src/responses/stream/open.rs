//! The items that a stream is in the middle of.

use serde_json::Value;

use crate::ir::{Signature, TokenLogprob};
use crate::responses::item;

/// A message of the model's.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its id.
    pub(super) id: String,
    /// Its parts that are whole.
    pub(super) parts: Vec<Value>,
    /// The part that is not.
    pub(super) part: Option<Part>,
}

/// A part of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// It declines; otherwise it is text.
    pub(super) is_refusal: bool,
    /// What came of it.
    pub(super) text: String,
    /// Its citations.
    pub(super) annotations: Vec<Value>,
    /// Log probabilities of its tokens.
    pub(super) logprobs: Vec<TokenLogprob>,
}

impl Part {
    /// As it stands in its message.
    pub(super) fn render(&self) -> Value {
        if self.is_refusal { item::refusal(&self.text) } else { item::output_text(&self.text, &self.annotations, &self.logprobs) }
    }
}

/// Reasoning.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasoning {
    /// Its id, once it was announced.
    pub(super) id: Option<String>,
    /// What came of it.
    pub(super) text: String,
    /// What the caller sends back.
    pub(super) encrypted: Option<String>,
}

/// A call. Calls are told one after the other: what comes of a later one meanwhile is kept.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its block.
    pub(super) block: u32,
    /// Its id.
    pub(super) id: String,
    /// The tool.
    pub(super) name: String,
    /// The tool takes text: it is told when it is whole.
    pub(super) is_custom: bool,
    /// The namespace of the tool.
    pub(super) namespace: Option<String>,
    /// JSON text, as far as it came.
    pub(super) arguments: String,
    /// Bytes of the arguments that were told.
    pub(super) told: usize,
    /// The id of the item, once it was announced.
    pub(super) item: Option<String>,
    /// State of another family's.
    pub(super) signature: Option<Signature>,
    /// Nothing more comes.
    pub(super) is_whole: bool,
}

impl Call {
    /// For its item.
    pub(super) fn as_item(&self) -> item::Call<'_> {
        let Self { id, name, arguments, .. } = self;
        item::Call { id, namespace: self.namespace.as_deref(), name, arguments, is_custom: self.is_custom }
    }
}
