//! Reporting from the spool, as `relay-node/src/link/report.rs` does it: earlier lives to their end, then this one. Batches are small here,
//! and two of them under way are as many as it takes for answers to cross.

use std::collections::VecDeque;

use sluice_control_plane::leases::Life;
use sluice_control_plane::settlement::Incoming;
use sluice_domain::Epoch;
use sluice_relay_node::spool::{Batch, BatchLimits, CurrentLog, EarlierLog, ReadError, Spool};

use super::super::disk::SimDisk;
use super::super::wire::Up;
use super::super::world::{Event, World};
use super::super::{Mutant, Property};

const MAX_UNDER_WAY: usize = 2;
/// How often a control plane that is told nothing is asked whether it went back, in milliseconds; leases live as many times faster.
const LOOK_EVERY: u64 = 60_000;
const LIMITS: BatchLimits = BatchLimits { records: 12, bytes: 64 * 1024 };

enum Log {
    Earlier(Box<EarlierLog<SimDisk>>),
    Current(CurrentLog<SimDisk>),
}

impl Log {
    fn epoch(&self) -> Epoch {
        match self {
            Self::Earlier(log) => log.epoch(),
            Self::Current(log) => log.epoch(),
        }
    }

    fn acked_below(&self) -> u64 {
        match self {
            Self::Earlier(log) => log.acked_below(),
            Self::Current(log) => log.acked_below(),
        }
    }

    fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        match self {
            Self::Earlier(log) => log.seek(seq),
            Self::Current(log) => log.seek(seq),
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        match self {
            Self::Earlier(log) => log.next_batch(LIMITS),
            Self::Current(log) => log.next_batch(LIMITS),
        }
    }

    fn acked(&mut self, batch: &Batch) {
        match self {
            Self::Earlier(log) => log.acked(batch),
            Self::Current(log) => log.acked(batch),
        }
    }
}

/// What is asked of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Whether it still has what was acknowledged last.
    Back,
    /// The same about the life before, because something of this one was acknowledged for the first time.
    AtLastEnded,
}

/// What is reported, and how far.
pub(crate) struct Reporter {
    earlier: VecDeque<EarlierLog<SimDisk>>,
    log: Option<Log>,
    /// From the oldest record there is, settled or not: the history of the database is another.
    starts_over: bool,
    stream: u64,
    under_way: VecDeque<Batch>,
    /// The end of the log was told, and is not answered.
    told_end: bool,
    /// What is to be asked before anything is told.
    looks: Option<Look>,
    /// It was asked whether it has everything of a life below a number, and has not answered.
    looking: Option<(Epoch, u64)>,
    /// When it was last told or asked something.
    spoke_at: u64,
}

impl Reporter {
    /// From what is not settled on.
    pub(super) fn new(spool: &Spool<SimDisk>) -> Self {
        Self {
            earlier: spool.earlier().into(),
            log: None,
            starts_over: false,
            stream: 0,
            under_way: VecDeque::new(),
            told_end: false,
            looks: Some(Look::Back),
            looking: None,
            spoke_at: 0,
        }
    }

    /// The same over the next connection: whoever starts over and was cut off starts over again.
    pub(super) fn next(&self, spool: &Spool<SimDisk>) -> Self {
        if self.starts_over { Self::from_the_beginning(spool) } else { Self::new(spool) }
    }

    /// From the oldest record there is on: the database went back to the past.
    pub(super) fn from_the_beginning(spool: &Spool<SimDisk>) -> Self {
        Self { earlier: spool.retained().into(), starts_over: true, looks: None, ..Self::new(spool) }
    }

    /// Over another stream; what was sent is not answered any more.
    pub(super) fn begin_anew(&mut self) {
        self.stream = 0;
        self.under_way.clear();
        self.told_end = false;
        self.looking = None;
    }

    fn open(&mut self, spool: &Spool<SimDisk>) -> Result<(), ReadError> {
        if self.log.is_none() {
            let mut log =
                self.earlier.pop_front().map_or_else(|| Log::Current(spool.current()), |log| Log::Earlier(Box::new(log)));
            let from = if self.starts_over { 1 } else { log.acked_below() };
            seek_or_oldest(&mut log, from)?;
            self.log = Some(log);
        }
        Ok(())
    }
}

/// The newest earlier life that is kept, and its end. One that is not at its end is reported anyway.
fn last_ended(spool: &Spool<SimDisk>) -> (Epoch, u64) {
    let last = spool.retained().pop().filter(EarlierLog::has_ended);
    last.map_or((Epoch(0), 0), |log| (log.epoch(), log.end_seq()))
}

fn seek_or_oldest(log: &mut Log, seq: u64) -> Result<(), ReadError> {
    match log.seek(seq) {
        Err(ReadError::Gone { oldest, .. }) => log.seek(oldest),
        sought => sought,
    }
}

impl World {
    pub(in super::super) fn report_now(&mut self, number: usize, life: u64) {
        self.after(200, Event::Report { relay: number, life });
        self.report(number, life);
    }

    fn report(&mut self, number: usize, life: u64) {
        let stream = self.name();
        let Some(live) = self.live(number, life) else { return };
        if !live.session.is_some_and(|session| session.is_welcome) {
            return;
        }
        if live.reporter.stream == 0 {
            live.reporter.stream = stream;
            // what was sent on the stream before may not have arrived
            let starts_over = live.reporter.starts_over;
            if let Some(log) = &mut live.reporter.log {
                let from = if starts_over { 1 } else { log.acked_below() };
                if let Err(error) = seek_or_oldest(log, from) {
                    return self.unreadable(number, &error);
                }
            }
        }
        if let Err(error) = live.reporter.open(&live.spool) {
            return self.unreadable(number, &error);
        }
        if self.looks_back(number, life) {
            return;
        }
        while let Some(live) = self.live(number, life) {
            let reporter = &mut live.reporter;
            if reporter.under_way.len() >= MAX_UNDER_WAY || reporter.told_end {
                return;
            }
            let Some(log) = &mut reporter.log else { return };
            let batch = match log.next_batch() {
                Ok(batch) => batch,
                Err(error) => return self.unreadable(number, &error),
            };
            let Some(batch) = batch else { break };
            reporter.under_way.push_back(batch.clone());
            self.send_batch(number, life, &batch, false);
        }
        self.look_now_and_then(number, life);
        self.report_end(number, life);
    }

    /// Asks whether the control plane still has what was acknowledged last, at the beginning of a session. `true`: the answer is awaited.
    fn looks_back(&mut self, number: usize, life: u64) -> bool {
        let Some(live) = self.live(number, life) else { return true };
        if let Some(look) = live.reporter.looks.take() {
            let current = live.spool.current();
            let own = (current.epoch(), current.acked_below());
            let last = if look == Look::Back && own.1 > 1 { own } else { last_ended(&live.spool) };
            self.look_below(number, life, last);
        }
        self.live(number, life).is_none_or(|live| live.reporter.looking.is_some())
    }

    /// Asks again while there is nothing to tell.
    fn look_now_and_then(&mut self, number: usize, life: u64) {
        let (now, every) = (self.now, LOOK_EVERY / u64::from(self.plan.scale));
        let Some(live) = self.live(number, life) else { return };
        let reporter = &live.reporter;
        let is_idle = reporter.under_way.is_empty() && !reporter.starts_over && now >= reporter.spoke_at + every;
        if let Some(Log::Current(log)) = reporter.log.as_ref().filter(|_| is_idle) {
            let own = (log.epoch(), log.acked_below());
            let place = if own.1 > 1 { own } else { last_ended(&live.spool) };
            self.look_below(number, life, place);
        }
    }

    fn look_below(&mut self, number: usize, life: u64, (epoch, place): (Epoch, u64)) {
        let (now, sent_at) = (self.now, self.relays[number].clock().wall());
        let Some(live) = self.live(number, life).filter(|_| place > 1) else { return };
        (live.reporter.looking, live.reporter.spoke_at) = (Some((epoch, place)), now);
        let (stream, settled_in) = (live.reporter.stream, live.spool.history());
        let life = Life { node: live.life.node.clone(), epoch };
        self.tell(|| format!("relay {number} asks whether life {epoch} is settled to {place}"));
        let (first_seq, records) = (place.cast_signed(), Vec::new());
        self.send_up(number, Up::Report { stream, life, first_seq, records, has_ended: false, sent_at, settled_in });
    }

    /// Records were asked for that had been acknowledged: everything that is kept is told again.
    fn starts_over(&mut self, number: usize, life: u64) {
        self.tell(|| format!("relay {number} finds out that the database went back, and tells everything again"));
        if let Some(live) = self.live(number, life) {
            live.reporter = Reporter::from_the_beginning(&live.spool);
        }
    }

    /// Tells the end of an earlier life, once everything of it is settled.
    fn report_end(&mut self, number: usize, life: u64) {
        let ends_when_told = self.has(Mutant::EndedWhenTold);
        let ends_early = self.has(Mutant::EndBeforeRecords) || ends_when_told;
        let Some(live) = self.live(number, life) else { return };
        let reporter = &mut live.reporter;
        if reporter.starts_over && reporter.under_way.is_empty() && matches!(reporter.log, Some(Log::Current(_))) {
            // a disk that refuses: all is told once more after the next start
            let noted = live.lineage.as_ref().map(|lineage| live.spool.note_history(lineage));
            reporter.starts_over = false;
            if !matches!(noted, Some(Ok(()))) {
                self.tell(|| format!("relay {number} cannot note its history"));
            }
            return;
        }
        let Some(Log::Earlier(log)) = &reporter.log else { return };
        if !reporter.under_way.is_empty() && !ends_early {
            return;
        }
        reporter.told_end = true;
        let mut end = Batch::default();
        end.first_seq = log.end_seq();
        self.send_batch(number, life, &end, true);
        if ends_when_told && let Some(live) = self.live(number, life) {
            if let Some(Log::Earlier(mut log)) = live.reporter.log.take() {
                log.ended();
            }
            live.reporter.told_end = false;
        }
    }

    fn send_batch(&mut self, number: usize, life: u64, batch: &Batch, has_ended: bool) {
        let sent_at = self.relays[number].clock().wall();
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        live.reporter.spoke_at = now;
        let (stream, Some(log)) = (live.reporter.stream, &live.reporter.log) else { return };
        let life = Life { node: live.life.node.clone(), epoch: log.epoch() };
        let incoming = |body: &Vec<u8>| match sluice_rpc::usage::decode(body) {
            Ok(record) => Incoming::Record(record),
            Err(malformed) => Incoming::Unreadable { reason: malformed.to_string(), body: String::new() },
        };
        let records: Vec<Incoming> = batch.records.iter().map(incoming).collect();
        self.check_sent(number, &life, batch);
        let first_seq = batch.first_seq.cast_signed();
        self.tell(|| {
            format!("relay {number} reports {} records of life {} from {first_seq}, ended {has_ended}", records.len(), life.epoch)
        });
        self.send_up(number, Up::Report { stream, life, first_seq, records, has_ended, sent_at, settled_in: None });
    }

    pub(super) fn take_settled(
        &mut self,
        number: usize,
        life: u64,
        (stream, epoch): (u64, Epoch),
        (below, goes_back, has_ended): (i64, bool, bool),
    ) {
        let drops_one = self.has(Mutant::ResendDropsOne);
        let Some(live) = self.live(number, life) else { return };
        let reporter = &mut live.reporter;
        let looking = reporter.looking.map(|(epoch, _)| epoch);
        let of = looking.or_else(|| reporter.log.as_ref().map(Log::epoch));
        if reporter.stream != stream || stream == 0 || of != Some(epoch) {
            return;
        }
        let below = below.max(1).cast_unsigned();
        if let Some((_, place)) = reporter.looking.take() {
            if goes_back && below < place {
                self.starts_over(number, life);
            } else if goes_back {
                reporter.begin_anew();
            }
            return self.report(number, life);
        }
        let Some(log) = &mut reporter.log else { return };
        if goes_back && below < log.acked_below() && !reporter.starts_over {
            return self.starts_over(number, life);
        }
        if goes_back || reporter.told_end && matches!(log, Log::Earlier(log) if below < log.end_seq()) {
            let to = below + u64::from(drops_one && goes_back && below > 1);
            reporter.begin_anew();
            let Some(log) = &mut reporter.log else { return };
            if let Err(error) = log.seek(to) {
                return self.unreadable(number, &error);
            }
            let stream = self.name();
            if let Some(live) = self.live(number, life) {
                live.reporter.stream = stream;
            }
            // a database that is away is left alone for a moment: the next look goes on
            return;
        }
        let says_nothing_yet = log.acked_below() <= 1;
        while let Some(batch) = reporter.under_way.pop_front_if(|batch| batch.next_seq() <= below) {
            log.acked(&batch);
        }
        let is_first = says_nothing_yet && log.acked_below() > 1;
        if is_first && matches!(log, Log::Current(_)) && !reporter.starts_over {
            reporter.looks = Some(Look::AtLastEnded);
        }
        if let (true, Log::Earlier(earlier)) = (reporter.told_end && has_ended, &mut *log) {
            earlier.ended();
            (reporter.log, reporter.told_end) = (None, false);
        }
        self.report(number, life);
    }

    fn unreadable(&mut self, number: usize, error: &ReadError) {
        // what was let go is only missed after the database went back further than the spool does
        if self.ledger.lineage.as_ref() == "first" {
            self.fail(Property::Recovery, format!("relay {number} cannot read its spool: {error}"));
        }
    }
}
