//! Writing an output limit into a request, in the field that the request itself, or its model, has for it.

use crate::json::{Document, Edit};

/// The fields that limit the output; the largest counts.
pub(super) const LIMIT_FIELDS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Names of models that refuse `max_tokens` and take `max_completion_tokens` (OpenAI's reasoning models).
const REASONING: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];

/// Lowers every limit of a request that is above `limit`; writes it where the request has none. `model` is the one the upstream is
/// asked for.
pub(super) fn lower<'d>(edit: &mut Edit<'d>, document: &'d Document, model: &str, limit: u32) {
    let mut has_limit = false;
    for field in LIMIT_FIELDS {
        let Some(raw) = document.get_some(field) else { continue };
        has_limit = true;
        let is_above =
            std::str::from_utf8(raw).ok().and_then(|text| text.parse::<u64>().ok()).is_none_or(|own| own > limit.into());
        if is_above {
            edit.set(field, limit.to_string());
        }
    }
    if !has_limit {
        edit.set(field_of(model), limit.to_string());
    }
}

/// The field a model takes its limit in.
fn field_of(model: &str) -> &'static str {
    // gateways name models with their owner: openai/o3-mini
    let name = model.rsplit('/').next().unwrap_or(model);
    let [plain, reasoning, _] = LIMIT_FIELDS;
    let is_of =
        |family: &&str| name.strip_prefix(*family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']));
    if REASONING.iter().any(is_of) { reasoning } else { plain }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lowered(body: &'static str, model: &str, limit: u32) -> String {
        let document = Document::parse(Bytes::from_static(body.as_bytes())).unwrap();
        let mut edit = document.edit();
        lower(&mut edit, &document, model, limit);
        String::from_utf8(edit.finish().to_vec()).unwrap()
    }

    #[test]
    fn a_limit_is_lowered_in_its_own_field_and_every_other_byte_stays() {
        let body = r#"{"model":"m","x":1e400,"max_completion_tokens":900,"max_tokens":50,"messages":[ {} ]}"#;
        let expected = r#"{"model":"m","x":1e400,"max_completion_tokens":70,"max_tokens":50,"messages":[ {} ]}"#;
        assert_eq!(lowered(body, "m", 70), expected);
        assert_eq!(lowered(r#"{"max_output_tokens":900}"#, "m", 70), r#"{"max_output_tokens":70}"#);
        assert_eq!(lowered(r#"{"max_tokens":70}"#, "m", 70), r#"{"max_tokens":70}"#);
    }

    #[test]
    fn a_request_without_a_limit_gets_it_in_the_field_its_model_takes() {
        for (model, field) in [
            ("gpt-4o", "max_tokens"),
            ("o1", "max_completion_tokens"),
            ("o3-mini-2025-01-31", "max_completion_tokens"),
            ("openai/gpt-5.1", "max_completion_tokens"),
            ("gpt-50", "max_tokens"),
            ("o1ama", "max_tokens"),
            ("mistral-large", "max_tokens"),
        ] {
            assert_eq!(lowered(r#"{"a":1}"#, model, 16), format!(r#"{{"a":1,"{field}":16}}"#), "{model}");
        }
        assert_eq!(lowered(r#"{"max_tokens":null}"#, "gpt-4o", 16), r#"{"max_tokens":16}"#);
    }
}
