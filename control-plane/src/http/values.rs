//! Values as the API writes them: moments, decimals, and fields that a patch leaves out, clears or sets.

use std::fmt;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sluice_domain::UnixMillis;
use utoipa::ToSchema;

/// A moment: RFC 3339 in UTC, ending in `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00Z")]
pub struct Moment(pub UnixMillis);

impl Moment {
    /// A moment out of the database; nothing stays nothing.
    #[must_use]
    pub fn from_row(millis: Option<i64>) -> Option<Self> {
        millis.map(|millis| Self(UnixMillis(millis)))
    }

    /// Reads RFC 3339 with any offset, to the millisecond.
    ///
    /// # Errors
    /// When it is another form.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let timestamp: Timestamp = text.parse().map_err(|_| "must be a time such as 2026-11-21T10:00:00Z")?;
        Ok(Self(UnixMillis(timestamp.as_millisecond())))
    }
}

impl From<UnixMillis> for Moment {
    fn from(millis: UnixMillis) -> Self {
        Self(millis)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) if self.0.0 < 0 => Timestamp::MIN.fmt(f),
            Err(_) => Timestamp::MAX.fmt(f),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A decimal as it was written, string or number: never through a binary float.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "1.25")]
pub struct DecimalText(pub String);

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if text.starts_with('"') {
            return serde_json::from_str(text).map(Self).map_err(D::Error::custom);
        }
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(D::Error::custom("must be a decimal such as \"1.25\""))
    }
}

/// A field of a patch: left out, `null`, or a value (JSON merge patch, RFC 7396).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    /// `null`: back to nothing.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Patch<T> {
    /// What the field is after the patch.
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Reads the value inside with a function that may refuse it.
    ///
    /// # Errors
    /// When the function refuses.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(read(value)?),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(|value| value.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc_and_read_back() {
        let moment: Moment = serde_json::from_str("\"2026-11-21T18:00:00.5+08:00\"").unwrap();
        assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2026-11-21T10:00:00.5Z\"");
        assert_eq!(Moment::parse(&moment.to_string()), Ok(moment));
        assert!(Moment::parse("2026-11-21").is_err());
        assert!(Moment(UnixMillis(i64::MAX)).to_string().ends_with('Z'));
    }

    #[test]
    fn decimals_are_taken_as_they_were_written() {
        let read = |text: &str| serde_json::from_str::<DecimalText>(text).map(|decimal| decimal.0).ok();
        assert_eq!(read("\"0.1\"").as_deref(), Some("0.1"));
        assert_eq!(read("0.1000000000000000055").as_deref(), Some("0.1000000000000000055"));
        assert_eq!(read("-1e400").as_deref(), Some("-1e400"));
        assert_eq!(read("true"), None);
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn a_patch_tells_left_out_from_null() {
        #[derive(Deserialize)]
        struct Sample {
            #[serde(default)]
            field: Patch<i64>,
        }
        let read = |text: &str| serde_json::from_str::<Sample>(text).unwrap().field;
        assert_eq!(read("{}").apply(Some(1)), Some(1));
        assert_eq!(read(r#"{"field":null}"#).apply(Some(1)), None);
        assert_eq!(read(r#"{"field":2}"#).apply(Some(1)), Some(2));
    }
}
