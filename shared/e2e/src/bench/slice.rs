//! One slice: one way, one load, a short time; and the sum of several.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::cost::{CpuReading, Watched};
use super::crew::Crew;
use super::machine;
use super::question::Question;
use super::stage::{Stage, Target, Way};
use super::tally::{Tally, micros, number};

/// How a slice puts load on a server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Each connection asks again as soon as it has its answer.
    Closed(Duration),
    /// So many requests a second, due whatever the server does.
    Open(u32, Duration),
    /// All connections ask once, at the same moment, so many times.
    Bursts(u32),
    /// All connections ask once, their starts spread over this time; then the same again, so many times in all.
    Spread(Duration, u32),
}

/// What one way did under one load, in all slices so far.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// What the callers saw.
    pub(crate) tally: Tally,
    /// How long the slices took together.
    pub(crate) lasted: Duration,
    /// CPU time of what stands in between.
    pub(crate) cpu: Duration,
    /// CPU time of the simulator.
    pub(crate) simulator_cpu: Duration,
    /// CPU time of the callers.
    pub(crate) callers_cpu: Duration,
    /// The part of the machine that processes other than these used: 1 is all cores.
    pub(crate) busy_otherwise: f64,
}

/// A slice as the raw results keep it.
#[derive(Debug, Serialize)]
pub(crate) struct RawSlice {
    series: String,
    way: Way,
    figures: Value,
}

impl Cell {
    fn new() -> Self {
        Self {
            tally: Tally::new(),
            lasted: Duration::ZERO,
            cpu: Duration::ZERO,
            simulator_cpu: Duration::ZERO,
            callers_cpu: Duration::ZERO,
            busy_otherwise: 0.0,
        }
    }

    /// Good answers a second.
    pub(crate) fn rate(&self) -> f64 {
        number(self.tally.good) / self.lasted.as_secs_f64()
    }

    /// Events a second.
    pub(crate) fn events_rate(&self) -> f64 {
        number(self.tally.events) / self.lasted.as_secs_f64()
    }

    /// CPU time in between for one good answer, in microseconds.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        micros(self.cpu) / number(self.tally.good)
    }

    /// CPU time in between for one event, in microseconds.
    pub(crate) fn cpu_per_event(&self) -> f64 {
        micros(self.cpu) / number(self.tally.events)
    }

    fn add(&mut self, other: &Self) {
        let weight = other.lasted.as_secs_f64() / (self.lasted + other.lasted).as_secs_f64();
        self.busy_otherwise += (other.busy_otherwise - self.busy_otherwise) * weight;
        self.tally.add(&other.tally);
        self.lasted += other.lasted;
        self.cpu += other.cpu;
        self.simulator_cpu += other.simulator_cpu;
        self.callers_cpu += other.callers_cpu;
    }

    /// All figures, for the raw results.
    pub(crate) fn figures(&self) -> Value {
        json!({
            "seconds": self.lasted.as_secs_f64(),
            "sent": self.tally.sent,
            "good": self.tally.good,
            "failures": self.tally.failures,
            "unsent": self.tally.unsent,
            "events": self.tally.events,
            "merged_reads": self.tally.merged,
            "requests_per_second": self.rate(),
            "events_per_second": self.events_rate(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "cpu_us_per_request": self.cpu_per_request(),
            "cpu_us_per_event": finite(self.cpu_per_event()),
            "simulator_cpu_seconds": self.simulator_cpu.as_secs_f64(),
            "callers_cpu_seconds": self.callers_cpu.as_secs_f64(),
            "machine_busy_with_others": self.busy_otherwise,
            "latency_us": self.tally.latency.quantiles(),
            "first_byte_us": self.tally.first_byte.quantiles(),
            "gap_us": self.tally.gaps.quantiles(),
        })
    }
}

fn finite(figure: f64) -> Option<f64> {
    figure.is_finite().then_some(figure)
}

/// One kind of load on every way, slice by slice in turn, so that what else happens on the machine hits all alike.
pub(crate) struct Series {
    /// Its name in the tables.
    pub(crate) name: String,
    cells: Vec<(Way, Cell)>,
    /// Each slice on its own.
    pub(crate) raw: Vec<RawSlice>,
}

/// What a series does in each slice.
pub(crate) struct Plan<'a> {
    /// Its name in the tables.
    pub(crate) name: String,
    /// The question for a way.
    pub(crate) question: &'a dyn Fn(Way) -> Question,
    /// Connections.
    pub(crate) connections: usize,
    /// The load.
    pub(crate) load: Load,
    /// How often each way has its turn.
    pub(crate) rounds: usize,
}

impl Series {
    /// Runs all slices of a plan.
    pub(crate) async fn run(stage: &Stage, plan: &Plan<'_>) -> Result<Self> {
        let mut series = Self { name: plan.name.clone(), cells: Vec::new(), raw: Vec::new() };
        let count = stage.targets.len();
        for round in 0..plan.rounds {
            // Each round begins with another way.
            for place in 0..count {
                let target = &stage.targets[(place + round) % count];
                let cell = measure(stage, target, plan).await;
                let cell = cell.with_context(|| format!("{} through {}", plan.name, target.way.name()))?;
                series.raw.push(RawSlice { series: plan.name.clone(), way: target.way, figures: cell.figures() });
                series.cell_mut(target.way).add(&cell);
            }
        }
        series.cells.sort_by_key(|(way, _)| *way);
        Ok(series)
    }

    /// What a way did, if the run has it.
    pub(crate) fn cell(&self, way: Way) -> Option<&Cell> {
        self.cells.iter().find(|(found, _)| *found == way).map(|(_, cell)| cell)
    }

    /// What each way did.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (Way, &Cell)> {
        self.cells.iter().map(|(way, cell)| (*way, cell))
    }

    fn cell_mut(&mut self, way: Way) -> &mut Cell {
        let place = self.cells.iter().position(|(found, _)| *found == way).unwrap_or_else(|| {
            self.cells.push((way, Cell::new()));
            self.cells.len() - 1
        });
        &mut self.cells[place].1
    }
}

/// The clocks of everybody who takes part in a slice.
struct Clocks {
    at: Instant,
    between: CpuReading,
    simulator: CpuReading,
    callers: CpuReading,
    machine: (u64, u64),
}

impl Clocks {
    fn read(stage: &Stage, target: &Target) -> Result<Self> {
        let between = target.process.as_ref().map(Watched::cpu).transpose()?.unwrap_or_default();
        Ok(Self {
            between,
            simulator: stage.simulator.watched.cpu()?,
            callers: Watched::new(std::process::id()).cpu()?,
            machine: machine::cpu_ticks(),
            at: Instant::now(),
        })
    }

    fn cell_since(&self, earlier: &Self) -> Cell {
        let cpu = self.between.since(&earlier.between);
        let simulator_cpu = self.simulator.since(&earlier.simulator);
        let callers_cpu = self.callers.since(&earlier.callers);
        let (all, idle) = (self.machine.0 - earlier.machine.0, self.machine.1 - earlier.machine.1);
        let ours = (cpu + simulator_cpu + callers_cpu).as_secs_f64() * 100.0;
        let busy_otherwise = ((number(all.saturating_sub(idle)) - ours) / number(all.max(1))).max(0.0);
        Cell { lasted: self.at - earlier.at, cpu, simulator_cpu, callers_cpu, busy_otherwise, tally: Tally::new() }
    }
}

async fn measure(stage: &Stage, target: &Target, plan: &Plan<'_>) -> Result<Cell> {
    stage.simulator.clear().await?;
    let question = (plan.question)(target.way).addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, plan.connections).await?;
    // A stream that lasts is its own warm-up.
    if !matches!(plan.load, Load::Spread(..)) {
        crew.warm_up().await?;
    }
    let warm = crew.take_tally();
    let before = Clocks::read(stage, target)?;
    match plan.load {
        Load::Closed(lasting) => crew.run_closed(lasting).await?,
        Load::Open(rate, lasting) => crew.run_open(rate, lasting).await?,
        Load::Spread(over, times) => {
            for _ in 0..times {
                crew.run_spread(over).await?;
            }
        }
        Load::Bursts(times) => {
            for _ in 0..times {
                crew.run_burst().await?;
            }
        }
    }
    let mut cell = Clocks::read(stage, target)?.cell_since(&before);
    cell.tally = crew.take_tally();
    drop(crew);
    let counted = stage.simulator.settled().await?;
    let (sent, good) = (warm.sent + cell.tally.sent, warm.good + cell.tally.good);
    if counted.received != sent || counted.completed != good {
        let (received, completed) = (counted.received, counted.completed);
        cell.tally.fail(format!("{sent} sent and {good} answered well, but the provider counts {received} and {completed}"));
    }
    Ok(cell)
}
