//! The guard of a request's money: it holds the reservation and the open record, gathers the figures, and settles exactly once.

mod follow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_billing::{Rate, Ratio, price, standing_surcharge};
use sluice_domain::{Attempt, Clock, Now, Outcome, Quota, RequestRecord, Usage};
use sluice_routing::Candidate;
use sluice_telemetry::chain::Chain;
use tokio::time::Instant;
use tracing::error;

use super::{Measured, RecentLengths, Tally};
use crate::admit::limits::Kept;
use crate::app::RelayApp;
use crate::error::{Kind, Refusal};
use crate::hold::{Follow, Held};
use crate::observed::Observed;
use crate::quota::{Due, Reservation};
use crate::spool::{OpenRecord, Permit};

/// Progress is recorded at least this often while output comes.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// And at least after so many tokens of output.
const PROGRESS_TOKENS: u64 = 1_000;
/// The error code of a request whose caller went away.
const CALLER_GONE: &str = "client_disconnected";

/// What a bill is opened with.
#[derive(Debug)]
pub struct Opening {
    /// Everything known of the request at this point.
    pub intent: RequestRecord,
    /// The money set aside, and what it goes for.
    pub held: Held,
    /// What it took from limits.
    pub kept: Kept,
    /// Room for the final record.
    pub permit: Permit,
    /// What usage is priced with.
    pub rate: Rate,
    /// Estimate of the prompt, in tokens.
    pub prompt: u64,
    /// How many answers were asked for.
    pub choices: u32,
    /// When the request came in.
    pub started: Now,
    /// Reads the time at the end.
    pub clock: Clock,
    /// Learns how long the answer was.
    pub lengths: RecentLengths,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// The caller gets the whole answer, with this status.
    Completed(u16, Counted),
    /// Every attempt failed, and the caller is told so with a status of its own.
    Failed(&'a Refusal),
    /// The upstream broke off inside its answer. The caller has the beginning, with status 200.
    Truncated(&'a Refusal),
}

/// Exact counts where no usage was reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Of the prompt, in tokens.
    pub prompt: Option<u64>,
    /// Of the output, in tokens.
    pub output: Option<u64>,
}

/// An admitted request's bill. Dropping it unsettled means that the caller went away: it settles what has come by then.
#[derive(Debug)]
pub struct Bill {
    unsettled: Option<Unsettled>,
    kept: Kept,
    rate: Rate,
    tally: Tally,
    prompt: u64,
    choices: u32,
    started: Now,
    clock: Clock,
    lengths: RecentLengths,
    /// How its output is followed, where more is held for as it comes.
    follow: Option<Follow>,
    attempt_began: Option<Instant>,
    noted: Noted,
    /// The caller has status 200: the beginning of an answer, or a ping.
    is_committed: Arc<AtomicBool>,
    observed: Observed,
}

#[derive(Debug)]
struct Unsettled {
    record: RequestRecord,
    reservation: Reservation,
    spool: OpenRecord,
}

/// The last progress on record.
#[derive(Debug)]
struct Noted {
    at: Instant,
    output: u64,
}

impl Bill {
    /// Puts the request on record. From here on it has an end, whatever happens.
    ///
    /// # Errors
    /// When the spool cannot be written. Nothing is held and nothing is on record then.
    pub fn open(opening: Opening, mut observed: Observed) -> Result<Box<Self>, Refusal> {
        let Opening { intent, held, kept, permit, rate, prompt, choices, started, clock, lengths } = opening;
        let Held { mut reservation, follow, .. } = held;
        let spool = permit.open(&intent).map_err(|error| {
            error!(error = %Chain(&error), "cannot record a request, refusing it");
            let refusal = Refusal::new(Kind::SpoolFull, "the relay cannot record the request, try again");
            observed.refused(&refusal);
            refusal
        })?;
        let tally = Tally::new(intent.model.as_str());
        reservation.recorded(spool.number());
        let unsettled = Some(Unsettled { record: intent, reservation, spool });
        let noted = Noted { at: Instant::now(), output: 0 };
        Ok(Box::new(Self {
            unsettled,
            kept,
            rate,
            tally,
            prompt,
            choices,
            started,
            clock,
            lengths,
            follow,
            attempt_began: None,
            noted,
            is_committed: Arc::default(),
            observed,
        }))
    }

    /// A bill that nobody pays: figures are gathered in it, and nothing is held, recorded or charged.
    #[must_use]
    pub fn of_nobody(model: &str, kept: Kept, observed: Observed, app: &RelayApp) -> Box<Self> {
        Box::new(Self {
            unsettled: None,
            kept,
            rate: Rate::new(Arc::default(), Ratio::ZERO),
            tally: Tally::new(model),
            prompt: 0,
            choices: 1,
            started: app.clock.read(),
            clock: app.clock.clone(),
            lengths: app.engine.lengths.clone(),
            follow: None,
            attempt_began: None,
            noted: Noted { at: Instant::now(), output: 0 },
            is_committed: Arc::default(),
            observed,
        })
    }

    /// How long the first byte of the answer took, if it came.
    #[must_use]
    pub const fn waited(&self) -> Option<Duration> {
        self.observed.waited()
    }

    /// Whether the caller has a status already, for whoever gives it one and whoever must know.
    #[must_use]
    pub fn commitment(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_committed)
    }

    /// What it took from limits, for whoever tries the next channel.
    pub fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// The figures of the running attempt.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// An attempt begins. What the one before brought is forgotten.
    pub fn attempt(&mut self, candidate: &Candidate, upstream_model: &str) {
        self.tally.reset();
        self.rate.channel_cache_read_ratio = candidate.channel.cache_read_ratio;
        self.attempt_began = Some(Instant::now());
        let Some(unsettled) = &mut self.unsettled else { return };
        let record = &mut unsettled.record;
        record.channel_id = Some(candidate.channel.id);
        if record.upstream_model != upstream_model {
            upstream_model.clone_into(&mut record.upstream_model);
        }
        let (channel_id, channel_key_id) = candidate.id();
        record.attempts.push(Attempt { channel_id, channel_key_id, status: 0, error: String::new(), millis: 0 });
    }

    /// What the running attempt's upstream is not sent of the request.
    pub fn without(&mut self, dropped: &[&'static str]) {
        self.observed.without(dropped);
    }

    /// The attempt is decided: with an upstream's status (0: none) and a word for what went wrong (empty: the answer is used). Nothing
    /// of a failed attempt is paid for or told, however the request ends.
    pub fn attempted(&mut self, provider: &Arc<str>, status: u16, word: &'static str) {
        let spent = self.attempt_began.map_or(Duration::ZERO, |began| began.elapsed());
        self.observed.attempt(provider, word);
        if !word.is_empty() {
            self.kept.failed();
            self.attempt_began = None;
            self.observed.upstream_time += spent;
            self.tally.reset();
            self.observed.forget_first_byte();
        }
        let Some(unsettled) = &mut self.unsettled else { return };
        let record = &mut unsettled.record;
        if !word.is_empty() {
            record.first_byte_millis = None;
            record.upstream_request_id.clear();
        }
        if let Some(attempt) = record.attempts.last_mut() {
            attempt.status = status;
            word.clone_into(&mut attempt.error);
            attempt.millis = millis(spent);
        }
    }

    /// The first byte of an answer that is used came.
    pub fn first_byte(&mut self, upstream_request_id: Option<String>) {
        let waited = self.clock.read().boot_millis.saturating_sub(self.started.boot_millis);
        self.observed.first_byte();
        let Some(unsettled) = &mut self.unsettled else { return };
        unsettled.record.first_byte_millis = Some(waited);
        unsettled.record.upstream_request_id = upstream_request_id.unwrap_or_default();
    }

    /// The caller gets its status and the beginning of an answer.
    pub fn committed(&mut self) {
        self.is_committed.store(true, Ordering::Relaxed);
    }

    /// Notes the usage so far, when it is time: what is charged if this process dies.
    pub fn note_progress(&mut self) {
        let output = self.tally.output_estimate();
        let tokens = output.saturating_sub(self.noted.output);
        if tokens == 0 || (tokens < PROGRESS_TOKENS && self.noted.at.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.noted = Noted { at: Instant::now(), output };
        let Measured { usage, .. } = self.tally.broken(self.prompt);
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.spool.progress(&usage);
        }
    }

    /// When what came since the last note is to be noted though nothing more comes; `None`: everything is.
    #[must_use]
    pub fn note_due(&self) -> Option<Instant> {
        (self.tally.output_estimate() > self.noted.output).then(|| self.noted.at + PROGRESS_EVERY)
    }

    /// Settles. The final record is in the spool when this returns; a second call does nothing. Gives the usage charged for.
    pub fn settle(&mut self, ending: Ending<'_>) -> Usage {
        match ending {
            Ending::Completed(status, counted) => {
                let output = counted.output.unwrap_or_else(|| self.tally.output_estimate());
                let measured = self.tally.whole(counted.prompt.unwrap_or(self.prompt), output);
                self.close(Outcome::Completed, status, "", measured)
            }
            Ending::Failed(refusal) => {
                self.tally.reset();
                let measured = self.tally.broken(0);
                self.observed.reason = Some(refusal.kind);
                self.close(Outcome::Failed, refusal.status(), refusal.recorded_code(), measured)
            }
            Ending::Truncated(refusal) => {
                let outcome = if self.tally.began { Outcome::Truncated } else { Outcome::Failed };
                let measured = self.tally.broken(self.prompt);
                self.observed.reason = Some(refusal.kind);
                self.close(outcome, 200, refusal.recorded_code(), measured)
            }
        }
    }

    fn close(&mut self, outcome: Outcome, status: u16, code: &str, measured: Measured) -> Usage {
        let Some(unsettled) = self.unsettled.take() else { return measured.usage };
        let Unsettled { mut record, reservation, spool, .. } = unsettled;
        if let Some(began) = self.attempt_began.take() {
            self.observed.upstream_time += began.elapsed();
        }
        let quota = self.cost(&measured.usage, &record, outcome);
        record.usage = measured.usage;
        record.usage_estimated = measured.is_estimated;
        record.quota = quota;
        record.held = reservation.held();
        record.outcome = outcome;
        record.status = status;
        code.clone_into(&mut record.error_code);
        record.total_millis = self.clock.read().boot_millis.saturating_sub(self.started.boot_millis);
        self.observed.settled(&record);
        self.kept.settle(&measured.usage, status);
        let output = measured.usage.total_output();
        // one that was told where to end says nothing about the model
        if outcome == Outcome::Completed && output > 0 && record.output_limit.is_none() {
            self.lengths.learn(record.model.as_str(), output / u64::from(self.choices.max(1)));
        }
        let is_answered = outcome != Outcome::Failed && self.tally.began;
        reservation.settle(Due { quota, is_answered }, |charges| {
            record.charges = charges;
            spool.finish(record);
        });
        measured.usage
    }

    /// What the usage costs. Nothing when no answer began, even at a price per call.
    fn cost(&self, usage: &Usage, record: &RequestRecord, outcome: Outcome) -> Quota {
        // what broke off before anything was consumed is free, at a price per call too: the control plane judges the same
        if outcome == Outcome::Failed || !self.tally.began || (outcome != Outcome::Completed && usage.is_empty()) {
            return Quota::ZERO;
        }
        let surcharge = standing_surcharge(&record.path, record.model.as_str());
        price(&self.rate, usage, surcharge.as_slice()).unwrap_or_else(|error| {
            error!(%error, "cannot price the usage of a request, charging what was held for it");
            record.held
        })
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if self.unsettled.is_none() {
            return;
        }
        let (is_committed, measured) = (self.is_committed.load(Ordering::Relaxed), self.tally.broken(self.prompt));
        if std::thread::panicking() {
            self.observed.reason = Some(Kind::Internal);
            let (outcome, status) = if is_committed { (Outcome::Truncated, 200) } else { (Outcome::Failed, 500) };
            self.close(outcome, status, Kind::Internal.code(), measured);
            return;
        }
        self.close(Outcome::Aborted, if is_committed { 200 } else { 0 }, CALLER_GONE, measured);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
