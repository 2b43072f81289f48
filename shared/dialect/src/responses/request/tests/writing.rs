//! What an upstream is sent.

use super::*;

fn hi() -> Request {
    asked(vec![user(vec![Block::text("hi")])])
}

fn hi_body(fields: Value) -> Value {
    let mut body = json!({
        "model": "gpt-5.1",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    });
    let body_fields = body.as_object_mut().unwrap();
    body_fields.extend(json!({"include": ["reasoning.encrypted_content"], "store": false}).as_object().cloned().unwrap());
    body_fields.extend(fields.as_object().cloned().unwrap());
    body
}

#[test]
fn a_plain_request_and_its_order_of_keys() {
    let request = Request { system: vec![Block::text("a"), Block::text("b")], stream: true, ..hi() };
    let (written, dropped) = To::default().write(&request).unwrap();
    assert_eq!(
        Value::Object(written.body).to_string(),
        concat!(
            r#"{"model":"gpt-5.1","instructions":"a\n\nb","input":[{"type":"message","role":"user","content":[{"type":"input_text","#,
            r#""text":"hi"}]}],"include":["reasoning.encrypted_content"],"store":false,"stream":true}"#
        )
    );
    assert_eq!((dropped.len(), written.answers_by_tool), (0, false));
}

#[test]
fn top_level_fields() {
    for (request, fields) in [
        (Request { max_output: Some(5), ..hi() }, json!({"max_output_tokens": 16})),
        (Request { temperature: Some(0.0), top_p: Some(0.0), ..hi() }, json!({"temperature": 0.0, "top_p": 0.0})),
        (Request { verbosity: Some(Verbosity::High), ..hi() }, json!({"text": {"verbosity": "high"}})),
        (Request { user: Some("u".to_owned()), ..hi() }, json!({"user": "u"})),
        (Request { metadata: json!({"a": "b"}).as_object().cloned(), ..hi() }, json!({"metadata": {"a": "b"}})),
        (Request { service_tier: Some(ServiceTier::Flex), ..hi() }, json!({"service_tier": "flex"})),
        (Request { cache_key: Some("k".to_owned()), ..hi() }, json!({"prompt_cache_key": "k"})),
        (Request { choices: Some(1), ..hi() }, json!({})),
        (
            Request { logprobs: Some(2), ..hi() },
            json!({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2}),
        ),
    ] {
        assert_eq!(To::default().body(&request), hi_body(fields), "{request:?}");
    }
    let limited = To { output_limit: Some(100), ..To::default() };
    assert_eq!(limited.body(&hi())["max_output_tokens"], 100);
    assert_eq!(limited.body(&Request { max_output: Some(50), ..hi() })["max_output_tokens"], 50);
    let small = To { capabilities: Capabilities { max_output: Some(40), ..To::default().capabilities }, ..To::default() };
    assert_eq!(small.body(&Request { max_output: Some(50), ..hi() })["max_output_tokens"], 40);
}

#[test]
fn what_has_no_field_here_is_left_out_and_named() {
    let long = "x".repeat(65);
    for (request, dropped) in [
        (Request { top_k: Some(1), ..hi() }, "top_k"),
        (Request { seed: Some(1), ..hi() }, "seed"),
        (Request { frequency_penalty: Some(1.0), ..hi() }, "frequency_penalty"),
        (Request { presence_penalty: Some(1.0), ..hi() }, "presence_penalty"),
        (Request { logit_bias: Some(serde_json::Map::new()), ..hi() }, "logit_bias"),
        (Request { store: Some(true), ..hi() }, "store"),
        (Request { service_tier: Some(ServiceTier::Other), ..hi() }, "service_tier"),
        (Request { user: Some(long), ..hi() }, "user"),
        (Request { metadata: json!({"a": 1}).as_object().cloned(), ..hi() }, "metadata"),
        (Request { native: vec![NativeField { path: "prediction", is_essential: false }], ..hi() }, "prediction"),
    ] {
        let (written, named) = To::default().write(&request).unwrap();
        assert_eq!((Value::Object(written.body), named), (hi_body(json!({})), vec![dropped]));
    }
    let marked = Block::Text { text: "hi".to_owned(), cache: Some(CacheMark::OneHour), citations: Vec::new(), signature: None };
    assert_eq!(To::default().write(&asked(vec![user(vec![marked])])).unwrap().1, ["cache_control"]);
}

#[test]
fn what_the_answer_would_be_wrong_without_is_refused() {
    let file = Source::File { family: Family::Anthropic, id: "f".to_owned() };
    let ogg = Source::Inline { mime: "audio/ogg".to_owned(), data: bytes::Bytes::new() };
    let tool = Tool::Native { family: Family::Anthropic, kind: "bash".to_owned(), raw: json!({}) };
    for (request, path) in [
        (Request { stop: vec!["x".to_owned()], ..hi() }, "stop"),
        (Request { choices: Some(2), ..hi() }, "n"),
        (Request { modalities: vec![Modality::Text, Modality::Audio], ..hi() }, "modalities"),
        (Request { tools: vec![tool], ..hi() }, "tools"),
        (Request { native: vec![NativeField { path: "container", is_essential: true }], ..hi() }, "container"),
        (asked(vec![user(vec![media(MediaKind::Image, file)])]), "file_id"),
        (asked(vec![user(vec![media(MediaKind::Video, png())])]), "video_url"),
        (asked(vec![user(vec![media(MediaKind::Audio, ogg)])]), "input_audio"),
    ] {
        assert_eq!(To::default().err(&request), path);
    }
    let blind = To { capabilities: Capabilities { images: false, documents: false, ..Capabilities::default() }, ..To::default() };
    assert_eq!(blind.err(&asked(vec![user(vec![media(MediaKind::Image, png())])])), "image_url");
    assert_eq!(blind.err(&asked(vec![user(vec![media(MediaKind::Document, png())])])), "file");
    let emulating = To { options: Options { emulates_stop: true, ..To::default().options }, ..To::default() };
    let (written, _) = emulating.write(&Request { stop: vec!["x".to_owned()], ..hi() }).unwrap();
    assert_eq!((written.stops_here, Value::Object(written.body)), (vec!["x".to_owned()], hi_body(json!({}))));
}

#[test]
fn reasoning_is_asked_for_as_a_level() {
    let to = |thinking, can_stop_thinking, efforts: &[Effort]| To {
        capabilities: Capabilities { thinking, can_stop_thinking, efforts: efforts.to_vec(), ..Capabilities::default() },
        ..To::default()
    };
    let any = || to(Thinking::Level, true, &[]);
    let on = Reasoning { mode: ReasoningMode::On, ..Reasoning::default() };
    let off = Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() };
    let effort = |effort| Reasoning { effort: Some(effort), ..on };
    let budget = |budget| Reasoning { budget: Some(budget), ..on };
    for (to, reasoning, said) in [
        (any(), Reasoning::default(), json!(null)),
        (any(), off, json!({"effort": "none"})),
        (any(), on, json!({"summary": "auto"})),
        (any(), effort(Effort::Max), json!({"effort": "max", "summary": "auto"})),
        (any(), Reasoning { show: Some(Show::Nothing), ..effort(Effort::Low) }, json!({"effort": "low"})),
        (any(), Reasoning { show: Some(Show::Concise), ..on }, json!({"summary": "concise"})),
        (any(), budget(1000), json!({"effort": "minimal", "summary": "auto"})),
        (any(), budget(2047), json!({"effort": "low", "summary": "auto"})),
        (any(), budget(2048), json!({"effort": "medium", "summary": "auto"})),
        (any(), budget(24_576), json!({"effort": "high", "summary": "auto"})),
        (any(), budget(30_000), json!({"effort": "xhigh", "summary": "auto"})),
        (
            to(Thinking::Level, true, &[Effort::Low, Effort::High]),
            effort(Effort::Max),
            json!({"effort": "high", "summary": "auto"}),
        ),
        (to(Thinking::Level, false, &[Effort::Low, Effort::High]), off, json!({"effort": "low"})),
        (to(Thinking::Always, true, &[]), off, json!({"effort": "minimal"})),
    ] {
        assert_eq!(to.body(&Request { reasoning, ..hi() })["reasoning"], said, "{reasoning:?}");
    }
    let (written, dropped) = to(Thinking::None, true, &[]).write(&Request { reasoning: on, ..hi() }).unwrap();
    assert_eq!((written.body.get("include"), written.body.get("reasoning"), dropped), (None, None, vec!["reasoning_effort"]));
    assert_eq!(any().body(&Request { reasoning: off, ..hi() }).get("include"), None);
}

#[test]
fn sampling_goes_where_the_model_takes_it() {
    let to = |sampling| To { capabilities: Capabilities { sampling, ..Capabilities::default() }, ..To::default() };
    let request = Request { temperature: Some(1.5), top_p: Some(0.5), ..hi() };
    let (written, dropped) = to(Sampling::TemperatureOrTopP).write(&request).unwrap();
    assert_eq!((written.body.get("temperature"), written.body.get("top_p"), dropped), (Some(&json!(1.5)), None, vec!["top_p"]));
    let (written, dropped) = to(Sampling::None).write(&request).unwrap();
    assert_eq!((written.body.get("temperature"), written.body.get("top_p"), dropped), (None, None, vec!["temperature", "top_p"]));
}

#[test]
fn tools_are_flat_and_say_whether_they_are_strict() {
    let ready =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let loose = json!({"properties": {"a": {"type": "string"}}});
    let tool = |name: &str, parameters: Value, strict| json!({"type": "function", "name": name, "parameters": parameters, "strict": strict});
    let empty = json!({"type": "object", "properties": {}});
    let loose_typed = json!({"properties": {"a": {"type": "string"}}, "type": "object"});
    for (given, written) in [
        (function("f", None, None), tool("f", empty, false)),
        (function("f", Some(ready.clone()), None), tool("f", ready.clone(), false)),
        (function("f", Some(ready.clone()), Some(true)), tool("f", ready, true)),
        (function("f", Some(loose), Some(true)), tool("f", loose_typed, false)),
        (
            Tool::WebSearch { max_uses: Some(5), location: json!({"city": "Rome"}).as_object().cloned() },
            json!({"type": "web_search", "search_context_size": "medium", "user_location": {"type": "approximate", "city": "Rome"}}),
        ),
    ] {
        assert_eq!(To::default().body(&Request { tools: vec![given], ..hi() })["tools"], json!([written]));
    }
    let request = Request { tool_choice: ToolChoice::Any, parallel_tools: Some(true), ..hi() };
    assert_eq!(To::default().body(&request), hi_body(json!({})), "no tools, no choice");
    let request = Request { tools: vec![function("get weather", None, None)], parallel_tools: Some(false), ..request };
    for (choice, said) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Any, json!("required")),
        (ToolChoice::Named("f".to_owned()), json!({"type": "function", "name": "f"})),
        (
            ToolChoice::Allowed { names: vec!["f".to_owned()], is_required: false },
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
        ),
    ] {
        let body = To::default().body(&Request { tool_choice: choice, ..request.clone() });
        assert_eq!((&body["tool_choice"], &body["parallel_tool_calls"]), (&said, &json!(false)));
    }
    let (written, _) = To::default().write(&request).unwrap();
    let theirs = written.body["tools"][0]["name"].as_str().unwrap();
    assert!(theirs.starts_with("get_weather_") && written.names.restore(theirs) == "get weather", "{theirs}");
}

#[test]
fn the_form_of_the_answer() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = |name: Option<&str>, schema: &Value, strict| OutputFormat::JsonSchema {
        name: name.map(ToOwned::to_owned),
        description: None,
        schema: schema.clone(),
        strict,
    };
    let said = |name: &str, schema: &Value, strict: bool| json!({"format": {"type": "json_schema", "name": name, "schema": schema, "strict": strict}});
    let loose = json!({"type": "object", "properties": {"a": {}}});
    for (output, text) in [
        (format(None, &schema, None), said("response", &schema, true)),
        (format(Some("my answer"), &schema, Some(false)), said("my_answer", &schema, false)),
        (format(Some("n"), &loose, Some(true)), said("n", &loose, false)),
    ] {
        assert_eq!(To::default().body(&Request { output, ..hi() })["text"], text);
    }
    let body = To::default().body(&Request { output: OutputFormat::JsonObject, ..hi() });
    assert_eq!(body["text"], json!({"format": {"type": "json_object"}}));
    assert_eq!(body["input"][0], json!({"type": "message", "role": "developer", "content": "Answer in JSON."}));
    let spoken = asked(vec![user(vec![Block::text("as Json")])]);
    assert_eq!(To::default().body(&Request { output: OutputFormat::JsonObject, ..spoken })["input"].as_array().unwrap().len(), 1);
    let plain = To { capabilities: Capabilities { structured: false, ..Capabilities::default() }, ..To::default() };
    let body = plain.body(&Request { output: format(None, &json!({"type": "object"}), None), ..hi() });
    assert_eq!(body["instructions"], "Answer with nothing but JSON of this JSON Schema:\n{\"type\":\"object\"}");
    assert_eq!(body.get("text"), None);
}

#[test]
fn a_conversation_becomes_items_in_its_order() {
    let thinking = |family, account| Block::Thinking { text: "hm".to_owned(), signature: Some(signature(family, account)) };
    let request = asked(vec![
        user(vec![Block::text("a"), media(MediaKind::Image, png())]),
        assistant(vec![
            thinking(Family::OpenAi, Some(7)),
            Block::text("look"),
            call("call_1", "get", json!({"b": 1, "a": "ü"})),
            call(&"x".repeat(65), "get", json!({})),
        ]),
        user(vec![result("call_1", vec![Block::text("1")]), result(&"x".repeat(65), vec![]), Block::text("go on")]),
        Turn { role: Role::System, blocks: vec![Block::text("midway")] },
        assistant(vec![Block::Redacted { signature: signature(Family::OpenAi, None) }, Block::Refusal { text: "no".to_owned() }]),
    ]);
    let hashed = crate::call_id::for_upstream(&"x".repeat(65), Dialect::Responses).into_owned();
    let (written, dropped) = To::default().write(&request).unwrap();
    assert_eq!(
        written.body["input"],
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA", "id": "rs_1"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "look", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "get", "arguments": "{\"b\":1,\"a\":\"ü\"}"},
            {"type": "function_call", "call_id": hashed, "name": "get", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "1"},
            {"type": "function_call_output", "call_id": hashed, "output": ""},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "midway"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", "id": "rs_1"},
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        ])
    );
    assert_eq!(dropped, Vec::<&str>::new());
}

#[test]
fn reasoning_that_the_provider_would_refuse_is_left_out() {
    for block in [
        Block::Thinking { text: "t".to_owned(), signature: None },
        Block::Thinking { text: "t".to_owned(), signature: Some(signature(Family::Anthropic, None)) },
        Block::Redacted { signature: signature(Family::Google, Some(7)) },
        Block::Redacted { signature: signature(Family::OpenAi, Some(8)) },
    ] {
        let request = asked(vec![user(vec![Block::text("a")]), assistant(vec![block, Block::text("b")])]);
        let (written, dropped) = To::default().write(&request).unwrap();
        assert_eq!((written.body["input"].as_array().unwrap().len(), dropped), (2, vec!["reasoning_effort"]));
    }
    let last = asked(vec![assistant(vec![Block::text("b"), Block::Redacted { signature: signature(Family::OpenAi, None) }])]);
    let items = To::default().body(&last)["input"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1, "nothing follows it");
}

#[test]
fn results_hold_texts_errors_and_images() {
    let failed = |content| Block::ToolResult { id: "c".to_owned(), name: None, content, is_error: true, cache: None };
    let output = |to: &To, block: Block| {
        let items = to.body(&asked(vec![assistant(vec![call("c", "shot", json!({}))]), user(vec![block])]));
        items["input"].as_array().unwrap()[1..].to_vec()
    };
    let image = json!({"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"});
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let to = To::default();
    for (block, said) in [
        (result("c", vec![Block::text("a"), Block::text("b")]), json!([text("a"), text("b")])),
        (failed(vec![Block::text("boom")]), json!("Error: boom")),
        (failed(vec![Block::text("Error: boom")]), json!("Error: boom")),
        (failed(vec![]), json!("Error")),
        (result("c", vec![media(MediaKind::Image, png())]), json!([image])),
    ] {
        assert_eq!(output(&to, block), [json!({"type": "function_call_output", "call_id": "c", "output": said})]);
    }
    let poor = To { capabilities: Capabilities { result_images: false, ..Capabilities::default() }, ..To::default() };
    assert_eq!(
        output(&poor, result("c", vec![Block::text("see"), media(MediaKind::Image, png())])),
        [
            json!({"type": "function_call_output", "call_id": "c", "output": "see"}),
            json!({"type": "message", "role": "user", "content": [text("[image from tool shot]"), image]}),
        ]
    );
}

#[test]
fn media_parts() {
    let inline = |mime: &str| Source::Inline { mime: mime.to_owned(), data: bytes::Bytes::from_static(b"hi") };
    let url = Source::Url { url: "https://x/y".to_owned(), mime: None };
    let file = Source::File { family: Family::OpenAi, id: "file-1".to_owned() };
    for (block, part) in [
        (media(MediaKind::Image, url.clone()), json!({"type": "input_image", "image_url": "https://x/y", "detail": "auto"})),
        (media(MediaKind::Image, file.clone()), json!({"type": "input_image", "file_id": "file-1", "detail": "auto"})),
        (media(MediaKind::Document, url), json!({"type": "input_file", "file_url": "https://x/y"})),
        (media(MediaKind::Document, file), json!({"type": "input_file", "file_id": "file-1"})),
        (
            media(MediaKind::Document, inline("application/pdf")),
            json!({"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,aGk="}),
        ),
        (
            media(MediaKind::Audio, inline("audio/mpeg")),
            json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}),
        ),
        (
            Block::Media {
                kind: MediaKind::Document,
                source: Source::Text("body".to_owned()),
                detail: None,
                title: Some("Title".to_owned()),
                cache: None,
            },
            json!({"type": "input_text", "text": "Title\nbody"}),
        ),
    ] {
        let body = To::default().body(&asked(vec![user(vec![block])]));
        assert_eq!(body["input"][0]["content"], json!([part]));
    }
}

#[test]
fn the_cache_key_depends_on_what_begins_a_request() {
    let to = To { options: Options::default(), ..To::default() };
    let key = |request: &Request| to.body(request).get("prompt_cache_key").cloned();
    let one = Request { system: vec![Block::text("s")], ..hi() };
    let other_turns = Request { turns: vec![user(vec![Block::text("other")])], ..one.clone() };
    let other_system = Request { system: vec![Block::text("t")], ..hi() };
    assert_eq!((key(&one), key(&hi())), (key(&other_turns), None));
    assert_ne!(key(&one), key(&other_system));
    let compatible = To { family: Family::Compatible, options: Options::default(), ..To::default() };
    assert_eq!(compatible.body(&one).get("prompt_cache_key"), None);
}

#[test]
fn extra_fields_of_the_family_come_last() {
    let extra = json!({"store": true, "new_field": 1}).as_object().cloned().unwrap();
    let request = Request { extra: [(Family::OpenAi, extra.clone()), (Family::Google, extra)].into(), ..hi() };
    let to = To { family: Family::Google, ..To::default() };
    assert_eq!(to.body(&request)["new_field"], 1);
}

#[test]
fn what_was_written_reads_as_what_was_meant() {
    let mut request = asked(vec![
        user(vec![Block::text("a"), media(MediaKind::Image, png())]),
        assistant(vec![
            Block::Thinking { text: "hm".to_owned(), signature: Some(signature(Family::OpenAi, None)) },
            Block::text("look"),
            call("call_1", "get", json!({"b": 1})),
        ]),
        user(vec![result("call_1", vec![Block::text("1")])]),
    ]);
    if let Block::Media { detail, .. } = &mut request.turns[0].blocks[1] {
        *detail = Some(Detail::High);
    }
    request.model = "gpt-5.1".to_owned();
    request.system = vec![Block::text("s")];
    request.tools = vec![function("get", Some(json!({"type": "object", "properties": {"b": {}}})), Some(false))];
    request.tool_choice = ToolChoice::Auto;
    request.reasoning =
        Reasoning { mode: ReasoningMode::On, effort: Some(Effort::High), budget: None, show: Some(Show::Full), encrypted: true };
    request.verbosity = Some(Verbosity::Low);
    request.max_output = Some(99);
    request.store = Some(false);
    assert_eq!(read_ok(To::default().body(&request)), request);
}
