//! What a caller's body says.

use proptest::prelude::*;

use super::*;

fn with(fields: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    body
}

#[test]
fn a_text_alone_is_one_turn() {
    let request = read_ok(json!({"model": "gpt-5", "input": "hi", "unknown": {"a": 1}}));
    assert_eq!(request, Request { model: "gpt-5".to_owned(), turns: vec![user(vec![Block::text("hi")])], ..Request::default() });
}

#[test]
fn every_top_level_field_has_its_place() {
    let request = read_ok(with(json!({
        "stream": true, "instructions": "be brief", "max_output_tokens": 16, "temperature": 0, "top_p": 0.0, "top_logprobs": 3,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        "parallel_tool_calls": false, "user": "u", "safety_identifier": "s", "metadata": {"k": "v"}, "store": false,
        "service_tier": "scale", "prompt_cache_key": "key", "truncation": "auto", "max_tool_calls": 3,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "xhigh", "summary": "concise"},
        "google": {"a": 1}, "anthropic": {"b": 2}
    })));
    let native = |path| NativeField { path, is_essential: false };
    let expected = Request {
        model: "m".to_owned(),
        stream: true,
        system: vec![Block::text("be brief")],
        turns: vec![user(vec![Block::text("hi")])],
        parallel_tools: Some(false),
        reasoning: Reasoning {
            mode: ReasoningMode::On,
            effort: Some(Effort::Xhigh),
            budget: None,
            show: Some(Show::Concise),
            encrypted: true,
        },
        output: OutputFormat::JsonSchema {
            name: Some("n".to_owned()),
            description: None,
            schema: json!({"type": "object"}),
            strict: Some(true),
        },
        verbosity: Some(Verbosity::Low),
        max_output: Some(16),
        temperature: Some(0.0),
        top_p: Some(0.0),
        logprobs: Some(3),
        user: Some("s".to_owned()),
        metadata: json!({"k": "v"}).as_object().cloned(),
        service_tier: Some(ServiceTier::Other),
        store: Some(false),
        cache_key: Some("key".to_owned()),
        native: vec![native("truncation"), native("max_tool_calls"), native("include")],
        extra: [
            (Family::Google, json!({"a": 1}).as_object().cloned().unwrap()),
            (Family::Anthropic, json!({"b": 2}).as_object().cloned().unwrap()),
        ]
        .into(),
        ..Request::default()
    };
    assert_eq!(request, expected);
}

#[test]
fn what_only_responses_can_say_is_essential_or_advice() {
    for (field, value, is_essential) in [
        ("previous_response_id", json!("resp_1"), true),
        ("conversation", json!({"id": "conv_1"}), true),
        ("prompt", json!({"id": "pmpt_1"}), true),
        ("background", json!(true), true),
        ("context_management", json!([]), false),
        ("moderation", json!({}), false),
    ] {
        let request = read_ok(with(json!({ field: value })));
        assert_eq!(request.native, [NativeField { path: field, is_essential }]);
    }
    assert_eq!(read_ok(with(json!({"background": false, "truncation": "disabled"}))).native, []);
    assert_eq!(read_ok(json!({"model": "m", "previous_response_id": "resp_1"})).turns, []);
}

#[test]
fn reasoning_is_read_in_the_words_of_vendors_too() {
    let on = Reasoning { mode: ReasoningMode::On, ..Reasoning::default() };
    let off = Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() };
    let effort = |effort| Reasoning { effort: Some(effort), ..on };
    let budget = |budget| Reasoning { budget: Some(budget), ..on };
    for (fields, reasoning) in [
        (json!({"reasoning": {"effort": "none"}}), off),
        (json!({"reasoning": {"effort": "minimal"}}), effort(Effort::Minimal)),
        (json!({"reasoning": {"effort": "max"}}), effort(Effort::Max)),
        (json!({"reasoning": {"effort": null, "summary": null}}), Reasoning::default()),
        (json!({"reasoning": {"summary": "auto"}}), Reasoning { show: Some(Show::Full), ..Reasoning::default() }),
        (json!({"reasoning": {"max_tokens": 2000, "exclude": true}}), Reasoning { show: Some(Show::Nothing), ..budget(2000) }),
        (json!({"reasoning": {"enabled": true}}), on),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), budget(1024)),
        (json!({"thinking": {"type": "disabled"}}), off),
        (json!({"enable_thinking": false}), off),
        (json!({"enable_thinking": true, "thinking_budget": 512}), budget(512)),
        (json!({"thinking_budget": 0}), off),
        (json!({"chat_template_kwargs": {"enable_thinking": true}}), on),
        (json!({"reasoning": {"effort": "low"}, "enable_thinking": false}), effort(Effort::Low)),
    ] {
        assert_eq!(read_ok(with(fields.clone())).reasoning, reasoning, "{fields}");
    }
}

#[test]
fn what_the_model_made_in_a_row_is_one_turn() {
    let request = read_ok(json!({"model": "m", "instructions": "a", "input": [
        {"role": "developer", "content": "b"},
        {"role": "user", "content": "weather?"},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": [
            {"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            {"type": "output_text", "text": "Let me look.", "annotations": [{"type": "url_citation", "url": "https://a.example"}]},
            {"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "call_1", "name": "get", "arguments": "{\"city\":\"Rome\"}"},
        {"type": "function_call", "call_id": "call_2", "name": "get", "arguments": ""},
        {"type": "function_call_output", "call_id": "call_2", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_1", "output": [
            {"type": "input_text", "text": "sun"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="}]},
        {"role": "system", "content": [{"type": "input_text", "text": "midway"}]},
        {"role": "user", "content": "and?"},
    ]}));
    let thinking = Block::Thinking {
        text: "one\n\ntwo".to_owned(),
        signature: Some(Signature { account: None, ..signature(Family::OpenAi, None) }),
    };
    let text = Block::Text {
        text: "Let me look.".to_owned(),
        cache: None,
        citations: vec![json!({"type": "url_citation", "url": "https://a.example"})],
        signature: None,
    };
    assert_eq!(request.system, [Block::text("a"), Block::text("b")]);
    assert_eq!(
        request.turns,
        [
            user(vec![Block::text("weather?")]),
            assistant(vec![
                thinking,
                text,
                Block::Refusal { text: "no".to_owned() },
                call("call_1", "get", json!({"city": "Rome"})),
                call("call_2", "get", json!({})),
            ]),
            user(vec![
                result("call_2", vec![Block::text("rain")]),
                result("call_1", vec![Block::text("sun"), media(MediaKind::Image, png())]),
            ]),
            Turn { role: Role::System, blocks: vec![Block::text("midway")] },
            user(vec![Block::text("and?")]),
        ]
    );
}

#[test]
fn other_items_of_the_history_are_kept_for_their_own_family() {
    let raw = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let output = json!({"type": "computer_call_output", "call_id": "c", "output": {}});
    let request = read_ok(json!({"model": "m", "input": [
        raw, output, {"type": "item_reference", "id": "msg_1"},
        {"type": "image_generation_call", "id": "ig_1", "result": "iVBORw=="}, {"type": "image_generation_call", "result": null},
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
    ]}));
    let native = |raw| Block::Native { family: Family::OpenAi, raw };
    assert_eq!(
        request.turns,
        [
            assistant(vec![native(raw)]),
            user(vec![native(output)]),
            assistant(vec![media(MediaKind::Image, png()), call("c1", "patch", json!({"input": "*** Begin"}))]),
            user(vec![result("c1", vec![Block::text("done")])]),
        ]
    );
    assert_eq!(request.native, [NativeField { path: "item_reference", is_essential: true }]);
}

#[test]
fn state_of_another_family_comes_back_to_where_it_belongs() {
    let foreign = signature(Family::Anthropic, Some(1));
    let google = Signature { item: None, ..signature(Family::Google, Some(2)) };
    let of_call = Signature { item: Some(crate::responses::item::call_state("call_1")), ..google.clone() };
    let request = read_ok(json!({"model": "m", "input": [
        {"type": "reasoning", "id": "rs_9", "summary": [], "encrypted_content": sealer().seal(&foreign)},
        {"type": "reasoning", "id": "rs_8", "summary": [], "encrypted_content": sealer().seal(&of_call)},
        {"type": "reasoning", "id": "rs_7", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "slc1.broken"},
        {"type": "reasoning", "id": "rs_6", "summary": []},
        {"type": "reasoning", "id": "rs_5", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]},
        {"type": "function_call", "call_id": "call_1", "name": "get", "arguments": "{}"},
    ]}));
    let mut signed = call("call_1", "get", json!({}));
    if let Block::ToolCall { signature, .. } = &mut signed {
        *signature = Some(google);
    }
    assert_eq!(
        request.turns,
        [assistant(vec![
            Block::Redacted { signature: foreign },
            Block::Thinking { text: "t".to_owned(), signature: None },
            Block::Thinking { text: "raw".to_owned(), signature: None },
            signed,
        ])]
    );
}

#[test]
fn media_are_bytes_addresses_or_files() {
    let inline =
        |mime: &str, data: &'static [u8]| Source::Inline { mime: mime.to_owned(), data: bytes::Bytes::from_static(data) };
    let url = |url: &str| Source::Url { url: url.to_owned(), mime: None };
    let file = Source::File { family: Family::OpenAi, id: "file-1".to_owned() };
    let titled =
        |source| Block::Media { kind: MediaKind::Document, source, detail: None, title: Some("a".to_owned()), cache: None };
    for (part, block) in [
        (json!({"type": "input_image", "image_url": "https://x/y.png"}), media(MediaKind::Image, url("https://x/y.png"))),
        (json!({"type": "input_image", "file_id": "file-1"}), media(MediaKind::Image, file.clone())),
        (
            json!({"type": "input_image", "image_url": "data:image/jpg;base64,_-8"}),
            media(MediaKind::Image, inline("image/jpeg", b"\xFF\xEF")),
        ),
        (
            json!({"type": "input_file", "filename": "a", "file_data": "data:application/pdf;base64,JVBERg=="}),
            titled(inline("application/pdf", b"%PDF")),
        ),
        (json!({"type": "input_file", "filename": "a", "file_data": "JVBERg=="}), titled(inline("application/pdf", b"%PDF"))),
        (
            json!({"type": "input_file", "filename": "a", "file_data": "data:text/plain;base64,aGk="}),
            titled(Source::Text("hi".to_owned())),
        ),
        (json!({"type": "input_file", "file_url": "https://x/y.pdf"}), media(MediaKind::Document, url("https://x/y.pdf"))),
        (json!({"type": "input_file", "file_id": "file-1"}), media(MediaKind::Document, file)),
        (
            json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}),
            media(MediaKind::Audio, inline("audio/mpeg", b"hi")),
        ),
        (
            json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
            media(MediaKind::Audio, inline("audio/wav", b"hi")),
        ),
    ] {
        let request = read_ok(json!({"model": "m", "input": [{"role": "user", "content": [part]}]}));
        assert_eq!(request.turns, [user(vec![block])], "{part}");
    }
    let request = read_ok(json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "https://x", "detail": "low"}]}]}));
    assert!(matches!(&request.turns[0].blocks[0], Block::Media { detail: Some(Detail::Low), .. }));
}

#[test]
fn tools_in_a_namespace_are_known_by_one_name() {
    let get = json!({"type": "function", "name": "get"});
    let request = read_ok(json!({
        "model": "m",
        "tools": [{"type": "namespace", "name": "shop", "description": "d", "tools": [get, {"type": "custom", "name": "note"}]}],
        "tool_choice": {"type": "function", "namespace": "shop", "name": "get"},
        "input": [{"type": "function_call", "call_id": "c", "namespace": "shop", "name": "get", "arguments": "{}"}],
    }));
    let names: Vec<_> =
        request.tools.iter().filter_map(|tool| if let Tool::Function { name, .. } = tool { Some(name) } else { None }).collect();
    assert_eq!(names, ["shop.get", "shop.note"]);
    assert_eq!(request.tool_choice, ToolChoice::Named("shop.get".to_owned()));
    assert!(matches!(&request.turns[0].blocks[0], Block::ToolCall { name, .. } if name == "shop.get"));
    let inner = json!({"type": "namespace", "name": "inner", "tools": []});
    let nested = read_ok(with(json!({"tools": [{"type": "namespace", "name": "outer", "tools": [inner]}]})));
    assert!(matches!(&nested.tools[..], [Tool::Native { kind, .. }] if kind == "namespace"));
}

#[test]
fn a_search_that_may_not_leave_the_provider_is_advice() {
    let request = read_ok(with(json!({"tools": [{"type": "web_search", "external_web_access": false}]})));
    assert_eq!(
        (&request.tools[..], &request.native[..]),
        (&[][..], &[NativeField { path: "tools.web_search", is_essential: false }][..])
    );
    assert_eq!(read_ok(with(json!({"tools": [{"type": "web_search", "external_web_access": true}]}))).tools.len(), 1);
}

#[test]
fn tools_and_the_choice_of_them() {
    let request = read_ok(with(json!({"tools": [
        {"type": "function", "name": "get", "description": "d", "parameters": {"type": "object"}, "strict": false},
        {"type": "function", "name": "now", "parameters": {}},
        {"type": "custom", "name": "patch", "description": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Rome", "region": null}},
        {"type": "web_search_preview"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]})));
    let patch = json!({
        "type": "object", "properties": {"input": {"type": "string", "description": "Text of this grammar:\nstart: x"}},
        "required": ["input"], "additionalProperties": false
    });
    let described = |name: &str, text: &str, schema, strict| Tool::Function {
        name: name.to_owned(),
        description: Some(text.to_owned()),
        schema: Some(schema),
        strict,
        cache: None,
    };
    assert_eq!(
        request.tools,
        [
            described("get", "d", json!({"type": "object"}), Some(false)),
            function("now", None, None),
            described("patch", "p", patch, None),
            Tool::WebSearch { max_uses: Some(1), location: json!({"city": "Rome"}).as_object().cloned() },
            Tool::WebSearch { max_uses: None, location: None },
            Tool::Native {
                family: Family::OpenAi,
                kind: "code_interpreter".to_owned(),
                raw: json!({"type": "code_interpreter", "container": {"type": "auto"}}),
            },
        ]
    );
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get"}]});
    for (said, choice) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Any),
        (json!({"type": "function", "name": "get"}), ToolChoice::Named("get".to_owned())),
        (json!({"type": "custom", "name": "patch"}), ToolChoice::Named("patch".to_owned())),
        (allowed, ToolChoice::Allowed { names: vec!["get".to_owned()], is_required: true }),
        (json!({"type": "file_search"}), ToolChoice::Unset),
        (json!(null), ToolChoice::Unset),
    ] {
        assert_eq!(read_ok(with(json!({"tool_choice": said}))).tool_choice, choice, "{said}");
    }
}

#[test]
fn a_wrong_field_is_named_and_its_value_is_not() {
    for (body, error) in [
        (json!([]), "`body`: expected an object, got an array"),
        (json!({"input": "x"}), "`model` is required"),
        (json!({"model": ""}), "`model` must not be empty"),
        (json!({"model": "m"}), "`input` is required"),
        (json!({"model": "m", "input": 7}), "`input`: expected a string or an array, got a number"),
        (json!({"model": "m", "input": ["secret"]}), "`input[0]`: expected an object, got a string"),
        (json!({"model": "m", "input": [{"id": "x"}]}), "`input[0].type` is required"),
        (
            json!({"model": "m", "input": [{"role": "tool", "content": "x"}]}),
            "`input[0].role` must be one of user, assistant, system, developer",
        ),
        (json!({"model": "m", "input": [{"role": "user"}]}), "`input[0].content` is required"),
        (
            json!({"model": "m", "input": [{"role": "user", "content": {"a": 1}}]}),
            "`input[0].content`: expected a string or an array, got an object",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "`input[0].content[0].type` must be one of input_text, input_image, input_file, input_audio, output_text, refusal",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": "s"}}]}]}),
            "`input[0].content[0].image_url`: expected a string, got an object",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,%%"}]}]}),
            "`input[0].content[0].image_url` is no data URL of base64",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "/etc/passwd"}]}]}),
            "`input[0].content[0].image_url` must be an http or https address or a data URL",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_data": "%"}]}]}),
            "`input[0].content[0].file_data` holds no base64",
        ),
        (
            json!({"model": "m", "input": [{"role": "system", "content": [{"type": "input_image", "image_url": "https://x"}]}]}),
            "`input[0].content[0].type` must be input_text: instructions hold only text",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call", "call_id": "", "name": "n", "arguments": "{}"}]}),
            "`input[0].call_id` must not be empty",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call", "call_id": "c", "name": "n", "arguments": {}}]}),
            "`input[0].arguments`: expected a string, got an object",
        ),
        (json!({"model": "m", "input": [{"type": "function_call_output", "call_id": "c"}]}), "`input[0].output` is required"),
        (with(json!({"stream": "yes"})), "`stream`: expected a boolean, got a string"),
        (with(json!({"temperature": 2.5})), "`temperature` must be from 0 to 2"),
        (with(json!({"top_p": -1})), "`top_p` must be from 0 to 1"),
        (with(json!({"top_logprobs": 21})), "`top_logprobs` must be from 0 to 20"),
        (with(json!({"max_output_tokens": 0})), "`max_output_tokens` must be from 1 to 1073741823"),
        (with(json!({"tools": [{"name": "n"}]})), "`tools[0].type` is required"),
        (
            with(json!({"tools": [{"type": "function", "name": "n", "parameters": []}]})),
            "`tools[0].parameters`: expected an object, got an array",
        ),
        (with(json!({"tool_choice": "any"})), "`tool_choice` must be one of auto, none, required"),
        (with(json!({"tool_choice": 1})), "`tool_choice`: expected a string or an object, got a number"),
        (
            with(json!({"reasoning": {"effort": "huge"}})),
            "`reasoning.effort` must be one of none, minimal, low, medium, high, xhigh, max",
        ),
        (with(json!({"text": {"format": {"type": "xml"}}})), "`text.format.type` must be one of text, json_object, json_schema"),
        (with(json!({"text": {"format": {"type": "json_schema", "name": "n"}}})), "`text.format.schema` is required"),
        (with(json!({"text": {"verbosity": "loud"}})), "`text.verbosity` must be one of low, medium, high"),
        (with(json!({"include": "x"})), "`include`: expected an array, got a string"),
        (with(json!({"metadata": "x"})), "`metadata`: expected an object, got a string"),
        (with(json!({"google": "x"})), "`google`: expected an object, got a string"),
    ] {
        assert_eq!(read_err(body.clone()), error, "{body}");
    }
}

/// Values that look like parts of a request.
fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "user",
        "assistant",
        "system",
        "input_text",
        "output_text",
        "input_image",
        "input_file",
        "input_audio",
        "refusal",
        "custom",
        "allowed_tools",
        "auto",
        "data:,",
        "slc1.a.b",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "type",
        "role",
        "content",
        "text",
        "call_id",
        "name",
        "arguments",
        "output",
        "summary",
        "encrypted_content",
        "id",
        "image_url",
        "file_data",
        "input_audio",
        "data",
        "format",
        "tools",
        "mode",
        "schema",
        "effort",
        "input",
        "model",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone().prop_map(str::to_owned), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_and_what_is_read_can_be_written(
        body in value(), input in prop::collection::vec(value(), 0..4), tools in value(), choice in value(), text in value(),
        reasoning in value()
    ) {
        let _ = read(&body, &sealer());
        let whole = json!({"model": "m", "input": input, "tools": tools, "tool_choice": choice, "text": text, "reasoning": reasoning});
        for body in [whole, json!({"model": "m", "input": input})] {
            if let Ok(request) = read(&body, &sealer()) {
                let _ = To::default().write(&request);
            }
        }
    }
}
