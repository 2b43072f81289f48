//! Who answers a request, and what the answer says of them.
//!
//! An answer counts once, by its end: for the channel when it is complete, against it when it fails or breaks off by the upstream's
//! fault, and neither way when its caller leaves, when this relay has no memory for it, or when nothing pays for the rest of it.

use std::sync::Arc;

use sluice_domain::{Dialect, ModelName};
use sluice_routing::Candidate;
use tracing::warn;

use super::failure::{Failure, Retry};
use super::{Good, Journey};
use crate::app::RelayApp;
use crate::error::Refusal;
use crate::plan::ejection::Way;
use crate::stream::Step;

/// The channel and key that an attempt asks.
#[derive(Debug, Clone)]
pub struct Answerer {
    app: RelayApp,
    way: Way,
    model: ModelName,
    /// What its caller speaks.
    caller: Dialect,
    /// The site's words for errors that matter.
    keywords: Arc<[Box<str>]>,
    /// Which attempt of the request it is, from 1 on.
    attempt: u32,
    /// When it began, in milliseconds of the boot clock.
    began: u64,
    /// What comes of it is for whoever asked alone.
    is_trial: bool,
}

impl Answerer {
    /// An attempt begins.
    pub(super) fn begins(journey: &Journey, candidate: &Candidate, attempt: u32) -> Self {
        let answerer = Self {
            app: journey.app.clone(),
            way: candidate.id(),
            model: journey.request.facts().model.clone(),
            caller: journey.request.surface().dialect(),
            keywords: Arc::clone(&journey.terms.settings.disable_keywords),
            attempt,
            began: journey.now(),
            is_trial: journey.is_trial,
        };
        if !answerer.is_trial {
            answerer.app.engine.ejections.begins(answerer.way, answerer.model.as_str(), answerer.began);
        }
        answerer
    }

    /// The answer is there, or its beginning. The end of a stream may be far off: whoever waits for this attempt to find out whether
    /// the channel works again need not wait for that.
    pub(super) fn answered(&self, good: &Good) {
        if self.is_trial {
            return;
        }
        match good {
            Good::Whole(_) => self.succeeded(),
            Good::Stream(_) => self.app.engine.ejections.undecided(self.way, self.model.as_str()),
        }
    }

    /// The answer is complete.
    pub fn succeeded(&self) {
        self.app.engine.ejections.succeeded(self.way, self.model.as_str(), self.began);
        self.app.engine.seen.succeeded(self.way);
    }

    /// There is no answer.
    pub(super) fn failed(&self, failure: &Failure) {
        self.note(failure, "did not answer a request");
    }

    /// The answer broke off like this. Answers what its caller is told.
    pub fn broke_off(&self, how: Step) -> Refusal {
        let failure = Failure::inside(how, &self.keywords);
        self.note(&failure, "broke off an answer");
        failure.refusal.for_caller(self.caller)
    }

    /// Remembers a failure: for the choice of later requests, for the control plane, and in the log.
    fn note(&self, failure: &Failure, deed: &'static str) {
        let (engine, model, now) = (&self.app.engine, self.model.as_str(), self.app.clock.read().boot_millis);
        let wait = match failure.retry {
            Retry::NextAfter(wait) => wait,
            _ => None,
        };
        let mut is_ejected = false;
        if failure.counts {
            is_ejected = engine.ejections.failed(self.way, model, wait, now);
        } else if failure.retry == Retry::NextKey {
            engine.ejections.refused(self.way, now);
        } else {
            engine.ejections.undecided(self.way, model);
        }
        let is_to_blame = failure.counts || failure.retry == Retry::NextKey;
        engine.seen.failed(self.way, is_to_blame, failure.evidence.clone());
        if is_ejected {
            self.app.metrics.requests.ejections.increment();
        }
        let (id, key) = self.way;
        if engine.may_notice(id) {
            let said = failure.evidence.as_ref();
            warn!(
                channel.id = %id,
                channel.key.id = %key,
                attempt = self.attempt,
                status = failure.status,
                error = failure.word,
                detail = failure.detail,
                upstream.error_type = said.map(|said| said.kind.as_str()),
                upstream.error_code = said.map(|said| said.code.as_str()),
                left_out = is_ejected,
                "channel {id} {deed}: {}",
                failure.word
            );
        }
    }
}
