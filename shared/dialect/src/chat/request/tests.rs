use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::{read, write};
use crate::chat::sample;
use crate::ir::{
    Arguments, Block, CacheMark, Effort, Family, MediaKind, Modality, OutputFormat, Reasoning, ReasoningMode, Request, Role,
    ServiceTier, Show, Source, Tool, ToolChoice, Turn, Verbosity,
};
use crate::loss::{LossPolicy, Losses};
use crate::target::{Capabilities, Options, Sampling, Target, Thinking};

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn with(fields: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn parsed(body: &Value) -> Request {
    read(body, &sample::sealer()).unwrap()
}

fn conversation(messages: &Value) -> Request {
    parsed(&json!({"model": "m", "messages": messages}))
}

fn turn(role: Role, blocks: Vec<Block>) -> Turn {
    Turn { role, blocks }
}

/// The body for a target, or the error; and what was left out.
fn sent(request: &Request, target: &Target<'_>) -> (Result<Value, String>, Vec<&'static str>) {
    let policy = LossPolicy::default();
    let mut losses = Losses::new(Dialect::Anthropic, Dialect::OpenAi, &policy);
    let written = write(request, target, &mut losses).map(|written| Value::Object(written.body));
    (written.map_err(|error| error.to_string()), losses.dropped().collect())
}

fn sent_to(request: &Request, family: Family) -> Value {
    let (capabilities, options) = (Capabilities::default(), Options::default());
    sent(request, &sample::target(family, &capabilities, &options)).0.unwrap()
}

fn asking(turns: Vec<Turn>) -> Request {
    Request { turns, ..Request::default() }
}

#[test]
fn every_field_is_read() {
    let request = parsed(&with(json!({
        "stream": true, "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0, "top_p": 0.0, "frequency_penalty": -2,
        "presence_penalty": 1.5, "n": 2, "seed": -4, "stop": "END", "logprobs": true, "top_logprobs": 3, "logit_bias": {"50256": -100},
        "verbosity": "low", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}, "safety_identifier": "u",
        "metadata": {"a": "b"}, "store": false, "prompt_cache_key": "k", "service_tier": "flex", "parallel_tool_calls": false,
        "prediction": {"type": "content", "content": "x"}, "google": {"labels": 1, "thinking_config": {"include_thoughts": true}},
        "unknown": {"x": 1}, "user": null,
    })));
    let expected = Request {
        model: "m".to_owned(),
        stream: true,
        turns: vec![turn(Role::User, vec![Block::text("hi")])],
        max_output: Some(7),
        temperature: Some(0.0),
        top_p: Some(0.0),
        frequency_penalty: Some(-2.0),
        presence_penalty: Some(1.5),
        choices: Some(2),
        seed: Some(-4),
        stop: vec!["END".to_owned()],
        logprobs: Some(3),
        logit_bias: json!({"50256": -100}).as_object().cloned(),
        verbosity: Some(Verbosity::Low),
        modalities: vec![Modality::Text, Modality::Audio],
        audio: Some(crate::ir::AudioOut { voice: "alloy".to_owned(), format: Some("mp3".to_owned()) }),
        user: Some("u".to_owned()),
        metadata: json!({"a": "b"}).as_object().cloned(),
        store: Some(false),
        cache_key: Some("k".to_owned()),
        service_tier: Some(ServiceTier::Flex),
        parallel_tools: Some(false),
        reasoning: Reasoning { show: Some(Show::Full), ..Reasoning::default() },
        native: vec![crate::ir::NativeField { path: "prediction", is_essential: false }],
        extra: [(Family::Google, json!({"labels": 1}).as_object().cloned().unwrap())].into(),
        ..Request::default()
    };
    assert_eq!(request, expected);
    assert_eq!(parsed(&with(json!({"max_tokens": 5, "stop": ["a", "b"]}))).stop, ["a", "b"]);
}

#[test]
fn a_wrong_field_is_named_without_its_value() {
    let part = |part: Value| with(json!({"messages": [{"role": "user", "content": [part]}]}));
    let message = |message: Value| with(json!({"messages": [message]}));
    for (body, error) in [
        (json!([]), "`body`: expected an object, got an array"),
        (json!({"messages": []}), "`model` is required"),
        (json!({"model": ""}), "`model` must not be empty"),
        (json!({"model": "m"}), "`messages` is required"),
        (json!({"model": "m", "messages": []}), "`messages` must not be empty"),
        (json!({"model": "m", "messages": ["secret"]}), "`messages[0]`: expected an object, got a string"),
        (message(json!({"content": "x"})), "`messages[0].role` is required"),
        (
            message(json!({"role": "secret"})),
            "`messages[0].role` must be one of system, developer, user, assistant, tool, function",
        ),
        (message(json!({"role": "user"})), "`messages[0].content` is required"),
        (message(json!({"role": "user", "content": []})), "`messages[0].content` must not be empty"),
        (message(json!({"role": "user", "content": 7})), "`messages[0].content`: expected a string or an array, got a number"),
        (message(json!({"role": "tool", "content": "x"})), "`messages[0].tool_call_id` is required"),
        (
            message(json!({"role": "system", "content": [{"type": "image_url"}]})),
            "`messages[0].content[0].type` must be one of text",
        ),
        (
            message(json!({"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]})),
            "`messages[0].tool_calls[0].function.name` is required",
        ),
        (
            part(json!({"type": "secret"})),
            "`messages[0].content[0].type` must be one of text, image_url, input_audio, file, video_url",
        ),
        (part(json!({"type": "text"})), "`messages[0].content[0].text` is required"),
        (part(json!({"type": "image_url", "image_url": {}})), "`messages[0].content[0].image_url.url` is required"),
        (
            part(json!({"type": "image_url", "image_url": {"url": ""}})),
            "`messages[0].content[0].image_url.url` must not be empty",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64"}})),
            "`messages[0].content[0].image_url.url` is no readable data URL",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "?!", "format": "wav"}})),
            "`messages[0].content[0].input_audio.data` holds no base64",
        ),
        (
            part(json!({"type": "file", "file": {"file_data": "https://secret"}})),
            "`messages[0].content[0].file.file_data` must be a data URL",
        ),
        (with(json!({"temperature": 2.1})), "`temperature` must be from 0 to 2"),
        (with(json!({"n": 0})), "`n` must be from 1 to 128"),
        (with(json!({"max_tokens": "secret"})), "`max_tokens`: expected a whole number, got a string"),
        (with(json!({"stop": {"a": 1}})), "`stop`: expected a string or an array of strings, got an object"),
        (with(json!({"stop": ["a", 1]})), "`stop[1]`: expected a string, got a number"),
        (with(json!({"stream": "true"})), "`stream`: expected a boolean, got a string"),
        (with(json!({"tools": [{"type": "function"}]})), "`tools[0].function` is required"),
        (with(json!({"tools": [{"function": {}}]})), "`tools[0].function.name` is required"),
        (with(json!({"tools": [{}]})), "`tools[0].type` is required"),
        (with(json!({"tool_choice": "secret"})), "`tool_choice` must be one of auto, none, required"),
        (with(json!({"tool_choice": 1})), "`tool_choice`: expected a string or an object, got a number"),
        (with(json!({"tool_choice": {"type": "x"}})), "`tool_choice.type` must be one of function, custom, allowed_tools"),
        (with(json!({"response_format": {"type": "x"}})), "`response_format.type` must be one of text, json_object, json_schema"),
        (
            with(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}})),
            "`response_format.json_schema.schema` is required",
        ),
        (
            with(json!({"reasoning_effort": "secret"})),
            "`reasoning_effort` must be one of none, minimal, low, medium, high, xhigh, max",
        ),
        (with(json!({"thinking": {"type": "x"}})), "`thinking.type` must be one of enabled, disabled, adaptive, auto"),
        (with(json!({"verbosity": "x"})), "`verbosity` must be one of low, medium, high"),
        (with(json!({"audio": {}})), "`audio.voice` is required"),
    ] {
        assert_eq!(read(&body, &sample::sealer()).unwrap_err().to_string(), error, "{body}");
    }
}

#[test]
fn reasoning_is_read_in_every_form() {
    let on = |effort, budget, show| Reasoning { mode: ReasoningMode::On, effort, budget, show: Some(show), encrypted: false };
    let off = Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() };
    for (fields, reasoning) in [
        (json!({}), Reasoning::default()),
        (json!({"reasoning_effort": "none"}), off),
        (json!({"reasoning_effort": "minimal"}), on(Some(Effort::Minimal), None, Show::Full)),
        (json!({"reasoning_effort": "xhigh"}), on(Some(Effort::Xhigh), None, Show::Full)),
        (json!({"reasoning": {"effort": "max", "exclude": true}}), on(Some(Effort::Max), None, Show::Nothing)),
        (json!({"reasoning": {"max_tokens": 2000}}), on(None, Some(2000), Show::Full)),
        (json!({"reasoning": {"enabled": false, "effort": "none"}}), off),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}), on(None, Some(4096), Show::Full)),
        (json!({"thinking": {"type": "disabled", "budget_tokens": 4096}}), off),
        (json!({"enable_thinking": true, "thinking_budget": 500}), on(None, Some(500), Show::Full)),
        (json!({"enable_thinking": false}), off),
        (json!({"chat_template_kwargs": {"enable_thinking": false}}), off),
        (json!({"thinking_budget": 0}), off),
        (json!({"thinking_budget": -1}), on(None, None, Show::Full)),
        (
            json!({"extra_body": {"google": {"thinking_config": {"thinking_budget": 800, "include_thoughts": false}}}}),
            on(None, Some(800), Show::Nothing),
        ),
        (json!({"google": {"thinking_config": {"thinking_level": "HIGH"}}}), on(Some(Effort::High), None, Show::Full)),
    ] {
        assert_eq!(parsed(&with(fields.clone())).reasoning, reasoning, "{fields}");
    }
}

#[test]
fn the_conversation_is_read_in_order() {
    let request = conversation(&json!([
        {"role": "developer", "content": "one"},
        {"role": "system", "content": [{"type": "text", "text": "two", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "user", "name": "ana", "content": "hi"},
        {"role": "assistant", "content": "Let me look.", "reasoning_content": "hm", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "system", "content": "three"},
        {"role": "assistant", "content": null, "refusal": "no"},
    ]));
    let cached = Block::Text { text: "two".to_owned(), cache: Some(CacheMark::OneHour), citations: vec![], signature: None };
    let result = |id: &str, text: &str| Block::ToolResult {
        id: id.to_owned(),
        name: None,
        content: vec![Block::text(text)],
        is_error: false,
        cache: None,
    };
    assert_eq!(request.system, [Block::text("one"), cached]);
    let called = vec![
        Block::Thinking { text: "hm".to_owned(), signature: None },
        Block::text("Let me look."),
        sample::call("a", "f", "{\"x\":1}"),
        sample::call("b", "f", "{}"),
    ];
    let turns = [
        turn(Role::User, vec![Block::text("hi")]),
        turn(Role::Assistant, called),
        turn(Role::User, vec![result("b", "2")]),
        turn(Role::User, vec![result("a", "1")]),
        turn(Role::System, vec![Block::text("three")]),
        turn(Role::Assistant, vec![Block::Refusal { text: "no".to_owned() }]),
    ];
    assert_eq!(request.turns, turns);
    assert_eq!(request.native.iter().map(|field| field.path).collect::<Vec<_>>(), ["messages[].name"]);
}

#[test]
fn functions_of_old_are_tools_whose_results_find_their_calls() {
    let body = json!({
        "model": "m",
        "functions": [{"name": "f", "parameters": {}}],
        "function_call": {"name": "f"},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "2"},
        ],
    });
    let request = parsed(&body);
    assert_eq!(request.tool_choice, ToolChoice::Named("f".to_owned()));
    assert!(matches!(&request.tools[..], [Tool::Function { schema: None, .. }]));
    let ids = |block: &Block| match block {
        Block::ToolCall { id, .. } | Block::ToolResult { id, .. } => id.clone(),
        _ => String::new(),
    };
    let ids: Vec<String> = request.turns[1..].iter().map(|turn| ids(&turn.blocks[0])).collect();
    assert_eq!(ids, ["call_function_1", "call_function_1", "call_function_2", "call_function_2"]);
    assert_eq!(request, parsed(&body), "the same on every turn");
}

#[test]
fn tools_and_choices_go_both_ways() {
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    for (wire, choice) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Any),
        (named("f"), ToolChoice::Named("f".to_owned())),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("f")]}}),
            ToolChoice::Allowed { names: vec!["f".to_owned()], is_required: true },
        ),
    ] {
        let tools = json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"title": {}}}}},
            {"type": "function", "function": {"name": "g"}}]);
        let request = parsed(&with(json!({"tools": tools, "tool_choice": wire, "parallel_tool_calls": false})));
        assert_eq!(request.tool_choice, choice);
        let body = sent_to(&request, Family::OpenAi);
        assert_eq!((&body["tools"], &body["tool_choice"], &body["parallel_tool_calls"]), (&tools, &wire, &json!(false)));
        if matches!(choice, ToolChoice::Allowed { .. }) {
            let body = sent_to(&request, Family::Compatible);
            assert_eq!((body["tools"].as_array().map(Vec::len), &body["tool_choice"]), (Some(1), &json!("required")));
        }
    }
    let none = sent_to(&parsed(&with(json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": true}))), Family::OpenAi);
    assert_eq!(none.as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "messages"]);
}

#[test]
fn web_search_is_mapped_and_other_tools_of_providers_are_refused() {
    let options =
        json!({"search_context_size": "high", "user_location": {"type": "approximate", "approximate": {"city": "Bern"}}});
    let request = parsed(&with(json!({"web_search_options": options})));
    let location = json!({"city": "Bern"}).as_object().cloned();
    assert_eq!(request.tools, [Tool::WebSearch { max_uses: Some(10), location }]);
    assert_eq!(sent_to(&request, Family::OpenAi)["web_search_options"], options);
    let native = Request {
        tools: vec![Tool::Native { family: Family::Anthropic, kind: "bash".to_owned(), raw: json!({}) }],
        ..Request::default()
    };
    let (capabilities, settings) = (Capabilities::default(), Options::default());
    let refused = sent(&native, &sample::target(Family::OpenAi, &capabilities, &settings)).0;
    assert_eq!(refused, Err("`tools` has no counterpart at the provider of this model (OpenAI Chat)".to_owned()));
}

#[test]
fn names_and_ids_that_do_not_fit_are_rewritten_alike_everywhere() {
    let long = "x".repeat(50);
    let result = Block::ToolResult { id: long.clone(), name: None, content: vec![], is_error: false, cache: None };
    let request = Request {
        tools: vec![Tool::Function { name: "a.b".to_owned(), description: None, schema: None, strict: None, cache: None }],
        tool_choice: ToolChoice::Named("a.b".to_owned()),
        turns: vec![turn(Role::Assistant, vec![sample::call(&long, "a.b", "{}")]), turn(Role::User, vec![result])],
        ..Request::default()
    };
    let body = sent_to(&request, Family::OpenAi);
    let call = &body["messages"][0]["tool_calls"][0];
    assert_eq!(call["id"], body["messages"][1]["tool_call_id"]);
    assert_eq!(call["id"].as_str().map(str::len), Some(29));
    let name = &call["function"]["name"];
    assert!(name.as_str().is_some_and(|name| name.starts_with("a_b_")), "{name}");
    assert_eq!((name, name), (&body["tools"][0]["function"]["name"], &body["tool_choice"]["function"]["name"]));
}

#[test]
fn turns_become_messages() {
    let image = |data: &'static [u8]| Block::Media {
        kind: MediaKind::Image,
        source: Source::Inline { mime: "image/png".to_owned(), data: data.into() },
        detail: Some(crate::ir::Detail::Low),
        title: None,
        cache: None,
    };
    let result = |id: &str, content: Vec<Block>, is_error| Block::ToolResult {
        id: id.to_owned(),
        name: None,
        content,
        is_error,
        cache: None,
    };
    let request = Request {
        system: vec![Block::text("one"), Block::text("two")],
        turns: vec![
            turn(Role::User, vec![Block::text("a"), Block::text("\n")]),
            turn(
                Role::Assistant,
                vec![
                    Block::Thinking { text: "hm".to_owned(), signature: Some(sample::signature(Family::Anthropic)) },
                    Block::text("Let me "),
                    Block::text("look."),
                    sample::call("c1", "shot", "{}"),
                    sample::call("c2", "shot", "{\"n\":2}"),
                ],
            ),
            turn(
                Role::User,
                vec![
                    result("c1", vec![Block::text("done"), image(b"\0")], false),
                    result("c2", vec![Block::text("no")], true),
                    Block::text("and?"),
                ],
            ),
            turn(Role::System, vec![Block::text("three")]),
            turn(Role::Assistant, vec![Block::Refusal { text: "no".to_owned() }]),
        ],
        ..Request::default()
    };
    let body = sent_to(&request, Family::Compatible);
    let expected = json!([
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "\n"}]},
        {"role": "assistant", "content": "Let me look.", "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "shot", "arguments": "{}"}},
            {"id": "c2", "type": "function", "function": {"name": "shot", "arguments": "{\"n\":2}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no"},
        {"role": "user", "content": [
            {"type": "text", "text": "[image from tool shot]"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "text", "text": "and?"},
        ]},
        {"role": "system", "content": "three"},
        {"role": "assistant", "content": "no"},
    ]);
    assert_eq!(body["messages"], expected);
    let body = sent_to(&request, Family::OpenAi);
    assert_eq!(body["messages"][7], json!({"role": "assistant", "content": null, "refusal": "no"}));
    assert_eq!(body["messages"][2].get("reasoning_content"), None, "OpenAI refuses what it does not know");
}

#[test]
fn state_goes_to_its_own_family_and_account_only() {
    let mut own = sample::signature(Family::Compatible);
    own.account = Some(9);
    let other = crate::ir::Signature { account: Some(8), ..own.clone() };
    let call = |signature: &crate::ir::Signature| Block::ToolCall {
        id: "c".to_owned(),
        name: "f".to_owned(),
        arguments: Arguments::Raw("{".to_owned()),
        signature: Some(signature.clone()),
        cache: None,
    };
    let think = |signature: &crate::ir::Signature| Block::Thinking { text: "t".to_owned(), signature: Some(signature.clone()) };
    let blocks = |signature| vec![think(signature), Block::Redacted { signature: signature.clone() }, call(signature)];
    let mine = sent_to(&asking(vec![turn(Role::Assistant, blocks(&own))]), Family::Compatible);
    let message = &mine["messages"][0];
    assert_eq!(message["reasoning_details"][0]["signature"], "c2ln");
    assert_eq!(message["reasoning_details"][1]["data"], "c2ln");
    assert_eq!(message["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "c2ln");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{");
    for foreign in [&other, &sample::signature(Family::Anthropic)] {
        let body = sent_to(&asking(vec![turn(Role::Assistant, blocks(foreign))]), Family::Compatible);
        let message = body["messages"][0].as_object().unwrap();
        assert_eq!(message.keys().collect::<Vec<_>>(), ["role", "content", "reasoning_content", "tool_calls"]);
        assert!(!body.to_string().contains("c2ln"));
    }
}

#[test]
fn an_echoed_envelope_is_opened_and_a_foreign_signature_is_not_believed() {
    let signature = sample::signature(Family::Anthropic);
    let sealed = sample::sealer().seal(&signature);
    let request = conversation(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "x", "reasoning_content": "ab", "reasoning_details": [
            {"type": "reasoning.text", "text": "a", "signature": sealed, "index": 0},
            {"type": "reasoning.text", "text": "b", "signature": "raw", "index": 1},
            {"type": "reasoning.encrypted", "data": sealed},
            {"type": "reasoning.encrypted", "data": "raw"},
        ], "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": sealed}}}]},
    ]));
    let expected = [
        Block::Thinking { text: "a".to_owned(), signature: Some(signature.clone()) },
        Block::Thinking { text: "b".to_owned(), signature: None },
        Block::Redacted { signature: signature.clone() },
        Block::text("x"),
        Block::ToolCall {
            id: "c".to_owned(),
            name: "f".to_owned(),
            arguments: Arguments::Object(serde_json::Map::new()),
            signature: Some(signature),
            cache: None,
        },
    ];
    assert_eq!(request.turns[1].blocks, expected);
}

#[test]
fn settings_go_to_who_takes_them() {
    let request = parsed(&with(json!({
        "stream": true, "max_tokens": 100, "temperature": 0.5, "top_p": 0.0, "frequency_penalty": 1, "stop": ["a", "", "b"], "n": 2, "seed": 1,
        "logprobs": true, "user": "u", "metadata": {"a": "b"}, "store": true, "verbosity": "high", "service_tier": "priority",
        "reasoning_effort": "high", "prompt_cache_key": "k",
    })));
    let (capabilities, options) = (Capabilities::default(), Options { limits_completion: true, ..Options::default() });
    let (body, dropped) = sent(&request, &sample::target(Family::OpenAi, &capabilities, &options));
    let expected = json!({
        "model": "theirs", "messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": {"include_usage": true},
        "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.0, "frequency_penalty": 1.0, "stop": ["a", "b"], "n": 2, "seed": 1,
        "logprobs": true, "reasoning_effort": "high", "user": "u", "verbosity": "high", "metadata": {"a": "b"}, "store": true,
        "service_tier": "priority", "prompt_cache_key": "k",
    });
    assert_eq!((body, dropped), (Ok(expected), vec![]));

    let poor = Capabilities {
        sampling: Sampling::TemperatureOrTopP,
        penalties: false,
        thinking: Thinking::None,
        max_output: Some(50),
        ..Capabilities::default()
    };
    let options = Options::default();
    let (body, dropped) = sent(&request, &sample::target(Family::Compatible, &poor, &options));
    let body = body.unwrap();
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(50), &json!(0.5)));
    let lost = ["frequency_penalty", "metadata", "prompt_cache_key", "service_tier", "store", "thinking", "top_p", "verbosity"];
    assert_eq!(dropped, lost);
    assert!(lost.iter().all(|name| body.get(*name).is_none()) && body.get("reasoning_effort").is_none());
}

#[test]
fn limits_and_reasoning_follow_the_tables() {
    let options = Options::default();
    let effort = |mode, effort, budget, capabilities: &Capabilities| {
        let reasoning = Reasoning { mode, effort, budget, show: None, encrypted: false };
        let body = sent(&Request { reasoning, ..Request::default() }, &sample::target(Family::OpenAi, capabilities, &options))
            .0
            .unwrap();
        body.get("reasoning_effort").cloned().unwrap_or_default()
    };
    let all = Capabilities::default();
    let few =
        Capabilities { thinking: Thinking::Always, efforts: vec![Effort::Low, Effort::Medium, Effort::High], ..all.clone() };
    let (on, off) = (ReasoningMode::On, ReasoningMode::Off);
    for level in Effort::ALL {
        assert_eq!(effort(on, Some(level), None, &all), level.as_str());
    }
    assert_eq!(effort(off, None, None, &all), "none");
    assert_eq!(effort(off, None, None, &few), "low");
    assert_eq!(effort(on, Some(Effort::Max), None, &few), "high");
    for (budget, word) in [(1023, "minimal"), (2047, "low"), (8191, "medium"), (24576, "high"), (24577, "xhigh")] {
        assert_eq!(effort(on, None, Some(budget), &all), word, "{budget}");
    }
    assert_eq!(effort(on, None, None, &all), Value::Null);

    let stops = Request { stop: ["a", "b", "c", "d", "e"].map(str::to_owned).into(), ..Request::default() };
    let refused = sent(&stops, &sample::target(Family::OpenAi, &all, &options)).0;
    assert_eq!(refused, Err("`stop_sequences` may hold at most 4 texts at the provider of this model (OpenAI Chat)".to_owned()));
    let cutting = Options { cuts_stop: true, ..Options::default() };
    let (body, dropped) = sent(&stops, &sample::target(Family::OpenAi, &all, &cutting));
    assert_eq!((body.unwrap()["stop"].as_array().map(Vec::len), dropped), (Some(4), vec!["stop_sequences"]));

    let limited = Target { output_limit: Some(10), ..sample::target(Family::OpenAi, &all, &options) };
    assert_eq!(sent(&Request::default(), &limited).0.unwrap()["max_tokens"], 10);
    let short = Request { max_output: Some(5), ..Request::default() };
    assert_eq!(sent(&short, &limited).0.unwrap()["max_tokens"], 5);
}

#[test]
fn the_form_of_the_answer_is_asked_for_as_the_model_takes_it() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let form =
        |strict, schema: &Value| OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict };
    let request = Request { output: form(Some(true), &schema), ..Request::default() };
    let (all, options) = (Capabilities::default(), Options::default());
    let body = sent(&request, &sample::target(Family::OpenAi, &all, &options)).0.unwrap();
    assert_eq!(
        body["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": schema, "strict": true}})
    );
    let loose = Request { output: form(Some(true), &json!({"type": "object"})), ..Request::default() };
    assert_eq!(sent_to(&loose, Family::OpenAi)["response_format"]["json_schema"]["strict"], false);

    let poor = Capabilities { structured: false, ..Capabilities::default() };
    let body = sent(&request, &sample::target(Family::Compatible, &poor, &options)).0.unwrap();
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("\"additionalProperties\":false"));

    let object = Request { output: OutputFormat::JsonObject, ..asking(vec![turn(Role::User, vec![Block::text("hi")])]) };
    assert_eq!(
        sent_to(&object, Family::OpenAi)["messages"][0],
        json!({"role": "system", "content": "Answer with a JSON object."})
    );
    let said = Request { output: OutputFormat::JsonObject, ..asking(vec![turn(Role::User, vec![Block::text("As JSON.")])]) };
    assert_eq!(sent_to(&said, Family::OpenAi)["messages"][0]["role"], "user");
}

#[test]
fn media_that_the_target_cannot_take_are_refused() {
    let inline = |mime: &str| Source::Inline { mime: mime.to_owned(), data: b"x".as_slice().into() };
    let url = || Source::Url { url: "https://a.example/x".to_owned(), mime: None };
    let file = |family| Source::File { family, id: "file-1".to_owned() };
    let no_urls = Capabilities { image_urls: false, ..Capabilities::default() };
    let (all, options) = (Capabilities::default(), Options::default());
    for (kind, source, capabilities, expected) in [
        (MediaKind::Image, url(), &all, Ok(json!({"type": "image_url", "image_url": {"url": "https://a.example/x"}}))),
        (MediaKind::Image, url(), &no_urls, Err("image")),
        (MediaKind::Image, file(Family::OpenAi), &all, Err("file_id")),
        (MediaKind::Document, file(Family::OpenAi), &all, Ok(json!({"type": "file", "file": {"file_id": "file-1"}}))),
        (MediaKind::Document, file(Family::Anthropic), &all, Err("file_id")),
        (
            MediaKind::Document,
            inline("application/pdf"),
            &all,
            Ok(json!({"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,eA=="}})),
        ),
        (MediaKind::Document, url(), &all, Err("document")),
        (
            MediaKind::Audio,
            inline("audio/mpeg"),
            &all,
            Ok(json!({"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}})),
        ),
        (MediaKind::Audio, inline("audio/flac"), &all, Err("audio")),
        (MediaKind::Video, inline("video/mp4"), &all, Err("video")),
    ] {
        let block = Block::Media { kind, source, detail: None, title: None, cache: None };
        let request = asking(vec![turn(Role::User, vec![block])]);
        let body = sent(&request, &sample::target(Family::OpenAi, capabilities, &options)).0;
        let expected =
            expected.map_err(|field| format!("`{field}` has no counterpart at the provider of this model (OpenAI Chat)"));
        assert_eq!(body.map(|body| body["messages"][0]["content"][0].clone()), expected, "{kind:?}");
    }
    let body = Source::Inline { mime: "text/markdown".to_owned(), data: b"body".as_slice().into() };
    for source in [Source::Text("body".to_owned()), body] {
        let title = Some("T".to_owned());
        let document = Block::Media { kind: MediaKind::Document, source, detail: None, title, cache: None };
        let body = sent_to(&asking(vec![turn(Role::User, vec![document])]), Family::OpenAi);
        assert_eq!(body["messages"][0]["content"], "T\nbody");
    }
}

#[test]
fn what_is_meant_for_one_family_reaches_it_alone() {
    let request = parsed(&with(json!({"anthropic": {"speed": "fast"}, "extra_body": {"google": {"labels": {"a": "b"}}}})));
    assert_eq!(sent_to(&request, Family::Anthropic)["speed"], "fast");
    assert_eq!(sent_to(&request, Family::Google)["labels"], json!({"a": "b"}));
    assert_eq!(sent_to(&request, Family::OpenAi).as_object().unwrap().len(), 2);
}
