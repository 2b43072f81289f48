//! Changing single fields of an object.

use bytes::{BufMut, Bytes, BytesMut};

use super::document::{Document, Field, Key};
use super::quoted;

/// A list of changes to a [`Document`], applied in one copy at the end.
#[derive(Debug)]
pub struct Edit<'d> {
    document: &'d Document,
    changes: Vec<Change<'d>>,
}

#[derive(Debug)]
struct Change<'d> {
    key: &'d str,
    /// The raw new value; `None` removes the field.
    value: Option<Vec<u8>>,
}

impl<'d> Edit<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, changes: Vec::new() }
    }

    /// Gives a field a value, which must be valid JSON. A field that is there keeps its place (the last one, if there are several: the
    /// others go); one that is not comes last.
    pub fn set(&mut self, key: &'d str, value: impl Into<Vec<u8>>) {
        self.change(key, Some(value.into()));
    }

    /// Takes a field out, in all its occurrences.
    pub fn remove(&mut self, key: &'d str) {
        if self.document.occurrences(key) > 0 {
            self.change(key, None);
        }
    }

    /// The changed object, or the very same bytes when nothing was asked for. Space between fields is not kept.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if self.changes.is_empty() {
            return self.document.body().clone();
        }
        let grown: usize = self.changes.iter().map(|c| c.key.len() + c.value.as_ref().map_or(0, Vec::len) + 4).sum();
        let mut out = BytesMut::with_capacity(self.document.body().len() + grown);
        out.put_u8(b'{');
        let fields = self.document.raw_fields();
        for (place, field) in fields.iter().enumerate() {
            let key = self.document.key(field);
            let Some(change) = self.changes.iter().find(|change| change.key.as_bytes() == key) else {
                self.put(&mut out, field, self.document.value(field));
                continue;
            };
            let is_last = !fields.iter().skip(place + 1).any(|later| self.document.key(later) == key);
            if let (Some(value), true) = (&change.value, is_last) {
                self.put(&mut out, field, value);
            }
        }
        for change in &self.changes {
            if let (Some(value), 0) = (&change.value, self.document.occurrences(change.key)) {
                put_pair(&mut out, quoted(change.key).as_bytes(), value);
            }
        }
        out.put_u8(b'}');
        out.freeze()
    }

    fn change(&mut self, key: &'d str, value: Option<Vec<u8>>) {
        match self.changes.iter_mut().find(|change| change.key == key) {
            Some(change) => change.value = value,
            None => self.changes.push(Change { key, value }),
        }
    }

    fn put(&self, out: &mut BytesMut, field: &Field, value: &[u8]) {
        match &field.key {
            Key::Decoded(text) => put_pair(out, quoted(text).as_bytes(), value),
            Key::Plain(span) => {
                // One byte more on each side: the quotes.
                let quoted = span.start.saturating_sub(1)..span.end + 1;
                put_pair(out, self.document.body().get(quoted).unwrap_or_default(), value);
            }
        }
    }
}

fn put_pair(out: &mut BytesMut, quoted_key: &[u8], value: &[u8]) {
    if out.len() > 1 {
        out.put_u8(b',');
    }
    out.put_slice(quoted_key);
    out.put_u8(b':');
    out.put_slice(value);
}
