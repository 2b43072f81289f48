//! What a request asks for, after the checks the real service makes.

use serde_json::{Map, Value};

use super::models::Task;
use super::refusal::Refusal;

/// A tool the caller declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// The JSON Schema of its arguments.
    pub(super) parameters: Value,
}

/// One text or token list to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) text: String,
    pub(super) tokens: i64,
}

/// Whether the caller insists on a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum MustCall {
    /// No.
    #[default]
    No,
    /// Of any tool.
    Any,
    /// Of the tool with this name.
    Tool(String),
}

/// How the caller wants its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    /// As JSON numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// A checked request.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// Words in everything the request says, one prompt token each; at least 1.
    pub(super) prompt_tokens: i64,
    pub(super) max_tokens: Option<u32>,
    pub(super) choices: u32,
    pub(super) tools: Vec<Tool>,
    pub(super) must_call: MustCall,
    pub(super) parallel_calls: bool,
    pub(super) inputs: Vec<Input>,
    pub(super) encoding: Encoding,
    pub(super) dimensions: Option<u32>,
    /// The text of the last user message, prompt or input.
    pub(super) last_text: String,
}

/// The model a body names. Azure names it in the path instead.
pub(super) fn model_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    match body.get("model") {
        None | Some(Value::Null) => Err(Refusal::new(400, "you must provide a model parameter")),
        Some(Value::String(model)) if model.is_empty() => Err(Refusal::new(400, "you must provide a model parameter")),
        Some(Value::String(model)) => Ok(model.clone()),
        Some(other) => Err(Refusal::wrong_type("model", "a string", other)),
    }
}

pub(super) fn check(task: Task, body: &Map<String, Value>) -> Result<Asked, Refusal> {
    match task {
        Task::Chat => chat(body),
        Task::Completion => completion(body),
        Task::Embedding => embedding(body),
    }
}

fn chat(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let mut asked = generation(body)?;
    let messages = match body.get("messages") {
        None | Some(Value::Null) => return Err(Refusal::missing("messages")),
        Some(Value::Array(messages)) if messages.is_empty() => {
            return Err(Refusal::new(400, "Invalid 'messages': empty array. Expected an array with minimum length 1.")
                .param("messages")
                .code("empty_array"));
        }
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(Refusal::wrong_type("messages", "an array of objects", other)),
    };
    let mut words = 0;
    for (place, message) in messages.iter().enumerate() {
        let text = check_message(place, message)?;
        words += count_words(&text);
        if message["role"] == "user" {
            asked.last_text = text;
        }
    }
    asked.prompt_tokens = words.max(1);
    asked.tools = tools(body)?;
    asked.parallel_calls = body.get("parallel_tool_calls") != Some(&Value::Bool(false));
    asked.must_call = match body.get("tool_choice") {
        Some(Value::String(choice)) if choice == "required" => MustCall::Any,
        Some(Value::Object(choice)) => {
            let name = choice.get("function").and_then(|function| function["name"].as_str());
            name.map_or(MustCall::Any, |name| MustCall::Tool(name.to_owned()))
        }
        _ => MustCall::No,
    };
    if body.get("tool_choice").is_some_and(|choice| !choice.is_null()) && asked.tools.is_empty() {
        let text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(Refusal::new(400, text).param("tool_choice"));
    }
    Ok(asked)
}

fn check_message(place: usize, message: &Value) -> Result<String, Refusal> {
    let Value::Object(fields) = message else {
        return Err(Refusal::wrong_type(&format!("messages[{place}]"), "an object", message));
    };
    let role_param = format!("messages[{place}].role");
    match fields.get("role") {
        None => return Err(Refusal::missing(&role_param)),
        Some(Value::String(role))
            if ["system", "developer", "user", "assistant", "tool", "function"].contains(&role.as_str()) => {}
        Some(Value::String(_)) => return Err(Refusal::invalid_value(&role_param, "it is not one of the known roles")),
        Some(other) => return Err(Refusal::wrong_type(&role_param, "a string", other)),
    }
    let content_param = format!("messages[{place}].content");
    match fields.get("content") {
        None | Some(Value::Null) if fields.get("role").is_some_and(|role| role == "assistant") => Ok(String::new()),
        None => Err(Refusal::missing(&content_param)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => Ok(parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")),
        Some(other) => Err(Refusal::wrong_type(&content_param, "a string or an array of objects", other)),
    }
}

fn tools(body: &Map<String, Value>) -> Result<Vec<Tool>, Refusal> {
    let tools = match body.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(Refusal::wrong_type("tools", "an array of objects", other)),
    };
    let read = |(place, tool): (usize, &Value)| {
        let function = &tool["function"];
        let name = function["name"].as_str().ok_or_else(|| Refusal::missing(&format!("tools[{place}].function.name")))?;
        Ok(Tool { name: name.to_owned(), parameters: function["parameters"].clone() })
    };
    tools.iter().enumerate().map(read).collect()
}

fn completion(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let mut asked = generation(body)?;
    asked.inputs = inputs(body, "prompt")?;
    asked.prompt_tokens = asked.inputs.iter().map(|input| input.tokens).sum::<i64>().max(1);
    asked.choices *= u32::try_from(asked.inputs.len()).unwrap_or(u32::MAX).clamp(1, 64);
    asked.last_text = asked.inputs.pop().map(|input| input.text).unwrap_or_default();
    Ok(asked)
}

fn embedding(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let inputs = inputs(body, "input")?;
    let encoding = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(Refusal::invalid_value("encoding_format", "it is neither 'float' nor 'base64'")),
    };
    Ok(Asked {
        prompt_tokens: inputs.iter().map(|input| input.tokens).sum::<i64>().max(1),
        dimensions: integer(body, "dimensions", 1, 8192)?,
        last_text: inputs.last().map(|input| input.text.clone()).unwrap_or_default(),
        encoding,
        inputs,
        ..Asked::default()
    })
}

/// The fields chat and completions share.
fn generation(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let stream = boolean(body, "stream")?;
    let options = body.get("stream_options").filter(|options| !options.is_null());
    if options.is_some() && !stream {
        let text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::new(400, text).param("stream_options"));
    }
    if let Some(temperature) = body.get("temperature").filter(|value| !value.is_null()) {
        let figure = temperature.as_f64().ok_or_else(|| Refusal::wrong_type("temperature", "a decimal", temperature))?;
        if !(0.0..=2.0).contains(&figure) {
            return Err(Refusal::invalid_value("temperature", "expected a decimal from 0 to 2"));
        }
    }
    let max_tokens = integer(body, "max_completion_tokens", 1, u32::MAX)?.or(integer(body, "max_tokens", 1, u32::MAX)?);
    Ok(Asked {
        stream,
        include_usage: options.is_some_and(|options| options["include_usage"] == true),
        max_tokens,
        choices: integer(body, "n", 1, 128)?.unwrap_or(1),
        ..Asked::default()
    })
}

fn inputs(body: &Map<String, Value>, param: &str) -> Result<Vec<Input>, Refusal> {
    let text = |text: &str| Input { text: text.to_owned(), tokens: count_words(text).max(1) };
    let tokens =
        |tokens: &[Value]| Input { text: format!("{tokens:?}"), tokens: i64::try_from(tokens.len()).unwrap_or(i64::MAX) };
    let wrong = |value: &Value| Refusal::wrong_type(param, "a string, or an array of strings or token numbers", value);
    match body.get(param) {
        None | Some(Value::Null) => Err(Refusal::missing(param)),
        Some(Value::String(only)) => Ok(vec![text(only)]),
        Some(Value::Array(list)) if list.is_empty() => Err(Refusal::invalid_value(param, "the array is empty")),
        Some(Value::Array(list)) if list.iter().all(Value::is_u64) => Ok(vec![tokens(list)]),
        Some(Value::Array(list)) if list.len() > 2048 => Err(Refusal::invalid_value(param, "at most 2048 inputs are allowed")),
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| match item {
                Value::String(one) => Ok(text(one)),
                Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => Ok(tokens(ids)),
                other => Err(wrong(other)),
            })
            .collect(),
        Some(other) => Err(wrong(other)),
    }
}

fn boolean(body: &Map<String, Value>, param: &str) -> Result<bool, Refusal> {
    match body.get(param) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(Refusal::wrong_type(param, "a boolean", other)),
    }
}

fn integer(body: &Map<String, Value>, param: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
    match body.get(param) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let figure = number.as_u64().and_then(|figure| u32::try_from(figure).ok());
            let fits = figure.filter(|figure| (least..=most).contains(figure));
            fits.map(Some).ok_or_else(|| Refusal::invalid_value(param, &format!("expected an integer from {least} to {most}")))
        }
        Some(other) => Err(Refusal::wrong_type(param, "an integer", other)),
    }
}

/// Words, which is what the simulator calls tokens.
pub(super) fn count_words(text: &str) -> i64 {
    i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX)
}

/// The directive in a text: what stands between `[sim:` and `]`.
pub(super) fn directive_in(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("[sim:")?;
    rest.split_once(']').map(|(directive, _)| directive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal_of(task: Task, body: &Value) -> Refusal {
        check(task, body.as_object().unwrap()).unwrap_err()
    }

    #[test]
    fn prompt_tokens_are_the_words_of_all_messages() {
        let body = json!({"messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "one two three"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ]});
        let asked = check(Task::Chat, body.as_object().unwrap()).unwrap();
        assert_eq!((asked.prompt_tokens, asked.last_text.as_str()), (5, "one two three"));
    }

    #[test]
    fn what_the_real_service_refuses_is_refused_with_its_code() {
        let user = json!([{"role": "user", "content": "hi"}]);
        let cases = [
            (json!({}), "missing_required_parameter", "messages"),
            (json!({"messages": []}), "empty_array", "messages"),
            (json!({"messages": "hi"}), "invalid_type", "messages"),
            (json!({"messages": [{"role": "king", "content": "hi"}]}), "invalid_value", "messages[0].role"),
            (json!({"messages": [{"role": "user"}]}), "missing_required_parameter", "messages[0].content"),
            (json!({"messages": user, "max_tokens": 0}), "invalid_value", "max_tokens"),
            (json!({"messages": user, "max_tokens": 1.5}), "invalid_type", "max_tokens"),
            (json!({"messages": user, "temperature": 3}), "invalid_value", "temperature"),
            (json!({"messages": user, "stream": "yes"}), "invalid_type", "stream"),
            (json!({"messages": user, "n": 0}), "invalid_value", "n"),
        ];
        for (body, code, param) in cases {
            let refusal = refusal_of(Task::Chat, &body);
            assert_eq!(
                (refusal.status, refusal.code.as_deref(), refusal.param.as_deref()),
                (400, Some(code), Some(param)),
                "{body}"
            );
        }
        let refusal = refusal_of(Task::Chat, &json!({"messages": user, "stream_options": {"include_usage": true}}));
        assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some("stream_options")));
    }

    #[test]
    fn embedding_inputs_are_texts_or_token_numbers() {
        let tokens_of = |input: Value| {
            let body = json!({"input": input});
            check(Task::Embedding, body.as_object().unwrap()).map(|asked| (asked.inputs.len(), asked.prompt_tokens))
        };
        assert_eq!(tokens_of(json!("a b c")).unwrap(), (1, 3));
        assert_eq!(tokens_of(json!(["a b", "c"])).unwrap(), (2, 3));
        assert_eq!(tokens_of(json!([1, 2, 3, 4])).unwrap(), (1, 4));
        assert_eq!(tokens_of(json!([[1, 2], [3]])).unwrap(), (2, 3));
        assert_eq!(tokens_of(json!([])).unwrap_err().status, 400);
        assert_eq!(tokens_of(json!([{}])).unwrap_err().status, 400);
    }

    #[test]
    fn the_last_directive_of_a_text_is_found() {
        assert_eq!(directive_in("hello [sim: status=500] there"), Some(" status=500"));
        assert_eq!(directive_in("[sim: a] [sim: b]"), Some(" b"));
        assert_eq!(directive_in("[sim: never closed"), None);
        assert_eq!(directive_in("hello"), None);
    }
}
