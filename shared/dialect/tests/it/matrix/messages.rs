//! Anthropic Messages, spoken and understood without any code of ours: <https://docs.anthropic.com/en/api/messages>,
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use serde_json::{Value, json};

use super::chat::tool_of;
use super::said::{Asks, Calls, Choice, End, Said, Says, Spent, Tool, add, count, event, events, items, pieces, text};

pub(super) fn ask(asks: &Asks) -> Value {
    let (mut messages, mut calls) = (Vec::new(), Calls::default());
    for turn in &asks.turns {
        let content: Vec<Value> = match &turn.echo {
            Some(answer) => {
                let blocks = items(&answer["content"]).cloned().collect::<Vec<_>>();
                blocks.iter().filter(|block| block["type"] == "tool_use").for_each(|call| {
                    calls.made(&text(&call["id"]), &text(&call["name"]));
                });
                blocks
            }
            None => turn.said.iter().map(|said| block(said, &mut calls)).collect(),
        };
        messages.push(json!({"role": if turn.is_models { "assistant" } else { "user" }, "content": content}));
    }
    let mut body = json!({
        "model": "ours", "max_tokens": asks.max_output.unwrap_or(16_000), "messages": messages, "stream": asks.streams
    });
    if !asks.system.is_empty() {
        body["system"] = asks.system.as_str().into();
    }
    if !asks.tools.is_empty() {
        let tool = |tool: &Tool| json!({"name": tool.name, "description": tool.description, "input_schema": tool.schema});
        body["tools"] = asks.tools.iter().map(tool).collect();
        body["tool_choice"] = match &asks.choice {
            Choice::Free => json!({"type": "auto"}),
            Choice::Any => json!({"type": "any"}),
            Choice::Named(name) => json!({"type": "tool", "name": name}),
        };
    }
    if asks.thinks {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 10_000});
    }
    if let Some(schema) = &asks.schema {
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
    }
    body
}

fn block(said: &Said, calls: &mut Calls) -> Value {
    match said {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Thinking(text) => json!({"type": "thinking", "thinking": text, "signature": STATE}),
        Said::Media { mime, data } => {
            let kind = if mime.starts_with("image/") { "image" } else { "document" };
            json!({"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}})
        }
        Said::Call { name, arguments, .. } => {
            let id = format!("toolu_{}", calls.len());
            calls.made(&id, name);
            json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
        }
        Said::Result { at, text } => {
            json!({"type": "tool_result", "tool_use_id": calls.id(*at), "content": [{"type": "text", "text": text}]})
        }
    }
}

/// The signature of whatever this provider thinks.
pub(super) const STATE: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrk";

pub(super) fn asked(body: &Value) -> Asks {
    let mut asks = Asks {
        system: match &body["system"] {
            Value::String(text) => text.clone(),
            blocks => items(blocks).map(|block| text(&block["text"])).collect::<Vec<_>>().join("\n\n"),
        },
        thinks: matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive")),
        schema: body.pointer("/output_config/format/schema").cloned(),
        max_output: body["max_tokens"].as_u64(),
        streams: body["stream"] == true,
        choice: match body["tool_choice"]["type"].as_str() {
            Some("any") => Choice::Any,
            Some("tool") => Choice::Named(text(&body["tool_choice"]["name"])),
            _ => Choice::Free,
        },
        tools: items(&body["tools"]).map(|tool| tool_of(tool, "input_schema")).collect(),
        ..Asks::default()
    };
    assert!(asks.max_output.is_some(), "max_tokens is required");
    let mut calls = Calls::default();
    for (place, message) in items(&body["messages"]).enumerate() {
        let is_models = message["role"] == "assistant";
        assert_eq!(is_models, place % 2 == 1, "the two sides take turns, the user first: {body}");
        if let Value::String(text) = &message["content"] {
            add(&mut asks.turns, is_models, Said::Text(text.clone()));
        }
        for block in items(&message["content"]) {
            asks.states.extend(block["signature"].as_str().or(block["data"].as_str()).map(str::to_owned));
            if let Some(said) = understood(block, &mut calls) {
                add(&mut asks.turns, is_models, said);
            }
        }
    }
    asks
}

fn understood(block: &Value, calls: &mut Calls) -> Option<Said> {
    Some(match block["type"].as_str().unwrap() {
        "text" => Said::Text(text(&block["text"])),
        "thinking" => {
            assert!(block["signature"].as_str().is_some_and(|value| !value.is_empty()), "thinking without signature");
            Said::Thinking(text(&block["thinking"]))
        }
        "redacted_thinking" => {
            assert!(block["data"].is_string(), "{block}");
            return None;
        }
        "image" | "document" => {
            assert_eq!(block["source"]["type"], "base64", "{block}");
            Said::Media { mime: text(&block["source"]["media_type"]), data: text(&block["source"]["data"]) }
        }
        "tool_use" => {
            assert!(block["input"].is_object(), "{block}");
            let (id, name) = (text(&block["id"]), text(&block["name"]));
            assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
            Said::Call { at: calls.made(&id, &name), name, arguments: block["input"].clone() }
        }
        "tool_result" => {
            let said = match &block["content"] {
                Value::String(text) => text.clone(),
                blocks => items(blocks).map(|block| text(&block["text"])).collect(),
            };
            Said::Result { at: calls.at(&text(&block["tool_use_id"])), text: said }
        }
        other => panic!("a block of type {other}"),
    })
}

fn stop(end: &End) -> (&'static str, Value) {
    match end {
        End::Stop => ("end_turn", Value::Null),
        End::StopText(text) => ("stop_sequence", text.as_str().into()),
        End::Tool => ("tool_use", Value::Null),
        End::Length => ("max_tokens", Value::Null),
        End::Filter => ("refusal", Value::Null),
    }
}

fn usage(spent: &Spent) -> Value {
    json!({
        "input_tokens": spent.input - spent.cache_read - spent.cache_write, "cache_read_input_tokens": spent.cache_read,
        "cache_creation_input_tokens": spent.cache_write, "output_tokens": spent.output,
        "output_tokens_details": {"thinking_tokens": spent.reasoning}
    })
}

pub(super) fn answer(says: &Says) -> Value {
    let (reason, stop_text) = stop(&says.end);
    let mut calls = Calls::default();
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": says.model, "usage": usage(&says.spent),
        "content": says.said.iter().map(|said| block(said, &mut calls)).collect::<Vec<_>>(), "stop_reason": reason,
        "stop_sequence": stop_text
    })
}

pub(super) fn stream(says: &Says) -> String {
    let (reason, stop_text) = stop(&says.end);
    let mut start = answer(says);
    (start["content"], start["stop_reason"], start["stop_sequence"]) = (json!([]), Value::Null, Value::Null);
    start["usage"]["output_tokens"] = 1.into();
    let mut stream = event("message_start", json!({"message": start}), None);
    let mut calls = Calls::default();
    for (index, said) in says.said.iter().enumerate() {
        let mut begun = block(said, &mut calls);
        let (field, kind, whole) = match said {
            Said::Text(text) => ("text", "text_delta", text.clone()),
            Said::Thinking(text) => ("thinking", "thinking_delta", text.clone()),
            Said::Call { arguments, .. } => ("partial_json", "input_json_delta", arguments.to_string()),
            other => panic!("a model says {other:?}"),
        };
        match said {
            Said::Call { .. } => begun["input"] = json!({}),
            _ => begun[field] = "".into(),
        }
        let signature = begun.get_mut("signature").map(|value| std::mem::replace(value, "".into()));
        stream += &event("content_block_start", json!({"index": index, "content_block": begun}), None);
        if index == 0 {
            stream += &event("ping", json!({}), None);
        }
        for piece in pieces(&whole) {
            stream += &event("content_block_delta", json!({"index": index, "delta": {"type": kind, field: piece}}), None);
        }
        if let Some(signature) = signature {
            let delta = json!({"type": "signature_delta", "signature": signature});
            stream += &event("content_block_delta", json!({"index": index, "delta": delta}), None);
        }
        stream += &event("content_block_stop", json!({"index": index}), None);
    }
    let delta = json!({"stop_reason": reason, "stop_sequence": stop_text});
    stream += &event("message_delta", json!({"delta": delta, "usage": usage(&says.spent)}), None);
    stream + &event("message_stop", json!({}), None)
}

/// The answer that a client puts together from a stream: blocks one after the other, counted from 0 without a gap.
pub(super) fn assembled(stream: &str) -> Result<Value, String> {
    let (mut answer, mut open, mut json) = (Value::Null, None, String::new());
    let (mut is_over, mut has_end) = (false, false);
    for (name, data) in events(stream)? {
        let data: Value = serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        if name.as_deref() != data["type"].as_str() || is_over {
            return Err(format!("an event out of place: {name:?} {data}"));
        }
        let kind = name.unwrap_or_default();
        if answer.is_null() != (kind == "message_start") && kind != "ping" {
            return Err(format!("{kind} out of order"));
        }
        match kind.as_str() {
            "message_start" => answer = data["message"].clone(),
            "content_block_start" => {
                let content = answer["content"].as_array_mut().ok_or("no content")?;
                if open.is_some() || data["index"] != content.len() || has_end {
                    return Err(format!("a block out of order: {data}"));
                }
                open = Some(content.len());
                content.push(data["content_block"].clone());
                json.clear();
            }
            "content_block_delta" => {
                let at = open.filter(|at| data["index"] == *at).ok_or_else(|| format!("a delta of no open block: {data}"))?;
                grow(&mut answer["content"][at], &data["delta"], &mut json)?;
            }
            "content_block_stop" => {
                let at =
                    open.take().filter(|at| data["index"] == *at).ok_or_else(|| format!("a stop of no open block: {data}"))?;
                let block = &mut answer["content"][at];
                match block["type"].as_str() {
                    Some("text") if block["text"] == "" => return Err("an empty text block".to_owned()),
                    Some("thinking") if block["signature"] == "" => return Err("thinking without signature".to_owned()),
                    Some("tool_use") if !json.is_empty() => {
                        block["input"] = serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))?;
                    }
                    _ => {}
                }
            }
            "message_delta" if open.is_none() && !has_end => {
                has_end = true;
                for field in ["stop_reason", "stop_sequence"] {
                    answer[field] = data["delta"][field].clone();
                }
                for (field, value) in data["usage"].as_object().ok_or("no usage")? {
                    answer["usage"][field] = value.clone();
                }
            }
            "message_stop" if has_end => is_over = true,
            "ping" => {}
            other => return Err(format!("{other} out of order")),
        }
    }
    if is_over { Ok(answer) } else { Err("no message_stop".to_owned()) }
}

fn grow(block: &mut Value, delta: &Value, json: &mut String) -> Result<(), String> {
    let of_kind = |kind| if block["type"] == kind { Ok(()) } else { Err(format!("{delta} in {block}")) };
    let field = match delta["type"].as_str() {
        Some("text_delta") => of_kind("text").map(|()| "text")?,
        Some("thinking_delta") => of_kind("thinking").map(|()| "thinking")?,
        Some("signature_delta") => of_kind("thinking").map(|()| "signature")?,
        Some("input_json_delta") => {
            of_kind("tool_use")?;
            json.push_str(&text(&delta["partial_json"]));
            return Ok(());
        }
        other => return Err(format!("a delta of type {other:?}")),
    };
    block[field] = (text(&block[field]) + &text(&delta[field])).into();
    Ok(())
}

pub(super) fn heard(answer: &Value) -> Says {
    let (used, mut calls) = (&answer["usage"], Calls::default());
    let (cache_read, cache_write) = (count(used, "/cache_read_input_tokens"), count(used, "/cache_creation_input_tokens"));
    let states = items(&answer["content"]).filter_map(|block| block["signature"].as_str().or(block["data"].as_str()));
    Says {
        model: text(&answer["model"]),
        states: states.map(str::to_owned).collect(),
        said: items(&answer["content"]).filter_map(|block| understood(block, &mut calls)).collect(),
        end: match answer["stop_reason"].as_str().unwrap() {
            "end_turn" => End::Stop,
            "stop_sequence" => End::StopText(text(&answer["stop_sequence"])),
            "tool_use" => End::Tool,
            "max_tokens" => End::Length,
            "refusal" => End::Filter,
            other => panic!("no stop_reason of Messages: {other}"),
        },
        spent: Spent {
            input: count(used, "/input_tokens") + cache_read + cache_write,
            cache_read,
            cache_write,
            output: count(used, "/output_tokens"),
            reasoning: count(used, "/output_tokens_details/thinking_tokens"),
        },
    }
}
