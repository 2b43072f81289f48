//! Proto-JSON: every field in two spellings, numbers as text, words in any case.

use serde_json::Value;

use crate::node::{BodyError, Node, Rule};

/// A field by its `camelCase` name, however it is spelled; `None` when it is absent or null.
pub(crate) fn field<'n>(node: &'n Node<'_>, name: &'static str) -> Option<Node<'n>> {
    if let Some(found) = node.get(name) {
        return Some(found);
    }
    let key = node.value().as_object()?.keys().find(|key| is_snake_of(key, name))?;
    node.get(key)
}

/// A field that must be there.
pub(crate) fn need<'n>(node: &'n Node<'_>, name: &'static str) -> Result<Node<'n>, BodyError> {
    field(node, name).map_or_else(|| node.need(name), Ok)
}

/// A field of an upstream's answer.
pub(crate) fn get<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    let found = object.get(name).or_else(|| object.iter().find(|(key, _)| is_snake_of(key, name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// A number within bounds, possibly as text.
pub(crate) fn number(node: &Node<'_>, least: f64, most: f64) -> Result<f64, BodyError> {
    let Some(text) = node.value().as_str() else { return node.number(least, most) };
    let number: f64 = text.parse().map_err(|_| node.wrong("a number"))?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(node.broken(Rule::Range { least, most })) }
}

/// A whole number within bounds, possibly as text.
pub(crate) fn whole(node: &Node<'_>, least: i32, most: i32) -> Result<i32, BodyError> {
    let whole = match node.value().as_str() {
        Some(text) => text.parse().map_err(|_| node.wrong("a whole number"))?,
        None => node.whole(i64::from(least), i64::from(most))?,
    };
    match i32::try_from(whole) {
        Ok(whole) if (least..=most).contains(&whole) => Ok(whole),
        _ => Err(node.broken(Rule::Range { least: f64::from(least), most: f64::from(most) })),
    }
}

/// A whole number of things.
pub(crate) fn count(node: &Node<'_>, least: i32) -> Result<u32, BodyError> {
    whole(node, least, i32::MAX).map(i32::unsigned_abs)
}

/// What a word of an enumeration stands for, in any case.
pub(crate) fn word<T: Copy>(node: &Node<'_>, words: &[(&str, T)], list: &'static str) -> Result<T, BodyError> {
    let said = node.text()?;
    let known = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(said));
    known.map(|(_, meaning)| *meaning).ok_or_else(|| node.broken(Rule::Word(list)))
}

/// Each item of an array, or the one item that stands for an array of one.
pub(crate) fn each(node: &Node<'_>, mut visit: impl FnMut(&Node<'_>) -> Result<(), BodyError>) -> Result<(), BodyError> {
    if node.value().is_object() {
        return visit(node);
    }
    for item in node.items()? {
        visit(&item)?;
    }
    Ok(())
}

/// The name in `camelCase`.
pub(crate) fn camel(name: &str) -> String {
    let mut pieces = name.split('_');
    let mut camel = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let mut letters = piece.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn is_snake_of(key: &str, name: &str) -> bool {
    key.contains('_') && camel(key.trim_start_matches('_')) == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_in_both_spellings_and_an_error_shows_the_callers() {
        let body = json!({"generation_config": {"topK": "x"}, "maxOutputTokens": null, "max_output_tokens": "12"});
        let root = Node::root(&body);
        let config = field(&root, "generationConfig").unwrap();
        let top_k = field(&config, "topK").unwrap();
        assert_eq!(
            number(&top_k, 0.0, 1.0).unwrap_err().to_string(),
            "`generation_config.topK`: expected a number, got a string"
        );
        assert_eq!(count(&field(&root, "maxOutputTokens").unwrap(), 1), Ok(12));
        assert_eq!(need(&root, "systemInstruction").unwrap_err().to_string(), "`systemInstruction` is required");
        assert_eq!(get(&body, "generationConfig").unwrap(), config.value());
    }

    #[test]
    fn numbers_are_bounded_in_both_forms() {
        for (value, said) in [
            (json!("3000000000"), "`n` must be from 0 to 2147483647"),
            (json!(3_000_000_000_i64), "`n` must be from 0 to 2147483647"),
            (json!(-1), "`n` must be from 0 to 2147483647"),
            (json!("-1"), "`n` must be from 0 to 2147483647"),
            (json!("1.5"), "`n`: expected a whole number, got a string"),
            (json!({}), "`n`: expected a whole number, got an object"),
        ] {
            let body = json!({"n": value});
            let error = count(&Node::root(&body).need("n").unwrap(), 0).unwrap_err();
            assert_eq!(error.to_string(), said, "{body}");
        }
        let body = json!({"n": "NaN"});
        assert!(number(&Node::root(&body).need("n").unwrap(), 0.0, 2.0).is_err());
    }
}
