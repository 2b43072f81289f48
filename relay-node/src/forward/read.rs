//! Reading an upstream's answer, up to where it can be given to the caller.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::{self, Passage, StreamMeter};
use sluice_dialect::frames::Framing;
use sluice_dialect::json::JsonError;
use sluice_dialect::openai::{Content, Finish};
use sluice_providers::{Amended, Amender, BodyError};
use sluice_routing::Candidate;
use sluice_upstream::{self as upstream, ReadError};
use tokio::time::{Instant, timeout_at};

use super::address::Place;
use super::failure::Failure;
use super::good::{Opened, Whole};
use super::wire::{Form, Pieces, announced_bytes, passed_headers, upstream_request_id};
use super::{Answerer, Halting, Journey};
use crate::budget::HeldBytes;
use crate::error::Kind;
use crate::meter::Bill;
use crate::stream::{Drains, Reader, Step};

/// Frames without output that are held back, in bytes; beyond it the stream is given to the caller as it is.
const HELD_BYTES: usize = 1 << 20;

/// Longer documents are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

impl Journey {
    fn meter(&self, place: &Place, passage: Passage) -> StreamMeter {
        let facts = self.request.facts();
        let show_usage = facts.include_usage || self.terms.settings.enforce_include_usage;
        StreamMeter::new(passage, show_usage, (!place.provider.sends_done).then_some(facts.choices))
    }

    /// Reads a stream up to its first useful event.
    pub(super) async fn open(
        &self,
        (candidate, answerer, began): (&Candidate, &Answerer, Instant),
        answer: upstream::Answer,
        (place, passage, amender, halting): (&Place, Passage, Option<Amender>, Option<Halting>),
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
            .of_provider(place.provider.framing, amender)
            .halted_by(halting);
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
        let body = match self.collect(answer, None, bill).await {
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

    pub(super) async fn read_whole(
        &self,
        candidate: &Candidate,
        answer: upstream::Answer,
        (passage, amender, halting): (Passage, Option<Amender>, Option<Halting>),
        bill: &mut Bill,
    ) -> Result<Whole, Failure> {
        let status = answer.status;
        match Form::of(&answer.headers) {
            Form::Page => return Err(page(answer.status)),
            Form::Events if !passage.is_streamed(false) => {
                return Err(Failure::unusable(Kind::BadResponse, "the upstream answered with a stream nobody asked for", status));
            }
            Form::Events | Form::Document | Form::Other => {}
        }
        let headers = passed_headers(&answer.headers, &passage);
        // what is written anew was not created by the caller's request (Replicate says 201)
        let told = if passage.is_written() { StatusCode::OK } else { status };
        bill.first_byte(upstream_request_id(&answer.headers));
        let (body, held) = self.collect(answer, halting, bill).await?;
        if body.is_empty() {
            return Err(Failure::empty(status));
        }
        let answer =
            self.parse(candidate, body, (passage, amender)).await.map_err(|error| self.not_read(error, candidate, status))?;
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
    async fn collect(
        &self,
        answer: upstream::Answer,
        mut halting: Option<Halting>,
        bill: &mut Bill,
    ) -> Result<(Bytes, HeldBytes), Failure> {
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
            if let Some(halting) = &mut halting {
                halting.look(&piece);
            }
            let length = pieces.len() + piece.len();
            if length > self.app.engine.max_answer_bytes {
                return Err(too_large());
            }
            if length > held.bytes() {
                held.resize(&self.app.bytes, length * 2).map_err(no_room)?;
            }
            pieces.push(piece, announced);
        }
        if let Some(halting) = &mut halting {
            halting.over();
        }
        Ok((pieces.joined(), held))
    }

    /// Whether an answer without any output may be what was asked for: a filter cut it all, or no output was wanted.
    fn may_be_empty(&self, finish: Option<Finish>) -> bool {
        // a trial asks for so little that a model may spend it all on thinking
        let is_spent = self.is_trial && finish == Some(Finish::Length);
        is_spent || finish == Some(Finish::ContentFilter) || self.request.facts().max_output == Some(0)
    }
}

/// A web page where an answer should be.
pub(super) fn page(status: StatusCode) -> Failure {
    let message = "the upstream answered with a web page: its address, a proxy or a block is likely the cause";
    Failure::unusable(Kind::BadResponse, message, status)
}

/// Why a document could not be read.
enum Unread {
    NotJson(JsonError),
    GaveUp,
    Told(BodyError),
}
