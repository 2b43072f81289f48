//! Callers' requests.

#![expect(clippy::needless_pass_by_value, reason = "calls read better with json!(…) in them")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ir::{Arguments, Block, CacheMark, Family, MediaKind, Signature, Source, Tool, ToolChoice};
use crate::messages::of_block_before;

fn sealer() -> Sealer {
    Sealer::new(&[1; 32])
}

fn body(fields: Value) -> Value {
    let mut body = json!({"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn of(fields: Value) -> Request {
    read(&body(fields), &sealer()).unwrap()
}

fn blocks(role: &str, content: Value) -> Vec<Block> {
    let mut request = of(json!({"messages": [{"role": role, "content": content}]}));
    request.turns.remove(0).blocks
}

#[test]
fn plain_fields_are_read() {
    let request = of(json!({"stream": true, "temperature": 0, "top_p": 0, "top_k": 0, "stop_sequences": ["a", "\n"],
        "metadata": {"user_id": "u"}, "service_tier": "standard_only", "system": "Be kind"}));
    assert_eq!((request.model.as_str(), request.stream, request.max_output), ("claude", true, Some(10)));
    assert_eq!((request.temperature, request.top_p, request.top_k), (Some(0.0), Some(0.0), Some(0)), "zero is a value");
    assert_eq!(request.stop, ["a", "\n"]);
    assert_eq!((request.user.as_deref(), request.service_tier), (Some("u"), Some(ServiceTier::Default)));
    assert_eq!(request.system, [Block::text("Be kind")]);
    assert_eq!(request.turns, [Turn { role: Role::User, blocks: vec![Block::text("Hi")] }]);
    assert_eq!(of(json!({})).temperature, None);
    let counted = read(&json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}), &sealer()).unwrap();
    assert_eq!(counted.max_output, None, "counting tokens has none");
}

#[test]
fn thinking_and_effort_are_read() {
    let on = Reasoning { mode: ReasoningMode::On, show: Some(Show::Full), ..Reasoning::default() };
    for (fields, expected) in [
        (json!({}), Reasoning::default()),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}), Reasoning { budget: Some(2048), ..on }),
        (
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
            Reasoning { effort: Some(Effort::Max), ..on },
        ),
        (json!({"thinking": {"type": "adaptive", "display": "omitted"}}), Reasoning { show: Some(Show::Nothing), ..on }),
        (json!({"thinking": {"type": "between_tools"}}), on),
        (json!({"thinking": {"type": "adaptive", "display": "updates"}}), Reasoning { show: Some(Show::Concise), ..on }),
        (json!({"thinking": {"type": "disabled"}}), Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() }),
        (json!({"output_config": {"effort": "low"}}), Reasoning { effort: Some(Effort::Low), ..Reasoning::default() }),
    ] {
        assert_eq!(of(fields.clone()).reasoning, expected, "{fields}");
    }
}

#[test]
fn tools_and_the_choice_among_them_are_read() {
    let schema = json!({"type": "object", "properties": {"type": {"type": "string"}}});
    let request = of(json!({"tools": [
        {"name": "a", "description": "A", "input_schema": schema, "strict": true,
            "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "custom", "name": "b", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "blocked_domains": ["x.example"],
         "user_location": {"type": "approximate", "city": "Ulm"}},
        {"type": "bash_20250124", "name": "bash"},
    ], "tool_choice": {"type": "tool", "name": "a", "disable_parallel_tool_use": true}}));
    assert_eq!(
        request.tools[0],
        Tool::Function {
            name: "a".into(),
            description: Some("A".into()),
            schema: Some(schema),
            strict: Some(true),
            cache: Some(CacheMark::OneHour)
        }
    );
    assert_eq!(request.tools[1], Tool::Function { name: "b".into(), description: None, schema: None, strict: None, cache: None });
    let location = json!({"city": "Ulm"}).as_object().cloned();
    assert_eq!(request.tools[2], Tool::WebSearch { max_uses: Some(3), location });
    assert!(matches!(&request.tools[3], Tool::Native { family: Family::Anthropic, kind, .. } if kind == "bash_20250124"));
    assert_eq!((request.tool_choice, request.parallel_tools), (ToolChoice::Named("a".into()), Some(false)));
    assert_eq!(request.native, [NativeField { path: "tools.blocked_domains", is_essential: false }]);
    for (choice, expected) in [
        (json!({"type": "auto"}), (ToolChoice::Auto, None)),
        (json!({"type": "any", "disable_parallel_tool_use": false}), (ToolChoice::Any, Some(true))),
        (json!({"type": "none"}), (ToolChoice::None, None)),
    ] {
        let request = of(json!({"tool_choice": choice}));
        assert_eq!((request.tool_choice, request.parallel_tools), expected);
    }
}

#[test]
fn a_schema_for_the_answer_is_read_under_both_names() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    let expected =
        OutputFormat::JsonSchema { name: None, description: None, schema: json!({"type": "object"}), strict: Some(true) };
    assert_eq!(of(json!({"output_config": {"format": format}})).output, expected);
    assert_eq!(of(json!({"output_format": format})).output, expected);
    assert_eq!(of(json!({"output_config": {"effort": "low"}})).output, OutputFormat::Text);
}

#[test]
fn media_are_read_from_every_source() {
    let read = blocks(
        "user",
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw"},
                "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
            {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "text"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "title": "P", "source": {"type": "content", "content": [{"type": "text", "text": "one"}]}},
            {"type": "search_result", "title": "S", "source": "https://s.example",
                "content": [{"type": "text", "text": "found"}]},
        ]),
    );
    let sources: Vec<_> = read
        .iter()
        .filter_map(|block| match block {
            Block::Media { kind, source, title, cache, .. } => Some((*kind, source.clone(), title.clone(), *cache)),
            _ => None,
        })
        .collect();
    let png = Source::Inline { mime: "image/png".into(), data: b"\x89PNG".as_slice().into() };
    assert_eq!(
        sources,
        [
            (MediaKind::Image, png, None, Some(CacheMark::FiveMinutes)),
            (MediaKind::Image, Source::Url { url: "https://a.example/x.png".into(), mime: None }, None, None),
            (MediaKind::Document, Source::Text("text".into()), Some("T".into()), None),
            (MediaKind::Document, Source::File { family: Family::Anthropic, id: "file_1".into() }, None, None),
        ]
    );
    let texts = ["P", "one", "S\nhttps://s.example", "found"].map(Block::text);
    assert_eq!(read[4..], texts);
}

#[test]
fn calls_results_and_reasoning_are_read_in_order() {
    let foreign = Signature { family: Family::Google, account: Some(7), item: None, value: "g".into() };
    let envelope = sealer().seal(&foreign);
    let read = blocks(
        "assistant",
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "thinking", "thinking": "ho", "signature": envelope},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "redacted_thinking", "data": "slc1.broken.x"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": 1}},
            {"type": "redacted_thinking", "data": sealer().seal(&of_block_before(&foreign))},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        ]),
    );
    let own = |value: &str| Signature { family: Family::Anthropic, account: None, item: None, value: value.into() };
    assert_eq!(read[0], Block::Thinking { text: "hm".into(), signature: Some(own("EqQB")) });
    assert_eq!(read[1], Block::Thinking { text: "ho".into(), signature: Some(foreign.clone()) });
    assert_eq!(read[2], Block::Redacted { signature: own("EmwK") });
    assert_eq!(read[3], Block::text("Let me see."), "a broken envelope is nothing, text beside calls stays");
    let arguments = Arguments::Object(json!({"x": 1}).as_object().cloned().unwrap());
    assert_eq!(
        read[4],
        Block::ToolCall { id: "toolu_1".into(), name: "a".into(), arguments, signature: Some(foreign), cache: None }
    );
    assert!(matches!(&read[5], Block::Native { family: Family::Anthropic, .. }));

    let read = blocks(
        "user",
        json!([
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "1"},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/"}}], "is_error": true},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "2"},
            {"type": "tool_result", "tool_use_id": "toolu_3"},
            {"type": "text", "text": "\n"},
        ]),
    );
    assert!(matches!(&read[0], Block::ToolResult { is_error: true, content, .. } if content.len() == 2));
    assert!(matches!(&read[1], Block::ToolResult { content, .. } if content == &[Block::text("2")]));
    assert!(matches!(&read[2], Block::ToolResult { content, is_error: false, .. } if content.is_empty()));
    assert_eq!(read[3], Block::text("\n"));
}

#[test]
fn native_fields_are_named() {
    let request =
        of(json!({"container": "c", "mcp_servers": [], "context_management": {}, "cache_control": {"type": "ephemeral"}}));
    let named: Vec<_> = request.native.iter().map(|field| (field.path, field.is_essential)).collect();
    assert_eq!(named, [("container", true), ("context_management", false), ("cache_control", false)]);
}

#[test]
fn every_wrong_field_is_told_by_place_rule_and_kind() {
    let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (fields, error) in [
        (json!({"model": 3}), "`model`: expected a string, got a number"),
        (json!({"model": null}), "`model` is required"),
        (json!({"messages": null}), "`messages` is required"),
        (json!({"messages": []}), "`messages` must not be empty"),
        (json!({"messages": "x"}), "`messages`: expected an array, got a string"),
        (json!({"messages": ["x"]}), "`messages[0]`: expected an object, got a string"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "`messages[0].role` must be one of user, assistant, system"),
        (json!({"messages": [{"role": "user"}]}), "`messages[0].content` is required"),
        (message(json!(3)), "`messages[0].content`: expected a string or an array, got a number"),
        (message(json!([{"text": "x"}])), "`messages[0].content[0].type` is required"),
        (
            message(json!([{"type": "image_url"}])),
            "`messages[0].content[0].type` must be one of text, image, document, search_result, thinking, redacted_thinking, tool_use, tool_result",
        ),
        (message(json!([{"type": "tool_use"}])), "`messages[0].content[0].type` belongs in a message of the assistant"),
        (message(json!([{"type": "tool_result"}])), "`messages[0].content[0].tool_use_id` is required"),
        (message(json!([{"type": "text", "text": 1}])), "`messages[0].content[0].text`: expected a string, got a number"),
        (
            message(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "§"}}])),
            "`messages[0].content[0].source.data` holds no base64",
        ),
        (
            message(json!([{"type": "image", "source": {"type": "gcs"}}])),
            "`messages[0].content[0].source.type` must be one of base64, url, file",
        ),
        (
            message(json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}}])),
            "`messages[0].content[0].cache_control.ttl` must be one of 5m, 1h",
        ),
        (json!({"system": [{"type": "image"}]}), "`system[0].type` must be one of text"),
        (json!({"system": 1}), "`system`: expected a string or an array, got a number"),
        (json!({"max_tokens": 0}), "`max_tokens` must be from 1 to 4294967295"),
        (json!({"stream": "yes"}), "`stream`: expected a boolean, got a string"),
        (json!({"temperature": 1.5}), "`temperature` must be from 0 to 1"),
        (json!({"top_p": "x"}), "`top_p`: expected a number, got a string"),
        (json!({"top_k": 1.5}), "`top_k`: expected a whole number, got a number with a fraction"),
        (json!({"stop_sequences": "x"}), "`stop_sequences`: expected an array, got a string"),
        (json!({"stop_sequences": [1]}), "`stop_sequences[0]`: expected a string, got a number"),
        (json!({"tools": {}}), "`tools`: expected an array, got an object"),
        (json!({"tools": [{"input_schema": {}}]}), "`tools[0].name` is required"),
        (json!({"tools": [{"name": "a", "input_schema": []}]}), "`tools[0].input_schema`: expected an object, got an array"),
        (json!({"tool_choice": "auto"}), "`tool_choice`: expected an object, got a string"),
        (json!({"tool_choice": {"type": "required"}}), "`tool_choice.type` must be one of auto, any, none, tool"),
        (json!({"tool_choice": {"type": "tool"}}), "`tool_choice.name` is required"),
        (json!({"thinking": true}), "`thinking`: expected an object, got a boolean"),
        (json!({"thinking": {"type": "on"}}), "`thinking.type` must be one of enabled, disabled, adaptive, between_tools"),
        (json!({"thinking": {"type": "enabled"}}), "`thinking.budget_tokens` is required"),
        (json!({"output_config": []}), "`output_config`: expected an object, got an array"),
        (json!({"output_config": {"effort": "minimal"}}), "`output_config.effort` must be one of low, medium, high, xhigh, max"),
        (json!({"output_config": {"format": {"type": "json_object"}}}), "`output_config.format.type` must be one of json_schema"),
        (json!({"output_config": {"format": {"type": "json_schema"}}}), "`output_config.format.schema` is required"),
        (json!({"metadata": "x"}), "`metadata`: expected an object, got a string"),
        (json!({"service_tier": 1}), "`service_tier`: expected a string, got a number"),
    ] {
        assert_eq!(read(&body(fields.clone()), &sealer()).unwrap_err().to_string(), error, "{fields}");
    }
    assert_eq!(read(&json!([]), &sealer()).unwrap_err().to_string(), "`body`: expected an object, got an array");
    let result = json!({"messages": [{"role": "assistant", "content": [{"type": "tool_result"}]}]});
    let error = read(&body(result), &sealer()).unwrap_err().to_string();
    assert_eq!(error, "`messages[0].content[0].type` belongs in a message of the user");
}

fn any_json() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["text", "image", "thinking", "tool_use", "tool_result", "user", "assistant", "base64", ""]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop::sample::select(vec!["type", "text", "content", "source", "role", "input", "id", "name", "thinking", "data"]);
    leaf.prop_recursive(4, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

const FIELDS: [&str; 7] = ["messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"];

proptest! {
    #[test]
    fn no_body_panics(value in any_json(), place in 0..FIELDS.len()) {
        let field = FIELDS[place];
        let _ = read(&value, &sealer());
        let _ = read(&body(json!({field: value})), &sealer());
        let _ = read(&body(json!({"messages": [{"role": "assistant", "content": value}]})), &sealer());
        let _ = read(&body(json!({"messages": [{"role": "user", "content": [value]}]})), &sealer());
    }
}
