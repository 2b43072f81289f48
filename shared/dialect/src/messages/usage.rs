//! Usage in Anthropic's words: cached input stands beside `input_tokens`, not in it, so the classes map one to one.
//!
//! Streams report twice, and the second report is cumulative: a later number replaces an earlier one and is never added to it.

use serde_json::{Map, Value, json};
use sluice_domain::Usage;

/// What was reported so far. `None`: nothing was said about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reports {
    input: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
}

impl Reports {
    /// Takes a `usage` object in. What is absent or null stays as it was.
    pub(super) fn add(&mut self, usage: &Value) {
        let of = |path| usage.pointer(path);
        replace(&mut self.input, of("/input_tokens"));
        replace(&mut self.output, of("/output_tokens"));
        replace(&mut self.reasoning, of("/output_tokens_details/thinking_tokens"));
        replace(&mut self.cache_read, of("/cache_read_input_tokens"));
        replace(&mut self.cache_write, of("/cache_creation_input_tokens"));
        replace(&mut self.cache_write_5m, of("/cache_creation/ephemeral_5m_input_tokens"));
        replace(&mut self.cache_write_1h, of("/cache_creation/ephemeral_1h_input_tokens"));
    }

    /// The sum of it; `None` when nothing, or only zeros, were reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        let output = self.output.unwrap_or(0);
        let cache_write_1h = self.cache_write_1h.unwrap_or(0);
        // What is not known to be kept for an hour is kept for five minutes.
        let unsplit = self.cache_write.unwrap_or(0).saturating_sub(cache_write_1h);
        let usage = Usage {
            input: self.input.unwrap_or(0),
            output,
            reasoning: self.reasoning.unwrap_or(0).min(output),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: self.cache_write_5m.unwrap_or(0).max(unsplit),
            cache_write_1h,
            ..Usage::default()
        };
        (!usage.is_empty()).then_some(usage)
    }
}

/// A zero says nothing against a number: counters of a stream never fall, but some servers repeat only the one they changed.
fn replace(known: &mut Option<u64>, said: Option<&Value>) {
    if let Some(count) = said.and_then(Value::as_u64).filter(|count| *count > 0 || known.is_none()) {
        *known = Some(count);
    }
}

/// A `usage` object of a whole answer.
pub(super) fn read(usage: &Value) -> Option<Usage> {
    let mut reports = Reports::default();
    reports.add(usage);
    reports.usage()
}

/// A `usage` object for a caller, with zeros where nothing is known. Images and sounds count as input, speech as output.
pub(super) fn write(usage: Option<&Usage>) -> Map<String, Value> {
    let usage = usage.copied().unwrap_or_default();
    let input = usage.input.saturating_add(usage.image_input).saturating_add(usage.audio_input);
    let cache_write = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let split = json!({
        "ephemeral_5m_input_tokens": usage.cache_write_5m,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
    });
    let mut written = Map::new();
    written.insert("input_tokens".to_owned(), input.into());
    written.insert("cache_creation_input_tokens".to_owned(), cache_write.into());
    written.insert("cache_read_input_tokens".to_owned(), usage.cache_read.into());
    written.insert("cache_creation".to_owned(), split);
    written.insert("output_tokens".to_owned(), usage.total_output().into());
    if usage.reasoning > 0 {
        written.insert("output_tokens_details".to_owned(), json!({"thinking_tokens": usage.reasoning}));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_input_is_neither_lost_nor_counted_twice() {
        let wire = json!({"input_tokens": 300, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 70, "ephemeral_1h_input_tokens": 30},
            "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}});
        let usage = read(&wire).unwrap();
        assert_eq!((usage.total_input(), usage.total()), (1000, 1050));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h, usage.reasoning), (70, 30, 20));
        assert_eq!(read(&Value::Object(write(Some(&usage)))), Some(usage));
        let written = Value::Object(write(Some(&Usage { image_input: 5, audio_input: 6, audio_output: 7, ..usage })));
        assert_eq!((&written["input_tokens"], &written["output_tokens"]), (&json!(311), &json!(57)));
    }

    #[test]
    fn writes_without_a_split_are_of_five_minutes() {
        let usage = read(&json!({"input_tokens": 1, "cache_creation_input_tokens": 9, "cache_creation": null})).unwrap();
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (9, 0));
        for nothing in
            [json!({}), json!(null), json!("x"), json!({"input_tokens": 0, "output_tokens": 0}), json!({"input_tokens": -1})]
        {
            assert_eq!(read(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn later_reports_replace_earlier_ones() {
        let mut reports = Reports::default();
        reports.add(&json!({"input_tokens": 25, "output_tokens": 1, "cache_read_input_tokens": 7}));
        reports.add(&json!({"output_tokens": 15, "input_tokens": null, "cache_read_input_tokens": 0}));
        let usage = reports.usage().unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (25, 7, 15));
    }
}
