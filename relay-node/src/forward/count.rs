//! Asking upstreams how many tokens a request has. Nothing is generated, held or charged, and what comes of it speaks neither for nor
//! against a channel: many have no such interface.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use secrecy::ExposeSecret;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::{Count, CountSurface, Site};
use sluice_providers::{Capability, FieldName};
use sluice_routing::{Candidate, Next, Plan};
use sluice_snapshot::RelaySettings;
use sluice_upstream::Timeouts;
use tokio::time::Instant;

use super::Hints;
use super::address::Place;
use super::failure::{Failure, Retry};
use super::proof::prove;
use super::shape;
use super::wire::read_some;
use super::written::{adjusted, not_made, unwritable};
use crate::app::RelayApp;
use crate::error::{Kind, Refusal};
use crate::observed::Observed;
use crate::responses::Previous;

/// Upstreams that are asked at most.
const ATTEMPTS: u32 = 2;
/// The longest one of them may take.
const WAIT: Duration = Duration::from_secs(30);
/// What is answered where there is no such interface, though the catalogue has one: proxies often serve a part of it.
const ABSENT: [u16; 3] = [404, 405, 501];

/// A request whose tokens are to be counted, on its way to upstreams.
#[derive(Debug)]
pub struct Counting<'a> {
    /// What every request has at hand.
    pub app: &'a RelayApp,
    /// What is to be counted.
    pub count: &'a Count,
    /// What of the caller's head may matter upstream.
    pub hints: Hints,
    /// How relays behave.
    pub settings: &'a RelaySettings,
    /// What writing it in another dialect takes.
    pub site: Site,
    /// The response that it goes on from.
    pub previous: Previous,
    /// What is seen of it from outside.
    pub observed: &'a mut Observed,
}

impl Counting<'_> {
    /// The answer for the caller, from the first upstream that counts. `None`: nobody who may be asked counts tokens.
    ///
    /// # Errors
    /// When the request cannot be sent, or those that were asked failed.
    pub async fn run(self, mut plan: Plan, rng: &mut SmallRng) -> Result<Option<Bytes>, Refusal> {
        let (mut next, mut asked, mut failed) = (plan.next(Next::Channel, rng), 0, None);
        while let Some(candidate) = next {
            let Some((place, surface)) = self.place_of(&candidate) else {
                next = plan.next(Next::Channel, rng);
                continue;
            };
            if asked == ATTEMPTS || (asked > 0 && !self.app.engine.retries.take(self.app.clock.read().boot_millis)) {
                break;
            }
            asked += 1;
            let began = Instant::now();
            let outcome = self.ask(&candidate, &place, surface).await;
            self.observed.upstream_time += began.elapsed();
            self.observed.attempt(&place.label, outcome.as_ref().err().map_or("", |failure| failure.word));
            let failure = match outcome {
                Ok(answer) => return Ok(Some(answer)),
                Err(failure) => failure,
            };
            next = match failure.retry {
                _ if ABSENT.contains(&failure.status) => plan.next(Next::Channel, rng),
                Retry::Never => None,
                Retry::NextKey => plan.next(Next::KeyOf(candidate.channel.id), rng),
                Retry::NextChannel | Retry::NextAfter(_) => plan.next(Next::Channel, rng),
            };
            if !ABSENT.contains(&failure.status) {
                let caller = self.count.surface().conversation().dialect();
                failed = Some(shape::told(failure, &candidate.channel.settings, caller));
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// Where a candidate is and at which interface it counts, if it does.
    fn place_of(&self, candidate: &Candidate) -> Option<(std::sync::Arc<Place>, CountSurface)> {
        let place = self.app.engine.addresses.of(&candidate.channel).ok()?;
        let model = self.model_at(candidate);
        let surface = place.provider.counts_for(self.count.surface(), &place.base_url, model)?;
        Some((place, surface))
    }

    fn model_at<'c>(&'c self, candidate: &'c Candidate) -> &'c str {
        self.app.engine.named(&candidate.channel, self.count.request(), self.settings).model
    }

    async fn ask(&self, candidate: &Candidate, place: &Place, surface: CountSurface) -> Result<Bytes, Failure> {
        let model = self.model_at(candidate);
        let (provider, capability) = (&place.provider, Capability::from(surface));
        let table = self.app.engine.takes.table(&self.settings.model_capabilities);
        if capability == Capability::ResponsesInputTokens
            && let Some(refusal) = self.previous.refusal()
        {
            return Err(Failure::unsupported(refusal));
        }
        let way = place.way(candidate, (surface.conversation(), model), &table);
        let counted = self.count.write(surface, &way, &self.site).map_err(|error| unwritable(&error, place))?;
        let body = if provider.adjusts(capability, model) {
            adjusted(
                provider,
                capability,
                model,
                &self.hints.borrowed(&counted.betas, place.shape.field(FieldName::Betas)),
                &counted.body,
            )
            .0
        } else {
            counted.body
        };
        let fields = place.shape.fields();
        let channel = place.channel(candidate, &fields);
        let is_mapped = model != self.count.request().facts().model.as_str();
        let mut target = provider
            .call(&channel, capability, model, false, &self.hints.borrowed(&counted.betas, place.shape.field(FieldName::Betas)))
            .map_err(|error| not_made(&error, is_mapped, place))?;
        let timeouts = Timeouts { total: Some(WAIT), ..Timeouts::default() };
        place.shape.put_headers(&mut target, &self.hints, &candidate.key.secret)?;
        let route = place.shape.route();
        prove(self.app, provider, &candidate.key.secret, route, (&mut target, &body)).await?;
        let sent = self.app.engine.client.send(route, target, body, timeouts).await;
        let answer = sent.map_err(|error| Failure::not_sent(&error))?;
        let (status, headers) = (answer.status, answer.headers);
        let body = read_some(answer.body, self.app.engine.timing.error_body).await;
        if !status.is_success() {
            let error = UpstreamError::read(status.as_u16(), &body, &[candidate.key.secret.expose_secret()]);
            return Err(Failure::refused(status, &headers, error, &self.settings.disable_keywords));
        }
        let unusable = || Failure::unusable(Kind::BadResponseBody, "the upstream's count could not be read", status);
        let tokens = surface.read(&body).ok_or_else(unusable)?;
        Ok(if surface == self.count.surface() { body } else { self.count.surface().answer(tokens) })
    }
}
