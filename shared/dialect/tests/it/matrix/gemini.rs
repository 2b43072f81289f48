//! Gemini's `generateContent`, spoken and understood without any code of ours: <https://ai.google.dev/api/generate-content>.

use serde_json::{Value, json};

use super::said::{Asks, Calls, Choice, End, Said, Says, Spent, Tool, add, count, events, items, pieces, text};

/// The signature of whatever this provider thinks.
pub(super) const STATE: &str = "CpQBAdHtim+JrlGZ0KBzAmDPFfSBYkH7bXWHxPkJ3cHcZGjYm9nPz1dLmFvV2V4Zz0=";

pub(super) fn ask(asks: &Asks) -> Value {
    let (mut contents, mut calls) = (Vec::new(), Calls::default());
    for turn in &asks.turns {
        let parts: Vec<Value> = match &turn.echo {
            Some(answer) => {
                let parts = items(&answer["candidates"][0]["content"]["parts"]).cloned().collect::<Vec<_>>();
                parts.iter().map(|part| &part["functionCall"]).filter(|call| !call.is_null()).for_each(|call| {
                    calls.made(&text(&call["id"]), &text(&call["name"]));
                });
                parts
            }
            None => turn.said.iter().map(|said| part(said, &mut calls)).collect(),
        };
        contents.push(json!({"role": if turn.is_models { "model" } else { "user" }, "parts": parts}));
    }
    let mut config = json!({});
    if asks.thinks {
        config["thinkingConfig"] = json!({"includeThoughts": true, "thinkingLevel": "high"});
    }
    if let Some(schema) = &asks.schema {
        config["responseMimeType"] = "application/json".into();
        config["responseJsonSchema"] = schema.clone();
    }
    if let Some(most) = asks.max_output {
        config["maxOutputTokens"] = most.into();
    }
    let mut body = json!({"contents": contents, "generationConfig": config});
    if !asks.system.is_empty() {
        body["systemInstruction"] = json!({"parts": [{"text": asks.system}]});
    }
    if !asks.tools.is_empty() {
        let tool = |tool: &Tool| json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.schema});
        body["tools"] = json!([{"functionDeclarations": asks.tools.iter().map(tool).collect::<Vec<_>>()}]);
        body["toolConfig"]["functionCallingConfig"] = match &asks.choice {
            Choice::Free => json!({"mode": "AUTO"}),
            Choice::Any => json!({"mode": "ANY"}),
            Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        };
    }
    body
}

fn part(said: &Said, calls: &mut Calls) -> Value {
    match said {
        Said::Text(text) => json!({"text": text}),
        Said::Thinking(text) => json!({"text": text, "thought": true}),
        Said::Media { mime, data } => json!({"inlineData": {"mimeType": mime, "data": data}}),
        Said::Call { name, arguments, .. } => {
            let id = format!("fc{}", calls.len());
            calls.made(&id, name);
            json!({"functionCall": {"id": id, "name": name, "args": arguments}})
        }
        Said::Result { at, text } => {
            json!({"functionResponse": {"id": calls.id(*at), "name": calls.name(*at), "response": {"result": text}}})
        }
    }
}

pub(super) fn asked(body: &Value) -> Asks {
    let (config, choice) = (&body["generationConfig"], &body["toolConfig"]["functionCallingConfig"]);
    let thinking = &config["thinkingConfig"];
    let mut asks = Asks {
        system: items(&body["systemInstruction"]["parts"]).map(|part| text(&part["text"])).collect::<Vec<_>>().join("\n\n"),
        thinks: thinking["includeThoughts"] == true && thinking["thinkingBudget"] != 0,
        schema: Some(&config["responseJsonSchema"]).filter(|schema| schema.is_object()).cloned(),
        max_output: config["maxOutputTokens"].as_u64(),
        choice: match (choice["mode"].as_str(), choice["allowedFunctionNames"].get(0)) {
            (Some("ANY"), Some(name)) => Choice::Named(text(name)),
            (Some("ANY"), None) => Choice::Any,
            _ => Choice::Free,
        },
        tools: items(&body["tools"])
            .flat_map(|tool| items(&tool["functionDeclarations"]))
            .map(|tool| super::chat::tool_of(tool, "parametersJsonSchema"))
            .collect(),
        ..Asks::default()
    };
    let mut calls = Calls::default();
    for (place, content) in items(&body["contents"]).enumerate() {
        let is_models = content["role"] == "model";
        assert_eq!(is_models, place % 2 == 1, "the two sides take turns, the user first: {body}");
        let called = calls.len();
        let mut answered = 0;
        for part in items(&content["parts"]) {
            asks.states.extend(part["thoughtSignature"].as_str().map(str::to_owned));
            answered += usize::from(part["functionResponse"].is_object());
            if let Some(said) = understood(part, &mut calls) {
                add(&mut asks.turns, is_models, said);
            }
        }
        let made = calls.len() - called;
        if made > 0 {
            let results = items(&body["contents"][place + 1]["parts"]).filter(|part| part["functionResponse"].is_object());
            assert_eq!(results.count(), made, "as many results as calls, in the content after them: {body}");
        }
        assert!(answered == 0 || !is_models, "a model answers no call");
    }
    asks
}

fn understood(part: &Value, calls: &mut Calls) -> Option<Said> {
    if let Some(call) = part.get("functionCall") {
        assert!(call["args"].is_object() || call["args"].is_null(), "{part}");
        let name = text(&call["name"]);
        let arguments = if call["args"].is_null() { json!({}) } else { call["args"].clone() };
        return Some(Said::Call { at: calls.made(&text(&call["id"]), &name), name, arguments });
    }
    if let Some(result) = part.get("functionResponse") {
        let at = calls.at(&text(&result["id"]));
        assert_eq!(result["name"], calls.name(at), "a result names its function");
        return Some(Said::Result { at, text: text(&result["response"]["result"]) });
    }
    if let Some(media) = part.get("inlineData") {
        return Some(Said::Media { mime: text(&media["mimeType"]), data: text(&media["data"]) });
    }
    match part["text"].as_str() {
        Some(said) if part["thought"] == true => Some(Said::Thinking(said.to_owned())).filter(|_| !said.is_empty()),
        Some("") => None,
        Some(said) => Some(Said::Text(said.to_owned())),
        None if part["thoughtSignature"].is_string() => None,
        None => panic!("a part of no kind: {part}"),
    }
}

fn finish(end: &End) -> &'static str {
    match end {
        End::Stop | End::StopText(_) | End::Tool => "STOP",
        End::Length => "MAX_TOKENS",
        End::Filter => "SAFETY",
    }
}

fn usage(spent: &Spent) -> Value {
    json!({
        "promptTokenCount": spent.input, "cachedContentTokenCount": spent.cache_read, "thoughtsTokenCount": spent.reasoning,
        "candidatesTokenCount": spent.output - spent.reasoning, "totalTokenCount": spent.input + spent.output
    })
}

pub(super) fn answer(says: &Says) -> Value {
    let mut calls = Calls::default();
    let mut parts: Vec<Value> = says.said.iter().map(|said| part(said, &mut calls)).collect();
    if let Some(first) = parts.iter_mut().find(|part| part["functionCall"].is_object()) {
        first["thoughtSignature"] = STATE.into();
    }
    let candidate = json!({"content": {"role": "model", "parts": parts}, "finishReason": finish(&says.end), "index": 0});
    json!({"candidates": [candidate], "usageMetadata": usage(&says.spent), "modelVersion": says.model, "responseId": "r1"})
}

pub(super) fn stream(says: &Says) -> String {
    let whole = answer(says);
    let chunk = |parts: Value, finish: Option<&Value>| {
        let mut chunk = whole.clone();
        chunk["candidates"][0] = json!({"content": {"role": "model", "parts": parts}, "index": 0});
        if let Some(finish) = finish {
            chunk["candidates"][0]["finishReason"] = finish.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let mut stream = String::new();
    for part in items(&whole["candidates"][0]["content"]["parts"]) {
        match part["text"].as_str() {
            Some(text) => pieces(text).iter().for_each(|piece| {
                let mut part = part.clone();
                part["text"] = piece.as_str().into();
                stream += &chunk(json!([part]), None);
            }),
            None => stream += &chunk(json!([part]), None),
        }
    }
    stream + &chunk(json!([{"text": ""}]), Some(&whole["candidates"][0]["finishReason"]))
}

/// The answer that a client puts together from a stream.
pub(super) fn assembled(stream: &str) -> Result<Value, String> {
    let (mut answer, mut parts, mut finish) = (Value::Null, Vec::new(), Vec::new());
    for (name, data) in events(stream)? {
        let chunk: Value = serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        if name.is_some() || !finish.is_empty() && !chunk["candidates"].is_null() {
            return Err(format!("a chunk out of place: {name:?} {chunk}"));
        }
        if !answer.is_null() && answer["responseId"] != chunk["responseId"] {
            return Err(format!("another id: {chunk}"));
        }
        answer = chunk;
        let candidate = &answer["candidates"][0];
        let news: Vec<Value> = items(&candidate["content"]["parts"]).cloned().collect();
        let is_empty = |part: &Value| part["text"] == "" && part["thoughtSignature"].is_null();
        finish.extend(candidate["finishReason"].as_str().map(str::to_owned));
        if !news.is_empty() && news.iter().all(is_empty) && finish.is_empty() {
            return Err(format!("a chunk of nothing: {answer}"));
        }
        parts.extend(news);
    }
    let [finish] = finish.as_slice() else { return Err(format!("it ends {} times", finish.len())) };
    answer["candidates"] = json!([{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}]);
    Ok(answer)
}

pub(super) fn heard(answer: &Value) -> Says {
    let (candidate, used, mut calls) = (&answer["candidates"][0], &answer["usageMetadata"], Calls::default());
    let parts = &candidate["content"]["parts"];
    let output = count(used, "/candidatesTokenCount") + count(used, "/thoughtsTokenCount");
    assert_eq!(count(used, "/totalTokenCount"), count(used, "/promptTokenCount") + output);
    Says {
        model: text(&answer["modelVersion"]),
        states: items(parts).filter_map(|part| part["thoughtSignature"].as_str()).map(str::to_owned).collect(),
        said: items(parts).filter_map(|part| understood(part, &mut calls)).collect(),
        end: match candidate["finishReason"].as_str().unwrap() {
            "STOP" if calls.len() > 0 => End::Tool,
            "STOP" => End::Stop,
            "MAX_TOKENS" => End::Length,
            "SAFETY" => End::Filter,
            other => panic!("no finishReason that was meant: {other}"),
        },
        spent: Spent {
            input: count(used, "/promptTokenCount"),
            cache_read: count(used, "/cachedContentTokenCount"),
            cache_write: 0,
            output,
            reasoning: count(used, "/thoughtsTokenCount"),
        },
    }
}
