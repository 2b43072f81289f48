//! Reporting from the spool: the real course, with the simulated disk and stream, as `relay-node/src/link/report.rs` runs it. Batches are
//! small here, and a control plane that is told nothing is asked as many times more often as leases live faster.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt;
use sluice_control_plane::leases::Life;
use sluice_control_plane::settlement::Incoming;
use sluice_domain::Epoch;
use sluice_relay_node::link::course::{Await, Course, Deed, Event as Said, LOOK_EVERY, Said as Message, Step, Verdict, What};
use sluice_relay_node::link::log::{Log, closed_in, last_ended, standing_of};
use sluice_relay_node::spool::{Batch, BatchLimits, EarlierLog, ReadError, Spool};

use super::super::disk::SimDisk;
use super::super::wire::Up;
use super::super::world::{Event, World};
use super::super::{Mutant, Property};
use super::Live;

const LIMITS: BatchLimits = BatchLimits { records: 12, bytes: 64 * 1024 };
/// How often it is looked whether what is awaited has come.
const LOOK: u64 = 50;

/// What one connection reports.
pub(crate) struct Reporter {
    course: Course,
    awaits: Await,
    /// What is done still, of a step that was not finished.
    begun: bool,
    /// Since when it is awaited.
    since: u64,
    listed: Vec<EarlierLog<SimDisk>>,
    log: Option<Log<SimDisk>>,
    /// The stream in use; 0 before anything is said on it.
    stream: u64,
    /// Answers that were not heard yet, in their order, with the pause that comes before each.
    answers: VecDeque<(Epoch, Verdict, u64)>,
    /// Nothing is heard before.
    deaf_until: u64,
    /// The end of an earlier life was told, for a mutant's sake.
    has_told_end: bool,
}

impl Reporter {
    /// Over a connection that begins.
    pub(super) fn new(spool: &Spool<SimDisk>, starts_over: bool, scale: u32) -> Self {
        let own = Log::Current(spool.current()).standing();
        Self {
            course: Course::new(own, starts_over, LOOK_EVERY / scale),
            awaits: Await::Nothing,
            begun: false,
            since: 0,
            listed: Vec::new(),
            log: None,
            stream: 0,
            answers: VecDeque::new(),
            deaf_until: 0,
            has_told_end: false,
        }
    }

    /// Nothing said on the stream before is answered any more.
    fn begin_anew(&mut self) {
        self.stream = 0;
        self.answers.clear();
        self.deaf_until = 0;
    }
}

impl World {
    pub(in super::super) fn report_now(&mut self, number: usize, life: u64) {
        if self.life_of(number) == Some(life) {
            self.after(LOOK, Event::Report { relay: number, life });
            self.report(number, life);
        }
    }

    /// Goes on as far as what is awaited is there.
    pub(in super::super) fn report(&mut self, number: usize, life: u64) {
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        if !live.session.is_some_and(|session| session.is_welcome) {
            return;
        }
        if !live.reporter.begun {
            live.reporter.begun = true;
            let step = live.reporter.course.begin();
            self.take_step(number, life, step);
        }
        while self.failure.is_none()
            && let Some(event) = self.has_come(number, life)
        {
            let Some(live) = self.live(number, life) else { return };
            let step = live.reporter.course.on(event, Duration::from_millis(now));
            self.take_step(number, life, step);
        }
    }

    fn take_step(&mut self, number: usize, life: u64, step: Step) {
        for deed in step.deeds {
            self.perform(number, life, deed);
        }
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        (live.reporter.awaits, live.reporter.since) = (step.awaits, now);
        if step.awaits == Await::Break
            && let Some(session) = live.session
        {
            self.cut(number, session.id);
        }
    }

    fn perform(&mut self, number: usize, life: u64, deed: Deed) {
        let Some(live) = self.live(number, life) else { return };
        let reporter = &mut live.reporter;
        match deed {
            Deed::BeginAnew => reporter.begin_anew(),
            Deed::TakeUp(epoch) => {
                reporter.log = Log::take_up(epoch, &mut reporter.listed, &live.spool);
                reporter.has_told_end = false;
            }
            Deed::Say(message) => self.say_usage(number, life, &message),
            Deed::Settled(batch) => {
                if let Some(log) = &mut reporter.log {
                    log.settled(&batch);
                }
                live.book.ends_are_settled(&closed_in(&batch).collect());
            }
            Deed::Ended => {
                if let Some(log) = &mut reporter.log {
                    log.ended();
                }
            }
            Deed::Left | Deed::LeftAlone => {}
            Deed::Gone { epoch, count } => {
                // what was let go is only missed after the database went back further than the spool does
                if self.ledger.lineage.as_ref() == "first" && !self.truth.is_damaged(number, epoch) {
                    let what = format!("relay {number} does not keep {count} records of life {epoch}, which are asked for");
                    self.fail(Property::Recovery, what);
                }
            }
            Deed::WentBack { epoch, asked, settled_below } => {
                self.tell(|| {
                    format!("relay {number} finds out that the database went back: life {epoch} to {asked} from {settled_below}")
                });
                if !self.truth.has_restored {
                    let what = format!("relay {number} says that the database went back, which it never did");
                    self.fail(Property::Fencing, what);
                }
            }
            Deed::CaughtUp => {
                // a disk that refuses: all is told once more after the next start
                let noted = live.lineage.as_ref().map(|lineage| live.spool.note_history(lineage));
                if !matches!(noted, Some(Ok(()))) {
                    self.tell(|| format!("relay {number} cannot note its history"));
                }
            }
        }
    }

    fn say_usage(&mut self, number: usize, life: u64, message: &Message) {
        let (stream, sent_at) = (self.name(), self.relays[number].clock().wall());
        let is_told = self.has(Mutant::SettledWhenSaid);
        let Some(live) = self.live(number, life) else { return };
        let reporter = &mut live.reporter;
        if reporter.stream == 0 {
            reporter.stream = stream;
        }
        let nothing = Batch::default();
        let (batch, has_ended, is_damaged) = match &message.what {
            What::Records(batch) => (batch.as_ref(), false, false),
            What::End { is_damaged } => (&nothing, true, *is_damaged),
            What::Gone(_) | What::SettledBelow | What::Nothing => (&nothing, false, false),
        };
        if is_told && let Some(log) = reporter.log.as_mut().filter(|_| matches!(message.what, What::Records(_))) {
            log.settled(batch);
        }
        reporter.has_told_end |= has_ended;
        let settled_in = live.spool.history().filter(|_| message.what == What::SettledBelow);
        let reporting = Life { node: live.life.node.clone(), epoch: message.epoch };
        let stream = live.reporter.stream;
        let mut records: Vec<Incoming> = batch.records.iter().map(|body| incoming(body)).collect();
        if let What::Gone(count) = message.what {
            records = (0..count).map(|_| incoming(&[])).collect();
        }
        if matches!(message.what, What::Records(_)) {
            self.check_sent(number, &reporting, batch);
        }
        if is_damaged && !self.truth.doubted(number, message.epoch) {
            let what = format!("relay {number} says that a part of life {} is lost, and none is", message.epoch);
            self.fail(Property::Recovery, what);
        }
        let first_seq = message.first_seq.cast_signed();
        self.tell(|| {
            let (epoch, count) = (message.epoch, records.len());
            format!("relay {number} reports {count} records of life {epoch} from {first_seq}, {}", word_of(&message.what))
        });
        self.send_up(
            number,
            Up::Report { stream, life: reporting, first_seq, records, has_ended, is_damaged, sent_at, settled_in },
        );
    }

    /// What is awaited, if it is there.
    fn has_come(&mut self, number: usize, life: u64) -> Option<Said> {
        let (now, is_quick) = (self.now, self.has(Mutant::EndBeforeRecords));
        let (drops_one, ends_when_told) = (self.has(Mutant::ResendDropsOne), self.has(Mutant::EndedWhenTold));
        let live = self.live(number, life)?;
        // on the way down, once the last request has ended
        let is_over = live.is_draining && live.running.is_empty() && live.waiting.is_empty();
        let Live { reporter, spool, .. } = live;
        let log = reporter.log.as_mut();
        let passed = Duration::from_millis(now.saturating_sub(reporter.since));
        let read = match reporter.awaits {
            Await::Logs { all } => {
                reporter.listed = if all { spool.retained() } else { spool.earlier() };
                return Some(Said::Logs(reporter.listed.iter().map(standing_of).collect()));
            }
            Await::LastEnded => return Some(Said::LastEnded(last_ended(spool))),
            // a relay says which leases it holds with the first word of a connection
            Await::Greeting => return Some(Said::Greeted),
            Await::WhetherOver => return Some(Said::Over(is_over && log?.is_settled())),
            Await::Answer if ends_when_told && reporter.has_told_end => {
                reporter.has_told_end = false;
                let epoch = log?.epoch();
                return Some(Said::Answered(epoch, Verdict::Acked { below: u64::MAX, has_ended: true }));
            }
            Await::Answer => return self.next_answer(number, life),
            Await::More { at_most } => {
                let has_more = is_over || log?.wait().now_or_never().is_some();
                let event = if has_more { Said::More } else { Said::Quiet };
                return (has_more || passed >= at_most).then_some(event);
            }
            Await::Company { until } => return (Duration::from_millis(now) >= until).then_some(Said::Rested),
            Await::Rest(time) => return (passed >= time).then_some(Said::Rested),
            Await::Break | Await::Nothing => return None,
            Await::Sought(seq) => log?.seek(seq + u64::from(drops_one && reporter.stream == 0 && seq > 1)),
            Await::Mended { below } => log?.mend(below),
            Await::Read if is_quick && matches!(log, Some(Log::Earlier(_))) => Ok(Said::Read(None)),
            Await::Read => log?.read(LIMITS),
        };
        Some(read.unwrap_or_else(|error| {
            self.unreadable(number, &error);
            Said::Unreadable
        }))
    }

    fn next_answer(&mut self, number: usize, life: u64) -> Option<Said> {
        let now = self.now;
        let is_deaf = self.has(Mutant::AskedAgainIgnored);
        let live = self.live(number, life)?;
        let reporter = &mut live.reporter;
        let (_, _, pause) = reporter.answers.front_mut().filter(|_| reporter.deaf_until <= now)?;
        let pause = std::mem::take(pause);
        if pause > 0 {
            reporter.deaf_until = now + pause;
            self.after(pause, Event::Listen { relay: number, life });
            return None;
        }
        let (epoch, verdict, _) = reporter.answers.pop_front()?;
        let in_hand = reporter.log.as_ref().map_or(1, |log| log.standing().acked_below);
        let settled = if epoch == live.spool.epoch() { live.spool.current().acked_below() } else { in_hand };
        let verdict = match verdict {
            Verdict::Expect(seq) if is_deaf && seq < settled => Verdict::Acked { below: settled, has_ended: false },
            verdict => verdict,
        };
        Some(Said::Answered(epoch, verdict))
    }

    /// An answer comes in.
    pub(super) fn take_settled(
        &mut self,
        number: usize,
        life: u64,
        (stream, epoch): (u64, Epoch),
        (below, goes_back, has_ended, pause): (i64, bool, bool, u64),
    ) {
        let is_deaf = self.has(Mutant::AnyStreamAnswers);
        let Some(live) = self.live(number, life) else { return };
        if (live.reporter.stream != stream || stream == 0) && !is_deaf {
            return;
        }
        let below = below.max(1).cast_unsigned();
        let verdict = if goes_back { Verdict::Expect(below) } else { Verdict::Acked { below, has_ended } };
        live.reporter.answers.push_back((epoch, verdict, pause));
        self.report(number, life);
    }

    fn unreadable(&mut self, number: usize, error: &ReadError) {
        let is_ill = self.relays[number].disk.refuses() || self.truth.has_damage();
        if !is_ill && self.ledger.lineage.as_ref() == "first" {
            self.fail(Property::Recovery, format!("relay {number} cannot read its spool: {error}"));
        }
    }
}

fn incoming(body: &[u8]) -> Incoming {
    match sluice_rpc::usage::decode(body) {
        Ok(record) if !body.is_empty() => Incoming::Record(record),
        Ok(_) => Incoming::Unreadable { reason: "gone".into(), body: String::new() },
        Err(malformed) => Incoming::Unreadable { reason: malformed.to_string(), body: String::new() },
    }
}

fn word_of(what: &What) -> &'static str {
    match what {
        What::Records(_) => "not the last",
        What::Gone(_) => "gone",
        What::End { is_damaged: true } => "the end, damaged",
        What::End { is_damaged: false } => "the end",
        What::SettledBelow => "settled before",
        What::Nothing => "to hear how far it is settled",
    }
}
