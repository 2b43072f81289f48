//! What a request of Responses says of state that its upstream stores: answers are stored there unless the caller wants otherwise, and later
//! requests may go on from them.

use crate::json::Document;
use crate::surface::Surface;

/// What a request wants of state at its upstream. Of every dialect but Responses: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storing {
    /// Its answer is to be stored, so that it can be asked for by its id.
    pub is_stored: bool,
    /// Its answer is to be made after the upstream has answered.
    pub is_background: bool,
    /// The answer that it goes on from.
    pub previous: Option<String>,
}

impl Storing {
    pub(super) fn of(surface: Surface, document: &Document) -> Self {
        if !matches!(surface, Surface::Responses | Surface::Compact) {
            return Self::default();
        }
        let says = |field: &str, word: &[u8]| document.get(field) == Some(word);
        let previous = document.get_some("previous_response_id").and_then(|raw| serde_json::from_slice(raw).ok());
        Self {
            is_stored: surface == Surface::Responses && !says("store", b"false"),
            is_background: says("background", b"true"),
            previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn storing(surface: Surface, body: &'static str) -> Storing {
        Storing::of(surface, &Document::parse(Bytes::from_static(body.as_bytes())).unwrap())
    }

    #[test]
    fn an_answer_of_responses_is_stored_unless_its_caller_wants_otherwise() {
        let is_stored = |body| storing(Surface::Responses, body).is_stored;
        assert!(is_stored(r#"{"model":"m"}"#) && is_stored(r#"{"store":true}"#) && is_stored(r#"{"store":null}"#));
        assert!(!is_stored(r#"{"store":false}"#) && !is_stored(r#"{"store":true,"store" : false}"#), "the last one counts");
        assert!(
            !storing(Surface::ChatCompletions, r#"{"store":true}"#).is_stored,
            "chats are stored for their owners, not for callers"
        );
    }

    #[test]
    fn what_a_request_goes_on_from_is_read_without_its_escapes() {
        let previous = |surface, body| storing(surface, body).previous;
        assert_eq!(previous(Surface::Responses, r#"{"previous_response_id":"resp\u005f1"}"#).as_deref(), Some("resp_1"));
        assert_eq!(previous(Surface::Compact, r#"{"previous_response_id":"resp_1"}"#).as_deref(), Some("resp_1"));
        assert_eq!(previous(Surface::Responses, r#"{"previous_response_id":null}"#), None);
        assert_eq!(previous(Surface::Messages, r#"{"previous_response_id":"resp_1"}"#), None);
        assert!(storing(Surface::Responses, r#"{"background":true}"#).is_background);
    }
}
