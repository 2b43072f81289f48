//! Citations of pages on the web: Anthropic's `web_search_result_location` and OpenAI's `url_citation`.
//!
//! Citations of documents (`char_location`, `page_location`, …) point into the caller's own input and have no counterpart.

use serde_json::{Value, json};

/// An entry of OpenAI's `annotations`, in the flat form of Responses. It is of the whole text, as far as it is known, of so many
/// characters.
pub(super) fn read(citation: &Value, chars: usize) -> Option<Value> {
    if citation.get("type")?.as_str()? != "web_search_result_location" {
        return None;
    }
    let url = citation.get("url")?.as_str()?;
    let title = citation.get("title").and_then(Value::as_str).unwrap_or_default();
    Some(json!({"type": "url_citation", "start_index": 0, "end_index": chars, "url": url, "title": title}))
}

/// A citation for a caller, from an annotation in the form of Responses or of Chat (which nests it).
pub(super) fn write(annotation: &Value) -> Option<Value> {
    let inner = annotation.get("url_citation").unwrap_or(annotation);
    let url = inner.get("url")?.as_str()?;
    let title = inner.get("title").and_then(Value::as_str).unwrap_or_default();
    Some(json!({"type": "web_search_result_location", "cited_text": "", "url": url, "title": title, "encrypted_index": ""}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_cited_both_ways_and_documents_are_not() {
        let flat = json!({"type": "url_citation", "start_index": 0, "end_index": 4, "url": "https://a.example/", "title": "A"});
        let nested =
            json!({"type": "url_citation", "url_citation": {"url": "https://a.example/", "title": "A", "start_index": 0}});
        assert_eq!(read(&write(&flat).unwrap(), 4), Some(flat));
        assert_eq!(write(&nested).unwrap()["url"], "https://a.example/");
        for other in
            [json!({"type": "char_location", "cited_text": "x"}), json!(3), json!({"type": "web_search_result_location"})]
        {
            assert_eq!(read(&other, 0), None);
            assert_eq!(write(&other), None);
        }
    }
}
