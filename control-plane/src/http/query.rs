//! Query strings and path parameters, refused in the one shape of errors.

use axum::extract::{FromRequestParts, Path as AxumPath};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::problem::ApiError;
use super::told::told;

/// The query string as one type. Unknown parameters are refused.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string.
///
/// # Errors
/// 422 with the parameter that is unknown or has another shape.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs.clone().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(ApiError::field(&name, "characters", "must not have the character U+0000"));
    }
    let reader = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        let named = |words: &str| text.strip_prefix(words).and_then(|rest| rest.strip_prefix('`')?.split('`').next());
        match (named("unknown field "), named("duplicate field "), named("missing field ")) {
            (Some(name), _, _) => ApiError::field(name, "unknown_field", told(&text)),
            (_, Some(name), _) => ApiError::field(name, "twice", "is given twice"),
            (_, _, Some(name)) => ApiError::field(name, "required", "is required"),
            _ => ApiError::field(&path, "wrong_type", told(&text)),
        }
    })
}

/// Path parameters. One that cannot be read names nothing, so the answer is 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // no name has the character, and PostgreSQL does not take it as a value
        if parts.uri.path().contains("%00") {
            return Err(ApiError::not_found("object"));
        }
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::not_found("object")),
        }
    }
}

/// What RFC 3986 leaves as it is in a path, besides letters and digits.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path: model names have slashes in them.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        limit: Option<u32>,
        #[serde(rename = "created_at.gte")]
        created_from: Option<String>,
    }

    #[test]
    fn parameters_are_read_and_decoded() {
        let sample: Sample = read("limit=3&created_at.gte=a%20b").unwrap();
        assert_eq!((sample.limit, sample.created_from.as_deref()), (Some(3), Some("a b")));
        assert!(read::<Sample>("").unwrap().limit.is_none());
    }

    #[test]
    fn the_parameter_that_is_wrong_is_named() {
        let refused = |query: &str| {
            let error = read::<Sample>(query).unwrap_err().errors.remove(0);
            (error.field, error.code)
        };
        let is = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(refused("limit=x"), is("limit", "wrong_type"));
        assert_eq!(refused("limit=-1"), is("limit", "wrong_type"));
        assert_eq!(refused("limt=1"), is("limt", "unknown_field"));
        assert_eq!(refused("limit=1&limit=2"), is("limit", "twice"));
    }
}
