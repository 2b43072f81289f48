//! Single fields, checked as Anthropic checks them: the path, a colon, what is wrong.

use serde_json::{Map, Value};

use crate::simulator::refusal::Refusal;

pub(super) fn wrong(at: &str, text: &str) -> Refusal {
    Refusal::bad(format!("{at}: {text}"))
}

pub(super) fn missing(at: &str) -> Refusal {
    wrong(at, "Field required")
}

/// A field that is there and not `null`.
pub(super) fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// The path of a field of what is at this path; the top level has none.
pub(super) fn path(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

pub(super) fn only(fields: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Refusal> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(wrong(&path(at, name), "Extra inputs are not permitted")),
        None => Ok(()),
    }
}

pub(super) fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| wrong(at, "Input should be a valid dictionary"))
}

pub(super) fn array<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], Refusal> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(at, "Input should be a valid list"))
}

pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str, at: &str) -> Result<&'a str, Refusal> {
    let value = given(fields, name).ok_or_else(|| missing(&path(at, name)))?;
    value.as_str().ok_or_else(|| wrong(&path(at, name), "Input should be a valid string"))
}

pub(super) fn boolean(fields: &Map<String, Value>, name: &str, at: &str) -> Result<Option<bool>, Refusal> {
    match given(fields, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong(&path(at, name), "Input should be a valid boolean")),
    }
}

pub(super) fn integer(fields: &Map<String, Value>, name: &str, at: &str, least: u64) -> Result<Option<u64>, Refusal> {
    let Some(value) = given(fields, name) else { return Ok(None) };
    let at = path(at, name);
    if !value.is_i64() && !value.is_u64() {
        return Err(wrong(&at, "Input should be a valid integer"));
    }
    match value.as_u64().filter(|figure| *figure >= least) {
        Some(figure) => Ok(Some(figure)),
        None => Err(wrong(&at, &format!("Input should be greater than or equal to {least}"))),
    }
}

/// One of these words.
pub(super) fn word<'a>(value: &'a Value, at: &str, words: &[&str]) -> Result<&'a str, Refusal> {
    let Some(word) = value.as_str().filter(|word| words.contains(word)) else {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let list = match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => quoted.concat(),
        };
        return Err(wrong(at, &format!("Input should be {list}")));
    };
    Ok(word)
}

/// The `type` of a field that comes in several forms.
pub(super) fn tag<'a>(fields: &'a Map<String, Value>, at: &str, tags: &[&str]) -> Result<&'a str, Refusal> {
    let Some(kind) = given(fields, "type") else { return Err(missing(&path(at, "type"))) };
    if let Some(kind) = kind.as_str().filter(|kind| tags.contains(kind)) {
        return Ok(kind);
    }
    let tags: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
    let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
    let text = format!("Input tag '{kind}' found using 'type' does not match any of the expected tags: {}", tags.join(", "));
    Err(wrong(at, &text))
}

/// Counts the cache marks of a request and checks each.
#[derive(Debug, Default)]
pub(super) struct CacheMarks(usize);

impl CacheMarks {
    pub(super) fn see(&mut self, fields: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
        let Some(mark) = given(fields, "cache_control") else { return Ok(()) };
        let at = path(at, "cache_control");
        let mark = object(mark, &at)?;
        tag(mark, &at, &["ephemeral"])?;
        let at = path(&at, "ephemeral");
        only(mark, &["type", "ttl"], &at)?;
        if let Some(ttl) = given(mark, "ttl") {
            word(ttl, &path(&at, "ttl"), &["5m", "1h"])?;
        }
        self.0 += 1;
        Ok(())
    }

    pub(super) fn within_bounds(&self) -> Result<(), Refusal> {
        if self.0 <= 4 {
            return Ok(());
        }
        Err(Refusal::bad(format!("A maximum of 4 blocks with cache_control may be provided. Found {}.", self.0)))
    }
}
