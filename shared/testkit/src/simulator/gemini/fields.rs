//! Single fields, checked as Google checks them: JSON for protocol buffers.

use serde_json::{Map, Value, json};

use crate::simulator::refusal::Refusal;
use crate::simulator::seal::decode;

/// A JSON object of the request and the path to it, in Google's spelling.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub(super) fields: &'a Map<String, Value>,
    pub(super) at: String,
}

/// A refusal with the details Google gives for a bad field.
pub(super) fn violation(at: &str, text: String) -> Refusal {
    let violation = json!({"field": at, "description": text});
    Refusal::bad(text).detail(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}))
}

/// A refusal from behind the parser: `* GenerateContentRequest.contents: …`.
pub(super) fn wrong(at: &str, text: &str) -> Refusal {
    Refusal::bad(format!("* GenerateContentRequest.{at}: {text}\n"))
}

/// A value of the wrong type, or a word that is none of an enum's.
pub(super) fn invalid(at: &str, kind: &str, value: &Value) -> Refusal {
    violation(at, format!("Invalid value at '{at}' ({kind}), {value}"))
}

/// `inlineData` as `inline_data`.
pub(super) fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

impl<'a> Message<'a> {
    /// An object with only these fields, in either spelling.
    pub(super) fn read(value: &'a Value, at: String, known: &[&str]) -> Result<Self, Refusal> {
        let Some(fields) = value.as_object() else {
            return Err(invalid(&at, "type.googleapis.com/google.protobuf.Message", value));
        };
        let message = Self { fields, at };
        message.only(known)?;
        Ok(message)
    }

    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let is_known = |name: &str| known.iter().any(|known| *known == name || snake(known) == name);
        let Some(unknown) = self.fields.keys().find(|name| !is_known(name)) else { return Ok(()) };
        let place = if self.at.is_empty() { String::new() } else { format!(" at '{}'", self.at) };
        let text = format!("Invalid JSON payload received. Unknown name \"{unknown}\"{place}: Cannot find field.");
        Err(violation(&self.at, text))
    }

    /// A field that is there and not `null`, by its name in camel case.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let value = self.fields.get(name).or_else(|| self.fields.get(&snake(name)));
        value.filter(|value| !value.is_null())
    }

    /// The path of a field.
    pub(super) fn path(&self, name: &str) -> String {
        let name = snake(name);
        if self.at.is_empty() { name } else { format!("{}.{name}", self.at) }
    }

    pub(super) fn message(&self, name: &str, known: &[&str]) -> Result<Option<Message<'a>>, Refusal> {
        self.get(name).map(|value| Message::read(value, self.path(name), known)).transpose()
    }

    /// The elements of a list; a single object counts as one.
    pub(super) fn list(&self, name: &str) -> Result<Vec<(String, &'a Value)>, Refusal> {
        let at = self.path(name);
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                Ok(list.iter().enumerate().map(|(place, value)| (format!("{at}[{place}]"), value)).collect())
            }
            Some(one @ Value::Object(_)) => Ok(vec![(format!("{at}[0]"), one)]),
            Some(other) => Err(invalid(&at, "TYPE_MESSAGE", other)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(invalid(&self.path(name), "TYPE_STRING", other)),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(invalid(&self.path(name), "TYPE_BOOL", other)),
        }
    }

    /// A whole number, which may be written as a text.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let whole = |figure: &f64| figure.fract() == 0.0 && figure.abs() < 9e15;
        let figure = match value {
            Value::String(text) => text.parse().ok(),
            #[expect(clippy::cast_possible_truncation, reason = "the figure is whole and far below 2⁵³")]
            number => number.as_i64().or_else(|| number.as_f64().filter(whole).map(|figure| figure as i64)),
        };
        match figure.filter(|figure| i32::try_from(*figure).is_ok()) {
            Some(figure) => Ok(Some(figure)),
            None => Err(invalid(&self.path(name), "TYPE_INT32", value)),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64() {
            Some(figure) => Ok(Some(figure)),
            None => Err(invalid(&self.path(name), "TYPE_FLOAT", value)),
        }
    }

    /// A word of an enum, in upper case. `kind` is the enum's name.
    pub(super) fn word(&self, name: &str, kind: &str, words: &[&'static str]) -> Result<Option<&'static str>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        enum_word(value, &self.path(name), kind, words).map(Some)
    }

    /// Bytes in base64, and how many.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let Some(bytes) = decode(text) else {
            let at = self.path(name);
            let shown: String = text.chars().take(32).collect();
            return Err(violation(&at, format!("Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\"")));
        };
        Ok(Some(bytes.len()))
    }

    /// A free JSON object: `args`, `response`.
    pub(super) fn structure(&self, name: &str) -> Result<Option<&'a Value>, Refusal> {
        match self.get(name) {
            Some(other) if !other.is_object() => {
                Err(invalid(&self.path(name), "type.googleapis.com/google.protobuf.Struct", other))
            }
            found => Ok(found),
        }
    }
}

/// A word of an enum, whatever its case.
pub(super) fn enum_word(value: &Value, at: &str, kind: &str, words: &[&'static str]) -> Result<&'static str, Refusal> {
    let found = value.as_str().and_then(|word| words.iter().find(|known| known.eq_ignore_ascii_case(word)));
    found.copied().ok_or_else(|| invalid(at, &format!("type.googleapis.com/google.ai.generativelanguage.v1beta.{kind}"), value))
}
