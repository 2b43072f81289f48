//! Requests for upstreams.

use sluice_domain::Dialect;

use super::*;
use crate::ir::{
    Arguments, Block, CacheMark, Effort, Family, MediaKind, NativeField, Reasoning, ReasoningMode, Role, Show, Signature, Source,
    Tool, ToolChoice, Turn,
};
use crate::loss::{Field, LossPolicy};
use crate::messages::SILENT;
use crate::target::{Capabilities, Options, Thinking};

/// A target and all it borrows.
#[derive(Default)]
struct Place {
    capabilities: Capabilities,
    options: Options,
    host: Host,
    output_limit: Option<u32>,
    policy: LossPolicy,
}

impl Place {
    fn thinking(thinking: Thinking) -> Self {
        Self { capabilities: Capabilities { thinking, ..Capabilities::default() }, ..Self::default() }
    }

    fn try_write(&self, request: &Request) -> Result<(Written, Vec<&'static str>), Unsupported> {
        let target = Target {
            model: "claude-x",
            family: Family::Anthropic,
            host: self.host,
            capabilities: &self.capabilities,
            options: &self.options,
            output_limit: self.output_limit,
            account: Some(1),
        };
        let mut losses = Losses::new(Dialect::OpenAi, Dialect::Anthropic, &self.policy);
        let written = write(request, &target, &mut losses)?;
        Ok((written, losses.dropped().collect()))
    }

    fn write(&self, request: &Request) -> (Value, Vec<&'static str>) {
        let (written, dropped) = self.try_write(request).unwrap();
        (Value::Object(written.body), dropped)
    }
}

fn user(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::User, blocks }
}

fn model(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::Assistant, blocks }
}

fn asking() -> Request {
    Request { model: "m".into(), turns: vec![user(vec![Block::text("Hi")])], ..Request::default() }
}

fn call(id: &str, name: &str) -> Block {
    let arguments = Arguments::Object(Map::new());
    Block::ToolCall { id: id.into(), name: name.into(), arguments, signature: None, cache: None }
}

fn result(id: &str, text: &str) -> Block {
    Block::ToolResult { id: id.into(), name: None, content: vec![Block::text(text)], is_error: false, cache: None }
}

fn tool(name: &str) -> Tool {
    Tool::Function { name: name.into(), description: None, schema: None, strict: None, cache: None }
}

fn signature(family: Family, account: Option<u64>) -> Signature {
    Signature { family, account, item: None, value: "EqQB".into() }
}

#[test]
fn a_plain_request_is_the_least_there_is() {
    let (body, dropped) = Place::default().write(&asking());
    assert_eq!(
        body,
        json!({"model": "claude-x", "max_tokens": 8192, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})
    );
    assert!(dropped.is_empty());
}

#[test]
fn hosts_differ_in_the_envelope() {
    let request = Request { stream: true, user: Some("u".into()), service_tier: Some(ServiceTier::Priority), ..asking() };
    let (body, _) = Place::default().write(&request);
    assert_eq!(
        (&body["stream"], &body["metadata"]["user_id"], &body["service_tier"]),
        (&json!(true), &json!("u"), &json!("auto"))
    );
    for (host, version) in [(Host::Vertex, "vertex-2023-10-16"), (Host::Bedrock, "bedrock-2023-05-31")] {
        let (body, dropped) = Place { host, ..Place::default() }.write(&request);
        assert_eq!(body["anthropic_version"], version);
        assert!(body.get("model").is_none(), "it is in the address");
        assert_eq!(body.get("stream").is_some(), host == Host::Vertex);
        assert!(dropped.contains(&"service_tier"));
    }
    let file = Block::Media {
        kind: MediaKind::Document,
        source: Source::File { family: Family::Anthropic, id: "f".into() },
        detail: None,
        title: None,
        cache: None,
    };
    let request = Request { turns: vec![user(vec![file])], ..asking() };
    assert_eq!(Place::default().try_write(&request).unwrap().0.betas, ["files-api-2025-04-14"]);
    let (body, _) = Place { host: Host::Vertex, ..Place::default() }.write(&request);
    assert_eq!(body["anthropic_beta"], json!(["files-api-2025-04-14"]));
}

#[test]
fn advice_is_dropped_and_needs_are_refused() {
    let request = Request {
        seed: Some(0),
        frequency_penalty: Some(0.0),
        presence_penalty: Some(1.0),
        logit_bias: Some(Map::new()),
        verbosity: Some(crate::ir::Verbosity::Low),
        metadata: Some(Map::new()),
        store: Some(false),
        cache_key: Some("k".into()),
        service_tier: Some(ServiceTier::Flex),
        choices: Some(1),
        native: vec![NativeField { path: "prediction", is_essential: false }],
        ..asking()
    };
    assert_eq!(
        Place::default().write(&request).1,
        [
            "frequency_penalty",
            "logit_bias",
            "metadata",
            "prediction",
            "presence_penalty",
            "prompt_cache_key",
            "seed",
            "service_tier",
            "store",
            "verbosity"
        ]
    );
    let audio =
        Block::Media { kind: MediaKind::Audio, source: Source::Text(String::new()), detail: None, title: None, cache: None };
    let native = Tool::Native { family: Family::OpenAi, kind: "x".into(), raw: json!({}) };
    for (request, path, field) in [
        (Request { choices: Some(2), ..asking() }, "n", Field::Choices),
        (Request { logprobs: Some(0), ..asking() }, "logprobs", Field::Logprobs),
        (Request { modalities: vec![Modality::Audio], ..asking() }, "modalities", Field::Modalities),
        (
            Request { native: vec![NativeField { path: "previous_response_id", is_essential: true }], ..asking() },
            "previous_response_id",
            Field::Native("previous_response_id"),
        ),
        (Request { turns: vec![user(vec![audio])], ..asking() }, "input_audio", Field::Audio),
        (Request { tools: vec![native], ..asking() }, "tools", Field::ServerTool),
    ] {
        assert_eq!(Place::default().try_write(&request).unwrap_err().path, path);
        let policy = LossPolicy { drop: [field].into(), ..LossPolicy::default() };
        assert_eq!(Place { policy, ..Place::default() }.write(&request).1, [path]);
    }
}

#[test]
fn instructions_go_to_the_system_slot_wherever_they_stand() {
    let midway = |text: &str| Turn { role: Role::System, blocks: vec![Block::text(text)] };
    let request = Request {
        system: vec![Block::text("a")],
        turns: vec![
            user(vec![Block::text("1")]),
            midway("b"),
            model(vec![Block::text("2")]),
            midway("c"),
            user(vec![Block::text("3")]),
        ],
        ..asking()
    };
    let (body, _) = Place::default().write(&request);
    assert_eq!(body["system"], json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b\n\nc"}]));
    assert_eq!(body["messages"].as_array().unwrap().len(), 3);
    let capabilities = Capabilities { system_midway: true, ..Capabilities::default() };
    let (body, _) = Place { capabilities, ..Place::default() }.write(&request);
    assert_eq!(body["messages"][1], json!({"role": "system", "content": [{"type": "text", "text": "b"}]}));
}

#[test]
fn the_first_turn_is_the_callers_and_the_last_may_be_continued() {
    let request = Request { turns: vec![model(vec![Block::text("So: ")])], ..asking() };
    let (body, _) = Place::default().write(&request);
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "…"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "So:"}]}])
    );
    let capabilities = Capabilities { prefill: false, ..Capabilities::default() };
    let refused = Place { capabilities, ..Place::default() }.try_write(&request).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`messages` must not end with a message of the assistant for this model (Anthropic Messages)"
    );
}

#[test]
fn a_tool_loop_keeps_order_text_state_and_ids() {
    let turns = vec![
        user(vec![Block::text("Go")]),
        model(vec![
            Block::Thinking { text: "hm".into(), signature: Some(signature(Family::Anthropic, Some(1))) },
            Block::Thinking { text: "foreign".into(), signature: Some(signature(Family::Google, None)) },
            Block::Thinking { text: "unsigned".into(), signature: None },
            Block::Redacted { signature: signature(Family::Anthropic, Some(2)) },
            Block::Redacted { signature: signature(Family::Anthropic, None) },
            Block::Redacted { signature: Signature { item: Some(SILENT.into()), ..signature(Family::Anthropic, None) } },
            Block::text("Let me see"),
            call("call.1", "get weather"),
            call("b", "get weather"),
        ]),
        user(vec![result("call.1", "sun"), result("b", " "), Block::text("and?")]),
    ];
    let (written, dropped) =
        Place::default().try_write(&Request { turns, tools: vec![tool("get weather")], ..asking() }).unwrap();
    let body = Value::Object(written.body);
    let name = body["tools"][0]["name"].as_str().unwrap();
    assert_eq!(written.names.restore(name), "get weather");
    let id = crate::call_id::for_upstream("call.1", Dialect::Anthropic);
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EqQB"},
            {"type": "thinking", "thinking": "", "signature": "EqQB"},
            {"type": "text", "text": "Let me see"},
            {"type": "tool_use", "id": id, "name": name, "input": {}},
            {"type": "tool_use", "id": "b", "name": name, "input": {}},
        ])
    );
    assert_eq!(
        body["messages"][2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "sun"}]},
            {"type": "tool_result", "tool_use_id": "b"},
            {"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}},
        ])
    );
    assert_eq!(dropped, ["reasoning_effort"]);
}

#[test]
fn results_hold_images_and_failures_and_raw_arguments_stay_objects() {
    let image = Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/jpg".into(), data: b"\xFF\xD8\xFF".as_slice().into() },
        detail: Some(crate::ir::Detail::High),
        title: Some("x".into()),
        cache: None,
    };
    let raw = Block::ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments: Arguments::Raw("{\"x".into()),
        signature: None,
        cache: None,
    };
    let failed = Block::ToolResult { id: "a".into(), name: None, content: vec![], is_error: true, cache: None };
    let shown = Block::ToolResult { id: "b".into(), name: None, content: vec![image], is_error: false, cache: None };
    let turns = vec![user(vec![Block::text("x")]), model(vec![raw, call("b", "g")]), user(vec![failed, shown])];
    let (body, dropped) = Place::default().write(&Request { turns, ..asking() });
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({"_raw": "{\"x"}));
    let results = &body["messages"][2]["content"];
    assert_eq!((&results[0]["is_error"], &results[0]["content"][0]["text"]), (&json!(true), &json!("Error")));
    assert_eq!(
        results[1]["content"][0],
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}})
    );
    assert_eq!(dropped, ["detail"]);
    let names: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(
        (names, &body["tool_choice"]),
        (vec![json!("f"), json!("g")], &json!({"type": "none"})),
        "calls need declarations"
    );
}

#[test]
fn media_are_sent_as_the_provider_takes_them() {
    let medium = |kind, source| Block::Media { kind, source, detail: None, title: Some("T".into()), cache: None };
    let inline = |mime: &str, data: &'static [u8]| Source::Inline { mime: mime.into(), data: data.into() };
    let url = || Source::Url { url: "https://a.example/".into(), mime: None };
    let (image, document) = (MediaKind::Image, MediaKind::Document);
    for (kind, source, written) in [
        (
            image,
            inline("image/jpeg", b"\x89PNG\r\n\x1a\n"),
            json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}),
        ),
        (image, url(), json!({"type": "url", "url": "https://a.example/"})),
        (
            document,
            inline("application/pdf", b"%PDF-1"),
            json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}),
        ),
        (document, inline("text/csv", b"a,b"), json!({"type": "text", "media_type": "text/plain", "data": "a,b"})),
        (document, Source::Text("t".into()), json!({"type": "text", "media_type": "text/plain", "data": "t"})),
    ] {
        let (body, _) = Place::default().write(&Request { turns: vec![user(vec![medium(kind, source)])], ..asking() });
        let block = &body["messages"][0]["content"][0];
        assert_eq!((&block["source"], block.get("title").is_some()), (&written, kind == document));
    }
    for (kind, source, host, path) in [
        (image, inline("image/bmp", b"BM"), Host::Own, "image_url"),
        (image, url(), Host::Bedrock, "image_url"),
        (image, Source::Url { url: "gs://b/x".into(), mime: None }, Host::Own, "image_url"),
        (document, inline("application/zip", b"PK"), Host::Own, "file"),
        (document, Source::File { family: Family::OpenAi, id: "f".into() }, Host::Own, "file_id"),
        (MediaKind::Video, url(), Host::Own, "video_url"),
    ] {
        let request = Request { turns: vec![user(vec![medium(kind, source)])], ..asking() };
        assert_eq!(Place { host, ..Place::default() }.try_write(&request).unwrap_err().path, path);
    }
}

#[test]
fn choices_among_tools_are_written() {
    let named = ToolChoice::Named("a".into());
    let allowed = |is_required| ToolChoice::Allowed { names: vec!["b".into()], is_required };
    for (choice, parallel, expected) in [
        (ToolChoice::Unset, None, json!(null)),
        (ToolChoice::Unset, Some(true), json!(null)),
        (ToolChoice::Unset, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (ToolChoice::Auto, Some(true), json!({"type": "auto"})),
        (ToolChoice::None, Some(false), json!({"type": "none"})),
        (ToolChoice::Any, Some(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (named, None, json!({"type": "tool", "name": "a"})),
        (allowed(true), None, json!({"type": "any"})),
        (allowed(false), None, json!({"type": "auto"})),
    ] {
        let has_one = matches!(choice, ToolChoice::Allowed { .. });
        let request = Request { tools: vec![tool("a"), tool("b")], tool_choice: choice, parallel_tools: parallel, ..asking() };
        let (body, _) = Place::default().write(&request);
        assert_eq!(body.get("tool_choice").cloned().unwrap_or_default(), expected);
        assert_eq!(body["tools"].as_array().unwrap().len(), if has_one { 1 } else { 2 });
    }
    let request = Request { tool_choice: ToolChoice::Auto, parallel_tools: Some(false), ..asking() };
    assert!(Place::default().write(&request).0.get("tool_choice").is_none(), "without tools there is no choice");
}

#[test]
fn declarations_always_are_of_objects() {
    let function =
        |schema, strict| Tool::Function { name: "f".into(), description: Some("d".into()), schema, strict, cache: None };
    let strict =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    for (tool, expected) in [
        (tool("f"), json!({"name": "f", "input_schema": {"type": "object", "properties": {}}})),
        (
            function(Some(json!({"properties": {"type": {}}, "$defs": {}})), Some(true)),
            json!({"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"type": {}}, "$defs": {}}}),
        ),
        (
            function(Some(strict.clone()), Some(true)),
            json!({"name": "f", "description": "d", "input_schema": strict, "strict": true}),
        ),
        (
            Tool::WebSearch { max_uses: Some(5), location: json!({"city": "Ulm"}).as_object().cloned() },
            json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 5,
                "user_location": {"type": "approximate", "city": "Ulm"}}),
        ),
    ] {
        let (body, _) = Place::default().write(&Request { tools: vec![tool], ..asking() });
        assert_eq!(body["tools"][0], expected);
    }
}

#[test]
fn sampling_keeps_to_what_the_model_takes() {
    let request =
        Request { temperature: Some(1.7), top_p: Some(0.0), top_k: Some(3), stop: vec![" \n".into(), "END".into()], ..asking() };
    let of = |sampling, request: &Request| {
        let capabilities = Capabilities { sampling, ..Capabilities::default() };
        Place { capabilities, ..Place::default() }.write(request)
    };
    let (body, dropped) = of(Sampling::Full, &request);
    assert_eq!((&body["temperature"], &body["top_p"], &body["top_k"]), (&json!(1.0), &json!(0.0), &json!(3)));
    assert_eq!((&body["stop_sequences"], dropped.len()), (&json!(["END"]), 0));
    let (body, dropped) = of(Sampling::TemperatureOrTopP, &request);
    assert_eq!((&body["temperature"], body.get("top_p"), dropped), (&json!(1.0), None, vec!["top_p"]));
    let (body, dropped) = of(Sampling::None, &request);
    assert_eq!((body.get("temperature"), body.get("top_k"), dropped), (None, None, vec!["temperature", "top_k", "top_p"]));
    let thinking = Reasoning { mode: ReasoningMode::On, ..Reasoning::default() };
    let request = Request { reasoning: thinking, temperature: Some(0.5), top_p: Some(0.95), ..request };
    let (body, dropped) = of(Sampling::Full, &request);
    assert_eq!((body.get("temperature"), &body["top_p"], dropped), (None, &json!(0.95), vec!["temperature", "top_k"]));
}

#[test]
fn reasoning_takes_the_form_of_the_model() {
    let on = |effort, budget| Reasoning { mode: ReasoningMode::On, effort, budget, ..Reasoning::default() };
    let off = Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() };
    let silent = Reasoning { show: Some(Show::Nothing), ..on(None, None) };
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let enabled = |budget: u32| json!({"type": "enabled", "budget_tokens": budget});
    for (thinking, reasoning, expected, effort) in [
        (Thinking::Budget, on(Some(Effort::Minimal), None), enabled(1024), json!(null)),
        (Thinking::Budget, on(Some(Effort::Medium), None), enabled(2048), json!(null)),
        (Thinking::Budget, on(Some(Effort::Max), None), enabled(16384), json!(null)),
        (Thinking::Budget, on(None, Some(5)), enabled(1024), json!(null)),
        (Thinking::Budget, on(None, None), enabled(4096), json!(null)),
        (Thinking::Budget, off, json!({"type": "disabled"}), json!(null)),
        (Thinking::Both, on(None, Some(3000)), enabled(3000), json!(null)),
        (Thinking::Both, on(Some(Effort::High), None), adaptive.clone(), json!("high")),
        (Thinking::Adaptive, on(Some(Effort::Minimal), None), adaptive.clone(), json!("low")),
        (Thinking::Adaptive, on(None, Some(10_000)), adaptive.clone(), json!("high")),
        (Thinking::Adaptive, silent, json!({"type": "adaptive", "display": "omitted"}), json!(null)),
        (Thinking::Adaptive, Reasoning::default(), json!(null), json!(null)),
        (Thinking::Always, off, json!(null), json!(null)),
        (Thinking::None, on(Some(Effort::High), None), json!(null), json!(null)),
    ] {
        let (body, _) = Place::thinking(thinking).write(&Request { reasoning, ..asking() });
        let said = (
            body.get("thinking").cloned().unwrap_or_default(),
            body.pointer("/output_config/effort").cloned().unwrap_or_default(),
        );
        assert_eq!(said, (expected, effort), "{thinking:?} {reasoning:?}");
    }
    let mut place = Place::thinking(Thinking::Adaptive);
    place.capabilities.efforts = vec![Effort::Low, Effort::Medium, Effort::High];
    let (body, _) = place.write(&Request { reasoning: on(Some(Effort::Max), None), ..asking() });
    assert_eq!(body["output_config"]["effort"], "high");
}

#[test]
fn a_budget_fits_below_the_limit_or_is_given_up() {
    let reasoning = Reasoning { mode: ReasoningMode::On, budget: Some(4000), ..Reasoning::default() };
    for (most, wanted, limit, expected) in [
        (None, None, None, (12_192, Some(4000))),
        (Some(64_000), None, None, (36_000, Some(4000))),
        (None, Some(100), None, (4100, Some(4000))),
        (Some(3000), Some(1000), None, (3000, Some(2000))),
        (None, Some(9000), Some(4000), (4000, Some(2000))),
        (None, Some(500), Some(1500), (500, None)),
        (None, None, Some(600), (600, None)),
    ] {
        let mut place = Place { output_limit: limit, ..Place::thinking(Thinking::Budget) };
        place.capabilities.max_output = most;
        let (body, dropped) = place.write(&Request { reasoning, max_output: wanted, ..asking() });
        let budget = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64);
        assert_eq!((body["max_tokens"].as_u64().unwrap(), budget), expected);
        assert_eq!(dropped.is_empty(), expected.1.is_some());
    }
}

#[test]
fn thinking_gives_way_to_forced_tools_and_to_unsigned_calls() {
    let reasoning = Reasoning { mode: ReasoningMode::On, effort: Some(Effort::High), ..Reasoning::default() };
    let forced = Request { reasoning, tools: vec![tool("a")], tool_choice: ToolChoice::Any, ..asking() };
    let (body, dropped) = Place::thinking(Thinking::Budget).write(&forced);
    assert_eq!((&body["thinking"]["type"], dropped), (&json!("disabled"), vec!["reasoning_effort"]));
    let (body, dropped) = Place::thinking(Thinking::Always).write(&forced);
    assert_eq!(
        (&body["thinking"]["type"], &body["tool_choice"]["type"], dropped),
        (&json!("adaptive"), &json!("auto"), vec!["tool_choice"])
    );

    let unasked = Request { reasoning: Reasoning::default(), parallel_tools: Some(false), ..forced };
    assert_eq!(Place::thinking(Thinking::Adaptive).write(&unasked).0["thinking"], json!({"type": "disabled"}));
    assert_eq!(Place::thinking(Thinking::Budget).write(&unasked).0.get("thinking"), None);
    let (body, _) = Place::thinking(Thinking::Always).write(&unasked);
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));

    let turns = vec![user(vec![Block::text("x")]), model(vec![call("b", "a")]), user(vec![result("b", "1")])];
    let looping = Request { reasoning, tools: vec![tool("a")], turns, ..asking() };
    assert_eq!(Place::thinking(Thinking::Budget).write(&looping).0["thinking"]["type"], "disabled");
    assert_eq!(Place::thinking(Thinking::Adaptive).write(&looping).0["thinking"]["type"], "adaptive");
    let budget = Reasoning { budget: Some(2048), ..reasoning };
    let (body, _) = Place::thinking(Thinking::Both).write(&Request { reasoning: budget, ..looping });
    assert_eq!((&body["thinking"]["type"], &body["output_config"]["effort"]), (&json!("adaptive"), &json!("medium")));
    let options = Options { interleaves_thinking: true, ..Options::default() };
    let place = Place { options, ..Place::thinking(Thinking::Budget) };
    let asking = Request { reasoning, tools: vec![tool("a")], ..asking() };
    assert_eq!(place.try_write(&asking).unwrap().0.betas, ["interleaved-thinking-2025-05-14"]);
}

#[test]
fn a_schema_for_the_answer_is_sent_or_stood_in_for() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let output = OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict: None };
    let request = Request { output, ..asking() };
    let (body, _) = Place::default().write(&request);
    assert_eq!(body["output_config"]["format"], json!({"type": "json_schema", "schema": schema}));

    let poor = || Place { capabilities: Capabilities { structured: false, ..Capabilities::default() }, ..Place::default() };
    let (written, _) = poor().try_write(&request).unwrap();
    assert!(written.answers_by_tool);
    assert_eq!(written.body["tools"][0]["input_schema"], schema);
    assert_eq!(written.body["tool_choice"], json!({"type": "tool", "name": "json_response", "disable_parallel_tool_use": true}));
    for request in [
        Request { tools: vec![tool("a")], ..request.clone() },
        Request { reasoning: Reasoning { mode: ReasoningMode::On, ..Reasoning::default() }, ..request.clone() },
    ] {
        let (written, _) = poor().try_write(&request).unwrap();
        assert!(!written.answers_by_tool && written.body["system"][0]["text"].as_str().unwrap().contains("additionalProperties"));
    }
    let (body, _) = poor().write(&Request { output: OutputFormat::JsonObject, ..asking() });
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON"));
}

#[test]
fn marks_of_the_cache_keep_to_the_rules() {
    let marked = |cache| Block::Text { text: "x".into(), cache: Some(cache), citations: vec![], signature: None };
    let (short, long) = (CacheMark::FiveMinutes, CacheMark::OneHour);
    let request = Request {
        system: vec![marked(long), marked(long), marked(short)],
        turns: vec![user(vec![marked(long), marked(short)])],
        ..asking()
    };
    let (body, dropped) = Place::default().write(&request);
    let ttl = |path: &str| body.pointer(path).map(|control| control["ttl"].as_str().unwrap_or("5m").to_owned());
    let marks = [
        "/system/0/cache_control",
        "/system/1/cache_control",
        "/system/2/cache_control",
        "/messages/0/content/0/cache_control",
        "/messages/0/content/1/cache_control",
    ]
    .map(ttl);
    assert_eq!(marks.each_ref().map(Option::as_deref), [None, Some("1h"), Some("5m"), Some("5m"), Some("5m")]);
    assert_eq!(dropped, ["cache_control"]);

    let turns = vec![user(vec![Block::text("1")]), model(vec![Block::text("2")]), user(vec![Block::text("3")])];
    let request = Request { system: vec![Block::text("s")], tools: vec![tool("a"), tool("b")], turns, ..asking() };
    let text = Place::default().write(&request).0;
    for path in ["/tools/1", "/system/0", "/messages/0/content/0", "/messages/2/content/0"] {
        assert!(text.pointer(path).unwrap().get("cache_control").is_some(), "{path}");
    }
    assert_eq!(text.to_string().matches("cache_control").count(), 4);
    assert_eq!(Place::default().write(&request).0.to_string(), text.to_string(), "the same bytes each time");
    let options = Options { marks_cache: false, ..Options::default() };
    assert!(!Place { options, ..Place::default() }.write(&request).0.to_string().contains("cache_control"));
}

#[test]
fn extra_fields_come_last_and_cannot_change_what_is_billed() {
    let extra = json!({"model": "dear", "max_tokens": 9, "container": "c"}).as_object().cloned().unwrap();
    let request = Request { extra: [(Family::Anthropic, extra)].into(), ..asking() };
    let (body, _) = Place::default().write(&request);
    assert_eq!((&body["model"], &body["max_tokens"], &body["container"]), (&json!("claude-x"), &json!(8192), &json!("c")));
}
