//! Changes of a request's body, as a channel's administrator wants them.
//!
//! Two forms (providers.md §13.2): an object whose fields replace those of the body, and a list of `operations` that run in order. Fields
//! beside such a list are replaced first. Everything is judged by [`ParamOverride::compile`], once for a channel; what only a body can show
//! (there is no text to cut, nothing to move) by [`ParamOverride::apply`]. The work is bounded however the rules are written: so many
//! operations, so deep a path, so much text.

use std::borrow::Cow;

use serde_json::{Map, Value};

mod compare;
mod condition;
mod growth;
mod operation;
mod path;
#[cfg(test)]
mod tests;
mod text;

use growth::Growth;
use operation::Operation;

/// The most operations a channel may have.
const MAX_OPERATIONS: usize = 100;
/// The field that lists operations.
const OPERATIONS: &str = "operations";
/// What decides how an answer is read. No rule may touch it: an answer that is streamed would be read as one that is not.
const STREAM: &str = "stream";
const KEEPS_STREAM: &str = "must not change `stream`";

/// Changes of a body, ready to be made.
#[derive(Debug, Clone, Default)]
pub struct ParamOverride {
    fields: Map<String, Value>,
    operations: Vec<Operation>,
}

/// What conditions may ask about beside the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverrideContext<'a> {
    /// The model, as the upstream calls it: `model` and `upstream_model`.
    pub upstream_model: &'a str,
    /// The model, as the caller calls it: `original_model`.
    pub original_model: &'a str,
    /// The path the caller asked at: `request_path`.
    pub request_path: &'a str,
    /// Whether it is an administrator's test of the channel: `is_channel_test`.
    pub is_channel_test: bool,
}

/// A rule that is none, or that a body does not allow. It shows the rule, and nothing of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {rule}")]
pub struct ParamOverrideError {
    /// Where in the rules, for instance `operations.3.mode`.
    pub path: String,
    /// What it breaks, as a clause that follows the path.
    pub rule: Cow<'static, str>,
}

/// What a part of the rules breaks.
type Rule = Cow<'static, str>;

impl ParamOverrideError {
    /// The same, seen from where the part stands in the whole.
    fn within(self, parent: impl std::fmt::Display) -> Self {
        let path = if self.path.is_empty() { parent.to_string() } else { format!("{parent}.{}", self.path) };
        Self { path, ..self }
    }

    fn at(path: &str, rule: impl Into<Rule>) -> Self {
        Self { path: path.to_owned(), rule: rule.into() }
    }
}

impl ParamOverride {
    /// Reads and judges the rules of a channel.
    ///
    /// # Errors
    /// When one of them can never be followed. It is named by its path.
    pub fn compile(rules: &Map<String, Value>) -> Result<Self, ParamOverrideError> {
        if rules.contains_key(STREAM) {
            return Err(ParamOverrideError::at(STREAM, KEEPS_STREAM));
        }
        let mut fields = rules.clone();
        let listed = match fields.shift_remove(OPERATIONS) {
            None => Vec::new(),
            Some(Value::Array(listed)) => listed,
            Some(_) => return Err(ParamOverrideError::at(OPERATIONS, "must be an array")),
        };
        if listed.len() > MAX_OPERATIONS {
            let rule = format!("must have at most {MAX_OPERATIONS} members");
            return Err(ParamOverrideError::at(OPERATIONS, rule));
        }
        let compiled = |(number, operation)| {
            let within = |error: ParamOverrideError| error.within(format_args!("{OPERATIONS}.{number}"));
            Operation::compile(operation).map_err(within)
        };
        let operations = listed.iter().enumerate().map(compiled).collect::<Result<_, _>>()?;
        Ok(Self { fields, operations })
    }

    /// Whether it changes nothing, whatever the body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.operations.is_empty()
    }

    /// Changes a body. After an error it is half changed, and must not be sent.
    ///
    /// # Errors
    /// When an operation finds nothing it can work on, or makes the body too large.
    pub fn apply(&self, body: &mut Map<String, Value>, context: &OverrideContext<'_>) -> Result<(), ParamOverrideError> {
        for (name, value) in &self.fields {
            body.insert(name.clone(), value.clone());
        }
        let mut growth = Growth::default();
        for (number, operation) in self.operations.iter().enumerate() {
            let failed = |rule| ParamOverrideError { path: format!("{OPERATIONS}.{number}"), rule };
            operation.apply(body, context, &mut growth).map_err(failed)?;
        }
        Ok(())
    }
}

impl OverrideContext<'_> {
    /// What a name stands for; `None` where it stands for nothing.
    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "model" | "upstream_model" => Some(self.upstream_model.into()),
            "original_model" => Some(self.original_model.into()),
            "request_path" => Some(self.request_path.into()),
            "is_channel_test" => Some(self.is_channel_test.into()),
            _ => None,
        }
    }
}
