//! Changes of a text.

use regex::{Regex, RegexBuilder};

use super::growth::Growth;
use super::operation::Fields;
use super::{ParamOverrideError, Rule};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1_024;
/// The most memory a pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// A change of a text.
#[derive(Debug, Clone)]
pub(super) enum TextChange {
    TrimPrefix(String),
    TrimSuffix(String),
    EnsurePrefix(String),
    EnsureSuffix(String),
    TrimSpace,
    ToLower,
    ToUpper,
    Replace { from: String, to: String },
    RegexReplace { from: Regex, to: String },
}

impl TextChange {
    /// The modes of operations that change a text.
    pub(super) const MODES: [&'static str; 9] = [
        "trim_prefix",
        "trim_suffix",
        "ensure_prefix",
        "ensure_suffix",
        "trim_space",
        "to_lower",
        "to_upper",
        "replace",
        "regex_replace",
    ];

    /// The change of a mode; `None` where the mode is none of these.
    pub(super) fn compile(mode: &str, fields: Fields<'_>) -> Result<Option<Self>, ParamOverrideError> {
        let affix = || fields.filled("value").map(str::to_owned);
        let to = || Ok::<_, ParamOverrideError>(fields.text("to")?.unwrap_or_default().to_owned());
        Ok(Some(match mode {
            "trim_prefix" => Self::TrimPrefix(affix()?),
            "trim_suffix" => Self::TrimSuffix(affix()?),
            "ensure_prefix" => Self::EnsurePrefix(affix()?),
            "ensure_suffix" => Self::EnsureSuffix(affix()?),
            "trim_space" => Self::TrimSpace,
            "to_lower" => Self::ToLower,
            "to_upper" => Self::ToUpper,
            "replace" => Self::Replace { from: fields.filled("from")?.to_owned(), to: to()? },
            "regex_replace" => Self::RegexReplace { from: pattern(fields.filled("from")?)?, to: to()? },
            _ => return Ok(None),
        }))
    }

    pub(super) fn apply(&self, text: &str, growth: &mut Growth) -> Result<String, Rule> {
        let changed = match self {
            Self::TrimPrefix(prefix) => text.strip_prefix(prefix.as_str()).unwrap_or(text).to_owned(),
            Self::TrimSuffix(suffix) => text.strip_suffix(suffix.as_str()).unwrap_or(text).to_owned(),
            Self::EnsurePrefix(prefix) if text.starts_with(prefix.as_str()) => text.to_owned(),
            Self::EnsurePrefix(prefix) => format!("{prefix}{text}"),
            Self::EnsureSuffix(suffix) if text.ends_with(suffix.as_str()) => text.to_owned(),
            Self::EnsureSuffix(suffix) => format!("{text}{suffix}"),
            Self::TrimSpace => text.trim().to_owned(),
            Self::ToLower => text.to_lowercase(),
            Self::ToUpper => text.to_uppercase(),
            // these two take room while they grow
            Self::Replace { from, to } => return replaced(text, from, to, growth),
            Self::RegexReplace { from, to } => return replaced_by_pattern(text, from, to, growth),
        };
        growth.take_bytes(changed.len())?;
        Ok(changed)
    }
}

/// A pattern that is small, however few letters ask for much.
pub(super) fn pattern(text: &str) -> Result<Regex, ParamOverrideError> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(ParamOverrideError::at("from", format!("must have at most {MAX_PATTERN_BYTES} bytes")));
    }
    let built = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).build();
    built.map_err(|_| ParamOverrideError::at("from", "must be a regular expression that RE2 takes, and not a huge one"))
}

fn replaced(text: &str, from: &str, to: &str, growth: &mut Growth) -> Result<String, Rule> {
    let (mut out, mut copied) = (String::new(), 0);
    for (at, found) in text.match_indices(from) {
        put(&mut out, text.get(copied..at).unwrap_or_default(), growth)?;
        put(&mut out, to, growth)?;
        copied = at + found.len();
    }
    put(&mut out, text.get(copied..).unwrap_or_default(), growth)?;
    Ok(out)
}

fn replaced_by_pattern(text: &str, from: &Regex, to: &str, growth: &mut Growth) -> Result<String, Rule> {
    let (mut out, mut copied) = (String::new(), 0);
    let mut expanded = String::new();
    for found in from.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        put(&mut out, text.get(copied..whole.start()).unwrap_or_default(), growth)?;
        expanded.clear();
        found.expand(to, &mut expanded);
        put(&mut out, &expanded, growth)?;
        copied = whole.end();
    }
    put(&mut out, text.get(copied..).unwrap_or_default(), growth)?;
    Ok(out)
}

fn put(out: &mut String, piece: &str, growth: &mut Growth) -> Result<(), Rule> {
    growth.take_bytes(piece.len())?;
    out.push_str(piece);
    Ok(())
}
