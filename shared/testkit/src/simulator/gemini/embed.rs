//! Embeddings in Google's form.

use serde_json::{Map, Value, json};

use super::contents::content;
use super::fields::{Message, wrong};
use super::pairing::turn;
use crate::simulator::asked::{Asked, Input, count_words};
use crate::simulator::models::Task;
use crate::simulator::openai::embedding::vector;
use crate::simulator::refusal::Refusal;

const REQUEST: &[&str] = &["model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"];
const TASKS: [&str; 9] = [
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];

pub(in crate::simulator) fn check_embed(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let body = Message { fields: body, at: String::new() };
    body.only(REQUEST)?;
    let mut asked = Asked::default();
    read(&body, &mut asked)?;
    Ok(asked)
}

pub(in crate::simulator) fn check_batch_embed(model: &str, body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let body = Message { fields: body, at: String::new() };
    body.only(&["model", "requests"])?;
    let requests = body.list("requests")?;
    if requests.is_empty() {
        return Err(Refusal::bad("* BatchEmbedContentsRequest.requests: requests is not specified\n"));
    }
    let mut asked = Asked::default();
    for (at, request) in requests {
        let request = Message::read(request, at, REQUEST)?;
        if request.text("model")?.and_then(|name| name.strip_prefix("models/")) != Some(model) {
            let text = format!("* BatchEmbedContentsRequest.{}: unexpected model name format\n", request.path("model"));
            return Err(Refusal::bad(text));
        }
        read(&request, &mut asked)?;
    }
    Ok(asked)
}

/// Adds one content to what is asked.
fn read(request: &Message<'_>, asked: &mut Asked) -> Result<(), Refusal> {
    let value = request.get("content").ok_or_else(|| wrong(&request.path("content"), "content is not specified"))?;
    let said = turn(content(value, request.path("content"))?);
    request.word("taskType", "TaskType", &TASKS)?;
    if let Some(dimensions) = request.integer("outputDimensionality")? {
        let fits = u32::try_from(dimensions).ok().filter(|dimensions| (1..=8192).contains(dimensions));
        asked.dimensions =
            Some(fits.ok_or_else(|| wrong(&request.path("outputDimensionality"), "output_dimensionality is out of range."))?);
    }
    let tokens = count_words(&said.text).max(1);
    asked.prompt_tokens += tokens;
    asked.last_text.clone_from(&said.text);
    asked.inputs.push(Input { text: said.text, tokens });
    Ok(())
}

/// The answer to either verb.
pub(in crate::simulator) fn embeddings(task: Task, asked: &Asked, model: &str) -> Value {
    let dimensions = asked.dimensions.unwrap_or(if model.contains("embedding") { 3072 } else { 8 });
    let mut all: Vec<Value> = asked.inputs.iter().map(|input| json!({"values": vector(&input.text, dimensions)})).collect();
    if task == Task::GeminiBatchEmbed {
        return json!({"embeddings": all});
    }
    json!({"embedding": all.pop()})
}
