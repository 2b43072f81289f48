//! Citations: flat in the IR, as in Responses; in an object of their own on this wire.

use serde_json::{Map, Value, json};

const KIND: &str = "url_citation";
const PLACES: [&str; 2] = ["start_index", "end_index"];

/// An entry of `annotations` as the IR has it.
pub(super) fn read(entry: &Value) -> Value {
    let Some(fields) = entry.get(KIND).and_then(Value::as_object) else { return entry.clone() };
    let mut flat = Map::from_iter([("type".to_owned(), Value::from(KIND))]);
    flat.extend(fields.clone());
    Value::Object(flat)
}

/// An entry for a caller. Its places count from the beginning of its block, which stands `offset` characters behind that of the content.
pub(super) fn write(citation: &Value, offset: usize) -> Value {
    let mut fields = match citation.get(KIND).or(Some(citation)).and_then(Value::as_object) {
        Some(fields) if citation.get("type").is_none_or(|kind| kind == KIND) => fields.clone(),
        _ => return citation.clone(),
    };
    fields.shift_remove("type");
    for name in PLACES {
        if let Some(place) = fields.get_mut(name)
            && let Some(count) = place.as_u64()
        {
            *place = count.saturating_add(offset as u64).into();
        }
    }
    json!({"type": KIND, KIND: fields})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_is_flat_here_and_nested_there() {
        let nested = json!({"type": "url_citation", "url_citation": {"start_index": 2, "end_index": 5, "url": "https://a.example", "title": "A"}});
        let flat = json!({"type": "url_citation", "start_index": 2, "end_index": 5, "url": "https://a.example", "title": "A"});
        assert_eq!(read(&nested), flat);
        assert_eq!(write(&flat, 0), nested);
        assert_eq!(write(&nested, 0), nested);
        assert_eq!(write(&flat, 10)["url_citation"]["end_index"], 15);
        assert_eq!(write(&json!({"type": "file_citation"}), 1), json!({"type": "file_citation"}));
        assert_eq!(write(&json!(3), 1), json!(3));
    }
}
