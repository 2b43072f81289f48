//! What models take, by name: a table that ships with the program (`capabilities.toml`), in a form that a site can extend.
//!
//! A name that no row knows gets the generous defaults of its family: it is that of a new model, not of a poor one.

use std::sync::LazyLock;

use serde::Deserialize;
use sluice_domain::Dialect;

use crate::target::Capabilities;

/// Rows of names and what those models take; the first that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    #[serde(rename = "model", default)]
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Patterns: `*` is any text, `?` one character.
    names: Vec<String>,
    /// Only for channels of this dialect.
    dialect: Option<Dialect>,
    takes: Capabilities,
}

static BUILT_IN: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("capabilities.toml")).unwrap_or_default());

impl Table {
    /// A table in TOML, as `capabilities.toml` is written.
    ///
    /// # Errors
    /// When it is no TOML, or has a field that capabilities do not know.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// A table in JSON, as a site writes it: the same fields as in `capabilities.toml`. Empty text is a table without rows.
    ///
    /// # Errors
    /// When it is no JSON, or has a field that capabilities do not know: the text tells which, and where.
    pub fn read_json(text: &str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // a list would be read as the fields in their order
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        serde_json::from_value(fields.into())
    }

    /// What the first row that fits says of a model on a channel of a dialect.
    #[must_use]
    pub fn find(&self, model: &str, dialect: Dialect) -> Option<&Capabilities> {
        let fits = |row: &&Row| {
            row.dialect.is_none_or(|only| only == dialect) && row.names.iter().any(|pattern| is_like(model, pattern))
        };
        self.rows.iter().find(fits).map(|row| &row.takes)
    }
}

impl Capabilities {
    /// What a model takes, by the name its upstream calls it, on a channel of a dialect.
    /// `own` are rows of the site, which come before those that ship.
    #[must_use]
    pub fn of(own: &Table, model: &str, dialect: Dialect) -> Self {
        own.find(model, dialect).or_else(|| BUILT_IN.find(model, dialect)).cloned().unwrap_or_default()
    }
}

/// Whether a name fits a pattern: `*` is any text, `?` one character; the case of ASCII letters does not matter.
#[must_use]
pub fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (name.as_bytes(), pattern.as_bytes());
    let (mut at, mut place) = (0, 0);
    // where to try again after the last star, with it taking one byte more
    let mut again = None::<(usize, usize)>;
    while let Some(byte) = name.get(at) {
        match pattern.get(place) {
            Some(b'*') => {
                place += 1;
                again = Some((at, place));
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((from, star)) = again else { return false };
                (at, place) = (from + 1, star);
                again = Some((at, place));
            }
        }
    }
    pattern.get(place..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Effort::{High, Low, Medium, Minimal, Xhigh};
    use crate::target::{Sampling, Thinking};

    #[test]
    fn patterns() {
        for (name, pattern, fits) in [
            ("gpt-5", "gpt-5", true),
            ("GPT-5", "gpt-?", true),
            ("gpt-5-mini", "gpt-5", false),
            ("us.anthropic.claude-opus-4-5-v1:0", "*claude-opus-4?5*", true),
            ("aab", "*ab", true),
            ("ab", "a*b*", true),
            ("", "*", true),
            ("", "?", false),
            ("a", "", false),
        ] {
            assert_eq!(is_like(name, pattern), fits, "{name} {pattern}");
        }
    }

    #[test]
    fn the_table_is_read_and_every_row_can_be_reached() {
        let table = Table::read(include_str!("capabilities.toml")).unwrap();
        for (place, row) in table.rows.iter().enumerate() {
            for pattern in &row.names {
                let name = pattern.replace('*', "x").replace('?', ".");
                let names = [name, pattern.replace('*', "").replace('?', "."), pattern.replace('*', "").replace('?', "-")];
                let dialect = row.dialect.unwrap_or(Dialect::OpenAi);
                let is_reached = names
                    .iter()
                    .any(|name| table.find(name, dialect).is_some_and(|found| std::ptr::eq(found, &raw const row.takes)));
                assert!(is_reached, "row {place}: {pattern} is hidden by an earlier row");
            }
        }
    }

    #[test]
    fn rows_of_a_site_come_first() {
        let own = Table::read_json(r#"{"model": [{"names": ["gpt-4o"], "takes": {"images": false}}]}"#).unwrap();
        assert!(!Capabilities::of(&own, "gpt-4o", Dialect::OpenAi).images);
        assert_eq!(Capabilities::of(&own, "gpt-5", Dialect::OpenAi), of("gpt-5", Dialect::OpenAi));
        assert_eq!(Table::read_json(" ").unwrap(), Table::default());
        for wrong in ["[]", r#"{"model": [{"names": ["x"]}]}"#, r#"{"model": [{"names": ["x"], "takes": {"imges": false}}]}"#] {
            assert!(Table::read_json(wrong).is_err(), "{wrong}");
        }
    }

    /// What the shipped table says.
    fn of(model: &str, dialect: Dialect) -> Capabilities {
        Capabilities::of(&Table::default(), model, dialect)
    }

    #[test]
    fn claude_by_generation() {
        let of = |model| self::of(model, Dialect::Anthropic);
        for (model, thinking, sampling, prefill) in [
            ("claude-3-5-sonnet-20241022", Thinking::None, Sampling::Full, true),
            ("claude-3-7-sonnet-latest", Thinking::Budget, Sampling::Full, true),
            ("claude-sonnet-4-20250514", Thinking::Budget, Sampling::Full, true),
            ("anthropic/claude-sonnet-4.5", Thinking::Budget, Sampling::TemperatureOrTopP, true),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Thinking::Budget, Sampling::TemperatureOrTopP, true),
            ("claude-opus-4-6", Thinking::Both, Sampling::TemperatureOrTopP, false),
            ("claude-opus-4-8", Thinking::Adaptive, Sampling::None, false),
            ("claude-sonnet-5", Thinking::Adaptive, Sampling::None, false),
            ("claude-of-the-future", Thinking::Adaptive, Sampling::None, false),
        ] {
            let takes = of(model);
            assert_eq!((takes.thinking, takes.sampling, takes.prefill), (thinking, sampling, prefill), "{model}");
        }
        assert!(!of("claude-3-5-haiku-20241022").structured && of("claude-opus-4-1-20250805").structured);
    }

    #[test]
    fn gemini_by_generation() {
        let of = |model| self::of(model, Dialect::Gemini);
        let (pro, lite, flash) = (of("gemini-2.5-pro"), of("gemini-2.5-flash-lite-preview"), of("gemini-2.5-flash"));
        assert_eq!((pro.min_budget, pro.max_budget, pro.can_stop_thinking), (128, Some(32_768), false));
        assert_eq!((lite.min_budget, lite.max_budget, lite.can_stop_thinking), (512, Some(24_576), true));
        assert_eq!((flash.min_budget, flash.max_budget, flash.can_stop_thinking), (0, Some(24_576), true));
        assert_eq!(of("gemini-1.5-pro-002").thinking, Thinking::None);
        assert!(!of("gemini-1.5-flash").json_schema && of("gemini-2.0-flash").json_schema && !of("gemini-2.0-flash").call_ids);
        assert_eq!(of("gemini-3-pro-preview").efforts, [Low, High]);
        assert_eq!(of("gemini-3-flash-preview").efforts, [Minimal, Low, Medium, High]);
        for model in ["gemini-3.1-pro-preview", "gemini-of-the-future", "projects/x/endpoints/7"] {
            let takes = of(model);
            assert!(takes.call_ids && takes.signed_calls && takes.json_schema && takes.structured, "{model}");
            assert_eq!(takes.thinking, Thinking::Level, "{model}");
        }
    }

    #[test]
    fn others_by_name() {
        let of = |model| self::of(model, Dialect::OpenAi);
        for (model, thinking, sampling) in [
            ("gpt-4o-2024-11-20", Thinking::None, Sampling::Full),
            ("gpt-4.1-mini", Thinking::None, Sampling::Full),
            ("o3-mini", Thinking::Level, Sampling::None),
            ("openai/o4-mini", Thinking::Level, Sampling::None),
            ("gpt-5-chat-latest", Thinking::None, Sampling::Full),
            ("gpt-5-mini-2025-08-07", Thinking::Level, Sampling::None),
            ("gpt-7", Thinking::Level, Sampling::None),
            ("deepseek-reasoner", Thinking::Always, Sampling::None),
            ("deepseek-v3.2", Thinking::Both, Sampling::Full),
            ("Qwen/Qwen3-235B-A22B-Thinking-2507", Thinking::Always, Sampling::Full),
            ("qwen3-32b", Thinking::Budget, Sampling::Full),
            ("glm-4.6", Thinking::Both, Sampling::Full),
            ("kimi-k2-thinking", Thinking::Always, Sampling::Full),
            ("kimi-k2-0905-preview", Thinking::None, Sampling::Full),
            ("grok-4-fast-non-reasoning", Thinking::None, Sampling::Full),
            ("grok-4", Thinking::Always, Sampling::Full),
            ("magistral-medium", Thinking::Always, Sampling::Full),
            ("mistral-large-latest", Thinking::None, Sampling::Full),
        ] {
            let takes = of(model);
            assert_eq!((takes.thinking, takes.sampling), (thinking, sampling), "{model}");
        }
        assert_eq!(of("gpt-5").efforts, [Minimal, Low, Medium, High]);
        assert_eq!(of("gpt-5.1-2025-11-13").efforts, [Low, Medium, High]);
        assert_eq!(of("gpt-5.2").efforts, [Low, Medium, High, Xhigh]);
        assert_eq!(of("llama-9"), Capabilities::default());
    }
}
