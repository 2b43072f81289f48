//! Everything there is in one run, and the queue of what happens next. One event at a time, in virtual milliseconds; between two events
//! nothing changes. Start reading at [`World::run`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use sluice_control_plane::settlement::rates::Rates;
use sluice_domain::{AccountId, ChannelId, TokenId, UnixMillis, UserId};
use sluice_relay_node::metrics::Metrics;
use sluice_telemetry::metrics::Registry;

use super::chance::Dice;
use super::ledger::{Ledger, Logged, TokenRow};
use super::mutant::Mutant;
use super::plan::Plan;
use super::relay::Relay;
use super::replica::Replica;
use super::truth::Truth;
use super::wire::{Down, Up};
use super::{Failure, Property};

/// Wall clock at the beginning of every run.
pub(crate) const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// Lines of the trace that are kept.
const TRACE: usize = 4_000;
/// A run has a few thousand events; one that has this many goes round in circles.
const MOST_EVENTS: u64 = 60_000;
/// How long after the last fault everything must be at rest.
const CALM: u64 = 60_000;

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A request comes in somewhere.
    Arrive,
    /// A request streams on.
    Progress { relay: usize, life: u64, request: u64 },
    /// A request ends.
    Finish { relay: usize, life: u64, request: u64 },
    /// A request under way looks again for more money.
    ExtendAgain { relay: usize, life: u64, request: u64 },
    /// A request has waited long enough for money.
    GiveUp { relay: usize, life: u64, request: u64 },
    /// A message arrives at a replica.
    Up { replica: usize, up: Up, relay: usize, session: u64 },
    /// A message arrives at a relay.
    Down { relay: usize, session: u64, down: Box<Down> },
    /// A relay connects.
    Connect { relay: usize, life: u64 },
    /// A connection breaks.
    Cut { relay: usize, session: u64 },
    /// A relay's disk has a moment to sync.
    Sync { relay: usize, life: u64 },
    /// A relay looks after its leases, and its connection.
    Tick { relay: usize, life: u64 },
    /// A relay looks for something to report.
    Report { relay: usize, life: u64 },
    /// A relay's process starts.
    Start { relay: usize },
    /// A relay that drains ends.
    End { relay: usize, life: u64 },
    /// A relay hears the answer that it paused before.
    Listen { relay: usize, life: u64 },
    /// A replica looks at the log.
    Look { replica: usize },
    /// The same, unless it did so in between.
    LookInTime { replica: usize },
    /// A replica sends heartbeats.
    Beat { replica: usize },
    /// A replica starts.
    Rise { replica: usize },
    /// A replica decides about asks.
    Decide { replica: usize },
    /// The same, unless it did so in between.
    DecideInTime { replica: usize },
    /// The oldest lines of the log are let go.
    Trim,
    /// The job that looks after leases runs.
    Tend,
    /// An administrator switches something.
    Switch,
    /// A write that took its number early is committed: a mutant.
    CommitLate { seq: i64, logged: Logged },
    /// Money comes in.
    Credit,
    /// The database is kept for later.
    Backup,
    /// A copy of the database is made that nobody knows of.
    Copy,
    /// Something goes wrong.
    Fault(Fault),
    /// A relay whose disk failed a sync is started anew.
    Renew { relay: usize, life: u64 },
    /// A disk works again.
    DiskWorks { relay: usize },
    /// Nothing goes wrong from here on, and no requests come.
    Quiet,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Partition,
    Kill,
    Power,
    DiskLoss,
    DiskFull,
    Damage,
    SyncFails,
    Suspend,
    Clock,
    ReplicaKill,
    Away,
    Restore,
    GoesBack,
    Drain,
}

#[derive(Debug)]
struct Due {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// One run.
pub(crate) struct World {
    /// What it tries.
    pub(super) plan: Plan,
    /// The bug in it, if any.
    pub(super) mutant: Option<Mutant>,
    pub(super) dice: Dice,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<Due>>,
    next_event: u64,
    next_name: u64,
    /// No more faults and requests.
    pub(super) is_quiet: bool,
    pub(super) ledger: Ledger,
    pub(super) backup: Option<Ledger>,
    /// What the database goes back to behind everybody's back.
    pub(super) copy: Option<Ledger>,
    /// Until when the database is away.
    pub(super) away_until: u64,
    pub(super) rates: Rates,
    pub(super) relays: Vec<Relay>,
    pub(super) replicas: Vec<Replica>,
    /// Pairs of relay and replica that cannot reach each other, until when.
    pub(super) partitions: BTreeMap<(usize, usize), u64>,
    /// The latest arrival per direction of a connection: streams keep their order.
    pub(super) order: BTreeMap<(u64, bool), u64>,
    pub(super) truth: Truth,
    pub(super) metrics: Metrics,
    pub(super) failure: Option<Failure>,
    /// Whether the ledger changed since it was checked.
    pub(super) is_dirty: bool,
    trace: VecDeque<String>,
    /// Whether to write the trace: only when a run is repeated to be read.
    pub(super) is_traced: bool,
    pub(super) counts: super::Counts,
}

impl World {
    /// A run that has not begun.
    #[must_use]
    pub(crate) fn new(seed: u64, plan: Plan, mutant: Option<Mutant>, is_traced: bool) -> Self {
        let rates = Rates::of_rows([
            ("group", "default", 1, Some("1")),
            ("price", "gpt-4o", 1, Some(r#"{"model_ratio":"1","completion_ratio":"1"}"#)),
        ]);
        let ledger = first_ledger(&plan, seed);
        let replicas = (0..plan.replicas).map(|_| Replica::new()).collect();
        let relays = (0..plan.relays).map(|number| Relay::new(number, &mut Dice::new(seed, 100 + number as u64))).collect();
        Self {
            mutant,
            dice: Dice::new(seed, 2),
            now: 0,
            queue: BinaryHeap::new(),
            next_event: 0,
            next_name: 0,
            is_quiet: false,
            ledger,
            backup: None,
            copy: None,
            away_until: 0,
            rates,
            relays,
            replicas,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            truth: Truth::default(),
            metrics: Metrics::declare(&Registry::new()),
            failure: None,
            is_dirty: true,
            trace: VecDeque::new(),
            is_traced,
            counts: super::Counts::default(),
            plan,
        }
    }

    /// Lets everything happen, until all is at rest or a property is broken.
    pub(crate) fn run(mut self) -> Result<super::Counts, Failure> {
        self.begin();
        let end = self.plan.busy + CALM;
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > end {
                break;
            }
            self.now = due.at;
            self.counts.events += 1;
            if self.counts.events > MOST_EVENTS {
                self.fail(Property::Liveness, format!("{MOST_EVENTS} events, the last is {:?}", due.event));
            }
            self.happen(due.event);
            self.check_now();
            if self.is_quiet && self.failure.is_none() && self.now > self.plan.busy + 8_000 && self.is_at_rest() {
                self.counts.rest_millis = self.now - self.plan.busy;
                break;
            }
            if self.failure.is_some() {
                break;
            }
        }
        if self.failure.is_none() {
            self.check_end();
        }
        match self.failure.take() {
            None => Ok(self.counts),
            Some(failure) => Err(Failure { trace: self.trace.into(), ..failure }),
        }
    }

    fn begin(&mut self) {
        for replica in 0..self.replicas.len() {
            self.after(0, Event::Rise { replica });
        }
        for relay in 0..self.relays.len() {
            let wait = self.dice.between(1, 50);
            self.after(wait, Event::Start { relay });
        }
        self.after(300, Event::Arrive);
        self.after(500, Event::Tend);
        self.after(self.plan.busy, Event::Quiet);
        if self.plan.switches > 0 {
            self.again(self.plan.switches, Event::Switch);
        }
        if self.plan.credits > 0 {
            self.again(self.plan.credits, Event::Credit);
        }
        if self.plan.trims > 0 {
            self.again(self.plan.trims, Event::Trim);
        }
        let faults = self.plan.faults;
        let all = [
            (faults.partition, Fault::Partition),
            (faults.kill, Fault::Kill),
            (faults.power, Fault::Power),
            (faults.disk_loss, Fault::DiskLoss),
            (faults.disk_full, Fault::DiskFull),
            (faults.damage, Fault::Damage),
            (faults.sync_fails, Fault::SyncFails),
            (faults.suspend, Fault::Suspend),
            (faults.clock, Fault::Clock),
            (faults.replica_kill, Fault::ReplicaKill),
            (faults.away, Fault::Away),
            (faults.drain, Fault::Drain),
        ];
        for (mean, fault) in all.into_iter().filter(|(mean, _)| *mean > 0) {
            self.again(mean, Event::Fault(fault));
        }
        if faults.restore > 0 {
            let backup = self.dice.between(500, self.plan.busy / 2);
            let back = backup + self.dice.between(200, 5_000);
            self.after(backup, Event::Backup);
            self.after(back.min(self.plan.busy - 500), Event::Fault(Fault::Restore));
        }
        if faults.goes_back > 0 {
            let copy = self.dice.between(500, self.plan.busy / 2);
            let back = copy + self.dice.between(200, 5_000);
            self.after(copy, Event::Copy);
            self.after(back.min(self.plan.busy - 500), Event::Fault(Fault::GoesBack));
        }
    }

    /// Something happens a while from here.
    pub(super) fn after(&mut self, wait: u64, event: Event) {
        self.next_event += 1;
        self.queue.push(Reverse(Due { at: self.now + wait, number: self.next_event, event }));
    }

    /// Something happens once more after a while of chance.
    pub(super) fn again(&mut self, mean: u64, event: Event) {
        let wait = self.dice.wait(mean).max(1);
        self.after(wait, event);
    }

    /// A number nothing else has in this run.
    pub(super) fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    /// Whether the bug is this one.
    pub(super) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The wall clock of the control plane.
    pub(super) fn wall(&self) -> UnixMillis {
        START.plus_millis(self.now.cast_signed())
    }

    /// Notes what happened, for people.
    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.is_traced {
            if self.trace.len() >= TRACE {
                self.trace.pop_front();
            }
            let line = format!("{:>7} ms  {}", self.now, what());
            self.trace.push_back(line);
        }
    }

    /// A property is broken.
    pub(super) fn fail(&mut self, property: Property, what: impl Into<String>) {
        if self.failure.is_none() {
            let what = what.into();
            self.tell(|| format!("BROKEN {property:?}: {what}"));
            self.failure = Some(Failure { property, at: self.now, what, trace: Vec::new() });
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(relay) = self.sleeping(&event) {
            let wait = self.relays[relay].asleep_until - self.now;
            return self.after(wait, event);
        }
        match event {
            Event::Arrive => self.arrive(),
            Event::Progress { relay, life, request } => self.progress(relay, life, request),
            Event::Finish { relay, life, request } => self.finish(relay, life, request),
            Event::ExtendAgain { relay, life, request } => self.extend_again(relay, life, request),
            Event::GiveUp { relay, life, request } => self.give_up(relay, life, request),
            Event::Up { replica, up, relay, session } => self.take_up(replica, relay, session, up),
            Event::Down { relay, session, down } => self.take_down(relay, session, *down),
            Event::Connect { relay, life } => self.connect(relay, life),
            Event::Cut { relay, session } => self.cut(relay, session),
            Event::Sync { relay, life } => self.sync(relay, life),
            Event::Tick { relay, life } => self.tick(relay, life),
            Event::Report { relay, life } => self.report_now(relay, life),
            Event::Start { relay } => self.start(relay),
            Event::End { relay, life } => self.end(relay, life),
            Event::Listen { relay, life } => self.report(relay, life),
            Event::Look { replica } => self.look(replica),
            Event::LookInTime { replica } => self.look_in_time(replica),
            Event::Beat { replica } => self.beat(replica),
            Event::Rise { replica } => self.rise(replica),
            Event::Decide { replica } => self.decide_in_turn(replica),
            Event::DecideInTime { replica } => self.decide_in_time(replica),
            Event::Trim => self.trim(),
            Event::Tend => self.tend(),
            Event::Switch => self.switch(),
            Event::CommitLate { seq, logged } => self.commit_late(seq, logged),
            Event::Credit => self.credit(),
            Event::Backup => self.back_up(),
            Event::Copy => self.copy = Some(self.ledger.clone()),
            Event::Fault(fault) => self.go_wrong(fault),
            Event::Renew { relay, life } => self.renew(relay, life),
            Event::DiskWorks { relay } => self.relays[relay].disk.refuse(false),
            Event::Quiet => self.quiet(),
        }
    }

    /// The relay an event is for, if it is asleep.
    fn sleeping(&self, event: &Event) -> Option<usize> {
        let relay = match event {
            Event::Progress { relay, .. }
            | Event::Finish { relay, .. }
            | Event::GiveUp { relay, .. }
            | Event::ExtendAgain { relay, .. }
            | Event::Down { relay, .. }
            | Event::Connect { relay, .. }
            | Event::Sync { relay, .. }
            | Event::Tick { relay, .. }
            | Event::Report { relay, .. }
            | Event::Listen { relay, .. }
            | Event::End { relay, .. } => *relay,
            _ => return None,
        };
        (self.relays[relay].asleep_until > self.now).then_some(relay)
    }

    /// A message leaves a relay.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes it for this")]
    pub(super) fn send_up(&mut self, relay: usize, up: Up) {
        let Some((session, replica)) = self.relays[relay].session() else { return };
        // an answer to a batch names no batch: that is enough on a stream that keeps its order and says nothing twice, as streams do
        let is_strict = matches!(up, Up::Report { .. });
        if let Some(arrivals) = self.travel(relay, replica, (session, true), is_strict) {
            for at in arrivals {
                self.after(at - self.now, Event::Up { replica, up: up.clone(), relay, session });
            }
        }
    }

    /// A message leaves a replica.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes it for this")]
    pub(super) fn send_down(&mut self, replica: usize, relay: usize, session: u64, down: Down) {
        let is_strict = matches!(down, Down::Settled { .. });
        if let Some(arrivals) = self.travel(relay, replica, (session, false), is_strict) {
            for at in arrivals {
                self.after(at - self.now, Event::Down { relay, session, down: Box::new(down.clone()) });
            }
        }
    }

    /// When a message arrives: once, twice, or never, which breaks its stream.
    fn travel(&mut self, relay: usize, replica: usize, way: (u64, bool), is_strict: bool) -> Option<Vec<u64>> {
        let session = way.0;
        let links = self.plan.links;
        let is_apart = self.partitions.get(&(relay, replica)).is_some_and(|until| *until > self.now);
        if is_apart || !self.is_quiet && self.dice.permille(links.loss) {
            let wait = self.dice.between(200, 3_000);
            self.after(wait, Event::Cut { relay, session });
            // nothing that follows on this stream arrives
            self.order.insert(way, u64::MAX);
            return None;
        }
        let last = self.order.get(&way).copied().unwrap_or(0);
        if last == u64::MAX {
            return None;
        }
        let reorders = links.reorders && !self.is_quiet && !is_strict;
        let mut at = self.now + self.dice.between(links.least, links.most);
        if !reorders {
            at = at.max(last);
            self.order.insert(way, at);
        }
        let mut arrivals = vec![at];
        if !self.is_quiet && !is_strict && self.dice.permille(links.twice) {
            arrivals.push(at + self.dice.between(0, links.most));
        }
        Some(arrivals)
    }
}

fn first_ledger(plan: &Plan, seed: u64) -> Ledger {
    let mut dice = Dice::new(seed, 3);
    let mut ledger = Ledger::new("first", plan.terms);
    let mut token = 0;
    for user in 1..=i64::try_from(plan.users).unwrap_or(1) {
        let wallet = AccountId::new(user);
        ledger.open(wallet, UserId::new(user), user, true);
        ledger.credit(wallet, plan.wallet);
        for _ in 0..dice.between(1, 2) {
            token += 1;
            let (id, cap) = (TokenId::new(token), AccountId::new(100 + token));
            let is_capped = dice.permille(500);
            ledger.open(cap, UserId::new(user), token, false);
            if is_capped {
                ledger.credit(cap, plan.cap);
            }
            let uses = dice.permille(300).then(|| AccountId::new(200 + token));
            if let Some(uses) = uses {
                ledger.open(uses, UserId::new(user), token, false);
                ledger.credit(uses, dice.amount(2, 60));
            }
            ledger
                .tokens
                .insert(id, TokenRow { user: UserId::new(user), rev: 1, is_enabled: true, wallet, cap, is_capped, uses });
        }
    }
    for channel in 1..=3 {
        ledger.switch_channel(ChannelId::new(channel), true);
    }
    ledger
}

/// The wall clock of a relay's machine, and the one that counts since its start.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    /// Milliseconds since the machine started.
    pub boot: std::sync::atomic::AtomicU64,
    /// Wall clock.
    pub wall: std::sync::atomic::AtomicI64,
}

/// Clock hands that are shared with what reads them.
pub(crate) type SharedHands = Arc<Hands>;
