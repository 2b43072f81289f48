//! OpenAI Responses, spoken and understood without any code of ours: <https://platform.openai.com/docs/api-reference/responses>,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.

use serde_json::{Value, json};

use super::chat::tool_of;
use super::said::{
    Asks, Calls, Choice, End, Said, Says, Spent, Tool, add, count, data_url, event, events, items, parsed, pieces, text,
};

/// What this provider wants back of whatever it thinks.
pub(super) const STATE: &str = "gAAAAABotFkTOTrSb9U3m7DfLh0d1k";

pub(super) fn ask(asks: &Asks) -> Value {
    let (mut input, mut calls) = (Vec::new(), Calls::default());
    for turn in &asks.turns {
        match &turn.echo {
            Some(answer) => {
                for item in items(&answer["output"]) {
                    if item["type"] == "function_call" {
                        calls.made(&text(&item["call_id"]), &text(&item["name"]));
                    }
                    input.push(item.clone());
                }
            }
            None if turn.is_models => input.extend(turn.said.iter().map(|said| item(said, &mut calls))),
            None => user(&turn.said, &calls, &mut input),
        }
    }
    let mut body = json!({"model": "ours", "input": input, "stream": asks.streams});
    if !asks.system.is_empty() {
        body["instructions"] = asks.system.as_str().into();
    }
    if !asks.tools.is_empty() {
        let tool = |tool: &Tool| json!({"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema, "strict": false});
        body["tools"] = asks.tools.iter().map(tool).collect();
        body["tool_choice"] = match &asks.choice {
            Choice::Free => "auto".into(),
            Choice::Any => "required".into(),
            Choice::Named(name) => json!({"type": "function", "name": name}),
        };
    }
    if asks.thinks {
        body["reasoning"] = json!({"effort": "high", "summary": "auto"});
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if let Some(schema) = &asks.schema {
        body["text"]["format"] = json!({"type": "json_schema", "name": "reply", "schema": schema, "strict": true});
    }
    if let Some(most) = asks.max_output {
        body["max_output_tokens"] = most.into();
    }
    body
}

/// What a model says, as an item of the history or of an answer.
fn item(said: &Said, calls: &mut Calls) -> Value {
    match said {
        Said::Text(text) => {
            let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]})
        }
        Said::Thinking(text) => json!({
            "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": STATE
        }),
        Said::Call { name, arguments, .. } => {
            let (id, item) = (format!("call_{}", calls.len()), format!("fc_{}", calls.len()));
            calls.made(&id, name);
            let arguments = arguments.to_string();
            json!({"type": "function_call", "id": item, "call_id": id, "name": name, "arguments": arguments, "status": "completed"})
        }
        other => panic!("a model says {other:?}"),
    }
}

fn user(said: &[Said], calls: &Calls, input: &mut Vec<Value>) {
    let mut parts = Vec::new();
    for said in said {
        match said {
            Said::Result { at, text } => {
                input.push(json!({"type": "function_call_output", "call_id": calls.id(*at), "output": text}));
            }
            Said::Text(text) => parts.push(json!({"type": "input_text", "text": text})),
            Said::Media { mime, data } if mime.starts_with("image/") => {
                parts.push(json!({"type": "input_image", "detail": "auto", "image_url": format!("data:{mime};base64,{data}")}));
            }
            Said::Media { mime, data } => {
                let data = format!("data:{mime};base64,{data}");
                parts.push(json!({"type": "input_file", "filename": "paper.pdf", "file_data": data}));
            }
            other => panic!("a user says {other:?}"),
        }
    }
    if !parts.is_empty() {
        input.push(json!({"role": "user", "content": parts}));
    }
}

pub(super) fn asked(body: &Value) -> Asks {
    let mut asks = Asks {
        thinks: body["reasoning"]["effort"].as_str().is_some_and(|effort| effort != "none"),
        schema: body.pointer("/text/format/schema").cloned(),
        max_output: body["max_output_tokens"].as_u64(),
        streams: body["stream"] == true,
        choice: match &body["tool_choice"] {
            Value::String(word) if word == "required" => Choice::Any,
            Value::Object(choice) => Choice::Named(text(&choice["name"])),
            _ => Choice::Free,
        },
        tools: items(&body["tools"]).map(|tool| tool_of(tool, "parameters")).collect(),
        ..Asks::default()
    };
    let (mut system, mut calls) = (vec![text(&body["instructions"])], Calls::default());
    for item in items(&body["input"]) {
        match item["type"].as_str().unwrap_or("message") {
            "message" if matches!(item["role"].as_str(), Some("system" | "developer")) => {
                system.extend(items(&item["content"]).map(|part| text(&part["text"])));
            }
            "function_call_output" => {
                let said = match &item["output"] {
                    Value::String(text) => text.clone(),
                    parts => items(parts).map(|part| text(&part["text"])).collect(),
                };
                let at = calls.at(&text(&item["call_id"]));
                add(&mut asks.turns, false, Said::Result { at, text: said });
            }
            "message" if item["role"] == "user" => {
                for said in parts(item) {
                    add(&mut asks.turns, false, said);
                }
            }
            _ => {
                asks.states.extend(item["encrypted_content"].as_str().map(str::to_owned));
                for said in made(item, &mut calls) {
                    add(&mut asks.turns, true, said);
                }
            }
        }
    }
    system.retain(|text| !text.is_empty());
    asks.system = system.join("\n\n");
    asks
}

fn parts(item: &Value) -> Vec<Said> {
    if let Value::String(text) = &item["content"] {
        return vec![Said::Text(text.clone())];
    }
    let part = |part: &Value| match (part["type"].as_str().unwrap(), item["role"].as_str().unwrap()) {
        ("input_text", "user") | ("output_text", "assistant") => Said::Text(text(&part["text"])),
        ("input_image", "user") => data_url(part["image_url"].as_str().unwrap()),
        ("input_file", "user") => {
            assert!(part["filename"].is_string(), "{part}");
            data_url(part["file_data"].as_str().unwrap())
        }
        (kind, role) => panic!("{kind} of {role}"),
    };
    items(&item["content"]).map(part).collect()
}

/// What an item of the model's says.
fn made(item: &Value, calls: &mut Calls) -> Vec<Said> {
    match item["type"].as_str().unwrap_or("message") {
        "message" => parts(item),
        "reasoning" => {
            let summary: String = items(&item["summary"]).map(|part| text(&part["text"])).collect();
            Some(Said::Thinking(summary)).into_iter().filter(|said| *said != Said::Thinking(String::new())).collect()
        }
        "function_call" => {
            assert!(item["id"].is_null() || item["id"].as_str().is_some_and(|id| id.starts_with("fc_")), "{item}");
            let name = text(&item["name"]);
            vec![Said::Call { at: calls.made(&text(&item["call_id"]), &name), name, arguments: parsed(&item["arguments"]) }]
        }
        other => panic!("an item of type {other}"),
    }
}

fn status(end: &End) -> (&'static str, Value) {
    match end {
        End::Stop | End::StopText(_) | End::Tool => ("completed", Value::Null),
        End::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        End::Filter => ("incomplete", json!({"reason": "content_filter"})),
    }
}

fn usage(spent: &Spent) -> Value {
    json!({
        "input_tokens": spent.input, "output_tokens": spent.output, "total_tokens": spent.input + spent.output,
        "input_tokens_details": {"cached_tokens": spent.cache_read, "cache_write_tokens": spent.cache_write},
        "output_tokens_details": {"reasoning_tokens": spent.reasoning}
    })
}

pub(super) fn answer(says: &Says) -> Value {
    let ((status, details), mut calls) = (status(&says.end), Calls::default());
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
        "incomplete_details": details, "model": says.model, "usage": usage(&says.spent), "parallel_tool_calls": true,
        "output": says.said.iter().map(|said| item(said, &mut calls)).collect::<Vec<_>>(), "tool_choice": "auto", "tools": []
    })
}

pub(super) fn stream(says: &Says) -> String {
    let whole = answer(says);
    let mut begun = whole.clone();
    (begun["status"], begun["output"], begun["usage"]) = ("in_progress".into(), json!([]), Value::Null);
    begun["incomplete_details"] = Value::Null;
    let mut number = 0;
    let mut stream = event("response.created", json!({"response": begun}), Some(&mut number));
    stream += &event("response.in_progress", json!({"response": begun}), Some(&mut number));
    for (at, item) in items(&whole["output"]).enumerate() {
        stream += &streamed(at, item, &mut number);
    }
    let last = format!("response.{}", text(&whole["status"]));
    stream + &event(&last, json!({"response": whole}), Some(&mut number))
}

fn streamed(at: usize, item: &Value, number: &mut u64) -> String {
    let (id, mut opened) = (&item["id"], item.clone());
    let mut stream = String::new();
    let mut tell = |name: &str, mut data: Value| {
        (data["item_id"], data["output_index"]) = (id.clone(), at.into());
        stream += &event(name, data, Some(number));
    };
    match item["type"].as_str().unwrap() {
        "reasoning" => {
            opened["summary"] = json!([]);
            opened.as_object_mut().unwrap().remove("encrypted_content");
            tell("response.output_item.added", json!({"item": opened}));
            let whole = text(&item["summary"][0]["text"]);
            tell(
                "response.reasoning_summary_part.added",
                json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
            );
            for piece in pieces(&whole) {
                tell("response.reasoning_summary_text.delta", json!({"summary_index": 0, "delta": piece}));
            }
            tell("response.reasoning_summary_text.done", json!({"summary_index": 0, "text": whole}));
            tell("response.reasoning_summary_part.done", json!({"summary_index": 0, "part": item["summary"][0]}));
        }
        "message" => {
            (opened["status"], opened["content"]) = ("in_progress".into(), json!([]));
            tell("response.output_item.added", json!({"item": opened}));
            let (whole, mut part) = (text(&item["content"][0]["text"]), item["content"][0].clone());
            part["text"] = "".into();
            tell("response.content_part.added", json!({"content_index": 0, "part": part}));
            for piece in pieces(&whole) {
                tell("response.output_text.delta", json!({"content_index": 0, "delta": piece, "logprobs": []}));
            }
            tell("response.output_text.done", json!({"content_index": 0, "text": whole, "logprobs": []}));
            tell("response.content_part.done", json!({"content_index": 0, "part": item["content"][0]}));
        }
        _ => {
            (opened["status"], opened["arguments"]) = ("in_progress".into(), "".into());
            tell("response.output_item.added", json!({"item": opened}));
            for piece in pieces(item["arguments"].as_str().unwrap()) {
                tell("response.function_call_arguments.delta", json!({"delta": piece}));
            }
            tell("response.function_call_arguments.done", json!({"name": item["name"], "arguments": item["arguments"]}));
        }
    }
    tell("response.output_item.done", json!({"item": item}));
    stream
}

/// The answer that a client puts together from a stream: numbered without a gap, items opened and closed, the end equal to what was told.
pub(super) fn assembled(stream: &str) -> Result<Value, String> {
    let (mut done, mut open, mut deltas) = (Vec::new(), Value::Null, String::new());
    let mut answer = Value::Null;
    for (number, (name, data)) in events(stream)?.into_iter().enumerate() {
        let data: Value = serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        let kind = name.unwrap_or_default();
        if data["type"] != kind || data["sequence_number"] != number || answer.is_object() {
            return Err(format!("an event out of place: {kind} {data}"));
        }
        if number < 2 && kind != ["response.created", "response.in_progress"][number] {
            return Err(format!("it begins with {kind}"));
        }
        if !data["output_index"].is_null() && data["output_index"] != done.len() {
            return Err(format!("an item out of order: {data}"));
        }
        let is_of_open = data["item_id"].is_null() || data["item_id"] == open["id"];
        match kind.as_str() {
            "response.created" | "response.in_progress" => {}
            "response.output_item.added" if open.is_null() => open = data["item"].clone(),
            "response.content_part.added" | "response.reasoning_summary_part.added" if is_of_open => deltas.clear(),
            "response.output_text.delta" | "response.reasoning_summary_text.delta" | "response.function_call_arguments.delta"
                if is_of_open =>
            {
                deltas.push_str(&text(&data["delta"]));
            }
            "response.output_text.done" | "response.reasoning_summary_text.done" if is_of_open && data["text"] == deltas => {}
            "response.function_call_arguments.done" if is_of_open && data["arguments"] == deltas => {}
            "response.content_part.done" | "response.reasoning_summary_part.done" if is_of_open => {}
            "response.output_item.done" if data["item"]["id"] == open["id"] && !open.is_null() => {
                done.push(data["item"].clone());
                open = Value::Null;
                deltas.clear();
            }
            "response.completed" | "response.incomplete" if open.is_null() => answer = data["response"].clone(),
            other => return Err(format!("{other} out of order: {data}")),
        }
    }
    if answer["output"] != Value::Array(done.clone()) {
        return Err(format!("the end is not what was told: {answer} and {done:?}"));
    }
    Ok(answer)
}

pub(super) fn heard(answer: &Value) -> Says {
    let (used, mut calls) = (&answer["usage"], Calls::default());
    let said: Vec<Said> = items(&answer["output"]).flat_map(|item| made(item, &mut calls)).collect();
    assert_eq!(count(used, "/total_tokens"), count(used, "/input_tokens") + count(used, "/output_tokens"));
    Says {
        model: text(&answer["model"]),
        states: items(&answer["output"]).filter_map(|item| item["encrypted_content"].as_str()).map(str::to_owned).collect(),
        said,
        end: match (answer["status"].as_str().unwrap(), answer["incomplete_details"]["reason"].as_str()) {
            ("completed", None) if calls.len() > 0 => End::Tool,
            ("completed", None) => End::Stop,
            ("incomplete", Some("max_output_tokens")) => End::Length,
            ("incomplete", Some("content_filter")) => End::Filter,
            other => panic!("no end of Responses: {other:?}"),
        },
        spent: Spent {
            input: count(used, "/input_tokens"),
            cache_read: count(used, "/input_tokens_details/cached_tokens"),
            cache_write: count(used, "/input_tokens_details/cache_write_tokens"),
            output: count(used, "/output_tokens"),
            reasoning: count(used, "/output_tokens_details/reasoning_tokens"),
        },
    }
}
