//! JSON bodies: bounded in bytes and depth, and refused with the name of the field that is wrong.

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::asking::BodyText;
use super::codes::Code;
use super::problem::ApiError;
use super::told::told;

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// The deepest nesting of arrays and objects. No field of the API needs more than three.
pub const MAX_DEPTH: usize = 32;

/// A JSON body of one type. Unknown fields are refused, so that a typo is not silently without effect.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(Code::NotJson, "send the header Content-Type: application/json"));
        }
        let noted = request.extensions().get::<BodyText>().cloned();
        let bytes = match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(ApiError::new(Code::BodyTooLarge, format!("a body has at most {MAX_BODY_BYTES} bytes")));
            }
            Err(_) => return Err(ApiError::new(Code::BadJson, "the body ended early")),
        };
        let parsed = parse(&bytes)?;
        if let Some(noted) = noted {
            noted.note(&bytes);
        }
        Ok(Self(parsed))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.eq_ignore_ascii_case("application/merge-patch+json")
}

/// Reads a body.
///
/// # Errors
/// 400 when it is not JSON or too deep, 422 with the field's path when it is JSON of another shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::new(Code::BadJson, "the body is not UTF-8"))?;
    let shape = Shape::of(text);
    if shape.depth > MAX_DEPTH {
        return Err(ApiError::new(Code::TooDeep, format!("a body is nested at most {MAX_DEPTH} deep")));
    }
    if shape.has_nul {
        return Err(ApiError::new(Code::BadJson, "a text has the character U+0000, which no text here may have"));
    }
    // the whole of it first, so that a slip of the pen is not told as a wrong field
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| syntax(&error))?;
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(refusal)
}

/// Reads what stands in one field of a body.
///
/// # Errors
/// 422 with the path of the field that is wrong.
pub fn read_field<T: DeserializeOwned>(field: &str, value: serde_json::Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // it is JSON: only a name that should be a number is told as bad syntax
        let is_data = error.inner().is_data();
        let path = error.path().to_string();
        let no_number = || ApiError::field(path.trim_end_matches(".?"), "wrong_type", "must have whole numbers as names");
        let mut refused = if is_data { refusal(error) } else { no_number() };
        for error in &mut refused.errors {
            error.field =
                if matches!(error.field.as_str(), "" | ".") { field.to_owned() } else { format!("{field}.{}", error.field) };
        }
        refused
    })
}

fn refusal(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let cause = error.into_inner();
    if !cause.is_data() {
        return syntax(&cause);
    }
    let text = without_place(&cause.to_string());
    // serde tells missing and unknown fields of an object in the text only
    let (field, code) = match (quoted_after(&text, "unknown field "), quoted_after(&text, "missing field ")) {
        (Some(name), _) => (inner(&path, name), "unknown_field"),
        (_, Some(name)) => (inner(&path, name), "required"),
        _ => (path, "wrong_type"),
    };
    let detail = match code {
        "required" => "is required".to_owned(),
        _ => told(&text),
    };
    ApiError::field(&field, code, detail)
}

fn syntax(error: &serde_json::Error) -> ApiError {
    ApiError::new(Code::BadJson, format!("not JSON at line {} column {}", error.line(), error.column()))
}

/// The name between back quotes that follows some words.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.strip_prefix(words)?.strip_prefix('`')?.split('`').next()
}

/// The path of a field within an object.
fn inner(path: &str, name: &str) -> String {
    match path {
        "" | "." => name.to_owned(),
        _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

/// Takes off the place in the text, which tells a reader of fields nothing.
fn without_place(text: &str) -> String {
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// What is seen of a text without parsing it, whether it is well formed or not.
#[derive(Default)]
struct Shape {
    /// How deep arrays and objects are nested.
    depth: usize,
    /// Whether a text in it has the character that PostgreSQL does not store.
    has_nul: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let (mut open, mut in_text, mut is_escaped) = (0_usize, false, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if is_escaped => {
                    shape.has_nul |= text.get(at..at + 5) == Some("u0000");
                    is_escaped = false;
                }
                b'\\' if in_text => is_escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => {
                    open += 1;
                    shape.depth = shape.depth.max(open);
                }
                b'}' | b']' if !in_text => open = open.saturating_sub(1),
                _ => {}
            }
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by the parser")]
    struct Sample {
        name: String,
        #[serde(default)]
        models: Vec<i64>,
    }

    fn refused(text: &str) -> (Code, String, String) {
        let error = parse::<Sample>(text.as_bytes()).unwrap_err();
        let field = error.errors.first().map(|error| (error.field.clone(), error.code.clone())).unwrap_or_default();
        (error.code, field.0, field.1)
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let invalid = |field: &str, code: &str| (Code::Invalid, field.to_owned(), code.to_owned());
        assert_eq!(refused(r#"{"name":1}"#), invalid("name", "wrong_type"));
        assert_eq!(refused(r#"{"name":"a","models":[1,"x"]}"#), invalid("models[1]", "wrong_type"));
        assert_eq!(refused(r#"{"name":"a","models":[99999999999999999999]}"#), invalid("models[0]", "wrong_type"));
        assert_eq!(refused(r#"{"name":"a","nmae":1}"#), invalid("nmae", "unknown_field"));
        assert_eq!(refused("{}"), invalid("name", "required"));
    }

    #[test]
    fn what_is_no_json_is_a_syntax_error() {
        for text in ["", "{", "{\"name\":\"a\"} x", "{'name':1}", "\u{feff}{}", "nul"] {
            assert_eq!(refused(text).0, Code::BadJson, "{text:?}");
        }
        assert_eq!(refused(r#"{"nmae":}"#).0, Code::BadJson, "a slip is told before a wrong field");
        assert_eq!(parse::<Sample>(b"{\"name\":\"\xff\"}").unwrap_err().code, Code::BadJson);
    }

    #[test]
    fn nesting_and_nul_are_seen_before_anything_is_read() {
        assert_eq!(refused(&"[".repeat(10_000)).0, Code::TooDeep);
        assert_eq!(refused(&"{\"a\":".repeat(10_000)).0, Code::TooDeep);
        assert_eq!(refused(r#"{"name":"a\u0000b"}"#).0, Code::BadJson);
        assert!(parse::<Sample>(br#"{"name":"a\\u0000b"}"#).is_ok());
        let brackets_in_text = format!(r#"{{"name":"{}\"["}}"#, "[".repeat(100));
        assert!(parse::<Sample>(brackets_in_text.as_bytes()).is_ok());
    }
}
