//! What a request to Completions or Embeddings asks for.

use serde_json::{Map, Value};

use super::fields::{boolean, decimal, given, integer};
use crate::simulator::asked::{Asked, Encoding, Input, count_words};
use crate::simulator::refusal::Refusal;

pub(in crate::simulator) fn completion(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let mut asked = generation(body)?;
    asked.inputs = inputs(body, "prompt")?;
    asked.prompt_tokens = asked.inputs.iter().map(|input| input.tokens).sum::<i64>().max(1);
    asked.choices *= u32::try_from(asked.inputs.len()).unwrap_or(u32::MAX).clamp(1, 64);
    asked.last_text = asked.inputs.pop().map(|input| input.text).unwrap_or_default();
    Ok(asked)
}

pub(in crate::simulator) fn embedding(body: &Map<String, Value>) -> Result<Asked, Refusal> {
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
pub(super) fn generation(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let stream = boolean(body, "stream")?.unwrap_or(false);
    let options = given(body, "stream_options");
    if options.is_some() && !stream {
        let text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::bad(text).param("stream_options"));
    }
    decimal(body, "temperature", 0.0, 2.0)?;
    decimal(body, "top_p", 0.0, 1.0)?;
    decimal(body, "frequency_penalty", -2.0, 2.0)?;
    decimal(body, "presence_penalty", -2.0, 2.0)?;
    let max_completion_tokens = integer(body, "max_completion_tokens", 1, u32::MAX)?;
    let max_tokens = integer(body, "max_tokens", 1, u32::MAX)?;
    if max_completion_tokens.is_some() && max_tokens.is_some() {
        let text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Refusal::bad(text).param("max_tokens").code("invalid_parameter_combination"));
    }
    Ok(Asked {
        stream,
        include_usage: options.is_some_and(|options| options["include_usage"] == true),
        max_tokens: max_completion_tokens.or(max_tokens),
        choices: integer(body, "n", 1, 128)?.unwrap_or(1),
        stops: stops(body)?,
        ..Asked::default()
    })
}

fn stops(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let wrong = |value: &Value| Refusal::wrong_type("stop", "a string or an array of strings", value);
    match given(body, "stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(list)) if list.len() > 4 => {
            let text =
                format!("Invalid 'stop': array too long. Expected an array with maximum length 4, but got {}.", list.len());
            Err(Refusal::bad(text).param("stop").code("array_above_max_length"))
        }
        Some(Value::Array(list)) => list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(|| wrong(one))).collect(),
        Some(other) => Err(wrong(other)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn embedding_inputs_are_texts_or_token_numbers() {
        let tokens_of = |input: Value| {
            let body = json!({"input": input});
            embedding(body.as_object().unwrap()).map(|asked| (asked.inputs.len(), asked.prompt_tokens))
        };
        assert_eq!(tokens_of(json!("a b c")).unwrap(), (1, 3));
        assert_eq!(tokens_of(json!(["a b", "c"])).unwrap(), (2, 3));
        assert_eq!(tokens_of(json!([1, 2, 3, 4])).unwrap(), (1, 4));
        assert_eq!(tokens_of(json!([[1, 2], [3]])).unwrap(), (2, 3));
        assert_eq!(tokens_of(json!([])).unwrap_err().status, 400);
        assert_eq!(tokens_of(json!([{}])).unwrap_err().status, 400);
    }
}
