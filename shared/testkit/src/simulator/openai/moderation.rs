//! Moderations (<https://platform.openai.com/docs/api-reference/moderations>): a text is flagged that speaks of harm.

use serde_json::{Map, Value, json};

use super::fields::given;
use crate::simulator::asked::{Asked, Input, count_words};
use crate::simulator::ids::token;
use crate::simulator::refusal::Refusal;

/// The word that is flagged.
const HARM: &str = "kill";

pub(in crate::simulator) fn check(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    if let Some(name) = body.keys().find(|name| !["model", "input"].contains(&name.as_str())) {
        return Err(Refusal::bad(format!("Unknown parameter: '{name}'.")).param(name).code("unknown_parameter"));
    }
    let input = given(body, "input").ok_or_else(|| Refusal::missing("input"))?;
    let inputs = inputs(input)?;
    Ok(Asked {
        prompt_tokens: inputs.iter().map(|input| input.tokens).sum::<i64>().max(1),
        last_text: inputs.last().map(|input| input.text.clone()).unwrap_or_default(),
        inputs,
        ..Asked::default()
    })
}

/// Texts are judged one by one, a list of parts as a whole.
fn inputs(input: &Value) -> Result<Vec<Input>, Refusal> {
    let wrong = |value: &Value| Refusal::wrong_type("input", "a string, or an array of strings or of parts", value);
    let of = |text: &str| Input { text: text.to_owned(), tokens: count_words(text) };
    match input {
        Value::String(text) => Ok(vec![of(text)]),
        Value::Array(list) if list.is_empty() => Err(Refusal::invalid_value("input", "the array is empty")),
        Value::Array(list) if list.iter().all(Value::is_string) => Ok(list.iter().filter_map(Value::as_str).map(of).collect()),
        Value::Array(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                match (part["type"].as_str(), part["text"].as_str(), part["image_url"]["url"].as_str()) {
                    (Some("text"), Some(text), _) => texts.push(text),
                    (Some("image_url"), _, Some(_)) => {}
                    _ => return Err(wrong(part)),
                }
            }
            Ok(vec![of(&texts.join(" "))])
        }
        other => Err(wrong(other)),
    }
}

/// The answer. It tells no usage: moderation is free.
pub(in crate::simulator) fn answer(asked: &Asked, model: &str, seed: u64) -> Value {
    let judge = |input: &Input| {
        let is_harm = input.text.contains(HARM);
        let score = if is_harm { 0.98 } else { 0.000_1 };
        json!({
            "flagged": is_harm,
            "categories": {"violence": is_harm, "hate": false},
            "category_scores": {"violence": score, "hate": 0.000_1},
            "category_applied_input_types": {"violence": ["text"], "hate": ["text"]},
        })
    };
    let results: Vec<Value> = asked.inputs.iter().map(judge).collect();
    json!({"id": format!("modr-{}", token(seed, 29)), "model": model, "results": results})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_judged_and_parts_are_judged_together() {
        let judged = |input: Value| {
            let body = json!({"input": input});
            check(body.as_object().unwrap()).map(|asked| answer(&asked, "m", 1)["results"].clone())
        };
        let two = judged(json!(["hello", "I kill you"])).unwrap();
        assert_eq!((&two[0]["flagged"], &two[1]["flagged"]), (&json!(false), &json!(true)));
        let parts = json!([{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "http://x"}}]);
        assert_eq!(judged(parts).unwrap().as_array().unwrap().len(), 1);
        for wrong in [json!(1), json!([]), json!([1]), json!([{"type": "text"}])] {
            assert_eq!(judged(wrong).unwrap_err().param.as_deref(), Some("input"));
        }
    }
}
