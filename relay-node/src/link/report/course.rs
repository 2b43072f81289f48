//! What is reported next, and what an answer means: pure. Earlier epochs come first, each to its end, then this one.
//!
//! One thing is awaited at a time. Whoever runs it does the [`Deed`]s of a [`Step`] in their order, waits for what it [`Await`]s, and says
//! what came of it to [`Course::on`]. A course lasts as long as one connection. Times are counted from any moment that stays the same.
//!
//! What is asked about when the control plane may have gone back to the past is the record that was acknowledged last. Whatever comes
//! before it was committed earlier, so nothing older can be missing when it is there.

mod step;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sluice_domain::Epoch;
use sluice_rpc::MAX_BATCH_RECORDS;

pub use self::step::{Await, Deed, Event, Said, Sought, Standing, Step, Verdict, What};
use crate::spool::Batch;

/// Batches that were sent and not answered: as many as the control plane settles in one transaction.
pub const MAX_UNDER_WAY: usize = 8;
/// How often a control plane that is told nothing is asked whether it went back.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Records of half a batch and more wait this long for company; a control plane that could not say is asked again after it.
const BATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How long a log that cannot be read is left alone.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);
/// A place before which nothing is: a report of nothing from here on is never ahead of what was settled.
const BEGINNING: u64 = 1;

/// What an answer is awaited for, or whatever else is.
#[derive(Debug, Clone, Copy)]
enum At {
    /// It was not begun, or is over.
    Rest,
    /// Which life ended last.
    FindingLast(Then),
    /// Whether everything of a life below a place is settled still.
    Looking { epoch: Epoch, place: u64, then: Then },
    /// The logs there are.
    Listing,
    /// How far a log was settled of which that is not known here.
    Asking,
    /// The same, before it is asked again.
    AskingAgain,
    /// The log is made to fit that.
    Mending,
    /// The log is at a record; or at a later one, because records are gone.
    Going { to: u64, after: After },
    /// Records that are gone were told, up to the oldest that is kept.
    TellingGone { next: u64, oldest: u64, after: After },
    /// The same, and the log is at the oldest.
    GoingOn(After),
    /// The next records.
    Reading,
    /// What becomes of the batches under way.
    Settling,
    /// The control plane knows which leases are held.
    Greeting,
    /// Whether nothing more comes in this epoch.
    AskingWhetherOver,
    /// The end was told.
    Ending { end: u64, is_alone: bool },
    /// There is more to tell, or there was nothing for a while.
    Idle,
    /// Company for it.
    Breathing,
    /// A log that cannot be read is left alone.
    Resting,
}

/// What follows once it is known that nothing is missing.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The beginning of a connection: everything is reported.
    Report,
    /// This epoch's log is told on.
    Tell,
    /// Everything of this epoch is settled so far.
    CatchUp,
    /// The next records wait for company.
    Breathe,
}

/// What follows once the log is at a record.
#[derive(Debug, Clone, Copy)]
enum After {
    Tell,
    /// Everything is told anew: it is asked where to begin.
    Look,
    Breathe,
    Idle,
}

/// What is reported over one connection.
#[derive(Debug)]
pub struct Course {
    look_every: Duration,
    /// The log of this epoch.
    own: Standing,
    /// Everything that is kept has to be told, settled or not.
    starts_over: bool,
    /// Logs of earlier epochs that were not told yet.
    earlier: VecDeque<Standing>,
    /// The log in hand.
    log: Standing,
    under_way: VecDeque<Arc<Batch>>,
    /// Nothing of this epoch was acknowledged before it was followed.
    says_nothing_yet: bool,
    last_sent: Duration,
    now: Duration,
    at: At,
    awaits: Await,
    deeds: Vec<Deed>,
}

impl Course {
    /// A course that has not begun. `own` is the log of this epoch; `starts_over`: the history of the database is another, so everything is
    /// told, settled or not.
    #[must_use]
    pub const fn new(own: Standing, starts_over: bool, look_every: Duration) -> Self {
        Self {
            look_every,
            own,
            starts_over,
            earlier: VecDeque::new(),
            log: own,
            under_way: VecDeque::new(),
            says_nothing_yet: false,
            last_sent: Duration::ZERO,
            now: Duration::ZERO,
            at: At::Rest,
            awaits: Await::Nothing,
            deeds: Vec::new(),
        }
    }

    /// Whether everything that is kept has to be told still.
    #[must_use]
    pub const fn starts_over(&self) -> bool {
        self.starts_over
    }

    /// The first step.
    pub fn begin(&mut self) -> Step {
        self.awaits = if self.starts_over {
            self.list()
        } else if self.own.acked_below > BEGINNING {
            self.look(self.own.epoch, self.own.acked_below, Then::Report)
        } else {
            self.find_last(Then::Report)
        };
        self.step()
    }

    /// The next step, after what was awaited came. Whatever was not awaited changes nothing.
    pub fn on(&mut self, event: Event, now: Duration) -> Step {
        self.now = now;
        self.awaits = match (self.at, event) {
            (_, Event::Answered(epoch, verdict)) if self.awaits == Await::Answer => self.answered(epoch, verdict),
            (At::FindingLast(then), Event::LastEnded(None)) => self.proceed(then),
            (At::FindingLast(then), Event::LastEnded(Some((epoch, place)))) => self.look(epoch, place, then),
            (At::Listing, Event::Logs(logs)) => {
                self.earlier = logs.into();
                self.take_up_next()
            }
            (At::AskingAgain, Event::Rested) => self.ask_how_far(),
            (At::Mending, Event::Mended(log)) => {
                self.log = log;
                self.go_to(log.acked_below, After::Tell)
            }
            (At::Going { after, .. } | At::GoingOn(after), Event::Sought(Sought::There)) => self.go_on(after),
            (At::Going { to, after }, Event::Sought(Sought::Gone { oldest })) => {
                self.deeds.push(Deed::Gone { epoch: self.log.epoch, count: oldest.saturating_sub(to) });
                self.tell_gone(to, oldest, after)
            }
            (At::Reading, Event::Read(Some(batch))) => {
                let batch = Arc::new(batch);
                self.say(self.log.epoch, batch.first_seq, What::Records(Arc::clone(&batch)));
                self.under_way.push_back(batch);
                self.tell_more()
            }
            (At::Reading, Event::Read(None)) if self.under_way.is_empty() => self.has_settled_all(),
            (At::Reading, Event::Read(None)) => self.awaits_answer(At::Settling),
            (At::Greeting, Event::Greeted) => self.tell_end(self.log.end.unwrap_or(self.log.acked_below), false),
            (At::AskingWhetherOver, Event::Over(true)) => self.tell_end(self.log.acked_below, false),
            (At::AskingWhetherOver, Event::Over(false)) => self.idle(),
            (At::Idle, Event::More) => self.breathe(),
            (At::Idle, Event::Quiet) => self.look_at_own(Then::Breathe),
            (At::Breathing, Event::Rested) => {
                self.last_sent = self.now;
                self.tell_more()
            }
            (At::Resting, Event::Rested) => {
                self.deeds.push(Deed::BeginAnew);
                self.list()
            }
            (
                At::Going { .. } | At::GoingOn(_) | At::Reading | At::Mending,
                Event::Unreadable | Event::Sought(Sought::Gone { .. }),
            ) => self.cannot_read(),
            _ => self.awaits,
        };
        self.step()
    }

    fn step(&mut self) -> Step {
        Step { deeds: std::mem::take(&mut self.deeds), awaits: self.awaits }
    }

    /// What an answer means depends on what it is to. One about another epoch is to nothing that is awaited.
    fn answered(&mut self, epoch: Epoch, verdict: Verdict) -> Await {
        let about = if let At::Looking { epoch, .. } = self.at { epoch } else { self.log.epoch };
        if epoch != about {
            return self.awaits;
        }
        match self.at {
            At::Looking { epoch, place, then } => self.has_looked(epoch, place, then, verdict),
            At::Asking => match verdict {
                Verdict::Acked { below, .. } => {
                    self.at = At::Mending;
                    Await::Mended { below }
                }
                // its database is away
                Verdict::Expect(_) => {
                    self.at = At::AskingAgain;
                    Await::Rest(BATCH_INTERVAL)
                }
            },
            At::TellingGone { next, oldest, after } => {
                let there = match verdict {
                    Verdict::Acked { below, .. } => below,
                    Verdict::Expect(seq) => seq,
                };
                // one that does not take them is told after a while, over another connection
                if there <= next { Await::Break } else { self.tell_gone(there, oldest, after) }
            }
            At::Settling => match verdict {
                Verdict::Acked { below, .. } => {
                    self.is_settled_below(below);
                    self.tell_more()
                }
                Verdict::Expect(seq) => self.go_back(seq, After::Tell),
            },
            At::Ending { end, is_alone } => self.has_told_end(end, is_alone, verdict),
            _ => self.awaits,
        }
    }

    fn say(&mut self, epoch: Epoch, first_seq: u64, what: What) {
        self.deeds.push(Deed::Say(Said { epoch, first_seq, what }));
    }

    fn awaits_answer(&mut self, at: At) -> Await {
        self.at = at;
        Await::Answer
    }

    fn find_last(&mut self, then: Then) -> Await {
        self.at = At::FindingLast(then);
        Await::LastEnded
    }

    /// Says how far an epoch is settled in the history that stands beside the spool, which another one knows nothing of.
    fn look(&mut self, epoch: Epoch, place: u64, then: Then) -> Await {
        self.say(epoch, place, What::SettledBelow);
        self.awaits_answer(At::Looking { epoch, place, then })
    }

    /// The same for what was acknowledged last. While nothing of this life is acknowledged, that is the end of the life before; once more when
    /// it is for the first time, because the database may have gone back between.
    fn look_at_own(&mut self, then: Then) -> Await {
        let Standing { epoch, acked_below, .. } = self.log;
        if acked_below > BEGINNING { self.look(epoch, acked_below, then) } else { self.find_last(then) }
    }

    fn has_looked(&mut self, epoch: Epoch, place: u64, then: Then, verdict: Verdict) -> Await {
        let Verdict::Expect(seq) = verdict else { return self.proceed(then) };
        match then {
            Then::Tell if epoch == self.log.epoch => self.go_back(seq, After::Tell),
            Then::Breathe if epoch == self.log.epoch => self.go_back(seq, After::Breathe),
            _ => {
                self.deeds.push(Deed::BeginAnew);
                if self.has_gone_back(epoch, seq, place) { self.start_over() } else { self.proceed(then) }
            }
        }
    }

    fn proceed(&mut self, then: Then) -> Await {
        match then {
            Then::Report => self.list(),
            Then::Tell => self.tell_more(),
            Then::CatchUp => self.catch_up(),
            Then::Breathe => self.breathe(),
        }
    }

    /// Whether a record that is asked for was acknowledged: then the database went back to the past.
    fn has_gone_back(&mut self, epoch: Epoch, asked: u64, settled_below: u64) -> bool {
        let has_gone_back = asked < settled_below && !self.starts_over;
        if has_gone_back {
            self.deeds.push(Deed::WentBack { epoch, asked, settled_below });
        }
        has_gone_back
    }

    /// Everything that is kept is told again, oldest first; the control plane drops what it has (ruling R7).
    fn start_over(&mut self) -> Await {
        self.starts_over = true;
        self.list()
    }

    fn list(&mut self) -> Await {
        self.at = At::Listing;
        Await::Logs { all: self.starts_over }
    }

    fn take_up_next(&mut self) -> Await {
        self.under_way.clear();
        let Some(log) = self.earlier.pop_front() else { return self.follow() };
        self.take_up(log);
        if log.must_ask { self.ask_how_far() } else { self.go_to(log.acked_below, After::Tell) }
    }

    fn take_up(&mut self, log: Standing) {
        self.log = log;
        self.deeds.push(Deed::TakeUp(log.epoch));
    }

    /// This epoch, for as long as it lives.
    fn follow(&mut self) -> Await {
        self.take_up(self.own);
        self.says_nothing_yet = self.own.acked_below <= BEGINNING;
        self.last_sent = self.now;
        self.go_to(self.own.acked_below, if self.starts_over { After::Look } else { After::Tell })
    }

    /// Recovery added to the log, or its cursor is lost: the control plane knows what of it was settled.
    fn ask_how_far(&mut self) -> Await {
        self.say(self.log.epoch, BEGINNING, What::Nothing);
        self.awaits_answer(At::Asking)
    }

    /// Goes to a record. What is not kept any more is told as gone, so that what follows can be settled.
    fn go_to(&mut self, to: u64, after: After) -> Await {
        self.at = At::Going { to, after };
        Await::Sought(to)
    }

    fn go_on(&mut self, after: After) -> Await {
        match after {
            After::Tell => self.tell_more(),
            After::Look => self.look_at_own(Then::Tell),
            After::Breathe => self.breathe(),
            After::Idle => self.idle(),
        }
    }

    /// Goes on from where the control plane asks for, over another stream: what was sent on this one may still be answered there, and an
    /// answer names no batch.
    fn go_back(&mut self, seq: u64, after: After) -> Await {
        self.under_way.clear();
        self.deeds.push(Deed::BeginAnew);
        if self.has_gone_back(self.log.epoch, seq, self.log.acked_below) { self.start_over() } else { self.go_to(seq, after) }
    }

    fn tell_gone(&mut self, next: u64, oldest: u64, after: After) -> Await {
        if next >= oldest {
            self.deeds.push(Deed::BeginAnew);
            self.at = At::GoingOn(after);
            return Await::Sought(next);
        }
        let count = usize::try_from(oldest - next).unwrap_or(usize::MAX).min(MAX_BATCH_RECORDS);
        self.say(self.log.epoch, next, What::Gone(count));
        self.awaits_answer(At::TellingGone { next, oldest, after })
    }

    fn tell_more(&mut self) -> Await {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return self.awaits_answer(At::Settling);
        }
        self.at = At::Reading;
        Await::Read
    }

    fn is_settled_below(&mut self, below: u64) {
        while let Some(batch) = self.under_way.pop_front_if(|batch| batch.next_seq() <= below) {
            self.log.acked_below = self.log.acked_below.max(batch.next_seq());
            self.deeds.push(Deed::Settled(batch));
        }
        if self.log.epoch == self.own.epoch {
            self.own = self.log;
        }
    }

    /// Nothing is under way, and nothing more to read.
    fn has_settled_all(&mut self) -> Await {
        if self.log.end.is_some() {
            // the end of an earlier epoch would close the leases that this one goes on with
            self.at = At::Greeting;
            return Await::Greeting;
        }
        if self.says_nothing_yet && self.log.acked_below > BEGINNING {
            self.says_nothing_yet = false;
            return self.find_last(Then::CatchUp);
        }
        self.catch_up()
    }

    /// Everything that is kept is settled in this history.
    fn catch_up(&mut self) -> Await {
        if std::mem::take(&mut self.starts_over) {
            self.deeds.push(Deed::CaughtUp);
        }
        self.at = At::AskingWhetherOver;
        Await::WhetherOver
    }

    /// Tells the end of an epoch, and whether records of it are lost. `is_alone`: nothing else was told over this stream.
    fn tell_end(&mut self, end: u64, is_alone: bool) -> Await {
        self.say(self.log.epoch, end, What::End { is_damaged: self.log.is_damaged });
        self.awaits_answer(At::Ending { end, is_alone })
    }

    fn has_told_end(&mut self, end: u64, is_alone: bool, verdict: Verdict) -> Await {
        let after = if self.log.end.is_none() { After::Idle } else { After::Tell };
        match verdict {
            Verdict::Acked { has_ended: true, .. } => self.has_ended(),
            // an older control plane does not say so; nothing else can be answered here
            Verdict::Acked { below, has_ended: false } if is_alone && below >= end => self.has_ended(),
            Verdict::Acked { below: seq, has_ended: false } if is_alone => self.go_back(seq, after),
            // an answer to what was sent before the end, perhaps: told again where nothing else was sent
            Verdict::Acked { .. } => {
                self.deeds.push(Deed::BeginAnew);
                self.tell_end(end, true)
            }
            Verdict::Expect(seq) => self.go_back(seq, after),
        }
    }

    fn has_ended(&mut self) -> Await {
        self.deeds.push(Deed::Ended);
        if self.log.end.is_none() {
            // nothing is left to do; the connection is closed from outside
            self.at = At::Rest;
            return Await::Nothing;
        }
        self.take_up_next()
    }

    fn idle(&mut self) -> Await {
        self.at = At::Idle;
        Await::More { at_most: self.look_every }
    }

    fn breathe(&mut self) -> Await {
        self.at = At::Breathing;
        Await::Company { until: self.last_sent + BATCH_INTERVAL }
    }

    /// An earlier log stays open, and the next one is told; this epoch's is left alone for a while.
    fn cannot_read(&mut self) -> Await {
        if self.log.end.is_some() {
            self.deeds.push(Deed::Left);
            return self.take_up_next();
        }
        self.deeds.push(Deed::LeftAlone);
        self.at = At::Resting;
        Await::Rest(TROUBLE_PAUSE)
    }
}

#[cfg(test)]
mod tests;
