use serde_json::{Value, json};

use super::*;
use crate::client::{Answer, Caller, Transcript};
use crate::simulator::refusal::Refusal;
use crate::simulator::seal::Seal;
use crate::simulator::{Ending, Simulator, SimulatorConfig};

const PATH: &str = "/v1/messages";

fn start() -> (Simulator, Caller) {
    let simulator = Simulator::start(SimulatorConfig::default());
    let caller = Caller::new(simulator.base_url()).with_header("anthropic-version", "2023-06-01");
    (simulator, caller)
}

fn request(text: &str) -> Value {
    json!({"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]})
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is written in place")]
fn with(text: &str, more: Value) -> Value {
    let mut body = request(text);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn clock() -> Value {
    json!([{"name": "clock", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])
}

fn thinking() -> Value {
    json!({"type": "enabled", "budget_tokens": 1024})
}

async fn ask(body: &Value) -> Answer {
    let (_simulator, caller) = start();
    caller.post(PATH, body).await
}

async fn listen(mut body: Value) -> Transcript {
    let (_simulator, caller) = start();
    body["stream"] = json!(true);
    caller.stream(PATH, &body).await
}

/// Event names, runs of the same one as one.
fn names(transcript: &Transcript) -> Vec<String> {
    let mut names: Vec<String> = transcript.events.iter().map(|event| event.name.clone().unwrap()).collect();
    names.dedup();
    names
}

/// The deltas of one kind, joined.
fn joined(transcript: &Transcript, kind: &str, field: &str) -> String {
    let deltas = transcript.chunks().into_iter().map(|chunk| chunk["delta"].clone()).filter(|delta| delta["type"] == kind);
    deltas.filter_map(|delta| delta[field].as_str().map(str::to_owned)).collect()
}

fn refusal_of(body: &Value) -> Refusal {
    check("claude-sonnet-4-5", body.as_object().unwrap()).unwrap_err()
}

#[tokio::test]
async fn a_plain_message_counts_the_cache_outside_its_input() {
    let answer =
        ask(&request("count the drops please [sim: tokens=3 cached_tokens=2 cache_write_tokens=1 prompt_tokens=10]")).await;
    let body = answer.json();
    assert_eq!(
        (&body["type"], &body["role"], &body["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert!(body["id"].as_str().unwrap().starts_with("msg_01") && body["stop_sequence"].is_null());
    assert_eq!(body["content"], json!([{"type": "text", "text": "water flows through"}]));
    let usage = &body["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(7), &json!(3)));
    assert_eq!((&usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]), (&json!(2), &json!(1)));
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_stream_has_every_event_in_its_order() {
    let (simulator, caller) = start();
    let transcript = caller.stream(PATH, &with("x [sim: tokens=3]", json!({"stream": true}))).await;
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&transcript), expected);
    let chunks = transcript.chunks();
    assert!(chunks[0]["message"]["usage"]["input_tokens"].as_i64().unwrap() > 0);
    assert_eq!(joined(&transcript, "text_delta", "text"), "water flows through");
    let end = &chunks[chunks.len() - 2];
    assert_eq!((&end["delta"]["stop_reason"], &end["usage"]), (&json!("end_turn"), &json!({"output_tokens": 3})));
    let entry = simulator.wait_for(1).await.remove(0);
    assert_eq!((entry.sent_tokens, entry.usage.unwrap().completion_tokens, entry.ending), (3, 3, Ending::Completed));
    assert_eq!(entry.json()["max_tokens"], 4096);
}

#[tokio::test]
async fn tools_are_called_answered_and_quoted() {
    let (_simulator, caller) = start();
    let text = "the weather in both cities";
    let called = caller.post(PATH, &with(text, json!({"tools": clock()}))).await.json();
    let calls = called["content"].as_array().unwrap().clone();
    assert_eq!((calls.len(), &called["stop_reason"]), (2, &json!("tool_use")));
    assert_eq!(calls[1]["input"], json!({"city": "sample 2"}));
    assert!(calls[0]["id"].as_str().unwrap().starts_with("toolu_01"));
    let result = |call: &Value, said: &str| json!({"type": "tool_result", "tool_use_id": call["id"], "content": said});
    let messages = json!([
        {"role": "user", "content": text},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [result(&calls[1], "night"), result(&calls[0], "noon")]},
    ]);
    let answered = caller.post(PATH, &with(text, json!({"tools": clock(), "messages": messages}))).await.json();
    assert_eq!(answered["content"][0]["text"], "clock said: night\nclock said: noon");

    let transcript = listen(with("the weather", json!({"tools": clock()}))).await;
    assert_eq!(joined(&transcript, "input_json_delta", "partial_json"), r#"{"city":"sample 1"}"#);
    assert_eq!(transcript.chunks()[1]["content_block"]["input"], json!({}));
    let one = json!({"type": "auto", "disable_parallel_tool_use": true});
    let called = caller.post(PATH, &with(text, json!({"tools": clock(), "tool_choice": one}))).await.json();
    assert_eq!(called["content"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn thinking_is_signed_and_goes_back_unchanged_within_a_tool_loop() {
    let (_simulator, caller) = start();
    let body = with("the weather", json!({"tools": clock(), "thinking": thinking()}));
    let called = caller.post(PATH, &body).await.json();
    let content = called["content"].as_array().unwrap();
    assert_eq!((&content[0]["type"], &content[1]["type"]), (&json!("thinking"), &json!("tool_use")));
    let result = json!({"type": "tool_result", "tool_use_id": content[1]["id"], "content": [{"type": "text", "text": "noon"}]});
    let go_on = |assistant: Value| {
        let mut body = body.clone();
        body["messages"] =
            json!([body["messages"][0], {"role": "assistant", "content": assistant}, {"role": "user", "content": [result]}]);
        body
    };
    let answered = caller.post(PATH, &go_on(json!(content))).await.json();
    assert_eq!(answered["content"][1]["text"], "clock said: noon");

    let bare = caller.post(PATH, &go_on(json!([content[1]]))).await;
    assert_eq!(bare.status, 400);
    assert!(
        bare.text().contains("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
        "{}",
        bare.text()
    );
    let mut forged = content.clone();
    forged[0]["thinking"] = json!("something else");
    let refused = caller.post(PATH, &go_on(json!(forged))).await.json();
    assert_eq!(refused["error"]["message"], "messages.1.content.0: Invalid `signature` in `thinking` block");

    let redacted = caller.post(PATH, &with("why [sim: redacted=true tokens=1]", json!({"thinking": thinking()}))).await.json();
    assert_eq!(redacted["content"][0]["type"], "redacted_thinking");
    let back = json!([{"role": "user", "content": "why"}, {"role": "assistant", "content": redacted["content"]}, {"role": "user", "content": "so?"}]);
    assert_eq!(caller.post(PATH, &with("", json!({"messages": back}))).await.status, 200);
}

#[tokio::test]
async fn streamed_thinking_ends_with_its_signature() {
    let transcript = listen(with("why [sim: tokens=2]", json!({"thinking": thinking()}))).await;
    let thought = joined(&transcript, "thinking_delta", "thinking");
    assert!(thought.contains("why"));
    assert!(Seal::Thinking.is_of(&joined(&transcript, "signature_delta", "signature"), &thought));
    let chunks = transcript.chunks();
    let kinds: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["content_block"]["type"].as_str()).collect();
    assert_eq!(kinds, ["thinking", "text"]);
    assert_eq!(chunks.iter().filter(|chunk| chunk["type"] == "ping").count(), 1);
    let hidden = listen(with("why [sim: tokens=2]", json!({"thinking": {"type": "adaptive", "display": "omitted"}}))).await;
    assert_eq!(joined(&hidden, "thinking_delta", "thinking"), "");
    assert!(!joined(&hidden, "signature_delta", "signature").is_empty());
}

#[tokio::test]
async fn an_answer_ends_where_the_request_says() {
    let stopped = ask(&with("hi", json!({"stop_sequences": ["provider"]}))).await.json();
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!("provider")));
    assert!(stopped["content"][0]["text"].as_str().unwrap().ends_with("the Sluice "));
    let cut = ask(&with("hi", json!({"max_tokens": 3}))).await.json();
    assert_eq!((&cut["stop_reason"], &cut["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(3)));
    assert_eq!(ask(&request("hi [sim: finish=filter]")).await.json()["stop_reason"], "refusal");
    let empty = ask(&request("hi [sim: empty]")).await.json();
    assert_eq!((&empty["content"], &empty["stop_reason"]), (&json!([]), &json!("end_turn")));
}

#[tokio::test]
async fn errors_have_anthropics_form() {
    let refused = ask(&request("hi [sim: 529]")).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["type"]), (529, &json!("error")));
    assert_eq!(body["error"], json!({"type": "overloaded_error", "message": "Overloaded"}));
    assert_eq!(body["request_id"].as_str(), refused.header("request-id"));
    let transcript = listen(request("hi [sim: error_event after=4 status=529]")).await;
    assert_eq!(transcript.events.len(), 5);
    assert_eq!(
        (transcript.events[4].name.as_deref(), &transcript.chunks()[4]["error"]["type"]),
        (Some("error"), &json!("overloaded_error"))
    );
    assert_eq!(names(&listen(request("hi [sim: no_done tokens=1]")).await).last().unwrap(), "message_delta");

    let simulator = Simulator::start(SimulatorConfig::default().with_keys(["sk-ant-0123456789"]));
    let caller = Caller::new(simulator.base_url());
    let versioned = caller.clone().with_header("anthropic-version", "2023-06-01");
    let missing = versioned.post(PATH, &request("hi")).await;
    assert_eq!((missing.status.as_u16(), &missing.json()["error"]["type"]), (401, &json!("authentication_error")));
    let keyed = versioned.with_header("x-api-key", "sk-ant-0123456789");
    assert_eq!(keyed.post(PATH, &request("hi")).await.status, 200);
    assert_eq!(keyed.get("/v1/models").await.json()["data"][0]["type"], "model");
    let unknown = keyed.post(PATH, &with("hi", json!({"model": "claude-99"}))).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["message"]), (404, &json!("model: claude-99")));
    let unversioned = caller.with_key("sk-ant-0123456789").post(PATH, &request("hi")).await;
    assert_eq!(unversioned.json()["error"]["message"], "anthropic-version: header is required");
}

#[tokio::test]
async fn media_schemas_and_counts_are_heard() {
    let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    let content = json!([{"type": "image", "source": source}, {"type": "text", "text": "what is it"}]);
    let answer = ask(&with("", json!({"messages": [{"role": "user", "content": content}]}))).await.json();
    assert_eq!(answer["content"][0]["text"], "I received image/png of 8 bytes.");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": false});
    let format = json!({"format": {"type": "json_schema", "schema": schema}});
    let answer = ask(&with("where", json!({"output_config": format}))).await.json();
    assert_eq!(answer["content"][0]["text"], r#"{"city":"sample 1"}"#);
    let (_simulator, caller) = start();
    let mut body = request("one two three");
    body.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(caller.post("/v1/messages/count_tokens", &body).await.json(), json!({"input_tokens": 3}));
}

#[test]
fn what_the_real_service_refuses_is_refused_in_its_words() {
    let messages = |messages: Value| json!({"max_tokens": 9, "messages": messages});
    let user = |content: Value| messages(json!([{"role": "user", "content": content}]));
    let more = |more: Value| with("hi", more);
    let image =
        |mime: &str, data: &str| json!([{"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}]);
    let tool = |tool: Value| more(json!({"tools": [tool]}));
    let marked = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let open = json!({"type": "object", "properties": {}});
    let cases = [
        (more(json!({"top_n": 1})), "top_n: Extra inputs are not permitted"),
        (json!({"messages": []}), "max_tokens: Field required"),
        (json!({"max_tokens": 9}), "messages: Field required"),
        (more(json!({"max_tokens": -1})), "max_tokens: Input should be greater than or equal to 0"),
        (more(json!({"max_tokens": "9"})), "max_tokens: Input should be a valid integer"),
        (more(json!({"max_tokens": 64_001})), "max_tokens: 64001 > 64000, which is the maximum"),
        (more(json!({"temperature": 1.5})), "temperature: range: 0..1"),
        (more(json!({"temperature": 0.5, "top_p": 0.5})), "`temperature` and `top_p` cannot both be specified"),
        (more(json!({"stop_sequences": [" "]})), "stop_sequences: each stop sequence must contain non-whitespace"),
        (messages(json!([])), "messages: at least one message is required"),
        (messages(json!([{"role": "assistant", "content": "x"}])), "messages: first message must use the \"user\" role"),
        (messages(json!([{"role": "system", "content": "x"}])), "messages: Unexpected role \"system\""),
        (messages(json!([{"role": "tool", "content": "x"}])), "messages.0.role: Input should be 'user' or 'assistant'"),
        (messages(json!([{"role": "user", "content": "x", "name": "me"}])), "messages.0.name: Extra inputs are not permitted"),
        (user(json!("")), "messages.0: user messages must have non-empty content"),
        (user(json!([{"type": "text", "text": ""}])), "messages: text content blocks must be non-empty"),
        (user(json!([{"type": "input_text", "text": "x"}])), "messages.0.content.0: Input tag 'input_text' found using 'type'"),
        (user(json!([{"type": "text", "text": "x", "id": 1}])), "messages.0.content.0.text.id: Extra inputs are not permitted"),
        (user(json!([{"type": "tool_use"}])), "messages.0: `tool_use` blocks can only be in `assistant` messages"),
        (user(image("image/png", "?")), "messages.0.content.0.image.source.base64: invalid base64 data"),
        (user(image("image/bmp", "aGk=")), "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg'"),
        (
            user(image("image/jpeg", "iVBORw0KGgo=")),
            "messages.0.content.0.image.source.base64.data: The image was specified using the image/jpeg",
        ),
        (
            user(json!([marked, marked, marked, marked, marked])),
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
        (tool(json!({"name": "f"})), "tools.0.custom.input_schema: Field required"),
        (tool(json!({"name": "f", "input_schema": {}})), "tools.0.custom.input_schema.type: Field required"),
        (tool(json!({"name": "f g", "input_schema": open})), "tools.0.custom.name: String should match pattern"),
        (
            tool(json!({"name": "f", "input_schema": open, "parameters": {}})),
            "tools.0.custom.parameters: Extra inputs are not permitted",
        ),
        (more(json!({"tool_choice": {"type": "auto"}})), "tool_choice may only be specified while providing tools."),
        (
            more(json!({"tools": clock(), "tool_choice": {"type": "none", "disable_parallel_tool_use": true}})),
            "tool_choice.none.disable_parallel_tool_use: Extra",
        ),
        (more(json!({"tools": clock(), "tool_choice": {"type": "required"}})), "tool_choice: Input tag 'required' found"),
        (
            more(json!({"thinking": {"type": "enabled", "budget_tokens": 1000}})),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (more(json!({"thinking": {"type": "enabled"}})), "thinking.enabled.budget_tokens: Field required"),
        (more(json!({"thinking": thinking(), "max_tokens": 1024})), "`max_tokens` must be greater than `thinking.budget_tokens`"),
        (
            more(json!({"thinking": thinking(), "temperature": 0.5})),
            "`temperature` may only be set to 1 when thinking is enabled",
        ),
        (more(json!({"thinking": thinking(), "top_k": 5})), "`top_k` must be unset when thinking is enabled"),
        (more(json!({"thinking": thinking(), "top_p": 0.9})), "`top_p` must be greater than or equal to 0.95"),
        (
            more(json!({"thinking": thinking(), "tools": clock(), "tool_choice": {"type": "any"}})),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (more(json!({"output_config": {"effort": "minimal"}})), "output_config.effort: Input should be 'low'"),
        (
            more(json!({"output_config": {"format": {"type": "json_schema", "schema": open}}})),
            "output_config.format.schema: For 'object' type, 'additionalProperties'",
        ),
        (more(json!({"metadata": {"user": "me"}})), "metadata.user: Extra inputs are not permitted"),
    ];
    for (body, text) in cases {
        let refusal = refusal_of(&body);
        assert!(refusal.status == 400 && refusal.message.starts_with(text), "{body}: {}", refusal.message);
    }
}

#[test]
fn calls_and_results_belong_together() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "clock", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "noon"});
    let text = json!({"type": "text", "text": "and?"});
    let talk = |assistant: Value, user: Value| {
        let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": assistant}, {"role": "user", "content": user}]);
        json!({"max_tokens": 9, "tools": clock(), "messages": messages})
    };
    let heard = |body: &Value| check("claude-sonnet-4-5", body.as_object().unwrap()).map_err(|refusal| refusal.message);
    assert!(heard(&talk(json!([call("a"), call("b")]), json!([result("b"), result("a"), text]))).is_ok());
    let cases = [
        (
            talk(json!([call("a"), call("b")]), json!([result("a")])),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b.",
        ),
        (talk(json!([call("a")]), json!([text, result("a")])), "messages.1: `tool_use` ids were found without `tool_result`"),
        (
            talk(json!([text]), json!([result("a")])),
            "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
        ),
        (
            talk(json!([call("a")]), json!([result("a"), result("a")])),
            "messages.2.content.1: each tool_use must have a single result.",
        ),
        (talk(json!([call("a"), call("a")]), json!([result("a")])), "messages.1: `tool_use` ids must be unique"),
        (talk(json!([call("a.b")]), json!([result("a.b")])), "messages.1.content.0.tool_use.id: String should match pattern"),
    ];
    for (body, text) in cases {
        let message = heard(&body).unwrap_err();
        assert!(message.starts_with(text), "{body}: {message}");
    }
    let mut toolless = talk(json!([call("a")]), json!([result("a")]));
    toolless.as_object_mut().unwrap().remove("tools");
    assert_eq!(heard(&toolless).unwrap_err(), "Requests which have `tool_use` or `tool_result` blocks must define tools");
}
