//! What upstreams get.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_plain_request_says_no_more_than_it_must() {
    let upstream = Upstream { options: Options { safety: Some(vec![]), ..Options::default() }, ..Upstream::default() };
    let expected = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "safetySettings": []});
    assert_eq!(upstream.write(&simple()), expected);
    let filters = &Upstream::default().write(&simple())["safetySettings"];
    assert_eq!(filters.as_array().unwrap().len(), 5);
    assert_eq!(filters[0], json!({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}));
}

#[test]
fn instructions_wherever_they_stand_go_into_the_system_slot() {
    let midway = Turn { role: Role::System, blocks: vec![Block::text("now in German")] };
    let turns = vec![model(vec![Block::text("hello")]), user(vec![Block::text("a")]), midway, user(vec![Block::text("b")])];
    let request = Request { system: vec![Block::text("one"), Block::text("two")], ..ask(turns) };
    let body = Upstream::default().write(&request);
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "one\n\ntwo\n\nnow in German"}]}));
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "…"}]},
            {"role": "model", "parts": [{"text": "hello"}]},
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        ])
    );
}

#[test]
fn calls_and_results_agree_and_stand_in_one_content() {
    let failed =
        Block::ToolResult { id: "c2".to_owned(), name: None, content: vec![Block::text("no")], is_error: true, cache: None };
    let turns = vec![
        user(vec![Block::text("x")]),
        model(vec![Block::text("let me see"), call("c1", "get weather", None), call("c2", "f", None)]),
        user(vec![result("c1", vec![Block::text(r#"{"t":5}"#)]), failed, Block::text("go on")]),
    ];
    let mut upstream = Upstream::default();
    let body = upstream.write(&ask(turns.clone()));
    let name = body["contents"][1]["parts"][1]["functionCall"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("get_weather_"), "{name}");
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [
                {"text": "let me see"},
                {"functionCall": {"name": name, "args": {"a": 1}}},
                {"functionCall": {"name": "f", "args": {"a": 1}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": name, "response": {"t": 5}}},
                {"functionResponse": {"name": "f", "response": {"error": "no"}}},
                {"text": "go on"},
            ]},
        ])
    );
    upstream.capabilities.call_ids = true;
    let parts = |body: &Value, content: usize| body["contents"][content]["parts"][0].clone();
    let body = upstream.write(&ask(turns));
    assert_eq!(body["contents"][1]["parts"][1]["functionCall"]["id"], "c1");
    assert_eq!(parts(&body, 2)["functionResponse"]["id"], "c1");
}

#[test]
fn what_tools_say_becomes_an_object() {
    for (texts, response) in [
        (vec!["plain"], json!({"result": "plain"})),
        (vec!["[1]"], json!({"result": [1]})),
        (vec!["42"], json!({"result": 42})),
        (vec!["4.20"], json!({"result": "4.20"})),
        (vec!["true"], json!({"result": "true"})),
        (vec![r#"{"b":1,"a":2}"#], json!({"b": 1, "a": 2})),
        (vec!["a", "b"], json!({"result": ["a", "b"]})),
        (vec![], json!({"result": ""})),
    ] {
        let content = texts.iter().map(|text| Block::text(*text)).collect();
        let turns = vec![user(vec![Block::text("x")]), model(vec![call("c", "f", None)]), user(vec![result("c", content)])];
        let body = Upstream::default().write(&ask(turns));
        assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["response"], response, "{texts:?}");
    }
}

#[test]
fn images_of_tools_go_into_the_result_or_beside_it() {
    let content = vec![Block::text("see"), image(inline())];
    let turns = vec![user(vec![Block::text("x")]), model(vec![call("c", "f", None)]), user(vec![result("c", content)])];
    let mut upstream = Upstream::default();
    let data = json!({"inlineData": {"mimeType": "image/png", "data": "cG5n"}});
    assert_eq!(
        upstream.write(&ask(turns.clone()))["contents"][2]["parts"],
        json!([{"functionResponse": {"name": "f", "response": {"result": "see"}, "parts": [data]}}])
    );
    upstream.capabilities.result_images = false;
    assert_eq!(
        upstream.write(&ask(turns))["contents"][2]["parts"],
        json!([{"functionResponse": {"name": "f", "response": {"result": "see"}}}, {"text": "[image from tool f]"}, data])
    );
}

#[test]
fn state_goes_back_to_whom_it_came_from_and_first_calls_are_signed() {
    let bound = Signature { account: Some(1), ..signature(Family::Google) };
    let thinking = |signature| Block::Thinking { text: "hm".to_owned(), signature: Some(signature) };
    let turns = |own: &Signature| {
        vec![
            user(vec![Block::text("x")]),
            model(vec![thinking(own.clone()), call("a", "f", Some(own.clone())), call("b", "f", None)]),
            user(vec![result("a", vec![]), result("b", vec![])]),
            model(vec![Block::Redacted { signature: own.clone() }, call("c", "f", None)]),
            user(vec![result("c", vec![])]),
        ]
    };
    let mut upstream = Upstream { account: Some(1), ..Upstream::default() };
    upstream.capabilities.signed_calls = true;
    let signed = |body: &Value, content: usize| -> Vec<Value> {
        let parts = body["contents"][content]["parts"].as_array().unwrap();
        parts.iter().map(|part| part["thoughtSignature"].clone()).collect()
    };
    let stand_in = json!("skip_thought_signature_validator");
    let own = upstream.write(&ask(turns(&bound)));
    assert_eq!(signed(&own, 1), [json!("c2ln"), json!("c2ln"), Value::Null]);
    assert_eq!(signed(&own, 3), [json!("c2ln"), stand_in.clone()]);
    assert_eq!(own["contents"][3]["parts"][0], json!({"text": "", "thoughtSignature": "c2ln"}));
    upstream.account = Some(2);
    let (moved, dropped) = upstream.try_write(&ask(turns(&bound))).unwrap();
    assert_eq!(signed(&moved, 1), [Value::Null, stand_in.clone(), Value::Null], "the thought stays, its signature does not");
    assert_eq!(signed(&moved, 3), [stand_in]);
    assert_eq!(dropped, ["reasoning_effort"]);
    upstream.capabilities.signed_calls = false;
    assert_eq!(signed(&upstream.write(&ask(turns(&signature(Family::Anthropic)))), 3), [Value::Null]);
}

#[test]
fn media_are_sent_where_they_are_taken_and_refused_where_not() {
    let with = |block: Block| ask(vec![user(vec![block])]);
    let url = |url: &str| Source::Url { url: url.to_owned(), mime: None };
    let mut upstream = Upstream::default();
    let part = |upstream: &Upstream, block: Block| {
        upstream.try_write(&with(block)).map(|(body, _)| body["contents"][0]["parts"][0].clone())
    };
    assert_eq!(part(&upstream, image(inline())).unwrap(), json!({"inlineData": {"mimeType": "image/png", "data": "cG5n"}}));
    assert_eq!(
        part(&upstream, image(url("https://a.example/x.webp"))).unwrap(),
        json!({"fileData": {"mimeType": "image/webp", "fileUri": "https://a.example/x.webp"}})
    );
    let text = Block::Media {
        kind: MediaKind::Document,
        source: Source::Text("body".to_owned()),
        detail: None,
        title: Some("T".to_owned()),
        cache: None,
    };
    assert_eq!(part(&upstream, text).unwrap(), json!({"text": "T\nbody"}));
    let file = Source::File { family: Family::OpenAi, id: "file-1".to_owned() };
    assert_eq!(part(&upstream, image(file)).unwrap_err(), "`file_id` has no counterpart at the provider of this model (Gemini)");
    upstream.capabilities = Capabilities { image_urls: false, audio: false, documents: false, ..Capabilities::default() };
    assert_eq!(
        part(&upstream, image(url("https://a.example/x"))).unwrap_err(),
        "`image_url` must be given inline to the provider of this model (Gemini)"
    );
    assert_eq!(
        part(&upstream, image(url("https://youtu.be/x"))).unwrap(),
        json!({"fileData": {"fileUri": "https://youtu.be/x"}})
    );
    let of = |kind| Block::Media { kind, source: inline(), detail: None, title: None, cache: None };
    assert!(part(&upstream, of(MediaKind::Audio)).unwrap_err().starts_with("`input_audio`"));
    assert!(part(&upstream, of(MediaKind::Document)).unwrap_err().starts_with("`file`"));
    assert!(part(&upstream, of(MediaKind::Video)).is_ok());
    let closely = |detail| Block::Media { kind: MediaKind::Image, source: inline(), detail, title: None, cache: None };
    for (details, level) in [
        (vec![Some(Detail::Low), Some(Detail::High)], json!("MEDIA_RESOLUTION_HIGH")),
        (vec![Some(Detail::Low), None], json!("MEDIA_RESOLUTION_LOW")),
        (vec![Some(Detail::Low), Some(Detail::Auto)], Value::Null),
    ] {
        let request = ask(vec![user(details.into_iter().map(closely).collect())]);
        assert_eq!(upstream.write(&request)["generationConfig"]["mediaResolution"], level);
    }
}

#[test]
fn tools_and_choices_are_written() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let function =
        Tool::Function { name: "f".to_owned(), description: None, schema: Some(schema.clone()), strict: Some(true), cache: None };
    let bare =
        Tool::Function { name: "g".to_owned(), description: Some("d".to_owned()), schema: None, strict: None, cache: None };
    let tools = vec![function, bare, Tool::WebSearch { max_uses: None, location: None }];
    let mut upstream = Upstream::default();
    let request = Request { tools, ..simple() };
    assert_eq!(
        upstream.write(&request)["tools"],
        json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}, {"name": "g", "description": "d"}]},
            {"googleSearch": {}}])
    );
    upstream.capabilities.json_schema = false;
    assert!(upstream.write(&request)["tools"][0]["functionDeclarations"][0]["parameters"]["additionalProperties"].is_null());
    let free = Tool::Function {
        name: "h".to_owned(),
        description: None,
        schema: Some(json!({"type": "object", "additionalProperties": false})),
        strict: None,
        cache: None,
    };
    let declared = upstream.write(&Request { tools: vec![free], ..simple() });
    assert_eq!(declared["tools"][0]["functionDeclarations"], json!([{"name": "h"}]));
    let choice =
        |tool_choice| upstream.write(&Request { tool_choice, ..request.clone() })["toolConfig"]["functionCallingConfig"].clone();
    let names = vec!["f".to_owned(), "g".to_owned()];
    for (tool_choice, expected) in [
        (ToolChoice::Unset, Value::Null),
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Any, json!({"mode": "ANY"})),
        (ToolChoice::Named("f".to_owned()), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        (
            ToolChoice::Allowed { names: names.clone(), is_required: true },
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        ),
        (ToolChoice::Allowed { names, is_required: false }, json!({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]})),
    ] {
        assert_eq!(choice(tool_choice), expected);
    }
    assert!(upstream.write(&Request { tool_choice: ToolChoice::Any, ..simple() })["toolConfig"].is_null(), "no tools, no choice");
    let native = |family| Request {
        tools: vec![Tool::Native { family, kind: "x".to_owned(), raw: json!({"codeExecution": {}}) }],
        ..simple()
    };
    assert_eq!(upstream.write(&native(Family::Google))["tools"], json!([{"codeExecution": {}}]));
    assert!(upstream.try_write(&native(Family::OpenAi)).unwrap_err().starts_with("`tools` has no counterpart"));
}

#[test]
fn thinking_is_asked_for_as_the_model_takes_it() {
    use Effort::{High, Low, Max, Minimal, Xhigh};
    let off = Reasoning { mode: ReasoningMode::Off, ..Reasoning::default() };
    let on = Reasoning { mode: ReasoningMode::On, ..Reasoning::default() };
    let effort = |effort| Reasoning { effort: Some(effort), ..on };
    let budget = |budget| Reasoning { budget: Some(budget), ..on };
    let pro = || Capabilities {
        thinking: Thinking::Budget,
        min_budget: 128,
        max_budget: Some(32_768),
        can_stop_thinking: false,
        ..Capabilities::default()
    };
    let flash = || Capabilities { thinking: Thinking::Budget, max_budget: Some(24_576), ..Capabilities::default() };
    let level = || Capabilities { thinking: Thinking::Level, efforts: vec![Low, High], ..Capabilities::default() };
    let shown = |name: &str, value: Value| json!({name: value, "includeThoughts": true});
    for (capabilities, reasoning, expected) in [
        (pro(), off, json!({"thinkingBudget": 128})),
        (flash(), off, json!({"thinkingBudget": 0})),
        (flash(), on, shown("thinkingBudget", json!(-1))),
        (flash(), effort(Minimal), shown("thinkingBudget", json!(512))),
        (flash(), effort(Low), shown("thinkingBudget", json!(1_024))),
        (pro(), effort(High), shown("thinkingBudget", json!(26_212))),
        (pro(), effort(Xhigh), shown("thinkingBudget", json!(32_768))),
        (pro(), effort(Max), shown("thinkingBudget", json!(32_768))),
        (pro(), budget(1), shown("thinkingBudget", json!(128))),
        (flash(), budget(99_999), shown("thinkingBudget", json!(24_576))),
        (level(), off, json!({"thinkingLevel": "low"})),
        (level(), on, json!({"includeThoughts": true})),
        (level(), effort(Minimal), shown("thinkingLevel", json!("low"))),
        (level(), effort(Max), shown("thinkingLevel", json!("high"))),
        (level(), budget(1_500), shown("thinkingLevel", json!("low"))),
        (Capabilities::default(), effort(Max), shown("thinkingLevel", json!("high"))),
        (Capabilities::default(), budget(700), shown("thinkingBudget", json!(700))),
        (Capabilities { thinking: Thinking::Always, ..Capabilities::default() }, off, Value::Null),
        (Capabilities { thinking: Thinking::None, ..Capabilities::default() }, on, Value::Null),
        (flash(), Reasoning { show: Some(Show::Nothing), ..on }, json!({"thinkingBudget": -1})),
        (flash(), Reasoning { show: Some(Show::Concise), ..Reasoning::default() }, json!({"includeThoughts": true})),
        (flash(), Reasoning::default(), Value::Null),
    ] {
        let label = format!("{:?} {reasoning:?}", capabilities.thinking);
        let upstream = Upstream { capabilities, ..Upstream::default() };
        let body = upstream.write(&Request { reasoning, ..simple() });
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{label}");
    }
}

#[test]
fn the_config_holds_what_gemini_takes() {
    let stops = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let request = Request {
        temperature: Some(0.0),
        top_p: Some(0.0),
        top_k: Some(3),
        max_output: Some(900),
        stop: stops(5),
        choices: Some(2),
        seed: Some(-5_000_000_000),
        frequency_penalty: Some(2.0),
        presence_penalty: Some(-2.0),
        logprobs: Some(50),
        ..simple()
    };
    let mut upstream = Upstream { output_limit: Some(1_000), ..Upstream::default() };
    assert_eq!(
        upstream.write(&request)["generationConfig"],
        json!({"temperature": 0.0, "topP": 0.0, "topK": 3, "frequencyPenalty": 1.99, "presencePenalty": -2.0, "seed": -705_032_704,
            "maxOutputTokens": 900, "stopSequences": ["0", "1", "2", "3", "4"], "candidateCount": 2, "responseLogprobs": true,
            "logprobs": 20})
    );
    assert_eq!(upstream.write(&simple())["generationConfig"], json!({"maxOutputTokens": 1_000}));
    let many = Request { stop: stops(6), ..simple() };
    let refused = "`stop` may hold at most 5 texts for the provider of this model (Gemini)";
    assert_eq!(upstream.try_write(&many).unwrap_err(), refused);
    upstream.options.cuts_stop = true;
    let (body, dropped) = upstream.try_write(&many).unwrap();
    assert_eq!((body["generationConfig"]["stopSequences"].as_array().unwrap().len(), dropped), (5, vec!["stop"]));
    upstream.capabilities = Capabilities { sampling: Sampling::TemperatureOrTopP, penalties: false, ..Capabilities::default() };
    let (body, dropped) = upstream.try_write(&request).unwrap();
    assert_eq!((&body["generationConfig"]["temperature"], &body["generationConfig"]["topP"]), (&json!(0.0), &Value::Null));
    assert_eq!(dropped, ["frequency_penalty", "presence_penalty", "top_p"]);
    upstream.capabilities.sampling = Sampling::None;
    assert!(upstream.write(&request)["generationConfig"]["topK"].is_null());
}

#[test]
fn the_form_of_the_answer_is_written_or_asked_for_in_words() {
    let schema = json!({"type": "object", "additionalProperties": false});
    let output = OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict: None };
    let request = Request { output, ..simple() };
    let tool = Tool::Function { name: "f".to_owned(), description: None, schema: None, strict: None, cache: None };
    let with_tools = Request { tools: vec![tool], ..request.clone() };
    let mut upstream = Upstream::default();
    let native = json!({"responseJsonSchema": schema, "responseMimeType": "application/json"});
    assert_eq!(upstream.write(&request)["generationConfig"], native);
    assert_eq!(upstream.write(&with_tools)["generationConfig"], native);
    let object = Request { output: OutputFormat::JsonObject, ..simple() };
    assert_eq!(upstream.write(&object)["generationConfig"], json!({"responseMimeType": "application/json"}));
    upstream.capabilities.json_schema = false;
    assert_eq!(upstream.write(&request)["generationConfig"]["responseSchema"], crate::schema::for_gemini(&schema));
    upstream.capabilities.tools_with_schema = false;
    let body = upstream.write(&with_tools);
    assert!(body["generationConfig"].is_null());
    let said = body["systemInstruction"]["parts"][0]["text"].as_str().unwrap();
    assert_eq!(said, format!("Answer with JSON that matches this JSON Schema and nothing else:\n{schema}"));
    upstream.capabilities.structured = false;
    assert!(upstream.write(&object)["systemInstruction"].is_object());
}

#[test]
fn what_has_no_place_is_left_out_and_named_or_refused() {
    let map = || json!({"k": "v"}).as_object().cloned();
    let request = Request {
        logit_bias: map(),
        parallel_tools: Some(false),
        verbosity: Some(Verbosity::Low),
        user: Some("u".to_owned()),
        metadata: map(),
        store: Some(true),
        service_tier: Some(ServiceTier::Flex),
        cache_key: Some("k".to_owned()),
        system: vec![Block::Text {
            text: "s".to_owned(),
            cache: Some(CacheMark::FiveMinutes),
            citations: vec![],
            signature: None,
        }],
        native: vec![NativeField { path: "prediction", is_essential: false }],
        audio: Some(AudioOut { voice: "alloy".to_owned(), format: Some("mp3".to_owned()) }),
        modalities: vec![Modality::Audio],
        ..simple()
    };
    let mut upstream = Upstream::default();
    let (body, dropped) = upstream.try_write(&request).unwrap();
    assert_eq!((&body["serviceTier"], &body["labels"]), (&json!("flex"), &Value::Null));
    assert_eq!(body["generationConfig"], json!({"responseModalities": ["AUDIO"]}));
    assert_eq!(
        dropped,
        [
            "audio.format",
            "audio.voice",
            "cache_control",
            "logit_bias",
            "metadata",
            "parallel_tool_calls",
            "prediction",
            "prompt_cache_key",
            "store",
            "user",
            "verbosity"
        ]
    );
    upstream.host = Host::Vertex;
    let (body, dropped) = upstream.try_write(&request).unwrap();
    assert_eq!((&body["labels"], &body["serviceTier"]), (&json!({"k": "v"}), &Value::Null));
    assert!(dropped.contains(&"service_tier") && !dropped.contains(&"metadata"));
    let essential = Request { native: vec![NativeField { path: "background", is_essential: true }], ..simple() };
    assert!(upstream.try_write(&essential).unwrap_err().starts_with("`background`"));
    upstream.capabilities.prefill = false;
    let prefilled = ask(vec![user(vec![Block::text("x")]), model(vec![Block::text("y")])]);
    assert!(upstream.try_write(&prefilled).unwrap_err().starts_with("`messages`"));
}

#[test]
fn extra_fields_are_merged_last_in_one_spelling() {
    let extra = json!({"thinking_config": {"thinking_budget": 5}, "safety_settings": [], "generation_config": {"top_k": 1}});
    let google = [(Family::Google, extra.as_object().unwrap().clone())].into();
    let reasoning = Reasoning { mode: ReasoningMode::On, effort: Some(Effort::Low), ..Reasoning::default() };
    let request = Request { extra: google, reasoning, top_p: Some(0.5), ..simple() };
    let body = Upstream::default().write(&request);
    assert_eq!(body["generationConfig"], json!({"topP": 0.5, "thinkingConfig": {"thinkingBudget": 5}, "topK": 1}));
    assert_eq!(body["safetySettings"], json!([]));
    let other = Request { extra: [(Family::Anthropic, json!({"x": 1}).as_object().unwrap().clone())].into(), ..simple() };
    assert_eq!(Upstream::default().write(&other), Upstream::default().write(&simple()));
}
