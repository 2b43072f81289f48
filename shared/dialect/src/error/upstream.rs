//! Reading an upstream's error, whatever it looks like.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;
use sluice_domain::Dialect;

use super::scrub;
use super::scrub::redact;
use crate::json;

/// Longest `type`, `code` or `param` that is kept, in bytes.
const MAX_WORD_BYTES: usize = 128;
/// Longest `metadata` that is kept, in bytes.
const MAX_METADATA_BYTES: usize = 2048;

/// What an upstream said went wrong. All text is masked and bounded, so it may be shown to the caller.
#[derive(Clone)]
pub struct UpstreamError {
    /// The status it stands for, where it came with another one.
    pub status: Option<u16>,
    /// The message, or a general one that names the status.
    pub message: String,
    /// The provider's `type`.
    pub kind: Option<String>,
    /// The provider's `code`, as text if it was a number.
    pub code: Option<String>,
    /// The field the provider complains about.
    pub param: Option<String>,
    /// The provider's `metadata` object, or Google's `details`, for callers of the same dialect.
    pub metadata: Option<Box<RawValue>>,
    /// Why, in a word of a cloud's own: Google's `ErrorInfo.reason`, the name of an AWS exception.
    pub reason: Option<String>,
    /// The dialect whose form it has; Responses has that of OpenAI. `None`: a form of the provider's own.
    pub form: Option<Dialect>,
}

impl UpstreamError {
    /// Reads an error body. Text that is no JSON, or JSON without a message, gives a general message.
    ///
    /// `known` are keys that must not show, as in [`scrub`].
    #[must_use]
    pub fn read(status: u16, body: &[u8], known: &[&str]) -> Self {
        let parsed = serde_json::from_str::<Value>(&json::mended(body)).unwrap_or(Value::Null);
        // Google wraps the errors of its array streams in an array of one.
        let value = parsed.get(0).unwrap_or(&parsed);
        let inner = error_object(value).unwrap_or(value);
        let text = |key| inner.get(key).and_then(|value| word(value, known));
        let metadata = inner.get("metadata").filter(|value| value.is_object());
        let metadata = metadata.or_else(|| inner.get("details").filter(|details| details.is_array()));
        let metadata = metadata.and_then(|value| masked(value, known));
        let message = find_message(value).map_or_else(|| general_message(status), |message| scrub(message, known).into_owned());
        let kind = text("type").or_else(|| text("status"));
        let reason = reason(value, inner).and_then(|reason| word(reason, known));
        let (code, param) = (text("code"), text("param"));
        Self { status: None, message, kind, code, param, metadata, reason, form: form(value) }
    }

    /// An error that an answer with status 200 told in a form of its provider's own. `status` is what it stands for.
    #[must_use]
    pub fn told(status: u16, code: &str, message: &str, known: &[&str]) -> Self {
        let text = |text: &str| word(&Value::from(text), known);
        let message = if message.is_empty() { general_message(status) } else { scrub(message, known).into_owned() };
        let (kind, param, metadata, reason, form) = (None, None, None, None, None);
        Self { status: Some(status), message, kind, code: text(code), param, metadata, reason, form }
    }

    /// The provider's `type`, if it is a word. Anything else may be a sentence, and repeat what a caller said.
    #[must_use]
    pub fn kind_word(&self) -> Option<&str> {
        self.kind.as_deref().filter(|text| is_word(text))
    }

    /// The provider's `code`, if it is a word.
    #[must_use]
    pub fn code_word(&self) -> Option<&str> {
        self.code.as_deref().filter(|text| is_word(text))
    }

    /// The cloud's reason, if it is a word.
    #[must_use]
    pub fn reason_word(&self) -> Option<&str> {
        self.reason.as_deref().filter(|text| is_word(text))
    }

    /// Whether a parsed `error` field reports an error: `null`, `false`, `""`, `0`, `{}` and `[]` do not.
    #[must_use]
    pub fn is_reported(raw: &[u8]) -> bool {
        !matches!(raw, b"null" | b"false" | b"\"\"" | b"0") && !json::is_empty_container(raw)
    }
}

impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything else may repeat parts of a prompt.
        f.debug_struct("UpstreamError").field("kind", &self.kind_word()).field("code", &self.code_word()).finish_non_exhaustive()
    }
}

/// The longest text that is taken for a word of an error's vocabulary, in bytes.
const MAX_VOCABULARY_BYTES: usize = 64;

/// `rate_limit_exceeded`, `Arrearage`, `1113`.
fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_VOCABULARY_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// What is said when the upstream says nothing readable. Errors inside a 200 have no status worth naming.
fn general_message(status: u16) -> String {
    if status < 400 { "the upstream reported an error".to_owned() } else { format!("bad response status code {status}") }
}

/// The places where providers put their message, best first (relay-api.md §9.3).
fn find_message(value: &Value) -> Option<&str> {
    const PLACES: [&str; 13] = [
        "/error/message",
        "/error",
        "/message",
        "/msg",
        "/err",
        "/error_msg",
        "/detail",
        "/detail/message",
        "/detail/0/msg",
        "/header/message",
        "/response/error/message",
        "/error/msg",
        "/errors/0/message",
    ];
    if let Value::String(text) = value {
        return Some(text.as_str()).filter(|text| !text.is_empty());
    }
    PLACES.iter().find_map(|place| value.pointer(place)?.as_str().filter(|text| !text.is_empty()))
}

/// Google names a reason in one of the details (`google.rpc.ErrorInfo`), AWS the exception in `__type`, behind a `#` or alone.
fn reason<'a>(value: &'a Value, inner: &'a Value) -> Option<&'a Value> {
    let mut details = inner.get("details").and_then(Value::as_array).into_iter().flatten();
    details.find_map(|detail| detail.get("reason")).or_else(|| value.get("__type"))
}

/// The object that says what went wrong; inside the response that a stream of Responses ends with.
fn error_object(value: &Value) -> Option<&Value> {
    let object = |error: &&Value| error.is_object();
    value.get("error").filter(object).or_else(|| value.pointer("/response/error").filter(object))
}

/// Whose form a body has.
fn form(value: &Value) -> Option<Dialect> {
    let error = error_object(value);
    let is_text = |holder: &Value, key: &str| holder.get(key).is_some_and(Value::is_string);
    match error {
        Some(_) if value.get("type").is_some_and(|kind| kind == "error") => Some(Dialect::Anthropic),
        Some(error) if is_text(error, "status") && !is_text(error, "type") => Some(Dialect::Gemini),
        Some(_) => Some(Dialect::OpenAi),
        // servers of models of one's own, and the flat event of Responses
        None => value.get("object").or_else(|| value.get("type")).filter(|word| *word == "error").map(|_| Dialect::OpenAi),
    }
}

fn word(value: &Value, known: &[&str]) -> Option<String> {
    let text = match value {
        Value::String(text) => redact(text, known).into_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    // A key is masked before the cut: the beginning of one is recognised by nobody.
    let end = text.floor_char_boundary(MAX_WORD_BYTES);
    let text = scrub(text.get(..end)?, known).into_owned();
    (!text.is_empty()).then_some(text)
}

/// The value with its text masked; dropped when it is long or masking broke its grammar.
fn masked(value: &Value, known: &[&str]) -> Option<Box<RawValue>> {
    let text = value.to_string();
    if text.len() > MAX_METADATA_BYTES {
        return None;
    }
    RawValue::from_string(scrub(&text, known).into_owned()).ok()
}
