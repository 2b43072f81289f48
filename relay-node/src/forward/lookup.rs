//! What an upstream is asked that no caller's request is made of: its list of models, and what is left of the money.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value;
use sluice_dialect::error::UpstreamError;
use sluice_providers::{Amount, CallError, Capability, ChannelAddress, ClientHints, FieldName, MAX_MODELS, ModelPage, Target};
use sluice_routing::Candidate;
use sluice_upstream::Timeouts;
use tokio::time::Instant;

use super::Hints;
use super::address::Place;
use super::failure::Failure;
use super::proof::prove;
use super::seen::Fault;
use super::trial::Trouble;
use super::wire::read_some;
use crate::app::RelayApp;
use crate::error::Kind;

/// Pages of a list of models that are fetched.
const MAX_PAGES: usize = 10;
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The names in the upstream's list of models.
///
/// # Errors
/// When there is no such list within the time.
pub async fn models(app: &RelayApp, candidate: &Candidate, patience: Duration) -> Result<Vec<String>, Trouble> {
    let asking = Asking::of(app, candidate, patience)?;
    let first = asking.call(Capability::Models, "")?;
    let (mut names, mut next) = (Vec::new(), None::<(&'static str, String)>);
    for _ in 0..MAX_PAGES {
        let mut target = first.clone();
        if let Some((parameter, value)) = next.take() {
            target.url.query_pairs_mut().append_pair(parameter, &value);
        }
        let (status, body) = asking.send(target, Bytes::new()).await?;
        let page = ModelPage::read(&body).map_err(|_| asking.unreadable(status, &body, "the answer holds no list of models"))?;
        names.extend(page.names);
        next = page.next;
        if next.is_none() || names.len() >= MAX_MODELS {
            break;
        }
    }
    names.truncate(MAX_MODELS);
    Ok(names)
}

/// What is left of the money at the upstream.
///
/// # Errors
/// When it does not say within the time.
pub async fn balance(app: &RelayApp, candidate: &Candidate, patience: Duration) -> Result<Amount, Trouble> {
    let asking = Asking::of(app, candidate, patience)?;
    let provider = &asking.place.provider;
    let Some(balance) = &provider.balance else {
        return Err(Trouble::ours("not_offered", "the channel's provider does not say what is left of its money"));
    };
    let now_secs = app.clock.read().wall.0 / 1_000;
    let extra = asking.place.shape.fields();
    let calls = provider.balance_calls(&asking.address(&extra), now_secs).map_err(|error| not_made(&error))?;
    let (mut status, mut answers) = (StatusCode::OK, Vec::new());
    for target in calls {
        let (answered, body) = asking.send(target, Bytes::new()).await?;
        status = answered;
        answers.push(body);
    }
    let last = answers.last().cloned().unwrap_or_default();
    balance.read(&answers).map_err(|_| asking.unreadable(status, &last, "the answer holds no balance").into())
}

/// One channel and key, and when an answer has to be there.
struct Asking<'a> {
    app: &'a RelayApp,
    candidate: &'a Candidate,
    place: Arc<Place>,
    until: Instant,
}

impl<'a> Asking<'a> {
    fn of(app: &'a RelayApp, candidate: &'a Candidate, patience: Duration) -> Result<Self, Box<Failure>> {
        let place = app.engine.addresses.of(&candidate.channel).map_err(|error| Box::new(Failure::not_placed(error)))?;
        Ok(Self { app, candidate, place, until: Instant::now() + patience })
    }

    fn address<'s>(&'s self, extra: &'s [(FieldName, &'s str)]) -> ChannelAddress<'s> {
        let (channel, shape) = (&self.candidate.channel, &self.place.shape);
        ChannelAddress {
            base_url: &self.place.base_url,
            secret: &self.candidate.key.secret,
            api_version: channel.api_version.as_deref().or_else(|| shape.field(FieldName::ApiVersion)),
            organization: shape.field(FieldName::Organization),
            strip_dots: shape.field(FieldName::StripDots) == Some("true"),
            extra,
        }
    }

    fn call(&self, capability: Capability, model: &str) -> Result<Target, Box<Failure>> {
        let extra = self.place.shape.fields();
        let called = self.place.provider.call(&self.address(&extra), capability, model, false, &ClientHints::default());
        called.map_err(|error| Box::new(not_made(&error)))
    }

    async fn send(&self, mut target: Target, body: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        let engine = &self.app.engine;
        let (secret, route) = (&self.candidate.key.secret, self.place.shape.route());
        self.place.shape.put_headers(&mut target, &Hints::default(), secret)?;
        prove(self.app, &self.place.provider, secret, route, (&mut target, &body)).await?;
        let left = self.until.saturating_duration_since(Instant::now());
        let sent = engine.client.send(route, target, body, Timeouts { total: Some(left), ..Timeouts::default() }).await;
        let answer = sent.map_err(|error| Failure::not_sent(&error))?;
        let status = answer.status;
        if !status.is_success() {
            let said = read_some(answer.body, engine.timing.error_body).await;
            let error = UpstreamError::read(status.as_u16(), &said, &[secret.expose_secret()]);
            return Err(Failure::refused(status, &answer.headers, error, &self.keywords()));
        }
        let body = answer.collect(MAX_ANSWER_BYTES).await.map_err(|error| Failure::unreadable(error, status))?;
        Ok((status, body))
    }

    /// An answer that is not what was asked for: an error in disguise, or something else.
    fn unreadable(&self, status: StatusCode, body: &[u8], message: &'static str) -> Failure {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        if value.get("error").is_some_and(|error| !error.is_null()) {
            let error = UpstreamError::read(status.as_u16(), body, &[self.candidate.key.secret.expose_secret()]);
            return Failure::reported(status, error, &self.keywords());
        }
        Failure::unusable(Kind::BadResponseBody, message, status)
    }

    fn keywords(&self) -> Vec<Box<str>> {
        self.app.view.table().settings.disable_keywords.to_vec()
    }
}

fn not_made(error: &CallError) -> Failure {
    match error {
        CallError::NotServed { .. } => Failure::not_served("the channel's provider does not offer this"),
        CallError::Secret => Failure::not_made("the channel's key cannot be sent", Some(Fault::Key)),
        _ => Failure::not_made("the channel's settings do not make a request", Some(Fault::Address)),
    }
}
