//! When an operation runs.

use serde_json::{Map, Value};

use super::compare::Comparison;
use super::operation::Fields;
use super::path::Path;
use super::{OverrideContext, ParamOverrideError, Rule};

/// The most conditions of one operation.
const MAX_CONDITIONS: usize = 32;

/// Conditions, and how many of them must hold. None at all: always.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    all: Vec<Condition>,
    logic: Logic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logic {
    /// One is enough.
    Or,
    /// All must hold.
    And,
}

#[derive(Debug, Clone)]
struct Condition {
    path: Path,
    comparison: Comparison,
    wanted: Value,
    inverts: bool,
    /// What it says of a place that is not there.
    passes_missing: bool,
}

impl Conditions {
    pub(super) fn compile(fields: Fields<'_>) -> Result<Self, ParamOverrideError> {
        let listed = match fields.get("conditions") {
            None => &[][..],
            Some(Value::Array(listed)) => listed,
            Some(_) => return Err(ParamOverrideError::at("conditions", "must be an array")),
        };
        if listed.len() > MAX_CONDITIONS {
            let rule = format!("must have at most {MAX_CONDITIONS} members");
            return Err(ParamOverrideError::at("conditions", rule));
        }
        let compiled = |(number, condition)| {
            Condition::compile(condition).map_err(|error| error.within(format_args!("conditions.{number}")))
        };
        let all = listed.iter().enumerate().map(compiled).collect::<Result<_, _>>()?;
        let logic = match fields.text("logic")?.unwrap_or_default() {
            "" => Logic::Or,
            word if word.eq_ignore_ascii_case("or") => Logic::Or,
            word if word.eq_ignore_ascii_case("and") => Logic::And,
            _ => return Err(ParamOverrideError::at("logic", "must be OR or AND")),
        };
        Ok(Self { all, logic })
    }

    pub(super) fn hold(&self, body: &Map<String, Value>, context: &OverrideContext<'_>) -> Result<bool, Rule> {
        if self.all.is_empty() {
            return Ok(true);
        }
        for condition in &self.all {
            match (condition.holds(body, context)?, self.logic) {
                (true, Logic::Or) => return Ok(true),
                (false, Logic::And) => return Ok(false),
                _ => {}
            }
        }
        Ok(self.logic == Logic::And)
    }
}

impl Condition {
    fn compile(value: &Value) -> Result<Self, ParamOverrideError> {
        const KNOWN: [&str; 5] = ["path", "mode", "value", "invert", "pass_missing_key"];
        let fields = Fields::of(value, &KNOWN)?;
        let path = fields.path("path")?;
        let word = fields.text("mode")?.unwrap_or_default();
        let known = Comparison::WORDS.into_iter().find(|(name, _)| *name == word);
        let Some((_, comparison)) = known else {
            let words = Comparison::WORDS.map(|(word, _)| word).join(", ");
            return Err(ParamOverrideError::at("mode", format!("must be one of {words}")));
        };
        let wanted = fields.get("value").cloned().unwrap_or_default();
        comparison.takes(&wanted).map_err(|rule| ParamOverrideError::at("value", rule))?;
        let (inverts, passes_missing) = (fields.flag("invert")?, fields.flag("pass_missing_key")?);
        Ok(Self { path, comparison, wanted, inverts, passes_missing })
    }

    /// What is in the body counts; what is not may be known of the request.
    fn holds(&self, body: &Map<String, Value>, context: &OverrideContext<'_>) -> Result<bool, Rule> {
        let beside = || self.path.only().and_then(|name| context.get(name));
        let holds = match self.path.in_body(body).get(body) {
            Some(found) => self.comparison.holds(found, &self.wanted)?,
            None => match beside() {
                Some(found) => self.comparison.holds(&found, &self.wanted)?,
                None => return Ok(self.passes_missing),
            },
        };
        Ok(holds != self.inverts)
    }
}
