//! What bringing an answer to its caller takes, beside the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Answer, Request};
use sluice_dialect::openai::Reported;
use sluice_domain::Usage;

use super::drains::Forwarding;
use super::pump::Pump;
use super::reader::Reader;
use crate::error::Refusal;
use crate::forward::{Journey, Opened, Timing, Whole};
use crate::ingress::reply::{self, Stamp};
use crate::meter::{Bill, Counted, Counter, Counting, Ending, Tally};

/// A longer prompt is not kept while its answer streams; should it have to be counted after all, its estimate counts.
const KEPT_BYTES: usize = 64 << 10;

/// Longer answers are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

/// What bringing an answer to its caller takes.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// How errors are told.
    pub stamp: Stamp,
    /// How long things may take.
    pub timing: Timing,
    /// Whether the caller is to get a usage frame even if the upstream sends none.
    pub owes_usage: bool,
    form: Form,
    shows_channel: bool,
    /// The limit that was sent upstream in place of the caller's, in tokens.
    output_limit: Option<u32>,
    counter: Counter,
    /// The request, as long as its prompt may have to be counted.
    request: Option<Arc<Request>>,
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In one piece.
    Whole,
    /// As events, with a sign of life among them where nothing else comes.
    Pinged,
    /// As events alone: Google's clients take a comment for one.
    Events,
    /// As the items of one JSON array.
    Array,
}

impl Form {
    fn of(request: &Request) -> Self {
        match (request.facts().stream, request.surface()) {
            (false, _) => Self::Whole,
            (true, _) if request.streams_an_array() => Self::Array,
            (true, Surface::GenerateContent) => Self::Events,
            (true, _) => Self::Pinged,
        }
    }
}

impl Delivery {
    /// What a journey's answer will take.
    #[must_use]
    pub fn of(journey: &Journey, stamp: Stamp) -> Self {
        let facts = journey.request.facts();
        let is_kept = Counter::knows(facts.model.as_str()) && (!facts.stream || journey.request.body().len() <= KEPT_BYTES);
        Self {
            stamp,
            timing: journey.app.engine.timing,
            form: Form::of(&journey.request),
            owes_usage: facts.include_usage || journey.terms.settings.enforce_include_usage,
            shows_channel: journey.terms.shows_channel,
            output_limit: journey.terms.output_limit,
            counter: journey.app.engine.counter.clone(),
            request: is_kept.then(|| Arc::clone(&journey.request)),
        }
    }

    /// A stream that has begun, as answer.
    #[must_use]
    pub fn stream(self, mut opened: Opened, bill: Box<Bill>) -> Response<Body> {
        let channel = self.shows_channel.then_some(opened.channel);
        let passed = std::mem::take(&mut opened.headers);
        let (output_limit, is_array) = (self.output_limit, self.form == Form::Array);
        let dropped = std::mem::take(&mut opened.dropped);
        let response = reply::stream(Pump::running(opened, bill, self), passed, channel, is_array);
        reply::without(reply::limited(response, output_limit), &dropped)
    }

    /// A stream that nobody has begun yet, as answer: the caller is pinged until somebody does.
    #[must_use]
    pub fn waiting(self, forwarding: Forwarding) -> Response<Body> {
        let output_limit = self.output_limit;
        reply::limited(reply::stream(Pump::waiting(forwarding, self), HeaderMap::new(), None, false), output_limit)
    }

    /// An answer in one piece, settled. Without a usage report it is counted first.
    pub async fn whole(self, mut whole: Whole, bill: Box<Bill>) -> Response<Body> {
        let charged = self.settle_whole(&whole, bill).await;
        whole.answer.charge(charged);
        let channel = self.shows_channel.then_some(whole.channel);
        let dropped = whole.dropped.clone();
        reply::without(reply::limited(reply::whole(whole, channel), self.output_limit), &dropped)
    }

    /// Whether the caller's client survives a sign of life inside its stream.
    #[must_use]
    pub fn pings(&self) -> bool {
        self.form == Form::Pinged
    }

    /// An error inside a stream, as its last frame: of an array, which stays one, the last item (conversions.md §11.5). `has_begun`: something
    /// came before it.
    #[must_use]
    pub fn error_end(&self, refusal: &Refusal, has_begun: bool) -> Bytes {
        if self.form != Form::Array {
            return self.stamp.error_event(refusal);
        }
        let before: &[u8] = if has_begun { b",\r\n" } else { b"[" };
        [before, &self.stamp.error_body(refusal), b"]"].concat().into()
    }

    /// How the caller's dialect ends a stream that had begun and failed, where it does that in another way than by an error alone.
    #[must_use]
    pub fn failed(&self, reader: &mut Reader, refusal: &Refusal) -> Option<Bytes> {
        (self.form != Form::Array).then(|| reader.failed(&self.stamp.words(refusal))).flatten()
    }

    /// Begins to count the prompt exactly; `None` where its estimate has to do.
    #[must_use]
    pub fn count_prompt(&self) -> Option<Counting> {
        self.request.as_ref().and_then(|request| self.counter.prompt(request))
    }

    async fn settle_whole(&self, whole: &Whole, mut bill: Box<Bill>) -> Usage {
        let mut counted = Counted::default();
        let tally = bill.tally();
        if estimate(&whole.answer, tally).await {
            let model = self.request.as_ref().map(|request| request.facts().model.as_str());
            if let Some(counting) = self.count_prompt() {
                counted.prompt = counting.await;
            }
            if let Some(counting) = model.and_then(|model| self.counter.output(model, &whole.answer)) {
                counted.output = counting.await;
            }
        }
        bill.settle(Ending::Completed(whole.status.as_u16(), counted))
    }
}

/// Estimates the output of an answer in one piece, where its upstream reported no usage. `false`: there is nothing to estimate.
pub(super) async fn estimate(answer: &Answer, tally: &mut Tally) -> bool {
    if !tally.saw_output || matches!(tally.reported, Reported::Counted(_)) {
        return false;
    }
    if answer.size_bytes() > LONG_BYTES {
        estimate_elsewhere(answer, tally).await;
    } else {
        tally.counts = answer.visit_output(&mut |text| tally.push(text));
    }
    true
}

/// Estimates a long answer's output.
async fn estimate_elsewhere(answer: &Answer, tally: &mut Tally) {
    let (answer, mut output) = (answer.clone(), tally.output().clone());
    let reading = tokio::task::spawn_blocking(move || {
        let counts = answer.visit_output(&mut |text| output.push(text));
        (counts, output)
    });
    // It is lost only when the process ends.
    if let Ok((counts, output)) = reading.await {
        tally.counts = counts;
        tally.set_output(output);
    }
}
