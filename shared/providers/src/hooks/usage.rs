//! Usage that is told in another way.

use serde_json::{Map, Value};

/// The tokens of the answer are all but the prompt's.
pub(super) fn completion_from_total(answer: &mut Map<String, Value>) {
    let Some(usage) = answer.get_mut("usage").and_then(Value::as_object_mut) else { return };
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let (Some(total), Some(prompt)) = (count("total_tokens"), count("prompt_tokens")) else { return };
    if total >= prompt {
        usage.insert("completion_tokens".to_owned(), (total - prompt).into());
    }
}
