use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const CONTEXT: OverrideContext<'static> = OverrideContext {
    upstream_model: "gpt-4o-2024",
    original_model: "gpt-4o",
    request_path: "/v1/chat/completions",
    is_channel_test: false,
};

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("{value} is no object") };
    fields
}

fn compiled(rules: Value) -> ParamOverride {
    ParamOverride::compile(&fields(rules)).unwrap()
}

/// What becomes of a body, or which rule it breaks.
fn after(rules: Value, body: Value) -> Result<Value, String> {
    let mut body = fields(body);
    compiled(rules).apply(&mut body, &CONTEXT).map_err(|error| error.to_string())?;
    Ok(Value::Object(body))
}

fn after_one(operation: &Value, body: Value) -> Result<Value, String> {
    after(json!({"operations": [operation]}), body)
}

fn refused(rules: Value) -> String {
    ParamOverride::compile(&fields(rules)).unwrap_err().to_string()
}

#[rstest]
// set
#[case(json!({"mode": "set", "path": "a", "value": 1}), json!({"a": 0}), json!({"a": 1}))]
#[case(json!({"mode": "set", "path": "a", "value": null}), json!({}), json!({"a": null}))]
#[case(json!({"mode": "set", "path": "a.b.c", "value": 1}), json!({}), json!({"a": {"b": {"c": 1}}}))]
#[case(json!({"mode": "set", "path": "a.1.b", "value": 1}), json!({"a": null}), json!({"a": [null, {"b": 1}]}))]
#[case(json!({"mode": "set", "path": "a.-1", "value": 9}), json!({"a": [1, 2]}), json!({"a": [1, 9]}))]
#[case(json!({"mode": "set", "path": "a.-1", "value": 9}), json!({"a": {"x": 1}}), json!({"a": {"x": 1, "-1": 9}}))]
#[case(json!({"mode": "set", "path": r"a\.b", "value": 1}), json!({}), json!({"a.b": 1}))]
#[case(json!({"mode": "set", "path": "a", "value": 1, "keep_origin": true}), json!({"a": null}), json!({"a": null}))]
#[case(json!({"mode": "set", "path": "a", "value": 1, "keep_origin": true}), json!({}), json!({"a": 1}))]
// delete
#[case(json!({"mode": "delete", "path": "a.b"}), json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2}}))]
#[case(json!({"mode": "delete", "path": "a.-1"}), json!({"a": [1, 2, 3]}), json!({"a": [1, 2]}))]
#[case(json!({"mode": "delete", "path": "a.7"}), json!({"a": [1]}), json!({"a": [1]}))]
#[case(json!({"mode": "delete", "path": "x.y"}), json!({"a": 1}), json!({"a": 1}))]
// move and copy
#[case(json!({"mode": "move", "from": "a", "to": "b.c"}), json!({"a": 1}), json!({"b": {"c": 1}}))]
#[case(json!({"mode": "move", "from": "a.b", "to": "a"}), json!({"a": {"b": {"c": 1}}}), json!({"a": {"c": 1}}))]
#[case(json!({"mode": "move", "from": "a.-1", "to": "a.0"}), json!({"a": [1, 2, 3]}), json!({"a": [3, 2]}))]
#[case(json!({"mode": "copy", "from": "a", "to": "b"}), json!({"a": [1]}), json!({"a": [1], "b": [1]}))]
#[case(json!({"mode": "copy", "from": "a", "to": "a.b"}), json!({"a": {"c": 1}}), json!({"a": {"c": 1, "b": {"c": 1}}}))]
// append and prepend
#[case(json!({"mode": "append", "path": "a", "value": 2}), json!({"a": [1]}), json!({"a": [1, 2]}))]
#[case(json!({"mode": "append", "path": "a", "value": [2, 3]}), json!({"a": [1]}), json!({"a": [1, 2, 3]}))]
#[case(json!({"mode": "prepend", "path": "a", "value": [2, 3]}), json!({"a": [1]}), json!({"a": [2, 3, 1]}))]
#[case(json!({"mode": "append", "path": "a", "value": "y"}), json!({"a": "x"}), json!({"a": "xy"}))]
#[case(json!({"mode": "prepend", "path": "a", "value": 4}), json!({"a": "x"}), json!({"a": "4x"}))]
#[case(json!({"mode": "append", "path": "a", "value": {"b": 2, "c": 3}}), json!({"a": {"b": 1}}), json!({"a": {"b": 2, "c": 3}}))]
#[case(
    json!({"mode": "prepend", "path": "a", "value": {"b": 2, "c": 3, "d": 4}, "keep_origin": true}),
    json!({"a": {"b": 1, "c": null}}),
    json!({"a": {"b": 1, "c": 3, "d": 4}})
)]
// texts
#[case(json!({"mode": "trim_prefix", "path": "a", "value": "x"}), json!({"a": "xxy"}), json!({"a": "xy"}))]
#[case(json!({"mode": "trim_suffix", "path": "a", "value": "z"}), json!({"a": "xy"}), json!({"a": "xy"}))]
#[case(json!({"mode": "ensure_prefix", "path": "a", "value": "x"}), json!({"a": "xy"}), json!({"a": "xy"}))]
#[case(json!({"mode": "ensure_prefix", "path": "a", "value": "o/"}), json!({"a": "xy"}), json!({"a": "o/xy"}))]
#[case(json!({"mode": "ensure_suffix", "path": "a", "value": "!"}), json!({"a": "xy"}), json!({"a": "xy!"}))]
#[case(json!({"mode": "trim_space", "path": "a"}), json!({"a": " x y\n"}), json!({"a": "x y"}))]
#[case(json!({"mode": "to_lower", "path": "a"}), json!({"a": "GPT-É"}), json!({"a": "gpt-é"}))]
#[case(json!({"mode": "to_upper", "path": "a"}), json!({"a": "gpt"}), json!({"a": "GPT"}))]
#[case(json!({"mode": "replace", "path": "a", "from": ".", "to": "-"}), json!({"a": "1.2.3"}), json!({"a": "1-2-3"}))]
#[case(json!({"mode": "replace", "path": "a", "from": "x"}), json!({"a": "axbx"}), json!({"a": "ab"}))]
#[case(
    json!({"mode": "regex_replace", "path": "messages.-1.content", "from": r"(\d+)-(\d+)", "to": "$2-$1"}),
    json!({"messages": [{"content": "no"}, {"content": "12-34 and 5-6"}]}),
    json!({"messages": [{"content": "no"}, {"content": "34-12 and 6-5"}]})
)]
fn every_mode_does_what_the_reference_says(#[case] operation: Value, #[case] body: Value, #[case] expected: Value) {
    assert_eq!(after_one(&operation, body), Ok(expected), "{operation}");
}

#[rstest]
#[case(json!({"mode": "move", "from": "x", "to": "b"}), "finds nothing to move")]
#[case(json!({"mode": "copy", "from": "x", "to": "b"}), "finds nothing to copy")]
#[case(json!({"mode": "append", "path": "x", "value": 1}), "finds nothing that it could be added to")]
#[case(json!({"mode": "append", "path": "number", "value": 1}), "finds nothing that it could be added to")]
#[case(json!({"mode": "append", "path": "object", "value": 1}), "adds to an object what is none")]
#[case(json!({"mode": "append", "path": "text", "value": {}}), "adds to a string what is none")]
#[case(json!({"mode": "to_lower", "path": "number"}), "finds no string at its path")]
#[case(json!({"mode": "trim_space", "path": "x"}), "finds no string at its path")]
#[case(json!({"mode": "set", "path": "text.x", "value": 1}), "lies inside a value that has no parts")]
#[case(json!({"mode": "set", "path": "array.x", "value": 1}), "names a member that an array cannot have")]
#[case(json!({"mode": "set", "path": "array.-3", "value": 1}), "names a member that an array cannot have")]
#[case(json!({"mode": "set", "path": "array.4000000000", "value": 1}), "is more than 100 members behind the end of an array")]
fn an_operation_that_finds_nothing_to_work_on_fails(#[case] operation: Value, #[case] rule: &str) {
    let body = json!({"number": 1, "text": "x", "object": {}, "array": [1]});
    assert_eq!(after_one(&operation, body), Err(format!("`operations.0` {rule}")));
}

#[rstest]
#[case(json!({"path": "a", "mode": "full", "value": "x"}), Ok(true))]
#[case(json!({"path": "a", "mode": "full", "value": "y"}), Ok(false))]
#[case(json!({"path": "a", "mode": "full", "value": 1}), Err(()))]
#[case(json!({"path": "a", "mode": "full", "value": null}), Ok(false))]
#[case(json!({"path": "null", "mode": "full", "value": null}), Ok(true))]
#[case(json!({"path": "null", "mode": "full", "value": "x"}), Ok(false))]
#[case(json!({"path": "n", "mode": "full", "value": 5.0}), Ok(true))]
#[case(json!({"path": "yes", "mode": "full", "value": false}), Ok(false))]
#[case(json!({"path": "list", "mode": "full", "value": [1, 2]}), Ok(true))]
#[case(json!({"path": "list", "mode": "full", "value": {}}), Err(()))]
#[case(json!({"path": "long", "mode": "prefix", "value": "he"}), Ok(true))]
#[case(json!({"path": "long", "mode": "suffix", "value": "he"}), Ok(false))]
#[case(json!({"path": "long", "mode": "suffix", "value": "lo"}), Ok(true))]
#[case(json!({"path": "long", "mode": "contains", "value": "ll"}), Ok(true))]
#[case(json!({"path": "list", "mode": "contains", "value": "2"}), Ok(true))]
#[case(json!({"path": "n", "mode": "gt", "value": 4}), Ok(true))]
#[case(json!({"path": "n", "mode": "gt", "value": 5}), Ok(false))]
#[case(json!({"path": "n", "mode": "gte", "value": 5}), Ok(true))]
#[case(json!({"path": "n", "mode": "lt", "value": 5.5}), Ok(true))]
#[case(json!({"path": "n", "mode": "lte", "value": 4}), Ok(false))]
#[case(json!({"path": "a", "mode": "lte", "value": 4}), Err(()))]
#[case(json!({"path": "list.-1", "mode": "full", "value": 2}), Ok(true))]
#[case(json!({"path": "list.-9", "mode": "full", "value": 2}), Ok(false))]
#[case(json!({"path": "missing", "mode": "full", "value": 2}), Ok(false))]
#[case(json!({"path": "missing", "mode": "full", "value": 2, "invert": true}), Ok(false))]
#[case(json!({"path": "missing", "mode": "full", "value": 2, "pass_missing_key": true}), Ok(true))]
#[case(json!({"path": "a", "mode": "full", "value": "x", "invert": true}), Ok(false))]
#[case(json!({"path": "model", "mode": "full", "value": "gpt-4o-2024"}), Ok(true))]
#[case(json!({"path": "upstream_model", "mode": "suffix", "value": "2024"}), Ok(true))]
#[case(json!({"path": "original_model", "mode": "full", "value": "gpt-4o"}), Ok(true))]
#[case(json!({"path": "request_path", "mode": "prefix", "value": "/v1/"}), Ok(true))]
#[case(json!({"path": "is_channel_test", "mode": "full", "value": false}), Ok(true))]
fn every_condition_holds_when_the_reference_says(#[case] condition: Value, #[case] holds: Result<bool, ()>) {
    let body = json!({"a": "x", "null": null, "n": 5, "yes": true, "list": [1, 2], "long": "hello"});
    let ran = after_one(&json!({"mode": "set", "path": "ran", "value": 1, "conditions": [condition]}), body);
    assert_eq!(ran.map(|body| body["ran"] == 1).map_err(|_| ()), holds, "{condition}");
}

#[test]
fn a_field_of_the_body_goes_before_what_is_known_of_the_request() {
    let condition = json!({"path": "model", "mode": "full", "value": "theirs"});
    let operation = json!({"mode": "set", "path": "ran", "value": 1, "conditions": [condition]});
    assert_eq!(after_one(&operation, json!({"model": "theirs"})).unwrap()["ran"], 1);
}

#[rstest]
#[case(json!(null), &[true, false], true)]
#[case(json!("OR"), &[true, false], true)]
#[case(json!("or"), &[false, false], false)]
#[case(json!("AND"), &[true, false], false)]
#[case(json!("AND"), &[true, true], true)]
#[case(json!("AND"), &[], true)]
#[case(json!("OR"), &[], true)]
fn conditions_are_joined_by_their_logic(#[case] logic: Value, #[case] each: &[bool], #[case] runs: bool) {
    let conditions: Vec<_> = each.iter().map(|holds| json!({"path": "x", "mode": "full", "value": holds})).collect();
    let operation = json!({"mode": "set", "path": "ran", "value": 1, "logic": logic, "conditions": conditions});
    assert_eq!(after_one(&operation, json!({"x": true})).unwrap()["ran"] == 1, runs);
}

#[test]
fn operations_run_in_order_and_a_failing_one_is_named() {
    let rules = json!({"operations": [
        {"mode": "set", "path": "a", "value": "x"},
        {"mode": "append", "path": "a", "value": "y"},
        {"mode": "to_lower", "path": "b"},
    ]});
    assert_eq!(after(rules, json!({})), Err("`operations.2` finds no string at its path".into()));
}

#[test]
fn fields_replace_those_of_the_body_and_come_before_operations() {
    assert_eq!(after(json!({"a": {"x": 1}, "b": null}), json!({"a": {"y": 2}})), Ok(json!({"a": {"x": 1}, "b": null})));
    let both = json!({"a": "x", "operations": [{"mode": "append", "path": "a", "value": "y"}]});
    assert_eq!(after(both, json!({"a": 1})), Ok(json!({"a": "xy"})));
    assert!(compiled(json!({})).is_empty() && compiled(json!({"operations": []})).is_empty());
    assert!(!compiled(json!({"a": null})).is_empty());
}

#[rstest]
#[case(json!({"operations": {}}), "`operations` must be an array")]
#[case(json!({"operations": [1]}), "`operations.0` must be an object")]
#[case(json!({"operations": [{"mode": "put", "path": "a"}]}), "`operations.0.mode` must be one of set, delete, ")]
#[case(json!({"operations": [{"path": "a"}]}), "`operations.0.mode` must be one of")]
#[case(json!({"operations": [{"mode": "set", "path": "a"}]}), "`operations.0.value` is missing")]
#[case(json!({"operations": [{"mode": "set", "value": 1}]}), "`operations.0.path` must be a string that is not empty")]
#[case(json!({"operations": [{"mode": "set", "path": "a..b", "value": 1}]}), "`operations.0.path` must be names and numbers")]
#[case(json!({"operations": [{"mode": "set", "path": "a\\", "value": 1}]}), "`operations.0.path` must not end with a backslash")]
#[case(json!({"operations": [{"mode": "set", "path": "a", "value": 1, "valu": 2}]}), "`operations.0.valu` is not known")]
#[case(json!({"operations": [{"mode": "set", "path": "a", "value": 1, "keep_origin": 1}]}), "`operations.0.keep_origin` must be")]
#[case(json!({"operations": [{"mode": "move", "from": "a", "to": "a.b"}]}), "`operations.0.to` must not lie inside `from`")]
#[case(json!({"operations": [{"mode": "copy", "from": "a"}]}), "`operations.0.to` must be a string that is not empty")]
#[case(json!({"operations": [{"mode": "trim_prefix", "path": "a", "value": ""}]}), "`operations.0.value` must be a string that")]
#[case(json!({"operations": [{"mode": "replace", "path": "a", "to": "x"}]}), "`operations.0.from` must be a string that is not empty")]
#[case(json!({"operations": [{"mode": "regex_replace", "path": "a", "from": "("}]}), "`operations.0.from` must be a regular")]
#[case(json!({"operations": [{"mode": "regex_replace", "path": "a", "from": r"(?:\pL{1000}){1000}"}]}), "`operations.0.from` must be")]
#[case(json!({"operations": [{"mode": "delete", "path": "stream"}]}), "`operations.0.path` must not change `stream`")]
#[case(json!({"operations": [{"mode": "copy", "from": "a", "to": "stream.x"}]}), "`operations.0.to` must not change `stream`")]
#[case(json!({"stream": true}), "`stream` must not change `stream`")]
#[case(json!({"operations": [{"mode": "delete", "path": "a", "logic": "XOR"}]}), "`operations.0.logic` must be OR or AND")]
#[case(
    json!({"operations": [{"mode": "delete", "path": "a", "conditions": [{"path": "a", "mode": "is", "value": 1}]}]}),
    "`operations.0.conditions.0.mode` must be one of full, prefix"
)]
#[case(
    json!({"operations": [{"mode": "delete", "path": "a", "conditions": [{"path": "a", "mode": "gt", "value": "1"}]}]}),
    "`operations.0.conditions.0.value` must be a number"
)]
#[case(
    json!({"operations": [{"mode": "delete", "path": "a", "conditions": [{"mode": "full", "value": "1"}]}]}),
    "`operations.0.conditions.0.path` must be a string"
)]
fn rules_that_can_never_be_followed_are_refused_by_path(#[case] rules: Value, #[case] told: &str) {
    let refused = refused(rules);
    assert!(refused.starts_with(told), "{refused}");
}

#[test]
fn rules_are_bounded_in_number_and_depth() {
    let many = |count| json!({"operations": vec![json!({"mode": "delete", "path": "a"}); count]});
    assert!(ParamOverride::compile(&fields(many(100))).is_ok());
    assert_eq!(refused(many(101)), "`operations` must have at most 100 members");
    let deep = |count| json!({"operations": [{"mode": "set", "path": vec!["a"; count].join("."), "value": 1}]});
    assert!(ParamOverride::compile(&fields(deep(32))).is_ok());
    assert_eq!(refused(deep(33)), "`operations.0.path` must have at most 32 steps");
}

#[rstest]
#[case(json!({"mode": "copy", "from": "a", "to": "a.next"}), json!({"a": {"text": "x".repeat(1_000)}}))]
#[case(json!({"mode": "replace", "path": "a", "from": "x", "to": "xxxxxxxxxx"}), json!({"a": "x"}))]
#[case(json!({"mode": "regex_replace", "path": "a", "from": "x*", "to": "$0$0$0xx"}), json!({"a": "x"}))]
#[case(json!({"mode": "append", "path": "a", "value": "y".repeat(100_000)}), json!({"a": "x"}))]
fn a_body_never_grows_without_end(#[case] operation: Value, #[case] body: Value) {
    let rules = json!({"operations": vec![operation.clone(); 100]});
    match after(rules, body) {
        Ok(body) => assert!(body.to_string().len() < 64 << 20, "{operation}"),
        Err(told) => assert!(told.ends_with("makes the body too large") || told.ends_with("nests the body too deep"), "{told}"),
    }
}

#[test]
fn a_body_is_never_nested_deeper_than_readers_take() {
    let down = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";
    let rules = json!({"operations": vec![json!({"mode": "copy", "from": "a", "to": down}); 40]});
    assert!(after(rules, json!({"a": {}})).unwrap_err().ends_with("nests the body too deep"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c.\\\\é-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["[a-c]", "-?[0-3]", r"\\?[a-c.]", Just(String::new())], 1..4)
        .prop_map(|steps| steps.join("."))
}

fn any_operation() -> impl Strategy<Value = Value> {
    let modes: Vec<&str> = "set delete move copy append prepend trim_prefix trim_suffix ensure_prefix ensure_suffix trim_space to_lower to_upper replace regex_replace"
        .split(' ')
        .collect();
    let comparisons: Vec<&str> = "full prefix suffix contains gt gte lt lte".split(' ').collect();
    let condition = (any_path(), prop::sample::select(comparisons), any_value(), any::<bool>(), any::<bool>()).prop_map(
        |(path, mode, value, invert, pass)| {
            json!({"path": path, "mode": mode, "value": value, "invert": invert, "pass_missing_key": pass})
        },
    );
    let parts = (
        (prop::sample::select(modes), any_path(), any_value(), any::<bool>()),
        ("[a-c.*+]{1,3}|[a-c]\\.[0-2]", "[a-c$1.]{0,4}", prop::collection::vec(condition, 0..2), any::<bool>()),
    );
    parts.prop_map(|((mode, path, value, keeps), (from, to, conditions, is_and))| {
        let logic = if is_and { "AND" } else { "OR" };
        json!({"mode": mode, "path": path, "value": value, "keep_origin": keeps, "from": from, "to": to,
               "conditions": conditions, "logic": logic})
    })
}

/// The kind of a value, as JSON has them.
fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

proptest! {
    #[test]
    fn no_rules_and_no_body_make_it_panic(operations in prop::collection::vec(any_operation(), 0..6), a in any_value(), b in any_value()) {
        let rules = fields(json!({"operations": operations}));
        if let Ok(rules) = ParamOverride::compile(&rules) {
            let mut body = fields(json!({"a": a, "b": b, "stream": true}));
            if rules.apply(&mut body, &CONTEXT).is_ok() {
                prop_assert_eq!(&body["stream"], &json!(true));
                prop_assert!(serde_json::from_str::<Value>(&Value::Object(body).to_string()).is_ok());
            }
        }
    }

    #[test]
    fn values_of_two_kinds_are_never_the_same(found in any_value(), wanted in any_value()) {
        let same = compare::Comparison::Full.holds(&found, &wanted);
        if kind(&found) != kind(&wanted) {
            prop_assert!(same != Ok(true));
        } else if found == wanted {
            prop_assert_eq!(same, Ok(true));
        }
    }
}
