//! Usage, both ways: the whole input contains what was cached, the whole output what was thought.

use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use crate::openai::{Reported, normalise};

/// The classes of a `usage` object. `None`: nothing, only zeros, or what cannot be true.
pub(super) fn read(usage: Option<&Value>) -> Option<Usage> {
    let raw = serde_json::to_vec(usage.filter(|value| !value.is_null())?).ok()?;
    match normalise(Some(&raw), None) {
        Reported::Counted(usage) => Some(usage),
        Reported::Missing | Reported::Implausible(_) => None,
    }
}

/// The `usage` object of an answer.
pub(super) fn write(usage: &Usage) -> Value {
    let mut input = Map::from_iter([("cached_tokens".to_owned(), Value::from(usage.cache_read))]);
    let mut output = Map::from_iter([("reasoning_tokens".to_owned(), Value::from(usage.reasoning))]);
    let some = |parts: &mut Map<String, Value>, name: &str, count: u64| {
        if count > 0 {
            parts.insert(name.to_owned(), Value::from(count));
        }
    };
    some(&mut input, "cache_write_tokens", usage.cache_write_5m.saturating_add(usage.cache_write_1h));
    some(&mut input, "image_tokens", usage.image_input);
    some(&mut input, "audio_tokens", usage.audio_input);
    some(&mut output, "audio_tokens", usage.audio_output);
    json!({
        "input_tokens": usage.total_input(),
        "input_tokens_details": input,
        "output_tokens": usage.total_output(),
        "output_tokens_details": output,
        "total_tokens": usage.total(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_inside_the_input_and_counted_once() {
        let wire = json!({
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 1050,
        });
        let usage = read(Some(&wire)).unwrap();
        let classes = Usage { input: 300, cache_read: 600, cache_write_5m: 100, output: 50, reasoning: 20, ..Usage::default() };
        assert_eq!(usage, classes);
        assert_eq!(write(&usage), wire);
    }

    #[test]
    fn every_class_comes_back() {
        let usage = Usage {
            input: 1,
            output: 9,
            reasoning: 4,
            cache_read: 3,
            cache_write_5m: 5,
            cache_write_1h: 0,
            image_input: 6,
            audio_input: 7,
            audio_output: 8,
        };
        assert_eq!(read(Some(&write(&usage))), Some(usage));
    }

    #[test]
    fn nothing_zeros_and_nonsense_are_none() {
        for wire in [json!(null), json!({"input_tokens": 0, "output_tokens": 0}), json!({"input_tokens": -1}), json!([1])] {
            assert_eq!(read(Some(&wire)), None, "{wire}");
        }
        assert_eq!(read(None), None);
    }
}
