//! Answers in a provider's own form, put into that of their interface before anybody reads them: reranking above all.
//!
//! Only of interfaces that are never streamed: whoever generates text is understood by a codec, whole and streamed alike.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use sluice_dialect::exchange::Request;
use sluice_providers::{Capability, Provider};

use super::address::Place;

/// What is to be done with an answer.
#[derive(Debug, Clone)]
pub(super) struct Amendment {
    provider: Arc<Provider>,
    capability: Capability,
    request: Arc<Request>,
}

impl Amendment {
    /// What a provider's answer to a request needs; `None` where it is in the form of its interface.
    pub(super) fn of(place: &Place, capability: Capability, request: &Arc<Request>) -> Option<Self> {
        let provider = &place.provider;
        let is_needed = provider.amends(capability, false) || (capability == Capability::Rerank && provider.refills());
        (is_needed && !request.surface().generates()).then(|| Self {
            provider: Arc::clone(provider),
            capability,
            request: Arc::clone(request),
        })
    }

    /// The answer as its interface has it. What is no object stays as it is: whoever reads it says so.
    pub(super) fn apply(&self, body: Bytes) -> Bytes {
        let Ok(mut answer) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
        self.provider.amend(self.capability, self.request.facts().model.as_str(), &mut answer);
        if self.provider.refills()
            && let Ok(asked) = serde_json::from_slice(self.request.body())
        {
            self.provider.refill(&asked, &mut answer);
        }
        serde_json::to_vec(&answer).map_or(body, Bytes::from)
    }
}
