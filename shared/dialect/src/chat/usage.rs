//! Usage, both ways: disjoint classes in the IR, parts inside their whole on the wire (conversions.md §10.3).

use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use crate::openai::{Reported, normalise};

/// What an answer reports. `in_choice` is a second report that some providers put into a choice. `None`: nothing, or nothing credible.
pub(super) fn read(usage: Option<&Value>, in_choice: Option<&Value>) -> Option<Usage> {
    let raw = |value: Option<&Value>| value.filter(|value| value.is_object()).map(Value::to_string);
    let (first, second) = (raw(usage), raw(in_choice));
    let reported = normalise(first.as_deref().map(str::as_bytes), second.as_deref().map(str::as_bytes));
    if let Reported::Counted(counted) = reported { Some(counted) } else { None }
}

/// As callers read it. Classes that OpenAI itself does not always name are left out when they are zero.
pub(crate) fn write(usage: &Usage) -> Value {
    let (prompt, completion) = (usage.total_input(), usage.total_output());
    let mut input = Map::new();
    input.insert("cached_tokens".to_owned(), usage.cache_read.into());
    input.insert("audio_tokens".to_owned(), usage.audio_input.into());
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    for (name, count) in [("cache_write_tokens", written), ("image_tokens", usage.image_input)] {
        if count > 0 {
            input.insert(name.to_owned(), count.into());
        }
    }
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion),
        "prompt_tokens_details": input,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of conversions.md §10.3.
    fn example() -> (Usage, Value) {
        let usage = Usage { input: 300, cache_read: 600, cache_write_5m: 100, output: 50, reasoning: 20, ..Usage::default() };
        let wire = json!({
            "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0, "cache_write_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 0},
        });
        (usage, wire)
    }

    #[test]
    fn cached_tokens_are_inside_the_prompt_on_the_wire_and_beside_the_input_here() {
        let (usage, wire) = example();
        assert_eq!(write(&usage), wire);
        assert_eq!(read(Some(&wire), None), Some(usage));
    }

    #[test]
    fn reasoning_on_top_of_the_completion_is_believed_when_the_total_says_so() {
        let mut wire = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35, "completion_tokens_details": {"reasoning_tokens": 20}});
        let on_top = read(Some(&wire), None).unwrap();
        assert_eq!((on_top.output, on_top.reasoning), (25, 20));
        wire["total_tokens"] = json!(15);
        let inside = read(Some(&wire), None).unwrap();
        assert_eq!((inside.output, inside.reasoning), (5, 5));
    }

    #[test]
    fn zeros_and_nonsense_are_no_report() {
        for wire in [json!(null), json!([]), json!({}), json!({"prompt_tokens": 0}), json!({"prompt_tokens": -1})] {
            assert_eq!(read(Some(&wire), None), None, "{wire}");
        }
        let in_choice = json!({"prompt_tokens": 3, "completion_tokens": 4});
        assert_eq!(read(None, Some(&in_choice)).map(|usage| usage.total()), Some(7));
    }
}
