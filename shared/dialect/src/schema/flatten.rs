//! Puts in what a schema refers to and merges what it is all of, within bounds: references can grow a small schema without end.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::kind::Kind;

/// The longest chain of references that is followed.
const MAX_REFERENCES: usize = 32;
/// The deepest nesting of schemas; JSON that was parsed reaches it only through references.
pub(super) const MAX_DEPTH: usize = 64;
/// References that are remembered on the way to one schema, to know a cycle by; more are not followed.
const MAX_KNOWN: usize = 256;
/// What references may add to a schema, in bytes of text (a little more for each value).
const MAX_ADDED_BYTES: usize = 1 << 20;

/// The way down to a schema.
#[derive(Debug, Clone)]
pub(super) struct Trail {
    /// References that lead here: one of them again is a cycle.
    references: Rc<Vec<Rc<str>>>,
    /// How many of them lie behind one another.
    hops: usize,
    /// How deep it is.
    pub(super) depth: usize,
}

impl Trail {
    /// At the root, which refers to itself as `#`.
    pub(super) fn root() -> Self {
        Self { references: Rc::new(vec!["#".into()]), hops: 0, depth: 0 }
    }

    /// One schema deeper.
    pub(super) fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }

    fn knows(&self, reference: &str) -> bool {
        self.references.iter().any(|known| **known == *reference)
    }

    fn push(&mut self, reference: &str) {
        Rc::make_mut(&mut self.references).push(reference.into());
    }

    /// What holds for all of them was reached by another way, too.
    fn join(&mut self, other: &Self) {
        self.hops = self.hops.max(other.hops);
        if Rc::ptr_eq(&self.references, &other.references) {
            return;
        }
        for reference in other.references.iter() {
            if self.references.len() < MAX_KNOWN && !self.knows(reference) {
                Rc::make_mut(&mut self.references).push(Rc::clone(reference));
            }
        }
    }
}

/// Follows the references of one schema.
#[derive(Debug)]
pub(super) struct Flattener<'a> {
    root: &'a Value,
    bytes_left: usize,
}

impl<'a> Flattener<'a> {
    pub(super) const fn new(root: &'a Value) -> Self {
        Self { root, bytes_left: MAX_ADDED_BYTES }
    }

    /// The words of a schema without `$ref` and `allOf`. The trail takes up the references that were followed. What says nothing, or is no
    /// object, is empty.
    pub(super) fn flatten(&mut self, schema: Value, trail: &mut Trail) -> Map<String, Value> {
        self.flatten_at(schema, trail, 0)
    }

    fn flatten_at(&mut self, schema: Value, trail: &mut Trail, depth: usize) -> Map<String, Value> {
        let Value::Object(mut own) = schema else { return Map::new() };
        let reference = own.shift_remove("$ref");
        let parts = own.shift_remove("allOf");
        if depth >= MAX_DEPTH {
            return own;
        }
        if let Some(reference) = reference {
            let target = reference.as_str().and_then(|reference| self.resolve(reference, trail));
            let target = match target {
                Some(target) => self.flatten_at(target, trail, depth + 1),
                None => Map::from_iter([("type".to_owned(), "object".into())]),
            };
            merge(&mut own, target);
        }
        if let Some(Value::Array(parts)) = parts {
            let before = trail.clone();
            for part in parts {
                let mut beside = before.clone();
                let part = self.flatten_at(part, &mut beside, depth + 1);
                merge(&mut own, part);
                trail.join(&beside);
            }
        }
        own
    }

    /// Takes so many bytes as a value has from what may be added.
    pub(super) fn charge(&mut self, value: &Value) -> bool {
        take(value, &mut self.bytes_left)
    }

    /// What a reference within the schema points to, unless it is a cycle, or too much.
    fn resolve(&mut self, reference: &str, trail: &mut Trail) -> Option<Value> {
        if trail.knows(reference) || trail.hops >= MAX_REFERENCES || trail.references.len() >= MAX_KNOWN {
            return None;
        }
        let pointer = crate::media::percent_decoded(reference.strip_prefix('#')?);
        let target = self.root.pointer(std::str::from_utf8(&pointer).ok()?)?;
        self.bytes_left = self.bytes_left.saturating_sub(REFERENCE_BYTES);
        if !take(target, &mut self.bytes_left) {
            return None;
        }
        trail.push(reference);
        trail.hops += 1;
        Some(target.clone())
    }
}

/// Bytes a reference takes beside what it points to.
const REFERENCE_BYTES: usize = 64;
/// Bytes a value takes beside its text.
const VALUE_BYTES: usize = 8;

fn take(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len(),
        Value::Object(object) => object.keys().map(String::len).sum(),
        _ => 0,
    };
    let Some(rest) = left.checked_sub(own.saturating_add(VALUE_BYTES)) else {
        *left = 0;
        return false;
    };
    *left = rest;
    match value {
        Value::Object(object) => object.values().all(|value| take(value, left)),
        Value::Array(items) => items.iter().all(|value| take(value, left)),
        _ => true,
    }
}

/// Adds the words of a schema to those of another: what satisfies the result satisfies both, as far as that can be said. Of two texts the
/// first stays.
pub(super) fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (word, theirs) in from {
        match into.get_mut(&word) {
            Some(own) => merge_word(&word, own, theirs),
            None => {
                into.insert(word, theirs);
            }
        }
    }
}

fn merge_word(word: &str, own: &mut Value, theirs: Value) {
    match (word, own, theirs) {
        ("properties", Value::Object(own), Value::Object(theirs)) => {
            for (name, schema) in theirs {
                match own.get_mut(&name) {
                    Some(own) => both(own, schema),
                    None => {
                        own.insert(name, schema);
                    }
                }
            }
        }
        ("items", own @ Value::Object(_), theirs @ Value::Object(_)) => both(own, theirs),
        ("required", Value::Array(own), Value::Array(theirs)) => own.extend(theirs),
        ("enum", Value::Array(own), Value::Array(theirs)) => {
            let theirs: BTreeSet<String> = theirs.iter().map(Value::to_string).collect();
            own.retain(|value| theirs.contains(&value.to_string()));
        }
        ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", own, theirs)
            if theirs.as_f64() > own.as_f64() =>
        {
            *own = theirs;
        }
        ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", own, theirs)
            if theirs.as_f64().is_some_and(|theirs| own.as_f64().is_none_or(|own| theirs < own)) =>
        {
            *own = theirs;
        }
        ("type", own, theirs) => merge_types(own, &theirs),
        _ => {}
    }
}

/// Both schemas at once, merged later: either may refer to a third one. Many of them make one list, not a deep one.
fn both(own: &mut Value, theirs: Value) {
    if let Value::Object(words) = &mut *own
        && words.len() == 1
        && let Some(Value::Array(parts)) = words.get_mut("allOf")
    {
        parts.push(theirs);
        return;
    }
    let mine = own.take();
    *own = Value::Object(Map::from_iter([("allOf".to_owned(), Value::Array(vec![mine, theirs]))]));
}

fn merge_types(own: &mut Value, theirs: &Value) {
    let list = |kinds: &Value| -> BTreeSet<String> {
        let words = kinds.as_array().map_or(std::slice::from_ref(kinds), Vec::as_slice);
        let known = |word: &&str| Kind::parse(word).is_some() || word.eq_ignore_ascii_case("null");
        words.iter().filter_map(Value::as_str).filter(known).map(str::to_ascii_lowercase).collect()
    };
    let (mine, others) = (list(own), list(theirs));
    let allows = |kinds: &BTreeSet<String>, kind: &str| kinds.contains(kind) || (kind == "integer" && kinds.contains("number"));
    let mut common: Vec<Value> = Vec::new();
    for kind in mine.iter().chain(&others) {
        if allows(&mine, kind) && allows(&others, kind) && !common.iter().any(|known| known == kind) {
            common.push(kind.as_str().into());
        }
    }
    match common.len() {
        0 => {}
        1 => *own = common.remove(0),
        _ => *own = Value::Array(common),
    }
}
