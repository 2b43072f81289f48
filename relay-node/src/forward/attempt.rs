//! One attempt: send the request to one channel with one key, and read its answer up to where it can be given to the caller.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret;
use sluice_dialect::Surface;
use sluice_dialect::capabilities::Table;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::{self, Fetched, Passage, Sent, StreamMeter, Unwritable, Way};
use sluice_dialect::frames::Framing;
use sluice_dialect::json::{Fields, JsonError};
use sluice_dialect::openai::{Content, Finish, StreamOptions};
use sluice_dialect::target::Host;
use sluice_domain::ChannelId;
use sluice_providers::{
    Amended, Amender, BodyError, CallError, Capability, ChannelAddress, ClientHints, Dropped, FieldName, Provider,
};
use sluice_routing::Candidate;
use sluice_upstream::{self as upstream, ReadError, Timeouts};
use tokio::time::{Instant, timeout_at};

use super::address::Place;
use super::failure::Failure;
use super::proof::prove;
use super::seen::Fault;
use super::wire::{Form, Pieces, announced_bytes, passed_headers, read_some, upstream_request_id};
use super::{Answerer, Journey, Named};
use crate::budget::HeldBytes;
use crate::error::{Kind, Refusal};
use crate::meter::Bill;
use crate::stream::{Drains, Reader, Step};

/// Frames without output that are held back, in bytes; beyond it the stream is given to the caller as it is.
const HELD_BYTES: usize = 1 << 20;

/// Longer documents are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

/// An answer that can be given to the caller.
#[derive(Debug)]
pub enum Good {
    /// All of it.
    Whole(Box<Whole>),
    /// Its beginning.
    Stream(Box<Opened>),
}

/// An answer in one piece.
#[derive(Debug)]
pub struct Whole {
    /// Its status.
    pub status: StatusCode,
    /// The headers the caller gets to see.
    pub headers: HeaderMap,
    /// The answer.
    pub answer: exchange::Answer,
    /// What of the request could not be sent to its upstream.
    pub dropped: Vec<&'static str>,
    /// Who answered.
    pub channel: ChannelId,
    held: HeldBytes,
}

impl Whole {
    /// The answer as the upstream gave it.
    #[must_use]
    pub const fn answer(&self) -> &exchange::Answer {
        &self.answer
    }

    /// The body for the caller, and the memory it takes.
    pub fn into_body(self) -> (Bytes, HeldBytes) {
        (self.answer.into_body(), self.held)
    }
}

/// A stream whose first useful event is there.
#[derive(Debug)]
pub struct Opened {
    /// Reads on.
    pub reader: Reader,
    /// What the caller gets first.
    pub frames: VecDeque<Bytes>,
    /// How it ended, if it did while it was opened.
    pub end: Option<Step>,
    /// The headers the caller gets to see.
    pub headers: HeaderMap,
    /// What of the request could not be sent to its upstream.
    pub dropped: Vec<&'static str>,
    /// Who answered.
    pub channel: ChannelId,
    /// Whom its end speaks for or against.
    pub answerer: Answerer,
    /// Where it is read on without its caller, if its channel wants that.
    pub drains: Option<Drains>,
}

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
        match &outcome {
            Ok((status, good)) => {
                bill.attempted(&place.label, status.as_u16(), "");
                answerer.answered(good);
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
        let channel = ChannelAddress {
            base_url: &place.base_url,
            secret: &candidate.key.secret,
            api_version: candidate.channel.api_version.as_deref().or_else(|| place.shape.field(FieldName::ApiVersion)),
            organization: place.shape.field(FieldName::Organization),
            strip_dots: place.shape.field(FieldName::StripDots) == Some("true"),
            extra: &place.shape.fields(),
        };
        let table = self.app.engine.takes.table(&self.terms.settings.model_capabilities);
        let way = self.way(candidate, place, named, &table)?;
        let media = self.media(candidate, place, &way).await?;
        let (capability, Sent { body, dropped, betas, passage }) = self.write(place, &way, &media)?;
        bill.without(&dropped);
        // some upstreams stream whether asked or not, and some never do
        let is_streamed = passage.is_streamed(is_stream);
        let mut target = place
            .provider
            .call(&channel, capability, model, is_streamed, &self.hints.borrowed(&betas))
            .map_err(|error| not_made(&error, model != self.request.plain_model(), place))?;
        place.shape.put_headers(&mut target, &self.hints, &candidate.key.secret)?;
        let route = place.shape.route();
        prove(&self.app, &place.provider, &candidate.key.secret, route, (&mut target, &body)).await?;
        let name = self.request.facts().model.as_str();
        let amender = Amender::of(&place.provider, capability, name, is_streamed, self.request.body());
        let began = Instant::now();
        let sent = self.app.engine.client.send(route, target, body, self.timeouts(candidate, is_stream)).await;
        let answer = sent.map_err(|error| Failure::not_sent(&error))?;
        let status = answer.status;
        if !status.is_success() {
            return Err(self.refused(candidate, answer).await);
        }
        let good = if is_stream {
            let opened = self.open((candidate, answerer, began), answer, (place, passage, amender), bill).await?;
            Good::Stream(Box::new(Opened { dropped, ..opened }))
        } else {
            let whole = self.read_whole(candidate, answer, (passage, amender), bill).await?;
            Good::Whole(Box::new(Whole { dropped, ..whole }))
        };
        Ok((status, good))
    }

    /// What the upstream is asked at.
    fn surface(&self, place: &Place, model: &str) -> Option<Surface> {
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
    fn way<'w>(
        &'w self,
        candidate: &Candidate,
        place: &'w Place,
        Named { model, suffix }: Named<'w>,
        table: &'w Table,
    ) -> Result<Way<'w>, Box<Failure>> {
        let surface = self.surface(place, model).ok_or_else(|| not_served(place))?;
        Ok(Way {
            surface,
            model,
            suffix,
            table,
            family: place.provider.family,
            host: place.provider.host,
            options: &place.writer,
            output_limit: self.terms.output_limit,
            account: u64::try_from(candidate.channel.id.get()).ok(),
            stream_options: self.stream_options(place),
            losses: place.shape.losses(),
            manner: place.shape.manner(),
        })
    }

    /// The body for one upstream: in its own dialect, as far as that can say what is asked for, and as its channel wants it.
    fn write(&self, place: &Place, way: &Way<'_>, media: &Fetched) -> Result<(Capability, Sent), Box<Failure>> {
        let (surface, model) = (way.surface, way.model);
        let mut sent = self.request.write_with(way, &self.site, media).map_err(|error| unwritable(&error, place))?;
        // a cloud's address says what the body must not
        if self.request.passes_as_it_is(way) && way.host == Host::Own {
            return Ok((Capability::from(surface), sent));
        }
        let adjusts = place.provider.adjusts(surface, model);
        if adjusts {
            let hints = self.hints.borrowed(&sent.betas);
            let (body, left_out) = adjusted(&place.provider, surface.into(), model, &hints, &sent.body);
            sent.body = body;
            sent.dropped.extend(left_out);
            sent.dropped.sort_unstable();
            sent.dropped.dedup();
        }
        sent.body = place.shape.body(sent.body, adjusts, &self.override_context(model))?;
        Ok((Capability::from(surface), sent))
    }

    /// Words in an upstream's error that somebody decides by.
    fn keywords(&self) -> &[Box<str>] {
        &self.terms.settings.disable_keywords
    }

    fn stream_options(&self, place: &Place) -> StreamOptions {
        match place.provider.stream_options {
            StreamOptions::Force if !self.terms.settings.force_stream_option => StreamOptions::Forward,
            other => other,
        }
    }

    fn meter(&self, place: &Place, passage: Passage) -> StreamMeter {
        let facts = self.request.facts();
        let show_usage = facts.include_usage || self.terms.settings.enforce_include_usage;
        StreamMeter::new(passage, show_usage, (!place.provider.sends_done).then_some(facts.choices))
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

    async fn refused(&self, candidate: &Candidate, answer: upstream::Answer) -> Failure {
        let secret = candidate.key.secret.expose_secret();
        let body = read_some(answer.body, self.app.engine.timing.error_body).await;
        let error = UpstreamError::read(answer.status.as_u16(), &body, &[secret]);
        Failure::refused(answer.status, &answer.headers, error, self.keywords())
    }

    /// Reads a stream up to its first useful event.
    async fn open(
        &self,
        (candidate, answerer, began): (&Candidate, &Answerer, Instant),
        answer: upstream::Answer,
        (place, passage, amender): (&Place, Passage, Option<Amender>),
        bill: &mut Bill,
    ) -> Result<Opened, Failure> {
        let status = answer.status;
        match Form::of(&answer.headers) {
            Form::Page => return Err(page(answer.status)),
            // all of the answer, told as a stream
            Form::Document if passage.framing() == Framing::Document => {}
            Form::Document => return Err(self.document_for_stream(candidate, answer, (passage, amender), bill).await),
            Form::Events | Form::Other => {}
        }
        let max_bytes = self.app.engine.max_answer_bytes;
        let source = (answer.body, candidate.key.secret.clone());
        let (passed, request_id) = (passed_headers(&answer.headers, &passage), upstream_request_id(&answer.headers));
        let framing = (passage.framing(), max_bytes);
        let reader = Reader::new(source, self.meter(place, passage), framing, self.app.bytes.clone())
            .of_provider(place.provider.framing, amender);
        let (channel, policy) = (candidate.channel.id, candidate.channel.policy);
        let first_output = policy.first_output.map(|wait| began + wait);
        let drains = policy.drains.then(|| Drains::of(&self.app));
        let (frames, headers, answerer, dropped) = (VecDeque::new(), HeaderMap::new(), answerer.clone(), Vec::new());
        let mut opened = Opened { reader, frames, end: None, headers, dropped, channel, answerer, drains };
        let mut held_bytes = 0;
        while opened.end.is_none() && !opened.reader.saw_output() && held_bytes <= HELD_BYTES {
            match self.in_time(first_output, opened.reader.step(bill.tally())).await {
                Step::Forward(frame) => {
                    held_bytes += frame.len();
                    opened.frames.push_back(frame);
                }
                Step::Error(error) => return Err(Failure::reported(status, *error, self.keywords())),
                Step::Broken(error) => return Err(Failure::unreadable(error, status)),
                Step::TooLong => {
                    return Err(Failure::unusable(Kind::BadResponseBody, "the upstream's answer is too large", status));
                }
                Step::Malformed => return Err(Failure::malformed(status)),
                Step::NoMemory => return Err(Failure::no_memory(status)),
                end @ (Step::Done(_) | Step::Ended) => opened.end = Some(end),
            }
        }
        if opened.end.is_some() && !opened.reader.saw_output() {
            let summary = opened.reader.summary();
            if !summary.is_complete {
                return Err(Failure::unreadable(ReadError::Reset, status));
            }
            if !self.may_be_empty(summary.finish) && !policy.keeps_empty {
                return Err(Failure::empty(status));
            }
        }
        bill.first_byte(request_id);
        opened.headers = passed;
        Ok(opened)
    }

    /// A step of a stream that has to come before the deadline: one that only ever sends comments must end too.
    /// A channel may have a limit of its own.
    async fn in_time(&self, first_output: Option<Instant>, step: impl Future<Output = Step>) -> Step {
        let late = match (first_output, self.deadline) {
            (Some(own), all) if all.is_none_or(|all| own <= all) => Some((own, ReadError::FirstByteTimeout)),
            (_, all) => all.map(|all| (all, ReadError::TotalTimeout)),
        };
        match late {
            None => step.await,
            Some((at, error)) => timeout_at(at, step).await.unwrap_or(Step::Broken(error)),
        }
    }

    /// A document where a stream was asked for: an error in disguise, or an upstream that cannot stream.
    async fn document_for_stream(
        &self,
        candidate: &Candidate,
        answer: upstream::Answer,
        (passage, amender): (Passage, Option<Amender>),
        bill: &mut Bill,
    ) -> Failure {
        let status = answer.status;
        let body = match self.collect(answer, bill).await {
            Ok((body, _held)) => body,
            Err(failure) => return failure,
        };
        match self.parse(candidate, body, (passage, amender)).await {
            Ok(document) => match document.content() {
                Content::Error(error) => Failure::reported(status, (**error).clone(), self.keywords()),
                Content::Empty => Failure::empty(status),
                Content::Output => Failure::unusable(
                    Kind::BadResponseBody,
                    "the upstream answered without the stream that was asked for",
                    status,
                ),
            },
            Err(error) => self.not_read(error, candidate, status),
        }
    }

    async fn read_whole(
        &self,
        candidate: &Candidate,
        answer: upstream::Answer,
        way_back: (Passage, Option<Amender>),
        bill: &mut Bill,
    ) -> Result<Whole, Failure> {
        let status = answer.status;
        match Form::of(&answer.headers) {
            Form::Page => return Err(page(answer.status)),
            Form::Events if !way_back.0.is_streamed(false) => {
                return Err(Failure::unusable(Kind::BadResponse, "the upstream answered with a stream nobody asked for", status));
            }
            Form::Events | Form::Document | Form::Other => {}
        }
        let headers = passed_headers(&answer.headers, &way_back.0);
        // what is written anew was not created by the caller's request (Replicate says 201)
        let told = if way_back.0.is_written() { StatusCode::OK } else { status };
        bill.first_byte(upstream_request_id(&answer.headers));
        let (body, held) = self.collect(answer, bill).await?;
        if body.is_empty() {
            return Err(Failure::empty(status));
        }
        let answer = self.parse(candidate, body, way_back).await.map_err(|error| self.not_read(error, candidate, status))?;
        match answer.content() {
            Content::Error(error) => return Err(Failure::reported(status, (**error).clone(), self.keywords())),
            Content::Empty if !self.may_be_empty(answer.finish()) && !candidate.channel.policy.keeps_empty => {
                return Err(Failure::empty(status));
            }
            Content::Empty | Content::Output => {}
        }
        let tally = bill.tally();
        tally.reported = answer.usage();
        tally.is_final = true;
        tally.saw_output = matches!(answer.content(), Content::Output);
        Ok(Whole { status: told, headers, answer, dropped: Vec::new(), channel: candidate.channel.id, held })
    }

    /// Reads a document; a long one away from the threads that serve requests.
    async fn parse(
        &self,
        candidate: &Candidate,
        body: Bytes,
        (passage, amender): (Passage, Option<Amender>),
    ) -> Result<exchange::Answer, Unread> {
        let secret = candidate.key.secret.clone();
        let is_short = body.len() <= LONG_BYTES;
        let read = move || {
            let body = match amender.map(|amender| amender.amend(&body)) {
                None | Some(Amended::AsItIs) => body,
                Some(Amended::Changed(body)) => body.into(),
                Some(Amended::Failed(told)) => return Err(Unread::Told(told)),
            };
            exchange::Answer::read(body, passage, &[secret.expose_secret()]).map_err(Unread::NotJson)
        };
        if is_short {
            return read();
        }
        tokio::task::spawn_blocking(read).await.map_err(|_| Unread::GaveUp)?
    }

    /// A document that could not be read, or told an error in its provider's own way.
    fn not_read(&self, unread: Unread, candidate: &Candidate, status: StatusCode) -> Failure {
        let failure = Failure::unusable(Kind::BadResponseBody, "the upstream's answer could not be read", status);
        match unread {
            Unread::NotJson(error) => failure.with_detail(|| error.to_string()),
            Unread::GaveUp => failure,
            Unread::Told(told) => {
                let known = [candidate.key.secret.expose_secret()];
                let error = UpstreamError::told(told.status, &told.code, &told.message, &known);
                Failure::reported(status, error, self.keywords())
            }
        }
    }

    /// Reads a whole body within its bound and the byte budget.
    async fn collect(&self, answer: upstream::Answer, bill: &mut Bill) -> Result<(Bytes, HeldBytes), Failure> {
        let status = answer.status;
        let too_large = || Failure::unusable(Kind::BadResponseBody, "the upstream's answer is too large", status);
        let no_room = |_| Failure::no_memory(status);
        let announced = announced_bytes(&answer.headers);
        if announced > self.app.engine.max_answer_bytes {
            return Err(too_large());
        }
        let mut held = self.app.bytes.hold(announced).map_err(no_room)?;
        let mut body = answer.body;
        let mut pieces = Pieces::default();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| Failure::unreadable(error, status))?;
            bill.tally().began = true;
            let length = pieces.len() + piece.len();
            if length > self.app.engine.max_answer_bytes {
                return Err(too_large());
            }
            if length > held.bytes() {
                held.resize(&self.app.bytes, length * 2).map_err(no_room)?;
            }
            pieces.push(piece, announced);
        }
        Ok((pieces.joined(), held))
    }

    /// Whether an answer without any output may be what was asked for: a filter cut it all, or no output was wanted.
    fn may_be_empty(&self, finish: Option<Finish>) -> bool {
        finish == Some(Finish::ContentFilter) || self.request.facts().max_output == Some(0)
    }
}

/// A web page where an answer should be.
fn page(status: StatusCode) -> Failure {
    let message = "the upstream answered with a web page: its address, a proxy or a block is likely the cause";
    Failure::unusable(Kind::BadResponse, message, status)
}

/// Why a document could not be read.
enum Unread {
    NotJson(JsonError),
    GaveUp,
    Told(BodyError),
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
