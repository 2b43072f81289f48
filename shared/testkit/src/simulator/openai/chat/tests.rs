use serde_json::json;

use super::*;
use crate::simulator::asked::{Media, ToolResult};

fn refusal_of(body: &Value) -> Refusal {
    chat(body.as_object().unwrap()).unwrap_err()
}

fn heard(body: &Value) -> Asked {
    chat(body.as_object().unwrap()).unwrap()
}

#[test]
fn prompt_tokens_are_the_words_of_all_messages() {
    let asked = heard(&json!({"messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [
            {"type": "text", "text": "one two three"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        ]},
    ]}));
    assert_eq!((asked.prompt_tokens, asked.last_text.as_str(), asked.system.as_str()), (5, "one two three", "be kind"));
    assert_eq!(asked.media, [Media::Elsewhere("https://x/y.png".to_owned())]);
}

#[test]
fn what_the_real_service_refuses_is_refused_with_its_code() {
    let user = json!([{"role": "user", "content": "hi"}]);
    let image = |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let cases = [
        (json!({}), "missing_required_parameter", "messages"),
        (json!({"messages": []}), "empty_array", "messages"),
        (json!({"messages": "hi"}), "invalid_type", "messages"),
        (json!({"messages": [{"role": "king", "content": "hi"}]}), "invalid_value", "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "missing_required_parameter", "messages[0].content"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "invalid_value",
            "messages[0].content[0].type",
        ),
        (json!({"messages": image("data:image/png;base64,?")}), "invalid_base64", "messages[0].content[0].image_url.url"),
        (json!({"messages": image("data:text/csv;base64,aGk=")}), "invalid_value", "messages[0].content[0].image_url.url"),
        (json!({"messages": image("here")}), "invalid_value", "messages[0].content[0].image_url.url"),
        (json!({"messages": user, "max_tokens": 0}), "invalid_value", "max_tokens"),
        (json!({"messages": user, "max_tokens": 1.5}), "invalid_type", "max_tokens"),
        (json!({"messages": user, "temperature": 3}), "invalid_value", "temperature"),
        (json!({"messages": user, "stream": "yes"}), "invalid_type", "stream"),
        (json!({"messages": user, "n": 0}), "invalid_value", "n"),
        (json!({"messages": user, "tools": []}), "empty_array", "tools"),
        (json!({"messages": user, "tools": [{"name": "x"}]}), "missing_required_parameter", "tools[0].type"),
        (json!({"messages": user, "reasoning_effort": "ultra"}), "invalid_value", "reasoning_effort"),
        (json!({"messages": user, "response_format": {"type": "xml"}}), "invalid_value", "response_format.type"),
        (json!({"messages": user, "stop": ["a", "b", "c", "d", "e"]}), "array_above_max_length", "stop"),
    ];
    for (body, code, param) in cases {
        let refusal = refusal_of(&body);
        assert_eq!((refusal.status, refusal.code.as_deref(), refusal.param.as_deref()), (400, Some(code), Some(param)), "{body}");
    }
    let refusal = refusal_of(&json!({"messages": user, "stream_options": {"include_usage": true}}));
    assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some("stream_options")));
    assert_eq!(refusal_of(&json!({"messages": user, "top_k": 5})).message, "Unrecognized request argument supplied: top_k");
    assert_eq!(refusal_of(&json!({"messages": user, "tool_choice": "auto"})).param.as_deref(), Some("tool_choice"));
    let refusal = refusal_of(&json!({"messages": user, "response_format": {"type": "json_object"}}));
    assert!(refusal.message.contains("must contain the word 'json'"));
}

#[test]
fn a_strict_schema_is_closed_and_requires_all() {
    let tool = |parameters: Value| {
        let function = json!({"name": "f", "strict": true, "parameters": parameters});
        json!({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": function}]})
    };
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    assert!(refusal_of(&tool(open)).message.contains("'additionalProperties' is required to be supplied and to be false"));
    let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false});
    let nested = json!({"type": "object", "properties": {"a": inner}, "required": ["a"], "additionalProperties": false});
    let refusal = refusal_of(&tool(nested));
    assert!(refusal.message.contains("In context=('properties', 'a'), 'required' is required"), "{}", refusal.message);
    assert_eq!(refusal.code.as_deref(), Some("invalid_function_parameters"));
}

#[test]
fn calls_and_tool_messages_belong_together() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}});
    let asking = |ids: &[&str]| json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(|id| call(id)).collect::<Vec<_>>()});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "noon"});
    let user = json!({"role": "user", "content": "when?"});

    let asked = heard(&json!({"messages": [user, asking(&["a", "b"]), result("b"), result("a")]}));
    let said = ToolResult { name: "clock".to_owned(), said: "noon".to_owned() };
    assert_eq!(asked.results, [said.clone(), said]);
    assert_eq!(asked.roles, ["user", "assistant", "tool"]);

    let unanswered = refusal_of(&json!({"messages": [user, asking(&["a", "b"]), result("a"), user]}));
    assert!(unanswered.message.ends_with("did not have response messages: b"), "{}", unanswered.message);
    assert_eq!(unanswered.param.as_deref(), Some("messages.[1].role"));
    assert!(refusal_of(&json!({"messages": [user, asking(&["a"])]})).message.contains("must be followed by tool messages"));
    assert!(refusal_of(&json!({"messages": [user, result("a")]})).message.contains("must be a response to a preceeding message"));
    let silent = json!({"role": "assistant", "content": null});
    assert_eq!(refusal_of(&json!({"messages": [user, silent]})).status, 400);
}

#[test]
fn a_choice_of_tools_is_read() {
    let tools = json!([{"type": "function", "function": {"name": "clock"}}]);
    let chosen = |choice: Value| {
        chat(json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": choice}).as_object().unwrap())
            .map(|asked| asked.must_call)
            .map_err(|refusal| refusal.param)
    };
    assert_eq!(chosen(json!("required")), Ok(MustCall::Any));
    assert_eq!(chosen(json!("none")), Ok(MustCall::Never));
    assert_eq!(chosen(json!({"type": "function", "function": {"name": "clock"}})), Ok(MustCall::Tool("clock".to_owned())));
    assert_eq!(chosen(json!({"type": "function", "function": {"name": "other"}})), Err(Some("tool_choice".into())));
    assert_eq!(chosen(json!("any")), Err(Some("tool_choice".into())));
}
