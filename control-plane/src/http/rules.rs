//! Checks of single fields, collected, so that a form hears of everything that is wrong at once.

use std::fmt::Display;

use sluice_domain::Quota;

use super::problem::{ApiError, FieldError};

/// Collects what is wrong with the fields of one request.
#[derive(Debug, Default)]
pub struct Rules {
    errors: Vec<FieldError>,
}

impl Rules {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes down that a field broke a rule.
    pub fn refuse(&mut self, field: &str, code: &str, detail: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), code: code.to_owned(), detail: detail.into() });
    }

    /// Takes a value whose type knows its rule.
    pub fn read<T, E: Display>(&mut self, field: &str, code: &str, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(field, code, error.to_string());
                None
            }
        }
    }

    /// Text of `least` to `most` characters on one line, without space around it.
    pub fn line(&mut self, field: &str, text: &str, least: usize, most: usize) {
        let chars = text.chars().count();
        if chars < least || chars > most {
            self.refuse(field, "length", format!("must have {least} to {most} characters, has {chars}"));
        } else if text.chars().any(char::is_control) {
            self.refuse(field, "characters", "must not have control characters");
        } else if text.trim() != text {
            self.refuse(field, "characters", "must not begin or end with space");
        }
    }

    /// A whole number within bounds.
    pub fn within(&mut self, field: &str, value: i64, least: i64, most: i64) {
        if value < least || value > most {
            self.refuse(field, "range", format!("must be from {least} to {most}"));
        }
    }

    /// A list of at most some entries.
    pub fn at_most<T>(&mut self, field: &str, list: &[T], most: usize) {
        if list.len() > most {
            self.refuse(field, "length", format!("must have at most {most} entries, has {}", list.len()));
        }
    }

    /// An amount of quota units that fits a balance.
    pub fn quota(&mut self, field: &str, units: i64) -> Option<Quota> {
        self.read(field, "range", Quota::new(units))
    }

    /// Takes what another check refused.
    pub fn append(&mut self, errors: Vec<FieldError>) {
        self.errors.extend(errors);
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// When a rule was broken.
    pub fn done(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors.into()) }
    }

    /// Ends the checks with the value they were for, which is there when no rule was broken.
    ///
    /// # Errors
    /// When a rule was broken.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ApiError> {
        self.done()?;
        value.ok_or_else(|| ApiError::internal("a value is missing although no rule was broken"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let mut rules = Rules::new();
        rules.line("name", "", 1, 10);
        rules.line("title", "a\nb", 1, 10);
        rules.line("note", " a", 0, 10);
        rules.within("weight", -1, 0, 100);
        rules.quota("quota", i64::MAX);
        let error = rules.done().unwrap_err();
        let fields: Vec<_> = error.errors.iter().map(|error| (error.field.as_str(), error.code.as_str())).collect();
        assert_eq!(
            fields,
            [("name", "length"), ("title", "characters"), ("note", "characters"), ("weight", "range"), ("quota", "range")]
        );
        assert!(Rules::new().done().is_ok());
    }
}
