//! Cleaning for Gemini's OpenAPI fields (`parameters`, `responseSchema`): one word they do not know fails the whole request.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::add_hint;
use super::flatten::{Flattener, MAX_DEPTH, Trail, merge};
use super::kind::Kind;

/// Words that say what a value must be, or may carry over to the branches of an `anyOf`.
const SHARED: &[&str] = &[
    "type",
    "format",
    "const",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "propertyOrdering",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "additionalProperties",
];
/// Words without which a branch of an `anyOf` only narrows what stands beside it.
const TELLING: &[&str] = &["type", "$ref", "properties", "items", "prefixItems", "enum", "const", "anyOf", "oneOf", "allOf"];

/// A schema as Gemini's OpenAPI fields take it: types in upper case, references put in, words it lacks turned into others, into hints in the
/// description, or left out. Its own output stays as it is.
#[must_use]
pub fn for_gemini(schema: &Value) -> Value {
    let mut cleaner = Cleaner { flattener: Flattener::new(schema) };
    Value::Object(cleaner.clean(schema.clone(), &Trail::root(), Kind::Object))
}

struct Cleaner<'a> {
    flattener: Flattener<'a>,
}

impl Cleaner<'_> {
    /// Cleans one schema; one that says nothing is of the type `untyped`.
    fn clean(&mut self, schema: Value, above: &Trail, untyped: Kind) -> Map<String, Value> {
        if above.depth >= MAX_DEPTH {
            return only_type(Kind::Object);
        }
        let mut here = above.deeper();
        let mut flat = self.flattener.flatten(schema, &mut here);
        let mut is_nullable = take_nulls(&mut flat);
        let kinds = take_types(&mut flat, &mut is_nullable);
        let mut branches = take_branches(&mut flat, &mut is_nullable);
        if let [kind] = *kinds {
            flat.insert("type".to_owned(), kind.upper().into());
        } else if branches.is_empty() {
            branches = kinds.into_iter().map(|kind| Value::Object(only_type(kind))).collect();
        }
        if is_nullable {
            flat.insert("nullable".to_owned(), true.into());
        }
        match branches.len() {
            0 => self.single(flat, &here, untyped),
            1 => {
                let branch = branches.pop().unwrap_or_default();
                let branch = self.flattener.flatten(branch, &mut here);
                merge(&mut flat, branch);
                self.clean(Value::Object(flat), &here, untyped)
            }
            _ => self.several(flat, branches, &here, untyped),
        }
    }

    /// A schema with several branches. Gemini takes nothing beside `anyOf` but what describes it.
    fn several(&mut self, flat: Map<String, Value>, branches: Vec<Value>, here: &Trail, untyped: Kind) -> Map<String, Value> {
        let (mut shared, mut flat) = flat.into_iter().partition::<Map<_, _>, _>(|(word, _)| SHARED.contains(&word.as_str()));
        let is_telling = |schema: &Map<String, Value>| TELLING.iter().any(|word| schema.contains_key(*word));
        if is_telling(&shared) && !branches.iter().any(|branch| branch.as_object().is_some_and(is_telling)) {
            shared.extend(flat);
            return self.single(shared, here, untyped);
        }
        let shared = Value::Object(shared);
        let mut seen = BTreeSet::new();
        let mut cleaned = Vec::new();
        for branch in branches {
            let mut beside = here.clone();
            let mut branch = self.flattener.flatten(branch, &mut beside);
            if let Value::Object(words) = &shared
                && !words.is_empty()
                && self.flattener.charge(&shared)
            {
                merge(&mut branch, words.clone());
            }
            let branch = Value::Object(self.clean(Value::Object(branch), &beside, untyped));
            if seen.insert(branch.to_string()) {
                cleaned.push(branch);
            }
        }
        flat.retain(|word, value| match word.as_str() {
            "title" | "description" => value.as_str().is_some_and(|text| !text.is_empty()),
            "nullable" => true,
            _ => false,
        });
        match <[Value; 1]>::try_from(cleaned) {
            Ok([Value::Object(mut branch)]) => {
                branch.extend(flat);
                self.clean(Value::Object(branch), here, untyped)
            }
            Ok(_) => self.single(flat, here, untyped),
            Err(cleaned) => {
                flat.insert("anyOf".to_owned(), Value::Array(cleaned));
                ordered(flat)
            }
        }
    }

    /// A schema of one type.
    fn single(&mut self, mut flat: Map<String, Value>, here: &Trail, untyped: Kind) -> Map<String, Value> {
        let said = flat.get("type").and_then(Value::as_str).and_then(Kind::parse);
        let kind = said.or_else(|| Kind::implied(&flat)).unwrap_or(untyped);
        let mut clean = only_type(kind);
        for word in ["title", "description"] {
            if let Some(text) = flat.get(word).filter(|text| text.as_str().is_some_and(|text| !text.is_empty())) {
                clean.insert(word.to_owned(), text.clone());
            }
        }
        if flat.get("nullable").and_then(Value::as_bool) == Some(true) {
            clean.insert("nullable".to_owned(), true.into());
        }
        for word in ["default", "example"] {
            if let Some(value) = flat.get(word).filter(|value| !value.is_null()) {
                clean.insert(word.to_owned(), value.clone());
            }
        }
        if let Some(format) = flat.get("format").filter(|format| is_known_format(kind, format)) {
            clean.insert("format".to_owned(), format.clone());
        }
        values(&flat, kind, &mut clean);
        match kind {
            Kind::String => {
                counts(&flat, &["minLength", "maxLength"], &mut clean);
                if let Some(pattern) = flat.get("pattern").filter(|pattern| pattern.is_string()) {
                    clean.insert("pattern".to_owned(), pattern.clone());
                }
            }
            Kind::Number | Kind::Integer => bounds(&flat, kind, &mut clean),
            Kind::Boolean => {}
            Kind::Array => {
                counts(&flat, &["minItems", "maxItems"], &mut clean);
                let items = self.items(&mut flat, here);
                clean.insert("items".to_owned(), Value::Object(items));
            }
            Kind::Object => self.object(&mut flat, here, &mut clean),
        }
        ordered(clean)
    }

    fn items(&mut self, flat: &mut Map<String, Value>, here: &Trail) -> Map<String, Value> {
        let schema = match (flat.shift_remove("prefixItems"), flat.shift_remove("items")) {
            (Some(Value::Array(mut tuple)), rest) => {
                tuple.extend(rest.filter(Value::is_object));
                any_of(tuple)
            }
            (_, Some(Value::Array(tuple))) => any_of(tuple),
            (_, Some(schema)) => schema,
            (_, None) => Value::Null,
        };
        self.clean(schema, here, Kind::String)
    }

    fn object(&mut self, flat: &mut Map<String, Value>, here: &Trail, clean: &mut Map<String, Value>) {
        counts(flat, &["minProperties", "maxProperties"], clean);
        let mut properties = Map::new();
        if let Some(Value::Object(named)) = flat.shift_remove("properties") {
            for (name, schema) in named.into_iter().filter(|(_, schema)| *schema != Value::Bool(false)) {
                let schema = self.clean(schema, here, Kind::String);
                properties.insert(name, Value::Object(schema));
            }
        }
        for word in ["required", "propertyOrdering"] {
            let mut seen = BTreeSet::new();
            let names = flat.get(word).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let known: Vec<Value> =
                names.filter(|name| properties.contains_key(*name) && seen.insert(*name)).map(Value::from).collect();
            if !known.is_empty() {
                clean.insert(word.to_owned(), Value::Array(known));
            }
        }
        if !properties.is_empty() {
            clean.insert("properties".to_owned(), Value::Object(properties));
        }
    }
}

fn only_type(kind: Kind) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), kind.upper().into())])
}

fn any_of(branches: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([("anyOf".to_owned(), Value::Array(branches))]))
}

/// The same words in the order that Gemini's reference lists them.
fn ordered(mut schema: Map<String, Value>) -> Map<String, Value> {
    ALLOWED.iter().filter_map(|word| Some(((*word).to_owned(), schema.shift_remove(*word)?))).collect()
}

/// Every word of Gemini's `Schema`.
pub(super) const ALLOWED: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "minimum",
    "maximum",
];

/// Takes `nullable` and the nulls among values.
fn take_nulls(flat: &mut Map<String, Value>) -> bool {
    let mut is_nullable = flat.shift_remove("nullable") == Some(Value::Bool(true));
    if flat.get("const").is_some_and(Value::is_null) {
        flat.shift_remove("const");
        is_nullable = true;
    }
    if let Some(Value::Array(values)) = flat.get_mut("enum") {
        let all = values.len();
        values.retain(|value| !value.is_null());
        is_nullable |= values.len() < all;
        if values.is_empty() {
            flat.shift_remove("enum");
        }
    }
    is_nullable
}

/// Takes the types other than null.
fn take_types(flat: &mut Map<String, Value>, is_nullable: &mut bool) -> Vec<Kind> {
    let words = match flat.shift_remove("type") {
        Some(Value::Array(words)) => words,
        Some(word) => vec![word],
        None => Vec::new(),
    };
    let mut kinds = Vec::new();
    for word in words.iter().filter_map(Value::as_str) {
        *is_nullable |= word.eq_ignore_ascii_case("null");
        if let Some(kind) = Kind::parse(word).filter(|kind| !kinds.contains(kind)) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Takes the branches that are no null and can be taken at all.
fn take_branches(flat: &mut Map<String, Value>, is_nullable: &mut bool) -> Vec<Value> {
    let (any, one) = (flat.shift_remove("anyOf"), flat.shift_remove("oneOf"));
    let Some(Value::Array(mut branches)) = any.or(one) else { return Vec::new() };
    branches.retain(|branch| *branch != Value::Bool(false));
    let all = branches.len();
    branches.retain(|branch| {
        let is_null_type = branch.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("null"));
        !is_null_type && !branch.get("const").is_some_and(Value::is_null)
    });
    *is_nullable |= branches.len() < all;
    branches
}

/// `enum` and `const`. Gemini knows values of strings only; of others the description tells.
fn values(flat: &Map<String, Value>, kind: Kind, clean: &mut Map<String, Value>) {
    if let Some(value) = flat.get("const") {
        match value.as_str().filter(|text| kind == Kind::String && !text.is_empty()) {
            Some(_) => {
                clean.insert("enum".to_owned(), Value::Array(vec![value.clone()]));
            }
            None => add_hint(clean, &format!("Must be {value}."), " "),
        }
        return;
    }
    let Some(listed) = flat.get("enum").and_then(Value::as_array).filter(|listed| !listed.is_empty()) else { return };
    if kind == Kind::String && listed.iter().all(Value::is_string) {
        let mut seen = BTreeSet::new();
        let words = listed.iter().filter(|value| value.as_str().is_some_and(|word| !word.is_empty() && seen.insert(word)));
        let words: Vec<Value> = words.cloned().collect();
        if !words.is_empty() {
            clean.insert("enum".to_owned(), Value::Array(words));
        }
        return;
    }
    let listed: Vec<String> = listed.iter().map(Value::to_string).collect();
    add_hint(clean, &format!("One of: {}.", listed.join(", ")), " ");
}

fn is_known_format(kind: Kind, format: &Value) -> bool {
    match kind {
        Kind::String => matches!(format.as_str(), Some("enum" | "date-time")),
        Kind::Number | Kind::Integer => matches!(format.as_str(), Some("float" | "double" | "int32" | "int64")),
        _ => false,
    }
}

/// Lengths and sizes: whole numbers, which proto JSON may write as text.
fn counts(flat: &Map<String, Value>, words: &[&str], clean: &mut Map<String, Value>) {
    for word in words {
        let said = flat.get(*word);
        let count = said.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
        if let Some(count) = count {
            clean.insert((*word).to_owned(), count.into());
        }
    }
}

fn bounds(flat: &Map<String, Value>, kind: Kind, clean: &mut Map<String, Value>) {
    for (word, exclusive, step) in [("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)] {
        let inclusive = flat.get(word).and_then(Value::as_number).cloned();
        let beyond = match flat.get(exclusive) {
            Some(Value::Bool(true)) => inclusive.as_ref().map(|bound| inside(bound, kind, step)),
            Some(Value::Number(bound)) => Some(inside(bound, kind, step)),
            _ => None,
        };
        let narrower = |a: &Number, b: &Number| (a.as_f64() > b.as_f64()) == (step > 0);
        let bound = match (inclusive, beyond) {
            (Some(inclusive), Some(beyond)) if narrower(&inclusive, &beyond) => Some(inclusive),
            (inclusive, None) => inclusive,
            (_, beyond) => beyond,
        };
        if let Some(bound) = bound {
            clean.insert(word.to_owned(), Value::Number(bound));
        }
    }
}

/// The next value inside of an exclusive bound. Of fractions there is none: the bound itself.
fn inside(bound: &Number, kind: Kind, step: i64) -> Number {
    if kind != Kind::Integer {
        return bound.clone();
    }
    if let Some(next) = bound.as_i64().and_then(|bound| bound.checked_add(step)) {
        return next.into();
    }
    let whole = bound.as_f64().map(|bound| if step > 0 { bound.floor() + 1.0 } else { bound.ceil() - 1.0 });
    whole.and_then(Number::from_f64).unwrap_or_else(|| bound.clone())
}
