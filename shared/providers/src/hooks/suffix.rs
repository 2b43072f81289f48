//! Endings of model names that ask for something.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_dialect::json::Fields;

use crate::Capability;

/// An ending of a model's name that is taken off, and the field that is set in its place. Only chat requests have such names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSuffix {
    /// The ending.
    pub suffix: String,
    /// Only names that start with one of these; empty: all.
    #[serde(default)]
    pub starts_with: Vec<String>,
    /// Not names that start with one of these: there the ending is part of the name.
    #[serde(default)]
    pub except: Vec<String>,
    /// The field.
    pub field: String,
    /// Its value, unless the caller sent one.
    pub value: Value,
}

impl ModelSuffix {
    /// The name without the ending, where it has it.
    pub(super) fn plain<'m>(&self, capability: Capability, model: &'m str) -> &'m str {
        let starts = |starts: &[String]| starts.iter().any(|start| model.starts_with(start.as_str()));
        if capability != Capability::Chat || !(self.starts_with.is_empty() || starts(&self.starts_with)) || starts(&self.except) {
            return model;
        }
        model.strip_suffix(self.suffix.as_str()).filter(|plain| !plain.is_empty()).unwrap_or(model)
    }

    pub(super) fn put(&self, body: &mut Fields) {
        body.set_default(&self.field, self.value.to_string());
    }
}
