//! Wrong fields: each is a 400 in the caller's dialect that names it, and nobody upstream is asked.
//!
//! A body with every field that is read is right as it is. Then each of its fields in turn holds every kind of value that cannot stand there,
//! so a field that is read and not judged shows here, and one that is new has only to be put into the body. What is out of bounds, no word
//! that is known, or missing stands in tables beside it.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_snapshot::Channel;
use sluice_testkit::client::Caller;
use sluice_testkit::simulator::{Simulator, SimulatorConfig};

use crate::relay::{TestRelay, World, channel, name, ratios};

const CHAT: &str = "gpt-4o";
const CLAUDE: &str = "claude-sonnet-4-5";
const GEMINI: &str = "gemini-2.5-pro";
const VECTORS: &str = "gemini-embedding-001";
const RERANKER: &str = "jina-reranker-v2-base-multilingual";
const MODERATOR: &str = "omni-moderation-latest";
/// Requests that are on their way together.
const AT_ONCE: usize = 16;
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// An interface, a body for it that is right, and what is wrong when it stands there.
struct Table {
    surface: Surface,
    path: String,
    body: Value,
    /// Fields that take more than one kind of value, and the other kinds. `any`: nobody looks at the value here.
    also: &'static [(&'static str, &'static [&'static str])],
    /// Values of the right kind that are wrong.
    values: Vec<(&'static str, Value)>,
    /// Fields that must be there.
    needed: &'static [&'static str],
}

struct Site {
    upstream: Simulator,
    caller: Caller,
    _relay: TestRelay,
}

impl Site {
    async fn start() -> Self {
        let upstream = Simulator::start(SimulatorConfig::default());
        let url = upstream.base_url();
        let of = |provider: &str, id: i64, base_url: String, models: &[&str]| Channel {
            provider: provider.into(),
            base_url: Some(base_url),
            models: models.iter().map(|model| name(model)).collect(),
            ..channel(id, "")
        };
        let mut world = World {
            channels: vec![
                of("openai-compatible", 1, format!("{url}/v1"), &[CHAT, RERANKER, MODERATOR]),
                of("anthropic", 2, url.clone(), &[CLAUDE]),
                of("google-gemini", 3, url.clone(), &[GEMINI, VECTORS]),
            ],
            prices: [CHAT, CLAUDE, GEMINI, VECTORS, RERANKER].map(|model| (model, ratios("1", "1"))).to_vec(),
            ..World::with_upstream(&url)
        };
        world.prices.push((MODERATOR, ratios("0", "1")));
        let relay = world.start().await;
        let caller = relay.caller().with_header("anthropic-version", "2023-06-01");
        Self { upstream, caller, _relay: relay }
    }

    /// What is wrong with the answer to a body that is wrong in one field; `None`: nothing.
    async fn judge(&self, table: &Table, case: Case) -> Option<String> {
        let Case { field, body, what } = case;
        let answer = self.caller.post(&table.path, &body).await;
        let told = answer.json();
        let error = &told["error"];
        let is_shaped = match table.surface {
            Surface::Messages => told["type"] == "error" && error["type"] == "invalid_request_error",
            Surface::GenerateContent | Surface::EmbedContent | Surface::BatchEmbedContents => {
                error["code"] == 400 && error["status"] == "INVALID_ARGUMENT"
            }
            _ => error["type"] == "invalid_request_error" && error["param"] == field,
        };
        let is_named = error["message"].as_str().is_some_and(|message| message.starts_with(&format!("`{field}`")));
        let is_well = answer.status == 400 && is_shaped && is_named;
        (!is_well).then(|| format!("{} {field} {what}: {} {}", table.path, answer.status, answer.text()))
    }

    async fn check(&self, table: &Table) -> Vec<String> {
        let answer = self.caller.post(&table.path, &table.body).await;
        assert_eq!(answer.status, 200, "the body itself is right: {}: {}", table.path, answer.text());
        let before = self.upstream.stats().received;
        let judged = stream::iter(table.cases()).map(|case| self.judge(table, case)).buffer_unordered(AT_ONCE);
        let wrong: Vec<String> = judged.filter_map(std::future::ready).collect().await;
        if wrong.is_empty() {
            assert_eq!(self.upstream.stats().received, before, "{}: nobody is asked", table.path);
        }
        wrong
    }
}

/// A body that is wrong in one field, and how.
struct Case {
    field: String,
    body: Value,
    what: String,
}

impl Table {
    fn cases(&self) -> Vec<Case> {
        let mut fields = Vec::new();
        walk(&self.body, "", "", &mut fields);
        let with = |field: &str, pointer: &str, value: &Value| {
            let mut body = self.body.clone();
            *body.pointer_mut(pointer).unwrap() = value.clone();
            Case { field: field.to_owned(), body, what: format!("is {value}") }
        };
        let pointer_of = |wanted: &str| {
            let known = fields.iter().find(|(field, _)| field == wanted);
            let Some((_, pointer)) = known else { panic!("{wanted} is nowhere in the body of {}", self.path) };
            pointer
        };
        let kinds = fields.iter().flat_map(|(field, pointer)| {
            let kinds = kinds_for(self, field, self.body.pointer(pointer).unwrap());
            kinds.into_iter().map(move |value| with(field, pointer, &value))
        });
        let values = self.values.iter().map(|(field, value)| with(field, pointer_of(field), value));
        let missing = self.needed.iter().map(|field| {
            let (parent, last) = pointer_of(field).rsplit_once('/').unwrap();
            let mut body = self.body.clone();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(last);
            Case { field: (*field).to_owned(), body, what: "is missing".to_owned() }
        });
        kinds.chain(values).chain(missing).collect()
    }
}

/// Every field, as errors name it and as a pointer leads to it.
fn walk(value: &Value, field: &str, pointer: &str, out: &mut Vec<(String, String)>) {
    if !field.is_empty() {
        out.push((field.to_owned(), pointer.to_owned()));
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                walk(inner, &path, &format!("{pointer}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                walk(inner, &format!("{field}[{at}]"), &format!("{pointer}/{at}"), out);
            }
        }
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value of each kind that a field does not take.
fn kinds_for(table: &Table, field: &str, right: &Value) -> Vec<Value> {
    let also: Vec<&str> = table
        .also
        .iter()
        .filter(|(known, _)| field == *known || (known.ends_with('*') && field.starts_with(known.trim_end_matches('*'))))
        .flat_map(|(_, kinds)| kinds.iter().copied())
        .collect();
    if also.contains(&"any") {
        return Vec::new();
    }
    let each = [json!(true), json!(7), json!("x"), json!([]), json!({})];
    each.into_iter().filter(|value| kind(value) != kind(right) && !also.contains(&kind(value))).collect()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn chat() -> Table {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    Table {
        surface: Surface::ChatCompletions,
        path: "/v1/chat/completions".to_owned(),
        body: json!({
            "model": GEMINI, "stream": false, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "name": "ana", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}}
                ]},
                {"role": "assistant", "content": "I look.", "refusal": "No.", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "seen"}]}
            ],
            "max_completion_tokens": 100, "temperature": 1.0, "top_p": 0.5, "n": 1, "stop": ["END"], "seed": 7,
            "frequency_penalty": 0.5, "presence_penalty": 0.5, "logprobs": false, "top_logprobs": 2, "logit_bias": {"5": 1},
            "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": schema, "strict": false}}],
            "tool_choice": {"type": "function", "function": {"name": "look"}}, "parallel_tool_calls": true,
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "answer", "description": "d", "schema": schema, "strict": false
            }},
            "verbosity": "low", "modalities": ["text"], "reasoning_effort": "low",
            "reasoning": {"effort": "low", "max_tokens": 500, "enabled": true, "exclude": false},
            "thinking": {"type": "enabled", "budget_tokens": 500}, "thinking_budget": 500, "enable_thinking": true,
            "google": {"thinking_config": {"thinking_budget": 500, "thinking_level": "low", "include_thoughts": true}},
            "user": "u", "metadata": {"a": "b"}, "store": false, "prompt_cache_key": "k", "service_tier": "auto"
        }),
        also: &[
            // one text in place of parts
            ("messages[0].content", &["string"]),
            ("messages[1].content", &["string"]),
            ("messages[2].content", &["array"]),
            ("messages[3].content", &["string"]),
            // an address alone, as some clients write it; it is another one then
            ("messages[1].content[1].image_url", &["string"]),
            // what only another family of messages has, or nobody reads
            ("messages[1].name", &["any"]),
            ("messages[2].tool_calls[0].type", &["any"]),
            ("messages[2].tool_calls[0].function.arguments", &["object"]),
            ("stop", &["string"]),
            ("tool_choice", &["string"]),
            ("google", &["any"]),
            ("google.thinking_config", &["any"]),
            // opaque: tokens, schemas and labels are the caller's own
            ("logit_bias.5", &["any"]),
            ("metadata.a", &["any"]),
            ("tools[0].function.parameters.*", &["any"]),
            ("response_format.json_schema.schema.*", &["any"]),
        ],
        values: vec![
            ("model", json!("")),
            ("messages", json!([])),
            ("messages[1].role", json!("robot")),
            ("messages[1].content", json!([])),
            ("messages[1].content[0].type", json!("hologram")),
            ("messages[0].content[0].type", json!("image_url")),
            ("messages[1].content[1].image_url.url", json!("")),
            ("messages[1].content[1].image_url.url", json!("data:image/png;base64,***")),
            ("messages[1].content[1].image_url.detail", json!("huge")),
            ("messages[1].content[2].input_audio.data", json!("***")),
            ("messages[1].content[3].file.file_data", json!("https://example.com/a.pdf")),
            ("messages[2].tool_calls[0].id", json!("")),
            ("messages[2].tool_calls[0].function.name", json!("")),
            ("messages[3].tool_call_id", json!("")),
            ("max_completion_tokens", json!(0)),
            ("max_completion_tokens", json!(-1)),
            ("max_completion_tokens", json!(1.5)),
            ("max_completion_tokens", json!(1_u64 << 40)),
            ("temperature", json!(2.1)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(1.1)),
            ("n", json!(0)),
            ("n", json!(129)),
            ("seed", json!(1.5)),
            ("frequency_penalty", json!(-2.1)),
            ("presence_penalty", json!(2.1)),
            ("top_logprobs", json!(21)),
            ("tools[0].function.name", json!("")),
            ("tool_choice", json!("always")),
            ("tool_choice.type", json!("computer")),
            ("response_format.type", json!("yaml")),
            ("response_format.json_schema.name", json!("")),
            ("verbosity", json!("chatty")),
            ("modalities[0]", json!("smell")),
            ("reasoning_effort", json!("lots")),
            ("reasoning.effort", json!("lots")),
            ("reasoning.max_tokens", json!(-2)),
            ("thinking.type", json!("dreaming")),
            ("thinking.budget_tokens", json!(-2)),
            ("thinking_budget", json!(-2)),
            ("google.thinking_config.thinking_level", json!("lots")),
        ],
        needed: &[
            "model",
            "messages",
            "messages[1].role",
            "messages[0].content",
            "messages[1].content",
            "messages[1].content[0].type",
            "messages[1].content[0].text",
            "messages[1].content[1].image_url",
            "messages[1].content[1].image_url.url",
            "messages[1].content[2].input_audio",
            "messages[1].content[2].input_audio.data",
            "messages[1].content[2].input_audio.format",
            "messages[1].content[3].file",
            "messages[1].content[3].file.file_data",
            "messages[2].tool_calls[0].id",
            "messages[2].tool_calls[0].function",
            "messages[2].tool_calls[0].function.name",
            "messages[3].tool_call_id",
            "tools[0].function",
            "tools[0].function.name",
            "tool_choice.type",
            "tool_choice.function",
            "tool_choice.function.name",
            "response_format.type",
            "response_format.json_schema",
            "response_format.json_schema.name",
            "response_format.json_schema.schema",
            "thinking.type",
        ],
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn responses() -> Table {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    Table {
        surface: Surface::Responses,
        path: "/v1/responses".to_owned(),
        body: json!({
            "model": GEMINI, "stream": false, "instructions": "Be brief.",
            "input": [
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "In French."}]},
                {"type": "message", "role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}
                ]},
                {"type": "reasoning", "id": "rs_1", "encrypted_content": "x", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
                {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "seen"}
            ],
            "tools": [
                {"type": "function", "name": "look", "description": "Looks.", "parameters": schema, "strict": false},
                {"type": "custom", "name": "write", "description": "Writes.", "format": {"type": "grammar", "definition": "x"}}
            ],
            "tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": true,
            "text": {"verbosity": "low", "format": {
                "type": "json_schema", "name": "answer", "description": "d", "schema": schema, "strict": false
            }},
            "reasoning": {"effort": "low", "summary": "auto", "max_tokens": 500, "enabled": true, "exclude": false},
            "include": ["reasoning.encrypted_content"], "background": false,
            "max_output_tokens": 100, "temperature": 1.0, "top_p": 0.5, "top_logprobs": 2, "modalities": ["text"],
            "safety_identifier": "u", "metadata": {"a": "b"}, "store": false, "prompt_cache_key": "k", "service_tier": "auto"
        }),
        also: &[
            ("input", &["string"]),
            ("input[0].content", &["string"]),
            ("input[1].content", &["string"]),
            ("input[3].content", &["string"]),
            ("input[5].output", &["array"]),
            // state of a provider's own, and what names it
            ("input[2].id", &["any"]),
            ("input[2].summary[0]", &["any"]),
            ("input[2].summary[0].type", &["any"]),
            ("tool_choice", &["string"]),
            ("tools[1].format", &["any"]),
            ("tools[1].format.type", &["any"]),
            ("metadata.a", &["any"]),
            ("tools[0].parameters.*", &["any"]),
            ("text.format.schema.*", &["any"]),
        ],
        values: vec![
            ("model", json!("")),
            ("input[1].role", json!("robot")),
            ("input[0].content[0].type", json!("input_image")),
            ("input[1].content[0].type", json!("hologram")),
            ("input[1].content[1].image_url", json!("x")),
            ("input[1].content[1].image_url", json!("data:image/png;base64,***")),
            ("input[1].content[1].detail", json!("huge")),
            ("input[1].content[2].file_data", json!("***")),
            ("input[4].call_id", json!("")),
            ("input[5].call_id", json!("")),
            ("tool_choice", json!("always")),
            ("text.verbosity", json!("chatty")),
            ("text.format.type", json!("yaml")),
            ("reasoning.effort", json!("lots")),
            ("reasoning.summary", json!("long")),
            ("reasoning.max_tokens", json!(-1)),
            ("max_output_tokens", json!(0)),
            ("max_output_tokens", json!(1.5)),
            ("max_output_tokens", json!(1_u64 << 40)),
            ("temperature", json!(2.1)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(1.1)),
            ("top_logprobs", json!(21)),
            ("modalities[0]", json!("smell")),
        ],
        needed: &[
            "model",
            "input",
            "input[1].role",
            "input[1].content",
            "input[1].content[0].type",
            "input[1].content[0].text",
            "input[1].content[1].image_url",
            "input[1].content[2].file_data",
            "input[3].content[0].text",
            "input[4].call_id",
            "input[4].name",
            "input[4].arguments",
            "input[5].call_id",
            "input[5].output",
            "tools[0].type",
            "tools[0].name",
            "tools[1].name",
            "tool_choice.type",
            "tool_choice.name",
            "text.format.type",
            "text.format.schema",
        ],
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn messages() -> Table {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let mark = json!({"type": "ephemeral", "ttl": "5m"});
    let png = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"});
    Table {
        surface: Surface::Messages,
        path: "/v1/messages".to_owned(),
        body: json!({
            "model": GEMINI, "stream": false, "max_tokens": 9000,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?", "cache_control": mark},
                    {"type": "image", "source": png},
                    {"type": "document", "source": pdf, "title": "A"}
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": false, "content": [{"type": "text", "text": "seen"}]}
                ]}
            ],
            "tools": [{"name": "look", "description": "Looks.", "input_schema": schema, "strict": false, "cache_control": mark}],
            "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true},
            "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "summarized"},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
            "temperature": 1.0, "top_p": 0.5, "top_k": 5, "stop_sequences": ["END"],
            "metadata": {"user_id": "u"}, "service_tier": "auto"
        }),
        also: &[
            ("system", &["string"]),
            ("messages[0].content", &["string"]),
            ("messages[1].content", &["string"]),
            ("messages[2].content", &["string"]),
            ("messages[2].content[0].content", &["string"]),
            // opaque: schemas and arguments are the caller's own
            ("messages[1].content[2].input.a", &["any"]),
            ("tools[0].input_schema.*", &["any"]),
            ("output_config.format.schema.*", &["any"]),
        ],
        values: vec![
            ("messages", json!([])),
            ("messages[0].role", json!("robot")),
            ("messages[0].content[0].type", json!("hologram")),
            ("messages[0].content[0].type", json!("thinking")),
            ("messages[1].content[1].type", json!("tool_result")),
            ("messages[0].content[0].cache_control.type", json!("eternal")),
            ("messages[0].content[0].cache_control.ttl", json!("2h")),
            ("messages[0].content[1].source.type", json!("fax")),
            ("messages[0].content[1].source.data", json!("***")),
            ("messages[0].content[2].source.type", json!("fax")),
            ("messages[0].content[2].source.data", json!("***")),
            ("system[0].type", json!("image")),
            ("max_tokens", json!(0)),
            ("max_tokens", json!(1.5)),
            ("max_tokens", json!(1_u64 << 40)),
            ("tool_choice.type", json!("always")),
            ("thinking.type", json!("dreaming")),
            ("thinking.budget_tokens", json!(0)),
            ("thinking.display", json!("aloud")),
            ("output_config.effort", json!("minimal")),
            ("output_config.format.type", json!("yaml")),
            ("temperature", json!(1.1)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(1.1)),
            ("top_k", json!(-1)),
        ],
        needed: &[
            "model",
            "messages",
            "messages[0].role",
            "messages[0].content",
            "messages[0].content[0].type",
            "messages[0].content[0].text",
            "messages[0].content[0].cache_control.type",
            "messages[0].content[1].source",
            "messages[0].content[1].source.type",
            "messages[0].content[1].source.media_type",
            "messages[0].content[1].source.data",
            "messages[0].content[2].source",
            "messages[1].content[0].thinking",
            "messages[1].content[2].id",
            "messages[1].content[2].name",
            "messages[2].content[0].tool_use_id",
            "tools[0].name",
            "tool_choice.type",
            "tool_choice.name",
            "thinking.type",
            "thinking.budget_tokens",
            "output_config.format.type",
            "output_config.format.schema",
        ],
    }
}

fn gemini() -> Table {
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    Table {
        surface: Surface::GenerateContent,
        path: format!("/v1beta/models/{CHAT}:generateContent"),
        body: json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [
                    {"text": "What is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": PNG, "displayName": "a"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}
                ]},
                {"role": "model", "parts": [
                    {"text": "Hm.", "thought": true, "thoughtSignature": "eA=="},
                    {"functionCall": {"id": "call_1", "name": "look", "args": {"a": 1}}}
                ]},
                {"role": "user", "parts": [{"functionResponse": {"id": "call_1", "name": "look", "response": {"result": "seen"}}}]}
            ],
            "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parameters": schema}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
            "generationConfig": {
                "temperature": 1.0, "topP": 0.5, "topK": 5, "frequencyPenalty": 0.5, "presencePenalty": 0.5,
                "maxOutputTokens": 100, "candidateCount": 1, "seed": 7, "stopSequences": ["END"],
                "responseLogprobs": true, "logprobs": 2, "responseModalities": ["TEXT"], "mediaResolution": "MEDIA_RESOLUTION_LOW",
                "responseMimeType": "application/json", "responseSchema": schema,
                "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW", "thinkingBudget": 500}
            },
            "labels": {"a": "b"}, "store": false, "serviceTier": "standard"
        }),
        also: &[
            // one in place of a list of one
            ("systemInstruction.parts", &["object"]),
            ("contents", &["object"]),
            ("contents[0].parts", &["object"]),
            ("contents[1].parts", &["object"]),
            ("contents[2].parts", &["object"]),
            ("tools", &["object"]),
            ("tools[0].functionDeclarations", &["object"]),
            // a level alone, as the field of the configuration has it
            ("contents[0].parts[1].mediaResolution", &["any"]),
            // opaque: schemas, arguments, results and labels are the caller's own
            ("contents[1].parts[1].functionCall.args.a", &["any"]),
            ("contents[2].parts[0].functionResponse.response.result", &["any"]),
            ("tools[0].functionDeclarations[0].parameters.*", &["any"]),
            ("generationConfig.responseSchema.*", &["any"]),
            ("labels.a", &["any"]),
        ],
        values: vec![
            ("contents", json!([])),
            ("contents[0].role", json!("robot")),
            ("contents[0].parts[1].inlineData.data", json!("***")),
            ("contents[0].parts[1].mediaResolution.level", json!("HUGE")),
            ("contents[1].parts[1].functionCall.name", json!("")),
            ("tools[0].functionDeclarations[0].name", json!("")),
            ("toolConfig.functionCallingConfig.mode", json!("ALWAYS")),
            ("generationConfig.temperature", json!(2.1)),
            ("generationConfig.temperature", json!(-0.1)),
            ("generationConfig.topP", json!(1.1)),
            ("generationConfig.topK", json!(-1)),
            ("generationConfig.frequencyPenalty", json!(-2.1)),
            ("generationConfig.presencePenalty", json!(2.1)),
            ("generationConfig.maxOutputTokens", json!(0)),
            ("generationConfig.maxOutputTokens", json!(1.5)),
            ("generationConfig.maxOutputTokens", json!(1_u64 << 40)),
            ("generationConfig.candidateCount", json!(0)),
            ("generationConfig.seed", json!(1_u64 << 40)),
            ("generationConfig.logprobs", json!(21)),
            ("generationConfig.responseModalities[0]", json!("SMELL")),
            ("generationConfig.mediaResolution", json!("HUGE")),
            ("generationConfig.responseMimeType", json!("text/yaml")),
            ("generationConfig.thinkingConfig.thinkingLevel", json!("LOTS")),
            ("generationConfig.thinkingConfig.thinkingBudget", json!(-2)),
            ("serviceTier", json!("first")),
        ],
        needed: &[
            "contents",
            "systemInstruction.parts",
            "contents[0].parts[1].inlineData.data",
            "contents[0].parts[2].fileData.fileUri",
            "contents[1].parts[1].functionCall.name",
            "tools[0].functionDeclarations[0].name",
        ],
    }
}

/// The interfaces beside conversations.
#[expect(clippy::too_many_lines, reason = "a table")]
fn others() -> Vec<Table> {
    let table = |surface, path: &str, body, also, values, needed| {
        let path = path.to_owned();
        Table { surface, path, body, also, values, needed }
    };
    let content = json!({"role": "user", "parts": [{"text": "x"}]});
    let request = json!({"model": format!("models/{VECTORS}"), "content": content, "outputDimensionality": 8});
    vec![
        table(
            Surface::Embeddings,
            "/v1/embeddings",
            json!({"model": VECTORS, "input": ["a", "b"], "dimensions": 8, "encoding_format": "float", "user": "u"}),
            &[("input", &["string"]), ("input[0]", &["number", "array"]), ("input[1]", &["array"]), ("user", &["any"])],
            vec![
                ("input", json!([])),
                ("dimensions", json!(0)),
                ("dimensions", json!(1.5)),
                ("dimensions", json!(-1)),
                ("encoding_format", json!("hex")),
            ],
            &["model", "input"],
        ),
        table(
            Surface::EmbedContent,
            &format!("/v1beta/models/{VECTORS}:embedContent"),
            request.clone(),
            &[("content.role", &["any"]), ("content.parts", &[])],
            vec![
                ("model", json!("models/another")),
                ("content.parts", json!([])),
                ("outputDimensionality", json!(0)),
                ("outputDimensionality", json!(1.5)),
            ],
            &["content", "content.parts"],
        ),
        table(
            Surface::BatchEmbedContents,
            &format!("/v1beta/models/{VECTORS}:batchEmbedContents"),
            json!({"requests": [request]}),
            &[("requests[0].content.role", &["any"])],
            vec![
                ("requests", json!([])),
                ("requests[0].model", json!("models/another")),
                ("requests[0].content.parts", json!([])),
                ("requests[0].outputDimensionality", json!(0)),
            ],
            &["requests", "requests[0].content", "requests[0].content.parts"],
        ),
        table(
            Surface::Rerank,
            "/v1/rerank",
            json!({"model": RERANKER, "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true}),
            // an entry's place is not told, and what stands in one is its provider's to judge
            &[("query", &["object"]), ("documents[0]", &["any"]), ("documents[1]", &["any"]), ("documents[1].text", &["any"])],
            vec![
                ("query", json!("")),
                ("documents", json!([])),
                ("documents", json!([1])),
                ("documents", json!(["a", null])),
                ("top_n", json!(0)),
                ("top_n", json!(1.5)),
                ("top_n", json!(-1)),
            ],
            &["model", "query", "documents"],
        ),
        table(
            Surface::Moderations,
            "/v1/moderations",
            json!({"model": MODERATOR, "input": ["a"]}),
            &[("input", &["string"]), ("input[0]", &["any"])],
            vec![("input", json!([]))],
            &["input"],
        ),
        table(
            Surface::Edits,
            "/v1/edits",
            json!({"model": CHAT, "input": "teh", "instruction": "Fix it.", "n": 1, "temperature": 1.0, "top_p": 0.5}),
            &[],
            vec![
                ("instruction", json!(" ")),
                ("n", json!(0)),
                ("n", json!(129)),
                ("temperature", json!(2.1)),
                ("top_p", json!(1.1)),
            ],
            &["model", "instruction"],
        ),
    ]
}

#[tokio::test]
async fn each_wrong_field_of_a_conversation_is_named_before_anybody_is_asked() {
    let site = Site::start().await;
    let mut wrong = Vec::new();
    for table in [chat(), responses(), messages(), gemini()] {
        wrong.extend(site.check(&table).await);
    }
    assert!(wrong.is_empty(), "{} are not told:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn each_wrong_field_of_the_other_interfaces_is_named_before_anybody_is_asked() {
    let site = Site::start().await;
    let mut wrong = Vec::new();
    for table in others() {
        wrong.extend(site.check(&table).await);
    }
    assert!(wrong.is_empty(), "{} are not told:\n{}", wrong.len(), wrong.join("\n"));
}
