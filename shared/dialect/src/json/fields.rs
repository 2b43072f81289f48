//! An object whose fields are changed one after the other, each change seeing those before it. What is not changed keeps its bytes.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use super::document::Document;
use super::{JsonError, Shape, quoted, span_in};

/// The fields of an object, in their order, with their values as they were written.
///
/// Of a key that stands twice, the last counts, and it alone is left once something was changed. Space between fields is not kept then.
#[derive(Debug, Clone)]
pub struct Fields {
    body: Bytes,
    /// Names and raw values.
    members: Vec<(Bytes, Bytes)>,
    is_changed: bool,
}

impl Fields {
    /// Reads an object.
    ///
    /// # Errors
    /// When it is none, is too deep, or is not UTF-8.
    pub fn parse(body: Bytes) -> Result<Self, JsonError> {
        let document = Document::parse(body)?;
        let body = document.body().clone();
        let mut fields: Vec<(Bytes, Bytes)> = Vec::new();
        for (name, value) in document.fields() {
            let (name, value) = (part(&body, name), part(&body, value));
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        Ok(Self { body, members: fields, is_changed: false })
    }

    /// The raw value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether a field is there, with any value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text of a field that is one.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|raw| serde_json::from_slice(raw).ok())
    }

    /// Gives a field a value, which must be valid JSON. One that is there keeps its place, another comes last.
    pub fn set(&mut self, name: &str, value: impl Into<Bytes>) {
        self.is_changed = true;
        let value = value.into();
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((Bytes::copy_from_slice(name.as_bytes()), value)),
        }
    }

    /// The same unless the field is there.
    pub fn set_default(&mut self, name: &str, value: impl Into<Bytes>) {
        if !self.contains(name) {
            self.set(name, value);
        }
    }

    /// Takes a field out: its raw value, if it was there.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        let place = self.members.iter().position(|(known, _)| known == name)?;
        self.is_changed = true;
        Some(self.members.remove(place).1)
    }

    /// Keeps the fields that are wanted, and shows the name and the value of each that is not.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool, mut out: impl FnMut(&str, &[u8])) {
        let before = self.members.len();
        self.members.retain(|(name, value)| {
            let name = std::str::from_utf8(name).unwrap_or_default();
            let stays = is_wanted(name);
            if !stays {
                out(name, value);
            }
            stays
        });
        self.is_changed |= self.members.len() != before;
    }

    /// Changes an object inside a field.
    pub fn within(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        let changed = self.get(name).and_then(|raw| changed(raw, change));
        if let Some(changed) = changed {
            self.set(name, changed);
        }
    }

    /// Changes the items of an array inside a field: whatever `change` makes another value of.
    pub fn each(&mut self, name: &str, change: impl FnMut(&Bytes) -> Option<Bytes>) {
        let changed = self.get(name).and_then(|raw| each(raw, change));
        if let Some(changed) = changed {
            self.set(name, changed);
        }
    }

    /// The same for items that are objects.
    pub fn each_object(&mut self, name: &str, mut change: impl FnMut(&mut Self)) {
        self.each(name, |item| changed(item, &mut change));
    }

    /// The object; the very same bytes where nothing was changed.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if !self.is_changed {
            return self.body;
        }
        let length: usize = self.members.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut out = BytesMut::with_capacity(length + 2);
        out.put_u8(b'{');
        for (name, value) in &self.members {
            if out.len() > 1 {
                out.put_u8(b',');
            }
            let is_plain = name.iter().all(|byte| *byte >= b' ' && !matches!(byte, b'"' | b'\\'));
            if is_plain {
                out.put_u8(b'"');
                out.put_slice(name);
                out.put_u8(b'"');
            } else {
                out.put_slice(quoted(std::str::from_utf8(name).unwrap_or_default()).as_bytes());
            }
            out.put_u8(b':');
            out.put_slice(value);
        }
        out.put_u8(b'}');
        out.freeze()
    }
}

/// An object after a change; `None` where nothing was changed, or it is no object.
fn changed(raw: &Bytes, change: impl FnOnce(&mut Fields)) -> Option<Bytes> {
    if Shape::of(raw) != Shape::Object {
        return None;
    }
    let mut fields = Fields::parse(raw.clone()).ok()?;
    change(&mut fields);
    fields.is_changed.then(|| fields.finish())
}

/// An array after a change of its items; `None` where nothing was changed, or it is no array. What is between items stays.
fn each(raw: &Bytes, mut change: impl FnMut(&Bytes) -> Option<Bytes>) -> Option<Bytes> {
    if Shape::of(raw) != Shape::Array {
        return None;
    }
    let items: Vec<&RawValue> = serde_json::from_slice(raw).ok()?;
    let (mut out, mut copied) = (None::<BytesMut>, 0);
    for item in items {
        let Some(span) = span_in(raw, item.get().as_bytes()) else { continue };
        if let Some(value) = change(&raw.slice(span.clone())) {
            let out = out.get_or_insert_with(|| BytesMut::with_capacity(raw.len() + 64));
            out.put_slice(raw.get(copied..span.start).unwrap_or_default());
            out.put_slice(&value);
            copied = span.end;
        }
    }
    let mut out = out?;
    out.put_slice(raw.get(copied..).unwrap_or_default());
    Some(out.freeze())
}

/// A part of a body as bytes of their own, without a copy where it lies in it.
fn part(body: &Bytes, part: &[u8]) -> Bytes {
    span_in(body, part).map_or_else(|| Bytes::copy_from_slice(part), |span| body.slice(span))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn text(fields: Fields) -> String {
        String::from_utf8(fields.finish().to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_changed_keeps_its_bytes() {
        let body = r#"{ "z" : 1.10, "a" : {"x" : 1e999, "y":[ ]}, "big":12345678901234567890123,"m":[ {"r":"s"} , 1.0 ] }"#;
        assert_eq!(text(fields(body)), body);
        let mut one = fields(body);
        assert_eq!(one.remove("z").as_deref(), Some(&b"1.10"[..]));
        one.set_default("big", "1");
        one.within("a", |inner| inner.set("y", "true"));
        one.each_object("m", |item| item.set("r", "\"d\""));
        one.set("n\"", "2");
        let expected = r#"{"a":{"x":1e999,"y":true},"big":12345678901234567890123,"m":[ {"r":"d"} , 1.0 ],"n\"":2}"#;
        assert_eq!(text(one), expected);
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts() {
        let mut twice = fields(r#"{"a":1,"b":2,"a":3}"#);
        assert_eq!(twice.get("a").map(|raw| &raw[..]), Some(&b"3"[..]));
        twice.set("b", "4");
        assert_eq!(text(twice), r#"{"b":4,"a":3}"#);
    }

    #[test]
    fn what_is_no_object_or_array_is_left_alone() {
        let mut odd = fields(r#"{"a":1,"b":[1],"c":null}"#);
        odd.within("b", |inner| inner.set("x", "1"));
        odd.each("a", |_| Some(Bytes::from_static(b"2")));
        odd.each_object("b", |inner| inner.set("x", "1"));
        odd.retain(|_| true, |_, _| panic!("nothing goes"));
        assert_eq!((odd.text("c"), odd.remove("d")), (None, None));
        assert_eq!(text(odd), r#"{"a":1,"b":[1],"c":null}"#);
    }

    proptest! {
        #[test]
        fn every_other_field_is_the_same_to_the_byte(
            numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", 1..8), place in any::<prop::sample::Index>(), removes in any::<bool>(),
        ) {
            let body = format!("{{{}}}", numbers.iter().enumerate().map(|(at, number)| format!("\"f{at}\":[{number} ]")).collect::<Vec<_>>().join(","));
            let mut changed = fields(&body);
            let name = format!("f{}", place.index(numbers.len()));
            if removes { changed.remove(&name); } else { changed.set(&name, "true") }
            let after = fields(&text(changed));
            for (at, number) in numbers.iter().enumerate() {
                let other = format!("f{at}");
                let expected = if other == name { (!removes).then(|| "true".to_owned()) } else { Some(format!("[{number} ]")) };
                prop_assert_eq!(after.get(&other).map(|raw| String::from_utf8_lossy(raw).into_owned()), expected);
            }
        }
    }
}
