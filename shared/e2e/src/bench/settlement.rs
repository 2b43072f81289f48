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
use sluice_testkit::services::Addresses;
use tokio::time::{Instant, sleep};

use super::cost::CpuReading;
use super::crew::Crew;
use super::database::{Counter, Work};
use super::insert;
use super::install::Install;
use super::question::Question;
use super::stage::Provider;
use super::tally::{micros, number};
use crate::api::Api;

/// Connections of both loads.
const CONNECTIONS: usize = 32;
/// How often the pile and the database are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A pile that is not gone after this is not waited for.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);
/// The price of one prebuilt answer: 8 tokens in, 100 out, at a model ratio of 1.25 and a completion ratio of 4.
const PRICE: u64 = 510;

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
    /// The same rows a second in a bare batch insert, on the same database.
    pub(crate) bare_rows_per_second: f64,
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

    /// Statements of any kind, for 1,000 requests, where the database counts them.
    pub(crate) fn all_statements_per_thousand(&self) -> Option<f64> {
        Some(number(self.work.statements?) * 1_000.0 / number(self.requests))
    }

    /// How fast it was beside the bare insert.
    pub(crate) fn beside_bare(&self) -> Option<f64> {
        Some(self.records_per_second? / self.bare_rows_per_second)
    }
}

/// Measures on one database, with an installation of its own. Each of the two loads lasts so long.
pub(crate) async fn measure(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    lasting: Duration,
) -> Result<Settled> {
    let engine = database.0;
    let mut install = Install::start(database, &folder.join("settlement"), provider.address, 1, 0).await?;
    let target = install.target()?;
    let (control_process, relay_process) = (install.control_process()?, target.process.context("a relay is a process")?);
    let question = Question::plain().addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, CONNECTIONS).await?;
    let mut counter = Counter::open(engine, install.database.dsn()).await?;
    let account = Account::open(&install, provider).await?;

    crew.warm_up().await?;
    let work = steady_load(&mut crew, &mut counter, &account, lasting).await?;
    let steady = crew.take_tally();
    let settled_before = account.charged().await;

    install.control.process().context("the control plane runs")?.pause();
    crew.run_closed(lasting).await?;
    let pile = crew.take_tally();
    drop(crew);
    let clocks = (control_process.cpu()?, relay_process.cpu()?);
    install.control.process().context("the control plane runs")?.resume();
    let share_per_second = time_drain(&account, settled_before).await?;
    account.wait_until_settled().await?;
    let per_record = |now: &CpuReading, before: &CpuReading| micros(now.since(before)) / number(pile.good);
    let per_record = (per_record(&control_process.cpu()?, &clocks.0), per_record(&relay_process.cpu()?, &clocks.1));
    let (owed, charged) = (account.owed().await?, account.charged().await);
    // Nobody else may be at work on the database.
    install.control.kill_9();
    let bare_rows_per_second = insert::bare_rate(engine, install.database.dsn()).await.context("the bare insert")?;

    Ok(Settled {
        engine: engine.to_string(),
        requests: steady.good,
        work,
        served_without_control: pile.good,
        records_per_second: share_per_second.map(|share| share * number(pile.good)),
        bare_rows_per_second,
        control_cpu_us_per_record: per_record.0,
        relay_cpu_us_per_record: per_record.1,
        owed,
        charged,
        failures: steady.failures.into_iter().chain(pile.failures).collect(),
    })
}

/// Runs a closed loop, waits until everything is settled, and returns the database's work.
async fn steady_load(crew: &mut Crew, counter: &mut Counter, account: &Account<'_>, lasting: Duration) -> Result<Work> {
    let looking = async {
        loop {
            counter.work().await?;
            sleep(LOOK_EVERY).await;
        }
    };
    let working = async {
        crew.run_closed(lasting).await?;
        account.wait_until_settled().await
    };
    tokio::select! {
        done = working => done?,
        stopped = looking => return stopped,
    }
    counter.work().await
}

/// The share of the pile that is settled in a second, 1 being all of it, between 5 and 95 % of it.
async fn time_drain(account: &Account<'_>, settled_before: i64) -> Result<Option<f64>> {
    let owed = account.owed().await?;
    let pile = i64::max(owed - settled_before, 1);
    let start = Instant::now();
    let mut begun: Option<(i64, Instant)> = None;
    loop {
        let (settled, at) = (account.charged().await - settled_before, Instant::now());
        match begun {
            None if settled >= pile / 20 => begun = Some((settled, at)),
            Some((first, since)) if settled >= pile - pile / 20 => {
                let share = number(u64::try_from(settled - first)?) / number(u64::try_from(pile)?);
                return Ok(Some(share / (at - since).max(LOOK_EVERY).as_secs_f64()));
            }
            _ => {}
        }
        if at - start > DRAIN_LIMIT {
            return Ok(None);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What the requests since a moment cost, by the books and by the provider's own count.
struct Account<'a> {
    api: Api,
    user: i64,
    provider: &'a Provider,
    total_before: i64,
}

impl<'a> Account<'a> {
    async fn open(install: &Install, provider: &'a Provider) -> Result<Self> {
        provider.clear().await?;
        let (api, user) = (install.api.clone(), install.user);
        let total_before = api.total(user).await;
        Ok(Self { api, user, provider, total_before })
    }

    /// What the balance has moved by.
    async fn charged(&self) -> i64 {
        self.total_before - self.api.total(self.user).await
    }

    /// What it has to move by.
    async fn owed(&self) -> Result<i64> {
        Ok(i64::try_from(self.provider.settled().await?.completed * PRICE)?)
    }

    /// Waits until both agree, or for so long that they will not.
    async fn wait_until_settled(&self) -> Result<()> {
        let owed = self.owed().await?;
        let deadline = Instant::now() + DRAIN_LIMIT;
        while self.charged().await < owed && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
