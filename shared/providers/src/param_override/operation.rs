//! One change of a body.

use serde_json::{Map, Value};

use super::condition::Conditions;
use super::growth::Growth;
use super::path::Path;
use super::text::TextChange;
use super::{KEEPS_STREAM, OverrideContext, ParamOverrideError, Rule, STREAM};

/// Every field an operation may have.
const KNOWN: [&str; 8] = ["path", "mode", "value", "keep_origin", "from", "to", "conditions", "logic"];
/// The modes of operations that change more than a text.
const MODES: [&str; 6] = ["set", "delete", "move", "copy", "append", "prepend"];

/// A change, and when it is made.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    change: Change,
    conditions: Conditions,
}

#[derive(Debug, Clone)]
enum Change {
    Set { path: Path, value: Value, keeps: bool },
    Delete { path: Path },
    Move { from: Path, to: Path },
    Copy { from: Path, to: Path },
    Add { path: Path, value: Value, end: End, keeps: bool },
    Text { path: Path, change: TextChange },
}

/// Where something is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// The fields of a rule, which must be an object with known ones alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'v>(&'v Map<String, Value>);

impl<'v> Fields<'v> {
    pub(super) fn of(value: &'v Value, known: &[&str]) -> Result<Self, ParamOverrideError> {
        let fields = value.as_object().ok_or_else(|| ParamOverrideError::at("", "must be an object"))?;
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(ParamOverrideError::at(unknown, format!("is not known, there are {}", known.join(", ")))),
            None => Ok(Self(fields)),
        }
    }

    /// A field that is there and not null.
    pub(super) fn get(self, name: &str) -> Option<&'v Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, name: &str) -> Result<Option<&'v str>, ParamOverrideError> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| ParamOverrideError::at(name, "must be a string"))).transpose()
    }

    /// A text that must be there.
    pub(super) fn filled(self, name: &str) -> Result<&'v str, ParamOverrideError> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| ParamOverrideError::at(name, "must be a string that is not empty"))
    }

    pub(super) fn flag(self, name: &str) -> Result<bool, ParamOverrideError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| ParamOverrideError::at(name, "must be true or false"));
        self.get(name).map_or(Ok(false), flag)
    }

    pub(super) fn path(self, name: &str) -> Result<Path, ParamOverrideError> {
        Path::parse(self.filled(name)?).map_err(|rule| ParamOverrideError::at(name, rule))
    }

    /// A path of what is changed.
    fn changed(self, name: &str) -> Result<Path, ParamOverrideError> {
        let path = self.path(name)?;
        if path.root() == STREAM { Err(ParamOverrideError::at(name, KEEPS_STREAM)) } else { Ok(path) }
    }

    /// A value that must be there. Null is one.
    fn value(self) -> Result<Value, ParamOverrideError> {
        self.0.get("value").cloned().ok_or_else(|| ParamOverrideError::at("value", "is missing"))
    }
}

impl Operation {
    pub(super) fn compile(value: &Value) -> Result<Self, ParamOverrideError> {
        let fields = Fields::of(value, &KNOWN)?;
        let mode = fields.text("mode")?.unwrap_or_default();
        let keeps = fields.flag("keep_origin")?;
        let change = match mode {
            "set" => Change::Set { path: fields.changed("path")?, value: fields.value()?, keeps },
            "delete" => Change::Delete { path: fields.changed("path")? },
            "move" => moved(fields)?,
            "copy" => Change::Copy { from: fields.path("from")?, to: fields.changed("to")? },
            "append" => Change::Add { path: fields.changed("path")?, value: fields.value()?, end: End::Last, keeps },
            "prepend" => Change::Add { path: fields.changed("path")?, value: fields.value()?, end: End::First, keeps },
            _ => {
                let change = TextChange::compile(mode, fields)?.ok_or_else(|| {
                    let words = MODES.into_iter().chain(TextChange::MODES).collect::<Vec<_>>().join(", ");
                    ParamOverrideError::at("mode", format!("must be one of {words}"))
                })?;
                Change::Text { path: fields.changed("path")?, change }
            }
        };
        Ok(Self { change, conditions: Conditions::compile(fields)? })
    }

    pub(super) fn apply(
        &self,
        body: &mut Map<String, Value>,
        context: &OverrideContext<'_>,
        growth: &mut Growth,
    ) -> Result<(), Rule> {
        if self.conditions.hold(body, context)? { self.change.make(body, growth) } else { Ok(()) }
    }
}

fn moved(fields: Fields<'_>) -> Result<Change, ParamOverrideError> {
    let (from, to) = (fields.changed("from")?, fields.changed("to")?);
    if from.holds(&to) {
        return Err(ParamOverrideError::at("to", "must not lie inside `from`"));
    }
    Ok(Change::Move { from, to })
}

impl Change {
    fn make(&self, body: &mut Map<String, Value>, growth: &mut Growth) -> Result<(), Rule> {
        match self {
            Self::Set { path, value, keeps } => {
                let place = path.in_body(body);
                if *keeps && place.get(body).is_some() {
                    return Ok(());
                }
                growth.take_value(value, place.depth())?;
                place.set(body, value.clone())
            }
            Self::Delete { path } => {
                path.in_body(body).remove(body);
                Ok(())
            }
            Self::Move { from, to } => relocate(from, to, body, growth),
            Self::Copy { from, to } => {
                let value = from.in_body(body).get(body).ok_or("finds nothing to copy")?;
                let to = to.in_body(body);
                growth.take_value(value, to.depth())?;
                let value = value.clone();
                to.set(body, value)
            }
            Self::Add { path, value, end, keeps } => {
                let place = path.in_body(body);
                growth.take_value(value, place.depth())?;
                let there = place.get_mut(body).ok_or("finds nothing that it could be added to")?;
                add(there, value, (*end, *keeps), growth)
            }
            Self::Text { path, change } => match path.in_body(body).get_mut(body) {
                Some(Value::String(text)) => {
                    *text = change.apply(text, growth)?;
                    Ok(())
                }
                _ => Err("finds no string at its path".into()),
            },
        }
    }
}

/// The value is put first and taken away then: the numbers of an array's members stay as they were written. Where it goes to a place around
/// its own, it is taken away with that.
fn relocate(from: &Path, to: &Path, body: &mut Map<String, Value>, growth: &mut Growth) -> Result<(), Rule> {
    let (source, target) = (from.in_body(body), to.in_body(body));
    let value = source.get(body).ok_or("finds nothing to move")?;
    growth.take_value(value, target.depth())?;
    let value = value.clone();
    target.set(body, value)?;
    if source != target && !to.holds(from) {
        source.remove(body);
    }
    Ok(())
}

/// Adds to an array, a text or an object.
fn add(there: &mut Value, value: &Value, (end, keeps): (End, bool), growth: &mut Growth) -> Result<(), Rule> {
    match there {
        Value::Array(items) => {
            let added = if let Value::Array(added) = value { added.clone() } else { vec![value.clone()] };
            let at = if end == End::First { 0 } else { items.len() };
            items.splice(at..at, added);
        }
        Value::String(text) => {
            let added = match value {
                Value::String(added) => added.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return Err("adds to a string what is none".into()),
            };
            growth.take_bytes(text.len())?;
            *text = if end == End::First { format!("{added}{text}") } else { format!("{text}{added}") };
        }
        Value::Object(fields) => {
            let Value::Object(added) = value else { return Err("adds to an object what is none".into()) };
            for (name, value) in added {
                if !(keeps && fields.get(name).is_some_and(|there| !there.is_null())) {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
        _ => return Err("finds nothing that it could be added to".into()),
    }
    Ok(())
}
