//! Reading a body field by field, so that whoever wrote it wrongly hears where and what, and never their own words back.
//!
//! A [`Node`] is a value and how one got there. `null` counts as absent. Names are taken as they stand; a dialect that allows several
//! spellings asks with [`Node::any`].

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::json::Shape;

/// What is wrong with a body: the place, the rule, and of the value only its kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{path}`{rule}")]
pub struct BodyError {
    /// Where, for instance `messages[2].content[0].type`.
    pub path: String,
    /// What is wrong there.
    pub rule: Rule,
}

/// A rule that is broken. It reads on from the path.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rule {
    /// The field is required and absent.
    #[error(" is required")]
    Missing,
    /// It must hold something.
    #[error(" must not be empty")]
    Empty,
    /// Another kind of value belongs there.
    #[error(": expected {expected}, got {got}")]
    Shape {
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: Shape,
    },
    /// The number is too small or too large.
    #[error(" must be from {least} to {most}")]
    Range {
        /// The smallest allowed.
        least: f64,
        /// The largest allowed.
        most: f64,
    },
    /// The word is none of those that are known.
    #[error(" must be one of {0}")]
    Word(&'static str),
    /// Another rule, as a clause that follows the path: ` holds no base64`.
    #[error("{0}")]
    Other(&'static str),
}

/// A value of a body and its place.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    value: &'a Value,
    place: Place<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Node<'a>, &'a str),
    Item(&'a Node<'a>, usize),
}

impl<'a> Node<'a> {
    /// A whole body.
    #[must_use]
    pub const fn root(value: &'a Value) -> Self {
        Self { value, place: Place::Root }
    }

    /// The value as it is.
    #[must_use]
    pub const fn value(&self) -> &'a Value {
        self.value
    }

    /// What kind of value it is.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match self.value {
            Value::Object(_) => Shape::Object,
            Value::Array(_) => Shape::Array,
            Value::String(_) => Shape::String,
            Value::Number(_) => Shape::Number,
            Value::Bool(_) => Shape::Boolean,
            Value::Null => Shape::Null,
        }
    }

    /// A field of an object; `None` when it is absent or null, or this is no object.
    #[must_use]
    pub fn get<'n>(&'n self, name: &'n str) -> Option<Node<'n>> {
        let value = self.value.as_object()?.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, place: Place::Field(self, name) })
    }

    /// The first field that is there, of several spellings of one.
    #[must_use]
    pub fn any<'n>(&'n self, names: &[&'n str]) -> Option<Node<'n>> {
        names.iter().find_map(|name| self.get(name))
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// When it is absent or null, or this is no object.
    pub fn need<'n>(&'n self, name: &'n str) -> Result<Node<'n>, BodyError> {
        self.object()?;
        self.get(name).ok_or_else(|| Node { value: &Value::Null, place: Place::Field(self, name) }.broken(Rule::Missing))
    }

    /// The text.
    ///
    /// # Errors
    /// When it is no string.
    pub fn text(&self) -> Result<&'a str, BodyError> {
        self.value.as_str().ok_or_else(|| self.wrong("a string"))
    }

    /// The truth.
    ///
    /// # Errors
    /// When it is no boolean.
    pub fn boolean(&self) -> Result<bool, BodyError> {
        self.value.as_bool().ok_or_else(|| self.wrong("a boolean"))
    }

    /// A number within bounds.
    ///
    /// # Errors
    /// When it is no number, or outside.
    pub fn number(&self, least: f64, most: f64) -> Result<f64, BodyError> {
        let number = self.value.as_f64().ok_or_else(|| self.wrong("a number"))?;
        if (least..=most).contains(&number) { Ok(number) } else { Err(self.broken(Rule::Range { least, most })) }
    }

    /// A whole number within bounds. One written with a fraction of zero (`3.0`) is whole.
    ///
    /// # Errors
    /// When it is no number, has a fraction, or is outside.
    pub fn whole(&self, least: i64, most: i64) -> Result<i64, BodyError> {
        #[expect(clippy::cast_precision_loss, reason = "bounds are told, not computed with")]
        let range = Rule::Range { least: least as f64, most: most as f64 };
        let Some(number) = self.value.as_number() else { return Err(self.wrong("a whole number")) };
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the bounds are looked at after it")]
        let whole = number.as_i64().or_else(|| number.as_f64().filter(|value| value.fract() == 0.0).map(|value| value as i64));
        match whole {
            Some(whole) if (least..=most).contains(&whole) => Ok(whole),
            Some(_) => Err(self.broken(range)),
            None if number.is_u64() => Err(self.broken(range)),
            None => Err(self.broken(Rule::Other(": expected a whole number, got a number with a fraction"))),
        }
    }

    /// The same as [`Node::whole`] for what is counted.
    ///
    /// # Errors
    /// When it is no number, has a fraction, or is outside.
    pub fn count(&self, least: u32, most: u32) -> Result<u32, BodyError> {
        let whole = self.whole(i64::from(least), i64::from(most))?;
        Ok(u32::try_from(whole).unwrap_or(most))
    }

    /// The items of an array, each with its place.
    ///
    /// # Errors
    /// When it is no array.
    pub fn items(&self) -> Result<impl ExactSizeIterator<Item = Node<'_>>, BodyError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("an array"))?;
        Ok(items.iter().enumerate().map(move |(index, value)| Node { value, place: Place::Item(self, index) }))
    }

    /// The object.
    ///
    /// # Errors
    /// When it is none.
    pub fn object(&self) -> Result<&'a Map<String, Value>, BodyError> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    /// What a word stands for.
    ///
    /// # Errors
    /// When it is no string, or none of the words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], list: &'static str) -> Result<T, BodyError> {
        let said = self.text()?;
        words.iter().find(|(word, _)| *word == said).map(|(_, meaning)| *meaning).ok_or_else(|| self.broken(Rule::Word(list)))
    }

    /// The error that another kind of value belongs here.
    #[must_use]
    pub fn wrong(&self, expected: &'static str) -> BodyError {
        self.broken(Rule::Shape { expected, got: self.shape() })
    }

    /// The error that a rule is broken here.
    #[must_use]
    pub fn broken(&self, rule: Rule) -> BodyError {
        BodyError { path: self.path(), rule }
    }

    /// Where it is, for instance `messages[2].content[0].type`. The body itself is `body`.
    #[must_use]
    pub fn path(&self) -> String {
        match self.place {
            Place::Root => "body".to_owned(),
            Place::Field(Node { place: Place::Root, .. }, name) => name.to_owned(),
            Place::Field(parent, name) => {
                let mut path = parent.path();
                path.push('.');
                path.push_str(name);
                path
            }
            Place::Item(parent, index) => {
                let mut path = parent.path();
                let _ = write!(path, "[{index}]");
                path
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_names_the_place_and_the_kind_and_no_value() {
        let body =
            json!({"messages": [{"content": "x"}, {"content": {"secret": 1}, "role": null}], "n": 2.5, "big": 9_000_000_000_u64});
        let root = Node::root(&body);
        let messages = root.need("messages").unwrap();
        let second = messages.items().unwrap().nth(1).unwrap();
        let content = second.need("content").unwrap();
        assert_eq!(content.text().unwrap_err().to_string(), "`messages[1].content`: expected a string, got an object");
        assert_eq!(second.need("role").unwrap_err().to_string(), "`messages[1].role` is required", "null is absent");
        let whole = |name| root.need(name).and_then(|node| node.whole(1, 128)).unwrap_err().to_string();
        assert_eq!(whole("n"), "`n`: expected a whole number, got a number with a fraction");
        assert_eq!(whole("big"), "`big` must be from 1 to 128");
        assert_eq!(root.text().unwrap_err().to_string(), "`body`: expected a string, got an object");
    }

    #[test]
    fn words_and_spellings() {
        let body = json!({"tool_choice": "any", "maxOutputTokens": 3.0});
        let root = Node::root(&body);
        let choice = root.need("tool_choice").unwrap();
        let words = [("auto", 1), ("none", 2)];
        assert_eq!(choice.word(&words, "auto, none").unwrap_err().to_string(), "`tool_choice` must be one of auto, none");
        assert_eq!(root.any(&["max_output_tokens", "maxOutputTokens"]).unwrap().count(1, 9), Ok(3));
    }
}
