use serde_json::{Value, json};

use super::*;
use crate::client::{Answer, Caller, Transcript};
use crate::simulator::memory::Memory;
use crate::simulator::refusal::Refusal;
use crate::simulator::{Ending, Scenario, Simulator, SimulatorConfig};

const PATH: &str = "/v1/responses";

fn start() -> (Simulator, Caller) {
    let simulator = Simulator::start(SimulatorConfig::default());
    let caller = Caller::new(simulator.base_url());
    (simulator, caller)
}

fn request(text: &str) -> Value {
    json!({"model": "gpt-4.1", "input": text})
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
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([{"type": "function", "name": "clock", "parameters": parameters}])
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
    names.into_iter().map(|name| name.trim_start_matches("response.").to_owned()).collect()
}

fn refusal_of(body: &Value) -> Refusal {
    check(body["model"].as_str().unwrap_or("gpt-4.1"), body.as_object().unwrap(), Memory::default().of(None)).unwrap_err()
}

#[tokio::test]
async fn a_plain_response_repeats_the_request_and_carries_its_usage() {
    let body =
        with("count the drops [sim: tokens=4 cached_tokens=2]", json!({"instructions": "be brief", "metadata": {"a": "b"}}));
    let answer = ask(&body).await.json();
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert!(answer["id"].as_str().unwrap().starts_with("resp_"));
    let message = &answer["output"][0];
    assert_eq!(
        (&message["type"], &message["role"], &message["status"]),
        (&json!("message"), &json!("assistant"), &json!("completed"))
    );
    assert_eq!(message["content"][0]["text"], "water flows through the");
    assert_eq!(answer["usage"]["output_tokens"], 4);
    assert_eq!(answer["usage"]["input_tokens_details"]["cached_tokens"], 2);
    assert_eq!((&answer["instructions"], &answer["metadata"]), (&json!("be brief"), &json!({"a": "b"})));
    assert_eq!((&answer["tools"], &answer["tool_choice"], &answer["store"]), (&json!([]), &json!("auto"), &json!(true)));
}

#[tokio::test]
async fn a_stream_has_every_event_in_its_order_with_its_number() {
    let (simulator, caller) = start();
    let body = with("x [sim: tokens=3]", json!({"stream": true}));
    let transcript = caller.stream(PATH, &body).await;
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names(&transcript), expected);
    let chunks = transcript.chunks();
    for (place, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["sequence_number"], place);
        assert_eq!(chunk["type"].as_str(), transcript.events[place].name.as_deref());
    }
    let text: String = chunks
        .iter()
        .filter(|chunk| chunk["type"] == "response.output_text.delta")
        .filter_map(|chunk| chunk["delta"].as_str())
        .collect();
    let response = &chunks.last().unwrap()["response"];
    assert_eq!(text, "water flows through");
    assert_eq!(response["output"][0]["content"][0]["text"], text.as_str());
    assert_eq!(response["output"][0]["id"], chunks[4]["item_id"]);
    assert_eq!(chunks[0]["response"]["id"], response["id"]);
    let entry = simulator.wait_for(1).await.remove(0);
    assert_eq!((entry.sent_tokens, entry.usage.unwrap().completion_tokens, entry.ending), (3, 3, Ending::Completed));
    assert_eq!(entry.answer_id.as_deref(), response["id"].as_str());
    assert_eq!(entry.json()["stream"], true);
}

#[tokio::test]
async fn tools_are_called_answered_and_quoted() {
    let (_simulator, caller) = start();
    let body = with("the weather in both cities", json!({"tools": clock(), "store": false}));
    let called = caller.post(PATH, &body).await.json();
    let calls = called["output"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[0]["type"], &calls[0]["name"]), (2, &json!("function_call"), &json!("clock")));
    assert_eq!(calls[1]["arguments"], r#"{"city":"sample 2"}"#);
    let mut input = vec![json!({"role": "user", "content": "the weather in both cities"})];
    input.extend(calls.iter().cloned());
    for (call, said) in calls.iter().zip(["noon", "night"]) {
        input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": said}));
    }
    let answered = caller.post(PATH, &json!({"model": "gpt-4.1", "input": input, "tools": clock(), "store": false})).await.json();
    assert_eq!(answered["output"][0]["content"][0]["text"], "clock said: noon\nclock said: night");
}

#[tokio::test]
async fn a_streamed_call_comes_in_pieces() {
    let transcript = listen(with("the weather", json!({"tools": clock()}))).await;
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names(&transcript), expected);
    let chunks = transcript.chunks();
    let pieces: String = chunks
        .iter()
        .filter(|chunk| chunk["type"] == "response.function_call_arguments.delta")
        .filter_map(|chunk| chunk["delta"].as_str())
        .collect();
    assert_eq!(pieces, r#"{"city":"sample 1"}"#);
    assert_eq!(chunks[2]["item"]["arguments"], "");
    assert_eq!(chunks[2]["item"]["call_id"], chunks.last().unwrap()["response"]["output"][0]["call_id"]);
}

#[tokio::test]
async fn reasoning_comes_first_with_its_summary_and_may_be_sent_back() {
    let (_simulator, caller) = start();
    let thinking = json!({
        "model": "o3", "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": false,
        "tools": clock(), "input": "the weather",
    });
    let called = caller.post(PATH, &thinking).await.json();
    let output = called["output"].as_array().unwrap();
    assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("reasoning"), &json!("function_call")));
    assert!(output[0]["summary"][0]["text"].as_str().unwrap().contains("the weather"));
    assert!(called["usage"]["output_tokens_details"]["reasoning_tokens"].as_i64().unwrap() > 0);

    let result = json!({"type": "function_call_output", "call_id": output[1]["call_id"], "output": "noon"});
    let user = json!({"role": "user", "content": "the weather"});
    let mut again = thinking.clone();
    again["input"] = json!([user, output[0], output[1], result]);
    assert_eq!(caller.post(PATH, &again).await.status, 200);

    again["input"][1]["encrypted_content"] = json!("gAAAAforged");
    let refused = caller.post(PATH, &again).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["code"]), (400, &json!("invalid_encrypted_content")));
    again["input"][1].as_object_mut().unwrap().remove("encrypted_content");
    assert_eq!(caller.post(PATH, &again).await.status, 404, "what was not stored is not found");

    let transcript = listen(with("why [sim: tokens=2 thinking=because]", json!({"model": "o3"}))).await;
    let expected = [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ];
    assert_eq!(names(&transcript)[3..8], expected);
}

#[tokio::test]
async fn a_previous_response_goes_on_if_it_was_given_out_and_stored() {
    let (_simulator, caller) = start();
    let called = caller.post(PATH, &with("the weather", json!({"tools": clock()}))).await.json();
    let output = json!([{"type": "function_call_output", "call_id": called["output"][0]["call_id"], "output": "noon"}]);
    let next = |id: &Value, input: &Value| json!({"model": "gpt-4.1", "previous_response_id": id, "input": input});
    let answered = caller.post(PATH, &next(&called["id"], &output)).await.json();
    assert_eq!(answered["output"][0]["content"][0]["text"], "clock said: noon");
    assert!(answered["usage"]["input_tokens"].as_i64().unwrap() > called["usage"]["input_tokens"].as_i64().unwrap());

    let unanswered = caller.post(PATH, &next(&called["id"], &json!("hello"))).await.json();
    assert!(unanswered["error"]["message"].as_str().unwrap().starts_with("No tool output found for function call call_"));
    let unknown = caller.post(PATH, &next(&json!("resp_unknown"), &json!("hello"))).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["code"]), (400, &json!("previous_response_not_found")));
    let unstored = caller.post(PATH, &with("hi", json!({"store": false}))).await.json();
    assert_eq!(caller.post(PATH, &next(&unstored["id"], &json!("hello"))).await.status, 400);
}

#[tokio::test]
async fn an_answer_cut_short_says_why() {
    let answer = ask(&with("hello", json!({"max_output_tokens": 16}))).await.json();
    assert_eq!((&answer["status"], &answer["incomplete_details"]["reason"]), (&json!("incomplete"), &json!("max_output_tokens")));
    assert_eq!(answer["usage"]["output_tokens"], 16);
    let transcript = listen(request("hello [sim: finish=filter]")).await;
    assert_eq!(names(&transcript).last().unwrap(), "incomplete");
    assert_eq!(transcript.chunks().last().unwrap()["response"]["incomplete_details"]["reason"], "content_filter");
}

#[tokio::test]
async fn streams_fail_and_break_as_the_scenario_says() {
    let transcript = listen(request("x [sim: error_event after=5 error_code=rate_limit_exceeded]")).await;
    let chunks = transcript.chunks();
    assert_eq!(chunks.len(), 7);
    assert_eq!((&chunks[5]["type"], &chunks[5]["code"]), (&json!("error"), &json!("rate_limit_exceeded")));
    assert_eq!((&chunks[6]["type"], &chunks[6]["response"]["status"]), (&json!("response.failed"), &json!("failed")));
    assert_eq!(names(&listen(request("x [sim: no_done tokens=1]")).await).last().unwrap(), "output_item.done");
    let transcript = listen(request("x [sim: malformed after=4 tokens=2]")).await;
    assert!(serde_json::from_str::<Value>(&transcript.events[4].data).is_err());
    let transcript = listen(request("x [sim: oversized bytes=100000 tokens=1]")).await;
    assert!(transcript.chunks()[4]["delta"].as_str().unwrap().len() == 100_000);
    let refused = ask(&request("x [sim: 429 retry_after=3]")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("3")));
    let (simulator, caller) = start();
    simulator.queue(Scenario { text: Some("scripted".to_owned()), ..Scenario::default() });
    assert_eq!(caller.post(PATH, &request("x")).await.json()["output"][0]["content"][0]["text"], "scripted");
}

#[tokio::test]
async fn media_and_schemas_are_heard() {
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let content = json!([{"type": "input_text", "text": "what is it"}, {"type": "input_image", "image_url": image}]);
    let answer = ask(&json!({"model": "gpt-4o", "input": [{"role": "user", "content": content}]})).await.json();
    assert_eq!(answer["output"][0]["content"][0]["text"], "I received image/png of 8 bytes.");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let format = json!({"format": {"type": "json_schema", "name": "place", "schema": schema, "strict": true}});
    let answer = ask(&with("where", json!({"text": format}))).await.json();
    assert_eq!(answer["output"][0]["content"][0]["text"], r#"{"city":"sample 1"}"#);
    let (_simulator, caller) = start();
    let count = caller.post("/v1/responses/input_tokens", &request("one two three")).await.json();
    assert_eq!(count, json!({"object": "response.input_tokens", "input_tokens": 3}));
}

#[test]
fn what_the_real_service_refuses_is_refused_with_its_code() {
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "clock", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "call_2", "output": "noon"});
    let item = |item: Value| json!({"input": [item]});
    let part = |role: &str, part: Value| json!({"input": [{"role": role, "content": [part]}]});
    let cases = [
        (json!({"input": "x", "top_k": 1}), "unknown_parameter", "top_k"),
        (json!({"input": "x", "messages": []}), "unknown_parameter", "messages"),
        (json!({}), "missing_required_parameter", "input"),
        (json!({"input": []}), "empty_array", "input"),
        (json!({"input": "x", "max_output_tokens": 5}), "integer_below_min_value", "max_output_tokens"),
        (json!({"input": "x", "temperature": 3}), "invalid_value", "temperature"),
        (json!({"input": "x", "reasoning": {"effort": "ultra"}}), "invalid_value", "reasoning.effort"),
        (json!({"input": "x", "reasoning": {"effort": "low"}, "model": "gpt-4.1"}), "unsupported_parameter", "reasoning.effort"),
        (json!({"input": "x", "include": ["everything"]}), "invalid_value", "include[0]"),
        (json!({"input": "x", "text": {"format": {"type": "xml"}}}), "invalid_value", "text.format.type"),
        (json!({"input": "x", "text": {"format": {"type": "json_schema"}}}), "missing_required_parameter", "text.format.name"),
        (
            json!({"input": "x", "tools": [{"type": "function", "function": {"name": "f"}}]}),
            "missing_required_parameter",
            "tools[0].name",
        ),
        (json!({"input": "x", "tools": [{"type": "tool"}]}), "invalid_value", "tools[0]"),
        (json!({"input": "x", "tool_choice": "any"}), "invalid_value", "tool_choice"),
        (item(json!({"role": "king", "content": "x"})), "invalid_value", "input[0].role"),
        (item(json!({"type": "spell", "content": "x"})), "invalid_value", "input[0]"),
        (item(json!({"role": "user", "content": "x", "name": "me"})), "unknown_parameter", "input[0].name"),
        (item(json!({"role": "assistant", "id": "x1", "content": "x"})), "invalid_value", "input[0].id"),
        (part("assistant", json!({"type": "input_text", "text": "x"})), "invalid_value", "input[0].content[0]"),
        (part("user", json!({"type": "text", "text": "x"})), "invalid_value", "input[0].content[0]"),
        (
            part("user", json!({"type": "input_image", "image_url": "data:image/png;base64,?"})),
            "invalid_base64",
            "input[0].content[0].image_url",
        ),
    ];
    for (body, code, param) in cases {
        let refusal = refusal_of(&body);
        assert_eq!((refusal.status, refusal.code.as_deref(), refusal.param.as_deref()), (400, Some(code), Some(param)), "{body}");
    }
    assert_eq!(refusal_of(&json!({"input": [call]})).message, "No tool output found for function call call_1.");
    assert_eq!(
        refusal_of(&json!({"input": [output]})).message,
        "No tool call found for function call output with call_id call_2."
    );
    let long = json!({"type": "function_call", "call_id": "c".repeat(65), "name": "clock", "arguments": "{}"});
    assert_eq!(refusal_of(&json!({"input": [long]})).code.as_deref(), Some("string_above_max_length"));
    assert_eq!(refusal_of(&json!({"input": "x", "model": "o3", "temperature": 0.2})).param.as_deref(), Some("temperature"));
    let seal = crate::simulator::seal::Seal::Reasoning.of("x");
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal});
    let alone = refusal_of(&json!({"input": [thought, {"role": "user", "content": "x"}]}));
    assert_eq!(alone.message, "Item 'rs_1' of type 'reasoning' was provided without its required following item.");
}

#[tokio::test]
async fn a_stored_response_is_told_again_until_it_is_deleted() {
    let (simulator, caller) = start();
    let made = caller.post(PATH, &with("count the drops", json!({"store": true}))).await.json();
    let at = |more: &str| format!("{PATH}/{}{more}", made["id"].as_str().unwrap());
    assert_eq!(caller.get(&at("")).await.json(), made);
    let items = caller.get(&at("/input_items?limit=1")).await.json();
    assert_eq!((&items["data"][0]["content"][0]["text"], &items["has_more"]), (&json!("count the drops"), &json!(false)));
    for (path, status) in
        [(at("?stream=true"), 400), (at("?nonsense=1"), 400), (format!("{PATH}/resp_none"), 404), (at("/none"), 404)]
    {
        assert_eq!(caller.get(&path).await.status, status, "{path}");
    }
    let cancelled = caller.post(&at("/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["error"]["message"], "Cannot cancel a synchronous response.");
    let other = Caller::new(simulator.base_url()).with_key("another");
    assert_eq!(other.get(&at("")).await.status, 404, "another key's");
    let deleted = crate::client::send(caller.request(reqwest::Method::DELETE, &at(""))).await.unwrap();
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(caller.get(&at("")).await.status, 404);
    let unstored = caller.post(PATH, &with("count the drops", json!({"store": false}))).await.json();
    assert_eq!(caller.get(&format!("{PATH}/{}", unstored["id"].as_str().unwrap())).await.status, 404);
}

#[tokio::test]
async fn a_response_in_the_background_is_made_when_it_is_asked_for_and_streamed_from_anywhere() {
    let (_simulator, caller) = start();
    let made = caller.post(PATH, &with("count the drops", json!({"background": true}))).await.json();
    assert_eq!((&made["status"], &made["output"], &made["usage"]), (&json!("queued"), &json!([]), &Value::Null));
    let at = |made: &Value, more: &str| format!("{PATH}/{}{more}", made["id"].as_str().unwrap());
    assert_eq!(caller.get(&at(&made, "")).await.json()["status"], "completed");
    assert_eq!(caller.post(&at(&made, "/cancel"), &json!({})).await.json()["status"], "cancelled");
    assert_eq!(caller.get(&at(&made, "")).await.json()["status"], "cancelled");
    let streamed = caller.stream(PATH, &with("count the drops", json!({"background": true, "stream": true}))).await;
    let first = streamed.events[0].json()["response"].clone();
    let again = caller.get(&at(&first, "?stream=true&starting_after=2")).await.text();
    assert!(again.contains(r#""sequence_number":3"#) && !again.contains(r#""sequence_number":2,"#), "{again}");
    assert!(again.contains("event: response.completed"));
    let refused = caller.post(PATH, &with("x", json!({"background": true, "store": false}))).await;
    assert_eq!(refused.status, 400);
}
