//! What callers write.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::media;

#[test]
fn both_spellings_say_the_same() {
    let camel = json!({
        "systemInstruction": {"role": "system", "parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/jpg", "data": "_-8="}}]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "f", "args": {"snake_key": 1, "camelKey": 2}}},
            ]},
            {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"inner_key": 1, "b": 2}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "properties": {"snake_key": {}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 5, "topP": 0, "thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1},
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object", "title": "kept_as_is"}},
    });
    let snake = json!({
        "system_instruction": {"parts": {"text": "be brief"}},
        "contents": [
            {"parts": [{"text": "a"}, {"inline_data": {"mime_type": "image/jpeg", "data": "/+8"}}]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true, "thought_signature": "c2ln"},
                {"function_call": {"name": "f", "args": {"snake_key": 1, "camelKey": 2}}},
            ]},
            {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"inner_key": 1, "b": 2}}}]},
        ],
        "tools": {"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object", "properties": {"snake_key": {}}}}]},
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "generation_config": {"max_output_tokens": "5", "top_p": 0.0, "thinking_config": {"include_thoughts": true, "thinking_budget": -1},
            "response_mime_type": "application/json", "response_json_schema": {"type": "object", "title": "kept_as_is"}},
    });
    let request = read_ok(&camel);
    assert_eq!(request, read_ok(&snake));
    assert_eq!(request.system, [Block::text("be brief")]);
    assert_eq!(request.top_p, Some(0.0));
    assert_eq!(request.tool_choice, ToolChoice::Named("f".to_owned()));
    assert_eq!(request.reasoning.mode, ReasoningMode::On);
    let Block::ToolResult { id, content, .. } = &request.turns[2].blocks[0] else { panic!() };
    assert_eq!((id.as_str(), content), ("call_g1_0", &vec![Block::text(r#"{"inner_key":1,"b":2}"#)]));
    let Block::Media { source: Source::Inline { mime, data }, .. } = &request.turns[0].blocks[1] else { panic!() };
    assert_eq!((mime.as_str(), &data[..]), ("image/jpeg", &[0xff, 0xef][..]));
}

#[test]
fn each_field_of_the_config_is_read() {
    let read = |value: Value| read_ok(&config(value));
    assert_eq!(read(json!({"temperature": 0})).temperature, Some(0.0));
    assert_eq!(read(json!({"topK": 39.6})).top_k, Some(40));
    assert_eq!(read(json!({"candidateCount": 2})).choices, Some(2));
    assert_eq!(read(json!({"seed": -7})).seed, Some(-7));
    assert_eq!(read(json!({"stopSequences": ["a", "b"]})).stop, ["a", "b"]);
    assert_eq!(read(json!({"presencePenalty": 1, "frequencyPenalty": -1})).presence_penalty, Some(1.0));
    assert_eq!(read(json!({"responseLogprobs": true, "logprobs": 3})).logprobs, Some(3));
    assert_eq!(read(json!({"responseLogprobs": true})).logprobs, Some(0));
    assert_eq!(read(json!({"responseLogprobs": false, "logprobs": 3})).logprobs, None);
    assert_eq!(read(json!({"responseMimeType": "application/json"})).output, OutputFormat::JsonObject);
    assert_eq!(read(json!({"responseModalities": ["TEXT", "image"]})).modalities, [Modality::Text, Modality::Image]);
    let speech = json!({"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}});
    assert_eq!(read(speech).audio, Some(AudioOut { voice: "Kore".to_owned(), format: None }));
    let native = read(json!({"responseMimeType": "text/x.enum", "image_config": {}})).native;
    let native: Vec<_> = native.iter().map(|field| (field.path, field.is_essential)).collect();
    assert_eq!(native, [("generationConfig.responseMimeType", true), ("generationConfig.imageConfig", false)]);
}

#[test]
fn thinking_is_read_in_every_form() {
    use ReasoningMode::{Off, On, Unset};

    let reasoning = |value: Value| read_ok(&config(json!({"thinkingConfig": value}))).reasoning;
    let of = |mode, effort, budget, show| Reasoning { mode, effort, budget, show, encrypted: false };
    for (value, expected) in [
        (json!({}), of(Unset, None, None, None)),
        (json!({"thinkingBudget": 0}), of(Off, None, None, None)),
        (json!({"thinkingBudget": -1}), of(On, None, None, None)),
        (json!({"thinkingBudget": 2000}), of(On, None, Some(2000), None)),
        (json!({"thinkingLevel": "low"}), of(On, Some(Effort::Low), None, None)),
        (json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}), of(Unset, None, None, None)),
        (json!({"includeThoughts": true}), of(On, None, None, Some(Show::Full))),
        (json!({"includeThoughts": false}), of(Unset, None, None, Some(Show::Nothing))),
    ] {
        assert_eq!(reasoning(value.clone()), expected, "{value}");
    }
}

#[test]
fn tools_and_choices_are_read() {
    let tools = read_ok(&hello(
        "tools",
        json!([{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {}}}]},
            {"googleSearch": {}}, {"code_execution": {}}, {"urlContext": null}]),
    ))
    .tools;
    assert_eq!(
        tools,
        [
            Tool::Function { name: "f".to_owned(), description: Some("d".to_owned()), schema: None, strict: None, cache: None },
            Tool::WebSearch { max_uses: None, location: None },
            Tool::Native { family: Family::Google, kind: "codeExecution".to_owned(), raw: json!({"codeExecution": {}}) },
        ]
    );
    let choice = |value: Value| read_ok(&hello("toolConfig", json!({"functionCallingConfig": value}))).tool_choice;
    let names = || vec!["a".to_owned(), "b".to_owned()];
    for (value, expected) in [
        (json!({}), ToolChoice::Unset),
        (json!({"mode": "AUTO"}), ToolChoice::Auto),
        (json!({"mode": "NONE"}), ToolChoice::None),
        (json!({"mode": "ANY"}), ToolChoice::Any),
        (json!({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}), ToolChoice::Allowed { names: names(), is_required: true }),
        (json!({"mode": "VALIDATED"}), ToolChoice::Auto),
        (
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["a", "b"]}),
            ToolChoice::Allowed { names: names(), is_required: false },
        ),
    ] {
        assert_eq!(choice(value.clone()), expected, "{value}");
    }
}

#[test]
fn results_find_their_calls_by_id_then_by_name_in_order_then_by_position() {
    let calls = json!({"role": "model", "parts": [
        {"functionCall": {"name": "f", "args": {"n": 1}}},
        {"functionCall": {"name": "g", "id": "own"}},
        {"functionCall": {"name": "f", "args": {"n": 2}}},
    ]});
    let answer = |results: Value| {
        let parts: Vec<Value> = results.as_array().unwrap().iter().map(|result| json!({"functionResponse": result})).collect();
        let body = json!({"contents": [{"parts": [{"text": "x"}]}, calls, {"parts": parts}, calls, {"parts": parts}]});
        let request = read_ok(&body);
        let ids = |turn: usize| -> Vec<String> {
            let blocks = request.turns[turn].blocks.iter();
            blocks.map(|block| if let Block::ToolResult { id, .. } = block { id.clone() } else { panic!() }).collect()
        };
        (ids(2), ids(4))
    };
    let (first, second) = answer(json!([{"name": "f"}, {"name": "f"}, {"name": "g", "id": "own"}]));
    assert_eq!(first, ["call_g1_0", "call_g1_2", "own"]);
    assert_eq!(second, ["call_g3_0", "call_g3_2", "own"], "ids are of their turn");
    assert_eq!(answer(json!([{"name": "g"}, {"name": "f"}, {"name": "f"}])).0, ["own", "call_g1_0", "call_g1_2"]);
    assert_eq!(answer(json!([{"name": "zz"}, {"name": "g"}])).0, ["call_g1_0", "own"]);
    assert_eq!(answer(json!([{}, {}, {}, {}])).0, ["call_g1_0", "own", "call_g1_2", "call_g2_r0"]);
}

#[test]
fn what_a_tool_said_is_unwrapped() {
    for (response, text, is_error) in [
        (json!({"result": "plain"}), "plain", false),
        (json!({"output": [1, 2]}), "[1,2]", false),
        (json!({"content": {"b": 1, "a": 2}}), r#"{"b":1,"a":2}"#, false),
        (json!({"error": "no"}), "no", true),
        (json!({"error": "no", "code": 1}), r#"{"error":"no","code":1}"#, false),
        (json!({}), "{}", false),
    ] {
        let body = json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": response}}]}]});
        let blocks = &read_ok(&body).turns[0].blocks;
        let Block::ToolResult { content, is_error: failed, .. } = &blocks[0] else { panic!() };
        assert_eq!((content, *failed), (&vec![Block::text(text)], is_error), "{response}");
    }
}

#[test]
fn a_stream_that_comes_back_is_one_turn_again() {
    let claude = Signature { account: Some(4), value: "EqQB".to_owned(), ..signature(Family::Anthropic) };
    let envelope = media::encode(sealer().seal(&claude).as_bytes());
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [{"text": "Let me ", "thought": true}]},
        {"role": "model", "parts": [{"text": "see", "thought": true}]},
        {"role": "model", "parts": [{"text": "", "thought": true, "thoughtSignature": envelope}]},
        {"role": "model", "parts": [{"text": "It"}]},
        {"role": "model", "parts": [{"text": "\n"}]},
        {"role": "model", "parts": [{"text": "", "thoughtSignature": "c2ln"}]},
        {"role": "model", "parts": [{"thoughtSignature": "c2ln"}]},
        {"role": "model"},
    ]});
    let newline =
        Block::Text { text: "\n".to_owned(), cache: None, citations: vec![], signature: Some(signature(Family::Google)) };
    assert_eq!(
        read_ok(&body).turns[1].blocks,
        [
            Block::Thinking { text: "Let me see".to_owned(), signature: Some(claude) },
            Block::text("It"),
            newline,
            Block::Redacted { signature: signature(Family::Google) },
        ]
    );
}

#[test]
fn media_are_what_and_where_they_are() {
    let block = |part: Value| read_ok(&json!({"contents": {"parts": [part]}})).turns[0].blocks[0].clone();
    let of = |kind, source, title: Option<&str>| Block::Media {
        kind,
        source,
        detail: None,
        title: title.map(str::to_owned),
        cache: None,
    };
    let url = |url: &str, mime: Option<&str>| Source::Url { url: url.to_owned(), mime: mime.map(str::to_owned) };
    for (part, expected) in [
        (
            json!({"inlineData": {"mimeType": "text/plain", "data": "aGk", "displayName": "a.txt"}}),
            of(MediaKind::Document, Source::Text("hi".to_owned()), Some("a.txt")),
        ),
        (
            json!({"inlineData": {"data": "JVBERi0="}}),
            of(
                MediaKind::Document,
                Source::Inline { mime: "application/pdf".to_owned(), data: Bytes::from_static(b"%PDF-") },
                None,
            ),
        ),
        (
            json!({"fileData": {"fileUri": "gs://b/a.mp4"}}),
            of(MediaKind::Video, Source::File { family: Family::Google, id: "gs://b/a.mp4".to_owned() }, None),
        ),
        (
            json!({"fileData": {"fileUri": "https://a.example/x.png"}}),
            of(MediaKind::Image, url("https://a.example/x.png", Some("image/png")), None),
        ),
        (json!({"file_data": {"file_uri": "https://youtu.be/x"}}), of(MediaKind::Video, url("https://youtu.be/x", None), None)),
    ] {
        assert_eq!(block(part.clone()), expected, "{part}");
    }
    let body = json!({"contents": {"parts": [
        {"inlineData": {"mimeType": "image/png", "data": ""}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
        {"inlineData": {"mimeType": "image/png", "data": ""}},
    ]}, "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_HIGH"}});
    let details = read_ok(&body).turns[0]
        .blocks
        .iter()
        .map(|block| if let Block::Media { detail, .. } = block { *detail } else { None })
        .collect::<Vec<_>>();
    assert_eq!(details, [Some(Detail::Low), Some(Detail::High)]);
}

#[test]
fn wrong_fields_are_told_by_place_and_kind() {
    let contents = |part: Value| json!({"contents": [{"parts": [part]}]});
    for (body, said) in [
        (json!([]), "`body`: expected an object, got an array"),
        (json!({}), "`contents` is required"),
        (json!({"contents": []}), "`contents` must not be empty"),
        (json!({"contents": "hi"}), "`contents`: expected an array, got a string"),
        (json!({"contents": [{"role": "assistant", "parts": []}]}), "`contents[0].role` must be one of user, model"),
        (json!({"contents": [{"parts": ["x"]}]}), "`contents[0].parts[0]`: expected an object, got a string"),
        (contents(json!({"text": 1})), "`contents[0].parts[0].text`: expected a string, got a number"),
        (contents(json!({"inline_data": {"data": "*"}})), "`contents[0].parts[0].inline_data.data` holds no base64"),
        (contents(json!({"inlineData": {"mimeType": "image/png"}})), "`contents[0].parts[0].inlineData.data` is required"),
        (contents(json!({"inlineData": {"data": "aGk="}})), "`contents[0].parts[0].inlineData.mimeType` is required"),
        (contents(json!({"fileData": {}})), "`contents[0].parts[0].fileData.fileUri` is required"),
        (contents(json!({"functionCall": {}})), "`contents[0].parts[0].functionCall.name` is required"),
        (contents(json!({"functionCall": {"name": ""}})), "`contents[0].parts[0].functionCall.name` must not be empty"),
        (
            contents(json!({"functionCall": {"name": "f", "args": "{}"}})),
            "`contents[0].parts[0].functionCall.args`: expected an object, got a string",
        ),
        (
            contents(json!({"functionResponse": {"response": []}})),
            "`contents[0].parts[0].functionResponse.response`: expected an object, got an array",
        ),
        (contents(json!({"thoughtSignature": 1})), "`contents[0].parts[0].thoughtSignature`: expected a string, got a number"),
        (hello("systemInstruction", json!("x")), "`systemInstruction`: expected an object, got a string"),
        (hello("systemInstruction", json!({"parts": [{"inlineData": {}}]})), "`systemInstruction.parts[0]` must hold text only"),
        (hello("tools", json!([1])), "`tools[0]`: expected an object, got a number"),
        (hello("tools", json!([{"functionDeclarations": [{}]}])), "`tools[0].functionDeclarations[0].name` is required"),
        (
            hello("toolConfig", json!({"functionCallingConfig": {"mode": "SOME"}})),
            "`toolConfig.functionCallingConfig.mode` must be one of AUTO, ANY, NONE, VALIDATED",
        ),
        (config(json!({"temperature": 2.5})), "`generationConfig.temperature` must be from 0 to 2"),
        (config(json!({"topP": "x"})), "`generationConfig.topP`: expected a number, got a string"),
        (config(json!({"maxOutputTokens": 0})), "`generationConfig.maxOutputTokens` must be from 1 to 2147483647"),
        (config(json!({"seed": 3_000_000_000_i64})), "`generationConfig.seed` must be from -2147483648 to 2147483647"),
        (config(json!({"stopSequences": [1]})), "`generationConfig.stopSequences[0]`: expected a string, got a number"),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": -2}})),
            "`generationConfig.thinkingConfig.thinkingBudget` must be from -1 to 2147483647",
        ),
        (
            config(json!({"responseMimeType": "text/html"})),
            "`generationConfig.responseMimeType` must be one of text/plain, application/json, text/x.enum",
        ),
        (
            config(json!({"responseSchema": {}, "responseJsonSchema": {}})),
            "`generationConfig.responseSchema` cannot stand beside `responseJsonSchema`",
        ),
        (hello("labels", json!(1)), "`labels`: expected an object, got a number"),
        (hello("serviceTier", json!("best")), "`serviceTier` must be one of standard, flex, priority"),
    ] {
        let error = read_body(&body, "m", false, &sealer()).unwrap_err();
        assert_eq!(error.to_string(), said, "{body}");
    }
}

#[test]
fn the_rest_of_the_body_is_read() {
    let mut body = hello("safetySettings", json!([]));
    for (name, value) in [
        ("cached_content", json!("cachedContents/1")),
        ("labels", json!({"team": "a"})),
        ("serviceTier", json!("SERVICE_TIER_FLEX")),
        ("store", json!(false)),
        ("toolConfig", json!({"retrievalConfig": {"languageCode": "de"}})),
        ("somethingNew", json!(1)),
    ] {
        body[name] = value;
    }
    let request = read_body(&body, "publishers/google/models/gemini-x", true, &sealer()).unwrap();
    assert_eq!((request.model.as_str(), request.stream, request.store), ("gemini-x", true, Some(false)));
    assert_eq!(request.service_tier, Some(ServiceTier::Flex));
    assert_eq!(request.metadata.unwrap()["team"], "a");
    let native: Vec<_> = request.native.iter().map(|field| (field.path, field.is_essential)).collect();
    assert_eq!(native, [("toolConfig.retrievalConfig", false), ("cachedContent", true), ("safetySettings", false)]);
    assert_eq!(read_body(&body, "tunedModels/a", false, &sealer()).unwrap().model, "tunedModels/a");
}
