//! Asking the upstream that stores a response for it. Nothing is generated, held or charged, nobody else is asked, and what comes of it
//! speaks neither for nor against a channel.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use secrecy::ExposeSecret;
use sluice_dialect::error::UpstreamError;
use sluice_domain::Dialect;
use sluice_providers::StoredCall;
use sluice_routing::Candidate;
use sluice_snapshot::RelaySettings;
use sluice_upstream::{Body, Timeouts};
use tokio::time::Instant;

use super::address::Place;
use super::failure::Failure;
use super::proof::prove;
use super::read::page;
use super::wire::{Form, read_some};
use super::written::not_made;
use super::{Hints, shape};
use crate::app::RelayApp;
use crate::error::Refusal;
use crate::observed::Observed;

/// The longest an answer in one piece may take.
const WAIT: Duration = Duration::from_mins(1);
/// Headers of a good answer that callers get to see.
const PASSED_HEADERS: [HeaderName; 4] =
    [CONTENT_TYPE, CONTENT_DISPOSITION, RETRY_AFTER, HeaderName::from_static("openai-processing-ms")];

/// What is wanted of a stored response.
#[derive(Debug)]
pub struct Stored<'a> {
    /// What every request has at hand.
    pub app: &'a RelayApp,
    /// What is wanted, and of which response.
    pub call: (StoredCall, &'a str),
    /// The model that made it, as its caller asked for it.
    pub model: &'a str,
    /// What of the caller's head may matter upstream.
    pub hints: Hints,
    /// How relays behave.
    pub settings: &'a RelaySettings,
    /// What is seen of it from outside.
    pub observed: &'a mut Observed,
}

/// A good answer, of which nothing was read yet.
#[derive(Debug)]
pub struct StoredAnswer {
    /// Its status.
    pub status: StatusCode,
    /// The headers the caller gets to see.
    pub headers: HeaderMap,
    /// The answer.
    pub body: Body,
    /// Whether it comes in events.
    pub is_stream: bool,
    /// The caller's name of the model, where the upstream has another.
    pub rename: Option<Box<str>>,
}

impl Stored<'_> {
    /// Asks the channel and key that made the response.
    ///
    /// # Errors
    /// When the upstream cannot be asked, or refuses.
    pub async fn ask(self, candidate: &Candidate) -> Result<StoredAnswer, Refusal> {
        let place = self.app.engine.addresses.of(&candidate.channel).map_err(|error| Failure::not_placed(error).refusal)?;
        let began = Instant::now();
        let outcome = self.send(candidate, &place).await;
        self.observed.upstream_time += began.elapsed();
        self.observed.attempt(&place.label, outcome.as_ref().err().map_or("", |failure| failure.word));
        outcome.map_err(|failure| shape::told(failure, &candidate.channel.settings, Dialect::Responses))
    }

    async fn send(&self, candidate: &Candidate, place: &Place) -> Result<StoredAnswer, Failure> {
        let model = candidate.channel.upstream_model(self.model);
        let wants_stream = self.call.0 == StoredCall::Retrieve && self.hints.asks("stream=true");
        let fields = place.shape.fields();
        let channel = place.channel(candidate, &fields);
        let mut target = place
            .provider
            .stored_call(&channel, self.call, model, wants_stream, &self.hints.borrowed(&[], None))
            .map_err(|error| not_made(&error, false, place))?;
        place.shape.put_headers(&mut target, &self.hints, &candidate.key.secret)?;
        let (route, body) = (place.shape.route(), Bytes::new());
        prove(self.app, &place.provider, &candidate.key.secret, route, (&mut target, &body)).await?;
        let timing = &self.app.engine.timing;
        let timeouts =
            if wants_stream { Timeouts::streamed(timing.first_byte, timing.stream_idle) } else { Timeouts::whole(WAIT) };
        let sent = self.app.engine.client.send(route, target, body, timeouts).await;
        let answer = sent.map_err(|error| Failure::not_sent(&error))?;
        if !answer.status.is_success() {
            let said = read_some(answer.body, timing.error_body).await;
            let error = UpstreamError::read(answer.status.as_u16(), &said, &[candidate.key.secret.expose_secret()]);
            return Err(Failure::refused(answer.status, &answer.headers, error, &self.settings.disable_keywords));
        }
        let form = Form::of(&answer.headers);
        if form == Form::Page {
            return Err(page(answer.status));
        }
        let known = PASSED_HEADERS.into_iter().filter_map(|name| Some((name.clone(), answer.headers.get(name)?.clone())));
        let rename = (model != self.model).then(|| self.model.into());
        let (headers, is_stream) = (known.collect(), form == Form::Events);
        Ok(StoredAnswer { status: answer.status, headers, body: answer.body, is_stream, rename })
    }
}

impl Hints {
    /// Whether a pair stands in the caller's query.
    fn asks(&self, wanted: &str) -> bool {
        self.query.as_deref().is_some_and(|query| query.split('&').any(|pair| pair == wanted))
    }
}
