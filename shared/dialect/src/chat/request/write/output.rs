//! The form of the answer: `response_format`, or words where the model takes none (conversions.md §5).

use serde_json::{Map, Value, json};

use crate::ir::{Block, OutputFormat, Request};
use crate::schema;
use crate::target::Target;

/// The longest name of a schema.
const MAX_NAME_CHARS: usize = 64;

/// What is asked for, and what has to be said in the instructions.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) format: Option<Value>,
    pub(super) instruction: Option<String>,
}

pub(super) fn form(request: &Request, target: &Target<'_>) -> Form {
    match &request.output {
        OutputFormat::Text => Form::default(),
        OutputFormat::JsonObject => {
            let instruction = (!says_json(request)).then(|| "Answer with a JSON object.".to_owned());
            Form { format: Some(json!({"type": "json_object"})), instruction }
        }
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            let has_tools = !request.tools.is_empty();
            if has_tools && !target.capabilities.tools_with_schema {
                return Form { format: None, instruction: Some(told(schema)) };
            }
            if !target.capabilities.structured {
                return Form { format: Some(json!({"type": "json_object"})), instruction: Some(told(schema)) };
            }
            let mut format = Map::new();
            format.insert("name".to_owned(), clean(name.as_deref().unwrap_or_default()).into());
            if let Some(description) = description {
                format.insert("description".to_owned(), description.as_str().into());
            }
            format.insert("schema".to_owned(), schema.clone());
            if let Some(strict) = strict {
                format.insert("strict".to_owned(), (*strict && schema::strict_ready(schema)).into());
            }
            Form { format: Some(json!({"type": "json_schema", "json_schema": format})), instruction: None }
        }
    }
}

fn told(schema: &Value) -> String {
    format!("Answer with one JSON object that follows this JSON Schema, and with nothing else:\n{schema}")
}

/// Letters, digits, `_` and `-`, at most 64 of them.
fn clean(name: &str) -> String {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = name.chars().map(|c| if is_good(c) { c } else { '_' }).take(MAX_NAME_CHARS).collect();
    if name.is_empty() { "response".to_owned() } else { name }
}

/// OpenAI refuses the mode when no message names JSON.
fn says_json(request: &Request) -> bool {
    let blocks = request.system.iter().chain(request.turns.iter().flat_map(|turn| &turn.blocks));
    blocks.into_iter().any(|block| match block {
        Block::Text { text, .. } => text.to_ascii_lowercase().contains("json"),
        _ => false,
    })
}
