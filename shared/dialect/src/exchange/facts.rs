//! What the gateway must know of a request that was read as a whole.

use serde_json::Value;
use sluice_domain::{ModelName, NameError};

use super::request::Form;
use crate::ir::Request;
use crate::openai::{Facts, MAX_CHOICES};

/// The longest name of a user that is kept, in bytes.
const MAX_USER_BYTES: usize = 512;

/// The same of a body that could not be read as a whole, as far as it says so plainly.
pub(super) fn beside(body: &Value, model: Option<&str>, form: Option<Form>) -> Result<Facts, NameError> {
    let number = |places: &[&str]| {
        let value = places.iter().find_map(|place| body.pointer(place)?.as_u64())?;
        u32::try_from(value).ok()
    };
    let streams = match form {
        Some(form) => form != Form::Whole,
        None => body["stream"] == true,
    };
    Ok(Facts {
        model: ModelName::parse(model.or(body["model"].as_str()).unwrap_or_default())?,
        stream: streams,
        include_usage: false,
        max_output: number(&["/max_tokens", "/max_output_tokens", "/generationConfig/maxOutputTokens"]),
        choices: number(&["/generationConfig/candidateCount"]).unwrap_or(1).clamp(1, MAX_CHOICES),
        has_tools: body["tools"].as_array().is_some_and(|tools| !tools.is_empty()),
        user: None,
    })
}

pub(super) fn of(request: &Request) -> Result<Facts, NameError> {
    Ok(Facts {
        model: ModelName::parse(&request.model)?,
        stream: request.stream,
        include_usage: false,
        max_output: request.max_output,
        choices: request.choices.unwrap_or(1).max(1),
        has_tools: !request.tools.is_empty(),
        user: request.user.as_deref().filter(|user| user.len() <= MAX_USER_BYTES).map(Into::into),
    })
}
