//! Places in a body: `messages.0.content`, `messages.-1`, `logit_bias.a\.b`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Rule;

/// The most steps a path may have.
const MAX_STEPS: usize = 32;
/// The longest path, in bytes.
const MAX_BYTES: usize = 1_024;
/// An array is filled up with at most so many nulls before the member that is set.
const MAX_PADDING: usize = 100;

/// A place as it is written. A step is the name of a field, or the number of a member, counted from the end where it is negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

/// A place in one body: numbers that count from the end of an array are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'p>(Vec<Cow<'p, str>>);

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        if text.len() > MAX_BYTES {
            return Err(format!("must have at most {MAX_BYTES} bytes").into());
        }
        let mut steps = vec![String::new()];
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (letter, steps.last_mut()) {
                ('.', _) => steps.push(String::new()),
                ('\\', Some(step)) => step.push(letters.next().ok_or("must not end with a backslash")?),
                (letter, Some(step)) => step.push(letter),
                (_, None) => {}
            }
        }
        if steps.iter().any(String::is_empty) {
            return Err("must be names and numbers with dots between them".into());
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("must have at most {MAX_STEPS} steps").into());
        }
        Ok(Self(steps))
    }

    /// Its first step.
    pub(super) fn root(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Its only step.
    pub(super) fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether another place lies inside this one, or is this one.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The place it means in a body. A number that counts further back than the array reaches stays as it is, and is no member.
    pub(super) fn in_body(&self, body: &Map<String, Value>) -> Place<'_> {
        let mut steps = Vec::with_capacity(self.0.len());
        let mut here: Option<&Value> = None;
        for (number, step) in self.0.iter().enumerate() {
            let step = match here {
                Some(Value::Array(items)) => from_end(step, items.len()).map_or(Cow::Borrowed(&**step), Cow::Owned),
                _ => Cow::Borrowed(&**step),
            };
            here = if number == 0 { body.get(&*step) } else { here.and_then(|here| member(here, &step)) };
            steps.push(step);
        }
        Place(steps)
    }
}

impl Place<'_> {
    /// How deep it lies.
    pub(super) const fn depth(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get<'b>(&self, body: &'b Map<String, Value>) -> Option<&'b Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(body.get(&**first)?, |here, step| member(here, step))
    }

    pub(super) fn get_mut<'b>(&self, body: &'b mut Map<String, Value>) -> Option<&'b mut Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(body.get_mut(&**first)?, |here, step| member_mut(here, step))
    }

    /// Puts a value there. Parents that are missing, or null, are made: an array where a number follows, otherwise an object.
    pub(super) fn set(&self, body: &mut Map<String, Value>, value: Value) -> Result<(), Rule> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(()) };
        put(body.entry(&**first).or_insert(Value::Null), rest, value)
    }

    /// Takes the value out.
    pub(super) fn remove(&self, body: &mut Map<String, Value>) -> Option<Value> {
        let (last, parents) = self.0.split_last()?;
        if parents.is_empty() {
            return body.shift_remove(&**last);
        }
        match Place(parents.to_vec()).get_mut(body)? {
            Value::Object(fields) => fields.shift_remove(&**last),
            Value::Array(items) => index(last).filter(|index| *index < items.len()).map(|index| items.remove(index)),
            _ => None,
        }
    }
}

fn put(slot: &mut Value, steps: &[Cow<'_, str>], value: Value) -> Result<(), Rule> {
    let Some((next, rest)) = steps.split_first() else {
        *slot = value;
        return Ok(());
    };
    if slot.is_null() {
        *slot = if index(next).is_some() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    }
    match slot {
        Value::Object(fields) => put(fields.entry(&**next).or_insert(Value::Null), rest, value),
        Value::Array(items) => {
            let index = index(next).ok_or("names a member that an array cannot have")?;
            if index >= items.len() {
                if index - items.len() > MAX_PADDING {
                    return Err(format!("is more than {MAX_PADDING} members behind the end of an array").into());
                }
                items.resize(index + 1, Value::Null);
            }
            items.get_mut(index).map_or(Ok(()), |slot| put(slot, rest, value))
        }
        _ => Err("lies inside a value that has no parts".into()),
    }
}

fn member<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(index(step)?),
        _ => None,
    }
}

fn member_mut<'v>(value: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(step),
        Value::Array(items) => items.get_mut(index(step)?),
        _ => None,
    }
}

fn index(step: &str) -> Option<usize> {
    step.bytes().all(|byte| byte.is_ascii_digit()).then(|| step.parse().ok()).flatten()
}

/// The number of a member that is counted from the end.
fn from_end(step: &str, length: usize) -> Option<String> {
    let back = step.strip_prefix('-').and_then(index).filter(|back| *back > 0)?;
    length.checked_sub(back).map(|index| index.to_string())
}
