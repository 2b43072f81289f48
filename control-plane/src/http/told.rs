//! What serde says of a wrong value, in words for people who do not write Rust.

/// Types of Rust and serde, and what people call them.
const EXPECTED: [(&str, &str); 13] = [
    ("i64", "a whole number"),
    ("u64", "a whole number from 0 on"),
    ("i32", "a whole number"),
    ("u32", "a whole number from 0 on"),
    ("u16", "a whole number from 0 to 65535"),
    ("u8", "a whole number from 0 to 255"),
    ("usize", "a whole number from 0 on"),
    ("f64", "a number"),
    ("a string", "a text"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
    ("a map", "an object"),
    ("struct ", "an object"),
];
/// How serde begins to describe a value, and what it is called.
const GIVEN: [(&str, &str); 8] = [
    ("string", "a text"),
    ("integer", "a whole number"),
    ("floating point", "a number with a fraction or an exponent"),
    ("boolean", "true or false"),
    ("null", "null"),
    ("unit", "null"),
    ("sequence", "a list"),
    ("map", "an object"),
];

/// Puts serde's text into words. One that is not known stays as it is.
pub(super) fn told(text: &str) -> String {
    if let Some((given, expected)) = text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("must be {}, not {}", named(&EXPECTED, expected), named(&GIVEN, given));
    }
    if let Some((_, expected)) = text.strip_prefix("invalid value: ").and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("must be {}", named(&EXPECTED, expected));
    }
    if let Some((_, known)) = text.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected ")) {
        return format!("must be {}", known.replace('`', ""));
    }
    if let Some((_, known)) = text.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected ")) {
        return format!("is no field here; there is {}", known.replace('`', "").replacen("one of ", "", 1));
    }
    text.to_owned()
}

fn named<'t>(names: &[(&str, &'t str)], text: &'t str) -> &'t str {
    names.iter().find(|(begins, _)| text.starts_with(begins)).map_or(text, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Strict,
        Windowed,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by the parser")]
    struct Sample {
        quota: Option<i64>,
        port: Option<u16>,
        names: Option<Vec<String>>,
        word: Option<Word>,
    }

    fn of(text: &str) -> String {
        let error = serde_json::from_str::<Sample>(text).unwrap_err().to_string();
        told(error.split(" at line ").next().unwrap())
    }

    #[test]
    fn wrong_values_are_told_without_words_of_rust() {
        assert_eq!(of(r#"{"quota":"lots"}"#), "must be a whole number, not a text");
        assert_eq!(of(r#"{"quota":1e30}"#), "must be a whole number, not a number with a fraction or an exponent");
        assert_eq!(of(r#"{"port":70000}"#), "must be a whole number from 0 to 65535");
        assert_eq!(of(r#"{"names":{}}"#), "must be a list, not an object");
        assert_eq!(of(r#"{"names":[true]}"#), "must be a text, not true or false");
        assert_eq!(of(r#"{"word":"zzz"}"#), "must be strict or windowed");
        assert_eq!(of(r#"{"nam":1}"#), "is no field here; there is quota, port, names, word");
    }

    #[test]
    fn what_is_not_known_stays() {
        assert_eq!(told("something else"), "something else");
    }
}
