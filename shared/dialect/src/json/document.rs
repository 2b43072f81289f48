//! An object and where its fields lie.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Edit, JsonError, Shape, prescan, span_in};

/// Fields reserved for at first: chat bodies rarely have more.
const USUAL_FIELDS: usize = 12;

/// A JSON object read one level deep.
#[derive(Clone)]
pub struct Document {
    body: Bytes,
    fields: Vec<Field>,
}

#[derive(Clone)]
pub(super) struct Field {
    pub(super) key: Key,
    pub(super) value: Range<usize>,
}

/// A key's text: where it lies between its quotes, or decoded when it was written with escapes.
#[derive(Clone)]
pub(super) enum Key {
    Plain(Range<usize>),
    Decoded(Box<str>),
}

impl Document {
    /// Reads a body that must be one JSON object.
    ///
    /// # Errors
    /// When it is not, is too deep, or is not UTF-8.
    pub fn parse(body: Bytes) -> Result<Self, JsonError> {
        let text = prescan::check(&body)?;
        let first = text.bytes().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some_and(|byte| byte != b'{') {
            return Err(not_an_object(text));
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let fields = Fields { text }.deserialize(&mut parser).map_err(|error| JsonError::from_parser(&error))?;
        parser.end().map_err(|error| JsonError::Trailing { line: error.line(), column: error.column() })?;
        Ok(Self { body, fields })
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The raw value of a field, without surrounding space; of its last occurrence when there are several.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.fields().rev().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The raw value of a field, unless it is absent or `null`.
    #[must_use]
    pub fn get_some(&self, key: &str) -> Option<&[u8]> {
        self.get(key).filter(|value| Shape::of(value) != Shape::Null)
    }

    /// How often a key occurs.
    #[must_use]
    pub fn occurrences(&self, key: &str) -> usize {
        self.fields().filter(|(name, _)| *name == key.as_bytes()).count()
    }

    /// All fields in the order they were written: the key's text and the raw value.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.key(field), self.value(field)))
    }

    /// Where a field's value lies in the body; of its last occurrence when there are several.
    #[must_use]
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        self.get(key).and_then(|value| span_in(&self.body, value))
    }

    /// Starts a changed copy.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    pub(super) fn raw_fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn key<'a>(&'a self, field: &'a Field) -> &'a [u8] {
        match &field.key {
            Key::Plain(span) => self.body.get(span.clone()).unwrap_or_default(),
            Key::Decoded(text) => text.as_bytes(),
        }
    }

    pub(super) fn value(&self, field: &Field) -> &[u8] {
        self.body.get(field.value.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.body.len()).field("fields", &self.fields.len()).finish_non_exhaustive()
    }
}

fn not_an_object(text: &str) -> JsonError {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => JsonError::NotAnObject(Shape::of(value.get().as_bytes())),
        Err(error) => JsonError::from_parser(&error),
    }
}

struct Fields<'a> {
    text: &'a str,
}

impl<'de> DeserializeSeed<'de> for Fields<'de> {
    type Value = Vec<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Vec<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        while let Some(key) = map.next_key_seed(KeySeed { text: self.text })? {
            let value: &RawValue = map.next_value()?;
            let value = span_in(self.text.as_bytes(), value.get().as_bytes()).unwrap_or_default();
            fields.push(Field { key, value });
        }
        Ok(fields)
    }
}

struct KeySeed<'a> {
    text: &'a str,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'de> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'de> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        let span = span_in(self.text.as_bytes(), key.as_bytes());
        Ok(span.map_or_else(|| Key::Decoded(key.into()), Key::Plain))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Key::Decoded(key.into()))
    }
}
