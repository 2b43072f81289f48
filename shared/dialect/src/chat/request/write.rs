//! A request as a body for an upstream.

mod messages;
mod output;
mod parts;
mod settings;
mod tools;

use serde_json::{Value, json};

use crate::codec::Written;
use crate::ir::Request;
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

pub(crate) use settings::reasoning;

/// Writes a body of `POST /v1/chat/completions`.
///
/// # Errors
/// When the request says what the target cannot take, and the answer would be wrong without it.
pub fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    let mut written = Written::default();
    let form = output::form(request, target);
    let messages = messages::write(request, target, form.instruction.as_deref(), &mut written.names, losses)?;
    let body = &mut written.body;
    body.insert("model".to_owned(), target.model.into());
    body.insert("messages".to_owned(), Value::Array(messages));
    if request.stream {
        body.insert("stream".to_owned(), true.into());
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    settings::limit(request, target, body);
    settings::sampling(request, target, losses, body)?;
    tools::write(request, target, losses, &mut written.names, body)?;
    if let Some(format) = form.format {
        body.insert("response_format".to_owned(), format);
    }
    settings::reasoning(request, target, losses, body)?;
    settings::media(request, target, losses, body)?;
    settings::about(request, target, losses, body)?;
    for field in &request.native {
        let lost = Field::Native(field.path);
        if field.is_essential { losses.reject(lost)? } else { losses.drop(lost)? }
    }
    if let Some(extra) = request.extra.get(&target.family) {
        body.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Ok(written)
}
