//! The types of JSON Schema, in lower and upper case.

use serde_json::{Map, Value};

/// A type other than `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
}

impl Kind {
    const ALL: [Self; 6] = [Self::String, Self::Number, Self::Integer, Self::Boolean, Self::Array, Self::Object];

    /// As OpenAPI fields of Gemini have it.
    pub(super) const fn upper(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Number => "NUMBER",
            Self::Integer => "INTEGER",
            Self::Boolean => "BOOLEAN",
            Self::Array => "ARRAY",
            Self::Object => "OBJECT",
        }
    }

    /// The type a word says, in either case.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.upper().eq_ignore_ascii_case(word))
    }

    /// The type of a value.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            Value::String(_) => Some(Self::String),
            Value::Array(_) => Some(Self::Array),
            Value::Object(_) => Some(Self::Object),
        }
    }

    /// What a schema without a type must mean, by its other words.
    pub(super) fn implied(schema: &Map<String, Value>) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
        if let Some(value) = schema.get("const") {
            return Self::of(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let both = |one, other| match (one, other) {
                (one, other) if one == other => one,
                (Self::Number | Self::Integer, Self::Number | Self::Integer) => Self::Number,
                _ => Self::String,
            };
            return values.iter().filter_map(Self::of).reduce(both);
        }
        if has(&["properties", "additionalProperties", "patternProperties", "minProperties", "maxProperties"]) {
            Some(Self::Object)
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            Some(Self::Array)
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
            Some(Self::Number)
        } else if has(&["minLength", "maxLength", "pattern"]) {
            Some(Self::String)
        } else {
            None
        }
    }
}

/// Whether a schema allows an object: by its type, or by having properties.
pub(super) fn is_object(schema: &Map<String, Value>) -> bool {
    let says_object = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("object"));
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(says_object),
        Some(kind) => says_object(kind),
        None => schema.contains_key("properties"),
    }
}
