//! What the gateway must know of a request that was read as a whole.

use sluice_domain::{ModelName, NameError};

use crate::ir::Request;
use crate::openai::Facts;

/// The longest name of a user that is kept, in bytes.
const MAX_USER_BYTES: usize = 512;

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
