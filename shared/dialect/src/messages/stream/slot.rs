//! A block of a stream on its way to a caller, who takes one block at a time: the others wait.

use serde_json::{Value, json};

use crate::ir::Signature;

/// What a block is on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Text, refusals included.
    Text,
    /// Reasoning.
    Thinking,
    /// A call.
    Call {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
    },
    /// A block whose start says all, as the wire has it.
    Whole(Value),
    /// What the caller does not see.
    Hidden,
}

/// One block.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its number in the IR.
    pub(super) block: u32,
    /// What it is.
    pub(super) kind: Kind,
    /// Pieces that are not written yet, as deltas.
    pub(super) pieces: Vec<Value>,
    /// Its signature.
    pub(super) signature: Option<Signature>,
    /// Its start is written.
    pub(super) is_begun: bool,
    /// No more comes.
    pub(super) is_over: bool,
}

impl Slot {
    /// A block that begins.
    pub(super) const fn new(block: u32, kind: Kind) -> Self {
        Self { block, kind, pieces: Vec::new(), signature: None, is_begun: false, is_over: false }
    }

    /// Whether there is enough to announce it: no text or reasoning is, before something of it is there.
    pub(super) fn can_begin(&self) -> bool {
        match self.kind {
            Kind::Text => !self.pieces.is_empty(),
            Kind::Thinking => !self.pieces.is_empty() || self.signature.is_some(),
            Kind::Call { .. } | Kind::Whole(_) => true,
            Kind::Hidden => false,
        }
    }

    /// Its `content_block`.
    pub(super) fn content_block(&self) -> Value {
        match &self.kind {
            Kind::Text | Kind::Hidden => json!({"type": "text", "text": ""}),
            Kind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Call { id, name } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
            Kind::Whole(block) => block.clone(),
        }
    }
}
