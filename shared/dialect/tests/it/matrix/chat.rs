//! OpenAI Chat Completions, spoken and understood without any code of ours:
//! <https://platform.openai.com/docs/api-reference/chat>.

use serde_json::{Value, json};

use super::said::{Asks, Calls, Choice, End, Said, Says, Spent, Tool, add, count, data_url, events, items, parsed, pieces, text};

pub(super) fn ask(asks: &Asks) -> Value {
    let (mut messages, mut calls) = (Vec::new(), Calls::default());
    if !asks.system.is_empty() {
        messages.push(json!({"role": "system", "content": asks.system}));
    }
    for turn in &asks.turns {
        match &turn.echo {
            Some(answer) => {
                let message = &answer["choices"][0]["message"];
                for call in items(&message["tool_calls"]) {
                    calls.made(&text(&call["id"]), &text(&call["function"]["name"]));
                }
                messages.push(message.clone());
            }
            None if turn.is_models => messages.push(message(&turn.said, &mut calls)),
            None => user(&turn.said, &calls, &mut messages),
        }
    }
    let mut body = json!({"model": "ours", "messages": messages, "stream": asks.streams});
    if asks.streams {
        body["stream_options"] = json!({"include_usage": true});
    }
    if !asks.tools.is_empty() {
        let tool = |tool: &Tool| json!({"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema}});
        body["tools"] = asks.tools.iter().map(tool).collect();
        body["tool_choice"] = match &asks.choice {
            Choice::Free => "auto".into(),
            Choice::Any => "required".into(),
            Choice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        };
    }
    if asks.thinks {
        body["reasoning_effort"] = "high".into();
    }
    if let Some(schema) = &asks.schema {
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": true}});
    }
    if let Some(most) = asks.max_output {
        body["max_completion_tokens"] = most.into();
    }
    body
}

fn message(said: &[Said], calls: &mut Calls) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    for said in said {
        match said {
            Said::Text(said) => message["content"] = (text(&message["content"]) + said).into(),
            Said::Thinking(said) => message["reasoning_content"] = said.as_str().into(),
            Said::Call { name, arguments, .. } => {
                let id = format!("call_{}", calls.len());
                calls.made(&id, name);
                let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
                match &mut message["tool_calls"] {
                    Value::Array(list) => list.push(call),
                    none => *none = json!([call]),
                }
            }
            other => panic!("a model says {other:?}"),
        }
    }
    message
}

fn user(said: &[Said], calls: &Calls, messages: &mut Vec<Value>) {
    let mut parts = Vec::new();
    for said in said {
        match said {
            Said::Result { at, text } => {
                messages.push(json!({"role": "tool", "tool_call_id": calls.id(*at), "content": text}));
            }
            Said::Text(text) => parts.push(json!({"type": "text", "text": text})),
            Said::Media { mime, data } if mime.starts_with("image/") => {
                parts.push(json!({"type": "image_url", "image_url": {"url": format!("data:{mime};base64,{data}")}}));
            }
            Said::Media { mime, data } => {
                let file = json!({"filename": "paper.pdf", "file_data": format!("data:{mime};base64,{data}")});
                parts.push(json!({"type": "file", "file": file}));
            }
            other => panic!("a user says {other:?}"),
        }
    }
    if !parts.is_empty() {
        messages.push(json!({"role": "user", "content": parts}));
    }
}

pub(super) fn asked(body: &Value) -> Asks {
    let mut asks = Asks {
        thinks: body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none"),
        schema: body.pointer("/response_format/json_schema/schema").cloned(),
        max_output: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
        streams: body["stream"] == true,
        choice: match &body["tool_choice"] {
            Value::String(word) if word == "required" => Choice::Any,
            Value::Object(choice) => Choice::Named(text(&choice["function"]["name"])),
            _ => Choice::Free,
        },
        tools: items(&body["tools"]).map(|tool| tool_of(&tool["function"], "parameters")).collect(),
        ..Asks::default()
    };
    let (mut calls, mut system) = (Calls::default(), Vec::new());
    for message in items(&body["messages"]) {
        let content = match &message["content"] {
            Value::String(text) => vec![Said::Text(text.clone())],
            parts => items(parts).map(part).collect(),
        };
        match message["role"].as_str().unwrap() {
            "system" | "developer" => {
                system
                    .extend(content.into_iter().map(|said| if let Said::Text(text) = said { text } else { panic!("{said:?}") }));
            }
            "tool" => {
                let text =
                    content.iter().map(|said| if let Said::Text(text) = said { text.as_str() } else { panic!("{said:?}") });
                let at = calls.at(&text_of(&message["tool_call_id"]));
                add(&mut asks.turns, false, Said::Result { at, text: text.collect() });
            }
            "assistant" => {
                states(message, &mut asks.states);
                for said in said(message, &mut calls) {
                    add(&mut asks.turns, true, said);
                }
            }
            _ => content.into_iter().for_each(|said| add(&mut asks.turns, false, said)),
        }
    }
    asks.system = system.join("\n\n");
    asks
}

fn text_of(value: &Value) -> String {
    text(value)
}

pub(super) fn tool_of(tool: &Value, schema: &str) -> Tool {
    Tool { name: text(&tool["name"]), description: text(&tool["description"]), schema: tool[schema].clone() }
}

fn part(part: &Value) -> Said {
    match part["type"].as_str().unwrap() {
        "text" => Said::Text(text(&part["text"])),
        "image_url" => data_url(part["image_url"]["url"].as_str().unwrap()),
        "file" => {
            assert!(part["file"]["filename"].is_string(), "{part}");
            data_url(part["file"]["file_data"].as_str().unwrap())
        }
        other => panic!("a part of type {other}"),
    }
}

/// What an assistant's message says: reasoning, text, calls.
fn said(message: &Value, calls: &mut Calls) -> Vec<Said> {
    let reasoning = message["reasoning_content"].as_str().filter(|text| !text.is_empty());
    let mut all: Vec<Said> = reasoning.map(|text| Said::Thinking(text.to_owned())).into_iter().collect();
    match &message["content"] {
        Value::String(text) if !text.is_empty() => all.push(Said::Text(text.clone())),
        parts => all.extend(items(parts).map(part)),
    }
    for call in items(&message["tool_calls"]) {
        let name = text(&call["function"]["name"]);
        let at = calls.made(&text(&call["id"]), &name);
        all.push(Said::Call { at, name, arguments: parsed(&call["function"]["arguments"]) });
    }
    all
}

fn states(message: &Value, states: &mut Vec<String>) {
    for detail in items(&message["reasoning_details"]) {
        states.extend(detail["signature"].as_str().or(detail["data"].as_str()).map(str::to_owned));
    }
    for call in items(&message["tool_calls"]) {
        states.extend(call.pointer("/extra_content/google/thought_signature").and_then(Value::as_str).map(str::to_owned));
    }
}

fn finish(end: &End) -> &'static str {
    match end {
        End::Stop | End::StopText(_) => "stop",
        End::Tool => "tool_calls",
        End::Length => "length",
        End::Filter => "content_filter",
    }
}

fn usage(spent: &Spent) -> Value {
    json!({
        "prompt_tokens": spent.input, "completion_tokens": spent.output, "total_tokens": spent.input + spent.output,
        "prompt_tokens_details": {"cached_tokens": spent.cache_read, "cache_write_tokens": spent.cache_write},
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning}
    })
}

pub(super) fn answer(says: &Says) -> Value {
    let mut message = message(&says.said, &mut Calls::default());
    message["refusal"] = Value::Null;
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": says.model, "usage": usage(&says.spent),
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish(&says.end)}]
    })
}

pub(super) fn stream(says: &Says) -> String {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": says.model, "choices": choices,
            "usage": usage
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), Value::Null);
    let mut stream = delta(json!({"role": "assistant", "content": ""}), Value::Null);
    let mut fragments: Vec<Vec<String>> = Vec::new();
    for said in &says.said {
        match said {
            Said::Text(text) => {
                for text in pieces(text) {
                    stream += &delta(json!({"content": text}), Value::Null);
                }
            }
            Said::Thinking(text) => {
                for text in pieces(text) {
                    stream += &delta(json!({"reasoning_content": text}), Value::Null);
                }
            }
            Said::Call { name, arguments, .. } => {
                let index = fragments.len();
                let call = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": name, "arguments": ""}});
                stream += &delta(json!({"tool_calls": [call]}), Value::Null);
                let fragment = |piece: &String| {
                    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), Value::Null)
                };
                fragments.push(pieces(&arguments.to_string()).iter().map(fragment).collect());
            }
            other => panic!("a model says {other:?}"),
        }
    }
    // fragments of several calls come mixed
    for at in 0..fragments.iter().map(Vec::len).max().unwrap_or(0) {
        stream.extend(fragments.iter().filter_map(|call| call.get(at).map(String::as_str)));
    }
    stream += &delta(json!({}), finish(&says.end).into());
    stream + &chunk(json!([]), usage(&says.spent)) + "data: [DONE]\n\n"
}

/// The answer that a client puts together from a stream.
pub(super) fn assembled(stream: &str) -> Result<Value, String> {
    let mut events = events(stream)?;
    if events.pop().map(|last| last.1) != Some("[DONE]".to_owned()) {
        return Err("no [DONE] at the end".to_owned());
    }
    let mut answer = Value::Null;
    let (mut message, mut finishes, mut roles) = (json!({"content": null}), Vec::new(), 0);
    let mut calls: Vec<Value> = Vec::new();
    for (name, data) in events {
        let chunk: Value = serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        if name.is_some() || chunk["object"] != "chat.completion.chunk" {
            return Err(format!("no chunk: {name:?} {chunk}"));
        }
        for constant in ["id", "created", "model"] {
            if chunk[constant].is_null() || !answer[constant].is_null() && answer[constant] != chunk[constant] {
                return Err(format!("{constant} changes: {chunk}"));
            }
        }
        answer = json!({"id": chunk["id"], "created": chunk["created"], "model": chunk["model"], "usage": chunk["usage"]});
        let Some(choice) = chunk["choices"].get(0) else { continue };
        if !finishes.is_empty() {
            return Err(format!("something after the finish: {chunk}"));
        }
        let delta = &choice["delta"];
        roles += usize::from(delta["role"].is_string());
        for field in ["content", "reasoning_content"] {
            if let Some(piece) = delta[field].as_str() {
                message[field] = (text(&message[field]) + piece).into();
            }
        }
        items(&delta["reasoning_details"]).for_each(|detail| match &mut message["reasoning_details"] {
            Value::Array(list) => list.push(detail.clone()),
            none => *none = json!([detail]),
        });
        for fragment in items(&delta["tool_calls"]) {
            gather(fragment, &mut calls)?;
        }
        finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    if roles != 1 || finishes.len() != 1 {
        return Err(format!("{roles} roles and {finishes:?}"));
    }
    message["role"] = "assistant".into();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    answer["choices"] = json!([{"index": 0, "message": message, "finish_reason": finishes[0]}]);
    Ok(answer)
}

fn gather(fragment: &Value, calls: &mut Vec<Value>) -> Result<(), String> {
    let index = fragment["index"].as_u64().and_then(|index| usize::try_from(index).ok()).ok_or("a fragment without index")?;
    if index == calls.len() {
        let mut call = fragment.clone();
        call.as_object_mut().unwrap().remove("index");
        if call["id"].as_str().is_none_or(str::is_empty) || call["function"]["name"].as_str().is_none_or(str::is_empty) {
            return Err(format!("a call without id or name: {fragment}"));
        }
        calls.push(call);
        return Ok(());
    }
    let call = calls.get_mut(index).ok_or_else(|| format!("an index out of order: {fragment}"))?;
    if !fragment["id"].is_null() || !fragment["function"]["name"].is_null() {
        return Err(format!("a call named twice: {fragment}"));
    }
    call["function"]["arguments"] = (text(&call["function"]["arguments"]) + &text(&fragment["function"]["arguments"])).into();
    Ok(())
}

pub(super) fn heard(answer: &Value) -> Says {
    let (choice, used) = (&answer["choices"][0], &answer["usage"]);
    let mut state = Vec::new();
    states(&choice["message"], &mut state);
    assert_eq!(count(used, "/total_tokens"), count(used, "/prompt_tokens") + count(used, "/completion_tokens"));
    Says {
        model: text(&answer["model"]),
        said: said(&choice["message"], &mut Calls::default()),
        end: match choice["finish_reason"].as_str().unwrap() {
            "stop" => End::Stop,
            "tool_calls" => End::Tool,
            "length" => End::Length,
            "content_filter" => End::Filter,
            other => panic!("no finish_reason of Chat: {other}"),
        },
        spent: Spent {
            input: count(used, "/prompt_tokens"),
            cache_read: count(used, "/prompt_tokens_details/cached_tokens"),
            cache_write: count(used, "/prompt_tokens_details/cache_write_tokens"),
            output: count(used, "/completion_tokens"),
            reasoning: count(used, "/completion_tokens_details/reasoning_tokens"),
        },
        states: state,
    }
}
