//! The loads of a run, one after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;

use super::cost::Watched;
use super::crew::Crew;
use super::crowd::{self, Comeback, Push};
use super::dialects::{self, Dialects};
use super::flaky::{self, Flaky};
use super::install::Install;
use super::lag::{self, Lag};
use super::live::{self, Live};
use super::machine::{self, Machine};
use super::memory::{self, LongAnswers, SlowStreams};
use super::question::{Question, without_usage_event};
use super::report::Report;
use super::settlement::{self, Settled};
use super::slice::{Load, Plan, Series};
use super::stage::{Provider, Stage, Way, has_bare};

/// Files that many streams need: 5,000 of them take 10,000 connections in a proxy.
const FILES_WANTED: u64 = 12_000;
/// Streams of the first-byte and the paced load.
const STREAMS: usize = 100;
/// Between paced events, in milliseconds.
const PACE_MS: u64 = 20;
/// Connections of the flat-out streams.
const FLAT_OUT: usize = 16;
/// Connections of the open loop.
const OPEN: usize = 64;

/// A part of a run that can be asked for on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Memory.
    Memory,
    /// Plain answers, closed loop.
    Closed,
    /// Plain answers, open loop.
    Open,
    /// Streams.
    Streams,
    /// The database's work per request, and how fast usage is settled.
    Settlement,
    /// How soon changes are in force on two relays.
    Live,
    /// How long usage waits for its settlement.
    Lag,
    /// What failing answers of upstreams cost.
    Flaky,
    /// What other dialects cost.
    Dialects,
    /// How changes reach hundreds of relays, and how these come back when the control plane does.
    Fleet,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ways to measure; the bare one is left out when it is not built.
    pub ways: Vec<Way>,
    /// Parts to run; empty: all.
    pub parts: Vec<Part>,
    /// The database of the control plane whose relay is measured.
    pub engine: Engine,
    /// Databases whose settlement is measured.
    pub settlement: Vec<Engine>,
    /// Where the database servers are.
    pub addresses: Addresses,
    /// Requests a second of the open loop.
    pub rate: u32,
    /// Tokens the relay knows.
    pub tokens: usize,
    /// Fewer and shorter slices.
    pub quick: bool,
}

/// Everything a run found.
pub(crate) struct Findings {
    pub(crate) machine: Machine,
    pub(crate) load_after: f64,
    pub(crate) options: Options,
    pub(crate) lasted: Duration,
    pub(crate) idle: Vec<(Way, u64)>,
    pub(crate) slow: Vec<SlowStreams>,
    pub(crate) long: Option<LongAnswers>,
    pub(crate) closed: Vec<Series>,
    pub(crate) open: Option<Series>,
    pub(crate) first_byte: Option<Series>,
    pub(crate) burst: Option<Series>,
    pub(crate) paced: Option<Series>,
    pub(crate) flat_out: Option<Series>,
    pub(crate) settled: Vec<Settled>,
    pub(crate) live: Vec<Live>,
    pub(crate) lag: Vec<Lag>,
    pub(crate) flaky: Option<Flaky>,
    pub(crate) dialects: Option<Dialects>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) comeback: Option<Comeback>,
    /// Why something was not measured.
    pub(crate) notes: Vec<String>,
}

impl Findings {
    fn new(options: Options) -> Self {
        Self {
            machine: Machine::look(),
            load_after: 0.0,
            options,
            lasted: Duration::ZERO,
            idle: Vec::new(),
            slow: Vec::new(),
            long: None,
            closed: Vec::new(),
            open: None,
            first_byte: None,
            burst: None,
            paced: None,
            flat_out: None,
            settled: Vec::new(),
            live: Vec::new(),
            lag: Vec::new(),
            flaky: None,
            dialects: None,
            pushes: Vec::new(),
            comeback: None,
            notes: Vec::new(),
        }
    }

    /// All series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &Series> {
        self.closed.iter().chain([&self.open, &self.first_byte, &self.burst, &self.paced, &self.flat_out].into_iter().flatten())
    }
}

/// Runs the bench. `say` is told what is being done.
///
/// # Errors
/// When a process cannot be started or talked to. Bad figures and wrong answers are not errors: the report has them.
pub async fn run(options: Options, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let started = Instant::now();
    raise_file_limit()?;
    let folder = tempfile::tempdir()?;
    let mut findings = Findings::new(options);
    let parts = findings.options.parts.clone();
    let has = |part| parts.is_empty() || parts.contains(&part);

    say("starting the processes");
    let mut stage = set_stage(&mut findings, folder.path()).await?;
    for target in &stage.targets {
        let rss = target.process.as_ref().map(Watched::rss_bytes).transpose()?;
        findings.idle.extend(rss.map(|bytes| (target.way, bytes)));
    }
    if has(Part::Memory) {
        measure_memory(&mut findings, &stage, say).await?;
    }
    let right = RightAnswers::ask(&stage).await?;
    if has(Part::Closed) {
        measure_closed(&mut findings, &stage, &right, say).await?;
    }
    if has(Part::Open) {
        measure_open(&mut findings, &stage, &right, say).await?;
    }
    if has(Part::Streams) {
        measure_streams(&mut findings, &stage, &right, say).await?;
    }
    // What is no longer asked anything must not take part.
    stage.leave_only_the_provider();
    if has(Part::Settlement) && findings.options.ways.contains(&Way::Full) {
        let lasting = Duration::from_secs(if findings.options.quick { 2 } else { 5 });
        for &engine in &findings.options.settlement {
            say(&format!("settlement on {engine}"));
            let database = (engine, &findings.options.addresses);
            findings.settled.push(settlement::measure(database, folder.path(), &stage.simulator, lasting).await?);
        }
    }
    if has(Part::Live) && findings.options.ways.contains(&Way::Full) {
        say("changes on two relays");
        let (engine, changes) = (findings.options.engine, if findings.options.quick { 6 } else { 40 });
        let database = (engine, &findings.options.addresses);
        findings.live = live::measure(database, folder.path(), &stage.simulator, changes).await?;
    }
    if findings.options.ways.contains(&Way::Full) {
        measure_fleet(&mut findings, folder.path(), &stage, &has, say).await?;
    }
    findings.lasted = started.elapsed();
    findings.load_after = machine::load_average();
    Ok(Report::new(&findings))
}

async fn measure_fleet(
    findings: &mut Findings,
    folder: &Path,
    stage: &Stage,
    has: &dyn Fn(Part) -> bool,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let options = findings.options.clone();
    let (database, provider, quick) = ((options.engine, &options.addresses), &stage.simulator, options.quick);
    if has(Part::Lag) {
        let lasting = Duration::from_secs(if quick { 4 } else { 15 });
        for &engine in &options.settlement {
            say(&format!("settlement lag on {engine}"));
            let database = (engine, &options.addresses);
            findings.lag.push(lag::measure(database, folder, provider, options.rate, lasting).await?);
        }
    }
    if has(Part::Flaky) {
        say("a tenth of all answers fails");
        let pairs = if quick { 1 } else { 4 };
        findings.flaky = Some(flaky::measure(database, folder, provider, pairs, Duration::from_secs(1)).await?);
    }
    if has(Part::Dialects) {
        say("other dialects");
        let (rounds, millis) = if quick { (1, 500) } else { (4, 1_000) };
        let lasting = Duration::from_millis(millis);
        findings.dialects = Some(dialects::measure(database, folder, provider, rounds, lasting).await?);
    }
    if has(Part::Fleet) {
        let (crowds, changes): (&[usize], _) = if quick { (&[100], 5) } else { (&[100, 1_000], 40) };
        for &relays in crowds {
            say(&format!("changes on {relays} relays"));
            findings.pushes.push(crowd::push(database, folder, provider, relays, changes).await?);
        }
        say("a control plane restarts under its relays");
        let relays = if quick { 50 } else { 200 };
        findings.comeback = Some(crowd::comeback(database, folder, provider, relays).await?);
    }
    Ok(())
}

async fn set_stage(findings: &mut Findings, folder: &Path) -> Result<Stage> {
    let options = &mut findings.options;
    if options.ways.contains(&Way::Bare) && !has_bare() {
        options.ways.retain(|way| *way != Way::Bare);
        findings.notes.push("the bare way is not built: `cargo build --release --features sluice-relay-node/bench`".to_owned());
    }
    let simulator = Provider::start().await?;
    let install = if options.ways.contains(&Way::Full) {
        Some(Install::start((options.engine, &options.addresses), folder, simulator.address, 1, options.tokens).await?)
    } else {
        None
    };
    Stage::set(&options.ways, folder, install, simulator).await
}

/// What the provider itself answers, against which every answer is held.
struct RightAnswers {
    plain: Question,
    stream: Question,
    /// As a relay passes it on that asked for usage itself.
    stream_of_relay: Question,
}

impl RightAnswers {
    async fn ask(stage: &Stage) -> Result<Self> {
        let plain = Self::answer(stage, Question::plain()).await?;
        let stream = Self::answer(stage, Question::flat_out()).await?;
        let with_usage = Self::answer(stage, Question::flat_out_with_usage()).await?;
        Ok(Self {
            plain: Question::plain().expecting(plain),
            stream: Question::flat_out().expecting(stream),
            stream_of_relay: Question::flat_out().expecting(without_usage_event(&with_usage)),
        })
    }

    async fn answer(stage: &Stage, question: Question) -> Result<bytes::Bytes> {
        let server = stage.simulator.address;
        Crew::connect(server, question.addressed(server, crate::fleet::PROVIDER_KEY)?, 1).await?.warm_up().await
    }
}

async fn measure_memory(findings: &mut Findings, stage: &Stage, say: &mut dyn FnMut(&str)) -> Result<()> {
    let (counts, patience): (&[usize], _) = if findings.options.quick { (&[500], 5) } else { (&[500, 5_000], 60) };
    for &count in counts {
        for way in [Way::Nginx, Way::Bare, Way::Full] {
            let Some(target) = stage.target(way) else { continue };
            say(&format!("memory under {count} slow streams through {}", way.name()));
            // Nothing is asked of the others: nginx never gives back what it has for connections.
            let patience = Duration::from_secs(if way == Way::Full { patience } else { 0 });
            findings.slow.push(memory::slow_streams(stage, target, count, patience).await?);
        }
    }
    if let Some(target) = stage.target(Way::Full).filter(|_| !findings.options.quick) {
        say("memory under long answers");
        findings.long = Some(memory::long_answers(stage, target).await?);
    }
    Ok(())
}

async fn measure_closed(findings: &mut Findings, stage: &Stage, right: &RightAnswers, say: &mut dyn FnMut(&str)) -> Result<()> {
    let quick = findings.options.quick;
    let figures: &[(usize, usize, u64)] =
        if quick { &[(64, 2, 800)] } else { &[(64, 5, 1_000), (1, 2, 600), (16, 2, 600), (256, 2, 600)] };
    for &(connections, rounds, millis) in figures {
        say(&format!("closed loop, {connections} connections"));
        let plan = Plan {
            name: format!("closed loop, {connections} connections"),
            question: &|_| right.plain.clone(),
            connections,
            load: Load::Closed(Duration::from_millis(millis)),
            rounds,
        };
        findings.closed.push(Series::run(stage, &plan).await?);
    }
    Ok(())
}

async fn measure_open(findings: &mut Findings, stage: &Stage, right: &RightAnswers, say: &mut dyn FnMut(&str)) -> Result<()> {
    let rate = findings.options.rate;
    let (rounds, millis) = if findings.options.quick { (1, 1_500) } else { (4, 1_500) };
    say(&format!("open loop, {rate} requests/s"));
    let plan = Plan {
        name: format!("open loop, {rate} requests/s"),
        question: &|_| right.plain.clone(),
        connections: OPEN,
        load: Load::Open(rate, Duration::from_millis(millis)),
        rounds,
    };
    findings.open = Some(Series::run(stage, &plan).await?);
    Ok(())
}

async fn measure_streams(findings: &mut Findings, stage: &Stage, right: &RightAnswers, say: &mut dyn FnMut(&str)) -> Result<()> {
    let quick = findings.options.quick;
    let rounds = if quick { 1 } else { 2 };
    // Without a pause before the first content: the relay holds the role back until something useful follows, by design.
    let short = Question::paced(5, 0);
    let name = format!("first byte, {STREAMS} streams, one started each millisecond");
    say(&name);
    let load = Load::Spread(Duration::from_millis(STREAMS as u64), if quick { 5 } else { 10 });
    let plan = Plan { name, question: &|_| short.clone(), connections: STREAMS, load, rounds };
    findings.first_byte = Some(Series::run(stage, &plan).await?);

    let name = format!("first byte, {STREAMS} streams at once");
    say(&name);
    let load = Load::Bursts(if quick { 4 } else { 8 });
    let plan = Plan { name, question: &|_| short.clone(), connections: STREAMS, load, rounds };
    findings.burst = Some(Series::run(stage, &plan).await?);

    let name = format!("{STREAMS} streams, an event each {PACE_MS} ms");
    say(&name);
    let lasting = Question::paced(if quick { 50 } else { 100 }, PACE_MS);
    let load = Load::Spread(Duration::from_millis(PACE_MS), 1);
    let plan = Plan { name, question: &|_| lasting.clone(), connections: STREAMS, load, rounds };
    findings.paced = Some(Series::run(stage, &plan).await?);

    let name = format!("{FLAT_OUT} streams, flat out");
    say(&name);
    let question = |way| if way == Way::Full { right.stream_of_relay.clone() } else { right.stream.clone() };
    let load = Load::Closed(Duration::from_millis(800));
    let plan = Plan { name, question: &question, connections: FLAT_OUT, load, rounds: if quick { 1 } else { 3 } };
    findings.flat_out = Some(Series::run(stage, &plan).await?);
    Ok(())
}

/// A connection is a file, here and in every process started from here.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the file limit")?;
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    ensure!(allowed >= FILES_WANTED, "a process may have {allowed} files, {FILES_WANTED} are needed: raise `ulimit -Hn`");
    Ok(())
}
