//! What one upstream is sent of a request: where, in which dialect, and as its channel wants it.

use bytes::Bytes;
use sluice_dialect::Surface;
use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::{Fetched, Sent, Unwritable, Way};
use sluice_dialect::json::Fields;
use sluice_dialect::openai::StreamOptions;
use sluice_dialect::target::Host;
use sluice_providers::{CallError, Capability, ClientHints, Dropped, FieldName, Provider};
use sluice_routing::Candidate;

use super::address::Place;
use super::failure::Failure;
use super::seen::Fault;
use super::{Journey, Named};
use crate::error::{Kind, Refusal};

impl Journey {
    /// What the upstream is asked at.
    pub(super) fn surface(&self, place: &Place, model: &str) -> Option<Surface> {
        let (caller, base) = (self.request.surface(), &place.base_url);
        let lacks = |surface| place.lacking.has(surface, self.now());
        let lacks_tools = |surface: Surface| {
            lacks(surface) || (surface != caller.asked_as() && place.provider.lacks_tools(surface, base, model))
        };
        let with_tools = || place.provider.speaks_without(caller, base, model, lacks_tools);
        let elsewhere = self.request.brings_tools().then(with_tools).flatten();
        elsewhere.or_else(|| place.provider.speaks_without(caller, base, model, lacks))
    }

    /// Where an upstream is asked, and how. `table`: what models take by the site's own rows.
    pub(super) fn way<'w>(
        &'w self,
        candidate: &Candidate,
        place: &'w Place,
        Named { model, suffix }: Named<'w>,
        table: &'w Table,
    ) -> Result<Way<'w>, Box<Failure>> {
        let surface = self.surface(place, model).ok_or_else(|| not_served(place))?;
        self.may_go_on_at(surface)?;
        let way = place.way(candidate, (surface, model), table);
        Ok(Way { suffix, output_limit: self.terms.output_limit, stream_options: self.stream_options(place), ..way })
    }

    /// A response can be gone on from only where it is stored. Where the upstream speaks another dialect, writing the request says what becomes
    /// of it.
    fn may_go_on_at(&self, surface: Surface) -> Result<(), Box<Failure>> {
        let is_native = surface == self.request.surface();
        match self.terms.previous.refusal().filter(|_| is_native) {
            Some(refusal) => Err(Box::new(Failure::unsupported(refusal))),
            None => Ok(()),
        }
    }

    /// The body for one upstream: in its own dialect, as far as that can say what is asked for, and as its channel wants it.
    pub(super) fn write(&self, place: &Place, way: &Way<'_>, media: &Fetched) -> Result<(Capability, Sent), Box<Failure>> {
        let (surface, model) = (way.surface, way.model);
        let mut sent = self.request.write_with(way, &self.site, media).map_err(|error| unwritable(&error, place))?;
        // a cloud's address says what the body must not
        if self.request.passes_as_it_is(way) && way.host == Host::Own {
            return Ok((Capability::from(surface), sent));
        }
        let adjusts = place.provider.adjusts(surface, model);
        if adjusts {
            let hints = self.hints.borrowed(&sent.betas, place.shape.field(FieldName::Betas));
            let (body, left_out) = adjusted(&place.provider, surface.into(), model, &hints, &sent.body);
            sent.body = body;
            sent.dropped.extend(left_out);
            sent.dropped.sort_unstable();
            sent.dropped.dedup();
        }
        sent.body = place.shape.body(sent.body, adjusts, &self.override_context(model))?;
        Ok((Capability::from(surface), sent))
    }

    fn stream_options(&self, place: &Place) -> StreamOptions {
        match place.provider.stream_options {
            StreamOptions::Force if !self.terms.settings.force_stream_option => StreamOptions::Forward,
            other => other,
        }
    }
}

/// A body as its provider wants it, and what that leaves out. It was read or written as an object before. All else keeps its bytes.
pub(super) fn adjusted(
    provider: &Provider,
    capability: Capability,
    model: &str,
    hints: &ClientHints<'_>,
    body: &Bytes,
) -> (Bytes, Vec<&'static str>) {
    let Ok(mut fields) = Fields::parse(body.clone()) else { return (body.clone(), Vec::new()) };
    let mut dropped = Dropped::default();
    provider.adjust(capability, model, &mut fields, &mut dropped);
    if capability.is_anthropic() {
        provider.put_betas(hints, &mut fields);
    }
    (fields.finish(), dropped.into_names())
}

/// The caller chose the interface. Another channel's provider may have it.
fn not_served(place: &Place) -> Failure {
    let message = format!("the provider of this model, {}, does not serve this interface", place.label);
    Failure::unsupported(Refusal::new(Kind::UnsupportedEndpoint, message))
}

/// The request cannot be said in the upstream's dialect, or breaks a rule of its own.
pub(super) fn unwritable(error: &Unwritable, place: &Place) -> Failure {
    let refusal = || Refusal::new(Kind::InvalidRequest, error.to_string());
    match error {
        Unwritable::NoWay => not_served(place),
        Unwritable::Unsupported(unsupported) => Failure::callers(refusal().with_param(unsupported.path)),
        Unwritable::Body(wrong) => Failure::callers(refusal().with_param(wrong.path.clone())),
    }
}

pub(super) fn not_made(error: &CallError, is_mapped: bool, place: &Place) -> Failure {
    match error {
        CallError::CallerVersion => {
            let refusal = Refusal::new(Kind::InvalidRequest, error.to_string());
            Failure::callers(refusal.with_param("api-version"))
        }
        CallError::NotServed { .. } => not_served(place),
        CallError::Model => {
            Failure::not_made("the model's name cannot be sent to the channel", is_mapped.then_some(Fault::Mapping))
        }
        CallError::Version => Failure::not_made("the API version cannot be sent to the channel", Some(Fault::Version)),
        CallError::Secret => Failure::not_made("the channel's key cannot be sent", Some(Fault::Key)),
        CallError::Organization | CallError::Setting { .. } | CallError::Url => {
            Failure::not_made("the channel's settings do not make a request", Some(Fault::Address))
        }
    }
}
