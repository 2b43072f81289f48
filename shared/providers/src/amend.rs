//! What a provider says in its own way, put right before anybody reads it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{BodyError, Capability, Provider};

/// Puts right the answer to one request: a whole one, or the events of a stream one by one.
#[derive(Clone)]
pub struct Amender {
    provider: Arc<Provider>,
    capability: Capability,
    /// The model, as the caller calls it.
    model: Box<str>,
    amends: bool,
    /// The request, where its answer comes without what it asked with.
    refills: Option<Bytes>,
}

/// What became of an answer, or of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amended {
    /// It is right as it is.
    AsItIs,
    /// It is this instead.
    Changed(Vec<u8>),
    /// It tells an error.
    Failed(BodyError),
}

impl Amender {
    /// Whoever puts answers of a provider right; `None` where they never need it. `model` is the caller's name of the model, `asked` the
    /// caller's body.
    pub fn of(
        provider: &Arc<Provider>,
        capability: impl Into<Capability>,
        model: &str,
        is_streamed: bool,
        asked: &Bytes,
    ) -> Option<Self> {
        let capability = capability.into();
        let amends = provider.amends(capability, is_streamed);
        let refills = (capability == Capability::Rerank && provider.refills()).then(|| asked.clone());
        let is_needed = amends || refills.is_some() || provider.has_body_errors();
        is_needed.then(|| Self { provider: Arc::clone(provider), capability, model: model.into(), amends, refills })
    }

    /// Looks at a JSON object. What is none is not touched: its reader says so.
    #[must_use]
    pub fn amend(&self, json: &[u8]) -> Amended {
        let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(json) else { return Amended::AsItIs };
        if let Some(error) = self.provider.body_error(&fields) {
            return Amended::Failed(error);
        }
        if !self.amends && self.refills.is_none() {
            return Amended::AsItIs;
        }
        let before = fields.clone();
        if self.amends {
            self.provider.amend(self.capability, &self.model, &mut fields);
        }
        if let Some(asked) = self.refills.as_ref().and_then(|asked| serde_json::from_slice(asked).ok()) {
            self.provider.refill(&asked, &mut fields);
        }
        if fields == before { Amended::AsItIs } else { Amended::Changed(Value::Object(fields).to_string().into_bytes()) }
    }
}

impl fmt::Debug for Amender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amender")
            .field("provider", &self.provider.slug)
            .field("capability", &self.capability)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    fn amender(slug: &str, capability: Capability, is_streamed: bool) -> Option<Amender> {
        Amender::of(Catalog::shipped().unwrap().get(slug).unwrap(), capability, "m", is_streamed, &Bytes::new())
    }

    #[test]
    fn most_providers_need_nobody() {
        assert!(amender("openai", Capability::Chat, false).is_none());
        assert!(amender("anthropic", Capability::Messages, true).is_none());
    }

    #[test]
    fn what_needs_no_change_keeps_its_bytes() {
        let xai = amender("xai", Capability::Chat, true).unwrap();
        assert_eq!(xai.amend(br#"{ "choices": [ ] }"#), Amended::AsItIs);
        let usage = br#"{"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":10}}"#;
        let changed = r#"{"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}"#;
        assert_eq!(xai.amend(usage), Amended::Changed(changed.into()));
        assert_eq!(xai.amend(b"[DONE]"), Amended::AsItIs);
    }

    #[test]
    fn documents_that_were_not_sent_back_are_those_of_the_request() {
        let asked = Bytes::from_static(br#"{"documents":["a","b"],"return_documents":true}"#);
        let catalog = Catalog::shipped().unwrap();
        let amender = Amender::of(catalog.get("xinference").unwrap(), Capability::Rerank, "m", false, &asked).unwrap();
        let Amended::Changed(changed) = amender.amend(br#"{"results":[{"index":1,"relevance_score":0.5}]}"#) else {
            panic!("nothing was put in");
        };
        assert!(String::from_utf8(changed).unwrap().contains("\"b\""));
    }

    #[test]
    fn an_error_in_a_good_answer_is_found() {
        let minimax = amender("minimax", Capability::Chat, false).unwrap();
        let Amended::Failed(error) = minimax.amend(br#"{"base_resp":{"status_code":1008,"status_msg":"no balance"}}"#) else {
            panic!("no error was found");
        };
        assert_eq!((error.status, error.code.as_str()), (402, "1008"));
        assert_eq!(minimax.amend(br#"{"base_resp":{"status_code":0}}"#), Amended::AsItIs);
    }
}
