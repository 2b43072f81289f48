//! From a body to a request: read once, its prompt estimated on the way.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Count, CountSurface, Form, Incoming, Request, RequestError};
use sluice_dialect::signature::Sealer;

use super::route::Target;
use crate::error::{Kind, Refusal};
use crate::meter;
use crate::responses;

/// Longer bodies are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

/// Where a model's answer is asked for, and what the address says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The surface.
    pub surface: Surface,
    /// The model, where the address names it.
    model: Option<Box<str>>,
    /// How the answer is wanted, where the address says it.
    form: Option<Form>,
}

impl Interface {
    /// The interface of a target; `None` where it is none of a model's.
    #[must_use]
    pub(super) fn of(target: Target<'_>, query: Option<&str>) -> Option<Self> {
        match target {
            Target::Text(surface) => Some(Self { surface, model: None, form: None }),
            Target::Named { surface, model, streams } => {
                let has_sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
                let form = match (streams, has_sse) {
                    (false, _) => Form::Whole,
                    (true, true) => Form::Events,
                    (true, false) => Form::Array,
                };
                Some(Self { surface, model: Some(plain(model)), form: Some(form) })
            }
            _ => None,
        }
    }
}

/// A readable request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What was sent.
    pub request: Arc<Request>,
    /// Estimate of its prompt, in tokens.
    pub prompt: u64,
}

/// Reads a body.
///
/// # Errors
/// When it is not a request of this interface.
pub async fn read(body: Bytes, interface: Interface, sealer: Sealer) -> Result<Asked, Refusal> {
    let is_short = body.len() <= LONG_BYTES;
    let Interface { surface, model, form } = interface;
    let read = move || {
        let request = Request::read(Incoming { surface, body, model, form }, &sealer).map_err(|error| refuse(&error))?;
        responses::check_background(&request)?;
        let prompt = meter::estimate(&request);
        Ok(Asked { request: Arc::new(request), prompt })
    };
    if is_short {
        return read();
    }
    let outcome = tokio::task::spawn_blocking(read).await;
    outcome.unwrap_or_else(|_| Err(Refusal::new(Kind::Internal, "the request could not be read")))
}

/// Reads a body whose tokens are to be counted. `model` is what the address says.
///
/// # Errors
/// When it is not a request of this interface.
pub async fn read_count(body: Bytes, (surface, model): (CountSurface, Option<&str>), sealer: Sealer) -> Result<Count, Refusal> {
    let (is_short, model) = (body.len() <= LONG_BYTES, model.map(plain));
    let read = move || Count::read(surface, body, model.as_deref(), &sealer).map_err(|error| refuse(&error));
    if is_short {
        return read();
    }
    let outcome = tokio::task::spawn_blocking(read).await;
    outcome.unwrap_or_else(|_| Err(Refusal::new(Kind::Internal, "the request could not be read")))
}

/// A name as it stands in an address, without its escapes.
fn plain(name: &str) -> Box<str> {
    percent_decode_str(name).decode_utf8_lossy().into()
}

fn refuse(error: &RequestError) -> Refusal {
    let kind = match error.code() {
        "invalid_json" => Kind::InvalidJson,
        "missing_model" => Kind::MissingModel,
        _ => Kind::InvalidRequest,
    };
    let refusal = Refusal::new(kind, error.to_string());
    match error.param() {
        Some(param) => refusal.with_param(param),
        None => refusal,
    }
}
