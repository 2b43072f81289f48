//! What requests cost the database, and how fast usage that has piled up is settled.
//!
//! First a steady load, during which the database's work is counted. Then the control plane is stopped where it stands (SIGSTOP) while
//! requests go on: what is served then cannot have touched the database. Then it goes on, and the pile is timed until it is gone. At
//! the end the balance must have moved by the price of what the simulator answered, to the unit.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use sluice_testkit::database::Engine;
use tokio::time::{Instant, sleep};

use super::cost::CpuReading;
use super::crew::Crew;
use super::database::{Counter, Work};
use super::install::Install;
use super::question::Question;
use super::stage::{Provider, Target};
use super::tally::{micros, number};

/// Connections of both loads.
const CONNECTIONS: usize = 32;
/// How often the pile and the database are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A pile that is not gone after this is not waited for.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);
/// The price of one prebuilt answer: 8 tokens in, 100 out, at a model ratio of 1.25 and a completion ratio of 4.
const PRICE: u64 = 510;
/// Usage at the relay that the control plane has not acknowledged, in bytes.
const PILE: &str = "sluice_relay_spool_unacked_bytes";

/// What was found on one database.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settled {
    pub(crate) engine: String,
    /// Requests of the steady load, and the database's work until all were settled.
    pub(crate) requests: u64,
    pub(crate) work: Work,
    /// Requests answered well while the control plane stood still: the pile.
    pub(crate) served_without_control: u64,
    /// Settled a second while the pile went from 95 to 5 %. None: it was not gone in time.
    pub(crate) records_per_second: Option<f64>,
    /// CPU time of the control plane for one record of the pile, in microseconds.
    pub(crate) control_cpu_us_per_record: f64,
    /// CPU time of the relay for reading and sending it, in microseconds.
    pub(crate) relay_cpu_us_per_record: f64,
    /// What the balance moved by.
    pub(crate) charged: i64,
    /// What it should have moved by.
    pub(crate) owed: i64,
    /// Requests that were not answered as they must, by what was wrong.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Settled {
    /// Transactions that wrote, for 1,000 requests.
    pub(crate) fn commits_per_thousand(&self) -> f64 {
        number(self.work.commits) * 1_000.0 / number(self.requests)
    }

    /// Statements that write, for 1,000 requests, where the database counts them.
    pub(crate) fn statements_per_thousand(&self) -> Option<f64> {
        Some(number(self.work.write_statements?) * 1_000.0 / number(self.requests))
    }
}

/// Measures on one database, with an installation of its own. Each of the two loads lasts so long.
pub(crate) async fn measure(engine: Engine, folder: &Path, provider: &Provider, lasting: Duration) -> Result<Settled> {
    let mut install = Install::start(engine, &folder.join("settlement"), provider.address, 0).await?;
    let target = install.target()?;
    let before = install.api.total(install.user).await;
    provider.clear().await?;
    let question = Question::plain().addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, CONNECTIONS).await?;

    let mut counter = Counter::open(engine, install.database.dsn()).await?;
    crew.warm_up().await?;
    let work = steady_load(&mut crew, &install, &mut counter, lasting).await?;
    let steady = crew.take_tally();

    install.control.process().context("the control plane runs")?.pause();
    crew.run_closed(lasting).await?;
    let pile = crew.take_tally();
    drop(crew);
    let clocks = Clocks::read(&mut install, &target)?;
    install.control.process().context("the control plane runs")?.resume();
    let share_per_second = time_drain(&install).await?;
    let (control, relay) = Clocks::read(&mut install, &target)?.since(&clocks);

    let answered = provider.settled().await?.completed;
    Ok(Settled {
        engine: engine.to_string(),
        requests: steady.good,
        work,
        served_without_control: pile.good,
        records_per_second: share_per_second.map(|share| share * number(pile.good)),
        control_cpu_us_per_record: micros(control) / number(pile.good),
        relay_cpu_us_per_record: micros(relay) / number(pile.good),
        charged: before - install.api.total(install.user).await,
        owed: i64::try_from(answered * PRICE)?,
        failures: steady.failures.into_iter().chain(pile.failures).collect(),
    })
}

/// Runs a closed loop, waits until everything is settled, and returns the database's work.
async fn steady_load(crew: &mut Crew, install: &Install, counter: &mut Counter, lasting: Duration) -> Result<Work> {
    let looking = async {
        loop {
            counter.work().await?;
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = crew.run_closed(lasting) => done?,
        stopped = looking => return stopped,
    }
    let deadline = Instant::now() + DRAIN_LIMIT;
    while pile_bytes(install).await? > 0.0 && Instant::now() < deadline {
        counter.work().await?;
        sleep(LOOK_EVERY).await;
    }
    counter.work().await
}

/// The share of the pile that is settled in a second, 1 being all of it.
async fn time_drain(install: &Install) -> Result<Option<f64>> {
    let whole = pile_bytes(install).await?;
    let start = Instant::now();
    let mut begun = None;
    loop {
        let (left, at) = (pile_bytes(install).await? / whole.max(1.0), Instant::now());
        if begun.is_none() && left <= 0.95 {
            begun = Some((left, at));
        }
        if let Some((first, since)) = begun.filter(|_| left <= 0.05) {
            return Ok(Some((first - left) / (at - since).max(LOOK_EVERY).as_secs_f64()));
        }
        if at - start > DRAIN_LIMIT {
            return Ok(None);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn pile_bytes(install: &Install) -> Result<f64> {
    Install::metric(&install.relay, PILE).await
}

/// CPU time of both halves.
struct Clocks {
    control: CpuReading,
    relay: CpuReading,
}

impl Clocks {
    fn read(install: &mut Install, target: &Target) -> Result<Self> {
        let relay = target.process.as_ref().context("a relay is a process")?.cpu()?;
        Ok(Self { control: install.control_process()?.cpu()?, relay })
    }

    fn since(&self, earlier: &Self) -> (Duration, Duration) {
        (self.control.since(&earlier.control), self.relay.since(&earlier.relay))
    }
}
