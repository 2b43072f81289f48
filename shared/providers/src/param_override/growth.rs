//! How much a body may grow by its rules: copies of copies, and texts in place of letters, grow without end otherwise.

use serde_json::Value;
use sluice_dialect::json::MAX_DEPTH;

use super::Rule;

/// What the rules of a channel may put into one body altogether, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// What a value takes beside its text, in bytes.
const VALUE_BYTES: usize = 16;

/// What may still be put into one body.
#[derive(Debug)]
pub(super) struct Growth {
    left_bytes: usize,
}

impl Default for Growth {
    fn default() -> Self {
        Self { left_bytes: MAX_BYTES }
    }
}

impl Growth {
    /// Takes room for a value that is put at a depth.
    pub(super) fn take_value(&mut self, value: &Value, depth: usize) -> Result<(), Rule> {
        let left = MAX_DEPTH.checked_sub(depth).ok_or("nests the body too deep")?;
        self.take_bytes(size_bytes(value, left).ok_or("nests the body too deep")?)
    }

    /// Takes room for text.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> Result<(), Rule> {
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or("makes the body too large")?;
        Ok(())
    }
}

/// What a value takes; `None`: it is nested deeper than it may be.
fn size_bytes(value: &Value, levels: usize) -> Option<usize> {
    let levels = levels.checked_sub(1)?;
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().try_fold(0, |sum: usize, item| sum.checked_add(size_bytes(item, levels)?))?,
        Value::Object(fields) => fields
            .iter()
            .try_fold(0, |sum: usize, (name, field)| sum.checked_add(name.len())?.checked_add(size_bytes(field, levels)?))?,
    };
    inner.checked_add(VALUE_BYTES)
}
