//! Providers that administrators describe themselves: the content of a catalogue file, as JSON.

use serde::Deserialize;
use serde_json::Value;

use crate::Provider;
use crate::catalog::broken_rule;

/// The longest description, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 65_536;

/// Why a description is none.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It is longer than a description may be.
    #[error("must have at most {MAX_DEFINITION_BYTES} bytes")]
    Length,
    /// It has not the fields of a catalogue file.
    #[error("must have the fields of a catalogue entry: {0}")]
    Shape(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("{0}")]
    Rule(&'static str),
}

impl Provider {
    /// Reads a description. A number is for providers that imports know: it may be left out.
    ///
    /// # Errors
    /// When it breaks a rule of catalogue files.
    pub fn from_definition(text: &str) -> Result<Self, DefinitionError> {
        if text.len() > MAX_DEFINITION_BYTES {
            return Err(DefinitionError::Length);
        }
        let mut fields: Value = serde_json::from_str(text)?;
        if let Some(fields) = fields.as_object_mut() {
            fields.entry("id").or_insert(Value::from(0));
        }
        let provider = Self::deserialize(fields)?;
        match broken_rule(&provider.slug, &provider) {
            Some(rule) => Err(DefinitionError::Rule(rule)),
            None => Ok(provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Catalog;

    #[test]
    fn every_shipped_provider_can_be_described_as_json() {
        for provider in Catalog::shipped().unwrap().iter() {
            let text = serde_json::to_string(&**provider).unwrap();
            assert_eq!(Provider::from_definition(&text).unwrap(), **provider, "{}", provider.slug);
        }
    }

    #[test]
    fn a_description_keeps_the_rules_of_catalogue_files() {
        let described = |change: fn(&mut Value)| {
            let mut fields = json!({
                "slug": "our-own", "name": "Our own", "stream_options": "force", "models": ["m"],
                "base_url": {"meaning": "prefix", "default": "https://llm.example", "help": "h"},
                "auth": {"scheme": "bearer", "key_example": "k"},
                "endpoints": {"chat": "/v1/chat/completions"},
            });
            change(&mut fields);
            Provider::from_definition(&fields.to_string())
        };
        assert_eq!(described(|_| {}).unwrap().id, 0);
        assert!(matches!(described(|fields| fields["slug"] = json!("Our own")), Err(DefinitionError::Rule(_))));
        assert!(matches!(described(|fields| fields["endpoints"] = json!({"chat": "v1"})), Err(DefinitionError::Rule(_))));
        assert!(matches!(described(|fields| fields["colour"] = json!("red")), Err(DefinitionError::Shape(_))));
        assert!(matches!(described(|fields| fields["models"] = json!("x".repeat(70_000))), Err(DefinitionError::Length)));
        assert!(Provider::from_definition("[]").is_err());
    }
}
