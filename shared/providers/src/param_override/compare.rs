//! Whether a value is what a condition wants.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::Rule;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Full,
    Prefix,
    Suffix,
    Contains,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Comparison {
    /// The words of them all.
    pub(super) const WORDS: [(&'static str, Self); 8] = [
        ("full", Self::Full),
        ("prefix", Self::Prefix),
        ("suffix", Self::Suffix),
        ("contains", Self::Contains),
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
    ];

    /// Whether it can be asked about a value at all.
    pub(super) fn takes(self, wanted: &Value) -> Result<(), Rule> {
        match self {
            Self::Full => Ok(()),
            Self::Prefix | Self::Suffix | Self::Contains if wanted.is_string() => Ok(()),
            Self::Prefix | Self::Suffix | Self::Contains => Err("must be a string".into()),
            Self::Gt | Self::Gte | Self::Lt | Self::Lte if wanted.is_number() => Ok(()),
            Self::Gt | Self::Gte | Self::Lt | Self::Lte => Err("must be a number".into()),
        }
    }

    pub(super) fn holds(self, found: &Value, wanted: &Value) -> Result<bool, Rule> {
        let text = || Ok::<_, Rule>((text_of(found), wanted.as_str().unwrap_or_default()));
        Ok(match self {
            Self::Full => equal(found, wanted)?,
            Self::Prefix => text().map(|(found, wanted)| found.starts_with(wanted))?,
            Self::Suffix => text().map(|(found, wanted)| found.ends_with(wanted))?,
            Self::Contains => text().map(|(found, wanted)| found.contains(wanted))?,
            Self::Gt => order(found, wanted)? == Some(Ordering::Greater),
            Self::Gte => matches!(order(found, wanted)?, Some(Ordering::Greater | Ordering::Equal)),
            Self::Lt => order(found, wanted)? == Some(Ordering::Less),
            Self::Lte => matches!(order(found, wanted)?, Some(Ordering::Less | Ordering::Equal)),
        })
    }
}

/// Values of two kinds are not compared, but null is like nothing else.
fn equal(found: &Value, wanted: &Value) -> Result<bool, Rule> {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => Ok(compare(found, wanted) == Some(Ordering::Equal)),
        (Value::Null, _)
        | (_, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::String(_), Value::String(_))
        | (Value::Array(_), Value::Array(_))
        | (Value::Object(_), Value::Object(_)) => Ok(found == wanted),
        _ => Err("compares values of two kinds".into()),
    }
}

fn order(found: &Value, wanted: &Value) -> Result<Option<Ordering>, Rule> {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => Ok(compare(found, wanted)),
        _ => Err("compares by size what is no number".into()),
    }
}

fn compare(found: &Number, wanted: &Number) -> Option<Ordering> {
    match (found.as_i64(), wanted.as_i64(), found.as_u64(), wanted.as_u64()) {
        (Some(found), Some(wanted), ..) => Some(found.cmp(&wanted)),
        (.., Some(found), Some(wanted)) => Some(found.cmp(&wanted)),
        _ => found.as_f64()?.partial_cmp(&wanted.as_f64()?),
    }
}

/// A value as text: what is none is looked at as it is written.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
