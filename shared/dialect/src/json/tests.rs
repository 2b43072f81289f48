use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Document, JsonError> {
    Document::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn edited(text: &str, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let document = parse(text).unwrap();
    let mut edit = document.edit();
    change(&mut edit);
    String::from_utf8(edit.finish().to_vec()).unwrap()
}

#[test]
fn values_are_the_bytes_as_written() {
    let document = parse(" {\"a\" : 1.00e2 , \"b\":\"\\u00e9\", \"c\": [1, 2] }\n").unwrap();
    assert_eq!(document.get("a"), Some(&b"1.00e2"[..]));
    assert_eq!(document.get("b"), Some(&b"\"\\u00e9\""[..]));
    assert_eq!(document.get("c"), Some(&b"[1, 2]"[..]));
    assert_eq!(document.get("d"), None);
    assert_eq!(document.span("a"), Some(8..14));
}

#[test]
fn the_last_of_two_equal_keys_counts_however_it_is_escaped() {
    let document = parse(r#"{"model":"one","mod\u0065l":"two"}"#).unwrap();
    assert_eq!(document.get("model"), Some(&b"\"two\""[..]));
    assert_eq!(document.occurrences("model"), 2);
}

#[test]
fn null_counts_as_absent_only_where_asked() {
    let document = parse(r#"{"a":null}"#).unwrap();
    assert_eq!(document.get("a"), Some(&b"null"[..]));
    assert_eq!(document.get_some("a"), None);
}

#[test]
fn an_edit_keeps_order_and_every_other_value() {
    let text = r#"{"z":1.10,"model":"a", "x" : {"k": [ ]},"t\u0061il":"\u00e9"}"#;
    assert_eq!(edited(text, |e| e.set("model", "\"b\"")), r#"{"z":1.10,"model":"b","x":{"k": [ ]},"tail":"\u00e9"}"#);
    assert_eq!(edited(text, |e| e.remove("z")), r#"{"model":"a","x":{"k": [ ]},"tail":"\u00e9"}"#);
    assert_eq!(edited(text, |e| e.set("n\"w", "true")), r#"{"z":1.10,"model":"a","x":{"k": [ ]},"tail":"\u00e9","n\"w":true}"#);
    assert_eq!(edited("{}", |e| e.set("a", "1")), r#"{"a":1}"#);
    assert_eq!(edited(r#"{"a":1}"#, |e| e.remove("a")), "{}");
}

#[test]
fn setting_a_doubled_key_leaves_one() {
    assert_eq!(edited(r#"{"a":1,"b":2,"a":3}"#, |e| e.set("a", "4")), r#"{"b":2,"a":4}"#);
    assert_eq!(edited(r#"{"a":1,"b":2,"a":3}"#, |e| e.remove("a")), r#"{"b":2}"#);
}

#[test]
fn no_change_gives_the_very_same_bytes() {
    let body = Bytes::from_static(b" {\"a\": 1} ");
    let document = Document::parse(body.clone()).unwrap();
    let mut edit = document.edit();
    edit.remove("absent");
    let same = edit.finish();
    assert_eq!((same.as_ptr(), same.len()), (body.as_ptr(), body.len()));
}

#[test]
fn broken_bodies_are_refused_with_their_place() {
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(parse("").unwrap_err(), JsonError::Empty);
    assert_eq!(parse(" \n").unwrap_err(), JsonError::Empty);
    assert_eq!(parse("\u{feff}{}").unwrap_err(), JsonError::ByteOrderMark);
    assert_eq!(parse("[1]").unwrap_err(), JsonError::NotAnObject(Shape::Array));
    assert_eq!(parse("\"sk-secret\"").unwrap_err(), JsonError::NotAnObject(Shape::String));
    assert_eq!(parse("<html>").unwrap_err(), JsonError::Syntax { line: 1, column: 1 });
    assert_eq!(parse("{\"a\":1").unwrap_err(), JsonError::Incomplete { line: 1, column: 6 });
    assert_eq!(parse("{\"a\":1}{}").unwrap_err(), JsonError::Trailing { line: 1, column: 8 });
    assert_eq!(parse("{\n\"a\" 1}").unwrap_err(), JsonError::Syntax { line: 2, column: 5 });
    assert_eq!(parse("{\"a\":01}").unwrap_err(), JsonError::Syntax { line: 1, column: 7 });
    assert_eq!(Document::parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).unwrap_err(), JsonError::NotUtf8 { offset: 6 });
    assert!(parse(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH)).unwrap_err(), JsonError::TooDeep { offset: 5 + MAX_DEPTH - 1 });
    assert!(matches!(parse(&nested(10_000)).unwrap_err(), JsonError::TooDeep { .. }));
}

#[test]
fn brackets_inside_strings_are_not_depth() {
    let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(500), "{".repeat(500));
    assert!(parse(&text).is_ok());
}

#[test]
fn errors_never_repeat_the_text() {
    for text in ["{\"secret\" 1}", "\"secret\"", "{\"a\":secret}", "secret", "{}secret", "{\"secret"] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let shown = format!("{:?}", parse(r#"{"secret":"secret"}"#).unwrap());
    assert!(!shown.contains("secret"));
}

#[test]
fn empty_containers_are_recognised() {
    assert!(is_empty_container(b"[]") && is_empty_container(b"{ \n}"));
    assert!(!is_empty_container(b"[0]") && !is_empty_container(b"[[]]") && !is_empty_container(b"\"]\""));
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Document::parse(Bytes::from(bytes));
    }

    #[test]
    fn editing_agrees_with_editing_the_parsed_object(
        map in prop::collection::btree_map("[a-d\"é]{0,2}", any_value(), 0..6), key in "[a-d\"é]{0,2}", value in any_value(), remove in any::<bool>(),
    ) {
        let mut expected: serde_json::Map<String, serde_json::Value> = map.into_iter().collect();
        let text = serde_json::Value::Object(expected.clone()).to_string();
        let document = parse(&text).unwrap();
        let mut edit = document.edit();
        if remove { edit.remove(&key) } else { edit.set(&key, value.to_string()) }
        let actual = edit.finish();
        if remove { expected.shift_remove(&key); } else { expected.insert(key.clone(), value); }
        prop_assert_eq!(actual, serde_json::Value::Object(expected).to_string());
    }
}
