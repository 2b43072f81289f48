//! From a body to a request: read once, its prompt estimated on the way.

use std::sync::Arc;

use bytes::Bytes;
use sluice_dialect::openai::{Request, RequestError, Surface};

use crate::error::{Kind, Refusal};
use crate::meter;

/// Longer bodies are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

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
pub async fn read(body: Bytes, surface: Surface) -> Result<Asked, Refusal> {
    let is_short = body.len() <= LONG_BYTES;
    let read = move || {
        let request = Request::read(body, surface)?;
        let prompt = meter::estimate(&request);
        Ok(Asked { request: Arc::new(request), prompt })
    };
    if is_short {
        return read().map_err(|error| refuse(&error));
    }
    match tokio::task::spawn_blocking(read).await {
        Ok(outcome) => outcome.map_err(|error| refuse(&error)),
        Err(_) => Err(Refusal::new(Kind::Internal, "the request could not be read")),
    }
}

fn refuse(error: &RequestError) -> Refusal {
    let kind = match error {
        RequestError::Json(_) => Kind::InvalidJson,
        RequestError::MissingModel => Kind::MissingModel,
        _ => Kind::InvalidRequest,
    };
    let refusal = Refusal::new(kind, error.to_string());
    match error.param() {
        Some(param) => refusal.with_param(param),
        None => refusal,
    }
}
