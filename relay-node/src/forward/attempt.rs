//! One attempt: send the request to one channel with one key, and read its answer up to where it can be given to the caller.

use http::StatusCode;
use secrecy::ExposeSecret;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::Sent;
use sluice_dialect::vendor::Vendor;
use sluice_providers::{Amender, FieldName};
use sluice_routing::Candidate;
use sluice_upstream::{self as upstream, Timeouts};
use tokio::time::Instant;

use super::address::Place;
use super::failure::Failure;
use super::good::{Good, Opened, Whole};
use super::proof::{self, prove};
use super::wire::read_some;
use super::written::not_made;
use super::{Answerer, Halting, Journey, Named};
use crate::meter::Bill;
use crate::responses::{Binding, ResponseId};

impl Journey {
    pub(super) async fn attempt(&self, candidate: &Candidate, answerer: &Answerer, bill: &mut Bill) -> Result<Good, Failure> {
        let named = self.app.engine.named(&candidate.channel, &self.request, &self.terms.settings);
        let model = named.model;
        bill.attempt(candidate, model);
        let place = match self.app.engine.addresses.of(&candidate.channel) {
            Ok(place) => place,
            Err(error) => {
                let failure = Failure::not_placed(error);
                bill.attempted(&candidate.channel.provider.as_str().into(), 0, failure.word);
                return Err(failure);
            }
        };
        let asked_at = self.surface(&place, model);
        let mut outcome = self.try_once((candidate, answerer), &place, named, bill).await;
        // once more in another form, where the address has it: a retry of nobody's
        if let Err(failure) = &outcome
            && failure.is_no_interface
            && let Some(surface) = asked_at.filter(|surface| place.provider.may_lack(*surface))
        {
            place.lacking.note(surface, self.now());
            if self.surface(&place, model).is_some() {
                outcome = self.try_once((candidate, answerer), &place, named, bill).await;
            }
        }
        // a token may end before its time: once more with a new one, which is no retry either
        if let Err(failure) = &outcome
            && self.forgets_stale_token(candidate, &place, failure).await
        {
            outcome = self.try_once((candidate, answerer), &place, named, bill).await;
        }
        match &outcome {
            Ok((status, good)) => {
                bill.attempted(&place.label, status.as_u16(), "");
                answerer.answered(good);
                let stored = match good {
                    Good::Whole(whole) => whole.answer.stored_id(),
                    Good::Stream(opened) => opened.reader.stored_id(),
                };
                let stored = stored.and_then(ResponseId::parse);
                self.remember(candidate, stored).await;
            }
            Err(failure) => bill.attempted(&place.label, failure.status, failure.word),
        }
        outcome.map(|(_, good)| good)
    }

    async fn try_once(
        &self,
        (candidate, answerer): (&Candidate, &Answerer),
        place: &Place,
        named: Named<'_>,
        bill: &mut Bill,
    ) -> Result<(StatusCode, Good), Failure> {
        let model = named.model;
        let is_stream = self.request.facts().stream;
        let fields = place.shape.fields();
        let channel = place.channel(candidate, &fields);
        let table = self.app.engine.takes.table(&self.terms.settings.model_capabilities);
        let way = self.way(candidate, place, named, &table)?;
        let media = self.media(candidate, place, &way).await?;
        let (capability, Sent { body, dropped, betas, uploads, passage }) = self.write(place, &way, &media)?;
        bill.without(&dropped);
        let body = proof::named(&place.provider, &candidate.key.secret, body)?;
        // some upstreams stream whether asked or not, and some never do
        let is_streamed = passage.is_streamed(is_stream);
        let mut target = place
            .provider
            .call(&channel, capability, model, is_streamed, &self.hints.borrowed(&betas, place.shape.field(FieldName::Betas)))
            .map_err(|error| not_made(&error, model != self.request.plain_model(), place))?;
        place.shape.put_headers(&mut target, &self.hints, &candidate.key.secret)?;
        let route = place.shape.route();
        let body = match passage.vendor().filter(|_| !uploads.is_empty()) {
            Some(vendor) => Box::pin(self.with_uploads(candidate, (vendor, uploads), (route, &target), body)).await?,
            None => body,
        };
        prove(&self.app, &place.provider, &candidate.key.secret, route, (&mut target, &body)).await?;
        let name = self.request.facts().model.as_str();
        let amender = Amender::of(&place.provider, capability, name, is_streamed, self.request.body());
        let began = Instant::now();
        let mut halting = Halting::of(&self.app, &passage, route, &target, &body);
        let asked = passage.vendor().filter(|vendor| vendor.may_be_unready()).map(|vendor| (vendor, target.clone()));
        let sent = self.app.engine.client.send(route, target, body, self.timeouts(candidate, is_stream)).await;
        let mut answer = sent.map_err(|error| Failure::not_sent(&error))?;
        if let Some(is_last) = passage.vendor().and_then(Vendor::is_last) {
            answer.body.end_behind(is_last);
        }
        let answer = match asked {
            Some(asked) => Box::pin(self.awaited(answer, asked, route, &mut halting)).await?,
            None => answer,
        };
        let status = answer.status;
        if !status.is_success() {
            return Err(self.refused(candidate, answer).await);
        }
        let good = if is_stream {
            let opened = self.open((candidate, answerer, began), answer, (place, passage, amender, halting), bill).await?;
            Good::Stream(Box::new(Opened { dropped, ..opened }))
        } else {
            let whole = self.read_whole(candidate, answer, (passage, amender, halting), bill).await?;
            Good::Whole(Box::new(Whole { dropped, ..whole }))
        };
        Ok((status, good))
    }

    /// Throws the token away that a failure says is good no longer. `false`: the failure says no such thing.
    async fn forgets_stale_token(&self, candidate: &Candidate, place: &Place, failure: &Failure) -> bool {
        let code = failure.evidence.as_ref().map_or("", |evidence| &evidence.code);
        if self.is_settled() || !place.provider.auth.is_stale_token(code) {
            return false;
        }
        let now = self.app.clock.read().wall.0 / 1_000;
        let Ok(Some((key, _))) = place.provider.token_request(&candidate.key.secret, now) else { return false };
        self.app.engine.tokens.forget(&key).await;
        true
    }

    /// A response that its upstream stores is found again by its owner, as soon as they can know its id.
    async fn remember(&self, candidate: &Candidate, stored: Option<ResponseId>) {
        let Some(id) = stored.filter(|_| self.request.storing().is_stored && !self.is_trial) else { return };
        let (channel, key) = candidate.id();
        let binding = Binding { channel, key, model: self.request.plain_model().into() };
        self.app.responses.remember(self.terms.owner, id, binding).await;
    }

    /// Words in an upstream's error that somebody decides by.
    pub(super) fn keywords(&self) -> &[Box<str>] {
        &self.terms.settings.disable_keywords
    }

    fn timeouts(&self, candidate: &Candidate, is_stream: bool) -> Timeouts {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timing = &self.app.engine.timing;
        if is_stream {
            let first_byte = candidate.channel.policy.first_output.unwrap_or(timing.first_byte);
            let first_byte = left.map_or(first_byte, |left| left.min(first_byte));
            return Timeouts::streamed(first_byte, timing.stream_idle);
        }
        Timeouts { total: left, ..Timeouts::default() }
    }

    pub(super) async fn refused(&self, candidate: &Candidate, answer: upstream::Answer) -> Failure {
        let secret = candidate.key.secret.expose_secret();
        let body = read_some(answer.body, self.app.engine.timing.error_body).await;
        let error = UpstreamError::read(answer.status.as_u16(), &body, &[secret]);
        Failure::refused(answer.status, &answer.headers, error, self.keywords())
    }
}
