use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::gemini::ALLOWED;
use super::{anthropic, for_anthropic, for_gemini, from_gemini, has_no_properties, strict_ready};

/// What a property of an object becomes.
fn property(schema: &Value) -> Value {
    for_gemini(&json!({"type": "object", "properties": {"p": schema}}))["properties"]["p"].clone()
}

#[test]
fn words_gemini_lacks_are_turned_into_others_or_left_out() {
    for (schema, clean) in [
        (json!({"type": "string", "$comment": "x", "examples": ["a"], "readOnly": true}), json!({"type": "STRING"})),
        (json!({"type": ["string", "null"]}), json!({"type": "STRING", "nullable": true})),
        (
            json!({"type": ["string", "integer"], "title": "T"}),
            json!({"title": "T", "anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        ),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!({"type": "STRING", "nullable": true})),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
            json!({"nullable": true, "anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ),
        (json!({"anyOf": [{"type": "string"}, {"type": "string"}], "title": "T"}), json!({"type": "STRING", "title": "T"})),
        (json!({"type": "string", "anyOf": [false, false]}), json!({"type": "STRING"})),
        (json!({"anyOf": [false, {"type": "integer"}, {"const": null}]}), json!({"type": "INTEGER", "nullable": true})),
        (json!({"const": "a"}), json!({"type": "STRING", "enum": ["a"]})),
        (json!({"const": 3, "description": "N."}), json!({"type": "INTEGER", "description": "N. Must be 3."})),
        (json!({"const": null}), json!({"type": "STRING", "nullable": true})),
        (json!({"enum": ["a", "", "b", null, "a"]}), json!({"type": "STRING", "nullable": true, "enum": ["a", "b"]})),
        (json!({"enum": [1, 2]}), json!({"type": "INTEGER", "description": "One of: 1, 2."})),
        (json!({"enum": [1, 2.5]}), json!({"type": "NUMBER", "description": "One of: 1, 2.5."})),
        (json!({"enum": [true]}), json!({"type": "BOOLEAN", "description": "One of: true."})),
        (json!({"type": "integer", "enum": ["1"]}), json!({"type": "INTEGER", "description": "One of: \"1\"."})),
        (
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}),
            json!({"type": "INTEGER", "minimum": 1, "maximum": 9}),
        ),
        (json!({"type": "integer", "exclusiveMinimum": 0.5}), json!({"type": "INTEGER", "minimum": 1.0})),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5}),
            json!({"type": "NUMBER", "minimum": 0, "maximum": 1.5}),
        ),
        (json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true}), json!({"type": "INTEGER", "minimum": 4})),
        (
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": 3, "maximum": 9, "exclusiveMaximum": 20}),
            json!({"type": "INTEGER", "minimum": 5, "maximum": 9}),
        ),
        (
            json!({"type": "integer", "exclusiveMaximum": i64::MIN}),
            json!({"type": "INTEGER", "maximum": -9_223_372_036_854_775_808.0}),
        ),
        (json!({"type": "string", "format": "date-time"}), json!({"type": "STRING", "format": "date-time"})),
        (json!({"type": "string", "format": "uri"}), json!({"type": "STRING"})),
        (json!({"type": "integer", "format": "int64", "multipleOf": 2}), json!({"type": "INTEGER", "format": "int64"})),
        (json!({"type": "array"}), json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        (json!({"type": "array", "items": true, "uniqueItems": true}), json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        (json!({"type": "array", "items": []}), json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        (
            json!({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
            json!({"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}}),
        ),
        (json!({"type": "array", "items": [{"type": "number"}]}), json!({"type": "ARRAY", "items": {"type": "NUMBER"}})),
        (json!({"type": "object", "properties": {}, "required": ["x"]}), json!({"type": "OBJECT"})),
        (
            json!({"properties": {"a": true, "b": false}, "required": ["b", "a", "a", 1]}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}),
        ),
        (json!({}), json!({"type": "STRING"})),
        (json!(true), json!({"type": "STRING"})),
        (json!({"type": "string", "minLength": "3", "maxLength": -1, "minimum": 2}), json!({"type": "STRING", "minLength": 3})),
        (json!({"type": "string", "default": null, "title": 1}), json!({"type": "STRING"})),
    ] {
        assert_eq!(property(&schema), clean, "{schema}");
    }
}

#[test]
fn branches_share_what_stands_beside_them() {
    let narrowed =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(property(&narrowed), json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}));
    let shared = json!({"properties": {"k": {"type": "string"}}, "required": ["k"], "description": "D",
        "oneOf": [{"properties": {"k": {"const": "x"}, "n": {"type": "integer"}}}, {"properties": {"k": {"const": "y"}}}]});
    assert_eq!(
        property(&shared),
        json!({"description": "D", "anyOf": [
            {"type": "OBJECT", "properties": {"k": {"type": "STRING", "enum": ["x"]}, "n": {"type": "INTEGER"}}, "required": ["k"]},
            {"type": "OBJECT", "properties": {"k": {"type": "STRING", "enum": ["y"]}}, "required": ["k"]},
        ]})
    );
}

#[test]
fn references_are_put_in_and_cycles_cut() {
    let schema = json!({
        "type": "object",
        "properties": {
            "node": {"$ref": "#/$defs/Node", "description": "The first."},
            "odd": {"$ref": "#/definitions/a~1b%20c"},
            "remote": {"$ref": "https://example.com/schema"},
            "nothing": {"$ref": "#/$defs/Missing", "description": "Lost."},
            "self": {"$ref": "#"},
        },
        "$defs": {"Node": {"type": "object", "description": "A node.", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        "definitions": {"a/b c": {"enum": ["x"]}},
    });
    assert_eq!(
        for_gemini(&schema)["properties"],
        json!({
            "node": {"type": "OBJECT", "description": "The first.", "properties": {"next": {"type": "OBJECT"}}},
            "odd": {"type": "STRING", "enum": ["x"]},
            "remote": {"type": "OBJECT"},
            "nothing": {"type": "OBJECT", "description": "Lost."},
            "self": {"type": "OBJECT"},
        })
    );
    let mut chain: Map<String, Value> =
        (0..40).map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}))).collect();
    chain.insert("d40".to_owned(), json!({"type": "string"}));
    let chained =
        |first: &str| for_gemini(&json!({"properties": {"p": {"$ref": first}}, "$defs": chain}))["properties"]["p"].clone();
    assert_eq!(chained("#/$defs/d10"), json!({"type": "STRING"}), "31 references");
    assert_eq!(chained("#/$defs/d0"), json!({"type": "OBJECT"}), "41 references");
}

#[test]
fn references_that_grow_without_end_are_cut() {
    let twice = |next: &str| json!({"type": "object", "properties": {"a": {"$ref": next}, "b": {"$ref": next}}});
    let defs: Map<String, Value> = (0..31).map(|n| (format!("d{n}"), twice(&format!("#/$defs/d{}", n + 1)))).collect();
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs});
    assert!(for_gemini(&bomb).to_string().len() < 4 << 20);
    let branches: Vec<Value> = (0..2_000).map(|n| json!({"properties": {format!("p{n}"): {"type": "string"}}})).collect();
    let wide = json!({"properties": {"x": {"type": "string", "description": "x".repeat(100_000)}}, "anyOf": branches});
    assert!(for_gemini(&wide).to_string().len() < 4 << 20);
}

#[test]
fn much_of_one_kind_takes_neither_depth_nor_long() {
    const MANY: usize = 20_000;
    let parts = |part: fn(usize) -> Value| json!({"allOf": (0..MANY).map(part).collect::<Vec<_>>()});
    let clean = for_gemini(&parts(|n| json!({"properties": {"p": {"minLength": n}}, "required": ["p", format!("x{n}")]})));
    assert_eq!(clean["properties"]["p"], json!({"type": "STRING", "minLength": MANY - 1}));
    assert_eq!(clean["required"], json!(["p"]));
    let mut referring = parts(|n| json!({"$ref": format!("#/$defs/d{n}")}));
    referring["$defs"] = (0..MANY).map(|n| (format!("d{n}"), json!({"properties": {format!("p{n}"): {}}}))).collect();
    let clean = for_gemini(&referring);
    let followed = clean["properties"].as_object().map(Map::len);
    assert!(followed.is_some_and(|followed| (1_000..MANY).contains(&followed)), "{followed:?}");
    let kinds = vec![Value::from("string"); MANY];
    assert_eq!(for_gemini(&json!({"type": kinds, "allOf": [{"type": kinds}]}))["type"], "STRING");
    let deep = (0..60).fold(json!({"type": "integer"}), |inner, _| json!({"properties": {"p": {"items": {"allOf": [inner]}}}}));
    assert!(for_gemini(&deep).to_string().len() < 10_000);
}

#[test]
fn what_holds_for_all_of_them_is_merged() {
    let schema = json!({
        "allOf": [
            {"$ref": "#/$defs/Base"},
            {"properties": {"id": {"minLength": 2}, "n": {"type": "integer", "minimum": 1}}, "required": ["n", "id"]},
            {"properties": {"n": {"minimum": 5, "maximum": 9}}},
        ],
        "$defs": {"Base": {"type": "object", "properties": {"id": {"type": "string", "minLength": 1}}, "required": ["id"]}},
    });
    assert_eq!(
        for_gemini(&schema),
        json!({"type": "OBJECT", "required": ["id", "n"], "properties": {
            "id": {"type": "STRING", "minLength": 2},
            "n": {"type": "INTEGER", "minimum": 5, "maximum": 9},
        }})
    );
}

#[test]
fn names_of_properties_are_no_words_of_the_schema() {
    let words = [
        "title",
        "format",
        "default",
        "const",
        "type",
        "$ref",
        "properties",
        "required",
        "enum",
        "anyOf",
        "allOf",
        "nullable",
        "example",
    ];
    let named: Map<String, Value> = words.iter().map(|word| ((*word).to_owned(), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": named, "required": words, "additionalProperties": false});
    let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let clean = for_gemini(&schema);
    assert_eq!(names(&clean), words);
    assert!(clean["properties"].as_object().unwrap().values().all(|schema| *schema == json!({"type": "STRING"})));
    assert_eq!(clean["required"], json!(words));
    assert_eq!(names(&for_anthropic(&schema)), words);
    assert_eq!(for_anthropic(&schema), schema);
    assert_eq!(names(&from_gemini(&clean)), words);
    assert!(strict_ready(&schema));
}

#[test]
fn claude_gets_closed_objects_and_bounds_in_words() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {
            "n": {"type": "integer", "description": "A number.", "minimum": 1, "maximum": 5},
            "mail": {"type": "string", "format": "email", "maxLength": 3},
            "color": {"type": "string", "format": "color"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/D", "description": "d"}, "minItems": 2},
            "one": {"oneOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"const": 1}], "nullable": true},
        },
        "required": ["n"],
        "$defs": {"D": {"type": ["object", "null"]}},
    });
    assert_eq!(
        for_anthropic(&schema),
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "n": {"type": "integer", "description": "A number.\n\n{minimum: 1, maximum: 5}"},
                "mail": {"type": "string", "format": "email", "description": "{maxLength: 3}"},
                "color": {"type": "string", "description": "{format: \"color\"}"},
                "list": {"type": "array", "items": {"$ref": "#/$defs/D"}, "description": "{minItems: 2}"},
                "one": {"anyOf": [{"type": "object", "additionalProperties": false}, {"const": 1}]},
            },
            "required": ["n"],
            "$defs": {"D": {"type": ["object", "null"], "additionalProperties": false}},
        })
    );
}

#[test]
fn only_closed_and_complete_schemas_are_strict() {
    let closed = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    for (schema, is_ready) in [
        (closed(json!({}), json!([])), true),
        (json!({"type": "object", "additionalProperties": false}), true),
        (closed(json!({"a": {"type": ["string", "null"]}}), json!(["a"])), true),
        (closed(json!({"a": {"type": "string"}}), json!([])), false),
        (json!({"type": "object", "properties": {}}), false),
        (closed(json!({"a": {"type": "object"}}), json!(["a"])), false),
        (closed(json!({"a": {"anyOf": [{"type": "string"}, {"type": "object"}]}}), json!(["a"])), false),
        (closed(json!({"a": {"type": "array", "items": {"type": "object"}}}), json!(["a"])), false),
        (closed(json!({"a": {"oneOf": [{"type": "string"}]}}), json!(["a"])), false),
        (json!({"type": "string"}), false),
        (json!({"anyOf": [{"type": "object", "additionalProperties": false}]}), false),
        (json!({"type": "object", "additionalProperties": false, "$defs": {"x": {"type": "object"}}}), false),
        (json!(true), false),
    ] {
        assert_eq!(strict_ready(&schema), is_ready, "{schema}");
    }
}

#[test]
fn schemas_of_gemini_callers_become_json_schema() {
    let schema = json!({
        "type": "OBJECT",
        "propertyOrdering": ["type"],
        "properties": {
            "type": {"type": "STRING", "nullable": true, "enum": ["A"], "format": "enum", "example": "A"},
            "list": {"type": "ARRAY", "items": {"any_of": [{"type": "NUMBER"}, {"type": "STRING"}], "nullable": true}, "min_items": "2"},
            "any": {"type": "TYPE_UNSPECIFIED"},
        },
    });
    assert_eq!(
        from_gemini(&schema),
        json!({
            "type": "object",
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["A", null], "examples": ["A"]},
                "list": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}},
                "any": {},
            },
        })
    );
}

#[test]
fn an_object_without_properties_is_told() {
    for (schema, has_none) in [
        (json!({}), true),
        (json!({"type": "OBJECT"}), true),
        (json!({"type": "object", "properties": {}}), true),
        (json!({"properties": {"a": {}}}), false),
        (json!({"$ref": "#/$defs/a"}), false),
        (json!({"type": "string"}), false),
    ] {
        assert_eq!(has_no_properties(&schema), has_none, "{schema}");
    }
}

/// Anything that looks like a schema, and much that does not.
fn schemas() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        6 => proptest::sample::select(&[
            "type", "format", "title", "description", "nullable", "enum", "items", "minItems", "properties", "required", "anyOf", "oneOf",
            "allOf", "const", "$ref", "$defs", "prefixItems", "exclusiveMinimum", "minimum", "maximum", "exclusiveMaximum", "default",
            "example", "additionalProperties", "not", "pattern", "minLength", "propertyOrdering", "maxProperties", "uniqueItems",
        ][..]).prop_map(str::to_owned),
        1 => "[a-c]{1,2}",
    ];
    let leaf = prop_oneof![
        4 => proptest::sample::select(&[
            "string", "object", "ARRAY", "integer", "number", "null", "Boolean", "#/$defs/a", "#", "#/properties/a", "a", "b", "", "enum", "date-time",
        ][..]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-3..9_i64).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => proptest::collection::vec((word.clone(), inner.clone()), 0..6).prop_map(|words| Value::Object(words.into_iter().collect())),
            1 => proptest::collection::vec(("[ab]", inner), 0..3)
                .prop_map(|named| json!({"type": "object", "properties": named.into_iter().collect::<Map<_, _>>()})),
        ]
    })
}

fn has_only(schema: &Value, words: &[&str], maps: &[&str], lists: &[&str]) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    schema.iter().all(|(word, value)| {
        let each = |value: &Value| has_only(value, words, maps, lists);
        let inner = match value {
            Value::Object(named) if maps.contains(&word.as_str()) => {
                named.values().all(|value| !value.is_object() || each(value))
            }
            Value::Array(list) if lists.contains(&word.as_str()) => list.iter().all(|value| !value.is_object() || each(value)),
            Value::Object(_) if word == "items" => each(value),
            _ => true,
        };
        words.contains(&word.as_str()) && inner
    })
}

fn every_schema_is_typed(schema: &Value) -> bool {
    let each = |value: &Value| every_schema_is_typed(value);
    let has_kind = schema["type"].is_string() != schema["anyOf"].is_array();
    has_kind
        && schema["properties"].as_object().is_none_or(|named| named.values().all(each))
        && schema["anyOf"].as_array().is_none_or(|branches| branches.len() > 1 && branches.iter().all(each))
        && (schema["type"] != "ARRAY" || each(&schema["items"]))
        && schema["enum"].as_array().is_none_or(|words| schema["type"] == "STRING" && words.iter().all(Value::is_string))
}

proptest! {
    #[test]
    fn cleaned_schemas_have_only_known_words_and_stay_as_they_are(schema in schemas()) {
        let clean = for_gemini(&schema);
        prop_assert!(has_only(&clean, ALLOWED, &["properties"], &["anyOf"]), "{clean}");
        prop_assert!(every_schema_is_typed(&clean), "{clean}");
        prop_assert_eq!(for_gemini(&clean).to_string(), clean.to_string());
    }

    #[test]
    fn schemas_for_claude_have_only_known_words_and_stay_as_they_are(schema in schemas().prop_filter("objects", Value::is_object)) {
        let clean = for_anthropic(&schema);
        prop_assert!(has_only(&clean, anthropic::KEPT, &["properties", "$defs"], &["anyOf", "allOf"]), "{clean}");
        prop_assert_eq!(for_anthropic(&clean), clean);
    }

    #[test]
    fn names_of_properties_are_all_kept(names in proptest::collection::btree_set("[a-z$]{1,12}", 0..6), schema in schemas()) {
        let named: Map<String, Value> = names.iter().map(|name| (name.clone(), schema.clone())).collect();
        prop_assume!(schema != Value::Bool(false));
        let clean = for_gemini(&json!({"type": "object", "properties": named}));
        let kept = clean["properties"].as_object().cloned().unwrap_or_default();
        prop_assert_eq!(kept.keys().collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    }

    #[test]
    fn nothing_panics(schema in schemas()) {
        let _ = (strict_ready(&schema), from_gemini(&schema), has_no_properties(&schema), for_anthropic(&schema));
    }
}
