//! What bringing an answer to its caller takes, beside the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use sluice_dialect::openai::{Answer, Reported, Request};

use super::pump::{Forwarding, Pump};
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
    shows_channel: bool,
    counter: Counter,
    /// The request, as long as its prompt may have to be counted.
    request: Option<Arc<Request>>,
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
            owes_usage: facts.include_usage || journey.settings.enforce_include_usage,
            shows_channel: journey.shows_channel,
            counter: journey.app.engine.counter.clone(),
            request: is_kept.then(|| Arc::clone(&journey.request)),
        }
    }

    /// A stream that has begun, as answer.
    #[must_use]
    pub fn stream(self, mut opened: Opened, bill: Box<Bill>) -> Response<Body> {
        let channel = self.shows_channel.then_some(opened.channel);
        let passed = std::mem::take(&mut opened.headers);
        reply::stream(Pump::running(opened, bill, self), passed, channel)
    }

    /// A stream that nobody has begun yet, as answer: the caller is pinged until somebody does.
    #[must_use]
    pub(crate) fn waiting(self, forwarding: Forwarding) -> Response<Body> {
        reply::stream(Pump::waiting(forwarding, self), HeaderMap::new(), None)
    }

    /// An answer in one piece, settled. Without a usage report it is counted first.
    pub async fn whole(self, whole: Whole, bill: Box<Bill>) -> Response<Body> {
        self.settle_whole(&whole, bill).await;
        let channel = self.shows_channel.then_some(whole.channel);
        reply::whole(whole, channel)
    }

    /// Begins to count the prompt exactly; `None` where its estimate has to do.
    #[must_use]
    pub fn count_prompt(&self) -> Option<Counting> {
        self.request.as_ref().and_then(|request| self.counter.prompt(request))
    }

    async fn settle_whole(&self, whole: &Whole, mut bill: Box<Bill>) {
        let mut counted = Counted::default();
        let tally = bill.tally();
        if tally.saw_output && !matches!(tally.reported, Reported::Counted(_)) {
            if whole.answer.size_bytes() > LONG_BYTES {
                estimate_elsewhere(&whole.answer, tally).await;
            } else {
                tally.counts = whole.answer.visit_output(&mut |text| tally.push(text));
            }
            let model = self.request.as_ref().map(|request| request.facts().model.as_str());
            if let Some(counting) = self.count_prompt() {
                counted.prompt = counting.await;
            }
            if let Some(counting) = model.and_then(|model| self.counter.output(model, &whole.answer)) {
                counted.output = counting.await;
            }
        }
        bill.settle(Ending::Completed(whole.status.as_u16(), counted));
    }
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
