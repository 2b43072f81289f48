//! Arguments of calls: JSON text on most wires, objects in the IR (conversions.md §4.4).

use serde_json::{Map, Value};

use crate::ir::Arguments;
use crate::json;

/// What a call is made with. Nothing at all is an empty object; what cannot be read strictly is read once more leniently.
pub(crate) fn parse(text: &str) -> Arguments {
    if text.trim().is_empty() {
        return Arguments::Object(Map::new());
    }
    match object(text).or_else(|| object(&lenient(&json::mended(text.as_bytes())))) {
        Some(object) => Arguments::Object(object),
        None => Arguments::Raw(text.to_owned()),
    }
}

/// The same of a wire value: some servers send the object itself.
pub(crate) fn of(value: Option<&Value>) -> Arguments {
    match value {
        Some(Value::String(text)) => parse(text),
        Some(Value::Object(object)) => Arguments::Object(object.clone()),
        Some(Value::Null) | None => Arguments::Object(Map::new()),
        Some(other) => Arguments::Raw(other.to_string()),
    }
}

/// As they are sent: compact, and never the empty string.
pub(crate) fn text(arguments: &Arguments) -> String {
    match arguments {
        Arguments::Object(object) => serde_json::to_string(object).unwrap_or_else(|_| "{}".to_owned()),
        Arguments::Raw(text) if text.is_empty() => "{}".to_owned(),
        Arguments::Raw(text) => text.clone(),
    }
}

/// Some models encode twice.
fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text).ok()? {
        Value::Object(object) => Some(object),
        Value::Null => Some(Map::new()),
        Value::String(inner) => match serde_json::from_str(&inner).ok()? {
            Value::Object(object) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// Closes what is open, drops commas before an end, escapes line breaks in strings, and takes the text out of a Markdown fence.
fn lenient(text: &str) -> String {
    let text = unfenced(text.trim());
    let mut out = String::with_capacity(text.len() + 8);
    let mut open = Vec::new();
    let (mut in_string, mut is_escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ => out.push(c),
            }
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                drop_comma(&mut out);
                open.pop();
            }
            _ => {}
        }
        out.push(c);
    }
    if is_escaped {
        out.pop();
    }
    if in_string {
        out.push('"');
    }
    drop_comma(&mut out);
    out.extend(open.into_iter().rev());
    out
}

fn unfenced(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.strip_suffix("```").unwrap_or(inner);
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

fn drop_comma(out: &mut String) {
    let end = out.trim_end().len();
    if out.get(..end).is_some_and(|kept| kept.ends_with(',')) {
        out.truncate(end - 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_strictly_then_leniently_then_kept() {
        for (text, read) in [
            ("", Some(json!({}))),
            (" ", Some(json!({}))),
            ("null", Some(json!({}))),
            (r#"{"b":1,"a":"é"}"#, Some(json!({"b": 1, "a": "é"}))),
            (r#""{\"a\":1}""#, Some(json!({"a": 1}))),
            ("{\"a\":\"x\ny\",}", Some(json!({"a": "x\ny"}))),
            ("```json\n{\"a\":[1,2,]}\n```", Some(json!({"a": [1, 2]}))),
            (r#"{"path":"/tmp/fo"#, Some(json!({"path": "/tmp/fo"}))),
            (r#"{"a":[{"b":"\"#, Some(json!({"a": [{"b": ""}]}))),
            (r#"{"a":"\ud83d"}"#, Some(json!({"a": "\u{fffd}"}))),
            (r#"{"a":"#, None),
            ("[1]", None),
            ("call me", None),
        ] {
            let expected = match read {
                Some(Value::Object(object)) => Arguments::Object(object),
                _ => Arguments::Raw(text.to_owned()),
            };
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(text(&parse(r#"{ "b" : 1, "a" : "é" }"#)), r#"{"b":1,"a":"é"}"#, "compact, in order, unescaped");
        assert_eq!(text(&parse("")), "{}");
        assert_eq!(text(&parse("call me")), "call me");
    }
}
