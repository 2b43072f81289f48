//! From a plan to an answer: tries candidates one after the other until the first byte of an answer can be given away.
//!
//! Nothing has reached the caller while this runs, so every failure may be tried elsewhere; the rules are in `failure.rs`. Whoever
//! drops the future ends the running attempt, and the bill inside it settles what had come.

mod address;
mod answerer;
mod attempt;
mod awaiting;
mod budget;
mod count;
mod engine;
mod failure;
mod good;
mod halting;
mod lacking;
mod lookup;
mod media;
mod named;
mod proof;
mod read;
mod seen;
mod shape;
mod stored;
mod takes;
mod timing;
mod tokens;
mod trial;
mod uploads;
mod wire;
mod written;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use rand::RngExt;
use rand::rngs::SmallRng;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::exchange::{Request, Site};
use sluice_domain::UserId;
use sluice_providers::ClientHints;
use sluice_routing::{Candidate, Next, Plan};
use sluice_snapshot::RelaySettings;
use tokio::time::{Instant, sleep};

pub use self::answerer::Answerer;
pub use self::count::Counting;
pub use self::engine::Engine;
use self::failure::{Failure, Retry};
pub use self::good::{Good, Opened, Whole};
pub use self::halting::Halting;
pub use self::lookup::{balance, models};
pub use self::named::Named;
pub use self::seen::{Evidence, Fault, Seen, Told};
pub use self::stored::{Stored, StoredAnswer};
pub use self::timing::Timing;
pub use self::trial::{Tried, Trouble, attempt};
use crate::admit::limits;
use crate::app::RelayApp;
use crate::error::Refusal;
use crate::ingress::Call;
use crate::ingress::body::Payload;
use crate::meter::Bill;
use crate::responses::Previous;

/// Everything that is needed to get one request answered. It owns what it uses: it may outlive the handler.
#[derive(Debug)]
pub struct Journey {
    /// What every request has at hand.
    pub app: RelayApp,
    /// What is asked for.
    pub request: Arc<Request>,
    /// The memory the request's body takes.
    pub payload: Payload,
    /// What of the caller's head may matter upstream.
    pub hints: Hints,
    /// How it is to be answered.
    pub terms: Terms,
    /// Who may be tried.
    pub plan: Plan,
    /// What writing its body in another dialect takes.
    site: Site,
    /// What was fetched of it.
    fetched: media::Media,
    /// Chance, for choices and waits.
    pub rng: SmallRng,
    /// The upstream that was waited for is asked again once.
    has_waited: bool,
    /// When all attempts must be over; of a stream, when its first output must be there.
    pub deadline: Option<Instant>,
    /// The caller has a status already: no further attempt.
    pub is_committed: Arc<AtomicBool>,
    /// Whether the caller is still there, and what is to happen should it leave.
    pub parting: Arc<Parting>,
    /// It is tried on nobody's account: what comes of it speaks neither for nor against a channel here.
    is_trial: bool,
}

/// How a request is to be answered.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How relays behave.
    pub settings: RelaySettings,
    /// The caller may know which channel answers.
    pub shows_channel: bool,
    /// Who asks.
    pub owner: UserId,
    /// The response that the request goes on from.
    pub previous: Previous,
    /// The output limit to send upstream for each answer, in tokens. `None`: the caller's own.
    pub output_limit: Option<u32>,
}

/// What a caller's leaving means for the attempt that runs.
#[derive(Debug, Default)]
pub struct Parting {
    has_left: AtomicBool,
    drains: AtomicBool,
}

impl Parting {
    /// Whether the answer is to be read on without its caller, for its usage.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.drains.load(Ordering::Relaxed)
    }

    /// The caller left: no further attempt.
    pub fn leave(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }

    fn attempt(&self, candidate: &Candidate) {
        self.drains.store(candidate.channel.policy.drains, Ordering::Relaxed);
    }
}

/// What of the caller's request line and headers may matter upstream.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The raw query.
    pub query: Option<Box<str>>,
    /// `Accept`
    pub accept: Option<HeaderValue>,
    /// `OpenAI-Beta`
    pub openai_beta: Option<HeaderValue>,
    /// `anthropic-version`
    pub anthropic_version: Option<HeaderValue>,
    /// `anthropic-beta`
    pub anthropic_beta: Option<HeaderValue>,
    /// What else may be passed on, if a channel that may be tried wants any of it.
    pub others: HeaderMap,
}

impl Hints {
    /// With the features that the body needs, and the channel's word on those that the caller asks for.
    fn borrowed<'h>(&'h self, betas: &'h [&'h str], allowed_betas: Option<&'h str>) -> ClientHints<'h> {
        ClientHints {
            query: self.query.as_deref(),
            content_type: None,
            accept: self.accept.as_ref(),
            openai_beta: self.openai_beta.as_ref(),
            anthropic_version: self.anthropic_version.as_ref(),
            anthropic_beta: self.anthropic_beta.as_ref(),
            betas,
            allowed_betas,
        }
    }
}

/// How a journey ended. Its bill is not settled.
#[derive(Debug)]
pub struct Answered {
    /// An answer, or what the caller is told because the last attempt failed.
    pub outcome: Result<Good, Box<Refusal>>,
    /// What is to be settled.
    pub bill: Box<Bill>,
}

impl Journey {
    /// A journey that begins now.
    #[must_use]
    pub fn new(
        app: &RelayApp,
        call: &Call<'_>,
        terms: Terms,
        (request, payload): (Arc<Request>, Payload),
        (plan, mut rng): (Plan, SmallRng),
        is_committed: Arc<AtomicBool>,
    ) -> Self {
        let site = Site {
            sealer: app.view.sealer(),
            ids: IdMaker::new(rng.random()),
            now: call.started.wall.0 / 1_000,
            shows_usage: terms.settings.enforce_include_usage,
        };
        let timing = &app.engine.timing;
        let limit = if request.facts().stream { Some(timing.first_output) } else { timing.answer };
        let deadline = limit.map(|limit| Instant::now() + limit);
        Self {
            app: app.clone(),
            request,
            payload,
            hints: Hints { others: shape::wanted_headers(&plan, &call.head.headers), ..call.hints() },
            terms,
            plan,
            site,
            fetched: media::Media::default(),
            rng,
            has_waited: false,
            deadline,
            is_committed,
            parting: Arc::default(),
            is_trial: false,
        }
    }

    /// Tries `first`, then whoever the plan says, until somebody answers or nobody is left.
    pub async fn run(mut self, first: Candidate, mut bill: Box<Bill>) -> Answered {
        let mut candidate = first;
        let mut retries = 0;
        self.app.engine.retries.earn();
        loop {
            let answerer = Answerer::begins(&self, &candidate, retries + 1);
            self.parting.attempt(&candidate);
            let failure = match self.attempt(&candidate, &answerer, &mut bill).await {
                Ok(good) => return Answered { outcome: Ok(good), bill },
                Err(failure) => failure,
            };
            answerer.failed(&failure);
            let next = self.next(&candidate, &failure, retries).await;
            let Ok(next) = limits::next_within(bill.kept(), &mut self.plan, &mut self.rng, next).await else {
                let refusal = shape::told(failure, &candidate.channel.settings, self.request.surface().dialect());
                return Answered { outcome: Err(Box::new(refusal)), bill };
            };
            candidate = next;
            retries += 1;
        }
    }

    /// Who is tried next, after the wait that is due; `None` to leave it at this failure.
    async fn next(&mut self, failed: &Candidate, failure: &Failure, retries: u32) -> Option<Candidate> {
        if self.is_settled() || retries >= self.terms.settings.retry_times {
            return None;
        }
        let wanted = match failure.retry {
            Retry::Never => return None,
            Retry::NextKey => Next::KeyOf(failed.channel.id),
            Retry::NextChannel | Retry::NextAfter(_) => Next::Channel,
        };
        let next = self.plan.next(wanted, &mut self.rng).or_else(|| self.the_same(failed, failure.retry))?;
        let wait = self.wait_before(&next, failed, failure.retry, retries);
        if self.deadline.is_some_and(|deadline| Instant::now() + wait >= deadline) {
            return None;
        }
        if !self.app.engine.retries.take(self.now()) {
            return None;
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
        // The caller may have been given its status while we waited, or have left.
        (!self.is_settled()).then_some(next)
    }

    /// Whether nobody is to be asked any more, whatever comes of the attempt that runs.
    fn is_settled(&self) -> bool {
        self.is_committed.load(Ordering::Relaxed) || self.parting.has_left.load(Ordering::Relaxed)
    }

    /// Nobody else is left: an upstream that is busy for a moment, and says so, is worth that moment once.
    fn the_same(&mut self, failed: &Candidate, retry: Retry) -> Option<Candidate> {
        let Retry::NextAfter(Some(wait)) = retry else { return None };
        let is_worth_it = wait <= self.app.engine.timing.longest_wait && !std::mem::replace(&mut self.has_waited, true);
        is_worth_it.then(|| failed.clone())
    }

    fn now(&self) -> u64 {
        self.app.clock.read().boot_millis
    }

    /// Busy upstreams of one tier are not asked one right after the other. A channel that says when to come back is asked again only
    /// if that is soon; another channel owes nothing to its wait.
    fn wait_before(&mut self, next: &Candidate, failed: &Candidate, retry: Retry, retries: u32) -> Duration {
        let Retry::NextAfter(asked) = retry else { return Duration::ZERO };
        if next.channel.priority != failed.channel.priority {
            return Duration::ZERO;
        }
        let timing = &self.app.engine.timing;
        if let Some(wait) = asked.filter(|wait| next.channel.id == failed.channel.id && *wait <= timing.longest_wait) {
            return wait;
        }
        let longest = timing.first_backoff.saturating_mul(1 << retries.min(16)).min(timing.longest_backoff);
        longest.mul_f64(self.rng.random_range(0.5..=1.0))
    }
}
